//! runit, by its protocol: runsv keeps `supervise/status`, and obeys single letters written into `supervise/control`.
//!
//! What commands like `sv` print and return is misleading in places; the bytes are not.

use super::supervisor::{Order, Supervisor};
use crate::model::{ControlState, Identity, Phase};
use crate::sys::proc;
use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The 20 bytes of `supervise/status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Status {
    /// Nanoseconds since 1970, plus ten leap seconds, at the last change of state; only compared with others of its kind.
    stamp: u64,
    /// Of the service while it runs; of the finish script in between.
    pid: u32,
    paused: bool,
    wanted: bool,
    /// TERM was sent, and it still runs.
    terminating: bool,
    step: Step,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Down,
    Run,
    Finish,
}

impl Status {
    /// Other supervisors write other lengths: 18 bytes is daemontools, 35 or 43 is s6.
    fn parse(bytes: &[u8]) -> Option<Status> {
        let bytes: &[u8; 20] = bytes.try_into().ok()?;
        let [seconds @ .., _, _, _, _, _, _, _, _, _, _, _, _] = bytes;
        let nanoseconds = u32::from_be_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
        // TAI64: 2^62 stands for 1970.
        let seconds = u64::from_be_bytes(*seconds).wrapping_sub(1 << 62);
        Some(Status {
            stamp: seconds.wrapping_mul(1_000_000_000).wrapping_add(nanoseconds.into()),
            pid: u32::from_le_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]),
            paused: bytes[16] == 1,
            wanted: bytes[17] == b'u',
            terminating: bytes[18] == 1,
            step: match bytes[19] {
                0 => Step::Down,
                1 => Step::Run,
                2 => Step::Finish,
                _ => return None,
            },
        })
    }

    /// The service's process, which is there only while it runs.
    fn runs(&self) -> Option<u32> {
        (self.step == Step::Run && self.pid != 0).then_some(self.pid)
    }

    fn phase(&self) -> Phase {
        match self.step {
            Step::Down if self.wanted => Phase::Starting,
            Step::Down => Phase::Down,
            Step::Finish => Phase::Finishing,
            Step::Run if self.paused => Phase::Paused,
            Step::Run if self.terminating => Phase::Stopping,
            Step::Run => Phase::Running,
        }
    }

    fn word(&self) -> &'static str {
        match self.phase() {
            Phase::Down | Phase::Starting => "down",
            Phase::Finishing => "finish",
            Phase::Paused => "paused",
            Phase::Stopping => "run, got TERM",
            Phase::Running => "run",
        }
    }
}

/// Whether runsv is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Runsv {
    Alive,
    /// It was, and has gone. Its last status stays behind and still says what was so then.
    Gone,
    /// There never was one for this directory.
    Never,
}

/// A service directory.
pub(super) struct Runit(pub PathBuf);

impl Supervisor for Runit {
    fn state(&self) -> Result<ControlState, String> {
        let runsv = runsv(&self.0)?;
        let status = match runsv {
            Runsv::Never => None,
            // It is replaced by rename, and gone for nobody to see.
            Runsv::Alive | Runsv::Gone => Some(status(&self.0)?),
        };
        let alive = runsv == Runsv::Alive;
        let word: Arc<str> = match (runsv, &status) {
            (Runsv::Alive, Some(status)) => status.word().into(),
            (Runsv::Gone, _) => "runsv is gone".into(),
            _ => format!("{} is not supervised by runsv", self.0.display()).into(),
        };
        // Without runsv nobody vouches for the pid any more: the service may live on, or another process have its number.
        let pid = status.as_ref().filter(|_| alive).and_then(Status::runs);
        let process = pid.and_then(|pid| Some(Identity { pid, start: proc::stat(pid).ok()?.start }));
        Ok(ControlState {
            alive,
            wanted: status.as_ref().map(|s| s.wanted),
            phase: status.as_ref().filter(|_| alive).map(Status::phase).unwrap_or_default(),
            process,
            word,
            stamp: status.map_or(0, |s| s.stamp),
            ..ControlState::default()
        })
    }

    /// A restart is `t`: it ends the process, and runsv, which wants it up, starts it again. The `u` that `sv restart` sends as
    /// well would start what an operator has taken down; without it that cannot happen, even if it is taken down this very
    /// moment. A person who asks means it up, and runsv has the last word from this `u`, even if it has a `d` from just before.
    fn tell(&self, order: Order) -> Result<(), String> {
        let letters: &[u8] = match order {
            Order::Up => b"u",
            // A paused one takes the signal only when it goes on.
            Order::Down => b"dc",
            Order::Restart { by_hand } => match (status(&self.0)?.runs().is_some(), by_hand) {
                (true, true) => b"tcu",
                (true, false) => b"tc",
                (false, true) => b"u",
                (false, false) => b"",
            },
            Order::Kill => b"k",
        };
        letters.iter().try_for_each(|letter| self.send(*letter))
    }
}

impl Runit {
    fn send(&self, letter: u8) -> Result<(), String> {
        let path = self.0.join("supervise/control");
        // Without O_NONBLOCK it would hang where runsv is gone.
        let control = open_fifo(&path).map_err(|e| match e {
            Errno::NXIO => format!("{}: its runsv is gone", self.0.display()),
            e => format!("{}: {e}", path.display()),
        })?;
        rustix::io::write(control, &[letter]).map(|_| ()).map_err(|e| format!("{}: {e}", path.display()))
    }
}

/// Whether runsv is alive: it keeps the other end of `supervise/ok` open.
fn runsv(service: &Path) -> Result<Runsv, String> {
    let path = service.join("supervise/ok");
    match open_fifo(&path) {
        Ok(_) => Ok(Runsv::Alive),
        Err(Errno::NXIO) => Ok(Runsv::Gone),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(Runsv::Never),
        Err(e) => Err(unreadable(&path, e)),
    }
}

fn status(service: &Path) -> Result<Status, String> {
    let path = service.join("supervise/status");
    let file = open(&path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())
        .map_err(|e| unreadable(&path, e))?;
    let mut bytes = [0u8; 64];
    let length = rustix::io::read(&file, &mut bytes).map_err(|e| unreadable(&path, e))?;
    Status::parse(&bytes[..length])
        .ok_or_else(|| format!("{} is not what runsv writes: {length} bytes instead of 20", path.display()))
}

/// Opens a FIFO for writing, without waiting for a reader. Anything else in its place counts as not there.
fn open_fifo(path: &Path) -> Result<OwnedFd, Errno> {
    let fifo = open(path, OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
    match FileType::from_raw_mode(fstat(&fifo)?.st_mode) {
        FileType::Fifo => Ok(fifo),
        _ => Err(Errno::NOENT),
    }
}

fn unreadable(path: &Path, e: Errno) -> String {
    match e {
        Errno::ACCESS => format!("{}: minder's user may not read it; run minder as root", path.display()),
        e => format!("{}: {e}", path.display()),
    }
}

#[cfg(test)]
mod tests;
