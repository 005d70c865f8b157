//! The last look before an automatic start. The supervisor is asked: its operator may have taken the service down meanwhile.
//!
//! One that is about to start it itself goes first: its backoff may be long. It has had its turn when its record has changed and
//! the service is down still.

use super::act::{Goal, Step, TURN_EVERY, Work};
use super::context::Context;
use super::service::ServiceState;
use crate::model::Mono;
use std::time::Duration;

/// A control that has spoken so recently need not be asked again.
const FRESH: Duration = Duration::from_millis(100);

/// What came of the look.
pub(super) enum Confirmed {
    /// It is to be started.
    Yes,
    /// The answer is awaited, or the supervisor has its turn.
    NotYet,
    /// It is not to be started, and why.
    No(&'static str),
}

impl ServiceState {
    pub fn has_just_been_asked(&self, now: Mono) -> bool {
        self.control_known && self.control_at.is_some_and(|at| now - at <= FRESH)
    }

    /// Confirming since then; `turn` as in [`Step::Confirming`].
    pub fn confirm_start(&mut self, cx: &mut Context, work: &mut Work, since: Mono, turn: Option<u64>) -> Confirmed {
        let now = cx.now.mono;
        let timeout = self.control_check.map_or(Duration::ZERO, |c| self.plan.checks[c].timeout);
        let heard = self.control_at.is_some_and(|at| at + FRESH >= since) && self.control_known;
        if self.is_wanted_down() {
            let why = "its operator has taken it down";
            self.held(cx, &work.goal.to_string(), why);
            return Confirmed::No(why);
        }
        if heard
            && let Some(stamp) = self.about_to_be_started()
            && turn.is_none_or(|turn| turn == stamp)
        {
            if turn.is_none() {
                self.held(cx, &work.goal.to_string(), "its supervisor is about to start it");
            }
            let next = now + TURN_EVERY;
            work.step = Step::Confirming { since: next, turn: Some(stamp) };
            if let Some(c) = self.control_check {
                self.checks[c].rhythm.hurry(next, false);
            }
            return Confirmed::NotYet;
        }
        if turn.is_some() && self.control_state.as_ref().is_some_and(|state| state.process.is_some()) {
            self.again_after = now + self.plan.settle;
            return Confirmed::No("its supervisor has started it");
        }
        if heard && !(work.charged || work.person || work.goal == Goal::Stop || self.brake_lets(cx, work)) {
            // Others were faster.
            (work.step, work.waits) = (Step::Due(now), true);
            return Confirmed::NotYet;
        }
        if heard {
            return Confirmed::Yes;
        }
        if now >= since + timeout || self.control_at.is_some_and(|at| at >= since) {
            let why = "its supervisor could not be asked";
            self.held(cx, &work.goal.to_string(), why);
            self.again_after = now + self.plan.restart.delay.longest;
            return Confirmed::No(why);
        }
        // An answer to an earlier question does not do.
        if let Some(c) = self.control_check.filter(|_| turn.is_some()) {
            self.checks[c].rhythm.hurry(since, false);
        }
        Confirmed::NotYet
    }
}
