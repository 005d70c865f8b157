//! What is read of the history: the page of a service, a chart, incidents, the page for the public; and whether its writer
//! notices.

use super::overview::floor;
use super::{World, ask, median, row};
use minder::dashboard::History;
use minder::model::{Event, EventKind, Record, Wall};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

const DAY: i64 = 86_400_000;

/// The middle one of twenty, in milliseconds.
fn time(mut look: impl FnMut()) -> f64 {
    let once = |look: &mut dyn FnMut()| {
        let begin = Instant::now();
        look();
        begin.elapsed().as_secs_f64() * 1e3
    };
    median((0..20).map(|_| once(&mut look)).collect())
}

fn asked(runtime: &Runtime, world: &World, figure: &str, path: &str, floor: Option<f64>, most: Option<f64>) {
    let asked: Vec<_> = (0..20).map(|_| runtime.block_on(ask(world, path))).collect();
    row(figure, median(asked.iter().map(|(ms, _)| *ms).collect()), floor, most, "ms");
    row(&format!("{figure}, compressed"), asked[0].1.len() as f64 / 1e3, None, None, "kB");
}

/// The bare rows of a query, each with its numbers read, on a connection of its own.
fn rows(world: &World, database: &str, sql: &str, numbers: usize, values: impl rusqlite::Params + Clone) -> f64 {
    let db = rusqlite::Connection::open(world.dir.path().join("state").join(database)).unwrap();
    time(|| {
        let mut query = db.prepare_cached(sql).unwrap();
        let mut rows = query.query(values.clone()).unwrap();
        let mut count = 0;
        while let Some(row) = rows.next().unwrap() {
            count += 1;
            for i in 0..numbers {
                std::hint::black_box(row.get::<_, Option<f64>>(i).unwrap());
            }
        }
        assert!(count > 0);
    })
}

/// Beside the roll-ups alone of all that is drawn over 90 days, and of the last hour the packed samples.
pub fn service(runtime: &Runtime, world: &World) {
    let to = world.clock.now().wall.0;
    let blocks = "SELECT b.start, b.count, length(b.data) FROM block b JOIN series s ON s.id = b.series
                  WHERE s.service = 'service-0001' AND b.start >= ?";
    let hours =
        "SELECT r.start, r.samples, r.count, r.min, r.max, r.sum FROM rollup_hour r JOIN series s ON s.id = r.series
                 WHERE s.service = 'service-0001' AND r.start >= ?";
    let least = |sql, numbers, from| Some(rows(world, "history.db", sql, numbers, [to - from]));
    for (span, floor) in [
        ("1h", least(blocks, 3, DAY / 24)),
        ("24h", None),
        ("7d", least(hours, 6, 7 * DAY)),
        ("90d", least(hours, 6, 90 * DAY)),
    ] {
        let path = format!("/services/service-0001?span={span}");
        asked(runtime, world, &format!("service page, {span}"), &path, floor, Some(30.0));
    }
}

/// Beside the bare query over the same rows.
pub fn chart(_: &Runtime, world: &World) {
    let to = world.clock.now().wall;
    let from = Wall(to.0 - 90 * DAY);
    let reader = world.store.lock().unwrap().reader();
    let metrics = ["memory".to_owned()];
    let ours = time(|| {
        let curves = History::curves(&reader, "service-0001", "process", &metrics, from, to, 540).unwrap();
        assert!(curves[0].parts.len() > 500);
    });
    let sql =
        "SELECT r.start, r.samples, r.count, r.min, r.max, r.sum FROM rollup_hour r JOIN series s ON s.id = r.series
               WHERE s.service = 'service-0001' AND s.\"check\" = 'process' AND r.start >= ? AND r.start < ?
               AND s.metrics ->> r.metric = 'memory'";
    let floor = rows(world, "history.db", sql, 6, [from.0, to.0]);
    row("90-day chart, from the roll-ups", ours, Some(floor), Some(20.0), "ms");
}

pub fn incidents(runtime: &Runtime, world: &World) {
    let from = world.clock.now().wall.0 - 90 * DAY;
    let sql = "SELECT opened, closed FROM incident WHERE opened >= ?";
    let floor = rows(world, "state.db", sql, 2, [from]);
    asked(runtime, world, "incidents page, 90 days", "/incidents?span=90d", Some(floor), None);
}

/// What is shown is good for five seconds: then it is made anew.
pub fn status(runtime: &Runtime, world: &World) {
    let sql = "SELECT opened, closed FROM incident WHERE service < 'service-0100'";
    let least = rows(world, "state.db", sql, 2, []);
    let (first, body) = runtime.block_on(ask(world, "/status"));
    row("status page, the first to look", first, Some(least), None, "ms");
    let anew = || {
        std::thread::sleep(Duration::from_millis(5100));
        runtime.block_on(ask(world, "/status")).0
    };
    row("status page, made anew", median((0..5).map(|_| anew()).collect()), Some(least), Some(30.0), "ms");
    row("status page, compressed", body.len() as f64 / 1e3, None, None, "kB");
    let shared = median((0..20).map(|_| runtime.block_on(ask(world, "/status")).0).collect());
    row("status page, shared", shared, Some(floor(body.len())), None, "ms");
}

pub fn metrics(runtime: &Runtime, world: &World) {
    let (_, body) = runtime.block_on(ask(world, "/metrics"));
    asked(runtime, world, "metrics", "/metrics", Some(floor(body.len())), None);
}

/// How long it takes until an event is on disk, of a hundred the median and the longest but one, in milliseconds.
fn commits(world: &World) -> (f64, f64) {
    let one = |_| {
        let kind = EventKind::Noted { words: "measured".into() };
        static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(u64::MAX / 8);
        let id = NUMBER.fetch_add(1, Ordering::Relaxed);
        let event = Event { id, at: Wall(0), service: None, incident: None, kind };
        let begin = Instant::now();
        let committed = world.store.lock().unwrap().commit(vec![Record::Event(event)], Vec::new());
        assert!(committed.wait(Duration::from_secs(5)));
        begin.elapsed().as_secs_f64() * 1e3
    };
    let mut took: Vec<f64> = (0..300).map(one).collect();
    took.sort_by(f64::total_cmp);
    (took[150], took[297])
}

/// Commits beside four who read without a pause, and beside as many threads that read nothing and use the processor as much.
pub fn writer(runtime: &Runtime, world: &World) {
    let beside = |busy: &(dyn Fn() + Sync)| {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        busy();
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(200));
            let took = commits(world);
            stop.store(true, Ordering::Relaxed);
            took
        })
    };
    let alone = commits(world);
    let reading = beside(&|| drop(runtime.block_on(ask(world, "/services/service-0001?span=90d"))));
    let spinning = beside(&|| {
        for i in 0..100_000u64 {
            std::hint::black_box(i);
        }
    });
    row("commit to the store, median", alone.0, None, None, "ms");
    row("the same beside 4 readers; floor: 4 threads that spin", reading.0, Some(spinning.0), None, "ms");
    row("commit to the store, 99 %", alone.1, None, None, "ms");
    row("the same beside 4 readers; floor: 4 threads that spin", reading.1, Some(spinning.1), None, "ms");
}
