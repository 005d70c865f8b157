//! By mail, to a real SMTP server.

use super::support::{Mailbox, free_port};
use super::{SECRET, message, plan, secret, start};
use minder::model::{Delivery, EmailSpec, Given, Mail, MailTls, NotifierPlace, Secret};
use std::time::Duration;

fn email(to: &[&str]) -> NotifierPlace {
    NotifierPlace::Email(EmailSpec { to: to.iter().map(|t| Given::literal(*t)).collect() })
}

fn mail(servers: &[String], tls: MailTls) -> Mail {
    let server = servers.iter().map(|s| Given::literal(s.as_str())).collect();
    Mail { server, tls, ca: None, user: None, password: None, from: Given::literal("Minder <minder@example.org>") }
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
