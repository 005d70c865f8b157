//! `history.db`: what is kept comes back, from memory and from disk, once.

mod curves;
mod wholes;

use super::*;
use crate::model::kinds::control;
use crate::store::history::{Known, Sweep, Writer};
use proptest::prelude::*;
use std::collections::BTreeMap;

const CHECK: CheckId = CheckId(3);
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

fn writer(dir: &Path) -> Writer {
    Writer {
        database: Database::new(dir, &HISTORY),
        buffers: Arc::default(),
        clock: clock(0),
        trouble: Arc::default(),
        known: Known::default(),
        sweep: Sweep::default(),
        steady: Default::default(),
    }
}

/// Writes everything that is in memory.
fn flush(writer: &mut Writer) {
    for _ in 0..60 {
        let turn = writer.buffers.turn(Duration::ZERO);
        writer.write(&turn.blocks, &turn.gone).unwrap();
        writer.buffers.written(turn.end);
    }
}

fn count(writer: &mut Writer, what: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {what}");
    writer.database.connection().unwrap().0.query_row(&sql, [], |row| row.get(0)).unwrap()
}

fn sweep(writer: &mut Writer, limits: &HistoryLimits, now: i64) {
    let (connection, _) = writer.database.connection().unwrap();
    for _ in 0..1000 {
        if writer.sweep.step(connection, &writer.known, limits, Wall(now), 2).unwrap() {
            return;
        }
    }
    panic!("a sweep does not end");
}

#[test]
fn samples_come_from_disk_and_from_memory() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    let buffers = writer.buffers.clone();
    let reader = Reader::new(dir.path(), buffers.clone());
    buffers.keep(CHECK, &sample(0, None, None));
    buffers.series(CHECK, series("web"));
    writer.database.connection().unwrap();
    for second in 0..300 {
        if second == 100 || second == 200 {
            flush(&mut writer);
        }
        let memory = (second % 7 != 0).then_some(second as f64);
        buffers.keep(CHECK, &sample(second * 1000, Some(second % 2 == 0), memory));
    }
    let found = reader.samples("web", "process", Wall(50_000), Wall(250_000), 1000).unwrap();
    assert_eq!(found.metrics, ["down", "memory"]);
    assert!(!found.more);
    let expected: Vec<_> = (50..250i64)
        .map(|s| (Wall(s * 1000), vec![Some(f64::from(s % 2 == 0)), (s % 7 != 0).then_some(s as f64)]))
        .collect();
    assert_eq!(found.rows, expected);
    let first = reader.samples("web", "process", Wall(0), Wall(i64::MAX), 150).unwrap();
    assert_eq!((first.rows.len(), first.rows[149].0, first.more), (150, Wall(149_000), true));
    assert_eq!(reader.samples("db", "process", Wall(0), Wall(i64::MAX), 10).unwrap(), Samples::default());
}

#[test]
fn performance_values_are_kept_by_their_names() {
    use crate::model::kinds::Program;
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    let buffers = writer.buffers.clone();
    let keeps = |id: u32, names: &[&str], kept: u8| {
        let named: Vec<_> = names.iter().map(|name| ((*name).to_owned(), None)).collect();
        let mut metrics = MetricSet::default();
        metrics.insert(MetricId(kept));
        let table = Program::table(&named);
        let (service, check) = ("web".into(), "disk".into());
        buffers.series(CheckId(id), Series { service, check, metrics, kind: "program", table });
        let readings = vec![(MetricId(kept), Reading::Number(f64::from(id)))];
        let at = Now { mono: Mono(0), wall: Wall(i64::from(id)) };
        let sample = Sample { at, took: Duration::ZERO, readings, note: None, found: Found::Unasked };
        buffers.keep(CheckId(id), &sample);
    };
    // The second plan names one more, which takes the place of the first.
    keeps(1, &["size"], 6);
    keeps(2, &["age", "size"], 7);
    keeps(3, &["age", "size"], 6);
    let reader = Reader::new(dir.path(), buffers.clone());
    for _ in 0..2 {
        flush(&mut writer);
        let found = reader.samples("web", "disk", Wall(0), Wall(9000), 10).unwrap();
        assert_eq!(found.metrics, ["perf.size", "perf.age"]);
        let rows = [(1, [Some(1.0), None]), (2, [Some(2.0), None]), (3, [None, Some(3.0)])];
        assert_eq!(found.rows, rows.map(|(at, values)| (Wall(at), values.to_vec())));
    }
}

#[test]
fn a_check_that_keeps_other_metrics_stays_one_check() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    let buffers = writer.buffers.clone();
    buffers.series(CHECK, series("web"));
    buffers.keep(CHECK, &sample(1000, Some(true), Some(5.0)));
    let mut changed = series("web");
    changed.metrics = MetricSet(1);
    buffers.series(CheckId(90), changed);
    buffers.keep(CHECK, &sample(1500, Some(true), Some(6.0)));
    buffers.keep(CheckId(90), &sample(2000, Some(false), None));
    let reader = Reader::new(dir.path(), buffers.clone());
    for _ in 0..2 {
        flush(&mut writer);
        let found = reader.samples("web", "process", Wall(0), Wall(9000), 10).unwrap();
        assert_eq!(found.metrics, ["down", "memory"]);
        assert_eq!(found.rows, [(Wall(1000), vec![Some(1.0), Some(5.0)]), (Wall(2000), vec![Some(0.0), None])]);
        let bars = reader.bars("web", "process", Wall(0), Wall(HOUR), 60).unwrap();
        assert_eq!((bars[0].samples, bars[0].bad), (2, 1));
    }
    assert_eq!(count(&mut writer, "series"), 2);
    buffers.forget(CheckId(90));
    buffers.keep(CheckId(90), &sample(3000, Some(false), None));
    assert_eq!(reader.samples("web", "process", Wall(2500), Wall(9000), 10).unwrap().rows, []);
}

#[test]
fn a_clock_that_is_set_back_hides_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    let buffers = writer.buffers.clone();
    buffers.series(CHECK, series("web"));
    for at in [HOUR, HOUR + 1000, 5 * MINUTE, 5 * MINUTE + 1000, DAY] {
        buffers.keep(CHECK, &sample(at, Some(true), None));
    }
    flush(&mut writer);
    let reader = Reader::new(dir.path(), buffers.clone());
    for (from, to, rows) in [(0, HOUR, 2), (HOUR, 2 * HOUR, 2), (2 * HOUR, DAY, 0), (DAY, 2 * DAY, 1)] {
        assert_eq!(reader.samples("web", "process", Wall(from), Wall(to), 9).unwrap().rows.len(), rows, "{from}");
    }
}

#[test]
fn a_block_that_is_on_disk_and_still_in_memory_counts_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    let buffers = writer.buffers.clone();
    let reader = Reader::new(dir.path(), buffers.clone());
    buffers.series(CHECK, series("web"));
    for second in 0..50 {
        buffers.keep(CHECK, &sample(second * 1000, Some(true), None));
    }
    for _ in 0..60 {
        // Without telling the buffers: as seen between the commit and that.
        let turn = buffers.turn(Duration::ZERO);
        writer.write(&turn.blocks, &turn.gone).unwrap();
    }
    assert_eq!((buffers.blocks("web", "process").len(), count(&mut writer, "block")), (1, 1));
    assert_eq!(reader.samples("web", "process", Wall(0), Wall(HOUR), 100).unwrap().rows.len(), 50);
    assert_eq!(reader.bars("web", "process", Wall(0), Wall(HOUR), 1).unwrap()[0].bad, 50);
}

/// Of a control the first flag is a good one.
#[test]
fn a_supervisor_that_is_there_is_no_trouble() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    let reader = Reader::new(dir.path(), writer.buffers.clone());
    writer.database.connection().unwrap();
    let mut metrics = MetricSet::default();
    metrics.insert(MetricId(control::ALIVE));
    let series =
        Series { service: "web".into(), check: "control".into(), metrics, kind: "control", table: control::METRICS };
    writer.buffers.series(CHECK, series);
    for second in 0..3600 {
        let readings = vec![(MetricId(control::ALIVE), Reading::Flag(true))];
        writer.buffers.keep(CHECK, &Sample { readings, ..sample(second * 1000, None, None) });
    }
    for stored in [false, true] {
        for parts in [1, 120] {
            let bars = reader.bars("web", "control", Wall(0), Wall(HOUR), parts).unwrap();
            assert!(bars.iter().all(|bar| bar.samples > 0 && bar.bad == 0), "{parts}, {stored}: {bars:?}");
        }
        flush(&mut writer);
    }
}

#[test]
fn bars_say_how_often_it_was_bad() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    let buffers = writer.buffers.clone();
    let reader = Reader::new(dir.path(), buffers.clone());
    writer.database.connection().unwrap();
    buffers.series(CHECK, series("web"));
    for second in 0..7200 {
        let down = if second % 60 < 10 {
            Some(true)
        } else if second % 60 < 15 {
            None
        } else {
            Some(false)
        };
        buffers.keep(CHECK, &sample(second * 1000, down, Some(1.0)));
        if second % 60 == 30 {
            flush(&mut writer);
        }
    }
    let totals = |bars: Vec<Bar>| bars.iter().fold((0, 0, 0), |t, b| (t.0 + b.samples, t.1 + b.bad, t.2 + b.unknown));
    for parts in [1, 2, 120, 240] {
        let bars = reader.bars("web", "process", Wall(0), Wall(2 * HOUR), parts).unwrap();
        assert_eq!(bars.len(), parts);
        assert_eq!(totals(bars), (7200, 1200, 600), "{parts}");
    }
    // By the days of UTC, and by those of a zone.
    for (from, both) in [(0, [(7200, 1200, 600), (0, 0, 0)]), (-23 * HOUR, [(3600, 600, 300); 2])] {
        let bars = reader.bars("web", "process", Wall(from), Wall(from + 2 * DAY), 2).unwrap();
        assert_eq!(bars.into_iter().map(|bar| totals(vec![bar])).collect::<Vec<_>>(), both, "{from}");
    }
    let minute = reader.bars("web", "process", Wall(0), Wall(2 * HOUR), 120).unwrap()[77];
    assert_eq!(minute, Bar { start: Wall(77 * MINUTE), samples: 60, bad: 10, unknown: 5 });
    // People see the same.
    flush(&mut writer);
    writer.known = Known::default();
    sweep(&mut writer, &HistoryLimits::default(), 3 * HOUR);
    let (connection, _) = writer.database.connection().unwrap();
    let health: (String, i64, i64, i64) = connection
        .query_row("SELECT time, samples, bad, unknown FROM health ORDER BY time LIMIT 1", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .unwrap();
    assert_eq!(health, ("1970-01-01T00:00Z".into(), 3600, 600, 300));
    let avg = connection
        .query_row("SELECT avg FROM minutes WHERE metric = 'memory' LIMIT 1", [], |row| row.get::<_, f64>(0))
        .unwrap();
    assert_eq!(avg, 1.0);
}

#[derive(Debug, Clone)]
enum Step1 {
    Keep { after: i64, down: Option<bool>, memory: Option<f64> },
    Flush,
    Forget,
    Sweep,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step1>> {
    let after = prop_oneof![20 => 900..1100i64, 3 => 0..20 * MINUTE, 1 => -30 * MINUTE..0, 1 => 0..3 * DAY];
    let memory = proptest::option::of(prop_oneof![8 => (0..1000i32).prop_map(f64::from), 1 => Just(f64::NAN)]);
    let keep =
        (after, any::<Option<bool>>(), memory).prop_map(|(after, down, memory)| Step1::Keep { after, down, memory });
    let step = prop_oneof![
        40 => keep, 6 => Just(Step1::Flush), 1 => Just(Step1::Forget), 1 => Just(Step1::Sweep), 1 => Just(Step1::Restart)
    ];
    proptest::collection::vec(step, 1..150)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Every sample is in exactly one roll-up of each step, whatever clocks, writers and reloads do.
    #[test]
    fn roll_ups_are_the_sums_of_all_samples(steps in steps()) {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = writer(dir.path());
        let mut reader = Reader::new(dir.path(), writer.buffers.clone());
        writer.database.connection().unwrap();
        writer.buffers.series(CHECK, series("web"));
        let mut at = 20 * DAY;
        let mut kept: BTreeMap<i64, (Option<bool>, Option<f64>)> = BTreeMap::new();
        for step in steps {
            match step {
                Step1::Keep { after, down, memory } => {
                    at += after;
                    // One check is not sampled twice in a millisecond.
                    while kept.contains_key(&at) {
                        at += 1;
                    }
                    kept.insert(at, (down, memory));
                    writer.buffers.keep(CHECK, &sample(at, down, memory));
                }
                Step1::Flush => flush(&mut writer),
                Step1::Forget => {
                    writer.buffers.forget(CHECK);
                    writer.buffers.series(CHECK, series("web"));
                }
                Step1::Sweep => sweep(&mut writer, &HistoryLimits::default(), 20 * DAY),
                Step1::Restart => {
                    flush(&mut writer);
                    drop(writer);
                    writer = self::writer(dir.path());
                    writer.buffers.series(CHECK, series("web"));
                    reader = Reader::new(dir.path(), writer.buffers.clone());
                    writer.database.connection().unwrap();
                }
            }
        }
        for step in [Step::Minute, Step::Hour, Step::Day] {
            let mut expected: BTreeMap<(i64, &str), (u32, u32, f64, f64)> = BTreeMap::new();
            for (at, (down, memory)) in &kept {
                let start = at - at.rem_euclid(step.millis());
                for (name, value) in [("down", down.map(f64::from)), ("memory", *memory)] {
                    let sum = expected.entry((start, name)).or_insert((0, 0, 0.0, f64::NEG_INFINITY));
                    sum.0 += 1;
                    if let Some(value) = value.filter(|v| v.is_finite()) {
                        *sum = (sum.0, sum.1 + 1, sum.2 + value, sum.3.max(value));
                    }
                }
            }
            let found: BTreeMap<(i64, &str), (u32, u32, f64, f64)> = BTreeMap::new();
            let rollups = reader.rollups("web", "process", step, Wall(0), Wall(i64::MAX)).unwrap();
            let found = rollups.iter().fold(found, |mut found, rollup| {
                let sum = rollup.sum;
                found.insert((rollup.start.0, &rollup.metric), (sum.samples, sum.count, sum.sum, sum.max));
                found
            });
            prop_assert_eq!(found, expected);
        }
        let samples = reader.samples("web", "process", Wall(0), Wall(i64::MAX), 1000).unwrap();
        prop_assert_eq!(samples.rows.len(), kept.len());
        // Curves are the sums of the same samples, however long their parts are.
        for width in [10_000, 3 * MINUTE, 30 * MINUTE, HOUR, 4 * HOUR, DAY] {
            let (from, parts) = (20 * DAY - 20 * width, 60);
            let mut expected: BTreeMap<i64, Sum> = BTreeMap::new();
            for (at, (_, memory)) in kept.range(from..from + parts * width) {
                expected.entry(at - at.rem_euclid(width)).or_insert(Sum::NONE).add(*memory);
            }
            let expected: Vec<_> = expected.into_iter().filter(|(_, s)| s.count > 0).map(|(at, s)| (Wall(at), s)).collect();
            let to = Wall(from + parts * width);
            let found = reader.curves("web", "process", &["memory".into()], Wall(from), to, parts as usize).unwrap();
            prop_assert_eq!(&found[0].parts, &expected, "{}", width);
        }
    }
}

#[test]
fn old_samples_go_first_and_then_their_roll_ups() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    let buffers = writer.buffers.clone();
    for check in 0..5 {
        buffers.series(CheckId(check), series(&format!("service-{check}")));
        for minute in 0..60 {
            buffers.keep(CheckId(check), &sample(minute * MINUTE, Some(false), Some(1.0)));
        }
        buffers.forget(CheckId(check));
    }
    flush(&mut writer);
    let limits = HistoryLimits::default();
    let mut rows = |now: i64| {
        sweep(&mut writer, &limits, now);
        ["block", "rollup_minute", "rollup_hour", "rollup_day", "series"].map(|table| count(&mut writer, table))
    };
    let blocks = rows(2 * HOUR)[0];
    assert!(blocks > 0);
    assert_eq!(rows(6 * DAY), [blocks, 600, 10, 10, 5], "rolled up though their checks are gone");
    assert_eq!(rows(9 * DAY), [0, 600, 10, 10, 5]);
    assert_eq!(rows(40 * DAY), [0, 0, 10, 10, 5]);
    assert_eq!(rows(92 * DAY), [0; 5]);
}

#[test]
fn too_much_is_too_much() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    let buffers = writer.buffers.clone();
    buffers.series(CHECK, series("web"));
    for second in 0..40_000 {
        // Digits that do not pack well.
        buffers.keep(CHECK, &sample(second * 1000, Some(false), Some((second as f64).sqrt().fract())));
        if second % 100 == 0 {
            flush(&mut writer);
        }
    }
    let limits = HistoryLimits { max_size: crate::model::ByteSize(250_000), ..HistoryLimits::default() };
    let used = |writer: &mut Writer| {
        let (connection, _) = writer.database.connection().unwrap();
        let pragma = |name| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0)).unwrap();
        ((pragma("page_count") - pragma("freelist_count")) * 4096, pragma("page_count") * 4096)
    };
    assert!(used(&mut writer).0 > 350_000);
    for _ in 0..10 {
        sweep(&mut writer, &limits, 40_000_000);
    }
    let (in_use, on_disk) = used(&mut writer);
    assert!((150_000..250_000).contains(&in_use), "{in_use}");
    assert!(on_disk < 1_100_000 + in_use, "{on_disk}: free pages are given back");
    let oldest = count(&mut writer, "block WHERE start < 10000000");
    assert!(oldest < count(&mut writer, "block WHERE start >= 30000000"), "the oldest went");
    assert!(count(&mut writer, "rollup_minute") > 1000);
}

#[test]
fn memory_is_bounded_and_what_is_dropped_is_counted() {
    let buffers = Buffers::default();
    for check in 0..5000 {
        buffers.series(CheckId(check), series(&format!("service-{check}")));
    }
    let mut kept = 0;
    for second in 0..120 {
        for check in 0..5000 {
            buffers.keep(
                CheckId(check),
                &sample(second * 1000, Some(false), Some(f64::from(check).sqrt() * second as f64)),
            );
            kept += 1;
        }
        assert!(buffers.bytes() <= 2_000_000);
    }
    let in_memory: u64 = (0..5000)
        .flat_map(|check| buffers.blocks(&format!("service-{check}"), "process"))
        .map(|b| u64::from(b.packed.rows))
        .sum();
    assert!(buffers.dropped() > 100_000, "{}", buffers.dropped());
    assert_eq!(in_memory + buffers.dropped(), kept);
}

#[test]
fn history_that_cannot_be_read_is_put_aside_without_further_ado() {
    for version in [None, Some(99)] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.db");
        match version {
            None => std::fs::write(&path, [7; 9000]).unwrap(),
            Some(version) => {
                assert!(open(dir.path()).0.close(LONG));
                rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", version).unwrap();
            }
        }
        let (store, opened) = open(dir.path());
        assert!(!opened.restored.lost);
        assert_eq!(opened.notes.len(), 1, "{:?}", opened.notes);
        assert_eq!(names(dir.path(), "history.db.unreadable-").len(), 1);
        store.series(CHECK, series("web"));
        store.keep(CHECK, &sample(1000, Some(false), None));
        assert!(store.close(LONG));
        let (store, _) = open(dir.path());
        assert_eq!(store.reader().samples("web", "process", Wall(0), Wall(9000), 9).unwrap().rows.len(), 1);
    }
}
