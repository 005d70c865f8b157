//! What keeping costs: on the loop's thread, on the writers' threads, and on the disk.
//!
//! `cargo bench --bench store`. Each figure stands beside what it may cost.
#![allow(clippy::disallowed_methods, reason = "a bench reads clocks")]
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench may fail loudly")]

use minder::model::{
    CheckId, Clock, Event, EventKind, Found, Kind, MetricId, MetricSet, Mono, Now, Reading, Record, Sample, Series,
    Wall,
};
use minder::store::Store;
use std::fs::read_to_string;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

struct Real(Instant);

impl Clock for Real {
    fn now(&self) -> Now {
        let mono = Mono(self.0.elapsed().as_nanos() as u64);
        Now { mono, wall: Wall(1_700_000_000_000 + (mono.0 / 1_000_000) as i64) }
    }
}

fn open(dir: &Path) -> Store {
    Store::open(dir, "bench", Arc::new(Real(Instant::now()))).unwrap().0
}

fn main() {
    commits();
    opening();
    for checks in [1000, 5000] {
        samples(checks);
    }
    a_week_is_tried();
}

/// A week of one service at 10 s, judged by two rules that fire now and then.
fn a_week_is_tried() {
    const WEEK: i64 = 7 * 86_400_000;
    struct Still;
    impl Clock for Still {
        fn now(&self) -> Now {
            Now { mono: Mono(0), wall: Wall(1_700_000_000_000) }
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), "bench", Arc::new(Still)).unwrap();
    let (down, cpu, memory) = (MetricId(0), MetricId(4), MetricId(6));
    let mut metrics = MetricSet::default();
    [down, cpu, memory].into_iter().for_each(|id| metrics.insert(id));
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
    let until = Still.now().wall;
    let count = WEEK / 10_000;
    for i in 0..count {
        let at = Now { mono: Mono(0), wall: Wall(until.0 - WEEK + i * 10_000) };
        let high = if i % 5000 > 4900 { 6e8 } else { 3e8 + (i % 977) as f64 * 4096.0 };
        let readings = vec![
            (down, Reading::Flag(false)),
            (cpu, Reading::Number((i % 100) as f64)),
            (memory, Reading::Number(high)),
        ];
        store.keep(CheckId(1), &Sample { at, took: Duration::ZERO, readings, note: None, found: Found::Unasked });
    }
    assert!(store.close(Duration::from_secs(20)));
    let rules = dir.path().join("rules.yaml");
    let text = "version: 1\nservices: { web: { control: { command: { start: [/bin/web] } }, checks: [{ process: /run/web.pid }], \
                rules: [process.down -> restart, 'process.memory > 500MB for 5m -> restart', 'avg(process.cpu, 10m) > 60% -> notify'] } }\n";
    std::fs::write(&rules, text).unwrap();
    let plan = Arc::new(minder::config::parse(&minder::config::read_to_try(&rules)).unwrap());
    let start = Instant::now();
    let tested =
        minder::trial::backtest(&minder::trial::Reader::of(dir.path()), &plan, Wall(until.0 - WEEK), until).unwrap();
    let took = start.elapsed();
    assert_eq!(tested[0].samples, count as u64);
    println!("a week of one service, {count} samples   {:8.1} ms  (to reach 1000)", took.as_secs_f64() * 1000.0);
}

/// One event and one service in each commit.
fn commits() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let record = |id: u64| {
        let kind = EventKind::Fired {
            rule: "process.memory".into(),
            severity: minder::model::Severity::Warning,
            condition: "process.memory > 500MB for 5m".into(),
            value: "process.memory 612 MB (limit 500 MB)".into(),
            note: None,
            of: None,
        };
        let event = Event { id, at: Wall(id as i64), service: Some("web".into()), incident: Some(1), kind };
        vec![Record::Event(event), Record::Service("web".into(), Box::default())]
    };
    let mut alone: Vec<Duration> = (0..2000)
        .map(|id| {
            let start = Instant::now();
            assert!(store.commit(record(id), vec![]).wait(Duration::from_secs(10)));
            start.elapsed()
        })
        .collect();
    alone.sort();
    println!("commit until it is on disk, median  {:8.1} µs  (to reach 100)", micros(alone[1000]));
    println!("commit until it is on disk, 99 %    {:8.1} µs", micros(alone[1980]));
    let start = Instant::now();
    let mut handed_over = Duration::ZERO;
    for id in 2000..12_000 {
        let records = record(id);
        let start = Instant::now();
        let committed = store.commit(records, vec![]);
        handed_over += start.elapsed();
        if id == 11_999 {
            assert!(committed.wait(Duration::from_secs(10)));
        }
    }
    println!("commit, a burst of 10,000, each     {:8.1} µs", micros(start.elapsed()) / 10_000.0);
    println!("commit, the caller's part           {:8.1} µs", micros(handed_over) / 10_000.0);
    assert!(store.close(Duration::from_secs(5)));
}

/// With a thousand services and the events of a busy year.
fn opening() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let service = |i: u32| Record::Service(format!("service-{i}").into(), Box::default());
    let event = |id: u64| {
        let kind = EventKind::Noted { words: "something happened that is told in a sentence".into() };
        Record::Event(Event { id, at: Wall(id as i64), service: Some("web".into()), incident: None, kind })
    };
    let _ = store.commit((0..1000).map(service).collect(), vec![]);
    for id in 0..100 {
        let _ = store.commit((id * 1000..(id + 1) * 1000).map(event).collect(), vec![]).wait(Duration::from_secs(10));
    }
    assert!(store.close(Duration::from_secs(5)));
    let start = Instant::now();
    let store = open(dir.path());
    println!("open, 1,000 services                {:8.1} ms", micros(start.elapsed()) / 1e3);
    assert!(store.close(Duration::from_secs(5)));
}

/// Checks once a second, in real seconds: the writer has a turn in each.
fn samples(checks: u32) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let before = resident();
    let mut metrics = MetricSet::default();
    for metric in [0, 4, 6] {
        metrics.insert(MetricId(metric));
    }
    for check in 0..checks {
        let service = format!("service-{check:05}").into();
        store.series(
            CheckId(check),
            Series {
                service,
                check: "process".into(),
                metrics,
                kind: "process",
                table: Kind::metrics_of("process").unwrap(),
            },
        );
    }
    // A third of the daemons work, and their cpu is a new number every second; the others are idle.
    let mut random = 1u64;
    let mut next = move || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        random >> 33
    };
    let seconds: i64 = std::env::var("SECONDS_OF_SAMPLES").ok().and_then(|s| s.parse().ok()).unwrap_or(150);
    let (mut spent, mut kept) = (Duration::ZERO, 0u32);
    let written_before = io_written();
    let cpu_before = cpu();
    let mut base_cpu = Duration::ZERO;
    for second in 0..seconds {
        let from = Instant::now();
        let samples: Vec<Sample> = (0..checks).map(|check| sample(second, check, &mut next)).collect();
        base_cpu += from.elapsed();
        let start = Instant::now();
        for (check, sample) in samples.iter().enumerate() {
            store.keep(CheckId(check as u32), sample);
        }
        spent += start.elapsed();
        kept += checks;
        std::thread::sleep(Duration::from_secs(1).saturating_sub(from.elapsed()));
    }
    println!("{checks} checks once a second for {seconds} s");
    println!(
        "  keep                              {:8.1} ns  (to reach 200)",
        spent.as_nanos() as f64 / f64::from(kept)
    );
    let cpu = (cpu() - cpu_before).saturating_sub(base_cpu);
    println!("  cpu of all of it, a sample        {:8.2} µs", micros(cpu) / f64::from(kept));
    println!("  resident memory                   {:8} kB more", resident().saturating_sub(before));
    println!("  written, a sample                 {:8.1} B", (io_written() - written_before) as f64 / f64::from(kept));
    assert_eq!(store.trouble(), None);
    assert!(store.close(Duration::from_secs(5)));
    let all = std::fs::metadata(dir.path().join("history.db")).unwrap().len();
    let db = rusqlite::Connection::open(dir.path().join("history.db")).unwrap();
    let number = |sql: &str| db.query_row(sql, [], |row| row.get::<_, f64>(0)).unwrap();
    let rows = number("SELECT sum(count) FROM block");
    assert_eq!(rows, f64::from(kept), "every second is kept");
    println!("  packed, a sample                  {:8.2} B", number("SELECT sum(length(data)) FROM block") / rows);
    println!("  on disk with roll-ups, a sample   {:8.2} B  (to reach 10)", all as f64 / rows);
}

fn sample(second: i64, check: u32, next: &mut impl FnMut() -> u64) -> Sample {
    let busy = check.is_multiple_of(3);
    let jitter = (next() % 3) as i64;
    let cpu = if busy { (next() % 20) as f64 / (1.0 + (next() % 10_000_000) as f64 * 1e-9) } else { 0.0 };
    let pages = if busy { 5000 + next() % 300 } else { 5000 };
    Sample {
        at: Now { mono: Mono(0), wall: Wall(1_700_000_000_000 + second * 1000 + i64::from(check % 1000) + jitter) },
        took: Duration::ZERO,
        readings: vec![
            (MetricId(0), Reading::Flag(false)),
            (MetricId(4), Reading::Number(cpu)),
            (MetricId(6), Reading::Part { value: pages as f64 * 4096.0, whole: 1e10 }),
        ],
        note: None,
        found: Found::Unasked,
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn field(file: &str, name: &str) -> u64 {
    let text = read_to_string(file).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn resident() -> u64 {
    field("/proc/self/status", "VmRSS:")
}

fn io_written() -> u64 {
    field("/proc/self/io", "wchar:")
}

fn cpu() -> Duration {
    let stat = read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    Duration::from_millis((fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) * 10)
}
