//! Which processes are supervisors, and what each of them supervises: by the tree of processes, which nobody can forge.

use super::{Machine, Process};
use crate::model::controls::ControlSpec;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A supervisor, as far as it is named in rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Runit,
    S6,
    Daemontools,
    Systemd,
    Supervisord,
}

impl Kind {
    pub const ALL: [Kind; 5] = [Kind::Runit, Kind::S6, Kind::Daemontools, Kind::Systemd, Kind::Supervisord];

    /// The word for it in rules.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Runit => "runit",
            Kind::S6 => "s6",
            Kind::Daemontools => "daemontools",
            Kind::Systemd => "systemd",
            Kind::Supervisord => "supervisord",
        }
    }

    /// Where it has its services unless it is told otherwise.
    pub fn default_directory(self) -> &'static str {
        if self == Kind::S6 { "/run/service" } else { "/etc/service" }
    }
}

/// What a supervisor supervises.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Supervised {
    /// A directory of runit, s6 or daemontools: the scan directory, if there is one, and the name in it; or its own path.
    Directory { kind: Kind, scan: Option<PathBuf>, name: String, path: PathBuf },
    /// A unit of systemd.
    Unit(String),
    /// A program of supervisord, and where that listens.
    Program { name: String, server: String },
}

impl Supervised {
    pub fn kind(&self) -> Kind {
        match self {
            Supervised::Directory { kind, .. } => *kind,
            Supervised::Unit(_) => Kind::Systemd,
            Supervised::Program { .. } => Kind::Supervisord,
        }
    }

    /// Whether a rule may have such a control.
    pub fn is_a_control(&self) -> bool {
        let keys = match self {
            Supervised::Directory { name, .. } => json!({ "service": name }),
            Supervised::Unit(unit) => json!({ "unit": unit }),
            Supervised::Program { name, server } => json!({ "program": name, "server": server }),
        };
        matches!(ControlSpec::read(self.kind().word(), keys), Some(Ok(control)) if control.mistakes().is_empty())
    }
}

/// Whose scan directory a process of this name keeps.
fn scans(name: &str) -> Option<Kind> {
    match name {
        "runsvdir" => Some(Kind::Runit),
        "s6-svscan" => Some(Kind::S6),
        "svscan" => Some(Kind::Daemontools),
        _ => None,
    }
}

/// Of which kind a process of this name keeps one service.
fn keeps(name: &str) -> Option<Kind> {
    match name {
        "runsv" => Some(Kind::Runit),
        "s6-supervise" => Some(Kind::S6),
        "supervise" => Some(Kind::Daemontools),
        _ => None,
    }
}

/// The scan directories of the machine.
pub(super) fn directories(machine: &Machine) -> Vec<(Kind, PathBuf)> {
    let mut found: Vec<_> = machine.processes.values().filter_map(scan_directory).collect();
    found.sort();
    found.dedup();
    found
}

/// `runsvdir -P /etc/service log: ..`, `s6-svscan -t0 /run/service`, `svscan /service`. Without an argument it is where it is.
fn scan_directory(process: &Process) -> Option<(Kind, PathBuf)> {
    let kind = scans(&process.name).filter(|_| process.ours)?;
    let named = process.arguments.iter().skip(1).find(|argument| argument.starts_with('/'));
    let path = named.map(PathBuf::from).or_else(|| process.directory.clone())?;
    // However many slashes it was given with.
    Some((kind, path.components().collect()))
}

/// What each process belongs to, for those that belong to a supervisor; each that is supervised is told even if it has no
/// process now.
pub(super) fn supervised(machine: &Machine) -> BTreeMap<Supervised, Vec<u32>> {
    let mut kept: BTreeMap<u32, Option<Supervised>> = BTreeMap::new();
    let mut found: BTreeMap<Supervised, Vec<u32>> = BTreeMap::new();
    for (pid, process) in &machine.processes {
        if let Some(kind) = keeps(&process.name).filter(|_| process.ours) {
            let service = directory(machine, kind, process);
            if let Some(service) = &service {
                found.entry(service.clone()).or_default();
            }
            kept.insert(*pid, service);
        }
    }
    for (pid, process) in machine.processes.iter().filter(|(pid, process)| **pid > 1 && !process.kernel) {
        let home = home(machine, &kept, *pid).unwrap_or_else(|| unit(process));
        if let Some(home) = home {
            found.entry(home).or_default().push(*pid);
        }
    }
    found
}

/// The service directory that a process keeps; nothing for that of a log.
fn directory(machine: &Machine, kind: Kind, process: &Process) -> Option<Supervised> {
    let name = process.arguments.last().filter(|_| process.arguments.len() > 1)?;
    let own = process.directory.clone()?;
    if name == "log" || name.ends_with("/log") || own.ends_with("log") {
        return None;
    }
    let scan = machine.processes.get(&process.parent).and_then(scan_directory).map(|(_, path)| path);
    let scan = scan.filter(|_| !name.contains('/'));
    let path = scan.as_ref().map_or(own, |scan| scan.join(name));
    Some(Supervised::Directory { kind, scan, name: name.clone(), path })
}

/// What a process, or the nearest above it, is kept by; something that is nothing if that is a part of a supervisor.
fn home(machine: &Machine, kept: &BTreeMap<u32, Option<Supervised>>, pid: u32) -> Option<Option<Supervised>> {
    let mut at = pid;
    // A tree that was read while it changed may have a circle.
    for _ in 0..64 {
        if kept.contains_key(&at) {
            return (at == pid).then_some(None);
        }
        let process = machine.processes.get(&at)?;
        if let Some(service) = kept.get(&process.parent) {
            return Some(service.clone());
        }
        let parent = machine.processes.get(&process.parent)?;
        if let Some(program) = process.program_of.as_ref().filter(|_| is_supervisord(parent)) {
            return Some(Some(Supervised::Program { name: program.name.clone(), server: program.server.clone() }));
        }
        at = process.parent;
    }
    None
}

/// It is a program of Python, and so named by an argument.
fn is_supervisord(process: &Process) -> bool {
    let named = |argument: &String| Path::new(argument).file_name().is_some_and(|name| name == "supervisord");
    process.ours && (process.name == "supervisord" || process.arguments.iter().take(3).any(named))
}

/// The unit whose control group a process is in: `/system.slice/nginx.service`. Those of people's own managers and sessions
/// are none of the machine's.
fn unit(process: &Process) -> Option<Supervised> {
    let mut parts = process.cgroup.split('/').filter(|part| !part.is_empty());
    let first = parts.next().filter(|part| part.ends_with(".slice") && *part != "user.slice")?;
    let unit = std::iter::once(first).chain(parts).find(|part| part.ends_with(".service"))?;
    Some(Supervised::Unit(unit.to_owned()))
}

/// A person's own: a session, or what a person's own systemd runs.
pub(super) fn is_a_persons(process: &Process) -> bool {
    process.cgroup.starts_with("/user.slice/")
}

impl Machine {
    /// What a process belongs to, in words: `runit web`.
    pub fn supervisor_of(&self, pid: u32) -> Option<String> {
        let home = supervised(self).into_iter().find(|(_, pids)| pids.contains(&pid))?.0;
        let name = match &home {
            Supervised::Directory { name, .. } | Supervised::Program { name, .. } | Supervised::Unit(name) => name,
        };
        Some(format!("{} {name}", home.kind().word()))
    }
}
