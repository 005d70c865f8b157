//! How the rules of a service turn: evaluated on samples, they fire and resolve.

use super::context::Context;
use super::rule::{Turn, condition_words};
use super::service::ServiceState;
use super::truth::{View, value_words};
use crate::model::{
    Action, EventKind, Found, Mono, Rule, SavedReading, Severity, StoryRule, Subject, Term, Truth, Wall,
};
use std::sync::Arc;

impl ServiceState {
    /// Evaluates the rules that look at the check at `c`. `counts` if because of a new sample of it.
    pub fn judge(&mut self, cx: &mut Context, c: usize, counts: bool) {
        if !self.is_judged() {
            return;
        }
        for i in 0..self.checks[c].rules.len() {
            let r = self.checks[c].rules[i];
            if self.plan.rules[r].when.is_notice() {
                self.notice(cx, r);
            } else if self.rules[r].crowd.is_some() {
                self.judge_each(cx, r, c, counts);
            } else {
                self.judge_rule(cx, r, c, counts);
            }
        }
    }

    fn judge_rule(&mut self, cx: &mut Context, r: usize, c: usize, counts: bool) {
        let (rule, track) = (&self.plan.rules[r], &self.rules[r]);
        let was_firing = track.is_firing();
        if !(track.looks_at(c) || was_firing && asks_for_start(rule)) {
            return;
        }
        let (mut when, mut until) = (Truth::Unknown, Truth::Unknown);
        let mut baselines = Vec::new();
        if rule.liveness || !self.is_in_grace(cx.now.mono) {
            let view = View { service: self, now: cx.now.mono, baselines: &track.baselines, of: None };
            when = view.truth(&rule.when);
            if was_firing && let Some((condition, _)) = &rule.until {
                until = view.truth(condition);
            }
            baselines = self.baselines_now(r, cx.now.mono);
        }
        for (old, new) in self.rules[r].baselines.iter_mut().zip(baselines) {
            if new.is_some() && *old != new {
                *old = new;
                self.dirty = true;
            }
        }
        let (rule, track) = (&self.plan.rules[r], &mut self.rules[r]);
        let counts = counts && track.looks_at(c);
        let turn = track.step(rule, when, until, cx.now, counts);
        self.dirty |= track.has_come_far(cx.now.mono);
        match turn {
            Turn::Fired => self.fire(cx, r),
            Turn::Resolved(since) => self.resolved(cx, self.plan.rules[r].name.to_string(), since, None, None),
            Turn::None if was_firing && when == Truth::True => self.still_firing(cx, r),
            Turn::None => {}
        }
    }

    /// After a start, while we stop and start it, and while its supervisor has not said whether a death is its operator's doing,
    /// only rules about liveness judge.
    pub fn is_in_grace(&self, now: Mono) -> bool {
        now < self.grace_until || self.is_acting() || self.awaits_word_of_death(now)
    }

    /// What each `changed(..)` of the rule reads now.
    fn baselines_now(&self, r: usize, now: Mono) -> Vec<Option<SavedReading>> {
        let mut readings = Vec::new();
        if !self.rules[r].baselines.is_empty() {
            let rule = &self.plan.rules[r];
            for condition in std::iter::once(&rule.when).chain(rule.until.iter().map(|(until, _)| until)) {
                condition.each(&mut |comparison| {
                    if let Term::Changed(metric) = comparison.term {
                        readings.push(SavedReading::of(&self.reading(metric, now)));
                    }
                });
            }
        }
        readings
    }

    /// A rule that is a notice: its baseline, and what it says if that has changed.
    fn notice(&mut self, cx: &mut Context, r: usize) {
        if !self.plan.rules[r].liveness && self.is_in_grace(cx.now.mono) {
            return;
        }
        let Some(Some(new)) = self.baselines_now(r, cx.now.mono).pop() else { return };
        let Some(baseline) = self.rules[r].baselines.first_mut() else { return };
        if baseline.as_ref() == Some(&new) {
            return;
        }
        let old = baseline.replace(new.clone());
        self.dirty = true;
        if let Some(old) = old {
            self.noticed(cx, r, &old, &new);
        }
    }

    fn fire(&mut self, cx: &mut Context, r: usize) {
        let plan = Arc::clone(&self.plan);
        let rule = &plan.rules[r];
        let view = View { service: self, now: cx.now.mono, baselines: &[], of: None };
        let value = value_words(&view, &rule.when, false);
        let with_limits = value_words(&view, &rule.when, true);
        let note = self.note_of(rule);
        self.rules[r].value.clone_from(&value);
        self.dirty = true;
        let again = rule.severity >= Severity::Warning && self.open_incident(cx, rule, None);
        let kind = EventKind::Fired {
            rule: rule.name.to_string(),
            severity: rule.severity,
            condition: condition_words(rule),
            value,
            note: note.clone(),
            of: None,
        };
        cx.event(Some(&plan.name), self.incident.as_ref().map(|i| i.id), kind);
        self.begin_script(rule, "firing", None);
        let story = StoryRule {
            rule: rule.name.to_string(),
            condition: condition_words(rule),
            value: with_limits,
            note,
            since: cx.now.wall,
        };
        self.tell_firing(cx, rule, story, None, again);
    }

    /// What the probe, or the supervisor's record, said with the sample that the rule looks at.
    pub fn note_of(&self, rule: &Rule) -> Option<String> {
        let mut note = None;
        rule.when.each(&mut |comparison| {
            let check = self.checks.get(usize::from(comparison.term.metric().check));
            let said = check.and_then(|check| check.latest.as_ref()).and_then(|sample| match &sample.found {
                Found::Control(state) => Some(&state.word).filter(|word| !word.is_empty()),
                _ => sample.note.as_ref(),
            });
            if note.is_none() {
                note = said.map(|said| said.to_string());
            }
        });
        note
    }

    /// A rule no longer fires; it may be gone from the plan already.
    pub fn resolved(&mut self, cx: &mut Context, rule: String, since: Wall, why: Option<&str>, of: Option<Subject>) {
        let after = u64::try_from((cx.now.wall - since).as_millis()).unwrap_or(u64::MAX);
        let kind = EventKind::Resolved { rule, after, why: why.map(str::to_owned), of };
        cx.event(Some(&self.plan.name), self.incident.as_ref().map(|i| i.id), kind);
        self.dirty = true;
    }

    /// No rule of it judges any more.
    pub fn resolve_all(&mut self, cx: &mut Context, why: &str) {
        for r in 0..self.rules.len() {
            for (since, of) in self.rules[r].firings() {
                self.resolved(cx, self.plan.rules[r].name.to_string(), since, Some(why), of);
            }
            self.rules[r].reset();
        }
    }

    /// Whether a rule fires that asks for a start or restart.
    pub fn wants_start(&self) -> bool {
        self.plan.rules.iter().zip(&self.rules).any(|(rule, track)| track.is_firing() && asks_for_start(rule))
    }
}

/// Whether the rule starts or restarts its service.
pub(super) fn asks_for_start(rule: &Rule) -> bool {
    rule.actions.iter().any(|action| matches!(action, Action::Restart | Action::Start))
}
