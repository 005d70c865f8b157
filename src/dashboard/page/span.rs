//! How much of the past a page shows, and how it is cut.

use super::words::Moment;
use crate::model::Wall;
use serde::Deserialize;

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// How much of the past is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum Span {
    #[default]
    Hour,
    Day,
    Week,
    Quarter,
}

impl Span {
    pub const ALL: [Span; 4] = [Span::Hour, Span::Day, Span::Week, Span::Quarter];

    /// As it stands in an address.
    pub fn word(self) -> &'static str {
        match self {
            Span::Hour => "1h",
            Span::Day => "24h",
            Span::Week => "7d",
            Span::Quarter => "90d",
        }
    }
    pub fn of(word: &str) -> Option<Span> {
        Span::ALL.into_iter().find(|span| span.word() == word)
    }
    pub fn words(self) -> &'static str {
        match self {
            Span::Hour => "last hour",
            Span::Day => "last 24 hours",
            Span::Week => "last 7 days",
            Span::Quarter => "last 90 days",
        }
    }
    /// The last so much, in bars.
    pub fn bars(self, moment: &Moment) -> Cut {
        let (step, parts) = match self {
            Span::Hour => (MINUTE, 60),
            Span::Day => (30 * MINUTE, 48),
            Span::Week => (2 * HOUR, 84),
            Span::Quarter => (DAY, 90),
        };
        Cut::last(step, parts, moment)
    }
    /// Into how many parts a chart cuts the same time: as many as can be told apart, and each a whole number of roll-ups. A week
    /// is drawn by the hour: its minutes would be sixty times as much to read, of which nobody sees more.
    pub fn points(self) -> usize {
        match self {
            Span::Hour => 360,
            Span::Day => 480,
            Span::Week => 168,
            Span::Quarter => 540,
        }
    }
    /// Into how many rows a table cuts it; they divide its points.
    pub fn rows(self) -> usize {
        match self {
            Span::Hour | Span::Day => 12,
            Span::Week => 14,
            Span::Quarter => 18,
        }
    }
    /// A part of this time that begins then: its exact times are as the length of the part needs.
    pub fn part(self, from: Wall, step: i64, moment: &Moment) -> String {
        let zoned = |at: Wall| at.zoned(moment.zone.clone());
        let to = Wall(from.0 + step);
        let show = |form: &str, at| zoned(at).strftime(form).to_string();
        match step {
            ..MINUTE => show("%a %H:%M:%S", from),
            DAY.. => show("%a %-d %b", from),
            _ if self == Span::Hour => format!("{}–{}", show("%H:%M", from), show("%H:%M", to)),
            _ => format!("{}–{}", show("%a %-d %b %H:%M", from), show("%H:%M", to)),
        }
    }
}

/// A time in parts of the same length, which begin at round times of the clock on the wall, so that they stay what they are
/// from look to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    pub from: Wall,
    pub to: Wall,
    pub parts: usize,
}

impl Cut {
    /// The last so many parts; of the newest only a beginning has been.
    pub fn last(step: i64, parts: usize, moment: &Moment) -> Cut {
        // Roll-ups are of hours of UTC: where the zone is off by half an hour, days begin at the hour before.
        let offset = i64::from(moment.now.zoned(moment.zone.clone()).offset().seconds()) * SECOND;
        let offset = offset - offset.rem_euclid(HOUR);
        let to = ((moment.now.0 + offset).div_euclid(step) + 1).saturating_mul(step) - offset;
        Cut { from: Wall(to.saturating_sub(step.saturating_mul(parts as i64))), to: Wall(to), parts }
    }
    /// The same time in so many parts.
    pub fn into(self, parts: usize) -> Cut {
        Cut { parts, ..self }
    }
    pub fn step(&self) -> i64 {
        ((self.to.0 - self.from.0) / self.parts.max(1) as i64).max(1)
    }
    /// The part in which this is.
    pub fn place(&self, at: Wall) -> Option<usize> {
        let part = usize::try_from((at.0 - self.from.0).div_euclid(self.step())).ok();
        part.filter(|part| *part < self.parts)
    }
    /// When this part begins.
    pub fn start(&self, part: usize) -> Wall {
        Wall(self.from.0 + self.step() * part as i64)
    }
    /// How far from its left edge this is, from 0 to 1; what is before or after it, is at the edge.
    pub fn share(&self, at: Wall) -> f64 {
        ((at.0 - self.from.0) as f64 / (self.to.0 - self.from.0).max(1) as f64).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::{TimeZone, offset};

    #[test]
    fn every_span_is_cut_at_round_local_times_and_reaches_now() {
        for zone in [TimeZone::UTC, TimeZone::fixed(offset(2)), TimeZone::fixed(offset(-9))] {
            // 2026-11-20 12:03:10 UTC.
            let moment = Moment { now: Wall(1_795_176_190_000), zone: zone.clone() };
            for span in Span::ALL {
                let bars = span.bars(&moment);
                assert!(bars.from < moment.now && moment.now < bars.to && bars.to.0 - moment.now.0 <= bars.step());
                let from = bars.from.zoned(zone.clone());
                assert_eq!(from.second(), 0);
                if span == Span::Quarter {
                    assert_eq!((from.hour(), from.minute()), (0, 0), "days begin at midnight");
                }
                let points = bars.into(span.points());
                assert!((150..=700).contains(&points.parts), "{span:?}");
                assert_eq!(points.step() * points.parts as i64, bars.to.0 - bars.from.0, "{span:?} is cut evenly");
                assert_eq!(points.parts % span.rows(), 0);
                assert_eq!(bars.place(moment.now), Some(bars.parts - 1));
                assert_eq!((bars.place(Wall(bars.from.0 - 1)), bars.place(bars.to)), (None, None));
                assert_eq!(bars.place(bars.start(7)), Some(7));
            }
        }
    }

    #[test]
    fn parts_are_named_as_exactly_as_they_are_long() {
        let moment = Moment { now: Wall(1_795_176_190_000), zone: TimeZone::UTC };
        for (span, step, words) in [
            (Span::Hour, 10 * SECOND, "Fri 12:00:00"),
            (Span::Hour, MINUTE, "12:00–12:01"),
            (Span::Day, 30 * MINUTE, "Fri 20 Nov 12:00–12:30"),
            (Span::Week, 2 * HOUR, "Fri 20 Nov 12:00–14:00"),
            (Span::Quarter, DAY, "Fri 20 Nov"),
        ] {
            assert_eq!(span.part(Wall(1_795_176_000_000), step, &moment), words);
        }
    }
}
