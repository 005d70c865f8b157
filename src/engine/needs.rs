//! What services need of each other. While something that a service needs is *not well*, its messages and its automatic
//! restarts are held; its checks, rules, events and incidents go on as ever.
//!
//! Not well is a service that
//!
//! | is | because of |
//! |---|---|
//! | being started, stopped or restarted at this moment | it will be back, or not: in a moment it is known |
//! | stopped on purpose | somebody knows |
//! | given up, or critical | somebody was told |
//! | without its process, and that may come back by itself, or a critical rule is about to fire | somebody will be told |
//!
//! and whatever needs one that is not well, however far away. A warning is no reason, nor is it one that nothing is known or that
//! it is paused: what is held is held because somebody hears of the cause, never because nobody looks.
//!
//! Two times of waiting belong to it, both bounded by [`AT_MOST`]:
//!
//! - *asking*: it fires, and what it needs may be the reason without minder having seen that yet. All that it needs is asked at
//!   once, and messages and restarts wait for the answers. A rule of liveness restarts at once all the same.
//! - *recovering*: what it needs is well again. It is asked anew itself; what still fires then is told, and restarted.

use super::Engine;
use super::context::Context;
use super::judge::asks_for_start;
use super::rule::Phase;
use super::service::ServiceState;
use crate::model::{Mono, Severity};
use std::collections::BTreeSet;
use std::time::Duration;

/// So long answers are waited for, at most.
const AT_MOST: Duration = Duration::from_secs(10);
/// No check is asked more often than this because of others.
pub(super) const HURRIED_EACH: Duration = Duration::from_secs(1);

/// What a service needs, who needs it, and what is held because of that.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// The places of the services that it needs, and of those that these need.
    pub of: Vec<usize>,
    /// The places of the services that need it, and of those that need these.
    pub by: Vec<usize>,
    /// What is wrong with it itself, for those that need it.
    trouble: Option<&'static str>,
    /// Which of those that it needs is not well: `database is critical`.
    held: Option<String>,
    /// That this holds a restart was said.
    said: bool,
    asking: Option<Asking>,
    recovering: Option<Mono>,
}

/// Those that it needs are asked.
#[derive(Debug)]
struct Asking {
    since: Mono,
    until: Mono,
    hurried: bool,
}

impl Needs {
    /// Others need it, or it needs others.
    pub fn is_linked(&self) -> bool {
        !self.of.is_empty() || !self.by.is_empty() || self.recovering.is_some()
    }

    /// Why messages and automatic restarts are held, if they are.
    pub fn held(&self) -> Option<&str> {
        self.held.as_deref()
    }

    /// Answers are waited for.
    pub fn is_waiting(&self) -> bool {
        self.asking.is_some() || self.recovering.is_some()
    }

    /// A restart waits for answers. A rule of liveness does not wait for those of others.
    pub fn delays(&self, liveness: bool) -> bool {
        self.asking.is_some() && !liveness || self.recovering.is_some()
    }

    /// Nothing is waited for any more: minder ends.
    pub fn wait_no_more(&mut self) {
        (self.asking, self.recovering) = (None, None);
    }

    /// After a start of minder: a message was held.
    pub fn recover(&mut self, now: Mono) {
        self.recovering = Some(now);
    }
}

impl ServiceState {
    /// What is wrong with it, for those that need it. See the head of this file.
    fn trouble(&self, now: Mono) -> Option<&'static str> {
        if self.is_acting() {
            return Some("is being started or stopped");
        }
        if self.stopped || self.is_wanted_down() {
            return Some("is stopped on purpose");
        }
        if self.paused {
            return None;
        }
        if self.used.given_up.is_some() {
            return Some("is given up");
        }
        if self.worst_firing() == Some(Severity::Critical) {
            return Some("is critical");
        }
        (0..self.checks.len()).any(|c| self.is_dead_for_now(c, now)).then_some("has lost its process")
    }

    /// Its process has died, and may come back by itself, or a critical rule about it is going to fire.
    fn is_dead_for_now(&self, c: usize, now: Mono) -> bool {
        let check = &self.checks[c];
        let Some(death) = check.life.as_ref().and_then(|life| life.gone) else { return false };
        let unsettled = check.latest.as_ref().is_none_or(|sample| sample.at.mono < death.settled);
        let about_to_fire = self.plan.rules.iter().zip(&self.rules).any(|(rule, track)| {
            rule.severity == Severity::Critical && matches!(track.phase, Phase::Pending { .. }) && track.looks_at(c)
        });
        (unsettled || about_to_fire) && !check.is_silent(&self.plan.checks[c], now)
    }

    /// It has something to tell, or is to be restarted: what it needs may be the reason.
    pub fn ask_needs(&mut self, cx: &Context) {
        if self.needs.of.is_empty() || self.needs.held.is_some() {
            return;
        }
        let now = cx.now.mono;
        // Who fires again and again waits no longer for that.
        let until = self.needs.asking.as_ref().map_or(now + AT_MOST, |asking| asking.until);
        self.needs.asking = Some(Asking { since: now, until, hurried: false });
    }

    /// A restart could not help now. Said once.
    pub fn is_held_back(&mut self, cx: &mut Context, action: &str) -> bool {
        let Some(why) = self.needs.held.clone() else { return false };
        if !std::mem::replace(&mut self.needs.said, true) {
            self.held(cx, action, &why);
        }
        true
    }

    /// When the answers that it waits for are waited for no longer.
    pub fn needs_wake(&self) -> Option<Mono> {
        let asking = self.needs.asking.as_ref().map(|asking| asking.until);
        let recovering = self.needs.recovering.map(|since| since + self.patience());
        asking.into_iter().chain(recovering).min()
    }

    /// How long an answer of each of its checks may take, asked as soon as that may be.
    pub(super) fn patience(&self) -> Duration {
        let slowest = self.plan.checks.iter().map(|check| check.timeout).max().unwrap_or_default();
        (slowest + HURRIED_EACH).min(AT_MOST)
    }

    pub(super) fn hurry_checks(&mut self, cx: &mut Context) {
        for c in 0..self.checks.len() {
            self.checks[c].rhythm.hurry_for_others(cx.now.mono, HURRIED_EACH);
            self.ask(cx, c);
        }
    }

    pub(super) fn has_answered_since(&self, since: Mono) -> bool {
        self.checks.iter().all(|check| check.rhythm.heard_since(since))
    }

    /// What it needs is well, and all have answered: what still fires is acted upon, and told.
    fn carry_on(&mut self, cx: &mut Context) {
        self.needs.said = false;
        for c in 0..self.checks.len() {
            self.judge(cx, c, false);
        }
        self.after(cx);
        self.renew_held(cx);
    }

    /// Whether something of it was held.
    fn has_held(&self) -> bool {
        let wants =
            |(rule, track): (&crate::model::Rule, &super::rule::RuleTrack)| track.is_firing() && asks_for_start(rule);
        self.has_to_tell() || self.needs.said || self.plan.rules.iter().zip(&self.rules).any(wants)
    }
}

impl Engine {
    /// Finds out who needs whom, and how those are. After every change of the plan; there are no circles in it.
    pub(super) fn find_needs(&mut self) {
        let direct = |service: &ServiceState| -> Vec<usize> {
            service.plan.depends_on.iter().filter_map(|name| self.by_name.get(name).copied()).collect()
        };
        let direct: Vec<Vec<usize>> = self.services.iter().map(direct).collect();
        let mut by: Vec<Vec<usize>> = vec![Vec::new(); direct.len()];
        for (place, first) in direct.iter().enumerate() {
            let mut of = first.clone();
            let mut seen: BTreeSet<usize> = of.iter().copied().collect();
            let mut next = 0;
            while let Some(needed) = of.get(next).copied() {
                next += 1;
                of.extend(direct[needed].iter().copied().filter(|further| seen.insert(*further)));
            }
            of.iter().for_each(|needed| by[*needed].push(place));
            self.services[place].needs.of = of;
        }
        for (service, by) in self.services.iter_mut().zip(by) {
            service.needs.by = by;
            service.needs.trouble = service.trouble(self.context.now.mono);
        }
        for place in 0..self.services.len() {
            self.look_at_needs(place);
        }
    }

    /// Notes what is wrong with a service now; those that need it, if that has changed for them.
    pub(super) fn note_trouble(&mut self, place: usize) -> Vec<usize> {
        let service = &mut self.services[place];
        let trouble = service.trouble(self.context.now.mono);
        if service.needs.by.is_empty() || std::mem::replace(&mut service.needs.trouble, trouble) == trouble {
            return Vec::new();
        }
        let by = service.needs.by.clone();
        by.iter().for_each(|dependent| self.look_at_needs(*dependent));
        by
    }

    /// Whether what a service needs is well.
    fn look_at_needs(&mut self, place: usize) {
        let wrong = |needed: &usize| {
            let needed = &self.services[*needed];
            needed.needs.trouble.map(|trouble| format!("{} {trouble}", needed.plan.name))
        };
        let held = self.services[place].needs.of.iter().find_map(wrong);
        let (service, cx) = (&mut self.services[place], &mut self.context);
        let was_held = std::mem::replace(&mut service.needs.held, held).is_some();
        match (was_held, &service.needs.held) {
            (_, Some(_)) => service.needs.wait_no_more(),
            (true, None) if service.has_held() => {
                service.needs.recover(cx.now.mono);
                service.hurry_checks(cx);
            }
            (true, None) => service.needs.said = false,
            (false, None) => {}
        }
    }

    /// At the end of a step: what has happened to services is taken to those that need them, and what these may tell is told.
    /// A service needs fewer than those that need it: in this order each is looked at once.
    pub(super) fn review_needs(&mut self) {
        let rank = |engine: &Engine, place: usize| (engine.services[place].needs.of.len(), place);
        let linked = |place: &usize| self.services.get(*place).is_some_and(|service| service.needs.is_linked());
        let mut queue: BTreeSet<(usize, usize)> =
            self.touched.iter().copied().filter(linked).map(|place| rank(self, place)).collect();
        while let Some((_, place)) = queue.pop_first() {
            let mut changed = self.note_trouble(place);
            self.settle(place);
            changed.extend(self.note_trouble(place));
            let by = self.services[place].needs.by.iter().copied();
            changed.extend(by.filter(|dependent| self.services[*dependent].needs.asking.is_some()));
            queue.extend(changed.into_iter().map(|dependent| rank(self, dependent)));
            self.touched.push(place);
        }
    }

    /// Carries one service on as far as what it needs lets it.
    fn settle(&mut self, place: usize) {
        let now = self.context.now.mono;
        if let Some(asking) = &mut self.services[place].needs.asking {
            let (since, until) = (asking.since, asking.until);
            let begun = std::mem::replace(&mut asking.hurried, true);
            let of = self.services[place].needs.of.clone();
            let mut patience = Duration::ZERO;
            for needed in &of {
                let needed = &mut self.services[*needed];
                if !begun {
                    needed.hurry_checks(&mut self.context);
                }
                patience = patience.max(needed.patience());
            }
            let answered = of.iter().all(|needed| self.services[*needed].has_answered_since(since));
            let until = until.min(since + patience);
            let asking = &mut self.services[place].needs.asking;
            *asking = (!answered && now < until).then_some(Asking { since, until, hurried: true });
            if asking.is_none() {
                self.services[place].after(&mut self.context);
            }
        }
        let (service, cx) = (&mut self.services[place], &mut self.context);
        if let Some(since) = service.needs.recovering
            && (now >= since + service.patience() || service.has_answered_since(since))
        {
            service.needs.recovering = None;
            service.carry_on(cx);
        }
        service.tell_what_is_due(cx);
        service.rewake(cx);
    }
}
