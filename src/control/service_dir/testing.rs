//! Services under real supervisors.

use crate::control::supervisor::{Supervisor, restart, start, stop};
use crate::daemon::RealClock;
use crate::model::{ControlState, GivenUp, Phase, Wall};
use crate::sys::fifo;
use crate::sys::testing::{Script, kill, lives, until};
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

/// So long its supervisor has.
pub(crate) const PATIENCE: Duration = Duration::from_millis(2000);

pub(crate) const SLEEP: &str = "exec sleep 4711";
/// Does not end by TERM.
pub(crate) const STUBBORN: &str = "trap '' TERM; while :; do sleep 0.05; done";

/// A service under a supervisor of its own; both end with the test.
pub(crate) struct Service {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) supervisor: Option<Script>,
    program: &'static str,
    pub(in crate::control) control: Box<dyn Supervisor>,
    pub(crate) given_up: GivenUp,
}

impl Service {
    /// Its scripts by their names; a text that is no script goes into a file of this name.
    pub(crate) fn new(program: &'static str, files: &[(&str, &str)]) -> Service {
        let mut service = Service::unsupervised(program, files);
        service.supervise();
        service
    }

    pub(crate) fn unsupervised(program: &'static str, files: &[(&str, &str)]) -> Service {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            let is_script = matches!(*name, "run" | "finish");
            fs::write(&path, if is_script { format!("#!/bin/sh\n{text}\n") } else { (*text).to_owned() }).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let given_up = GivenUp::default();
        let path = dir.path().to_owned();
        let control: Box<dyn Supervisor> = match program {
            "runsv" => Box::new(crate::control::runit::Runit::new(path)),
            "s6-supervise" => Box::new(crate::control::s6::S6::new(path, given_up.clone())),
            _ => Box::new(crate::control::daemontools::Daemontools::new(path)),
        };
        Service { dir, supervisor: None, program, control, given_up }
    }

    pub(crate) fn supervise(&mut self) {
        self.supervisor = Some(Script::start(&format!("exec {} {}", self.program, self.dir.path().display())));
        until("its supervisor keeps a status", || self.control.state().is_ok_and(|s| s.alive && s.stamp != 0));
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn state(&self) -> ControlState {
        self.control.state().unwrap()
    }

    /// Waits until it is in this phase; and if that is to run, has a process.
    pub(crate) fn until(&self, phase: Phase) -> ControlState {
        let mut now = self.state();
        until(&format!("{phase:?}"), || {
            now = self.state();
            now.phase == phase && (phase != Phase::Running || now.process.is_some())
        });
        now
    }

    /// As an operator would.
    pub(crate) fn order(&self, letter: u8) {
        let control = fifo::open_to_write(&self.path().join("supervise/control")).unwrap();
        rustix::io::write(control, &[letter]).unwrap();
    }

    pub(crate) fn status(&self) -> Vec<u8> {
        fs::read(self.path().join("supervise/status")).unwrap()
    }

    pub(crate) fn start(&self) -> Result<String, String> {
        start(&*self.control, PATIENCE, &RealClock)
    }
    pub(crate) fn stop(&self) -> Result<String, String> {
        stop(&*self.control, PATIENCE, &RealClock)
    }
    pub(crate) fn restart(&self) -> Result<String, String> {
        restart(&*self.control, false, PATIENCE, &RealClock)
    }
    pub(crate) fn restart_by_hand(&self) -> Result<String, String> {
        restart(&*self.control, true, PATIENCE, &RealClock)
    }

    /// It is restarted, stopped and started, and each is seen to have happened.
    pub(crate) fn obeys(&self) {
        let before = self.until(Phase::Running);
        assert_eq!((before.alive, before.wanted), (true, Some(true)));
        assert!(is_recent(before.since), "{before:?}");
        let done = self.restart().unwrap();
        let after = self.state();
        assert!(done.starts_with(&format!("up as pid {} after ", after.process.unwrap().pid)), "{done}");
        assert_ne!((before.process, before.stamp), (after.process, after.stamp));
        assert!(self.start().unwrap().starts_with("already up as pid "));
        assert!(self.stop().unwrap().starts_with("down after "));
        let down = self.state();
        assert_eq!((down.wanted, down.process, &*down.word), (Some(false), None, "down"));
        assert_eq!(self.stop().unwrap(), "already down");
        assert!(self.start().unwrap().starts_with("up as pid "));
    }

    /// Its supervisor is killed: the status, which says still that it runs, is not believed, and no order is given. What is left
    /// is its process.
    pub(crate) fn is_not_believed_without_its_supervisor(&self) -> u32 {
        let pid = self.until(Phase::Running).process.unwrap().pid;
        kill(self.supervisor.as_ref().unwrap().own_pid(), Signal::KILL);
        until("its supervisor is gone", || !self.state().alive);
        let (state, gone) = (self.state(), format!("{} is gone", self.program));
        assert_eq!((&*state.word, state.process, state.since), (&*gone, None, None));
        assert!(lives(pid), "the service lives on");
        for result in [self.start(), self.stop(), self.restart(), self.restart_by_hand()] {
            assert!(result.unwrap_err().ends_with(&gone));
        }
        pid
    }
}

impl Drop for Service {
    /// Its supervisor's end is not its own: s6-supervise gives it a session of its own, and one that was killed leaves it behind.
    fn drop(&mut self) {
        self.supervisor = None;
        let pids =
            fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
        let is_in_there = |pid: &u32| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == self.dir.path());
        pids.filter(is_in_there).for_each(|pid| kill(pid, Signal::KILL));
    }
}

/// Bytes that are written in hexadecimal digits.
pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    let hex: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    hex.chunks(2).map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}

/// Whether this was within the last seconds.
pub(crate) fn is_recent(since: Option<Wall>) -> bool {
    use crate::model::Clock;
    let now = RealClock.now().wall;
    since.is_some_and(|since| since <= now && now - since < Duration::from_secs(5))
}
