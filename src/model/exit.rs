//! Which process it is, and how it ended.

use super::{Name, Signal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A process: its pid together with its start time, never the pid alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Identity {
    /// The pid.
    pub pid: u32,
    /// When it started, in clock ticks since boot: field 22 of `/proc/PID/stat`.
    pub start: u64,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid {}", self.pid)
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// It was killed by this signal.
    Signal {
        /// Which.
        number: i32,
        /// It left a core.
        core: bool,
    },
    /// The kernel killed it, by SIGKILL, because memory was short: its control group's, or the machine's.
    Memory,
}

impl Exit {
    /// From the status of `waitpid` and `PIDFD_GET_INFO`.
    pub fn from_wait_status(status: i32) -> Exit {
        match status & 0x7f {
            0 => Exit::Code((status >> 8) & 0xff),
            number => Exit::Signal { number, core: status & 0x80 != 0 },
        }
    }
    /// From the two arguments of a `finish` script. Those of runit are the exit code, -1 if a signal killed it, and the low byte
    /// of the wait status; those of s6 are the exit code, 256 if a signal killed it, and the signal. Nothing if they say
    /// nothing that can be.
    pub fn from_finish(code: i32, status: i32) -> Option<Exit> {
        match (code, status) {
            (0..=255, 0) => Some(Exit::Code(code)),
            (-1 | 256, 1..=255) if status & 0x7f != 0 => {
                Some(Exit::Signal { number: status & 0x7f, core: status & 0x80 != 0 })
            }
            _ => None,
        }
    }
    /// It ended as asked: code 0, or by TERM, INT, HUP or QUIT. An upgrade or an operator's own restart looks like this.
    pub fn is_clean(self) -> bool {
        self == Exit::Code(0) || self.was_asked_for()
    }
    /// Somebody wished that it ends: it was sent TERM, INT, HUP or QUIT.
    pub fn was_asked_for(self) -> bool {
        matches!(self, Exit::Signal { number: 15 | 2 | 1 | 3, .. })
    }
    /// For a title: `exit code 3`, `SIGSEGV, core dumped`.
    pub fn in_short(self) -> String {
        match self {
            Exit::Code(code) => format!("exit code {code}"),
            Exit::Memory => "killed for want of memory".to_owned(),
            Exit::Signal { .. } => self.to_string().replacen("killed by ", "", 1),
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "exited with code {code}"),
            Exit::Signal { number, core } => {
                match Signal(*number).name() {
                    Some(name) => write!(f, "killed by SIG{name}")?,
                    None => write!(f, "killed by signal {number}")?,
                }
                if *core { f.write_str(", core dumped") } else { Ok(()) }
            }
            Exit::Memory => f.write_str("killed for want of memory (SIGKILL)"),
        }
    }
}

/// What a `finish` script reports: the service, and its two arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndReport {
    /// Of which service.
    pub service: Name,
    /// The exit code, or that there is none.
    pub code: i32,
    /// The wait status, or the signal: see [`Exit::from_finish`].
    pub status: i32,
}

impl EndReport {
    /// Where it is posted.
    pub const PATH: &'static str = "/api/v1/reports";
}
