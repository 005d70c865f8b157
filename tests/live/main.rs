//! The real daemon against real programs. Each test has a minder, a directory and ports of its own.
#![allow(clippy::disallowed_methods, reason = "tests start programs and watch the time")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

#[path = "../support/mod.rs"]
mod support;

mod daemon;
mod died;
mod discover;
mod door;
mod filesystem;
mod heartbeat;
mod hostile;
mod limits;
mod machine;
mod mail;
mod many;
mod messages;
mod nginx;
mod pages;
mod plugin;
mod runaway;
mod runit;
mod s6;
mod signin;
mod silence;
mod speak;
mod status;
mod steer;
mod supervised;
mod supervisord;
mod systemd;
mod sysv;
mod upstart;

use std::path::Path;
use std::time::Duration;
use support::{Init, Nginx, Runsv, process_exists, signal, tool, wait_until};

/// For what takes a moment: generous, since it is only waited for as long as it is not so.
const SOON: Duration = Duration::from_secs(15);

/// Our own daemon, `daemon.py`, in a directory of the test: the arguments that start it, as a list of YAML.
fn daemon(dir: &Path, how: &str) -> String {
    std::fs::create_dir_all(dir).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/daemon.py");
    format!("[{}, {}, {}, {how}]", tool("venv/bin/python").display(), script.display(), dir.display())
}

/// Mounts, interfaces and control groups need root; whoever runs the tests without it is told what was not tried.
fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("not tried: it needs root");
    }
    root
}

/// The harness itself: what it starts is gone afterwards, even what a killed parent has left alone.
#[test]
fn nothing_is_left_behind() {
    let dir = tempfile::tempdir().unwrap();
    let init = Init::start();
    let nginx = Nginx::new(dir.path());
    nginx.start(&init);
    let runsv = Runsv::start(dir.path(), "app", "exec sleep 100000");
    let (master, service) = (nginx.pid().unwrap(), runsv.pid().unwrap());
    signal(master, "KILL");
    wait_until("its end is noted at once", Duration::from_secs(2), || !Path::new(&format!("/proc/{master}")).exists());
    let answers = || std::net::TcpStream::connect(("127.0.0.1", nginx.port)).is_ok();
    assert!(answers(), "its worker lives on");
    drop(runsv);
    assert!(!process_exists(service));
    let port = nginx.port;
    drop(nginx);
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
}
