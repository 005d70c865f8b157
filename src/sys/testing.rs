//! For tests of this layer and those above: real processes that end with their test.

#[path = "../../tests/support/systemd.rs"]
pub mod systemd;

use super::run::{end, kill_all, open_null};
use super::spawn::{Child, Program};
use super::users::User;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

/// A shell script that runs in the background, until it is dropped: then its whole session is killed.
pub struct Script {
    child: Option<Child>,
    out: BufReader<File>,
}

impl Script {
    /// Starts it.
    pub fn start(text: &str) -> Script {
        let argv = ["/bin/sh", "-c", text].map(str::to_owned);
        let (out, theirs) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let null = open_null().unwrap();
        let environment = User::current().environment([]);
        let program =
            Program { argv: &argv, environment: &environment, user: None, directory: Path::new("/"), umask: 0o022 };
        let child = program.start(null.as_fd(), theirs.as_fd(), null.as_fd()).unwrap();
        Script { child: Some(child), out: BufReader::new(File::from(out)) }
    }

    /// The next line that it writes.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// The next line, as a pid.
    pub fn pid(&mut self) -> u32 {
        self.line().parse().unwrap()
    }

    /// Its own pid.
    pub fn own_pid(&self) -> u32 {
        self.child.as_ref().unwrap().pid
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let child = self.child.take().unwrap();
        kill_all(&child);
        end(child);
    }
}

/// Waits until it is so, but not for ever.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("waited in vain: {what}");
}

/// Sends a signal by pid, to a process of the test's own.
pub fn kill(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// Whether it runs: a zombie does not.
pub fn lives(pid: u32) -> bool {
    super::proc::stat(pid).is_ok_and(|stat| !matches!(stat.state, b'Z' | b'X'))
}
