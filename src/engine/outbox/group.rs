//! What goes together: all that may go when the first has waited for the others, at most one parcel in so long.
//!
//! The interval counts from the latest attempt, whether it is known to have been taken or not: a mail server may take a mail and
//! break off before it says so. What was refused was surely not taken. The same parcel once more is no further one.

use super::lane::Lane;
use crate::model::{MessageId, MessageKind, Mono, Notifier, Severity};
use std::cmp::Reverse;

/// What is to be sent.
pub(super) enum Choice {
    /// There is nothing.
    Nothing,
    /// Something, then.
    At(Mono),
    /// These, in this order.
    Now(Vec<MessageId>),
}

/// Chooses among those that are free to go. When minder is `ending`, nothing waits for others any more.
pub(super) fn choose(lane: &Lane, notifier: &Notifier, ending: bool, now: Mono) -> Choice {
    // What was under way before is tried again as it was, as long as all of it may still go.
    if let Some((before, _)) = &lane.before
        && before.iter().all(|id| lane.is_free(id))
    {
        return Choice::Now(before.clone());
    }
    let mut free = lane.waiting.iter().filter(|(_, waiting)| !waiting.held);
    let Some(group) = notifier.group else {
        return free.next().map_or(Choice::Nothing, |(id, _)| Choice::Now(vec![*id]));
    };
    let Some(since) = free.clone().map(|(_, waiting)| waiting.since).min() else { return Choice::Nothing };
    let at = (since + group.wait).max(lane.sent.map_or(Mono(0), |sent| sent.mono + group.every));
    if now < at && !ending {
        return Choice::At(at);
    }
    // The worst first; of these the one that happened first. What is over comes last.
    let key = |(id, waiting): &(&MessageId, &super::lane::Waiting)| {
        let over = waiting.message.kind == MessageKind::Resolved;
        (over, Reverse(waiting.message.story.severity.unwrap_or(Severity::Info)), **id)
    };
    let mut chosen: Vec<_> = free.collect();
    chosen.sort_by_cached_key(key);
    let most = notifier.place.together_at_most();
    chosen.truncate(lane.most.map_or(most, |fewer| fewer.min(most)));
    Choice::Now(chosen.into_iter().map(|(id, _)| *id).collect())
}

/// So many go together after so many were refused: if one of them cannot be taken, it is found with few attempts, and the others
/// are not lost with it.
pub(super) fn fewer(refused: usize) -> Option<usize> {
    (refused > 1).then_some(refused / 2)
}
