//! s6: s6-supervise writes 35 bytes of status, or 43 in some releases.

use super::service_dir::{Family, ServiceDir, Stamp, Status};
use super::supervisor::{Order, Supervisor};
use crate::model::{ControlState, Exit, GivenUp, Phase};
use std::path::PathBuf;

/// How far the labels of s6's time are ahead of 1970, in seconds: it counts the leap seconds, of which there were none since
/// 2017. A status is never as old as that.
const AHEAD: u64 = 37;

const PAUSED: u8 = 1;
const FINISHING: u8 = 2;
const WANTED: u8 = 4;
const READY: u8 = 8;

/// A service of s6's.
pub(super) struct S6 {
    dir: ServiceDir,
    given_up: GivenUp,
}

impl S6 {
    /// `given_up` knows what s6's events have told.
    pub fn new(path: PathBuf, given_up: GivenUp) -> S6 {
        S6 { dir: ServiceDir { path, family: Family::S6 }, given_up }
    }

    /// A service whose finish script exits with 125 is given up: it is down and not wanted up any more, by the status exactly
    /// as if its operator had taken it down.
    fn read(&self, bytes: &[u8]) -> Option<Status> {
        let status = parse(bytes)?;
        if status.phase == Phase::Down && !status.wanted && self.given_up.contains(&self.dir.path) {
            return Some(Status { failed: true, wanted: true, word: "failed for good", ..status });
        }
        // Before the first death the exit reads as a clean one.
        let never = status.last_exit == Some(Exit::Code(0)) && !self.has_died();
        Some(if never { Status { last_exit: None, ..status } } else { status })
    }

    /// Since its s6-supervise was started.
    fn has_died(&self) -> bool {
        self.dir.path.join("supervise/death_tally").metadata().is_ok_and(|tally| tally.len() > 0)
    }
}

/// | bytes | |
/// |---|---|
/// | 0–11 | time of the last start or death |
/// | 12–23 | time of being ready |
/// | 24–31 | pid |
/// | 32–39 | process group, only in the long form |
/// | the next two | how it ended last, as a wait status |
/// | the last | flags |
fn parse(bytes: &[u8]) -> Option<Status> {
    let (rest, ended, flags) = match bytes {
        [rest @ .., e, x, flags] if rest.len() == 32 || rest.len() == 40 => (rest, [*e, *x], *flags),
        _ => return None,
    };
    // More flags than these are those of very old releases, in another order.
    if flags >= READY << 1 {
        return None;
    }
    let is = |flag| flags & flag != 0;
    let stamp = Stamp::parse(rest[..12].try_into().ok()?);
    let pid = u64::from_be_bytes(rest[24..32].try_into().ok()?);
    let wanted = is(WANTED);
    let (phase, word) = match pid {
        0 if wanted => (Phase::Starting, "down"),
        // Also with the flag `ready`, which then says that it may be started.
        0 => (Phase::Down, "down"),
        _ if is(FINISHING) => (Phase::Finishing, "finish"),
        _ if is(PAUSED) => (Phase::Paused, "paused"),
        _ if is(READY) => (Phase::Running, "up and ready"),
        _ => (Phase::Running, "up"),
    };
    Some(Status {
        phase,
        wanted,
        failed: false,
        pid: u32::try_from(pid).ok().filter(|pid| *pid != 0 && phase != Phase::Finishing),
        stamp,
        since: (phase != Phase::Paused).then(|| stamp.wall(AHEAD)),
        last_exit: Some(Exit::from_wait_status(u16::from_be_bytes(ended).into())),
        word,
    })
}

impl Supervisor for S6 {
    fn state(&self) -> Result<ControlState, String> {
        self.dir.state(|bytes| self.read(bytes))
    }

    /// As [`super::runit`] does; `r` ends it by the signal that the service asks for in `down-signal`.
    fn tell(&self, order: Order) -> Result<(), String> {
        let status = || self.dir.status(|bytes| self.read(bytes));
        self.dir.send(match order {
            Order::Up => "u",
            Order::Down => "d",
            Order::Restart { by_hand } => match (status()?, by_hand) {
                (Some(Status { pid: Some(_), .. }), true) => "rcu",
                (Some(Status { pid: Some(_), .. }), false) => "rc",
                (_, true) | (Some(Status { failed: true, .. }), _) => "u",
                (_, false) => "",
            },
            Order::Kill => "k",
        })
    }
}

#[cfg(test)]
mod tests;
