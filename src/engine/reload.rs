//! A new plan: what is unchanged keeps its state, down to the question in flight.

use super::Engine;
use super::check::CheckState;
use super::context::Context;
use super::rule::RuleTrack;
use super::schedule::Rhythm;
use super::service::{ServiceState, forget};
use super::supervision::Restarts;
use crate::model::{CheckId, Effect, EventKind, Plan, Record, Service};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Engine {
    /// Puts a plan into effect.
    pub(super) fn planned(&mut self, plan: Arc<Plan>) {
        self.context.plan = Arc::clone(&plan);
        self.refused = None;
        let old = std::mem::take(&mut self.services);
        let mut old: BTreeMap<_, _> = old.into_iter().map(|s| (Arc::clone(&s.plan.name), s)).collect();
        self.context.schedule.clear();
        self.context.brake.disarm();
        self.context.outbox.replan();
        self.context.quiet.replan();
        for (place, service) in plan.services.iter().enumerate() {
            let cx = &mut self.context;
            let ids = &mut ids(&mut self.places);
            let state = match old.remove(&service.name) {
                None => {
                    let state = ServiceState::new(Arc::clone(service), place, ids, cx);
                    (0..state.checks.len()).for_each(|c| state.introduce(cx, c));
                    state
                }
                Some(mut state) => {
                    state.rearm(place);
                    if *state.plan == **service {
                        state.plan = Arc::clone(service);
                    } else {
                        state.change(cx, Arc::clone(service), ids);
                    }
                    state
                }
            };
            self.services.push(state);
        }
        for (name, mut gone) in old {
            gone.leave(&mut self.context);
            self.context.emit(Effect::Record(Record::Gone(name)));
        }
        self.find_places();
        for service in &mut self.services {
            service.after(&mut self.context);
            service.rewake(&mut self.context);
        }
        self.context.event(None, None, EventKind::Planned { services: plan.services.len() });
    }
}

/// Numbers for new checks: never one that was used before.
pub(super) fn ids(places: &mut Vec<Option<(usize, usize)>>) -> impl FnMut() -> CheckId {
    || {
        let id = CheckId(u32::try_from(places.len()).unwrap_or(u32::MAX));
        places.push(None);
        id
    }
}

impl ServiceState {
    /// Goes on with changed checks and rules.
    fn change(&mut self, cx: &mut Context, plan: Arc<Service>, ids: &mut impl FnMut() -> CheckId) {
        let old_plan = std::mem::replace(&mut self.plan, Arc::clone(&plan));
        let mut old: Vec<_> = old_plan.checks.iter().zip(std::mem::take(&mut self.checks)).collect();
        let control_stays = old_plan.control == plan.control;
        for (c, check) in plan.checks.iter().enumerate() {
            let same = |(was, _): &(&crate::model::Check, CheckState)| was.name == check.name && was.kind == check.kind;
            let Some(i) = old.iter().position(same) else {
                self.checks.push(CheckState::new(&plan, c, check, ids(), cx.now));
                self.introduce(cx, c);
                continue;
            };
            let (was, mut state) = old.swap_remove(i);
            state.learn_rules(&plan, c);
            if (was.every, was.timeout) != (check.every, check.timeout) {
                let fresh = CheckState::new(&plan, c, check, state.id, cx.now).rhythm;
                state.rhythm = Rhythm::changed(fresh, &state.rhythm);
            }
            self.checks.push(state);
            if was.keep != check.keep {
                self.introduce(cx, c);
            }
        }
        for (_, mut gone) in old {
            forget(cx, &mut gone);
        }
        if !control_stays {
            (self.control_state, self.control_at, self.control_known) = (None, None, false);
            (self.restarts, self.no_wish) = (Restarts::default(), None);
        }
        let mut old: BTreeMap<_, _> =
            old_plan.rules.iter().map(|rule| Arc::clone(&rule.name)).zip(std::mem::take(&mut self.rules)).collect();
        for rule in &plan.rules {
            let mut track = RuleTrack::new(rule, &plan.checks);
            if old.get(&rule.name).is_some_and(|was| was.text == track.text)
                && let Some(mut was) = old.remove(&rule.name)
            {
                was.learn(rule, &plan.checks);
                track = was;
            }
            self.rules.push(track);
        }
        for (name, track) in old {
            for (since, of) in track.firings() {
                self.resolved(cx, name.to_string(), since, Some("the rule was removed or changed"), of);
            }
        }
        self.find_special_checks();
        self.dirty = true;
    }
}
