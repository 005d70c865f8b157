//! `command`: commands and signals of the user's own.

use crate::model::{AbsPath, Given, Mistake, Signal, Span, parse_duration, write_duration};
use schemars::JsonSchema;
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// How long a command of a control may take, where nothing else is said.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// `control: { command: { start: [..], stop: [..], restart: [..] } }`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandControl {
    /// Starts the daemon: it may stay in the foreground or daemonise. It gets a session of its own and outlives minder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<ControlRun>,
    /// Stops it: a command, or signals with the time between them.
    #[serde(default)]
    pub stop: StopBy,
    /// Restarts it; without one, a restart is a stop and a start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<ControlRun>,
    /// As whom its commands run; as minder's own user where this is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Where its commands run; `/` where this is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<AbsPath>,
    /// What its commands find in their environment, beside PATH, HOME, USER, LOGNAME and SHELL. Nothing of minder's own is handed on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, Given>,
    /// Their umask, in octal as `"022"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub umask: Option<String>,
    /// Where systemd runs the machine, what it starts gets a scope of its own there, `minder-SERVICE.scope`: a control group
    /// beside minder's, that lives on however minder's own unit is stopped, and which `systemctl` shows and limits.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub scope: bool,
}

impl CommandControl {
    pub(super) fn mistakes(&self) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        if self.start.is_none() && self.restart.is_none() {
            mistakes.push(
                Mistake::new(&[], "a `command` control needs `start`, or `restart`")
                    .help("add, for example, `start: [/usr/sbin/nginx]`"),
            );
        }
        if let Some(umask) = &self.umask
            && !(umask.len() >= 3 && umask.len() <= 4 && u32::from_str_radix(umask, 8).is_ok_and(|u| u <= 0o777))
        {
            mistakes.push(Mistake::new(&["umask"], "expected a umask in octal, such as \"022\""));
        }
        mistakes
    }
    /// The umask for its commands.
    pub fn umask_bits(&self) -> u32 {
        self.umask.as_deref().and_then(|u| u32::from_str_radix(u, 8).ok()).unwrap_or(0o022)
    }
}

/// An argument list with its deadline: `[/usr/sbin/nginx, -q]`, or `{ command: [..], timeout: 1m }`.
#[derive(Debug, Clone, PartialEq)]
pub struct ControlRun {
    /// The program, an absolute path, and its arguments.
    pub command: Argv,
    /// How long it may take: for a start, until the new process must be there.
    pub timeout: Span,
}

impl Serialize for ControlRun {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Long<'a> {
            command: &'a Argv,
            timeout: Span,
        }
        Long { command: &self.command, timeout: self.timeout }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ControlRun {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ControlRun, D::Error> {
        struct RunVisitor;
        impl<'de> Visitor<'de> for RunVisitor {
            type Value = ControlRun;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of arguments such as `[/usr/sbin/nginx, -q]`, or a map with `command` and `timeout`")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<ControlRun, A::Error> {
                let command = Argv::deserialize(de::value::SeqAccessDeserializer::new(seq))?;
                Ok(ControlRun { command, timeout: Span(DEADLINE) })
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ControlRun, A::Error> {
                #[derive(Deserialize)]
                #[serde(deny_unknown_fields)]
                struct Long {
                    command: Argv,
                    #[serde(default = "Span::control_deadline")]
                    timeout: Span,
                }
                let long = Long::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(ControlRun { command: long.command, timeout: long.timeout })
            }
        }
        deserializer.deserialize_any(RunVisitor)
    }
}

impl Span {
    pub(super) fn control_deadline() -> Span {
        Span(DEADLINE)
    }
}

/// A program by its absolute path, and its arguments; never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Argv(pub Vec<String>);

impl<'de> Deserialize<'de> for Argv {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Argv, D::Error> {
        struct ArgvVisitor;
        impl<'de> Visitor<'de> for ArgvVisitor {
            type Value = Argv;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of arguments such as `[/usr/sbin/nginx, -q]`")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Argv, E> {
                let words: Vec<&str> = text.split_whitespace().collect();
                Err(E::custom(format!("expected a list of arguments: `[{}]`", words.join(", "))))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Argv, A::Error> {
                let mut argv = Vec::new();
                while let Some(argument) = seq.next_element::<String>()? {
                    argv.push(argument);
                }
                match argv.first() {
                    None => Err(de::Error::custom("the list of arguments is empty")),
                    Some(program) if !program.starts_with('/') => Err(de::Error::custom(format!(
                        "`{program}` is not an absolute path; write where the program is, such as `/usr/sbin/{program}`"
                    ))),
                    Some(_) if argv.iter().any(|a| a.contains('\0')) => {
                        Err(de::Error::custom("an argument cannot hold a NUL character"))
                    }
                    Some(_) => Ok(Argv(argv)),
                }
            }
        }
        deserializer.deserialize_any(ArgvVisitor)
    }
}

impl fmt::Display for Argv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

/// How a daemon is stopped.
#[derive(Debug, Clone, PartialEq)]
pub enum StopBy {
    /// By signals, each with the time that the process has to end until the next: `[TERM 10s, KILL]`.
    Signals(Vec<(Signal, Duration)>),
    /// By a command.
    Command(ControlRun),
}

impl Default for StopBy {
    fn default() -> StopBy {
        StopBy::Signals(vec![(Signal::TERM, Duration::from_secs(10)), (Signal::KILL, Duration::from_secs(5))])
    }
}

impl Serialize for StopBy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            StopBy::Signals(steps) => {
                serializer.collect_seq(steps.iter().map(|(signal, wait)| format!("{signal} {}", write_duration(*wait))))
            }
            StopBy::Command(run) => run.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for StopBy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<StopBy, D::Error> {
        struct StopVisitor;
        impl<'de> Visitor<'de> for StopVisitor {
            type Value = StopBy;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(
                    f,
                    "signals such as `[TERM 10s, KILL]`, or a list of arguments such as `[/usr/sbin/nginx, -s, quit]`"
                )
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<StopBy, A::Error> {
                let mut words = Vec::new();
                while let Some(word) = seq.next_element::<String>()? {
                    words.push(word);
                }
                if words.first().is_some_and(|w| w.starts_with('/')) {
                    let command = Argv::deserialize(de::value::SeqDeserializer::new(words.into_iter()))?;
                    return Ok(StopBy::Command(ControlRun { command, timeout: Span(DEADLINE) }));
                }
                if words.is_empty() {
                    return Err(de::Error::custom("the list is empty; write `[TERM 10s, KILL]`"));
                }
                let steps = words.iter().map(|word| step(word).map_err(de::Error::custom));
                Ok(StopBy::Signals(steps.collect::<Result<_, A::Error>>()?))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<StopBy, A::Error> {
                ControlRun::deserialize(de::value::MapAccessDeserializer::new(map)).map(StopBy::Command)
            }
        }
        fn step(word: &str) -> Result<(Signal, Duration), String> {
            let (name, wait) = word.split_once(char::is_whitespace).unwrap_or((word, "5s"));
            let signal = Signal::parse(name).ok_or_else(|| {
                format!("`{name}` is neither a signal such as `TERM` nor the absolute path of a program")
            })?;
            Ok((signal, parse_duration(wait)?))
        }
        deserializer.deserialize_any(StopVisitor)
    }
}
