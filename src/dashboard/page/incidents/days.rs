//! Incidents day by day, as bars.

use crate::dashboard::DaySums;
use crate::dashboard::page::words::{Moment, lasted};
use crate::model::Severity;

/// The width of a day, and the height of all, in the box that they are drawn in.
const STEP: usize = 10;
const HEIGHT: f64 = 60.0;
/// The least that is seen of a day with an incident.
const LEAST: f64 = 6.0;

/// The bars, one for each day.
pub(super) struct Days {
    pub width: usize,
    pub bars: Vec<Bar>,
    /// What they show, for those who do not see them.
    pub label: String,
    /// The first day.
    pub from: String,
    /// The days with incidents, the latest first, for those who want figures.
    pub told: Vec<String>,
}

/// A day.
pub(super) struct Bar {
    pub x: usize,
    pub top: f64,
    pub height: f64,
    pub class: &'static str,
    pub title: String,
}

impl Days {
    pub fn of(days: &[DaySums], moment: &Moment) -> Days {
        let most = days.iter().map(|day| day.begun).max().unwrap_or(0);
        let bars: Vec<Bar> = days.iter().enumerate().map(|(i, day)| bar(i, day, most, moment)).collect();
        let all: u64 = days.iter().map(|day| day.begun).sum();
        let with = days.iter().filter(|day| day.begun > 0).count();
        let incidents = counted(all);
        let told = days.iter().zip(&bars).filter(|(day, _)| day.begun > 0 || day.open_for > 0);
        Days {
            width: days.len() * STEP,
            label: match with {
                0 => format!("No incident in {} days", days.len()),
                1 => format!("{incidents} on one of {} days", days.len()),
                _ => format!("{incidents} on {with} of {} days, {most} on the worst", days.len()),
            },
            from: days.first().map(|day| moment.short_day(&day.start)).unwrap_or_default(),
            told: told.rev().map(|(_, bar)| bar.title.clone()).collect(),
            bars,
        }
    }
}

fn counted(incidents: u64) -> String {
    match incidents {
        0 => "no incident".to_owned(),
        1 => "1 incident".to_owned(),
        many => format!("{many} incidents"),
    }
}

fn bar(i: usize, day: &DaySums, most: u64, moment: &Moment) -> Bar {
    let height = match day.begun {
        0 => 2.0,
        begun => (LEAST + (HEIGHT - LEAST) * begun as f64 / most.max(1) as f64).round(),
    };
    let worst = match day.worst {
        Some(Severity::Critical) => ", the worst critical",
        Some(Severity::Warning) => ", the worst a warning",
        Some(Severity::Info) | None => "",
    };
    let open = match day.open_for {
        0 => String::new(),
        open => format!("; open for {}", lasted(open)),
    };
    Bar {
        x: i * STEP,
        top: HEIGHT - height,
        height,
        class: match day.worst {
            Some(Severity::Critical) => "bad",
            Some(Severity::Warning) => "warning",
            Some(Severity::Info) => "info",
            None => "none",
        },
        title: format!("{}: {}{worst}{open}", moment.short_day(&day.start), counted(day.begun)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Wall;

    #[test]
    fn a_day_is_as_high_as_it_was_bad() {
        let day =
            |i: i64, begun, worst| DaySums { start: Wall(i * 86_400_000), begun, worst, open_for: begun * 60_000 };
        let moment = Moment { now: Wall(4 * 86_400_000), zone: jiff::tz::TimeZone::UTC };
        let days = [day(0, 0, None), day(1, 4, Some(Severity::Critical)), day(2, 1, Some(Severity::Info))];
        let drawn = Days::of(&days, &moment);
        let bars: Vec<_> = drawn.bars.iter().map(|bar| (bar.x, bar.top, bar.height, bar.class)).collect();
        assert_eq!(bars, [(0, 58.0, 2.0, "none"), (10, 0.0, 60.0, "bad"), (20, 40.0, 20.0, "info")]);
        assert_eq!(drawn.label, "5 incidents on 2 of 3 days, 4 on the worst");
        assert_eq!(
            drawn.told,
            [
                "Sat 3 Jan 1970: 1 incident; open for 1 min",
                "Fri 2 Jan 1970: 4 incidents, the worst critical; open for 4 min"
            ]
        );
        assert_eq!(Days::of(&[], &moment).label, "No incident in 0 days");
    }
}
