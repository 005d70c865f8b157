//! What a sequence orders from the control, and what the control reports of it.

use super::act::{Goal, NO_CONTROL, OVERTAKEN, Outcome, Step, Work, done, failed};
use super::context::Context;
use super::service::ServiceState;
use crate::model::controls::{ControlSpec, StopBy};
use crate::model::{Act, ActId, Aim, EventKind, Report};
use std::sync::Arc;
use std::time::Duration;

/// What a lost report may take beyond the deadline that the control keeps itself.
const BEYOND: Duration = Duration::from_secs(10);

impl ServiceState {
    /// The first order of a sequence.
    pub fn begin(&mut self, cx: &mut Context, work: &mut Work, control: &ControlSpec) -> Option<Outcome> {
        let now = cx.now.mono;
        let nobody = self.process_check.is_some() && work.old.is_none();
        if work.goal == Goal::Stop && nobody && !control.supervises() {
            return done("already down");
        }
        self.dirty = true;
        if work.person {
            self.restarts.clear(now);
        }
        self.restarts.forgive(now);
        let kind = EventKind::Acting { action: work.goal.to_string(), by: work.by.clone() };
        cx.event(Some(&self.plan.name), self.incident.as_ref().map(|i| i.id), kind);
        if !work.person && work.goal != Goal::Stop {
            if work.charged {
                self.used.restamp(cx.now);
            } else {
                self.used.charge(&self.plan.restart, cx.now);
                work.charged = true;
                if !work.released {
                    cx.brake.count(&self.plan.name, cx.now);
                }
            }
        }
        let service = Arc::clone(&self.plan.name);
        let in_one = control.restarts_in_one() && (work.goal == Goal::Restart || !control.can_start());
        if work.goal == Goal::Stop || work.goal == Goal::Restart && !in_one && !nobody {
            let (control, process) = (control.clone(), self.aim());
            work.step = Step::Stopping { until: now + stop_deadline(&control) + BEYOND };
            let for_good = work.goal == Goal::Stop;
            work.act = Some(cx.act(&service, Act::Stop { service: Arc::clone(&service), control, process, for_good }));
        } else if in_one && self.no_wish.is_none() {
            work.step = Step::Starting { until: now + stop_deadline(control) + control.timeout() + BEYOND };
            let (control, by_hand) = (control.clone(), work.person);
            work.act = Some(cx.act(&service, Act::Restart { service: Arc::clone(&service), control, by_hand }));
        } else {
            self.start(cx, work, control);
        }
        None
    }

    fn start(&mut self, cx: &mut Context, work: &mut Work, control: &ControlSpec) {
        let service = Arc::clone(&self.plan.name);
        let after = self.process_check.and_then(|c| {
            let gone = self.checks[c].life.as_ref()?.gone.map(|death| death.identity);
            Some(Aim { identity: gone.or(work.old)?, selector: Arc::clone(&self.plan.checks[c].kind) })
        });
        work.step = Step::Starting { until: cx.now.mono + control.timeout() + BEYOND };
        let act = Act::Start { service: Arc::clone(&service), control: control.clone(), after };
        work.act = Some(cx.act(&service, act));
    }

    /// What came of an order. Reports of orders that are over are ignored.
    pub fn reported(&mut self, cx: &mut Context, id: ActId, report: &Report) {
        if !matches!(report, Report::Launched { .. }) {
            cx.acting.remove(&id);
        }
        if self.work.as_ref().is_some_and(|work| work.act == Some(id)) {
            // The next minder takes up a sequence where it was left, and finds out by itself how far it has come.
            if !cx.ending {
                self.work_reported(cx, report);
            }
        } else if self.took_evidence(id, report) {
        } else {
            self.script_reported(cx, id, report);
        }
        self.after(cx);
    }

    fn work_reported(&mut self, cx: &mut Context, report: &Report) {
        let Some(mut work) = self.work.take() else { return };
        let deadline = self.plan.control.as_ref().map_or(Duration::ZERO, ControlSpec::timeout);
        let now = cx.now.mono;
        let appearing = Step::Appearing { until: now + deadline, look: now, looks: 0 };
        let mut over = None;
        match (report, work.step) {
            (Report::Failed { why }, _) => over = failed(&**why),
            (Report::Launched { remark, .. }, Step::Starting { .. }) => {
                self.dirty = true;
                work.remark.clone_from(remark);
                work.step = appearing;
            }
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
            Some(outcome) => self.end_work(cx, *work, outcome),
            None => self.work = Some(work),
        }
    }
}

/// How long the control may take to stop it.
fn stop_deadline(control: &ControlSpec) -> Duration {
    match control {
        ControlSpec::Command(command) => match &command.stop {
            StopBy::Command(run) => run.timeout.0,
            StopBy::Signals(steps) => steps.iter().map(|(_, wait)| *wait).sum(),
        },
        supervisor => supervisor.timeout(),
    }
}
