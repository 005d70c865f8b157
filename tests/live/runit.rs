//! minder beside runit, beyond what `supervised.rs` shows of every supervisor.

use super::SOON;
use super::support::{Minder, Receiver, Runsv, Supervised, signal, stays, wait_until};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

/// A service of runsv that minder finds ill as long as `sick` exists; a new life removes it.
fn start(minder: &mut Minder, receiver: &Receiver) -> (Runsv, u32) {
    let sick = minder.dir().join("sick");
    let runsv = Runsv::start(minder.dir(), "app", &format!("rm -f {}\nexec sleep 100000", sick.display()));
    let keys = format!(
        "    grace: 1s
    settle: 2s
    control: {{ runit: {dir}/app }}
    checks:
      - process: supervised
        every: 500ms
      - file: {sick}
        every: 500ms
    rules: [process.down -> restart, not file.missing -> restart]
",
        dir = minder.dir().display(),
        sick = sick.display(),
    );
    minder.write_app(receiver, &keys);
    minder.start();
    wait_until("minder watches it", SOON, || minder.watched("app").is_some() && minder.watched("app") == runsv.pid());
    minder.wait_status("app", "ok", SOON);
    let pid = runsv.pid().unwrap();
    (runsv, pid)
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
