//! Times and numbers as the pages show them.

use super::assets;
use crate::dashboard::who::{Caller, Proof};
use crate::model::{Dimension, Role, Snapshot, Status, Wall, show, show_age, show_duration};
use askama::filters::HtmlSafe;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use std::fmt;
use std::time::Duration;

/// Where in the navigation a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dashboard) enum Here {
    Services,
    Incidents,
    Messages,
    Rules,
    Machine,
    Elsewhere,
}

impl Here {
    /// The entries of the navigation: what is there, where, in words.
    pub const NAVIGATION: [(Here, &'static str, &'static str); 5] = [
        (Here::Services, "/", "Services"),
        (Here::Incidents, "/incidents", "Incidents"),
        (Here::Messages, "/messages", "Messages"),
        (Here::Rules, "/rules", "Rules"),
        (Here::Machine, "/machine", "Machine"),
    ];
}

/// What every page has.
pub(in crate::dashboard) struct Page {
    pub title: String,
    pub here: Here,
    pub style: String,
    pub script: String,
    /// What looks after the page itself, on all pages.
    pub frame: String,
    /// The worst that there is, for the icon; nothing where that is not known.
    pub worst: Option<Status>,
    /// The time that the page shows, for the notice that the connection is lost.
    pub at: Option<String>,
    /// Who looks; nothing where that makes no difference.
    pub caller: Option<Caller>,
}

impl Page {
    /// One that shows no moment, and is the same for everybody.
    pub fn new(here: Here, title: String) -> Page {
        Page {
            title,
            here,
            style: assets::url("style.css"),
            script: assets::url("live.js"),
            frame: assets::url("frame.js"),
            worst: None,
            at: None,
            caller: None,
        }
    }
    /// How things stood at that moment.
    pub fn showing(self, snapshot: &Snapshot, moment: &Moment) -> Page {
        let worst = snapshot.services.iter().map(|s| s.status).max_by_key(|status| status.rank());
        Page { at: Some(moment.clock(&snapshot.at)), worst, ..self }
    }
    /// For this one, who is offered what he may do.
    pub fn of(self, caller: Caller) -> Page {
        Page { caller: Some(caller), ..self }
    }
    /// `light` or `dark`, if the one who looks has said so.
    pub fn theme(&self) -> Option<&'static str> {
        self.caller.as_ref().and_then(|caller| caller.reader.theme)
    }
    /// The zone of its times.
    pub fn zone(&self) -> &str {
        self.caller.as_ref().map_or("", |caller| caller.reader.zone_name())
    }
    /// The word for the icon that shows the worst.
    pub fn icon(&self) -> &'static str {
        match self.worst {
            None | Some(Status::Unknown) => "unknown",
            Some(Status::Warning) => "warning",
            Some(Status::Critical | Status::GivenUp) => "critical",
            Some(_) => "ok",
        }
    }
    /// Every icon: its word, and where it is.
    pub fn icons(&self) -> [(&'static str, String); 4] {
        ["ok", "warning", "critical", "unknown"].map(|word| (word, assets::url(&format!("icon-{word}.svg"))))
    }
    /// The page is open to everybody on this machine, and only shows: there is nobody who could sign in to steer.
    pub fn nobody_steers(&self) -> bool {
        let open = |caller: &Caller| caller.proof == Proof::Nothing && caller.may(Role::Viewer);
        self.caller.as_ref().is_some_and(open) && !self.may(Role::Operator)
    }
    /// Whether the one who looks may do what needs this.
    pub fn may(&self, role: Role) -> bool {
        self.caller.as_ref().is_some_and(|caller| caller.may(role))
    }
}

/// The moment that a page shows, and the zone of its reader.
#[derive(Clone)]
pub(in crate::dashboard) struct Moment {
    pub now: Wall,
    pub zone: TimeZone,
}

impl Moment {
    /// As this one reads it.
    pub fn of(now: Wall, caller: &Caller) -> Moment {
        Moment { now, zone: caller.reader.zone.clone() }
    }
    /// `12:03:10`
    pub fn clock(&self, at: &Wall) -> String {
        at.zoned(self.zone.clone()).strftime("%H:%M:%S").to_string()
    }
    /// `12:03`, with the day of the week if it is another day.
    pub fn minute(&self, at: &Wall) -> String {
        at.zoned(self.zone.clone()).strftime(if self.same_day(at) { "%H:%M" } else { "%a %H:%M" }).to_string()
    }
    fn same_day(&self, at: &Wall) -> bool {
        at.zoned(self.zone.clone()).date() == self.now.zoned(self.zone.clone()).date()
    }
    /// `12:03:10`, with the date if it is another day.
    pub fn when(&self, at: &Wall) -> String {
        if self.same_day(at) { self.clock(at) } else { self.full(at) }
    }
    /// The day, for those who compare.
    pub fn date(&self, at: &Wall) -> Date {
        at.zoned(self.zone.clone()).date()
    }
    /// `Today`, `Yesterday`, `Friday 20 November 2026`.
    pub fn day(&self, at: &Wall) -> String {
        let today = self.date(&self.now);
        match self.date(at) {
            day if day == today => "Today".to_owned(),
            day if today.yesterday().is_ok_and(|yesterday| day == yesterday) => "Yesterday".to_owned(),
            day => day.strftime("%A %-d %B %Y").to_string(),
        }
    }
    /// `Fri 20 Nov 2026`
    pub fn short_day(&self, at: &Wall) -> String {
        self.date(at).strftime("%a %-d %b %Y").to_string()
    }
    /// When each of so many days begins, today the last of them.
    pub fn last_days(&self, count: i32) -> Vec<Wall> {
        let today = self.date(&self.now);
        let begin = |back: i32| {
            let day = today.checked_sub(jiff::Span::new().days(back)).ok()?;
            Some(Wall(day.to_zoned(self.zone.clone()).ok()?.timestamp().as_millisecond()))
        };
        (0..count).rev().filter_map(begin).collect()
    }
    /// `2026-11-20 12:03:10`
    pub fn full(&self, at: &Wall) -> String {
        at.zoned(self.zone.clone()).strftime("%F %T").to_string()
    }
    fn stamp(&self, at: &Wall, words: String) -> Stamp {
        Stamp { utc: at.utc(), full: self.full(at), words }
    }
    /// `<time>4 min ago</time>`
    pub fn ago(&self, at: &Wall) -> Stamp {
        self.stamp(at, format!("{} ago", show_age(self.now - *at)))
    }
    /// `<time>4 min</time>`, after words such as “for”.
    pub fn age(&self, at: &Wall) -> Stamp {
        self.stamp(at, show_age(self.now - *at))
    }
    /// `<time>in 4 min</time>`
    pub fn to_come(&self, at: &Wall) -> Stamp {
        self.stamp(at, format!("in {}", show_age(*at - self.now)))
    }
    /// `<time>4 min</time>` that are left.
    pub fn left(&self, at: &Wall) -> Stamp {
        self.stamp(at, show_age(*at - self.now))
    }
    /// `<time>12:03:10</time>`, where the day is said already.
    pub fn timed(&self, at: &Wall) -> Stamp {
        self.stamp(at, self.clock(at))
    }
    /// `<time>2026-11-20 12:03:10</time>`
    pub fn exact(&self, at: &Wall) -> Stamp {
        self.stamp(at, self.full(at))
    }
    /// `<time>12:03:10</time>`, with the date if it is another day.
    pub fn at(&self, at: &Wall) -> Stamp {
        self.stamp(at, self.when(at))
    }
}

/// A `<time>` element. Made of digits and our own words alone, hence safe as it is.
pub(in crate::dashboard) struct Stamp {
    utc: String,
    full: String,
    words: String,
}

impl HtmlSafe for Stamp {}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, r#"<time datetime="{}" title="{}">{}</time>"#, self.utc, self.full, self.words)
    }
}

/// How long something lasted, of so many milliseconds: `3 min 10 s`.
pub(super) fn lasted(ms: u64) -> String {
    show_duration(Duration::from_millis(ms))
}

/// A number in words, by the word that JSON has for what it measures.
pub(super) fn number(value: f64, unit: &str) -> String {
    let dimension = match unit {
        "bytes" => Dimension::Bytes,
        "bytes/s" => Dimension::ByteRate,
        "seconds" => Dimension::Time,
        "percent" => Dimension::Percent,
        "count/s" => Dimension::CountRate,
        "flag" => Dimension::Flag,
        _ => Dimension::Count,
    };
    show(value, dimension)
}

/// The class and the mark of a status.
pub(super) fn class(status: &Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::Warning => "warning",
        Status::Critical => "critical",
        Status::Unknown => "unknown",
        Status::Paused => "paused",
        Status::Stopped => "stopped",
        Status::GivenUp => "given-up",
    }
}

/// Filters of the templates.
pub(in crate::dashboard) mod filters {
    use crate::model::{plain as clean, plain_lines};
    use std::fmt::Display;

    /// A line of text from outside.
    #[askama::filter_fn]
    pub fn plain(text: impl Display, _: &dyn askama::Values) -> askama::Result<String> {
        Ok(clean(&text.to_string()).into_owned())
    }
    /// Text of several lines from outside.
    #[askama::filter_fn]
    pub fn lines(text: impl Display, _: &dyn askama::Values) -> askama::Result<String> {
        Ok(plain_lines(&text.to_string()).into_owned())
    }
}
