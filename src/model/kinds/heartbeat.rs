//! `heartbeat`: the service itself says that it is well; silence is bad.
//!
//! It is not asked: what comes in is a [`Beat`], by the notify socket of the service (systemd's `sd_notify` protocol) or by HTTP.

use super::{CheckKind, Mistake};
use crate::model::{Dimension, Given, Identity, Metric, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// The keys of a `heartbeat` check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// How long it may be silent. Either this or `schedule`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
    /// When a beat is due, as a cron expression of five fields: `0 3 * * *`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// The time zone of the schedule, such as `Europe/Berlin`; the machine's own where this is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// How much later than due a beat may come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late: Option<Span>,
    /// How long a run may take from its start to its success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest: Option<Span>,
    /// What the HTTP address of the beat ends in. Without one, only the notify socket and `minder run-job` are heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Given>,
    /// Who may speak at the notify socket, beside root and the user that the service's process runs as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
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
        Metric::new("missing", Dimension::Flag, "no beat came in time").liveness(),
        Metric::new("failed", Dimension::Flag, "the last run said that it failed"),
        Metric::new("overrun", Dimension::Flag, "the run under way takes longer than it may"),
        Metric::new("ready", Dimension::Flag, "it has said that it is ready"),
        Metric::new("age", Dimension::Time, "since the last beat"),
        Metric::new("duration", Dimension::Time, "how long the last run took"),
        Metric::new("exit.code", Dimension::Count, "the exit code that the last run told").at_most(255.0),
        Metric::new("status", Dimension::Text, "what it last said of itself"),
    ];

    fn givens(&mut self, f: &mut dyn FnMut(&mut Given)) {
        self.secret.iter_mut().for_each(f);
    }

    fn mistakes(&self) -> Vec<Mistake> {
        if self.every.is_some() == self.schedule.is_some() {
            return vec![
                Mistake::new(&[], "a heartbeat needs `every` or `schedule`")
                    .help("write `every: 20s`, or `schedule: \"0 3 * * *\"` for a job that runs each night at three"),
            ];
        }
        Vec::new()
    }

    fn about(&self) -> String {
        match (&self.every, &self.schedule) {
            (Some(every), _) => format!("every {every}"),
            (None, Some(schedule)) => format!("at {schedule}"),
            (None, None) => String::new(),
        }
    }
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
