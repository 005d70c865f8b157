//! Nothing is told twice, and what is over is told once: of one incident at most one message waits for a notifier, beside the
//! one that is under way.
//!
//! | waits | comes | then |
//! |---|---|---|
//! | a firing | more of it | a firing, with all that is known |
//! | a firing, held | its end | neither: it was over before there was leave to tell it |
//! | a firing | its end | the end, which tells both |
//! | anything else | more of it, or its end | the newer one |
//! | nothing, and it was not told | more of it | a firing |
//! | nothing, and it was not told | its end, or that somebody looks after it | nothing |

use super::Lane;
use crate::model::{Message, MessageId, MessageKind, MessageState, Now, Stage, Why};
use std::sync::Arc;

/// How much would be lost with a message of this kind.
pub(super) fn value(kind: MessageKind) -> u8 {
    match kind {
        MessageKind::Resolved => 2,
        MessageKind::Firing => 1,
        _ => 0,
    }
}

/// A message arrives in its lane: settles its kind and state, and returns those that it has replaced. `whole`: it tells of all of
/// an incident, to one who has heard nothing.
pub(super) fn arrive(lane: &mut Lane, message: &mut Message, whole: bool, now: Now) -> Vec<Arc<Message>> {
    let Some(incident) = message.story.incident else { return Vec::new() };
    let is_its = |id: &MessageId| !lane.is_under_way(*id);
    let earlier: Vec<MessageId> = lane
        .waiting
        .iter()
        .filter(|(id, waiting)| waiting.is_of(Some(incident)) && is_its(id))
        .map(|(id, _)| *id)
        .collect();
    let is_told = lane.heard.contains(&incident);
    let mut held = false;
    let mut was_firing = false;
    let mut replaced = Vec::new();
    for id in earlier {
        let Some(waiting) = lane.waiting.remove(&id) else { continue };
        held |= waiting.held;
        was_firing |= waiting.message.kind == MessageKind::Firing;
        let mut earlier = waiting.message;
        let changed = Arc::make_mut(&mut earlier);
        changed.state = MessageState::Dropped;
        changed.step(now.wall, Stage::Deduplicate, Why::Merged { into: message.id });
        replaced.push(earlier);
    }
    let any = !replaced.is_empty();
    match message.kind {
        MessageKind::Resolved if !is_told && held => drop_it(message, now, Why::OverByThen),
        MessageKind::Resolved | MessageKind::Acknowledged if !is_told && !any && !whole => {
            drop_it(message, now, Why::NeverTold)
        }
        MessageKind::Resolved => message.story.whole = whole || was_firing,
        _ if was_firing || !is_told => message.kind = MessageKind::Firing,
        _ => {}
    }
    replaced
}

fn drop_it(message: &mut Message, now: Now, why: Why) {
    message.state = MessageState::Dropped;
    message.step(now.wall, Stage::Deduplicate, why);
}

/// An attempt was in vain: what has come since of the same incidents replaces what was under way. Returns what has changed.
pub(super) fn come_back(lane: &mut Lane, messages: &[MessageId], now: Now) -> Vec<Arc<Message>> {
    let mut changed = Vec::new();
    for id in messages {
        let Some(waiting) = lane.waiting.get(id) else { continue };
        let (incident, kind) = (waiting.message.story.incident, waiting.message.kind);
        let later = lane.waiting.range(*id..).skip(1).find(|(_, later)| later.is_of(incident)).map(|(later, _)| *later);
        let Some(later) = later else { continue };
        if let Some(waiting) = lane.waiting.remove(id) {
            let mut earlier = waiting.message;
            let ended = Arc::make_mut(&mut earlier);
            ended.state = MessageState::Dropped;
            ended.step(now.wall, Stage::Deduplicate, Why::Merged { into: later });
            changed.push(earlier);
        }
        if let Some(waiting) = lane.waiting.get_mut(&later)
            && kind == MessageKind::Firing
        {
            let later = Arc::make_mut(&mut waiting.message);
            match later.kind {
                MessageKind::Resolved => later.story.whole = true,
                _ => later.kind = MessageKind::Firing,
            }
            changed.push(Arc::clone(&waiting.message));
        }
    }
    changed
}
