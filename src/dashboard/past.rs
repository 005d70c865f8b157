//! The history as the store has it.

use super::{AuditFilter, Bar, EventFilter, History, IncidentFilter, MessageFilter, Samples};
use crate::model::{Audit, Event, Incident, Message, MessageId, MessageView, Wall};
use crate::store::{ReadError, Reader, Step};

/// Up to here, in milliseconds, samples are drawn; beyond, means of minutes.
const SAMPLES_SPAN: i64 = 2 * 3_600_000;
/// More samples than this are not drawn one by one.
const MOST_SAMPLES: usize = 8000;

fn words(e: ReadError) -> String {
    format!("{e}: {}", e.source)
}

impl History for Reader {
    fn events(&self, filter: &EventFilter) -> Result<Vec<Event>, String> {
        Reader::events(self, filter).map_err(words)
    }

    fn incidents(&self, filter: &IncidentFilter) -> Result<Vec<Incident>, String> {
        Reader::incidents(self, filter).map_err(words)
    }

    fn audits(&self, filter: &AuditFilter) -> Result<Vec<Audit>, String> {
        Reader::audits(self, filter).map_err(words)
    }

    fn bars(&self, service: &str, check: &str, from: Wall, to: Wall, buckets: usize) -> Result<Vec<Bar>, String> {
        Reader::bars(self, service, check, from, to, buckets).map_err(words)
    }

    fn samples(&self, service: &str, check: &str, from: Wall, to: Wall, limit: usize) -> Result<Samples, String> {
        Reader::samples(self, service, check, from, to, limit).map_err(words)
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

    fn messages(&self, filter: &MessageFilter) -> Result<Vec<MessageView>, String> {
        Reader::messages(self, filter).map_err(words)
    }

    fn message(&self, id: MessageId) -> Result<Option<MessageView>, String> {
        Reader::message(self, id).map_err(words)
    }

    fn dead(&self, ids: &[MessageId]) -> Result<Vec<Message>, String> {
        Reader::dead(self, ids).map_err(words)
    }

    fn all_dead(&self, notifier: Option<&str>, limit: usize) -> Result<Vec<Message>, String> {
        Reader::all_dead(self, notifier, limit).map_err(words)
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
        store.series(
            CheckId(1),
            Series {
                service: "web".into(),
                check: "process".into(),
                metrics,
                kind: "process",
                table: Kind::metrics_of("process").unwrap(),
            },
        );
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
}
