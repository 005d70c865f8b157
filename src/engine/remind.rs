//! Reminders: a notifier that was told of an incident hears of it again, as often as it wants to, until it is over or
//! acknowledged.

use super::context::Context;
use super::service::ServiceState;
use crate::model::{MessageKind, Mono, Name, show_duration};
use std::collections::BTreeSet;

impl ServiceState {
    /// Tells those again whose time has come since they last heard of it.
    pub fn remind(&mut self, cx: &mut Context) {
        if !self.is_unattended() {
            return;
        }
        let due: BTreeSet<Name> = self.reminders(cx).filter(|(_, at)| *at <= cx.now.mono).map(|(to, _)| to).collect();
        if !due.is_empty() {
            let remark = format!("for {} now", show_duration(cx.now.mono - self.opened));
            self.tell_of_incident(cx, due, MessageKind::Reminder, Some(remark));
        }
    }

    /// Who is to be reminded, and when.
    fn reminders(&self, cx: &Context) -> impl Iterator<Item = (Name, Mono)> {
        self.told_at.iter().filter_map(|(to, told)| {
            let every = cx.plan.notifiers.get(to)?.remind?;
            Some((Name::clone(to), told.mono + every))
        })
    }

    /// When the next one is due.
    pub fn reminders_wake(&self, cx: &Context) -> Option<Mono> {
        if self.is_unattended() { self.reminders(cx).map(|(_, at)| at).min() } else { None }
    }
}
