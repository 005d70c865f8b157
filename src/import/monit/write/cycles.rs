//! Cycles as durations.

use super::super::syntax::Hold;
use crate::model::write_duration;
use std::time::Duration;

/// The longest duration of the language.
const LONGEST: u64 = 315_576_000;
/// The most samples that a hold counts.
const SAMPLES: u32 = 1000;

/// How long a cycle of a service is, in seconds.
#[derive(Debug, Clone, Copy)]
pub struct Cycle(pub u64);

impl Cycle {
    /// So many cycles.
    pub fn times(self, cycles: u32) -> Result<Duration, String> {
        let seconds = self.0.saturating_mul(u64::from(cycles));
        match seconds {
            0 => Err("this is no time at all".to_owned()),
            1..=LONGEST => Ok(Duration::from_secs(seconds)),
            _ => Err("this is longer than ten years".to_owned()),
        }
    }

    /// A hold in our words; none where the first sample counts.
    pub fn hold(self, hold: Hold) -> Result<Option<String>, String> {
        match hold {
            Hold::None | Hold::Cycles(1) | Hold::Times(1, 1) => Ok(None),
            Hold::Cycles(n) => self.times(n).map(|d| Some(write_duration(d))),
            Hold::Times(n, of) if n == of => self.times(n).map(|d| Some(write_duration(d))),
            Hold::Times(n, of) if n == 0 || n > of || of > SAMPLES => {
                Err(format!("{n} times within {of} cycles can never be reached"))
            }
            Hold::Times(n, of) => Ok(Some(format!("{n} of {of}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles_become_durations_and_counts_stay() {
        let cycle = Cycle(120);
        for (hold, text) in [
            (Hold::None, None),
            (Hold::Cycles(1), None),
            (Hold::Cycles(5), Some("10m")),
            (Hold::Times(3, 5), Some("3 of 5")),
            (Hold::Times(4, 4), Some("8m")),
        ] {
            assert_eq!(cycle.hold(hold), Ok(text.map(str::to_owned)));
        }
        for hold in
            [Hold::Cycles(0), Hold::Times(5, 3), Hold::Times(0, 3), Hold::Times(2, 2000), Hold::Cycles(u32::MAX)]
        {
            assert!(cycle.hold(hold).is_err(), "{hold:?}");
        }
    }
}
