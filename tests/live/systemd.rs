//! minder beside systemd, on a machine that systemd runs: it speaks to it over D-Bus, is told by it, and respects what its
//! operator wants.

use super::support::{Minder, Receiver, Systemd, stays, wait_until};
use super::{SOON, is_root};
use std::path::Path;
use std::time::Duration;

/// A machine with a unit `app`, and a minder there that watches it by these checks and rules. Nothing without root.
struct Bench {
    // In the order in which they end.
    systemd: Systemd,
    minder: Minder,
    receiver: Receiver,
}

impl Bench {
    fn new(unit: &str, rest: &str) -> Option<Bench> {
        if !is_root() {
            return None;
        }
        let (receiver, mut minder) = (Receiver::start(), Minder::new());
        let unit = unit.replace("DIR", &minder.dir().display().to_string());
        std::fs::create_dir(minder.dir().join("units")).unwrap();
        std::fs::write(minder.dir().join("units/app.service"), unit).unwrap();
        let systemd = Systemd::start(minder.dir());
        minder.under = systemd.inside();
        minder.write(&format!(
            "
notifiers:
  chat: {{ webhook: {{ url: \"{hook}\" }} }}
services:
  app:
    notify: [chat]
    every: 500ms
    grace: 1s
    settle: 1s
    control: {{ systemd: app }}
{rest}
",
            hook = receiver.url(),
            rest = rest.replace("DIR", &minder.dir().display().to_string()),
        ));
        systemd.ok(&["start", "app"]);
        Some(Bench { systemd, minder, receiver })
    }

    fn property(&self, name: &str) -> String {
        self.systemd.ok(&["show", "--value", "-p", name, "app"]).trim().to_owned()
    }

    fn pid(&self) -> Option<u32> {
        self.property("MainPID").parse().ok().filter(|pid| *pid != 0)
    }

    /// It is well, and minder watches the process that systemd calls its main one.
    #[track_caller]
    fn wait_well(&self) -> u32 {
        self.minder.wait_status("app", "ok", SOON);
        wait_until("minder watches it", SOON, || {
            self.minder.watched("app").is_some() && self.minder.watched("app") == self.pid()
        });
        self.pid().unwrap()
    }
}

/// Writes its pid, and sleeps.
const SLEEPER: &str = "[Service]\nExecStart=/bin/sh -c 'echo $$$$ >DIR/pid; exec sleep 100000'\n";

const BY_PIDFILE: &str = "    checks:
      - process: { pidfile: DIR/pid }
        every: 500ms
    rules:
      - process.down -> restart";

#[test]
fn a_failing_probe_restarts_it_through_systemd() {
    let daemon = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/daemon.py");
    let port = super::support::free_port();
    let unit = format!(
        "[Service]\nExecStartPre=/bin/sh -c 'echo {port} >DIR/port'\nExecStart=/usr/bin/python3 {} DIR sick\n",
        daemon.display()
    );
    let checks = format!(
        "    checks:
      - process: {{ pidfile: DIR/pid }}
        every: 500ms
      - http: http://127.0.0.1:{port}/
        every: 500ms
    rules:
      - process.down -> restart
      - http.failed for 2 times -> restart"
    );
    let Some(mut bench) = Bench::new(&unit, &checks) else { return };
    let old = bench.pid().unwrap();
    bench.minder.start();
    let event = bench.receiver.wait(SOON, &["minder.firing"]).json();
    assert_eq!(event["data"]["actions"][0]["ok"], true, "{event:#}");
    assert_ne!(bench.wait_well(), old);
    assert_eq!(bench.property("NRestarts"), "0", "it was not systemd that restarted it");
}

#[test]
fn what_its_operator_stopped_stays_stopped() {
    let Some(mut bench) = Bench::new(SLEEPER, BY_PIDFILE) else { return };
    bench.minder.start();
    bench.wait_well();
    bench.systemd.ok(&["stop", "app"]);
    bench.minder.wait_status("app", "stopped", SOON);
    // Longer than the time that a supervisor is given for a restart of its own.
    stays("nothing starts it", Duration::from_secs(3), || bench.pid().is_none());
    let told = bench.receiver.requests();
    assert!(told.is_empty(), "an operator's stop is no incident: {told:#?}");
    bench.systemd.ok(&["start", "app"]);
    bench.wait_well();
}

#[test]
fn what_ended_by_itself_is_started() {
    let unit =
        "[Service]\nExecStart=/bin/sh -c 'echo $$$$ >DIR/pid; until [ -e DIR/end ]; do sleep 0.1; done; rm DIR/end'\n";
    let Some(mut bench) = Bench::new(unit, BY_PIDFILE) else { return };
    bench.minder.start();
    let old = bench.wait_well();
    std::fs::write(bench.minder.dir().join("end"), "").unwrap();
    wait_until("it is there again", SOON, || bench.pid().is_some_and(|pid| pid != old));
    bench.wait_well();
}

#[test]
fn a_death_that_systemd_puts_right_is_no_alarm() {
    let Some(mut bench) = Bench::new(&format!("{SLEEPER}Restart=on-failure\nRestartSec=100ms\n"), BY_PIDFILE) else {
        return;
    };
    bench.minder.start();
    let old = bench.wait_well();
    bench.systemd.ok(&["kill", "-s", "KILL", "app"]);
    let new = bench.minder.wait_replaced("app", old, SOON);
    assert_eq!(Some(new), bench.pid());
    stays("no alarm", Duration::from_secs(2), || bench.receiver.requests().is_empty() && bench.pid() == Some(new));
    assert!(bench.minder.history().contains("SIGKILL"), "it is remembered all the same: {}", bench.minder.history());
}

#[test]
fn a_person_stops_and_starts_it_through_systemd() {
    let Some(mut bench) = Bench::new(SLEEPER, BY_PIDFILE) else { return };
    bench.minder.start();
    let old = bench.wait_well();
    bench.minder.ok(&["stop", "app"]);
    assert_eq!((bench.pid(), &*bench.property("ActiveState")), (None, "inactive"));
    bench.minder.ok(&["start", "app"]);
    assert_ne!(bench.wait_well(), old);
}
