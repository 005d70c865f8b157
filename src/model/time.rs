//! Time is passed in. Decisions use [`Mono`], people are shown [`Wall`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ops::{Add, Sub};
use std::time::Duration;

/// Nanoseconds of `CLOCK_MONOTONIC`: never steps, and stands still while the machine sleeps, so that
/// neither a stepped clock nor a suspended machine can complete a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mono(pub u64);

impl Add<Duration> for Mono {
    type Output = Mono;
    fn add(self, by: Duration) -> Mono {
        Mono(self.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Mono> for Mono {
    type Output = Duration;
    /// How long after `earlier`; zero if it is not.
    fn sub(self, earlier: Mono) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Milliseconds since 1970-01-01 UTC, for people, records and messages; never for holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Wall(pub i64);

impl Add<Duration> for Wall {
    type Output = Wall;
    fn add(self, by: Duration) -> Wall {
        Wall(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Wall> for Wall {
    type Output = Duration;
    /// How long after `earlier`; zero if it is not (the wall clock may step back).
    fn sub(self, earlier: Wall) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// Both clocks, read at the same moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// For decisions.
    pub mono: Mono,
    /// For people.
    pub wall: Wall,
}

impl Now {
    /// A moment of which only the time for people is known, as it is of what was saved: as long ago by both clocks.
    pub fn earlier(self, wall: Wall) -> Now {
        let ago = u64::try_from((self.wall - wall).as_nanos()).unwrap_or(u64::MAX);
        Now { mono: Mono(self.mono.0.saturating_sub(ago)), wall }
    }
}

/// Where time comes from. Only `daemon/clock.rs` implements it for the real clock.
pub trait Clock: Send + Sync {
    /// Both clocks, now.
    fn now(&self) -> Now;
}
