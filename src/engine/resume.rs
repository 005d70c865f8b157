//! What is done about a sequence that the end of minder interrupted.
//!
//! It was recorded before it began. How far it came is seen by what is there now; what minder did last, it may have done in vain.

use super::act::{Goal, TURN_EVERY, Work};
use super::context::Context;
use super::service::ServiceState;
use crate::model::Found;

impl ServiceState {
    /// Carries on with an action that the end of minder interrupted, once it is seen how far it came.
    pub fn resume(&mut self, cx: &mut Context) {
        let answered = self
            .verifying_check()
            .is_none_or(|c| self.checks[c].latest.as_ref().is_some_and(|sample| sample.found != Found::Unasked));
        // Where its process was is soon known; why it is there no longer, only its supervisor knows.
        if !answered || self.interrupted.is_none() || self.awaits_control(cx.now.mono) {
            return;
        }
        if let Some(c) = self.process_check.filter(|c| self.may_appear_yet(*c)) {
            self.hurry(c, self.resume_at, false);
            return;
        }
        if self.is_ending_first() {
            // The order to start it would come too early.
            self.checks.iter_mut().for_each(|check| check.rhythm.hurry(cx.now.mono + TURN_EVERY, false));
            return;
        }
        let Some(saved) = self.interrupted.take() else { return };
        self.dirty = true;
        // A stop that waited for the end of what was under way is known by the intent.
        let goal = if self.stopped { Some(Goal::Stop) } else { Goal::parse(&saved.action) };
        let Some(goal) = goal else { return };
        let new = self.process().filter(|process| Some(*process) != saved.old);
        // Without anything to see it by, a second start might make two of it: its rules decide.
        let blind = self.verifying_check().is_none();
        if goal != Goal::Stop && (new.is_some() || blind) {
            self.grace_until = cx.now.mono + self.plan.grace;
            self.again_after = self.grace_until;
            let words = new.map_or("interrupted by the end of minder".to_owned(), |new| format!("up as {new}"));
            self.acted(cx, &goal.to_string(), !blind, &words, cx.now.wall - saved.since);
        } else if goal != Goal::Stop && saved.launched && new.is_none() && self.process().is_none() {
            // As if minder had lived: it has failed, and whether there is another try is for the rules and the budget.
            self.acted(
                cx,
                &goal.to_string(),
                false,
                "no new process since before minder ended",
                cx.now.wall - saved.since,
            );
            self.again_after = cx.now.mono;
            if let Some(c) = self.process_check {
                self.death_is_certain(c, cx.now.mono);
            }
        } else if !cx.setting.no_act && self.plan.control.is_some() {
            let mut work = Work::new(goal, saved.by, false, cx.now.mono, cx.now);
            // While its supervisor is asked, no rule need ask for it any more: it was begun.
            (work.charged, work.once) = (true, true);
            self.work = Some(Box::new(work));
        }
    }

    /// How long a process that was launched before the end of minder has to show itself, from the start of minder on. If the
    /// launch was not recorded it may have happened all the same, in the last moment: then it is `settle`.
    pub fn expect_the_launched(&mut self, cx: &Context) {
        let Some(control) = self.plan.control.as_ref().filter(|control| !control.supervises()) else { return };
        let Some(saved) = &self.interrupted else { return };
        if saved.action != Goal::Stop.to_string() {
            let patience = if saved.launched { control.timeout() } else { self.plan.settle };
            self.resume_at = cx.now.mono + patience;
        }
    }

    /// A second start beside one that is only slow to write its pidfile would make two of it.
    fn may_appear_yet(&self, process_check: usize) -> bool {
        let looked = self.checks[process_check].latest.as_ref().is_some_and(|sample| sample.at.mono >= self.resume_at);
        self.process().is_none() && !looked
    }
}
