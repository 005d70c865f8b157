//! minder itself, as a person would run it: the program, a folder of rules, a state directory.

use super::{Init, Receiver, free_port, process_exists, signal, sweep, wait_for, wait_until};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// A minder with a directory of its own. Dropping it ends it, and everything that has to do with its directory.
pub struct Minder {
    dir: tempfile::TempDir,
    daemon: Option<u32>,
    /// The parent of minder, and of whatever else should be missed when it dies.
    pub init: Init,
    /// What it finds in its environment beside the usual.
    pub env: Vec<(&'static str, String)>,
    /// Where its page is, on 127.0.0.1.
    pub port: u16,
    /// Where the command line speaks to it.
    pub socket: PathBuf,
    /// A program, with its arguments, that sets the daemon's surroundings up and then becomes it.
    pub under: Vec<String>,
}

impl Minder {
    /// A place for rules and state; nothing runs yet.
    pub fn new() -> Minder {
        let dir = tempfile::Builder::new().prefix("minder-test-").tempdir().unwrap();
        std::fs::create_dir(dir.path().join("rules")).unwrap();
        let socket = dir.path().join("minder.sock");
        Minder { dir, daemon: None, init: Init::start(), env: Vec::new(), port: free_port(), socket, under: Vec::new() }
    }

    /// Its directory: for whatever else the test needs, and swept at the end.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
    /// The folder of rules.
    pub fn rules(&self) -> PathBuf {
        self.dir.path().join("rules")
    }
    /// The state directory.
    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// Writes the rules: this, with what every test needs before it.
    pub fn write(&self, yaml: &str) {
        let base = format!("version: 1\nboot_grace: 0s\ndashboard: {{ listen: \"127.0.0.1:{}\" }}\n", self.port);
        std::fs::write(self.rules().join("rules.yaml"), base + yaml).unwrap();
    }

    /// Writes the rules of one service, `app`, with these keys, whose incidents the receiver hears.
    pub fn write_app(&self, receiver: &Receiver, keys: &str) {
        self.write(&format!(
            "notifiers: {{ chat: {{ webhook: {{ url: \"{}\" }} }} }}\nservices:\n  app:\n    notify: [chat]\n{keys}",
            receiver.url(),
        ));
    }

    /// A command of the command line, pointed at this minder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_minder"));
        command.args(arguments);
        command.env("MINDER_STATE", self.state()).env("MINDER_SOCKET", &self.socket).env("NO_COLOR", "1");
        command.envs(self.env.iter().map(|(name, value)| (*name, value)));
        command.env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC").stdin(Stdio::null());
        command
    }

    /// The command that starts the daemon.
    pub fn daemon_command(&self) -> Command {
        let mut command = self.command(&["run"]);
        command.arg(self.rules()).arg("--state").arg(self.state()).arg("--socket").arg(&self.socket);
        let Some((program, arguments)) = self.under.split_first() else { return command };
        let mut under = Command::new(program);
        under.args(arguments).arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => under.env(name, value),
                None => under.env_remove(name),
            };
        }
        under
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

    /// Runs a line in a shell that finds minder by its name, as in a terminal; whether it succeeds.
    pub fn ok_in_shell(&self, line: &str) -> bool {
        let program = Path::new(env!("CARGO_BIN_EXE_minder")).parent().unwrap().display().to_string();
        let path = format!("{program}:{}", std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new("sh");
        command.arg("-c").arg(line).env("PATH", path).stdin(Stdio::null());
        command.env("MINDER_STATE", self.state()).env("MINDER_SOCKET", &self.socket).env("NO_COLOR", "1");
        command.envs(self.env.iter().map(|(name, value)| (*name, value)));
        let output = command.output().unwrap();
        let shown = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        println!("$ {line}\n{shown}");
        output.status.success()
    }

    /// Starts the daemon.
    pub fn start_blind(&mut self) {
        self.daemon = Some(self.init.spawn(&self.daemon_command(), &self.dir.path().join("minder.log")));
    }

    /// Starts the daemon, and waits until it answers.
    #[track_caller]
    pub fn start(&mut self) {
        self.start_blind();
        let pid = self.pid();
        wait_until("minder answers on its socket", Duration::from_secs(10), || {
            assert!(process_exists(pid), "minder ended:\n{}", self.log());
            self.status().is_some()
        });
    }

    /// What it has printed, for the report of a failure only.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("minder.log")).unwrap_or_default()
    }

    /// The daemon's pid.
    pub fn pid(&self) -> u32 {
        self.daemon.expect("minder was not started")
    }

    /// Sends the daemon a signal.
    pub fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Waits for the daemon's end.
    #[track_caller]
    pub fn wait_end(&mut self, bound: Duration) {
        let pid = self.pid();
        wait_until("minder ends", bound, || !process_exists(pid));
        self.daemon = None;
    }

    /// Kills the daemon as nothing else can.
    pub fn kill(&mut self) {
        self.signal("KILL");
        self.wait_end(Duration::from_secs(5));
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

    /// The events that history shows, as text for people.
    #[track_caller]
    pub fn history(&self) -> String {
        self.ok(&["history"])
    }

    /// What a command prints, however it ends.
    pub fn any(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }

    /// A page, with its head, as a browser would ask for it.
    pub fn page(&self, path: &str) -> String {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\nconnection: close\r\n\r\n", self.port);
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Drop for Minder {
    fn drop(&mut self) {
        // Whoever swept up before may have ended it just now.
        if let Some(pid) = self.daemon.filter(|pid| process_exists(*pid)) {
            let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).stderr(Stdio::null()).status();
        }
        sweep(self.dir.path());
        if std::thread::panicking() {
            eprintln!("--- what minder printed\n{}", self.log());
        }
    }
}
