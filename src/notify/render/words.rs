//! Facts in words: rules, deaths, remedies and times, each in a few.

use crate::model::{Message, MessageKind, Story, StoryAction, StoryRule, Wall, clip, show_age, show_duration};
use jiff::tz::TimeZone;
use std::time::Duration;

/// The longest note of a probe that stands in a subject, in characters.
const NOTE: usize = 60;

/// Signs, and how they are said.
const SIGNS: [(&str, &str); 6] = [
    (" >= ", " at least "),
    (" <= ", " at most "),
    (" > ", " above "),
    (" < ", " below "),
    (" == ", " is "),
    (" != ", " is not "),
];

/// What a message is about: its service, or minder itself.
pub(super) fn who(story: &Story) -> &str {
    if story.service.is_empty() { "minder" } else { &story.service }
}

/// What is wrong, shortly: `http failed 3 of 5 (503)`, `died (SIGSEGV)`, `process memory 612 MB (limit 500 MB) for 5m and 2 more`.
pub(super) fn wrong(story: &Story) -> String {
    if let Some(died) = died(story) {
        return died.to_owned();
    }
    let (Some(first), false) = (story.rules.first(), story.service.is_empty()) else { return title(story).to_owned() };
    let more = match story.rules.len() - 1 {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", rule(first))
}

/// The title without whose it is.
pub(super) fn title(story: &Story) -> &str {
    let title = story.title.as_str();
    if story.service.is_empty() {
        return title;
    }
    title.strip_prefix(story.service.as_str()).map_or(title, |rest| rest.trim_start_matches(':').trim_start())
}

/// `died (SIGSEGV)`, if that is what it is about.
fn died(story: &Story) -> Option<&str> {
    Some(title(story)).filter(|title| !story.service.is_empty() && (*title == "died" || title.starts_with("died (")))
}

/// A rule that fires, shortly: its values, its hold, and what the probe said.
pub(super) fn rule(rule: &StoryRule) -> String {
    let value = if rule.value.is_empty() { &rule.condition } else { &rule.value };
    let hold = rule.condition.rsplit_once(" for ").map_or("", |(_, hold)| hold);
    let hold = match hold {
        "" => String::new(),
        _ if *value == rule.condition => String::new(),
        // `3 of 5`, `3 times`
        counted if counted.contains(' ') => format!(" {counted}"),
        time => format!(" for {time}"),
    };
    let note = rule.note.as_deref().map(|note| format!(" ({})", short(note))).unwrap_or_default();
    format!("{}{hold}{note}", spoken(value))
}

/// `status 503, expected 2xx or 3xx` is what everybody calls a 503.
fn short(note: &str) -> String {
    let status = note.strip_prefix("status ").and_then(|rest| rest.get(..3));
    match status.filter(|code| code.bytes().all(|b| b.is_ascii_digit())) {
        Some(code) => code.to_owned(),
        None => clip(note, NOTE),
    }
}

/// Conditions and values as one would say them: `process.memory > 500MB` becomes `process memory above 500MB`. What stands in
/// quotes stays.
pub(super) fn spoken(text: &str) -> String {
    let mut spoken = String::with_capacity(text.len());
    for (i, part) in text.split('"').enumerate() {
        if i > 0 {
            spoken.push('"');
        }
        if i % 2 == 1 {
            spoken.push_str(part);
            continue;
        }
        let mut said = String::with_capacity(part.len());
        let mut before = ' ';
        let mut rest = part.chars().peekable();
        while let Some(c) = rest.next() {
            let between = before.is_ascii_alphanumeric() && rest.peek().is_some_and(char::is_ascii_lowercase);
            said.push(if c == '.' && between { ' ' } else { c });
            before = c;
        }
        spoken.push_str(&SIGNS.iter().fold(said, |said, (sign, word)| said.replace(sign, word)));
    }
    spoken
}

/// What came of the latest remedy: whether anybody has to get up.
pub(super) fn remedy(actions: &[StoryAction]) -> Option<String> {
    // A snapshot mends nothing.
    let latest = actions.iter().rev().filter(|action| action.action != "snapshot").find_map(|a| a.ok.map(|ok| (a, ok)));
    let (action, ok) = latest?;
    Some(match (action.action.as_str(), ok) {
        ("restart", true) => "restarted".to_owned(),
        ("start", true) => "started".to_owned(),
        ("stop", true) => "stopped".to_owned(),
        (action, true) => format!("{action} done"),
        (action, false) => format!("{action} failed"),
    })
}

/// Whether a death and what mended it are told in one.
pub(super) fn is_mended_death(message: &Message) -> bool {
    let story = &message.story;
    message.kind == MessageKind::Resolved && story.whole && died(story).is_some() && remedied(&story.actions)
}

fn remedied(actions: &[StoryAction]) -> bool {
    actions.iter().any(|action| action.ok == Some(true) && matches!(action.action.as_str(), "restart" | "start"))
}

/// How it was: `down`, or what one says of what ran and had something wrong with it.
pub(super) fn was(story: &Story) -> &'static str {
    let is_out = |rule: &StoryRule| [".down", ".failed", ".missing"].iter().any(|end| rule.condition.contains(end));
    if died(story).is_some() || story.rules.iter().any(is_out) { "down" } else { "not well" }
}

/// How long it lasted, if it is over. A death lasts until a process is up, which is known later.
pub(super) fn lasted(story: &Story) -> Option<Duration> {
    let ended = story.ended?;
    let up = story.up.filter(|up| died(story).is_some() && *up <= ended);
    Some(up.unwrap_or(ended) - story.since?)
}

/// A time as one says it: `1.2 s`, `4 min`, `2 days 3 h`.
pub(super) fn rough(time: Duration) -> String {
    match time.as_secs() {
        0 => show_duration(time),
        1..10 => format!("{:.1} s", time.as_secs_f64()).replace(".0 s", " s"),
        _ => show_age(time),
    }
}

/// Local time, with the zone: whoever reads this may be in another one.
pub(super) fn when(at: Wall, zone: &TimeZone) -> String {
    at.zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z (%:z)").to_string()
}

/// The time of day, of something that was not long ago; else with its day.
pub(super) fn clock(at: Wall, now: Wall, zone: &TimeZone) -> String {
    let (at, now) = (at.zoned(zone.clone()), now.zoned(zone.clone()));
    let format = if at.date() == now.date() { "%H:%M %Z" } else { "%Y-%m-%d %H:%M %Z" };
    at.strftime(format).to_string()
}
