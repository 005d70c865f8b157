//! Interfaces, control groups and directories of this machine, made for the test and removed again. Making them needs root.

use super::support::{Minder, tool, wait_until};
use super::{SOON, is_root};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A pair of interfaces: what goes into one comes out of the other.
struct Pair([String; 2]);

fn ip(arguments: &[&str]) -> bool {
    Command::new("ip").args(arguments).stderr(Stdio::null()).status().unwrap().success()
}

impl Pair {
    fn new() -> Pair {
        let pair = Pair(["a", "b"].map(|end| format!("mdr{}{end}", std::process::id())));
        pair.make();
        pair
    }
    fn make(&self) {
        let [a, b] = &self.0;
        assert!(ip(&["link", "add", a, "type", "veth", "peer", "name", b]));
    }
    fn set(&self, end: usize, state: &str) {
        assert!(ip(&["link", "set", &self.0[end], state]));
    }
    /// Sends frames from the first to the second: 100 of 1000 bytes.
    fn send(&self) {
        let script = "import socket, sys\n\
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)\n\
            s.bind((sys.argv[1], 0))\n\
            for _ in range(100): s.send(b'\\xff' * 6 + b'\\x02' * 6 + b'\\x88\\xb5' + bytes(986))";
        assert!(Command::new(tool("venv/bin/python")).args(["-c", script, &self.0[0]]).status().unwrap().success());
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        ip(&["link", "del", &self.0[0]]);
    }
}

fn note(service: &serde_json::Value) -> &str {
    service["checks"][0]["note"].as_str().unwrap_or_default()
}

/// The value of a metric of the last check of a service.
fn metric(service: &serde_json::Value, name: &str) -> Option<f64> {
    let checks = service["checks"].as_array()?;
    checks.last()?["metrics"].as_array()?.iter().find(|metric| metric["name"] == name)?["value"].as_f64()
}

#[test]
fn an_interface_goes_down_and_vanishes_and_what_it_carries_is_measured() {
    if !is_root() {
        return;
    }
    let pair = Pair::new();
    let [a, b] = &pair.0;
    let mut minder = Minder::new();
    minder.write(&format!(
        r#"
services:
  sender:
    checks:
      - network: {a}
        every: 500ms
    rules:
      - network.down -> notify
      - {{ name: busy, when: network.sent > 100kB/s, severity: info, then: [notify] }}
  receiver:
    checks:
      - network: {b}
        every: 500ms
        keep: [received, errors]
  loopback:
    checks:
      - network: lo
        every: 500ms
"#
    ));
    minder.start();
    assert_eq!(note(&minder.wait_status("sender", "warning", SOON)), "it is switched off");
    minder.wait_status("loopback", "ok", SOON);
    pair.set(0, "up");
    wait_until("its other end is down", SOON, || {
        note(&minder.service("sender").unwrap()) == "the interface below it is down"
    });
    pair.set(1, "up");
    minder.wait_status("sender", "ok", SOON);
    minder.wait_status("receiver", "ok", SOON);
    wait_until("what is sent is seen at both ends", SOON, || {
        pair.send();
        let at_least = |service, name| metric(&minder.service(service).unwrap(), name).is_some_and(|rate| rate > 1e5);
        at_least("sender", "sent") && at_least("receiver", "received")
    });
    wait_until("the rule has fired", SOON, || minder.history().contains("network.sent"));
    assert_eq!(metric(&minder.service("receiver").unwrap(), "errors"), Some(0.0));

    assert!(ip(&["link", "del", a]));
    assert_eq!(note(&minder.wait_status("sender", "warning", SOON)), format!("there is no interface {a}"));
    pair.make();
    pair.set(0, "up");
    pair.set(1, "up");
    minder.wait_status("sender", "ok", SOON);
}

/// A control group of our own in every hierarchy that has what the test needs.
struct Group {
    name: String,
    dirs: Vec<PathBuf>,
    unified: bool,
}

impl Group {
    fn new() -> Group {
        let name = format!("minder-test-{}", std::process::id());
        let all = Path::new("/sys/fs/cgroup");
        let unified = all.join("cgroup.controllers").exists();
        let tops = if unified {
            std::fs::write(all.join("cgroup.subtree_control"), "+memory +pids").unwrap();
            vec![all.to_owned()]
        } else {
            ["memory", "pids", "cpuacct", "cpu"].map(|controller| all.join(controller)).to_vec()
        };
        let mut dirs: Vec<PathBuf> = tops.iter().map(|top| top.join(&name)).collect();
        dirs.dedup();
        let group = Group { name, dirs, unified };
        for dir in &group.dirs {
            // Where two controllers are mounted together, both names lead to one directory.
            if let Err(e) = std::fs::create_dir(dir) {
                assert_eq!(e.kind(), std::io::ErrorKind::AlreadyExists, "{}", dir.display());
            }
        }
        group
    }
    fn limit_memory(&self, bytes: u64) {
        let file = if self.unified { "memory.max" } else { "memory.limit_in_bytes" };
        std::fs::write(self.dirs[0].join(file), bytes.to_string()).unwrap();
    }
    fn take(&self, process: &Child) {
        for dir in &self.dirs {
            std::fs::write(dir.join("cgroup.procs"), process.id().to_string()).unwrap();
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A process that was killed just now is still in it.
        for dir in &self.dirs {
            for _ in 0..200 {
                match std::fs::remove_dir(dir) {
                    Err(e) if e.kind() != std::io::ErrorKind::NotFound => std::thread::sleep(Duration::from_millis(5)),
                    _ => break,
                }
            }
        }
    }
}

/// A process that takes as much memory as it is told to, in MB.
struct Eater(Child);

impl Eater {
    fn start(group: &Group) -> Eater {
        let script = "import sys\nfor line in sys.stdin: held = b'x' * (int(line) << 20)";
        let mut command = Command::new(tool("venv/bin/python"));
        let process = command.args(["-c", script]).stdin(Stdio::piped()).spawn().unwrap();
        group.take(&process);
        Eater(process)
    }
    fn eat(&mut self, megabytes: u32) {
        writeln!(self.0.stdin.as_mut().unwrap(), "{megabytes}").unwrap();
    }
}

impl Drop for Eater {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_control_group_is_asked_by_its_path_and_by_the_process_in_it() {
    if !is_root() {
        return;
    }
    let group = Group::new();
    group.limit_memory(64 << 20);
    let mut eater = Eater::start(&group);
    let mut minder = Minder::new();
    let pidfile = minder.dir().join("eater.pid");
    std::fs::write(&pidfile, eater.0.id().to_string()).unwrap();
    minder.write(&format!(
        r#"
services:
  group:
    checks:
      - cgroup: /{name}
        every: 500ms
        keep: [memory, cpu, pids, oom_kills]
    rules:
      - cgroup.memory > 50% -> notify
      - cgroup.oom_kills > 0 -> notify
      - cgroup.missing -> notify
  eater:
    checks:
      - process: {{ pidfile: {pidfile} }}
        every: 500ms
      - cgroup: {{}}
        every: 500ms
        keep: [memory, cpu, pids]
    rules:
      - {{ when: process.down, severity: info, then: [notify] }}
"#,
        name = group.name,
        pidfile = pidfile.display(),
    ));
    minder.start();
    minder.wait_status("group", "ok", SOON);
    for service in ["group", "eater"] {
        wait_until("it has been looked at twice", SOON, || {
            let service = minder.service(service).unwrap();
            metric(&service, "pids") == Some(1.0) && metric(&service, "cpu").is_some()
        });
    }
    eater.eat(40);
    let seen = minder.wait_status("group", "warning", SOON);
    assert_eq!(seen["summary"].as_str().unwrap().split_whitespace().next(), Some("cgroup.memory"), "{seen:#}");
    assert!((4e7..6.8e7).contains(&metric(&seen, "memory").unwrap()), "{seen:#}");
    wait_until("it is the process's group", SOON, || metric(&minder.service("eater").unwrap(), "memory") > Some(4e7));
    eater.eat(5);
    minder.wait_status("group", "ok", SOON);
    eater.eat(200);
    wait_until("it was killed", SOON, || eater.0.try_wait().unwrap().is_some());
    wait_until("that is seen", SOON, || metric(&minder.service("group").unwrap(), "oom_kills") == Some(1.0));
    minder.wait_status("group", "warning", SOON);
    wait_until("no process, no group", SOON, || {
        let eater = minder.service("eater").unwrap();
        eater["checks"][1]["note"] == "the service has no process now" && metric(&eater, "memory").is_none()
    });
    drop(eater);
    drop(group);
    wait_until("it is missing", SOON, || {
        note(&minder.service("group").unwrap()).starts_with("there is no such control")
    });
}

#[test]
fn a_spool_that_grows_and_ages_is_told() {
    let mut minder = Minder::new();
    let spool = minder.dir().join("spool");
    std::fs::create_dir_all(spool.join("a/b")).unwrap();
    minder.write(&format!(
        r#"
services:
  spool:
    checks:
      - directory: {{ path: {spool}, match: '\.msg$' }}
        every: 500ms
    rules:
      - directory.entries > 3 -> notify
      - directory.oldest > 1h -> notify
      - directory.missing -> notify
"#,
        spool = spool.display(),
    ));
    minder.start();
    minder.wait_status("spool", "ok", SOON);
    for name in ["1.msg", "a/2.msg", "a/b/3.msg", "a/b/4.msg", "a/b/other"] {
        std::fs::write(spool.join(name), "x").unwrap();
    }
    let seen = minder.wait_status("spool", "warning", SOON);
    assert_eq!((metric(&seen, "entries"), metric(&seen, "size")), (Some(4.0), Some(4.0)), "{seen:#}");
    std::fs::remove_dir_all(spool.join("a/b")).unwrap();
    minder.wait_status("spool", "ok", SOON);
    let old = std::fs::File::options().write(true).open(spool.join("1.msg")).unwrap();
    old.set_modified(std::time::SystemTime::now() - Duration::from_secs(7200)).unwrap();
    let seen = minder.wait_status("spool", "warning", SOON);
    assert!(metric(&seen, "oldest") > Some(7100.0) && metric(&seen, "newest") < Some(100.0), "{seen:#}");
    std::fs::remove_dir_all(&spool).unwrap();
    wait_until("it is missing", SOON, || note(&minder.service("spool").unwrap()).starts_with("there is no directory"));
}
