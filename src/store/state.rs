//! The writer of `state.db`: services, events, incidents, the outbox.

use super::database::{Database, Failure};
use super::directory::Claim;
use super::queue::{Batch, Queue};
use super::steady::Steady;
use crate::model::{Clock, MessageState, Name, Restored, SavedService, Stage, Wall, Why};
use rusqlite::{Connection, params};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// More messages than this do not wait: the oldest of them are given up.
const WAITING_LIMIT: i64 = 10_000;
/// How long after a failure writing is tried again.
const RETRY: Duration = Duration::from_secs(3);
/// How often old records are let go of.
const PRUNE_EVERY: Duration = Duration::from_secs(60);
const DELIVERED_FOR: Duration = Duration::from_secs(7 * 86_400);
const DEAD_FOR: Duration = Duration::from_secs(30 * 86_400);
/// How many rows are let go of in one transaction, so that a commit never waits long for it.
const PRUNE_STEP: i64 = 500;

/// The writer: runs on a thread of its own.
pub(super) struct Writer {
    pub database: Database,
    pub clock: Arc<dyn Clock>,
    pub facts: Facts,
    pub claim: Arc<Claim>,
    pub steady: Steady,
}

/// The tables whose rows have numbers that are never used again.
const NUMBERED: [&str; 3] = ["event", "incident", "outbox"];

/// What makes it possible to write the database anew when it was lost.
#[derive(Default)]
pub(super) struct Facts {
    pub instance: String,
    pub boot: String,
    /// The state of every service as it is stored.
    pub services: HashMap<Name, Box<str>>,
    /// The state of the brake as it is stored; empty if it was never on.
    pub brake: String,
    /// The silences as they are stored; empty if there were none.
    pub silences: String,
    /// What each notifier has heard as it is stored.
    pub notifiers: BTreeMap<Name, String>,
    /// The highest numbers of events, incidents and messages so far.
    pub last: [u64; 3],
}

/// What was found in the database.
#[derive(Default)]
pub(super) struct Found {
    pub restored: Restored,
    pub notes: Vec<String>,
    pub facts: Facts,
}

/// What is wrong with these tables.
pub(super) fn damage(connection: &Connection, tables: &[&str]) -> Result<Option<String>, Failure> {
    for table in tables {
        let sql = format!("PRAGMA quick_check({table})");
        let verdict: String = connection.query_row(&sql, [], |row| row.get(0))?;
        if verdict != "ok" {
            return Ok(Some(verdict));
        }
    }
    Ok(None)
}

/// Reads what the engine begins with.
pub(super) fn load(connection: &Connection, boot: &str, now: Wall) -> Result<Found, Failure> {
    if let Some(damage) = damage(connection, &["meta", "service", "outbox"])? {
        return Err(Failure::Damaged(damage));
    }
    let mut found = Found::default();
    let meta = "SELECT coalesce((SELECT value FROM meta WHERE name = ?), '')";
    let instance: String = connection.query_row(meta, ["instance"], |row| row.get(0))?;
    let last_boot: String = connection.query_row(meta, ["boot"], |row| row.get(0))?;
    if instance.is_empty() {
        return Err(Failure::Foreign);
    }
    found.restored.same_boot = last_boot == boot;
    found.facts = Facts { instance, boot: boot.to_owned(), ..Facts::default() };

    found.facts.brake = connection.query_row(meta, ["brake"], |row| row.get(0))?;
    if !found.facts.brake.is_empty() {
        match serde_json::from_str(&found.facts.brake) {
            Ok(state) => found.restored.brake = state,
            Err(error) => found.notes.push(format!("the state of the brake in state.db cannot be read: {error}")),
        }
    }

    found.facts.silences = connection.query_row(meta, ["silences"], |row| row.get(0))?;
    if !found.facts.silences.is_empty() {
        match serde_json::from_str(&found.facts.silences) {
            Ok(state) => found.restored.silences = state,
            Err(error) => found.notes.push(format!("the silences in state.db cannot be read: {error}")),
        }
    }
    let mut select = connection.prepare("SELECT name, state FROM notifier")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (name, text): (String, String) = (row.get(0)?, row.get(1)?);
        let name = Name::from(name);
        match serde_json::from_str(&text) {
            Ok(state) => drop(found.restored.notifiers.insert(name.clone(), state)),
            Err(error) => {
                found.notes.push(format!("what {name} has heard cannot be read in state.db and is lost: {error}"));
            }
        }
        found.facts.notifiers.insert(name, text);
    }

    let mut select = connection.prepare("SELECT name, state FROM service")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (name, text): (String, String) = (row.get(0)?, row.get(1)?);
        let name = Name::from(name);
        match serde_json::from_str::<SavedService>(&text) {
            Ok(state) => {
                found.restored.services.insert(name.clone(), state);
            }
            Err(error) => {
                // Whether it was stopped on purpose is not known: better to ask than to start it.
                found.restored.lost = true;
                found.notes.push(format!("the state of {name} in state.db cannot be read and is lost: {error}"));
            }
        }
        found.facts.services.insert(name, text.into());
    }

    // Pruning never removes the highest number, so that it is not given out again; a database that was written anew while
    // minder ran may not have it, and has it in `meta`.
    for (table, last) in NUMBERED.iter().zip(&mut found.facts.last) {
        let sql = format!(
            "SELECT max(coalesce((SELECT max(id) FROM {table}), 0),
                        coalesce((SELECT cast(value AS INTEGER) FROM meta WHERE name = 'last-{table}'), 0))"
        );
        let id: i64 = connection.query_row(&sql, [], |row| row.get(0))?;
        *last = u64::try_from(id).unwrap_or(0);
    }
    [found.restored.last_event, found.restored.last_incident, found.restored.last_message] = found.facts.last;

    let mut select = connection
        .prepare("SELECT id, data FROM outbox WHERE state = 'waiting' AND expires > ? ORDER BY id LIMIT ?")?;
    let mut rows = select.query([now.0, WAITING_LIMIT])?;
    while let Some(row) = rows.next()? {
        match serde_json::from_str(row.get_ref(1)?.as_str().unwrap_or_default()) {
            Ok(message) => found.restored.messages.push(message),
            Err(error) => {
                let id: i64 = row.get(0)?;
                found.notes.push(format!("message {id} in state.db cannot be read and is not sent: {error}"));
            }
        }
    }
    Ok(found)
}

/// Takes note of the start: the machine's boot, and messages that have expired since the end. Says how many.
pub(super) fn begin(connection: &Connection, boot: &str, now: Wall) -> Result<usize, Failure> {
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('boot', ?)", [boot])?;
    let expire = "UPDATE outbox SET state = 'dead', ended = ?1, error = 'it expired while minder did not run'
                  WHERE state = 'waiting' AND expires <= ?1";
    Ok(connection.execute(expire, [now.0])?)
}

impl Writer {
    /// Runs until the queue is closed.
    pub fn run(mut self, queue: &Queue) {
        let mut pruned = self.clock.now().mono;
        self.steady.wall(self.clock.now());
        loop {
            let work = queue.work(PRUNE_EVERY);
            let now = self.clock.now();
            match self.write(&work.batch, now.wall) {
                Ok(()) => queue.written(work.end),
                Err(failure) => {
                    let path = self.database.path().display().to_string();
                    let why = format!("{path} cannot be written, trying again every {} s: {failure}", RETRY.as_secs());
                    queue.failed(work.batch, why);
                    if failure.is_damage() {
                        // Where even this fails, the next try says why.
                        let _ = self.database.put_aside(now.wall);
                    }
                    if work.closing {
                        return;
                    }
                    queue.pause(RETRY);
                    continue;
                }
            }
            if work.closing {
                return;
            }
            if now.mono - pruned >= PRUNE_EVERY {
                pruned = now.mono;
                let wall = self.steady.wall(now);
                // Whatever is wrong here shows at the next commit.
                let _ = self.prune(wall, work.keep);
            }
        }
    }

    /// Writes the batch in one transaction; after a failure and into a new database, everything that is known as well.
    pub fn write(&mut self, batch: &Batch, now: Wall) -> Result<(), Failure> {
        let written = self.try_write(batch, now);
        if written.is_err() {
            self.database.close();
        }
        written
    }

    fn try_write(&mut self, batch: &Batch, now: Wall) -> Result<(), Failure> {
        let (connection, new) = self.database.connection()?;
        if batch.is_empty() && !new {
            return Ok(());
        }
        for (name, state) in &batch.services {
            match state.as_ref().map(serde_json::to_string) {
                Some(Ok(text)) => {
                    self.facts.services.insert(name.clone(), text.into());
                }
                // Of plain data: it cannot fail; and if it did, the former state would be the better one to keep.
                Some(Err(_)) => {}
                None => {
                    self.facts.services.remove(name);
                }
            }
        }
        if let Some(brake) = &batch.brake {
            self.facts.brake = json(brake);
        }
        if let Some(silences) = &batch.silences {
            self.facts.silences = json(silences);
        }
        for (name, state) in &batch.notifiers {
            self.facts.notifiers.insert(name.clone(), json(state));
        }
        let newest = [
            batch.events.iter().map(|event| event.id).max(),
            batch.incidents.keys().max().copied(),
            batch.messages.keys().map(|id| id.0).max(),
        ];
        for (last, newest) in self.facts.last.iter_mut().zip(newest) {
            *last = newest.unwrap_or(0).max(*last);
        }
        let transaction = connection.transaction()?;
        if new {
            self.facts.write_all(&transaction)?;
        }
        for name in batch.services.keys() {
            match self.facts.services.get(name) {
                Some(text) => transaction
                    .prepare_cached("INSERT OR REPLACE INTO service (name, state) VALUES (?, ?)")?
                    .execute([&**name, text])?,
                None => transaction.prepare_cached("DELETE FROM service WHERE name = ?")?.execute([&**name])?,
            };
        }
        if batch.brake.is_some() {
            self.facts.write_brake(&transaction)?;
        }
        if batch.silences.is_some() {
            self.facts.write_silences(&transaction)?;
        }
        for name in batch.notifiers.keys() {
            self.facts.write_notifier(&transaction, name)?;
        }
        write_records(&transaction, batch, now)?;
        transaction.commit()?;
        if newest[0].is_some() {
            self.claim.note(&self.facts.boot, self.facts.last_event());
        }
        Ok(())
    }

    /// Lets go of what is older than it is kept for, a few rows at a time.
    pub fn prune(&mut self, now: Wall, keep: Duration) -> Result<(), Failure> {
        let before = |age: Duration| now.0.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
        let (connection, _) = self.database.connection()?;
        // Ids grow with time: only the first are looked at. The last one stays, so that its number is not used again.
        let old = |table: &str, which: &str, ended: &str| {
            format!(
                "DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE {which} ORDER BY id LIMIT {PRUNE_STEP})
                 AND {ended} < ? AND id < (SELECT max(id) FROM {table})"
            )
        };
        connection.execute(&old("event", "true", "at"), [before(keep)])?;
        connection.execute(&old("incident", "closed IS NOT NULL", "closed"), [before(keep)])?;
        connection.execute(&old("outbox", "state = 'delivered'", "ended"), [before(DELIVERED_FOR)])?;
        connection.execute(&old("outbox", "state = 'dead'", "ended"), [before(DEAD_FOR)])?;
        // Here and not within a commit that somebody waits for, as far as that is possible.
        connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
        Ok(())
    }
}

impl Facts {
    /// The highest number of an event.
    pub fn last_event(&self) -> u64 {
        self.last[0]
    }

    /// Events up to this one were written.
    pub fn went_to(&mut self, event: u64) {
        self.last[0] = event;
    }

    pub fn write_all(&self, connection: &Connection) -> rusqlite::Result<()> {
        for (name, value) in [("instance", &self.instance), ("boot", &self.boot)] {
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", [name, value])?;
        }
        self.write_brake(connection)?;
        self.write_silences(connection)?;
        for name in self.notifiers.keys() {
            self.write_notifier(connection, name)?;
        }
        for (table, last) in NUMBERED.iter().zip(self.last) {
            let name = format!("last-{table}");
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", [name, last.to_string()])?;
        }
        for (name, text) in &self.services {
            connection.execute("INSERT OR REPLACE INTO service (name, state) VALUES (?, ?)", [&**name, text])?;
        }
        Ok(())
    }

    fn write_silences(&self, connection: &Connection) -> rusqlite::Result<()> {
        let put = "INSERT OR REPLACE INTO meta VALUES ('silences', ?)";
        connection.prepare_cached(put)?.execute([&self.silences])?;
        Ok(())
    }

    fn write_notifier(&self, connection: &Connection, name: &Name) -> rusqlite::Result<()> {
        if let Some(state) = self.notifiers.get(name) {
            let put = "INSERT OR REPLACE INTO notifier (name, state) VALUES (?, ?)";
            connection.prepare_cached(put)?.execute([&**name, state])?;
        }
        Ok(())
    }

    fn write_brake(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection.prepare_cached("INSERT OR REPLACE INTO meta VALUES ('brake', ?)")?.execute([&self.brake])?;
        Ok(())
    }
}

pub(super) fn write_records(connection: &Connection, batch: &Batch, now: Wall) -> Result<(), Failure> {
    for event in &batch.events {
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO event (id, at, service, kind, words, incident, data) VALUES (?,?,?,?,?,?,?)",
            )?
            .execute(params![
                event.id as i64,
                event.at.0,
                event.service.as_deref(),
                event.kind.word(),
                event.kind.to_string(),
                event.incident.map(|id| id as i64),
                json(&event.kind),
            ])?;
    }
    for incident in batch.incidents.values() {
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO incident (id, service, opened, closed, severity, title, data)
                 VALUES (?,?,?,?,?,?,?)",
            )?
            .execute(params![
                incident.id as i64,
                &*incident.service,
                incident.opened.0,
                incident.closed.map(|at| at.0),
                incident.severity.to_string(),
                incident.title,
                json(incident),
            ])?;
    }
    for message in batch.messages.values() {
        let ended = (message.state != MessageState::Waiting).then_some(now.0);
        let attempts = message.steps.iter().filter(|step| step.stage == Stage::Deliver).count();
        let error =
            message.steps.last().filter(|step| !matches!(step.why, Why::Taken)).map(|step| step.why.to_string());
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO outbox (id, key, notifier, at, expires, state, ended, attempts, error, title, data)
                 VALUES (?,?,?,?,?,?,?,?,?,?,?)",
            )?
            .execute(params![
                message.id.0 as i64,
                message.key,
                &*message.to,
                message.at.0,
                message.expires.0,
                message.state.word(),
                ended,
                attempts as i64,
                error,
                message.story.title,
                json(message),
            ])?;
    }
    Ok(())
}

/// Plain data with texts as keys: it cannot fail.
fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
