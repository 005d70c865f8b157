//! A history that is written by the real store.

use crate::{LONG, SECOND};
use minder::config;
use minder::model::{
    CheckId, Clock, Dimension, Event, EventKind, Found, Kind, MetricId, MetricSet, Mono, Now, Plan, Reading, Record,
    Sample, Series, Severity, Wall,
};
use minder::store::Store;
use std::sync::Arc;
use std::time::Duration;

pub struct Still(pub Wall);

impl Clock for Still {
    fn now(&self) -> Now {
        Now { mono: Mono(0), wall: self.0 }
    }
}

/// A history that is being written.
pub struct History {
    pub dir: tempfile::TempDir,
    pub store: Store,
    event: u64,
    checks: u32,
}

pub fn metric(kind: &str, name: &str) -> MetricId {
    let place = Kind::metrics_of(kind).unwrap().iter().position(|metric| metric.name == name).unwrap();
    MetricId(u8::try_from(place).unwrap())
}

impl History {
    /// Written by a minder whose clock stands at this time.
    pub fn new(now: i64) -> History {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(dir.path(), "boot", Arc::new(Still(Wall(now)))).unwrap();
        History { dir, store, event: 0, checks: 0 }
    }

    /// Written on by the next minder.
    pub fn again(dir: tempfile::TempDir, store: Store) -> History {
        History { dir, store, event: 1000, checks: 0 }
    }

    /// Samples of a check of the service `web`, each ten seconds: numbers, and flags as 0 and 1.
    pub fn check(
        &mut self,
        kind: &'static str,
        names: &[&str],
        from: i64,
        count: i64,
        at: impl Fn(i64) -> Vec<Option<f64>>,
    ) {
        let table = Kind::metrics_of(kind).unwrap();
        let reading = |name: &&str, value: f64| match table[usize::from(metric(kind, name).0)].dimension {
            Dimension::Flag => Reading::Flag(value != 0.0),
            _ => Reading::Number(value),
        };
        let readings =
            |(name, value): (&&str, Option<f64>)| value.map_or(Reading::Unknown, |value| reading(name, value));
        self.series("web", kind, names);
        self.samples(
            kind,
            names,
            (0..count).map(|i| (from + i * 10 * SECOND, names.iter().zip(at(i)).map(readings).collect())),
        );
    }

    /// The samples that follow are of this check.
    pub fn series(&mut self, service: &str, kind: &'static str, names: &[&str]) {
        let mut metrics = MetricSet::default();
        names.iter().for_each(|name| metrics.insert(metric(kind, name)));
        self.checks += 1;
        self.store.series(
            CheckId(self.checks),
            Series {
                service: service.into(),
                check: kind.into(),
                metrics,
                kind,
                table: Kind::metrics_of(kind).unwrap(),
            },
        );
    }

    /// Samples of the check that was named last; what is unknown is left away.
    pub fn samples(&self, kind: &str, names: &[&str], samples: impl Iterator<Item = (i64, Vec<Reading>)>) {
        let ids: Vec<MetricId> = names.iter().map(|name| metric(kind, name)).collect();
        for (wall, values) in samples {
            let mut readings: Vec<_> =
                ids.iter().copied().zip(values).filter(|(_, r)| *r != Reading::Unknown).collect();
            readings.sort_by_key(|(id, _)| *id);
            let at = Now { mono: Mono(0), wall: Wall(wall) };
            let sample = Sample { at, took: Duration::ZERO, readings, note: None, found: Found::Unasked };
            self.store.keep(CheckId(self.checks), &sample);
        }
    }

    pub fn event(&mut self, at: i64, kind: EventKind) {
        self.event += 1;
        let event = Event { id: self.event, at: Wall(at), service: Some("web".into()), incident: None, kind };
        assert!(self.store.commit(vec![Record::Event(event)], vec![]).wait(LONG));
    }

    pub fn fired(&mut self, at: i64, rule: &str, lasted: i64) {
        let (rule, condition, value) = (rule.to_owned(), String::new(), "process.memory 600 MB".to_owned());
        self.event(
            at,
            EventKind::Fired {
                rule: rule.clone(),
                severity: Severity::Warning,
                condition,
                value,
                note: None,
                of: None,
            },
        );
        self.event(
            at + lasted,
            EventKind::Resolved { rule, after: u64::try_from(lasted).unwrap(), why: None, of: None },
        );
    }

    /// Everything on disk; the directory.
    pub fn written(self) -> tempfile::TempDir {
        assert!(self.store.close(LONG));
        self.dir
    }
}

pub fn plan(rules: &str) -> Arc<Plan> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rules.yaml");
    std::fs::write(&file, rules).unwrap();
    let sources = config::read_to_try(&file);
    Arc::new(
        config::parse(&sources).unwrap_or_else(|mistakes| panic!("{}", config::render(&mistakes, &sources, false))),
    )
}
