//! What waits to be written to `state.db`: filled by the loop, which never waits, and emptied by the writer.

use super::lock;
use crate::model::{
    Audit, Event, Incident, Message, MessageId, MessageState, Name, Record, SavedBrake, SavedNotifier, SavedService,
    SavedSilences, Session,
};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// So many events, messages and so on may wait for the writer while the disk works,
const BUSY_LIMIT: usize = 20_000;
/// and so many while it does not. Not counted are services, of each of which only the latest state waits, and messages that are
/// still to be delivered, of which the engine lets only so many wait.
const TROUBLE_LIMIT: usize = 1_000;

/// Records of one or more commits, to be written in one transaction.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// The latest state of each service; nothing for one that is gone.
    pub services: HashMap<Name, Option<Box<SavedService>>>,
    /// The latest state of the brake.
    pub brake: Option<Box<SavedBrake>>,
    pub incidents: BTreeMap<u64, Incident>,
    /// The latest of what each notifier has heard.
    pub notifiers: BTreeMap<Name, Box<SavedNotifier>>,
    /// The latest silences.
    pub silences: Option<Box<SavedSilences>>,
    /// The latest sessions.
    pub sessions: Option<Arc<[Session]>>,
    pub audits: VecDeque<Audit>,
    pub events: VecDeque<Event>,
    /// Messages that are to be delivered, as they are now.
    pub waiting: BTreeMap<MessageId, Arc<Message>>,
    /// Messages as they have ended.
    pub ended: BTreeMap<MessageId, Arc<Message>>,
    /// Messages that have ended, and of which that was let go of here: whoever remembers that they wait must forget it, or they
    /// would be sent once more after a restart.
    pub lost: BTreeSet<MessageId>,
}

impl Batch {
    pub fn is_empty(&self) -> bool {
        self.services.is_empty()
            && self.brake.is_none()
            && self.notifiers.is_empty()
            && self.silences.is_none()
            && self.sessions.is_none()
            && self.waiting.is_empty()
            && self.lost.is_empty()
            && self.len() == 0
    }
    fn len(&self) -> usize {
        self.incidents.len().max(self.events.len()).max(self.ended.len()).max(self.audits.len())
    }
    fn add(&mut self, record: Record) {
        match record {
            Record::Event(event) => self.events.push_back(event),
            Record::Incident(incident) => {
                self.incidents.insert(incident.id, incident);
            }
            Record::Service(name, state) => {
                self.services.insert(name, Some(state));
            }
            Record::Gone(name) => {
                self.services.insert(name, None);
            }
            Record::Brake(state) => self.brake = Some(state),
            Record::Message(message) => self.message(message),
            Record::Notifier(name, state) => {
                self.notifiers.insert(name, state);
            }
            Record::Silences(state) => self.silences = Some(state),
            Record::Sessions(sessions) => self.sessions = Some(sessions),
            Record::Audit(audit) => self.audits.push_back(*audit),
        }
    }
    fn message(&mut self, message: Arc<Message>) {
        let (here, there) = match message.state {
            MessageState::Waiting => (&mut self.waiting, &mut self.ended),
            _ => (&mut self.ended, &mut self.waiting),
        };
        there.remove(&message.id);
        self.lost.remove(&message.id);
        here.insert(message.id, message);
    }
    /// Puts this, which is newer, behind what is here.
    fn append(&mut self, mut newer: Batch) {
        self.services.extend(newer.services);
        self.brake = newer.brake.or(self.brake.take());
        self.incidents.append(&mut newer.incidents);
        self.events.append(&mut newer.events);
        for id in newer.lost {
            self.waiting.remove(&id);
            self.ended.remove(&id);
            self.lost.insert(id);
        }
        newer.waiting.into_values().chain(newer.ended.into_values()).for_each(|message| self.message(message));
        self.notifiers.append(&mut newer.notifiers);
        self.silences = newer.silences.or(self.silences.take());
        self.sessions = newer.sessions.or(self.sessions.take());
        self.audits.append(&mut newer.audits);
    }
    /// Drops the oldest of each until none are more than this; says how many. Of messages those go first that were delivered, or
    /// were not to be; dead ones, which can be sent again, go last. Up to `handed` the writer may know that they have waited.
    fn trim(&mut self, limit: usize, handed: MessageId) -> u64 {
        fn front<T>(queue: &mut VecDeque<T>, limit: usize) -> usize {
            queue.drain(..queue.len().saturating_sub(limit)).count()
        }
        let mut dropped = front(&mut self.events, limit) + front(&mut self.audits, limit);
        for dead_too in [false, true] {
            let mut over = self.ended.len().saturating_sub(limit);
            dropped += over;
            self.ended.retain(|id, message| {
                let goes = over > 0 && (dead_too || message.state != MessageState::Dead);
                if goes {
                    over -= 1;
                    if *id <= handed {
                        self.lost.insert(*id);
                    }
                }
                !goes
            });
            dropped -= over;
        }
        while self.incidents.len() > limit {
            self.incidents.pop_first();
            dropped += 1;
        }
        dropped as u64
    }
}

/// Commits are numbered from 1. Up to `tried` they were handed to the database, up to `done` they are on disk.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    tried: u64,
    done: u64,
}

/// See the module.
pub(super) struct Queue {
    inner: Mutex<Inner>,
    wake: Condvar,
    moved: Condvar,
    progress: watch::Sender<Progress>,
}

struct Inner {
    batch: Batch,
    commits: u64,
    progress: Progress,
    trouble: Option<String>,
    dropped: u64,
    /// The highest number of a message that the writer has seen.
    handed: MessageId,
    keep: Duration,
    closing: bool,
}

/// What the writer has to do next.
pub(super) struct Work {
    pub batch: Batch,
    pub end: u64,
    /// For how long events and incidents are kept.
    pub keep: Duration,
    pub closing: bool,
}

impl Queue {
    /// `last_message`: the highest number of a message that was found in the database.
    pub fn new(keep: Duration, last_message: MessageId) -> Arc<Queue> {
        let inner = Mutex::new(Inner {
            batch: Batch::default(),
            commits: 0,
            progress: Progress::default(),
            trouble: None,
            dropped: 0,
            handed: last_message,
            keep,
            closing: false,
        });
        Arc::new(Queue { inner, wake: Condvar::new(), moved: Condvar::new(), progress: watch::Sender::default() })
    }

    /// Adds these as one commit.
    pub fn commit(self: &Arc<Queue>, records: Vec<Record>, messages: Vec<Arc<Message>>) -> Committed {
        let mut inner = lock(&self.inner);
        if records.is_empty() && messages.is_empty() {
            return Committed { number: inner.commits, queue: self.clone() };
        }
        inner.commits += 1;
        messages.into_iter().for_each(|message| inner.batch.message(message));
        for record in records {
            inner.batch.add(record);
        }
        let limit = if inner.trouble.is_some() { TROUBLE_LIMIT } else { BUSY_LIMIT };
        if inner.batch.len() > limit {
            let handed = inner.handed;
            inner.dropped += inner.batch.trim(limit, handed);
        }
        if inner.trouble.is_some() {
            // The next try is seconds away: nobody should wait for it.
            inner.progress.tried = inner.commits;
            self.publish(&inner);
        }
        let number = inner.commits;
        drop(inner);
        self.wake.notify_one();
        Committed { number, queue: self.clone() }
    }

    /// Waits for something to write, for `idle` at most.
    pub fn work(&self, idle: Duration) -> Work {
        let inner = lock(&self.inner);
        let mut inner = wait(&self.wake, inner, idle, |inner| inner.batch.is_empty() && !inner.closing);
        inner.handed = inner.batch.waiting.keys().next_back().copied().max(Some(inner.handed)).unwrap_or(inner.handed);
        Work { batch: std::mem::take(&mut inner.batch), end: inner.commits, keep: inner.keep, closing: inner.closing }
    }

    /// Waits out the time between two tries, or until the end.
    pub fn pause(&self, time: Duration) {
        drop(wait(&self.wake, lock(&self.inner), time, |inner| !inner.closing));
    }

    /// The commits up to this one are on disk.
    pub fn written(&self, end: u64) {
        let mut inner = lock(&self.inner);
        inner.progress = Progress { tried: inner.progress.tried.max(end), done: end };
        inner.trouble = None;
        self.publish(&inner);
    }

    /// The batch could not be written, and is tried again.
    pub fn failed(&self, mut batch: Batch, why: String) {
        let mut inner = lock(&self.inner);
        // The writer has taken note of these, and after a failure it writes all that waits.
        batch.waiting.clear();
        batch.lost.clear();
        batch.append(std::mem::take(&mut inner.batch));
        inner.dropped += batch.trim(TROUBLE_LIMIT, inner.handed);
        inner.batch = batch;
        inner.progress.tried = inner.commits;
        inner.trouble = Some(why);
        self.publish(&inner);
    }

    fn publish(&self, inner: &Inner) {
        self.progress.send_replace(inner.progress);
        self.moved.notify_all();
    }

    /// Why nothing can be written, if that is so, and what it has cost.
    pub fn trouble(&self) -> Option<String> {
        let inner = lock(&self.inner);
        match (&inner.trouble, inner.dropped) {
            (None, _) => None,
            (Some(why), 0) => Some(format!("{why}; state is kept in memory")),
            (Some(why), dropped) => Some(format!("{why}; state is kept in memory, {dropped} older records lost")),
        }
    }

    pub fn keep(&self, keep: Duration) {
        lock(&self.inner).keep = keep;
    }

    /// The writer writes what is here, and ends.
    pub fn close(&self) {
        lock(&self.inner).closing = true;
        self.wake.notify_all();
    }
}

fn wait<'a>(
    condvar: &Condvar,
    guard: MutexGuard<'a, Inner>,
    time: Duration,
    go_on: impl FnMut(&mut Inner) -> bool,
) -> MutexGuard<'a, Inner> {
    condvar.wait_timeout_while(guard, time, go_on).unwrap_or_else(PoisonError::into_inner).0
}

/// A commit on its way to the disk.
#[must_use = "an act must wait for its records"]
pub struct Committed {
    number: u64,
    queue: Arc<Queue>,
}

impl Committed {
    /// Blocks until it is on disk, could not be written, or `at_most` has passed. True if it is on disk.
    pub fn wait(&self, at_most: Duration) -> bool {
        let inner = lock(&self.queue.inner);
        let inner = wait(&self.queue.moved, inner, at_most, |inner| inner.progress.tried < self.number);
        inner.progress.done >= self.number
    }

    /// The same for asynchronous code.
    pub async fn ready(&self, at_most: Duration) -> bool {
        let mut progress = self.queue.progress.subscribe();
        let tried = tokio::time::timeout(at_most, progress.wait_for(|progress| progress.tried >= self.number)).await;
        tried.is_ok_and(|progress| progress.is_ok_and(|progress| progress.done >= self.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EventKind, Wall};

    #[test]
    fn a_failure_leaves_only_so_many_and_the_newest() {
        let queue = Queue::new(Duration::ZERO, MessageId(0));
        let commit = |ids: std::ops::RangeInclusive<u64>| {
            let event = |id| Event { id, at: Wall(0), service: None, incident: None, kind: EventKind::Ended };
            queue.commit(ids.map(|id| Record::Event(event(id))).collect(), vec![])
        };
        let first = commit(1..=5000);
        let work = queue.work(Duration::ZERO);
        assert_eq!((work.batch.events.len(), work.end), (5000, 1));
        let second = commit(5001..=5400);
        queue.failed(work.batch, "full".to_owned());
        assert!(!first.wait(Duration::MAX) && !second.wait(Duration::MAX));
        assert!(queue.trouble().is_some_and(|words| words.contains("4400 older records lost")));
        let work = queue.work(Duration::ZERO);
        assert_eq!((work.batch.events.len(), work.batch.events[0].id), (1000, 4401));
        queue.written(work.end);
        assert!(first.wait(Duration::ZERO) && queue.trouble().is_none());
    }
}
