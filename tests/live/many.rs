//! Many services at once: the brake, what one needs of another, several in order.

use super::SOON;
use super::support::{Mailbox, Minder, process_exists, signal, stays, wait_until};
use std::time::Duration;

/// A service that does nothing but live, with these further keys.
fn sleeper(minder: &Minder, name: &str, more: &str) -> String {
    let dir = minder.dir().display();
    format!(
        "  {name}:\n    settle: 500ms\n    control:\n      command:\n        \
         start: [/bin/sh, -c, 'echo $$ > {dir}/{name}.pid; exec sleep 100000']\n    \
         checks:\n      - process: {{ pidfile: {dir}/{name}.pid }}\n        every: 1s\n    \
         rules:\n      - process.down -> restart\n{more}"
    )
}

fn pid(minder: &Minder, name: &str) -> Option<u32> {
    minder.watched(name).filter(|pid| process_exists(*pid))
}

#[test]
fn ten_that_die_at_once_are_not_all_restarted_at_once() {
    let mailbox = Mailbox::start();
    let mut minder = Minder::new();
    let names: Vec<String> = (0..10).map(|i| format!("s{i}")).collect();
    let services: String = names.iter().map(|name| sleeper(&minder, name, "")).collect();
    let rules = format!(
        "defaults: {{ notify: [ops] }}\nmail: {{ server: \"{}\", tls: none, from: minder@example.org }}\n\
         notifiers:\n  ops: {{ email: {{ to: [ops@example.org] }}, group: false }}\nservices:\n{services}",
        mailbox.address()
    );
    // Their rules start them: as many as the brake lets go by default.
    minder.write(&rules);
    minder.start();
    wait_until("all run", SOON, || names.iter().all(|name| pid(&minder, name).is_some()));
    names.iter().for_each(|name| drop(minder.wait_status(name, "ok", SOON)));
    minder.write(&format!("brake: 3 in 1m\n{rules}"));
    minder.ok(&["reload"]);
    minder.ok(&["release"]);
    let old: Vec<u32> = names.iter().filter_map(|name| pid(&minder, name)).collect();
    old.iter().for_each(|pid| signal(*pid, "KILL"));
    let fresh =
        |minder: &Minder| names.iter().filter_map(|name| pid(minder, name)).filter(|pid| !old.contains(pid)).count();
    wait_until("three of them run again", SOON, || fresh(&minder) == 3);
    let mail = mailbox.wait(SOON, &["the brake holds 7 restarts (more than 3 in 1m)", "minder release"]);
    assert_eq!(mail.matches("  restart of s").count(), 7, "{mail}");
    stays("the others are held", Duration::from_secs(3), || fresh(&minder) == 3);
    let output = minder.run(&["status"]);
    let words = String::from_utf8_lossy(&output.stdout);
    assert!(words.lines().nth(1).unwrap().starts_with("The brake holds 7 restarts"), "{words}");
    assert_eq!(minder.status().unwrap()["brake"]["waiting"].as_array().unwrap().len(), 7);
    let history = minder.history();
    assert_eq!(history.matches("no restart: the brake is on").count(), 7, "{history}");

    // Not even the end of minder lets them go.
    minder.kill();
    minder.start();
    wait_until("seven wait again", SOON, || {
        minder.status().is_some_and(|status| status["brake"]["waiting"].as_array().is_some_and(|w| w.len() == 7))
    });
    assert_eq!(fresh(&minder), 3);

    let words = minder.ok(&["release"]);
    assert!(words.starts_with("the brake is off; go ahead: "), "{words}");
    wait_until("all run again", SOON, || fresh(&minder) == 10);
    mailbox.wait(SOON, &["the brake is off"]);
    names.iter().for_each(|name| drop(minder.wait_status(name, "ok", SOON)));
    assert!(minder.status().unwrap()["brake"].is_null());
}

#[test]
fn several_are_stopped_and_started_in_the_order_of_what_they_need() {
    let mut minder = Minder::new();
    let web = sleeper(&minder, "web", "    group: shop\n    depends_on: [app]\n");
    let app = sleeper(&minder, "app", "    group: shop\n    depends_on: [database]\n");
    let database = sleeper(&minder, "database", "    group: shop\n");
    minder.write(&format!("services:\n{web}{app}{database}"));
    minder.start();
    let words = minder.ok(&["start", "--group", "shop"]);
    let lines: Vec<&str> = words.lines().filter_map(|line| line.split(": ").next()).collect();
    assert_eq!(lines, ["database", "app", "web"], "{words}");
    let words = minder.ok(&["stop", "database"]);
    assert!(words.contains("app, web need it, and are held"), "{words}");
    assert_eq!(minder.service("web").unwrap()["held"], "database is stopped on purpose");
    let words = minder.ok(&["status"]);
    assert!(words.contains("held: database is stopped on purpose"), "{words}");
    // Its death is seen, and not answered by a restart that could not help.
    let old = pid(&minder, "web").unwrap();
    signal(old, "KILL");
    minder.wait_status("web", "critical", SOON);
    stays("it is not restarted", Duration::from_secs(2), || pid(&minder, "web").is_none());
    minder.ok(&["start", "database"]);
    wait_until("it is, now that it can help", SOON, || pid(&minder, "web").is_some_and(|pid| pid != old));
    minder.wait_status("web", "ok", SOON);
    let words = minder.ok(&["restart", "web", "database"]);
    assert!(words.starts_with("database: up as pid") && words.lines().count() == 2, "{words}");
    let output = minder.run(&["stop", "web", "nothing"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(pid(&minder, "web").is_some(), "one name that is none, and nothing is done");
    minder.ok(&["stop", "--all"]);
    assert!(["web", "app", "database"].iter().all(|name| pid(&minder, name).is_none()));
}
