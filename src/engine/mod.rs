//! Every decision: samples, exits, reports, requests and plans come in, effects go out.
//!
//! The engine is a state machine. It does not wait, reads no clock, touches nothing and knows no chance: the same inputs at the
//! same times give the same effects. Of our own it imports only [`crate::model`].
//!
//! # A service
//!
//! | what | states | in |
//! |---|---|---|
//! | a check | due, in flight | `schedule.rs`, `check.rs` |
//! | a heartbeat | short, long or unsure silence | `beat.rs` |
//! | a process | alive, gone (waiting to settle), gone | `death.rs` |
//! | a rule | inactive, pending, firing | `judge.rs`, `rule.rs`, `truth.rs`, `window.rs` |
//! | a rule for each of many processes | the same, for each process that it is not inactive for | `each.rs` |
//! | an incident | none, open; escalated, acknowledged | `tell.rs`, `story.rs`, `escalate.rs`, `ack.rs` |
//! | a service's incidents | steady, flapping | `flap.rs` |
//! | what is told | held back, held, in the outbox | `tell.rs`, `hold.rs` |
//! | a notifier | idle, gathering, under way, pausing; failing | `outbox/` |
//! | a silence | in effect, lingering | `outbox/silence.rs` |
//! | a sequence: restart, start, stop | due, confirming, stopping, starting, appearing, settling | `want.rs`, `act.rs`, `order.rs`, `budget.rs` |
//! | the other actions of a rule | next, under way | `script.rs` |
//! | what a supervisor says | alive, wanted, failed; a loop or calm | `supervision.rs` |
//! | intent | up, stopped on purpose, paused | `command.rs` |
//! | status | ok, warning, critical, unknown, paused, stopped, given up | `service.rs` |
//!
//! # A step
//!
//! 1. An input reaches the services that it concerns. Samples update what is known, and the rules that look at it turn.
//! 2. `ServiceState::after` carries on with what has moved: actions, then the incident, then the status, then
//!    messages, then questions, then the next wake-up. A service at rest skips nearly all of it.
//! 3. A service whose state has changed is saved, once. Actions stand last among the effects, so that they are committed first.
//!
//! Services never delay each other's checks. What one needs of another (`needs.rs`) holds only its messages and its automatic
//! restarts; a check is asked earlier, never later, because of another service: when one that needs it has something to tell.
//! The brake (`brake.rs`) holds only automatic restarts. Requests for several services (`chain.rs`) are what a person would ask of
//! each.

mod ack;
mod act;
mod beat;
mod brake;
mod budget;
mod cause;
mod chain;
mod check;
mod command;
mod confirm;
mod context;
mod death;
mod each;
mod escalate;
mod evidence;
mod flap;
mod hearsay;
mod hold;
mod judge;
mod needs;
mod order;
mod outbox;
mod own;
mod pulse;
mod record;
mod reload;
mod remind;
mod resume;
mod rule;
mod saved;
mod schedule;
mod script;
mod service;
mod story;
mod supervision;
mod tell;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod truth;
mod view;
mod want;
mod window;

use crate::model::{
    CheckId, Effect, EventKind, Exit, Identity, Input, Mono, Name, Now, Plan, Record, Restored, Sample, SavedService,
    Setting,
};
use chain::Chain;
use context::Context;
use schedule::Timer;
use service::ServiceState;
use std::collections::BTreeMap;
use std::sync::Arc;

/// So many notes about minder itself are shown, the latest.
const NOTES_AT_MOST: usize = 20;

/// The state of everything that minder watches. See the module's own words.
#[derive(Debug)]
pub struct Engine {
    context: Context,
    services: Vec<ServiceState>,
    by_name: BTreeMap<Name, usize>,
    /// For each number of a check: the places of its service and of itself. Numbers are not used again.
    places: Vec<Option<(usize, usize)>>,
    /// Services of which this step has touched the state.
    touched: Vec<usize>,
    /// Requests for several services that are under way, and the number of their last step.
    chains: Vec<Chain>,
    last_step: u64,
    refused: Option<Arc<str>>,
    notes: Vec<String>,
}

impl Engine {
    /// Begins with a plan and with what an earlier run has left.
    pub fn new(plan: Arc<Plan>, setting: Setting, restored: Restored, now: Now) -> (Engine, Vec<Effect>) {
        let context = Context::new(Arc::clone(&plan), setting, &restored, now);
        let mut engine = Engine {
            context,
            services: Vec::with_capacity(plan.services.len()),
            by_name: BTreeMap::new(),
            places: Vec::new(),
            touched: Vec::new(),
            chains: Vec::new(),
            last_step: 0,
            refused: None,
            notes: Vec::new(),
        };
        let version = env!("CARGO_PKG_VERSION").to_owned();
        engine.context.event(None, None, EventKind::Started { version });
        engine.context.resume_quiet(restored.same_boot);
        engine.restore(&plan, restored);
        engine.find_places();
        engine.context.event(None, None, EventKind::Planned { services: plan.services.len() });
        engine.resume_chain();
        for service in &mut engine.services {
            if service.has_to_tell() {
                service.ask_needs(&engine.context);
            }
            service.after(&mut engine.context);
        }
        engine.context.forget_what_is_over();
        let effects = engine.end_step(true);
        (engine, effects)
    }

    fn restore(&mut self, plan: &Plan, restored: Restored) {
        let Restored { mut services, same_boot, lost, .. } = restored;
        for (place, service) in plan.services.iter().enumerate() {
            let cx = &mut self.context;
            let mut state = ServiceState::new(Arc::clone(service), place, &mut reload::ids(&mut self.places), cx);
            (state.unconfirmed, state.dirty) = (lost, lost);
            (0..state.checks.len()).for_each(|c| state.introduce(cx, c));
            if let Some(saved) = services.remove(&service.name) {
                state.restore(cx, saved, same_boot);
            }
            self.services.push(state);
        }
        // A map has no order, and events must have one.
        let gone: BTreeMap<Name, SavedService> = services.into_iter().collect();
        for (name, saved) in gone {
            self.close_gone(&name, saved);
            self.context.emit(Effect::Record(Record::Gone(name)));
        }
    }

    /// A service that has left the plan while minder was down: its incident ends, and those who were told of it hear that.
    fn close_gone(&mut self, name: &Name, saved: SavedService) {
        let plan = Arc::new(crate::model::Service::without_checks(Arc::clone(name)));
        let cx = &mut self.context;
        let mut state = ServiceState::new(plan, usize::MAX, &mut reload::ids(&mut self.places), cx);
        state.restore(cx, SavedService { acting: None, ..saved }, false);
        state.leave(cx);
    }

    /// The process of this service that lives, or else the one that died last: for who may report its end.
    pub fn latest_process(&self, service: &str) -> Option<Identity> {
        self.services.get(*self.by_name.get(service)?)?.latest_process()
    }

    /// When it wants to be called with [`Input::Woken`], at the latest.
    pub fn next_wakeup(&self) -> Option<Mono> {
        self.context.schedule.next()
    }

    /// Takes an input in; what is to be done now, the actions after everything that is to be recorded before them.
    pub fn handle(&mut self, input: Input, now: Now) -> Vec<Effect> {
        // Time does not run backwards: a caller that mixes up the order of inputs must not confuse holds.
        self.context.now = Now { mono: now.mono.max(self.context.now.mono), wall: now.wall };
        let mut all = false;
        match input {
            Input::Woken => {}
            Input::Sampled(samples) => self.sampled(&samples),
            Input::Exited { identity, how } => self.exited(identity, how),
            Input::Reported { service, how } => {
                if let Some(place) = self.by_name.get(&service).copied() {
                    self.services[place].reported_end(&mut self.context, how);
                    self.touched.push(place);
                }
            }
            Input::Touched(check) => self.at_check(check, ServiceState::touched),
            Input::Nudged { control, name } => self.nudged(control, &name),
            Input::Beat { service, check, beat } => {
                if let Some(id) = self.check_named(&service, &check) {
                    self.at_check(id, |service, cx, c| service.beat(cx, c, &beat));
                }
            }
            Input::Acted { id, report } => {
                let place = self.context.acting.get(&id).and_then(|name| self.by_name.get(name)).copied();
                if let Some(place) = place {
                    self.services[place].reported(&mut self.context, id, &report);
                    self.touched.push(place);
                }
            }
            Input::Asked { request, who, command } => {
                self.asked(request, &who, command);
                all = true;
            }
            Input::Planned(plan) => {
                self.planned(plan);
                all = true;
            }
            Input::Refused(report) => {
                self.context.event(None, None, EventKind::Refused { report: report.to_string() });
                self.refused = Some(report);
            }
            Input::Delivered { parcel, outcome } => self.context.delivered(parcel, outcome),
            Input::Said { parcel, lines } => self.context.said(parcel, lines),
            Input::Resend { request, who, messages } => self.context.resend(request, &who, messages),
            Input::Noted(words) => self.noted(&words),
            Input::Ending => {
                self.end();
                all = true;
            }
        }
        self.wake();
        self.end_step(all)
    }

    /// Everything whose time has come. After every input, so that a loop that is busy with inputs delays nothing.
    fn wake(&mut self) {
        let now = self.context.now.mono;
        while let Some((at, timer)) = self.context.schedule.pop_due(now) {
            match timer {
                Timer::Check(check) => self.at_check(check, |service, cx, c| service.check_due(cx, c, at)),
                Timer::Service(place) => {
                    if let Some(service) = self.services.get_mut(place) {
                        service.tick(&mut self.context, at);
                        self.touched.push(place);
                        let changed = self.note_trouble(place);
                        self.touched.extend(changed);
                    }
                }
                // It is looked at in every step while it is on.
                Timer::Brake | Timer::Outbox => {}
            }
        }
    }

    /// Saves what has changed, and hands the effects over.
    fn end_step(&mut self, all: bool) -> Vec<Effect> {
        if all {
            self.touched = (0..self.services.len()).collect();
        }
        // What one of them does may be news for the others; each turn ends something.
        loop {
            self.turn_chains();
            self.turn_brake();
            self.review_needs();
            if self.context.heard.is_empty() && !self.context.brake.changed {
                break;
            }
        }
        self.turn_quiet();
        self.context.turn_outbox();
        for place in std::mem::take(&mut self.touched) {
            if let Some(service) = self.services.get_mut(place)
                && std::mem::take(&mut service.dirty)
            {
                let record = Record::Service(Arc::clone(&service.plan.name), Box::new(service.saved()));
                self.context.emit(Effect::Record(record));
            }
        }
        self.context.take()
    }

    fn at_check(&mut self, check: CheckId, what: impl FnOnce(&mut ServiceState, &mut Context, usize)) {
        let place = self.places.get(check.0 as usize).copied().flatten();
        if let Some((place, c)) = place {
            what(&mut self.services[place], &mut self.context, c);
            let service = &self.services[place];
            if service.dirty || service.needs.is_linked() {
                self.touched.push(place);
            }
            if !service.needs.by.is_empty() {
                let changed = self.note_trouble(place);
                self.touched.extend(changed);
            }
        }
    }

    fn check_named(&self, service: &str, check: &str) -> Option<CheckId> {
        let service = &self.services[*self.by_name.get(service)?];
        let place = service.plan.checks.iter().position(|known| *known.name == *check)?;
        Some(service.checks[place].id)
    }

    fn sampled(&mut self, samples: &[(CheckId, Arc<Sample>)]) {
        self.context.expect(samples.len());
        for (check, sample) in samples {
            self.at_check(*check, |service, cx, c| service.sampled(cx, c, sample));
        }
    }

    /// The supervisors of all services of this name are asked at once; it says little how they are called elsewhere.
    fn nudged(&mut self, control: &str, name: &str) {
        let is_meant = |service: &ServiceState| {
            let check = service.control_check.map(|c| service.checks[c].id);
            check.filter(|_| service.plan.control.as_ref().is_some_and(|spec| spec.is_about(control, name)))
        };
        let checks: Vec<CheckId> = self.services.iter().filter_map(is_meant).collect();
        for check in checks {
            self.at_check(check, ServiceState::touched);
        }
    }

    fn exited(&mut self, identity: Identity, how: Option<Exit>) {
        self.context.holder_ended(identity);
        for check in self.context.watchers(identity) {
            self.at_check(check, |service, cx, c| {
                service.exited(cx, c, identity, how);
                service.after(cx);
            });
        }
    }

    fn noted(&mut self, words: &str) {
        if self.notes.iter().any(|note| note == words) {
            return;
        }
        if self.notes.len() >= NOTES_AT_MOST {
            self.notes.remove(0);
        }
        self.notes.push(words.to_owned());
        self.context.event(None, None, EventKind::Noted { words: words.to_owned() });
    }

    /// minder is about to end: nothing that waits to be told is lost, and everything is saved.
    fn end(&mut self) {
        self.tell_brake();
        for service in &mut self.services {
            service.needs.wait_no_more();
            service.tellings.iter_mut().for_each(|telling| telling.until = self.context.now.mono);
            service.after(&mut self.context);
            service.dirty = true;
        }
        self.context.event(None, None, EventKind::Ended);
        self.context.ending = true;
        // What gathers goes now.
        self.context.outbox.touch_all();
    }

    fn find_places(&mut self) {
        self.places.fill(None);
        self.by_name.clear();
        for (place, service) in self.services.iter().enumerate() {
            self.by_name.insert(Arc::clone(&service.plan.name), place);
            for (c, check) in service.checks.iter().enumerate() {
                self.places[check.id.0 as usize] = Some((place, c));
            }
        }
        self.find_needs();
    }
}
