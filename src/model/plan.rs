//! The plan: the validated, immutable configuration. State is kept beside it, never in it.

use super::controls::{Argv, ControlSpec};
use super::{Condition, Given, Hold, Kind, Mail, MetricSet, Mistake, Notifier, Source, parse_duration, write_duration};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
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
    /// Whether a public status page may show it.
    pub public: bool,
    /// What is asked. A service whose control is a supervisor has one more check at the end, named `control`.
    pub checks: Vec<Check>,
    /// How it is judged.
    pub rules: Vec<Rule>,
    /// How it is started and stopped.
    pub control: Option<ControlSpec>,
    /// Who hears of its incidents.
    pub notify: Vec<Name>,
    /// After a start, only liveness rules judge for this long.
    pub grace: Duration,
    /// How long a death may take to turn into a new process by itself.
    pub settle: Duration,
    /// How often it may be restarted.
    pub restart: Budget,
    /// A log whose last lines go into snapshots and messages.
    pub log: Option<PathBuf>,
}

impl Service {
    /// A service of which nothing but its name is known.
    pub fn without_checks(name: Name) -> Service {
        Service {
            name,
            description: None,
            group: None,
            tags: Vec::new(),
            public: false,
            checks: Vec::new(),
            rules: Vec::new(),
            control: None,
            notify: Vec::new(),
            grace: Duration::from_secs(10),
            settle: Duration::from_secs(2),
            restart: Budget::default(),
            log: None,
        }
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
    /// What is recorded: the metrics that rules name, those of `keep`, and the one by which it is judged by default.
    pub keep: MetricSet,
}

impl Check {
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dashboard {
    /// Where it listens: a loopback address in this version.
    #[serde(default = "loopback")]
    pub listen: SocketAddr,
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8900))
}

impl Default for Dashboard {
    fn default() -> Dashboard {
        Dashboard { listen: loopback() }
    }
}

/// How much history is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
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

/// `5 in 15m`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// So many times.
    pub count: u32,
    /// Within so long.
    pub within: Duration,
}

impl Default for Times {
    fn default() -> Times {
        Times { count: 5, within: Duration::from_secs(15 * 60) }
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.count, write_duration(self.within))
    }
}

impl std::str::FromStr for Times {
    type Err = String;
    fn from_str(text: &str) -> Result<Times, String> {
        let expected = "expected so many in so long, such as `5 in 15m`";
        let (count, within) = text.split_once(" in ").ok_or(expected)?;
        let count = count.trim().parse().map_err(|_| expected)?;
        let within = parse_duration(within)?;
        if within.is_zero() {
            return Err("the time must not be zero".to_owned());
        }
        if count > 1000 {
            return Err("more than 1000 is no limit".to_owned());
        }
        Ok(Times { count, within })
    }
}

/// `1s..5m`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DelayRange {
    /// The first.
    pub first: Duration,
    /// The longest.
    pub longest: Duration,
}

impl Default for DelayRange {
    fn default() -> DelayRange {
        DelayRange { first: Duration::from_secs(1), longest: Duration::from_secs(300) }
    }
}

impl fmt::Display for DelayRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", write_duration(self.first), write_duration(self.longest))
    }
}

impl std::str::FromStr for DelayRange {
    type Err = String;
    fn from_str(text: &str) -> Result<DelayRange, String> {
        let (first, longest) = text.split_once("..").ok_or("expected two durations, such as `1s..5m`")?;
        let (first, longest) = (parse_duration(first)?, parse_duration(longest)?);
        if first > longest {
            return Err("the first delay is longer than the longest one".to_owned());
        }
        Ok(DelayRange { first, longest })
    }
}

/// A duration as rules write it: `5m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&write_duration(self.0))
    }
}

impl std::str::FromStr for Span {
    type Err = String;
    fn from_str(text: &str) -> Result<Span, String> {
        parse_duration(text).map(Span)
    }
}

/// A size as rules write it: `1GB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteSize(pub u64);

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, size) in [("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000)] {
            if self.0 >= size && self.0.is_multiple_of(size) {
                return write!(f, "{}{unit}", self.0 / size);
            }
        }
        write!(f, "{}B", self.0)
    }
}

impl std::str::FromStr for ByteSize {
    type Err = String;
    fn from_str(text: &str) -> Result<ByteSize, String> {
        match super::Quantity::parse(text) {
            Ok(q) if q.dimension == super::Dimension::Bytes => Ok(ByteSize(q.value as u64)),
            _ => Err(format!("expected {}", super::Dimension::Bytes.expectation())),
        }
    }
}

/// A path that begins with a slash and has no `..` in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AbsPath(PathBuf);

impl AbsPath {
    /// One that is known to be absolute.
    pub(super) fn new(path: &str) -> AbsPath {
        AbsPath(PathBuf::from(path))
    }
    /// As a path.
    pub fn as_path(&self) -> &Path {
        &self.0
    }
}

impl From<AbsPath> for PathBuf {
    fn from(path: AbsPath) -> PathBuf {
        path.0
    }
}

impl fmt::Display for AbsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.display())
    }
}

impl std::str::FromStr for AbsPath {
    type Err = String;
    fn from_str(text: &str) -> Result<AbsPath, String> {
        if text.contains('\0') {
            Err("a path cannot hold a NUL character".to_owned())
        } else if !text.starts_with('/') {
            Err(format!("`{}` is not an absolute path: it must begin with `/`", text.escape_debug()))
        } else if text.split('/').any(|part| part == "..") {
            Err("a path with `..` in it depends on links along the way; write it without".to_owned())
        } else {
            Ok(AbsPath(PathBuf::from(text)))
        }
    }
}

/// A signal by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signal(pub i32);

impl Signal {
    /// Please end.
    pub const TERM: Signal = Signal(15);
    /// End.
    pub const KILL: Signal = Signal(9);

    /// Linux's signals by number (x86-64, ARM, RISC-V).
    const NAMES: &'static [(&'static str, i32)] = &[
        ("HUP", 1),
        ("INT", 2),
        ("QUIT", 3),
        ("ILL", 4),
        ("TRAP", 5),
        ("ABRT", 6),
        ("BUS", 7),
        ("FPE", 8),
        ("KILL", 9),
        ("USR1", 10),
        ("SEGV", 11),
        ("USR2", 12),
        ("PIPE", 13),
        ("ALRM", 14),
        ("TERM", 15),
        ("STKFLT", 16),
        ("CHLD", 17),
        ("CONT", 18),
        ("STOP", 19),
        ("TSTP", 20),
        ("TTIN", 21),
        ("TTOU", 22),
        ("URG", 23),
        ("XCPU", 24),
        ("XFSZ", 25),
        ("VTALRM", 26),
        ("PROF", 27),
        ("WINCH", 28),
        ("IO", 29),
        ("PWR", 30),
        ("SYS", 31),
    ];

    /// By its name, with or without `SIG`.
    pub fn parse(name: &str) -> Option<Signal> {
        let name = name.strip_prefix("SIG").unwrap_or(name);
        Self::NAMES.iter().find(|(n, _)| *n == name).map(|(_, number)| Signal(*number))
    }
    /// Its name without `SIG`, if it has one.
    pub fn name(self) -> Option<&'static str> {
        Self::NAMES.iter().find(|(_, number)| *number == self.0).map(|(name, _)| *name)
    }
    /// Every name, for diagnostics.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::NAMES.iter().map(|(name, _)| *name)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

impl std::str::FromStr for Signal {
    type Err = String;
    fn from_str(text: &str) -> Result<Signal, String> {
        Signal::parse(text)
            .ok_or_else(|| format!("`{}` is not a signal; write one such as `HUP` or `TERM`", text.escape_debug()))
    }
}

/// Types that are written as one text: read inside `visit_str`, so that a mistake has the place of the text itself.
macro_rules! as_text {
    ($($type:ty, $what:literal;)*) => { $(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                struct TextVisitor;
                impl Visitor<'_> for TextVisitor {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($what)
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(TextVisitor)
            }
        }
    )* };
}

as_text! {
    Span, "a duration such as `10s`";
    ByteSize, "a size such as `1GB`";
    Times, "so many in so long, such as `5 in 15m`";
    DelayRange, "two durations, such as `1s..5m`";
    AbsPath, "an absolute path";
    Signal, "a signal such as `TERM`";
}

/// What is wrong with a URL, if anything. Secret ones are not repeated.
pub(super) fn url_mistake(given: &Given, at: &[&str]) -> Option<Mistake> {
    if unresolved(given) {
        return None;
    }
    let shown = |given: &Given| if given.is_secret() { "the URL".to_owned() } else { format!("`{given}`") };
    match url::Url::parse(given.expose()) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") => Some(
            Mistake::new(at, format!("{} is not a URL of HTTP", shown(given)))
                .help("it must begin with `http://` or `https://`"),
        ),
        Ok(url) if !url.username().is_empty() || url.password().is_some() => Some(
            Mistake::new(at, "a name or password stands in the URL")
                .help("use `basic: { user: .., password: { env: NAME } }`"),
        ),
        Ok(_) => None,
        Err(e) => Some(
            Mistake::new(at, format!("{} is not a URL: {e}", shown(given)))
                .help("write one such as `http://127.0.0.1:8080/health`"),
        ),
    }
}

/// What is wrong with a `host:port`, if anything.
pub(super) fn address_mistake(given: &Given, at: &[&str]) -> Option<Mistake> {
    if unresolved(given) {
        return None;
    }
    let text = given.expose();
    let shown = if given.is_secret() { "the address".to_owned() } else { format!("`{}`", text.escape_debug()) };
    let Some((host, port)) = text.rsplit_once(':') else {
        return Some(
            Mistake::new(at, format!("{shown} has no port")).help("write `host:port`, such as `127.0.0.1:5432`"),
        );
    };
    if !port.parse::<u16>().is_ok_and(|p| p != 0) {
        return Some(Mistake::new(at, format!("the port of {shown} is not a number from 1 to 65535")));
    }
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let good = match bare {
        Some(six) => six.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)),
    };
    if good {
        return None;
    }
    let mistake = Mistake::new(at, format!("{shown} does not name a host"));
    Some(if host.contains(':') {
        mistake.help(format!("an IPv6 address stands in brackets: `[{host}]:{port}`"))
    } else {
        mistake
    })
}

/// What is wrong with a mail address, if anything.
pub(super) fn mail_mistake(given: &Given, at: &[&str]) -> Option<Mistake> {
    if unresolved(given) {
        return None;
    }
    let text = given.expose();
    let address = match text.split_once('<') {
        Some((_, rest)) => rest.strip_suffix('>').unwrap_or(""),
        None => text,
    };
    let good = address.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty()
            && !domain.is_empty()
            && !domain.contains('@')
            && address.bytes().all(|b| b.is_ascii_graphic() && !b"<>(),;:\\\"[]".contains(&b))
    });
    let shown = if given.is_secret() { "this".to_owned() } else { format!("`{}`", text.escape_debug()) };
    (!good)
        .then(|| Mistake::new(at, format!("{shown} is not a mail address")).help("write one such as `ops@example.org`"))
}

/// What is wrong with the name of an HTTP header, if anything.
pub(super) fn header_mistake(name: &str, at: &[&str]) -> Option<Mistake> {
    let good = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
    let mut path = at.to_vec();
    path.push(name);
    (!good).then(|| Mistake::new(&path, format!("`{}` cannot be the name of a header", name.escape_debug())))
}

/// A secret that was not found has been reported already, and is empty.
fn unresolved(given: &Given) -> bool {
    given.is_secret() && given.expose().is_empty() && *given.source() != Source::Literal
}
