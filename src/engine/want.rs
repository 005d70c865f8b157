//! Who wants a service restarted, started or stopped, and what becomes of several who want different things.
//!
//! Rules that want a restart at once share one, within the budget. A person's wish comes before what rules have arranged; a
//! later wish before an earlier one that has not begun. A sequence that is under way is shared by whoever wants the same.

use super::act::{Goal, OVERTAKEN, Work, answer};
use super::budget::Verdict;
use super::context::Context;
use super::judge::asks_for_start;
use super::service::ServiceState;
use crate::model::{Action, EventKind, Rule, StoryAction, show_duration};
use std::sync::Arc;

impl ServiceState {
    /// A rule wants a restart or start. Whether there is now a sequence to wait for.
    pub fn rule_wants(&mut self, cx: &mut Context, goal: Goal, rule: &Rule) -> bool {
        let action = goal.to_string();
        if self.plan.control.is_none() {
            self.did(StoryAction { action, ok: Some(false), words: "the service has no control".to_owned() });
            return false;
        }
        if cx.setting.no_act {
            self.held(cx, &action, "minder runs with --no-act");
            return false;
        }
        if self.unconfirmed {
            if !std::mem::replace(&mut self.said_unconfirmed, true) {
                let why = "the saved state was lost; waiting for a person to ask for a start, restart or resume";
                self.held(cx, &action, why);
            }
            return false;
        }
        if !self.is_judged() {
            return false;
        }
        if self.work.is_some() {
            return true;
        }
        // A notice asks only once: its restart waits.
        let once = rule.when.is_notice();
        if !once && self.is_held_back(cx, &action) {
            return false;
        }
        if goal == Goal::Start && self.process().is_some() {
            return false;
        }
        self.dirty = true;
        let was_given_up = self.used.given_up.is_some();
        match self.used.next(&self.plan.restart, cx.now) {
            Verdict::At(at) => {
                self.ask_needs(cx);
                self.work = Some(Box::new(Work { once, ..Work::new(goal, &*rule.name, false, at, cx.now) }));
                !was_given_up
            }
            Verdict::Spent => {
                self.give_up(cx);
                if let Verdict::At(at) = self.used.next(&self.plan.restart, cx.now) {
                    self.work = Some(Box::new(Work::new(goal, &*rule.name, false, at, cx.now)));
                }
                false
            }
        }
    }

    fn give_up(&mut self, cx: &mut Context) {
        let limit = self.plan.restart.limit;
        self.used.given_up = Some(cx.now.wall);
        let restarts = self.used.spent(&self.plan.restart, cx.now.mono);
        let within = u64::try_from(limit.within.as_millis()).unwrap_or(u64::MAX);
        let incident = self.incident.as_ref().map(|i| i.id);
        cx.event(Some(&self.plan.name), incident, EventKind::GaveUp { restarts, within });
        let words = format!("given up after {restarts} restarts in {}", show_duration(limit.within));
        self.did(StoryAction { action: "restart".to_owned(), ok: Some(false), words });
        self.tell_at_once(cx, None);
    }

    /// The rule at `r` still fires: if it asks for a restart, it asks again.
    pub fn still_firing(&mut self, cx: &mut Context, r: usize) {
        let plan = Arc::clone(&self.plan);
        let rule = &plan.rules[r];
        let busy = self.work.is_some() || self.next.is_some() || self.interrupted.is_some();
        let held = cx.setting.no_act || self.unconfirmed && self.said_unconfirmed || plan.control.is_none();
        let in_script = self.scripts.iter().any(|script| script.rule == rule.name);
        if busy || held || in_script || cx.now.mono < self.again_after || !asks_for_start(rule) {
            return;
        }
        let restart = rule.actions.iter().any(|action| matches!(action, Action::Restart));
        self.rule_wants(cx, if restart { Goal::Restart } else { Goal::Start }, rule);
    }

    /// A person wants something, or a rule wants it down: it comes before anything that rules have arranged.
    pub fn want(&mut self, cx: &mut Context, work: Work) {
        match &mut self.work {
            Some(current) if !current.is_planned() => {
                if let Some(overtaken) = self.next.take() {
                    answer(cx, &overtaken.requests, false, OVERTAKEN);
                }
                if joins(current.goal, work.goal) {
                    if work.person {
                        (current.person, current.by) = (true, work.by);
                    }
                    current.requests.extend(work.requests);
                } else {
                    self.next = Some(Box::new(work));
                }
            }
            _ => self.work = Some(Box::new(work)),
        }
    }
}

/// One outcome for both: a start while it is restarted, a second stop.
fn joins(current: Goal, wanted: Goal) -> bool {
    (current == Goal::Stop) == (wanted == Goal::Stop)
}
