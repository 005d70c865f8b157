//! Flapping: a service whose incidents begin and end again and again is told of as one incident.
//!
//! Each begin and each end of an incident weighs 1 when it is new, less and less as it ages, and nothing after `within`: old
//! changes lose their weight step by step, so that it does not flap and cease to flap because one of them falls out of a window. It
//! flaps from the begin of an incident on at which the weights sum up to `start`, until they have fallen to `stop`. In between its
//! incident stays open, whatever it is like meanwhile, and what happens is recorded as ever.
//!
//! | state | what comes | then |
//! |---|---|---|
//! | steady | an incident begins, and the sum is `start` or more | flapping: its firing says so |
//! | flapping, wrong | nothing is wrong any more | flapping, calm: nobody is told |
//! | flapping, calm | something is wrong again | flapping, wrong: nobody is told |
//! | flapping, wrong | the sum has fallen to `stop` | steady: an update says so |
//! | flapping, calm | the sum has fallen to `stop`; it is stopped, or paused | steady: the all-clear says so |

use super::context::Context;
use super::service::ServiceState;
use crate::model::{EventKind, Flapping, Mono, Now, SavedFlap, show_duration};
use std::time::Duration;

/// So many changes are kept, the latest: more than any `start` needs.
const CHANGES_AT_MOST: usize = 100;

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct Flap {
    /// When an incident began or ended, the oldest first.
    changes: Vec<Now>,
    /// Since when it flaps.
    since: Option<Now>,
    /// Nothing is wrong at this moment, though its incident is open.
    calm: bool,
}

/// What becomes of an incident because of how often there were others before it.
pub(super) enum Flaps {
    /// It stays open, and nobody is told of what happens.
    On,
    /// It ends when nothing is wrong any more.
    No,
    /// The same from now on, which is to be said.
    NoMore(String),
}

impl Flap {
    pub fn is_flapping(&self) -> bool {
        self.since.is_some()
    }

    pub fn is_calm(&self) -> bool {
        self.calm
    }

    pub fn saved(&self) -> SavedFlap {
        SavedFlap {
            changes: self.changes.iter().map(|change| change.wall).collect(),
            since: self.since.map(|since| since.wall),
            calm: self.calm,
        }
    }

    pub fn restore(saved: &SavedFlap, now: Now) -> Flap {
        let latest = &saved.changes[saved.changes.len().saturating_sub(CHANGES_AT_MOST)..];
        Flap {
            changes: latest.iter().map(|at| now.earlier(*at)).collect(),
            since: saved.since.map(|at| now.earlier(at)),
            calm: saved.calm,
        }
    }

    fn change(&mut self, limits: Flapping, now: Now) {
        self.changes.retain(|change| now.mono - change.mono < limits.within);
        if self.changes.len() >= CHANGES_AT_MOST {
            self.changes.remove(0);
        }
        self.changes.push(now);
    }

    fn sum(&self, limits: Flapping, now: Mono) -> f64 {
        let within = limits.within.as_secs_f64().max(f64::MIN_POSITIVE);
        let weight = |change: &Now| (1.0 - (now - change.mono).as_secs_f64() / within).max(0.0);
        self.changes.iter().map(weight).sum()
    }

    /// When the sum has fallen to `stop`, if nothing comes. Between two moments at which a change loses its last weight, the sum
    /// falls evenly.
    fn steady_at(&self, limits: Flapping, now: Mono) -> Mono {
        let falls = self.changes.iter().map(|change| change.mono + limits.within);
        let mut from = now;
        for end in falls {
            let (sum, sum_then) = (self.sum(limits, from), self.sum(limits, end));
            if sum_then <= limits.stop && sum > sum_then {
                let part = ((sum - limits.stop) / (sum - sum_then)).clamp(0.0, 1.0);
                return from + (end - from).mul_f64(part) + Duration::from_millis(1);
            }
            from = from.max(end);
        }
        from
    }
}

impl ServiceState {
    /// Something is wrong with it, and was not a moment ago.
    pub fn flaps_to_wrong(&mut self, cx: &mut Context) {
        let Some(limits) = self.plan.flapping else { return };
        self.flap.calm = false;
        self.flap.change(limits, cx.now);
        self.dirty = true;
        if self.flap.since.is_none() && self.flap.sum(limits, cx.now.mono) >= limits.start {
            self.flap.since = Some(cx.now);
            let words = self.flap_words(cx.now.mono);
            let incident = self.incident.as_ref().map(|incident| incident.id);
            cx.event(Some(&self.plan.name), incident, EventKind::Flaps { words });
        }
    }

    /// Looks at its open incident. `over`: nothing is wrong any more.
    pub fn flaps(&mut self, cx: &mut Context, over: bool) -> Flaps {
        let judged = self.is_judged();
        let limits = self.plan.flapping.filter(|_| judged || !over);
        let Some(limits) = limits else {
            // Somebody has stopped it, or the plan asks for no such thing: what was before does not matter any more.
            self.dirty |= self.flap.is_flapping();
            self.end_flapping(cx);
            self.flap = Flap::default();
            return Flaps::No;
        };
        if over && !self.flap.calm {
            self.flap.change(limits, cx.now);
            self.flap.calm = self.flap.is_flapping();
            self.dirty = true;
        }
        if !self.flap.is_flapping() {
            return Flaps::No;
        }
        if !judged || self.flap.sum(limits, cx.now.mono) > limits.stop {
            return Flaps::On;
        }
        let since = self.flap.changes.last().map_or(Duration::ZERO, |last| cx.now.mono - last.mono);
        let so = if over { "well" } else { "wrong" };
        let words = format!("{} flaps no more: it has been {so} for {}", self.plan.name, show_duration(since));
        self.end_flapping(cx);
        Flaps::NoMore(words)
    }

    fn end_flapping(&mut self, cx: &mut Context) {
        self.flap.calm = false;
        if let Some(since) = self.flap.since.take() {
            let after = u64::try_from((cx.now.mono - since.mono).as_millis()).unwrap_or(u64::MAX);
            let incident = self.incident.as_ref().map(|incident| incident.id);
            cx.event(Some(&self.plan.name), incident, EventKind::Steady { after });
            self.dirty = true;
        }
    }

    /// `6 changes in 8 min`.
    pub fn flap_words(&self, now: Mono) -> String {
        let since = self.flap.changes.first().map_or(Duration::ZERO, |first| now - first.mono);
        format!("{} changes in {}", self.flap.changes.len(), show_duration(since))
    }

    /// When it may cease to flap.
    pub fn flap_wake(&self, now: Mono) -> Option<Mono> {
        let limits = self.plan.flapping?;
        (self.flap.is_flapping() && self.is_judged()).then(|| self.flap.steady_at(limits, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Wall;

    const LIMITS: Flapping = Flapping { start: 4.0, stop: 1.5, within: Duration::from_secs(1800) };

    fn flap(minutes: &[u64]) -> Flap {
        let at = |minute: &u64| Now { mono: Mono(minute * 60_000_000_000), wall: Wall(0) };
        Flap { changes: minutes.iter().map(at).collect(), ..Flap::default() }
    }

    #[test]
    fn a_change_weighs_less_and_less() {
        let sum = |minutes: &[u64], at: u64| flap(minutes).sum(LIMITS, Mono(at * 60_000_000_000));
        assert_eq!(sum(&[0], 0), 1.0);
        assert_eq!(sum(&[0], 15), 0.5);
        assert_eq!(sum(&[0], 31), 0.0);
        assert_eq!(sum(&[0, 15, 30], 30), 1.5);
    }

    #[test]
    fn the_time_at_which_it_is_steady_is_the_one_at_which_the_sum_has_fallen() {
        for minutes in [&[0_u64][..], &[0, 0, 1, 1, 2], &[0, 3, 6, 9, 12], &[0, 20, 21, 25, 29], &[]] {
            let (flap, now) = (flap(minutes), Mono(1_800_000_000_000));
            let at = flap.steady_at(LIMITS, now);
            assert!(flap.sum(LIMITS, at) <= LIMITS.stop, "{minutes:?}");
            let before = Mono(at.0.saturating_sub(1_000_000_000)).max(now);
            assert!(before == now || flap.sum(LIMITS, before) > LIMITS.stop, "{minutes:?}: not too late");
        }
    }
}
