//! Escalation: whoever else hears of an incident that nobody acknowledges.
//!
//! The steps of a service count from the begin of its incident: an acknowledgement stops them as long as it lasts, and they go on
//! from there. Each is taken once for an incident; how many were is kept with it.

use super::context::Context;
use super::service::ServiceState;
use crate::model::{Escalation, EventKind, MessageKind, Mono, show_duration};
use std::collections::BTreeSet;

impl ServiceState {
    /// Takes the steps that are due. Several at once, when an acknowledgement has ended late, are one message to each.
    pub fn escalate(&mut self, cx: &mut Context) {
        if !self.is_unattended() {
            return;
        }
        let (mut to, mut latest) = (BTreeSet::new(), None);
        while let Some(step) = self.next_escalation().filter(|step| self.opened + step.after <= cx.now.mono)
            && let Some(incident) = &mut self.incident
        {
            incident.escalated += 1;
            let names: Vec<&str> = step.notify.iter().map(|name| &**name).collect();
            cx.event(Some(&self.plan.name), Some(incident.id), EventKind::Escalated { to: names.join(", ") });
            to.extend(step.notify);
            latest = Some(step.after);
        }
        if let Some(after) = latest {
            self.dirty = true;
            // Who hears of it at this very moment need not hear of it twice.
            to.retain(|name| self.told_at.get(name).is_none_or(|told| told.mono < cx.now.mono));
            let remark = format!("not acknowledged, {} after it began", show_duration(after));
            self.tell_of_incident(cx, to, MessageKind::Update, Some(remark));
        }
    }

    fn next_escalation(&self) -> Option<Escalation> {
        let taken = usize::try_from(self.incident.as_ref()?.escalated).unwrap_or(usize::MAX);
        self.plan.escalate.get(taken).cloned()
    }

    /// When the next step is due.
    pub fn escalation_wake(&self) -> Option<Mono> {
        let step = self.next_escalation().filter(|_| self.is_unattended())?;
        Some(self.opened + step.after)
    }

    /// Something is wrong at this moment, nobody looks after it, and people may be told of it.
    pub fn is_unattended(&self) -> bool {
        let open = self.incident.as_ref().is_some_and(|incident| incident.ack.is_none());
        let free = self.needs.held().is_none() && !self.needs.is_waiting() && !self.holds_messages();
        open && free && self.is_judged() && !self.flap.is_calm()
    }
}
