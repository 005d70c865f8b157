//! Messages on their way, with minder as a whole.

use super::SOON;
use super::support::{Mailbox, Minder, Receiver, stays, wait_until};
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
    minder.ok(&["notify-test", "ops"]);
    mailbox.wait(SOON, &["test message from minder"]);
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
    let receiver = Receiver::answering(&["204 Good", "404 Gone"]);
    let mut minder = Minder::new();
    minder.write(&format!(
        "notifiers:\n  chat: {{ webhook: {{ url: \"{}\" }} }}\nservices:\n  root: {{ checks: [file: /] }}\n",
        receiver.url()
    ));
    minder.start();
    minder.ok(&["notify-test", "chat"]);
    assert_eq!(receiver.requests()[0].json()["type"], "minder.test");
    let output = minder.run(&["notify-test", "chat"]);
    let words = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && words.contains("404"), "{words}");
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
