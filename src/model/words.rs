//! Words for people, and what text from outside must not do to them: every layer that shows some cleans it here.

use super::{ServiceView, Snapshot, Status, Wall, show_duration};
use jiff::{Timestamp, Zoned, tz::TimeZone};
use std::borrow::Cow;
use std::cmp::Reverse;
use std::time::Duration;

/// Text from outside as it may be shown in a line: whatever moves a cursor or ends a line becomes a space, and so do the marks
/// that turn the direction of writing around, with which a name can pose as another.
pub fn plain(text: &str) -> Cow<'_, str> {
    clean(text, false)
}

/// The same for text of several lines: line feeds stay.
pub fn plain_lines(text: &str) -> Cow<'_, str> {
    clean(text, true)
}

fn clean(text: &str, lines: bool) -> Cow<'_, str> {
    let marks =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    let bad = |c: char| (c.is_control() && !(lines && c == '\n')) || marks(c);
    if !text.contains(bad) {
        return Cow::Borrowed(text);
    }
    // Nothing is dropped: that could put together a word that was not there, such as a secret looked for before.
    Cow::Owned(text.chars().map(|c| if bad(c) { ' ' } else { c }).collect())
}

/// At most so many characters of a text. An ellipsis, one of them, stands for what is cut off.
pub fn clip(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// A secret shorter than this is not looked for in what is shown: it would be found everywhere.
const SHORTEST_SECRET: usize = 4;

/// The text without these secrets: programs and servers repeat what they were given.
pub fn hide<'a>(text: &str, secrets: impl IntoIterator<Item = &'a str>) -> String {
    let mut secrets: Vec<&str> = secrets.into_iter().map(str::trim).filter(|s| s.len() >= SHORTEST_SECRET).collect();
    // One may be a part of another.
    secrets.sort_by_key(|secret| Reverse(secret.len()));
    secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "[secret]"))
}

/// How many services: `1 service`, `2 services`.
pub fn services_words(count: usize) -> String {
    format!("{count} {}", if count == 1 { "service" } else { "services" })
}

/// How long ago something was, without digits that change while one reads: `12 s`, `4 min`, `3 h 5 min`, `2 days 3 h`.
pub fn show_age(d: Duration) -> String {
    let seconds = d.as_secs();
    let grain = match seconds {
        0..60 => 1,
        60..86_400 => 60,
        _ => 3600,
    };
    show_duration(Duration::from_secs(seconds - seconds % grain))
}

impl Wall {
    /// As UTC in RFC 3339, to the second: `2026-11-20T12:03:10Z`.
    pub fn utc(self) -> String {
        self.zoned(TimeZone::UTC).strftime("%FT%TZ").to_string()
    }
    /// In this time zone.
    pub fn zoned(self, zone: TimeZone) -> Zoned {
        let end = if self.0 < 0 { Timestamp::MIN } else { Timestamp::MAX };
        Timestamp::from_millisecond(self.0).unwrap_or(end).to_zoned(zone)
    }
}

impl Snapshot {
    /// How things stand, in a sentence: `2 of 14 services are in trouble`.
    pub fn headline(&self) -> String {
        let all = self.services.len();
        let count = |f: fn(Status) -> bool| self.services.iter().filter(|s| f(s.status)).count();
        let bad = count(Status::is_bad);
        let unknown = count(|s| s == Status::Unknown);
        let resting = count(|s| matches!(s, Status::Paused | Status::Stopped));
        let services = if all == 1 { "service" } else { "services" };
        match (all, bad, unknown) {
            (0, ..) => "No services are watched".to_owned(),
            (_, 0, 0) if resting == all => "Nothing is judged: all is paused or stopped".to_owned(),
            (_, 0, 0) if resting > 0 => format!("{} of {all} services are well, {resting} at rest", all - resting),
            (1, 0, 0) => "The one service is well".to_owned(),
            (_, 0, 0) => format!("All {all} services are well"),
            (_, 0, _) => format!("No trouble known, {unknown} of {all} {services} cannot be judged"),
            (_, bad, unknown) => {
                let is = if bad == 1 { "is" } else { "are" };
                let rest = if unknown > 0 { format!(", {unknown} cannot be judged") } else { String::new() };
                format!("{bad} of {all} {services} {is} in trouble{rest}")
            }
        }
    }
    /// The services, the worst first; among equals those first that changed last or flap, then in the order of the plan.
    pub fn worst_first(&self) -> Vec<&ServiceView> {
        let mut services: Vec<&ServiceView> = self.services.iter().collect();
        services.sort_by_key(|s| {
            let since = if s.status.is_bad() { Reverse(s.since) } else { Reverse(Wall(0)) };
            // One that flaps is well just now, and not for long.
            (Reverse(s.status.rank()), since, !s.flapping)
        });
        services
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_text_neither_moves_the_cursor_nor_turns_around() {
        assert_eq!(plain("a\x1b[2Jb\nc\u{202e}d\u{9b}e"), "a [2Jb c d e");
        assert_eq!(plain_lines("a\nb\rc"), "a\nb c");
        assert!(matches!(plain("größer"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!((clip("größe", 5), clip("größer", 5)), ("größe".to_owned(), "größ…".to_owned()));
    }

    #[test]
    fn secrets_are_hidden_the_longest_first() {
        let secrets = ["hunter22", "hunter22-and-more\r\n", "ab", ""];
        assert_eq!(hide("you said hunter22-and-more, about hunter22", secrets), "you said [secret], about [secret]");
    }

    #[test]
    fn ages_are_coarse() {
        for (seconds, text) in
            [(0, "0 s"), (59, "59 s"), (255, "4 min"), (11_119, "3 h 5 min"), (183_700, "2 days 3 h")]
        {
            assert_eq!(show_age(Duration::from_millis(seconds * 1000 + 900)), text);
        }
    }

    #[test]
    fn any_time_can_be_shown() {
        assert_eq!(Wall(1_795_176_190_500).utc(), "2026-11-20T12:03:10Z");
        for at in [i64::MIN, i64::MAX] {
            assert!(!Wall(at).utc().is_empty());
        }
    }

    fn snapshot(statuses: &[Status]) -> Snapshot {
        let service = |(i, status): (usize, &Status)| ServiceView {
            name: format!("s{i}").into(),
            description: None,
            group: None,
            tags: Vec::new(),
            status: *status,
            since: Wall(i as i64),
            summary: String::new(),
            depends_on: Vec::new(),
            held: None,
            silenced: None,
            next: None,
            pid: None,
            control: None,
            control_state: None,
            supervisor: None,
            last_exit: None,
            budget: None,
            incident: None,
            flapping: false,
            checks: Vec::new(),
            rules: Vec::new(),
        };
        Snapshot {
            at: Wall(0),
            host: String::new(),
            version: String::new(),
            since: Wall(0),
            no_act: false,
            files: Vec::new(),
            refused: None,
            brake: None,
            own: Vec::new(),
            silences: Vec::new(),
            maintenance: Vec::new(),
            notifiers: Vec::new(),
            notes: Vec::new(),
            services: statuses.iter().enumerate().map(service).collect(),
        }
    }

    #[test]
    fn the_headline_says_how_things_stand() {
        use Status::*;
        for (statuses, text) in [
            (&[][..], "No services are watched"),
            (&[Ok], "The one service is well"),
            (&[Ok, Ok], "All 2 services are well"),
            (&[Ok, Paused, Stopped], "1 of 3 services are well, 2 at rest"),
            (&[Stopped], "Nothing is judged: all is paused or stopped"),
            (&[Unknown, Ok], "No trouble known, 1 of 2 services cannot be judged"),
            (&[Warning, Unknown], "1 of 2 services is in trouble, 1 cannot be judged"),
            (&[GivenUp, Critical, Ok], "2 of 3 services are in trouble"),
        ] {
            assert_eq!(snapshot(statuses).headline(), text);
        }
    }

    #[test]
    fn the_worst_comes_first() {
        use Status::*;
        let names: Vec<String> = snapshot(&[Ok, Warning, Ok, Critical, Critical, GivenUp])
            .worst_first()
            .iter()
            .map(|s| s.name.to_string())
            .collect();
        assert_eq!(names, ["s5", "s4", "s3", "s1", "s0", "s2"]);
    }
}
