//! Attempts to deliver, and what comes of them.

use super::group::fewer;
use super::lane::{Lane, UnderWay, subject};
use super::merge;
use crate::engine::context::Context;
use crate::model::{
    Delivery, Effect, Incident, Message, MessageId, MessageKind, MessageState, Mono, Name, Parcel, ParcelId, Stage,
    Why, show_duration,
};
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// The pause after the first attempt in vain; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause between two attempts,
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// and the longest that a receiver may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(3600);
/// So many other incidents are told of beside the messages of a parcel.
const OTHERS: usize = 5;

impl Context {
    /// Sends these as one parcel.
    pub(super) fn send(&mut self, name: &Name, messages: Vec<MessageId>) {
        let others = self.others_failing(name, &messages);
        let id = self.next_parcel();
        let now = self.now;
        let Some(lane) = self.outbox.lanes.get_mut(name) else { return };
        let others = match lane.before.take() {
            Some((before, others)) if before == messages => others,
            _ => others,
        };
        let count = messages.len();
        let (mut parcel, mut first_of) = (Vec::with_capacity(count), Vec::new());
        for id in &messages {
            let Some(waiting) = lane.waiting.get_mut(id) else { continue };
            if count > 1 {
                Arc::make_mut(&mut waiting.message).step(now.wall, Stage::Group, Why::Together { count });
            }
            // From here on it may have been heard. What is sent again after its end is owed no further one.
            let begun = subject(&waiting.message).filter(|incident| self.open.contains_key(incident));
            if waiting.message.kind != MessageKind::Resolved {
                first_of.extend(begun.filter(|incident| lane.heard.insert(*incident)));
            }
            parcel.push(Arc::clone(&waiting.message));
        }
        let key = key(&parcel);
        let ids = messages.iter().copied().collect();
        lane.under_way = Some(UnderWay { id, what: (messages, others.clone()), ids, first_of, sent: lane.sent });
        (lane.sent, lane.dirty) = (Some(now), true);
        self.emit(Effect::Send(Parcel { id, key, to: Arc::clone(name), messages: parcel, others }));
    }

    /// What came of an attempt.
    pub fn delivered(&mut self, parcel: ParcelId, outcome: Delivery) {
        if let Some(tried) = self.outbox.tests.remove(&parcel) {
            return self.tried(tried, outcome);
        }
        let is_its = |lane: &Lane| lane.under_way.as_ref().is_some_and(|under_way| under_way.id == parcel);
        let Some(name) = self.outbox.lanes.iter().find(|(_, lane)| is_its(lane)).map(|(name, _)| Arc::clone(name))
        else {
            return;
        };
        let Some(lane) = self.outbox.lanes.get_mut(&name) else { return };
        let Some(under_way) = lane.under_way.take() else { return };
        (lane.dirty, lane.wake) = (true, Mono(0));
        match outcome {
            Delivery::Delivered { plainly } => self.taken(&name, under_way, plainly.as_deref()),
            Delivery::Refused { why } => self.refused(&name, under_way, &why),
            Delivery::Deferred { why, after } => self.deferred(&name, under_way, &why, after.unwrap_or_default()),
        }
    }

    fn taken(&mut self, name: &Name, under_way: UnderWay, plainly: Option<&str>) {
        if let Some(lane) = self.outbox.lanes.get_mut(name) {
            (lane.tries, lane.trouble, lane.most) = (0, None, None);
        }
        for id in under_way.what.0 {
            if let Some(error) = plainly {
                self.step_message(name, id, Stage::Render, Why::Plainly { error: error.to_owned() });
            }
            self.end_message(name, id, MessageState::Delivered, Stage::Deliver, Why::Taken);
        }
        self.works_again(name, "it takes messages again");
    }

    fn refused(&mut self, name: &Name, under_way: UnderWay, why: &Arc<str>) {
        let now = self.now;
        let Some(lane) = self.outbox.lanes.get_mut(name) else { return };
        lane.sent = under_way.sent;
        let mut changed = Vec::new();
        for incident in under_way.first_of {
            // It was surely not heard, and nobody is owed its end.
            lane.heard.remove(&incident);
        }
        let messages = under_way.what.0;
        let fewer = fewer(messages.len());
        // One alone that is refused shows the way for the next ones, until something is taken.
        lane.most = fewer.or(lane.most);
        for id in &messages {
            let Some(waiting) = lane.waiting.get(id) else { continue };
            let begun = waiting.message.kind == MessageKind::Firing;
            if let Some(incident) = subject(&waiting.message).filter(|_| begun && fewer.is_none())
                && !lane.heard.contains(&incident)
                && lane.latest_of(incident) != Some(*id)
            {
                changed.extend(merge::begin_anew(lane, incident));
            }
        }
        changed.extend(if fewer.is_some() { merge::come_back(lane, &messages, now) } else { Vec::new() });
        changed.into_iter().for_each(|message| self.keep_message(message));
        for id in messages {
            let error = why.to_string();
            if fewer.is_some() {
                self.step_message(name, id, Stage::Deliver, Why::Deferred { error, until: now.wall });
            } else {
                self.end_message(name, id, MessageState::Dead, Stage::Deliver, Why::Refused { error });
            }
        }
        self.in_vain(name, why, fewer.is_none());
    }

    fn deferred(&mut self, name: &Name, under_way: UnderWay, why: &Arc<str>, after: Duration) {
        let now = self.now;
        let who = format!("{}{name}", self.setting.instance);
        let Some(lane) = self.outbox.lanes.get_mut(name) else { return };
        let pause = pause(&who, lane.tries).max(after.min(LONGEST_ASKED));
        // What was under way may have expired meanwhile.
        (lane.pause, lane.expiry) = (now.mono + pause, Mono(0));
        let changed = merge::come_back(lane, &under_way.what.0, now);
        lane.before = Some(under_way.what.clone());
        changed.into_iter().for_each(|message| self.keep_message(message));
        for id in under_way.what.0 {
            let why = Why::Deferred { error: why.to_string(), until: now.wall + pause };
            self.step_message(name, id, Stage::Deliver, why);
        }
        self.in_vain(name, why, false);
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
        let Some(lane) = self.outbox.lanes.get_mut(name).filter(|lane| lane.expiry <= now) else { return };
        let error = lane.trouble.as_ref().map(|trouble| trouble.why.to_string());
        let mut ids = lane.idle();
        ids.retain(|id| lane.waiting.get(id).is_some_and(|waiting| !waiting.held && waiting.expires <= now));
        for id in ids {
            let why = Why::Expired { error: error.clone() };
            self.end_message(name, id, MessageState::Dead, Stage::Deliver, why);
        }
        if let Some(lane) = self.outbox.lanes.get_mut(name) {
            lane.expiry = lane.next_expiry();
        }
    }

    /// What else is failing now, for those who read of these: the worst first, in a line each. What this notifier is not to hear
    /// of now is left out, and so is its own failing, which is over when this is read.
    fn others_failing(&self, name: &Name, messages: &[MessageId]) -> Vec<String> {
        let Some(lane) = self.outbox.lanes.get(name) else { return Vec::new() };
        let is_told = |(id, waiting): &(&MessageId, &super::lane::Waiting)| waiting.held || messages.contains(id);
        let told = lane.waiting.iter().filter(is_told).filter_map(|(_, waiting)| subject(&waiting.message));
        let told: BTreeSet<u64> = told.chain(lane.failing.as_ref().map(|incident| incident.id)).collect();
        let mut others: Vec<&Incident> = self.open.values().filter(|incident| !told.contains(&incident.id)).collect();
        others.sort_by_key(|incident| (Reverse(incident.severity), incident.id));
        let line = |incident: &&Incident| {
            let age = (self.now.wall - incident.opened).as_secs();
            let age = Duration::from_secs(if age < 60 { age } else { age - age % 60 });
            format!("{}, for {}", incident.headline(), show_duration(age))
        };
        let mut lines: Vec<String> = others.iter().take(OTHERS).map(line).collect();
        if others.len() > OTHERS {
            lines.push(format!("and {} more", others.len() - OTHERS));
        }
        lines
    }
}

/// The key of a parcel: that of its message; of several, made of all their keys.
fn key(messages: &[Arc<Message>]) -> String {
    let first = messages.first().map(|message| message.key.clone()).unwrap_or_default();
    if messages.len() < 2 {
        return first;
    }
    // FNV-1a: the same in every version of minder.
    let bytes = messages.iter().flat_map(|message| message.key.bytes().chain([0]));
    let hash = bytes
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    format!("{first}.{hash:016x}")
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
