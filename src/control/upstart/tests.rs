//! Against a stand-in: a script that prints what upstart's documentation records. No distribution has upstart any more.

use super::*;
use crate::control::supervisor::{restart, start, stop};
use crate::daemon::RealClock;
use crate::sys::testing::{kill, lives, until};
use std::fs;
use std::os::unix::fs::PermissionsExt;

const PATIENCE: Duration = Duration::from_secs(3);

/// `initctl` with one job, `web`, whose state is the files of its directory: `pid` while it runs, `pidless` for a job whose
/// process upstart does not know, `stubborn` for one that ignores its end.
struct Init {
    dir: tempfile::TempDir,
}

impl Init {
    fn new() -> Init {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("initctl");
        fs::write(&path, include_str!("../../../tests/support/initctl")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Init { dir }
    }

    fn job(&self, job: &str, instance: Option<&str>) -> Upstart {
        Upstart {
            job: job.to_owned(),
            instance: instance.map(str::to_owned),
            timeout: PATIENCE,
            initctl: Some(self.dir.path().join("initctl")),
            unseen: AtomicU64::new(0),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

impl Drop for Init {
    fn drop(&mut self) {
        for name in ["pid", "old"] {
            let pid = fs::read_to_string(self.file(name)).ok().and_then(|text| text.trim().parse().ok());
            if let Some(pid) = pid.filter(|pid| lives(*pid)) {
                kill(pid, rustix::process::Signal::KILL);
            }
        }
    }
}

#[test]
fn every_form_is_understood() {
    let status = |goal, status: &str, pid| Some(Status { goal, status: status.to_owned(), pid });
    for (output, read, phase) in [
        ("web start/running, process 1234\n", status(true, "running", Some(1234)), Phase::Running),
        ("web stop/waiting\n", status(false, "waiting", None), Phase::Down),
        ("web start/running\n", status(true, "running", None), Phase::Running),
        ("web (tty1) start/running, process 12\n", status(true, "running", Some(12)), Phase::Running),
        ("web (a b, process 7) start/running\n", status(true, "running", None), Phase::Running),
        ("web start/running (tty1), process 12\n", status(true, "running", Some(12)), Phase::Running),
        ("web start/pre-start, process 77\n", status(true, "pre-start", None), Phase::Starting),
        (
            "web start/post-start, process 80\n\tpost-start process 81\n",
            status(true, "post-start", Some(80)),
            Phase::Starting,
        ),
        (
            "web stop/pre-stop, process 80\n\tpre-stop process 82\n",
            status(false, "pre-stop", Some(80)),
            Phase::Stopping,
        ),
        ("web stop/killed, process 80\n", status(false, "killed", Some(80)), Phase::Stopping),
        ("web stop/post-stop, process 83\n", status(false, "post-stop", None), Phase::Finishing),
        ("web start/post-stop, process 83\n", status(true, "post-stop", None), Phase::Finishing),
        ("web start/spawned, process 84\n", status(true, "spawned", Some(84)), Phase::Starting),
        ("web start/waiting\n", status(true, "waiting", None), Phase::Starting),
        ("something before\nweb stop/waiting\n", status(false, "waiting", None), Phase::Down),
    ] {
        assert_eq!(Status::parse(output, "web"), read, "{output}");
        assert_eq!(read.unwrap().phase(), phase, "{output}");
    }
    for output in ["", "webs start/running\n", "web\n", "web is running\n"] {
        assert_eq!(Status::parse(output, "web"), None, "{output}");
    }
}

#[test]
fn a_job_is_started_restarted_and_stopped() {
    let init = Init::new();
    let web = init.job("web", None);
    assert_eq!(web.state().unwrap().wanted, Some(false));
    assert_eq!(stop(&web, PATIENCE, &RealClock).unwrap(), "already down");
    assert!(restart(&web, false, PATIENCE, &RealClock).unwrap_err().contains("its operator has taken it down"));
    // A restart of what was stopped at the last moment starts nothing.
    assert!(web.tell(Order::Restart { by_hand: false }).unwrap_err().contains("Unknown instance"));
    assert!(start(&web, PATIENCE, &RealClock).unwrap().starts_with("up as pid "));
    assert!(start(&web, PATIENCE, &RealClock).unwrap().starts_with("already up as pid "));
    web.tell(Order::Up).unwrap();
    let before = web.state().unwrap();
    restart(&web, false, PATIENCE, &RealClock).unwrap();
    let after = web.state().unwrap();
    assert!(before.process.unwrap() != after.process.unwrap() && before.stamp != after.stamp);
    assert!(stop(&web, PATIENCE, &RealClock).unwrap().starts_with("down after "));
    web.tell(Order::Down).unwrap();
    assert!(restart(&web, true, PATIENCE, &RealClock).unwrap().starts_with("up as pid "));
}

#[test]
fn a_job_without_a_pid_runs_all_the_same() {
    let init = Init::new();
    fs::write(init.file("pidless"), "").unwrap();
    let web = init.job("web", None);
    assert!(start(&web, PATIENCE, &RealClock).unwrap().starts_with("up after "));
    let state = web.state().unwrap();
    assert_eq!((state.phase, state.wanted, state.process), (Phase::Running, Some(true), None));
    assert!(restart(&web, false, PATIENCE, &RealClock).unwrap().starts_with("up after "));
    stop(&web, PATIENCE, &RealClock).unwrap();
}

#[test]
fn what_does_not_end_is_killed() {
    let init = Init::new();
    let web = init.job("web", None);
    start(&web, PATIENCE, &RealClock).unwrap();
    fs::write(init.file("stubborn"), "").unwrap();
    let process = web.state().unwrap().process.unwrap();
    stop(&web, Duration::from_secs(2), &RealClock).unwrap();
    until("it is killed", || !lives(process.pid));
}

#[test]
fn what_cannot_be_told_says_so() {
    let init = Init::new();
    assert_eq!(init.job("wob", None).state().unwrap_err(), "upstart has no job `wob`");
    assert_eq!(init.job("web", Some("N=9")).state().unwrap().wanted, Some(false), "an instance that does not run");
    fs::write(init.file("dead"), "").unwrap();
    let state = init.job("web", None).state().unwrap();
    assert_eq!((state.alive, &*state.word), (false, "upstart is not running"));
    let none = Upstart { initctl: None, ..init.job("web", None) };
    let why = none.state().unwrap_err();
    assert!(why.contains("`initctl` is not installed"), "{why}");
    fs::write(init.file("initctl"), "#!/bin/sh\nprintf 'what\\033[31m'\n").unwrap();
    let why = init.job("web", None).state().unwrap_err();
    assert_eq!(why, "what `initctl status` says is not understood: what [31m");
}

proptest::proptest! {
    #[test]
    fn any_output_is_survived(
        output in "(web|start|stop|running|waiting|pre-start|/|, process |[0-9]{0,12}|\\(| |\\n|\\PC){0,30}"
    ) {
        if let Some(status) = Status::parse(&output, "web") {
            let _ = (status.phase(), status.word());
            assert!(status.pid.is_none_or(|pid| pid > 1));
        }
    }
}
