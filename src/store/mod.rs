//! Keeps: state in `state.db`, samples in `history.db`.
//!
//! Both are SQLite databases in the state directory, with a log written ahead (WAL) and `synchronous = NORMAL`: a `kill -9` loses
//! nothing that was committed, a power cut may lose the last moments. Each has one thread that writes; the loop hands over and
//! goes on. Queries have connections of their own ([`Reader`]) and read beside the writers, as `sqlite3` may:
//!
//! ```text
//! sqlite3 -readonly state.db "SELECT time, service, words FROM events ORDER BY id DESC LIMIT 20"
//! sqlite3 -readonly history.db "SELECT * FROM hours WHERE service = 'web' AND metric = 'memory'"
//! ```
//!
//! # `state.db`: what must not be lost
//!
//! | table | a row for each | kept |
//! |---|---|---|
//! | `meta` | fact about the database | for ever |
//! | `service` | service: its state as JSON | while it is in the plan |
//! | `notifier` | notifier: what it has heard and not the end of, as JSON | as long as there is something |
//! | `event` | event; view `events` | `history.keep` |
//! | `incident` | incident; view `incidents` | `history.keep` after its end |
//! | `outbox` | message; view `messages` | delivered and dropped 7 days, the latest 20,000 of each; dead 30 days, the latest 10,000 |
//!
//! # `history.db`: disposable
//!
//! | table | a row for each | kept |
//! |---|---|---|
//! | `series` | check, and list of its metrics that are kept | while it has rows |
//! | `block` | minute or so of a series: its samples, packed | 7 days |
//! | `whole` | block in which the whole of a metric has changed, such as a filesystem's size | 30 days |
//! | `rollup_minute` | series, metric and minute; view `minutes` | 30 days |
//! | `rollup_hour`, `rollup_day` | the same by hour and day (UTC); views `hours`, `days`, `health` | `history.keep` |
//!
//! Nothing is kept longer than `history.keep`. Beyond `history.max_size` the oldest samples go first, then minutes, hours, days.
//! Samples are packed in memory as they come; each check's block is written about once a minute, and rolled up about every
//! quarter of an hour. `kill -9` loses samples since the last block, a minute at most.
//!
//! # Without a disk
//!
//! A full or broken disk stops nothing. The latest state of each service, what notifiers have heard, silences, and every message
//! that waits stay in memory and are written when the disk is back, and so are the last 1,000 events, incidents, and messages that
//! have ended; samples stay in their 2 MB of buffers, and the oldest are dropped. What is lost is counted and told
//! ([`Store::trouble`]). A message whose end is lost is not sent again: what is not known to wait, waits no longer.
//!
//! # What is not well at the start
//!
//! | `state.db` | what is done |
//! |---|---|
//! | cannot be read, in what must not be lost | put aside as `state.db.unreadable-SECONDS`; the engine is told ([`crate::model::Restored::lost`]) |
//! | is damaged in its events or incidents | put aside; what must not be lost is taken over into a new one |
//! | is older than what was written last: its log `state.db-wal` was lost, or it was put back from a copy | used; the engine is told |
//! | cannot be written: locked by somebody's `sqlite3`, full or read-only disk | read, and written as soon as that can be done |
//!
//! How far it was written stands in the file `lock`, with the machine's boot: after a power cut the last moments may be missing,
//! and that is no reason to ask a person. A `state.db` that is removed by hand is begun anew, without a question.

mod buffers;
mod codec;
mod database;
mod directory;
mod history;
mod opening;
mod queue;
mod reader;
mod rollup;
mod state;
mod steady;
#[cfg(test)]
mod tests;

pub use queue::Committed;
pub use reader::{
    AuditFilter, Bar, Curve, DaySums, EventFilter, IncidentFilter, IncidentSpan, IncidentSums, MessageFilter, Often,
    ReadError, Reader, Rollup, Samples, Wholes,
};
pub use rollup::{Step, Sum};

use crate::model::{CheckId, Clock, HistoryLimits, Message, MessageId, Record, Restored, Sample, Series, Session};
use buffers::Buffers;
use database::{Database, HISTORY, STATE};
use directory::Claim;
use queue::Queue;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

/// Why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory, or a file in it, cannot be used.
    #[error("the state directory {} cannot be used", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Somebody else could write into the directory.
    #[error(
        "the state directory {0} is not safe: its mode is {mode:04o} and its owner uid {owner}; it must belong to the user that \
         minder runs as, and nobody else may write in it (chmod 0700 {0})",
        path.display()
    )]
    Exposed {
        /// Which.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// Its owner.
        owner: u32,
    },
    /// There is no thread to be had for writing.
    #[error("no thread to write the databases")]
    Thread(#[source] std::io::Error),
    /// Another minder uses it.
    #[error("the state directory {} is in use by another minder{}", path.display(), of_pid(.pid))]
    Locked {
        /// Which.
        path: PathBuf,
        /// The other minder, if it says so.
        pid: Option<u32>,
    },
    /// The database was written by a later version.
    #[error("{} was written by a later version of minder (its version is {found}, this minder knows {known}); run that one, \
             or move the file away", path.display())]
    Later {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The latest version that is known here.
        known: usize,
    },
    /// The database cannot be used, though it is not damaged: the disk is full, or fails.
    #[error("{} cannot be used: {why}", path.display())]
    Database {
        /// The database.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

fn of_pid(pid: &Option<u32>) -> String {
    pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
}

/// What was found when the store was opened.
pub struct Opened {
    /// For the engine.
    pub restored: Restored,
    /// For the page.
    pub sessions: Vec<Session>,
    /// Random, made with `state.db` and kept in it.
    pub instance: String,
    /// What people should know: something was put aside.
    pub notes: Vec<String>,
}

/// The two databases and their writers.
pub struct Store {
    queue: Arc<Queue>,
    buffers: Arc<Buffers>,
    history_trouble: Arc<Mutex<Option<String>>>,
    reader: Reader,
    clock: Arc<dyn Clock>,
    ended: mpsc::Receiver<()>,
}

impl Store {
    /// Opens the databases in this directory, creating what is missing, and keeps every other minder out.
    ///
    /// `boot_id` names the machine's boot (`/proc/sys/kernel/random/boot_id`).
    pub fn open(dir: &Path, boot_id: &str, clock: Arc<dyn Clock>) -> Result<(Store, Opened), OpenError> {
        let claim = Arc::new(directory::claim(dir)?);
        let now = clock.now().wall;
        let mut database = Database::new(dir, &STATE);
        let (mut found, state_trouble) = opening::state(&mut database, &claim, boot_id, now)?;
        let facts = std::mem::take(&mut found.facts);
        let instance = facts.instance.clone();
        let state =
            state::Writer { database, clock: clock.clone(), facts, claim: claim.clone(), steady: Default::default() };

        let mut database = Database::new(dir, &HISTORY);
        let (note, trouble) = opening::history(&mut database, now);
        found.notes.extend(note);
        let buffers = Arc::<Buffers>::default();
        let history_trouble = Arc::new(Mutex::new(trouble));
        let history = history::Writer {
            database,
            buffers: buffers.clone(),
            clock: clock.clone(),
            trouble: Arc::clone(&history_trouble),
            known: history::Known::default(),
            sweep: history::Sweep::default(),
            steady: steady::Steady::default(),
        };

        let queue = Queue::new(HistoryLimits::default().keep.0, MessageId(found.restored.last_message));
        if let Some(why) = state_trouble {
            queue.failed(queue::Batch::default(), why);
        }
        let (end, ended) = mpsc::channel();
        let spawned = {
            let queue = queue.clone();
            spawn("state", end.clone(), claim.clone(), move || state.run(&queue))
                .and_then(|()| spawn("history", end, claim, move || history.run()))
        };
        let reader = Reader::new(dir, buffers.clone());
        let store = Store { queue, buffers, history_trouble, reader, clock, ended };
        // Dropping the store ends the writer that did start.
        spawned.map_err(OpenError::Thread)?;
        let opened = Opened { restored: found.restored, sessions: found.sessions, instance, notes: found.notes };
        Ok((store, opened))
    }

    /// Writes these in one transaction, together with what else waits. Never blocks and never fails: without a disk they wait in
    /// memory.
    pub fn commit(&self, records: Vec<Record>, messages: Vec<Arc<Message>>) -> Committed {
        self.queue.commit(records, messages)
    }

    /// These are the metrics to keep of this check; its samples were not kept before. A series of the same service and check
    /// under another number ends.
    pub fn series(&self, check: CheckId, series: Series) {
        self.buffers.series(check, series);
    }

    /// Keeps this sample; costs some 100 ns.
    pub fn keep(&self, check: CheckId, sample: &Sample) {
        self.buffers.keep(check, sample);
    }

    /// The check is no longer asked.
    pub fn forget(&self, check: CheckId) {
        self.buffers.forget(check);
    }

    /// How much history to keep.
    pub fn limits(&self, limits: &HistoryLimits) {
        self.queue.keep(limits.keep.0);
        self.buffers.limits(limits);
    }

    /// For queries.
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// What people should know: a database cannot be written, and what that has cost so far.
    pub fn trouble(&self) -> Option<String> {
        let troubles = [self.queue.trouble(), lock(&self.history_trouble).clone()];
        troubles.into_iter().flatten().reduce(|a, b| format!("{a}; {b}"))
    }

    /// How many samples were dropped because they could not be written.
    pub fn dropped(&self) -> u64 {
        self.buffers.dropped()
    }

    /// Writes what is left, for at most so long. True if all was written.
    pub fn close(self, at_most: Duration) -> bool {
        self.queue.close();
        self.buffers.close();
        let deadline = self.clock.now().mono + at_most;
        let ended = (0..2).all(|_| self.ended.recv_timeout(deadline - self.clock.now().mono).is_ok());
        ended && self.trouble().is_none()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.queue.close();
        self.buffers.close();
    }
}

/// Runs a writer, which holds the lock until it has ended, and says so then.
fn spawn(
    name: &str,
    end: mpsc::Sender<()>,
    claim: Arc<Claim>,
    writer: impl FnOnce() + Send + 'static,
) -> std::io::Result<()> {
    let run = move || {
        writer();
        drop(claim);
        let _ = end.send(());
    };
    thread::Builder::new().name(name.to_owned()).spawn(run).map(drop)
}

/// A thread that panicked while it held the lock has ended minder: what it left is not looked at twice.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
