//! The plan: the validated, immutable configuration. State is kept beside it, never in it.

use super::controls::{Argv, ControlSpec};
use super::{
    AbsPath, ByteSize, Condition, DelayRange, Given, Hold, Kind, Log, Mail, Maintenance, MetricId, MetricSet, Mistake,
    Notifier, Proxy, Public, ServedTls, Signal, Span, StatusPage, Times, Token, User, mistake::url_mistake,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The name of a service, check, rule or notifier.
pub type Name = Arc<str>;

/// What minder watches, how it judges, and what it does.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The files that it was read from, in order.
    pub files: Vec<PathBuf>,
    /// The services, in the order of the files.
    pub services: Vec<Arc<Service>>,
    /// Where each service is written. Beside the services: what only moves within its file has not changed.
    pub written: BTreeMap<Name, Written>,
    /// Where messages can go. Notifiers that stand inside a rule (`then: - email: ..`) are here under a name of their own.
    pub notifiers: BTreeMap<Name, Arc<Notifier>>,
    /// How mail leaves.
    pub mail: Option<Mail>,
    /// The page.
    pub dashboard: Dashboard,
    /// How much history is kept.
    pub history: HistoryLimits,
    /// After the machine's boot, a service not yet seen up is unknown for this long, not down.
    pub boot_grace: Duration,
    /// More automatic restarts than this, over all services, are held.
    pub brake: Times,
    /// Who hears of what concerns no single service: `defaults.notify`.
    pub notify: Vec<Name>,
    /// What services and checks were filled up with.
    pub defaults: Defaults,
    /// Silences that come again by a schedule.
    pub maintenance: Vec<Arc<Maintenance>>,
    /// The directories of supervisors whose entries are services: `services_from`.
    pub directories: Vec<PathBuf>,
    /// What people should know: what was left out, or has a trap.
    pub notes: Vec<String>,
}

/// Where something is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The file, by its place in [`Plan::files`].
    pub file: usize,
    /// The line, from 1.
    pub line: usize,
    /// The template whose keys are under its own.
    pub template: Option<Name>,
}

/// What services and checks are where they do not say so themselves.
#[derive(Debug, Clone, PartialEq)]
pub struct Defaults {
    /// How often a check is asked.
    pub every: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Who hears of incidents, and of what concerns no single service.
    pub notify: Vec<Name>,
    /// Who hears of them as well, if nobody acknowledges them.
    pub escalate: Vec<Escalation>,
    /// When a service flaps.
    pub flapping: Option<Flapping>,
    /// After a start, only liveness rules judge for this long.
    pub grace: Duration,
    /// How long a death may take to turn into a new process; nothing if the control decides.
    pub settle: Option<Duration>,
    /// How often a service may be restarted.
    pub restart: Budget,
}

impl Default for Defaults {
    fn default() -> Defaults {
        Defaults {
            every: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            notify: Vec::new(),
            escalate: Vec::new(),
            flapping: Some(Flapping::default()),
            grace: Duration::from_secs(10),
            settle: None,
            restart: Budget::default(),
        }
    }
}

/// A named thing that is watched.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Its name.
    pub name: Name,
    /// What it is, for people.
    pub description: Option<String>,
    /// The group that it is shown in.
    pub group: Option<String>,
    /// Words to filter by.
    pub tags: Vec<String>,
    /// What the public may see of it; nothing if they may not even know that it is there.
    pub public: Option<Public>,
    /// What is asked. A service whose control is a supervisor has one more check at the end, named `control`.
    pub checks: Vec<Check>,
    /// How it is judged.
    pub rules: Vec<Rule>,
    /// How it is started and stopped.
    pub control: Option<ControlSpec>,
    /// The services that it needs: while one of them is not well, nobody is told of this one, and it is not restarted.
    pub depends_on: Vec<Name>,
    /// Who hears of its incidents.
    pub notify: Vec<Name>,
    /// Who hears of them as well, if nobody acknowledges them: in the order of their times.
    pub escalate: Vec<Escalation>,
    /// When it is said to flap instead of being told each time; never, where this is missing.
    pub flapping: Option<Flapping>,
    /// After a start, only liveness rules judge for this long.
    pub grace: Duration,
    /// How long a death may take to turn into a new process by itself.
    pub settle: Duration,
    /// How often it may be restarted.
    pub restart: Budget,
    /// A log whose last lines go into snapshots and messages.
    pub log: Option<Log>,
}

impl Service {
    /// A service of which nothing but its name is known.
    pub fn without_checks(name: Name) -> Service {
        Service {
            name,
            description: None,
            group: None,
            tags: Vec::new(),
            public: None,
            checks: Vec::new(),
            rules: Vec::new(),
            control: None,
            depends_on: Vec::new(),
            notify: Vec::new(),
            escalate: Vec::new(),
            flapping: None,
            grace: Duration::from_secs(10),
            settle: Duration::from_secs(2),
            restart: Budget::default(),
            log: None,
        }
    }
}

/// A step of an escalation: `{ after: 15m, notify: [boss] }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Escalation {
    /// So long after the incident's begin, without an acknowledgement.
    pub after: Duration,
    /// Who hears of it then.
    pub notify: Vec<Name>,
}

/// When a service flaps: its incidents begin and end again and again. Each such change weighs 1 when it is new, less and
/// less as it ages, and nothing after `within`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Flapping {
    /// It flaps from this sum of weights on.
    pub start: f64,
    /// And no longer at this one.
    pub stop: f64,
    /// How long a change counts.
    pub within: Duration,
}

impl Default for Flapping {
    /// Two incidents may be an accident and its echo, and are told each for itself. At the third within ten minutes it flaps: five
    /// changes weigh 4. What fails every seven minutes or oftener flaps in the end; what fails every nine never does: that often,
    /// people want to know. And whoever hears that it is over can rely on it: five changes have fallen to 1.5 when nothing has come
    /// for a quarter of an hour.
    fn default() -> Flapping {
        Flapping { start: 4.0, stop: 1.5, within: Duration::from_secs(1800) }
    }
}

/// A question asked on a schedule.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// Its name within its service.
    pub name: Name,
    /// What it asks.
    pub kind: Arc<Kind>,
    /// How often.
    pub every: Duration,
    /// How long the answer may take.
    pub timeout: Duration,
    /// What is asked for: the metrics that rules name, those of `keep`, and the one by which it is judged by default.
    pub keep: MetricSet,
}

impl Check {
    /// What of it the history keeps: all but the metrics of each of many processes.
    pub fn recorded(&self) -> MetricSet {
        let metrics = self.kind.metrics();
        let mut recorded = MetricSet::default();
        let is_one = |id: &MetricId| metrics.get(usize::from(id.0)).is_some_and(|metric| !metric.each);
        self.keep.iter().filter(is_one).for_each(|id| recorded.insert(id));
        recorded
    }
    /// From this age on, its sample says nothing any more.
    pub fn stale_after(&self) -> Duration {
        self.every * 2 + self.timeout
    }
}

/// A condition, a hold, and the actions to take.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Its name within its service: stable identity for state and history.
    pub name: Name,
    /// What is bad.
    pub when: Condition,
    /// How long it must be bad.
    pub hold: Hold,
    /// What must be true for it to resolve, and for how long; otherwise it resolves as soon as `when` is false.
    pub until: Option<(Condition, Hold)>,
    /// How bad it is.
    pub severity: Severity,
    /// What to do.
    pub actions: Vec<Action>,
    /// All its metrics are about liveness: it judges during the grace after a start, too.
    pub liveness: bool,
    /// It was not written by anybody: the default rule of a check that no rule mentions.
    pub implied: bool,
}

/// How bad a firing rule is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Recorded, and told only if the rule names a notifier.
    Info,
    /// Something wants attention.
    Warning,
    /// The service does not do its work.
    Critical,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        })
    }
}

/// A configured remedy.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Stop and start the service by its control.
    Restart,
    /// Stop it, and leave it so.
    Stop,
    /// Start it if it is down.
    Start,
    /// Keep what can be seen of its process.
    Snapshot,
    /// Send its process a signal.
    Signal(Signal),
    /// Run a command.
    Exec(Arc<ExecSpec>),
    /// Tell; with a name, this notifier too.
    Notify(Option<Name>),
}

impl Action {
    /// Only what can be started and stopped can be told so.
    pub fn needs_control(&self) -> bool {
        matches!(self, Action::Restart | Action::Stop | Action::Start)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Restart => f.write_str("restart"),
            Action::Stop => f.write_str("stop"),
            Action::Start => f.write_str("start"),
            Action::Snapshot => f.write_str("snapshot"),
            Action::Signal(signal) => write!(f, "signal {signal}"),
            Action::Exec(exec) => write!(f, "exec {exec}"),
            Action::Notify(Some(name)) => write!(f, "notify {name}"),
            Action::Notify(None) => f.write_str("notify"),
        }
    }
}

/// `exec: { command: [..], user: .., timeout: .. }`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExecSpec {
    /// The program and its arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Argv>,
    /// Or a line for `/bin/sh -c`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<String>,
    /// As whom; as minder's own user where this is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Where; `/` where this is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<AbsPath>,
    /// What it finds in its environment beside PATH, HOME, USER, LOGNAME, SHELL and the facts (`MINDER_*`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, Given>,
    /// How long it and all that it started may take; then they are killed.
    #[serde(default = "exec_deadline")]
    pub timeout: Span,
}

fn exec_deadline() -> Span {
    Span(Duration::from_secs(30))
}

impl ExecSpec {
    /// The argument list to run.
    pub fn argv(&self) -> Vec<String> {
        match (&self.command, &self.shell) {
            (Some(argv), _) => argv.0.clone(),
            (None, Some(line)) => vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()],
            (None, None) => Vec::new(),
        }
    }
    /// What is wrong with it beyond the types of its keys.
    pub fn mistakes(&self) -> Vec<Mistake> {
        match (&self.command, &self.shell) {
            (None, None) => vec![
                Mistake::new(&[], "`exec` does not say what to run")
                    .help("add `command: [/path/of/program, argument]`"),
            ],
            (Some(_), Some(_)) => {
                vec![
                    Mistake::new(&["shell"], "`command` and `shell` both say what to run")
                        .help("leave one of the two away"),
                ]
            }
            _ => Vec::new(),
        }
    }
}

impl fmt::Display for ExecSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.command, &self.shell) {
            (Some(argv), _) => write!(f, "{argv}"),
            (None, Some(line)) => f.write_str(line),
            (None, None) => Ok(()),
        }
    }
}

/// The page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dashboard {
    /// Where it listens: beyond this machine only where people sign in, and encrypted, or behind a proxy.
    #[serde(default = "loopback")]
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// Where people find it, for the links in messages: `https://host.example.org/minder`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Further names under which it answers, at any port: `status.example.org`. Addresses are known without.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Who may sign in. Without anybody the page is for this machine alone, and only shows.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub users: BTreeMap<String, User>,
    /// The programs that may ask.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tokens: BTreeMap<String, Token>,
    /// How it is encrypted; nothing if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ServedTls>,
    /// What stands in front of it, if anything does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Proxy>,
    /// The page for the public, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusPage>,
}

impl Dashboard {
    /// Nobody can sign in: everybody on this machine may look, and nobody steers by the page.
    pub fn is_open(&self) -> bool {
        self.users.is_empty() && self.tokens.is_empty()
    }
    /// Where people find a service.
    pub fn link(&self, service: &str) -> Option<String> {
        self.url.as_ref().map(|url| format!("{}/services/{service}", url.trim_end_matches('/')))
    }
    /// What is wrong with it beyond the types of its keys.
    pub(crate) fn mistakes(&self) -> Vec<Mistake> {
        let mistake = |url: &String| url_mistake(&Given::literal(url), &["url"]);
        let help = "write where people find the page: `https://host.example.org/minder`";
        self.url.iter().filter_map(mistake).map(|mistake| mistake.help(help)).collect()
    }
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8900))
}

impl Default for Dashboard {
    fn default() -> Dashboard {
        Dashboard {
            listen: loopback(),
            url: None,
            hosts: Vec::new(),
            users: BTreeMap::new(),
            tokens: BTreeMap::new(),
            tls: None,
            proxy: None,
            status: None,
        }
    }
}

/// How much history is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HistoryLimits {
    /// For how long.
    #[serde(default = "HistoryLimits::keep")]
    pub keep: Span,
    /// In how much space, at most.
    #[serde(default = "HistoryLimits::max_size")]
    pub max_size: ByteSize,
}

impl HistoryLimits {
    fn keep() -> Span {
        Span(Duration::from_secs(90 * 86_400))
    }
    fn max_size() -> ByteSize {
        ByteSize(1_000_000_000)
    }
}

impl Default for HistoryLimits {
    fn default() -> HistoryLimits {
        HistoryLimits { keep: HistoryLimits::keep(), max_size: HistoryLimits::max_size() }
    }
}

/// How often a service may be restarted by minder: `limit: 5 in 15m`, `delay: 1s..5m`, `retry: 30m`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// So many times within so long; then it is given up.
    #[serde(default)]
    pub limit: Times,
    /// The delay before the second restart in a row, and the longest one; it doubles in between. The first is at once.
    #[serde(default)]
    pub delay: DelayRange,
    /// How long after giving up it is tried once more.
    #[serde(default = "retry")]
    pub retry: Span,
}

fn retry() -> Span {
    Span(Duration::from_secs(30 * 60))
}

impl Default for Budget {
    fn default() -> Budget {
        Budget { limit: Times::default(), delay: DelayRange::default(), retry: retry() }
    }
}
