//! Round values and round times.

use crate::dashboard::page::span::{Cut, Span};
use crate::dashboard::page::words::{Moment, number};
use crate::model::Wall;
use jiff::{ToSpan, Zoned};

/// So many lines across a chart, about.
const LINES: f64 = 4.0;
/// Steps of durations, in seconds.
const TIMES: [f64; 19] = [
    1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 14_400.0, 21_600.0,
    43_200.0, 86_400.0, 172_800.0,
];

/// The values of a chart, from its lower to its upper edge.
#[derive(Debug, Clone, PartialEq)]
pub struct Scale {
    pub bottom: f64,
    pub top: f64,
    /// The round values at which lines are drawn, the least first.
    pub ticks: Vec<f64>,
    unit: String,
}

impl Scale {
    /// One that has room for all of these values, and for zero.
    pub fn new(values: impl Iterator<Item = f64>, unit: &str) -> Scale {
        let finite = values.filter(|value| value.is_finite());
        let (mut least, mut most) = finite.fold((0.0f64, 0.0f64), |(a, b), value| (a.min(value), b.max(value)));
        let unit = unit.to_owned();
        if unit == "flag" {
            return Scale { bottom: 0.0, top: 1.0, ticks: vec![0.0, 1.0], unit };
        }
        if unit == "percent" && least >= 0.0 && (50.0..=100.0).contains(&most) {
            most = 100.0;
        }
        if most - least <= 0.0 {
            (least, most) = (0.0, 1.0);
        }
        let step = round_step((most - least) / LINES, &unit);
        // What is a hair above a line of the grid needs no other line.
        let bottom = (least / step + 1e-9).floor() * step;
        let top = (most / step - 1e-9).ceil() * step;
        let count = ((top - bottom) / step).round().clamp(1.0, 20.0) as i32;
        let ticks = (0..=count).map(|i| bottom + f64::from(i) * step).collect();
        Scale { bottom, top, ticks, unit }
    }
    /// How far below the upper edge this value is, from 0 to 1.
    pub fn depth(&self, value: f64) -> f64 {
        (1.0 - (value - self.bottom) / (self.top - self.bottom)).clamp(0.0, 1.0)
    }
    /// A value of the grid in words: `250 MB`, `0.5 %`.
    pub fn words(&self, value: f64) -> String {
        if value == 0.0 && self.unit != "flag" {
            return "0".to_owned();
        }
        let words = number(value, &self.unit);
        match words.split_once(' ') {
            Some((digits, unit)) if digits.contains('.') => {
                format!("{} {unit}", digits.trim_end_matches('0').trim_end_matches('.'))
            }
            None if words.contains('.') => words.trim_end_matches('0').trim_end_matches('.').to_owned(),
            _ => words,
        }
    }
}

/// The next round step that is not smaller.
fn round_step(rough: f64, unit: &str) -> f64 {
    if unit == "seconds" && rough > 1.0 {
        if let Some(step) = TIMES.into_iter().find(|step| *step >= rough) {
            return step;
        }
        return round_step(rough / 86_400.0, "count") * 86_400.0;
    }
    let decade = 10f64.powi(rough.log10().floor() as i32);
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().find(|round| round * decade >= rough * 0.999);
    step.unwrap_or(10.0) * decade
}

/// A time below a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    pub at: i64,
    /// From the left edge, in percent.
    pub x: String,
    pub words: String,
    /// Where its words are, so that they do not stick out.
    pub anchor: &'static str,
}

/// The round times of a span, on the clock of the wall.
pub fn times(span: Span, cut: Cut, moment: &Moment) -> Vec<Tick> {
    let start = cut.from.zoned(moment.zone.clone());
    let midnight = |time: &Zoned| time.start_of_day().ok();
    let (step, form) = match span {
        Span::Hour => (15.minutes(), "%H:%M"),
        Span::Day => (6.hours(), "%H:%M"),
        Span::Week => (1.day(), "%a"),
        Span::Quarter => (1.day(), "%-d %b"),
    };
    let mut ticks = Vec::new();
    let Some(mut time) = midnight(&start) else { return ticks };
    // Bounded: 90 days by the day, or a day and a half by the quarter of an hour.
    for _ in 0..200 {
        let at = Wall(time.timestamp().as_millisecond());
        if at > cut.to {
            break;
        }
        let is_round = span != Span::Quarter || matches!(time.day(), 1 | 15);
        let share = (at.0 - cut.from.0) as f64 / (cut.to.0 - cut.from.0).max(1) as f64;
        if is_round && (0.0..=1.0).contains(&share) {
            let anchor = match share {
                ..0.06 => "start",
                0.94.. => "end",
                _ => "middle",
            };
            let words = if span == Span::Day && time.hour() == 0 {
                time.strftime("%a %-d").to_string()
            } else {
                time.strftime(form).to_string()
            };
            ticks.push(Tick { at: at.0, x: format!("{:.2}", share * 100.0), words, anchor });
        }
        match time.checked_add(step) {
            Ok(next) => time = next,
            Err(_) => break,
        }
    }
    ticks
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::{TimeZone, offset};

    #[test]
    fn the_grid_has_round_values_and_room_for_all() {
        for (values, unit, words) in [
            (&[4.1e8, 5e8][..], "bytes", "0|200 MB|400 MB|600 MB"),
            (&[3.2, 7.9], "percent", "0|2 %|4 %|6 %|8 %"),
            (&[61.0], "percent", "0|50 %|100 %"),
            (&[180.0], "percent", "0|50 %|100 %|150 %|200 %"),
            (&[0.0011, 0.0042], "seconds", "0|2 ms|4 ms|6 ms"),
            (&[0.7], "seconds", "0|200 ms|400 ms|600 ms|800 ms"),
            (&[100.0], "seconds", "0|30 s|1 min|1 min 30 s|2 min"),
            (&[1_051_200.0], "seconds", "0|5 days|10 days|15 days"),
            (&[0.0], "count", "0|0.5|1"),
            (&[-3.0, 5.0], "count", "-4|-2|0|2|4|6"),
            (&[8.0], "count", "0|2|4|6|8"),
            (&[0.4], "flag", "no|yes"),
            (&[1e300], "count", ""),
            (&[f64::NAN, f64::INFINITY], "bytes/s", "0|0.5 B/s|1 B/s"),
        ] {
            let scale = Scale::new(values.iter().copied(), unit);
            let ticks: Vec<String> = scale.ticks.iter().map(|tick| scale.words(*tick)).collect();
            if !words.is_empty() {
                assert_eq!(ticks.join("|"), words, "{values:?} {unit}");
            }
            assert!(ticks.len() <= 21 && scale.top > scale.bottom);
            for value in values.iter().filter(|value| value.is_finite()) {
                assert!(scale.bottom <= *value && *value <= scale.top * 1.000_001, "{value} in {scale:?}");
            }
        }
    }

    #[test]
    fn values_are_placed_between_the_edges() {
        let scale = Scale::new([0.0, 8.0].into_iter(), "count");
        for (value, depth) in [(8.0, 0.0), (4.0, 0.5), (0.0, 1.0), (99.0, 0.0), (-5.0, 1.0)] {
            assert_eq!(scale.depth(value), depth, "{value}");
        }
    }

    #[test]
    fn times_are_round_where_the_reader_is() {
        for (span, zone, words) in [
            (Span::Hour, TimeZone::UTC, "11:15 11:30 11:45 12:00"),
            (Span::Day, TimeZone::UTC, "18:00 Fri 20 06:00 12:00"),
            (Span::Day, TimeZone::fixed(offset(2)), "18:00 Fri 20 06:00 12:00"),
            (Span::Week, TimeZone::UTC, "Sat Sun Mon Tue Wed Thu Fri"),
            (Span::Quarter, TimeZone::UTC, "1 Sep 15 Sep 1 Oct 15 Oct 1 Nov 15 Nov"),
        ] {
            // 2026-11-20 12:03:10 UTC.
            let moment = Moment { now: Wall(1_795_176_190_000), zone };
            let ticks = times(span, span.bars(&moment), &moment);
            assert_eq!(ticks.iter().map(|tick| tick.words.as_str()).collect::<Vec<_>>().join(" "), words, "{span:?}");
            assert!(ticks.is_sorted_by(|a, b| a.at < b.at));
        }
    }

    #[test]
    fn a_day_that_is_an_hour_longer_still_has_round_times() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        // 2026-10-25 12:00 in Berlin: at 3 the clock was set back to 2.
        let moment = Moment { now: Wall(1_792_926_000_000), zone };
        let ticks = times(Span::Week, Span::Week.bars(&moment), &moment);
        assert!(ticks.iter().all(|tick| Wall(tick.at).zoned(moment.zone.clone()).hour() == 0));
    }
}
