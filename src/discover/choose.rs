//! Which of what runs is a service, and how each is watched. Pure.

use super::supervisors::{self, Kind, Supervised};
use super::{Machine, Pidfile, Process};
use crate::model::AbsPath;
use crate::sys::sockets::reached_at;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The most addresses that are asked of a service; a program that listens on hundreds does so for its own reasons.
const ADDRESSES: usize = 8;
/// Programs that run other programs: what such a process is, its arguments say.
const INTERPRETERS: &[&str] = &[
    "python", "perl", "ruby", "node", "nodejs", "java", "php", "sh", "bash", "dash", "lua", "tclsh", "mono", "beam.smp",
];
/// Units of systemd that are a login, and come and go with people.
const LOGINS: &[&str] = &["getty@", "serial-getty@", "console-getty", "user@", "user-runtime-dir@", "session-"];

/// What is watched, and what is not.
#[derive(Debug, Default)]
pub struct Choice {
    pub(super) services: Vec<Service>,
    /// Scan directories, each with whether it can be watched as a whole.
    pub(super) directories: Vec<(Kind, PathBuf, bool)>,
    /// What was left out, by why.
    pub(super) left_out: BTreeMap<&'static str, BTreeSet<String>>,
    pub(super) notes: Vec<String>,
}

/// A service, as it will be written.
#[derive(Debug)]
pub(super) struct Service {
    pub name: String,
    pub supervised: Option<Supervised>,
    pub who: Option<Who>,
    /// Its first process, with what is known of it.
    pub process: Option<(u32, Process)>,
    /// Where it is asked, and where it listens.
    pub addresses: Vec<(SocketAddr, SocketAddr)>,
    /// What of it is not asked.
    pub beside: Vec<String>,
}

/// How a process without a supervisor is known.
#[derive(Debug)]
pub(super) struct Who {
    pub pidfile: Option<String>,
    pub program: Option<String>,
    pub name: Option<String>,
    /// What its command line has in it, as a text.
    pub argument: Option<String>,
    pub user: Option<String>,
    pub why: String,
}

/// Why no service can be made of a process.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is none.
    #[error("there is no process {0}")]
    Gone(u32),
    /// It is none that could be a service.
    #[error("process {0} is {1}")]
    NoService(u32, &'static str),
    /// Nothing about it will be the same at its next start.
    #[error("process {0} has neither a program, nor a name, by which a rule could know it")]
    Nameless(u32),
}

impl Machine {
    /// Every service that can be found: what a supervisor keeps, and what has a pidfile or listens.
    pub fn choose(&self) -> Choice {
        let mut choice = Choice { notes: self.notes.clone(), ..Choice::default() };
        for (kind, path) in supervisors::directories(self) {
            let first = choice.directories.iter().all(|(other, ..)| *other != kind);
            let whole = first && self.trusted.contains(&path) && usable(&path).is_some();
            choice.directories.push((kind, path, whole));
        }
        let owners = self.owners();
        let supervised = supervisors::supervised(self);
        let kept: BTreeSet<u32> = supervised.values().flatten().copied().collect();
        for (supervised, pids) in supervised {
            let pids: Vec<u32> = pids.into_iter().filter(|pid| self.processes.contains_key(pid)).collect();
            match self.of_supervisor(supervised, &pids, &owners) {
                Ok(service) => choice.services.push(service),
                Err((name, why)) => choice.leave_out(why, name),
            }
        }
        let pidfiles = self.pidfiles.iter().map(|pidfile| pidfile.pid);
        let candidates: BTreeSet<u32> =
            pidfiles.chain(owners.values().copied()).filter(|pid| !kept.contains(pid)).collect();
        for pid in candidates {
            let Some(process) = self.processes.get(&pid) else { continue };
            if let Some(why) = no_service(pid, process).or_else(|| not_asked_for(process)) {
                choice.leave_out(why, process.name.clone());
                continue;
            }
            match self.by_itself(pid, process, &owners) {
                Some(service) => choice.services.push(service),
                None => choice.leave_out("nothing by which it could be known again", process.name.clone()),
            }
        }
        for (_, listening) in self.listening.iter().enumerate().filter(|(index, _)| !owners.contains_key(index)) {
            choice.leave_out(
                "held by the first process of the machine, or by none that can be seen",
                listening.address.to_string(),
            );
        }
        choice.name_all();
        choice
    }

    /// The one service that a process belongs to.
    pub fn choose_one(&self, pid: u32) -> Result<Choice, Refused> {
        let process = self.processes.get(&pid).ok_or(Refused::Gone(pid))?;
        if let Some(why) = no_service(pid, process) {
            return Err(Refused::NoService(pid, why));
        }
        let owners = self.owners();
        let home = supervisors::supervised(self).into_iter().find(|(_, pids)| pids.contains(&pid));
        let service = match home.map(|(supervised, pids)| self.of_supervisor(supervised, &pids, &owners)) {
            Some(Ok(service)) => service,
            _ => self.by_itself(pid, process, &owners).ok_or(Refused::Nameless(pid))?,
        };
        let mut choice = Choice { services: vec![service], ..Choice::default() };
        choice.name_all();
        Ok(choice)
    }

    /// Whom each socket belongs to: of those that hold it, the one that the others come from. A supervisor hands it on.
    fn owners(&self) -> BTreeMap<usize, u32> {
        let mut owners = BTreeMap::new();
        for (index, listening) in self.listening.iter().enumerate() {
            let holders: Vec<u32> = listening.pids.iter().copied().filter(|pid| *pid > 1).collect();
            let first = holders
                .iter()
                .filter_map(|pid| Some((pid, self.processes.get(pid)?)))
                .min_by_key(|(pid, process)| (holders.contains(&process.parent), process.start, **pid));
            if let Some((pid, _)) = first {
                owners.insert(index, *pid);
            }
        }
        owners
    }

    fn of_supervisor(
        &self,
        supervised: Supervised,
        pids: &[u32],
        owners: &BTreeMap<usize, u32>,
    ) -> Result<Service, (String, &'static str)> {
        let name = match &supervised {
            Supervised::Directory { name, path, .. } => {
                let last = || path.file_name().map(|name| name.to_string_lossy().into_owned());
                if name.contains('/') { last().unwrap_or_default() } else { name.clone() }
            }
            // systemd writes a dash of a path so.
            Supervised::Unit(unit) => unit.strip_suffix(".service").unwrap_or(unit).replace("\\x2d", "-"),
            Supervised::Program { name, .. } => name.clone(),
        };
        if let Supervised::Directory { path, scan, .. } = &supervised
            && (usable(path).is_none() || scan.as_ref().is_some_and(|scan| usable(scan).is_none()))
        {
            return Err((name, "a directory whose path cannot stand in a rule"));
        }
        if !supervised.is_a_control() {
            return Err((name, "a name, or an address of its supervisor, that cannot stand in a rule"));
        }
        if matches!(supervised, Supervised::Unit(_)) && LOGINS.iter().any(|login| name.starts_with(login)) {
            return Err((name, "a login, which comes and goes with people"));
        }
        let first = pids.iter().filter_map(|pid| Some((*pid, self.processes.get(pid)?)));
        let first = first.min_by_key(|(pid, process)| (pids.contains(&process.parent), process.start, *pid));
        if name == "minder" || first.is_some_and(|(_, process)| process.name == "minder") {
            return Err((name, "minder itself, which minder.yaml watches"));
        }
        let process = first.map(|(pid, process)| (pid, process.clone()));
        let (addresses, beside) = self.addresses(pids, owners);
        Ok(Service { name, supervised: Some(supervised), who: None, process, addresses, beside })
    }

    fn by_itself(&self, pid: u32, process: &Process, owners: &BTreeMap<usize, u32>) -> Option<Service> {
        let who = self.who(pid, process)?;
        let (addresses, beside) = self.addresses(&[pid], owners);
        let program = process.program.as_ref().and_then(|path| path.file_name()).and_then(|name| name.to_str());
        let name = match &who.argument {
            Some(script) => Path::new(script).file_stem().map(|stem| stem.to_string_lossy().into_owned()),
            None => program.map(str::to_owned),
        };
        let name = name.unwrap_or_else(|| process.name.clone());
        Some(Service {
            name,
            supervised: None,
            who: Some(who),
            process: Some((pid, process.clone())),
            addresses,
            beside,
        })
    }

    fn who(&self, pid: u32, process: &Process) -> Option<Who> {
        let user = (!process.user.is_empty()).then(|| process.user.clone());
        let mut pidfiles: Vec<(&Pidfile, &str)> = self
            .pidfiles
            .iter()
            .filter(|file| file.pid == pid)
            .filter_map(|file| Some((file, usable(&file.path)?)))
            .collect();
        pidfiles.sort_by_key(|(file, path)| (file.distrust.is_some(), path.len(), *path));
        if let Some((file, path)) = pidfiles.first() {
            let pidfile = Some((*path).to_owned());
            let none = Who { pidfile, program: None, name: None, argument: None, user: None, why: String::new() };
            return Some(match &file.distrust {
                None => {
                    Who { why: "its pidfile names it, and only root or its own user can write that".to_owned(), ..none }
                }
                Some(why) => {
                    Who { user, why: format!("its pidfile names it; its user is asked for too, for {why}"), ..none }
                }
            });
        }
        let program = process.program.as_deref().and_then(usable);
        let interpreter = program.and_then(|path| Path::new(path).file_name()?.to_str()).is_some_and(is_interpreter);
        let argument = interpreter.then(|| script(&process.arguments)).flatten();
        let none = Who { pidfile: None, program: None, name: None, argument: None, user, why: String::new() };
        match (program, argument) {
            (Some(path), None) if interpreter => Some(Who {
                why: format!("no pidfile names it, and {path} may run other programs as well: say which by `match`"),
                program: Some(path.to_owned()),
                ..none
            }),
            (Some(path), argument) => Some(Who {
                why: "no pidfile names it: it is known by its program and user".to_owned(),
                program: Some(path.to_owned()),
                argument,
                ..none
            }),
            (None, _) if !process.name.is_empty() && !process.name.contains('/') => Some(Who {
                why: "no pidfile names it, and its program cannot be seen: it is known by its name and user".to_owned(),
                name: Some(process.name.clone()),
                ..none
            }),
            (None, _) => None,
        }
    }

    /// Where these processes can be asked, a port once; and what they have that is not asked.
    fn addresses(&self, pids: &[u32], owners: &BTreeMap<usize, u32>) -> (Vec<(SocketAddr, SocketAddr)>, Vec<String>) {
        let theirs =
            owners.iter().filter(|(_, pid)| pids.contains(pid)).filter_map(|(index, _)| self.listening.get(*index));
        let mut all: Vec<SocketAddr> = theirs.map(|listening| listening.address).collect();
        // That of IPv4 first, for it is there on machines without IPv6 as well.
        all.sort_by_key(|address| (address.port(), address.is_ipv6(), !address.ip().is_unspecified(), address.ip()));
        let (mut found, mut beside): (Vec<(SocketAddr, SocketAddr)>, _) = (Vec::new(), Vec::new());
        for address in all {
            match reached_at(address) {
                _ if found.iter().any(|(at, _)| at.port() == address.port()) => {
                    beside.push(format!("{address}, the same port"))
                }
                Some(_) if found.len() == ADDRESSES => beside.push(format!("{address}, one of many")),
                Some(at) => found.push((at, address)),
                None => beside.push(format!("{address}, which is reached by one interface only")),
            }
        }
        (found, beside)
    }
}

impl Choice {
    /// How many services it has.
    pub fn services(&self) -> usize {
        self.services.len()
    }

    fn leave_out(&mut self, why: &'static str, name: String) {
        self.left_out.entry(why).or_default().insert(name);
    }

    /// Gives each service a name that it can have, and no other has.
    fn name_all(&mut self) {
        let mut taken: BTreeSet<String> = ["machine", "minder"].map(str::to_owned).into();
        for service in &mut self.services {
            let base = named(&service.name);
            let mut name = base.clone();
            for number in 2.. {
                if taken.insert(name.clone()) {
                    break;
                }
                name = format!("{base}-{number}");
            }
            service.name = name;
        }
    }
}

/// A name that a service can have, with room for a number.
fn named(name: &str) -> String {
    let sign = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let name: String = name.chars().map(sign).take(56).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "service".to_owned() } else { name.to_owned() }
}

/// What can never be a service.
fn no_service(pid: u32, process: &Process) -> Option<&'static str> {
    if pid <= 1 {
        Some("the first process of the machine")
    } else if process.kernel {
        Some("a part of the kernel")
    } else if process.elsewhere {
        Some("in a container, and belongs to what runs that")
    } else if process.name == "minder" {
        Some("minder itself, which minder.yaml watches")
    } else {
        None
    }
}

/// What is left out unless somebody asks for it.
fn not_asked_for(process: &Process) -> Option<&'static str> {
    if process.terminal {
        Some("started in a terminal, by somebody who is there")
    } else if supervisors::is_a_persons(process) {
        Some("a person's own, in a session")
    } else {
        None
    }
}

/// A path as it can stand in a rule.
pub(super) fn usable(path: &Path) -> Option<&str> {
    path.to_str().filter(|text| text.parse::<AbsPath>().is_ok())
}

/// `python3.11` and `php8.2` are versions of one.
fn is_interpreter(name: &str) -> bool {
    let bare = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    INTERPRETERS.contains(&name) || INTERPRETERS.contains(&bare)
}

/// What an interpreter runs: the first argument that looks like a file. Other arguments may be secrets.
fn script(arguments: &[String]) -> Option<String> {
    let mut arguments = arguments.iter().skip(1).peekable();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "-jar" => return arguments.next().filter(|jar| looks_like_a_file(jar)).cloned(),
            "-c" | "-e" | "--eval" => return None,
            "-cp" | "-classpath" | "--module-path" | "-p" => drop(arguments.next()),
            option if option.starts_with('-') => {}
            file => return looks_like_a_file(file).then(|| file.to_owned()),
        }
    }
    None
}

fn looks_like_a_file(argument: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    (1..=200).contains(&argument.len()) && argument.chars().all(plain)
}
