//! What people ask not to hear, for a while: silences, maintenance, and that somebody looks after it already.

use super::{Cron, Identity, Name, Wall, Zone};
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// Windows that follow each other without a gap are one; so many of them are looked at, and the rest when these are over.
const JOINED_AT_MOST: usize = 100;

/// What a silence is about. All that is given must match; what is empty matches everything.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// Services by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Name>,
    /// Services with one of these tags, or in a group of this name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Rules by name: only while nothing else of the service fires.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
}

impl Scope {
    /// Whether it is about a service of this name, with these tags (its group among them): all of it, or some of its rules.
    pub fn has_service<'a>(&self, service: &str, mut tags: impl Iterator<Item = &'a str>) -> bool {
        (self.services.is_empty() || self.services.iter().any(|name| **name == *service))
            && (self.tags.is_empty() || tags.any(|tag| self.tags.iter().any(|known| known == tag)))
    }
}

/// In words: `web and db`, `what is tagged shop`, `the rule leak of web`, `everything`.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let and = |names: &[&str]| match names {
            [names @ .., last] if !names.is_empty() => format!("{} and {last}", names.join(", ")),
            names => names.join(""),
        };
        let or = |names: &[&str]| and(names).replace(" and ", " or ");
        let services: Vec<&str> = self.services.iter().map(|name| &**name).collect();
        let texts = |texts: &'_ [String]| texts.iter().map(|text| text.to_owned()).collect::<Vec<_>>();
        let (tags, rules) = (texts(&self.tags), texts(&self.rules));
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
        let whose = match (services.is_empty(), tags.is_empty()) {
            (true, true) => None,
            (false, true) => Some(and(&services)),
            (true, false) => Some(format!("what is tagged {}", or(&tags))),
            (false, false) => Some(format!("{} if tagged {}", and(&services), or(&tags))),
        };
        match (rules.as_slice(), whose) {
            ([], None) => f.write_str("everything"),
            ([], Some(whose)) => f.write_str(&whose),
            ([rule], whose) => {
                write!(f, "the rule {rule}")?;
                whose.map_or(Ok(()), |whose| write!(f, " of {whose}"))
            }
            (_, whose) => {
                write!(f, "the rules {}", and(&rules))?;
                whose.map_or(Ok(()), |whose| write!(f, " of {whose}"))
            }
        }
    }
}

/// Nobody is told of some things for a while. Everything is recorded and shown all the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Silence {
    /// Its number; never used again.
    pub id: u64,
    /// What it is about.
    pub scope: Scope,
    /// Why.
    pub reason: String,
    /// Who asked for it.
    pub by: String,
    /// Since when.
    pub since: Wall,
    /// Until when, at the latest.
    pub until: Wall,
    /// It ends with this process: that of a deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<Identity>,
}

/// A silence that comes again by a schedule of the plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Maintenance {
    /// Its name.
    pub name: Name,
    /// What it is about.
    pub scope: Scope,
    /// When it begins.
    pub schedule: Cron,
    /// Where those times are; the machine's own zone if this is missing.
    pub zone: Option<Zone>,
    /// The machine's own zone, when the rules were read.
    pub here: TimeZone,
    /// How long it lasts.
    pub lasts: Duration,
    /// Why.
    pub reason: String,
}

/// A time during which maintenance goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Window {
    /// From then on.
    pub begins: Wall,
    /// Until then.
    pub ends: Wall,
}

impl Maintenance {
    /// The window that is open at this moment, or else the next one; nothing if its schedule is never due again.
    pub fn window(&self, at: Wall) -> Option<Window> {
        let zone = self.zone.as_ref().map_or(&self.here, |zone| &zone.rules);
        // What began later than this is not over.
        let before = Wall(at.0.saturating_sub(i64::try_from(self.lasts.as_millis()).unwrap_or(i64::MAX)));
        let begins = self.schedule.next(before, zone)?;
        let (mut latest, mut ends) = (begins, begins + self.lasts);
        for _ in 0..JOINED_AT_MOST {
            match self.schedule.next(latest, zone) {
                Some(next) if next <= ends => (latest, ends) = (next, next + self.lasts),
                _ => break,
            }
        }
        Some(Window { begins, ends })
    }
}

/// Somebody looks after an incident: no reminders and no escalation meanwhile. Its recovery clears it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ack {
    /// Who.
    pub by: String,
    /// What for, or how far it has come.
    pub reason: String,
    /// Since when.
    pub since: Wall,
    /// Until when, if it ends by itself.
    pub until: Option<Wall>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use proptest::prelude::*;

    fn maintenance(schedule: &str, zone: &str, minutes: u64) -> Maintenance {
        Maintenance {
            name: "nightly".into(),
            scope: Scope::default(),
            schedule: schedule.parse().unwrap(),
            zone: Some(zone.parse().unwrap()),
            here: TimeZone::UTC,
            lasts: Duration::from_secs(minutes * 60),
            reason: String::new(),
        }
    }

    fn wall(text: &str) -> Wall {
        Wall(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn windows_around_a_moment() {
        let table = [
            ("0 3 * * *", "UTC", 60, "2026-11-20T02:59:59Z", "2026-11-20T03:00:00Z", "2026-11-20T04:00:00Z"),
            ("0 3 * * *", "UTC", 60, "2026-11-20T03:00:00Z", "2026-11-20T03:00:00Z", "2026-11-20T04:00:00Z"),
            ("0 3 * * *", "UTC", 60, "2026-11-20T03:59:59Z", "2026-11-20T03:00:00Z", "2026-11-20T04:00:00Z"),
            ("0 3 * * *", "UTC", 60, "2026-11-20T04:00:00Z", "2026-11-21T03:00:00Z", "2026-11-21T04:00:00Z"),
            ("0 23 * * sun", "UTC", 180, "2026-11-23T01:00:00Z", "2026-11-22T23:00:00Z", "2026-11-23T02:00:00Z"),
            // Those that touch, and those that overlap, are one.
            ("0 1-3 * * *", "UTC", 60, "2026-11-20T01:30:00Z", "2026-11-20T01:00:00Z", "2026-11-20T04:00:00Z"),
            ("0 1-3 * * *", "UTC", 90, "2026-11-20T00:00:00Z", "2026-11-20T01:00:00Z", "2026-11-20T04:30:00Z"),
            // Berlin goes from 02:00 to 03:00, and back: an hour is an hour.
            ("30 2 * * *", "Europe/Berlin", 60, "2027-03-28T01:30:00Z", "2027-03-28T01:00:00Z", "2027-03-28T02:00:00Z"),
            (
                "30 1 * * *",
                "Europe/Berlin",
                120,
                "2027-10-31T01:00:00Z",
                "2027-10-30T23:30:00Z",
                "2027-10-31T01:30:00Z",
            ),
        ];
        for (schedule, zone, minutes, at, begins, ends) in table {
            let window = maintenance(schedule, zone, minutes).window(wall(at));
            assert_eq!(window, Some(Window { begins: wall(begins), ends: wall(ends) }), "{schedule} {at}");
        }
        // Longer than the time between two: it never ends, and is looked at in parts.
        let window = maintenance("@hourly", "UTC", 90).window(wall("2026-11-20T12:30:00Z")).unwrap();
        assert!(window.ends > wall("2026-11-23T00:00:00Z"), "{window:?}");
    }

    #[test]
    fn scopes_in_words() {
        let scope = |services: &[&str], tags: &[&str], rules: &[&str]| {
            let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
            Scope { services: services.iter().map(|s| (*s).into()).collect(), tags: texts(tags), rules: texts(rules) }
        };
        for (scope, words) in [
            (scope(&[], &[], &[]), "everything"),
            (scope(&["a", "b", "c"], &[], &[]), "a, b and c"),
            (scope(&[], &["x", "y"], &[]), "what is tagged x or y"),
            (scope(&["a"], &["x"], &["leak"]), "the rule leak of a if tagged x"),
            (scope(&[], &[], &["leak", "slow"]), "the rules leak and slow"),
        ] {
            assert_eq!(scope.to_string(), words);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]
        /// What is within a window is at most so long after a begin; what is outside is not.
        #[test]
        fn a_window_is_open_as_long_as_it_lasts(
            minute in 0u8..60, hour in 0u8..24, lasts in 1u64..2000, at in 0i64..800_000,
            zone in prop_oneof![Just("UTC"), Just("Europe/Berlin"), Just("Australia/Lord_Howe")],
        ) {
            let one = maintenance(&format!("{minute} {hour} * * *"), zone, lasts);
            let at = Wall(1_782_864_000_000 + at * 60_000);
            let window = one.window(at).unwrap();
            let zone: Zone = zone.parse().unwrap();
            // The begins of the days before, the slow way.
            let mut begin = Wall(at.0 - 5 * 86_400_000);
            let mut open = false;
            while begin <= at {
                open |= at - begin < one.lasts && begin.0 > at.0 - 5 * 86_400_000;
                begin = one.schedule.next(begin, &zone.rules).unwrap();
            }
            prop_assert_eq!(window.begins <= at && at < window.ends, open);
            prop_assert!(window.ends > at);
        }
    }
}
