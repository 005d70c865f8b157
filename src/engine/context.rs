//! What every step has at hand: the time, the numbers, the heap, and where its effects go.

use super::brake::Brake;
use super::chain::{self, Heard};
use super::outbox::{Outbox, Quiet};
use super::schedule::Schedule;
use crate::model::{
    Act, ActId, Answer, CheckId, Effect, Event, EventKind, Identity, Incident, MessageId, Name, Now, Plan, Record,
    RequestId, Restored, Setting,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Context {
    pub now: Now,
    pub started: Now,
    pub setting: Setting,
    pub plan: Arc<Plan>,
    /// minder is about to end: what comes is taken note of, and nothing is begun.
    pub ending: bool,
    pub schedule: Schedule,
    effects: Vec<Effect>,
    /// Kept apart, because they stand after every record of the step.
    acts: Vec<Effect>,
    /// Who watches which process. Several services may watch one.
    watchers: BTreeMap<Identity, Vec<Watcher>>,
    /// Whose the actions under way are.
    pub acting: BTreeMap<ActId, Name>,
    pub outbox: Outbox,
    pub quiet: Quiet,
    /// Every open incident, by number.
    pub open: BTreeMap<u64, Incident>,
    pub brake: Brake,
    /// What is added to the answers to these requests.
    pub asides: BTreeMap<RequestId, String>,
    /// Answers to steps of requests for several services.
    pub heard: Vec<Heard>,
    last_event: u64,
    last_incident: u64,
    last_message: u64,
    last_act: u64,
}

/// Who wants to know of the end of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watcher {
    Check(CheckId),
    /// The silence with this number ends with it.
    Silence(u64),
}

impl Context {
    pub fn new(plan: Arc<Plan>, setting: Setting, restored: &Restored, now: Now) -> Context {
        let own =
            restored.notifiers.values().filter_map(|saved| saved.failing.as_ref()).chain(&restored.brake.incident);
        Context {
            now,
            started: now,
            setting,
            plan,
            ending: false,
            schedule: Schedule::default(),
            effects: Vec::new(),
            acts: Vec::new(),
            watchers: BTreeMap::new(),
            acting: BTreeMap::new(),
            outbox: Outbox::restore(restored, now),
            quiet: Quiet::restore(restored, now),
            open: own.map(|incident| (incident.id, incident.clone())).collect(),
            brake: Brake::restore(&restored.brake, now),
            asides: BTreeMap::new(),
            heard: Vec::new(),
            last_event: restored.last_event,
            last_incident: restored.last_incident,
            last_message: restored.last_message,
            last_act: 0,
        }
    }

    pub fn emit(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Makes room for this many effects: a batch of samples grows the list once.
    pub fn expect(&mut self, effects: usize) {
        self.effects.reserve(effects);
    }

    /// Everything that the step wants, the actions last.
    pub fn take(&mut self) -> Vec<Effect> {
        let mut effects = std::mem::take(&mut self.effects);
        effects.append(&mut self.acts);
        effects
    }

    pub fn event(&mut self, service: Option<&Name>, incident: Option<u64>, kind: EventKind) {
        self.last_event += 1;
        let event = Event { id: self.last_event, at: self.now.wall, service: service.cloned(), incident, kind };
        self.emit(Effect::Record(Record::Event(event)));
    }

    /// Records an incident as it is now.
    pub fn incident(&mut self, incident: &Incident) {
        if incident.closed.is_none() {
            self.open.insert(incident.id, incident.clone());
        } else {
            self.open.remove(&incident.id);
        }
        self.emit(Effect::Record(Record::Incident(incident.clone())));
    }

    pub fn next_incident(&mut self) -> u64 {
        self.last_incident += 1;
        self.last_incident
    }

    pub fn act(&mut self, service: &Name, act: Act) -> ActId {
        self.last_act += 1;
        let id = ActId(self.last_act);
        self.acting.insert(id, Arc::clone(service));
        self.acts.push(Effect::Act(id, act));
        id
    }

    pub fn reply(&mut self, request: RequestId, ok: bool, words: impl Into<String>) {
        let mut words = words.into();
        if chain::is_inside(request) {
            self.heard.push((request, ok, words));
            return;
        }
        if let Some(aside) = self.asides.remove(&request) {
            words = format!("{words}; {aside}");
        }
        self.emit(Effect::Reply(request, Answer { ok, words }));
    }

    pub fn next_message(&mut self) -> MessageId {
        self.last_message += 1;
        MessageId(self.last_message)
    }

    /// The key of a new message. With the moment of minder's start: a number that was used and is not on record, because the disk
    /// was full or it was a test, is used again by the next minder, for something else.
    pub fn key_of(&self, id: MessageId) -> String {
        format!("{}-{:x}.{}", self.setting.instance, self.started.wall.0, id.0)
    }

    pub fn watch(&mut self, identity: Identity, check: CheckId) {
        self.add_watcher(identity, Watcher::Check(check));
    }

    pub fn unwatch(&mut self, identity: Identity, check: CheckId) {
        self.remove_watcher(identity, Watcher::Check(check));
    }

    pub fn watch_holder(&mut self, holder: Identity, silence: u64) {
        self.add_watcher(holder, Watcher::Silence(silence));
    }

    pub fn unwatch_holder(&mut self, holder: Identity, silence: u64) {
        self.remove_watcher(holder, Watcher::Silence(silence));
    }

    fn add_watcher(&mut self, identity: Identity, watcher: Watcher) {
        let watchers = self.watchers.entry(identity).or_default();
        if watchers.is_empty() {
            self.effects.push(Effect::Watch(identity));
        }
        if !watchers.contains(&watcher) {
            watchers.push(watcher);
        }
    }

    fn remove_watcher(&mut self, identity: Identity, watcher: Watcher) {
        let Some(watchers) = self.watchers.get_mut(&identity) else { return };
        watchers.retain(|one| *one != watcher);
        if watchers.is_empty() {
            self.watchers.remove(&identity);
            self.emit(Effect::Unwatch(identity));
        }
    }

    /// The checks that watch this process.
    pub fn watchers(&self, identity: Identity) -> Vec<CheckId> {
        let check = |watcher: &Watcher| if let Watcher::Check(check) = watcher { Some(*check) } else { None };
        self.watchers.get(&identity).into_iter().flatten().filter_map(check).collect()
    }
}
