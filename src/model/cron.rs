//! When a job is due: a cron expression of five fields, in a time zone.
//!
//! The fields are read as cron itself reads them. Of a day of the month and a day of the week that are both given, one is
//! enough; a field that begins with `*` does not count as given.
//!
//! Twice a year most clocks are changed. A time that does not exist on that day is due when the clock has jumped over it; a
//! time that exists twice is due the first time, but each time where the hour is `*`. This is what cron does on Debian.

use super::Wall;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{Span, Timestamp, civil};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// The 29th of February on a given day of the week is the rarest: once in 28 years, or 40 around a year such as 2100.
const YEARS_AHEAD: i64 = 41;

/// A field of the expression: its name, its least and its greatest value, and names for values.
struct Field {
    name: &'static str,
    least: u32,
    most: u32,
    names: &'static [&'static str],
}

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const FIELDS: [Field; 5] = [
    Field { name: "minute", least: 0, most: 59, names: &[] },
    Field { name: "hour", least: 0, most: 23, names: &[] },
    Field { name: "day of the month", least: 1, most: 31, names: &[] },
    Field { name: "month", least: 1, most: 12, names: MONTHS },
    // Sunday is 0 and 7.
    Field { name: "day of the week", least: 0, most: 7, names: WEEKDAYS },
];
const NICKNAMES: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

/// A schedule: `0 3 * * *`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    text: String,
    /// For each field the values that it allows, as bits.
    allowed: [u64; 5],
    /// Which fields begin with `*`.
    star: [bool; 5],
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::str::FromStr for Cron {
    type Err = String;
    fn from_str(text: &str) -> Result<Cron, String> {
        let trimmed = text.trim();
        let plain = if trimmed.starts_with('@') {
            let known = NICKNAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(trimmed));
            known.map(|(_, fields)| *fields).ok_or_else(|| {
                let names: Vec<String> = NICKNAMES.iter().map(|(name, _)| format!("`{name}`")).collect();
                format!("there is no schedule {}; the short ones are {}", shown(trimmed), names.join(", "))
            })?
        } else {
            trimmed
        };
        let words: Vec<&str> = plain.split_whitespace().collect();
        if words.len() != FIELDS.len() {
            return Err(format!(
                "a schedule has five fields, minute, hour, day of the month, month and day of the week, and {} has {}; \
                 write, for example, `0 3 * * *` for each night at three",
                shown(trimmed),
                words.len()
            ));
        }
        let mut cron = Cron { text: words.join(" "), allowed: [0; 5], star: [false; 5] };
        if trimmed.starts_with('@') {
            trimmed.clone_into(&mut cron.text);
        }
        for (i, (word, field)) in words.iter().zip(&FIELDS).enumerate() {
            cron.star[i] = word.starts_with('*');
            for part in word.split(',') {
                cron.allowed[i] |= field.values(part)?;
            }
        }
        cron.allowed[4] = (cron.allowed[4] | cron.allowed[4] >> 7) & 0x7f;
        if cron.next(Wall(0), &TimeZone::UTC).is_none() {
            return Err(format!("{} is on no day of any year", shown(trimmed)));
        }
        Ok(cron)
    }
}

/// As it was written, bounded, and safe to show.
fn shown(text: &str) -> String {
    format!("`{}`", super::clip(&super::plain(text), 60))
}

impl Field {
    /// The values of `*`, `5`, `1-5`, `*/10`, `1-30/2`, `mon-fri`.
    fn values(&self, part: &str) -> Result<u64, String> {
        let (range, step) = match part.split_once('/') {
            None => (part, 1),
            Some((range, step)) => match step.parse::<u32>() {
                Ok(step) if (1..=self.most).contains(&step) => (range, step),
                _ => return Err(self.wrong(part, &format!("the step behind `/` is a number from 1 to {}", self.most))),
            },
        };
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (self.least, if self.names.len() == 7 { 6 } else { self.most }),
            Some((first, last)) => (self.value(first, part)?, self.value(last, part)?),
            None if step > 1 || part.contains('/') => {
                let help = format!("a step needs a range: `{range}-{}/{step}` or `*/{step}`", self.most);
                return Err(self.wrong(part, &help));
            }
            None => {
                let only = self.value(range, part)?;
                (only, only)
            }
        };
        // `sat-sun`
        let last = if self.names.len() == 7 && last == 0 && first > 0 { 7 } else { last };
        if first > last {
            return Err(self.wrong(part, "the range ends before it begins"));
        }
        Ok((first..=last).step_by(step as usize).fold(0, |bits, value| bits | 1 << value))
    }

    fn value(&self, word: &str, part: &str) -> Result<u32, String> {
        if let Some(place) = self.names.iter().position(|name| name.eq_ignore_ascii_case(word)) {
            return Ok(place as u32 + self.least);
        }
        let number = word.bytes().all(|b| b.is_ascii_digit()).then(|| word.parse::<u32>().ok()).flatten();
        number.filter(|value| (self.least..=self.most).contains(value)).ok_or_else(|| {
            let or = match self.names {
                [first, .., last] => format!(", or a name from `{first}` to `{last}`"),
                _ => String::new(),
            };
            self.wrong(part, &format!("it is a number from {} to {}{or}, or `*` for any", self.least, self.most))
        })
    }

    fn wrong(&self, part: &str, why: &str) -> String {
        format!("the {} cannot be {}: {why}", self.name, shown(part))
    }
}

impl Cron {
    /// The first time after `after` at which it is due; nothing if there is none within 41 years.
    pub fn next(&self, after: Wall, zone: &TimeZone) -> Option<Wall> {
        let after = Timestamp::from_millisecond(after.0).ok()?;
        // Where a clock is set back over midnight, a day is not over when the next one has begun.
        let mut date = zone.to_datetime(after).date().yesterday().ok()?;
        let end = date.checked_add(Span::new().try_years(YEARS_AHEAD).ok()?).ok()?;
        while date < end {
            if self.allows(3, date.month()) && self.is_day(date) {
                let first = self.times(date).flat_map(|at| self.instants(at, zone)).filter(|at| *at > after).min();
                if let Some(first) = first {
                    return Some(Wall(first.as_millisecond()));
                }
            }
            date = if self.allows(3, date.month()) {
                date.tomorrow().ok()?
            } else {
                date.last_of_month().tomorrow().ok()?
            };
        }
        None
    }

    fn allows(&self, field: usize, value: i8) -> bool {
        u32::try_from(value).is_ok_and(|value| self.allowed[field] >> value & 1 == 1)
    }

    fn is_day(&self, date: civil::Date) -> bool {
        let (month, week) = (self.allows(2, date.day()), self.allows(4, date.weekday().to_sunday_zero_offset()));
        if self.star[2] || self.star[4] { month && week } else { month || week }
    }

    fn times(&self, date: civil::Date) -> impl Iterator<Item = civil::DateTime> {
        let hours = (0..24).filter(|hour| self.allows(1, *hour));
        hours.flat_map(move |hour| {
            (0..60).filter(|minute| self.allows(0, *minute)).map(move |minute| date.at(hour, minute, 0, 0))
        })
    }

    /// The moments at which a clock in this zone shows this.
    fn instants(&self, at: civil::DateTime, zone: &TimeZone) -> impl Iterator<Item = Timestamp> {
        let with = |offset: Offset| offset.to_timestamp(at).ok();
        let (first, second) = match zone.to_ambiguous_timestamp(at).offset() {
            AmbiguousOffset::Unambiguous { offset } => (with(offset), None),
            // With the later offset it lies before the jump.
            AmbiguousOffset::Gap { after, .. } => {
                let before = with(after);
                let jump = before.and_then(|before| zone.following(before).next()).map(|jump| jump.timestamp());
                (jump, None)
            }
            AmbiguousOffset::Fold { before, after } => (with(before), self.star[1].then(|| with(after)).flatten()),
        };
        first.into_iter().chain(second)
    }
}

/// A time zone by its name in the database of time zones: `Europe/Berlin`.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone {
    name: String,
    /// What the database says of it.
    pub rules: TimeZone,
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl std::str::FromStr for Zone {
    type Err = String;
    fn from_str(name: &str) -> Result<Zone, String> {
        if let Ok(rules) = TimeZone::get(name) {
            // As the database writes it.
            return Ok(Zone { name: rules.iana_name().unwrap_or(name).to_owned(), rules });
        }
        let (lower, longest) = (name.to_lowercase(), name.len().min(64));
        let known = jiff::tz::db().available();
        let near = known.map(|known| (strsim::damerau_levenshtein(&known.as_str().to_lowercase(), &lower), known));
        let near = near.filter(|(distance, _)| *distance <= longest / 3);
        let near = near.min_by(|(a, x), (b, y)| a.cmp(b).then_with(|| x.as_str().cmp(y.as_str())));
        Err(match near {
            Some((_, meant)) => format!("there is no time zone {}; did you mean `{meant}`?", shown(name)),
            None => format!("there is no time zone {}; write one such as `Europe/Berlin` or `UTC`", shown(name)),
        })
    }
}

macro_rules! written_as_text {
    ($($type:ty: $expected:literal;)*) => { $(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                struct Visitor;
                impl de::Visitor<'_> for Visitor {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Visitor)
            }
        }
    )* };
}

written_as_text! {
    Cron: "a cron expression such as `0 3 * * *`";
    Zone: "a time zone such as `Europe/Berlin`";
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wall(text: &str) -> Wall {
        Wall(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    /// The next times, as clocks in the zone show them.
    fn nexts(cron: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let (cron, zone): (Cron, Zone) = (cron.parse().unwrap(), zone.parse().unwrap());
        let mut at = wall(after);
        let mut shown = Vec::new();
        for _ in 0..count {
            at = cron.next(at, &zone.rules).unwrap();
            shown.push(at.zoned(zone.rules.clone()).strftime("%m-%d %H:%M %:z").to_string());
        }
        shown
    }

    #[test]
    fn times_of_all_kinds() {
        let table = [
            ("0 3 * * *", "2026-11-20T02:00:00Z", vec!["11-20 03:00", "11-21 03:00"]),
            // Due at that moment is not due after it.
            ("0 3 * * *", "2026-11-20T03:00:00Z", vec!["11-21 03:00"]),
            ("*/20 9-10 * * mon-fri", "2026-11-20T10:35:00Z", vec!["11-20 10:40", "11-23 09:00", "11-23 09:20"]),
            ("5,10 0 1 jan,7 *", "2026-11-20T00:00:00Z", vec!["01-01 00:05", "01-01 00:10", "07-01 00:05"]),
            // The 13th, or a Friday; but only a 13th that is a Friday where one begins with a star.
            ("0 0 13 * 5", "2026-11-10T00:00:00Z", vec!["11-13 00:00", "11-20 00:00"]),
            ("0 0 13 * */5", "2026-11-14T00:00:00Z", vec!["12-13 00:00"]),
            ("0 0 * * 7", "2026-11-20T00:00:00Z", vec!["11-22 00:00"]),
            ("0 0 * * sat-sun", "2026-11-20T00:00:00Z", vec!["11-21 00:00", "11-22 00:00", "11-28 00:00"]),
            ("0 0 29 2 *", "2026-11-20T00:00:00Z", vec!["02-29 00:00"]),
            ("@weekly", "2026-11-20T00:00:00Z", vec!["11-22 00:00"]),
            ("59 23 31 12 *", "2026-11-20T00:00:00Z", vec!["12-31 23:59"]),
        ];
        for (cron, after, expected) in table {
            let found = nexts(cron, "UTC", after, expected.len());
            let found: Vec<&str> = found.iter().map(|at| at.trim_end_matches(" +00:00")).collect();
            assert_eq!(found, expected, "{cron}");
        }
    }

    #[test]
    fn clocks_that_are_set_ahead_and_back() {
        // Berlin: 2027-03-28 02:00 becomes 03:00; 2027-10-31 03:00 becomes 02:00.
        let berlin = |cron, after, count| nexts(cron, "Europe/Berlin", after, count);
        assert_eq!(
            berlin("30 2 * * *", "2027-03-27T00:00:00Z", 3),
            ["03-27 02:30 +01:00", "03-28 03:00 +02:00", "03-29 02:30 +02:00"],
            "it does not exist"
        );
        assert_eq!(
            berlin("30 2 * * *", "2027-10-30T00:00:00Z", 3),
            ["10-30 02:30 +02:00", "10-31 02:30 +02:00", "11-01 02:30 +01:00"],
            "it exists twice"
        );
        assert_eq!(
            berlin("30 * * * *", "2027-10-31T00:00:00Z", 4),
            ["10-31 02:30 +02:00", "10-31 02:30 +01:00", "10-31 03:30 +01:00", "10-31 04:30 +01:00"],
        );
        assert_eq!(
            berlin("30 * * * *", "2027-03-28T00:00:00Z", 3),
            ["03-28 01:30 +01:00", "03-28 03:00 +02:00", "03-28 03:30 +02:00"],
        );
        // New York: 2027-03-14 02:00 becomes 03:00; 2027-11-07 02:00 becomes 01:00.
        let york = |cron, after, count| nexts(cron, "America/New_York", after, count);
        assert_eq!(york("0 2 * * *", "2027-03-13T12:00:00Z", 2), ["03-14 03:00 -04:00", "03-15 02:00 -04:00"]);
        assert_eq!(york("15 1 * * *", "2027-11-07T00:00:00Z", 2), ["11-07 01:15 -04:00", "11-08 01:15 -05:00"]);
        assert_eq!(york("0 3 * * *", "2027-11-06T12:00:00Z", 2), ["11-07 03:00 -05:00", "11-08 03:00 -05:00"]);
        // Havana goes back from 01:00 to midnight, Beirut ahead from midnight to 01:00.
        assert_eq!(nexts("5 0 * * *", "America/Havana", "2027-11-07T00:00:00Z", 2).len(), 2);
        assert_eq!(
            nexts("0 0 * * *", "Asia/Beirut", "2027-03-27T12:00:00Z", 2),
            ["03-28 01:00 +03:00", "03-29 00:00 +03:00"]
        );
    }

    /// However the clocks are changed, each day has its time, once, and times only grow.
    #[test]
    fn each_day_once_for_years_in_many_zones() {
        let cron: Cron = "30 2 * * *".parse().unwrap();
        for name in ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kathmandu"]
        {
            let zone: Zone = name.parse().unwrap();
            let mut at = wall("2026-01-01T00:00:00Z");
            let mut date = None;
            for _ in 0..1200 {
                let next = cron.next(at, &zone.rules).unwrap();
                assert!(next > at, "{name}");
                let today = next.zoned(zone.rules.clone()).date();
                assert!(date.is_none_or(|date: civil::Date| date.tomorrow().unwrap() == today), "{name} {today}");
                (at, date) = (next, Some(today));
            }
        }
    }

    #[test]
    fn what_is_no_schedule_says_which_field() {
        for (text, expected) in [
            ("0 25 * * *", "the hour cannot be `25`"),
            ("60 * * * *", "the minute cannot be `60`"),
            ("* * 0 * *", "the day of the month cannot be `0`"),
            ("* * * foo *", "the month cannot be `foo`: it is a number from 1 to 12, or a name from `jan` to `dec`"),
            ("* * * * 8", "the day of the week cannot be `8`"),
            ("*/0 * * * *", "the step behind `/`"),
            ("5/15 * * * *", "a step needs a range: `5-59/15`"),
            ("30-10 * * * *", "the range ends before it begins"),
            ("0 3 * *", "a schedule has five fields"),
            ("0 0 3 * * *", "has 6"),
            ("", "has 0"),
            ("@reboot", "there is no schedule `@reboot`"),
            ("0 0 30 2 *", "is on no day of any year"),
            ("0 0 L * *", "the day of the month cannot be `L`"),
            ("+1 * * * *", "the minute cannot be `+1`"),
            ("1,,2 * * * *", "the minute cannot be ``"),
            ("99999999999 * * * *", "the minute cannot be"),
        ] {
            let found = text.parse::<Cron>().unwrap_err();
            assert!(found.contains(expected), "{text}: {found}");
        }
        for (text, meant) in [("Europe/Berln", "Europe/Berlin"), ("america/new york", "America/New_York")] {
            assert!(text.parse::<Zone>().unwrap_err().contains(&format!("did you mean `{meant}`?")), "{text}");
        }
        assert!("Middle/Earth".parse::<Zone>().unwrap_err().contains("such as"));
        assert_eq!("europe/berlin".parse::<Zone>().unwrap().to_string(), "Europe/Berlin");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]
        /// Whatever it says, and whenever: no panic, and never back.
        #[test]
        fn any_expression_is_survived(
            text in "(\\*|[0-9]{1,3}|mon|@daily|\\PC)([,/-](\\*|[0-9]{1,2})){0,2}( (\\*|[0-9]{1,2}|feb|sun)(/[0-9])?){0,5}",
            at in prop_oneof![any::<i64>(), 0..4_000_000_000_000i64],
            zone in prop_oneof![Just("UTC"), Just("Europe/Berlin"), Just("Australia/Lord_Howe")],
        ) {
            let (cron, zone) = (text.parse::<Cron>(), zone.parse::<Zone>().unwrap());
            if let Some(next) = cron.ok().and_then(|cron| cron.next(Wall(at), &zone.rules)) {
                prop_assert!(next > Wall(at));
            }
        }
    }
}
