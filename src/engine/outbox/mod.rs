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
//! | | refused | its messages are dead: idle |
//! | | not taken | its messages wait again, merged with what has come since: pausing |
//! | pausing | the pause is over, or a new plan | idle |
//!
//! At most one parcel of a lane is under way, so that the order holds: what happened first is told first. What may not go, because
//! of a silence or of the hours of its notifier, is passed by those behind it.
//!
//! - `heard` is what the notifier was told of, or may have been, and not yet of its end. Who is in it hears of the end, whatever
//!   has happened to the rule, the service, the silence or the notifier since.
//! - A message is written to the outbox in the step that makes it, and its end in the step that knows it. After a crash the lane
//!   has the same messages, and the parcel that was under way is sent again with the same key.

mod deliver;
mod group;
mod merge;
mod resend;
mod schedule;
mod silence;

use super::context::Context;
use super::schedule::{NEVER, Timer};
use crate::model::{
    Effect, EventKind, Message, MessageId, MessageKind, MessageState, Mono, Name, Now, Parcel, ParcelId, Record,
    RequestId, Restored, SavedNotifier, Stage, Step, Story, Wall, Why,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub(super) use silence::Quiet;

/// So many messages may wait for one notifier.
pub(super) const WAITING_AT_MOST: usize = 1000;
/// What waits for a time of the clock for people is looked at again so often: that clock may be set, and the one that wakes us
/// stands still while the machine sleeps.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// All lanes. See the head of this file.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    lanes: BTreeMap<Name, Lane>,
    /// Tests under way, and the people who wait for them.
    tests: BTreeMap<ParcelId, (Name, RequestId)>,
    last_parcel: u64,
    /// The time for which a timer is set.
    armed: Option<Mono>,
}

/// What one notifier is to hear.
#[derive(Debug, Default)]
struct Lane {
    /// By number: in the order of what happened. What is under way is among them.
    waiting: BTreeMap<MessageId, Waiting>,
    /// Incidents that it was told of, or may have been, and not of their end.
    heard: BTreeSet<u64>,
    under_way: Option<UnderWay>,
    /// The attempt before, if it was in vain: sent again as it was, it has the same key and the same words.
    before: Option<(Vec<MessageId>, Vec<String>)>,
    /// Attempts in vain in a row, and why the latest was.
    tries: u32,
    trouble: Option<Arc<str>>,
    failing: Option<Wall>,
    /// Who was told that it fails.
    told: BTreeSet<Name>,
    /// No attempt before this.
    pause: Mono,
    /// When the latest parcel was taken.
    sent: Option<Mono>,
    /// When it has to be turned again; [`NEVER`] if only by something new.
    wake: Mono,
    /// What is saved of it has changed.
    dirty: bool,
}

/// A message that waits.
#[derive(Debug)]
struct Waiting {
    message: Arc<Message>,
    /// By the clock that never steps: a machine whose clock is set right by years must not lose everything that waits.
    expires: Mono,
    since: Mono,
    /// It may not go now.
    held: bool,
}

/// A parcel under way.
#[derive(Debug)]
struct UnderWay {
    id: ParcelId,
    messages: Vec<MessageId>,
    others: Vec<String>,
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
            let lane = outbox.lanes.entry(Arc::clone(name)).or_default();
            lane.heard.clone_from(&saved.heard);
            lane.before = (!saved.under_way.is_empty()).then(|| (saved.under_way.clone(), saved.others.clone()));
            (lane.failing, lane.told) = (saved.failing, saved.told.clone());
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
        self.lanes.values_mut().for_each(|lane| lane.wake = Mono(0));
    }

    /// Which notifiers do not take what they are sent, and why, for people.
    pub fn troubles(&self) -> impl Iterator<Item = (&Name, usize, &str)> {
        self.lanes.iter().filter_map(|(name, lane)| Some((name, lane.waiting.len(), lane.trouble.as_deref()?)))
    }
}

impl Waiting {
    fn new(message: Arc<Message>, now: Now) -> Waiting {
        // A clock that was set back does not make a message worth more than when it was new.
        let left = (message.expires - now.wall).min(message.expires - message.at);
        let held = message.steps.last().is_some_and(|step| step.why.holds());
        Waiting { message, expires: now.mono + left, since: now.mono, held }
    }

    fn is_of(&self, incident: Option<u64>) -> bool {
        incident.is_some() && self.message.story.incident == incident
    }
}

impl Lane {
    fn is_under_way(&self, id: MessageId) -> bool {
        self.under_way.as_ref().is_some_and(|parcel| parcel.messages.contains(&id))
    }

    fn saved(&self) -> SavedNotifier {
        let before = self.before.as_ref().map(|(messages, others)| (messages, others));
        let parcel = self.under_way.as_ref().map(|parcel| (&parcel.messages, &parcel.others)).or(before);
        let (under_way, others) = parcel.map(|(ids, others)| (ids.clone(), others.clone())).unwrap_or_default();
        SavedNotifier { heard: self.heard.clone(), under_way, others, failing: self.failing, told: self.told.clone() }
    }
}

impl Context {
    /// Tells a notifier, if it is still in the plan: the message is recorded, and goes the way of its lane.
    pub fn tell(&mut self, to: &Name, kind: MessageKind, story: Story) {
        self.tell_of(to, kind, story, false);
    }

    /// Tells a notifier that has heard nothing of it all of an incident that is over.
    pub fn tell_whole(&mut self, to: &Name, story: Story) {
        self.tell_of(to, MessageKind::Resolved, story, true);
    }

    fn tell_of(&mut self, to: &Name, kind: MessageKind, story: Story, whole: bool) {
        let Some(notifier) = self.plan.notifiers.get(to).cloned() else { return };
        let id = self.next_message();
        let of = story.remark.clone().unwrap_or_else(|| story.title.clone());
        let mut message = Message {
            id,
            key: format!("{}-{}", self.setting.instance, id.0),
            to: Arc::clone(to),
            kind,
            at: self.now.wall,
            expires: self.now.wall + notifier.expire,
            story,
            state: MessageState::Waiting,
            steps: vec![Step { at: self.now.wall, stage: Stage::Incident, why: Why::Told { of } }],
        };
        let lane = self.outbox.lanes.entry(Arc::clone(to)).or_default();
        lane.wake = Mono(0);
        let merged = merge::arrive(lane, &mut message, whole, self.now);
        // As it was told, and then what that has done to others.
        self.emit(Effect::Tell(message.clone()));
        if message.state == MessageState::Waiting
            && let Some(lane) = self.outbox.lanes.get_mut(to)
        {
            lane.waiting.insert(id, Waiting::new(Arc::new(message), self.now));
        }
        merged.into_iter().for_each(|message| self.keep_message(message));
        self.make_room(to);
    }

    /// Tells nobody, and records why.
    pub fn not_told(&mut self, to: &Name, kind: MessageKind, story: Story, stage: Stage, why: Why) {
        let id = self.next_message();
        let of = story.remark.clone().unwrap_or_else(|| story.title.clone());
        let at = self.now.wall;
        let steps = vec![Step { at, stage: Stage::Incident, why: Why::Told { of } }, Step { at, stage, why }];
        self.emit(Effect::Tell(Message {
            id,
            key: format!("{}-{}", self.setting.instance, id.0),
            to: Arc::clone(to),
            kind,
            at,
            expires: at,
            story,
            state: MessageState::Dropped,
            steps,
        }));
    }

    /// Tries a notifier once, at once, beside what it is busy with: the person who waits for it sees the truth.
    pub fn tell_test(&mut self, to: &Name, story: Story, request: RequestId) {
        let number = self.next_message();
        let id = self.next_parcel();
        self.outbox.tests.insert(id, (Arc::clone(to), request));
        let key = format!("{}-{}", self.setting.instance, number.0);
        let message = Message {
            id: number,
            key: key.clone(),
            to: Arc::clone(to),
            kind: MessageKind::Test,
            at: self.now.wall,
            expires: self.now.wall,
            story,
            state: MessageState::Waiting,
            steps: Vec::new(),
        };
        let to = Arc::clone(to);
        self.emit(Effect::Send(Parcel { id, key, to, messages: vec![Arc::new(message)], others: Vec::new() }));
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
        self.emit(Effect::Record(Record::Message(Box::new(Arc::unwrap_or_clone(message)))));
    }

    /// Takes a message out of its lane, and records how it ended.
    fn end_message(&mut self, to: &Name, id: MessageId, state: MessageState, stage: Stage, why: Why) {
        let at = self.now.wall;
        let waiting = self.outbox.lanes.get_mut(to).and_then(|lane| lane.waiting.remove(&id));
        if let Some(mut message) = waiting.map(|waiting| waiting.message) {
            let ended = Arc::make_mut(&mut message);
            if let (Some(lane), MessageKind::Resolved, Some(incident)) =
                (self.outbox.lanes.get_mut(to), ended.kind, ended.story.incident)
            {
                // Nothing is owed any more, whatever has become of it.
                lane.dirty |= lane.heard.remove(&incident);
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
        let Some(notifier) = self.plan.notifiers.get(name).cloned() else { return self.clear_lane(name) };
        self.expire(name);
        let now = self.now;
        let Some(lane) = self.outbox.lanes.get_mut(name) else { return };
        let free = lane.waiting.values().filter(|waiting| !waiting.held);
        let expiry = free.map(|waiting| waiting.expires).min().unwrap_or(NEVER);
        lane.wake = expiry;
        if lane.under_way.is_some() || lane.waiting.is_empty() {
            return;
        }
        if now.mono < lane.pause {
            lane.wake = expiry.min(lane.pause);
            return;
        }
        let mut ready = Vec::new();
        let mut wake = expiry;
        for id in lane.waiting.keys().copied().collect::<Vec<_>>() {
            match self.judge_message(name, id) {
                Verdict::Pass => ready.push(id),
                // What may not be told now, and is over, is not told.
                Verdict::Hold { why, .. } if self.is_over(name, id) => {
                    let stage = stage_of(&why);
                    self.end_message(name, id, MessageState::Dropped, stage, why);
                }
                Verdict::Hold { why, until } => {
                    let wait = until.map_or(LOOK_AGAIN, |until| (until - now.wall).min(LOOK_AGAIN));
                    wake = wake.min(now.mono + wait);
                    self.note_held(name, id, &why);
                }
                Verdict::Drop { why } => {
                    let stage = stage_of(&why);
                    self.end_message(name, id, MessageState::Dropped, stage, why);
                }
            }
        }
        let ending = self.ending;
        let Some(lane) = self.outbox.lanes.get_mut(name) else { return };
        for id in &ready {
            if let Some(waiting) = lane.waiting.get_mut(id) {
                // It gathers, and ages, from when it may go.
                if std::mem::take(&mut waiting.held) {
                    (waiting.since, waiting.expires) = (now.mono, now.mono + notifier.expire);
                    let message = Arc::make_mut(&mut waiting.message);
                    message.expires = now.wall + notifier.expire;
                    silence::let_go(message);
                }
            }
        }
        lane.wake = wake;
        match group::choose(lane, notifier.group.filter(|_| !ending), &ready, now.mono) {
            group::Choice::Nothing => {}
            group::Choice::At(at) => {
                lane.wake = wake.min(at);
                self.note_gathering(name, &ready, at);
            }
            group::Choice::Now(messages) => self.send(name, messages),
        }
    }

    /// What the stages say of it, in their order.
    fn judge_message(&self, name: &Name, id: MessageId) -> Verdict {
        let lane = self.outbox.lanes.get(name);
        let found = lane.and_then(|lane| Some((lane, lane.waiting.get(&id)?, self.plan.notifiers.get(name)?)));
        let Some((lane, waiting, notifier)) = found else { return Verdict::Pass };
        let message = &*waiting.message;
        // Who has heard of it hears of its end.
        let owed = message.kind == MessageKind::Resolved
            && message.story.incident.is_some_and(|incident| lane.heard.contains(&incident));
        if owed {
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
        let stage = stage_of(why);
        let waiting = self.outbox.lanes.get_mut(name).and_then(|lane| lane.waiting.get_mut(&id));
        let changed = waiting.and_then(|waiting| {
            waiting.held = true;
            let message = Arc::make_mut(&mut waiting.message);
            let known = message.steps.len();
            message.step(at, stage, why.clone());
            (message.steps.len() != known).then(|| Arc::clone(&waiting.message))
        });
        changed.into_iter().for_each(|message| self.keep_message(message));
    }

    /// Kept in memory only: it is written with the next thing that happens to the message.
    fn note_gathering(&mut self, name: &Name, ready: &[MessageId], until: Mono) {
        let now = self.now;
        let Some(lane) = self.outbox.lanes.get_mut(name) else { return };
        for id in ready {
            if let Some(waiting) = lane.waiting.get_mut(id)
                && !waiting.message.steps.iter().any(|step| step.stage == Stage::Group)
            {
                let why = Why::Gathers { until: now.wall + (until - now.mono) };
                Arc::make_mut(&mut waiting.message).step(now.wall, Stage::Group, why);
            }
        }
    }

    /// The plan has no such notifier any more. What it has heard is remembered, should it come back.
    fn clear_lane(&mut self, name: &Name) {
        let Some(lane) = self.outbox.lanes.get_mut(name) else { return };
        lane.wake = NEVER;
        let ids: Vec<MessageId> = lane.waiting.keys().filter(|id| !lane.is_under_way(**id)).copied().collect();
        for id in ids {
            self.end_message(name, id, MessageState::Dead, Stage::Record, Why::Removed);
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
