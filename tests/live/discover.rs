//! What runs here is found: a directory of runit as a whole, and `minder init` beside real supervisors.

use super::SOON;
use super::support::{Minder, free_port, process_exists, signal, sweep, wait_for, wait_until};
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A supervisor of a whole directory.
struct Scanner {
    process: Child,
    dir: PathBuf,
}

impl Scanner {
    fn start(command: &mut Command, dir: &Path) -> Scanner {
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Scanner { process, dir: dir.to_owned() }
    }
}

impl Drop for Scanner {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        sweep(&self.dir);
    }
}

/// A service directory, ready to be put where a supervisor looks.
fn service(dir: &Path, script: &str) {
    std::fs::create_dir_all(dir).unwrap();
    std::fs::write(dir.join("run"), format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(dir.join("run"), Permissions::from_mode(0o755)).unwrap();
}

fn services(minder: &Minder) -> Vec<String> {
    let status = minder.status().unwrap_or_default();
    let all = status["services"].as_array().cloned().unwrap_or_default();
    all.iter().filter_map(|service| Some(service["name"].as_str()?.to_owned())).collect()
}

#[test]
fn a_service_that_runit_is_given_is_watched_and_one_that_it_loses_is_not() {
    let mut minder = Minder::new();
    let (all, scanned) = (minder.dir().join("sv"), minder.dir().join("service"));
    std::fs::create_dir(&scanned).unwrap();
    for name in ["first", "later"] {
        service(&all.join(name), "exec sleep 100000");
    }
    symlink(all.join("first"), scanned.join("first")).unwrap();
    let _runsvdir = Scanner::start(Command::new("runsvdir").arg(&scanned), minder.dir());
    minder.write(&format!(
        "services_from: {{ runit: {} }}\nservices:\n  later: {{ description: over it, grace: 1s }}\n",
        scanned.display()
    ));
    let explained = minder.ok(&["explain", "first", "--rules", minder.rules().to_str().unwrap()]);
    assert!(explained.contains("rules.yaml:4"), "where it comes from is said: {explained}");
    minder.start();
    assert_eq!(services(&minder), ["first"], "what is said of a service that is not there waits for it");
    minder.wait_status("first", "ok", SOON);

    symlink(all.join("later"), scanned.join("later")).unwrap();
    wait_until("minder watches the new one", Duration::from_secs(1), || services(&minder) == ["later", "first"]);
    // runsvdir looks for it every five seconds.
    wait_until("its process is watched", 2 * SOON, || minder.watched("later").is_some());
    minder.wait_status("later", "ok", SOON);
    assert!(!minder.history().contains("fires"), "{}", minder.history());
    let status = minder.status().unwrap();
    let later = status["services"].as_array().unwrap().iter().find(|service| service["name"] == "later").unwrap();
    assert_eq!((&later["description"], &later["control"]), (&"over it".into(), &"runit".into()), "{later:#}");

    std::fs::remove_file(scanned.join("first")).unwrap();
    wait_until("minder lets the old one go", Duration::from_secs(1), || services(&minder) == ["later"]);
    // Without its directory the rules have a mistake, and nothing changes.
    std::fs::rename(&scanned, minder.dir().join("elsewhere")).unwrap();
    wait_until("the rules are refused", SOON, || minder.status().is_some_and(|status| status["refused"].is_string()));
    assert_eq!(services(&minder), ["later"]);
    std::fs::rename(minder.dir().join("elsewhere"), &scanned).unwrap();
    wait_until("and good again", SOON, || minder.status().is_some_and(|status| status["refused"].is_null()));
}

#[test]
fn what_init_writes_can_be_run() {
    let mut minder = Minder::new();
    let at = minder.dir().to_owned();
    let scanned = at.join("service");
    service(&scanned.join("kept"), "exec sleep 100000");
    let _runsvdir = Scanner::start(Command::new("runsvdir").arg(&scanned), &at);
    let port = free_port();
    let server = format!(
        "import os, socket, time\ns = socket.create_server(('127.0.0.1', {port}))\n\
         while True:\n    c, _ = s.accept()\n    c.close()\n"
    );
    std::fs::write(at.join("shop.py"), server).unwrap();
    let mut bare = Command::new("python3");
    let bare = Scanner::start(bare.arg(at.join("shop.py")), &at);
    let pid = bare.process.id();
    wait_until("it listens", SOON, || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    let kept = || {
        let pid = std::fs::read_to_string(scanned.join("kept/supervise/pid")).ok()?.trim().parse().ok()?;
        process_exists(pid).then_some(pid)
    };
    let kept: u32 = wait_for(|| "runsv has started it".to_owned(), SOON, kept);

    // All that runs here, other tests' too: it is good, and has ours.
    let whole = minder.ok(&["init", "--print"]).replace("\n    # ", " ");
    assert!(whole.contains(&format!("service/kept, kept by runit: pid {kept},")), "{whole}");
    assert!(whole.contains(&format!("tcp: \"127.0.0.1:{port}\"")), "{whole}");
    // Ours alone, and that runs.
    for pid in [pid, kept] {
        minder.ok(&["init", "--pid", &pid.to_string(), minder.rules().to_str().unwrap()]);
    }
    minder.write("");
    minder.ok(&["validate", minder.rules().to_str().unwrap()]);
    minder.start();
    minder.wait_status("shop", "ok", SOON);
    minder.wait_status("kept", "ok", SOON);
    let top = minder.ok(&["top", "--json", "-n", "100000"]);
    let top: serde_json::Value = serde_json::from_str(&top).unwrap();
    let line = |pid: u32| top.as_array().unwrap().iter().find(|line| line["pid"] == pid).unwrap().clone();
    assert_eq!((&line(pid)["service"], &line(pid)["ports"][0]), (&"shop".into(), &port.into()));
    assert_eq!(line(kept)["supervisor"], "runit kept");
    signal(pid, "KILL");
    minder.wait_status("shop", "critical", SOON);
}
