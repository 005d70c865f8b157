//! The real clock: the one place in minder that reads one.

use crate::model::{Clock, Mono, Now, Wall};
use rustix::time::{ClockId, clock_gettime};
use std::time::{SystemTime, UNIX_EPOCH};

/// `CLOCK_MONOTONIC` for decisions (it stands still while the machine sleeps), `CLOCK_REALTIME` for people.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealClock;

impl Clock for RealClock {
    fn now(&self) -> Now {
        let mono = clock_gettime(ClockId::Monotonic);
        let nanos = |seconds: i64, nanos: i64| {
            u64::try_from(seconds).unwrap_or(0) * 1_000_000_000 + u64::try_from(nanos).unwrap_or(0)
        };
        // By way of the C library, so that the tests can set this clock alone: libfaketime stands in for it.
        #[allow(clippy::disallowed_methods, reason = "this is the clock")]
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now {
            mono: Mono(nanos(mono.tv_sec, mono.tv_nsec)),
            wall: Wall(i64::try_from(wall.as_millis()).unwrap_or(i64::MAX)),
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
