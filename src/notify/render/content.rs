//! What a letter holds, before it is set in text or HTML: every string in it is one clean line of bounded length.

use super::subject::{mark, news};
use super::words::{clock, lasted, rough, spoken, was, when, who, wrong};
use super::{Mark, line};
use crate::model::{Message, MessageKind, Parcel, Story, StoryAction, Wall, show_duration};
use jiff::tz::TimeZone;
use std::sync::Arc;

/// Longest line, in characters.
pub(super) const LINE: usize = 1000;
/// Most lines of a log: the last ones. Of several messages in one letter, each has fewer.
const LOG_LINES: usize = 50;
const LOG_LINES_EACH: usize = 10;
/// Most characters of a log.
const LOG_CHARS: usize = 16_000;
/// Most lines of anything else that grows.
const LINES: usize = 40;
/// Most characters of the list of several messages,
const LIST: usize = 10_000;
/// and of their details, in HTML: mail programs cut what is longer than about 100 kB.
const DETAILS: usize = 64_000;
/// What the looks of a row and of a line cost in HTML, about.
const ROW: usize = 200;
const ITEM: usize = 40;

/// What the commands of a letter do.
const ACK: &str = "you look after it: no reminders, no escalation meanwhile";
const SILENCE: &str = "nothing more of it for an hour, but that it is well again";

/// A letter.
#[derive(Default)]
pub(super) struct Content {
    /// How bad it is.
    pub mark: Option<Mark>,
    /// What a phone shows of it: all in a sentence.
    pub headline: String,
    /// The rest, in order.
    pub parts: Vec<Part>,
    /// Where it comes from.
    pub footer: String,
}

/// A part of it.
pub(super) enum Part {
    /// Sentences, a paragraph each.
    Say(Vec<String>),
    /// Names and values.
    Facts(Vec<(&'static str, String)>),
    /// A heading.
    Heading(&'static str),
    /// What one of several messages is about: how bad, whose, what is new.
    Title(Mark, String, String),
    /// A list.
    List(Vec<String>),
    /// One of a list, with what is known of it.
    Item(String, Vec<(&'static str, String)>),
    /// What was written elsewhere, as it was.
    Verbatim(Vec<String>),
    /// Commands, and what each does.
    Commands(Vec<(String, &'static str)>),
    /// An address to open.
    Link(String),
}

impl Content {
    /// Of one message by itself.
    pub fn of_message(message: &Message, zone: &TimeZone) -> Content {
        Content::of_one(message, &[], &message.key, zone)
    }

    /// Of all messages of a parcel.
    pub fn of_parcel(parcel: &Parcel, zone: &TimeZone) -> Content {
        match parcel.messages.as_slice() {
            [] => Content::default(),
            [message] => Content::of_one(message, &parcel.others, &parcel.key, zone),
            messages => Content::of_many(messages, &parcel.others, &parcel.key, zone),
        }
    }

    fn of_one(message: &Message, others: &[String], key: &str, zone: &TimeZone) -> Content {
        let story = &message.story;
        let mut parts = Vec::new();
        let mut said: Vec<String> = story.description.iter().map(|text| line(text, LINE)).collect();
        said.extend(story.remark.iter().map(|remark| line(&format!("Why now: {remark}."), LINE)));
        if story.test {
            said.push("Somebody wanted to know whether messages arrive here: they do.".to_owned());
            said.push("Nothing needs to be done.".to_owned());
        }
        push(&mut parts, None, Part::Say(said));
        push(&mut parts, None, Part::Facts(facts(message, zone)));
        details(&mut parts, message, LOG_LINES, zone);
        others_and_commands(&mut parts, &[message], others);
        if let Some(link) = link(story) {
            parts.push(Part::Link(link));
        }
        Content { mark: Some(mark(message)), headline: headline(message, zone), parts, footer: footer(story, key) }
    }

    fn of_many(messages: &[Arc<Message>], others: &[String], key: &str, zone: &TimeZone) -> Content {
        let Some(first) = messages.first() else { return Content::default() };
        let over = messages.iter().filter(|message| mark(message) == Mark::Ok).count();
        let mut list: Vec<String> = messages.iter().map(|message| summary(message, zone)).collect();
        let mut size = 0;
        let fits = |line: &&String| {
            size += line.len();
            size <= LIST
        };
        let listed = list.iter().take_while(fits).count();
        list.truncate(listed);
        if listed < messages.len() {
            list.push(format!("and {} more: `minder status` shows them", messages.len() - listed));
        }
        let mut parts = vec![Part::List(list)];
        let refs: Vec<&Message> = messages.iter().map(|message| &**message).collect();
        others_and_commands(&mut parts, &refs, others);
        let (mut size, mut shown) = (0, 0);
        for message in messages {
            let mut its = vec![Part::Title(mark(message), line(who(&message.story), LINE), line(&news(message), LINE))];
            push(&mut its, None, Part::Facts(facts(message, zone)));
            details(&mut its, message, LOG_LINES_EACH, zone);
            its.extend(link(&message.story).map(Part::Link));
            size += its.iter().map(Part::size).sum::<usize>();
            if size > DETAILS {
                break;
            }
            shown += 1;
            parts.append(&mut its);
        }
        if shown < messages.len() {
            let left = messages.len() - shown;
            let them = if left == 1 { "one more is" } else { "more are" };
            let count = if left == 1 { String::new() } else { format!("{left} ") };
            parts.push(Part::Say(vec![format!(
                "The details of {count}{them} left out here: `minder status NAME` and `minder messages` show them."
            )]));
        }
        let well = if over == 0 { String::new() } else { format!(", {over} of them well again") };
        let news = format!("{}: {}", who(&first.story), news(first));
        let headline = line(&format!("{news}; and {} more on {}{well}", messages.len() - 1, first.story.host), LINE);
        let mark = messages.iter().map(|message| mark(message)).max();
        Content { mark, headline, parts, footer: footer(&first.story, key) }
    }
}

impl Part {
    /// About so many characters in HTML.
    fn size(&self) -> usize {
        let facts =
            |facts: &[(&str, String)]| facts.iter().map(|(name, value)| name.len() + value.len() + ROW).sum::<usize>();
        let lines = |lines: &[String]| lines.iter().map(|line| line.len() + ITEM).sum::<usize>();
        match self {
            Part::Say(said) | Part::List(said) | Part::Verbatim(said) => lines(said),
            Part::Facts(pairs) => facts(pairs),
            Part::Heading(text) => text.len() + ROW,
            Part::Title(_, who, news) => who.len() + news.len() + 2 * ROW,
            Part::Item(text, pairs) => text.len() + facts(pairs) + ROW,
            Part::Commands(commands) => {
                commands.iter().map(|(command, what)| command.len() + what.len() + 2 * ROW).sum()
            }
            Part::Link(link) => 2 * link.len() + ROW,
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Part::Say(lines) | Part::List(lines) | Part::Verbatim(lines) => lines.is_empty(),
            Part::Facts(pairs) => pairs.is_empty(),
            Part::Commands(commands) => commands.is_empty(),
            Part::Heading(_) | Part::Title(..) | Part::Item(..) | Part::Link(_) => false,
        }
    }
}

/// Adds a part with its heading, unless there is nothing in it.
fn push(parts: &mut Vec<Part>, heading: Option<&'static str>, part: Part) {
    if !part.is_empty() {
        parts.extend(heading.map(Part::Heading));
        parts.push(part);
    }
}

/// All in a sentence: what a phone shows without being opened.
fn headline(message: &Message, zone: &TimeZone) -> String {
    let story = &message.story;
    let who = who(story);
    let since = story.since.map(|since| format!(" since {}", clock(since, message.at, zone))).unwrap_or_default();
    let lasted = lasted(story).map(rough);
    let severity = story.severity.map_or_else(|| "wrong".to_owned(), |severity| severity.to_string());
    let news = news(message);
    let text = match message.kind {
        MessageKind::Notice => format!("{who}: {news}"),
        _ if story.service.is_empty() => news,
        MessageKind::Firing | MessageKind::Update => format!("{who} is {severity}{since}: {news}"),
        MessageKind::Reminder => format!("{who} is still {severity}{since}: {}", wrong(story)),
        MessageKind::Acknowledged => format!("{who}{since}: {news}"),
        MessageKind::Resolved if story.whole => {
            let lasted = lasted.map(|lasted| format!(" for {lasted}")).unwrap_or_default();
            format!("{who} is well again. It was {}{lasted}{since}: {}", was(story), wrong(story))
        }
        MessageKind::Resolved => {
            format!("{who} is well again{}", lasted.map(|lasted| format!(" after {lasted}")).unwrap_or_default())
        }
    };
    line(&text, LINE)
}

/// One of several, in a line.
fn summary(message: &Message, zone: &TimeZone) -> String {
    let story = &message.story;
    let since = match message.kind {
        MessageKind::Resolved | MessageKind::Notice => None,
        _ => story.since.map(|since| format!(", since {}", clock(since, message.at, zone))),
    };
    line(&format!("{} {}: {}{}", mark(message).word(), who(story), news(message), since.unwrap_or_default()), 300)
}

fn facts(message: &Message, zone: &TimeZone) -> Vec<(&'static str, String)> {
    let story = &message.story;
    let mut facts: Vec<(&'static str, String)> = Vec::new();
    let mut fact = |name, value: &str| {
        if !value.is_empty() {
            facts.push((name, line(value, LINE)));
        }
    };
    fact("service", &story.service);
    fact("host", &story.host);
    let time = |at: Option<Wall>| at.map(|at| when(at, zone)).unwrap_or_default();
    if story.test {
        fact("sent", &time(Some(message.at)));
        return facts;
    }
    fact("status", &story.status);
    // A service that is given up or paused has a status that does not say how bad it is.
    let severity = story.severity.map(|s| s.to_string()).unwrap_or_default();
    if severity != story.status && message.kind != MessageKind::Resolved {
        fact("severity", &severity);
    }
    fact("since", &time(story.since));
    fact("up again", &time(story.up));
    fact("ended", &time(story.ended));
    fact("lasted", &lasted(story).map(show_duration).unwrap_or_default());
    if let Some(ack) = &story.ack {
        let until = ack.until.map(|until| format!(", until {}", when(until, zone))).unwrap_or_default();
        let reason = if ack.reason.is_empty() { String::new() } else { format!(": {}", ack.reason) };
        fact("looked after", &format!("by {}, since {}{until}{reason}", ack.by, when(ack.since, zone)));
    }
    fact("incident", &story.incident.map(|id| id.to_string()).unwrap_or_default());
    facts
}

/// What is known: of the rules, of the death, of what was done, and of the time before.
fn details(parts: &mut Vec<Part>, message: &Message, log_lines: usize, zone: &TimeZone) {
    let story = &message.story;
    if !story.rules.is_empty() {
        parts.push(Part::Heading(match message.kind {
            MessageKind::Resolved => "What was wrong",
            MessageKind::Notice => "What has changed",
            _ => "What is wrong",
        }));
    }
    for rule in story.rules.iter().take(LINES) {
        let said = spoken(&rule.condition);
        let written = match &rule.rule {
            name if *name != rule.condition => format!("{name} ({})", rule.condition),
            _ if said == rule.condition => String::new(),
            _ => rule.condition.clone(),
        };
        // Of what is so or not, the value says nothing new.
        let value = if rule.condition.starts_with(&rule.value) { "" } else { &rule.value };
        let mut known = vec![
            ("value", line(value, LINE)),
            ("said", line(rule.note.as_deref().unwrap_or_default(), LINE)),
            ("since", when(rule.since, zone)),
            ("rule", line(&written, LINE)),
        ];
        known.retain(|(_, value)| !value.is_empty());
        parts.push(Part::Item(line(&said, LINE), known));
    }
    left_out(parts, story.rules.len(), LINES);
    let death = story.death.iter().map(|death| line(death, LINE)).collect();
    push(parts, Some("How it died"), Part::List(death));
    push(parts, Some("What was done"), Part::List(story.actions.iter().map(action).collect()));
    push(parts, Some("What to do"), Part::List(bounded(&story.advice)));
    push(parts, Some("Last lines of its log"), Part::Verbatim(log(&story.log, log_lines)));
    push(parts, Some("What uses most"), Part::Verbatim(bounded(&story.top)));
}

fn action(action: &StoryAction) -> String {
    let state = match action.ok {
        Some(true) => "done",
        Some(false) => "FAILED",
        None => "under way",
    };
    let words = if action.words.is_empty() { String::new() } else { format!(": {}", action.words) };
    line(&format!("{} {state}{words}", action.action), LINE)
}

fn bounded(lines: &[String]) -> Vec<String> {
    let mut shown: Vec<String> = lines.iter().take(LINES).map(|text| line(text, LINE)).collect();
    if lines.len() > LINES {
        shown.push(format!("… and {} more", lines.len() - LINES));
    }
    shown
}

fn left_out(parts: &mut Vec<Part>, count: usize, most: usize) {
    if count > most {
        parts.push(Part::List(vec![format!("… and {} more", count - most)]));
    }
}

/// The last lines, as many as there is room for.
fn log(log: &[String], lines: usize) -> Vec<String> {
    let mut room = LOG_CHARS;
    let mut last: Vec<String> = Vec::new();
    for text in log[log.len().saturating_sub(lines)..].iter().rev() {
        let text = line(text, LINE);
        let Some(left) = room.checked_sub(text.len()) else { break };
        room = left;
        last.push(text);
    }
    last.reverse();
    last
}

/// What else fails, and what can be done from a shell.
fn others_and_commands(parts: &mut Vec<Part>, messages: &[&Message], others: &[String]) {
    push(parts, Some("What else is failing"), Part::List(bounded(others)));
    let mut open: Vec<(String, bool)> = Vec::new();
    for message in messages {
        let story = &message.story;
        let is_open = matches!(
            message.kind,
            MessageKind::Firing | MessageKind::Update | MessageKind::Reminder | MessageKind::Acknowledged
        );
        if is_open && !story.service.is_empty() && !open.iter().any(|(name, _)| *name == story.service) {
            open.push((line(&story.service, 100), story.ack.is_some()));
        }
    }
    let commands = match open.as_slice() {
        [] => Vec::new(),
        [(name, looked_after)] => {
            let mut commands = vec![
                (format!("minder ack {name} --reason \"on it\""), ACK),
                (format!("minder silence {name} --for 1h --reason \"on it\""), SILENCE),
                (format!("minder status {name}"), "how it is now"),
            ];
            if *looked_after {
                commands.remove(0);
            }
            commands
        }
        _ => vec![
            ("minder ack NAME --reason \"on it\"".to_owned(), ACK),
            ("minder silence NAME --for 1h --reason \"on it\"".to_owned(), SILENCE),
            ("minder status".to_owned(), "how all is now"),
        ],
    };
    push(parts, Some("What you can do"), Part::Commands(commands));
}

/// Only what a browser opens as a page.
fn link(story: &Story) -> Option<String> {
    let link = line(story.link.as_deref()?, LINE);
    let is_page = link.starts_with("https://") || link.starts_with("http://");
    (is_page && !link.contains(char::is_whitespace)).then_some(link)
}

fn footer(story: &Story, key: &str) -> String {
    line(&format!("minder on {}, message {key}", story.host), LINE)
}
