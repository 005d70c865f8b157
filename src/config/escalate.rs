//! `escalate` and `flapping`: who else hears of an incident, and when a service is told of as flapping.

use super::diagnostic::{Diagnostic, quoted};
use super::plan::Builder;
use super::tree::{Node, Value};
use crate::model::{Escalation, Flapping, Span};
use std::time::Duration;

/// The most steps of an escalation.
const MOST: usize = 20;
/// The greatest sum of changes: that of so many that are new.
const MOST_CHANGES: f64 = 50.0;
/// The longest time for which a change counts.
const LONGEST: Duration = Duration::from_secs(86_400);
const EXAMPLE: &str = "write, for example, `escalate: [{ after: 15m, notify: [boss] }]`";

impl Builder<'_> {
    /// `escalate: [{ after: 15m, notify: [boss] }]`; one step may stand without a list.
    pub(super) fn escalate(&mut self, node: &Node) -> Vec<Escalation> {
        let items = match &node.value {
            Value::Seq(items) => items.as_slice(),
            Value::Map(_) => std::slice::from_ref(node),
            _ => {
                let message = format!("expected the steps of an escalation, found {}", node.describe());
                self.found.push(Diagnostic::new(node.place, message).help(EXAMPLE));
                return Vec::new();
            }
        };
        if items.len() > MOST {
            self.found.push(Diagnostic::new(node.place, format!("more than {MOST} steps of an escalation")));
            return Vec::new();
        }
        let mut steps: Vec<Escalation> = Vec::new();
        for item in items {
            if let Some((step, place)) = self.step_of_escalation(item) {
                if steps.last().is_some_and(|before| step.after <= before.after) {
                    let diagnostic = Diagnostic::new(place, "this step is not later than the one before it");
                    self.found.push(
                        diagnostic.help("write the steps in the order of their times, each counted from the begin"),
                    );
                }
                steps.push(step);
            }
        }
        steps
    }

    fn step_of_escalation(&mut self, item: &Node) -> Option<(Escalation, super::diagnostic::Place)> {
        let before = self.found.len();
        let entries = self.map(item, "a step of an escalation")?;
        self.known_keys(entries, "a step of an escalation", &["after", "notify"], &[]);
        let after = self.value::<Span>(item, "after").map(|span| span.0);
        let notify = item.get("notify").map(|(_, list)| self.notify(list));
        for (key, given) in [("after", item.get("after")), ("notify", item.get("notify"))] {
            if given.is_none() {
                self.found.push(Diagnostic::new(item.place, format!("the key `{key}` is missing")).help(EXAMPLE));
            }
        }
        let place = item.get("after").map_or(item.place, |(_, node)| node.place);
        if after.is_some_and(|after| after.is_zero()) {
            let diagnostic = Diagnostic::new(place, "an escalation leaves some time for an acknowledgement");
            self.found.push(
                diagnostic.help("write, for example, `after: 15m`; who hears of it at once stands under `notify`"),
            );
        }
        if notify.as_ref().is_some_and(Vec::is_empty) && self.found.len() == before {
            self.found.push(Diagnostic::new(item.place, "nobody hears of this step").help(EXAMPLE));
        }
        Some((Escalation { after: after?, notify: notify? }, place)).filter(|_| self.found.len() == before)
    }

    /// `flapping: { start: 4, stop: 1.5, within: 30m }`, or `flapping: false`. What is missing is as in `otherwise`.
    pub(super) fn flapping(&mut self, node: &Node, otherwise: Option<Flapping>) -> Option<Flapping> {
        let mut limits = otherwise.unwrap_or_default();
        match (&node.value, node.text()) {
            (_, Some("false")) => return None,
            (_, Some("true")) => return Some(limits),
            (Value::Map(entries), _) => self.known_keys(entries, "`flapping`", &["start", "stop", "within"], &[]),
            _ => {
                let message = format!("expected when it flaps, found {}", node.describe());
                let help = "write `flapping: false`, or, for example, `flapping: { start: 4, stop: 1.5, within: 30m }`";
                self.found.push(Diagnostic::new(node.place, message).help(help));
                return Some(limits);
            }
        }
        limits.start = self.changes(node, "start").unwrap_or(limits.start);
        limits.stop = self.changes(node, "stop").unwrap_or(limits.stop);
        if let Some(Span(within)) = self.value(node, "within") {
            limits.within = within;
            let place = node.get("within").map_or(node.place, |(_, node)| node.place);
            if within.is_zero() || within > LONGEST {
                let diagnostic = Diagnostic::new(place, "a change counts for some time, and for a day at most");
                self.found.push(diagnostic.help("write, for example, `within: 30m`"));
            }
        }
        if limits.stop >= limits.start {
            let place = node.get("stop").or(node.get("start")).map_or(node.place, |(_, node)| node.place);
            let message = format!(
                "it would flap and not flap at once: it begins at `start` ({}), and must be below it at `stop` ({})",
                limits.start, limits.stop
            );
            self.found.push(Diagnostic::new(place, message).help("write a `stop` that is less than `start`"));
        }
        Some(limits)
    }

    fn changes(&mut self, node: &Node, name: &str) -> Option<f64> {
        let (_, value) = node.get(name)?;
        let number = value.text().and_then(|text| text.parse::<f64>().ok());
        match number {
            Some(number) if (0.0..=MOST_CHANGES).contains(&number) => Some(number),
            Some(number) => {
                let message = format!("{number} is not from 0 to {MOST_CHANGES}");
                self.found.push(Diagnostic::new(value.place, message));
                None
            }
            None => {
                let found = value.text().map_or_else(|| value.describe(), quoted);
                let message = format!("expected a number of changes, found {found}");
                self.found.push(Diagnostic::new(value.place, message).help(format!("write, for example, `{name}: 4`")));
                None
            }
        }
    }
}
