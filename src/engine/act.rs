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

use super::confirm::Confirmed;
use super::context::Context;
use super::service::ServiceState;
use crate::model::controls::ControlSpec;
use crate::model::{ActId, Aim, EventKind, Exit, Identity, Mono, Now, RequestId, SavedAct, StoryAction, show_duration};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How often a supervisor is asked that is about to do something itself.
pub(super) const TURN_EVERY: Duration = Duration::from_secs(1);
/// When to look for the new process after a start.
const LOOKS: [u64; 6] = [5, 10, 20, 50, 100, 200];

pub(super) const OVERTAKEN: &str = "something else was asked for meanwhile";
pub(super) const NO_CONTROL: &str = "the service has no control any more";

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
pub(super) enum Step {
    Due(Mono),
    /// `turn` while its supervisor is about to start it: the state of its record then.
    Confirming {
        since: Mono,
        turn: Option<u64>,
    },
    Stopping {
        until: Mono,
    },
    Starting {
        until: Mono,
    },
    Appearing {
        until: Mono,
        look: Mono,
        looks: usize,
    },
    Settling {
        new: Identity,
        found: Now,
        until: Mono,
        deadline: Mono,
    },
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
    pub step: Step,
    /// It counts in the budget. A sequence that minder's own end interrupted was counted when it began.
    pub charged: bool,
    pub began: Now,
    pub old: Option<Identity>,
    pub act: Option<ActId>,
    /// It is due, and waits: for answers of what the service needs, or for the brake.
    pub waits: bool,
    /// Who wants it does not ask again: a notice, or the minder before.
    pub once: bool,
    /// A person has let it pass the brake.
    pub released: bool,
    pub launch: Option<(Exit, Arc<str>)>,
    /// What is said beside its outcome.
    pub remark: Option<Arc<str>>,
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
            waits: false,
            once: false,
            released: false,
            launch: None,
            remark: None,
        }
    }
    /// Nothing was done yet.
    pub fn is_planned(&self) -> bool {
        matches!(self.step, Step::Due(_) | Step::Confirming { .. })
    }
    /// What starts or ends at this moment is its doing. One that has appeared, and dies, is not.
    pub fn brings_up(&self) -> bool {
        matches!(self.step, Step::Stopping { .. } | Step::Starting { .. } | Step::Appearing { .. })
    }
    /// When it begins, if it waits for that.
    pub fn due(&self) -> Option<Mono> {
        match self.step {
            Step::Due(at) => Some(at),
            _ => None,
        }
    }
}

/// What came of it.
pub(super) enum Outcome {
    Ended {
        ok: bool,
        words: String,
    },
    /// It was not begun, or something else is wanted instead.
    Dropped(String),
}

pub(super) fn done(words: impl Into<String>) -> Option<Outcome> {
    Some(Outcome::Ended { ok: true, words: words.into() })
}
pub(super) fn failed(words: impl Into<String>) -> Option<Outcome> {
    Some(Outcome::Ended { ok: false, words: words.into() })
}

impl ServiceState {
    /// We start or stop it at this moment.
    pub fn is_acting(&self) -> bool {
        self.work.as_ref().is_some_and(|work| !work.is_planned())
    }

    /// For the record that is committed before acting.
    pub fn saved_act(&self) -> Option<SavedAct> {
        let work = self.work.as_ref().filter(|_| self.is_acting())?;
        Some(SavedAct {
            action: work.goal.to_string(),
            by: work.by.clone(),
            since: work.began.wall,
            old: work.old,
            launched: matches!(work.step, Step::Appearing { .. } | Step::Settling { .. }),
        })
    }

    /// The process that starts and stops are judged by: what the first check of a process found, else what the control says.
    pub fn process(&self) -> Option<Identity> {
        match self.process_check {
            Some(c) => self.checks[c].life.as_ref()?.identity,
            None => self.control_state.as_ref()?.process,
        }
    }

    pub fn verifying_check(&self) -> Option<usize> {
        self.process_check.or(self.control_check)
    }

    /// Its process, for a signal.
    pub fn aim(&self) -> Option<Aim> {
        let c = self.verifying_check()?;
        Some(Aim { identity: self.process()?, selector: Arc::clone(&self.plan.checks[c].kind) })
    }

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
            if self
                .work
                .as_ref()
                .is_some_and(|work| work.is_planned() && !work.person && !work.once && work.goal != Goal::Stop)
            {
                self.work = None;
                self.release_scripts();
            }
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
        self.end_work(cx, *work, outcome);
        true
    }

    pub fn end_work(&mut self, cx: &mut Context, work: Work, outcome: Outcome) {
        if let Some(act) = work.act {
            cx.acting.remove(&act);
        }
        self.dirty = true;
        if work.brings_up() {
            self.restarts.forgive(cx.now.mono);
        }
        match outcome {
            Outcome::Dropped(why) => answer(cx, &work.requests, false, &why),
            Outcome::Ended { ok, mut words } => {
                if let Some(remark) = &work.remark {
                    words = format!("{words}; {remark}");
                }
                self.acted(cx, &work.goal.to_string(), ok, &words, cx.now.mono - work.began.mono);
                if ok && work.goal == Goal::Stop {
                    self.is_known_down(cx, work.old);
                }
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

    /// The control has stopped it and seen its end, which others may tell a moment later: whoever asks for a start now is not
    /// told that it runs.
    fn is_known_down(&mut self, cx: &mut Context, old: Option<Identity>) {
        if let (Some(c), Some(old)) = (self.process_check, old) {
            self.exited(cx, c, old, None);
        }
        if let Some(state) = &mut self.control_state {
            (state.process, state.wanted) = (None, state.wanted.map(|_| false));
        }
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
                        return Some(Outcome::Dropped("it is stopped on purpose, or paused".to_owned()));
                    }
                    if automatic_start && !work.charged {
                        let held = self.is_held_back(cx, &work.goal.to_string());
                        if held && !work.once {
                            return Some(Outcome::Dropped("what it needs is not well".to_owned()));
                        }
                        work.waits =
                            held || self.needs.delays(self.is_about_life(&work.by)) || !self.brake_lets(cx, work);
                        if work.waits {
                            return None;
                        }
                    }
                    if let Some(c) = self.control_check
                        && automatic_start
                    {
                        if !self.has_just_been_asked(now) {
                            self.checks[c].rhythm.hurry(now, false);
                        }
                        work.step = Step::Confirming { since: now, turn: None };
                    } else if let Some(outcome) = self.begin(cx, work, &control) {
                        return Some(outcome);
                    }
                }
                Step::Confirming { since, turn } => match self.confirm_start(cx, work, since, turn) {
                    Confirmed::Yes => {
                        if let Some(outcome) = self.begin(cx, work, &control) {
                            return Some(outcome);
                        }
                    }
                    Confirmed::NotYet => return None,
                    Confirmed::No(why) => return Some(Outcome::Dropped(why.to_owned())),
                },
                Step::Stopping { until } | Step::Starting { until } if now >= until => {
                    return failed("the control did not report what came of it");
                }
                Step::Stopping { .. } | Step::Starting { .. } => return None,
                Step::Appearing { until, look, looks } => {
                    let new = self.process().filter(|process| Some(*process) != work.old);
                    if let (Some(new), Some(c)) = (new, self.verifying_check()) {
                        let settled = now + self.plan.settle;
                        self.grace_until = now + self.plan.grace;
                        self.hurry(c, settled, false);
                        work.step = Step::Settling { new, found: cx.now, until: settled, deadline: until };
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
                        let within = show_duration(control.timeout());
                        return failed(format!("no new process within {within}"));
                    }
                    if now >= look {
                        if looks > 0 {
                            self.hurry(c, now, true);
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
                            if !(now >= until && sure) {
                                return None;
                            }
                            self.up_again = Some(found.wall);
                            return done(format!("up as {new}"));
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
                                return failed(format!("{new} {how} after {}", show_duration(now - found.mono)));
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

    /// Whether the rule of this name is one of liveness.
    fn is_about_life(&self, rule: &str) -> bool {
        self.plan.rules.iter().any(|r| *r.name == *rule && r.liveness)
    }

    /// Whether the sequence may be left as it is. A process that was launched and not seen yet could not be stopped.
    fn may_be_overtaken(&self, work: &Work, control: &ControlSpec) -> bool {
        match work.step {
            Step::Stopping { .. } | Step::Starting { .. } => false,
            Step::Appearing { .. } => control.supervises() || self.process_check.is_none(),
            Step::Due(_) | Step::Confirming { .. } | Step::Settling { .. } => true,
        }
    }

    /// When the sequence wants to be looked at next.
    pub fn work_wake(&self) -> Option<Mono> {
        Some(match self.work.as_ref()?.step {
            Step::Due(_) if self.work.as_ref().is_some_and(|work| work.waits) => return None,
            Step::Due(at) => at,
            Step::Confirming { since, .. } => {
                since + self.control_check.map_or(Duration::ZERO, |c| self.plan.checks[c].timeout)
            }
            Step::Stopping { until } | Step::Starting { until } => until,
            Step::Appearing { until, look, .. } => until.min(look),
            Step::Settling { until, .. } if self.ticked < until => until,
            Step::Settling { until, .. } => until + Duration::from_secs(1),
        })
    }

    pub fn acted(&mut self, cx: &mut Context, action: &str, ok: bool, words: &str, took: Duration) {
        let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let kind = EventKind::Acted { action: action.to_owned(), ok, words: words.to_owned(), took, output: None };
        cx.event(Some(&self.plan.name), self.incident.as_ref().map(|i| i.id), kind);
        self.did(StoryAction { action: action.to_owned(), ok: Some(ok), words: words.to_owned() });
    }
}

pub(super) fn answer(cx: &mut Context, requests: &[RequestId], ok: bool, words: &str) {
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
