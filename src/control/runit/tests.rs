use super::*;
use crate::control::supervisor::{STEADY, restart, start, stop};
use crate::control::tests::{Bench, path, why};
use crate::daemon::RealClock;
use crate::model::controls::{ControlSpec, RunitControl};
use crate::model::{Act, CheckId, Found, Input, Kind, MetricSet, Question, Report, Span};
use crate::sys::testing::{Script, kill, lives, until};
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

/// A service under a runsv of its own; both end with the test.
struct Service {
    dir: tempfile::TempDir,
    runsv: Option<Script>,
}

impl Service {
    fn new(run: &str, finish: Option<&str>) -> Service {
        let dir = tempfile::tempdir().unwrap();
        for (name, script) in [("run", Some(run)), ("finish", finish)] {
            let Some(script) = script else { continue };
            let path = dir.path().join(name);
            fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let runsv = Script::start(&format!("exec runsv {}", dir.path().display()));
        let service = Service { dir, runsv: Some(runsv) };
        until("runsv keeps a status", || {
            Runit(service.dir.path().to_owned()).state().is_ok_and(|s| s.alive && s.stamp != 0)
        });
        service
    }

    fn state(&self) -> ControlState {
        Runit(self.dir.path().to_owned()).state().unwrap()
    }

    fn until(&self, word: &str) -> ControlState {
        let mut now = self.state();
        until(word, || {
            now = self.state();
            *now.word == *word && (word != "run" || now.process.is_some())
        });
        now
    }

    /// As an operator would.
    fn sv(&self, letter: u8) {
        let control = open_fifo(&self.dir.path().join("supervise/control")).unwrap();
        rustix::io::write(control, &[letter]).unwrap();
    }

    fn supervisor(&self) -> Runit {
        Runit(self.dir.path().to_owned())
    }

    fn control(&self) -> RunitControl {
        RunitControl {
            service: self.dir.path().to_str().unwrap().to_owned(),
            directory: path(std::path::Path::new("/etc/service")),
            timeout: Span(PATIENCE),
            check: false,
        }
    }

    fn start(&self) -> Result<String, String> {
        start(&self.supervisor(), PATIENCE, &RealClock)
    }
    fn stop(&self) -> Result<String, String> {
        stop(&self.supervisor(), PATIENCE, &RealClock)
    }
    fn restart(&self) -> Result<String, String> {
        restart(&self.supervisor(), false, PATIENCE, &RealClock)
    }
}

/// So long its supervisor has.
const PATIENCE: Duration = Duration::from_millis(2000);

const SLEEP: &str = "exec sleep 4711";

#[test]
fn the_bytes_mean_what_they_should() {
    let hex = "400000006affb89309f873bc2222000000750101";
    let bytes: Vec<u8> = (0..20).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect();
    let status = Status::parse(&bytes).unwrap();
    assert_eq!(
        status,
        Status {
            stamp: 0x6aff_b893 * 1_000_000_000 + 0x09f8_73bc,
            pid: 0x2222,
            paused: false,
            wanted: true,
            terminating: true,
            step: Step::Run,
        }
    );
    assert_eq!(Status::parse(&bytes[..18]), None, "daemontools");
    assert_eq!(Status::parse(&[0; 35]), None, "s6");
    assert_eq!(Status::parse(&[9; 20]), None);
}

#[test]
fn a_restart_is_seen_to_have_happened() {
    let service = Service::new(SLEEP, None);
    let before = service.until("run");
    assert_eq!((before.alive, before.wanted), (true, Some(true)));
    let done = service.restart().unwrap();
    let after = service.state();
    assert!(done.starts_with(&format!("up as pid {} after ", after.process.unwrap().pid)), "{done}");
    assert_ne!((before.process, before.stamp), (after.process, after.stamp));
    assert!(service.start().unwrap().starts_with("already up as pid "));
    assert!(service.stop().unwrap().starts_with("down after "));
    let down = service.state();
    assert_eq!((down.wanted, down.process, &*down.word), (Some(false), None, "down"));
    assert_eq!(service.stop().unwrap(), "already down");
    assert!(service.start().unwrap().starts_with("up as pid "));
}

#[test]
fn what_its_operator_took_down_is_not_restarted() {
    let service = Service::new(SLEEP, None);
    service.until("run");
    service.sv(b'd');
    service.until("down");
    assert!(service.restart().unwrap_err().contains("its operator has taken it down"));
    std::thread::sleep(STEADY);
    assert_eq!(&*service.state().word, "down");
    // Run once, it runs, and is wanted down.
    service.sv(b'o');
    let once = service.until("run");
    assert_eq!(once.wanted, Some(false));
    assert!(service.restart().unwrap_err().contains("only once"));
    assert_eq!(service.state().process, once.process);
}

#[test]
fn a_person_restarts_what_was_taken_down() {
    let service = Service::new(SLEEP, None);
    let by_hand = || restart(&service.supervisor(), true, PATIENCE, &RealClock).unwrap();
    let first = service.until("run");
    // Not a moment between the two: runsv may not have read the first letter yet.
    service.sv(b'd');
    by_hand();
    let second = service.state();
    assert!(second.wanted == Some(true) && second.process != first.process);
    service.sv(b'd');
    service.until("down");
    by_hand();
    service.sv(b'd');
    service.until("down");
    service.sv(b'o');
    let once = service.until("run");
    by_hand();
    assert!(service.state().wanted == Some(true) && service.state().process != once.process);
}

#[test]
fn the_pid_of_a_finish_script_is_not_the_services() {
    let service = Service::new(SLEEP, Some("sleep 0.5"));
    let run = service.until("run");
    kill(run.process.unwrap().pid, Signal::KILL);
    assert_eq!(service.until("finish").process, None);
    service.until("run");
}

#[test]
fn a_killed_runsv_leaves_a_status_that_is_not_believed() {
    let mut service = Service::new(SLEEP, None);
    let process = service.until("run").process.unwrap();
    kill(service.runsv.as_ref().unwrap().own_pid(), Signal::KILL);
    until("runsv is gone", || !service.state().alive);
    let state = service.state();
    assert_eq!((&*state.word, state.process), ("runsv is gone", None));
    assert!(lives(process.pid), "the service lives on");
    let before = fs::read(service.dir.path().join("supervise/status")).unwrap();
    assert_eq!((before[17], before[19]), (b'u', 1), "and the status says so still");
    for result in [service.start(), service.stop(), service.restart()] {
        assert!(result.unwrap_err().ends_with("runsv is gone"));
    }
    service.runsv = None;
}

#[test]
fn a_service_that_exits_at_once_is_not_up() {
    let service = Service::new("exit 1", None);
    service.sv(b'd');
    until("it is down", || service.state().wanted == Some(false));
    let why = service.start().unwrap_err();
    assert!(why.starts_with("not up after 2 s: its supervisor says "), "{why}");
    // Only the stamp tells of the runs between.
    let first = service.state().stamp;
    until("another run", || service.state().stamp != first);
}

#[test]
fn what_ignores_term_is_killed_at_last() {
    let service = Service::new("trap '' TERM; while :; do sleep 0.05; done", None);
    let before = service.until("run");
    service.restart().unwrap();
    assert_ne!(service.state().process, before.process);
    service.stop().unwrap();
    assert_eq!(&*service.state().word, "down");
}

#[test]
fn a_paused_service_can_be_restarted() {
    let service = Service::new(SLEEP, None);
    let before = service.until("run");
    service.sv(b'p');
    service.until("paused");
    service.restart().unwrap();
    let after = service.until("run");
    assert_ne!(before.process, after.process);
}

#[test]
fn a_directory_without_runsv_is_not_supervised() {
    let mut bench = Bench::new();
    let service = bench.dir.path().to_str().unwrap().to_owned();
    let directory = path(std::path::Path::new("/etc/service"));
    let control =
        ControlSpec::Runit(RunitControl { service, directory, timeout: Span(Duration::from_secs(1)), check: false });
    let start = Act::Start { service: "web".into(), control: control.clone(), after: None };
    assert!(why(bench.act(start)).ends_with("is not supervised by runsv"));
    let kind = Arc::new(Kind::Control(control));
    let (check, wanted, timeout) = (CheckId(7), MetricSet::default(), Duration::from_secs(1));
    let question = Question { check, kind, identity: None, wanted, timeout, urgent: false };
    bench.controls.ask(question.clone());
    let Some(Input::Sampled(samples)) = bench.input(Duration::from_secs(10)) else { panic!() };
    let Found::Control(state) = &samples[0].1.found else { panic!("{samples:?}") };
    assert_eq!((samples[0].0, state.alive, state.wanted), (check, false, None));
    assert!(state.word.ends_with("is not supervised by runsv"), "{}", state.word);

    // A file of another supervisor's, or of nobody's, is no answer.
    let supervise = bench.dir.path().join("supervise");
    fs::create_dir(&supervise).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, supervise.join("ok"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    fs::write(supervise.join("status"), [0; 18]).unwrap();
    bench.controls.ask(question);
    let Some(Input::Sampled(samples)) = bench.input(Duration::from_secs(10)) else { panic!() };
    assert_eq!(samples[0].1.found, Found::Unasked);
    assert!(samples[0].1.note.as_ref().unwrap().contains("18 bytes instead of 20"));
}

#[test]
fn acts_go_through_the_controls() {
    let mut bench = Bench::new();
    let service = Service::new(SLEEP, None);
    service.until("run");
    let control = ControlSpec::Runit(service.control());
    for act in [
        Act::Restart { service: "web".into(), control: control.clone(), by_hand: false },
        Act::Stop { service: "web".into(), control: control.clone(), process: None, for_good: true },
        Act::Start { service: "web".into(), control, after: None },
    ] {
        assert!(matches!(bench.act(act), Report::Done { .. }));
    }
}
