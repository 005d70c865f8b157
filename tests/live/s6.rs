//! minder beside s6.

use super::SOON;
use super::supervised::Scene;
use super::support::{Minder, Receiver, Supervised, stays, wait_until};
use std::time::Duration;

#[test]
fn a_service_gets_restarted_when_its_probe_fails() {
    Scene::new("s6-supervise").gets_restarted_when_its_probe_fails();
}

#[test]
fn what_its_operator_took_down_stays_down() {
    Scene::new("s6-supervise").stays_down_when_its_operator_took_it_down();
}

#[test]
fn a_supervisor_that_is_gone_is_told() {
    Scene::new("s6-supervise").says_that_its_supervisor_is_gone();
}

#[test]
fn a_crash_loop_is_told_once() {
    Scene::tells_a_crash_loop_once("s6-supervise");
}

/// Its status looks as if an operator had taken it down.
#[test]
fn what_s6_gives_up_is_told() {
    let (receiver, mut minder) = (Receiver::start(), Minder::new());
    let files = [("run", "test -e good && exec sleep 100000; exit 3"), ("finish", "sleep 0.2; exit 125"), ("down", "")];
    let service = Supervised::start("s6-supervise", minder.dir(), "app", &files);
    let (hook, control) = (receiver.url(), service.control());
    minder.write(&format!(
        "notifiers:\n  chat: {{ webhook: {{ url: \"{hook}\" }} }}\n\
         services:\n  app:\n    notify: [chat]\n    control: {control}\n"
    ));
    minder.start();
    minder.wait_status("app", "stopped", SOON);
    service.order("up");
    receiver.wait(SOON, &["minder.firing", "control.failed"]);
    minder.kill();
    minder.start();
    stays("the next minder knows it, too", Duration::from_secs(3), || {
        let resolved = receiver.requests().iter().any(|request| request.body.contains("minder.resolved"));
        minder.service("app").is_some_and(|app| app["status"] != "stopped") && !resolved
    });
    std::fs::write(minder.dir().join("app/good"), "").unwrap();
    minder.ok(&["restart", "app"]);
    wait_until("it is up", SOON, || service.pid().is_some());
    receiver.wait(SOON, &["minder.resolved", "control.failed"]);
    minder.wait_status("app", "ok", SOON);
    let event = minder.dir().join("app/event");
    let fifos = || std::fs::read_dir(&event).unwrap().count();
    assert_eq!(fifos(), 1);
    minder.signal("TERM");
    minder.wait_end(SOON);
    assert_eq!(fifos(), 0, "nothing is left behind");
}
