//! Where a supervisor's record reads as if its operator had taken the service down, and he has not.
//!
//! | the record | is |
//! |---|---|
//! | of supervisord: stopped, since the restart began that the end of minder interrupted | the first half of that restart |
//! | of s6: down, and unchanged since it was heard to give the service up | a failure for good |
//!
//! By its stamp such a record is known from then on, to later minders too. Once it has changed it is taken at its word again.

use super::act::Goal;
use super::service::ServiceState;
use crate::model::{ControlState, Phase, SavedRecord, Wall};
use std::time::Duration;

/// Records may leave out fractions of seconds.
const ROUNDED: Duration = Duration::from_secs(1);

impl ServiceState {
    /// Puts into an answer what its record does not say.
    pub fn correct(&mut self, state: &mut ControlState, now: Wall) {
        let Some(control) = self.plan.control.as_ref().filter(|_| state.alive) else { return };
        let failed = control.gives_up_in_silence() && state.failed;
        let before = self.no_wish;
        self.no_wish = match before {
            _ if failed => Some(SavedRecord { stamp: state.stamp, failed }),
            _ if state.wanted != Some(false) => None,
            Some(record) if record.stamp == state.stamp => before,
            _ => self.is_half_restarted(state, now).then_some(SavedRecord { stamp: state.stamp, failed }),
        };
        self.dirty |= self.no_wish != before;
        if let Some(record) = self.no_wish {
            state.wanted = Some(true);
            if record.failed && !state.failed {
                (state.failed, state.word) = (true, "failed for good".into());
            }
        }
    }

    /// The restart that the end of minder interrupted has stopped it, or is about to.
    fn is_half_restarted(&self, state: &ControlState, now: Wall) -> bool {
        let Some(control) = self.plan.control.as_ref().filter(|control| control.restarts_in_halves()) else {
            return false;
        };
        let interrupted = self.interrupted.as_ref().filter(|_| !self.stopped);
        let Some(saved) = interrupted.filter(|saved| Goal::parse(&saved.action) == Some(Goal::Restart)) else {
            return false;
        };
        let at = if state.phase == Phase::Stopping { Some(now) } else { state.since };
        // What began later is somebody else's.
        at.is_some_and(|at| at - saved.since <= control.timeout() && saved.since - at < ROUNDED)
    }

    /// It ends still, as the first half of a restart.
    pub fn is_ending_first(&self) -> bool {
        self.no_wish.is_some() && self.control_state.as_ref().is_some_and(|state| state.phase == Phase::Stopping)
    }
}
