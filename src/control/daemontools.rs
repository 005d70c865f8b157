//! daemontools: supervise writes 18 bytes of status, and that of daemontools-encore 20, or 40 with those of its log.

use super::service_dir::{Family, ServiceDir, Stamp, Status};
use super::supervisor::{Order, Supervisor};
use crate::model::{ControlState, Phase};
use std::path::PathBuf;

/// How far the labels of daemontools' time are ahead of 1970, in seconds.
const AHEAD: u64 = 10;

/// What byte 18 says, with daemontools-encore.
const ENCORE: [Encore; 6] =
    [Encore::Stopped, Encore::Starting, Encore::Started, Encore::Running, Encore::Stopping, Encore::Failed];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encore {
    /// With a pid: that of its `stop`.
    Stopped,
    /// With a pid: that of its `start`.
    Starting,
    /// Its `start` has done all there is to do.
    Started,
    Running,
    Stopping,
    /// Its `start` has failed, or its `run` exited with 100: it is not started again.
    Failed,
}

/// A service of daemontools'.
pub(super) struct Daemontools(ServiceDir);

impl Daemontools {
    pub fn new(path: PathBuf) -> Daemontools {
        Daemontools(ServiceDir { path, family: Family::Daemontools })
    }
}

/// | bytes | |
/// |---|---|
/// | 0–11 | time of the last start or death |
/// | 12–15 | pid, the least significant byte first |
/// | 16 | it is paused |
/// | 17 | `u` wanted up, `d` down, 0 only once |
/// | 18 | what goes on, see [`ENCORE`]; not with daemontools itself |
/// | 19 | 0 |
fn parse(bytes: &[u8]) -> Option<Status> {
    let (stamp, rest) = bytes.split_first_chunk::<12>()?;
    let (pid, rest) = rest.split_first_chunk::<4>()?;
    let (paused, wanted, encore) = match rest {
        [paused, wanted] => (*paused == 1, *wanted, None),
        // The log's follows.
        [paused, wanted, encore, 0, log @ ..] if log.is_empty() || log.len() == 20 => {
            (*paused == 1, *wanted, Some(*ENCORE.get(usize::from(*encore))?))
        }
        _ => return None,
    };
    let stamp = Stamp::parse(*stamp);
    let pid = u32::from_le_bytes(*pid);
    let failed = encore == Some(Encore::Failed);
    let (phase, word) = match (encore, pid) {
        (Some(Encore::Failed), _) => (Phase::Down, "failed"),
        (Some(Encore::Started), 0) => (Phase::Running, "started"),
        (Some(Encore::Starting), 1..) => (Phase::Starting, "starting"),
        (Some(Encore::Stopped), 1..) => (Phase::Finishing, "stopping"),
        (_, 0) if wanted == b'u' => (Phase::Starting, "down"),
        (_, 0) => (Phase::Down, "down"),
        _ if paused => (Phase::Paused, "paused"),
        // `d` to what runs is TERM.
        _ if wanted == b'd' => (Phase::Stopping, "up, got TERM"),
        _ => (Phase::Running, "up"),
    };
    let is_its_own = !matches!(encore, Some(Encore::Starting | Encore::Stopped | Encore::Failed));
    // A supervisor that gives up wants it no longer, but its operator does; nor has he taken down what has nothing to run.
    let wanted = wanted == b'u' || failed || encore == Some(Encore::Started);
    Some(Status {
        phase,
        wanted,
        failed,
        pid: Some(pid).filter(|pid| *pid != 0 && is_its_own),
        stamp,
        since: (!matches!(phase, Phase::Paused | Phase::Stopping)).then(|| stamp.wall(AHEAD)),
        last_exit: None,
        word,
    })
}

impl Supervisor for Daemontools {
    fn state(&self) -> Result<ControlState, String> {
        self.0.state(parse)
    }

    /// As [`super::runit`] does. supervise takes orders only a second after it has started something.
    fn tell(&self, order: Order) -> Result<(), String> {
        self.0.send(match order {
            Order::Up => "u",
            Order::Down => "d",
            Order::Restart { by_hand } => match (self.0.status(parse)?, by_hand) {
                (Some(Status { pid: Some(_), .. }), true) => "tcu",
                (Some(Status { pid: Some(_), .. }), false) => "tc",
                (_, true) | (Some(Status { failed: true, .. }), _) => "u",
                (_, false) => "",
            },
            Order::Kill => "k",
        })
    }
}

#[cfg(test)]
mod tests;
