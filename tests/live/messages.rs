//! Messages on their way, with minder as a whole.

use super::SOON;
use super::support::{Mailbox, Minder, Receiver, stays, wait_for, wait_until};
use std::collections::BTreeSet;
use std::time::Duration;

#[test]
fn mail_goes_by_starttls_with_a_log_in() {
    let (mailbox, ca) = Mailbox::with_starttls("minder:hunter2-very-secret");
    let mut minder = Minder::new();
    minder.env = vec![("MAIL_PASSWORD", "hunter2-very-secret".to_owned())];
    minder.write(&format!(
        r#"
mail: {{ server: "{}", ca: {}, user: minder, password: {{ env: MAIL_PASSWORD }}, from: minder@example.org }}
notifiers:
  ops: {{ email: {{ to: [ops@example.org] }} }}
services:
  root: {{ checks: [file: /] }}
"#,
        mailbox.address(),
        ca.display(),
    ));
    minder.start();
    let shown = minder.ok(&["notify-test", "ops"]);
    mailbox.wait(SOON, &["this is a test of ops"]);
    assert_eq!(mailbox.mails().len(), 2, "the firing and its resolving");
    let mut said = shown.lines();
    for line in [
        "> EHLO ",
        "< 250-STARTTLS",
        "> STARTTLS",
        "< 220 ",
        "> EHLO ",
        "< 250-AUTH ",
        "> AUTH PLAIN [secret]",
        "< 235 ",
        "> MAIL FROM:<minder@example.org>",
        "< 250 ",
        "> RCPT TO:<ops@example.org>",
        "< 250 ",
        "> DATA",
        "< 354 ",
        "> Subject: ",
        "> .",
        "< 250 ",
        "> QUIT",
        "--- resolved",
        "> AUTH PLAIN [secret]",
        "> .",
        "< 250 ",
    ] {
        assert!(said.any(|said| said.starts_with(line)), "{line} is not in this order in\n{shown}");
    }
    assert!(!shown.contains("hunter2") && !shown.contains("AG1pbmRlcgBodW50ZXIy"), "{shown}");
    let status = minder.ok(&["status", "--json"]);
    assert!(!(minder.log() + &status + &minder.history()).contains("hunter2"), "a secret was shown");
}

#[test]
fn mail_that_is_put_off_arrives_later_and_once() {
    let mailbox = Mailbox::start();
    let mut minder = Minder::new();
    minder.write(&format!(
        "mail: {{ server: \"{}\", tls: none, from: minder@example.org }}\nnotifiers:\n  \
         ops: {{ email: {{ to: [ops@example.org, once@example.org] }} }}\n\
         services:\n  gone:\n    notify: [ops]\n    checks:\n      - file: {}/gone\n        every: 1s\n",
        mailbox.address(),
        minder.dir().display()
    ));
    minder.start();
    mailbox.wait(SOON, &["X-RcptTo: ops@example.org", "gone on ", "file missing"]);
    mailbox.wait(SOON, &["X-RcptTo: once@example.org", "gone on ", "file missing"]);
    stays("nobody gets it twice", Duration::from_secs(2), || mailbox.mails().len() == 2);
}

#[test]
fn a_webhook_that_fails_gets_its_message_later() {
    let receiver = Receiver::answering(&["503 Busy"]);
    let mut minder = Minder::new();
    minder.write(&format!(
        "notifiers:\n  chat: {{ webhook: {{ url: \"{}\" }} }}\n\
         services:\n  gone:\n    notify: [chat]\n    checks:\n      - file: {}/gone\n        every: 1s\n",
        receiver.url(),
        minder.dir().display()
    ));
    minder.start();
    wait_until("it is tried again", SOON, || receiver.requests().len() == 2);
    let ids: Vec<_> = receiver.requests().iter().map(|r| r.json()["id"].clone()).collect();
    assert_eq!(ids[0], ids[1], "the same message");
}

#[test]
fn a_test_message_arrives_or_the_reason_is_said() {
    let receiver = Receiver::answering(&["204 Good", "204 Good", "404 Gone"]);
    let mut minder = Minder::new();
    minder.write(&format!(
        "notifiers:\n  chat: {{ webhook: {{ url: \"{}\" }} }}\nservices:\n  root: {{ checks: [file: /] }}\n",
        receiver.url()
    ));
    minder.start();
    let shown = minder.ok(&["notify-test", "chat"]);
    let (firing, resolved) = (receiver.requests()[0].json(), receiver.requests()[1].json());
    assert_eq!((&firing["type"], &resolved["type"]), (&"minder.firing".into(), &"minder.resolved".into()));
    assert_eq!((&firing["data"]["test"], &firing["data"]["thread"]), (&true.into(), &resolved["data"]["thread"]));
    for line in ["--- firing", "> POST http", "> idempotency-key: ", "< HTTP/1.1 204 ", "--- resolved"] {
        assert!(shown.lines().any(|said| said.starts_with(line)), "{line} is not in\n{shown}");
    }
    let output = minder.run(&["notify-test", "chat"]);
    let words = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && words.contains("404"), "{words}");
}

#[test]
fn a_test_of_a_command_and_of_a_preset_shows_no_secret() {
    let receiver = Receiver::start();
    let mut minder = Minder::new();
    minder.env = vec![("MAIL_PASSWORD", "hunter2-very-secret".to_owned())];
    minder.write(&format!(
        r#"
notifiers:
  script: {{ exec: {{ shell: "cat >/dev/null; echo took it with $TOKEN", environment: {{ TOKEN: {{ env: MAIL_PASSWORD }} }} }} }}
  duty: {{ webhook: {{ preset: pagerduty, with: {{ url: "{}", key: {{ env: MAIL_PASSWORD }} }} }} }}
services:
  root: {{ checks: [file: /] }}
"#,
        receiver.url()
    ));
    minder.start();
    let shown = minder.ok(&["notify-test", "script"]);
    assert_eq!(shown.lines().filter(|line| *line == "< took it with [secret]").count(), 2, "{shown}");
    let shown = minder.ok(&["notify-test", "duty"]);
    assert!(shown.contains("\"routing_key\": \"[secret]\"") && !shown.contains("hunter2"), "{shown}");
    let (firing, resolved) = (receiver.requests()[0].json(), receiver.requests()[1].json());
    assert_eq!((&firing["event_action"], &resolved["event_action"]), (&"trigger".into(), &"resolve".into()));
    assert_eq!(firing["dedup_key"], resolved["dedup_key"], "what the test has opened is closed");
}

#[test]
fn a_command_finds_the_facts_in_its_environment() {
    let mut minder = Minder::new();
    let (gone, facts) = (minder.dir().join("gone"), minder.dir().join("facts"));
    minder.write(&format!(
        r#"
services:
  gone:
    checks: [file: {gone}]
    rules:
      - name: lost
        when: file.missing
        severity: critical
        then:
          - exec: {{ shell: "env | grep ^MINDER_ | sort > {facts}.new; mv {facts}.new {facts}" }}
"#,
        gone = gone.display(),
        facts = facts.display()
    ));
    minder.start();
    wait_until("it was run", SOON, || facts.exists());
    assert_eq!(
        std::fs::read_to_string(facts).unwrap(),
        "MINDER_CONDITION=file.missing\nMINDER_EVENT=firing\nMINDER_INCIDENT=1\nMINDER_RULE=lost\n\
         MINDER_SERVICE=gone\nMINDER_SEVERITY=critical\nMINDER_VALUE=file.missing\n"
    );
}

/// A minder whose file `there` is missing, which `chat` is to hear.
fn missing(receiver: &Receiver) -> Minder {
    let minder = Minder::new();
    minder.write(&format!(
        "notifiers:\n  chat: {{ webhook: {{ url: \"{}\" }} }}\n\
         services:\n  gone:\n    notify: [chat]\n    checks:\n      - file: {}/there\n        every: 200ms\n",
        receiver.url(),
        minder.dir().display()
    ));
    minder
}

/// The pauses between what has arrived, in seconds.
fn pauses(receiver: &Receiver) -> Vec<f64> {
    let times: Vec<_> = receiver.requests().iter().map(|request| request.at).collect();
    times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect()
}

#[test]
fn a_receiver_that_is_out_of_order_is_tried_less_and_less_often_and_gets_each_message_once() {
    let receiver = Receiver::answering(&["500 Broken", "502 Worse", "500 Broken"]);
    let mut minder = missing(&receiver);
    minder.start();
    let status = || minder.any(&["status"]);
    wait_for(
        || format!("people see that it waits, and why: {}", status()),
        SOON,
        || {
            let status = status();
            (status.contains("1 message waits for chat") && status.contains("status 50")).then_some(())
        },
    );
    wait_until("it is taken in the end", SOON, || receiver.requests().len() == 4);
    let pauses = pauses(&receiver);
    assert!(pauses[0] > 0.7 && pauses.windows(2).all(|pair| pair[1] > 1.2 * pair[0]), "{pauses:?}");
    let keys: BTreeSet<_> = receiver.requests().iter().map(|request| request.json()["id"].to_string()).collect();
    assert_eq!(keys.len(), 1, "one message");
    wait_until("nothing waits any more", SOON, || !status().contains("chat"));
    // It has proved itself: the next trouble is not held against it.
    std::fs::write(minder.dir().join("there"), "").unwrap();
    wait_until("the end comes at once", SOON, || receiver.requests().len() == 5);
    assert_eq!(receiver.requests()[4].json()["type"], "minder.resolved");
    stays("and nothing more", Duration::from_secs(2), || receiver.requests().len() == 5);
}

#[test]
fn a_receiver_says_when_it_wants_to_be_tried_again() {
    let receiver = Receiver::answering(&["429 Slowly\r\nretry-after: 3"]);
    let mut minder = missing(&receiver);
    minder.start();
    wait_until("it is tried again", SOON, || receiver.requests().len() == 2);
    let pauses = pauses(&receiver);
    assert!(pauses[0] >= 2.9, "{pauses:?}");
}

#[test]
fn what_failed_and_recovered_while_nobody_listened_is_one_message() {
    let receiver = Receiver::answering(&["500 Broken", "500 Broken"]);
    let mut minder = missing(&receiver);
    minder.start();
    wait_until("it is tried", SOON, || receiver.requests().len() == 1);
    std::fs::write(minder.dir().join("there"), "").unwrap();
    minder.wait_status("gone", "ok", SOON);
    let is_end = || receiver.requests().last().is_some_and(|last| last.json()["type"] == "minder.resolved");
    wait_until("its end is told", SOON, || receiver.requests().len() >= 3 && is_end());
    stays("and it alone", Duration::from_secs(2), || receiver.requests().len() == 3);
    let taken = receiver.requests()[2].json();
    assert_eq!(taken["data"]["service"], "gone");
    let text = taken["data"].to_string();
    assert!(text.contains("file.missing"), "it says what was wrong: {text}");
}
