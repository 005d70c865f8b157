//! The page itself. It has no script, and is whole without one.

use super::board::{Board, Day, PAGES, Planned, SPANS, Service, Told};
use super::uptime::Share;
use super::{Place, date, feed, moment};
use crate::dashboard::page::{assets, filters};
use crate::model::{Wall, show_duration};
use askama::Template;
use jiff::civil::Date;
use std::fmt::Write;
use std::time::Duration;

/// Incidents on a page. Who has more of them in two weeks is not helped by a longer list.
pub(super) const MOST: usize = 100;
/// Days that are named in words beside the bars.
const NAMED: usize = 10;

#[derive(Template)]
#[template(path = "status.html")]
struct Page<'a> {
    board: &'a Board,
    style: String,
    base: &'static str,
    home: &'static str,
    page: usize,
    open: Vec<&'a Told>,
    days: Vec<(Date, Vec<&'a Told>)>,
    /// So many incidents of these days are not shown.
    cut: usize,
    newer: Option<usize>,
    older: Option<usize>,
    zone: String,
    /// The days of the bars, in words: they are the same for all services.
    dates: Vec<String>,
}

pub(super) fn render(board: &Board, place: Place, page: usize) -> String {
    let mut days = board.past(page);
    let (mut room, mut cut) = (MOST, 0);
    for (_, told) in &mut days {
        cut += told.len().saturating_sub(room);
        told.truncate(room);
        room -= told.len();
    }
    days.retain(|(_, told)| !told.is_empty());
    let zone = board.at.zoned(board.zone.clone());
    let name = board.zone.iana_name().unwrap_or("UTC").to_owned();
    let page = Page {
        board,
        // The address is relative here, as all others.
        style: assets::url("style.css").trim_start_matches('/').to_owned(),
        base: place.base(),
        home: place.home(),
        page,
        open: if page == 0 { board.open().take(MOST).collect() } else { Vec::new() },
        days,
        cut,
        newer: page.checked_sub(1),
        older: Some(page + 1).filter(|next| *next < PAGES && !is_rest_empty(board, *next)),
        zone: format!("{name}, UTC{}", zone.strftime("%:z")),
        dates: board.services.first().map_or_else(Vec::new, |one| one.days.iter().map(|day| date(day.date)).collect()),
    };
    // Of a template that writes to memory only its own words can fail, and they are tested.
    page.render().unwrap_or_default()
}

fn is_rest_empty(board: &Board, page: usize) -> bool {
    (page..PAGES).all(|page| board.past(page).is_empty())
}

impl Page<'_> {
    fn stamp(&self, at: &Wall) -> Stamp {
        Stamp { utc: at.utc(), words: moment(*at, &self.board.zone) }
    }
    /// The time of day, where the day is said above.
    fn clock(&self, at: &Wall) -> Stamp {
        Stamp { utc: at.utc(), words: at.zoned(self.board.zone.clone()).strftime("%H:%M").to_string() }
    }
    fn figures(&self, service: &Service) -> Vec<(&'static str, Share)> {
        SPANS.map(|(days, words)| (words, self.board.uptime(service, days))).into()
    }
    /// The bars of all days, in a box 4 wide for each and 24 high. A day that was well is a low bar; one that was not stands tall,
    /// with the shares of it that were down and degraded on top; what is not known is a line. All pieces of a kind are one path:
    /// there are thousands of them.
    fn bars(&self, service: &Service) -> Bars {
        let (mut hits, mut ok, mut none) = (String::new(), String::new(), String::new());
        let (mut low, mut bad) = (String::new(), String::new());
        for (i, (day, date)) in service.days.iter().zip(&self.dates).enumerate() {
            let x = i * 4;
            let _ = write!(hits, "<path d=\"M{x} 0h4v24h-4z\"><title>{date}: {}</title></path>", about(day));
            let Share { known, down, degraded, .. } = day.share;
            let _ = match (known, down + degraded) {
                (0, _) => write!(none, "M{x} 22h3v2h-3z"),
                (_, 0) => write!(ok, "M{x} 10h3v14h-3z"),
                _ => write!(ok, "M{x} 0h3v24h-3z"),
            };
            let mut top = 0.0;
            for (part, path) in [(down, &mut bad), (degraded, &mut low)] {
                if part > 0 {
                    // A minute of a day is less than could be seen.
                    let height = (24.0 * part as f64 / known.max(1) as f64).clamp(3.0, 24.0 - top);
                    let _ = write!(path, "M{x} {top:.1}h3v{height:.1}h-3z");
                    top = (top + height).min(21.0);
                }
            }
        }
        let mut out = format!("<g class=\"hits\">{hits}</g>");
        for (class, path) in
            [("none", none), ("ok", ok), ("low", low), ("bad", bad)].iter().filter(|(_, path)| !path.is_empty())
        {
            let _ = write!(out, "<path class=\"{class}\" d=\"{path}\"/>");
        }
        Bars(out)
    }
    /// What the bars say of the days that were not well, the newest first.
    fn troubled(&self, service: &Service) -> Vec<String> {
        let bad = |day: &Day| day.share.down > 0 || day.share.degraded > 0 || day.incidents > 0;
        let days = service.days.iter().zip(&self.dates).rev().filter(|(day, _)| bad(day));
        days.map(|(day, date)| format!("{date}: {}", about(day))).collect()
    }
    fn is_now(&self, planned: &Planned) -> bool {
        planned.begins <= self.board.at
    }
}

/// A `<time>`, made of digits and our own words.
struct Stamp {
    utc: String,
    words: String,
}

impl askama::filters::HtmlSafe for Stamp {}

impl std::fmt::Display for Stamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<time datetime=\"{}\">{}</time>", self.utc, self.words)
    }
}

/// Milliseconds in words.
fn span(ms: i64) -> String {
    let seconds = u64::try_from(ms / 1000).unwrap_or(0);
    if seconds == 0 { "less than a second".to_owned() } else { show_duration(Duration::from_secs(seconds)) }
}

fn lasted(told: &Told) -> String {
    told.closed.map_or(String::new(), |closed| span(closed.0.saturating_sub(told.opened.0)))
}

/// What a bar says of its day when it is pointed at.
fn about(day: &Day) -> String {
    let incidents = match day.incidents {
        0 => String::new(),
        1 => ", 1 incident".to_owned(),
        many => format!(", {many} incidents"),
    };
    let words = match day.share {
        Share { known: 0, .. } => "no data".to_owned(),
        Share { down: 0, degraded: 0, .. } => "no downtime".to_owned(),
        Share { down: 0, degraded, .. } => format!("degraded for {}", span(degraded)),
        Share { degraded: 0, .. } => format!("down for {}, uptime {}", span(day.share.down), day.share.words()),
        Share { down, degraded, .. } => {
            format!("down for {}, degraded for {}, uptime {}", span(down), span(degraded), day.share.words())
        }
    };
    format!("{words}{incidents}")
}

/// What all bars say together.
fn label(service: &Service) -> String {
    let bad: Vec<&Day> = service.days.iter().rev().filter(|day| day.share.down > 0).collect();
    let known = service.days.iter().filter(|day| day.share.known > 0).count();
    let mut words = format!("{}, the last {} days: ", service.name, service.days.len());
    match (known, bad.len()) {
        (0, _) => words.push_str("no data"),
        (_, 0) => words.push_str("no downtime"),
        _ => {
            let days = bad.iter().take(NAMED).map(|day| format!("{} ({})", date(day.date), span(day.share.down)));
            words.push_str(&format!("down on {}", days.collect::<Vec<_>>().join(", ")));
            if bad.len() > NAMED {
                let _ = write!(words, ", and {} days more", bad.len() - NAMED);
            }
        }
    }
    words
}

/// Made of digits and our own words.
struct Bars(String);

impl askama::filters::HtmlSafe for Bars {}

impl std::fmt::Display for Bars {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
