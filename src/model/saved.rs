//! What of the engine's state outlives minder: one record for each service, written on transitions.

use super::{
    Exit, Identity, Incident, Message, MessageId, MessageKind, Mono, Name, Reading, Silence, Status, Story, Subject,
    Wall,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// What was found on disk at the start, and what the engine must know of this machine.
#[derive(Debug, Clone, Default)]
pub struct Restored {
    /// State of services by name.
    pub services: HashMap<Name, SavedService>,
    /// The state of the brake.
    pub brake: SavedBrake,
    /// What each notifier has heard.
    pub notifiers: HashMap<Name, SavedNotifier>,
    /// The silences in effect.
    pub silences: SavedSilences,
    /// The messages that wait in the outbox, in the order of their numbers.
    pub messages: Vec<Message>,
    /// The machine has not booted since: saved identities may still be right.
    pub same_boot: bool,
    /// The highest event, incident and message numbers used so far.
    pub last_event: u64,
    /// See `last_event`.
    pub last_incident: u64,
    /// See `last_event`.
    pub last_message: u64,
    /// The state could not be read and was put aside: nothing is started automatically until a person confirms it by
    /// asking for a start, restart or resume.
    pub lost: bool,
}

/// What the engine must know of the machine and of how it is run.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The machine's name, for messages.
    pub host: String,
    /// Random, the same as long as the state directory lives: makes the keys of messages unique. Has no `-`.
    pub instance: String,
    /// How long ago the machine booted.
    pub booted: Duration,
    /// Judge and record, and do nothing: say what would have been done.
    pub no_act: bool,
}

/// A service's state.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedService {
    /// A person, or a rule, has stopped it on purpose.
    pub stopped: bool,
    /// A person has paused it.
    pub paused: bool,
    /// Its state was lost, and no person has asked for anything since: see [`Restored::lost`].
    pub unconfirmed: bool,
    /// It has been seen up since the machine booted.
    pub seen_up: bool,
    /// Its process by the name of the check that watches it.
    pub identities: BTreeMap<String, Identity>,
    /// How its process last died.
    pub last_exit: Option<Exit>,
    /// When it was restarted automatically, oldest first; those within the budget's window.
    pub restarts: Vec<Wall>,
    /// The same by the clock that never steps, which is of use until the machine boots.
    pub restarts_mono: Vec<Mono>,
    /// How many restarts in a row have not helped.
    pub streak: u32,
    /// Since when it is given up.
    pub given_up: Option<Wall>,
    /// The action under way: committed before it begins.
    pub acting: Option<SavedAct>,
    /// Its rules by name, those that are not inactive.
    pub rules: BTreeMap<String, SavedRule>,
    /// What `changed(..)` compares with, by rule.
    pub baselines: BTreeMap<String, SavedReading>,
    /// Its open incident.
    pub incident: Option<Incident>,
    /// When each notifier last heard of that.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub told_at: BTreeMap<Name, Wall>,
    /// How often its incidents have begun and ended lately.
    #[serde(skip_serializing_if = "SavedFlap::is_nothing")]
    pub flap: SavedFlap,
    /// A message of it is held, because something that it needs is not well.
    pub held: bool,
    /// What is to be told of what is over, and waits for the outcome of actions: nothing else would know of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub untold: Vec<SavedTelling>,
    /// It was stopped as the first half of a restart of several, and is to be started.
    pub restarting: bool,
    /// How often its supervisor has started it again lately: when, and how often then, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub started_again: Vec<(Wall, u32)>,
    /// Its supervisor starts it again and again.
    pub flapping: bool,
    /// Its supervisor's record, if that reads as if its operator had taken it down, and he has not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_wish: Option<SavedRecord>,
    /// Its status, and since when.
    pub status: Option<(Status, Wall)>,
    /// Its heartbeats by the names of their checks.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub pulses: BTreeMap<String, SavedPulse>,
}

/// How often a service's incidents have begun and ended lately.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedFlap {
    /// When each did, the oldest first.
    pub changes: Vec<Wall>,
    /// Since when it flaps, if it does.
    pub since: Option<Wall>,
    /// It flaps, and nothing is wrong at this moment.
    pub calm: bool,
}

impl SavedFlap {
    fn is_nothing(&self) -> bool {
        *self == SavedFlap::default()
    }
}

/// A story that is to be told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedTelling {
    /// What it is about.
    pub kind: MessageKind,
    /// Whom.
    pub to: BTreeSet<Name>,
    /// What.
    pub story: Box<Story>,
}

/// What is known of a heartbeat.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedPulse {
    /// The process that it is the heartbeat of.
    pub process: Option<Identity>,
    /// It has said that it is ready.
    pub ready: bool,
    /// How often it wants to speak, in milliseconds.
    pub every: Option<u64>,
    /// What it last said of itself.
    pub words: Option<String>,
    /// The process that does the work, as it says itself.
    pub main: Option<Identity>,
    /// When it last spoke.
    pub last: Option<Wall>,
    /// When it is due by its schedule.
    pub due: Option<Wall>,
    /// It was silent for too long, or that was not known.
    pub missing: bool,
    /// Since when a run of it is under way.
    pub run: Option<Wall>,
    /// Its last run has failed.
    pub failed: bool,
    /// The exit code of that run.
    pub code: Option<i32>,
    /// How long that run took, in milliseconds.
    pub took: Option<u64>,
}

/// What a notifier has heard.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedNotifier {
    /// The incidents that it was told of, or may have been, and not of their end.
    pub heard: BTreeSet<u64>,
    /// Those of them of whose beginning it will not be known any more whether it was told.
    pub unsure: BTreeSet<u64>,
    /// The messages of the attempt under way, in their order, and what else was told in it.
    pub under_way: Vec<MessageId>,
    /// See `under_way`.
    pub others: Vec<String>,
    /// When the latest attempt was, unless that was refused.
    pub sent: Option<Wall>,
    /// The incident that it takes nothing, though it was tried.
    pub failing: Option<Incident>,
}

/// The silences in effect.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedSilences {
    /// They, by number.
    pub all: Vec<Silence>,
    /// The highest number so far.
    pub last: u64,
}

/// The brake's state: how many services were restarted automatically, and whether further ones are held.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedBrake {
    /// When a service was restarted automatically, oldest first; those within the brake's window.
    pub restarts: Vec<Wall>,
    /// Since when it holds further ones, if it does.
    pub since: Option<Wall>,
    /// The incident that it does, when that was told.
    pub incident: Option<Incident>,
}

/// The state of a supervisor's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedRecord {
    /// See [`super::ControlState::stamp`].
    pub stamp: u64,
    /// The supervisor has given the service up; otherwise it was stopped to be started again.
    pub failed: bool,
}

/// An action that was under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedAct {
    /// `restart`, `start` or `stop`.
    pub action: String,
    /// Who asked.
    pub by: String,
    /// When it began.
    pub since: Wall,
    /// The process before it.
    pub old: Option<Identity>,
    /// The control has reported that a start is on its way: what was launched may appear yet.
    #[serde(default)]
    pub launched: bool,
}

/// A rule's state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedRule {
    /// The rule as it was, in canonical words: a rule that reads differently now begins anew.
    pub text: String,
    /// Whether it fires; otherwise it is pending.
    pub firing: bool,
    /// Since when it is in this state.
    pub since: Wall,
    /// How far the hold has come that is under way, that of the recovery if the rule fires: of a duration, in milliseconds.
    pub held: u64,
    /// The same of a count: its last samples, and whether each was such as it counts.
    #[serde(default)]
    pub samples: Vec<bool>,
    /// The values at its firing.
    pub value: String,
    /// Of a rule that judges each process by itself: those that it is pending or firing for, each with its own state.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub each: Vec<(Subject, SavedRule)>,
}

impl SavedRule {
    /// Each firing: since when, and of which process.
    pub fn firings(&self) -> Vec<(Wall, Option<Subject>)> {
        if self.each.is_empty() {
            return self.firing.then_some((self.since, None)).into_iter().collect();
        }
        let firing = self.each.iter().filter(|(_, one)| one.firing);
        firing.map(|(who, one)| (one.since, Some(who.clone()))).collect()
    }
}

/// A reading as it is saved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SavedReading {
    /// A number.
    Number(f64),
    /// A flag.
    Flag(bool),
    /// A text.
    Text(String),
    /// There was none.
    Absent,
}

impl SavedReading {
    /// What is saved of a reading; nothing of an unknown one.
    pub fn of(reading: &Reading) -> Option<SavedReading> {
        match reading {
            Reading::Number(value) | Reading::Part { value, .. } => Some(SavedReading::Number(*value)),
            Reading::Flag(flag) => Some(SavedReading::Flag(*flag)),
            Reading::Text(text) => Some(SavedReading::Text(text.to_string())),
            Reading::Absent => Some(SavedReading::Absent),
            Reading::Unknown => None,
        }
    }
}
