//! What services say of themselves: `heartbeat` checks. Nobody asks them: their samples are made here, at each tick of the check,
//! and at once when something turns or comes due. Which silence is too long, `pulse.rs` knows.

use super::act::Step;
use super::context::Context;
use super::pulse::EXTENSION;
use super::service::ServiceState;
use crate::model::kinds::{Beat, Heartbeat};
use crate::model::{Effect, Hearing, Kind, Mono};
use std::sync::Arc;
use std::time::Duration;

/// A service that beats all the time is not written down each time, nor sampled.
const SAVED_EVERY: Duration = Duration::from_secs(60);
const SAMPLED_EVERY: Duration = Duration::from_secs(1);

/// The keys of a heartbeat.
pub(super) fn keys_of(kind: &Kind) -> Option<&Heartbeat> {
    match kind {
        Kind::Heartbeat(keys) => Some(keys),
        _ => None,
    }
}

impl ServiceState {
    /// A heartbeat of it whose clock is that of its process.
    pub fn is_watchdog(&self, keys: &Heartbeat) -> bool {
        keys.schedule.is_none() && (self.verifying_check().is_some() || self.plan.control.is_some())
    }

    /// It says something of itself.
    pub fn beat(&mut self, cx: &mut Context, c: usize, beat: &Beat) {
        let plan = Arc::clone(&self.plan);
        let Some(keys) = keys_of(&plan.checks[c].kind) else { return };
        // Another process may just have come: what it says is not what the one before has said.
        self.follow_processes(cx);
        let now = cx.now;
        let check = &mut self.checks[c];
        let Some(pulse) = &mut check.pulse else { return };
        pulse.look(keys, now, check.rhythm.overdue(now.mono));
        let before = pulse.flags(now);
        pulse.hear(keys, beat, now);
        let after = pulse.flags(now);
        let worse = after.missing && !before.missing || after.failed && !before.failed;
        if worse {
            check.rhythm.hurry(now.mono, false);
        } else if after != before {
            check.rhythm.touched(now.mono);
        } else {
            check.rhythm.hurry_for_others(now.mono, SAMPLED_EVERY);
        }
        let often = matches!(beat, Beat::Well | Beat::Status(_) | Beat::Took(_) | Beat::Extend(_));
        let is_known = often && before == after && pulse.took.is_none() && now.mono - pulse.saved < SAVED_EVERY;
        if !is_known {
            pulse.saved = now.mono;
            self.dirty = true;
        }
        match beat {
            Beat::Ready => self.is_ready(now.mono),
            Beat::Extend(more) => self.extend(now.mono, now.mono + (*more).min(EXTENSION)),
            _ => {}
        }
        self.after(cx);
    }

    /// It has started up: the grace is over, and a start that waits to see whether it lives is believed.
    fn is_ready(&mut self, now: Mono) {
        self.grace_until = self.grace_until.min(now);
        let process = self.process();
        if let Some(work) = &mut self.work
            && let Step::Settling { new, until, .. } = &mut work.step
            && process == Some(*new)
        {
            *until = now.min(*until);
        }
    }

    /// It needs longer for what it is at.
    fn extend(&mut self, now: Mono, to: Mono) {
        if now < self.grace_until {
            self.grace_until = self.grace_until.max(to);
        }
        if let Some(work) = &mut self.work {
            match &mut work.step {
                Step::Stopping { until } | Step::Starting { until } | Step::Appearing { until, .. } => {
                    *until = to.max(*until);
                }
                Step::Settling { deadline, .. } => *deadline = to.max(*deadline),
                Step::Due(_) | Step::Confirming { .. } => {}
            }
        }
    }

    /// Sees which process its heartbeats are about now, and whether they count.
    fn follow_processes(&mut self, cx: &mut Context) {
        let plan = Arc::clone(&self.plan);
        let (process, now) = (self.process(), cx.now);
        let (judged, acting) = (self.is_judged(), self.is_acting());
        let is_gone = self.verifying_check().is_some() && process.is_none();
        for (c, check) in plan.checks.iter().enumerate() {
            let Some(keys) = keys_of(&check.kind) else { continue };
            let is_watchdog = self.is_watchdog(keys);
            let state = &mut self.checks[c];
            let Some(pulse) = &mut state.pulse else { continue };
            if pulse.heard_for != Some(process) {
                pulse.heard_for = Some(process);
                let (service, check) = (Arc::clone(&plan.name), Arc::clone(&check.name));
                let hearing = Hearing { service, check, process, user: keys.user.clone() };
                cx.emit(Effect::Hear(state.id, hearing));
            }
            let rests = !judged || is_watchdog && (acting || is_gone);
            if is_watchdog
                && let Some(process) = process
                && pulse.process != Some(process)
            {
                pulse.begin(keys, process, now, plan.grace);
                state.rhythm.touched(now.mono);
                self.dirty = true;
            }
            if pulse.rests != rests {
                pulse.rest(keys, rests, now, plan.grace);
                // Nobody sees which process it is: what we have started is another one.
                if is_watchdog && !rests && judged && process.is_none() {
                    pulse.expect(keys, now, plan.grace);
                }
                state.rhythm.touched(now.mono);
            }
        }
    }

    /// Makes the samples of its heartbeats that are due, and judges them.
    pub fn take_pulses(&mut self, cx: &mut Context) {
        if self.checks.iter().all(|check| check.pulse.is_none()) {
            return;
        }
        self.follow_processes(cx);
        let plan = Arc::clone(&self.plan);
        for (c, check) in plan.checks.iter().enumerate() {
            let Some(keys) = keys_of(&check.kind) else { continue };
            let is_watchdog = self.is_watchdog(keys);
            let state = &mut self.checks[c];
            let Some(pulse) = &mut state.pulse else { continue };
            let before = pulse.flags(cx.now);
            pulse.look(keys, cx.now, state.rhythm.overdue(cx.now.mono));
            self.dirty |= pulse.flags(cx.now) != before;
            let is_due = state.rhythm.ask(cx.now.mono).is_some();
            if is_due {
                let sample = Arc::new(pulse.sample(cx.now, is_watchdog));
                state.rhythm.answered(cx.now.mono);
                cx.emit(Effect::Keep(state.id, Arc::clone(&sample)));
                state.take(check, &sample);
                self.judge(cx, c, true);
            }
            let state = &mut self.checks[c];
            if let Some(wake) = state.pulse.as_ref().and_then(|pulse| pulse.wake(cx.now)) {
                state.rhythm.hurry(wake, false);
            }
        }
    }
}
