//! minder beside runit: it asks runsv, and respects what runsv's operator wants.

use super::SOON;
use super::supervised::Scene;
use super::support::{Minder, Receiver, Runsv, Supervised, process_exists, signal, stays, wait_until};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

/// A service of runsv that minder finds ill as long as `sick` exists; a new life removes it.
fn start(minder: &mut Minder, receiver: &Receiver) -> (Runsv, u32) {
    let sick = minder.dir().join("sick");
    let runsv = Runsv::start(minder.dir(), "app", &format!("rm -f {}\nexec sleep 100000", sick.display()));
    minder.write(&format!(
        r#"
notifiers:
  chat: {{ webhook: {{ url: "{hook}" }} }}
services:
  app:
    notify: [chat]
    grace: 1s
    settle: 2s
    control:
      runit: {{ service: app, directory: {dir} }}
    checks:
      - process: supervised
        every: 500ms
      - file: {sick}
        every: 500ms
    rules:
      - process.down -> restart
      - not file.missing -> restart
"#,
        hook = receiver.url(),
        dir = minder.dir().display(),
        sick = sick.display(),
    ));
    minder.start();
    wait_until("minder watches it", SOON, || minder.watched("app").is_some() && minder.watched("app") == runsv.pid());
    minder.wait_status("app", "ok", SOON);
    let pid = runsv.pid().unwrap();
    (runsv, pid)
}

#[test]
fn a_restart_goes_through_runsv() {
    let receiver = Receiver::start();
    let mut minder = Minder::new();
    let (runsv, old) = start(&mut minder, &receiver);
    std::fs::write(minder.dir().join("sick"), "").unwrap();
    wait_until("runsv has another process", SOON, || runsv.pid().is_some_and(|pid| pid != old));
    assert_eq!(minder.wait_replaced("app", old, SOON), runsv.pid().unwrap());
    let event = receiver.wait(SOON, &["minder.firing"]).json();
    assert_eq!(event["data"]["actions"][0]["ok"], true, "{event:#}");
    minder.wait_status("app", "ok", SOON);
}

#[test]
fn what_its_operator_took_down_stays_down() {
    let receiver = Receiver::start();
    let mut minder = Minder::new();
    let (runsv, old) = start(&mut minder, &receiver);
    runsv.sv("down");
    wait_until("it is down", SOON, || !process_exists(old));
    minder.wait_status("app", "stopped", SOON);
    // Longer than the time that a supervisor is given for a restart of its own.
    stays("nothing starts it", Duration::from_secs(4), || runsv.pid().is_none());
    assert!(receiver.requests().is_empty(), "an operator's stop is no incident: {:#?}", receiver.requests());
    runsv.sv("up");
    minder.wait_status("app", "ok", SOON);
    assert_eq!(minder.watched("app"), runsv.pid());
}

#[test]
fn a_death_that_runsv_puts_right_is_no_alarm() {
    let receiver = Receiver::start();
    let mut minder = Minder::new();
    let (runsv, old) = start(&mut minder, &receiver);
    signal(old, "KILL");
    let new = minder.wait_replaced("app", old, SOON);
    assert_eq!(Some(new), runsv.pid());
    stays("no alarm", Duration::from_secs(2), || receiver.requests().is_empty() && runsv.pid() == Some(new));
    assert!(minder.history().contains("SIGKILL"), "it is remembered all the same: {}", minder.history());
}

#[test]
fn a_person_restarts_what_was_taken_down() {
    let receiver = Receiver::start();
    let mut minder = Minder::new();
    let (runsv, old) = start(&mut minder, &receiver);
    // By minder's own means, and at once after runit's.
    minder.ok(&["stop", "app"]);
    assert_eq!(runsv.pid(), None);
    minder.ok(&["restart", "app"]);
    let new = minder.wait_replaced("app", old, SOON);
    assert_eq!(runsv.pid(), Some(new));
    runsv.sv("down");
    minder.ok(&["restart", "app"]);
    assert_eq!(runsv.pid(), Some(minder.wait_replaced("app", new, SOON)));
    minder.wait_status("app", "ok", SOON);
}

#[test]
fn its_own_check_is_asked_and_a_crash_loop_is_told_once() {
    let receiver = Receiver::start();
    let mut minder = Minder::new();
    let dir = minder.dir().to_owned();
    let _app = Runsv::start(&dir, "app", "exec sleep 100000");
    let check = dir.join("app/check");
    std::fs::write(&check, "#!/bin/sh\n[ -e ill ] && echo too hot && exit 1\nexit 0\n").unwrap();
    std::fs::set_permissions(&check, PermissionsExt::from_mode(0o755)).unwrap();
    let _loops = Supervised::start("runsv", &dir, "loops", &[("run", "exit 1")]);
    minder.write(&format!(
        r#"
defaults: {{ every: 500ms, notify: [chat] }}
notifiers:
  chat: {{ webhook: {{ url: "{hook}" }} }}
services:
  app:
    control:
      runit: {{ service: app, directory: {dir}, check: true }}
  loops:
    control:
      runit: {{ service: loops, directory: {dir} }}
"#,
        hook = receiver.url(),
        dir = dir.display(),
    ));
    minder.start();
    minder.wait_status("app", "ok", SOON);
    let event = receiver.wait(SOON, &["minder.firing"]).json();
    assert_eq!(event["data"]["service"], "loops", "{event:#}");
    std::fs::write(dir.join("app/ill"), "").unwrap();
    minder.wait_status("app", "warning", SOON);
    stays("a loop is told once", Duration::from_secs(3), || {
        receiver.requests().iter().filter(|request| request.json()["data"]["service"] == "loops").count() == 1
    });
}

#[test]
fn a_service_gets_restarted_when_its_probe_fails() {
    Scene::new("runsv").gets_restarted_when_its_probe_fails();
}

#[test]
fn what_its_operator_does_is_noticed_at_once() {
    Scene::new("runsv").stays_down_when_its_operator_took_it_down();
}

#[test]
fn a_supervisor_that_is_gone_is_told() {
    Scene::new("runsv").says_that_its_supervisor_is_gone();
}
