//! What a notifier wants to hear, and at which hours.

use super::Verdict;
use crate::model::{MessageKind, Notifier, Severity, Wall, Why};

/// Whether this notifier is told of this now.
pub(super) fn verdict(notifier: &Notifier, message: &crate::model::Message, now: Wall) -> Verdict {
    if message.story.severity.unwrap_or(Severity::Info) < notifier.severity && message.kind != MessageKind::Notice {
        return Verdict::Drop { why: Why::BelowSeverity { least: notifier.severity } };
    }
    if !notifier.kinds.contains(&message.kind) {
        return Verdict::Drop { why: Why::Unwanted { kind: message.kind } };
    }
    match &notifier.hours {
        Some(hours) if !hours.contains(now) => {
            let until = hours.next_begin(now);
            Verdict::Hold { why: Why::OutsideHours { until }, until }
        }
        _ => Verdict::Pass,
    }
}
