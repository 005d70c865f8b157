//! A week of five services, as the real store has written it, against a computation that knows nothing of the engine.

use crate::history::{History, plan};
use crate::{BEGIN, DAY, SECOND};
use minder::model::{Reading, Wall};
use minder::store::Reader;
use minder::trial::backtest;
use std::collections::BTreeMap;

const WEEK: i64 = 7 * DAY;
const EVERY: i64 = 10 * SECOND;

/// Numbers that look random and are the same each time (Knuth's multiplier).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// What was read at each ten seconds; nothing where minder did not run.
type Record = Vec<Option<Option<f64>>>;

/// Stretches of high and of low values, of all lengths, with samples that could not be taken; minder is down now and then.
fn record(seed: u64, low: f64, high: f64) -> Record {
    let mut numbers = Numbers(seed);
    let mut record = Record::new();
    let all = usize::try_from(WEEK / EVERY).unwrap();
    while record.len() < all {
        let length = match numbers.below(20) {
            0 => 400 + numbers.below(3000),
            1..5 => 20 + numbers.below(60),
            _ => 1 + numbers.below(8),
        };
        let is_high = numbers.below(3) == 0;
        let gone = numbers.below(40) == 0;
        for _ in 0..length {
            let value = if is_high { high } else { low } + numbers.below(100) as f64;
            record.push((!gone).then(|| (numbers.below(50) > 0).then_some(value)));
        }
    }
    record.truncate(all);
    record
}

/// When a condition has been true for so many samples without one that says otherwise: what is unknown is not counted, and what
/// is missing altogether begins the count anew (after more than `2 × every + timeout` a sample is too old).
fn fires(record: &Record, is_bad: impl Fn(f64) -> bool, times: u32) -> Vec<i64> {
    let (mut count, mut firing) = (0, false);
    let mut fired = Vec::new();
    for (i, sample) in record.iter().enumerate() {
        match sample {
            None | Some(None) => {}
            Some(Some(value)) if is_bad(*value) => {
                count += 1;
                if count >= times && !firing {
                    firing = true;
                    fired.push(BEGIN + i as i64 * EVERY);
                }
            }
            Some(Some(_)) => (count, firing) = (0, false),
        }
    }
    fired
}

#[test]
fn five_services_fire_when_a_plain_count_says_so() {
    const WHOLE: f64 = 10_000.0;
    let mut history = History::new(BEGIN + WEEK);
    let mut records = Vec::new();
    for s in 0..5 {
        let record = record(s + 1, 3000.0, 9200.0);
        history.series(&format!("service-{s}"), "filesystem", &["used"]);
        let samples = record.iter().enumerate().filter_map(|(i, sample)| {
            // Half of the week the disk is twice as large, and as full.
            let larger = if i > record.len() / 2 { 2.0 } else { 1.0 };
            let part = |value: f64| Reading::Part { value: value * larger, whole: WHOLE * larger };
            Some((BEGIN + i as i64 * EVERY, vec![(*sample)?.map_or(Reading::Unknown, part)]))
        });
        history.samples("filesystem", &["used"], samples);
        records.push(record);
    }
    let dir = history.written();
    let mut rules = "version: 1\nservices:\n".to_owned();
    for (s, times) in [1, 2, 3, 6, 30].iter().enumerate() {
        rules.push_str(&format!(
            "  service-{s}:\n    checks: [{{ filesystem: / }}]\n    rules:\n      - {{ name: full, when: filesystem.used > 90%, \
             for: {times} times, then: [notify] }}\n      - {{ name: empty, when: filesystem.used < 40%, for: {times} times, \
             then: [notify] }}\n"
        ));
    }
    let tested = backtest(&Reader::of(dir.path()), &plan(&rules), Wall(BEGIN), Wall(BEGIN + WEEK)).unwrap();
    for (s, (times, record)) in [1, 2, 3, 6, 30].into_iter().zip(&records).enumerate() {
        let tested = &tested[s];
        assert_eq!(tested.unjudged, []);
        assert_eq!(tested.samples, record.iter().flatten().count() as u64);
        let mut fired: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
        for moment in tested.these.moments.iter().filter(|moment| moment.kind == "fired") {
            fired.entry(&moment.name).or_default().push(moment.at.0);
        }
        let share = |value: f64| value / WHOLE * 100.0;
        let expected = BTreeMap::from([
            ("full", fires(record, |value| share(value) > 90.0, times)),
            ("empty", fires(record, |value| share(value) < 40.0, times)),
        ]);
        let count = |of: &BTreeMap<&str, Vec<i64>>| of.values().map(Vec::len).sum::<usize>();
        assert!(count(&expected) > 20, "{}", count(&expected));
        for (rule, expected) in expected {
            let differ = fired[rule].iter().zip(&expected).position(|(a, b)| a != b);
            let differ =
                differ.map(|i| (i, &fired[rule][i.saturating_sub(1)..i + 2], &expected[i.saturating_sub(1)..i + 2]));
            assert_eq!(fired[rule].len(), expected.len(), "service-{s} {rule}, {differ:?}");
            assert_eq!(fired[rule], expected, "service-{s} {rule}, {differ:?}");
        }
    }
}
