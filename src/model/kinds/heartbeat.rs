//! `heartbeat`: the service itself says that it is well; silence is bad.
//!
//! It is not asked: what comes in is a [`Beat`], by the notify socket of the service (systemd's `sd_notify` protocol) or by HTTP.

use super::{CheckKind, Mistake};
use crate::model::{Cron, Dimension, Given, Hold, Identity, Metric, Secret, Source, Span, Wall, Zone};
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// The shortest secret, and the longest, in characters.
const SECRET: std::ops::RangeInclusive<usize> = 16..=200;
/// How often the same service may have to say that it is well.
const EVERY: std::ops::RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(366 * 24 * 3600);
/// How much later than due a beat may come, where nobody says it.
const LATE: Duration = Duration::from_secs(5 * 60);

/// The keys of a `heartbeat` check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// How long it may be silent. Either this or `schedule`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
    /// When a beat is due, as a cron expression of five fields: `0 3 * * *`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Cron>,
    /// The time zone of the schedule, such as `Europe/Berlin`; the machine's own where this is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<Zone>,
    /// How much later than due by the schedule a beat may come; `5m` where this is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late: Option<Span>,
    /// How long a run may take from its start to its end; until the next beat would be missing where this is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest: Option<Span>,
    /// What the HTTP address of the beat ends in: at least 16 letters and digits. Without one, only the notify socket and
    /// `minder run-job` are heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
    /// Who may speak at the notify socket, beside root and the user that the service's process runs as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The machine's time zone, as it was when the rules were read.
    #[serde(skip, default = "TimeZone::system")]
    #[schemars(skip)]
    pub here: TimeZone,
}

impl Heartbeat {
    /// When it is due by its schedule, after this; nothing if it has none.
    pub fn due_after(&self, after: Wall) -> Option<Wall> {
        let zone = self.zone.as_ref().map_or(&self.here, |zone| &zone.rules);
        self.schedule.as_ref()?.next(after, zone)
    }
    /// How much later than due a beat may come.
    pub fn late(&self) -> Duration {
        self.late.map_or(LATE, |late| late.0)
    }
    /// By what it is judged, unless its rules mention the metric: a job that fails must not need a rule to be heard of. Each is told,
    /// and kept in history.
    pub const DEFAULT_RULES: &[(u8, Hold)] =
        &[(Heartbeat::MISSING, Hold::None), (Heartbeat::FAILED, Hold::None), (Heartbeat::OVERRUN, Hold::None)];
}

/// Places of the metrics that other parts name.
impl Heartbeat {
    /// `missing`
    pub const MISSING: u8 = 0;
    /// `failed`
    pub const FAILED: u8 = 1;
    /// `overrun`
    pub const OVERRUN: u8 = 2;
    /// `ready`
    pub const READY: u8 = 3;
    /// `age`
    pub const AGE: u8 = 4;
    /// `duration`
    pub const DURATION: u8 = 5;
    /// `exit.code`
    pub const EXIT_CODE: u8 = 6;
    /// `status`
    pub const STATUS: u8 = 7;
}

impl CheckKind for Heartbeat {
    const NAME: &'static str = "heartbeat";
    const SHORT: Option<&'static str> = Some("every");
    const DEFAULT: Option<&'static str> = Some("missing");
    const METRICS: &'static [Metric] = &[
        Metric::new("missing", Dimension::Flag, "no beat came in time").liveness().wrong_if(true, "no heartbeat"),
        Metric::new("failed", Dimension::Flag, "the last run said that it failed")
            .wrong_if(true, "the last run failed"),
        Metric::new("overrun", Dimension::Flag, "the run under way takes longer than it may")
            .wrong_if(true, "the run takes too long"),
        Metric::new("ready", Dimension::Flag, "it has said that it is ready"),
        Metric::new("age", Dimension::Time, "since the last beat"),
        Metric::new("duration", Dimension::Time, "how long the last run took"),
        Metric::new("exit.code", Dimension::Count, "the exit code that the last run told").at_most(255.0),
        Metric::new("status", Dimension::Text, "what it last said of itself"),
    ];

    fn givens(&mut self, f: &mut dyn FnMut(&mut Given)) {
        self.secret.iter_mut().for_each(|secret| f(&mut secret.0));
    }

    fn mistakes(&self) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        match (&self.every, &self.schedule) {
            (None, None) => mistakes.push(
                Mistake::new(&[], "a heartbeat needs `every` or `schedule`")
                    .help("write `every: 20s`, or `schedule: \"0 3 * * *\"` for a job that runs each night at three"),
            ),
            (Some(_), Some(_)) => mistakes.push(
                Mistake::new(&["schedule"], "`schedule` and `every` both say when a beat is due")
                    .help("keep `every` for a service that speaks all the time, `schedule` for a job that runs at certain times"),
            ),
            (Some(every), None) => {
                if !EVERY.contains(&every.0) {
                    mistakes.push(
                        Mistake::new(&["every"], "a heartbeat comes every `100ms` at most, and once a year at least"),
                    );
                }
                let of_schedule = [("zone", self.zone.is_some()), ("late", self.late.is_some())];
                for (key, _) in of_schedule.into_iter().filter(|(_, given)| *given) {
                    let help = match key {
                        "late" => "leave it away, and make `every` as long as it may be silent",
                        _ => "leave it away: `every` is the same in all time zones",
                    };
                    let what = format!("`{key}` belongs to a `schedule`, and this heartbeat has `every`");
                    mistakes.push(Mistake::new(&[key], what).help(help));
                }
            }
            (None, Some(_)) => {}
        }
        if self.longest.is_some_and(|longest| longest.0.is_zero()) {
            mistakes.push(Mistake::new(&["longest"], "no run takes no time"));
        }
        // One that was not found has been reported, and is empty.
        let given = self.secret.as_ref().map(|secret| &secret.0).filter(|secret| !secret.expose().is_empty());
        mistakes.extend(given.and_then(secret_mistake));
        mistakes
    }

    fn about(&self) -> String {
        match (&self.every, &self.schedule, &self.zone) {
            (Some(every), ..) => format!("every {every}"),
            (None, Some(schedule), Some(zone)) => format!("at `{schedule}` in {zone}"),
            (None, Some(schedule), None) => format!("at `{schedule}`"),
            (None, None, _) => String::new(),
        }
    }
}

/// What is wrong with a secret, if anything. It is not repeated.
fn secret_mistake(secret: &Given) -> Option<Mistake> {
    let text = secret.expose();
    let help = "make one with `openssl rand -hex 16`";
    let from = match secret.source() {
        Source::Env(name) => format!("the variable `{name}`"),
        Source::File(path) => format!("`{}`", path.display()),
        Source::Literal => "this".to_owned(),
    };
    if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)) {
        let what = format!("{from} is to be a part of an address: letters, digits, `-` and `_`, nothing else");
        return Some(Mistake::new(&["secret"], what).help(help));
    }
    if !SECRET.contains(&text.len()) {
        let (least, most) = (SECRET.start(), SECRET.end());
        let what = format!("{from} has {} characters, and a secret needs {least} to {most}", text.len());
        return Some(Mistake::new(&["secret"], what).help(help));
    }
    None
}

/// What a service says of itself. By the words of `sd_notify(3)`, or by HTTP.
#[derive(Debug, Clone, PartialEq)]
pub enum Beat {
    /// It is well: `WATCHDOG=1`; a success by HTTP.
    Well,
    /// It has started up: `READY=1`.
    Ready,
    /// It reads its configuration anew: `RELOADING=1`.
    Reloading,
    /// It is about to end: `STOPPING=1`.
    Stopping,
    /// It is not well, and says so itself: `WATCHDOG=trigger`.
    Trigger,
    /// What it does, for people: `STATUS=..`. Bounded, without control characters.
    Status(Arc<str>),
    /// It will speak so often from now on: `WATCHDOG_USEC=..`.
    Every(Duration),
    /// It needs so long for what it is at: `EXTEND_TIMEOUT_USEC=..`.
    Extend(Duration),
    /// Its process: `MAINPID=..`, of the sender's own user.
    Main(Identity),
    /// A run begins.
    Started,
    /// The run whose end is told next took so long.
    Took(Duration),
    /// A run has failed.
    Failed {
        /// Its exit code, where it has one.
        code: Option<i32>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_places_are_right() {
        let named = [
            (Heartbeat::MISSING, "missing"),
            (Heartbeat::FAILED, "failed"),
            (Heartbeat::OVERRUN, "overrun"),
            (Heartbeat::READY, "ready"),
            (Heartbeat::AGE, "age"),
            (Heartbeat::DURATION, "duration"),
            (Heartbeat::EXIT_CODE, "exit.code"),
            (Heartbeat::STATUS, "status"),
        ];
        for (place, name) in named {
            assert_eq!(Heartbeat::METRICS[usize::from(place)].name, name);
        }
    }
}
