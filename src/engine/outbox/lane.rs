//! What one notifier is to hear, and has heard.

use crate::engine::schedule::NEVER;
use crate::model::{
    Incident, Message, MessageId, MessageKind, Mono, Name, NotifierView, Now, ParcelId, SavedNotifier, Wall,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// See the table in `outbox/mod.rs`.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// By number: in the order of what happened. What is under way is among them.
    pub waiting: BTreeMap<MessageId, Waiting>,
    /// Incidents that it was told of, or may have been, and not of their end. All of them are open, or their end waits.
    pub heard: BTreeSet<u64>,
    /// Those of them whose firing is dead after an attempt in vain: it is owed the end, and more of it is a firing.
    pub unsure: BTreeSet<u64>,
    pub under_way: Option<UnderWay>,
    /// The attempt before, if it was in vain: sent again as it was, it has the same key and the same words.
    pub before: Option<Before>,
    /// Attempts in vain in a row, since when they are, and why the latest was.
    pub tries: u32,
    pub trouble: Option<Trouble>,
    /// That it takes nothing is an incident.
    pub failing: Option<Incident>,
    /// No attempt before this.
    pub pause: Mono,
    /// When the latest attempt was that was not refused: whether it was taken is not always known.
    pub sent: Option<Now>,
    /// No more than this go together, since more were refused.
    pub most: Option<usize>,
    /// What may go gathers until then.
    pub gathers: Option<Mono>,
    /// Nothing expires before this.
    pub expiry: Mono,
    /// When the stages are to be asked again about everything that waits.
    pub review: Mono,
    /// When it has to be turned again; [`NEVER`] if only by something new.
    pub wake: Mono,
    /// What is saved of it has changed.
    pub dirty: bool,
}

/// A message that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub message: Arc<Message>,
    /// By the clock that never steps: a machine whose clock is set right by years must not lose everything that waits.
    pub expires: Mono,
    pub since: Mono,
    /// It may not go now.
    pub held: bool,
}

/// The messages of a parcel, in their order, and what else was told in it.
pub(super) type Before = (Vec<MessageId>, Vec<String>);

/// A parcel under way.
#[derive(Debug)]
pub(super) struct UnderWay {
    pub id: ParcelId,
    pub what: Before,
    /// The same messages, to be looked up: a thousand may be under way while a thousand wait.
    pub ids: BTreeSet<MessageId>,
    /// The incidents that it is the first to tell of.
    pub first_of: Vec<u64>,
    /// When the attempt before it was.
    pub sent: Option<Now>,
}

/// Attempts are in vain.
#[derive(Debug)]
pub(super) struct Trouble {
    pub since: Now,
    pub why: Arc<str>,
}

impl Waiting {
    pub fn new(message: Arc<Message>, now: Now) -> Waiting {
        // A clock that was set back does not make a message worth more than when it was new.
        let left = (message.expires - now.wall).min(message.expires - message.at);
        let held = message.steps.last().is_some_and(|step| step.why.holds());
        Waiting { message, expires: now.mono + left, since: now.mono, held }
    }
}

/// The incident that a message is about. A notice is about none, even while there is one.
pub(super) fn subject(message: &Message) -> Option<u64> {
    message.story.incident.filter(|_| message.kind != MessageKind::Notice)
}

impl Lane {
    /// With what was saved of it.
    pub fn restore(saved: &SavedNotifier, now: Now) -> Lane {
        let mono = |wall: Wall| {
            let age = u64::try_from((now.wall - wall).as_nanos()).unwrap_or(u64::MAX);
            Mono(now.mono.0.saturating_sub(age))
        };
        Lane {
            heard: saved.heard.clone(),
            unsure: saved.unsure.clone(),
            before: (!saved.under_way.is_empty()).then(|| (saved.under_way.clone(), saved.others.clone())),
            failing: saved.failing.clone(),
            sent: saved.sent.map(|wall| Now { mono: mono(wall), wall }),
            ..Lane::default()
        }
    }

    pub fn saved(&self) -> SavedNotifier {
        let parcel = self.under_way.as_ref().map(|parcel| &parcel.what).or(self.before.as_ref());
        let (under_way, others) = parcel.cloned().unwrap_or_default();
        let sent = self.sent.map(|sent| sent.wall);
        let (heard, unsure) = (self.heard.clone(), self.unsure.clone());
        SavedNotifier { heard, unsure, under_way, others, sent, failing: self.failing.clone() }
    }

    /// It, for people.
    pub fn view(&self, name: &Name, now: Now) -> NotifierView {
        let since = self.trouble.as_ref().map(|trouble| trouble.since.wall);
        let paused = self.under_way.is_none() && !self.waiting.is_empty() && self.pause > now.mono;
        NotifierView {
            name: Arc::clone(name),
            waiting: self.waiting.len(),
            sending: self.under_way.is_some(),
            since: self.failing.as_ref().map(|incident| incident.opened).or(since),
            why: self.trouble.as_ref().map(|trouble| trouble.why.to_string()),
            next: paused.then(|| now.wall + (self.pause - now.mono)),
            incident: self.failing.as_ref().map(|incident| incident.id),
        }
    }

    pub fn is_under_way(&self, id: MessageId) -> bool {
        self.under_way.as_ref().is_some_and(|parcel| parcel.ids.contains(&id))
    }

    /// The end of this was told, or is not to be told. Nothing is owed any more.
    pub fn forget(&mut self, incident: u64) {
        self.unsure.remove(&incident);
        self.dirty |= self.heard.remove(&incident);
    }

    /// It waits, and may go as far as is known.
    pub fn is_free(&self, id: &MessageId) -> bool {
        self.waiting.get(id).is_some_and(|waiting| !waiting.held)
    }

    /// What waits, and is not under way.
    pub fn idle(&self) -> Vec<MessageId> {
        self.waiting.keys().filter(|id| !self.is_under_way(**id)).copied().collect()
    }

    /// The latest message about this incident that waits and is not under way.
    pub fn latest_of(&self, incident: u64) -> Option<MessageId> {
        let mut waiting = self.waiting.iter().rev();
        let is_its =
            |id: &MessageId, waiting: &Waiting| subject(&waiting.message) == Some(incident) && !self.is_under_way(*id);
        waiting.find(|(id, waiting)| is_its(id, waiting)).map(|(id, _)| *id)
    }

    /// The end of something that it was told of, or may have been.
    pub fn is_owed(&self, message: &Message) -> bool {
        message.kind == MessageKind::Resolved && subject(message).is_some_and(|incident| self.heard.contains(&incident))
    }

    /// Something that has come may have to be sent at once. While others gather, it gathers with them, and nothing has to be
    /// looked at: a thousand services that fail in one second would be looked at half a million times.
    pub fn wake_for_new(&mut self, now: Mono) -> Option<Mono> {
        let gathers = self.gathers.filter(|at| *at > now);
        if gathers.is_none() && self.under_way.is_none() && self.pause <= now {
            self.wake = Mono(0);
        }
        gathers
    }

    /// Everything is looked at in this step.
    pub fn touch(&mut self) {
        (self.wake, self.review) = (Mono(0), Mono(0));
    }

    /// When the first of what waits expires. What is held does not: its time begins when it may go.
    pub fn next_expiry(&self) -> Mono {
        let idle = self.waiting.iter().filter(|(id, waiting)| !waiting.held && !self.is_under_way(**id));
        idle.map(|(_, waiting)| waiting.expires).min().unwrap_or(NEVER)
    }
}
