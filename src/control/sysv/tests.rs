use super::*;
use crate::control::tests::{Bench, identity_of, why};
use crate::model::controls::ControlSpec;
use crate::model::{Act, Kind};
use crate::sys::testing::{kill, lives, until};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// An init script with a daemon of its own, which complains about everything that a careless one complains about.
struct Init {
    bench: Bench,
}

impl Init {
    fn new(status: &str) -> Init {
        let init = Init { bench: Bench::new() };
        let at = init.bench.dir.path().display().to_string();
        let script = format!(
            "#!/bin/sh\npid=$(cat {at}/pid 2>/dev/null)\nruns() {{ test -n \"$pid\" && kill -0 $pid 2>/dev/null; }}\n\
             echo $1 >>{at}/told\nenv >{at}/env\ncase $1 in\n\
             start) runs && {{ echo 'it runs already' >&2; exit 1; }}\n\
             test -e {at}/broken && {{ echo one; echo 'no port'; exit 7; }}\n\
             setsid sleep 4711 >/dev/null 2>&1 & echo $! >{at}/pid ;;\n\
             stop) runs || {{ echo 'it does not run' >&2; exit 1; }}\nkill $pid; rm {at}/pid ;;\n\
             {status}\n*) echo \"Usage: $0 start|stop\" >&2; exit 3 ;;\nesac\n"
        );
        let path = init.bench.dir.path().join("web");
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        init
    }

    fn control(&self) -> ControlSpec {
        let script = self.bench.dir.path().join("web").display().to_string();
        ControlSpec::Sysv(SysvControl { script, timeout: Span(Duration::from_secs(10)) })
    }

    fn pid(&self) -> Option<u32> {
        fs::read_to_string(self.bench.dir.path().join("pid")).ok()?.trim().parse().ok()
    }

    fn told(&self) -> String {
        let path = self.bench.dir.path().join("told");
        let told = fs::read_to_string(&path).unwrap_or_default();
        let _ = fs::remove_file(path);
        told.replace('\n', " ")
    }

    fn start(&mut self, after: Option<Aim>) -> Report {
        let act = Act::Start { service: "web".into(), control: self.control(), after };
        match self.bench.act(act) {
            Report::Launched { .. } => self.bench.report(),
            other => other,
        }
    }

    fn stop(&mut self, process: Option<Aim>) -> Report {
        self.bench.act(Act::Stop { service: "web".into(), control: self.control(), process, for_good: true })
    }
}

impl Drop for Init {
    fn drop(&mut self) {
        if let Some(pid) = self.pid().filter(|pid| lives(*pid)) {
            kill(pid, rustix::process::Signal::KILL);
        }
    }
}

fn aim(pid: u32) -> Aim {
    Aim { identity: identity_of(pid), selector: Arc::new(Kind::Process(Default::default())) }
}

const STATUS: &str = "status) runs && exit 0; exit 3 ;;";

fn done(report: Report) -> String {
    match report {
        Report::Done { words } => words.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_so_already_is_not_asked_of_the_script() {
    let mut init = Init::new(STATUS);
    assert!(done(init.stop(None)).starts_with("already down"));
    assert!(matches!(init.start(None), Report::LaunchEnded { exit: Exit::Code(0), .. }));
    assert_eq!(init.told(), "status status start ");
    let pid = init.pid().unwrap();
    assert!(done(init.start(None)).starts_with("already up"));
    assert_eq!(init.told(), "status ");
    assert!(done(init.stop(Some(aim(pid)))).starts_with(&format!("pid {pid} ended in ")));
    assert!(!lives(pid));
    assert_eq!(init.told(), "stop ", "of a process that lives the status says nothing new");
}

#[test]
fn a_script_without_status_is_told_all_the_same() {
    let mut init = Init::new("");
    assert!(matches!(init.start(None), Report::LaunchEnded { exit: Exit::Code(0), .. }));
    assert_eq!(init.told(), "status start ");
    assert_eq!(done(init.stop(None)), "exit code 0");
    let failed = why(init.stop(None));
    assert_eq!(failed, "exit code 1: it does not run");
}

#[test]
fn a_status_that_lies_does_not_keep_the_dead_from_being_started() {
    let mut init = Init::new("status) exit 0 ;;");
    init.start(None);
    assert_eq!(init.told(), "status ", "without more to go by it is believed");
    let dead = crate::sys::testing::Script::start("exec sleep 4711");
    let aim = aim(dead.own_pid());
    drop(dead);
    assert!(matches!(init.start(Some(aim)), Report::LaunchEnded { exit: Exit::Code(0), .. }));
    assert!(init.pid().is_some());
}

#[test]
fn a_start_that_fails_tells_what_it_wrote_and_finds_a_clean_environment() {
    let mut init = Init::new(STATUS);
    fs::write(init.bench.dir.path().join("broken"), "").unwrap();
    let Report::LaunchEnded { exit, output } = init.start(None) else { panic!() };
    assert_eq!((exit, &*output), (Exit::Code(7), "one\nno port"));
    let environment = fs::read_to_string(init.bench.dir.path().join("env")).unwrap();
    assert!(environment.contains("PATH=") && !environment.contains("CARGO"), "{environment}");
}

#[test]
fn a_daemon_has_a_session_of_its_own() {
    let mut init = Init::new(STATUS);
    init.start(None);
    let stat = crate::sys::proc::stat(init.pid().unwrap()).unwrap();
    assert_ne!(stat.session, crate::sys::proc::stat(std::process::id()).unwrap().session);
    until("its script has ended", || {
        crate::sys::proc::stat(stat.pid).is_ok_and(|s| s.ppid != stat.ppid || s.ppid <= 1)
    });
}

#[test]
fn exit_codes_of_status() {
    let read = |code, output: &str| Status::read(Some(Exit::Code(code)), output.as_bytes());
    assert_eq!(read(0, "web is running"), Status::Runs);
    for code in 1..=3 {
        assert_eq!(read(code, "web is not running"), Status::Stopped);
        assert_eq!(read(code, "Usage: web {start|stop}"), Status::Unknown);
    }
    for code in [4, 64, 127] {
        assert_eq!(read(code, ""), Status::Unknown);
    }
    assert_eq!(read(0, "USAGE: web start"), Status::Unknown);
    assert_eq!(Status::read(None, b""), Status::Unknown);
}
