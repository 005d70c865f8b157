//! When what is due: one heap of times, and the rhythm of each check.
//!
//! Checks of processes are asked on the ticks of a common grid (multiples of `every`), so that those with the same rhythm come
//! in one pass over `/proc`. All others are spread over their interval by a hash of their name, so that a hundred HTTP checks
//! do not knock at one moment. At the start everything is asked at once.

use crate::model::{CheckId, Mono};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// What a time in the heap is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A check is to be asked, or its answer has not come.
    Check(CheckId),
    /// Something of the service at this place has a deadline.
    Service(usize),
    /// The brake is to be looked at.
    Brake,
    /// The outbox has something to do.
    Outbox,
}

/// How often a change of a file is answered by a question.
const TOUCHED_EACH: Duration = Duration::from_millis(100);

/// Each time that it was asked so often, the selector is asked, not the process that is known. A death and a change of the
/// pidfile are told, and lead to the selector at once: this is for what was not told, and costs some ten times as much.
const SELECTOR_EVERY: u32 = 64;

/// No time at all.
pub(super) const NEVER: Mono = Mono(u64::MAX);

/// The heap. Whoever puts a time in remembers the earliest one; entries that are no longer meant are ignored as they come up,
/// which is cheaper than finding them.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    heap: BinaryHeap<Reverse<(Mono, Timer)>>,
}

impl Schedule {
    pub fn push(&mut self, at: Mono, timer: Timer) {
        self.heap.push(Reverse((at, timer)));
    }
    pub fn next(&self) -> Option<Mono> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }
    pub fn pop_due(&mut self, now: Mono) -> Option<(Mono, Timer)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }
    pub fn clear(&mut self) {
        self.heap.clear();
    }
}

/// The rhythm of one check, and whether its question is in flight. There is never more than one.
#[derive(Debug, Clone)]
pub(super) struct Rhythm {
    every: u64,
    offset: u64,
    /// So late, an answer does not come any more.
    lost_after: Duration,
    due: Mono,
    /// The entry in the heap that is meant; [`NEVER`] if there is none.
    timer: Mono,
    in_flight: Option<Mono>,
    /// Ask once more when the answer is there, not before this: it may be older than what has happened.
    again: Option<Mono>,
    /// Someone waits for the answer.
    urgent: bool,
    /// Ask the selector, not the process.
    fresh: bool,
    /// How often, and when last.
    asked: u32,
    last: Mono,
    /// When the last question was asked that has an answer.
    heard: Option<Mono>,
}

/// How a question is to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Manner {
    pub urgent: bool,
    /// Ask the selector, not the process that is known: after a death, after a change of the pidfile, and every so often.
    pub fresh: bool,
}

impl Rhythm {
    /// Due at once. `phase` spreads checks over their interval; 0 puts them on the common grid.
    /// `turn` spreads the looks at selectors: checks on the grid do not all have theirs at the same tick.
    pub fn new(every: Duration, timeout: Duration, phase: u64, turn: u64, now: Mono) -> Rhythm {
        let nanos = u64::try_from(every.as_nanos()).unwrap_or(u64::MAX).max(1_000_000);
        Rhythm {
            every: nanos,
            offset: phase % nanos,
            lost_after: timeout * 2 + every,
            due: now,
            timer: NEVER,
            in_flight: None,
            again: None,
            last: Mono(0),
            heard: None,
            urgent: false,
            fresh: false,
            asked: (turn % u64::from(SELECTOR_EVERY)) as u32,
        }
    }

    /// The same check in a new rhythm: a question that is in flight stays so.
    pub fn changed(fresh: Rhythm, old: &Rhythm) -> Rhythm {
        Rhythm {
            in_flight: old.in_flight,
            again: old.again,
            urgent: old.urgent,
            fresh: old.fresh,
            heard: old.heard,
            ..fresh
        }
    }

    /// The first tick after `now`.
    fn tick_after(&self, now: Mono) -> Mono {
        let passed = now.0.saturating_sub(self.offset) / self.every;
        let tick = self.offset.saturating_add(passed.saturating_mul(self.every));
        Mono(if tick > now.0 { tick } else { tick.saturating_add(self.every) })
    }

    /// It shall be asked at `at` at the latest, and before others. If a question is in flight, after its answer.
    pub fn hurry(&mut self, at: Mono, fresh: bool) {
        self.urgent = true;
        self.fresh |= fresh;
        match self.in_flight {
            Some(_) => self.again = Some(self.again.map_or(at, |again| again.min(at))),
            None => self.due = self.due.min(at),
        }
    }

    /// What it looks at has changed: asked at once, but a file that changes all the time does not keep us busy.
    pub fn touched(&mut self, now: Mono) {
        self.hurry(now.max(self.last + TOUCHED_EACH), true);
    }

    /// How long ago it was to be asked.
    pub fn overdue(&self, now: Mono) -> Duration {
        now - self.due
    }

    /// Others wait for its answer: asked at once, but not more often than this because of them.
    pub fn hurry_for_others(&mut self, now: Mono, each: Duration) {
        self.hurry(now.max(self.last + each), false);
    }

    /// Whether a question that was asked then, or later, has its answer.
    pub fn heard_since(&self, since: Mono) -> bool {
        self.heard.is_some_and(|heard| heard >= since)
    }

    /// If it is time to ask: how. The question is then in flight.
    pub fn ask(&mut self, now: Mono) -> Option<Manner> {
        match self.in_flight {
            Some(asked) if now - asked < self.lost_after => return None,
            None if now < self.due => return None,
            _ => {}
        }
        let manner = Manner { urgent: self.urgent, fresh: self.fresh || self.asked.is_multiple_of(SELECTOR_EVERY) };
        self.asked = self.asked.wrapping_add(1);
        self.in_flight = Some(now);
        (self.again, self.urgent, self.fresh) = (None, false, false);
        self.last = now;
        self.due = self.tick_after(now);
        Some(manner)
    }

    /// Its answer is there.
    pub fn answered(&mut self, now: Mono) {
        self.heard = self.in_flight.take().or(self.heard);
        let tick = self.tick_after(now);
        self.due = self.again.take().map_or(tick, |again| tick.min(again.max(now)));
    }

    /// When it wants to be looked at next, if the heap does not know that yet.
    pub fn arm(&mut self) -> Option<Mono> {
        (self.due < self.timer).then(|| {
            self.timer = self.due;
            self.due
        })
    }

    /// An entry of the heap has come up: whether it is the one that is meant.
    pub fn came_up(&mut self, at: Mono, now: Mono) -> bool {
        if at != self.timer {
            return false;
        }
        self.timer = NEVER;
        // Still in flight at its next tick: look again when the answer counts as lost.
        if let Some(asked) = self.in_flight
            && now - asked < self.lost_after
        {
            self.due = asked + self.lost_after;
        }
        true
    }

    /// The heap was emptied.
    pub fn disarm(&mut self) {
        self.timer = NEVER;
    }
}

/// FNV-1a: spreads names, the same on every machine and in every run.
pub(super) fn phase(service: &str, check: &str) -> u64 {
    let bytes = service.bytes().chain([0]).chain(check.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    fn at(ms: u64) -> Mono {
        Mono(ms * 1_000_000)
    }
    fn rhythm(phase: u64) -> Rhythm {
        Rhythm::new(Duration::from_secs(10), Duration::from_secs(5), phase, 0, at(1_003))
    }

    #[test]
    fn asked_at_once_then_on_the_grid() {
        let mut r = rhythm(0);
        assert!(r.ask(at(1_003)).is_some());
        r.answered(at(1_010));
        assert_eq!(r.arm(), Some(at(10_000)));
        assert_eq!(r.ask(at(9_999)), None);
        assert!(r.ask(at(10_000)).is_some());
        let mut spread = rhythm(3 * SECOND);
        spread.ask(at(1_003));
        spread.answered(at(1_010));
        assert_eq!(spread.arm(), Some(at(3_000)));
    }

    #[test]
    fn one_question_in_flight_and_a_lost_one_is_asked_again() {
        let mut r = rhythm(0);
        r.ask(at(1_003));
        r.hurry(at(1_004), true);
        assert_eq!(r.ask(at(1_004)), None, "in flight");
        assert_eq!(r.arm(), Some(at(10_000)));
        assert!(r.came_up(at(10_000), at(10_000)));
        assert_eq!(r.ask(at(10_000)), None, "still in flight");
        assert_eq!(r.arm(), Some(at(21_003)), "2 x timeout + every after it was asked");
        assert!(r.ask(at(21_003)).is_some());
    }

    #[test]
    fn what_happened_meanwhile_is_asked_right_after_the_answer() {
        let mut r = rhythm(0);
        r.ask(at(1_003));
        r.hurry(at(1_004), true);
        r.answered(at(1_005));
        assert_eq!(r.ask(at(1_005)), Some(Manner { urgent: true, fresh: true }));
        r.answered(at(1_006));
        assert_eq!(r.ask(at(1_006)), None);
        assert_eq!(r.ask(at(10_000)), Some(Manner { urgent: false, fresh: false }));
    }

    #[test]
    fn a_file_that_changes_all_the_time_is_not_asked_all_the_time() {
        let mut r = rhythm(0);
        let mut asked = 0;
        for ms in 1_003..2_003 {
            r.touched(at(ms));
            asked += u32::from(r.ask(at(ms)).is_some());
            r.answered(at(ms));
        }
        assert_eq!(asked, 10);
    }

    #[test]
    fn the_selector_is_asked_every_so_often_and_not_of_all_at_once() {
        let asked_fresh = |turn| {
            let mut r = Rhythm::new(Duration::from_secs(10), Duration::from_secs(5), 0, turn, at(0));
            let fresh = |i: u32| {
                let now = at(u64::from(i) * 10_000);
                let manner = r.ask(now).unwrap();
                r.answered(now);
                manner.fresh
            };
            let fresh: Vec<bool> = (0..3 * SELECTOR_EVERY).map(fresh).collect();
            fresh.iter().enumerate().filter(|(_, fresh)| **fresh).map(|(i, _)| i).collect::<Vec<_>>()
        };
        assert_eq!(asked_fresh(0), [0, 64, 128]);
        assert_eq!(asked_fresh(7), [57, 121, 185]);
    }

    #[test]
    fn a_late_answer_skips_the_ticks_that_have_passed() {
        let mut r = rhythm(0);
        r.ask(at(1_003));
        r.answered(at(14_000));
        assert_eq!(r.arm(), Some(at(20_000)));
    }
}
