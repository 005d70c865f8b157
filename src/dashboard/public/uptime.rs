//! Uptime: which part of the known time a service did its work.
//!
//! - **Down** is the time of an incident in which a critical rule fired. The rest of its time, and that of an incident in which
//!   only warnings did, is **degraded**: it is shown, and counts as up. Planned maintenance counts as what it was.
//! - **Unknown** is the time in which minder did not run, the service was paused or stopped on purpose, or was not watched yet.
//!   What went on then, an incident among it, counts as neither up nor down.
//! - **Uptime** is the known time that was not down, divided by the known time.

/// From a moment until before another, in milliseconds since 1970.
pub(super) type Span = (i64, i64);

/// Some time, in stretches that are in order and do not touch.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Time(Vec<Span>);

impl Time {
    /// All of these together.
    pub fn of(mut spans: Vec<Span>) -> Time {
        spans.retain(|(from, to)| from < to);
        spans.sort_unstable();
        let mut joined: Vec<Span> = Vec::with_capacity(spans.len());
        for (from, to) in spans {
            match joined.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                _ => joined.push((from, to)),
            }
        }
        Time(joined)
    }

    /// What of it is not in the other.
    pub fn without(&self, other: &Time) -> Time {
        let mut rest = Vec::new();
        let mut cuts = other.0.iter().peekable();
        for &(mut from, to) in &self.0 {
            while let Some(&&(cut, end)) = cuts.peek() {
                if end <= from {
                    cuts.next();
                    continue;
                }
                if cut >= to {
                    break;
                }
                if from < cut {
                    rest.push((from, cut));
                }
                from = end;
                if end > to {
                    break;
                }
            }
            if from < to {
                rest.push((from, to));
            }
        }
        Time(rest)
    }

    /// How much of it is within these bounds, in milliseconds.
    pub fn within(&self, (from, to): Span) -> i64 {
        let first = self.0.partition_point(|(_, end)| *end <= from);
        let spans = self.0.iter().skip(first).take_while(|(begin, _)| *begin < to);
        spans.map(|(begin, end)| (*end).min(to) - (*begin).max(from)).sum()
    }
}

/// How a service was over time.
#[derive(Debug, Clone, Default)]
pub(super) struct Timeline {
    down: Time,
    degraded: Time,
    unknown: Time,
}

/// How it was within some time, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share {
    /// So long is known.
    pub known: i64,
    /// So much of that it was down.
    pub down: i64,
    /// So much of the rest something was wrong.
    pub degraded: i64,
}

impl Timeline {
    /// Of when it was down, of when anything was wrong, and of when that cannot be said: what is so as well is unknown.
    pub fn new(down: Vec<Span>, wrong: Vec<Span>, unknown: Vec<Span>) -> Timeline {
        let unknown = Time::of(unknown);
        let down = Time::of(down).without(&unknown);
        Timeline { degraded: Time::of(wrong).without(&unknown).without(&down), down, unknown }
    }

    pub fn share(&self, span: Span) -> Share {
        let all = (span.1 - span.0).max(0);
        Share {
            known: all - self.unknown.within(span),
            down: self.down.within(span),
            degraded: self.degraded.within(span),
        }
    }
}

impl Share {
    /// The uptime in percent; nothing if nothing is known.
    pub fn percent(self) -> Option<f64> {
        (self.known > 0).then(|| (self.known - self.down) as f64 / self.known as f64 * 100.0)
    }

    /// The same in words: `99.98 %`. Rounded down, so that what was not always up is never said to have been.
    pub fn words(self) -> String {
        match self.percent() {
            None => "no data".to_owned(),
            Some(_) if self.down == 0 => "100 %".to_owned(),
            Some(percent) => format!("{:.2} %", (percent * 100.0).floor() / 100.0),
        }
    }
}

/// When somebody had it at rest, of the moments at which that began and ended, in order; `now` it is so or not. What is not
/// recorded any more is told by what came after it.
pub(super) fn rests(turns: &[(i64, bool)], now: bool, (from, to): Span) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut since = match turns.first() {
        Some((_, rests)) => (!rests).then_some(from),
        None => now.then_some(from),
    };
    for (at, rests) in turns {
        match (since, rests) {
            (None, true) => since = Some(*at),
            (Some(begin), false) => {
                spans.push((begin, *at));
                since = None;
            }
            _ => {}
        }
    }
    // If the last turn and the present do not agree, the present is sure of itself alone.
    spans.extend(since.filter(|_| now).map(|begin| (begin, to)));
    spans
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn uptime_in_words_is_never_rounded_up() {
        for (known, down, words) in [
            (0, 0, "no data"),
            (86_400_000, 0, "100 %"),
            (7_776_000_000, 1, "99.99 %"),
            (86_400_000, 86_400_000, "0.00 %"),
            (1000, 333, "66.70 %"),
        ] {
            assert_eq!(Share { known, down, degraded: 0 }.words(), words);
        }
    }

    #[test]
    fn rests_are_told_by_their_ends_where_their_begins_are_forgotten() {
        assert_eq!(rests(&[], false, (0, 100)), []);
        assert_eq!(rests(&[], true, (0, 100)), [(0, 100)]);
        assert_eq!(rests(&[(30, false)], false, (0, 100)), [(0, 30)]);
        assert_eq!(rests(&[(10, true), (20, true), (30, false), (60, true)], true, (0, 100)), [(10, 30), (60, 100)]);
    }

    proptest! {
        /// The same, minute by minute.
        #[test]
        fn shares_are_what_counting_gives(
            down in prop::collection::vec((0i64..300, 0i64..60), 0..12),
            wrong in prop::collection::vec((0i64..300, 0i64..60), 0..12),
            unknown in prop::collection::vec((0i64..300, 0i64..60), 0..12),
            from in 0i64..300, length in 0i64..200,
        ) {
            let ends = |spans: &[(i64, i64)]| -> Vec<Span> { spans.iter().map(|(at, len)| (*at, at + len)).collect() };
            let (down, wrong, unknown) = (ends(&down), ends(&wrong), ends(&unknown));
            let inside = |spans: &[Span], minute: i64| spans.iter().any(|(a, b)| (*a..*b).contains(&minute));
            let mut expected = Share { known: 0, down: 0, degraded: 0 };
            for minute in from..from + length {
                if !inside(&unknown, minute) {
                    expected.known += 1;
                    let is_down = inside(&down, minute);
                    expected.down += i64::from(is_down);
                    expected.degraded += i64::from(!is_down && inside(&wrong, minute));
                }
            }
            prop_assert_eq!(Timeline::new(down, wrong, unknown).share((from, from + length)), expected);
        }
    }
}
