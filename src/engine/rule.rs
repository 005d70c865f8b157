//! The state of one rule: inactive, pending, firing; and its holds.
//!
//! | state | `when` becomes true | stays true until the hold is complete | false | unknown |
//! |---|---|---|---|---|
//! | inactive | pending, or firing without a hold | | | |
//! | pending | | firing | inactive | a duration pauses, a count ignores it |
//! | firing | | | inactive (with `until`: when that holds) | |

use super::each::Crowd;
use crate::model::{Check, Condition, Hold, Mono, Now, Rule, SavedReading, SavedRule, Subject, Term, Truth, Wall};
use std::collections::VecDeque;
use std::time::Duration;

/// How much longer a hold has become when it is saved again: what a `kill -9` of minder may cost it.
const SAVE_HOLD_EVERY: Duration = Duration::from_secs(10);

/// How far a hold has come.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress {
    /// How long it was true, all in all.
    pub held: Duration,
    /// When it was last seen true, if nothing else was seen since.
    last: Option<Mono>,
    /// Of a count hold: the last samples, and how many of them were bad.
    ring: VecDeque<bool>,
    bad: u16,
}

impl Progress {
    /// What was held so far.
    pub fn resumed(held: Duration, samples: &[bool]) -> Progress {
        let bad = samples.iter().filter(|bad| **bad).count();
        let bad = u16::try_from(bad).unwrap_or(u16::MAX);
        Progress { held, last: None, ring: samples.iter().copied().collect(), bad }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.held = Duration::ZERO;
        self.last = None;
        self.ring.clear();
        self.bad = 0;
    }

    /// Takes in what is true now; whether the hold is complete.
    ///
    /// A duration grows only between two evaluations that are both true and no further apart than `gap`: neither time in which
    /// nobody looked nor a suspended machine completes a hold. `counts` is whether this is a sample of the check whose samples
    /// are counted.
    pub fn step(&mut self, hold: Hold, truth: Truth, now: Mono, gap: Duration, counts: bool) -> bool {
        match (hold, truth) {
            (Hold::None, _) => truth == Truth::True,
            (Hold::For(_), Truth::Unknown) => {
                self.last = None;
                false
            }
            (Hold::For(_), Truth::False) => {
                self.clear();
                false
            }
            (Hold::For(span), Truth::True) => {
                if let Some(passed) = self.last.map(|last| now - last)
                    && passed <= gap
                {
                    self.held += passed;
                }
                self.last = Some(now);
                self.held >= span
            }
            (Hold::Count { .. }, Truth::Unknown) => false,
            (Hold::Count { .. }, _) if !counts => false,
            (Hold::Count { bad, of }, truth) => {
                let is_bad = truth == Truth::True;
                self.ring.push_back(is_bad);
                self.bad += u16::from(is_bad);
                if self.ring.len() > usize::from(of) && self.ring.pop_front() == Some(true) {
                    self.bad -= 1;
                }
                is_bad && self.bad >= bad
            }
        }
    }

    /// Whether it has begun.
    pub fn has_begun(&self) -> bool {
        self.bad > 0 || self.last.is_some() || !self.held.is_zero()
    }

    /// How far it has come, from 0 to 1.
    pub fn share(&self, hold: Hold) -> f64 {
        match hold {
            Hold::None => 1.0,
            Hold::For(span) if span.is_zero() => 1.0,
            Hold::For(span) => (self.held.as_secs_f64() / span.as_secs_f64()).min(1.0),
            Hold::Count { bad, .. } => (f64::from(self.bad) / f64::from(bad.max(1))).min(1.0),
        }
    }
}

/// What a rule's state is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Inactive,
    Pending { since: Wall },
    Firing { since: Wall },
}

/// What has become of a rule in one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    None,
    Fired,
    /// It had fired since then.
    Resolved(Wall),
}

/// See the head of this file.
#[derive(Debug)]
pub(super) struct RuleTrack {
    /// The rule in canonical words: one that reads differently begins anew.
    pub text: String,
    pub phase: Phase,
    pub hold: Progress,
    pub recovery: Progress,
    /// The values at its firing.
    pub value: String,
    /// For each `changed(..)`, what it was when last looked at.
    pub baselines: Vec<Option<SavedReading>>,
    /// How far the hold under way had come when it was last saved, and when that was.
    saved: (Duration, Mono),
    /// The places of the checks in `when` and `until`.
    when: Vec<usize>,
    until: Vec<usize>,
    /// How far apart two looks at `when` may be.
    pub gap: Duration,
    /// It judges each process by itself: this has their states, and its own is the sum of them.
    pub crowd: Option<Box<Crowd>>,
}

/// A rule in canonical words, with everything that decides when it fires.
pub(super) fn canonical(rule: &Rule) -> String {
    let mut text = condition_words(rule);
    if let Some((until, hold)) = &rule.until {
        text = format!("{text} until {until} {hold}");
    }
    text
}

/// Its condition and its hold, as the language writes them.
pub(super) fn condition_words(rule: &Rule) -> String {
    match rule.hold {
        Hold::None => rule.when.to_string(),
        hold => format!("{} for {hold}", rule.when),
    }
}

impl RuleTrack {
    pub fn new(rule: &Rule, checks: &[Check]) -> RuleTrack {
        let mut track = RuleTrack {
            text: canonical(rule),
            phase: Phase::Inactive,
            hold: Progress::default(),
            recovery: Progress::default(),
            value: String::new(),
            baselines: Vec::new(),
            saved: (Duration::ZERO, Mono(0)),
            when: Vec::new(),
            until: Vec::new(),
            gap: Duration::ZERO,
            crowd: None,
        };
        track.learn(rule, checks);
        track
    }

    /// Of the same rule for one process.
    pub fn of_one(&self) -> RuleTrack {
        RuleTrack {
            text: String::new(),
            phase: Phase::Inactive,
            hold: Progress::default(),
            recovery: Progress::default(),
            value: String::new(),
            baselines: Vec::new(),
            saved: (Duration::ZERO, Mono(0)),
            when: self.when.clone(),
            until: self.until.clone(),
            gap: self.gap,
            crowd: None,
        }
    }

    /// Notes which checks it looks at. Called again when a new plan has put them in other places.
    pub fn learn(&mut self, rule: &Rule, checks: &[Check]) {
        let mut changed = 0;
        let mut places = |condition: &Condition| {
            let mut places = Vec::new();
            condition.each(&mut |comparison| {
                changed += usize::from(matches!(comparison.term, Term::Changed(_)));
                let place = usize::from(comparison.term.metric().check);
                if !places.contains(&place) {
                    places.push(place);
                }
            });
            places
        };
        self.when = places(&rule.when);
        self.until = rule.until.as_ref().map(|(until, _)| places(until)).unwrap_or_default();
        self.baselines.resize(changed, None);
        let looked_at = self.when.iter().chain(&self.until).filter_map(|place| checks.get(*place));
        self.gap = looked_at.map(Check::stale_after).max().unwrap_or_default();
        let crowd = self.crowd.take();
        if let Some(check) = Crowd::of(rule, checks) {
            let mut crowd = crowd.unwrap_or_default();
            crowd.learn(check, self);
            self.crowd = Some(crowd);
        }
    }

    /// Takes the places of the checks over from the track of its rule.
    pub fn learn_from(&mut self, rule: &RuleTrack) {
        (self.when, self.until, self.gap) = (rule.when.clone(), rule.until.clone(), rule.gap);
    }

    /// Goes on as it was before minder ended.
    pub fn restore(&mut self, saved: &SavedRule) {
        let progress = Progress::resumed(Duration::from_millis(saved.held), &saved.samples);
        self.saved.0 = progress.held;
        if saved.firing {
            (self.phase, self.recovery) = (Phase::Firing { since: saved.since }, progress);
        } else {
            (self.phase, self.hold) = (Phase::Pending { since: saved.since }, progress);
        }
        self.value.clone_from(&saved.value);
        if let Some(mut crowd) = self.crowd.take() {
            crowd.restore(&saved.each, self);
            self.crowd = Some(crowd);
        }
    }

    pub fn saved(&self) -> Option<SavedRule> {
        let (firing, since) = match self.phase {
            Phase::Inactive => return None,
            Phase::Pending { since } => (false, since),
            Phase::Firing { since } => (true, since),
        };
        let progress = self.under_way();
        let held = u64::try_from(progress.held.as_millis()).unwrap_or(u64::MAX);
        let samples = progress.ring.iter().copied().collect();
        let each = self.crowd.as_ref().map(|crowd| crowd.saved()).unwrap_or_default();
        Some(SavedRule { text: self.text.clone(), firing, since, held, samples, value: self.value.clone(), each })
    }

    /// Each firing: since when, and of which process, if it judges each by itself.
    pub fn firings(&self) -> Vec<(Wall, Option<Subject>)> {
        match (&self.crowd, self.phase) {
            (Some(crowd), _) => crowd.firings(),
            (None, Phase::Firing { since }) => vec![(since, None)],
            (None, _) => Vec::new(),
        }
    }

    /// The hold that decides next.
    fn under_way(&self) -> &Progress {
        if self.is_firing() { &self.recovery } else { &self.hold }
    }

    /// Whether the hold under way has come so far since it was last saved that it is to be saved again.
    pub fn has_come_far(&mut self, now: Mono) -> bool {
        let progress = self.under_way();
        let (held, counts) = (progress.held, progress.bad > 0);
        let (saved, at) = self.saved;
        let far = held >= saved + SAVE_HOLD_EVERY || held < saved || counts && now >= at + SAVE_HOLD_EVERY;
        if far {
            self.saved = (held, now);
        }
        far
    }

    pub fn is_firing(&self) -> bool {
        matches!(self.phase, Phase::Firing { .. })
    }

    /// Whether a sample of the check at `place` says anything about its state.
    pub fn looks_at(&self, place: usize) -> bool {
        if self.is_firing() && !self.until.is_empty() {
            self.until.contains(&place)
        } else {
            self.when.contains(&place)
        }
    }

    /// Takes in what `when` and `until` say now. `counts` as in [`Progress::step`].
    pub fn step(&mut self, rule: &Rule, when: Truth, until: Truth, now: Now, counts: bool) -> Turn {
        if let Phase::Firing { since } = self.phase {
            let over = match &rule.until {
                Some((_, hold)) => self.recovery.step(*hold, until, now.mono, self.gap, counts),
                None => when == Truth::False,
            };
            if over {
                self.reset();
            }
            return if over { Turn::Resolved(since) } else { Turn::None };
        }
        if self.hold.step(rule.hold, when, now.mono, self.gap, counts) {
            self.phase = Phase::Firing { since: now.wall };
            self.recovery.clear();
            return Turn::Fired;
        }
        self.phase = match self.phase {
            _ if !self.hold.has_begun() => Phase::Inactive,
            Phase::Inactive => Phase::Pending { since: now.wall },
            phase => phase,
        };
        Turn::None
    }

    /// Inactive, and nothing held.
    pub fn reset(&mut self) {
        self.phase = Phase::Inactive;
        self.hold.clear();
        self.recovery.clear();
        if let Some(crowd) = &mut self.crowd {
            crowd.clear();
        }
    }

    /// Its holds begin anew; a firing rule stays firing.
    pub fn begin_anew(&mut self) {
        self.recovery.clear();
        self.hold.clear();
        if !self.is_firing() {
            self.phase = Phase::Inactive;
        }
        if let Some(crowd) = &mut self.crowd {
            crowd.begin_anew();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(s: u64) -> Mono {
        Mono(s * 1_000_000_000)
    }
    const GAP: Duration = Duration::from_secs(25);

    /// (time, truth, whether the hold is complete)
    fn table(hold: Hold, rows: &[(u64, Truth, bool)]) {
        let mut progress = Progress::default();
        for (s, truth, complete) in rows {
            assert_eq!(progress.step(hold, *truth, second(*s), GAP, true), *complete, "at {s} s");
        }
    }
    use Truth::{False, True, Unknown};

    #[test]
    fn a_duration_grows_between_true_and_true() {
        let hold = Hold::For(Duration::from_secs(30));
        table(hold, &[(0, True, false), (10, True, false), (20, True, false), (30, True, true)]);
        table(hold, &[(0, True, false), (10, True, false), (20, False, false), (30, True, false), (50, True, false)]);
        // 10 s held, then unknown from 10 to 30: the rest is counted from there.
        table(hold, &[(0, True, false), (10, True, false), (20, Unknown, false), (30, True, false), (50, True, true)]);
        // Nobody looked for an hour.
        table(hold, &[(0, True, false), (3600, True, false), (3610, True, false), (3630, True, true)]);
    }

    #[test]
    fn a_count_counts_samples_that_say_something() {
        let hold = Hold::Count { bad: 3, of: 5 };
        table(hold, &[(0, True, false), (1, True, false), (2, Unknown, false), (3, False, false), (4, True, true)]);
        // The first bad one has left the ring.
        let rows = [
            (0, True, false),
            (1, False, false),
            (2, True, false),
            (3, False, false),
            (4, False, false),
            (5, True, false),
        ];
        table(hold, &rows);
    }
}
