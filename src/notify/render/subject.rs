//! The message in one line, the worst words first: `[minder] CRITICAL web on db1: http failed 3 of 5 (503)`.

use super::words::{is_mended_death, lasted, remedy, rough, rule, title, was, who, wrong};
use super::{Mark, line};
use crate::model::{Message, MessageKind};
use std::sync::Arc;

/// Longest subject, in characters; mail programs and phones cut it much earlier.
const SUBJECT: usize = 160;

/// Longest name of a service or host in it.
const NAME: usize = 64;

/// So many services are named in the subject of several messages.
const NAMED: usize = 3;

/// Of one message.
pub(in crate::notify) fn subject(message: &Message) -> String {
    // Nothing is the matter with minder in a test.
    let who = if message.story.test { String::new() } else { format!(" {}", line(who(&message.story), NAME)) };
    whole(mark(message), &who, message, &news(message))
}

/// Of several, the worst of them first.
pub(super) fn of_parcel(messages: &[Arc<Message>]) -> String {
    let Some(first) = messages.first() else { return String::new() };
    if messages.len() == 1 {
        return subject(first);
    }
    let (over, open): (Vec<&Arc<Message>>, Vec<_>) = messages.iter().partition(|message| mark(message) == Mark::Ok);
    let (told, well) = if open.is_empty() { (&over, 0) } else { (&open, distinct(&over).len()) };
    let names = distinct(told);
    let mark = told.iter().map(|message| mark(message)).max().unwrap_or(Mark::Ok);
    let well = if well == 0 { String::new() } else { format!("; {well} well again") };
    if let [name] = names.as_slice() {
        let more = if told.len() == 1 { String::new() } else { format!("; {} more of it", told.len() - 1) };
        let news = told.first().map(|message| news(message)).unwrap_or_default();
        return whole(mark, &format!(" {name}"), first, &format!("{news}{more}{well}"));
    }
    let rest = match names.len().saturating_sub(NAMED) {
        0 => String::new(),
        rest => format!(" and {rest} more"),
    };
    let named = names.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    whole(mark, &format!(" {} services", names.len()), first, &format!("{named}{rest}{well}"))
}

fn whole(mark: Mark, who: &str, of: &Message, news: &str) -> String {
    let host = line(&of.story.host, NAME);
    line(&format!("[minder] {}{who} on {host}: {news}", mark.word()), SUBJECT)
}

fn distinct(messages: &[&Arc<Message>]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for message in messages {
        let name = line(who(&message.story), NAME);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// How bad it is.
pub(super) fn mark(message: &Message) -> Mark {
    match message.kind {
        _ if message.story.test => Mark::Test,
        // Nobody has heard of the death before, and somebody has to look into it.
        MessageKind::Resolved if is_mended_death(message) => Mark::of(message.story.severity),
        MessageKind::Resolved => Mark::Ok,
        MessageKind::Notice => Mark::Notice,
        // When nobody looks after it any more, it is as bad as before.
        MessageKind::Acknowledged if message.story.ack.is_some() => Mark::Acknowledged,
        MessageKind::Acknowledged => Mark::of(message.story.severity),
        MessageKind::Firing | MessageKind::Update | MessageKind::Reminder => Mark::of(message.story.severity),
    }
}

/// What is new, without whose it is.
pub(super) fn news(message: &Message) -> String {
    let story = &message.story;
    let wrong = || wrong(story);
    let remedy = || remedy(&story.actions).map(|done| format!(", {done}")).unwrap_or_default();
    let remark = || story.remark.as_ref().map(|remark| format!("; {remark}")).unwrap_or_default();
    let lasted = lasted(story).map(rough);
    let since = story.since.map(|since| rough(message.at - since));
    match message.kind {
        MessageKind::Resolved if story.test => "the test is over: nothing was wrong".to_owned(),
        MessageKind::Firing => format!("{}{}{}", wrong(), remedy(), remark()),
        MessageKind::Update if story.status == "given up" => format!("given up: {}{}{}", wrong(), remedy(), remark()),
        MessageKind::Update => format!("{}{}{}", wrong(), remedy(), remark()),
        MessageKind::Reminder => {
            let since = since.map(|since| format!(" after {since}")).unwrap_or_default();
            format!("still wrong{since}: {}", wrong())
        }
        MessageKind::Acknowledged => match &story.ack {
            Some(ack) => format!("{} looks after it ({})", ack.by, wrong()),
            None => format!("nobody looks after it any more ({}){}", wrong(), remark()),
        },
        MessageKind::Resolved if story.service.is_empty() => {
            format!("{}{}", title(story), lasted.map(|lasted| format!(" after {lasted}")).unwrap_or_default())
        }
        MessageKind::Resolved if is_mended_death(message) => {
            let lasted = lasted.map(|lasted| format!(" after {lasted}")).unwrap_or_default();
            format!("{}{}, up again{lasted}", wrong(), remedy())
        }
        MessageKind::Resolved if story.whole => {
            let lasted = lasted.map(|lasted| format!(" for {lasted}")).unwrap_or_default();
            format!("was {}{lasted} ({}){}", was(story), wrong(), remedy())
        }
        MessageKind::Resolved => {
            format!("well again{}{}", lasted.map(|lasted| format!(" after {lasted}")).unwrap_or_default(), remark())
        }
        MessageKind::Notice => story.rules.first().map_or_else(|| title(story).to_owned(), rule),
    }
}
