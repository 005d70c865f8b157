//! How bad an incident was over its time: it is as bad as the worst rule that fires, and that changes.

use super::uptime::Span;
use crate::model::{Event, EventKind, Identity, Severity};
use std::collections::HashSet;

/// When a critical rule fired, of the events of an incident, the oldest first. `None` if none of them says that one did: then
/// they are not kept any more.
pub(super) fn critical(events: &[Event], end: i64) -> Option<Vec<Span>> {
    let mut firing: HashSet<(&str, Option<Identity>)> = HashSet::new();
    let mut spans: Option<Vec<Span>> = None;
    let mut since = None;
    for Event { at, kind, .. } in events {
        match kind {
            EventKind::Fired { rule, severity: Severity::Critical, of, .. } => {
                spans.get_or_insert_default();
                firing.insert((rule, of.as_ref().map(|of| of.identity)));
                since.get_or_insert(at.0);
            }
            EventKind::Resolved { rule, of, .. } => {
                firing.remove(&(rule, of.as_ref().map(|of| of.identity)));
                if let (true, Some(from)) = (firing.is_empty(), since) {
                    spans.get_or_insert_default().push((from, at.0));
                    since = None;
                }
            }
            _ => {}
        }
    }
    if let (Some(spans), Some(from)) = (&mut spans, since) {
        spans.push((from, end));
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Wall;
    use proptest::prelude::*;

    fn fired(rule: u8, severity: Severity) -> EventKind {
        let (rule, condition, value) = (rule.to_string(), String::new(), String::new());
        EventKind::Fired { rule, severity, condition, value, note: None, of: None }
    }

    fn resolved(rule: u8) -> EventKind {
        EventKind::Resolved { rule: rule.to_string(), after: 0, why: None, of: None }
    }

    fn events(all: Vec<(i64, EventKind)>) -> Vec<Event> {
        let event = |(at, kind)| Event { id: 0, at: Wall(at), service: None, incident: None, kind };
        all.into_iter().map(event).collect()
    }

    #[test]
    fn of_an_incident_whose_events_are_gone_nothing_is_said() {
        assert_eq!(critical(&[], 10), None);
        assert_eq!(critical(&events(vec![(1, fired(0, Severity::Warning)), (2, resolved(1))]), 10), None);
    }

    proptest! {
        /// The same, minute by minute: some rules of which the even ones are critical turn on and off, in any order.
        #[test]
        fn it_is_critical_in_each_minute_in_which_a_critical_rule_fires(
            turns in prop::collection::vec((0i64..4, 0u8..4, any::<bool>()), 1..40),
        ) {
            let mut at = 0;
            let mut told = Vec::new();
            for (wait, rule, fires) in turns {
                at += wait;
                let severity = if rule % 2 == 0 { Severity::Critical } else { Severity::Warning };
                told.push((at, if fires { fired(rule, severity) } else { resolved(rule) }, rule, fires));
            }
            let end = at + 5;
            let fires = |rule: u8, minute: i64| {
                told.iter().rev().find(|(at, _, of, _)| *of == rule && *at <= minute).is_some_and(|(.., fires)| *fires)
            };
            let naive: Vec<i64> = (0..end).filter(|minute| fires(0, *minute) || fires(2, *minute)).collect();
            let events = events(told.iter().map(|(at, kind, ..)| (*at, kind.clone())).collect());
            let spans = critical(&events, end).unwrap_or_default();
            let found: Vec<i64> = spans.into_iter().flat_map(|(from, to)| from..to).collect();
            prop_assert_eq!(found, naive);
        }
    }
}
