//! Real processes and the real clock, for tests.
#![allow(clippy::disallowed_methods, reason = "tests start programs and read clocks themselves")]

use crate::model::{Clock, Identity, Mono, Now, Wall};
use crate::sys::proc;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

pub(super) struct RealClock(Instant);

impl RealClock {
    pub(super) fn new() -> RealClock {
        RealClock(Instant::now())
    }
}

impl Clock for RealClock {
    fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        // Some time after zero, as on a machine that has been up.
        let mono = self.0.elapsed() + Duration::from_secs(1000);
        Now { mono: Mono(mono.as_nanos() as u64), wall: Wall(wall.as_millis() as i64) }
    }
}

/// A process that ends with the test, whatever becomes of the test.
pub(super) struct Program(pub(super) Child);

impl Program {
    pub(super) fn start(program: &str, arguments: &[&str]) -> Program {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Program(command.spawn().unwrap())
    }
    /// One whose process has this name and is `sleep`: a copy, since a link would not change the program's path.
    pub(super) fn sleeper(dir: &std::path::Path, name: &str) -> Program {
        let path = dir.join(name);
        if !path.exists() {
            std::fs::copy("/bin/sleep", &path).unwrap();
        }
        // Another test may be between fork and exec with the copy still open for writing.
        for _ in 0..1000 {
            match Command::new(&path).arg("60").stdin(Stdio::null()).spawn() {
                Err(e) if e.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                    std::thread::sleep(Duration::from_millis(1))
                }
                child => return Program(child.unwrap()),
            }
        }
        panic!("{} stays busy", path.display());
    }
    pub(super) fn pid(&self) -> u32 {
        self.0.id()
    }
    pub(super) fn identity(&self) -> Identity {
        Identity { pid: self.pid(), start: proc::stat(self.pid()).unwrap().start }
    }
    pub(super) fn end(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for a condition, within a bound.
pub(super) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < end, "not so within 10 s: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
