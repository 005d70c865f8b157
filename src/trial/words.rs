//! What minder did, in the words of scenarios and backtests.

use crate::model::{EventKind, Listed, of_one};
use std::time::Duration;

/// Something that a list of a scenario can expect.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub listed: Listed,
    pub at: Duration,
    pub words: String,
}

/// What an event is called in the lists of a scenario; nothing if it is in none of them. An action counts when it begins; that
/// it did what it should is the rule, and not said.
pub(super) fn deeds(kind: &EventKind) -> Vec<(Listed, String)> {
    vec![match kind {
        EventKind::Fired { rule, of: Some(who), .. } => (Listed::Fired, of_one(rule, who)),
        EventKind::Resolved { rule, of: Some(who), .. } => (Listed::Resolved, of_one(rule, who)),
        EventKind::Fired { rule, .. } => (Listed::Fired, rule.clone()),
        EventKind::Resolved { rule, .. } => (Listed::Resolved, rule.clone()),
        EventKind::Noticed { rule, .. } => (Listed::Noticed, rule.clone()),
        EventKind::Acting { action, .. } => (Listed::Did, action.clone()),
        EventKind::Acted { action, ok: false, .. } => (Listed::Did, format!("{action} failed")),
        EventKind::Held { action, .. } => match action.strip_prefix("message to ") {
            Some(names) => return names.split(", ").map(|to| (Listed::Told, format!("{to} held"))).collect(),
            // Of one of many processes: `signal KILL (pid 1234)`.
            None => (Listed::Did, format!("{} held", action.split(" (pid ").next().unwrap_or(action))),
        },
        EventKind::GaveUp { .. } => (Listed::Did, "given up".to_owned()),
        _ => return Vec::new(),
    }]
}
