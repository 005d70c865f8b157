//! What is said of a service and its rules, in words and small pictures.

use crate::dashboard::page::words::number;
use crate::model::{Event, EventKind, Phase, RuleState, RuleView, SupervisorView, ValueView};

/// The budget of automatic restarts.
#[derive(Debug, PartialEq)]
pub struct Budget {
    pub used: u32,
    pub left: u32,
    pub limit: u32,
    /// Within how long.
    pub window: String,
}

impl Budget {
    /// Of `2 of 5 in 15m`; nothing of other words.
    pub fn of(words: &str) -> Option<Budget> {
        let (used, rest) = words.split_once(" of ")?;
        let (limit, window) = rest.split_once(" in ")?;
        let (used, limit) = (used.parse().ok()?, limit.parse::<u32>().ok()?);
        Some(Budget { used, left: limit.saturating_sub(used), limit, window: window.to_owned() })
    }
}

/// What a supervisor says goes on.
pub fn phase(view: &SupervisorView) -> &'static str {
    match view.phase {
        Phase::Down => "down",
        Phase::Starting => "starting",
        Phase::Running => "up",
        Phase::Paused => "halted by SIGSTOP",
        Phase::Stopping => "told to end",
        Phase::Finishing => "cleaning up",
    }
}

/// What else is to be known of it, in order.
pub fn remarks(view: &SupervisorView) -> Vec<String> {
    let mut remarks = Vec::new();
    if !view.alive {
        remarks.push("the supervisor itself is not there".to_owned());
    }
    if view.failed {
        remarks.push("the supervisor does not start it any more".to_owned());
    }
    if view.restarts > 0 {
        let times = if view.restarts == 1 { "once".to_owned() } else { format!("{} times", view.restarts) };
        let flapping = if view.flapping { ", again and again" } else { "" };
        remarks.push(format!("started anew by the supervisor {times} in the last 10 min{flapping}"));
    }
    remarks
}

/// How an event is marked.
pub fn tone(event: &Event) -> &'static str {
    use EventKind::*;
    match &event.kind {
        Fired { .. } | Died { .. } | GaveUp { .. } | Undelivered { .. } | Refused { .. } | Acted { ok: false, .. } => {
            "bad"
        }
        Resolved { .. } | Closed { .. } | Appeared { .. } | Acted { ok: true, .. } => "good",
        _ => "plain",
    }
}

/// The word for an event's kind.
pub fn kind(event: &Event) -> String {
    event.kind.word().replace('-', " ")
}

/// What there is to read beyond the line that tells of an event.
pub fn long(event: &Event) -> Option<&str> {
    match &event.kind {
        EventKind::Snapshot { text } => Some(text),
        EventKind::Refused { report } => Some(report),
        EventKind::Acted { output: Some(output), .. } => Some(output),
        _ => None,
    }
}

pub fn state(state: &RuleState) -> &'static str {
    match state {
        RuleState::Inactive => "inactive",
        RuleState::Pending => "pending",
        RuleState::Firing => "firing",
    }
}

/// It asks for restarts, which have a budget.
pub fn restarts(rule: &RuleView) -> bool {
    rule.actions.iter().any(|action| action == "restart")
}

pub fn percent(progress: &f64) -> u8 {
    (progress * 100.0).clamp(0.0, 100.0) as u8
}

pub fn milliseconds(took: &f64) -> String {
    number(took / 1000.0, "seconds")
}

/// A value beside its limit, each as a share of a small bar's width in percent.
#[derive(Debug, PartialEq)]
pub struct Gauge {
    pub value: String,
    pub limit: String,
}

/// Of two numbers that can be compared at a glance; of a value that is far below its limit the bar is short.
pub fn gauge(view: &ValueView) -> Option<Gauge> {
    let (value, limit) = (view.value?, view.limit_value?);
    if !(value.is_finite() && limit.is_finite() && value >= 0.0 && limit > 0.0) {
        return None;
    }
    // What is in percent of a whole has an end; the limit of anything else stands at three quarters.
    let is_share = view.limit.ends_with('%') && limit <= 100.0 && value <= 100.0;
    let end = if is_share { 100.0 } else { (limit / 0.75).max(value) };
    let share = |value: f64| format!("{:.1}", (value / end * 100.0).clamp(0.0, 100.0));
    Some(Gauge { value: share(value), limit: share(limit) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_read_from_its_words() {
        let budget = |used, left, limit, window: &str| Some(Budget { used, left, limit, window: window.into() });
        for (words, expected) in [
            ("2 of 5 in 15m", budget(2, 3, 5, "15m")),
            ("7 of 5 in 1h", budget(7, 0, 5, "1h")),
            ("0 of 1 in 1d", budget(0, 1, 1, "1d")),
            ("spent", None),
            ("-1 of 5 in 15m", None),
            ("", None),
        ] {
            assert_eq!(Budget::of(words), expected, "{words}");
        }
    }

    #[test]
    fn values_and_limits_are_drawn_on_one_scale() {
        let view = |value, limit: &str, limit_value| ValueView {
            metric: "m".into(),
            check: "c".into(),
            text: String::new(),
            value,
            limit: limit.into(),
            limit_value,
            whole: None,
            bad: None,
        };
        for (given, value, limit) in [
            (view(Some(2.5e8), "> 500MB", Some(5e8)), "37.5", "75.0"),
            (view(Some(1e9), "> 500MB", Some(5e8)), "100.0", "50.0"),
            (view(Some(93.5), "> 90%", Some(90.0)), "93.5", "90.0"),
            (view(Some(180.0), "> 90%", Some(90.0)), "100.0", "50.0"),
        ] {
            assert_eq!(gauge(&given), Some(Gauge { value: value.into(), limit: limit.into() }), "{given:?}");
        }
        for given in [
            view(None, "> 5", Some(5.0)),
            view(Some(1.0), "", None),
            view(Some(f64::NAN), "> 5", Some(5.0)),
            view(Some(1.0), "> 0", Some(0.0)),
            view(Some(-1.0), "> 5", Some(5.0)),
        ] {
            assert_eq!(gauge(&given), None, "{given:?}");
        }
    }
}
