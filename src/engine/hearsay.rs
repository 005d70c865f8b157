//! What others than the kernel say of a death: the service's supervisor, and its own `finish` script. Each is believed only where
//! the kernel does not say how a process ended, and only of the death that it can mean.
//!
//! - A supervisor means the process of its record before, once that record has changed and names another process, or none.
//! - A script means the latest death, if that was just now; else the one that is about to be noticed.

use super::context::Context;
use super::service::ServiceState;
use crate::model::{ControlState, EventKind, Exit, Identity, Mono};
use std::time::Duration;

/// A script speaks so long after the death at most, and so long before it is noticed.
const REPORTED_WITHIN: Duration = Duration::from_secs(10);

/// What was said before the death of it was noticed.
#[derive(Debug, Default)]
pub(super) struct Hearsay {
    /// The supervisor's word, of this process.
    supervisor: Option<(Identity, Exit)>,
    /// A script's, and when.
    script: Option<(Mono, Exit)>,
}

impl ServiceState {
    /// The process that lives, or else the one that died last.
    pub fn latest_process(&self) -> Option<Identity> {
        self.process().or(self.last_death.map(|(_, process)| process)).or_else(|| {
            let life = self.checks.get(self.process_check?)?.life.as_ref()?;
            life.untold.or(life.gone).map(|death| death.identity)
        })
    }

    /// Its supervisor has a new record, in place of the one that is still kept.
    pub fn supervisor_says(&mut self, cx: &mut Context, new: &ControlState) {
        let Some(old) = &self.control_state else { return };
        let (Some(process), Some(how)) = (old.process, new.last_exit) else { return };
        if old.stamp == new.stamp || new.process == Some(process) {
            return;
        }
        self.hearsay.supervisor = Some((process, how));
        if let Some(c) = self.process_check {
            self.explain_unknown(cx, c, process, how);
        }
    }

    /// Its own script says how its process has ended.
    pub fn reported_end(&mut self, cx: &mut Context, how: Exit) {
        let Some(c) = self.process_check else { return };
        let latest = self.checks[c].life.as_ref().and_then(|life| life.untold.or(life.gone));
        let latest = latest.map(|death| (death.at(), death.identity)).or(self.last_death);
        match latest.filter(|(at, _)| cx.now.mono - at.mono <= REPORTED_WITHIN) {
            Some((_, process)) => self.explain_unknown(cx, c, process, how),
            None => {
                self.hearsay.script = Some((cx.now.mono, how));
                self.checks[c].rhythm.hurry(cx.now.mono, true);
            }
        }
        self.after(cx);
    }

    /// What was said of a death that is noticed now.
    pub fn hearsay_of(&mut self, cx: &Context, c: usize, identity: Identity) -> Option<Exit> {
        if self.process_check != Some(c) {
            return None;
        }
        let of_it = |(process, how)| (process == identity).then_some(how);
        let recent = |(at, how)| (cx.now.mono - at <= REPORTED_WITHIN).then_some(how);
        let Hearsay { supervisor, script } = std::mem::take(&mut self.hearsay);
        supervisor.and_then(of_it).or(script.and_then(recent))
    }

    /// The kernel's own word is better: it has its time to come, and if it has come, it stays.
    fn explain_unknown(&mut self, cx: &mut Context, c: usize, process: Identity, how: Exit) {
        let Some(life) = &mut self.checks[c].life else { return };
        if let Some(untold) = life.untold.as_mut().filter(|untold| untold.identity == process) {
            untold.hearsay = untold.hearsay.or(Some(how));
        } else if self.last_exit.is_none() && self.last_death.is_some_and(|(_, last)| last == process) {
            self.explain(cx, c, process, how);
        }
    }

    /// The event of the death has been told without its cause: the messages to come, and the record, shall have it.
    pub fn explain_late(&mut self, cx: &mut Context, process: Identity, how: Exit, quiet: bool) {
        if self.last_exit == Some(how) {
            return;
        }
        self.last_exit = Some(how);
        self.dirty = true;
        self.title_death(cx);
        // Not another death.
        let words = EventKind::Died { process, how: Some(how) }.to_string();
        if !quiet {
            cx.event(Some(&self.plan.name), self.incident.as_ref().map(|i| i.id), EventKind::Noted { words });
        }
    }
}
