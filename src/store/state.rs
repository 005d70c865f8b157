//! The writer of `state.db`: services, events, incidents, the outbox.

use super::database::{Database, Failure};
use super::directory::Claim;
use super::queue::{Batch, Queue};
use super::steady::Steady;
use crate::model::{
    Clock, Message, MessageId, MessageState, Name, Restored, SavedNotifier, SavedService, Session, Wall,
};
use rusqlite::{Connection, params};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// So many messages that wait for one notifier are looked for, the latest. The engine lets no more wait.
const WAITING_LIMIT: i64 = 1000;
/// How long after a failure writing is tried again.
const RETRY: Duration = Duration::from_secs(3);
/// How often old records are let go of,
const PRUNE_EVERY: Duration = Duration::from_secs(60);
/// and how soon again if there were more of them than go in one step.
const PRUNE_ON: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);
/// How long messages that have ended are kept, and how many: a flood must not fill the disk.
const ENDED: [(MessageState, Duration, i64); 3] = [
    (MessageState::Delivered, DAY.saturating_mul(7), 20_000),
    (MessageState::Dropped, DAY.saturating_mul(7), 20_000),
    (MessageState::Dead, DAY.saturating_mul(30), 10_000),
];
/// How long it is kept who did what, and how much of it: refused attempts of strangers must not fill the disk.
const AUDIT_AGE: Duration = DAY.saturating_mul(365);
const AUDIT_COUNT: u64 = 50_000;
/// How many rows are let go of in one transaction, so that a commit never waits long for it.
const PRUNE_STEP: usize = 500;

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
    pub services: BTreeMap<Name, Box<str>>,
    /// The state of the brake as it is stored; empty if it was never on.
    pub brake: String,
    /// The silences as they are stored; empty if there were none.
    pub silences: String,
    /// The sessions of the page as they are stored; empty if there were none.
    pub sessions: String,
    /// What each notifier has heard as it is stored; only those that have heard something.
    pub notifiers: BTreeMap<Name, Box<str>>,
    /// Every message that is to be delivered. As many as the engine lets wait.
    pub waiting: BTreeMap<MessageId, Arc<Message>>,
    /// The highest numbers of events, incidents and messages so far.
    pub last: [u64; 3],
}

/// What was found in the database.
#[derive(Default)]
pub(super) struct Found {
    pub restored: Restored,
    pub sessions: Vec<Session>,
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
    // One that could not be written since minder was updated is still of the version before.
    let has_notifiers: bool =
        connection.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'notifier'", [], |row| row.get(0))?;
    let tables = ["meta", "service", "outbox", "notifier"];
    if let Some(damage) = damage(connection, &tables[..if has_notifiers { 4 } else { 3 }])? {
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
    found.facts.sessions = connection.query_row(meta, ["sessions"], |row| row.get(0))?;
    if !found.facts.sessions.is_empty() {
        match serde_json::from_str(&found.facts.sessions) {
            Ok(sessions) => found.sessions = sessions,
            Err(error) => found
                .notes
                .push(format!("everybody must sign in anew: the sessions in state.db cannot be read: {error}")),
        }
    }
    if has_notifiers {
        load_notifiers(connection, &mut found)?;
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

    load_waiting(connection, &mut found, now)?;
    Ok(found)
}

fn load_notifiers(connection: &Connection, found: &mut Found) -> Result<(), Failure> {
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
        found.facts.notifiers.insert(name, text.into());
    }
    Ok(())
}

/// Reads all messages that wait, in the order of their numbers. What has expired meanwhile, the engine ends like any other.
fn load_waiting(connection: &Connection, found: &mut Found, now: Wall) -> Result<(), Failure> {
    let mut select = connection.prepare(
        "SELECT data FROM
           (SELECT id, data, row_number() OVER (PARTITION BY notifier ORDER BY id DESC) AS place
            FROM outbox WHERE state = 'waiting')
         WHERE place <= ? ORDER BY id",
    )?;
    let mut rows = select.query([WAITING_LIMIT])?;
    let (mut unreadable, mut expired) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        match serde_json::from_str::<Message>(row.get_ref(0)?.as_str().unwrap_or_default()) {
            Ok(message) => {
                expired += usize::from(message.expires <= now);
                found.facts.waiting.insert(message.id, Arc::new(message.clone()));
                found.restored.messages.push(message);
            }
            Err(error) => unreadable.push(error),
        }
    }
    if expired > 0 {
        found.notes.push(format!("messages that expired undelivered while minder did not run: {expired}"));
    }
    if let Some(error) = unreadable.first() {
        let count = unreadable.len();
        found.notes.push(format!("messages in state.db that cannot be read, and are not sent: {count}; {error}"));
    }
    Ok(())
}

/// Takes note of the start: the machine's boot, and that no messages wait but those that were found.
pub(super) fn begin(connection: &Connection, facts: &Facts, now: Wall) -> Result<(), Failure> {
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('boot', ?)", [&facts.boot])?;
    facts.settle(connection, now)
}

impl Writer {
    /// Runs until the queue is closed.
    pub fn run(mut self, queue: &Queue) {
        let (mut pruned, mut pause) = (self.clock.now().mono, PRUNE_EVERY);
        self.steady.wall(self.clock.now());
        loop {
            let work = queue.work(pause);
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
            if now.mono - pruned >= pause {
                pruned = now.mono;
                let wall = self.steady.wall(now);
                // Whatever is wrong here shows at the next commit.
                pause = if self.prune(wall, work.keep).unwrap_or(false) { PRUNE_ON } else { PRUNE_EVERY };
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
        // First, whatever comes of the rest: what is in the facts is written sooner or later.
        self.facts.take(batch);
        let (connection, new) = self.database.connection()?;
        if batch.is_empty() && !new {
            return Ok(());
        }
        let transaction = connection.transaction()?;
        if new {
            self.facts.write_all(&transaction, now)?;
        }
        for name in batch.services.keys() {
            write_state(&transaction, "service", name, self.facts.services.get(name).map(AsRef::as_ref))?;
        }
        if batch.brake.is_some() {
            self.facts.write_brake(&transaction)?;
        }
        if batch.silences.is_some() {
            self.facts.write_silences(&transaction)?;
        }
        if batch.sessions.is_some() {
            self.facts.write_sessions(&transaction)?;
        }
        for name in batch.notifiers.keys() {
            write_state(&transaction, "notifier", name, self.facts.notifiers.get(name).map(AsRef::as_ref))?;
        }
        write_records(&transaction, batch, now)?;
        if new || !batch.lost.is_empty() {
            self.facts.settle(&transaction, now)?;
        }
        transaction.commit()?;
        if !batch.events.is_empty() {
            self.claim.note(&self.facts.boot, self.facts.last_event());
        }
        Ok(())
    }

    /// Lets go of what is older than it is kept for, or too much, a few rows at a time. True if there may be more of it.
    pub fn prune(&mut self, now: Wall, keep: Duration) -> Result<bool, Failure> {
        let before = |age: Duration| now.0.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
        let (connection, new) = self.database.connection()?;
        if new {
            // What is known goes into it first.
            self.database.close();
            return Ok(false);
        }
        // The last one stays, so that its number is not used again.
        let delete = |table: &str, rows: &str| {
            format!(
                "DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE {rows}) AND id < (SELECT max(id) FROM {table})"
            )
        };
        let mut most = 0;
        // Ids grow with time: only the first are looked at.
        for (table, over, ended) in [("event", "true", "at"), ("incident", "closed IS NOT NULL", "closed")] {
            let rows = format!("{over} ORDER BY id LIMIT {PRUNE_STEP}");
            let sql = format!("{} AND {ended} < ?", delete(table, &rows));
            most = most.max(connection.execute(&sql, [before(keep)])?);
        }
        let old = delete("audit", &format!("true ORDER BY id LIMIT {PRUNE_STEP}"));
        most = most.max(connection.execute(&format!("{old} AND at < ?"), [before(AUDIT_AGE)])?);
        let many = delete(
            "audit",
            &format!("id <= (SELECT max(id) FROM audit) - {AUDIT_COUNT} ORDER BY id LIMIT {PRUNE_STEP}"),
        );
        most = most.max(connection.execute(&many, [])?);
        for (state, age, count) in ENDED {
            let old = delete("outbox", &format!("state = ?1 AND ended < ?2 ORDER BY ended LIMIT {PRUNE_STEP}"));
            most = most.max(connection.execute(&old, params![state.word(), before(age)])?);
            let rows = format!("state = ?1 ORDER BY ended DESC, id DESC LIMIT {PRUNE_STEP} OFFSET ?2");
            most = most.max(connection.execute(&delete("outbox", &rows), params![state.word(), count])?);
        }
        // Here and not within a commit that somebody waits for, as far as that is possible.
        connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
        Ok(most >= PRUNE_STEP)
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

    /// Takes note of what a batch says.
    fn take(&mut self, batch: &Batch) {
        for (name, state) in &batch.services {
            match state {
                Some(state) => self.services.insert(Arc::clone(name), json(state).into()),
                None => self.services.remove(name),
            };
        }
        if let Some(brake) = &batch.brake {
            self.brake = json(brake);
        }
        if let Some(silences) = &batch.silences {
            self.silences = json(silences);
        }
        if let Some(sessions) = &batch.sessions {
            self.sessions = json(sessions);
        }
        for (name, state) in &batch.notifiers {
            if **state == SavedNotifier::default() {
                self.notifiers.remove(name);
            } else {
                self.notifiers.insert(Arc::clone(name), json(state).into());
            }
        }
        self.waiting.extend(batch.waiting.iter().map(|(id, message)| (*id, Arc::clone(message))));
        for id in batch.ended.keys().chain(&batch.lost) {
            self.waiting.remove(id);
        }
        let messages = batch.waiting.keys().chain(batch.ended.keys()).chain(&batch.lost);
        let newest = [
            batch.events.iter().map(|event| event.id).max(),
            batch.incidents.keys().max().copied(),
            messages.map(|id| id.0).max(),
        ];
        for (last, newest) in self.last.iter_mut().zip(newest) {
            *last = newest.unwrap_or(0).max(*last);
        }
    }

    /// Into a database that may be new.
    pub fn write_all(&self, connection: &Connection, now: Wall) -> Result<(), Failure> {
        for (name, value) in [("instance", &self.instance), ("boot", &self.boot)] {
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", [name, value])?;
        }
        self.write_brake(connection)?;
        self.write_silences(connection)?;
        self.write_sessions(connection)?;
        for (table, last) in NUMBERED.iter().zip(self.last) {
            let name = format!("last-{table}");
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", [name, last.to_string()])?;
        }
        for (table, states) in [("service", &self.services), ("notifier", &self.notifiers)] {
            for (name, text) in states {
                write_state(connection, table, name, Some(text))?;
            }
        }
        self.waiting.values().try_for_each(|message| write_message(connection, message, now))
    }

    /// No message waits but those that are known to. Others have ended, which could not be written; or they cannot be read.
    fn settle(&self, connection: &Connection, now: Wall) -> Result<(), Failure> {
        let known: Vec<MessageId> = self.waiting.keys().copied().collect();
        let settle = "UPDATE outbox SET state = 'dropped', ended = ?1, why = 'what became of it is not known'
                      WHERE state = 'waiting' AND id NOT IN (SELECT value FROM json_each(?2))";
        connection.execute(settle, params![now.0, json(&known)])?;
        Ok(())
    }

    fn write_silences(&self, connection: &Connection) -> rusqlite::Result<()> {
        let put = "INSERT OR REPLACE INTO meta VALUES ('silences', ?)";
        connection.prepare_cached(put)?.execute([&self.silences])?;
        Ok(())
    }

    fn write_sessions(&self, connection: &Connection) -> rusqlite::Result<()> {
        let put = "INSERT OR REPLACE INTO meta VALUES ('sessions', ?)";
        connection.prepare_cached(put)?.execute([&self.sessions])?;
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
    for audit in &batch.audits {
        connection
            .prepare_cached("INSERT INTO audit (at, who, source, what, ok, words) VALUES (?,?,?,?,?,?)")?
            .execute(params![audit.at.0, audit.who, audit.from, audit.what, audit.ok, audit.words])?;
    }
    let messages = batch.waiting.values().chain(batch.ended.values());
    messages.into_iter().try_for_each(|message| write_message(connection, message, now))
}

fn write_message(connection: &Connection, message: &Message, now: Wall) -> Result<(), Failure> {
    let last = message.steps.last();
    let ended = (message.state != MessageState::Waiting).then(|| last.map_or(now, |step| step.at).0);
    let story = &message.story;
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO outbox
             (id, key, notifier, kind, service, incident, at, expires, state, ended, attempts, why, title, data)
             VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
        )?
        .execute(params![
            message.id.0 as i64,
            message.key,
            &*message.to,
            message.kind.word(),
            (!story.service.is_empty()).then_some(&story.service),
            story.incident.map(|id| id as i64),
            message.at.0,
            message.expires.0,
            message.state.word(),
            ended,
            message.steps.iter().filter(|step| step.why.is_attempt()).count() as i64,
            last.map(|step| step.why.to_string()),
            story.title,
            json(message),
        ])?;
    Ok(())
}

/// Writes the state of a service or a notifier, or removes it.
fn write_state(connection: &Connection, table: &str, name: &str, state: Option<&str>) -> rusqlite::Result<()> {
    match state {
        Some(text) => connection
            .prepare_cached(&format!("INSERT OR REPLACE INTO {table} (name, state) VALUES (?, ?)"))?
            .execute([name, text])?,
        None => connection.prepare_cached(&format!("DELETE FROM {table} WHERE name = ?"))?.execute([name])?,
    };
    Ok(())
}

/// Plain data with texts as keys: it cannot fail.
fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
