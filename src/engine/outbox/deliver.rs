//! Attempts to deliver, and what comes of them.

use super::{Lane, UnderWay};
use crate::engine::context::Context;
use crate::model::{Delivery, Effect, MessageId, MessageKind, MessageState, Name, Parcel, ParcelId, Stage, Why};
use std::sync::Arc;
use std::time::Duration;

/// The pause after the first attempt in vain; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

impl Context {
    /// Sends these as one parcel.
    pub(super) fn send(&mut self, name: &Name, messages: Vec<MessageId>) {
        let others = self.others_failing(name, &messages);
        let id = self.next_parcel();
        let (now, instance) = (self.now, self.setting.instance.clone());
        let Some(lane) = self.outbox.lanes.get_mut(name) else { return };
        let others = match lane.before.take() {
            Some((before, others)) if before == messages => others,
            _ => others,
        };
        let count = messages.len();
        let mut parcel = Vec::with_capacity(count);
        for id in &messages {
            let Some(waiting) = lane.waiting.get_mut(id) else { continue };
            if count > 1 {
                Arc::make_mut(&mut waiting.message).step(now.wall, Stage::Group, Why::Together { count });
            }
            // From here on it may have been heard.
            if let (Some(incident), true) =
                (waiting.message.story.incident, waiting.message.kind != MessageKind::Resolved)
            {
                lane.heard.insert(incident);
            }
            parcel.push(Arc::clone(&waiting.message));
        }
        let key = key(&instance, &messages);
        lane.under_way = Some(UnderWay { id, messages, others: others.clone() });
        lane.dirty = true;
        self.emit(Effect::Send(Parcel { id, key, to: Arc::clone(name), messages: parcel, others }));
    }

    /// What came of an attempt.
    pub fn delivered(&mut self, parcel: ParcelId, outcome: Delivery) {
        if let Some((to, request)) = self.outbox.tests.remove(&parcel) {
            return match outcome {
                Delivery::Delivered { .. } => self.reply(request, true, format!("{to} has taken the message")),
                Delivery::Deferred { why, .. } | Delivery::Refused { why } => {
                    self.reply(request, false, format!("the message has not reached {to}: {why}"));
                }
            };
        }
        let is_its = |lane: &Lane| lane.under_way.as_ref().is_some_and(|under_way| under_way.id == parcel);
        let Some(name) = self.outbox.lanes.iter().find(|(_, lane)| is_its(lane)).map(|(name, _)| Arc::clone(name))
        else {
            return;
        };
        let now = self.now;
        let Some(lane) = self.outbox.lanes.get_mut(&name) else { return };
        let Some(under_way) = lane.under_way.take() else { return };
        (lane.dirty, lane.wake) = (true, crate::model::Mono(0));
        match outcome {
            Delivery::Delivered { plainly } => {
                (lane.tries, lane.trouble, lane.sent) = (0, None, Some(now.mono));
                for id in under_way.messages {
                    if let Some(error) = &plainly {
                        self.step_message(&name, id, Stage::Render, Why::Plainly { error: error.to_string() });
                    }
                    self.end_message(&name, id, MessageState::Delivered, Stage::Deliver, Why::Taken);
                }
            }
            Delivery::Refused { why } => {
                lane.forget_refused(&under_way.messages);
                for id in under_way.messages {
                    let why = Why::Refused { error: why.to_string() };
                    self.end_message(&name, id, MessageState::Dead, Stage::Deliver, why);
                }
            }
            Delivery::Deferred { why, after } => {
                let pause =
                    pause(&format!("{}{name}", self.setting.instance), lane.tries).max(after.unwrap_or_default());
                (lane.tries, lane.pause) = (lane.tries.saturating_add(1), now.mono + pause);
                lane.trouble = Some(Arc::clone(&why));
                let changed = super::merge::come_back(lane, &under_way.messages, now);
                lane.before = Some((under_way.messages.clone(), under_way.others));
                changed.into_iter().for_each(|message| self.keep_message(message));
                for id in under_way.messages {
                    let why = Why::Deferred { error: why.to_string(), until: now.wall + pause };
                    self.step_message(&name, id, Stage::Deliver, why);
                }
            }
        }
    }

    /// Takes note of a step of a message that waits on, and records it.
    fn step_message(&mut self, name: &Name, id: MessageId, stage: Stage, why: Why) {
        let at = self.now.wall;
        let waiting = self.outbox.lanes.get_mut(name).and_then(|lane| lane.waiting.get_mut(&id));
        if let Some(waiting) = waiting {
            Arc::make_mut(&mut waiting.message).step(at, stage, why);
            let message = Arc::clone(&waiting.message);
            self.keep_message(message);
        }
    }

    /// What is no longer worth sending is dead; what is under way is not: it is known in a moment.
    pub(super) fn expire(&mut self, name: &Name) {
        let now = self.now.mono;
        let Some(lane) = self.outbox.lanes.get(name) else { return };
        let error = lane.trouble.as_ref().map(ToString::to_string);
        let ids: Vec<MessageId> = lane
            .waiting
            .iter()
            .filter(|(id, waiting)| waiting.expires <= now && !waiting.held && !lane.is_under_way(**id))
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            let why = Why::Expired { error: error.clone() };
            self.end_message(name, id, MessageState::Dead, Stage::Deliver, why);
        }
    }

    /// What else is failing now, for those who read of these.
    fn others_failing(&self, _name: &Name, _messages: &[MessageId]) -> Vec<String> {
        Vec::new()
    }
}

impl Lane {
    /// A firing that was refused was not heard; nobody is owed its end.
    fn forget_refused(&mut self, messages: &[MessageId]) {
        for id in messages {
            let firing = self.waiting.get(id).filter(|waiting| waiting.message.kind == MessageKind::Firing);
            if let Some(incident) = firing.and_then(|waiting| waiting.message.story.incident) {
                self.heard.remove(&incident);
            }
        }
    }
}

/// The key of a parcel: that of its message; of several, made of all their numbers.
fn key(instance: &str, messages: &[MessageId]) -> String {
    let first = messages.first().map_or(0, |id| id.0);
    if messages.len() < 2 {
        return format!("{instance}-{first}");
    }
    // FNV-1a: the same in every version of minder.
    let bytes = messages.iter().flat_map(|id| id.0.to_le_bytes());
    let hash = bytes
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    format!("{instance}-{first}.{:08x}", hash & 0xffff_ffff)
}

/// How long to wait after so many attempts in vain: 1 s, doubling to 5 min, each within a fifth of that, so that many minders
/// do not come back to a receiver all at once.
fn pause(who: &str, tries: u32) -> Duration {
    let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(tries.min(20))).min(LONGEST_PAUSE);
    let hash = who.bytes().fold(u64::from(tries) ^ 0x9e37_79b9, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let part = (hash >> 8) % 1000;
    pause.mul_f64(0.8 + 0.4 * (part as f64) / 1000.0)
}
