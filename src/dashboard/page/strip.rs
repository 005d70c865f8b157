//! The recent history of checks as strips of bars, as the overview has them.

use super::words::Moment;
use crate::dashboard::{Bar, Front, Problem};
use crate::model::{CheckView, Name, Wall};
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

/// Bars in the strips of the overview: two minutes each.
const HOUR_BARS: usize = 30;
const HOUR: i64 = 3_600_000;
/// Checks whose strips are looked up for one page. More would make a page that nobody reads and a slow machine feels.
const MOST: usize = 400;
/// How long a strip is good for.
const FRESH: Duration = Duration::from_secs(10);
/// So many strips are remembered.
const REMEMBERED: usize = 20_000;

/// How high a strip is, in its own unit.
const HEIGHT: f64 = 20.0;
/// What was well all the time is so low: trouble is seen by its height, not by its colour alone.
const LOW: f64 = 9.0;
/// No share of trouble is drawn smaller than this.
const LEAST: f64 = 4.0;

/// A check of a service.
pub(super) type Of = (Name, Name);

/// The bars of checks, each with the time at which it was looked up; shared by all who look.
#[derive(Default)]
pub(in crate::dashboard) struct Cache(HashMap<Of, (Wall, Arc<[Bar]>)>);

/// A time in stretches of the same length, which begin at round times, so that bars stay what they are from look to look.
#[derive(Clone, Copy)]
pub(super) struct Stretch {
    pub from: Wall,
    pub to: Wall,
    pub buckets: usize,
}

impl Stretch {
    /// The last `span` milliseconds before `now`, and what is left of the stretch that has begun.
    pub fn last(span: i64, buckets: usize, now: Wall) -> Stretch {
        let step = span / buckets as i64;
        let to = (now.0.div_euclid(step) + 1).saturating_mul(step);
        Stretch { from: Wall(to.saturating_sub(span)), to: Wall(to), buckets }
    }
    fn step(&self) -> i64 {
        ((self.to.0 - self.from.0) / self.buckets as i64).max(1)
    }
}

/// Of a control no sample is well or bad by itself: what it says is told by its status, its values, and what happened.
pub(super) fn is_drawn(check: &CheckView) -> bool {
    check.kind != "control"
}

/// The last hour of these checks, or of the first of them if there are too many.
pub(super) async fn hours(front: &Front, now: Wall, wanted: Vec<Of>) -> Result<HashMap<Of, Arc<[Bar]>>, Problem> {
    // Held while the history is read, so that of many who look at the same time one reads.
    let Cache(cache) = &mut *front.strips.lock().await;
    let is_fresh = |at: Wall| now >= at && now - at < FRESH;
    let mut found = HashMap::with_capacity(wanted.len().min(MOST));
    let mut missing = Vec::new();
    for of in wanted.into_iter().take(MOST) {
        match cache.get(&of) {
            Some((at, bars)) if is_fresh(*at) => drop(found.insert(of, bars.clone())),
            _ => missing.push(of),
        }
    }
    if missing.is_empty() {
        return Ok(found);
    }
    let stretch = Stretch::last(HOUR, HOUR_BARS, now);
    let looked = front.look(move |history| {
        let bars = |of: Of| {
            let bars = history.bars(&of.0, &of.1, stretch.from, stretch.to, stretch.buckets)?;
            Ok((of, Arc::from(bars)))
        };
        missing.into_iter().map(bars).collect::<Result<Vec<(Of, Arc<[Bar]>)>, String>>()
    });
    let looked = looked.await?;
    if cache.len() + looked.len() > REMEMBERED {
        cache.clear();
    }
    for (of, bars) in looked {
        cache.insert(of.clone(), (now, bars.clone()));
        found.insert(of, bars);
    }
    Ok(found)
}

/// A strip as the template draws it: in a box 4 wide for each bar, and 20 high. All pieces of a kind are one path. A bar in which
/// something was bad stands tall, and that share of it hangs from the top; what is not known is hollow.
#[derive(Default)]
pub(super) struct Strip {
    pub width: usize,
    /// What it shows, for those who do not see it, and for those who point at it.
    pub label: String,
    pub ok: String,
    pub bad: String,
    pub unknown: String,
    pub none: String,
}

/// How high the bad, the unknown and the good part of a bar are.
fn parts(bar: &Bar) -> (f64, f64, f64) {
    let samples = f64::from(bar.samples.max(1));
    let high = if bar.bad > 0 { HEIGHT } else { LOW };
    let part = |count: u32, least: f64| match count {
        0 => 0.0,
        count => (high * f64::from(count) / samples).clamp(least, high),
    };
    let bad = part(bar.bad, LEAST);
    let unknown = part(bar.unknown, LEAST / 2.0).min(high - bad);
    (bad, unknown, high - bad - unknown)
}

impl Strip {
    /// Bars that are missing count as nothing known.
    pub fn hour(bars: &[Bar], moment: &Moment) -> Strip {
        Strip::new(bars, Stretch::last(HOUR, HOUR_BARS, moment.now), "last hour", moment)
    }

    pub fn new(bars: &[Bar], stretch: Stretch, what: &str, moment: &Moment) -> Strip {
        let step = stretch.step();
        let mut cells: Vec<Option<&Bar>> = vec![None; stretch.buckets];
        for bar in bars {
            let place = usize::try_from((bar.start.0 - stretch.from.0).div_euclid(step)).ok();
            if let Some(cell) = place.and_then(|i| cells.get_mut(i)) {
                *cell = Some(bar);
            }
        }
        let mut strip = Strip { width: cells.len() * 4, ..Strip::default() };
        for (i, cell) in cells.iter().enumerate() {
            let x = i * 4;
            let Some(bar) = cell.filter(|bar| bar.samples > 0) else {
                let _ = write!(strip.none, "M{x} 18v2h3v-2z");
                continue;
            };
            let (bad, unknown, ok) = parts(bar);
            let mut top = HEIGHT - bad - unknown - ok;
            for (path, height) in [(&mut strip.bad, bad), (&mut strip.unknown, unknown), (&mut strip.ok, ok)] {
                if height > 0.05 {
                    let (from, height) = (short(top), short(height));
                    let _ = write!(path, "M{x} {from}v{height}h3v-{height}z");
                }
                top += height;
            }
        }
        strip.label = format!("{what}: {}", words(&cells, stretch, moment));
        strip
    }
}

/// To a tenth, and no more digits than that takes.
fn short(length: f64) -> String {
    let text = format!("{length:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

/// Times of trouble that are named; of more, the latest.
const NAMED: usize = 3;

/// When there was trouble, and how much of it: `bad in 7 of 300 answers, 11:52–11:56 and 12:00–12:02`.
fn words(cells: &[Option<&Bar>], stretch: Stretch, moment: &Moment) -> String {
    let known = || cells.iter().flatten();
    let sum = |f: fn(&Bar) -> u32| known().map(|bar| u64::from(f(bar))).sum::<u64>();
    let (samples, bad, unknown) = (sum(|b| b.samples), sum(|b| b.bad), sum(|b| b.unknown));
    let answers = |n: u64| if n == 1 { "answer" } else { "answers" };
    if samples == 0 {
        return "nothing recorded".to_owned();
    }
    if bad == 0 {
        return match unknown {
            0 => "no trouble".to_owned(),
            _ if unknown == samples => "could not be asked".to_owned(),
            _ => format!("no trouble known, {unknown} of {samples} {} missing", answers(samples)),
        };
    }
    let at = |i: usize| moment.minute(&Wall(stretch.from.0 + stretch.step() * i as i64));
    let mut times: Vec<(usize, usize)> = Vec::new();
    for (i, _) in cells.iter().enumerate().filter(|(_, cell)| cell.is_some_and(|bar| bar.bad > 0)) {
        match times.last_mut() {
            Some((_, end)) if *end == i => *end = i + 1,
            _ => times.push((i, i + 1)),
        }
    }
    let latest = &times[times.len().saturating_sub(NAMED)..];
    let named: Vec<String> = latest.iter().map(|(from, to)| format!("{}–{}", at(*from), at(*to))).collect();
    let lead = if latest.len() < times.len() { "the latest " } else { "" };
    format!("bad in {bad} of {samples} {}, {lead}{}", answers(samples), named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;

    fn bar(start: i64, samples: u32, bad: u32, unknown: u32) -> Bar {
        Bar { start: Wall(start), samples, bad, unknown }
    }

    fn strip(bars: &[Bar]) -> Strip {
        let moment = Moment { now: Wall(HOUR - 1), zone: TimeZone::UTC };
        let stretch = Stretch::last(HOUR, 4, moment.now);
        assert_eq!((stretch.from, stretch.to), (Wall(0), Wall(HOUR)));
        Strip::new(bars, stretch, "last hour", &moment)
    }

    #[test]
    fn bars_find_their_place_and_what_is_missing_is_shown_as_missing() {
        let bars = [
            bar(0, 9, 0, 0),
            bar(900_000, 9, 9, 0),
            bar(2_700_000, 3, 0, 3),
            bar(9_900_000, 1, 1, 0),
            bar(-5, 1, 1, 0),
        ];
        let strip = strip(&bars);
        assert_eq!((strip.ok.as_str(), strip.bad.as_str()), ("M0 11v9h3v-9z", "M4 0v20h3v-20z"));
        assert_eq!((strip.none.as_str(), strip.unknown.as_str()), ("M8 18v2h3v-2z", "M12 11v9h3v-9z"));
        assert_eq!(strip.label, "last hour: bad in 9 of 21 answers, 00:15–00:30");
    }

    #[test]
    fn a_bar_shows_the_share_that_was_bad() {
        assert_eq!(parts(&bar(0, 10, 5, 0)), (10.0, 0.0, 10.0));
        assert_eq!(parts(&bar(0, 10, 5, 5)), (10.0, 10.0, 0.0));
        assert_eq!(parts(&bar(0, 1000, 1, 0)), (LEAST, 0.0, HEIGHT - LEAST), "a little is seen, too");
        assert_eq!(parts(&bar(0, 0, 3, 9)).0, HEIGHT, "nonsense stays within the box");
        assert_eq!(strip(&[bar(0, 4, 1, 0)]).bad, "M0 0v5h3v-5z");
        assert_eq!(strip(&[bar(0, 4, 1, 0)]).ok, "M0 5v15h3v-15z");
    }

    #[test]
    fn the_times_of_trouble_are_named() {
        let all = |bad: [u32; 4]| {
            strip(
                &bad.map(|bad| bad)
                    .iter()
                    .enumerate()
                    .map(|(i, bad)| bar(i as i64 * 900_000, 5, *bad, 0))
                    .collect::<Vec<_>>(),
            )
            .label
        };
        assert_eq!(all([0, 0, 0, 0]), "last hour: no trouble");
        assert_eq!(all([1, 0, 2, 1]), "last hour: bad in 4 of 20 answers, 00:00–00:15, 00:30–01:00");
        assert_eq!(strip(&[]).label, "last hour: nothing recorded");
        assert_eq!(strip(&[bar(0, 5, 0, 5)]).label, "last hour: could not be asked");
        assert_eq!(strip(&[bar(0, 5, 0, 1)]).label, "last hour: no trouble known, 1 of 5 answers missing");
    }
}
