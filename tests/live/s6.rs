//! minder beside s6, in what no other supervisor has. The rest is in `supervised.rs`.

use super::SOON;
use super::support::{Minder, Receiver, Supervised, stays, wait_until};
use std::time::Duration;

/// Its status looks as if an operator had taken it down.
#[test]
fn what_s6_gives_up_is_told() {
    let (receiver, mut minder) = (Receiver::start(), Minder::new());
    let files = [("run", "test -e good && exec sleep 100000; exit 3"), ("finish", "sleep 0.2; exit 125"), ("down", "")];
    let service = Supervised::start("s6-supervise", minder.dir(), "app", &files);
    minder.write_app(&receiver, &format!("    control: {}\n", service.control()));
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
