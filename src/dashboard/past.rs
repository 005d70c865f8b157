//! The history as the store has it.

use super::{Bar, EventFilter, History, Samples, Unsent};
use crate::model::{Event, Incident, Wall};
use crate::store::{self, IncidentFilter, MessageState, ReadError, Reader, Step};

/// Up to here, in milliseconds, samples are drawn; beyond, means of minutes.
const SAMPLES_SPAN: i64 = 2 * 3_600_000;
/// More samples than this are not drawn one by one.
const MOST_SAMPLES: usize = 8000;

fn words(e: ReadError) -> String {
    format!("{e}: {}", e.source)
}

impl History for Reader {
    fn events(&self, filter: &EventFilter) -> Result<Vec<Event>, String> {
        let filter = store::EventFilter {
            service: filter.service.as_deref().map(str::to_owned),
            kinds: filter.kind.iter().cloned().collect(),
            incident: filter.incident,
            before_id: filter.before,
            since: filter.from,
            limit: filter.limit,
            ..store::EventFilter::default()
        };
        Reader::events(self, &filter).map_err(words)
    }

    fn incidents(&self, service: Option<&str>, limit: usize) -> Result<Vec<Incident>, String> {
        let filter = IncidentFilter { service: service.map(str::to_owned), limit, ..IncidentFilter::default() };
        Reader::incidents(self, &filter).map_err(words)
    }

    fn bars(&self, service: &str, check: &str, from: Wall, to: Wall, buckets: usize) -> Result<Vec<Bar>, String> {
        let bars = Reader::bars(self, service, check, from, to, buckets).map_err(words)?;
        let bar = |b: store::Bar| Bar { start: b.start, samples: b.samples, bad: b.bad, unknown: b.unknown };
        Ok(bars.into_iter().map(bar).collect())
    }

    fn samples(&self, service: &str, check: &str, from: Wall, to: Wall, limit: usize) -> Result<Samples, String> {
        let samples = Reader::samples(self, service, check, from, to, limit).map_err(words)?;
        Ok(Samples { metrics: samples.metrics, rows: samples.rows, more: samples.more })
    }

    fn line(&self, service: &str, check: &str, from: Wall, to: Wall) -> Result<Samples, String> {
        if to.0.saturating_sub(from.0) <= SAMPLES_SPAN {
            let samples = History::samples(self, service, check, from, to, MOST_SAMPLES)?;
            if !samples.more {
                return Ok(samples);
            }
        }
        let mut means = Samples::default();
        // Sorted by time: those of the same minute follow each other.
        for rollup in self.rollups(service, check, Step::Minute, from, to).map_err(words)? {
            let place = means.metrics.iter().position(|m| *m == rollup.metric).unwrap_or_else(|| {
                means.metrics.push(rollup.metric);
                means.metrics.len() - 1
            });
            if means.rows.last().is_none_or(|(start, _)| *start != rollup.start) {
                means.rows.push((rollup.start, Vec::new()));
            }
            if let Some((_, row)) = means.rows.last_mut() {
                row.resize(row.len().max(place + 1), None);
                row[place] = rollup.sum.mean();
            }
        }
        Ok(means)
    }

    fn outbox(&self, limit: usize) -> Result<Vec<Unsent>, String> {
        let unsent = |row: store::OutboxRow| Unsent {
            id: row.id,
            to: row.to,
            title: row.title,
            at: row.at,
            expires: row.expires,
            dead: row.state == MessageState::Dead,
            attempts: row.attempts,
            error: row.error,
        };
        Ok(Reader::outbox(self, limit).map_err(words)?.into_iter().map(unsent).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::*;
    use crate::store::Store;
    use std::sync::Arc;
    use std::time::Duration;

    struct Still;

    impl Clock for Still {
        fn now(&self) -> Now {
            Now { mono: Mono(0), wall: Wall(50 * HOUR) }
        }
    }

    const HOUR: i64 = 3_600_000;

    #[test]
    fn short_times_are_drawn_from_samples_and_long_ones_from_minutes() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(dir.path(), "boot", Arc::new(Still)).unwrap();
        let mut metrics = MetricSet::default();
        metrics.insert(MetricId(0));
        metrics.insert(MetricId(6));
        store.series(CheckId(1), Series { service: "web".into(), check: "process".into(), metrics, kind: "process" });
        // Two minutes, a sample every 20 s, the process is down in one of them.
        for i in 0..6i64 {
            let readings = if i == 4 {
                vec![(MetricId(0), Reading::Flag(true)), (MetricId(6), Reading::Absent)]
            } else {
                vec![(MetricId(0), Reading::Flag(false)), (MetricId(6), Reading::Number(i as f64))]
            };
            let at = Now { mono: Mono(0), wall: Wall(49 * HOUR + i * 20_000) };
            let sample = Sample { at, took: Duration::ZERO, readings, note: None, found: Found::Unasked };
            store.keep(CheckId(1), &sample);
        }
        let history: &dyn History = &store.reader();
        let (from, to) = (Wall(49 * HOUR), Wall(50 * HOUR));
        let short = history.line("web", "process", from, to).unwrap();
        assert_eq!(short.metrics, ["down", "memory"]);
        assert_eq!(short.rows.len(), 6);
        assert_eq!(short.rows[4].1, [Some(1.0), None]);
        assert!(history.samples("web", "process", from, to, 2).unwrap().more);
        let long = history.line("web", "process", Wall(26 * HOUR), to).unwrap();
        assert_eq!(long.metrics, ["down", "memory"]);
        let minute = |at, down, memory| (Wall(49 * HOUR + at), vec![Some(down), Some(memory)]);
        assert_eq!(long.rows, [minute(0, 0.0, 1.0), minute(60_000, 1.0 / 3.0, 4.0)]);
        let bars = history.bars("web", "process", from, to, 60).unwrap();
        assert_eq!(bars[1], Bar { start: Wall(49 * HOUR + 60_000), samples: 3, bad: 1, unknown: 0 });
    }

    #[test]
    fn events_are_filtered_by_the_store() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(dir.path(), "boot", Arc::new(Still)).unwrap();
        let event = |id, service: &str, kind| {
            Record::Event(Event { id, at: Wall(id as i64), service: Some(service.into()), incident: Some(id), kind })
        };
        let paused = || EventKind::Paused { by: "root".into() };
        let records = vec![event(1, "web", paused()), event(2, "db", paused()), event(3, "web", EventKind::Ended)];
        assert!(store.commit(records, Vec::new()).wait(Duration::from_secs(20)));
        let history: &dyn History = &store.reader();
        let ids = |filter: EventFilter| -> Vec<u64> {
            history.events(&EventFilter { limit: 10, ..filter }).unwrap().iter().map(|e| e.id).collect()
        };
        assert_eq!(ids(EventFilter::default()), [3, 2, 1]);
        assert_eq!(ids(EventFilter { service: Some("web".into()), ..EventFilter::default() }), [3, 1]);
        assert_eq!(ids(EventFilter { kind: Some("paused".into()), ..EventFilter::default() }), [2, 1]);
        assert_eq!(ids(EventFilter { incident: Some(2), ..EventFilter::default() }), [2]);
        assert_eq!(ids(EventFilter { from: Some(Wall(2)), before: Some(3), ..EventFilter::default() }), [2]);
    }
}
