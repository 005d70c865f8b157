//! The recent history of a check as a strip of bars.

use super::words::Moment;
use crate::dashboard::{Bar, Front, Problem};
use crate::model::{CheckView, Name, Snapshot, Wall};
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

/// Bars in the strips of the overview: two minutes each.
const HOUR_BARS: usize = 30;
const HOUR: i64 = 3_600_000;
/// Checks that have a strip on the overview. More would make a page that nobody reads and a slow machine feels.
pub(super) const MAX_STRIPS: usize = 400;
/// How long the strips of the overview are good for.
const FRESH: Duration = Duration::from_secs(10);

/// The strips of the overview, shared by all who look.
#[derive(Default)]
pub(in crate::dashboard) struct Cache {
    at: Wall,
    strips: Option<Arc<Strips>>,
}

/// Bars by service and check.
pub(super) type Strips = HashMap<(Name, Name), Vec<Bar>>;

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

/// The last hour of the worst services' checks.
pub(super) async fn overview(front: &Front, snapshot: &Snapshot) -> Result<Arc<Strips>, Problem> {
    // Held while the history is read, so that of many who look at the same time one reads.
    let mut cache = front.strips.lock().await;
    if let Some(strips) = &cache.strips
        && snapshot.at >= cache.at
        && snapshot.at - cache.at < FRESH
    {
        return Ok(strips.clone());
    }
    let stretch = Stretch::last(HOUR, HOUR_BARS, snapshot.at);
    let services = snapshot.worst_first();
    let all = services.iter().flat_map(|s| s.checks.iter().map(move |c| (*s, c)));
    let drawn = all.filter(|(_, check)| is_drawn(check)).map(|(s, c)| (s.name.clone(), c.name.clone()));
    let wanted: Vec<(Name, Name)> = drawn.take(MAX_STRIPS).collect();
    let strips = front.look(move |history| {
        let bars = |(service, check): (Name, Name)| {
            let bars = history.bars(&service, &check, stretch.from, stretch.to, stretch.buckets)?;
            Ok(((service, check), bars))
        };
        wanted.into_iter().map(bars).collect::<Result<Strips, String>>()
    });
    let strips = Arc::new(strips.await?);
    *cache = Cache { at: snapshot.at, strips: Some(strips.clone()) };
    Ok(strips)
}

/// How a stretch of time was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    None,
    Ok,
    Unknown,
    Bad,
}

impl Look {
    fn of(bar: Option<&Bar>) -> Look {
        match bar {
            Some(bar) if bar.bad > 0 => Look::Bad,
            Some(bar) if bar.samples > bar.unknown => Look::Ok,
            Some(bar) if bar.samples > 0 => Look::Unknown,
            _ => Look::None,
        }
    }
}

/// A strip as the template draws it: in a box 4 wide for each bar, and 20 high. Trouble stands tall, so that it is seen
/// without its colour; what is not known is hollow.
pub(super) struct Strip {
    pub width: usize,
    /// What it shows, for those who do not see it.
    pub label: String,
    /// Each bar, for strips whose bars can be pointed at.
    pub bars: Vec<OneBar>,
    /// All bars of a kind as one path, for small strips.
    pub ok: String,
    pub bad: String,
    pub unknown: String,
    pub none: String,
}

/// A bar.
pub(super) struct OneBar {
    pub x: usize,
    pub class: &'static str,
    pub top: u8,
    pub height: u8,
    pub title: String,
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
        let (mut ok, mut bad, mut unknown, mut none) = (String::new(), String::new(), String::new(), String::new());
        let mut each = Vec::with_capacity(cells.len());
        let (mut troubled, mut latest) = (0, None);
        for (i, cell) in cells.iter().enumerate() {
            let start = Wall(stretch.from.0 + step * i as i64);
            let (paths, class, top, height) = match Look::of(*cell) {
                Look::Ok => (&mut ok, "ok", 10, 10),
                Look::Bad => (&mut bad, "bad", 0, 20),
                Look::Unknown => (&mut unknown, "unknown", 10, 10),
                Look::None => (&mut none, "none", 18, 2),
            };
            let x = i * 4;
            let _ = write!(paths, "M{x} {top}v{height}h3v-{height}z");
            if class == "bad" {
                troubled += 1;
                latest = Some(start);
            }
            let span = format!("{}–{}", moment.minute(&start), moment.minute(&Wall(start.0 + step)));
            let answers = |n: u32| if n == 1 { "answer" } else { "answers" };
            let title = match cell {
                Some(b) if b.bad > 0 => format!("{span}: trouble in {} of {} {}", b.bad, b.samples, answers(b.samples)),
                Some(b) if b.samples > b.unknown => format!("{span}: well, {} {}", b.samples, answers(b.samples)),
                Some(b) if b.samples > 0 => format!("{span}: could not be asked"),
                _ => format!("{span}: not asked"),
            };
            each.push(OneBar { x, class, top, height, title });
        }
        let label = match latest {
            Some(latest) => {
                format!(
                    "{what}: trouble in {troubled} of {} parts, the latest at {}",
                    cells.len(),
                    moment.minute(&latest)
                )
            }
            None if ok.is_empty() => format!("{what}: nothing recorded"),
            None => format!("{what}: no trouble"),
        };
        Strip { width: cells.len() * 4, label, bars: each, ok, bad, unknown, none }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;

    #[test]
    fn bars_find_their_place_and_what_is_missing_is_shown_as_missing() {
        let moment = Moment { now: Wall(3_600_000 - 1), zone: TimeZone::UTC };
        let stretch = Stretch::last(3_600_000, 4, moment.now);
        assert_eq!((stretch.from, stretch.to), (Wall(0), Wall(3_600_000)));
        let bar = |start, samples, bad, unknown| Bar { start: Wall(start), samples, bad, unknown };
        let bars = [
            bar(0, 9, 0, 8),
            bar(900_000, 9, 1, 0),
            bar(2_700_000, 3, 0, 3),
            bar(9_900_000, 1, 1, 0),
            bar(-5, 1, 1, 0),
        ];
        let strip = Strip::new(&bars, stretch, "last hour", &moment);
        let classes: Vec<&str> = strip.bars.iter().map(|b| b.class).collect();
        assert_eq!(classes, ["ok", "bad", "none", "unknown"]);
        assert_eq!(strip.label, "last hour: trouble in 1 of 4 parts, the latest at 00:15");
        assert_eq!(strip.bars[1].title, "00:15–00:30: trouble in 1 of 9 answers");
        assert_eq!((strip.ok.as_str(), strip.bad.as_str()), ("M0 10v10h3v-10z", "M4 0v20h3v-20z"));
    }
}
