use super::*;
use crate::control::service_dir::testing::{SLEEP, STUBBORN, Service, bytes, is_recent};
use crate::control::supervisor::{restart, start, stop};
use crate::daemon::RealClock;
use crate::model::Clock;
use crate::sys::testing::{Script, until};
use std::time::Duration;

fn service(run: &str) -> Service {
    Service::new("supervise", &[("run", run)])
}

/// It obeys only a second after it has started something.
const LONG: Duration = Duration::from_secs(6);

/// What `svstat` says of it is what we say.
fn agrees(service: &Service) {
    let theirs = Script::start(&format!("svstat {}", service.path().display())).line();
    let state = service.state();
    let rest = theirs.split_once(": ").unwrap().1;
    let pid = state.process.map(|process| format!("up (pid {}) ", process.pid));
    let (begin, runs) = (pid.as_deref().unwrap_or("down "), pid.is_some());
    assert!(rest.starts_with(begin), "{theirs} {state:?}");
    assert_eq!(rest.contains(", paused"), state.phase == Phase::Paused, "{theirs} {state:?}");
    assert_eq!(rest.contains(", want down"), runs && service.status()[17] == b'd', "{theirs} {state:?}");
    assert_eq!(rest.contains(", want up"), !runs && state.wanted == Some(true), "{theirs} {state:?}");
    if let Some(since) = state.since {
        let ours = (RealClock.now().wall - since).as_secs();
        let theirs: u64 = rest[begin.len()..].split(' ').next().unwrap().parse().unwrap();
        assert!(theirs.abs_diff(ours) <= 1 && is_recent(state.since), "{theirs} {ours}");
    }
}

#[test]
fn the_bytes_mean_what_they_should() {
    let of = bytes("400000006b003da5 109a157c 56130000 00 75");
    let status = parse(&of).unwrap();
    assert_eq!((status.phase, status.wanted, status.pid), (Phase::Running, true, Some(0x1356)));
    assert_eq!(status.stamp.wall(AHEAD).0, (0x6b00_3da5 - 10) * 1000 + 278);
    assert!([0, 17, 19, 21, 35, 43].iter().all(|length| parse(&vec![0; *length]).is_none()));
    let with = |from: usize, new: &[u8]| [&of[..from], new].concat();
    let told = |bytes: &[u8]| parse(bytes).map(|s| (s.phase, s.wanted, s.pid)).unwrap();
    assert_eq!(told(&with(16, &[1, b'u'])), (Phase::Paused, true, Some(0x1356)));
    assert_eq!(told(&with(16, b"\0d")), (Phase::Stopping, false, Some(0x1356)));
    assert_eq!(told(&with(16, b"\0\0")), (Phase::Running, false, Some(0x1356)), "once");
    assert_eq!(told(&with(12, b"\0\0\0\0\0u")), (Phase::Starting, true, None));
    assert_eq!(told(&with(12, b"\0\0\0\0\0d")), (Phase::Down, false, None));
}

/// There is no package of it to be tried.
#[test]
fn encores_bytes_mean_what_its_source_says() {
    let bytes = |pid: u8, wanted: u8, encore: u8| {
        [&bytes("400000006b003da5 109a157c"), &[pid, 0, 0, 0, 0, wanted, encore, 0][..]].concat()
    };
    let told = |bytes: Vec<u8>| parse(&bytes).map(|s| (s.phase, s.wanted, s.failed, s.pid));
    assert_eq!(told(bytes(9, b'u', 3)), Some((Phase::Running, true, false, Some(9))));
    assert_eq!(told(bytes(9, b'd', 4)), Some((Phase::Stopping, false, false, Some(9))));
    assert_eq!(told(bytes(9, b'u', 1)), Some((Phase::Starting, true, false, None)), "its start script runs");
    assert_eq!(told(bytes(9, b'd', 0)), Some((Phase::Finishing, false, false, None)), "its stop script runs");
    assert_eq!(told(bytes(0, b'd', 0)), Some((Phase::Down, false, false, None)));
    assert_eq!(told(bytes(0, 0, 2)), Some((Phase::Running, true, false, None)), "there is nothing to run");
    assert_eq!(told(bytes(0, b'd', 5)), Some((Phase::Down, true, true, None)), "it wants it no more, we do");
    assert_eq!(told(bytes(0, b'd', 6)), None);
    let with_log = [bytes(9, b'u', 3), bytes(7, b'u', 3)].concat();
    assert_eq!(told(with_log.clone()), told(bytes(9, b'u', 3)));
    assert_eq!(told(with_log[..39].to_vec()), None);
}

#[test]
fn every_state_is_read_as_its_own_tool_reads_it() {
    let service = Service::new("supervise", &[("run", SLEEP), ("down", "")]);
    assert_eq!(service.until(Phase::Down).wanted, Some(false));
    agrees(&service);
    service.order(b'u');
    assert_eq!(service.until(Phase::Running).wanted, Some(true));
    agrees(&service);
    service.order(b'p');
    assert_eq!(service.until(Phase::Paused).since, None);
    agrees(&service);
    service.order(b'c');
    service.until(Phase::Running);
    // Run once: it runs, and nobody wants it up.
    service.order(b'o');
    until("it runs only once", || service.state().wanted == Some(false));
    assert_eq!((service.state().phase, service.status()[17]), (Phase::Running, 0));
    agrees(&service);
    service.order(b'd');
    assert_eq!(service.until(Phase::Down).wanted, Some(false));
    agrees(&service);
}

#[test]
fn what_was_told_to_end_and_has_not_is_stopping() {
    let service = service(STUBBORN);
    let runs = service.until(Phase::Running);
    service.order(b'd');
    let stopping = service.until(Phase::Stopping);
    assert_eq!((stopping.process, stopping.wanted), (runs.process, Some(false)));
    agrees(&service);
    assert!(stop(&*service.control, LONG, &RealClock).unwrap().starts_with("down after "));
}

/// Until its second is over supervise takes note of nothing, and its status still names the pid.
#[test]
fn one_that_exits_at_once_is_never_called_up() {
    let service = service("exit 1");
    let mut seen = std::collections::HashSet::new();
    until("three runs were seen after their end", || {
        let state = service.state();
        assert!(state.process.is_some() == (state.phase == Phase::Running), "{state:?}");
        if &*state.word == "has just ended" {
            assert_eq!(state.phase, Phase::Starting);
            seen.insert(state.stamp);
        }
        seen.len() == 3
    });
    let began = start(&*service.control, Duration::from_secs(2), &RealClock);
    assert!(began.unwrap_err().starts_with("not up after 2 s: its supervisor says "));
}

#[test]
fn orders_are_verified() {
    let service = service(SLEEP);
    let by = |by_hand| restart(&*service.control, by_hand, LONG, &RealClock);
    let first = service.until(Phase::Running);
    by(false).unwrap();
    let second = service.state();
    assert!(second.process != first.process && second.stamp != first.stamp);
    assert!(service.start().unwrap().starts_with("already up as pid "));
    assert!(stop(&*service.control, LONG, &RealClock).unwrap().starts_with("down after "));
    assert_eq!(service.stop().unwrap(), "already down");
    assert!(by(false).unwrap_err().contains("its operator has taken it down"));
    assert_eq!(service.state().phase, Phase::Down);
    by(true).unwrap();
    let third = service.until(Phase::Running);
    service.order(b'p');
    service.until(Phase::Paused);
    by(false).unwrap();
    assert_ne!(service.state().process, third.process);
}

#[test]
fn a_killed_supervisor_leaves_a_status_that_is_not_believed() {
    service(SLEEP).is_not_believed_without_its_supervisor();
}

#[test]
fn a_service_of_another_supervisor_is_named() {
    for (program, control) in [("runsv", "runit"), ("s6-supervise", "s6")] {
        let other = Service::new(program, &[("run", SLEEP)]);
        let why = Daemontools::new(other.path().to_owned()).state().unwrap_err();
        let path = other.path().display();
        assert_eq!(why, format!("{path} is a service of {control}; write `control: {{ {control}: {path} }}`"));
    }
    let never = Service::unsupervised("supervise", &[]);
    assert!(never.state().word.ends_with("is not supervised by supervise"));
}

proptest::proptest! {
    #[test]
    fn any_status_is_survived(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 16usize..42)) {
        if let Some(status) = parse(&bytes) {
            let _ = (status.stamp.wall(AHEAD), status.stamp.number());
            assert_ne!(status.pid, Some(0));
        }
    }
}
