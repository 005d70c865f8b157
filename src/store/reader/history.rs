//! Samples, roll-ups and bars: from the disk, and from the blocks that are still in memory.

use super::{ReadError, Reader};
use crate::model::Wall;
use crate::store::buffers::{BLOCK_SPAN, Block, metric_names};
use crate::store::codec::unpack;
use crate::store::history::unrolled;
use crate::store::rollup::{Step, Sum, Sums};
use rusqlite::Connection;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// No query gives more rows than this.
const MOST: usize = 50_000;
/// No query looks at more roll-ups than this.
const MOST_SUMS: usize = 200_000;

/// Of metrics that are parts of a whole, such as the space in use of a filesystem: from when on how much that was, in the base
/// unit of the metric; nothing where there was none. In order; the first of a metric may be from before what was asked for.
pub type Wholes = BTreeMap<String, Vec<(Wall, Option<f64>)>>;

/// Samples of a check.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct Samples {
    /// The names of the metrics.
    pub metrics: Vec<String>,
    /// The samples, oldest first; a number for each of the metrics where there was one. Numbers are in the base unit of the
    /// metric, flags are 0 or 1.
    pub rows: Vec<(Wall, Vec<Option<f64>>)>,
    /// What they were parts of in this time.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub wholes: Wholes,
    /// There are more: ask again from after the last.
    pub more: bool,
}

/// A metric over a minute, an hour or a day.
#[derive(Debug, Clone, PartialEq)]
pub struct Rollup {
    /// The metric.
    pub metric: String,
    /// When it begins.
    pub start: Wall,
    /// What is known of it.
    pub sum: Sum,
}

/// How often a check was bad in a part of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Bar {
    /// When the part begins.
    pub start: Wall,
    /// How many samples were taken.
    pub samples: u32,
    /// In how many it was down, failed or missing.
    pub bad: u32,
    /// In how many that could not be said.
    pub unknown: u32,
}

/// A series on the disk.
pub(super) struct Stored {
    id: i64,
    pub metrics: Vec<String>,
    judged: Option<usize>,
    rolled: i64,
}

impl Reader {
    /// Samples of a check from `from` until before `to`, the oldest `limit` of them; never more than 50,000.
    pub fn samples(
        &self,
        service: &str,
        check: &str,
        from: Wall,
        to: Wall,
        limit: usize,
    ) -> Result<Samples, ReadError> {
        let limit = limit.min(MOST);
        let mut found = Found::default();
        // Memory first: what is moved to the disk meanwhile is then seen twice, not missed.
        let memory = self.buffers.blocks(service, check);
        self.history.read(|connection| {
            for series in stored(connection, service, check)? {
                let mut blocks = connection.prepare_cached(
                    "SELECT start, count, data FROM block WHERE series = ? AND start >= ? AND start < ? AND end >= ?
                     ORDER BY start",
                )?;
                let mut blocks = blocks.query([series.id, from.0.saturating_sub(BLOCK_SPAN), to.0, from.0])?;
                let columns = found.columns(&series.metrics);
                let mut rows = 0;
                while let Some(block) = blocks.next()?
                    && rows <= limit
                {
                    let data = block.get_ref(2)?.as_blob().unwrap_or_default();
                    unpack(block.get(0)?, block.get(1)?, columns.len(), data, |at, values| {
                        rows += usize::from(found.add(from, to, at, &columns, values));
                    });
                }
            }
            Ok(())
        })?;
        for block in memory {
            let columns = found.columns(&metric_names(&block.series));
            let packed = &block.packed;
            unpack(packed.start, packed.rows, columns.len(), &packed.data, |at, values| {
                found.add(from, to, at, &columns, values);
            });
        }
        let more = found.rows.len() > limit;
        let width = found.metrics.len();
        let rows = found.rows.into_iter().take(limit).map(|(at, mut values)| {
            values.resize(width, None);
            (Wall(at), values)
        });
        let rows: Vec<_> = rows.collect();
        let wholes = match (rows.first(), rows.last()) {
            (Some((first, _)), Some((last, _))) => {
                self.wholes(service, check, *first, Wall(last.0.saturating_add(1)))?
            }
            _ => Wholes::new(),
        };
        Ok(Samples { rows, metrics: found.metrics, wholes, more })
    }

    /// What metrics of a check were parts of, from `from` until before `to`; no more than 50,000 changes of each.
    pub fn wholes(&self, service: &str, check: &str, from: Wall, to: Wall) -> Result<Wholes, ReadError> {
        let mut found: HashMap<String, BTreeMap<i64, Option<f64>>> = HashMap::new();
        let mut before: HashMap<String, (i64, Option<f64>)> = HashMap::new();
        let mut add = |metrics: &[String], at: i64, values: &[Option<f64>]| {
            for (metric, value) in metrics.iter().zip(values) {
                if at < from.0 {
                    let known = before.entry(metric.clone()).or_insert((at, *value));
                    if at >= known.0 {
                        *known = (at, *value);
                    }
                } else if at < to.0 {
                    let changes = found.entry(metric.clone()).or_default();
                    if changes.len() < MOST {
                        changes.insert(at, *value);
                    }
                }
            }
        };
        // Memory first, as above.
        let memory = self.buffers.blocks(service, check);
        self.history.read(|connection| {
            // An older minder's, which is opened for reading only and so is not migrated.
            if connection.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0))? < 2 {
                return Ok(());
            }
            for series in stored(connection, service, check)? {
                let mut select = connection.prepare_cached(
                    "SELECT start, count, data FROM whole WHERE series = ?1 AND start < ?3 AND start >=
                     coalesce((SELECT max(start) FROM whole WHERE series = ?1 AND start <= ?2), ?2) ORDER BY start LIMIT ?4",
                )?;
                let mut rows = select.query([series.id, from.0, to.0, MOST as i64])?;
                while let Some(row) = rows.next()? {
                    let data = row.get_ref(2)?.as_blob().unwrap_or_default();
                    unpack(row.get(0)?, row.get(1)?, series.metrics.len(), data, |at, values| {
                        add(&series.metrics, at, values);
                    });
                }
            }
            Ok(())
        })?;
        for block in &memory {
            let Some(wholes) = &block.wholes else { continue };
            let metrics: Vec<String> = metric_names(&block.series).into_iter().map(str::to_owned).collect();
            unpack(wholes.start, wholes.rows, metrics.len(), &wholes.data, |at, values| add(&metrics, at, values));
        }
        for (metric, (at, value)) in before {
            found.entry(metric).or_default().insert(at, value);
        }
        let changes = |(metric, changes): (String, BTreeMap<i64, Option<f64>>)| {
            let mut last = None;
            let mut changes: Vec<_> = changes.into_iter().map(|(at, value)| (Wall(at), value)).collect();
            changes.retain(|(_, value)| last.replace(*value) != Some(*value));
            (metric, changes)
        };
        let is_part = |(_, changes): &(String, Vec<(Wall, Option<f64>)>)| changes.iter().any(|(_, v)| v.is_some());
        Ok(found.into_iter().map(changes).filter(is_part).collect())
    }

    /// The roll-ups of a check whose start is from `from` until before `to`, by time and metric; never more than 200,000.
    pub fn rollups(
        &self,
        service: &str,
        check: &str,
        step: Step,
        from: Wall,
        to: Wall,
    ) -> Result<Vec<Rollup>, ReadError> {
        let mut rollups = Vec::new();
        self.sums(
            service,
            check,
            step,
            (from, to),
            |_, _| true,
            |metrics, _, start, sums| {
                for (metric, sum) in metrics.iter().zip(sums) {
                    rollups.push(Rollup { metric: metric.clone(), start: Wall(start), sum: *sum });
                }
            },
        )?;
        rollups.sort_by_key(|rollup| rollup.start);
        rollups.truncate(MOST_SUMS);
        Ok(rollups)
    }

    /// How often a check was bad in each of so many equal parts (at most 500) of the time. Parts shorter than a minute are
    /// counted from samples, longer ones from the roll-ups of minutes, hours or days that begin in them.
    pub fn bars(&self, service: &str, check: &str, from: Wall, to: Wall, parts: usize) -> Result<Vec<Bar>, ReadError> {
        let parts = parts.clamp(1, 500) as i64;
        let width = ((to.0.saturating_sub(from.0)) / parts).max(1);
        let mut bars: Vec<Bar> =
            (0..parts).map(|i| Bar { start: Wall(from.0 + i * width), samples: 0, bad: 0, unknown: 0 }).collect();
        let mut add = |start: i64, samples: u32, bad: u32, known: u32| {
            let part = usize::try_from(start.saturating_sub(from.0) / width).ok();
            if let Some(bar) = part.filter(|_| start >= from.0).and_then(|part| bars.get_mut(part)) {
                bar.samples = bar.samples.saturating_add(samples);
                bar.bad = bar.bad.saturating_add(bad);
                bar.unknown = bar.unknown.saturating_add(samples.saturating_sub(known));
            }
        };
        if width < Step::Minute.millis() {
            let judged = self.judged(service, check)?;
            let samples = self.samples(service, check, from, to, MOST)?;
            let judged = judged.and_then(|name| samples.metrics.iter().position(|metric| *metric == name));
            for (at, values) in samples.rows {
                let value = match judged {
                    Some(i) => values[i],
                    None => values.iter().flatten().next().map(|_| 0.0),
                };
                add(at.0, 1, u32::from(value.is_some_and(|v| v != 0.0)), u32::from(value.is_some()));
            }
        } else {
            let step = Step::within(from.0, width);
            // Where one metric judges, the others need not be read.
            let wanted = |series: &Stored, metric| series.judged.is_none_or(|judged| metric == judged);
            self.sums(service, check, step, (from, to), wanted, |_, judged, start, sums| {
                let samples = sums.iter().map(|sum| sum.samples).max().unwrap_or(0);
                match judged.and_then(|i| sums.get(i)) {
                    Some(sum) => add(start, samples, sum.sum as u32, sum.count),
                    None => add(start, samples, 0, sums.iter().map(|sum| sum.count).max().unwrap_or(0)),
                }
            })?;
        }
        Ok(bars)
    }

    /// The first and the last time between `from` and `to` at which a service was sampled, as exactly as is still known: to the
    /// minute within a month, then to the hour.
    pub fn sampled(&self, service: &str, from: Wall, to: Wall) -> Result<Option<(Wall, Wall)>, ReadError> {
        // A seek each, however much there is. What is rolled up is in blocks as well for a week: the finest is asked first.
        const FIRST: &str = "SELECT min(start) FROM
               (SELECT (SELECT start FROM block WHERE series = s.id AND start >= ?2 AND start < ?3 ORDER BY start LIMIT 1) AS start
                FROM series s WHERE s.service = ?1
                UNION ALL
                SELECT (SELECT start FROM rollup_hour WHERE series = s.id AND start >= ?2 AND start < ?3
                        ORDER BY start LIMIT 1)
                FROM series s WHERE s.service = ?1)";
        const LAST: &str = "SELECT max(coalesce(
                 (SELECT end FROM block WHERE series = s.id AND start >= ?2 AND start < ?3 ORDER BY start DESC LIMIT 1),
                 (SELECT start + 60000 FROM rollup_minute WHERE series = s.id AND start >= ?2 AND start < ?3
                  ORDER BY start DESC LIMIT 1),
                 (SELECT start + 3600000 FROM rollup_hour WHERE series = s.id AND start >= ?2 AND start < ?3
                  ORDER BY start DESC LIMIT 1)))
             FROM series s WHERE s.service = ?1";
        self.history.read(|connection| {
            let ask = |sql| {
                let mut query = connection.prepare_cached(sql)?;
                query.query_row((service, from.0, to.0), |row| row.get::<_, Option<i64>>(0))
            };
            let (first, last) = (ask(FIRST)?, ask(LAST)?);
            Ok(first.zip(last).map(|(first, last)| (Wall(first), Wall(last.min(to.0).max(first)))))
        })
    }

    /// The metric by which the check is judged.
    fn judged(&self, service: &str, check: &str) -> Result<Option<String>, ReadError> {
        let in_memory = self.buffers.blocks(service, check).last().and_then(|block| judged_of(block));
        if in_memory.is_some() {
            return Ok(in_memory);
        }
        let series = self.history.read(|connection| stored(connection, service, check))?;
        Ok(series.into_iter().rev().find_map(|s| s.judged.and_then(|i| s.metrics.get(i).cloned())))
    }

    /// Calls `each` with metrics, judged metric, start and sums of every step whose start is from the one time until before
    /// the other: from the roll-ups, and of what is not in them yet from the blocks. Of the others than the wanted metrics the
    /// sums may be missing.
    pub(super) fn sums(
        &self,
        service: &str,
        check: &str,
        step: Step,
        (from, to): (Wall, Wall),
        wanted: impl Fn(&Stored, usize) -> bool,
        mut each: impl FnMut(&[String], Option<usize>, i64, &[Sum]),
    ) -> Result<(), ReadError> {
        let mut memory: HashMap<Vec<String>, Vec<Arc<Block>>> = HashMap::new();
        for block in self.buffers.blocks(service, check) {
            let metrics = metric_names(&block.series).into_iter().map(str::to_owned).collect();
            memory.entry(metrics).or_default().push(block);
        }
        self.history.read(|connection| {
            let sql = format!(
                "SELECT start, metric, samples, count, min, max, sum FROM {}
                 WHERE series = ? AND start >= ? AND start < ? AND (? >> metric) & 1 ORDER BY start, metric LIMIT {MOST_SUMS}",
                step.table()
            );
            for series in stored(connection, service, check)? {
                let mut minutes = unrolled(connection, series.id, series.rolled)?;
                for block in memory.remove(&series.metrics).unwrap_or_default() {
                    // It may have been written since it was looked at.
                    let mut written = connection
                        .prepare_cached("SELECT EXISTS (SELECT 1 FROM block WHERE series = ? AND start = ?)")?;
                    if !written.query_row([series.id, block.packed.start], |row| row.get::<_, bool>(0))? {
                        add_block(&mut minutes, &block);
                    }
                }
                let mut sums = minutes.coarser(step);
                let mut select = connection.prepare_cached(&sql)?;
                // A series has no more metrics than a number has bits.
                let places = 0..series.metrics.len().min(64);
                let bits = places.filter(|i| wanted(&series, *i)).fold(0, |bits, i| bits | 1i64 << i);
                if bits == 0 {
                    continue;
                }
                let mut rows = select.query([series.id, from.0, to.0, bits])?;
                while let Some(row) = rows.next()? {
                    let into =
                        sums.0.entry(row.get::<_, i64>(0)?).or_insert_with(|| vec![Sum::NONE; series.metrics.len()]);
                    if let Some(sum) = into.get_mut(usize::from(row.get::<_, u8>(1)?)) {
                        sum.merge(&Sum {
                            samples: row.get(2)?,
                            count: row.get(3)?,
                            min: row.get::<_, Option<f64>>(4)?.unwrap_or(f64::INFINITY),
                            max: row.get::<_, Option<f64>>(5)?.unwrap_or(f64::NEG_INFINITY),
                            sum: row.get(6)?,
                        });
                    }
                }
                for (start, sums) in sums.0.range(from.0..to.0.max(from.0)) {
                    each(&series.metrics, series.judged, *start, sums);
                }
            }
            Ok(())
        })?;
        // A series that has never been written.
        for (metrics, blocks) in memory {
            let mut minutes = Sums::default();
            blocks.iter().for_each(|block| add_block(&mut minutes, block));
            let judged = blocks.first().and_then(|block| judged_of(block));
            let judged = judged.and_then(|name| metrics.iter().position(|metric| *metric == name));
            for (start, sums) in minutes.coarser(step).0.range(from.0..to.0.max(from.0)) {
                each(&metrics, judged, *start, sums);
            }
        }
        Ok(())
    }
}

fn add_block(minutes: &mut Sums, block: &Block) {
    let packed = &block.packed;
    let columns = metric_names(&block.series).len();
    unpack(packed.start, packed.rows, columns, &packed.data, |at, row| minutes.add(Step::Minute, at, row));
}

fn judged_of(block: &Block) -> Option<String> {
    crate::store::history::judged(&block.series).map(str::to_owned)
}

/// Samples by time, with the metrics of all series of a check.
#[derive(Default)]
struct Found {
    metrics: Vec<String>,
    rows: BTreeMap<i64, Vec<Option<f64>>>,
}

impl Found {
    /// Where each of these metrics stands.
    fn columns(&mut self, names: &[impl AsRef<str>]) -> Vec<usize> {
        let mut columns = Vec::new();
        for name in names.iter().map(AsRef::as_ref) {
            let place = self.metrics.iter().position(|metric| metric == name);
            columns.push(place.unwrap_or_else(|| {
                self.metrics.push(name.to_owned());
                self.metrics.len() - 1
            }));
        }
        columns
    }
    /// True if it belongs to the time that was asked for.
    fn add(&mut self, from: Wall, to: Wall, at: i64, columns: &[usize], values: &[Option<f64>]) -> bool {
        if at < from.0 || at >= to.0 {
            return false;
        }
        let width = self.metrics.len();
        let row = self.rows.entry(at).or_default();
        row.resize(width, None);
        for (column, value) in columns.iter().zip(values) {
            row[*column] = *value;
        }
        true
    }
}

/// The series of a check, oldest first: it has several if what is kept of it has changed.
pub(super) fn stored(connection: &Connection, service: &str, check: &str) -> rusqlite::Result<Vec<Stored>> {
    connection
        .prepare_cached(
            "SELECT id, metrics, judged, rolled FROM series WHERE service = ? AND \"check\" = ? ORDER BY id LIMIT 100",
        )?
        .query_map([service, check], |row| {
            let metrics: String = row.get(1)?;
            Ok(Stored {
                id: row.get(0)?,
                metrics: serde_json::from_str(&metrics).unwrap_or_default(),
                judged: row.get::<_, Option<i64>>(2)?.and_then(|i| usize::try_from(i).ok()),
                rolled: row.get(3)?,
            })
        })?
        .collect()
}
