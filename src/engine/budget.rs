//! How often a service may be restarted automatically, and how long to wait in between.
//!
//! Times are kept on the clock that never steps, and saved on both: the one for people is of use when the machine has booted
//! in between. So the budget holds across restarts of minder and of the machine, and a clock that is set gives nothing back.

use crate::model::{self, Mono, Now, Wall};
use std::time::Duration;

/// A service counts as well again after at most this long without a rule that asks for a restart.
const CALM_AT_MOST: Duration = Duration::from_secs(60);

/// What the budget says to one more restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// At this time, at the earliest.
    At(Mono),
    /// It is spent.
    Spent,
}

/// What of the budget is used.
#[derive(Debug, Clone, Default)]
pub(super) struct Used {
    /// When, oldest first; the latest is kept even when it has left the window.
    stamps: Vec<(Mono, Wall)>,
    /// How many restarts in a row have not helped.
    pub streak: u32,
    /// Since when no rule asks for a restart.
    calm: Option<Mono>,
    /// Since when the service is given up.
    pub given_up: Option<Wall>,
}

impl Used {
    /// As saved; `same` has the times on the clock that never steps, if that is still the same one. Otherwise a stamp from the
    /// future (the clock was put back) counts as if it were from now.
    pub fn restore(restarts: &[Wall], same: &[Mono], streak: u32, given_up: Option<Wall>, now: Now) -> Used {
        let mono = |wall: &Wall| {
            let age = u64::try_from((now.wall - *wall).as_nanos()).unwrap_or(u64::MAX);
            // Older than the clock itself: it stays longer in the window than it should, never shorter.
            Mono(now.mono.0.saturating_sub(age))
        };
        let known = |i: usize| same.get(i).filter(|_| same.len() == restarts.len()).copied();
        let stamp = |(i, wall): (usize, &Wall)| (known(i).unwrap_or_else(|| mono(wall)).min(now.mono), *wall);
        let mut stamps: Vec<(Mono, Wall)> = restarts.iter().enumerate().map(stamp).collect();
        stamps.sort();
        Used { stamps, streak, calm: None, given_up }
    }

    pub fn saved(&self) -> impl Iterator<Item = (Mono, Wall)> {
        self.stamps.iter().copied()
    }

    /// A person has taken over: a fresh budget.
    pub fn reset(&mut self) {
        *self = Used::default();
    }

    /// How many restarts are in the window now.
    pub fn spent(&self, limit: &model::Budget, now: Mono) -> u32 {
        let within = self.stamps.iter().filter(|(at, _)| now - *at < limit.limit.within).count();
        u32::try_from(within).unwrap_or(u32::MAX)
    }

    /// When the next one may be. The first is at once, then the delay doubles as long as it does not help.
    pub fn next(&mut self, limit: &model::Budget, now: Now) -> Verdict {
        if let Some(calm) = self.calm.take()
            && now.mono - calm >= limit.delay.longest.min(CALM_AT_MOST)
        {
            self.streak = 0;
        }
        if self.given_up.is_some() {
            return Verdict::At(self.last_try(now) + limit.retry.0);
        }
        if self.spent(limit, now.mono) >= limit.limit.count {
            return Verdict::Spent;
        }
        let delay = match self.streak {
            0 => Duration::ZERO,
            n => limit.delay.first.saturating_mul(1 << (n - 1).min(20)).min(limit.delay.longest),
        };
        Verdict::At(now.mono + delay)
    }

    fn last_try(&self, now: Now) -> Mono {
        self.stamps.last().map_or(now.mono, |(at, _)| *at)
    }

    /// One is used.
    pub fn charge(&mut self, limit: &model::Budget, now: Now) {
        self.streak = self.streak.saturating_add(1);
        self.stamps.retain(|(at, _)| now.mono - *at < limit.limit.within);
        self.stamps.push((now.mono, now.wall));
    }

    /// The start itself happens now: the one that was charged counts from here.
    pub fn restamp(&mut self, now: Now) {
        if let Some(last) = self.stamps.last_mut() {
            *last = (now.mono, now.wall);
        }
    }

    /// No rule asks for a restart now.
    pub fn rest(&mut self, now: Mono) {
        if self.streak > 0 {
            self.calm.get_or_insert(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(s: i64) -> Now {
        Now { mono: Mono(u64::try_from(s).unwrap() * 1_000_000_000), wall: Wall(s * 1000) }
    }

    #[test]
    fn at_once_then_growing_delays_then_spent() {
        let limit = model::Budget::default();
        let mut used = Used::default();
        for (at, delay) in [(1000, 0), (1010, 1), (1020, 2), (1030, 4), (1040, 8)] {
            assert_eq!(used.next(&limit, now(at)), Verdict::At(now(at + delay).mono));
            used.charge(&limit, now(at + delay));
        }
        assert_eq!(used.next(&limit, now(1060)), Verdict::Spent);
        // The first has left the window of 15 minutes.
        assert!(matches!(used.next(&limit, now(1901)), Verdict::At(_)));
        used.reset();
        assert_eq!(used.next(&limit, now(1060)), Verdict::At(now(1060).mono));
    }

    #[test]
    fn calm_ends_the_streak_and_not_the_budget() {
        let limit = model::Budget::default();
        let mut used = Used::default();
        used.next(&limit, now(0));
        used.charge(&limit, now(0));
        used.rest(now(5).mono);
        assert_eq!(used.next(&limit, now(20)), Verdict::At(now(21).mono), "calm for 15 s only");
        used.rest(now(30).mono);
        assert_eq!(used.next(&limit, now(90)), Verdict::At(now(90).mono), "calm for a minute");
        assert_eq!(used.spent(&limit, now(90).mono), 1);
    }

    #[test]
    fn a_clock_that_was_put_back_gives_nothing_back() {
        let used = Used::restore(&[Wall(500_000), Wall(900_000_000)], &[], 1, None, now(1000));
        let limit = model::Budget::default();
        assert_eq!(used.spent(&limit, now(1000).mono), 2);
        assert_eq!(used.spent(&limit, now(1500).mono), 1);
    }
}
