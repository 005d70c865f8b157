//! Bad ground: what else runs on a machine, and what goes wrong on one. Each test shows what minder does about it.
#![allow(clippy::disallowed_methods, reason = "tests start programs and watch the time")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on ends")]

#[path = "../support/mod.rs"]
mod support;

mod clock;
mod crowd;
mod daemons;
mod killed;
mod machine;
mod pidfiles;
mod rules;
mod servers;
mod start;
mod words;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use support::process_exists;

/// For what takes a moment: generous, since it is only waited for as long as it is not so.
const SOON: Duration = Duration::from_secs(20);

/// A process of this test's own, which ends with it.
struct Own(Child);

impl Own {
    fn spawn(program: &str, arguments: &[&str]) -> Own {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Own(command.spawn().unwrap())
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn lives(&self) -> bool {
        process_exists(self.pid())
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A script with this body, to be started by minder.
fn script(path: &Path, body: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, format!("#!/bin/sh\n{body}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}
