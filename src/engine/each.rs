//! Rules that judge each process by itself: one whose condition names a metric of each of many processes has a state, a hold
//! and a recovery for every one of them, and each process that it fires for is a firing of its own, which names it.
//!
//! Memory is taken only by processes for which the rule is not inactive. The rule itself is firing while it is for one of them,
//! so that the status of its service, its incident and its messages come of it as of any other rule.
//!
//! | the look at processes says | a pending one | a firing one |
//! |---|---|---|
//! | its condition is false | forgotten | resolved (with `until`: when that holds) |
//! | it is not among them any more | forgotten | resolved: the process has ended |
//! | nothing: it failed | a duration pauses, a count ignores it | stays |

use super::context::Context;
use super::rule::{Phase, RuleTrack, Turn, condition_words};
use super::service::ServiceState;
use super::truth::{View, value_words};
use crate::model::{
    Aim, Check, Condition, Each, EventKind, Found, Hold, Identity, Limit, Mono, Op, Reading, Rule, SavedRule, Severity,
    StoryRule, Subject, Test, Truth, Wall,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Processes that one rule is pending or firing for, at most.
const MOST: usize = 1000;
/// Actions for single processes that are under way in one service, at most.
const SCRIPTS_AT_MOST: usize = 1000;
/// So many of the worst are named where there is no room for all.
const NAMED: usize = 5;
/// Processes that join an open incident are told of together, no more often than this.
const TOLD_EVERY: Duration = Duration::from_secs(5 * 60);

/// The processes that a rule is pending or firing for.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    /// The place of the check that finds them.
    check: usize,
    ones: BTreeMap<Identity, One>,
    /// That there are more was said.
    said_full: bool,
    /// When people are told of the latest firing, or were.
    told: Option<Mono>,
}

/// One of them.
#[derive(Debug)]
struct One {
    who: Subject,
    track: RuleTrack,
    /// The values at its firing, with their limits.
    limits: String,
    /// Orders them by how bad they are.
    badness: f64,
}

/// How a process is named.
pub(super) fn subject(each: &Each) -> Subject {
    Subject { identity: each.identity, name: each.name.to_string(), user: each.user.to_string() }
}

impl Crowd {
    /// The place of the check whose processes the rule judges one by one, if it does.
    pub fn of(rule: &Rule, checks: &[Check]) -> Option<usize> {
        let mut of = None;
        rule.when.each(&mut |comparison| {
            let metric = comparison.term.metric();
            let check = usize::from(metric.check);
            let known = checks.get(check).and_then(|check| check.kind.metrics().get(usize::from(metric.metric.0)));
            if known.is_some_and(|metric| metric.each) {
                of = Some(check);
            }
        });
        of
    }

    pub fn learn(&mut self, check: usize, rule: &RuleTrack) {
        self.check = check;
        self.ones.values_mut().for_each(|one| one.track.learn_from(rule));
    }

    pub fn clear(&mut self) {
        self.ones.clear();
        self.said_full = false;
    }

    pub fn begin_anew(&mut self) {
        self.ones.retain(|_, one| one.track.is_firing());
        self.ones.values_mut().for_each(|one| one.track.begin_anew());
    }

    pub fn saved(&self) -> Vec<(Subject, SavedRule)> {
        self.ones.values().filter_map(|one| Some((one.who.clone(), one.track.saved()?))).collect()
    }

    pub fn restore(&mut self, saved: &[(Subject, SavedRule)], rule: &RuleTrack) {
        for (who, saved) in saved.iter().take(MOST) {
            let mut track = rule.of_one();
            track.restore(saved);
            let one = One { who: who.clone(), track, limits: saved.value.clone(), badness: 0.0 };
            self.ones.insert(who.identity, one);
        }
    }

    pub fn firings(&self) -> Vec<(Wall, Option<Subject>)> {
        let since = |one: &One| match one.track.phase {
            Phase::Firing { since } => Some((since, Some(one.who.clone()))),
            _ => None,
        };
        self.ones.values().filter_map(since).collect()
    }

    /// How far the furthest of the pending ones has come.
    pub fn share(&self, hold: Hold) -> f64 {
        self.ones.values().map(|one| one.track.hold.share(hold)).fold(0.0, f64::max)
    }

    /// The state of the rule: that of the worst of them, since the first of these.
    fn phase(&self) -> Phase {
        let since = |firing: bool| {
            let of = self.ones.values().filter_map(move |one| match one.track.phase {
                Phase::Firing { since } if firing => Some(since),
                Phase::Pending { since } if !firing => Some(since),
                _ => None,
            });
            of.min()
        };
        match (since(true), since(false)) {
            (Some(since), _) => Phase::Firing { since },
            (None, Some(since)) => Phase::Pending { since },
            (None, None) => Phase::Inactive,
        }
    }

    /// The firing ones, then the pending ones, the worst first.
    fn worst(&self) -> Vec<&One> {
        let mut all: Vec<&One> = self.ones.values().collect();
        all.sort_by(|a, b| {
            let firing = b.track.is_firing().cmp(&a.track.is_firing());
            firing.then(b.badness.total_cmp(&a.badness))
        });
        all
    }

    /// The worst of the firing ones by name and value, and how many more there are.
    fn words(&self, limits: bool) -> String {
        let firing: Vec<&One> = self.worst().into_iter().filter(|one| one.track.is_firing()).collect();
        let words = |one: &&One| format!("{} {}", one.who, if limits { &one.limits } else { &one.track.value });
        let mut words: Vec<String> = firing.iter().take(NAMED).map(words).collect();
        if firing.len() > NAMED {
            words.push(format!("and {} more", firing.len() - NAMED));
        }
        words.join("; ")
    }
}

impl ServiceState {
    /// Evaluates the rule at `r` for each process, because of the check at `c`. `counts` as in [`ServiceState::judge`].
    pub fn judge_each(&mut self, cx: &mut Context, r: usize, c: usize, counts: bool) {
        let Some(mut crowd) = self.rules[r].crowd.take() else { return };
        let plan = Arc::clone(&self.plan);
        let rule = &plan.rules[r];
        let fresh = self.rules[r].of_one();
        let latest = self.checks.get(crowd.check).and_then(|check| check.latest.clone());
        let all: Option<&[Each]> = match latest.as_ref().map(|sample| &sample.found) {
            Some(Found::Each(all)) => Some(all),
            _ => None,
        };
        let is_judged = rule.liveness || !self.is_in_grace(cx.now.mono);
        let mut unseen: BTreeSet<Identity> = crowd.ones.keys().copied().collect();
        let (mut fired, mut over) = (Vec::new(), Vec::new());
        let mut is_full = false;
        for each in all.unwrap_or_default() {
            let known = unseen.remove(&each.identity);
            let view = View { service: self, now: cx.now.mono, baselines: &[], of: Some(each) };
            let truth = |condition: &Condition| if is_judged { view.truth(condition) } else { Truth::Unknown };
            if !known {
                // Nearly all of them, nearly always: nothing is kept for these.
                if !fresh.looks_at(c) || truth(&rule.when) != Truth::True {
                    continue;
                }
                if crowd.ones.len() >= MOST {
                    is_full = true;
                    continue;
                }
                let one =
                    One { who: subject(each), track: self.rules[r].of_one(), limits: String::new(), badness: 0.0 };
                crowd.ones.insert(each.identity, one);
            }
            let Some(one) = crowd.ones.get_mut(&each.identity) else { continue };
            if !one.track.looks_at(c) {
                continue;
            }
            let until = match &rule.until {
                Some((condition, _)) if one.track.is_firing() => truth(condition),
                _ => Truth::Unknown,
            };
            let turn = one.track.step(rule, truth(&rule.when), until, cx.now, counts);
            one.badness = badness(&view, &rule.when);
            match turn {
                Turn::Fired => {
                    one.track.value = value_words(&view, &rule.when, false);
                    one.limits = value_words(&view, &rule.when, true);
                    fired.push(each.identity);
                }
                Turn::Resolved(since) => over.push((since, one.who.clone(), None)),
                Turn::None => {}
            }
            self.dirty |= one.track.has_come_far(cx.now.mono);
        }
        for identity in unseen {
            let Some(one) = crowd.ones.get_mut(&identity) else { continue };
            if all.is_none() {
                one.track.step(rule, Truth::Unknown, Truth::Unknown, cx.now, false);
            } else if c == crowd.check {
                if let Phase::Firing { since } = one.track.phase {
                    over.push((since, one.who.clone(), Some("the process has ended")));
                }
                one.track.reset();
            }
        }
        crowd.ones.retain(|_, one| one.track.phase != Phase::Inactive);
        if is_full && !std::mem::replace(&mut crowd.said_full, true) {
            let words =
                format!("more than {MOST} processes at once are a case for the rule {}: the others wait", rule.name);
            cx.event(Some(&plan.name), self.incident.as_ref().map(|i| i.id), EventKind::Noted { words });
        }
        crowd.said_full &= !crowd.ones.is_empty();
        for (since, who, why) in over {
            self.resolved(cx, rule.name.to_string(), since, why, Some(who));
        }
        if !fired.is_empty() {
            self.fire_each(cx, rule, &mut crowd, &fired);
        }
        let track = &mut self.rules[r];
        track.phase = crowd.phase();
        track.value = crowd.words(false);
        track.crowd = Some(crowd);
    }

    /// The rule begins to fire for these.
    fn fire_each(&mut self, cx: &mut Context, rule: &Rule, crowd: &mut Crowd, fired: &[Identity]) {
        self.dirty = true;
        let name = Arc::clone(&self.plan.name);
        let note = self.note_of(rule);
        let worst: Vec<&One> = crowd.worst().into_iter().filter(|one| fired.contains(&one.who.identity)).collect();
        let again =
            rule.severity >= Severity::Warning && self.open_incident(cx, rule, worst.first().map(|one| &one.who));
        for one in worst {
            let kind = EventKind::Fired {
                rule: rule.name.to_string(),
                severity: rule.severity,
                condition: condition_words(rule),
                value: one.track.value.clone(),
                note: note.clone(),
                of: Some(one.who.clone()),
            };
            cx.event(Some(&name), self.incident.as_ref().map(|i| i.id), kind);
            if self.scripts.len() < SCRIPTS_AT_MOST {
                self.begin_script(rule, "firing", Some(one.who.identity));
            } else {
                self.held(cx, &format!("action for {}", one.who), "too many others are under way");
            }
        }
        let since = match crowd.phase() {
            Phase::Firing { since } => since,
            _ => cx.now.wall,
        };
        let (condition, value) = (condition_words(rule), crowd.words(true));
        let story = StoryRule { rule: rule.name.to_string(), condition, value, note, since };
        let now = cx.now.mono;
        let at = match crowd.told {
            Some(told) if told > now => told,
            Some(told) => now.max(told + TOLD_EVERY),
            None => now,
        };
        crowd.told = Some(at);
        self.tell_firing(cx, rule, story, Some(at), again);
    }

    /// The process that an action of the rule at `r` is for, as long as the rule fires for it: how it is named, with the values
    /// at its firing, and how it is reached.
    pub fn one_of(&self, r: usize, identity: Identity) -> Option<(Subject, String, Aim)> {
        let crowd = self.rules[r].crowd.as_ref()?;
        let one = crowd.ones.get(&identity).filter(|one| one.track.is_firing())?;
        let selector = Arc::clone(&self.plan.checks.get(crowd.check)?.kind);
        Some((one.who.clone(), format!("{} {}", one.who, one.track.value), Aim { identity, selector }))
    }

    /// What was last found of the worst processes of a rule, for the page.
    pub fn worst_of(&self, crowd: &Crowd) -> Vec<&Each> {
        let worst: Vec<Identity> = crowd.worst().into_iter().take(NAMED).map(|one| one.who.identity).collect();
        let latest = self.checks.get(crowd.check).and_then(|check| check.latest.as_ref());
        let Some(Found::Each(all)) = latest.map(|sample| &sample.found) else { return Vec::new() };
        let place = |each: &&Each| worst.iter().position(|identity| *identity == each.identity);
        let mut found: Vec<&Each> = all.iter().filter(|each| place(each).is_some()).collect();
        found.sort_by_key(place);
        found
    }
}

/// How far the first metric of the process that makes the condition true is on the wrong side; only for comparing processes.
fn badness(view: &View<'_>, condition: &Condition) -> f64 {
    let mut found = None;
    condition.each(&mut |comparison| {
        let is_its = view.service.metric(comparison.term.metric()).is_some_and(|metric| metric.each);
        let Test::Compare(op, limit) = &comparison.test else { return };
        if found.is_some() || !is_its || view.is_bad(comparison) != Truth::True {
            return;
        }
        let value = match (view.observe(comparison), limit) {
            (Reading::Part { value, whole }, Limit::PercentOfWhole(_)) => value / whole,
            (reading, _) => reading.number().unwrap_or_default(),
        };
        found = Some(if matches!(op, Op::Less | Op::LessOrEqual) { -value } else { value });
    });
    found.unwrap_or_default()
}
