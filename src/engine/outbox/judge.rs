//! What the stages say of a message: when it comes, when something has changed, and again just before it is sent.

use super::{Verdict, schedule, silence};
use crate::engine::context::Context;
use crate::engine::schedule::NEVER;
use crate::model::{MessageId, MessageKind, MessageState, Mono, Name, Stage, Why};
use std::sync::Arc;
use std::time::Duration;

/// What is held is asked about at least so often: the clock for people may have been set.
const REVIEW_EVERY: Duration = Duration::from_secs(60);

impl Context {
    /// Asks the stages about a message that waits; whether it may go now.
    pub(super) fn review(&mut self, name: &Name, id: MessageId) -> bool {
        match self.judge_message(name, id) {
            Verdict::Pass => {
                self.let_go(name, id);
                true
            }
            // What may not be told now, and is over, is not told.
            Verdict::Hold { why, .. } if self.is_over(name, id) => {
                self.end_message(name, id, MessageState::Dropped, stage_of(&why), why);
                false
            }
            Verdict::Hold { why, until } => {
                let until = until.map_or(NEVER, |until| self.now.mono + (until - self.now.wall));
                if let Some(lane) = self.outbox.lanes.get_mut(name) {
                    lane.review = lane.review.min(until).min(self.now.mono + REVIEW_EVERY);
                    lane.wake = lane.wake.min(lane.review);
                }
                self.note_held(name, id, &why);
                false
            }
            Verdict::Drop { why } => {
                self.end_message(name, id, MessageState::Dropped, stage_of(&why), why);
                false
            }
        }
    }

    /// What was held may go: it gathers, and ages, from now on.
    fn let_go(&mut self, name: &Name, id: MessageId) {
        let (now, notifier) = (self.now, self.plan.notifiers.get(name));
        let Some((lane, notifier)) = self.outbox.lanes.get_mut(name).zip(notifier) else { return };
        if let Some(waiting) = lane.waiting.get_mut(&id)
            && std::mem::take(&mut waiting.held)
        {
            (waiting.since, waiting.expires) = (now.mono, now.mono + notifier.expire);
            lane.expiry = lane.expiry.min(waiting.expires);
            let message = Arc::make_mut(&mut waiting.message);
            message.expires = now.wall + notifier.expire;
            silence::let_go(message);
        }
    }

    /// What the stages say of it, in their order.
    fn judge_message(&self, name: &Name, id: MessageId) -> Verdict {
        let lane = self.outbox.lanes.get(name);
        let found = lane.and_then(|lane| Some((lane, lane.waiting.get(&id)?, self.plan.notifiers.get(name)?)));
        let Some((lane, waiting, notifier)) = found else { return Verdict::Pass };
        let message = &*waiting.message;
        // Who has heard of it hears of its end.
        if lane.is_owed(message) {
            return Verdict::Pass;
        }
        match silence::verdict(self, message) {
            Verdict::Pass => schedule::verdict(notifier, message, self.now.wall),
            other => other,
        }
    }

    fn is_over(&self, name: &Name, id: MessageId) -> bool {
        let waiting = self.outbox.lanes.get(name).and_then(|lane| lane.waiting.get(&id));
        waiting.is_some_and(|waiting| waiting.message.kind == MessageKind::Resolved)
    }

    fn note_held(&mut self, name: &Name, id: MessageId, why: &Why) {
        let at = self.now.wall;
        let waiting = self.outbox.lanes.get_mut(name).and_then(|lane| lane.waiting.get_mut(&id));
        let changed = waiting.and_then(|waiting| {
            waiting.held = true;
            let message = Arc::make_mut(&mut waiting.message);
            message.step(at, stage_of(why), why.clone()).then(|| Arc::clone(&waiting.message))
        });
        changed.into_iter().for_each(|message| self.keep_message(message));
    }

    /// These wait for others. Kept in memory only: it is written with the next thing that happens to the message.
    pub(super) fn note_gathering(&mut self, name: &Name, ids: &[MessageId], until: Mono) {
        let now = self.now;
        let Some(lane) = self.outbox.lanes.get_mut(name) else { return };
        for id in ids {
            if let Some(waiting) = lane.waiting.get_mut(id).filter(|waiting| !waiting.held)
                && !waiting.message.steps.iter().any(|step| step.stage == Stage::Group)
            {
                let why = Why::Gathers { until: now.wall + (until - now.mono) };
                Arc::make_mut(&mut waiting.message).step(now.wall, Stage::Group, why);
            }
        }
    }
}

/// The stage that has this reason.
fn stage_of(why: &Why) -> Stage {
    match why {
        Why::Silenced { .. } => Stage::Silence,
        _ => Stage::Schedule,
    }
}
