//! Messages that are not sent, or not yet: something that the service needs is not well.

use super::context::Context;
use super::service::ServiceState;
use super::tell::{HOLD_BACK, Telling, What};
use crate::model::{MessageKind, Mono, Name, Stage, Story, Why};
use std::collections::BTreeSet;

/// So many notices are held for later, the latest.
const NOTICES_AT_MOST: usize = 20;

impl ServiceState {
    /// Nothing is sent while something that it needs is not well: each is held, which is said once. What is over already is
    /// never told, which is recorded.
    pub fn hold_tellings(&mut self, cx: &mut Context, why: &str) {
        let mut tellings = std::mem::take(&mut self.tellings);
        for telling in tellings.iter_mut().filter(|telling| telling.held.is_none()) {
            telling.held = Some(why.to_owned());
            self.dirty = true;
            self.hold_messages(cx, &telling.to, why);
        }
        let is_notice = |telling: &Telling| matches!(telling.what, What::Story(MessageKind::Notice, _));
        let mut surplus = tellings.iter().filter(|t| is_notice(t)).count().saturating_sub(NOTICES_AT_MOST);
        for telling in tellings {
            match telling.what {
                What::Story(MessageKind::Notice, _) if surplus > 0 => {
                    surplus -= 1;
                    never_told(cx, telling, Why::Crowded { most: NOTICES_AT_MOST });
                }
                What::Incident | What::Story(MessageKind::Notice, _) => self.tellings.push(telling),
                What::Story(..) => never_told(cx, telling, Why::OverByThen),
            }
        }
    }

    /// What it needs is well: what was held has the usual time to wait for what is done about it now.
    pub fn renew_held(&mut self, cx: &Context) {
        for telling in self.tellings.iter_mut().filter(|telling| telling.held.is_some()) {
            telling.until = cx.now.mono + HOLD_BACK;
            (telling.held, telling.was_held) = (None, true);
        }
    }

    /// What was held is not told any more. Of an incident, that is recorded with its end.
    pub fn forget_held(&mut self, cx: &mut Context) {
        let is_held = |telling: &mut Telling| telling.held.is_some() && !matches!(telling.what, What::Incident);
        for telling in self.tellings.extract_if(.., is_held).collect::<Vec<_>>() {
            never_told(cx, telling, Why::OverByThen);
        }
        self.needs = super::needs::Needs::default();
    }

    /// Whether a message waits.
    pub fn has_to_tell(&self) -> bool {
        !self.tellings.is_empty()
    }

    /// Whether a message is held.
    pub fn holds_messages(&self) -> bool {
        self.tellings.iter().any(|telling| telling.held.is_some())
    }

    /// When the next one leaves at the latest.
    pub fn tellings_wake(&self) -> Option<Mono> {
        let free = self.needs.held().is_none() && !self.needs.is_waiting();
        self.tellings.iter().map(|telling| telling.wake(self.ticked)).min().filter(|_| free)
    }

    /// Records that nobody is told, and why.
    pub fn hold_messages(&mut self, cx: &mut Context, to: &BTreeSet<Name>, why: &str) {
        if !to.is_empty() {
            let names: Vec<&str> = to.iter().map(|name| &**name).collect();
            self.held(cx, &format!("message to {}", names.join(", ")), why);
        }
    }
}

/// Records of what was held that it will never be told, and why.
pub(super) fn never_told(cx: &mut Context, telling: Telling, why: Why) {
    let What::Story(kind, story) = telling.what else { return };
    let what = telling.held.unwrap_or_default();
    for to in &telling.to {
        let why = [Why::Needs { what: what.clone() }, why.clone()].map(|why| (Stage::Inhibit, why));
        cx.not_told(to, kind, Story::clone(&story), why);
    }
}
