//! The time by which old records are let go of.

use crate::model::{Now, Wall};
use std::time::Duration;

/// A clock that was set ahead by more than this is not believed at once. Less costs little; and a machine may sleep.
const JUMP: Duration = Duration::from_secs(2 * 86_400);
/// After this it is: whoever sets a clock wrong by days has noticed by then.
const BELIEVED_AFTER: Duration = Duration::from_secs(86_400);

/// Follows the clock for people, but not at once where it leaps: one that is set ahead by years, for a moment and by mistake,
/// must not cost all that was kept.
#[derive(Debug, Default)]
pub(super) struct Steady {
    /// When it was last believed.
    last: Option<Now>,
    /// Since when it is not.
    doubted: Option<crate::model::Mono>,
}

impl Steady {
    /// What time it is.
    pub fn wall(&mut self, now: Now) -> Wall {
        if let Some(last) = self.last {
            let expected = last.wall + (now.mono - last.mono);
            if now.wall > expected + JUMP && now.mono - *self.doubted.get_or_insert(now.mono) < BELIEVED_AFTER {
                return expected;
            }
        }
        (self.last, self.doubted) = (Some(now), None);
        now.wall
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Mono;

    const HOUR: i64 = 3_600_000;

    #[test]
    fn a_leap_is_believed_when_it_has_lasted() {
        let mut steady = Steady::default();
        let mut wall = |hours: u64, wall: i64| {
            let now = Now { mono: Mono(hours * 3_600_000_000_000), wall: Wall(wall * HOUR) };
            steady.wall(now).0 / HOUR
        };
        assert_eq!(wall(0, 1000), 1000);
        assert_eq!(wall(1, 1040), 1040, "it slept for a day and a half");
        let years = 90_000;
        assert_eq!(wall(2, years), 1041);
        assert_eq!(wall(3, years + 1), 1042);
        assert_eq!(wall(4, 1043), 1043, "it was a mistake");
        assert_eq!(wall(5, years), 1044);
        assert_eq!(wall(28, years + 23), 1067);
        assert_eq!(wall(29, years + 24), years + 24);
        assert_eq!(wall(30, 1069), 1069, "set back, it keeps the more");
    }
}
