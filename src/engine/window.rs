//! The samples of a window, for the functions over it, in bounded memory.
//!
//! A window is cut into at most [`PARTS`] parts, each of which keeps what the functions need of its samples. Where samples are
//! rarer than parts, every sample has a part of its own and the result is exact; where they are more frequent, a part leaves the
//! window as a whole: the window is then longer by up to a hundredth.

use crate::model::{Function, MetricId, Mono};
use std::collections::VecDeque;
use std::time::Duration;

const PARTS: u64 = 100;

#[derive(Debug, Clone, Copy, PartialEq)]
struct Part {
    number: u64,
    first: (Mono, f64),
    last: (Mono, f64),
    least: f64,
    greatest: f64,
    line: Line,
}

/// What a straight line through samples is made of: how many, their means, and their spread about the means. Sums of squares
/// would lose the spread of large numbers (bytes of a disk) in their rounding; spreads are added up without that
/// (Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Line {
    count: f64,
    /// Seconds since the window began.
    time: f64,
    value: f64,
    /// The sum of squares of (time - mean time).
    times: f64,
    /// The sum of (time - mean time) * (value - mean value).
    both: f64,
}

impl Line {
    fn of(time: f64, value: f64) -> Line {
        Line { count: 1.0, time, value, ..Line::default() }
    }

    /// Of the samples of both.
    fn join(self, other: Line) -> Line {
        let count = self.count + other.count;
        if count == 0.0 {
            return self;
        }
        let (time, value) = (other.time - self.time, other.value - self.value);
        let (share, weight) = (other.count / count, self.count * other.count / count);
        Line {
            count,
            time: self.time + time * share,
            value: self.value + value * share,
            times: self.times + other.times + time * time * weight,
            both: self.both + other.both + time * value * weight,
        }
    }

    /// Where it is at that time; nothing of a single sample.
    fn at(self, time: f64) -> Option<f64> {
        (self.times > 0.0).then(|| self.value + self.both / self.times * (time - self.time))
    }
}

/// The samples of one metric over one span.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Window {
    pub metric: MetricId,
    pub span: Duration,
    began: Option<Mono>,
    last: Mono,
    parts: VecDeque<Part>,
}

impl Window {
    pub fn new(metric: MetricId, span: Duration) -> Window {
        Window { metric, span, began: None, last: Mono(0), parts: VecDeque::new() }
    }

    pub fn clear(&mut self) {
        self.began = None;
        self.parts.clear();
    }

    /// Adds a value. After a gap longer than `gap` the window begins anew: nobody looked meanwhile.
    pub fn push(&mut self, value: f64, at: Mono, gap: Duration) {
        if self.began.is_some() && at - self.last > gap {
            self.clear();
        }
        let began = *self.began.get_or_insert(at);
        self.last = at;
        let width = (u64::try_from(self.span.as_nanos()).unwrap_or(u64::MAX) / PARTS).max(1);
        let number = at.0 / width;
        let line = Line::of((at - began).as_secs_f64(), value);
        match self.parts.back_mut() {
            Some(part) if part.number == number => {
                part.last = (at, value);
                part.least = part.least.min(value);
                part.greatest = part.greatest.max(value);
                part.line = part.line.join(line);
            }
            _ => {
                let (first, last) = ((at, value), (at, value));
                self.parts.push_back(Part { number, first, last, least: value, greatest: value, line });
            }
        }
        while self.parts.front().is_some_and(|part| at - part.last.0 > self.span) {
            self.parts.pop_front();
        }
    }

    /// The function's value; nothing until the samples cover the window.
    pub fn value(&self, function: Function, now: Mono) -> Option<f64> {
        let began = self.began?;
        if self.last - began < self.span {
            return None;
        }
        let parts = self.parts.iter();
        let line = || self.parts.iter().fold(Line::default(), |line, part| line.join(part.line));
        match function {
            Function::Avg => Some(line().value),
            Function::Min => parts.map(|p| p.least).reduce(f64::min),
            Function::Max => parts.map(|p| p.greatest).reduce(f64::max),
            Function::Rate => {
                let ((from, old), (to, new)) = (self.parts.front()?.first, self.parts.back()?.last);
                (to > from).then(|| ((new - old) / (to - from).as_secs_f64()).max(0.0))
            }
            Function::Forecast(ahead) => {
                let then = (now.max(self.last) + ahead) - began;
                line().at(then.as_secs_f64()).map(|value| value.max(0.0))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAP: Duration = Duration::from_secs(25);
    fn window(seconds: u64) -> Window {
        Window::new(MetricId(0), Duration::from_secs(seconds))
    }
    fn second(s: u64) -> Mono {
        Mono(s * 1_000_000_000)
    }

    #[test]
    fn unknown_until_covered_then_exact() {
        let mut w = window(30);
        for (s, v) in [(0, 1.0), (10, 2.0), (20, 3.0)] {
            w.push(v, second(s), GAP);
            assert_eq!(w.value(Function::Avg, w.last), None);
        }
        w.push(6.0, second(30), GAP);
        assert_eq!(w.value(Function::Avg, w.last), Some(3.0));
        w.push(7.0, second(40), GAP);
        assert_eq!(w.value(Function::Min, w.last), Some(2.0));
        assert_eq!(w.value(Function::Max, w.last), Some(7.0));
    }

    #[test]
    fn a_gap_begins_it_anew() {
        let mut w = window(30);
        (0..5).for_each(|i| w.push(1.0, second(i * 10), GAP));
        assert!(w.value(Function::Avg, w.last).is_some());
        w.push(1.0, second(100), GAP);
        assert_eq!(w.value(Function::Avg, w.last), None);
    }

    #[test]
    fn memory_is_bounded_however_frequent_the_samples() {
        let mut w = window(1000);
        (0..100_000).for_each(|i| w.push(i as f64, Mono(i * 100_000_000), GAP));
        assert!(w.parts.len() as u64 <= PARTS + 2, "{}", w.parts.len());
        let avg = w.value(Function::Avg, w.last).unwrap();
        assert!((94_900.0..=95_001.0).contains(&avg), "{avg}");
    }

    #[test]
    fn a_rate_is_the_change_over_the_window_and_never_negative() {
        let mut w = window(30);
        for (s, v) in [(0, 100.0), (10, 150.0), (20, 130.0)] {
            w.push(v, second(s), GAP);
            assert_eq!(w.value(Function::Rate, w.last), None, "not covered at {s} s");
        }
        w.push(190.0, second(30), GAP);
        assert_eq!(w.value(Function::Rate, w.last), Some(3.0));
        // From 150 at 10 s on: 50 more in 30 s, whatever was in between.
        w.push(200.0, second(40), GAP);
        assert_eq!(w.value(Function::Rate, w.last), Some(50.0 / 30.0));
        w.push(5.0, second(50), GAP);
        assert_eq!(w.value(Function::Rate, w.last), Some(0.0), "a counter has begun anew");
    }

    /// (values every 10 s, seconds ahead of the last, expected)
    #[test]
    fn a_forecast_is_where_the_line_reaches() {
        let table: [(&[f64], u64, f64); 5] = [
            (&[10.0, 20.0, 30.0, 40.0], 100, 140.0),
            (&[7.0, 7.0, 7.0, 7.0], 3600, 7.0),
            // The least squares of 1, 3, 2, 4 at times 0 to 3 are 1.3 + 0.8 t.
            (&[1.0, 3.0, 2.0, 4.0], 10, 4.5),
            (&[40.0, 30.0, 20.0, 10.0], 10, 0.0),
            (&[40.0, 30.0, 20.0, 10.0], 100, 0.0),
        ];
        for (values, ahead, expected) in table {
            let mut w = window(30);
            values.iter().zip(0..).for_each(|(v, i)| w.push(*v, second(i * 10), GAP));
            let got = w.value(Function::Forecast(Duration::from_secs(ahead)), w.last).unwrap();
            assert!((got - expected).abs() < 1e-9, "{values:?} in {ahead} s: {got}");
        }
    }

    #[test]
    fn a_forecast_counts_from_now_and_forgets_what_has_left_the_window() {
        let mut w = window(30);
        [500.0, 0.0, 0.0, 10.0, 20.0, 30.0].iter().zip(0..).for_each(|(v, i)| w.push(*v, second(i * 10), GAP));
        let ahead = Function::Forecast(Duration::from_secs(10));
        assert!((w.value(ahead, second(50)).unwrap() - 40.0).abs() < 1e-9);
        assert!((w.value(ahead, second(57)).unwrap() - 47.0).abs() < 1e-9);
    }

    #[test]
    fn large_numbers_long_ago_lose_nothing() {
        // A disk of 10 TB that grows by 1 byte a second, after a year: sums of squares would be off by far more.
        let mut w = window(6 * 3600);
        let year = 365 * 86_400;
        (0..=4000).for_each(|i| w.push(1e13 + (i * 10) as f64, second(year + i * 10), GAP));
        let got = w.value(Function::Forecast(Duration::from_secs(86_400)), w.last).unwrap();
        assert!((got - (1e13 + 40_000.0 + 86_400.0)).abs() < 1.0, "{got}");
        let rate = w.value(Function::Rate, w.last).unwrap();
        assert!((rate - 1.0).abs() < 1e-6, "{rate}");
    }
}
