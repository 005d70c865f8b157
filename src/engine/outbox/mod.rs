//! What notifiers are to hear, and have heard: a lane for each of them.
//!
//! A message that is told ([`Context::tell`]) is recorded and waits in its lane. In each step a lane that has something to do is
//! turned:
//!
//! | state of the lane | what comes | then |
//! |---|---|---|
//! | idle | a message that may go | it gathers, if the notifier has a group; or it is sent: under way |
//! | gathering | the time is up | all that may go are one parcel, the worst first: under way |
//! | under way | taken | idle |
//! | | refused, one alone | its message is dead: idle |
//! | | refused, several | they wait again, and go in smaller parcels: idle |
//! | | not taken | its messages wait again, merged with what has come since: pausing |
//! | pausing | the pause is over, or a new plan | idle |
//!
//! At most one parcel of a lane is under way, so that the order holds: what happened first is told first. What may not go, because
//! of a silence or of the hours of its notifier, is passed by those behind it.
//!
//! When more than [`WAITING_AT_MOST`] wait, this goes first, the oldest of each:
//!
//! | what | what is lost |
//! |---|---|
//! | notices, updates, reminders, that somebody looks after it | something of interest |
//! | firings | that something is wrong, and with it its end |
//! | ends | that something is well again, which somebody was told is not |
//!
//! - `heard` is what the notifier was told of, or may have been, and not yet of its end. Who is in it hears of the end, whatever
//!   has happened to the rule, the service, the silence or the notifier since.
//! - A message is written to the outbox in the step that makes it, and its end in the step that knows it. After a crash the lane
//!   has the same messages, and the parcel that was under way is sent again with the same key.

mod deliver;
mod failing;
mod group;
mod judge;
mod lane;
mod merge;
mod resend;
mod schedule;
mod silence;
mod tried;

use super::context::Context;
use super::schedule::{NEVER, Timer};
use crate::model::{
    Effect, EventKind, Incident, Message, MessageId, MessageKind, MessageState, Mono, Name, NotifierPlace,
    NotifierView, Now, ParcelId, Record, Restored, SavedNotifier, Stage, Step, Story, Wall, Why,
};
use lane::{Lane, Waiting};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub(super) use silence::Quiet;

/// So long the end of what a notifier has heard is kept, when that has left the plan.
const KEPT_FOR_GONE: Duration = Duration::from_secs(86_400);
/// So many messages may wait for one notifier.
const WAITING_AT_MOST: usize = NotifierPlace::TOGETHER_AT_MOST;

/// All lanes. See the head of this file.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    lanes: BTreeMap<Name, Lane>,
    /// Tests under way, and the people who wait for them.
    tests: BTreeMap<ParcelId, tried::Tried>,
    last_parcel: u64,
    /// The time for which a timer is set.
    armed: Option<Mono>,
}

/// What a stage says of a message.
pub(super) enum Verdict {
    /// On to the next stage.
    Pass,
    /// Not now.
    Hold {
        /// Why.
        why: Why,
        /// To be asked again then, at the latest; nothing if something new will tell.
        until: Option<Wall>,
    },
    /// Never.
    Drop {
        /// Why.
        why: Why,
    },
}

impl Outbox {
    /// With what an earlier run has left.
    pub fn restore(restored: &Restored, now: Now) -> Outbox {
        let mut outbox = Outbox::default();
        for (name, saved) in &restored.notifiers {
            outbox.lanes.insert(Arc::clone(name), Lane::restore(saved, now));
        }
        for message in &restored.messages {
            let lane = outbox.lanes.entry(Arc::clone(&message.to)).or_default();
            lane.waiting.insert(message.id, Waiting::new(Arc::new(message.clone()), now));
        }
        outbox
    }

    /// There is a new plan, and no timer: what waits is tried at once, since the keys of its notifier may have been put right.
    pub fn replan(&mut self) {
        self.armed = None;
        self.lanes.values_mut().for_each(|lane| lane.pause = Mono(0));
        self.touch_all();
    }

    /// Every lane is looked at in this step: the plan, or a silence has changed.
    pub fn touch_all(&mut self) {
        self.lanes.values_mut().for_each(Lane::touch);
    }

    /// Which notifiers do not take what they are sent, how many messages wait for them, the incident if it has come to that, and
    /// why, for people.
    pub fn troubles(&self) -> impl Iterator<Item = (&Name, usize, Option<&Incident>, &str)> {
        let troubled = self.lanes.iter().filter(|(_, lane)| lane.trouble.is_some() || lane.failing.is_some());
        troubled.map(|(name, lane)| {
            let why = lane.trouble.as_ref().map_or("not tried since minder started", |trouble| &*trouble.why);
            (name, lane.waiting.len(), lane.failing.as_ref(), why)
        })
    }
}

impl Outbox {
    /// How many messages wait for each notifier.
    pub fn waiting(&self) -> impl Iterator<Item = (&Name, usize)> {
        self.lanes.iter().map(|(name, lane)| (name, lane.waiting.len()))
    }
}

impl Context {
    /// How it stands with each notifier.
    pub fn notifiers(&self, now: Now) -> Vec<NotifierView> {
        let lanes = &self.outbox.lanes;
        let gone =
            lanes.iter().filter(|(name, lane)| !lane.waiting.is_empty() && !self.plan.notifiers.contains_key(*name));
        let names: BTreeSet<&Name> = self.plan.notifiers.keys().chain(gone.map(|(name, _)| name)).collect();
        let idle = Lane::default();
        names.into_iter().map(|name| lanes.get(name).unwrap_or(&idle).view(name, now)).collect()
    }

    /// Tells a notifier, if it is still in the plan: the message is recorded, and goes the way of its lane.
    pub fn tell(&mut self, to: &Name, kind: MessageKind, story: Story) {
        self.tell_of(to, kind, story, false);
    }

    /// Tells a notifier that has heard nothing of it all of an incident that is over.
    pub fn tell_whole(&mut self, to: &Name, story: Story) {
        self.tell_of(to, MessageKind::Resolved, story, true);
    }

    fn tell_of(&mut self, to: &Name, kind: MessageKind, story: Story, whole: bool) {
        let notifier = self.plan.notifiers.get(to).cloned();
        let is_owed = |lane: &Lane| story.incident.is_some_and(|incident| lane.heard.contains(&incident));
        // One that has left the plan hears of the end of what it knows, should it come back.
        let owed = kind == MessageKind::Resolved && self.outbox.lanes.get(to).is_some_and(is_owed);
        if notifier.is_none() && !owed {
            return;
        }
        let now = self.now;
        let expire = notifier.as_ref().map_or(KEPT_FOR_GONE, |notifier| notifier.expire);
        let mut message = self.message(to, kind, story, expire);
        let wants = |kind| notifier.as_ref().is_none_or(|notifier| notifier.kinds.contains(&kind));
        let lane = self.outbox.lanes.entry(Arc::clone(to)).or_default();
        let merged = merge::arrive(lane, &mut message, whole, &wants, now);
        // As it was told, and then what that has done to others.
        let message = Arc::new(message);
        self.emit(Effect::Tell(Arc::clone(&message)));
        self.admit(message, merged);
    }

    /// A message to this notifier that nobody knows of yet.
    fn message(&mut self, to: &Name, kind: MessageKind, story: Story, expire: Duration) -> Message {
        let (id, at) = (self.next_message(), self.now.wall);
        let of = story.remark.clone().unwrap_or_else(|| story.title.clone());
        Message {
            id,
            key: self.key_of(id),
            to: Arc::clone(to),
            kind,
            at,
            expires: at + expire,
            story,
            state: MessageState::Waiting,
            steps: vec![Step { at, stage: Stage::Incident, why: Why::Told { of } }],
        }
    }

    /// A message takes its place in its lane, unless it was dropped on arrival, and is judged.
    fn admit(&mut self, message: Arc<Message>, merged: merge::Merged) {
        merged.replaced.into_iter().for_each(|message| self.keep_message(message));
        if message.state != MessageState::Waiting {
            return;
        }
        let (to, id, now) = (Arc::clone(&message.to), message.id, self.now);
        let Some(lane) = self.outbox.lanes.get_mut(&to) else { return };
        let mut waiting = Waiting::new(message, now);
        waiting.since = merged.since.unwrap_or(now.mono);
        lane.expiry = lane.expiry.min(waiting.expires);
        lane.wake = lane.wake.min(lane.expiry);
        lane.waiting.insert(id, waiting);
        if self.review(&to, id)
            && let Some(lane) = self.outbox.lanes.get_mut(&to)
            && let Some(until) = lane.wake_for_new(now.mono)
        {
            self.note_gathering(&to, &[id], until);
        }
        self.make_room(&to);
    }

    /// Tells nobody, and records why.
    pub fn not_told(
        &mut self,
        to: &Name,
        kind: MessageKind,
        story: Story,
        why: impl IntoIterator<Item = (Stage, Why)>,
    ) {
        let mut message = self.message(to, kind, story, Duration::ZERO);
        message.state = MessageState::Dropped;
        for (stage, why) in why {
            message.step(message.at, stage, why);
        }
        self.emit(Effect::Tell(Arc::new(message)));
    }

    fn next_parcel(&mut self) -> ParcelId {
        self.outbox.last_parcel += 1;
        ParcelId(self.outbox.last_parcel)
    }

    /// Records a message as it is now; of one that is dead, people are told in the history.
    fn keep_message(&mut self, message: Arc<Message>) {
        if message.state == MessageState::Dead
            && let Some(step) = message.steps.last()
        {
            let story = &message.story;
            let service = (!story.service.is_empty()).then(|| Name::from(story.service.as_str()));
            let kind = EventKind::Undelivered { to: message.to.to_string(), why: step.why.to_string() };
            self.event(service.as_ref(), story.incident, kind);
        }
        self.emit(Effect::Record(Record::Message(message)));
    }

    /// Takes a message out of its lane, and records how it ended.
    fn end_message(&mut self, to: &Name, id: MessageId, state: MessageState, stage: Stage, why: Why) {
        let at = self.now.wall;
        let waiting = self.outbox.lanes.get_mut(to).and_then(|lane| lane.waiting.remove(&id));
        if let Some(mut message) = waiting.map(|waiting| waiting.message) {
            let ended = Arc::make_mut(&mut message);
            if let (Some(lane), Some(incident)) = (self.outbox.lanes.get_mut(to), lane::subject(ended)) {
                match (ended.kind, state) {
                    (MessageKind::Resolved, _) => lane.forget(incident),
                    (_, MessageState::Delivered) => drop(lane.unsure.remove(&incident)),
                    (MessageKind::Firing, _) if lane.heard.contains(&incident) => {
                        lane.dirty |= lane.unsure.insert(incident);
                    }
                    _ => {}
                }
            }
            ended.state = state;
            ended.step(at, stage, why);
            self.keep_message(message);
        }
    }

    /// When too many wait, the least valuable goes, of these the oldest.
    fn make_room(&mut self, to: &Name) {
        let Some(lane) = self.outbox.lanes.get(to).filter(|lane| lane.waiting.len() > WAITING_AT_MOST) else { return };
        let least = lane
            .waiting
            .iter()
            .filter(|(id, _)| !lane.is_under_way(**id))
            .min_by_key(|(id, waiting)| (merge::value(waiting.message.kind), **id))
            .map(|(id, _)| *id);
        if let Some(id) = least {
            let why = Why::Crowded { most: WAITING_AT_MOST };
            self.end_message(to, id, MessageState::Dead, Stage::Record, why);
        }
    }

    /// Turns every lane that has something to do, and arranges to be called again.
    pub fn turn_outbox(&mut self) {
        let now = self.now.mono;
        let due: Vec<Name> =
            self.outbox.lanes.iter().filter(|(_, lane)| lane.wake <= now).map(|(name, _)| Arc::clone(name)).collect();
        for name in due {
            self.turn_lane(&name);
        }
        let dirty: Vec<(Name, SavedNotifier)> = self
            .outbox
            .lanes
            .iter_mut()
            .filter_map(|(name, lane)| std::mem::take(&mut lane.dirty).then(|| (Arc::clone(name), lane.saved())))
            .collect();
        for (name, saved) in dirty {
            self.emit(Effect::Record(Record::Notifier(name, Box::new(saved))));
        }
        let next = self.outbox.lanes.values().map(|lane| lane.wake).min().unwrap_or(NEVER);
        let next = next.min(self.quiet.wake(self.now));
        if self.outbox.armed.is_some_and(|armed| armed <= now) {
            self.outbox.armed = None;
        }
        if next != NEVER && self.outbox.armed.is_none_or(|armed| next < armed) {
            self.outbox.armed = Some(next.max(now + Duration::from_millis(1)));
            self.schedule.push(next.max(now + Duration::from_millis(1)), Timer::Outbox);
        }
    }

    /// Lets go what may go.
    fn turn_lane(&mut self, name: &Name) {
        let (now, ending) = (self.now, self.ending);
        self.expire(name);
        let Some(notifier) = self.plan.notifiers.get(name).cloned() else { return self.clear_lane(name) };
        let Some(lane) = self.outbox.lanes.get_mut(name) else { return };
        if lane.review <= now.mono {
            lane.review = NEVER;
            for id in lane.idle() {
                self.review(name, id);
            }
        }
        let Some(lane) = self.outbox.lanes.get_mut(name) else { return };
        (lane.wake, lane.gathers) = (lane.expiry.min(lane.review), None);
        if lane.under_way.is_some() || self.setting.no_act {
            return;
        }
        if now.mono < lane.pause {
            lane.wake = lane.wake.min(lane.pause);
            return;
        }
        // Each turn sends something, or holds or drops some of what was chosen.
        while let Some(lane) = self.outbox.lanes.get_mut(name) {
            match group::choose(lane, &notifier, ending, now.mono) {
                group::Choice::Nothing => return,
                group::Choice::At(at) => {
                    (lane.wake, lane.gathers) = (lane.wake.min(at), Some(at));
                    let ids = lane.idle();
                    return self.note_gathering(name, &ids, at);
                }
                group::Choice::Now(messages) => {
                    // The hour may have come meanwhile when it is not told.
                    let free = messages.iter().filter(|id| self.review(name, **id)).count();
                    if free == messages.len() {
                        return self.send(name, messages);
                    }
                }
            }
        }
    }

    /// The plan has no such notifier any more. What it has heard is remembered, should it come back; so is the end of that.
    fn clear_lane(&mut self, name: &Name) {
        let Some(lane) = self.outbox.lanes.get_mut(name) else { return };
        (lane.wake, lane.tries, lane.trouble) = (lane.expiry, 0, None);
        let mut ids = lane.idle();
        ids.retain(|id| lane.waiting.get(id).is_some_and(|waiting| !lane.is_owed(&waiting.message)));
        for id in ids {
            self.end_message(name, id, MessageState::Dead, Stage::Record, Why::Removed);
        }
        self.works_again(name, "it is no longer in the plan");
    }

    /// After a start, when it is known which incidents are open: nobody is owed the end of one that is not, and of which no
    /// end waits.
    pub fn forget_what_is_over(&mut self) {
        let open = &self.open;
        for lane in self.outbox.lanes.values_mut() {
            let waits: BTreeSet<u64> =
                lane.waiting.values().filter_map(|waiting| lane::subject(&waiting.message)).collect();
            let over = |incident: &u64| !open.contains_key(incident) && !waits.contains(incident);
            let over: Vec<u64> = lane.heard.iter().copied().filter(over).collect();
            over.into_iter().for_each(|incident| lane.forget(incident));
        }
    }
}
