//! Messages on their way to real receivers: an SMTP server, and HTTP over real sockets.
#![allow(clippy::disallowed_methods, reason = "tests start programs")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on ends")]

#[path = "../support/mod.rs"]
mod support;

mod attempts;
mod exec;
mod mail;
mod postfix;
mod web;

use minder::daemon::RealClock;
use minder::model::{
    Clock, Dashboard, Defaults, Delivery, Given, HistoryLimits, Input, Mail, Message, MessageId, MessageKind, Name,
    Notifier, NotifierPlace, Parcel, ParcelId, Plan, Story, Times,
};
use minder::notify::Notifiers;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

const SECRET: &str = "hunter2-very-secret";

fn secret() -> Given {
    // A secret comes from somewhere: that it is one can be seen from its source only.
    let mut given: Given = serde_json::from_str(r#"{"env": "A_SECRET"}"#).unwrap();
    given.resolve(SECRET.to_owned());
    given
}

fn plan(mail: Option<Mail>, notifiers: Vec<(&str, NotifierPlace)>) -> Plan {
    let notifiers = notifiers.into_iter().map(|(name, place)| {
        let name: Name = name.into();
        (name.clone(), Arc::new(Notifier::new(name, place)))
    });
    Plan {
        files: Vec::new(),
        services: Vec::new(),
        notifiers: notifiers.collect(),
        mail,
        dashboard: Dashboard::default(),
        history: HistoryLimits::default(),
        boot_grace: Duration::ZERO,
        brake: Times::default(),
        notify: Vec::new(),
        defaults: Defaults::default(),
        written: BTreeMap::new(),
        directories: Vec::new(),
        maintenance: Vec::new(),
        notes: Vec::new(),
    }
}

fn message(id: u64, to: &str) -> Message {
    let at = RealClock.now().wall;
    let story = Story {
        host: "db1".into(),
        service: "web".into(),
        incident: Some(3),
        status: "critical".into(),
        title: format!("web: process.down {id}"),
        since: Some(at),
        death: Some("pid 812 killed by SIGKILL".into()),
        log: vec!["ein Fehler trat auf: für immer …".into(), "x".repeat(300)],
        ..Story::default()
    };
    let expires = at + Duration::from_secs(3600);
    Message {
        id: MessageId(id),
        key: format!("0af3-{id}"),
        to: to.into(),
        kind: MessageKind::Firing,
        at,
        expires,
        story,
        state: Default::default(),
        steps: Vec::new(),
    }
}

fn parcel(messages: Vec<Message>) -> Parcel {
    let first = &messages[0];
    let (id, key, to) = (ParcelId(first.id.0), first.key.clone(), first.to.clone());
    Parcel { id, key, to, messages: messages.into_iter().map(Arc::new).collect(), others: Vec::new() }
}

struct Sent {
    notifiers: Notifiers,
    inputs: UnboundedReceiver<Input>,
}

fn start(plan: &Plan, waiting: Vec<Message>) -> Sent {
    let (sender, inputs) = unbounded_channel();
    let mut sent = Sent { notifiers: Notifiers::new(plan, sender, Arc::new(RealClock)), inputs };
    waiting.into_iter().for_each(|message| sent.send(message));
    sent
}

impl Sent {
    fn send(&mut self, message: Message) {
        self.send_all(vec![message]);
    }
    /// As one parcel, which has the number of the first.
    fn send_all(&mut self, messages: Vec<Message>) {
        self.notifiers.send(parcel(messages), std::future::ready(()));
    }
    /// The next outcome. No outcome ever holds a secret.
    async fn outcome(&mut self) -> (u64, Delivery) {
        let input =
            tokio::time::timeout(Duration::from_secs(20), self.inputs.recv()).await.expect("no outcome in time");
        let Some(Input::Delivered { parcel, outcome }) = input else { panic!("{input:?}") };
        assert!(!format!("{outcome:?}").contains(SECRET), "{outcome:?}");
        (parcel.0, outcome)
    }
    async fn dead(&mut self) -> String {
        match self.outcome().await {
            (_, Delivery::Refused { why }) => why.to_string(),
            other => panic!("{other:?}"),
        }
    }
    async fn deferred(&mut self) -> String {
        match self.outcome().await {
            (_, Delivery::Deferred { why, .. }) => why.to_string(),
            other => panic!("{other:?}"),
        }
    }
}
