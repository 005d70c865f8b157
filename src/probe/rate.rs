//! How fast something grows, between two looks, over our own clock.

use crate::model::Mono;
use std::time::Duration;

/// Over a shorter time, the coarse steps in which the kernel counts are all that would be seen.
const SHORTEST: Duration = Duration::from_millis(100);

/// A counter, and how fast it grew.
#[derive(Debug, Default)]
pub(super) struct Rate {
    last: Option<(Mono, u64)>,
    rate: Option<f64>,
}

impl Rate {
    /// Takes the counter's value, and gives its growth a second: nothing the first time, 0 if it went back, and the same as
    /// before if it was looked at just now.
    pub(super) fn take(&mut self, at: Mono, value: u64) -> Option<f64> {
        self.take_over(SHORTEST, at, value)
    }

    /// The same, where a shorter time than this is just now.
    pub(super) fn take_over(&mut self, shortest: Duration, at: Mono, value: u64) -> Option<f64> {
        match self.last {
            Some((then, _)) if at - then < shortest => {}
            Some((then, before)) => {
                self.rate = Some(value.saturating_sub(before) as f64 / (at - then).as_secs_f64());
                self.last = Some((at, value));
            }
            None => self.last = Some((at, value)),
        }
        self.rate
    }

    /// Whether the counter was higher before: it counts something else now.
    pub(super) fn is_back(&self, value: u64) -> bool {
        self.last.is_some_and(|(_, before)| value < before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_growth_over_time() {
        let at = |ms: u64| Mono(ms * 1_000_000);
        let mut rate = Rate::default();
        let table = [
            (1_000, 500, None),
            (1_050, 900, None),
            (2_000, 600, Some(100.0)),
            (2_050, 999, Some(100.0)),
            (4_000, 1_600, Some(500.0)),
            (5_000, 20, Some(0.0)),
            (6_000, 30, Some(10.0)),
        ];
        for (ms, value, expected) in table {
            assert_eq!(rate.take(at(ms), value), expected, "at {ms} ms");
        }
    }

    #[test]
    fn looks_in_between_are_bridged() {
        let at = |ms: u64| Mono(ms * 1_000_000);
        let mut rate = Rate::default();
        // Written to once a second, looked at then, and half a second later.
        let rates: Vec<_> = (0..6).map(|i| rate.take_over(Duration::from_secs(1), at(i * 500), i / 2 * 4000)).collect();
        assert_eq!(rates, [None, None, Some(4000.0), Some(4000.0), Some(4000.0), Some(4000.0)]);
    }
}
