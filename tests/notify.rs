//! Messages on their way to real receivers: an SMTP server, and HTTP over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on ends")]

mod support;

use minder::daemon::RealClock;
use minder::model::{
    Clock, Dashboard, Delivery, EmailSpec, Given, HistoryLimits, Input, Mail, MailTls, Message, MessageId, MessageKind,
    Name, Notifier, NotifierPlace, Parcel, ParcelId, Plan, Secret, Story, Times, WebhookSpec,
};
use minder::notify::Notifiers;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use support::{Mailbox, NEVER, Receiver, free_port};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

const SECRET: &str = "hunter2-very-secret";

fn secret() -> Given {
    // A secret comes from somewhere: that it is one can be seen from its source only.
    let mut given: Given = serde_json::from_str(r#"{"env": "A_SECRET"}"#).unwrap();
    given.resolve(SECRET.to_owned());
    given
}

fn email(to: &[&str]) -> NotifierPlace {
    NotifierPlace::Email(EmailSpec { to: to.iter().map(|t| Given::literal(*t)).collect() })
}

fn webhook(url: String) -> NotifierPlace {
    let headers =
        BTreeMap::from([("Authorization".to_owned(), secret()), ("X-Team".to_owned(), Given::literal("ops"))]);
    NotifierPlace::Webhook(WebhookSpec { url: Given::literal(url), headers })
}

fn mail(servers: &[String], tls: MailTls) -> Mail {
    let server = servers.iter().map(|s| Given::literal(s.as_str())).collect();
    Mail { server, tls, user: None, password: None, from: Given::literal("Minder <minder@example.org>") }
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

/// One message by itself.
fn parcel(message: Message) -> Parcel {
    Parcel {
        id: ParcelId(message.id.0),
        key: message.key.clone(),
        to: message.to.clone(),
        messages: vec![Arc::new(message)],
        others: Vec::new(),
    }
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
        self.notifiers.send(parcel(message), std::future::ready(()));
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

#[tokio::test]
async fn mail_arrives_whole_and_in_order() {
    let mailbox = Mailbox::start();
    let plan = plan(Some(mail(&[mailbox.address()], MailTls::None)), vec![("ops", email(&["ops@example.org"]))]);
    let mut sent = start(&plan, vec![message(1, "ops")]);
    sent.send(message(2, "ops"));
    assert_eq!(sent.outcome().await, (1, Delivery::Delivered { plainly: None }));
    assert_eq!(sent.outcome().await, (2, Delivery::Delivered { plainly: None }));
    let first = mailbox.wait(Duration::from_secs(5), &["Subject: [db1] web: process.down 1"]);
    for text in [
        "From: Minder <minder@example.org>",
        "To: ops@example.org",
        "Auto-Submitted: auto-generated",
        "Message-ID: <0af3-1@db1>",
        "References: <incident-3.0af3@db1>",
        "pid 812 killed by SIGKILL",
        "ein Fehler trat auf: für immer …",
        &"x".repeat(300),
    ] {
        assert!(first.contains(text), "{text}\n{first}");
    }
    assert_eq!(mailbox.mails().len(), 2);
}

#[tokio::test]
async fn the_second_server_is_asked_when_the_first_is_not_there() {
    let mailbox = Mailbox::start();
    let gone = format!("127.0.0.1:{}", free_port());
    let plan = plan(Some(mail(&[gone, mailbox.address()], MailTls::None)), vec![("ops", email(&["ops@example.org"]))]);
    let mut sent = start(&plan, vec![message(1, "ops")]);
    assert_eq!(sent.outcome().await, (1, Delivery::Delivered { plainly: None }));
    assert_eq!(mailbox.mails().len(), 1);
}

#[tokio::test]
async fn a_mail_server_that_comes_back_gets_what_has_waited() {
    let mailbox = Mailbox::start();
    let gone = format!("127.0.0.1:{}", free_port());
    let notifiers = || vec![("ops", email(&["ops@example.org"]))];
    let mut sent = start(&plan(Some(mail(&[gone], MailTls::None)), notifiers()), vec![message(1, "ops")]);
    assert!(sent.deferred().await.contains("refused"), "a refused connection is no refusal for good");
    sent.notifiers.replan(&plan(Some(mail(&[mailbox.address()], MailTls::None)), notifiers()));
    assert_eq!(sent.outcome().await, (1, Delivery::Delivered { plainly: None }));
}

#[tokio::test]
async fn a_refused_address_is_dead_and_one_that_is_busy_is_not() {
    let mailbox = Mailbox::start();
    let notifiers = vec![
        ("nobody", email(&["nobody@example.org"])),
        ("later", email(&["later@example.org"])),
        ("both", email(&["nobody@example.org", "ops@example.org"])),
    ];
    let plan = plan(Some(mail(&[mailbox.address()], MailTls::None)), notifiers);
    let mut sent = start(&plan, vec![message(1, "nobody")]);
    assert!(sent.dead().await.contains("550"));
    sent.send(message(2, "later"));
    assert!(sent.deferred().await.contains("451"));
    sent.send(message(3, "both"));
    assert_eq!(
        sent.outcome().await,
        (3, Delivery::Delivered { plainly: None }),
        "one bad address does not keep it from the other"
    );
    assert_eq!(mailbox.mails().len(), 1);
}

#[tokio::test]
async fn without_starttls_nothing_is_sent_in_the_clear() {
    let mailbox = Mailbox::start();
    let plan = plan(Some(mail(&[mailbox.address()], MailTls::Starttls)), vec![("ops", email(&["ops@example.org"]))]);
    let mut sent = start(&plan, vec![message(1, "ops")]);
    assert!(sent.deferred().await.contains("STARTTLS"));
    assert!(mailbox.mails().is_empty());
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_gets_no_password() {
    let (mailbox, _) = Mailbox::with_starttls(&format!("minder:{SECRET}"));
    let mut mail = mail(&[mailbox.address()], MailTls::Starttls);
    (mail.user, mail.password) = (Some("minder".into()), Some(Secret(secret())));
    let mut sent = start(&plan(Some(mail), vec![("ops", email(&["ops@example.org"]))]), vec![message(1, "ops")]);
    assert!(sent.deferred().await.contains("certificate"));
    assert!(mailbox.mails().is_empty());
}

#[tokio::test]
async fn a_log_in_is_used_and_a_wrong_one_is_not_shown() {
    let right = Mailbox::with_login(&format!("minder:{SECRET}"));
    let wrong = Mailbox::with_login("minder:another");
    for (mailbox, good) in [(&right, true), (&wrong, false)] {
        let mut mail = mail(&[mailbox.address()], MailTls::None);
        (mail.user, mail.password) = (Some("minder".into()), Some(Secret(secret())));
        let mut sent = start(&plan(Some(mail), vec![("ops", email(&["ops@example.org"]))]), vec![message(1, "ops")]);
        if good {
            assert_eq!(sent.outcome().await, (1, Delivery::Delivered { plainly: None }));
        } else {
            assert!(sent.deferred().await.contains("535"), "a person may put the password right");
        }
    }
}

#[tokio::test]
async fn a_webhook_gets_a_cloudevent() {
    let receiver = Receiver::start();
    let mut sent = start(&plan(None, vec![("chat", webhook(receiver.url()))]), vec![message(1, "chat")]);
    assert_eq!(sent.outcome().await, (1, Delivery::Delivered { plainly: None }));
    let request = &receiver.requests()[0];
    assert_eq!(request.line, "POST /hook HTTP/1.1");
    assert!(request.header("content-type").unwrap().starts_with("application/cloudevents+json"));
    assert_eq!(request.header("authorization"), Some(SECRET));
    assert_eq!(request.header("x-team"), Some("ops"));
    let event = request.json();
    assert_eq!(event["id"], "0af3-1");
    assert_eq!(event["type"], "minder.firing");
    assert_eq!(event["source"], "minder://db1/web");
    assert_eq!(event["data"]["death"], "pid 812 killed by SIGKILL");
    assert!(!request.body.contains(SECRET));
}

#[tokio::test]
async fn a_failing_webhook_is_tried_again_and_keeps_the_order() {
    let receiver = Receiver::answering(&["500 Oh", "429 Slow Down\r\nretry-after: 1"]);
    let waiting = vec![message(1, "chat"), message(2, "chat")];
    let mut sent = start(&plan(None, vec![("chat", webhook(receiver.url()))]), waiting);
    assert_eq!(sent.deferred().await, "status 500");
    assert_eq!(sent.outcome().await, (1, Delivery::Delivered { plainly: None }));
    assert_eq!(sent.outcome().await, (2, Delivery::Delivered { plainly: None }));
    let ids: Vec<_> = receiver.requests().iter().map(|r| r.json()["id"].clone()).collect();
    assert_eq!(ids, ["0af3-1", "0af3-1", "0af3-1", "0af3-2"]);
}

#[tokio::test]
async fn refusals_and_redirections_are_final() {
    let receiver = Receiver::answering(&["404 Not Here", "302 Found\r\nlocation: /elsewhere"]);
    let waiting = vec![message(1, "chat"), message(2, "chat")];
    let mut sent = start(&plan(None, vec![("chat", webhook(receiver.url()))]), waiting);
    assert_eq!(sent.dead().await, "status 404");
    assert_eq!(sent.dead().await, "status 302");
    assert_eq!(receiver.requests().len(), 2, "a redirection is not followed");
}

#[tokio::test]
async fn a_secret_address_is_in_no_error() {
    let mut url: Given = serde_json::from_str(r#"{"env": "CHAT_URL"}"#).unwrap();
    url.resolve(format!("http://127.0.0.1:{}/{SECRET}", free_port()));
    let chat = NotifierPlace::Webhook(WebhookSpec { url, headers: BTreeMap::new() });
    let mut sent = start(&plan(None, vec![("chat", chat)]), vec![message(1, "chat")]);
    assert!(sent.deferred().await.starts_with("could not connect: "));
}

#[tokio::test]
async fn a_receiver_that_hangs_delays_nobody_else() {
    let hung = Receiver::answering(&[NEVER]);
    let well = Receiver::start();
    let notifiers = vec![("hung", webhook(hung.url())), ("well", webhook(well.url()))];
    let mut sent = start(&plan(None, notifiers), vec![message(1, "hung"), message(2, "well")]);
    assert_eq!(sent.outcome().await, (2, Delivery::Delivered { plainly: None }));
}

#[tokio::test]
async fn a_test_is_tried_once_and_does_not_wait_in_the_queue() {
    let gone = webhook(format!("http://127.0.0.1:{}/", free_port()));
    let mut sent = start(&plan(None, vec![("chat", gone)]), vec![message(1, "chat")]);
    sent.deferred().await;
    sent.send(Message { kind: MessageKind::Test, ..message(2, "chat") });
    let (id, outcome) = sent.outcome().await;
    assert!(
        id == 2 && matches!(&outcome, Delivery::Refused { why } if why.starts_with("could not connect")),
        "{outcome:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_for_notifiers_that_are_gone_are_dead() {
    let receiver = Receiver::answering(&[NEVER]);
    let mut sent = start(&plan(None, vec![]), vec![message(1, "chat")]);
    assert!(sent.dead().await.contains("no notifier `chat`"));
    sent.notifiers.replan(&plan(None, vec![("chat", webhook(receiver.url()))]));
    sent.send(message(2, "chat"));
    sent.send(message(3, "chat"));
    support::wait_until("the first is under way", Duration::from_secs(5), || receiver.requests().len() == 1);
    sent.notifiers.shutdown().await;
    assert!(sent.inputs.recv().await.is_none(), "what was not delivered stays in the outbox");
}
