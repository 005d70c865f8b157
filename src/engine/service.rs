//! One service: what is known of it, what comes in, what comes of it, and its status.

use super::act::Work;
use super::budget::Used;
use super::check::{CheckState, exit_reading, for_history, watched_path};
use super::context::Context;
use super::evidence::Evidence;
use super::flap::Flap;
use super::hearsay::Hearsay;
use super::needs::Needs;
use super::rule::RuleTrack;
use super::schedule::{NEVER, Timer};
use super::script::Script;
use super::supervision::{Named, Restarts};
use super::tell::Telling;
use super::window::Window;
use crate::model::kinds::Process;
use crate::model::{
    CheckId, ControlState, Effect, EventKind, Exit, Identity, Incident, Kind, Metric, MetricId, MetricRef, MetricSet,
    Mono, Name, Now, Question, Reading, Sample, SavedAct, SavedRecord, Series, Service, Severity, Status, StoryAction,
    StoryRule, Wall, show_duration,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// See the head of this file.
#[derive(Debug)]
pub(super) struct ServiceState {
    pub plan: Arc<Service>,
    /// Its place among the services, which is its name in the heap.
    pub place: usize,
    /// Since when this run of minder knows it.
    pub began: Mono,
    /// Since when its supervisor's turn is known: that time, or when its operator has last taken it up.
    pub turn_since: Mono,
    pub checks: Vec<CheckState>,
    pub rules: Vec<RuleTrack>,

    /// The check that says whether its process lives: the first of its kind.
    pub process_check: Option<usize>,
    /// The check that asks its supervisor.
    pub control_check: Option<usize>,
    pub control_state: Option<ControlState>,
    /// When it was last asked, and whether it could be.
    pub control_at: Option<Mono>,
    pub control_known: bool,
    /// Its record reads as if its operator had taken it down, and he has not: that record.
    pub no_wish: Option<SavedRecord>,
    pub restarts: Restarts,

    /// A person, or a rule, has stopped it on purpose.
    pub stopped: bool,
    pub paused: bool,
    /// It was seen up since the machine booted.
    pub seen_up: bool,
    /// The saved state was lost: no automatic action before a person has asked for something.
    pub unconfirmed: bool,
    /// It was stopped as the first half of a restart of several.
    pub restarting: bool,
    /// That this holds actions back was said.
    pub said_unconfirmed: bool,
    pub last_exit: Option<Exit>,
    /// When a process of it last died, and which. [`Self::last_exit`] says how.
    pub last_death: Option<(Now, Identity)>,
    /// What others than the kernel say of its processes' ends.
    pub hearsay: Hearsay,
    /// Until then only rules about liveness judge.
    pub grace_until: Mono,
    pub boot_grace_until: Mono,

    pub needs: Needs,
    pub used: Used,
    /// Boxed, for most services have none.
    pub work: Option<Box<Work>>,
    /// What comes after the work, because somebody wants something else.
    pub next: Option<Box<Work>>,
    /// An action that the end of minder interrupted.
    pub interrupted: Option<SavedAct>,
    /// Until then, what the interrupted action has launched may show itself.
    pub resume_at: Mono,
    /// Not before then does a rule that still fires ask for a restart again.
    pub again_after: Mono,
    pub scripts: Vec<Script>,

    pub incident: Option<Incident>,
    /// What fired in the incident, for its messages.
    pub story: Vec<StoryRule>,
    /// What was done about it.
    pub done: Vec<StoryAction>,
    /// When the process was first seen that the latest start has brought, and that has stayed up.
    pub up_again: Option<Wall>,
    pub tellings: Vec<Telling>,
    /// When the open incident began.
    pub opened: Mono,
    /// When its acknowledgement ends by itself, by the clock that never steps; [`NEVER`] if it does not.
    pub ack_ends: Mono,
    /// When each notifier last heard of it.
    pub told_at: BTreeMap<Name, Now>,
    pub flap: Flap,
    pub evidence: Evidence,

    pub status: Status,
    pub status_since: Wall,
    /// The entry of the heap that is meant.
    wake: Mono,
    /// When what is due was last looked at.
    pub ticked: Mono,
    /// Its state is to be saved at the end of the step.
    pub dirty: bool,
}

impl ServiceState {
    /// As nobody has ever seen it. `ids` gives each check its number.
    pub fn new(plan: Arc<Service>, place: usize, ids: &mut impl FnMut() -> CheckId, cx: &Context) -> ServiceState {
        let now = cx.now;
        let state = |(c, check)| CheckState::new(&plan, c, check, ids(), now);
        let checks = plan.checks.iter().enumerate().map(state).collect();
        let rules = plan.rules.iter().map(|rule| RuleTrack::new(rule, &plan.checks)).collect();
        let boot_grace_left = cx.plan.boot_grace.saturating_sub(cx.setting.booted);
        let mut service = ServiceState {
            plan,
            place,
            began: now.mono,
            turn_since: now.mono,
            checks,
            rules,
            process_check: None,
            control_check: None,
            control_state: None,
            control_at: None,
            control_known: false,
            no_wish: None,
            restarts: Restarts::default(),
            stopped: false,
            paused: false,
            seen_up: false,
            unconfirmed: false,
            restarting: false,
            said_unconfirmed: false,
            last_exit: None,
            last_death: None,
            hearsay: Hearsay::default(),
            grace_until: Mono(0),
            boot_grace_until: cx.started.mono + boot_grace_left,
            needs: Needs::default(),
            used: Used::default(),
            work: None,
            next: None,
            interrupted: None,
            resume_at: cx.now.mono,
            again_after: Mono(0),
            scripts: Vec::new(),
            incident: None,
            story: Vec::new(),
            done: Vec::new(),
            up_again: None,
            tellings: Vec::new(),
            opened: now.mono,
            ack_ends: NEVER,
            told_at: BTreeMap::new(),
            flap: Flap::default(),
            evidence: Evidence::default(),
            status: Status::Unknown,
            status_since: now.wall,
            wake: NEVER,
            ticked: now.mono,
            dirty: false,
        };
        service.find_special_checks();
        service
    }

    /// Where the checks are that others look at.
    pub fn find_special_checks(&mut self) {
        let place = |is: fn(&Kind) -> bool| self.plan.checks.iter().position(|check| is(&check.kind));
        self.process_check = place(|kind| matches!(kind, Kind::Process(_)));
        self.control_check = place(|kind| matches!(kind, Kind::Control(_)));
    }

    /// Tells the history and the listener about a check that is new, or has changed.
    pub fn introduce(&self, cx: &mut Context, c: usize) {
        let (check, id) = (&self.plan.checks[c], self.checks[c].id);
        if let Kind::Control(control) = &*check.kind {
            cx.emit(Effect::WatchControl(id, control.clone()));
        }
        if self.is_recorded(c) {
            cx.emit(Effect::Series(
                id,
                Series {
                    service: Arc::clone(&self.plan.name),
                    check: Arc::clone(&check.name),
                    metrics: check.recorded(),
                    kind: check.kind.name(),
                    table: check.kind.metrics(),
                },
            ));
        }
        if let Some(path) = watched_path(&check.kind) {
            cx.emit(Effect::WatchPath(id, path));
        }
    }

    /// Of a control, what rules mention is recorded; they may mention nothing of it.
    fn is_recorded(&self, c: usize) -> bool {
        let check = &self.plan.checks[c];
        !matches!(*check.kind, Kind::Control(_)) || check.keep != MetricSet::default()
    }

    // ---- what is known ----

    /// What a metric reads now.
    pub fn reading(&self, metric: MetricRef, now: Mono) -> Reading {
        let c = usize::from(metric.check);
        let Some(check) = self.checks.get(c) else { return Reading::Unknown };
        let Some(sample) = &check.latest else { return Reading::Unknown };
        if now - sample.at.mono > self.plan.checks[c].stale_after() {
            return Reading::Unknown;
        }
        if check.life.is_some() {
            if metric.metric == MetricId(Process::DOWN) {
                return self.down(c, now);
            }
            if let Some(reading) = exit_reading(metric.metric, self.last_exit) {
                return reading;
            }
        }
        sample.reading(metric.metric).clone()
    }

    /// The metric itself.
    pub fn metric(&self, metric: MetricRef) -> Option<&'static Metric> {
        let check = self.plan.checks.get(usize::from(metric.check))?;
        check.kind.metrics().get(usize::from(metric.metric.0))
    }

    pub fn is_stale(&self, metric: MetricRef, now: Mono) -> bool {
        let c = usize::from(metric.check);
        let latest = self.checks.get(c).and_then(|check| check.latest.as_ref());
        latest.is_none_or(|sample| now - sample.at.mono > self.plan.checks[c].stale_after())
    }

    pub fn window(&self, metric: MetricRef, span: Duration) -> Option<&Window> {
        let check = self.checks.get(usize::from(metric.check))?;
        check.windows.iter().find(|w| w.metric == metric.metric && w.span == span)
    }

    /// Its rules turn.
    pub fn is_judged(&self) -> bool {
        !self.stopped && !self.paused && !self.is_wanted_down()
    }

    // ---- what comes in ----

    /// A sample of the check at `c`.
    pub fn sampled(&mut self, cx: &mut Context, c: usize, sample: &Arc<Sample>) {
        self.checks[c].rhythm.answered(cx.now.mono);
        let mut sample = Arc::clone(sample);
        if self.control_check == Some(c) {
            sample = self.control_answered(cx, &sample);
        } else if self.checks[c].life.is_some() {
            self.found(cx, c, &sample.found);
        }
        if self.is_recorded(c) {
            let kept = for_history(&self.plan.checks[c], &sample, self.last_exit);
            cx.emit(Effect::Keep(self.checks[c].id, kept));
        }
        self.checks[c].take(&self.plan.checks[c], &sample);
        self.judge(cx, c, true);
        self.after(cx);
    }

    /// Something has come due.
    pub fn tick(&mut self, cx: &mut Context, at: Mono) {
        if at == self.wake {
            self.wake = NEVER;
            self.ticked = cx.now.mono;
            self.deaths_due(cx);
            self.after(cx);
        }
    }

    /// The check at `c` is due, or its answer is late.
    pub fn check_due(&mut self, cx: &mut Context, c: usize, at: Mono) {
        let now = cx.now.mono;
        if self.checks[c].rhythm.came_up(at, now) {
            if self.checks[c].pulse.is_some() {
                return self.after(cx);
            }
            self.ask(cx, c);
            if self.checks[c].is_silent(&self.plan.checks[c], now) {
                self.after(cx);
            }
        }
    }

    /// Asks the check at `c`, if it is time, and sees to it that it is looked at in time.
    pub fn ask(&mut self, cx: &mut Context, c: usize) {
        // A heartbeat is not asked: see `take_pulses`.
        if self.checks[c].pulse.is_none()
            && let Some(manner) = self.checks[c].rhythm.ask(cx.now.mono)
        {
            let check = &self.plan.checks[c];
            let identity = if self.is_supervised(c) {
                match self.named(c, cx.now.mono) {
                    Named::Process(process) => Some(process),
                    named => return self.answered_by_supervisor(cx, c, named),
                }
            } else if check.kind.is_of_the_process() {
                self.process()
            } else {
                self.checks[c].life.as_ref().and_then(|life| life.to_ask(&check.kind, manner))
            };
            let state = &self.checks[c];
            cx.emit(Effect::Ask(Question {
                check: state.id,
                kind: Arc::clone(&check.kind),
                identity,
                wanted: check.keep,
                timeout: check.timeout,
                urgent: manner.urgent,
            }));
        }
        self.arm(cx, c);
    }

    fn arm(&mut self, cx: &mut Context, c: usize) {
        let state = &mut self.checks[c];
        if let Some(at) = state.rhythm.arm() {
            cx.schedule.push(at, Timer::Check(state.id));
        }
    }

    /// What its supervisor says of it is the answer, or will be.
    fn answered_by_supervisor(&mut self, cx: &mut Context, c: usize, named: Named) {
        match self.answer_of_supervisor(c, named, cx.now) {
            Some(sample) => self.sampled(cx, c, &Arc::new(sample)),
            None => self.checks[c].rhythm.answered(cx.now.mono),
        }
        self.arm(cx, c);
    }

    /// A file that the check at `c` looks at has changed.
    pub fn touched(&mut self, cx: &mut Context, c: usize) {
        self.checks[c].rhythm.touched(cx.now.mono);
        self.after(cx);
    }

    // ---- after every step ----

    /// Carries on with everything that the step may have moved: actions, incident, status, messages, questions, the next wake-up.
    pub fn after(&mut self, cx: &mut Context) {
        self.take_pulses(cx);
        let quiet = self.is_quiet();
        if !quiet {
            self.act_on(cx);
            self.close_incident(cx);
        }
        self.set_status(cx);
        // Those of one that needs others wait until it is known how those are, at the end of the step.
        if !quiet && self.needs.of.is_empty() {
            self.tell_what_is_due(cx);
        }
        for c in 0..self.checks.len() {
            self.ask(cx, c);
        }
        if !quiet {
            self.rewake(cx);
        }
    }

    /// Nothing goes on: the shortest way through a step, taken by nearly all.
    fn is_quiet(&self) -> bool {
        let lives = || self.checks.iter().filter_map(|check| check.life.as_ref());
        self.work.is_none()
            && self.next.is_none()
            && self.interrupted.is_none()
            && self.scripts.is_empty()
            && self.incident.is_none()
            && self.tellings.is_empty()
            && self.used.given_up.is_none()
            && !self.needs.is_waiting()
            && lives().all(super::death::Life::is_quiet)
            && !self.dirty
    }

    fn next_wake(&self, cx: &Context) -> Option<Mono> {
        let of_process = [self.deaths_wake(), self.work_wake(), self.scripts_wake(), self.needs_wake()];
        let of_incident =
            [self.flap_wake(cx.now.mono), self.ack_wake(cx), self.escalation_wake(), self.reminders_wake(cx)];
        of_process.into_iter().chain(of_incident).chain([self.tellings_wake()]).flatten().min()
    }

    /// The heap was emptied, because the places of services have changed: nothing of it is in there.
    pub fn rearm(&mut self, place: usize) {
        self.place = place;
        self.wake = NEVER;
        self.checks.iter_mut().for_each(|check| check.rhythm.disarm());
    }

    /// Puts its next wake-up into the heap. What is due was looked at just now: a deadline that has passed and still stands
    /// waits for something else, and must not keep the engine awake.
    pub fn rewake(&mut self, cx: &mut Context) {
        let soonest = cx.now.mono + Duration::from_millis(1);
        let next = self.next_wake(cx).map(|wake| wake.max(soonest));
        if let Some(wake) = next.filter(|wake| *wake < self.wake) {
            self.wake = wake;
            cx.schedule.push(wake, Timer::Service(self.place));
        }
    }

    fn set_status(&mut self, cx: &mut Context) {
        let status = self.status_now(cx.now.mono);
        if status != self.status {
            self.status = status;
            self.status_since = cx.now.wall;
            self.dirty = true;
        }
    }

    pub fn status_now(&self, now: Mono) -> Status {
        if self.paused {
            return Status::Paused;
        }
        if self.stopped || self.is_wanted_down() {
            return Status::Stopped;
        }
        if self.used.given_up.is_some() {
            return Status::GivenUp;
        }
        match self.worst_firing() {
            Some(Severity::Critical) => return Status::Critical,
            Some(Severity::Warning) => return Status::Warning,
            _ => {}
        }
        if self.unsure(now).next().is_some() { Status::Unknown } else { Status::Ok }
    }

    /// The checks of which nothing can be said, though rules ask for it.
    fn unsure(&self, now: Mono) -> impl Iterator<Item = usize> {
        let checks = self.checks.iter().zip(&self.plan.checks).enumerate();
        checks.filter_map(move |(c, (state, check))| {
            let unsure = !state.rules.is_empty()
                && (state.is_silent(check, now)
                    || state.life.as_ref().is_some_and(|life| life.identity.is_none())
                        && self.down(c, now) == Reading::Unknown);
            unsure.then_some(c)
        })
    }

    /// Why nothing can be said: what the probe said of the first such check.
    pub fn unsure_words(&self, now: Mono) -> Option<String> {
        let c = self.unsure(now).next()?;
        let name = &self.plan.checks[c].name;
        Some(match &self.checks[c].latest {
            None => format!("{name} has not answered yet"),
            Some(sample) => match &sample.note {
                Some(note) => format!("{name}: {note}"),
                None => format!("{name} says nothing"),
            },
        })
    }

    /// How bad the worst firing rule is.
    pub fn worst_firing(&self) -> Option<Severity> {
        let firing = self.plan.rules.iter().zip(&self.rules).filter(|(_, track)| track.is_firing());
        firing.map(|(rule, _)| rule.severity).max()
    }

    /// Why there is no action, for an event, once.
    pub fn held(&mut self, cx: &mut Context, action: &str, why: &str) {
        let kind = EventKind::Held { action: action.to_owned(), why: why.to_owned() };
        cx.event(Some(&self.plan.name), self.incident.as_ref().map(|i| i.id), kind);
    }

    /// It is no longer in the plan.
    pub fn leave(&mut self, cx: &mut Context) {
        self.resolve_all(cx, "the service is no longer in the plan");
        self.forget_held(cx);
        self.tellings.iter_mut().for_each(|telling| telling.until = cx.now.mono);
        self.end_incident(cx, None);
        self.release_tellings(cx);
        for work in self.work.take().into_iter().chain(self.next.take()) {
            for request in work.requests {
                cx.reply(request, false, format!("{} is no longer in the plan", self.plan.name));
            }
        }
        for check in &mut self.checks {
            forget(cx, check);
        }
    }

    /// In a few words, how far the boot grace or a death has come; for the page.
    pub fn waiting_words(&self, now: Mono) -> Option<String> {
        let gone = self.checks.iter().find_map(|check| check.life.as_ref()?.gone)?;
        let left = gone.settled - now;
        let how = gone.how.map_or("ended".to_owned(), |how| how.to_string());
        Some(if left.is_zero() {
            format!("{} {how}", gone.identity)
        } else {
            format!("{} {how}; may come back by itself for {}", gone.identity, show_duration(left))
        })
    }
}

/// Lets go of everything that is kept for a check.
pub(super) fn forget(cx: &mut Context, check: &mut CheckState) {
    if let Some(life) = &check.life {
        for identity in life.watched() {
            cx.unwatch(identity, check.id);
        }
    }
    cx.emit(Effect::Forget(check.id));
}
