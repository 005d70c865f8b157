//! Samples summed up by minute, hour and day.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How long the time is that a roll-up sums up. Days are days of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// Kept for 30 days, or `history.keep` if that is shorter.
    Minute,
    /// Kept for `history.keep`.
    Hour,
    /// Kept for `history.keep`.
    Day,
}

impl Step {
    pub(super) const ALL: [Step; 3] = [Step::Minute, Step::Hour, Step::Day];

    /// Its length in milliseconds.
    pub fn millis(self) -> i64 {
        match self {
            Step::Minute => 60_000,
            Step::Hour => 3_600_000,
            Step::Day => 86_400_000,
        }
    }
    /// The longest one of which parts of this length, the first of which begins then, are made up; or nearly: parts that are
    /// no whole hours are made of the hours that begin in them.
    pub(super) fn within(from: i64, width: i64) -> Step {
        let day = Step::Day.millis();
        match width {
            _ if width >= day && width % day == 0 && from % day == 0 => Step::Day,
            _ if width >= Step::Hour.millis() => Step::Hour,
            _ => Step::Minute,
        }
    }
    pub(super) fn table(self) -> &'static str {
        match self {
            Step::Minute => "rollup_minute",
            Step::Hour => "rollup_hour",
            Step::Day => "rollup_day",
        }
    }
    fn start(self, at: i64) -> i64 {
        at.saturating_sub(at.rem_euclid(self.millis()))
    }
}

/// What is known of one metric over some time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sum {
    /// How many samples were taken.
    pub samples: u32,
    /// How many of them have a finite number for the metric.
    pub count: u32,
    /// The least of these; meaningless if there is none.
    pub min: f64,
    /// The greatest of these; meaningless if there is none.
    pub max: f64,
    /// Their sum; of a flag, how often it was true.
    pub sum: f64,
}

impl Sum {
    /// Of nothing.
    pub const NONE: Sum = Sum { samples: 0, count: 0, min: f64::INFINITY, max: f64::NEG_INFINITY, sum: 0.0 };

    pub(super) fn add(&mut self, value: Option<f64>) {
        self.samples += 1;
        if let Some(value) = value.filter(|v| v.is_finite()) {
            self.count += 1;
            self.min = self.min.min(value);
            self.max = self.max.max(value);
            self.sum += value;
        }
    }
    pub(super) fn merge(&mut self, other: &Sum) {
        self.samples = self.samples.saturating_add(other.samples);
        self.count = self.count.saturating_add(other.count);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.sum += other.sum;
    }
    /// Of both together.
    pub fn and(mut self, other: &Sum) -> Sum {
        self.merge(other);
        self
    }
    /// The mean, if there was a number.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / f64::from(self.count))
    }
}

/// The sums of a series by the start of each step, one for each of its metrics.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Sums(pub BTreeMap<i64, Vec<Sum>>);

impl Sums {
    pub fn add(&mut self, step: Step, at: i64, values: &[Option<f64>]) {
        let sums = self.0.entry(step.start(at)).or_insert_with(|| vec![Sum::NONE; values.len()]);
        for (sum, value) in sums.iter_mut().zip(values) {
            sum.add(*value);
        }
    }
    /// The same by a longer step.
    pub fn coarser(&self, step: Step) -> Sums {
        let mut coarse = Sums::default();
        for (start, sums) in &self.0 {
            let into = coarse.0.entry(step.start(*start)).or_insert_with(|| vec![Sum::NONE; sums.len()]);
            into.iter_mut().zip(sums).for_each(|(a, b)| a.merge(b));
        }
        coarse
    }
}

#[cfg(test)]
mod tests {
    use super::Step;

    #[test]
    fn a_part_of_days_is_made_of_days_only_if_it_begins_with_one() {
        const HOUR: i64 = 3_600_000;
        for (from, width, step) in [
            (0, 24 * HOUR, Step::Day),
            (-48 * HOUR, 48 * HOUR, Step::Day),
            (-HOUR, 24 * HOUR, Step::Hour),
            (0, 36 * HOUR, Step::Hour),
            (0, HOUR, Step::Hour),
            (0, HOUR - 1, Step::Minute),
        ] {
            assert_eq!(Step::within(from, width), step, "{from}, {width}");
        }
    }
}
