//! By mail, to a real SMTP server.

use super::support::{Mailbox, free_port};
use super::{SECRET, Sent, message, plan, secret, start};
use minder::model::{Authorities, Delivery, EmailSpec, Given, Mail, MailTls, NotifierPlace, Secret};
use std::path::Path;
use std::time::Duration;

fn email(to: &[&str]) -> NotifierPlace {
    NotifierPlace::Email(EmailSpec::new(to.iter().map(|t| Given::literal(*t)).collect()))
}

fn mail(servers: &[String], tls: MailTls) -> Mail {
    let server = servers.iter().map(|s| Given::literal(s.as_str())).collect();
    Mail { server, tls, ca: None, user: None, password: None, from: Given::literal("Minder <minder@example.org>") }
}

#[tokio::test]
async fn mail_arrives_whole() {
    let mailbox = Mailbox::start();
    let plan = plan(Some(mail(&[mailbox.address()], MailTls::None)), vec![("ops", email(&["ops@example.org"]))]);
    let mut sent = start(&plan, vec![message(1, "ops")]);
    assert_eq!(sent.outcome().await, (1, Delivery::Delivered { plainly: None }));
    sent.send(message(2, "ops"));
    assert_eq!(sent.outcome().await, (2, Delivery::Delivered { plainly: None }));
    let first = mailbox.wait(Duration::from_secs(5), &["Message-ID: <0af3-1@db1>"]);
    for text in [
        "From: Minder <minder@example.org>",
        "To: ops@example.org",
        "Auto-Submitted: auto-generated",
        "Subject: [minder] CRITICAL web on db1: process.down 1",
        "List-Id: minder on db1 <ops.minder.db1>",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Type: text/html; charset=utf-8",
        "References: <incident-3.0af3@db1>",
        "In-Reply-To: <incident-3.0af3@db1>",
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
async fn a_server_that_is_not_there_may_be_later() {
    let gone = format!("127.0.0.1:{}", free_port());
    let plan = plan(Some(mail(&[gone], MailTls::None)), vec![("ops", email(&["ops@example.org"]))]);
    let mut sent = start(&plan, vec![message(1, "ops")]);
    assert!(sent.deferred().await.contains("refused"), "a refused connection is no refusal for good");
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

fn secured(address: String, ca: Option<&Path>) -> Mail {
    let mut mail = mail(&[address], MailTls::Starttls);
    mail.ca = ca.map(|ca| Authorities { path: ca.to_str().unwrap().parse().unwrap(), pem: std::fs::read(ca).unwrap() });
    (mail.user, mail.password) = (Some("minder".into()), Some(Secret(secret())));
    mail
}

fn by(mail: Mail) -> Sent {
    start(&plan(Some(mail), vec![("ops", email(&["ops@example.org"]))]), vec![message(1, "ops")])
}

#[tokio::test]
async fn only_a_certificate_that_the_own_authority_vouches_for_gets_a_password() {
    let login = format!("minder:{SECRET}");
    let (mailbox, ca) = Mailbox::with_starttls(&login);
    let why = by(secured(mailbox.address(), None)).deferred().await;
    assert!(why.contains("certificate is not signed by anyone who is trusted"), "{why}");
    let (expired, its) = Mailbox::with_certificate(&login, 2020);
    let why = by(secured(expired.address(), Some(&its))).deferred().await;
    assert!(why.contains("certificate has expired"), "{why}");
    let why = by(secured(mailbox.address(), Some(&its))).deferred().await;
    assert!(why.contains("certificate is not signed by anyone who is trusted"), "{why}");
    assert!(mailbox.mails().is_empty() && expired.mails().is_empty());
    let mut sent = by(secured(mailbox.address(), Some(&ca)));
    assert_eq!(sent.outcome().await, (1, Delivery::Delivered { plainly: None }));
    assert_eq!(mailbox.mails().len(), 1);
}

#[tokio::test]
async fn a_log_in_is_used_by_plain_or_login_and_a_wrong_one_is_not_shown() {
    let login = format!("minder:{SECRET}");
    let good = [Mailbox::with_login(&login), Mailbox::with_login_by_login(&login)];
    let bad = [Mailbox::with_login("minder:another"), Mailbox::with_login_by_login("minder:another")];
    let with_login = |mailbox: &Mailbox| Mail { tls: MailTls::None, ..secured(mailbox.address(), None) };
    for mailbox in &good {
        assert_eq!(by(with_login(mailbox)).outcome().await, (1, Delivery::Delivered { plainly: None }));
    }
    for mailbox in &bad {
        assert!(by(with_login(mailbox)).deferred().await.contains("535"), "a person may put the password right");
    }
    let without = Mail { user: None, password: None, ..with_login(&good[0]) };
    assert!(by(without).deferred().await.contains("530"), "a person may add one");
}

#[tokio::test]
async fn what_becomes_of_a_letter_is_what_the_server_says_last() {
    let mailbox = Mailbox::start();
    let to = |who: &str| vec![("ops", email(&[&format!("{who}@example.org")]))];
    let spare = Mailbox::start();
    let both = [mailbox.address(), spare.address()];
    let with = |who: &str, servers: &[String]| {
        start(&plan(Some(mail(servers, MailTls::None)), to(who)), vec![message(1, "ops")])
    };
    assert!(with("busy", &both[..1]).deferred().await.contains("452"));
    assert!(with("spam", &both[..1]).dead().await.contains("554"));
    assert!(with("spam", &both).dead().await.matches("554").count() == 2, "each server has its say");
    for who in ["cut", "mute"] {
        let why = with(who, &both).deferred().await;
        assert!(why.contains("it has the letter, and did not say that it takes it"), "{why}");
        assert!(spare.mails().is_empty(), "it may have it: nobody else is asked");
    }
}

#[tokio::test]
async fn after_no_answer_the_next_attempt_asks_the_others_first() {
    let cutting = Mailbox::start();
    let gone = format!("127.0.0.1:{}", free_port());
    let mail = mail(&[cutting.address(), gone], MailTls::None);
    let mut sent = start(&plan(Some(mail), vec![("ops", email(&["cut@example.org"]))]), vec![message(1, "ops")]);
    let why = sent.deferred().await;
    assert!(why.contains("did not say") && !why.contains("refused"), "{why}");
    sent.send(message(1, "ops"));
    let why = sent.deferred().await;
    assert!(why.find("refused") < why.find("did not say") && why.contains("refused"), "{why}");
}

#[tokio::test]
async fn who_was_put_off_gets_it_later_and_nobody_twice() {
    let mailbox = Mailbox::start();
    let plan = plan(
        Some(mail(&[mailbox.address()], MailTls::None)),
        vec![("ops", email(&["ops@example.org", "once@example.org", "nobody@example.org"]))],
    );
    let mut sent = start(&plan, vec![message(1, "ops")]);
    let why = sent.deferred().await;
    assert!(why.contains("put off for 1 of 3 addresses") && why.contains("450"), "{why}");
    sent.send(message(1, "ops"));
    assert_eq!(sent.outcome().await, (1, Delivery::Delivered { plainly: None }));
    let mut to: Vec<String> = mailbox.mails().iter().map(|mail| header(mail, "X-RcptTo: ")).collect();
    to.sort();
    assert_eq!(to, ["once@example.org", "ops@example.org"]);
    let ids: Vec<String> = mailbox.mails().iter().map(|mail| header(mail, "Message-ID: ")).collect();
    assert_eq!(ids[0], ids[1], "whoever reads both sees that they are one");
}

#[tokio::test]
async fn no_letter_waits_for_an_acknowledgement_of_its_beginning() {
    let mailbox = Mailbox::start();
    let plan = plan(Some(mail(&[mailbox.address()], MailTls::None)), vec![("ops", email(&["ops@example.org"]))]);
    let mut sent = start(&plan, vec![]);
    let mut fastest = Duration::MAX;
    for id in 1..=10 {
        let began = std::time::Instant::now();
        sent.send(message(id, "ops"));
        assert_eq!(sent.outcome().await, (id, Delivery::Delivered { plainly: None }));
        fastest = fastest.min(began.elapsed());
    }
    assert!(fastest < Duration::from_millis(40), "an acknowledgement may be put off for so long: {fastest:?}");
    println!("{fastest:?}");
}

fn header(mail: &str, name: &str) -> String {
    mail.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name}in {mail}")).to_owned()
}

#[tokio::test]
async fn several_are_one_letter_in_the_thread_of_each_incident() {
    let mailbox = Mailbox::start();
    let plan = plan(Some(mail(&[mailbox.address()], MailTls::None)), vec![("ops", email(&["ops@example.org"]))]);
    let mut sent = start(&plan, vec![]);
    let mut other = message(2, "ops");
    (other.story.service, other.story.incident) = ("db".into(), Some(4));
    sent.send_all(vec![message(1, "ops"), other]);
    assert_eq!(sent.outcome().await, (1, Delivery::Delivered { plainly: None }));
    let letter = mailbox.wait(Duration::from_secs(5), &["Subject: [minder] CRITICAL 2 services on db1: web, db"]);
    let unfolded = letter.replace("\n ", " ");
    assert!(unfolded.contains("References: <incident-3.0af3@db1> <incident-4.0af3@db1>\n"), "{letter}");
    assert_eq!(mailbox.mails().len(), 1);
}
