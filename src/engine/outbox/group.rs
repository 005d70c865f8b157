//! What goes together: all that may go when the first has waited for the others, at most one parcel in so long.

use super::Lane;
use crate::model::{Group, MessageId, MessageKind, Mono, Severity};
use std::cmp::Reverse;

/// So many messages are in one parcel.
const TOGETHER_AT_MOST: usize = 100;

/// What is to be sent.
pub(super) enum Choice {
    /// There is nothing.
    Nothing,
    /// Something, then.
    At(Mono),
    /// These, in this order.
    Now(Vec<MessageId>),
}

/// Chooses among those that may go, which are in the order of what happened.
pub(super) fn choose(lane: &Lane, group: Option<Group>, ready: &[MessageId], now: Mono) -> Choice {
    // What was under way before is tried again as it was, as long as all of it still waits to be told.
    if let Some((before, _)) = &lane.before
        && before.iter().all(|id| ready.contains(id))
    {
        return Choice::Now(before.clone());
    }
    let Some(first) = ready.first() else { return Choice::Nothing };
    let Some(group) = group else { return Choice::Now(vec![*first]) };
    let since = lane.waiting.get(first).map_or(now, |waiting| waiting.since);
    let at = (since + group.wait).max(lane.sent.map_or(Mono(0), |sent| sent + group.every));
    if now < at {
        return Choice::At(at);
    }
    let mut chosen: Vec<MessageId> = ready.iter().copied().take(TOGETHER_AT_MOST).collect();
    // The worst first; of these the one that happened first.
    chosen.sort_by_key(|id| {
        let message = lane.waiting.get(id).map(|waiting| &*waiting.message);
        let over = message.is_some_and(|message| message.kind == MessageKind::Resolved);
        let severity = message.and_then(|message| message.story.severity).unwrap_or(Severity::Info);
        (over, Reverse(severity), *id)
    });
    Choice::Now(chosen)
}
