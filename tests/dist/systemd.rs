//! minder as a unit of systemd: the shipped one, on a machine that systemd runs.

use super::SOON;
use super::pulse::halt;
use super::support::{Systemd, free_port, stays, wait_until};
use std::process::Output;
use std::time::Duration;

/// A machine with minder installed, and not started yet.
struct Machine {
    // In the order in which they end.
    systemd: Systemd,
    _dir: tempfile::TempDir,
    /// Its network is the real one's.
    port: u16,
}

/// Where that machine has the program. /usr is the real one's there, and read only.
const PROGRAM: &str = "/run/minder-test/minder";

/// A daemon that minder starts: it says who it is, and stays.
const DAEMON: &str = "  app:
    settle: 100ms
    control:
      command:
        start: [/bin/sh, -c, \"echo $$ >/run/app.pid; exec sleep 100000\"]
    checks: [{ process: { pidfile: /run/app.pid }, every: 100ms }]
    rules: [process.down -> restart]
";

impl Machine {
    /// With these services. Nothing without root.
    fn new(services: &str) -> Option<Machine> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("not tried: it needs root");
            return None;
        }
        let dir = tempfile::Builder::new().prefix("minder-test-").tempdir().unwrap();
        let systemd = Systemd::start(dir.path());
        let machine = Machine { systemd, _dir: dir, port: free_port() };
        // Its /etc, /var/lib and the program, all of them that machine's own.
        machine.sh(&format!(
            "mkdir /run/minder-test /run/room && \
             install -m 755 {} {PROGRAM} && \
             mount -t tmpfs -o mode=755 tmpfs /run/room && mkdir /run/room/etc /run/room/work /run/room/lib && \
             mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/room/etc,workdir=/run/room/work /etc && \
             mount -t tmpfs -o mode=1777 tmpfs /etc/systemd/system && \
             mount --bind /run/room/lib /var/lib && \
             rm -rf /etc/minder && mkdir /etc/minder && {PROGRAM} install --systemd",
            env!("CARGO_BIN_EXE_minder"),
        ));
        machine.rules(services);
        machine.systemd.ok(&["daemon-reload"]);
        Some(machine)
    }

    fn run(&self, line: &str) -> Output {
        self.systemd.run(&["sh", "-c", line])
    }

    #[track_caller]
    fn sh(&self, line: &str) -> String {
        let output = self.run(line);
        let words = text(&output);
        assert!(output.status.success(), "{line}: {words}");
        words
    }

    fn rules(&self, services: &str) {
        let base = format!("version: 1\nboot_grace: 0s\ndashboard: {{ listen: \"127.0.0.1:{}\" }}\n", self.port);
        let yaml = format!("{base}services:\n{services}");
        std::fs::write(self.systemd.path("/etc/minder/minder.yaml"), yaml).unwrap();
    }

    /// Adds to the unit, as an operator would.
    fn drop_in(&self, name: &str, text: &str) {
        self.sh("mkdir -p /etc/systemd/system/minder.service.d");
        let path = format!("/etc/systemd/system/minder.service.d/{name}.conf");
        std::fs::write(self.systemd.path(&path), text).unwrap();
        self.systemd.ok(&["daemon-reload"]);
    }

    /// systemd finds nothing wrong with the unit and what was added to it.
    #[track_caller]
    fn verify(&self) {
        let words = self.sh("systemd-analyze verify --man=no minder.service 2>&1");
        assert!(!words.contains("minder.service"), "{words}");
    }

    fn property(&self, unit: &str, name: &str) -> String {
        self.systemd.ok(&["show", "--value", "-p", name, unit]).trim().to_owned()
    }

    /// The daemon's pid there, if it lives.
    fn app(&self) -> Option<u32> {
        let pid = std::fs::read_to_string(self.systemd.path("/run/app.pid")).ok()?.trim().parse().ok()?;
        self.systemd.path(&format!("/proc/{pid}")).exists().then_some(pid)
    }

    #[track_caller]
    fn wait_app(&self) -> u32 {
        wait_until("minder has started the daemon", SOON, || self.status().contains("app") && self.app().is_some());
        wait_until("all is well, and nothing under way", SOON, || {
            let history = text(&self.run(&format!("{PROGRAM} history")));
            let count = |word: &str| history.matches(word).count();
            self.run(&format!("{PROGRAM} status")).status.success()
                && count("incident opened") == count("incident closed")
        });
        self.app().unwrap()
    }

    fn status(&self) -> String {
        text(&self.run(&format!("{PROGRAM} status")))
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

const QUIET: &str = "  machine: { checks: [{ system: { } }], rules: [system.cpu > 99% for 1h -> notify] }\n";

#[test]
fn it_starts_when_it_is_ready_and_reloads_its_rules() {
    let Some(machine) = Machine::new(QUIET) else { return };
    machine.systemd.ok(&["start", "minder"]);
    // Nobody waits: a start that returns is a minder that answers.
    assert!(machine.status().contains("machine"), "{}", machine.status());
    assert_eq!(machine.property("minder", "StatusText"), "watching 1 service");
    assert_eq!(machine.property("minder", "ActiveState"), "active");
    let pid = machine.property("minder", "MainPID");
    machine.rules(&format!("{QUIET}{}", QUIET.replace("machine", "second")));
    machine.systemd.ok(&["reload", "minder"]);
    assert!(machine.status().contains("second"), "{}", machine.status());
    wait_until("it says so", SOON, || machine.property("minder", "StatusText") == "watching 2 services");
    // With a mistake the old rules stay, and whoever asked is told.
    machine.rules("  broken: { chekcs: [] }\n");
    assert!(!machine.systemd.systemctl(&["reload", "minder"]).status.success());
    assert!(machine.status().contains("second"), "{}", machine.status());
    assert_eq!((machine.property("minder", "MainPID"), &*machine.property("minder", "ActiveState")), (pid, "active"));
}

#[test]
fn with_a_mistake_in_its_rules_it_does_not_start_and_says_why() {
    let Some(machine) = Machine::new("  broken: { chekcs: [] }\n") else { return };
    // There is no journal on this machine.
    let output = machine.systemd.path("/run/minder-test/output");
    machine.drop_in("output", "[Service]\nStandardOutput=append:/run/minder-test/output\nStandardError=inherit\n");
    assert!(!machine.systemd.systemctl(&["start", "minder"]).status.success());
    let words = machine.run("systemctl --no-pager status minder");
    assert!(text(&words).contains("ExecStartPre") && text(&words).contains("status=1"), "{}", text(&words));
    let said = std::fs::read_to_string(output).unwrap();
    assert!(said.contains("unknown key `chekcs`"), "{said}");
    // Once that is mended it starts, however often it was tried before.
    wait_until("systemd has given up", SOON, || machine.property("minder", "ActiveState") == "failed");
    machine.rules(QUIET);
    machine.systemd.ok(&["reset-failed", "minder"]);
    machine.systemd.ok(&["start", "minder"]);
}

#[test]
fn a_loop_that_is_stuck_is_ended_by_its_watchdog_and_started_again() {
    let Some(machine) = Machine::new(QUIET) else { return };
    machine.drop_in("watchdog", "[Service]\nWatchdogSec=3s\nRestartSec=2s\n");
    machine.systemd.ok(&["start", "minder"]);
    let old = machine.property("minder", "MainPID");
    stays("it is well", Duration::from_secs(4), || machine.property("minder", "MainPID") == old);
    let halted = halt(&machine.systemd.inside(), &old);
    wait_until("it is ended", SOON, || machine.property("minder", "SubState") == "auto-restart");
    let how = ["Result", "ExecMainStatus"].map(|name| machine.property("minder", name));
    assert_eq!(how, ["watchdog", "6"], "by SIGABRT");
    wait_until("another has its place", SOON, || {
        let new = machine.property("minder", "MainPID");
        new != old && new != "0" && machine.property("minder", "ActiveState") == "active"
    });
    drop(halted);
    assert_eq!(machine.property("minder", "NRestarts"), "1");
    assert!(machine.status().contains("machine"), "{}", machine.status());
}

#[test]
fn what_it_has_started_outlives_it_and_is_found_again() {
    let Some(machine) = Machine::new(DAEMON) else { return };
    machine.systemd.ok(&["start", "minder"]);
    let app = machine.wait_app();
    machine.systemd.ok(&["stop", "minder"]);
    assert_eq!(machine.property("minder", "ActiveState"), "inactive");
    assert_eq!(machine.property("minder", "Result"), "success");
    assert_eq!(machine.app(), Some(app), "it lives on");
    machine.systemd.ok(&["start", "minder"]);
    assert_eq!(machine.wait_app(), app);
    machine.systemd.ok(&["restart", "minder"]);
    assert_eq!(machine.wait_app(), app);
    // Not by a minder that dies, either.
    let pid = machine.property("minder", "MainPID");
    machine.systemd.ok(&["kill", "--kill-who=main", "-s", "KILL", "minder"]);
    wait_until("it is started again", SOON, || {
        machine.property("minder", "MainPID") != pid && machine.property("minder", "ActiveState") == "active"
    });
    assert_eq!(machine.wait_app(), app);
    let history = machine.sh(&format!("{PROGRAM} history"));
    assert_eq!(history.matches("acting").count(), 1, "{history}");
}

#[test]
fn what_has_a_scope_of_its_own_outlives_a_stop_that_ends_all() {
    let Some(machine) = Machine::new(&DAEMON.replace("start:", "scope: true\n        start:")) else { return };
    machine.drop_in("all", "[Service]\nKillMode=control-group\n");
    machine.systemd.ok(&["start", "minder"]);
    let old = machine.wait_app();
    let shown = machine.systemd.ok(&["status", "minder-app.scope"]);
    assert!(shown.contains("active (running)") && shown.contains("sleep 100000"), "{shown}");
    assert!(!machine.systemd.ok(&["status", "minder"]).contains("sleep 100000"));
    machine.systemd.ok(&["stop", "minder"]);
    assert_eq!(machine.app(), Some(old), "it lives on");
    machine.systemd.ok(&["start", "minder"]);
    assert_eq!(machine.wait_app(), old);
    // The next one has one too, while the last one's is only just going.
    let mut old = old;
    for _ in 0..5 {
        machine.sh(&format!("{PROGRAM} restart app"));
        let new = machine.wait_app();
        assert_ne!(new, old);
        let group = std::fs::read_to_string(machine.systemd.path(&format!("/proc/{new}/cgroup"))).unwrap();
        assert!(group.contains("/minder-app.scope"), "{group}");
        assert_eq!(machine.property("minder-app.scope", "ActiveState"), "active");
        old = new;
    }
    // It goes with its last process.
    machine.sh(&format!("{PROGRAM} stop app"));
    wait_until("its scope is gone", SOON, || machine.property("minder-app.scope", "LoadState") == "not-found");
}

#[test]
fn without_a_bus_it_is_started_in_no_scope_and_that_is_said() {
    let Some(machine) = Machine::new(&DAEMON.replace("start:", "scope: true\n        start:")) else { return };
    machine.systemd.ok(&["stop", "dbus.socket", "dbus.service"]);
    machine.sh("rm -f /run/dbus/system_bus_socket");
    machine.systemd.ok(&["start", "minder"]);
    machine.wait_app();
    let history = machine.sh(&format!("{PROGRAM} history"));
    assert!(history.contains("in no scope of its own"), "{history}");
    assert!(machine.systemd.ok(&["status", "minder"]).contains("sleep 100000"));
}

/// The strict bounds that are copied beside the unit.
const STRICT: &str = include_str!("../../dist/systemd/strict.conf");

#[test]
fn within_strict_bounds_it_watches_and_acts() {
    let Some(machine) = Machine::new(
        "  app: { control: { systemd: app }, checks: [process: supervised], rules: [process.down -> restart] }\n",
    ) else {
        return;
    };
    machine.systemd.unit("app.service", "[Service]\nExecStart=/bin/sleep 100000\n");
    machine.systemd.ok(&["start", "app"]);
    machine.verify();
    let bounds: Vec<&str> =
        STRICT.lines().filter(|l| !l.starts_with('#')).filter_map(|l| Some(l.split_once('=')?.0)).collect();
    let shown = || bounds.iter().map(|name| machine.property("minder", name)).collect::<Vec<_>>();
    let before = shown();
    machine.drop_in("strict", STRICT);
    machine.verify();
    // A bound that systemd does not know, or does not take, is none.
    for (name, (before, after)) in bounds.iter().zip(before.into_iter().zip(shown())) {
        assert_ne!(before, after, "{name}");
    }
    machine.systemd.ok(&["start", "minder"]);
    wait_until("it watches", SOON, || machine.run(&format!("{PROGRAM} status")).status.success());
    let old = machine.property("app", "MainPID");
    machine.systemd.ok(&["kill", "-s", "KILL", "app"]);
    wait_until("it is started again", SOON, || {
        let new = machine.property("app", "MainPID");
        new != old && new != "0" && machine.property("app", "ActiveState") == "active"
    });
}
