//! What each preset sends: the exact request for every kind of event that it has words for, to a receiver over real sockets;
//! and what an Alertmanager makes of it.
//!
//! After a wanted change: `INSTA_UPDATE=always cargo nextest run --test presets`, and read the difference.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on ends")]

mod support;

use minder::config::{self, Env, Sources};
use minder::daemon::RealClock;
use minder::model::{
    Ack, Clock, Delivery, Input, Message, MessageId, MessageKind, Parcel, ParcelId, Plan, Severity, Story, StoryRule,
    Wall,
};
use minder::notify::Notifiers;
use serde_json::Value;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;
use support::{Alertmanager, Receiver, Request};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// The secret of every preset that has one.
const SECRET: &str = "hunter2/very secret";

/// 2026-03-01T02:00:00Z
const AT: Wall = Wall(1_772_330_400_000);

/// Each preset with all that it needs; `URL` is the receiver's.
const PRESETS: [(&str, &str); 12] = [
    ("alertmanager", "{ url: URL }"),
    ("cloudevents", "{ url: URL/hook }"),
    ("discord", "{ url: { env: URL } }"),
    ("gotify", "{ url: URL, token: { env: SECRET } }"),
    ("matrix", "{ url: URL, room: \"!abc:example.org\", token: { env: SECRET } }"),
    ("mattermost", "{ url: { env: URL } }"),
    ("ntfy", "{ url: URL, topic: ops, token: { env: SECRET } }"),
    ("opsgenie", "{ url: URL, key: { env: SECRET } }"),
    ("pagerduty", "{ url: URL/v2/enqueue, key: { env: SECRET } }"),
    ("slack", "{ url: { env: URL } }"),
    ("teams", "{ url: { env: URL } }"),
    ("telegram", "{ url: URL, chat: \"@ops\", topic: \"7\", token: { env: SECRET } }"),
];

fn plan(notifiers: &str, url: &str) -> Plan {
    let rules = format!(
        "version: 1\nnotifiers:\n{}\nservices:\n  web: {{ checks: [{{ process: {{ name: web }} }}] }}\n",
        notifiers.replace("env: URL", "env:-U").replace("URL", url).replace("env:-U", "env: URL"),
    );
    let env = Env::from_file_text(&format!("URL={url}/hook\nSECRET={SECRET}")).unwrap();
    let sources = Sources::from_text("presets.yaml", &rules, &env);
    config::parse(&sources).unwrap_or_else(|found| panic!("{}", config::render(&found, &sources, false)))
}

fn message(kind: MessageKind, id: u64) -> Message {
    let over = kind == MessageKind::Resolved;
    let story = Story {
        host: "db1".into(),
        service: "web".into(),
        incident: Some(12),
        severity: Some(Severity::Critical),
        status: if over { "ok" } else { "critical" }.into(),
        title: "web: http failed 3 of 5 (503)".into(),
        since: Some(Wall(AT.0 - 60_000)),
        ended: over.then_some(AT),
        rules: vec![StoryRule {
            rule: "http".into(),
            condition: "http.failed for 3 of 5".into(),
            value: "http.failed yes".into(),
            note: Some("status \"503\"".into()),
            since: Wall(AT.0 - 60_000),
        }],
        tags: vec!["front".into()],
        ack: (kind == MessageKind::Acknowledged).then(|| Ack {
            by: "anna".into(),
            reason: "on it".into(),
            since: AT,
            until: None,
        }),
        link: Some("https://minder.example.org/services/web".into()),
        ..Story::default()
    };
    let key = format!("3f9a02c177-{id}");
    let (to, state, steps) = ("it".into(), Default::default(), Vec::new());
    Message { id: MessageId(id), key, to, kind, at: AT, expires: AT, story, state, steps }
}

struct Sent {
    notifiers: Notifiers,
    inputs: UnboundedReceiver<Input>,
    last: u64,
}

impl Sent {
    fn new(plan: &Plan) -> Sent {
        let (sender, inputs) = unbounded_channel();
        Sent { notifiers: Notifiers::new(plan, sender, Arc::new(RealClock)), inputs, last: 0 }
    }

    /// What comes of these in one parcel. No outcome ever holds a secret.
    async fn send(&mut self, messages: Vec<Message>) -> Delivery {
        self.last += 1;
        let first = &messages[0];
        let (key, to) = (first.key.clone(), first.to.clone());
        let messages = messages.into_iter().map(Arc::new).collect();
        let parcel = Parcel { id: ParcelId(self.last), key, to, messages, others: Vec::new() };
        self.notifiers.send(parcel, std::future::ready(()));
        let input =
            tokio::time::timeout(Duration::from_secs(20), self.inputs.recv()).await.expect("no outcome in time");
        let Some(Input::Delivered { outcome, .. }) = input else { panic!("{input:?}") };
        assert!(!format!("{outcome:?}").contains("hunter2"), "{outcome:?}");
        outcome
    }

    async fn takes(&mut self, messages: Vec<Message>) {
        assert_eq!(self.send(messages).await, Delivery::Delivered { plainly: None });
    }
}

/// The request, without what differs from run to run, and with minder's own words, which have tests of their own, named.
fn shown(request: &Request, words: &[(String, &str)], port: u16) -> String {
    let mut text = request.line.replace(" HTTP/1.1", "") + "\n";
    let mut headers = request.headers.clone();
    headers.retain(|(name, _)| !matches!(name.as_str(), "host" | "accept" | "user-agent" | "content-length"));
    headers.sort();
    for (name, value) in &headers {
        writeln!(text, "{name}: {value}").unwrap();
    }
    let mut body = request.json();
    name_words(&mut body, words);
    text + "\n" + &serde_json::to_string_pretty(&body).unwrap().replace(&port.to_string(), "PORT")
}

fn name_words(value: &mut Value, words: &[(String, &str)]) {
    match value {
        Value::String(text) => words.iter().for_each(|(said, name)| *text = text.replace(said, name)),
        Value::Array(list) => list.iter_mut().for_each(|value| name_words(value, words)),
        Value::Object(map) => map.values_mut().for_each(|value| name_words(value, words)),
        _ => {}
    }
}

#[tokio::test]
async fn every_preset_sends_what_its_receiver_reads() {
    use MessageKind::{Acknowledged, Firing, Resolved, Update};
    let mut shipped: Vec<String> = std::fs::read_dir("rules/presets")
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    shipped.sort();
    assert_eq!(shipped, PRESETS.map(|(name, _)| name), "a preset without a test");

    let receiver = Receiver::start();
    let url = format!("http://127.0.0.1:{}", receiver.port);
    for (name, with) in PRESETS {
        let mut sent = Sent::new(&plan(&format!("  it: {{ webhook: {{ preset: {name}, with: {with} }} }}"), &url));
        let mut plain = Sent::new(&plan("  it: { webhook: { url: URL/words } }", &url));
        let mut all = String::new();
        for (id, kind) in (1..).zip([Firing, Update, Acknowledged, Resolved]) {
            plain.takes(vec![message(kind, id)]).await;
            let words = receiver.requests().last().unwrap().json();
            let word = |name: &str| words["data"][name].as_str().unwrap().to_owned();
            sent.takes(vec![message(kind, id)]).await;
            let request = receiver.requests().last().unwrap().clone();
            let words = [(word("text"), "(the text)"), (word("summary"), "(the summary)")];
            write!(all, "=== {kind}\n{}\n\n", shown(&request, &words, receiver.port)).unwrap();
        }
        insta::with_settings!({ snapshot_path => "presets", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(name, all);
        });
    }
}

#[tokio::test]
async fn several_messages_go_in_one_request() {
    let receiver = Receiver::start();
    let url = format!("http://127.0.0.1:{}", receiver.port);
    for (name, with) in PRESETS {
        let plan = plan(&format!("  it: {{ webhook: {{ preset: {name}, with: {with} }} }}"), &url);
        if !plan.notifiers["it"].place.takes_many() {
            assert!(matches!(name, "cloudevents" | "opsgenie" | "pagerduty"), "{name}");
            continue;
        }
        let mut other = message(MessageKind::Firing, 2);
        other.story.title = "database: tcp.refused".into();
        (other.story.service, other.story.incident) = ("database".into(), Some(13));
        Sent::new(&plan).takes(vec![message(MessageKind::Firing, 1), other]).await;
        let body = receiver.requests().last().unwrap().body.clone();
        let both = ["3 of 5", "database"].iter().all(|part| body.contains(part));
        assert!(both, "{name}: {body}");
    }
}

/// A preset of the rule files goes before one that comes with minder, and needs no building.
#[tokio::test]
async fn a_preset_of_ones_own() {
    let receiver = Receiver::start();
    let url = format!("http://127.0.0.1:{}", receiver.port);
    let notifiers = "  it: { webhook: { preset: slack, with: { to: \"+4912\" }, headers: { X-Team: ops } } }
presets:
  slack:
    about: a text message, whatever its name
    params: { to: { about: the number }, from: { about: the sender, default: minder } }
    method: PUT
    url: URL/sms/{{ with.to | urlencode }}
    headers: { Content-Type: text/plain, X-Kind: \"{{ kind }}\", X-None: \"{{ ended }}\" }
    body: \"{{ with.from }}: {{ title }}\"";
    Sent::new(&plan(notifiers, &url)).takes(vec![message(MessageKind::Firing, 1)]).await;
    let request = receiver.requests()[0].clone();
    assert_eq!(request.line, "PUT /sms/%2B4912 HTTP/1.1");
    assert_eq!(request.body, "minder: web: http failed 3 of 5 (503)");
    assert_eq!((request.header("content-type"), request.header("x-kind")), (Some("text/plain"), Some("firing")));
    assert_eq!((request.header("x-team"), request.header("x-none")), (Some("ops"), None));
}

#[tokio::test]
async fn what_a_receiver_repeats_of_a_secret_is_not_shown() {
    for echo in [SECRET, "hunter2%2Fvery%20secret", "hunter2%2Fvery+secret"] {
        let answer = format!("400 Bad\r\ncontent-length: {}\r\n\r\n{echo}", echo.len());
        let receiver = Receiver::answering(&[&answer]);
        let url = format!("http://127.0.0.1:{}", receiver.port);
        let notifiers = "  it: { webhook: { preset: gotify, with: { url: URL, token: { env: SECRET } } } }";
        let outcome = Sent::new(&plan(notifiers, &url)).send(vec![message(MessageKind::Firing, 1)]).await;
        assert!(matches!(&outcome, Delivery::Refused { why } if &**why == "status 400: [secret]"), "{outcome:?}");
    }
}

/// What comes from a service calls nobody in a chat.
#[tokio::test]
async fn nobody_is_called_by_what_a_message_says() {
    let receiver = Receiver::start();
    let url = format!("http://127.0.0.1:{}", receiver.port);
    let mut message = message(MessageKind::Firing, 1);
    message.story.title = "<!channel> & `@all` ```".into();
    message.story.rules[0].note = Some(message.story.title.clone());
    for (name, texts) in
        [("slack", &["&lt;!channel&gt; &amp;"][..]), ("discord", &["\"parse\": []"]), ("mattermost", &[])]
    {
        let notifiers = format!("  it: {{ webhook: {{ preset: {name}, with: {{ url: {{ env: URL }} }} }} }}");
        Sent::new(&plan(&notifiers, &url)).takes(vec![message.clone()]).await;
        let request = receiver.requests().last().unwrap().clone();
        let text = request.json()["text"].as_str().unwrap_or_default().to_owned();
        assert!(
            texts.iter().all(|part| text.contains(part) || request.body.contains(part)),
            "{name}: {}",
            request.body
        );
        assert_eq!(
            text.matches("```").count(),
            if name == "mattermost" {
                2
            } else if name == "slack" {
                1
            } else {
                0
            }
        );
    }
}

/// Debian's Alertmanager has the alert while it fires, and none once it is over.
#[tokio::test]
async fn an_alertmanager_has_the_alert_while_it_fires() {
    let alertmanager = Alertmanager::start();
    let url = format!("http://127.0.0.1:{}", alertmanager.port);
    let mut sent = Sent::new(&plan("  it: { webhook: { preset: alertmanager, with: { url: URL } } }", &url));
    let now = RealClock.now().wall;
    let at = |kind, id, severity| {
        let mut message = message(kind, id);
        message.at = now;
        (message.story.since, message.story.severity) = (Some(Wall(now.0 - 60_000)), Some(severity));
        message.story.ended = (kind == MessageKind::Resolved).then_some(now);
        message
    };
    let severities = || -> Vec<String> {
        let alerts = alertmanager.alerts();
        let severity = |alert: &Value| alert["labels"]["severity"].as_str().unwrap().to_owned();
        alerts.as_array().unwrap().iter().map(severity).collect()
    };
    sent.takes(vec![at(MessageKind::Firing, 1, Severity::Warning)]).await;
    assert_eq!(severities(), ["warning"]);
    let alert = alertmanager.alerts()[0].clone();
    assert_eq!((&alert["labels"]["service"], &alert["labels"]["instance"]), (&"web".into(), &"db1".into()));
    sent.takes(vec![at(MessageKind::Reminder, 2, Severity::Warning)]).await;
    assert_eq!(severities(), ["warning"], "it is the same one");
    sent.takes(vec![at(MessageKind::Update, 3, Severity::Critical)]).await;
    assert_eq!(severities(), ["critical"]);
    sent.takes(vec![at(MessageKind::Resolved, 4, Severity::Critical)]).await;
    assert_eq!(severities(), [] as [&str; 0]);
}
