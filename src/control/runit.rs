//! runit: runsv writes 20 bytes of status.

use super::service_dir::{Family, ServiceDir, Stamp, Status};
use super::supervisor::{Order, Supervisor};
use crate::model::{ControlState, Phase};
use std::path::PathBuf;

/// How far the labels of runit's time are ahead of 1970, in seconds.
const AHEAD: u64 = 10;

/// A service of runit's.
pub(super) struct Runit(ServiceDir);

impl Runit {
    pub fn new(path: PathBuf) -> Runit {
        Runit(ServiceDir { path, family: Family::Runit })
    }
}

/// | bytes | |
/// |---|---|
/// | 0–11 | time of the last change |
/// | 12–15 | pid, the least significant byte first |
/// | 16 | it is paused |
/// | 17 | `u` wanted up, `d` down |
/// | 18 | TERM was sent, and it still runs |
/// | 19 | 0 down, 1 runs, 2 its finish script runs |
fn parse(bytes: &[u8]) -> Option<Status> {
    let bytes: &[u8; 20] = bytes.try_into().ok()?;
    let [stamp @ .., p, i, d, s, paused, wanted, terminating, step] = bytes;
    let stamp = Stamp::parse(*stamp);
    let wanted = *wanted == b'u';
    let (phase, word) = match step {
        0 if wanted => (Phase::Starting, "down"),
        0 => (Phase::Down, "down"),
        1 if *paused == 1 => (Phase::Paused, "paused"),
        1 if *terminating == 1 => (Phase::Stopping, "run, got TERM"),
        1 => (Phase::Running, "run"),
        2 => (Phase::Finishing, "finish"),
        _ => return None,
    };
    // In any other phase the time is that of the run's start.
    let is_since = matches!(phase, Phase::Running | Phase::Down | Phase::Starting);
    Some(Status {
        phase,
        wanted,
        failed: false,
        // Else it is the finish script's.
        pid: Some(u32::from_le_bytes([*p, *i, *d, *s])).filter(|pid| *step == 1 && *pid != 0),
        stamp,
        since: is_since.then(|| stamp.wall(AHEAD)),
        last_exit: None,
        word,
    })
}

impl Supervisor for Runit {
    fn state(&self) -> Result<ControlState, String> {
        self.0.state(parse)
    }

    /// A restart is `t`: it ends the process, and runsv, which wants it up, starts it again. The `u` that `sv restart` sends as
    /// well would start what an operator has taken down; without it that cannot happen, even if it is taken down this very
    /// moment. A person who asks means it up, and runsv has the last word from this `u`, even if it has a `d` from just before.
    fn tell(&self, order: Order) -> Result<(), String> {
        let runs = || Ok::<_, String>(self.0.status(parse)?.is_some_and(|status| status.pid.is_some()));
        self.0.send(match order {
            Order::Up => "u",
            // A paused one takes the signal only when it goes on.
            Order::Down => "dc",
            Order::Restart { by_hand } => match (runs()?, by_hand) {
                (true, true) => "tcu",
                (true, false) => "tc",
                (false, true) => "u",
                (false, false) => "",
            },
            Order::Kill => "k",
        })
    }
}

#[cfg(test)]
mod tests;
