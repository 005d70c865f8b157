//! Against systemd itself.
#![allow(clippy::disallowed_methods, reason = "tests start programs and watch the time")]

use super::*;
use crate::control::supervisor::{restart, start, stop};
use crate::daemon::RealClock;
use crate::model::{Exit, Phase};
use crate::sys::testing::systemd::{boot, is_inside};
use crate::sys::testing::{kill, until};
use rustix::process::Signal;
use std::process::Command;
use std::time::Instant;

const HERE: &str = "control::systemd::tests::";

/// A machine that systemd runs, seen from within.
struct Bench;

impl Bench {
    /// The test with this name runs anew on a machine with these units, and is all right if it is so there. Nothing but there; and
    /// without root nowhere.
    fn new(test: &str, units: &[(&str, &str)]) -> Option<Bench> {
        if is_inside() {
            return Some(Bench);
        }
        let (systemd, _dir) = boot(units)?;
        systemd.run_test(&format!("{HERE}{test}"));
        None
    }

    fn state(&self, name: &str) -> Result<ControlState, String> {
        Systemd::new(format!("{name}.service")).state()
    }

    /// Its state, once this is its word.
    fn until(&self, name: &str, word: &str) -> ControlState {
        let mut now = self.state(name).unwrap();
        until(&format!("{name}: {word}, and not {}", now.word), || {
            now = self.state(name).unwrap();
            *now.word == *word
        });
        now
    }

    #[track_caller]
    fn systemctl(&self, arguments: &[&str]) {
        assert!(self.try_systemctl(arguments), "systemctl {arguments:?}");
    }

    fn try_systemctl(&self, arguments: &[&str]) -> bool {
        Command::new("systemctl").args(arguments).status().unwrap().success()
    }
}

const PLAIN: &str = "[Service]\nExecStart=/bin/sleep 100000\n[Install]\nWantedBy=multi-user.target\n";

#[track_caller]
fn assert_stopped(state: &ControlState) {
    assert_eq!(
        (state.alive, state.wanted, state.phase, state.failed),
        (true, Some(false), Phase::Down, false),
        "{state:?}"
    );
}

/// Down by itself, and not on purpose.
#[track_caller]
fn assert_ended(state: &ControlState, failed: bool, exit: Exit) {
    assert_eq!((state.alive, state.wanted, state.phase), (true, Some(true), Phase::Down), "{state:?}");
    assert_eq!((state.failed, state.last_exit), (failed, Some(exit)), "{state:?}");
}

#[test]
fn tells_what_was_stopped_from_what_ended() {
    let Some(bench) = Bench::new(
        "tells_what_was_stopped_from_what_ended",
        &[
            ("plain", PLAIN),
            ("idle", PLAIN),
            ("clean", "[Service]\nExecStart=/bin/sh -c 'exit 0'\n[Install]\nWantedBy=multi-user.target\n"),
            ("crash", "[Service]\nExecStart=/bin/sh -c 'exit 7'\n"),
            ("core", "[Service]\nWorkingDirectory=/tmp\nExecStart=/bin/sh -c 'ulimit -c unlimited; kill -SEGV $$$$'\n"),
            (
                "stubborn",
                "[Service]\nTimeoutStopSec=1s\nExecStart=/bin/sh -c 'trap \"\" TERM; while :; do sleep 1; done'\n",
            ),
            ("wrong-code", "[Service]\nExecStart=/bin/sh -c 'trap \"exit 3\" TERM; while :; do sleep 0.1; done'\n"),
            ("slow", "[Service]\nRestart=always\nRestartSec=1000\nExecStart=/bin/sh -c 'exit 0'\n"),
            (
                "loop",
                "[Unit]\nStartLimitIntervalSec=100\nStartLimitBurst=3\n[Service]\nRestart=on-failure\nRestartSec=50ms\nExecStart=/bin/sh -c 'exit 9'\n",
            ),
            (
                "watched",
                "[Service]\nType=notify\nNotifyAccess=all\nWatchdogSec=300ms\nExecStart=/bin/sh -c 'systemd-notify --ready; exec sleep 100000'\n",
            ),
            ("once", "[Service]\nType=oneshot\nExecStart=/bin/true\n"),
            ("stays", "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n"),
            ("getting-up", "[Service]\nType=notify\nExecStart=/bin/sleep 100000\n"),
            (
                "unmet",
                "[Unit]\nConditionPathExists=/nowhere\n[Service]\nExecStart=/bin/sleep 100000\n[Install]\nWantedBy=multi-user.target\n",
            ),
            ("broken", "[Service]\nType=simple\n"),
        ],
    ) else {
        return;
    };

    // Never up since boot: it depends on whether it is meant to be.
    assert_stopped(&bench.state("idle").unwrap());
    assert!(bench.state("nothing").unwrap_err().contains("no unit nothing.service"));
    assert!(bench.state("broken").unwrap_err().contains("cannot read the unit"));
    bench.systemctl(&["enable", "idle"]);
    assert_eq!(bench.state("idle").unwrap().wanted, Some(true));
    assert_eq!(&*bench.state("idle").unwrap().word, "inactive");
    bench.systemctl(&["disable", "idle"]);
    bench.systemctl(&["mask", "--runtime", "idle"]);
    assert_stopped(&bench.until("idle", "masked"));
    // Only what a unit that is up refers to is remembered.
    bench.systemctl(&["enable", "unmet", "clean"]);
    bench.systemctl(&["start", "multi-user.target"]);
    assert_stopped(&bench.until("unmet", "inactive, its conditions are not met"));

    // Up.
    bench.systemctl(&["start", "plain"]);
    let up = bench.state("plain").unwrap();
    assert_eq!((up.wanted, up.phase, &*up.word, up.restarts), (Some(true), Phase::Running, "running", Some(0)));
    assert!(up.process.is_some() && up.since.is_some() && up.last_exit.is_none(), "{up:?}");
    bench.systemctl(&["freeze", "plain"]);
    assert_eq!(bench.until("plain", "frozen").phase, Phase::Paused);
    bench.systemctl(&["thaw", "plain"]);

    // Stopped by the operator, however it takes that.
    bench.systemctl(&["stop", "plain"]);
    let stopped = bench.state("plain").unwrap();
    assert_stopped(&stopped);
    assert_ne!(stopped.stamp, up.stamp);
    bench.systemctl(&["start", "stubborn", "wrong-code"]);
    let _ = bench.try_systemctl(&["stop", "stubborn"]);
    assert_stopped(&bench.until("stubborn", "failed: timeout"));
    // Its shell must have come to its trap.
    std::thread::sleep(Duration::from_millis(200));
    bench.systemctl(&["stop", "wrong-code"]);
    assert_stopped(&bench.until("wrong-code", "failed: exit-code"));
    bench.systemctl(&["start", "slow"]);
    let waits = bench.until("slow", "auto-restart");
    assert_eq!((waits.wanted, waits.phase, waits.last_exit), (Some(true), Phase::Starting, Some(Exit::Code(0))));
    bench.systemctl(&["stop", "slow"]);
    assert_stopped(&bench.state("slow").unwrap());
    bench.systemctl(&["start", "stays"]);
    assert_eq!(bench.until("stays", "exited").phase, Phase::Running);
    bench.systemctl(&["stop", "stays"]);
    assert_stopped(&bench.state("stays").unwrap());
    bench.systemctl(&["start", "--no-block", "getting-up"]);
    let rises = bench.until("getting-up", "start");
    assert_eq!((rises.wanted, rises.phase), (Some(true), Phase::Starting));
    bench.systemctl(&["stop", "getting-up"]);
    assert_stopped(&bench.state("getting-up").unwrap());

    // Ended by itself.
    bench.systemctl(&["start", "clean"]);
    assert_ended(&bench.until("clean", "inactive"), false, Exit::Code(0));
    bench.systemctl(&["start", "crash"]);
    assert_ended(&bench.until("crash", "failed: exit-code"), true, Exit::Code(7));
    bench.systemctl(&["start", "core"]);
    let core = Exit::Signal { number: libc::SIGSEGV, core: true };
    assert_ended(&bench.until("core", "failed: core-dump"), true, core);
    bench.systemctl(&["start", "loop"]);
    let looped = bench.until("loop", "failed: exit-code");
    assert_ended(&looped, true, Exit::Code(9));
    bench.systemctl(&["start", "watched"]);
    let watched = bench.until("watched", "failed: watchdog");
    assert!(matches!(watched.last_exit, Some(Exit::Signal { number: libc::SIGABRT, .. })), "{watched:?}");
    assert_eq!((watched.wanted, watched.failed), (Some(true), true));
    bench.systemctl(&["start", "plain"]);
    bench.systemctl(&["kill", "-s", "KILL", "plain"]);
    assert_ended(&bench.until("plain", "failed: signal"), true, Exit::Signal { number: libc::SIGKILL, core: false });
    bench.systemctl(&["start", "once"]);
    assert_stopped(&bench.state("once").unwrap());
}

const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn does_as_it_is_told_and_starts_nothing_that_was_stopped() {
    let name = "does_as_it_is_told_and_starts_nothing_that_was_stopped";
    let Some(bench) = Bench::new(
        name,
        &[
            ("plain", PLAIN),
            (
                "hung",
                "[Service]\nTimeoutStopSec=1000\nExecStart=/bin/sh -c 'trap \"\" TERM; while :; do sleep 1; done'\n",
            ),
            ("crash", "[Service]\nExecStart=/bin/sh -c 'exit 7'\n"),
            ("needy", "[Unit]\nRequires=never.service\nAfter=never.service\n[Service]\nExecStart=/bin/sleep 100000\n"),
            ("never", "[Service]\nType=oneshot\nExecStart=/bin/false\n"),
            ("rare", "[Unit]\nStartLimitIntervalSec=1000\nStartLimitBurst=2\n[Service]\nExecStart=/bin/sleep 100000\n"),
            ("masked", PLAIN),
        ],
    ) else {
        return;
    };
    let of = |name: &str| Systemd::new(format!("{name}.service"));
    let start = |name: &str| start(&of(name), PATIENCE, &RealClock);
    let stop = |name: &str| stop(&of(name), PATIENCE, &RealClock);
    let restart = |name: &str, by_hand| restart(&of(name), by_hand, PATIENCE, &RealClock);

    assert!(start("plain").unwrap().starts_with("up as "));
    assert!(start("plain").unwrap().starts_with("already up"));
    let old = bench.state("plain").unwrap().process;
    assert!(restart("plain", false).unwrap().starts_with("up as "));
    assert_ne!(bench.state("plain").unwrap().process, old);
    assert!(stop("plain").unwrap().starts_with("down after"));
    assert_eq!(stop("plain").unwrap(), "already down");
    let refused = restart("plain", false).unwrap_err();
    assert!(refused.contains("its operator has taken it down"), "{refused}");
    // Not even if it was stopped between the look and the order.
    of("plain").tell(Order::Restart { by_hand: false }).unwrap();
    assert_stopped(&bench.state("plain").unwrap());
    assert!(restart("plain", true).is_ok());

    // What ended by itself is started.
    bench.systemctl(&["kill", "-s", "KILL", "plain"]);
    bench.until("plain", "failed: signal");
    assert!(restart("plain", false).is_ok());

    // Our starts do not use its start limit up.
    for _ in 0..5 {
        restart("rare", true).unwrap();
    }

    // A process that does not end is killed before our time is over.
    bench.systemctl(&["start", "hung"]);
    std::thread::sleep(Duration::from_millis(200));
    let old = bench.state("hung").unwrap().process;
    assert!(restart("hung", false).is_ok());
    assert_ne!(bench.state("hung").unwrap().process, old);

    // What does not come up is told at once, with systemd's words.
    let began = Instant::now();
    let needy = start("needy").unwrap_err();
    assert!(needy.contains("`dependency`"), "{needy}");
    bench.systemctl(&["mask", "--runtime", "masked"]);
    let masked = start("masked").unwrap_err();
    assert!(masked.contains("masked"), "{masked}");
    let crash = start("crash").unwrap_err();
    assert!(crash.contains("failed: exit-code"), "{crash}");
    assert!(began.elapsed() < PATIENCE / 2);
    // systemd remembers the operator's wish over its own restart.
    bench.systemctl(&["stop", "plain"]);
    bench.systemctl(&["daemon-reexec"]);
    assert_stopped(&bench.state("plain").unwrap());
}

#[test]
fn a_systemd_that_hangs_is_not_waited_for() {
    if is_inside() {
        let began = Instant::now();
        let state = Systemd::new("plain.service".to_owned()).state().unwrap();
        assert!(!state.alive && state.word.contains("systemd does not answer"), "{state:?}");
        assert!(began.elapsed() < PATIENCE + Duration::from_secs(2));
        let refused = start(&Systemd::new("plain.service".to_owned()), PATIENCE, &RealClock).unwrap_err();
        assert!(refused.contains("does not answer"), "{refused}");
        return;
    }
    let Some((systemd, _dir)) = boot(&[("plain", PLAIN)]) else { return };
    kill(systemd.pid, Signal::STOP);
    systemd.run_test(&format!("{HERE}a_systemd_that_hangs_is_not_waited_for"));
    kill(systemd.pid, Signal::CONT);
}

#[test]
fn without_systemd_nobody_is_asked() {
    // Nor on a machine that it does run, here: there is no such unit.
    let state = Systemd::new("minder-test-no-such-unit.service".to_owned()).state();
    match std::path::Path::new("/run/systemd/system").exists() {
        true => drop(state),
        false => {
            let state = state.unwrap();
            assert_eq!((state.alive, &*state.word), (false, "systemd does not run this machine"));
        }
    }
}
