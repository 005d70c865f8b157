//! Starting and stopping a service: one sequence at a time, verified, and told truthfully.
//!
//! | step | until | then |
//! |---|---|---|
//! | due | the budget's delay has passed | confirming; dropped if no rule asks for it any more |
//! | confirming | its supervisor has said that it is wanted up (automatic starts only) | stopping or starting |
//! | stopping | the control reports | starting; done, if it was to be stopped |
//! | starting | the control reports that the start is on its way | appearing |
//! | appearing | a process is found that is not the old one | settling; failed at the control's deadline |
//! | settling | it has lived for `settle` | done; failed if it dies, appearing again if it ended cleanly |
//!
//! Every step has an upper bound, so that a report that never comes cannot wedge a service. Somebody who wants something else
//! meanwhile waits for the control to report, never longer: two orders at once would race.

use super::budget::Verdict;
use super::context::Context;
use super::service::ServiceState;
use crate::model::controls::{ControlSpec, StopBy};
use crate::model::{
    Act, ActId, Aim, EventKind, Exit, Identity, Mono, Now, Report, RequestId, Rule, SavedAct, StoryAction,
    show_duration,
};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What a lost report may take beyond the deadline that the control keeps itself.
const BEYOND: Duration = Duration::from_secs(10);
/// A control that has spoken so recently need not be asked again.
const FRESH: Duration = Duration::from_millis(100);
/// When to look for the new process after a start.
const LOOKS: [u64; 6] = [5, 10, 20, 50, 100, 200];

const OVERTAKEN: &str = "something else was asked for meanwhile";
const NO_CONTROL: &str = "the service has no control any more";

/// What is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    Restart,
    Start,
    Stop,
}

impl Goal {
    pub fn parse(word: &str) -> Option<Goal> {
        [Goal::Restart, Goal::Start, Goal::Stop].into_iter().find(|goal| goal.to_string() == word)
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Goal::Restart => "restart",
            Goal::Start => "start",
            Goal::Stop => "stop",
        })
    }
}

/// Where the sequence is. See the head of this file.
#[derive(Debug, Clone, Copy)]
enum Step {
    Due(Mono),
    Confirming { since: Mono },
    Stopping { until: Mono },
    Starting { until: Mono },
    Appearing { until: Mono, look: Mono, looks: usize },
    Settling { new: Identity, found: Mono, until: Mono, deadline: Mono },
}

/// One sequence.
#[derive(Debug)]
pub(super) struct Work {
    pub goal: Goal,
    /// Who wants it: a rule's name, or a person.
    pub by: String,
    /// A person does: no budget, no delay.
    pub person: bool,
    /// Who waits for its outcome.
    pub requests: Vec<RequestId>,
    step: Step,
    /// It counts in the budget. A sequence that minder's own end interrupted was counted when it began.
    charged: bool,
    began: Now,
    old: Option<Identity>,
    act: Option<ActId>,
    launch: Option<(Exit, Arc<str>)>,
}

impl Work {
    pub fn new(goal: Goal, by: impl Into<String>, person: bool, at: Mono, now: Now) -> Work {
        Work {
            goal,
            by: by.into(),
            person,
            requests: Vec::new(),
            step: Step::Due(at),
            charged: false,
            began: now,
            old: None,
            act: None,
            launch: None,
        }
    }
    /// It waits for its time.
    pub fn due(&self) -> Option<Mono> {
        match self.step {
            Step::Due(at) => Some(at),
            _ => None,
        }
    }
}

/// What came of it.
enum Outcome {
    Ended {
        ok: bool,
        words: String,
    },
    /// It was not begun, or something else is wanted instead.
    Dropped(String),
}

fn done(words: impl Into<String>) -> Option<Outcome> {
    Some(Outcome::Ended { ok: true, words: words.into() })
}
fn failed(words: impl Into<String>) -> Option<Outcome> {
    Some(Outcome::Ended { ok: false, words: words.into() })
}

impl ServiceState {
    /// We start or stop it at this moment.
    pub fn is_acting(&self) -> bool {
        self.work.as_ref().is_some_and(|work| !matches!(work.step, Step::Due(_) | Step::Confirming { .. }))
    }

    /// For the record that is committed before acting.
    pub fn saved_act(&self) -> Option<SavedAct> {
        let work = self.work.as_ref().filter(|_| self.is_acting())?;
        Some(SavedAct { action: work.goal.to_string(), by: work.by.clone(), since: work.began.wall, old: work.old })
    }

    /// The process that starts and stops are judged by: what the first check of a process found, else what the control says.
    pub fn process(&self) -> Option<Identity> {
        match self.process_check {
            Some(c) => self.checks[c].life.as_ref()?.identity,
            None => self.control_state.as_ref()?.process,
        }
    }

    fn verifying_check(&self) -> Option<usize> {
        self.process_check.or(self.control_check)
    }

    /// Its process, for a signal.
    pub fn aim(&self) -> Option<Aim> {
        let c = self.process_check?;
        let identity = self.checks[c].life.as_ref()?.identity?;
        Some(Aim { identity, selector: Arc::clone(&self.plan.checks[c].kind) })
    }

    // ---- wanting ----

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
        if goal == Goal::Start && self.process().is_some() {
            return false;
        }
        self.dirty = true;
        let was_given_up = self.used.given_up.is_some();
        match self.used.next(&self.plan.restart, cx.now) {
            Verdict::At(at) => {
                self.work = Some(Work::new(goal, &*rule.name, false, at, cx.now));
                !was_given_up
            }
            Verdict::Spent => {
                self.give_up(cx);
                if let Verdict::At(at) = self.used.next(&self.plan.restart, cx.now) {
                    self.work = Some(Work::new(goal, &*rule.name, false, at, cx.now));
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
        self.tell_at_once(cx);
    }

    /// The rule at `r` still fires: if it asks for a restart, it asks again.
    pub fn still_firing(&mut self, cx: &mut Context, r: usize) {
        let plan = Arc::clone(&self.plan);
        let rule = &plan.rules[r];
        let busy = self.work.is_some() || self.next.is_some() || self.interrupted.is_some();
        let held = cx.setting.no_act || self.unconfirmed && self.said_unconfirmed || plan.control.is_none();
        let in_script = self.scripts.iter().any(|script| script.rule == rule.name);
        if busy || held || in_script || cx.now.mono < self.again_after || !super::service::asks_for_start(rule) {
            return;
        }
        let restart = rule.actions.iter().any(|action| matches!(action, crate::model::Action::Restart));
        self.rule_wants(cx, if restart { Goal::Restart } else { Goal::Start }, rule);
    }

    /// A person wants something, or a rule wants it down: it comes before anything that rules have arranged.
    pub fn want(&mut self, cx: &mut Context, work: Work) {
        match &mut self.work {
            Some(current) if current.due().is_none() => {
                if let Some(overtaken) = self.next.take() {
                    answer(cx, &overtaken.requests, false, OVERTAKEN);
                }
                if joins(current.goal, work.goal) {
                    if work.person {
                        (current.person, current.by) = (true, work.by);
                    }
                    current.requests.extend(work.requests);
                } else {
                    self.next = Some(work);
                }
            }
            _ => self.work = Some(work),
        }
    }

    // ---- doing ----

    /// Carries on with scripts and sequences as far as they go now.
    pub fn act_on(&mut self, cx: &mut Context) {
        self.resume(cx);
        // Every round ends a step of something; a step that is over does not come again.
        for _ in 0..32 {
            if !(self.run_scripts(cx) | self.run_work(cx)) {
                break;
            }
        }
        if !self.wants_start() {
            // A try that is not proven yet may end as the others did.
            if !self.is_acting() && !self.is_unsettled() && self.used.given_up.take().is_some() {
                self.dirty = true;
            }
            self.used.rest(cx.now.mono);
            if self.work.as_ref().is_some_and(|work| work.due().is_some() && !work.person && work.goal != Goal::Stop) {
                self.work = None;
                self.release_scripts();
            }
        }
    }

    /// Carries on with an action that the end of minder interrupted, once it is seen how far it came.
    fn resume(&mut self, cx: &mut Context) {
        let answered = self.verifying_check().is_none_or(|c| {
            self.checks[c].latest.as_ref().is_some_and(|sample| sample.found != crate::model::Found::Unasked)
        });
        let Some(saved) = self.interrupted.take_if(|_| answered) else { return };
        self.dirty = true;
        let Some(goal) = Goal::parse(&saved.action) else { return };
        let new = self.process().filter(|process| Some(*process) != saved.old);
        // Without anything to see it by, a second start might make two of it: its rules decide.
        let blind = self.verifying_check().is_none();
        if goal != Goal::Stop && (new.is_some() || blind) {
            self.grace_until = cx.now.mono + self.plan.grace;
            self.again_after = self.grace_until;
            let words = new.map_or("interrupted by the end of minder".to_owned(), |new| format!("up as {new}"));
            self.acted(cx, &goal.to_string(), !blind, &words, saved.since);
        } else if !cx.setting.no_act && self.plan.control.is_some() {
            let mut work = Work::new(goal, saved.by, false, cx.now.mono, cx.now);
            work.charged = true;
            self.work = Some(work);
        }
    }

    fn run_work(&mut self, cx: &mut Context) -> bool {
        let Some(mut work) = self.work.take() else {
            self.work = self.next.take();
            return self.work.is_some();
        };
        let outcome = self.step_work(cx, &mut work);
        let Some(outcome) = outcome else {
            self.work = Some(work);
            return false;
        };
        self.end_work(cx, work, outcome);
        true
    }

    fn end_work(&mut self, cx: &mut Context, work: Work, outcome: Outcome) {
        if let Some(act) = work.act {
            cx.acting.remove(&act);
        }
        self.dirty = true;
        match outcome {
            Outcome::Dropped(why) => answer(cx, &work.requests, false, &why),
            Outcome::Ended { ok, words } => {
                self.acted(cx, &work.goal.to_string(), ok, &words, work.began.wall);
                answer(cx, &work.requests, ok, &words);
                self.again_after = if ok { cx.now.mono + self.plan.grace } else { cx.now.mono };
                if !ok && let Some(c) = self.process_check {
                    self.death_is_certain(c, cx.now.mono);
                }
                for c in self.verifying_check().into_iter().chain(self.control_check) {
                    self.checks[c].rhythm.hurry(cx.now.mono, false);
                }
            }
        }
        self.release_scripts();
    }

    /// Carries a sequence on as far as it goes now; what came of it, if it is over.
    fn step_work(&mut self, cx: &mut Context, work: &mut Work) -> Option<Outcome> {
        let now = cx.now.mono;
        let Some(control) = self.plan.control.clone() else { return failed(NO_CONTROL) };
        if self.next.is_some() && work.goal != Goal::Stop && self.may_be_overtaken(work, &control) {
            return Some(Outcome::Dropped(OVERTAKEN.to_owned()));
        }
        loop {
            match work.step {
                Step::Due(at) if now < at => return None,
                Step::Due(_) => {
                    work.began = cx.now;
                    work.old = self.process();
                    let automatic_start = !work.person && work.goal != Goal::Stop;
                    if automatic_start && (self.stopped || self.paused) {
                        return Some(Outcome::Dropped("it was stopped on purpose".to_owned()));
                    }
                    if let Some(c) = self.control_check
                        && automatic_start
                    {
                        if !(self.control_known && self.control_at.is_some_and(|at| now - at <= FRESH)) {
                            self.checks[c].rhythm.hurry(now, false);
                        }
                        work.step = Step::Confirming { since: now };
                    } else if let Some(outcome) = self.begin(cx, work, &control) {
                        return Some(outcome);
                    }
                }
                Step::Confirming { since } => {
                    let timeout = self.control_check.map_or(Duration::ZERO, |c| self.plan.checks[c].timeout);
                    let heard = self.control_at.is_some_and(|at| at + FRESH >= since) && self.control_known;
                    if self.is_wanted_down() {
                        self.held(cx, &work.goal.to_string(), "its operator has taken it down");
                        return Some(Outcome::Dropped("its operator has taken it down".to_owned()));
                    }
                    if heard {
                        if let Some(outcome) = self.begin(cx, work, &control) {
                            return Some(outcome);
                        }
                    } else if now >= since + timeout || self.control_at.is_some_and(|at| at >= since) {
                        self.held(cx, &work.goal.to_string(), "its supervisor could not be asked");
                        self.again_after = now + self.plan.restart.delay.longest;
                        return Some(Outcome::Dropped("its supervisor could not be asked".to_owned()));
                    } else {
                        return None;
                    }
                }
                Step::Stopping { until } | Step::Starting { until } if now >= until => {
                    return failed("the control did not report what came of it");
                }
                Step::Stopping { .. } | Step::Starting { .. } => return None,
                Step::Appearing { until, look, looks } => {
                    let new = self.process().filter(|process| Some(*process) != work.old);
                    if let (Some(new), Some(c)) = (new, self.verifying_check()) {
                        let settled = now + self.plan.settle;
                        self.grace_until = now + self.plan.grace;
                        self.checks[c].rhythm.hurry(settled, false);
                        work.step = Step::Settling { new, found: now, until: settled, deadline: until };
                        continue;
                    }
                    match &work.launch {
                        Some((exit, output)) if *exit != Exit::Code(0) => return failed(launch_words(*exit, output)),
                        Some(_) if self.verifying_check().is_none() => return done("the command ended with code 0"),
                        _ => {}
                    }
                    let Some(c) = self.verifying_check() else {
                        return if now < until { None } else { done("the command still runs") };
                    };
                    if now >= until {
                        let within = show_duration(control.start_deadline());
                        return failed(format!("no new process within {within}"));
                    }
                    if now >= look {
                        if looks > 0 {
                            self.checks[c].rhythm.hurry(now, true);
                        }
                        let next = Duration::from_millis(LOOKS[looks.min(LOOKS.len() - 1)]);
                        work.step = Step::Appearing { until, look: now + next, looks: looks + 1 };
                    }
                    return None;
                }
                Step::Settling { new, found, until, deadline } => {
                    match self.process() {
                        Some(process) if process == new => {
                            let seen = self.verifying_check().and_then(|c| self.checks[c].latest.as_ref());
                            let late = now >= until + Duration::from_secs(1);
                            let sure = late || seen.is_some_and(|sample| sample.at.mono >= until);
                            return if now >= until && sure { done(format!("up as {new}")) } else { None };
                        }
                        Some(other) => work.step = Step::Settling { new: other, found, until, deadline },
                        None => {
                            let c = self.process_check;
                            let life = c.and_then(|c| self.checks[c].life.as_ref());
                            if life.is_some_and(|life| life.untold.is_some()) {
                                return None;
                            }
                            let how = life.and_then(|life| life.gone).and_then(|death| death.how);
                            if let Some(how) = how.filter(|how| *how != Exit::Code(0)) {
                                return failed(format!("{new} {how} after {}", show_duration(now - found)));
                            }
                            // It ended as one does that goes to the background: its child may come.
                            work.old = Some(new);
                            work.step = Step::Appearing { until: deadline, look: now, looks: 1 };
                        }
                    }
                }
            }
        }
    }

    /// Whether the sequence may be left as it is. A process that was launched and not seen yet could not be stopped.
    fn may_be_overtaken(&self, work: &Work, control: &ControlSpec) -> bool {
        match work.step {
            Step::Stopping { .. } | Step::Starting { .. } => false,
            Step::Appearing { .. } => control.supervises() || self.process_check.is_none(),
            Step::Due(_) | Step::Confirming { .. } | Step::Settling { .. } => true,
        }
    }

    /// The first order of a sequence.
    fn begin(&mut self, cx: &mut Context, work: &mut Work, control: &ControlSpec) -> Option<Outcome> {
        let now = cx.now.mono;
        let nobody = self.process_check.is_some() && work.old.is_none();
        if work.goal == Goal::Stop && nobody && !control.supervises() {
            return done("already down");
        }
        self.dirty = true;
        let kind = EventKind::Acting { action: work.goal.to_string(), by: work.by.clone() };
        cx.event(Some(&self.plan.name), self.incident.as_ref().map(|i| i.id), kind);
        if !work.person && work.goal != Goal::Stop {
            if work.charged {
                self.used.restamp(cx.now);
            } else {
                self.used.charge(&self.plan.restart, cx.now);
                work.charged = true;
            }
        }
        let service = Arc::clone(&self.plan.name);
        let in_one = control.restarts_in_one() && (work.goal == Goal::Restart || !control.can_start());
        if work.goal == Goal::Stop || work.goal == Goal::Restart && !in_one && !nobody {
            let (control, process) = (control.clone(), self.aim());
            work.step = Step::Stopping { until: now + stop_deadline(&control) + BEYOND };
            let for_good = work.goal == Goal::Stop;
            work.act = Some(cx.act(&service, Act::Stop { service: Arc::clone(&service), control, process, for_good }));
        } else if in_one {
            work.step = Step::Starting { until: now + stop_deadline(control) + control.start_deadline() + BEYOND };
            let (control, by_hand) = (control.clone(), work.person);
            work.act = Some(cx.act(&service, Act::Restart { service: Arc::clone(&service), control, by_hand }));
        } else {
            self.start(cx, work, control);
        }
        None
    }

    fn start(&mut self, cx: &mut Context, work: &mut Work, control: &ControlSpec) {
        let service = Arc::clone(&self.plan.name);
        let gone = self.process_check.and_then(|c| self.checks[c].life.as_ref()?.gone);
        let after = gone.map(|death| death.identity).or(work.old);
        work.step = Step::Starting { until: cx.now.mono + control.start_deadline() + BEYOND };
        let act = Act::Start { service: Arc::clone(&service), control: control.clone(), after };
        work.act = Some(cx.act(&service, act));
    }

    /// What came of an order. Reports of orders that are over are ignored.
    pub fn reported(&mut self, cx: &mut Context, id: ActId, report: &Report) {
        if !matches!(report, Report::Launched { .. }) {
            cx.acting.remove(&id);
        }
        if self.work.as_ref().is_some_and(|work| work.act == Some(id)) {
            self.work_reported(cx, report);
        } else if self.tail == Some(id) {
            self.log_was_read(report);
        } else {
            self.script_reported(cx, id, report);
        }
        self.after(cx);
    }

    fn work_reported(&mut self, cx: &mut Context, report: &Report) {
        let Some(mut work) = self.work.take() else { return };
        let deadline = self.plan.control.as_ref().map_or(Duration::ZERO, ControlSpec::start_deadline);
        let now = cx.now.mono;
        let appearing = Step::Appearing { until: now + deadline, look: now, looks: 0 };
        let mut over = None;
        match (report, work.step) {
            (Report::Failed { why }, _) => over = failed(&**why),
            (Report::Launched { .. }, Step::Starting { .. }) => work.step = appearing,
            (Report::LaunchEnded { exit, output }, _) => {
                work.launch = Some((*exit, Arc::clone(output)));
                if matches!(work.step, Step::Starting { .. }) {
                    work.step = appearing;
                }
            }
            (Report::Done { words }, Step::Stopping { .. }) if work.goal == Goal::Stop => {
                over = done(&**words);
            }
            (Report::Done { .. }, Step::Stopping { .. }) => match self.plan.control.clone() {
                _ if self.next.is_some() => over = failed(OVERTAKEN),
                Some(control) => {
                    if !work.person {
                        self.used.restamp(cx.now);
                    }
                    self.dirty = true;
                    self.start(cx, &mut work, &control);
                }
                None => over = failed(NO_CONTROL),
            },
            (Report::Done { words }, _) if self.verifying_check().is_none() => over = done(&**words),
            (Report::Done { .. }, Step::Starting { .. }) => work.step = appearing,
            (Report::Launched { .. } | Report::Done { .. }, _) => {}
        }
        match over {
            Some(outcome) => self.end_work(cx, work, outcome),
            None => self.work = Some(work),
        }
    }

    /// When the sequence wants to be looked at next.
    pub fn work_wake(&self) -> Option<Mono> {
        Some(match self.work.as_ref()?.step {
            Step::Due(at) => at,
            Step::Confirming { since } => {
                since + self.control_check.map_or(Duration::ZERO, |c| self.plan.checks[c].timeout)
            }
            Step::Stopping { until } | Step::Starting { until } => until,
            Step::Appearing { until, look, .. } => until.min(look),
            Step::Settling { until, .. } if self.ticked < until => until,
            Step::Settling { until, .. } => until + Duration::from_secs(1),
        })
    }

    fn acted(&mut self, cx: &mut Context, action: &str, ok: bool, words: &str, since: crate::model::Wall) {
        let took = u64::try_from((cx.now.wall - since).as_millis()).unwrap_or(u64::MAX);
        let kind = EventKind::Acted { action: action.to_owned(), ok, words: words.to_owned(), took };
        cx.event(Some(&self.plan.name), self.incident.as_ref().map(|i| i.id), kind);
        self.did(StoryAction { action: action.to_owned(), ok: Some(ok), words: words.to_owned() });
    }
}

/// One outcome for both: a start while it is restarted, a second stop.
fn joins(current: Goal, wanted: Goal) -> bool {
    (current == Goal::Stop) == (wanted == Goal::Stop)
}

fn answer(cx: &mut Context, requests: &[RequestId], ok: bool, words: &str) {
    for request in requests {
        cx.reply(*request, ok, words);
    }
}

/// How a launched command ended, with the last line that it wrote.
fn launch_words(exit: Exit, output: &str) -> String {
    let last = output.lines().rev().find(|line| !line.trim().is_empty());
    match last {
        Some(line) => format!("the command {exit}: {}", line.trim()),
        None => format!("the command {exit}"),
    }
}

/// How long the control may take to stop it.
fn stop_deadline(control: &ControlSpec) -> Duration {
    match control {
        ControlSpec::Runit(runit) => runit.timeout.0,
        ControlSpec::Command(command) => match &command.stop {
            StopBy::Command(run) => run.timeout.0,
            StopBy::Signals(steps) => steps.iter().map(|(_, wait)| *wait).sum(),
        },
    }
}
