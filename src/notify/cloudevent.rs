//! A message as a CloudEvents 1.0 event in JSON, structured mode: what a webhook and a command get.
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>

use crate::model::{MessageFacts, MessageKind, Told};
use serde::Serialize;

/// The attributes of the event.
#[derive(Serialize)]
struct Event<'a> {
    specversion: &'static str,
    /// The same for every attempt at it, so that doubles can be told.
    id: &'a str,
    /// `minder://HOST/SERVICE`
    source: String,
    /// `minder.firing`, `minder.update`, `minder.resolved`, `minder.notice` or `minder.test`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// When the message was written, in UTC.
    time: Option<&'a str>,
    /// The service; not there in a test, and where the message is about minder itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    datacontenttype: &'static str,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    #[serde(flatten)]
    facts: &'a MessageFacts,
    /// What else is failing now.
    others: &'a [String],
}

/// The event, as bytes of JSON.
pub(super) fn json(told: &Told) -> Vec<u8> {
    let facts = &told.worst;
    let event = Event {
        specversion: "1.0",
        id: &facts.key,
        source: format!("minder://{}/{}", uri(&facts.host), uri(&facts.service)),
        kind: match facts.kind {
            MessageKind::Firing => "minder.firing",
            MessageKind::Update => "minder.update",
            MessageKind::Resolved => "minder.resolved",
            MessageKind::Reminder => "minder.reminder",
            MessageKind::Acknowledged => "minder.acknowledged",
            MessageKind::Notice => "minder.notice",
        },
        time: facts.at.as_deref(),
        subject: (!facts.service.is_empty()).then_some(&facts.service),
        datacontenttype: "application/json",
        data: Data { facts, others: &told.others },
    };
    // Strings, numbers and structs only: serde_json cannot fail on these.
    serde_json::to_vec(&event).unwrap_or_default()
}

/// Names of services need no escaping; a host name has been seen that does.
fn uri(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Message;
    use crate::notify::render::tests::{firing, test};
    use crate::notify::template::tests::told;

    fn event(message: Message) -> serde_json::Value {
        serde_json::from_slice(&json(&told(message))).unwrap()
    }

    #[test]
    fn an_event_has_the_attributes_of_the_specification() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&without_text(event(firing()))).unwrap());
    }

    #[test]
    fn a_test_has_no_subject() {
        let event = event(test());
        assert_eq!(event["type"], "minder.firing");
        assert_eq!(event["data"]["test"], true);
        assert_eq!(event["source"], "minder://db1/");
        assert!(event.get("subject").is_none(), "an empty subject is against the specification");
    }

    #[test]
    fn control_characters_and_odd_hosts_do_no_harm() {
        let mut message = firing();
        message.story.host = "a b/\u{1b}[2J".to_owned();
        message.story.log = vec!["\u{1b}[31mred\u{202e}".to_owned()];
        let text = String::from_utf8(json(&told(message))).unwrap();
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
