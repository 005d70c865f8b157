//! The real clock: the one place in minder that reads one.

use crate::model::{Clock, Mono, Now, Wall};
use rustix::time::{ClockId, clock_gettime};

/// `CLOCK_MONOTONIC` for decisions (it stands still while the machine sleeps), `CLOCK_REALTIME` for people.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealClock;

impl Clock for RealClock {
    fn now(&self) -> Now {
        let mono = clock_gettime(ClockId::Monotonic);
        let wall = clock_gettime(ClockId::Realtime);
        let nanos = |seconds: i64, nanos: i64| {
            u64::try_from(seconds).unwrap_or(0) * 1_000_000_000 + u64::try_from(nanos).unwrap_or(0)
        };
        Now {
            mono: Mono(nanos(mono.tv_sec, mono.tv_nsec)),
            wall: Wall(wall.tv_sec.saturating_mul(1000).saturating_add(wall.tv_nsec / 1_000_000)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_run() {
        let first = RealClock.now();
        let second = RealClock.now();
        assert!(second.mono >= first.mono);
        assert!(first.wall.0 > 1_700_000_000_000, "milliseconds since 1970");
    }
}
