//! Metrics, and the samples that carry them.

use super::{Dimension, Exit, Identity, Now, Wall};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// One metric of a kind of check.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric {
    /// As written in rules, after the name of the check: `memory`, `cert.expires`.
    pub name: &'static str,
    /// What it measures.
    pub dimension: Dimension,
    /// It is a part of a whole, and may also be compared with `%`: the memory of the machine.
    pub of_whole: bool,
    /// Its rules say whether the thing lives at all: they judge during the grace after a start too, and are critical
    /// unless said otherwise.
    pub liveness: bool,
    /// It is one of many of its kind: a rule about it judges each process by itself, and names the one that it fires for.
    pub each: bool,
    /// It can never be larger than this, in its base unit.
    pub at_most: Option<f64>,
    /// What it is, for people: a phrase without a full stop.
    pub about: &'static str,
    /// Of a flag whose name says too little in a title: which value is bad, and what is wrong then.
    pub wrong: Option<(bool, &'static str)>,
}

impl Metric {
    /// A plain metric: not of a whole, not about liveness, not one of many, unbounded.
    pub const fn new(name: &'static str, dimension: Dimension, about: &'static str) -> Metric {
        Metric { name, dimension, of_whole: false, liveness: false, each: false, at_most: None, about, wrong: None }
    }
    /// The same, as a part of a whole.
    pub const fn of_whole(self) -> Metric {
        Metric { of_whole: true, ..self }
    }
    /// The same, about liveness.
    pub const fn liveness(self) -> Metric {
        Metric { liveness: true, ..self }
    }
    /// The same, as one of many.
    pub const fn each(self) -> Metric {
        Metric { each: true, ..self }
    }
    /// The same, with the largest value that it can have.
    pub const fn at_most(self, most: f64) -> Metric {
        Metric { at_most: Some(most), ..self }
    }
    /// The same, with what to say in a title when it has this value.
    pub const fn wrong_if(self, flag: bool, words: &'static str) -> Metric {
        Metric { wrong: Some((flag, words)), ..self }
    }
}

/// A metric by its place in its kind's table ([`super::Kind::metrics`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MetricId(pub u8);

/// A set of metrics of one kind (at most 64).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct MetricSet(pub u64);

impl MetricSet {
    /// Every metric.
    pub const ALL: MetricSet = MetricSet(u64::MAX);
    /// Adds one.
    pub fn insert(&mut self, id: MetricId) {
        self.0 |= 1 << id.0;
    }
    /// Whether it holds this one.
    pub fn contains(self, id: MetricId) -> bool {
        self.0 & (1 << id.0) != 0
    }
    /// Those it holds, in order.
    pub fn iter(self) -> impl Iterator<Item = MetricId> {
        (0..64).filter(move |i| self.0 & (1 << i) != 0).map(MetricId)
    }
}

/// What a probe found for one metric.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// A number in the base unit of its dimension.
    Number(f64),
    /// A number, and the whole that it is a part of, both in the base unit.
    Part {
        /// The number.
        value: f64,
        /// The whole.
        whole: f64,
    },
    /// True or false.
    Flag(bool),
    /// A text, bounded by the probe.
    Text(Arc<str>),
    /// It was asked, and there is no such thing now: the memory of a dead process. Comparisons with it are false.
    Absent,
    /// It could not be asked: no permission, our own fault, no value yet.
    Unknown,
}

impl Reading {
    /// The number that history keeps, if this is one; a flag is 0 or 1.
    pub fn number(&self) -> Option<f64> {
        match self {
            Reading::Number(value) | Reading::Part { value, .. } => Some(*value),
            Reading::Flag(flag) => Some(f64::from(u8::from(*flag))),
            Reading::Text(_) | Reading::Absent | Reading::Unknown => None,
        }
    }
}

/// The timestamped answer of a probe. It never judges.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// When it was taken.
    pub at: Now,
    /// How long asking took.
    pub took: Duration,
    /// What was found, sorted by metric. A metric that was wanted and is not here is unknown.
    pub readings: Vec<(MetricId, Reading)>,
    /// Why it failed, or why it could not be asked, in a short sentence for people; free of secrets and control characters.
    pub note: Option<Arc<str>>,
    /// For checks of processes: who was found.
    pub found: Found,
}

impl Sample {
    /// What was found for this metric; unknown if nothing was.
    pub fn reading(&self, id: MetricId) -> &Reading {
        reading_in(&self.readings, id)
    }
    /// A sample that could not be taken, and why. Every metric of it is unknown.
    pub fn unknown(at: Now, why: impl Into<Arc<str>>) -> Sample {
        Sample { at, took: Duration::ZERO, readings: Vec::new(), note: Some(why.into()), found: Found::Unasked }
    }
}

/// Whom a check of a process found, or what a control said of its service.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// It was not asked for a process, or could not ask.
    Unasked,
    /// The selector was asked, and no live process matches. A zombie is not alive.
    Nobody,
    /// A pidfile that is empty or half written, younger than a second: too early to say.
    Forming,
    /// A process lives. Of several, the oldest whose parent is not among them.
    Process(Identity),
    /// What the control said: samples of [`super::Kind::Control`] only.
    Control(ControlState),
    /// Every process that was looked at, and what was found of each: samples of [`super::kinds::Processes`] only.
    Each(Arc<[Each]>),
}

/// One of many processes.
#[derive(Debug, Clone, PartialEq)]
pub struct Each {
    /// Which.
    pub identity: Identity,
    /// Its name, for people: bounded, without control characters.
    pub name: Arc<str>,
    /// The user that it runs as, by name where there is one: bounded, without control characters.
    pub user: Arc<str>,
    /// What was found of it, sorted by metric.
    pub readings: Vec<(MetricId, Reading)>,
}

impl Each {
    /// What was found for this metric; unknown if nothing was.
    pub fn reading(&self, id: MetricId) -> &Reading {
        reading_in(&self.readings, id)
    }
}

fn reading_in(readings: &[(MetricId, Reading)], id: MetricId) -> &Reading {
    readings.binary_search_by_key(&id, |(metric, _)| *metric).map_or(&Reading::Unknown, |i| &readings[i].1)
}

/// What a control knows of its service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ControlState {
    /// The supervisor itself is there to do as it is told.
    pub alive: bool,
    /// What it was told last: up or down. Nothing where a control has no record of that (`command`).
    pub wanted: Option<bool>,
    /// What goes on, by the supervisor's own record.
    pub phase: Phase,
    /// The supervisor does not start it any more, though it is wanted up: FATAL, a start limit, a permanent failure.
    pub failed: bool,
    /// The service's process while it runs, never that of a finish script.
    pub process: Option<Identity>,
    /// Since when it is in this phase, where the supervisor records that.
    pub since: Option<Wall>,
    /// How its process last ended, where the supervisor says so.
    pub last_exit: Option<Exit>,
    /// How often the supervisor has started it again, where it counts; grows, and begins anew with the supervisor.
    pub restarts: Option<u64>,
    /// In a word or two, for people: `run`, `down`, `finish`, `paused`.
    pub word: Arc<str>,
    /// Changes with each change of state that the supervisor records (runit: its 12-byte stamp).
    pub stamp: u64,
}

/// What a supervisor says that goes on with its service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It does not run.
    #[default]
    Down,
    /// It is being started, or waits to be started again.
    Starting,
    /// It runs.
    Running,
    /// It runs, and is halted by SIGSTOP.
    Paused,
    /// It runs, and was told to end.
    Stopping,
    /// It has ended, and a script of its own cleans up behind it.
    Finishing,
}
