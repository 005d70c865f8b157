//! The `protocol` check against the real servers: each started in a directory and on ports of its own, and ended with its test.
#![allow(clippy::disallowed_methods, reason = "tests start programs and watch the time")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]

#[path = "../support/mod.rs"]
mod support;

mod databases;
mod files;
mod login;
mod mail;
mod queues;
mod time;
mod web;

use minder::daemon::RealClock;
use minder::model::{CheckId, Input, Kind, MetricSet, Question, Reading, Sample};
use minder::probe::Probes;
use rustix::process::{Pid, Signal, kill_process_group};
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use support::{free_port, signal, sweep, wait_for, wait_until};
use tempfile::TempDir;

/// The password in all of these tests, for `{ env: PASSWORD }`.
const PASSWORD: &str = "hunter22-tops3cret";

/// Long enough for a server on a busy machine to start.
const STARTED: Duration = Duration::from_secs(100);

/// What one question has found.
#[derive(Debug)]
struct Seen(Arc<Sample>);

impl Seen {
    fn reading(&self, metric: &str) -> &Reading {
        let metrics = Kind::metrics_of("protocol").unwrap();
        let id = metrics.iter().position(|m| m.name == metric).unwrap();
        self.0.reading(minder::model::MetricId(id as u8))
    }
    fn note(&self) -> &str {
        self.0.note.as_deref().unwrap_or_default()
    }
    /// Nothing if the server says none.
    fn version(&self) -> Option<&str> {
        match self.reading("version") {
            Reading::Text(text) => Some(text),
            _ => None,
        }
    }
    /// It has not failed.
    #[track_caller]
    fn well(self) -> Seen {
        assert_eq!(self.reading("failed"), &Reading::Flag(false), "{}", self.note());
        assert!(self.reading("latency").number().unwrap() > 0.0);
        self
    }
    /// It has failed, with a note that holds this.
    #[track_caller]
    fn failed(self, note: &str) -> Seen {
        assert_eq!(self.reading("failed"), &Reading::Flag(true), "{}", self.note());
        assert!(self.note().contains(note), "{}", self.note());
        assert!(!self.note().contains(PASSWORD), "{}", self.note());
        self
    }
    /// It could not be asked.
    #[track_caller]
    fn unasked(self, note: &str) -> Seen {
        assert_eq!(self.reading("failed"), &Reading::Unknown, "{}", self.note());
        assert!(self.note().contains(note), "{}", self.note());
        self
    }
}

/// Asks once. The keys are those of a `protocol` check.
#[track_caller]
fn ask(keys: &str) -> Seen {
    let keys = serde_yaml::from_str::<serde_yaml::Value>(&format!("{{ {keys} }}")).unwrap();
    let mut kind = Kind::read("protocol", keys).unwrap().unwrap();
    kind.givens(&mut |given| {
        if given.is_secret() {
            given.resolve(PASSWORD.to_owned());
        }
    });
    assert_eq!(kind.mistakes(), []);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let (sender, mut inputs) = tokio::sync::mpsc::unbounded_channel();
        let probes = Probes::new(sender, Arc::new(RealClock)).unwrap();
        probes.ask(vec![Question {
            check: CheckId(1),
            kind: Arc::new(kind),
            identity: None,
            wanted: MetricSet::ALL,
            timeout: Duration::from_secs(20),
            urgent: false,
        }]);
        match inputs.recv().await {
            Some(Input::Sampled(samples)) => Seen(Arc::clone(&samples[0].1)),
            other => panic!("{other:?}"),
        }
    })
}

/// A directory that the users of daemons may enter, and own where they must.
struct Place(TempDir);

impl Place {
    fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Place(dir)
    }
    fn path(&self) -> &Path {
        self.0.path()
    }
    fn at(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }
    /// The path, as a text for a configuration.
    fn text(&self, name: &str) -> String {
        self.at(name).display().to_string()
    }
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.at(name);
        fs::write(&path, text).unwrap();
        path
    }
    fn folder(&self, name: &str) -> PathBuf {
        let path = self.at(name);
        fs::create_dir_all(&path).unwrap();
        path
    }
    /// A certificate for localhost that signs itself, and its key: `tls.pem`, `tls.key`.
    fn certificate(&self) -> (PathBuf, PathBuf) {
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = self.write("tls.key", &signing_key.serialize_pem());
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        (self.write("tls.pem", &cert.pem()), key)
    }
    /// The keys of a check that trusts it.
    fn tls(&self) -> String {
        format!("tls: {{ ca: {}, name: localhost }}", self.text("tls.pem"))
    }
}

/// A server that ends with its test, and all that it started, whatever becomes of the test.
struct Server {
    process: Child,
    place: Place,
}

impl Server {
    /// Starts one, with what it prints in `log`, and waits until it accepts connections at this port.
    #[track_caller]
    fn start(place: Place, command: &mut Command, port: u16) -> Server {
        Server::start_until(place, command, |_| TcpStream::connect(("127.0.0.1", port)).is_ok())
    }

    /// The same, until something else is so.
    #[track_caller]
    fn start_until(place: Place, command: &mut Command, mut so: impl FnMut(&Place) -> bool) -> Server {
        let log = fs::File::options().create(true).append(true).open(place.at("log")).unwrap();
        command.current_dir(place.path()).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
        let process = command.env("PATH", path).process_group(0).spawn();
        let process = process.unwrap_or_else(|e| panic!("{command:?}: {e}; run tests/setup"));
        let mut server = Server { process, place };
        let what = format!("{:?} is ready", server.process.id());
        wait_until(&what, STARTED, || {
            let ended = server.process.try_wait().unwrap();
            assert!(ended.is_none(), "{command:?} ended: {ended:?}\n{}", server.log());
            so(&server.place)
        });
        server
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.place.at("log")).unwrap_or_default()).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // By system call, and only while it is ours: its number cannot be another's before it is waited for. (procps' kill takes
        // `-1234` for -1, which is everybody.)
        if matches!(self.process.try_wait(), Ok(None)) {
            let _ = kill_process_group(Pid::from_child(&self.process), Signal::KILL);
        }
        let _ = self.process.wait();
        sweep(self.place.path());
    }
}

/// Runs a program to its end, which must be a good one.
#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A program as another user, where we are root: some refuse to run as root.
fn as_user(user: &str, program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", user, "--regid", user, "--clear-groups", "--"]).arg(program);
    command
}

/// Gives a file or folder to a user.
fn give(user: &str, path: &Path) {
    if is_root() {
        let id = |what: &str| run(Command::new("id").arg(what).arg(user)).trim().parse().unwrap();
        chown(path, Some(id("-u")), Some(id("-g"))).unwrap();
    }
}
