//! minder's own life: reload, death, a second one, its end.

use super::support::{Minder, NEVER, Receiver, process_exists, stays, wait_for, wait_until};
use super::{SOON, daemon};
use std::time::Duration;

/// `app`, our own daemon, and `gone`, a file that is not there: the one well, the other firing. `more` is added.
fn plan(minder: &Minder, receiver: &Receiver, more: &str) {
    let dir = minder.dir().join("app");
    minder.write(&format!(
        r#"
notifiers:
  chat: {{ webhook: {{ url: "{hook}" }} }}
services:
  app:
    control:
      command:
        start: {start}
    checks:
      - process: {{ pidfile: {dir}/pid }}
        every: 500ms
    rules:
      - process.down -> restart
  gone:
    notify: [chat]
    checks:
      - file: {dir}/gone
        every: 500ms
    rules:
      - file.missing -> notify
{more}
"#,
        hook = receiver.url(),
        start = daemon(&dir, "well"),
        dir = dir.display(),
    ));
}

/// minder with both services as they should be, and the process of `app`.
fn settled(receiver: &Receiver) -> (Minder, u32) {
    let mut minder = Minder::new();
    plan(&minder, receiver, "");
    minder.start();
    let pid = wait_for(|| "app runs".into(), SOON, || minder.watched("app").filter(|pid| process_exists(*pid)));
    minder.wait_status("app", "ok", SOON);
    minder.wait_status("gone", "warning", SOON);
    receiver.wait(SOON, &["minder.firing", "\"service\":\"gone\""]);
    (minder, pid)
}

fn firings(receiver: &Receiver) -> usize {
    receiver.requests().iter().filter(|r| r.body.contains("minder.firing")).count()
}

#[test]
fn a_good_reload_keeps_the_state_of_what_is_unchanged() {
    let receiver = Receiver::start();
    let (minder, pid) = settled(&receiver);
    let before = minder.service("gone").unwrap();
    let more = format!("  new:\n    checks:\n      - file: {}\n        every: 500ms\n", minder.dir().display());
    plan(&minder, &receiver, &more);
    minder.signal("HUP");
    minder.wait_status("new", "ok", SOON);
    let after = minder.service("gone").unwrap();
    assert_eq!(after["status"], "warning");
    assert_eq!(after["since"], before["since"]);
    assert_eq!(after["incident"]["id"], before["incident"]["id"]);
    assert_eq!(minder.watched("app"), Some(pid));
    // A second firing would come with the next sample.
    stays("told once", Duration::from_secs(2), || firings(&receiver) == 1);
}

#[test]
fn a_bad_reload_changes_nothing() {
    let receiver = Receiver::start();
    let (minder, pid) = settled(&receiver);
    plan(&minder, &receiver, "  bad:\n    checks:\n      - proces: { name: x }\n");
    let output = minder.run(&["reload"]);
    let words = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(words.contains("proces") && words.contains("rules.yaml"), "the mistake is shown with its place: {words}");
    let status = minder.status().unwrap();
    assert!(status["refused"].is_string(), "it is shown that the plan is an old one: {status:#}");
    assert_eq!(status["services"].as_array().unwrap().len(), 2);
    assert_eq!(minder.watched("app"), Some(pid));
    assert_eq!(minder.service("gone").unwrap()["status"], "warning");

    plan(&minder, &receiver, "");
    minder.ok(&["reload"]);
    assert!(minder.status().unwrap()["refused"].is_null());
    assert_eq!(firings(&receiver), 1);
}

#[test]
fn after_its_own_death_everything_is_as_before() {
    let receiver = Receiver::start();
    let (mut minder, pid) = settled(&receiver);
    let before = minder.service("gone").unwrap();
    minder.kill();
    assert!(process_exists(pid), "what minder started outlives it");
    minder.start();
    wait_until("the same process is watched", SOON, || minder.watched("app") == Some(pid));
    let after = minder.wait_status("gone", "warning", SOON);
    assert_eq!(after["incident"]["id"], before["incident"]["id"]);
    assert_eq!(after["since"], before["since"]);
    stays("told once, and nothing restarted", Duration::from_secs(2), || {
        firings(&receiver) == 1 && minder.watched("app") == Some(pid)
    });
    // What ends the incident after all is told as if nothing had been.
    std::fs::write(minder.dir().join("app/gone"), "").unwrap();
    receiver.wait(SOON, &["minder.resolved"]);
}

#[test]
fn a_death_while_minder_is_dead_is_found_and_put_right() {
    let receiver = Receiver::start();
    let (mut minder, pid) = settled(&receiver);
    minder.kill();
    super::support::signal(pid, "KILL");
    wait_until("it is dead", SOON, || !process_exists(pid));
    minder.start();
    minder.wait_replaced("app", pid, SOON);
    minder.wait_status("app", "ok", SOON);
}

#[test]
fn a_second_minder_on_the_same_state_is_refused() {
    let receiver = Receiver::start();
    let (minder, pid) = settled(&receiver);
    let log = minder.dir().join("second.log");
    let second = minder.init.spawn(&minder.daemon_command(), &log);
    wait_until("the second one ends", Duration::from_secs(5), || !process_exists(second));
    let words = std::fs::read_to_string(log).unwrap();
    assert!(words.contains(minder.state().to_str().unwrap()), "it says what is taken: {words}");
    assert!(minder.status().is_some(), "the first one still answers on its socket");
    assert_eq!(minder.watched("app"), Some(pid));
}

#[test]
fn it_ends_within_five_seconds_and_its_services_do_not() {
    // A webhook that never answers is under way meanwhile.
    let receiver = Receiver::answering(&[NEVER]);
    let (mut minder, pid) = settled(&receiver);
    minder.signal("TERM");
    minder.wait_end(Duration::from_secs(5));
    assert!(process_exists(pid));
}

#[test]
fn it_says_why_it_cannot_start() {
    let minder = Minder::new();
    minder.write("services: { root: { checks: [file: /] } }\n");
    let said = |command: &mut std::process::Command| {
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let mut command = minder.command(&["run", minder.rules().to_str().unwrap(), "--state", "/dev/null/state"]);
    let words = said(&mut command);
    assert!(words.contains("the state directory /dev/null/state cannot be used: Not a directory"), "{words}");
    let _taken = std::net::TcpListener::bind(("127.0.0.1", minder.port)).unwrap();
    let words = said(&mut minder.daemon_command());
    assert!(words.contains("Address already in use") && words.contains("dashboard: { listen:"), "{words}");
}
