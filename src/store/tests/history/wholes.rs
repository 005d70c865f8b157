//! Of what a metric is a part is kept beside its samples, where it changes.

use super::*;

/// `memory` as a part of so much; nothing: there is no whole, and a value all the same.
fn part(at: i64, whole: Option<f64>) -> Sample {
    let mut sample = sample(at, Some(false), Some(5.0));
    if let (Some(whole), Some((_, reading))) = (whole, sample.readings.last_mut()) {
        *reading = Reading::Part { value: 5.0, whole };
    }
    sample
}

/// The whole of `memory` at each sample of this time.
fn wholes(reader: &Reader, from: i64, to: i64) -> Vec<(i64, Option<f64>)> {
    let samples = reader.samples("web", "process", Wall(from), Wall(to), 1000).unwrap();
    let changes = samples.wholes.get("memory").cloned().unwrap_or_default();
    assert!(!samples.wholes.contains_key("down"));
    assert!(changes.is_sorted_by_key(|(at, _)| *at));
    let whole = |at: Wall| changes.iter().rev().find(|(from, _)| *from <= at).and_then(|(_, whole)| *whole);
    samples.rows.iter().map(|(at, _)| (at.0, whole(*at))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn of_what_a_metric_is_a_part_is_known_at_each_sample(steps in
        proptest::collection::vec((0..40u8, prop_oneof![6 => Just(Some(8e9)), 2 => Just(None), 2 => Just(Some(16e9)),
            1 => (1.0..9e9).prop_map(Some)]), 1..200), from in 0..200usize)
    {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = writer(dir.path());
        writer.database.connection().unwrap();
        let mut check = CHECK;
        writer.buffers.series(check, series("web"));
        let mut expected = Vec::new();
        let mut last = None;
        for (i, (what, whole)) in (0i64..).zip(steps) {
            let at = i * 7000;
            match what {
                0..4 => flush(&mut writer),
                // A reload, and a restart of minder.
                4 => {
                    check = CheckId(check.0 + 1);
                    let mut other = series("web");
                    other.metrics = MetricSet(if i % 2 == 0 { 1 } else { 65 });
                    writer.buffers.series(check, other);
                    check = CheckId(check.0 + 1);
                    writer.buffers.series(check, series("web"));
                }
                5 => {
                    flush(&mut writer);
                    writer.buffers = Arc::default();
                    writer.known = Known::default();
                    writer.buffers.series(check, series("web"));
                }
                _ => {}
            }
            if what == 6 {
                // What is not there says nothing of its whole.
                writer.buffers.keep(check, &sample(at, Some(true), None));
            } else {
                writer.buffers.keep(check, &part(at, whole));
                last = whole;
            }
            expected.push((at, (what != 6).then_some(last)));
        }
        let from = from.min(expected.len() - 1);
        let reader = Reader::new(dir.path(), writer.buffers.clone());
        for _ in 0..2 {
            for found in [wholes(&reader, 0, i64::MAX), wholes(&reader, from as i64 * 7000, i64::MAX)] {
                let skipped = expected.len() - found.len();
                for (found, expected) in found.iter().zip(&expected[skipped..]) {
                    prop_assert_eq!(found.0, expected.0);
                    prop_assert!(expected.1.is_none_or(|whole| whole == found.1), "{:?} {:?}", found, expected);
                }
            }
            flush(&mut writer);
        }
    }
}

#[test]
fn a_whole_that_does_not_change_is_written_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    let buffers = writer.buffers.clone();
    buffers.series(CHECK, series("web"));
    for minute in 0..40 {
        for second in 0..6 {
            buffers.keep(CHECK, &part(minute * MINUTE + second * 10_000, Some(if minute < 30 { 8e9 } else { 9e9 })));
        }
        flush(&mut writer);
    }
    assert_eq!((count(&mut writer, "block"), count(&mut writer, "whole")), (40, 2));
    let reader = Reader::new(dir.path(), buffers.clone());
    assert!(wholes(&reader, 35 * MINUTE, HOUR).iter().all(|(_, whole)| *whole == Some(9e9)));
    // The first went when the second was known to hold for all that is left; the second stays.
    for (now, left) in [(2 * HOUR, 2), (30 * DAY + 20 * MINUTE, 2), (30 * DAY + 31 * MINUTE, 1), (50 * DAY, 1)] {
        sweep(&mut writer, &HistoryLimits::default(), now);
        assert_eq!(count(&mut writer, "whole"), left, "{now}");
    }
    buffers.forget(CHECK);
    flush(&mut writer);
    sweep(&mut writer, &HistoryLimits::default(), 200 * DAY);
    assert_eq!((count(&mut writer, "series"), count(&mut writer, "whole")), (0, 0));
}

#[test]
fn a_clock_that_is_set_back_and_a_block_that_is_dropped_hide_no_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    let buffers = writer.buffers.clone();
    let reader = Reader::new(dir.path(), buffers.clone());
    writer.database.connection().unwrap();
    buffers.series(CHECK, series("web"));
    for at in [HOUR, HOUR + 1000, 5 * MINUTE, 5 * MINUTE + 1000] {
        buffers.keep(CHECK, &part(at, Some(8e9)));
    }
    assert!(wholes(&reader, 0, DAY).iter().all(|(_, whole)| *whole == Some(8e9)));
    flush(&mut writer);
    assert!(wholes(&reader, 0, DAY).iter().all(|(_, whole)| *whole == Some(8e9)));

    buffers.keep(CHECK, &part(2 * HOUR, Some(9e9)));
    let other = |check: u32, second: i64| {
        let memory = f64::from(check).sqrt() * second as f64;
        buffers.keep(CheckId(check), &sample(3 * HOUR + second * 1000, Some(false), Some(memory)));
    };
    (100..5000).for_each(|check| buffers.series(CheckId(check), series(&format!("service-{check}"))));
    for second in 0..120 {
        (100..5000).for_each(|check| other(check, second));
    }
    buffers.keep(CHECK, &part(4 * HOUR, Some(9e9)));
    let kept = wholes(&reader, 2 * HOUR, DAY);
    assert_eq!(kept, [(4 * HOUR, Some(9e9))], "the one before was dropped");
}

#[test]
fn history_of_an_older_minder_is_read_as_it_is_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    const FIRST: database::Spec = database::Spec { steps: &[HISTORY.steps[0]], ..HISTORY };
    let buffers = Buffers::default();
    buffers.series(CHECK, series("web"));
    buffers.keep(CHECK, &part(1000, Some(8e9)));
    buffers.forget(CHECK);
    let mut packed = Vec::new();
    for _ in 0..60 {
        packed = buffers.turn(Duration::ZERO).blocks;
    }
    let mut old = Database::new(dir.path(), &FIRST);
    let (connection, _) = old.connection().unwrap();
    let block = &packed[0].packed;
    connection
        .execute_batch("INSERT INTO series VALUES (1, 'web', 'process', 'process', '[\"down\",\"memory\"]', 0, 0)")
        .unwrap();
    connection.execute("INSERT INTO block VALUES (1, 1000, 1000, 1, ?)", [&block.data]).unwrap();
    old.close();
    assert_eq!(wholes(&Reader::of(dir.path()), 0, DAY), [(1000, None)], "a backtest migrates nothing");
    let mut writer = writer(dir.path());
    writer.buffers.series(CHECK, series("web"));
    writer.buffers.keep(CHECK, &part(20_000, Some(8e9)));
    flush(&mut writer);
    assert_eq!(count(&mut writer, "series"), 1);
    assert_eq!(wholes(&Reader::of(dir.path()), 0, DAY), [(1000, None), (20_000, Some(8e9))]);
}
