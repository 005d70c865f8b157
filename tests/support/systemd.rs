//! A systemd of the test's own: the real program, as the first process of a machine that it shares with nobody.
#![allow(dead_code, reason = "each test program uses its own part")]
#![allow(clippy::disallowed_methods, reason = "tests start programs and watch the time")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Set in the environment of a test that runs beside systemd.
const INSIDE: &str = "MINDER_TEST_INSIDE";

/// Whether this test runs beside systemd already.
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// A machine with these services, and the directory that it lives in. Nothing without root.
pub fn boot(services: &[(&str, &str)]) -> Option<(Systemd, tempfile::TempDir)> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not tried: it needs root");
        return None;
    }
    let dir = tempfile::Builder::new().prefix("minder-test-").tempdir().unwrap();
    let units = dir.path().join("units");
    std::fs::create_dir(&units).unwrap();
    for (name, text) in services {
        std::fs::write(units.join(format!("{name}.service")), text).unwrap();
    }
    Some((Systemd::start(dir.path()), dir))
}

/// systemd with the units of `DIR/units`, and a message bus. Dropping it ends it, and with it all that
/// it has started. It needs root.
pub struct Systemd {
    unshare: Child,
    /// Its pid, as seen from here.
    pub pid: u32,
    dir: PathBuf,
    group: String,
}

impl Systemd {
    /// Starts it, and waits until it is up. `dir` is the one place that it shares with the test, by the same name.
    pub fn start(dir: &Path) -> Systemd {
        let units = dir.join("units");
        std::fs::create_dir_all(&units).unwrap();
        for target in ["sysinit", "basic", "shutdown", "sockets", "timers", "network", "multi-user"] {
            std::fs::write(units.join(format!("{target}.target")), "[Unit]\nDefaultDependencies=no\n").unwrap();
        }
        std::fs::write(units.join("test.target"), "[Unit]\nDefaultDependencies=no\nWants=dbus.socket\n").unwrap();
        for unit in ["dbus.service", "dbus.socket"] {
            std::fs::copy(Path::new("/lib/systemd/system").join(unit), units.join(unit)).unwrap();
        }
        let group = format!("minder-test-systemd-{}", dir.file_name().unwrap().to_str().unwrap());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/systemd.sh");
        // However the test ends, systemd ends with it: each dies with its parent.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(script).arg(dir).arg(&group);
        let log = std::fs::File::create(dir.join("systemd.log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let unshare = command.spawn().unwrap();
        let mut systemd = Systemd { unshare, pid: 0, dir: dir.to_owned(), group };
        systemd.wait("systemd is up", |systemd| {
            let own = systemd.unshare.id();
            let children = std::fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
            systemd.pid = children.trim().parse().unwrap_or(0);
            systemd.pid != 0
                && systemd.path("/run/dbus/system_bus_socket").exists()
                && systemd.systemctl(&["is-system-running"]).stdout.starts_with(b"running")
        });
        systemd
    }

    /// What a file of its machine is called on this one.
    pub fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.pid))
    }

    /// The program and arguments that run the program named after them on its machine.
    pub fn inside(&self) -> Vec<String> {
        ["nsenter", "-t", &self.pid.to_string(), "-m", "-p", "-C", "--"].map(str::to_owned).into()
    }

    /// Runs a program on its machine, to its end. Nothing there hangs for long without being ended.
    pub fn run(&self, program: &[&str]) -> Output {
        let inside = self.inside();
        let mut command = Command::new("timeout");
        command.args(["-s", "KILL", "30"]).args(inside).args(program).stdin(Stdio::null()).output().unwrap()
    }

    /// Runs one of the tests of this program there: systemd itself takes no orders from those whose pids it cannot see. The test
    /// is named by its whole path, and knows by [`is_inside`] where it is.
    #[track_caller]
    pub fn run_test(&self, test: &str) {
        let (program, set) = (std::env::current_exe().unwrap(), format!("{INSIDE}=1"));
        let output = self.run(&["env", &set, program.to_str().unwrap(), "--exact", test, "--nocapture"]);
        let words = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && words.contains("1 passed"), "beside systemd: {words}");
    }

    /// The operator's words.
    pub fn systemctl(&self, arguments: &[&str]) -> Output {
        self.run(&[&["systemctl", "--no-pager"], arguments].concat())
    }

    /// The same; it must do as it is told.
    #[track_caller]
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.systemctl(arguments);
        let words = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "systemctl {arguments:?}: {words}");
        words
    }

    /// Writes a unit, and has it read.
    #[track_caller]
    pub fn unit(&self, name: &str, text: &str) {
        std::fs::write(self.dir.join("units").join(name), text).unwrap();
        self.ok(&["daemon-reload"]);
    }

    #[track_caller]
    fn wait(&mut self, what: &str, mut so: impl FnMut(&mut Systemd) -> bool) {
        let start = Instant::now();
        while !so(self) {
            let log = || std::fs::read_to_string(self.dir.join("systemd.log")).unwrap_or_default();
            assert!(start.elapsed() < Duration::from_secs(20), "waited in vain: {what}: {}", log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
        // The kernel ends all the others before it lets the first go.
        let start = Instant::now();
        while self.pid != 0 && Path::new(&format!("/proc/{}", self.pid)).exists() && start.elapsed().as_secs() < 10 {
            std::thread::sleep(Duration::from_millis(5));
        }
        let sweep = "mount -t cgroup2 cgroup2 /mnt && find \"/mnt/$1\" -depth -type d -exec rmdir {} +";
        let unshare = ["-m", "--propagation", "private", "sh", "-c", sweep, "sh", &self.group];
        let _ = Command::new("unshare").args(unshare).stderr(Stdio::null()).status();
    }
}
