//! What runs on a machine, as the text of rules: `minder init`.
//!
//! ```text
//!  /proc, pidfiles ──look──▶ Machine ──choose──▶ Choice ──text──▶ the files of a rules folder
//! ```
//!
//! [`Machine::look`] reads within bounds and connects to nothing. The rest is pure. Names, command lines and paths belong to
//! whoever started the processes: none of them is believed, and its `text` lets none of them be more than a text.

mod choose;
mod look;

mod supervisors;
mod text;

pub use choose::{Choice, Refused};
pub use text::{File, MACHINE};

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What was seen of a machine.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    /// Its processes, by pid.
    pub processes: BTreeMap<u32, Process>,
    /// The addresses on which something listens by TCP, with the processes that hold each.
    pub listening: Vec<Listening>,
    /// Pidfiles that name a living process.
    pub pidfiles: Vec<Pidfile>,
    /// The scan directories that nobody but root and we may write to.
    pub trusted: Vec<PathBuf>,
    /// What could not be seen, and why.
    pub notes: Vec<String>,
}

/// A process.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Process {
    /// Its parent.
    pub parent: u32,
    /// When it was started, in ticks since boot.
    pub start: u64,
    /// Its name as the kernel knows it.
    pub name: String,
    /// Its program, where we may see it.
    pub program: Option<PathBuf>,
    /// The beginning of its arguments.
    pub arguments: Vec<String>,
    /// Whom it runs as: a name, or a number without one.
    pub user: String,
    /// It runs as root or as we do: what it says of others may be believed.
    pub ours: bool,
    /// It is a part of the kernel.
    pub kernel: bool,
    /// It has a terminal.
    pub terminal: bool,
    /// It has another view of pids than we have: it is in a container.
    pub elsewhere: bool,
    /// Where it is, where we may see it.
    pub directory: Option<PathBuf>,
    /// Its control group.
    pub cgroup: String,
    /// What supervisord told it of itself at its start.
    pub program_of: Option<Program>,
}

/// A program of supervisord.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Program {
    /// `web`, or `group:web`.
    pub name: String,
    /// Where supervisord listens.
    pub server: String,
}

/// An address on which something listens.
#[derive(Debug, Clone, PartialEq)]
pub struct Listening {
    /// Where.
    pub address: SocketAddr,
    /// The processes that hold it open.
    pub pids: Vec<u32>,
}

/// A pidfile.
#[derive(Debug, Clone, PartialEq)]
pub struct Pidfile {
    /// Where it is.
    pub path: PathBuf,
    /// The process that it names.
    pub pid: u32,
    /// Why it cannot be believed by itself: somebody else may write it.
    pub distrust: Option<String>,
}
