//! The hours at which a notifier is told: `mon-fri 08:00-18:00`.

use super::{Wall, Zone, clip, plain};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, civil};
use std::fmt;

const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const ALL_DAYS: u8 = 0x7f;
const MINUTES: u16 = 24 * 60;
/// How to write one, for diagnostics.
const FORM: &str = "write, for example, `mon-fri 08:00-18:00`, `sat,sun` for the whole of these days, or `22:00-06:00` for every night";
/// The next begin is looked for so many days ahead: each week has all its days, but that a zone may have left one out when it
/// moved over the date line.
const DAYS_AHEAD: usize = 15;

/// Hours of the week, in a time zone: on some days, from a time to another one, which is on the next day if it is not later.
#[derive(Debug, Clone, PartialEq)]
pub struct Hours {
    spans: Vec<Span>,
    zone: Option<Zone>,
    /// What the zone says, or that of the machine when the rules were read.
    rules: TimeZone,
}

/// One of them.
#[derive(Debug, Clone, PartialEq)]
struct Span {
    text: String,
    /// Bit 0 is Monday. Those on which it begins.
    days: u8,
    /// Minutes of the day.
    from: u16,
    to: u16,
}

impl Span {
    fn parse(text: &str) -> Result<Span, String> {
        let shown = || format!("`{}`", clip(&plain(text), 60));
        let words: Vec<&str> = text.split_whitespace().collect();
        let is_days = |word: &str| word.starts_with(|c: char| c.is_ascii_alphabetic());
        let (days, hours) = match words[..] {
            [word] if is_days(word) => (days(word)?, None),
            [word] => (ALL_DAYS, Some(word)),
            [word, hours] if is_days(word) => (days(word)?, Some(hours)),
            _ => return Err(format!("{} are no hours: {FORM}", shown())),
        };
        let (from, to) = match hours {
            None => (0, MINUTES),
            Some(hours) => {
                let (from, to) = hours.split_once('-').ok_or_else(|| format!("{} has no end: {FORM}", shown()))?;
                (minute(from)?, minute(to)?)
            }
        };
        if from == to {
            return Err(format!("{} ends when it begins; the whole day is `00:00-24:00`", shown()));
        }
        if from == MINUTES {
            return Err(format!("{} begins when the day is over; write `00:00`", shown()));
        }
        Ok(Span { text: words.join(" "), days, from, to })
    }

    fn is_on(&self, day: civil::Date) -> bool {
        self.days >> day.weekday().to_monday_zero_offset() & 1 == 1
    }

    fn contains(&self, at: civil::DateTime) -> bool {
        let minute = at.hour() as u16 * 60 + at.minute() as u16;
        if self.from < self.to {
            return self.is_on(at.date()) && (self.from..self.to).contains(&minute);
        }
        let began_yesterday = || at.date().yesterday().is_ok_and(|day| self.is_on(day));
        self.is_on(at.date()) && minute >= self.from || minute < self.to && began_yesterday()
    }
}

/// `mon`, `mon-fri`, `sat,sun`, `fri-mon`
fn days(text: &str) -> Result<u8, String> {
    let day = |word: &str| {
        WEEKDAYS.iter().position(|name| name.eq_ignore_ascii_case(word)).ok_or_else(|| {
            let word = clip(&plain(word), 60);
            format!("`{word}` is no day of the week; they are {}", WEEKDAYS.map(|name| format!("`{name}`")).join(", "))
        })
    };
    let mut bits = 0;
    for part in text.split(',') {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (day(first)?, day(last)?),
            None => (day(part)?, day(part)?),
        };
        let count = (last + 7 - first) % 7;
        bits |= (first..=first + count).fold(0, |bits, day| bits | 1 << (day % 7));
    }
    Ok(bits)
}

/// `08:00`, and `24:00` for the end of the day.
fn minute(text: &str) -> Result<u16, String> {
    let number = |text: &str, most: u16| {
        let digits = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u16>().ok().filter(|number| digits && *number <= most)
    };
    let parts = text.split_once(':').filter(|(_, minutes)| minutes.len() == 2);
    let read = parts.and_then(|(hours, minutes)| Some(number(hours, 24)? * 60 + number(minutes, 59)?));
    read.filter(|minute| *minute <= MINUTES)
        .ok_or_else(|| format!("`{}` is no time of the day; write one from `00:00` to `24:00`", clip(&plain(text), 60)))
}

impl Hours {
    /// Reads these, each as `mon-fri 08:00-18:00`; in the machine's own zone if none is given. An error names the place of the one
    /// that is wrong.
    pub fn parse(texts: &[String], zone: Option<Zone>) -> Result<Hours, (usize, String)> {
        let spans = texts.iter().enumerate().map(|(i, text)| Span::parse(text).map_err(|why| (i, why)));
        let spans = spans.collect::<Result<Vec<_>, _>>()?;
        if spans.is_empty() {
            return Err((0, format!("these are no hours at all; {FORM}")));
        }
        let rules = zone.as_ref().map_or_else(TimeZone::system, |zone| zone.rules.clone());
        Ok(Hours { spans, zone, rules })
    }

    /// Whether this moment is within them.
    pub fn contains(&self, at: Wall) -> bool {
        Timestamp::from_millisecond(at.0).is_ok_and(|at| self.shows(at))
    }

    fn shows(&self, at: Timestamp) -> bool {
        let clock = self.rules.to_datetime(at);
        self.spans.iter().any(|span| span.contains(clock))
    }

    /// When they begin again after a moment that is outside of them.
    pub fn next_begin(&self, after: Wall) -> Option<Wall> {
        let after = Timestamp::from_millisecond(after.0).ok()?;
        let mut date = self.rules.to_datetime(after).date().yesterday().ok()?;
        let mut moments = Vec::new();
        for _ in 0..DAYS_AHEAD {
            for span in self.spans.iter().filter(|span| span.is_on(date)) {
                let begin = date.at((span.from / 60) as i8, (span.from % 60) as i8, 0, 0);
                let (first, second) = match self.rules.to_ambiguous_timestamp(begin).offset() {
                    AmbiguousOffset::Unambiguous { offset } => (Some(offset), None),
                    AmbiguousOffset::Fold { before, after } => (Some(before), Some(after)),
                    // It does not exist: the moment at which the clock is set ahead counts, which is looked at below.
                    AmbiguousOffset::Gap { .. } => (None, None),
                };
                moments.extend(first.into_iter().chain(second).filter_map(|offset| offset.to_timestamp(begin).ok()));
            }
            date = date.tomorrow().ok()?;
        }
        // A clock that is set ahead may jump into them, and one that is set back may return there.
        let end = moments.iter().max().copied()?;
        let changes = self.rules.following(after).map(|change| change.timestamp());
        moments.extend(changes.take_while(|at| *at <= end));
        moments.retain(|at| *at > after && self.shows(*at));
        moments.into_iter().min().map(|at| Wall(at.as_millisecond()))
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, span) in self.spans.iter().enumerate() {
            write!(f, "{}{}", if i == 0 { "" } else { " and " }, span.text)?;
        }
        self.zone.as_ref().map_or(Ok(()), |zone| write!(f, " ({zone})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hours(texts: &[&str], zone: &str) -> Hours {
        let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
        Hours::parse(&texts, Some(zone.parse().unwrap())).unwrap()
    }

    fn wall(text: &str) -> Wall {
        Wall(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn days_and_times_and_nights() {
        // 2026-11-20 is a Friday.
        let work = hours(&["mon-fri 08:00-18:00"], "UTC");
        let night = hours(&["mon-fri 22:00-06:00"], "UTC");
        let weekend = hours(&["sat,sun"], "UTC");
        for (hours, at, within) in [
            (&work, "2026-11-20T07:59:59Z", false),
            (&work, "2026-11-20T08:00:00Z", true),
            (&work, "2026-11-20T17:59:59Z", true),
            (&work, "2026-11-20T18:00:00Z", false),
            (&work, "2026-11-21T12:00:00Z", false),
            (&night, "2026-11-20T23:00:00Z", true),
            (&night, "2026-11-21T05:59:00Z", true),
            (&night, "2026-11-21T06:00:00Z", false),
            (&night, "2026-11-21T23:00:00Z", false),
            (&night, "2026-11-23T05:00:00Z", false),
            (&weekend, "2026-11-21T00:00:00Z", true),
            (&weekend, "2026-11-22T23:59:59Z", true),
            (&weekend, "2026-11-23T00:00:00Z", false),
        ] {
            assert_eq!(hours.contains(wall(at)), within, "{hours} {at}");
        }
        let next = |hours: &Hours, at: &str| hours.next_begin(wall(at)).unwrap();
        assert_eq!(next(&work, "2026-11-20T18:00:00Z"), wall("2026-11-23T08:00:00Z"), "over the weekend");
        assert_eq!(next(&night, "2026-11-20T12:00:00Z"), wall("2026-11-20T22:00:00Z"));
        assert_eq!(next(&weekend, "2026-11-20T12:00:00Z"), wall("2026-11-21T00:00:00Z"));
        let both = hours(&["fri-mon 08:00-9:00", "12:00-24:00"], "UTC");
        assert_eq!(next(&both, "2026-11-20T09:00:00Z"), wall("2026-11-20T12:00:00Z"), "whichever is first");
        assert!(both.contains(wall("2026-11-23T08:30:00Z")) && !both.contains(wall("2026-11-24T08:30:00Z")));
    }

    #[test]
    fn zones_and_clocks_that_are_set() {
        let berlin = hours(&["08:00-18:00"], "Europe/Berlin");
        assert!(berlin.contains(wall("2026-11-20T07:00:00Z")) && !berlin.contains(wall("2026-07-20T16:00:00Z")));
        // 2027-03-28 02:00 becomes 03:00; 2027-10-31 03:00 becomes 02:00.
        let early = hours(&["02:30-05:00"], "Europe/Berlin");
        assert_eq!(early.next_begin(wall("2027-03-28T00:00:00Z")).unwrap(), wall("2027-03-28T01:00:00Z"), "the jump");
        let twice = hours(&["02:00-02:30"], "Europe/Berlin");
        assert_eq!(twice.next_begin(wall("2027-10-30T23:00:00Z")).unwrap(), wall("2027-10-31T00:00:00Z"));
        assert!(!twice.contains(wall("2027-10-31T00:30:00Z")));
        assert_eq!(twice.next_begin(wall("2027-10-31T00:30:00Z")).unwrap(), wall("2027-10-31T01:00:00Z"), "once more");
        // Samoa had no 30 December 2011, a Friday.
        let fridays = hours(&["fri 10:00-11:00"], "Pacific/Apia");
        let begin = fridays.next_begin(wall("2011-12-28T00:00:00Z")).unwrap();
        assert_eq!(begin, wall("2012-01-05T20:00:00Z"));
    }

    #[test]
    fn mistakes_say_what_to_write() {
        for (text, expected) in [
            ("", "are no hours: write, for example, `mon-fri 08:00-18:00`"),
            ("mon - fri 8:00-18:00", "are no hours"),
            ("monday 08:00-18:00", "`monday` is no day of the week; they are `mon`, `tue`"),
            ("mon-fri 08:00", "has no end"),
            ("8-18", "`8` is no time of the day; write one from `00:00` to `24:00`"),
            ("08:00-24:01", "`24:01` is no time of the day"),
            ("08:60-09:00", "`08:60` is no time"),
            ("008:00-09:00", "`008:00` is no time"),
            ("08:00-08:00", "ends when it begins; the whole day is `00:00-24:00`"),
            ("24:00-08:00", "begins when the day is over"),
        ] {
            let (place, why) = Hours::parse(&["sat".to_owned(), text.to_owned()], None).unwrap_err();
            assert!(place == 1 && why.contains(expected), "{text}: {why}");
        }
        assert_eq!(hours(&["mon-fri  08:00-18:00", "sat"], "UTC").to_string(), "mon-fri 08:00-18:00 and sat (UTC)");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        /// The next begin is the first minute that is within, in any zone and around any change of clocks.
        #[test]
        fn the_next_begin_is_the_first_moment_within(
            from in 0u16..24, minutes in 1u16..400, days in 1u8..128, start in 0i64..(400 * 1440),
            zone in prop_oneof![Just("UTC"), Just("Europe/Berlin"), Just("Australia/Lord_Howe"), Just("America/Havana")],
        ) {
            let to = (from * 60 + minutes) % MINUTES;
            let named = |bits: u8| (0..7).filter(|day| bits >> day & 1 == 1).map(|day| WEEKDAYS[day]).collect::<Vec<_>>();
            let text = format!("{} {from:02}:00-{:02}:{:02}", named(days).join(","), to / 60, to % 60);
            let hours = hours(&[&text], zone);
            // From the middle of 2026 on, minute by minute.
            let start = Wall(1_782_864_000_000 + start * 60_000);
            prop_assume!(!hours.contains(start));
            let first = (1..).map(|i| Wall(start.0 + i * 60_000)).take(9 * 1440).find(|at| hours.contains(*at));
            prop_assert_eq!(hours.next_begin(start), first);
        }

        #[test]
        fn any_text_is_survived(text in "\\PC{0,12}|(mon|fri|x)?[-, ]?[0-9]{0,3}:?[0-9]{0,3}[-,]?[0-9:]{0,6}", at in any::<i64>()) {
            if let Ok(hours) = Hours::parse(&[text], None) {
                let _ = (hours.contains(Wall(at)), hours.next_begin(Wall(at)));
            }
        }
    }
}
