//! A machine that has run out of something: disk, descriptors, processes. And databases that cannot be read.

use super::support::{Minder, Receiver, process_exists, signal, stays, wait_for, wait_until};
use super::{Own, SOON, script};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// `app`, a daemon that runs in the foreground, restarted when it is down; `gone`, a file that may be missing. Both are told.
fn plan(minder: &Minder, receiver: &Receiver, more: &str) {
    let dir = minder.dir().display();
    let body = format!("echo $$ > {dir}/app.pid; exec sleep 100000");
    let start = script(&minder.dir().join("start"), &body);
    minder.write(&format!(
        "notifiers: {{ chat: {{ webhook: {{ url: \"{}\" }} }} }}\ndefaults: {{ notify: [chat], flapping: false }}\nservices:\n  app:\n    \
         settle: 200ms\n    grace: 200ms\n    restart: {{ limit: 100 in 1h, delay: 100ms..100ms }}\n    control: {{ command: {{ start: [{start}] }} }}\n    checks:\n      \
         - process: {{ pidfile: {dir}/app.pid }}\n        every: 200ms\n    rules:\n      - process.down -> restart\n  gone:\n    \
         checks:\n      - file: {dir}/there\n        every: 200ms\n{more}",
        receiver.url()
    ));
    std::fs::write(minder.dir().join("there"), "").unwrap();
}

/// It runs, and is watched.
fn up(minder: &Minder) -> u32 {
    wait_for(|| "app runs".into(), SOON, || minder.watched("app").filter(|pid| process_exists(*pid)))
}

/// Everything that minder is for still happens: a death is put right, a missing file is told and its return too.
fn all_goes_on(minder: &Minder, receiver: &Receiver) {
    let old = up(minder);
    let before = receiver.requests().len();
    let told =
        |what: &str| receiver.requests()[before..].iter().any(|r| r.body.contains(what) && r.body.contains("\"gone\""));
    signal(old, "KILL");
    minder.wait_replaced("app", old, SOON);
    std::fs::remove_file(minder.dir().join("there")).unwrap();
    wait_until("its loss is told", SOON, || told("minder.firing"));
    std::fs::write(minder.dir().join("there"), "").unwrap();
    wait_until("its return is told", SOON, || told("minder.resolved"));
}

/// A minder whose state directory is a disk of its own, of this size.
fn with_a_disk_of(size: &str) -> Minder {
    let mut minder = Minder::new();
    let state = minder.state().display().to_string();
    std::fs::create_dir(&state).unwrap();
    let line = format!("mount -t tmpfs -o size={size},mode=700 tmpfs {state} && exec \"$@\"");
    minder.under = ["unshare", "-m", "sh", "-c", &line, "sh"].map(String::from).into();
    minder
}

/// The state directory as minder sees it.
fn state_inside(minder: &Minder) -> PathBuf {
    PathBuf::from(format!("/proc/{}/root{}", minder.pid(), minder.state().display()))
}

/// Writes until nothing more fits.
fn fill(path: &Path) {
    let mut file = std::fs::File::create(path).unwrap();
    while std::io::Write::write_all(&mut file, &[7; 512]).is_ok() {}
}

#[test]
fn a_full_disk_stops_nothing_and_nothing_is_forgotten_when_it_is_free_again() {
    let receiver = Receiver::start();
    let mut minder = with_a_disk_of("4M");
    plan(&minder, &receiver, "");
    minder.start();
    up(&minder);
    let ballast = state_inside(&minder).join("ballast");
    fill(&ballast);
    all_goes_on(&minder, &receiver);
    // Again and again, so that the write-ahead log must grow.
    for _ in 0..5 {
        all_goes_on(&minder, &receiver);
        fill(&ballast.with_extension("more"));
    }
    let said = || minder.any(&["status"]);
    wait_until("people are told that nothing is written", SOON, || said().contains("disk"));
    std::fs::remove_file(minder.dir().join("there")).unwrap();
    minder.wait_status("gone", "warning", SOON);
    let incident = minder.service("gone").unwrap()["incident"]["id"].clone();
    std::fs::remove_file(&ballast).unwrap();
    std::fs::remove_file(ballast.with_extension("more")).unwrap();
    // What was kept in memory is written now: it is what somebody with sqlite3 finds.
    let (pid, state) = (minder.pid().to_string(), minder.state().join("state.db"));
    let count = || {
        let query = "select count(*) from incident where closed is null";
        let output = std::process::Command::new("nsenter")
            .args(["-m", "-t", &pid, "sqlite3", "-readonly"])
            .arg(&state)
            .arg(query)
            .output()
            .unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned()
    };
    wait_for(|| format!("the open incident is on the disk: {}", count()), SOON, || (count() == "1").then_some(()));
    assert_eq!(minder.service("gone").unwrap()["incident"]["id"], incident);
    all_goes_on_after_the_return(&minder, &receiver);
}

/// What waits in the outbox waits in memory, and is written when there is room.
#[test]
fn what_could_not_be_told_while_the_disk_was_full_is_told_later_and_once() {
    let receiver = Receiver::answering(&["500 Broken"; 4]);
    let mut minder = with_a_disk_of("4M");
    plan(&minder, &receiver, "");
    minder.start();
    up(&minder);
    let ballast = state_inside(&minder).join("ballast");
    fill(&ballast);
    let said = || minder.any(&["status"]);
    let mut turns = 0;
    // Until the write-ahead log must grow; each turn is told when the receiver is well.
    wait_until("people are told that nothing is written", SOON, || {
        turns += 1;
        let path = minder.dir().join("there");
        if turns % 2 == 1 {
            std::fs::remove_file(&path).unwrap()
        } else {
            std::fs::write(&path, "").unwrap()
        }
        let status = if turns % 2 == 1 { "warning" } else { "ok" };
        minder.wait_status("gone", status, SOON);
        fill(&ballast.with_extension("more"));
        said().contains("disk")
    });
    std::fs::write(minder.dir().join("there"), "").unwrap();
    minder.wait_status("gone", "ok", SOON);
    wait_until("the receiver is well again", SOON, || receiver.requests().len() > 4);
    std::fs::remove_file(&ballast).unwrap();
    std::fs::remove_file(ballast.with_extension("more")).unwrap();
    let quiet = || {
        let said = said();
        !said.contains("disk") && !said.contains("chat")
    };
    wait_for(|| format!("all is told, and written: {}", said()), SOON, || quiet().then_some(()));
    let events: Vec<serde_json::Value> =
        serde_json::from_str(&minder.ok(&["history", "--json", "--limit", "1000"])).unwrap();
    let closed = events.iter().filter(|event| event["kind"] == "closed" && event["service"] == "gone");
    let closed: Vec<u64> = closed.map(|event| event["incident"].as_u64().unwrap()).collect();
    let ends = |incident: u64| {
        let requests = receiver.requests().into_iter().skip(4);
        requests.filter(|r| r.json()["data"]["incident"] == incident && r.json()["type"] == "minder.resolved").count()
    };
    assert!(!closed.is_empty());
    for incident in closed {
        assert_eq!(ends(incident), 1, "the end of incident {incident}");
    }
}

fn all_goes_on_after_the_return(minder: &Minder, receiver: &Receiver) {
    std::fs::write(minder.dir().join("there"), "").unwrap();
    minder.wait_status("gone", "ok", SOON);
    all_goes_on(minder, receiver);
}

#[test]
fn a_disk_that_can_only_be_read_stops_nothing() {
    let receiver = Receiver::start();
    let mut minder = Minder::new();
    let state = minder.state().display().to_string();
    plan(&minder, &receiver, "");
    // A first life that leaves a database, then one on a disk that has gone read-only.
    minder.start();
    let pid = up(&minder);
    minder.kill();
    let line = format!("mount --bind {state} {state} && mount -o remount,ro,bind {state} && exec \"$@\"");
    minder.under = ["unshare", "-m", "sh", "-c", &line, "sh"].map(String::from).into();
    minder.start();
    wait_until("the same process is watched", SOON, || minder.watched("app") == Some(pid));
    all_goes_on(&minder, &receiver);
    let said = minder.any(&["status"]);
    assert!(said.contains("state.db") || said.contains("database"), "people are told that nothing is written: {said}");
}

#[test]
fn a_state_that_cannot_be_read_is_put_aside_and_nothing_is_started_before_a_person_says_so() {
    let receiver = Receiver::start();
    let mut minder = Minder::new();
    plan(&minder, &receiver, "");
    minder.start();
    let pid = up(&minder);
    minder.kill();
    std::fs::write(minder.state().join("state.db"), [0x2a; 20_000]).unwrap();
    for rest in ["state.db-wal", "state.db-shm"] {
        let _ = std::fs::remove_file(minder.state().join(rest));
    }
    std::fs::write(minder.state().join("history.db"), [0x2a; 20_000]).unwrap();
    signal(pid, "KILL");
    wait_until("it is dead", SOON, || !process_exists(pid));
    minder.start();
    minder.wait_status("app", "critical", SOON);
    stays("nothing is started", Duration::from_secs(3), || minder.watched("app").is_none());
    let said = minder.any(&["status"]) + &minder.history();
    assert!(said.contains("waiting for a person"), "{said}");
    let aside = std::fs::read_dir(minder.state()).unwrap().flatten();
    let aside: Vec<String> = aside.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    assert!(aside.iter().any(|name| name.starts_with("state.db.") || name.contains("broken")), "{aside:?}");
    minder.ok(&["restart", "app"]);
    all_goes_on(&minder, &receiver);
}

#[test]
fn without_descriptors_it_polls_and_says_so() {
    let receiver = Receiver::start();
    let mut minder = Minder::new();
    minder.under = ["prlimit", "--nofile=48:48"].map(String::from).into();
    let others: Vec<Own> = (0..60).map(|_| Own::spawn("sleep", &["100000"])).collect();
    let mut more = String::new();
    for (i, other) in others.iter().enumerate() {
        let pidfile = minder.dir().join(format!("{i}.pid"));
        std::fs::write(&pidfile, format!("{}\n", other.pid())).unwrap();
        more += &format!("  other{i}:\n    checks:\n      - process: {}\n        every: 500ms\n", pidfile.display());
    }
    plan(&minder, &receiver, &more);
    minder.start();
    up(&minder);
    for i in 0..others.len() {
        minder.wait_status(&format!("other{i}"), "ok", SOON);
    }
    all_goes_on(&minder, &receiver);
    // Also the death of one for which there was no descriptor.
    let mut others = others;
    drop(others.pop());
    let last = format!("other{}", others.len());
    minder.wait_status(&last, "critical", SOON);
}

/// A control group in which no further process fits.
struct Full(PathBuf);

impl Full {
    /// For as many tasks as are in it, once the process is.
    fn with(pid: u32) -> Option<Full> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let pids = |line: &&str| line.contains(" - cgroup ") && line.ends_with("pids") || line.contains(" - cgroup2 ");
        let root = PathBuf::from(mounts.lines().rfind(pids)?.split(' ').nth(4)?);
        let own = root.join(format!("minder-test-{pid}"));
        std::fs::create_dir(&own).ok()?;
        let full = Full(own);
        if !full.0.join("pids.max").exists() {
            return None;
        }
        std::fs::write(full.0.join("cgroup.procs"), pid.to_string()).ok()?;
        Some(full)
    }

    fn allow(&self, most: &str) {
        std::fs::write(self.0.join("pids.max"), most).unwrap();
    }
}

impl Drop for Full {
    fn drop(&mut self) {
        let root = self.0.parent().unwrap().join("cgroup.procs");
        for pid in std::fs::read_to_string(self.0.join("cgroup.procs")).unwrap_or_default().lines() {
            let _ = std::fs::write(&root, pid);
        }
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[test]
fn where_no_process_can_be_made_it_says_so_and_tries_again() {
    let receiver = Receiver::start();
    let mut minder = Minder::new();
    plan(&minder, &receiver, "");
    minder.start();
    let old = up(&minder);
    let Some(full) = Full::with(minder.pid()) else {
        eprintln!("not tried: there is no control group with a limit of processes here");
        return;
    };
    full.allow("1");
    signal(old, "KILL");
    let failed = |history: &String| history.contains("restart") && history.contains("temporarily unavailable");
    wait_for(
        || format!("that it failed, and why: {}", minder.history()),
        SOON,
        || Some(minder.history()).filter(failed),
    );
    // Everything that needs no process goes on.
    std::fs::remove_file(minder.dir().join("there")).unwrap();
    minder.wait_status("gone", "warning", SOON);
    full.allow("max");
    minder.wait_replaced("app", old, Duration::from_secs(30));
}
