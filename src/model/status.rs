//! How things stand: the snapshot that the page and the command line show.

use super::{Dimension, Event, Incident, Name, Phase, Scope, Severity, Silence, Wall, Window};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A service's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// All is well.
    Ok,
    /// A rule of severity warning fires.
    Warning,
    /// A rule of severity critical fires.
    Critical,
    /// It cannot be said.
    Unknown,
    /// It is not judged.
    Paused,
    /// Its operator has taken it down on purpose.
    Stopped,
    /// Restarting did not help.
    GivenUp,
}

impl Status {
    /// The worse, the greater; for sorting.
    pub fn rank(self) -> u8 {
        match self {
            Status::GivenUp => 6,
            Status::Critical => 5,
            Status::Warning => 4,
            Status::Unknown => 3,
            Status::Paused => 2,
            Status::Stopped => 1,
            Status::Ok => 0,
        }
    }
    /// Something is wrong.
    pub fn is_bad(self) -> bool {
        matches!(self, Status::GivenUp | Status::Critical | Status::Warning)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Status::Ok => "ok",
            Status::Warning => "warning",
            Status::Critical => "critical",
            Status::Unknown => "unknown",
            Status::Paused => "paused",
            Status::Stopped => "stopped",
            Status::GivenUp => "given up",
        })
    }
}

/// How everything stands at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Snapshot {
    /// When.
    pub at: Wall,
    /// The machine's name.
    pub host: String,
    /// minder's version.
    pub version: String,
    /// Since when minder runs.
    pub since: Wall,
    /// It only says what it would do.
    pub no_act: bool,
    /// The files of the plan in effect.
    pub files: Vec<String>,
    /// Why the latest plan was refused, if it was.
    pub refused: Option<String>,
    /// Automatic restarts are held, over all services.
    pub brake: Option<BrakeView>,
    /// What is wrong with minder itself: its open incidents.
    #[serde(default)]
    pub own: Vec<OwnView>,
    /// The silences in effect, by number.
    #[serde(default)]
    pub silences: Vec<Silence>,
    /// The maintenance of the plan, by name.
    #[serde(default)]
    pub maintenance: Vec<MaintenanceView>,
    /// The notifiers of the plan, by name, and those that are gone and still have something waiting.
    #[serde(default)]
    pub notifiers: Vec<NotifierView>,
    /// What people should know of minder itself: it polls where it could be told, a database is gone.
    pub notes: Vec<String>,
    /// The services, in the order of the plan.
    pub services: Vec<ServiceView>,
}

/// The brake, while it holds automatic restarts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BrakeView {
    /// Since when.
    pub since: Wall,
    /// So many automatic restarts in so long are allowed: `10 in 1m`.
    pub limit: String,
    /// The services that want to be restarted and wait, the first to ask first.
    pub waiting: Vec<Name>,
    /// All of it in a line.
    pub words: String,
}

/// Something that is wrong with minder itself: a notifier takes nothing, the brake is on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OwnView {
    /// Its incident.
    pub incident: Incident,
    /// What is wrong now, in a line; the same stands in [`Snapshot::notes`], or is said by the brake.
    pub words: String,
}

/// Maintenance, and when it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MaintenanceView {
    /// Its name.
    pub name: Name,
    /// What it is about.
    pub scope: Scope,
    /// Why.
    pub reason: String,
    /// The open window, or else the next one; nothing if there is none any more.
    pub window: Option<Window>,
}

/// How it stands with the messages to a notifier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotifierView {
    /// Its name.
    pub name: Name,
    /// So many messages wait for it.
    pub waiting: usize,
    /// An attempt goes on just now.
    pub sending: bool,
    /// Since when attempts are in vain, if the latest was.
    pub since: Option<Wall>,
    /// Why the latest was.
    pub why: Option<String>,
    /// When it is tried again, if that is arranged.
    pub next: Option<Wall>,
    /// That it takes nothing is an incident of minder's own: its number.
    pub incident: Option<u64>,
}

/// How a service stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceView {
    /// Its name.
    pub name: Name,
    /// What it is.
    pub description: Option<String>,
    /// Its group.
    pub group: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its status.
    pub status: Status,
    /// Since when.
    pub since: Wall,
    /// What is wrong, or what goes on, in a line; empty if all is well.
    pub summary: String,
    /// The services that it needs.
    pub depends_on: Vec<Name>,
    /// Why its messages and automatic restarts are held, if they are: `database is critical`.
    pub held: Option<String>,
    /// Why nobody is told of it, or of some of its rules, if that is so: `for another 8 min, by root: deploy`.
    #[serde(default)]
    pub silenced: Option<String>,
    /// What comes next, if something is planned: `restart in 8 s`.
    pub next: Option<String>,
    /// Its process's pid.
    pub pid: Option<u32>,
    /// The name of its control.
    pub control: Option<String>,
    /// What the control says: `run, wanted up, for 3 h`.
    pub control_state: Option<String>,
    /// The same in its parts, of a supervisor that could be asked.
    #[serde(default)]
    pub supervisor: Option<SupervisorView>,
    /// How its process last died.
    pub last_exit: Option<String>,
    /// Automatic restarts within the budget's window, and the budget: `2 of 5 in 15m`.
    pub budget: Option<String>,
    /// Its open incident.
    pub incident: Option<Incident>,
    /// Its incidents begin and end again and again, and are told of as one.
    #[serde(default)]
    pub flapping: bool,
    /// Its checks.
    pub checks: Vec<CheckView>,
    /// Its rules.
    pub rules: Vec<RuleView>,
}

/// What a supervisor says of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SupervisorView {
    /// It is there.
    pub alive: bool,
    /// It was told last to have it up, or down.
    pub wanted: Option<bool>,
    /// What goes on.
    pub phase: Phase,
    /// Since when, where it says so.
    pub since: Option<Wall>,
    /// It does not start it any more.
    pub failed: bool,
    /// How often it has started it again within the last ten minutes.
    pub restarts: u32,
    /// It starts it again and again.
    pub flapping: bool,
}

/// How a check stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CheckView {
    /// Its name.
    pub name: Name,
    /// Its kind.
    pub kind: String,
    /// What it asks.
    pub about: String,
    /// How often, in milliseconds.
    pub every: u64,
    /// When it was last answered; of a heartbeat, when it last came.
    pub at: Option<Wall>,
    /// How long that took, in milliseconds.
    pub took: Option<f64>,
    /// Why it failed, or could not be asked.
    pub note: Option<String>,
    /// A rule on it fires (how bad), or it is unknown.
    pub status: Status,
    /// Its latest metrics.
    pub metrics: Vec<MetricView>,
}

/// A metric's latest value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MetricView {
    /// Its name.
    pub name: String,
    /// In words: `512 MB`; `unknown`; `none`.
    pub text: String,
    /// The number, in the base unit.
    pub value: Option<f64>,
    /// What the number measures: `bytes`, `seconds`, `percent`, `bytes/s`, `count`, `flag`, `text`.
    pub unit: String,
}

impl MetricView {
    /// There is no such thing now, as the memory of a process that is gone: nothing to tell people.
    pub fn is_absent(&self) -> bool {
        self.value.is_none() && self.text == "none"
    }
}

/// The word for a dimension in JSON.
pub fn unit_word(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Bytes => "bytes",
        Dimension::ByteRate => "bytes/s",
        Dimension::Time => "seconds",
        Dimension::Percent => "percent",
        Dimension::Count => "count",
        Dimension::CountRate => "count/s",
        Dimension::Flag => "flag",
        Dimension::Text => "text",
    }
}

/// How a rule stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RuleView {
    /// Its name.
    pub name: Name,
    /// Its condition in canonical words.
    pub condition: String,
    /// Its hold, empty if there is none.
    pub hold: String,
    /// Its actions.
    pub actions: Vec<String>,
    /// How bad it is.
    pub severity: Severity,
    /// Its state.
    pub state: RuleState,
    /// Since when, if it is not inactive.
    pub since: Option<Wall>,
    /// The latest values of what it compares, each with its limit.
    pub values: Vec<ValueView>,
    /// How far the hold has come, from 0 to 1, while it is pending.
    pub progress: Option<f64>,
    /// Nobody wrote it: it is the default of its check.
    pub implied: bool,
}

/// A value beside its limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ValueView {
    /// The metric, or the function over it: `process.memory`.
    pub metric: String,
    /// Its check.
    pub check: String,
    /// The value in words.
    pub text: String,
    /// The value as a number in the base unit.
    pub value: Option<f64>,
    /// The comparison as written: `> 500MB`; empty for a flag.
    pub limit: String,
    /// The limit as a number in the same unit, where it is one.
    pub limit_value: Option<f64>,
    /// The whole that the value is a part of, in the base unit of its metric, where the limit is in percent of it.
    #[serde(default)]
    pub whole: Option<f64>,
    /// Whether this comparison is true; nothing if unknown.
    pub bad: Option<bool>,
}

/// The state of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RuleState {
    /// Its condition is not true.
    Inactive,
    /// Its condition is true, but not for long enough.
    Pending,
    /// It fires.
    Firing,
}

/// A change, for those who follow along.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Grows by one.
    pub number: u64,
    /// What happened, in the form that history has.
    pub event: Event,
    /// The same in words.
    pub words: String,
}
