//! Curves: metrics over a time, to be drawn.

use super::*;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The property test beside this compares curves with sums; here is what they say.
#[test]
fn a_curve_has_the_least_the_mean_and_the_greatest_of_each_part() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    let buffers = writer.buffers.clone();
    let reader = Reader::new(dir.path(), buffers.clone());
    writer.database.connection().unwrap();
    buffers.series(CHECK, series("web"));
    // An hour, a gap of one, and an hour.
    for second in (0..3600).chain(7200..10_800).step_by(10) {
        buffers.keep(CHECK, &sample(second * 1000, Some(false), Some((second % 100) as f64)));
        if second % 1000 == 0 {
            flush(&mut writer);
        }
    }
    let asked = names(&["memory", "none", "down"]);
    for (width, parts, hours) in [(10_000, 1080, None), (MINUTE, 180, Some(60)), (HOUR, 3, Some(1))] {
        let found = reader.curves("web", "process", &asked, Wall(0), Wall(3 * HOUR), parts).unwrap();
        let metrics: Vec<&str> = found.iter().map(|curve| curve.metric.as_str()).collect();
        assert_eq!(metrics, ["memory", "none", "down"], "in the order in which they were asked for");
        assert_eq!((found[1].parts.len(), found[0].parts.len()), (0, found[2].parts.len()));
        let Some(of_an_hour) = hours else { continue };
        let (first, second): (Vec<_>, Vec<_>) = found[0].parts.iter().partition(|(at, _)| at.0 < HOUR);
        assert_eq!((first.len(), second.len()), (of_an_hour, of_an_hour), "{width}: nothing in the gap");
        assert!(second.iter().all(|(at, _)| at.0 >= 2 * HOUR && at.0 % width == 0));
        let all = found[0].parts.iter().fold(Sum::NONE, |all, (_, sum)| all.and(sum));
        assert_eq!((all.samples, all.count, all.min, all.max, all.mean()), (720, 720, 0.0, 90.0, Some(45.0)));
    }
    // No more parts than can be drawn, whatever is asked for.
    let fine = reader.curves("web", "process", &asked, Wall(0), Wall(3 * HOUR), usize::MAX).unwrap();
    assert!(fine[0].parts.len() <= 1000);
    assert_eq!(reader.curves("db", "process", &asked, Wall(0), Wall(HOUR), 9).unwrap()[0].parts, []);
    assert_eq!(reader.curves("web", "process", &asked, Wall(i64::MAX), Wall(0), 9).unwrap()[0].parts, []);
}

#[test]
fn what_was_kept_once_is_still_drawn_and_bars_know_what_judged_then() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    let buffers = writer.buffers.clone();
    let reader = Reader::new(dir.path(), buffers.clone());
    writer.database.connection().unwrap();
    buffers.series(CHECK, series("web"));
    for minute in 0..60 {
        buffers.keep(CHECK, &sample(minute * MINUTE, Some(true), Some(5.0)));
    }
    // The check is of another kind now, and judged by another metric.
    let tcp = Series { metrics: MetricSet(1), kind: "tcp", table: Kind::metrics_of("tcp").unwrap(), ..series("web") };
    buffers.series(CheckId(90), tcp);
    for minute in 60..120 {
        buffers.keep(CheckId(90), &sample(minute * MINUTE, Some(minute >= 90), None));
    }
    for _ in 0..2 {
        assert_eq!(reader.kept("web", "process").unwrap(), ["down", "memory", "failed"]);
        let asked = names(&["memory", "failed"]);
        let found = reader.curves("web", "process", &asked, Wall(0), Wall(2 * HOUR), 2).unwrap();
        let counts: Vec<Vec<(i64, u32)>> =
            found.iter().map(|c| c.parts.iter().map(|(at, sum)| (at.0, sum.count)).collect()).collect();
        assert_eq!(counts, [vec![(0, 60)], vec![(HOUR, 60)]]);
        let bars = reader.bars("web", "process", Wall(0), Wall(2 * HOUR), 2).unwrap();
        let bars: Vec<(u32, u32, u32)> = bars.iter().map(|bar| (bar.samples, bar.bad, bar.unknown)).collect();
        assert_eq!(bars, [(60, 60, 0), (60, 30, 0)]);
        flush(&mut writer);
        writer.known = Known::default();
        sweep(&mut writer, &HistoryLimits::default(), 3 * HOUR);
    }
    assert_eq!(reader.kept("db", "process").unwrap(), names(&[]));
}
