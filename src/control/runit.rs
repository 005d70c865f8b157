//! runit, by its protocol: runsv keeps `supervise/status`, and obeys single letters written into `supervise/control`.
//!
//! What commands like `sv` print and return is misleading in places; the bytes are not.

use crate::model::controls::RunitControl;
use crate::model::{Clock, ControlState, Identity, Mono, show_duration};
use crate::sys::proc;
use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often the status is read again while something is expected to happen.
const LOOK: Duration = Duration::from_millis(10);
/// A start is believed when the process has lived for so long: one that exits at once is seen running for a moment, too.
const STEADY: Duration = Duration::from_millis(100);

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
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
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
            phase: match bytes[19] {
                0 => Phase::Down,
                1 => Phase::Run,
                2 => Phase::Finish,
                _ => return None,
            },
        })
    }

    /// The service's process, which is there only while it runs.
    fn runs(&self) -> Option<u32> {
        (self.phase == Phase::Run && self.pid != 0).then_some(self.pid)
    }

    fn word(&self) -> &'static str {
        match self.phase {
            Phase::Down => "down",
            Phase::Finish => "finish",
            Phase::Run if self.paused => "paused",
            Phase::Run if self.terminating => "run, got TERM",
            Phase::Run => "run",
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

/// How the service stands. An error, for people, if that cannot be known.
pub(super) fn state(service: &Path) -> Result<ControlState, String> {
    let runsv = runsv(service)?;
    let status = match runsv {
        Runsv::Never => None,
        // It is replaced by rename, and gone for nobody to see.
        Runsv::Alive | Runsv::Gone => Some(status(service)?),
    };
    let alive = runsv == Runsv::Alive;
    let word = match (runsv, &status) {
        (Runsv::Alive, Some(status)) => status.word(),
        (Runsv::Gone, _) => "runsv is gone",
        _ => "not supervised",
    };
    // Without runsv nobody vouches for the pid any more: the service may live on, or another process have its number.
    let pid = status.as_ref().filter(|_| alive).and_then(Status::runs);
    let process = pid.and_then(|pid| Some(Identity { pid, start: proc::stat(pid).ok()?.start }));
    Ok(ControlState {
        alive,
        wanted: status.as_ref().map(|s| s.wanted),
        process,
        word: word.into(),
        stamp: status.map_or(0, |s| s.stamp),
    })
}

/// Has it started, unless it runs.
pub(super) fn start(control: &RunitControl, clock: &dyn Clock) -> Result<String, String> {
    let mut at = Watch::begin(control, clock)?;
    if let Some(pid) = at.status.runs()
        && at.status.wanted
    {
        return Ok(format!("already up as pid {pid}"));
    }
    at.send(b'u')?;
    at.until_up(None)
}

/// Has it restarted: `t` ends it, and runsv, which wants it up, starts it again. The `u` that `sv restart` sends as well would
/// start what an operator has taken down; without it that cannot happen, even if it is taken down this very moment. A person
/// who asks `by_hand` means it up, and runsv has the last word from this `u`, even if it has a `d` from just before.
pub(super) fn restart(control: &RunitControl, by_hand: bool, clock: &dyn Clock) -> Result<String, String> {
    let mut at = Watch::begin(control, clock)?;
    if !at.status.wanted && !by_hand {
        return Err("not restarted: its operator has taken it down, or has it run only once".to_owned());
    }
    let old = at.status;
    if old.runs().is_some() {
        at.send(b't')?;
        // A paused one takes the signal only when it goes on.
        at.send(b'c')?;
    }
    if by_hand {
        at.send(b'u')?;
    }
    at.until_up(old.runs().is_some().then_some(old.stamp))
}

/// Has it stopped, and wanted down from now on.
pub(super) fn stop(control: &RunitControl, clock: &dyn Clock) -> Result<String, String> {
    let mut at = Watch::begin(control, clock)?;
    if at.status.phase == Phase::Down && !at.status.wanted {
        return Ok("already down".to_owned());
    }
    at.send(b'd')?;
    at.send(b'c')?;
    at.until("down", |status| status.phase == Phase::Down && !status.wanted, |_| true)?;
    Ok(format!("down after {}", at.took()))
}

/// A service that something is expected of.
struct Watch<'a> {
    service: PathBuf,
    clock: &'a dyn Clock,
    began: Mono,
    timeout: Duration,
    status: Status,
    killed: bool,
}

impl<'a> Watch<'a> {
    fn begin(control: &RunitControl, clock: &'a dyn Clock) -> Result<Watch<'a>, String> {
        let service = control.path();
        match runsv(&service)? {
            Runsv::Alive => {}
            Runsv::Gone => return Err(format!("{}: its runsv is gone", service.display())),
            Runsv::Never => return Err(format!("{} is not supervised by runsv", service.display())),
        }
        let (status, began) = (status(&service)?, clock.now().mono);
        Ok(Watch { service, clock, began, timeout: control.timeout.0, status, killed: false })
    }

    fn took(&self) -> String {
        show_duration(self.clock.now().mono - self.began)
    }

    fn send(&self, letter: u8) -> Result<(), String> {
        let path = self.service.join("supervise/control");
        // Without O_NONBLOCK it would hang where runsv is gone.
        let control = open_fifo(&path).map_err(|e| match e {
            Errno::NXIO => format!("{}: its runsv is gone", self.service.display()),
            e => format!("{}: {e}", path.display()),
        })?;
        rustix::io::write(control, &[letter]).map(|_| ()).map_err(|e| format!("{}: {e}", path.display()))
    }

    /// Waits until it runs, and has for a moment; as another run than that with the old stamp, if there is one.
    fn until_up(&mut self, old: Option<u64>) -> Result<String, String> {
        let mut since = None;
        let clock = self.clock;
        self.until(
            "up",
            |status| {
                let up = status.runs().is_some() && status.wanted && !status.terminating && Some(status.stamp) != old;
                let now = clock.now().mono;
                match since {
                    _ if !up => since = None,
                    Some((stamp, began)) if stamp == status.stamp => return now - began >= STEADY,
                    _ => since = Some((status.stamp, now)),
                }
                false
            },
            |status| Some(status.stamp) == old,
        )?;
        let pid = self.status.pid;
        Ok(format!("up as pid {pid} after {}", self.took()))
    }

    /// Reads the status until it is as it should be. What was told to end and has not is killed in the last quarter of the
    /// time, as a `command` control would: a hung daemon is what restarts are for.
    fn until(
        &mut self,
        what: &str,
        mut is_so: impl FnMut(&Status) -> bool,
        must_end: impl Fn(&Status) -> bool,
    ) -> Result<(), String> {
        let patience = self.timeout - (self.timeout / 4).min(Duration::from_secs(5));
        loop {
            if is_so(&self.status) {
                return Ok(());
            }
            let waited = self.clock.now().mono - self.began;
            let hangs = self.status.runs().is_some() && must_end(&self.status);
            if waited >= patience && hangs && !std::mem::replace(&mut self.killed, true) {
                self.send(b'k')?;
            }
            if waited >= self.timeout {
                let wanted = if self.status.wanted { "up" } else { "down" };
                let killed = if self.killed { ", and was sent KILL" } else { "" };
                let (word, after) = (self.status.word(), show_duration(self.timeout));
                return Err(format!("not {what} after {after}: runsv says {word}, wanted {wanted}{killed}"));
            }
            std::thread::sleep(LOOK);
            if runsv(&self.service)? != Runsv::Alive {
                return Err(format!("{}: its runsv is gone", self.service.display()));
            }
            self.status = status(&self.service)?;
        }
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
