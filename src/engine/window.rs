//! The samples of a window, for `avg`, `min` and `max`, in bounded memory.
//!
//! A window is cut into at most [`PARTS`] parts, each of which keeps the sum, number, least and greatest of its samples. Where
//! samples are rarer than parts, every sample has a part of its own and the result is exact; where they are more frequent, a
//! part leaves the window as a whole: the window is then longer by up to a hundredth.

use crate::model::{Function, MetricId, Mono};
use std::collections::VecDeque;
use std::time::Duration;

const PARTS: u64 = 100;

#[derive(Debug, Clone, Copy, PartialEq)]
struct Part {
    number: u64,
    last: Mono,
    sum: f64,
    count: u32,
    least: f64,
    greatest: f64,
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
        self.began.get_or_insert(at);
        self.last = at;
        let width = (u64::try_from(self.span.as_nanos()).unwrap_or(u64::MAX) / PARTS).max(1);
        let number = at.0 / width;
        match self.parts.back_mut() {
            Some(part) if part.number == number => {
                part.last = at;
                part.sum += value;
                part.count += 1;
                part.least = part.least.min(value);
                part.greatest = part.greatest.max(value);
            }
            _ => {
                let part = Part { number, last: at, sum: value, count: 1, least: value, greatest: value };
                self.parts.push_back(part);
            }
        }
        while self.parts.front().is_some_and(|part| at - part.last > self.span) {
            self.parts.pop_front();
        }
    }

    /// The function's value; nothing until the samples cover the window.
    pub fn value(&self, function: Function) -> Option<f64> {
        if self.last - self.began? < self.span {
            return None;
        }
        let parts = self.parts.iter();
        match function {
            Function::Avg => {
                let (sum, count) = parts.fold((0.0, 0.0), |(s, c), p| (s + p.sum, c + f64::from(p.count)));
                (count > 0.0).then(|| sum / count)
            }
            Function::Min => parts.map(|p| p.least).reduce(f64::min),
            Function::Max => parts.map(|p| p.greatest).reduce(f64::max),
            Function::Rate | Function::Forecast(_) => None,
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
            assert_eq!(w.value(Function::Avg), None);
        }
        w.push(6.0, second(30), GAP);
        assert_eq!(w.value(Function::Avg), Some(3.0));
        w.push(7.0, second(40), GAP);
        assert_eq!(w.value(Function::Min), Some(2.0));
        assert_eq!(w.value(Function::Max), Some(7.0));
    }

    #[test]
    fn a_gap_begins_it_anew() {
        let mut w = window(30);
        (0..5).for_each(|i| w.push(1.0, second(i * 10), GAP));
        assert!(w.value(Function::Avg).is_some());
        w.push(1.0, second(100), GAP);
        assert_eq!(w.value(Function::Avg), None);
    }

    #[test]
    fn memory_is_bounded_however_frequent_the_samples() {
        let mut w = window(1000);
        (0..100_000).for_each(|i| w.push(i as f64, Mono(i * 100_000_000), GAP));
        assert!(w.parts.len() as u64 <= PARTS + 2, "{}", w.parts.len());
        let avg = w.value(Function::Avg).unwrap();
        assert!((94_900.0..=95_001.0).contains(&avg), "{avg}");
    }
}
