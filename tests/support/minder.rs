//! minder itself, as a person would run it: the program, a folder of rules, a state directory.

use super::{free_port, process_exists, signal, sweep, wait_for, wait_until};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// A minder with a directory of its own. Dropping it ends it, and everything that has to do with its directory.
pub struct Minder {
    dir: tempfile::TempDir,
    daemon: Option<Child>,
    /// Where its page is, on 127.0.0.1.
    pub port: u16,
}

impl Minder {
    /// A place for rules and state; nothing runs yet.
    pub fn new() -> Minder {
        let dir = tempfile::Builder::new().prefix("minder-test-").tempdir().unwrap();
        std::fs::create_dir(dir.path().join("rules")).unwrap();
        let minder = Minder { dir, daemon: None, port: free_port() };
        minder.write("00-base.yaml", &format!("version: 1\ndashboard: {{ listen: \"127.0.0.1:{}\" }}\n", minder.port));
        minder
    }

    /// Its directory: for whatever else the test needs, and swept at the end.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
    /// The folder of rules.
    pub fn rules(&self) -> PathBuf {
        self.dir.path().join("rules")
    }
    fn socket(&self) -> PathBuf {
        self.dir.path().join("minder.sock")
    }

    /// Writes a file of rules; a relative name is within the folder of rules.
    pub fn write(&self, name: &str, yaml: &str) {
        std::fs::write(self.rules().join(name), yaml).unwrap();
    }

    /// A command of the command line, pointed at this minder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_minder"));
        command.args(arguments);
        command.env("MINDER_STATE", self.dir.path().join("state")).env("MINDER_SOCKET", self.socket());
        command.env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC").env("NO_COLOR", "1").stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that must succeed, and returns what it prints.
    #[track_caller]
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "minder {}: {}\n{out}{err}", arguments.join(" "), output.status);
        out.into_owned()
    }

    /// Starts the daemon, and waits until it answers.
    #[track_caller]
    pub fn start(&mut self) {
        let rules = self.rules();
        let log = std::fs::File::options().create(true).append(true).open(self.dir.path().join("minder.log")).unwrap();
        let mut command = self.command(&["run"]);
        command.arg(rules).arg("--state").arg(self.dir.path().join("state")).arg("--socket").arg(self.socket());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.daemon = Some(command.spawn().unwrap());
        wait_until("minder answers on its socket", Duration::from_secs(10), || {
            if let Some(status) = self.daemon.as_mut().unwrap().try_wait().unwrap() {
                panic!("minder ended: {status}\n{}", self.log());
            }
            self.status().is_some()
        });
    }

    /// What it has printed, for the report of a failure only.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("minder.log")).unwrap_or_default()
    }

    /// The daemon's pid.
    pub fn pid(&self) -> u32 {
        self.daemon.as_ref().expect("minder was not started").id()
    }

    /// Sends the daemon a signal.
    pub fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Waits for the daemon's end; false if it has not come by then.
    pub fn ended_within(&mut self, bound: Duration) -> bool {
        let mut daemon = self.daemon.take().expect("minder was not started");
        let start = std::time::Instant::now();
        while start.elapsed() < bound {
            if daemon.try_wait().unwrap().is_some() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.daemon = Some(daemon);
        false
    }

    /// Kills the daemon as nothing else can.
    pub fn kill(&mut self) {
        let mut daemon = self.daemon.take().expect("minder was not started");
        daemon.kill().unwrap();
        daemon.wait().unwrap();
    }

    /// `minder status --json`; nothing while it cannot be reached.
    pub fn status(&self) -> Option<serde_json::Value> {
        let output = self.run(&["status", "--json"]);
        // 1 says that something is wrong with a service.
        matches!(output.status.code(), Some(0 | 1)).then(|| serde_json::from_slice(&output.stdout).ok()).flatten()
    }

    /// One service of the status.
    pub fn service(&self, name: &str) -> Option<serde_json::Value> {
        let status = self.status()?;
        status["services"].as_array()?.iter().find(|service| service["name"] == name).cloned()
    }

    /// Waits until the service has this status, and returns it.
    #[track_caller]
    pub fn wait_status(&self, name: &str, status: &str, bound: Duration) -> serde_json::Value {
        let what = || format!("{name} is {status}; it is {:#?}", self.service(name));
        wait_for(what, bound, || self.service(name).filter(|service| service["status"] == status))
    }

    /// The pid that it watches for this service.
    pub fn watched(&self, name: &str) -> Option<u32> {
        u32::try_from(self.service(name)?["pid"].as_u64()?).ok()
    }

    /// Waits until it watches a live process other than `old`.
    #[track_caller]
    pub fn wait_replaced(&self, name: &str, old: u32, bound: Duration) -> u32 {
        let what = || format!("{name} has a process other than {old}");
        wait_for(what, bound, || self.watched(name).filter(|&pid| pid != old && process_exists(pid)))
    }

    /// The events that history shows, as text, the newest last or first as it likes.
    pub fn history(&self) -> String {
        self.ok(&["history"])
    }
}

impl Drop for Minder {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        sweep(self.dir.path());
        if std::thread::panicking() {
            eprintln!("--- what minder printed\n{}", self.log());
        }
    }
}
