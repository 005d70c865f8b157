//! Processor time of processes between two looks.

use super::proc::{self, Stat};
use std::collections::HashMap;
use std::time::Duration;

/// What each process had used, with when it was started, in clock ticks.
pub type Used = HashMap<u32, (u64, u64)>;

/// What each of these has used so far.
pub fn used(all: &[Stat]) -> Used {
    all.iter().map(|stat| (stat.pid, (stat.start, stat.utime.saturating_add(stat.stime)))).collect()
}

/// What a process has used since then, `passed` ago, in percent of one core. What was started since has used all that it has
/// in this time.
pub fn percent_of_core(stat: &Stat, before: &Used, passed: Duration) -> f64 {
    let now = stat.utime.saturating_add(stat.stime);
    let then = before.get(&stat.pid).filter(|(start, _)| *start == stat.start).map_or(0, |(_, ticks)| *ticks);
    let seconds = now.saturating_sub(then) as f64 / proc::ticks_per_second() as f64;
    seconds / passed.as_secs_f64().max(0.001) * 100.0
}
