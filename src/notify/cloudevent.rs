//! A message as a CloudEvents 1.0 event in JSON, structured mode: what a webhook and a command get.
//!
//! The names are for receivers to rely on: they are added to, never changed.
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>

use super::render;
use crate::model::{Message, MessageKind, Severity, Wall, plain};
use serde::Serialize;

/// The attributes of the event.
#[derive(Serialize)]
struct Event {
    specversion: &'static str,
    /// The key of the message: the same for every attempt at it, so that doubles can be told.
    id: String,
    /// `minder://HOST/SERVICE`
    source: String,
    /// `minder.firing`, `minder.update`, `minder.resolved`, `minder.notice` or `minder.test`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// When the message was written, in UTC.
    time: Option<String>,
    /// The service; not there in a test, and where the message is about minder itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    datacontenttype: &'static str,
    data: Data,
}

/// The story. Times are RFC 3339 in UTC; what is not known is null.
#[derive(Serialize)]
struct Data {
    /// All in one line: the subject of a mail.
    summary: String,
    /// All in words: the body of a mail.
    text: String,
    host: String,
    service: String,
    description: Option<String>,
    /// The incident's number.
    incident: Option<u64>,
    /// `info`, `warning` or `critical`.
    severity: Option<Severity>,
    /// Of the service, now: `ok`, `warning`, `critical`, `unknown`, `paused`, `stopped` or `given up`.
    status: String,
    title: String,
    /// Since when something is wrong.
    since: Option<String>,
    /// When it ended.
    ended: Option<String>,
    rules: Vec<Rule>,
    /// How the process died.
    death: Option<String>,
    actions: Vec<Action>,
    /// The last lines of the service's log.
    log: Vec<String>,
    /// What to do, where that is known.
    advice: Vec<String>,
}

#[derive(Serialize)]
struct Rule {
    rule: String,
    /// The condition, and the hold.
    condition: String,
    /// The values and limits, in words.
    value: String,
    /// What the probe said.
    note: Option<String>,
    since: Option<String>,
}

#[derive(Serialize)]
struct Action {
    action: String,
    /// Null while it is under way.
    ok: Option<bool>,
    /// What came of it.
    words: String,
}

/// The event, as bytes of JSON.
pub(super) fn json(message: &Message) -> Vec<u8> {
    let story = &message.story;
    let opt = |text: &Option<String>| text.as_deref().map(clean);
    let event = Event {
        specversion: "1.0",
        id: message.key.clone(),
        source: format!("minder://{}/{}", uri(&story.host), uri(&story.service)),
        kind: match message.kind {
            MessageKind::Firing => "minder.firing",
            MessageKind::Update => "minder.update",
            MessageKind::Resolved => "minder.resolved",
            MessageKind::Reminder => "minder.reminder",
            MessageKind::Acknowledged => "minder.acknowledged",
            MessageKind::Notice => "minder.notice",
            MessageKind::Test => "minder.test",
        },
        time: time(message.at),
        subject: (!story.service.is_empty()).then(|| clean(&story.service)),
        datacontenttype: "application/json",
        data: Data {
            summary: render::subject(message),
            text: render::body(message, &jiff::tz::TimeZone::system()),
            host: clean(&story.host),
            service: clean(&story.service),
            description: opt(&story.description),
            incident: story.incident,
            severity: story.severity,
            status: clean(&story.status),
            title: clean(&story.title),
            since: story.since.and_then(time),
            ended: story.ended.and_then(time),
            rules: (story.rules.iter())
                .map(|r| Rule {
                    rule: clean(&r.rule),
                    condition: clean(&r.condition),
                    value: clean(&r.value),
                    note: opt(&r.note),
                    since: time(r.since),
                })
                .collect(),
            death: opt(&story.death),
            actions: (story.actions.iter())
                .map(|a| Action { action: clean(&a.action), ok: a.ok, words: clean(&a.words) })
                .collect(),
            log: story.log.iter().map(|line| clean(line)).collect(),
            advice: story.advice.iter().map(|line| clean(line)).collect(),
        },
    };
    // Strings, numbers and structs only: serde_json cannot fail on these.
    serde_json::to_vec(&event).unwrap_or_default()
}

/// RFC 3339; nothing if it is beyond the year 9999.
fn time(at: Wall) -> Option<String> {
    jiff::Timestamp::from_millisecond(at.0).ok().map(|t| t.to_string())
}

/// Names of services need no escaping; a host name has been seen that does.
fn uri(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '-' }).collect()
}

fn clean(text: &str) -> String {
    plain(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::render::tests::{firing, test};

    #[test]
    fn an_event_has_the_attributes_of_the_specification() {
        let event: serde_json::Value = serde_json::from_slice(&json(&firing())).unwrap();
        insta::assert_snapshot!(serde_json::to_string_pretty(&without_text(event)).unwrap());
    }

    #[test]
    fn a_test_has_no_subject() {
        let event: serde_json::Value = serde_json::from_slice(&json(&test())).unwrap();
        assert_eq!(event["type"], "minder.test");
        assert_eq!(event["source"], "minder://db1/");
        assert!(event.get("subject").is_none(), "an empty subject is against the specification");
    }

    #[test]
    fn control_characters_and_odd_hosts_do_no_harm() {
        let mut message = firing();
        message.story.host = "a b/\u{1b}[2J".to_owned();
        message.story.log = vec!["\u{1b}[31mred\u{202e}".to_owned()];
        let text = String::from_utf8(json(&message)).unwrap();
        assert!(text.contains("minder://a-b---2J/web"), "{text}");
        assert!(!text.contains("\\u001b") && !text.contains('\u{202e}'), "{text}");
    }

    /// The text is in local time, and has snapshots of its own.
    fn without_text(mut event: serde_json::Value) -> serde_json::Value {
        assert!(event["data"]["text"].as_str().is_some_and(|t| t.contains("killed by SIGSEGV")));
        event["data"]["text"] = "..".into();
        event
    }
}
