//! Mail from minder as a whole, to a real server.

use super::support::{Mailbox, Minder, Receiver, free_port, stays, wait_for, wait_until};
use super::{SOON, daemon, signal};
use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

/// `mail` for this port, and notifiers that use it: `ops` with these keys, and whatever follows.
fn mail(port: u16, ops: &str) -> String {
    format!(
        "mail: {{ server: \"127.0.0.1:{port}\", tls: none, from: minder@example.org }}\nnotifiers:\n  ops: {{ {ops} }}\n"
    )
}

/// To an address that the server knows, with this as `group`.
fn to_ops(group: &str) -> String {
    format!("email: {{ to: [ops@example.org] }}, group: {group}")
}

/// A service `gone`, which tells `ops`, and is well as long as there is a file of that name.
fn gone(minder: &Minder) -> String {
    format!(
        "services:\n  gone:\n    notify: [ops]\n    checks:\n      - file: {}/there\n        every: 200ms\n",
        minder.dir().display()
    )
}

/// Subject and text, as one who reads it sees it.
fn subject(mail: &str) -> String {
    let head = mail.split("\n\n").next().unwrap().replace("\n ", " ");
    head.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap().to_owned()
}

#[test]
fn twenty_that_fail_together_are_one_mail_and_so_is_their_end() {
    let mailbox = Mailbox::start();
    let mut minder = Minder::new();
    let (files, away) = (minder.dir().join("files"), minder.dir().join("away"));
    fs::create_dir(&files).unwrap();
    let mut plan =
        mail(mailbox.port, &to_ops("{ every: 6s }")) + "defaults: { notify: [ops], every: 200ms }\nservices:\n";
    for number in 1..=20 {
        let file = files.join(number.to_string());
        fs::write(&file, "").unwrap();
        let severity = if number == 13 { "critical" } else { "warning" };
        let _ = write!(
            plan,
            "  s{number}:\n    checks: [file: {}]\n    rules: [{{ name: lost, when: file.missing, severity: {severity} }}]\n",
            file.display()
        );
    }
    minder.write(&plan);
    minder.start();
    for number in 1..=20 {
        minder.wait_status(&format!("s{number}"), "ok", SOON);
    }
    fs::rename(&files, &away).unwrap();
    let told = mailbox.wait(SOON, &["s1", "s20"]);
    assert!(subject(&told).starts_with("[minder] CRITICAL 20 services on "), "{told}");
    assert!(subject(&told).contains(": s13, "), "the worst first: {told}");
    let at = |service: &str| told.find(&format!("== {service}")).unwrap_or_else(|| panic!("no {service} in {told}"));
    let first = at("CRITICAL s13");
    (1..=20).filter(|number| *number != 13).for_each(|number| assert!(first < at(&format!("WARNING s{number}: "))));
    fs::rename(&away, &files).unwrap();
    wait_until("their end is told", SOON, || mailbox.mails().len() == 2);
    let over = mailbox.mails().into_iter().find(|mail| *mail != told).unwrap();
    assert!(subject(&over).starts_with("[minder] OK 20 services on "), "{over}");
    let waits = || minder.ok(&["messages", "--state", "waiting"]);
    assert!(!waits().contains("ops"), "nothing else is to come: {}", waits());
}

#[test]
fn mail_waits_for_a_server_that_is_not_there() {
    let port = free_port();
    let mut minder = Minder::new();
    minder.write(&(mail(port, &to_ops("{ wait: 1s }")) + &gone(&minder)));
    minder.start();
    let status = || minder.any(&["status"]);
    let what = || format!("people see that it waits, and why: {}", status());
    wait_for(what, SOON, || {
        let status = status();
        (status.contains("1 message waits for ops") && status.contains("refused")).then_some(())
    });
    let mailbox = Mailbox::at(port);
    assert!(subject(&mailbox.wait(SOON, &["file missing"])).contains("gone on "));
    wait_until("nothing waits any more", SOON, || !status().contains("ops"));
    stays("it comes once", Duration::from_secs(2), || mailbox.mails().len() == 1);
}

#[test]
fn what_began_and_ended_while_no_server_was_there_is_one_mail() {
    let port = free_port();
    let mut minder = Minder::new();
    minder.write(&(mail(port, &to_ops("false")) + &gone(&minder)));
    minder.start();
    minder.wait_status("gone", "warning", SOON);
    wait_until("it is tried", SOON, || minder.any(&["status"]).contains("1 message waits for ops"));
    fs::write(minder.dir().join("there"), "").unwrap();
    minder.wait_status("gone", "ok", SOON);
    let mailbox = Mailbox::at(port);
    let told = mailbox.wait(SOON, &["file missing"]);
    assert!(subject(&told).starts_with("[minder] OK gone on ") && subject(&told).contains("was down for "), "{told}");
    stays("and it alone", Duration::from_secs(2), || mailbox.mails().len() == 1);
}

#[test]
fn that_no_mail_gets_through_is_told_through_another_and_so_is_its_end() {
    let (mailbox, receiver) = (Mailbox::start(), Receiver::start());
    let mut minder = Minder::new();
    let plan = |minder: &Minder, to: &str| {
        let ops = format!("email: {{ to: [{to}@example.org] }}, group: false");
        let chat = format!("  chat: {{ webhook: {{ url: \"{}\" }} }}\n", receiver.url());
        minder.write(&(mail(mailbox.port, &ops) + &chat + &gone(minder)));
    };
    plan(&minder, "nobody");
    minder.start();
    let told = receiver.wait(SOON, &["minder.firing"]).json();
    assert_eq!(told["data"]["title"], "messages do not reach ops", "{told:#}");
    assert!(told.to_string().contains("550"), "it says why: {told:#}");
    plan(&minder, "ops");
    minder.ok(&["reload"]);
    minder.ok(&["notify-test", "ops"]);
    let over = receiver.wait(SOON, &["minder.resolved"]).json();
    assert_eq!(over["data"]["thread"], told["data"]["thread"]);
    assert_eq!(receiver.requests().len(), 2, "{:#?}", receiver.requests());
}

#[test]
fn a_crash_that_a_restart_mends_is_one_mail() {
    let mailbox = Mailbox::start();
    let mut minder = Minder::new();
    let dir = minder.dir().join("app");
    minder.write(&format!(
        "{}services:\n  app:\n    notify: [ops]\n    settle: 500ms\n    control:\n      command:\n        start: {}\n    \
         checks:\n      - process: {{ pidfile: {}/pid }}\n        every: 500ms\n    rules:\n      - process.down -> restart, notify\n",
        mail(mailbox.port, &to_ops("{ wait: 4s }")),
        daemon(&dir, "well"),
        dir.display(),
    ));
    minder.start();
    minder.wait_status("app", "ok", SOON);
    let pid = minder.watched("app").unwrap();
    signal(pid, "SEGV");
    minder.wait_replaced("app", pid, SOON);
    let told = mailbox.wait(SOON, &["SIGSEGV"]);
    let subject = subject(&told);
    assert!(subject.contains("app on ") && subject.contains(": died (SIGSEGV"), "{subject}");
    assert!(subject.contains("), restarted, up again after "), "{subject}");
    stays("and it alone", Duration::from_secs(3), || mailbox.mails().len() == 1);
}
