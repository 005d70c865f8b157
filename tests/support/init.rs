//! A parent for daemons that takes note of their end at once.

use super::tool;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

/// See `init.py`. Dropping it leaves what it started to pid 1.
pub struct Init {
    process: Child,
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
}

impl Init {
    /// Starts it.
    pub fn start() -> Init {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/init.py");
        let mut command = Command::new(tool("venv/bin/python"));
        let mut process = command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let pipes = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()));
        Init { process, pipes: Mutex::new(pipes) }
    }

    /// Starts a program in a session of its own, what it prints appended to `log`. Returns its pid.
    pub fn spawn(&self, command: &Command, log: &Path) -> u32 {
        let text = |s: &std::ffi::OsStr| s.to_str().unwrap().to_owned();
        let argv: Vec<String> = [command.get_program()].into_iter().chain(command.get_args()).map(text).collect();
        let mut env: BTreeMap<String, String> = std::env::vars().collect();
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => env.insert(text(name), text(value)),
                None => env.remove(&text(name)),
            };
        }
        let order = serde_json::json!({ "argv": argv, "env": env, "log": log });
        let mut pipes = self.pipes.lock().unwrap();
        writeln!(pipes.0, "{order}").unwrap();
        let mut answer = String::new();
        pipes.1.read_line(&mut answer).unwrap();
        answer.trim().parse().unwrap_or_else(|_| panic!("{argv:?} does not start"))
    }
}

impl Drop for Init {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
