//! `process`: a process that minder did not start, by pidfile, name, command line, program or user, or as its supervisor names it.

use super::{CheckKind, Mistake};
use crate::model::{AbsPath, Dimension, Metric, Pattern};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The keys of a `process` check. Several must all hold.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// The file in which the daemon writes its pid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pidfile: Option<AbsPath>,
    /// Its name as the kernel knows it (15 bytes at most are compared), or the file name of its program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A regular expression on its command line, the arguments joined by spaces.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub matches: Option<Pattern>,
    /// The program that it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exe: Option<AbsPath>,
    /// The user that it runs as: a name or a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// It is the one that the service's supervisor names, which is believed: no other key is needed, or allowed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub supervised: bool,
}

/// Places of the metrics that other parts name.
impl Process {
    /// `down`
    pub const DOWN: u8 = 0;
    /// `cpu`
    pub const CPU: u8 = 4;
    /// `read`
    pub const READ: u8 = 11;
    /// `write`
    pub const WRITE: u8 = 12;
    /// `exit.code`
    pub const EXIT_CODE: u8 = 15;
    /// `exit.signal`
    pub const EXIT_SIGNAL: u8 = 16;
    /// `exit.memory`
    pub const EXIT_MEMORY: u8 = 17;
}

impl CheckKind for Process {
    const NAME: &'static str = "process";
    const SHORT: Option<&'static str> = Some("pidfile");
    const DEFAULT: Option<&'static str> = Some("down");
    const METRICS: &'static [Metric] = &[
        Metric::new("down", Dimension::Flag, "no such process lives").liveness(),
        Metric::new("count", Dimension::Count, "how many such processes live").liveness(),
        Metric::new("pid", Dimension::Count, "the process id"),
        Metric::new("uptime", Dimension::Time, "how long it has been running"),
        Metric::new("cpu", Dimension::Percent, "processor time, of one core"),
        Metric::new("cpu.host", Dimension::Percent, "processor time, of the whole machine").at_most(100.0),
        Metric::new("memory", Dimension::Bytes, "resident memory, of the machine's").of_whole(),
        Metric::new("swap", Dimension::Bytes, "memory swapped out, of the machine's swap").of_whole(),
        Metric::new("threads", Dimension::Count, "threads"),
        Metric::new("children", Dimension::Count, "direct children"),
        Metric::new("fds", Dimension::Count, "open files, of its limit").of_whole(),
        Metric::new("read", Dimension::ByteRate, "bytes read from storage"),
        Metric::new("write", Dimension::ByteRate, "bytes written to storage"),
        Metric::new("cpu.total", Dimension::Percent, "processor time with descendants, of one core"),
        Metric::new("memory.total", Dimension::Bytes, "resident memory with descendants, of the machine's").of_whole(),
        Metric::new("exit.code", Dimension::Count, "the code that it last exited with").at_most(255.0),
        Metric::new("exit.signal", Dimension::Text, "the signal that last killed it, such as \"SEGV\""),
        Metric::new("exit.memory", Dimension::Flag, "the kernel last killed it because memory was short"),
    ];

    fn mistakes(&self) -> Vec<Mistake> {
        if self.supervised {
            let others = [
                ("pidfile", self.pidfile.is_some()),
                ("name", self.name.is_some()),
                ("match", self.matches.is_some()),
                ("exe", self.exe.is_some()),
                ("user", self.user.is_some()),
            ];
            let other = |(key, there): &(&'static str, bool)| {
                let what = format!("its supervisor names the process: `{key}` has no meaning beside `supervised`");
                there.then(|| Mistake::new(&[key], what).help("leave one of the two away"))
            };
            return others.iter().filter_map(other).collect();
        }
        let selectors = [self.pidfile.is_some(), self.name.is_some(), self.matches.is_some(), self.exe.is_some()];
        if selectors.contains(&true) || self.user.is_some() {
            if self.name.as_deref() == Some("") {
                return vec![Mistake::new(&["name"], "the name is empty")];
            }
            if let Some(name) = self.name.as_deref().filter(|name| name.contains('/')) {
                let what = format!("`{}` can never be the name of a process: it has a slash", name.escape_debug());
                let last = name.rsplit('/').next().unwrap_or_default().escape_debug();
                return vec![Mistake::new(&["name"], what).help(match name.starts_with('/') {
                    true => format!("write `exe: {}` for its program, or `name: {last}`", name.escape_debug()),
                    false => format!("write `name: {last}`"),
                })];
            }
            return Vec::new();
        }
        vec![
            Mistake::new(&[], "this check does not say which process")
                .help("add one or more of `pidfile`, `name`, `match`, `exe`, `user`; or, beside a supervisor, write `process: supervised`"),
        ]
    }

    fn about(&self) -> String {
        if self.supervised {
            return "the process that its supervisor names".to_owned();
        }
        let mut parts = Vec::new();
        if let Some(p) = &self.pidfile {
            parts.push(format!("pidfile {p}"));
        }
        if let Some(n) = &self.name {
            parts.push(format!("name {n}"));
        }
        if let Some(m) = &self.matches {
            parts.push(format!("command line like {}", m.as_str()));
        }
        if let Some(e) = &self.exe {
            parts.push(format!("program {e}"));
        }
        if let Some(u) = &self.user {
            parts.push(format!("user {u}"));
        }
        parts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_places_are_right() {
        assert_eq!(Process::METRICS[usize::from(Process::DOWN)].name, "down");
        assert_eq!(Process::METRICS[usize::from(Process::CPU)].name, "cpu");
        assert_eq!(Process::METRICS[usize::from(Process::READ)].name, "read");
        assert_eq!(Process::METRICS[usize::from(Process::WRITE)].name, "write");
        assert_eq!(Process::METRICS[usize::from(Process::EXIT_CODE)].name, "exit.code");
        assert_eq!(Process::METRICS[usize::from(Process::EXIT_SIGNAL)].name, "exit.signal");
        assert_eq!(Process::METRICS[usize::from(Process::EXIT_MEMORY)].name, "exit.memory");
    }
}
