//! minder beside supervisord: it asks by XML-RPC, respects what an operator stopped, and notices what supervisord gave up.

use super::SOON;
use super::support::{Minder, Receiver, Supervisord, process_exists, signal, stays, wait_until};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// Sweeping goes by what has to do with the directory of the test: so the programs have.
fn sleeper(dir: &Path) -> String {
    format!("/bin/sh -c \"cd {} && exec sleep 100000\"", dir.display())
}

/// One service, `app`, that is a program of supervisord; `more` is more of the service.
fn write(minder: &Minder, receiver: &Receiver, supervisord: &Supervisord, more: &str) {
    let control = format!("{{ supervisord: {{ program: app, server: \"{}\" }} }}", supervisord.server());
    minder.write_app(receiver, &format!("    grace: 1s\n    settle: 2s\n    control: {control}\n{more}"));
}

const PROCESS: &str = "    checks:\n      - process: supervised\n        every: 500ms\n";

/// minder watches the program's process.
fn start(minder: &mut Minder, supervisord: &Supervisord) -> u32 {
    minder.start();
    wait_until("minder watches it", SOON, || {
        minder.watched("app").is_some() && minder.watched("app") == supervisord.pid("app")
    });
    minder.wait_status("app", "ok", SOON);
    supervisord.pid("app").unwrap()
}

#[test]
fn what_its_operator_stopped_stays_stopped() {
    let receiver = Receiver::start();
    let mut minder = Minder::new();
    let section = format!("[program:app]\ncommand={}\n", sleeper(minder.dir()));
    let supervisord = Supervisord::start(minder.dir(), &section);
    write(&minder, &receiver, &supervisord, &format!("{PROCESS}    rules:\n      - process.down -> restart\n"));
    let old = start(&mut minder, &supervisord);
    supervisord.ctl("stop app");
    assert!(!process_exists(old));
    minder.wait_status("app", "stopped", SOON);
    stays("nothing starts it", Duration::from_secs(4), || supervisord.pid("app").is_none());
    assert!(receiver.requests().is_empty(), "an operator's stop is no incident: {:#?}", receiver.requests());
    supervisord.ctl("start app");
    minder.wait_status("app", "ok", SOON);
    // What supervisord puts right by itself is no alarm either.
    let old = supervisord.pid("app").unwrap();
    signal(old, "KILL");
    minder.wait_replaced("app", old, SOON);
    assert!(receiver.requests().is_empty(), "{:#?}", receiver.requests());
    // By hand it is stopped, and restarted.
    minder.ok(&["stop", "app"]);
    assert_eq!(supervisord.pid("app"), None);
    minder.ok(&["restart", "app"]);
    assert!(supervisord.pid("app").is_some());
}

/// Its restart is two orders. In between, supervisord's record reads as if its operator had stopped it.
#[test]
fn a_restart_is_finished_by_the_next_minder_if_this_one_is_killed_in_between() {
    let mut minder = Minder::new();
    let command = format!("/bin/sh -c \"cd {}; trap '' TERM; while :; do sleep 0.1; done\"", minder.dir().display());
    let section = format!("[program:app]\ncommand={command}\nstopwaitsecs=2\n");
    let supervisord = Supervisord::start(minder.dir(), &section);
    write(&minder, &Receiver::start(), &supervisord, PROCESS);
    let mut old = start(&mut minder, &supervisord);
    for (done, stopped_when_it_looks) in [(1, true), (2, false)] {
        let mut asked =
            minder.command(&["restart", "app"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_until("it is being stopped", SOON, || supervisord.ctl("status app").contains("STOPPING"));
        minder.kill();
        asked.wait().unwrap();
        if stopped_when_it_looks {
            wait_until("it is stopped", SOON, || supervisord.ctl("status app").contains("STOPPED"));
        }
        minder.start();
        old = minder.wait_replaced("app", old, SOON);
        assert_eq!(supervisord.pid("app"), Some(old));
        wait_until("it is done", SOON, || minder.history().matches("restart done").count() == done);
    }
    assert!(!minder.history().contains("the operator"), "{}", minder.history());
}

#[test]
fn what_supervisord_gave_up_is_told_and_started_again() {
    let receiver = Receiver::start();
    let mut minder = Minder::new();
    let (ok, dir) = (minder.dir().join("ok"), minder.dir().display().to_string());
    let command = format!("/bin/sh -c \"cd {dir}; test -e ok && exec sleep 100000; exit 1\"");
    let supervisord = Supervisord::start(minder.dir(), &format!("[program:app]\ncommand={command}\nstartretries=0\n"));
    write(
        &minder,
        &receiver,
        &supervisord,
        "    restart: { limit: 20 in 1m, delay: 1s..1s }\n    rules:\n      - control.failed -> restart\n",
    );
    minder.start();
    let event = receiver.wait(SOON, &["minder.firing"]);
    assert!(event.body.contains("FATAL"), "{}", event.body);
    std::fs::write(&ok, "").unwrap();
    minder.wait_status("app", "ok", Duration::from_secs(30));
    assert!(supervisord.pid("app").is_some());
}

#[test]
fn its_events_are_handed_on_at_once() {
    let receiver = Receiver::start();
    let mut minder = Minder::new();
    let listener = format!("{} supervisord-events --socket {}", env!("CARGO_BIN_EXE_minder"), minder.socket.display());
    let section = format!(
        "[program:app]\ncommand={}\nstartsecs=0\n[eventlistener:minder]\ncommand={listener}\nevents=PROCESS_STATE\nbuffer_size=100\n",
        sleeper(minder.dir())
    );
    // Before minder is there, its listener waits for nothing.
    let supervisord = Supervisord::start(minder.dir(), &section);
    wait_until("the listener listens", SOON, || supervisord.ctl("status minder").contains("RUNNING"));
    write(&minder, &receiver, &supervisord, "");
    minder.start();
    minder.wait_status("app", "ok", SOON);
    // It is asked every 5 s: of several changes in a row some would be seen late without the listener.
    for _ in 0..4 {
        for (order, status) in [("stop app", "stopped"), ("start app", "ok")] {
            supervisord.ctl(order);
            minder.wait_status("app", status, Duration::from_secs(2));
        }
    }
    minder.kill();
    supervisord.ctl("stop app");
    supervisord.ctl("start app");
    minder.start();
    minder.wait_status("app", "ok", SOON);
    supervisord.ctl("stop app");
    minder.wait_status("app", "stopped", Duration::from_secs(2));
    assert!(receiver.requests().is_empty(), "{:#?}", receiver.requests());
}
