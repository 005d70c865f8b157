//! The strip of a check's bars: each a part of the time, with the share of it that was bad.

use crate::dashboard::Bar;
use crate::dashboard::page::span::{Cut, Span};
use crate::dashboard::page::words::Moment;
use crate::model::{Incident, Wall};
use std::fmt::Write;

/// How high a strip is, in its own unit.
const HEIGHT: f64 = 20.0;
/// What was well all the time is so low: trouble is seen by its height, not by its colour alone.
const LOW: f64 = 10.0;
/// No share of trouble is drawn smaller than this.
const LEAST: f64 = 2.5;

/// A strip as the template draws it: in a box 4 wide for each bar, and [`HEIGHT`] high.
pub struct Strip {
    pub width: usize,
    /// What it shows, in a line.
    pub label: String,
    pub bars: Vec<OneBar>,
    pub uptime: Option<Uptime>,
}

/// A bar: pieces on top of each other.
pub struct OneBar {
    pub x: usize,
    pub pieces: Vec<Piece>,
    /// When, and how it was.
    pub title: String,
}

/// A piece of a bar, from the upper edge.
#[derive(Debug, PartialEq)]
pub struct Piece {
    pub class: &'static str,
    pub top: f64,
    pub height: f64,
}

/// How much of the known time was well.
#[derive(Debug, PartialEq)]
pub struct Uptime {
    /// `99.96 %`
    pub words: String,
    /// How it is computed.
    pub why: String,
}

impl Uptime {
    /// Of answers that came at equal distances: so many, of which these were bad, and of these it could not be said.
    pub fn of(samples: u64, bad: u64, unknown: u64) -> Option<Uptime> {
        let known = samples.saturating_sub(unknown);
        if known == 0 {
            return None;
        }
        let mut why = format!("{bad} of {known} answers {} bad", if bad == 1 { "was" } else { "were" });
        if unknown > 0 {
            let _ = write!(why, "; {unknown} more could not be said and are not counted");
        }
        Some(Uptime { words: percent(known - bad.min(known), known), why })
    }
}

/// The share in percent, never rounded up: what is not whole is not shown as whole.
fn percent(part: u64, of: u64) -> String {
    let hundredths = u128::from(part) * 10_000 / u128::from(of.max(1));
    match (hundredths, part) {
        (10_000, _) => "100 %".to_owned(),
        (0, 1..) => "below 0.01 %".to_owned(),
        (0, 0) => "0 %".to_owned(),
        _ => format!("{}.{:02} %", hundredths / 100, hundredths % 100),
    }
}

fn answers(count: u32) -> String {
    format!("{count} {}", if count == 1 { "answer" } else { "answers" })
}

/// How a part of the time was.
fn words(bar: Option<&Bar>) -> String {
    let Some(bar) = bar.filter(|bar| bar.samples > 0) else { return "nothing recorded".to_owned() };
    let known = bar.samples.saturating_sub(bar.unknown);
    let mut words = match (bar.bad, known) {
        (_, 0) => return format!("could not be said, {}", answers(bar.samples)),
        (0, _) => format!("well, {}", answers(known)),
        (bad, _) if bad >= known => format!("bad all the time, {}", answers(known)),
        (bad, _) => {
            format!("bad {} of the time: {bad} of {}", percent(u64::from(bad), u64::from(known)), answers(known))
        }
    };
    if bar.unknown > 0 {
        let _ = write!(words, ", {} more could not be said", bar.unknown);
    }
    words
}

fn pieces(bar: Option<&Bar>) -> Vec<Piece> {
    let Some(bar) = bar.filter(|bar| bar.samples > 0) else {
        return vec![Piece { class: "none", top: HEIGHT - 2.0, height: 2.0 }];
    };
    let all = f64::from(bar.samples);
    let share = |count: u32, high: f64| if count == 0 { 0.0 } else { (f64::from(count) / all * high).max(LEAST) };
    let high = if bar.bad > 0 { HEIGHT } else { LOW };
    let bad = share(bar.bad, high).min(high);
    let unknown = share(bar.unknown, high).min(high - bad);
    let mut top = HEIGHT - high;
    let mut pieces = Vec::new();
    for (class, height) in [("bad", bad), ("unknown", unknown), ("ok", high - bad - unknown)] {
        if height > 0.05 {
            let tenths = |value: f64| (value * 10.0).round() / 10.0;
            pieces.push(Piece { class, top: tenths(top), height: tenths(height) });
            top += height;
        }
    }
    pieces
}

/// The incidents in a part of the time, in words.
fn in_it(incidents: &[Incident], from: Wall, to: Wall) -> String {
    let open = |incident: &&Incident| incident.opened < to && incident.closed.is_none_or(|closed| closed >= from);
    let all: Vec<&Incident> = incidents.iter().filter(open).collect();
    let mut words = String::new();
    for incident in all.iter().take(3) {
        let _ = write!(words, "; incident {}: {}", incident.id, incident.title);
    }
    if all.len() > 3 {
        let _ = write!(words, "; and {} more incidents", all.len() - 3);
    }
    words
}

impl Strip {
    /// Bars that are missing count as nothing known.
    pub fn new(bars: &[Bar], cut: Cut, span: Span, incidents: &[Incident], moment: &Moment) -> Strip {
        let step = cut.step();
        let mut cells: Vec<Option<&Bar>> = vec![None; cut.parts];
        for bar in bars {
            if let Some(cell) = cut.place(bar.start).and_then(|i| cells.get_mut(i)) {
                *cell = Some(bar);
            }
        }
        let each = |(i, cell): (usize, &Option<&Bar>)| {
            let start = cut.start(i);
            // Of what is well, or was not looked at, no incident of another check is told.
            let is_bad = cell.is_some_and(|bar| bar.bad > 0 || bar.unknown > 0);
            let told = if is_bad { in_it(incidents, start, Wall(start.0 + step)) } else { String::new() };
            let title = format!("{}: {}{told}", span.part(start, step, moment), words(*cell));
            OneBar { x: i * 4, pieces: pieces(*cell), title }
        };
        let sum = |f: fn(&Bar) -> u32| cells.iter().flatten().map(|bar| u64::from(f(bar))).sum::<u64>();
        let uptime = Uptime::of(sum(|b| b.samples), sum(|b| b.bad), sum(|b| b.unknown));
        let troubled = cells.iter().flatten().filter(|bar| bar.bad > 0).count();
        let how = match (&uptime, troubled) {
            (None, _) => "nothing recorded".to_owned(),
            (Some(_), 0) => "no trouble".to_owned(),
            (Some(uptime), n) => {
                format!("trouble in {n} of {} parts, {} of the known time well", cells.len(), uptime.words)
            }
        };
        let bars = cells.iter().enumerate().map(each).collect();
        let label = format!("{}: {how}", span.words());
        Strip { width: cells.len() * 4, label, bars, uptime }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;

    fn bar(start: i64, samples: u32, bad: u32, unknown: u32) -> Bar {
        Bar { start: Wall(start), samples, bad, unknown }
    }

    #[test]
    fn bars_are_drawn_and_told_by_their_share_of_trouble() {
        let piece = |class, top, height| Piece { class, top, height };
        for (given, drawn, told) in [
            (None, vec![piece("none", 18.0, 2.0)], "nothing recorded"),
            (Some(bar(0, 0, 0, 0)), vec![piece("none", 18.0, 2.0)], "nothing recorded"),
            (Some(bar(0, 12, 0, 0)), vec![piece("ok", 10.0, 10.0)], "well, 12 answers"),
            (Some(bar(0, 1, 0, 1)), vec![piece("unknown", 10.0, 10.0)], "could not be said, 1 answer"),
            (Some(bar(0, 12, 12, 0)), vec![piece("bad", 0.0, 20.0)], "bad all the time, 12 answers"),
            (
                Some(bar(0, 12, 3, 0)),
                vec![piece("bad", 0.0, 5.0), piece("ok", 5.0, 15.0)],
                "bad 25.00 % of the time: 3 of 12 answers",
            ),
            (
                Some(bar(0, 8640, 1, 0)),
                vec![piece("bad", 0.0, 2.5), piece("ok", 2.5, 17.5)],
                "bad 0.01 % of the time: 1 of 8640 answers",
            ),
            (
                Some(bar(0, 10, 4, 5)),
                vec![piece("bad", 0.0, 8.0), piece("unknown", 8.0, 10.0), piece("ok", 18.0, 2.0)],
                "bad 80.00 % of the time: 4 of 5 answers, 5 more could not be said",
            ),
            (
                Some(bar(0, 8, 0, 4)),
                vec![piece("unknown", 10.0, 5.0), piece("ok", 15.0, 5.0)],
                "well, 4 answers, 4 more could not be said",
            ),
        ] {
            assert_eq!(pieces(given.as_ref()), drawn, "{given:?}");
            assert_eq!(words(given.as_ref()), told, "{given:?}");
        }
    }

    #[test]
    fn uptime_is_never_rounded_up() {
        for (samples, bad, unknown, words) in [
            (0, 0, 0, None),
            (5, 0, 5, None),
            (10, 0, 0, Some("100 %")),
            (1_000_000, 1, 0, Some("99.99 %")),
            (8640, 3, 0, Some("99.96 %")),
            (10, 4, 2, Some("50.00 %")),
            (10, 10, 0, Some("0 %")),
            (1_000_000, 999_999, 0, Some("below 0.01 %")),
        ] {
            let uptime = Uptime::of(samples, bad, unknown);
            assert_eq!(uptime.as_ref().map(|u| u.words.as_str()), words, "{samples} {bad} {unknown}");
        }
        assert_eq!(
            Uptime::of(10, 1, 2).unwrap().why,
            "1 of 8 answers was bad; 2 more could not be said and are not counted"
        );
    }

    #[test]
    fn bars_find_their_place_and_tell_of_the_incidents_in_them() {
        let moment = Moment { now: Wall(3_600_000 - 1), zone: TimeZone::UTC };
        let cut = Cut::last(900_000, 4, &moment);
        let bars = [bar(900_000, 9, 1, 0), bar(2_700_000, 3, 0, 3), bar(9_900_000, 1, 1, 0), bar(-5, 1, 1, 0)];
        let incident = |id, opened, closed| Incident {
            id,
            service: "web".into(),
            opened: Wall(opened),
            closed: Some(Wall(closed)),
            severity: crate::model::Severity::Critical,
            title: "died".into(),
            rules: Default::default(),
            told: Default::default(),
            ack: None,
            escalated: 0,
        };
        let incidents = [incident(7, 800_000, 1_000_000), incident(8, 1_900_000, 1_900_001)];
        let strip = Strip::new(&bars, cut, Span::Hour, &incidents, &moment);
        let titles: Vec<&str> = strip.bars.iter().map(|b| b.title.as_str()).collect();
        assert_eq!(
            titles,
            [
                "00:00–00:15: nothing recorded",
                "00:15–00:30: bad 11.11 % of the time: 1 of 9 answers; incident 7: died",
                "00:30–00:45: nothing recorded",
                "00:45–01:00: could not be said, 3 answers",
            ]
        );
        assert_eq!(strip.label, "last hour: trouble in 1 of 4 parts, 88.88 % of the known time well");
        assert_eq!(strip.width, 16);
    }
}
