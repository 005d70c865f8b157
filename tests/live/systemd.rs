//! minder beside systemd, on a machine that systemd runs: it speaks to it over D-Bus, is told by it, and respects what its
//! operator wants.

use super::support::{Minder, Receiver, Systemd, signal, stays, wait_until};
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
defaults: {{ every: 500ms }}
services:
  app:
    notify: [chat]
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

    #[track_caller]
    fn wait_replaced(&self, old: u32) -> u32 {
        wait_until("it has another process", SOON, || self.pid().is_some_and(|pid| pid != old));
        self.wait_well()
    }
}

const SLEEPER: &str = "[Service]\nExecStart=/bin/sleep 100000\n";

const RESTARTED: &str = "    checks:
      - process: supervised
    rules:
      - process.down -> restart";

/// Nothing but what is told of every service of a supervisor.
const WATCHED: &str = "    checks:
      - process: supervised";

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
      - process: supervised
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
    let Some(mut bench) = Bench::new(SLEEPER, RESTARTED) else { return };
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
    let unit = "[Service]\nExecStart=/bin/sh -c 'until [ -e DIR/end ]; do sleep 0.1; done; rm DIR/end'\n";
    let Some(mut bench) = Bench::new(unit, RESTARTED) else { return };
    bench.minder.start();
    let old = bench.wait_well();
    std::fs::write(bench.minder.dir().join("end"), "").unwrap();
    wait_until("it is there again", SOON, || bench.pid().is_some_and(|pid| pid != old));
    bench.wait_well();
}

#[test]
fn a_death_that_systemd_puts_right_is_no_alarm() {
    let Some(mut bench) = Bench::new(&format!("{SLEEPER}Restart=on-failure\nRestartSec=100ms\n"), RESTARTED) else {
        return;
    };
    bench.minder.start();
    let old = bench.wait_well();
    bench.systemd.ok(&["kill", "-s", "KILL", "app"]);
    let new = bench.wait_replaced(old);
    stays("no alarm", Duration::from_secs(2), || bench.receiver.requests().is_empty() && bench.pid() == Some(new));
    assert!(bench.minder.history().contains("SIGKILL"), "it is remembered all the same: {}", bench.minder.history());
}

#[test]
fn a_person_stops_and_starts_it_through_systemd() {
    let Some(mut bench) = Bench::new(SLEEPER, RESTARTED) else { return };
    bench.minder.start();
    let old = bench.wait_well();
    bench.minder.ok(&["stop", "app"]);
    assert_eq!((bench.pid(), &*bench.property("ActiveState")), (None, "inactive"));
    bench.minder.ok(&["start", "app"]);
    assert_ne!(bench.wait_well(), old);
}

/// It runs until it is killed, and falls at once from then on as long as there is a file `bad`.
const FALLS: &str = "[Service]\nRestart=on-failure\nRestartSec=100ms\nExecStart=/bin/sh -c 'test -e DIR/bad && exit 9; exec sleep 100000'\n";

impl Bench {
    fn bad(&self) -> std::path::PathBuf {
        self.minder.dir().join("bad")
    }

    /// How often this rule has been told to fire.
    fn told(&self, metric: &str) -> usize {
        let requests = self.receiver.requests();
        requests.iter().filter(|r| r.body.contains("minder.firing") && r.body.contains(metric)).count()
    }
}

#[test]
fn what_systemd_gives_up_is_told_once() {
    let unit = format!("[Unit]\nStartLimitIntervalSec=100\nStartLimitBurst=3\n{FALLS}");
    let Some(mut bench) = Bench::new(&unit, WATCHED) else { return };
    bench.minder.start();
    bench.wait_well();
    std::fs::write(bench.bad(), "").unwrap();
    bench.systemd.ok(&["kill", "-s", "KILL", "app"]);
    let told = bench.receiver.wait(SOON, &["minder.firing", "control.failed"]);
    assert!(told.body.contains("failed: exit-code"), "{told:#?}");
    stays("it is told once", Duration::from_secs(3), || bench.told("control.failed") == 1);
    // Its start limit does not hold a person back.
    std::fs::remove_file(bench.bad()).unwrap();
    bench.minder.ok(&["restart", "app"]);
    bench.receiver.wait(SOON, &["minder.resolved", "control.failed"]);
    bench.wait_well();
}

#[test]
fn a_crash_loop_is_counted_and_told_once() {
    let unit = format!("[Unit]\nStartLimitIntervalSec=0\n{FALLS}");
    let Some(mut bench) = Bench::new(&unit, "") else { return };
    bench.minder.start();
    bench.wait_well();
    let counted = || bench.minder.service("app")?["supervisor"]["restarts"].as_u64();
    let by_systemd = || bench.property("NRestarts").parse().ok();
    std::fs::write(bench.bad(), "").unwrap();
    bench.systemd.ok(&["kill", "-s", "KILL", "app"]);
    bench.receiver.wait(SOON, &["minder.firing", "control.flapping"]);
    stays("it is told once", Duration::from_secs(3), || bench.told("control.flapping") == 1);
    std::fs::remove_file(bench.bad()).unwrap();
    wait_until("it stays up", SOON, || {
        bench.property("SubState") == "running" && bench.minder.watched("app") == bench.pid()
    });
    wait_until("none is missed", SOON, || by_systemd().is_some_and(|n: u64| n > 10) && counted() == by_systemd());
    // A person's restart has systemd count anew, and minder too.
    bench.minder.ok(&["restart", "app"]);
    let old = bench.wait_well();
    assert_eq!((counted(), by_systemd()), (Some(0), Some(0)));
    bench.systemd.ok(&["kill", "-s", "KILL", "app"]);
    let old = bench.wait_replaced(old);
    wait_until("one is counted", SOON, || (counted(), by_systemd()) == (Some(1), Some(1)));
    bench.systemd.ok(&["kill", "-s", "KILL", "app"]);
    bench.wait_replaced(old);
    wait_until("two are counted", SOON, || (counted(), by_systemd()) == (Some(2), Some(2)));
}

#[test]
fn a_systemd_out_of_reach_is_told() {
    let rules = format!("{WATCHED}\n    rules:\n      - not control.alive -> notify");
    let Some(mut bench) = Bench::new(SLEEPER, &rules) else { return };
    bench.minder.start();
    let old = bench.wait_well();
    // First the bus hangs, then systemd itself.
    let bus = bench.systemd.ok(&["show", "--value", "-p", "MainPID", "dbus"]);
    let hang = |signal: &str| bench.systemd.run(&["kill", &format!("-{signal}"), bus.trim()]);
    assert!(hang("STOP").status.success());
    bench.receiver.wait(2 * SOON, &["minder.firing", "control.alive", "does not answer"]);
    assert!(hang("CONT").status.success());
    bench.receiver.wait(2 * SOON, &["minder.resolved", "control.alive"]);
    signal(bench.systemd.pid, "STOP");
    wait_until("it is told again", 2 * SOON, || bench.told("control.alive") == 2);
    signal(bench.systemd.pid, "CONT");
    bench.minder.wait_status("app", "ok", 2 * SOON);
    assert_eq!(bench.wait_well(), old);
    assert_eq!(bench.told(""), 2, "{:#?}", bench.receiver.requests());
}

#[test]
fn a_watchdog_that_was_not_fed_is_told_as_what_it_was() {
    let unit = "[Service]\nType=notify\nNotifyAccess=all\nWatchdogSec=3s\n\
        ExecStart=/bin/sh -c 'systemd-notify --ready; exec sleep 100000'\n";
    let Some(mut bench) = Bench::new(unit, WATCHED) else { return };
    bench.minder.start();
    let told = bench.receiver.wait(SOON, &["minder.firing", "control.failed"]);
    assert!(told.body.contains("failed: watchdog") && told.body.contains("SIGABRT"), "{told:#?}");
}

/// The real one, without the fences of Debian's unit.
const JOURNALD: &str = "[Unit]\nDefaultDependencies=no\n[Service]\nType=notify\nExecStart=/lib/systemd/systemd-journald\n\
                        RuntimeDirectory=systemd/journal\nStandardOutput=null\n";

#[test]
fn its_last_lines_come_from_the_journal() {
    let script = "echo one; echo no route to the database >&2; echo $$$$ >DIR/pid; until test -e DIR/go; do sleep 0.05; done; exit 3";
    let unit = format!("[Service]\nExecStart=/bin/sh -c '{script}'\n");
    let Some(mut bench) = Bench::new(&unit, &format!("    log: journal\n{WATCHED}")) else { return };
    bench.systemd.unit("systemd-journald.service", JOURNALD);
    bench.systemd.ok(&["start", "systemd-journald"]);
    bench.systemd.ok(&["restart", "app"]);
    bench.minder.start();
    let pid = bench.wait_well();
    std::fs::write(bench.minder.dir().join("go"), "").unwrap();
    let event = bench.receiver.wait(SOON, &["minder.firing"]).json();
    assert_eq!(event["data"]["title"], "app died (exit code 3)", "{event:#}");
    assert_eq!(event["data"]["death"], format!("pid {pid} exited with code 3"));
    let log = event["data"]["log"].to_string();
    assert!(log.contains("\"one\",\"no route to the database\""), "{event:#}");
}
