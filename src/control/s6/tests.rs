use super::*;
use crate::control::service_dir::testing::{PATIENCE, SLEEP, STUBBORN, Service, bytes, is_recent};
use crate::control::supervisor::restart;
use crate::daemon::RealClock;
use crate::sys::testing::{Script, kill, until};
use rustix::process::Signal;
use std::fs;
use std::time::Duration;

fn service(run: &str) -> Service {
    Service::new("s6-supervise", &[("run", run)])
}

/// What `s6-svstat` says of it, and what we say, in its words. Its seconds begin at another fraction than ours, so they may
/// differ by one.
fn agrees(service: &Service) {
    let fields = "up,wantedup,ready,paused,pid,exitcode,signal,updownfor";
    let theirs = Script::start(&format!("s6-svstat -o {fields} {}", service.path().display())).line();
    let theirs: Vec<&str> = theirs.split(' ').collect();
    let state = service.state();
    let up = matches!(state.phase, Phase::Running | Phase::Paused | Phase::Stopping);
    let (code, signal) = match state.last_exit {
        // It says so only of what is down.
        Some(Exit::Code(code)) if !up => (code.to_string(), "NA".to_owned()),
        Some(Exit::Signal { number, .. }) if !up => {
            ("-1".to_owned(), crate::model::Signal(number).name().map_or(String::new(), |name| format!("SIG{name}")))
        }
        None if !up => ("0".to_owned(), "NA".to_owned()),
        _ => ("-1".to_owned(), "NA".to_owned()),
    };
    let ready = up && service.status()[34] & READY != 0;
    // Of what is down it names nobody.
    let pid = state.process.map_or("-1".to_owned(), |process| process.pid.to_string());
    let ours = [
        up.to_string(),
        state.wanted.unwrap().to_string(),
        ready.to_string(),
        (state.phase == Phase::Paused).to_string(),
        pid,
        code,
        signal,
    ];
    assert_eq!(theirs[..7], ours, "{state:?}");
    if let Some(since) = state.since {
        use crate::model::Clock;
        let ours = (RealClock.now().wall - since).as_secs();
        let theirs: u64 = theirs[7].parse().unwrap();
        assert!(theirs.abs_diff(ours) <= 1, "{theirs} {ours}");
        assert!(is_recent(state.since), "leap seconds: {state:?}");
    }
}

#[test]
fn the_bytes_mean_what_they_should() {
    let short = bytes("400000006b003daa 2c9b40fd 400000006b003daa 2c967 3d0 0000000000001252 0009 0d");
    let status = parse(&short).unwrap();
    assert_eq!((status.phase, status.wanted, status.pid), (Phase::Paused, true, Some(0x1252)));
    assert_eq!(status.last_exit, Some(Exit::Signal { number: 9, core: false }));
    assert_eq!(status.stamp.wall(AHEAD).0, (0x6b00_3daa - 37) * 1000 + 748);
    // The long form has a process group before the wait status.
    let long = [&short[..32], &[0, 0, 0, 0, 0, 0, 0x12, 0x52], &short[32..]].concat();
    assert_eq!((long.len(), parse(&long)), (43, Some(status)));
    for length in (0..64).filter(|length| ![35, 43].contains(length)) {
        assert_eq!(parse(&vec![0; length]), None);
    }
    let old = [&short[..34], &[0x1c]].concat();
    assert_eq!(parse(&old), None, "flags of another order");
    // Down, and ready to be started; not ready.
    let down = [&short[..24], &[0; 8], &[0, 9, 8]].concat();
    assert_eq!(parse(&down).map(|s| (s.phase, s.pid)), Some((Phase::Down, None)));
    let finishing = [&short[..34], &[6]].concat();
    assert_eq!(parse(&finishing).map(|s| (s.phase, s.pid)), Some((Phase::Finishing, None)));
}

#[test]
fn every_state_is_read_as_its_own_tool_reads_it() {
    let service = Service::new(
        "s6-supervise",
        &[
            ("run", "echo >&3; exec 3>&-; exec sleep 4711"),
            ("finish", "sleep 0.5"),
            ("notification-fd", "3\n"),
            ("down", ""),
        ],
    );
    let never = service.until(Phase::Down);
    assert_eq!((never.wanted, never.last_exit), (Some(false), None));
    agrees(&service);
    service.order(b'u');
    service.until(Phase::Running);
    until("it is ready", || &*service.state().word == "up and ready");
    assert_ne!(service.status()[34] & READY, 0);
    agrees(&service);
    service.order(b'p');
    assert_eq!(service.until(Phase::Paused).since, None);
    agrees(&service);
    service.order(b'c');
    let up = service.until(Phase::Running);
    kill(up.process.unwrap().pid, Signal::KILL);
    let finishing = service.until(Phase::Finishing);
    assert_ne!(service.status()[24..32], [0; 8], "the pid is the finish script's");
    assert_eq!(finishing.process, None);
    agrees(&service);
    let again = service.until(Phase::Running);
    assert_eq!(again.last_exit, Some(Exit::Signal { number: 9, core: false }));
    service.order(b'd');
    let down = service.until(Phase::Down);
    assert_eq!((down.wanted, down.last_exit), (Some(false), Some(Exit::Signal { number: 15, core: false })));
    assert_eq!(service.status()[34], 8, "down, and ready to be started");
    agrees(&service);
}

#[test]
fn a_clean_exit_is_known_from_none() {
    let service = service("exit 0");
    until("it has exited", || service.state().last_exit == Some(Exit::Code(0)));
    let first = service.state().stamp;
    until("another run", || service.state().stamp != first);
}

#[test]
fn a_restart_is_seen_to_have_happened() {
    service(SLEEP).obeys();
}

#[test]
fn what_its_operator_took_down_is_restarted_by_hand_only() {
    let service = service(SLEEP);
    let first = service.until(Phase::Running);
    // Run once from now on: it runs, and is wanted down.
    service.order(b'O');
    until("it is wanted down", || service.state().wanted == Some(false));
    assert_eq!(service.state().process, first.process);
    assert!(service.restart().unwrap_err().contains("only once"));
    assert_eq!(service.state().process, first.process);
    service.restart_by_hand().unwrap();
    let second = service.state();
    assert!(second.wanted == Some(true) && second.process != first.process);
    service.order(b'd');
    service.until(Phase::Down);
    assert!(service.restart().unwrap_err().contains("its operator has taken it down"));
    assert_eq!(service.state().phase, Phase::Down);
    service.restart_by_hand().unwrap();
    // An order that comes right after the operator's.
    service.order(b'd');
    service.restart_by_hand().unwrap();
    assert_eq!(service.state().wanted, Some(true));
}

/// The event is what tells it from what an operator took down; hearing it is `listen`'s part.
#[test]
fn what_is_given_up_may_be_started_again() {
    let service =
        Service::new("s6-supervise", &[("run", "test -e good && exec sleep 4711; exit 3"), ("finish", "exit 125")]);
    let down = service.until(Phase::Down);
    assert_eq!((down.wanted, down.failed), (Some(false), false), "as if an operator had done it");
    service.given_up.set(service.path(), true);
    let failed = service.state();
    assert_eq!((failed.wanted, failed.failed, &*failed.word), (Some(true), true, "failed for good"));
    assert_eq!(failed.last_exit, Some(Exit::Code(3)));
    let why = service.restart().unwrap_err();
    assert!(why.starts_with("not up"), "{why}");
    fs::write(service.path().join("good"), "").unwrap();
    service.restart().unwrap();
    let up = service.state();
    assert_eq!((up.failed, up.wanted), (false, Some(true)));
}

#[test]
fn a_killed_supervisor_leaves_a_status_that_is_not_believed() {
    let mut service = service(SLEEP);
    kill(service.is_not_believed_without_its_supervisor(), Signal::KILL);
    service.supervise();
    service.until(Phase::Running);
}

#[test]
fn a_directory_without_supervisor_is_not_supervised() {
    let mut service = Service::unsupervised("s6-supervise", &[("run", SLEEP)]);
    let state = service.state();
    assert_eq!((state.alive, state.wanted), (false, None));
    assert!(state.word.ends_with("is not supervised by s6-supervise"), "{}", state.word);
    assert!(service.start().unwrap_err().ends_with("is not supervised by s6-supervise"));
    service.supervise();
}

#[test]
fn a_service_of_another_supervisor_is_named() {
    for (program, control) in [("runsv", "runit"), ("supervise", "daemontools")] {
        let other = Service::new(program, &[("run", SLEEP)]);
        let why = S6::new(other.path().to_owned(), GivenUp::default()).state().unwrap_err();
        let path = other.path().display();
        assert_eq!(why, format!("{path} is a service of {control}; write `control: {{ {control}: {path} }}`"));
    }
}

#[test]
fn what_does_not_end_is_killed_at_last() {
    let service = service(STUBBORN);
    let before = service.until(Phase::Running);
    // s6-supervise waits a second after each death.
    restart(&*service.control, false, 3 * PATIENCE, &RealClock).unwrap();
    assert_ne!(service.state().process, before.process);
    service.stop().unwrap();
    assert_eq!(service.state().phase, Phase::Down);
    assert_eq!(service.state().last_exit, Some(Exit::Signal { number: 9, core: false }));
}

#[test]
fn a_paused_service_can_be_restarted_and_its_own_signal_ends_it() {
    let run = "trap '' TERM; trap 'exit 7' USR1; while :; do sleep 0.05; done";
    let service = Service::new("s6-supervise", &[("run", run), ("down-signal", "SIGUSR1\n")]);
    let before = service.until(Phase::Running);
    // The shell has to come to its traps.
    std::thread::sleep(Duration::from_millis(200));
    service.order(b'p');
    service.until(Phase::Paused);
    service.restart().unwrap();
    let after = service.until(Phase::Running);
    assert_ne!(before.process, after.process);
    assert_eq!(after.last_exit, Some(Exit::Code(7)));
}

#[test]
fn a_service_that_exits_at_once_is_not_up() {
    let service = service("exit 1");
    service.order(b'd');
    until("it is down", || service.state().wanted == Some(false));
    let why = service.start().unwrap_err();
    assert!(why.starts_with(&format!("not up after {} s: its supervisor says ", PATIENCE.as_secs())), "{why}");
}

proptest::proptest! {
    #[test]
    fn any_status_is_survived(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 33usize..45)) {
        if let Some(status) = parse(&bytes) {
            let _ = (status.stamp.wall(AHEAD), status.stamp.number());
            assert_ne!(status.pid, Some(0));
        }
    }
}
