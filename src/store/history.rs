//! The writer of `history.db`: blocks, roll-ups, and what is let go of.

use super::buffers::{Block, Buffers, metric_names};
use super::codec::{Packed, unpack};
use super::database::{Database, Failure};
use super::lock;
use super::rollup::{Step, Sums};
use super::steady::Steady;
use crate::model::{CheckId, Clock, Dimension, HistoryLimits, Mono, Series, Wall};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const DAY: i64 = 86_400_000;
/// Samples older than this are let go of; the roll-ups stay.
const SAMPLES_FOR: i64 = 7 * DAY;
/// Minutes older than this are let go of; hours and days stay for `history.keep`.
const MINUTES_FOR: i64 = 30 * DAY;
/// A series' blocks are rolled up when they span this much: rolling up more often would touch more pages for the same rows.
const ROLL_AFTER: i64 = 15 * 60_000;
/// How long after a failure writing is tried again.
const RETRY: Duration = Duration::from_secs(5);
/// How long after a sweep over all series the next one begins.
const SWEEP_EVERY: Duration = Duration::from_secs(300);
/// How many series a sweep looks at in a turn.
const SWEEP_STEP: i64 = 20;

/// The writer: runs on a thread of its own, a turn a second.
pub(super) struct Writer {
    pub database: Database,
    pub buffers: Arc<Buffers>,
    pub clock: Arc<dyn Clock>,
    /// Why nothing can be written, if that is so.
    pub trouble: Arc<Mutex<Option<String>>>,
    pub known: Known,
    pub sweep: Sweep,
    pub steady: Steady,
}

/// What the writer knows of the database without asking it. Forgotten whenever a transaction fails.
#[derive(Default)]
pub(super) struct Known {
    /// The number of each check's series.
    ids: HashMap<CheckId, i64>,
    /// Blocks of a series that start before this are in the roll-ups. Holds the series that are being written.
    rolled: HashMap<i64, i64>,
}

impl Writer {
    /// Runs until the buffers are closed.
    pub fn run(mut self) {
        let mut retry_at = Mono::default();
        loop {
            let turn = self.buffers.turn(Duration::from_secs(1));
            let now = self.clock.now();
            if now.mono >= retry_at || turn.closing {
                let result = self.write(&turn.blocks, &turn.gone).and_then(|()| {
                    self.buffers.written(turn.end);
                    if turn.closing { Ok(()) } else { self.sweep(&turn.limits) }
                });
                if let Err(failure) = &result {
                    retry_at = now.mono + RETRY;
                    self.known = Known::default();
                    if failure.is_damage() {
                        // Where even this fails, the next try says why.
                        let _ = self.database.put_aside(now.wall);
                    }
                }
                let trouble = result.err().map(|failure| {
                    let dropped = self.buffers.dropped();
                    format!("{} cannot be written, {dropped} samples lost: {failure}", self.database.path().display())
                });
                *lock(&self.trouble) = trouble;
            }
            if turn.closing {
                return;
            }
        }
    }

    /// Writes these blocks in one transaction, and the roll-ups that are due.
    pub fn write(&mut self, blocks: &[Arc<Block>], gone: &[CheckId]) -> Result<(), Failure> {
        if !blocks.is_empty() {
            let (connection, new) = self.database.connection()?;
            if new {
                self.known = Known::default();
            }
            let transaction = connection.transaction()?;
            for block in blocks {
                self.known.write(&transaction, block)?;
            }
            transaction.commit()?;
        }
        for check in gone {
            if let Some(id) = self.known.ids.remove(check) {
                self.known.rolled.remove(&id);
            }
        }
        Ok(())
    }

    /// The next step of letting go of what is too old, or too much.
    fn sweep(&mut self, limits: &HistoryLimits) -> Result<(), Failure> {
        let now = self.clock.now();
        let wall = self.steady.wall(now);
        if self.sweep.next > 0 || now.mono >= self.sweep.due {
            let (connection, new) = self.database.connection()?;
            if new {
                self.known = Known::default();
            }
            if self.sweep.step(connection, &self.known, limits, wall, SWEEP_STEP)? {
                self.sweep.due = now.mono + if self.sweep.too_large { Duration::ZERO } else { SWEEP_EVERY };
            }
        }
        Ok(())
    }
}

impl Known {
    fn write(&mut self, connection: &Connection, block: &Block) -> Result<(), Failure> {
        let packed = &block.packed;
        let id = match self.ids.get(&block.check) {
            Some(id) => *id,
            None => {
                let id = series_id(connection, &block.series, packed.start)?;
                self.ids.insert(block.check, id);
                id
            }
        };
        let rolled = match self.rolled.get(&id) {
            Some(rolled) => *rolled,
            None => {
                let rolled = connection.query_row("SELECT rolled FROM series WHERE id = ?", [id], |row| row.get(0))?;
                self.rolled.insert(id, rolled);
                rolled
            }
        };
        // A clock that was set back to the very millisecond: the second block of that time is lost.
        let new = insert(connection, "block", id, packed)?;
        if let Some(wholes) = &block.wholes {
            insert(connection, "whole", id, wholes)?;
        }
        if packed.start < rolled {
            // The clock was set back: this block will not be seen when the series is rolled up next.
            if new > 0 {
                let mut sums = Sums::default();
                let columns = metric_names(&block.series).len();
                unpack(packed.start, packed.rows, columns, &packed.data, |at, row| sums.add(Step::Minute, at, row));
                store_sums(connection, id, &sums)?;
            }
        } else if packed.start.saturating_sub(rolled) >= ROLL_AFTER {
            let rolled = roll_up(connection, id, rolled)?;
            self.rolled.insert(id, rolled);
        }
        Ok(())
    }
}

/// Adds what is packed, if there is nothing of that very time; says how many rows were added.
fn insert(connection: &Connection, table: &str, series: i64, packed: &Packed) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(&format!("INSERT OR IGNORE INTO {table} (series, start, end, count, data) VALUES (?,?,?,?,?)"))?
        .execute(params![series, packed.start, packed.end, packed.rows, packed.data])
}

/// The metric that says whether a check is bad: the first flag of its kind, if it has one. A control has none that says all: that its
/// supervisor lives is good, that it has given up is bad.
pub(super) fn judged(series: &Series) -> Option<&'static str> {
    let flag = series.table.iter().find(|metric| metric.dimension == Dimension::Flag);
    flag.filter(|_| series.kind != "control").map(|metric| metric.name)
}

/// The number of the series, made if it is new.
fn series_id(connection: &Connection, series: &Series, start: i64) -> Result<i64, Failure> {
    let names = metric_names(series);
    let metrics = serde_json::Value::from(names.clone()).to_string();
    let judged = judged(series).and_then(|judged| names.iter().position(|name| *name == judged)).map(|i| i as i64);
    let key = params![&*series.service, &*series.check, series.kind, metrics];
    let find = "SELECT id FROM series WHERE service = ? AND \"check\" = ? AND kind = ? AND metrics = ?";
    if let Some(id) = connection.prepare_cached(find)?.query_row(key, |row| row.get(0)).optional()? {
        return Ok(id);
    }
    connection.execute(
        "INSERT INTO series (service, \"check\", kind, metrics, judged, rolled) VALUES (?, ?, ?, ?, ?, ?)",
        params![&*series.service, &*series.check, series.kind, metrics, judged, start],
    )?;
    let id = connection.last_insert_rowid();
    // Spreads the rolling up of series that were begun together.
    let rolled = start.saturating_sub(id % 15 * 60_000);
    connection.execute("UPDATE series SET rolled = ? WHERE id = ?", [rolled, id])?;
    Ok(id)
}

/// Adds every block from `rolled` on to the roll-ups; says until where that is now so.
///
/// A block is in the roll-ups exactly if it starts before its series' `rolled`: both change in one transaction.
fn roll_up(connection: &Connection, id: i64, rolled: i64) -> Result<i64, Failure> {
    let sums = unrolled(connection, id, rolled)?;
    store_sums(connection, id, &sums)?;
    let last: Option<i64> = connection
        .prepare_cached("SELECT max(start) FROM block WHERE series = ?")?
        .query_row([id], |row| row.get(0))?;
    let rolled = last.map_or(rolled, |last| rolled.max(last.saturating_add(1)));
    connection.prepare_cached("UPDATE series SET rolled = ? WHERE id = ?")?.execute([rolled, id])?;
    Ok(rolled)
}

/// The sums by minute of every block from `rolled` on.
pub(super) fn unrolled(connection: &Connection, id: i64, rolled: i64) -> rusqlite::Result<Sums> {
    let mut sums = Sums::default();
    let columns: usize = connection
        .prepare_cached("SELECT json_array_length(metrics) FROM series WHERE id = ?")?
        .query_row([id], |row| row.get::<_, i64>(0))
        .map(|n| usize::try_from(n.min(64)).unwrap_or(0))?;
    let mut select = connection
        .prepare_cached("SELECT start, count, data FROM block WHERE series = ? AND start >= ? ORDER BY start")?;
    let mut rows = select.query([id, rolled])?;
    while let Some(row) = rows.next()? {
        // A damaged block gives what comes before the damage.
        let data = row.get_ref(2)?.as_blob().unwrap_or_default();
        unpack(row.get(0)?, row.get(1)?, columns, data, |at, row| sums.add(Step::Minute, at, row));
    }
    Ok(sums)
}

fn store_sums(connection: &Connection, id: i64, minutes: &Sums) -> Result<(), Failure> {
    for step in Step::ALL {
        let mut upsert = connection.prepare_cached(&format!(
            "INSERT INTO {} (series, start, metric, samples, count, min, max, sum) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET samples = samples + excluded.samples, count = count + excluded.count,
               min = coalesce(min(min, excluded.min), min, excluded.min),
               max = coalesce(max(max, excluded.max), max, excluded.max), sum = sum + excluded.sum",
            step.table()
        ))?;
        for (start, sums) in minutes.coarser(step).0 {
            for (metric, sum) in sums.iter().enumerate() {
                let (min, max) = if sum.count > 0 { (Some(sum.min), Some(sum.max)) } else { (None, None) };
                upsert.execute(params![id, start, metric as i64, sum.samples, sum.count, min, max, sum.sum])?;
            }
        }
    }
    Ok(())
}

/// Letting go of what is too old or too much: over all series, a few at a time.
#[derive(Default)]
pub(super) struct Sweep {
    /// The series to go on with; 0 between sweeps.
    next: i64,
    due: Mono,
    /// From when on samples, minutes, hours and days are kept in this sweep.
    floors: [i64; 4],
    /// More than `history.max_size` is in use.
    too_large: bool,
}

const TABLES: [&str; 4] = ["block", "rollup_minute", "rollup_hour", "rollup_day"];

impl Sweep {
    /// Does the next step. True if the sweep is over.
    pub fn step(
        &mut self,
        connection: &mut Connection,
        known: &Known,
        limits: &HistoryLimits,
        now: Wall,
        series: i64,
    ) -> Result<bool, Failure> {
        if self.next == 0 {
            self.begin(connection, limits, now)?;
        }
        let transaction = connection.transaction()?;
        let ids: Vec<(i64, i64)> = transaction
            .prepare_cached("SELECT id, rolled FROM series WHERE id >= ? ORDER BY id LIMIT ?")?
            .query_map([self.next, series], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        for (id, rolled) in &ids {
            let active = known.rolled.contains_key(id);
            if !active && exists(&transaction, "block", *id, *rolled)? {
                roll_up(&transaction, *id, *rolled)?;
            }
            for (table, floor) in TABLES.iter().zip(self.floors) {
                transaction
                    .prepare_cached(&format!("DELETE FROM {table} WHERE series = ? AND start < ?"))?
                    .execute([*id, floor])?;
            }
            // What was last known before that time holds still. Minutes are judged by it, too.
            transaction
                .prepare_cached(
                    "DELETE FROM whole WHERE series = ?1 AND start < \
                     (SELECT max(start) FROM whole WHERE series = ?1 AND start <= ?2)",
                )?
                .execute([*id, self.floors[0].min(self.floors[1])])?;
            let mut left = active;
            for table in TABLES {
                left = left || exists(&transaction, table, *id, i64::MIN)?;
            }
            if !left {
                transaction.execute("DELETE FROM whole WHERE series = ?", [id])?;
                transaction.execute("DELETE FROM series WHERE id = ?", [id])?;
            }
        }
        transaction.commit()?;
        give_back(connection)?;
        match ids.last() {
            Some((last, _)) if ids.len() as i64 == series => {
                self.next = last + 1;
                Ok(false)
            }
            _ => {
                self.next = 0;
                Ok(true)
            }
        }
    }

    fn begin(&mut self, connection: &Connection, limits: &HistoryLimits, now: Wall) -> Result<(), Failure> {
        self.next = 1;
        let keep = i64::try_from(limits.keep.0.as_millis()).unwrap_or(i64::MAX);
        let floor = |age: i64| now.0.saturating_sub(age.min(keep));
        self.floors = [floor(SAMPLES_FOR), floor(MINUTES_FOR), floor(i64::MAX), floor(i64::MAX)];
        let used = pragma(connection, "page_count")? - pragma(connection, "freelist_count")?;
        let size = used.saturating_mul(pragma(connection, "page_size")?);
        self.too_large = u64::try_from(size).unwrap_or(0) > limits.max_size.0;
        if self.too_large {
            // The oldest tenth of the samples goes; when only an hour of them is left, of the minutes; and so on.
            for (table, floor) in TABLES.iter().zip(&mut self.floors) {
                let oldest: Option<i64> = connection.query_row(
                    &format!("SELECT min((SELECT min(start) FROM {table} WHERE series = s.id)) FROM series s"),
                    [],
                    |row| row.get(0),
                )?;
                if let Some(oldest) = oldest.filter(|oldest| *oldest < now.0 - Step::Hour.millis()) {
                    *floor = (*floor).max(oldest.saturating_add(now.0.saturating_sub(oldest) / 10 + 1));
                    return Ok(());
                }
            }
            self.too_large = false;
        }
        Ok(())
    }
}

fn exists(connection: &Connection, table: &str, series: i64, from: i64) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(&format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE series = ? AND start >= ?)"))?
        .query_row([series, from], |row| row.get(0))
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))
}

/// Free pages are used again by what comes next; only when there are many are some given back to the file system.
fn give_back(connection: &Connection) -> rusqlite::Result<()> {
    let free = pragma(connection, "freelist_count")?;
    if free > 256 && free > pragma(connection, "page_count")? / 5 {
        let mut vacuum = connection.prepare("PRAGMA incremental_vacuum(256)")?;
        let mut rows = vacuum.query([])?;
        while rows.next()?.is_some() {}
    }
    Ok(())
}
