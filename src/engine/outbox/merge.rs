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
//! | anything | what the notifier does not want, but for the end of what it was told | what waits |
//!
//! An attempt may have been heard though nobody said so. If it was a firing, and there is more to tell by the next one, that is a
//! firing again, with a key of its own: a receiver that goes by incidents has one, a reader of mail has one mail too many. To
//! call it an update would be nothing at all to who has heard nothing.
//!
//! A notifier that does not want firings is told of no beginning: it hears of the end, and of more, all the same.

use super::lane::{Lane, subject};
use crate::model::{Message, MessageId, MessageKind, MessageState, Mono, Now, Stage, Why};
use std::sync::Arc;

/// How much would be lost with a message of this kind.
pub(super) fn value(kind: MessageKind) -> u8 {
    match kind {
        MessageKind::Resolved => 2,
        MessageKind::Firing => 1,
        _ => 0,
    }
}

/// What the arrival of a message has done to those that waited.
#[derive(Debug, Default)]
pub(super) struct Merged {
    /// Replaced by it.
    pub replaced: Vec<Arc<Message>>,
    /// Since when they have waited to go.
    pub since: Option<Mono>,
}

/// A message arrives in its lane: settles its kind and state, and takes out those that it replaces. `whole`: it tells of all of
/// an incident, to one who has heard nothing.
pub(super) fn arrive(
    lane: &mut Lane,
    message: &mut Message,
    whole: bool,
    wants: &dyn Fn(MessageKind) -> bool,
    now: Now,
) -> Merged {
    let Some(incident) = subject(message) else { return Merged::default() };
    let is_told = lane.heard.contains(&incident);
    let is_sure = is_told && !lane.unsure.contains(&incident);
    let earlier = lane.latest_of(incident);
    let waiting = earlier.and_then(|id| lane.waiting.get(&id));
    let (held, was_firing) =
        waiting.map_or((false, false), |waiting| (waiting.held, waiting.message.kind == MessageKind::Firing));
    let begins = wants(MessageKind::Firing);
    match message.kind {
        MessageKind::Resolved | MessageKind::Acknowledged if begins && !is_told && earlier.is_none() && !whole => {
            drop_it(message, now, Stage::Deduplicate, Why::NeverTold);
        }
        MessageKind::Resolved => message.story.whole = whole || was_firing,
        _ if begins && (was_firing || !is_sure) => message.kind = MessageKind::Firing,
        _ => {}
    }
    // Who has heard of it hears of its end, even if it wants no ends any more.
    let owed = message.kind == MessageKind::Resolved && is_told;
    if message.state == MessageState::Waiting && !owed && !wants(message.kind) {
        let kind = message.kind;
        drop_it(message, now, Stage::Schedule, Why::Unwanted { kind });
    }
    if message.state == MessageState::Dropped {
        return Merged::default();
    }
    if message.kind == MessageKind::Resolved && held && !is_told {
        drop_it(message, now, Stage::Deduplicate, Why::OverByThen);
    }
    let Some(waiting) = earlier.and_then(|id| lane.waiting.remove(&id)) else { return Merged::default() };
    let since = (!waiting.held).then_some(waiting.since);
    Merged { replaced: vec![merged(waiting.message, message.id, now)], since }
}

fn drop_it(message: &mut Message, now: Now, stage: Stage, why: Why) {
    message.state = MessageState::Dropped;
    message.step(now.wall, stage, why);
}

/// It is told by another one.
fn merged(mut message: Arc<Message>, into: MessageId, now: Now) -> Arc<Message> {
    drop_it(Arc::make_mut(&mut message), now, Stage::Deduplicate, Why::Merged { into });
    message
}

/// An attempt was in vain: what has come since of the same incidents replaces what was under way. Returns what has changed.
pub(super) fn come_back(lane: &mut Lane, messages: &[MessageId], now: Now) -> Vec<Arc<Message>> {
    let mut changed = Vec::new();
    for id in messages {
        let Some((incident, kind)) =
            lane.waiting.get(id).and_then(|waiting| Some((subject(&waiting.message)?, waiting.message.kind)))
        else {
            continue;
        };
        let Some(later) = lane.latest_of(incident).filter(|later| later > id) else { continue };
        if let Some(waiting) = lane.waiting.remove(id) {
            changed.push(merged(waiting.message, later, now));
        }
        if kind == MessageKind::Firing {
            changed.extend(begin_anew(lane, incident));
        }
    }
    changed
}

/// The firing of this incident was not heard: what has come since tells it. Returns what has changed.
pub(super) fn begin_anew(lane: &mut Lane, incident: u64) -> Option<Arc<Message>> {
    let later = lane.latest_of(incident)?;
    let waiting = lane.waiting.get_mut(&later)?;
    let message = Arc::make_mut(&mut waiting.message);
    match message.kind {
        MessageKind::Resolved => message.story.whole = true,
        _ => message.kind = MessageKind::Firing,
    }
    Some(Arc::clone(&waiting.message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::outbox::lane::{UnderWay, Waiting};
    use crate::model::{ParcelId, Story, Wall};
    use MessageKind::*;

    const NOW: Now = Now { mono: Mono(5), wall: Wall(5) };
    const WEB: u64 = 7;

    fn message(id: u64, kind: MessageKind, incident: Option<u64>) -> Message {
        Message {
            id: MessageId(id),
            key: format!("i-{id}"),
            to: "ops".into(),
            kind,
            at: Wall(0),
            expires: Wall(1_000),
            story: Story { incident, ..Story::default() },
            state: MessageState::Waiting,
            steps: Vec::new(),
        }
    }

    fn lane(waits: &[(u64, MessageKind)], held: bool, told: bool) -> Lane {
        let mut lane = Lane::default();
        for (id, kind) in waits {
            let waiting = Waiting::new(Arc::new(message(*id, *kind, Some(WEB))), Now { mono: Mono(1), wall: Wall(1) });
            lane.waiting.insert(MessageId(*id), Waiting { held, ..waiting });
        }
        if told {
            lane.heard.insert(WEB);
        }
        lane
    }

    /// What waits, what comes, and what that is then.
    fn comes(lane: &mut Lane, kind: MessageKind, whole: bool, wants: &[MessageKind]) -> (Message, Merged) {
        let mut message = message(9, kind, Some(WEB));
        let merged = arrive(lane, &mut message, whole, &|kind| wants.contains(&kind), NOW);
        (message, merged)
    }

    #[test]
    fn one_message_of_an_incident_waits() {
        let (held, free, told, untold) = (true, false, true, false);
        type Row = (Option<MessageKind>, bool, bool, MessageKind, Result<MessageKind, Why>);
        let table: [Row; 22] = [
            (Some(Firing), free, untold, Update, Ok(Firing)),
            (Some(Firing), held, untold, Update, Ok(Firing)),
            (Some(Firing), free, untold, Reminder, Ok(Firing)),
            (Some(Firing), free, untold, Acknowledged, Ok(Firing)),
            (Some(Firing), free, untold, Resolved, Ok(Resolved)),
            (Some(Firing), held, untold, Resolved, Err(Why::OverByThen)),
            // It may have been heard in an attempt that was in vain.
            (Some(Firing), free, told, Update, Ok(Firing)),
            (Some(Firing), held, told, Resolved, Ok(Resolved)),
            (Some(Update), free, told, Update, Ok(Update)),
            (Some(Update), held, told, Resolved, Ok(Resolved)),
            (Some(Reminder), free, told, Update, Ok(Update)),
            (Some(Acknowledged), free, told, Reminder, Ok(Reminder)),
            (Some(Acknowledged), free, told, Resolved, Ok(Resolved)),
            (None, free, untold, Firing, Ok(Firing)),
            (None, free, untold, Update, Ok(Firing)),
            (None, free, untold, Reminder, Ok(Firing)),
            (None, free, untold, Resolved, Err(Why::NeverTold)),
            (None, free, untold, Acknowledged, Err(Why::NeverTold)),
            (None, free, told, Update, Ok(Update)),
            (None, free, told, Reminder, Ok(Reminder)),
            (None, free, told, Acknowledged, Ok(Acknowledged)),
            (None, free, told, Resolved, Ok(Resolved)),
        ];
        for row in table {
            let (waits, held, told, kind, expected) = row.clone();
            let waits: Vec<_> = waits.into_iter().map(|kind| (3, kind)).collect();
            let mut lane = lane(&waits, held, told);
            let (message, merged) = comes(&mut lane, kind, false, &MessageKind::ALL);
            let result = match message.state {
                MessageState::Waiting => Ok(message.kind),
                _ => Err(message.steps.last().unwrap().why.clone()),
            };
            assert_eq!(result, expected, "{row:?}");
            assert!(lane.waiting.is_empty(), "{row:?}");
            assert_eq!(merged.replaced.len(), waits.len(), "{row:?}");
            assert!(merged.replaced.iter().all(|m| m.steps[0].why == Why::Merged { into: MessageId(9) }), "{row:?}");
            let since = (!waits.is_empty() && !held).then_some(Mono(1));
            assert_eq!(merged.since, since, "it has gathered for so long already: {row:?}");
        }
    }

    #[test]
    fn what_is_not_wanted_replaces_nothing() {
        let mut told = lane(&[(3, Update)], false, true);
        let (message, merged) = comes(&mut told, Acknowledged, false, &[Firing, Update, Resolved]);
        assert_eq!((message.state, merged.replaced.len(), told.waiting.len()), (MessageState::Dropped, 0, 1));
        let (message, _) = comes(&mut lane(&[], false, true), Resolved, false, &[Notice]);
        assert_eq!(message.state, MessageState::Waiting, "it has heard of the beginning, when it wanted that");
        let (message, _) = comes(&mut lane(&[], false, false), Resolved, false, &[Resolved]);
        assert_eq!((message.state, message.kind), (MessageState::Waiting, Resolved), "who wants no firings");
    }

    #[test]
    fn all_of_an_incident_is_told_to_who_has_heard_nothing() {
        let (message, _) = comes(&mut lane(&[], false, false), Resolved, true, &MessageKind::ALL);
        assert_eq!((message.state, message.kind), (MessageState::Waiting, Resolved));
    }

    #[test]
    fn notices_are_of_no_incident() {
        let mut lane = lane(&[(3, Firing)], false, false);
        let (message, merged) = comes(&mut lane, Notice, false, &MessageKind::ALL);
        assert_eq!((message.kind, merged.replaced.len(), lane.waiting.len()), (Notice, 0, 1));
        lane.waiting.clear();
        lane.waiting.insert(MessageId(3), Waiting::new(Arc::new(message), NOW));
        let (message, merged) = comes(&mut lane, Update, false, &MessageKind::ALL);
        assert_eq!((message.kind, merged.replaced.len()), (Firing, 0), "and tell nobody of one");
    }

    #[test]
    fn what_is_under_way_is_left_alone_and_merged_when_it_comes_back() {
        for (first, then, expected) in [
            (Firing, Update, Firing),
            (Firing, Acknowledged, Firing),
            (Firing, Resolved, Resolved),
            (Update, Reminder, Reminder),
        ] {
            let mut lane = lane(&[(3, first)], false, true);
            let what = (vec![MessageId(3)], Vec::new());
            lane.under_way =
                Some(UnderWay { id: ParcelId(1), what, ids: [MessageId(3)].into(), first_of: Vec::new(), sent: None });
            let (message, merged) = comes(&mut lane, then, false, &MessageKind::ALL);
            assert_eq!((message.kind, merged.replaced.len()), (then, 0), "{first} {then}");
            lane.waiting.insert(message.id, Waiting::new(Arc::new(message), NOW));
            lane.under_way = None;
            let changed = come_back(&mut lane, &[MessageId(3)], NOW);
            assert_eq!(changed[0].steps.last().unwrap().why, Why::Merged { into: MessageId(9) });
            let waiting: Vec<_> = lane.waiting.values().map(|waiting| waiting.message.kind).collect();
            assert_eq!(waiting, [expected], "{first} {then}");
        }
    }
}
