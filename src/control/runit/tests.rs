use super::*;
use crate::control::service_dir::testing::{PATIENCE, SLEEP, STUBBORN, Service, bytes};
use crate::control::supervisor::STEADY;
use crate::control::tests::{Bench, path, why};
use crate::model::controls::{ControlSpec, RunitControl};
use crate::model::{Act, CheckId, Found, Input, Kind, MetricSet, Question, Report, Span};
use crate::sys::testing::{kill, until};
use rustix::fs::{FileType, Mode};
use rustix::process::Signal;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

fn service(run: &str) -> Service {
    Service::new("runsv", &[("run", run)])
}

fn control(service: &Service) -> ControlSpec {
    let (service, directory) =
        (service.path().to_str().unwrap().to_owned(), path(std::path::Path::new("/etc/service")));
    ControlSpec::Runit(RunitControl { service, directory, timeout: Span(PATIENCE), check: false })
}

#[test]
fn the_bytes_mean_what_they_should() {
    let of = bytes("400000006affb893 09f873bc 22220000 00 75 01 01");
    let status = parse(&of).unwrap();
    assert_eq!((status.phase, status.wanted, status.pid), (Phase::Stopping, true, Some(0x2222)));
    // Its time is that of the start, and nobody knows since when it is told to end.
    assert_eq!((status.stamp.wall(AHEAD).0, status.since), ((0x6aff_b893 - 10) * 1000 + 167, None));
    let runs = parse(&bytes("400000006affb893 09f873bc 22220000 00 75 00 01")).unwrap();
    assert_eq!((runs.phase, runs.since), (Phase::Running, Some(runs.stamp.wall(AHEAD))));
    assert_eq!(parse(&of[..18]), None, "daemontools");
    assert_eq!(parse(&[0; 35]), None, "s6");
    assert_eq!(parse(&[9; 20]), None);
}

#[test]
fn a_restart_is_seen_to_have_happened() {
    service(SLEEP).obeys();
}

#[test]
fn what_its_operator_took_down_is_not_restarted() {
    let service = service(SLEEP);
    service.until(Phase::Running);
    service.order(b'd');
    service.until(Phase::Down);
    assert!(service.restart().unwrap_err().contains("its operator has taken it down"));
    std::thread::sleep(STEADY);
    assert_eq!(&*service.state().word, "down");
    // Run once, it runs, and is wanted down.
    service.order(b'o');
    let once = service.until(Phase::Running);
    assert_eq!(once.wanted, Some(false));
    assert!(service.restart().unwrap_err().contains("only once"));
    assert_eq!(service.state().process, once.process);
}

#[test]
fn a_person_restarts_what_was_taken_down() {
    let service = service(SLEEP);
    let by_hand = || service.restart_by_hand().unwrap();
    let first = service.until(Phase::Running);
    // Not a moment between the two: runsv may not have read the first letter yet.
    service.order(b'd');
    by_hand();
    let second = service.state();
    assert!(second.wanted == Some(true) && second.process != first.process);
    service.order(b'd');
    service.until(Phase::Down);
    by_hand();
    service.order(b'd');
    service.until(Phase::Down);
    service.order(b'o');
    let once = service.until(Phase::Running);
    by_hand();
    assert!(service.state().wanted == Some(true) && service.state().process != once.process);
}

#[test]
fn the_pid_of_a_finish_script_is_not_the_services() {
    let service = Service::new("runsv", &[("run", SLEEP), ("finish", "sleep 0.5")]);
    let run = service.until(Phase::Running);
    kill(run.process.unwrap().pid, Signal::KILL);
    let finishing = service.until(Phase::Finishing);
    // The pid is the script's, the time that of the run's start.
    assert_eq!((finishing.process, finishing.since), (None, None));
    until("the finish script has a pid", || service.status()[12..16] != [0; 4]);
    assert_eq!((service.state().phase, service.state().process), (Phase::Finishing, None));
    service.until(Phase::Running);
}

#[test]
fn a_killed_runsv_leaves_a_status_that_is_not_believed() {
    let service = service(SLEEP);
    service.is_not_believed_without_its_supervisor();
    let status = service.status();
    assert_eq!((status[17], status[19]), (b'u', 1), "and the status says so still");
}

#[test]
fn a_service_that_exits_at_once_is_not_up() {
    let service = service("exit 1");
    service.order(b'd');
    until("it is down", || service.state().wanted == Some(false));
    let why = service.start().unwrap_err();
    assert!(why.starts_with("not up after 2 s: its supervisor says "), "{why}");
    // Only the stamp tells of the runs between.
    let first = service.state().stamp;
    until("another run", || service.state().stamp != first);
}

#[test]
fn what_ignores_term_is_killed_at_last() {
    let service = service(STUBBORN);
    let before = service.until(Phase::Running);
    service.restart().unwrap();
    assert_ne!(service.state().process, before.process);
    service.stop().unwrap();
    assert_eq!(&*service.state().word, "down");
}

#[test]
fn a_paused_service_can_be_restarted() {
    let service = service(SLEEP);
    let before = service.until(Phase::Running);
    service.order(b'p');
    service.until(Phase::Paused);
    service.restart().unwrap();
    let after = service.until(Phase::Running);
    assert_ne!(before.process, after.process);
}

#[test]
fn a_directory_without_runsv_is_not_supervised() {
    let mut bench = Bench::new();
    let service = Service::unsupervised("runsv", &[]);
    let (control, supervise) = (control(&service), service.path().join("supervise"));
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
    fs::create_dir(&supervise).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, supervise.join("ok"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    fs::write(supervise.join("status"), [0; 18]).unwrap();
    bench.controls.ask(question);
    let Some(Input::Sampled(samples)) = bench.input(Duration::from_secs(10)) else { panic!() };
    assert_eq!(samples[0].1.found, Found::Unasked);
    let note = samples[0].1.note.as_ref().unwrap();
    assert!(note.contains(" is a service of daemontools; write `control: { daemontools: /"), "{note}");
}

#[test]
fn acts_go_through_the_controls() {
    let mut bench = Bench::new();
    let service = service(SLEEP);
    service.until(Phase::Running);
    let control = control(&service);
    for act in [
        Act::Restart { service: "web".into(), control: control.clone(), by_hand: false },
        Act::Stop { service: "web".into(), control: control.clone(), process: None, for_good: true },
        Act::Start { service: "web".into(), control, after: None },
    ] {
        assert!(matches!(bench.act(act), Report::Done { .. }));
    }
}

/// Who may write the record of a supervisor could name anybody in it, to be watched and signalled.
#[test]
fn a_pid_is_believed_only_if_nobody_else_could_have_written_it() {
    use std::os::unix::fs::chown;
    const NOBODY: u32 = 65534;
    if !rustix::process::geteuid().is_root() {
        return eprintln!("not tried: only root can give files away");
    }
    let roots = service(SLEEP);
    let pid = roots.until(Phase::Running).process;
    chown(roots.path(), Some(NOBODY), None).unwrap();
    let doubted = roots.state();
    assert_eq!((doubted.phase, doubted.process), (Phase::Running, None));
    let why = format!("run; its pid is not believed: {} belongs to user {NOBODY}", roots.path().display());
    assert!(doubted.word.starts_with(&why), "{}", doubted.word);
    // It is told to restart all the same: that goes through its supervisor.
    roots.restart().unwrap();
    chown(roots.path(), Some(0), None).unwrap();
    assert!(roots.state().process.is_some_and(|new| Some(new) != pid));

    let theirs = service("exec chpst -u nobody sleep 4711");
    chown(theirs.path(), Some(NOBODY), None).unwrap();
    // For a moment the script is root's still.
    until("the user of its process may name it", || theirs.state().process.is_some());
}

#[test]
fn what_is_no_file_is_no_status() {
    let service = Service::unsupervised("runsv", &[]);
    let supervise = service.path().join("supervise");
    fs::create_dir(&supervise).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, supervise.join("status"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    assert!(service.control.state().unwrap_err().ends_with("/supervise/status: not a regular file"));
    fs::remove_file(supervise.join("status")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", supervise.join("status")).unwrap();
    assert!(service.control.state().unwrap_err().ends_with("/supervise/status: not a regular file"));
}

proptest::proptest! {
    #[test]
    fn any_status_is_survived(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 18usize..22)) {
        if let Some(status) = parse(&bytes) {
            let _ = (status.stamp.wall(AHEAD), status.stamp.number());
            assert_ne!(status.pid, Some(0));
        }
    }
}
