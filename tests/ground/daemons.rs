//! Daemons that do not live, do not end, and do not start.

use super::crowd::processor_time;
use super::support::{Minder, Receiver, Runsv, process_exists, signal, stays, wait_for, wait_until};
use super::{SOON, script};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// One service `app` with this control, a pidfile in the directory, and a rule that restarts it; three restarts an hour.
fn plan(minder: &Minder, control: &str, more: &str) {
    let dir = minder.dir().display();
    minder.write(&format!(
        "services:\n  app:\n    settle: 200ms\n    grace: 200ms\n    \
         restart: {{ limit: 3 in 1h, delay: 100ms..200ms, retry: 1h }}\n    control: {{ command: {control} }}\n    \
         checks:\n      - process: {{ pidfile: {dir}/app.pid }}\n        every: 200ms\n    rules:\n      \
         - process.down -> restart\n{more}"
    ));
}

/// So many lines stand in a file that the daemon appends to at each start.
fn lives(minder: &Minder) -> usize {
    std::fs::read_to_string(minder.dir().join("lives")).unwrap_or_default().lines().count()
}

#[test]
fn one_that_dies_at_once_forever_is_given_up_after_its_budget() {
    let receiver = Receiver::start();
    let mut minder = Minder::new();
    let dir = minder.dir().display().to_string();
    let body = format!("echo $$ > {dir}/app.pid; echo x >> {dir}/lives; exit 3");
    let start = script(&minder.dir().join("start"), &body);
    let url = receiver.url();
    let notifier = format!("    notify: [chat]\nnotifiers: {{ chat: {{ webhook: {{ url: \"{url}\" }} }} }}\n");
    plan(&minder, &format!("{{ start: [{start}] }}"), &notifier);
    minder.start();
    minder.wait_status("app", "given-up", SOON);
    assert_eq!(lives(&minder), 3, "{}", minder.history());
    stays("nothing is started any more", Duration::from_secs(3), || lives(&minder) == 3);
    receiver.wait(SOON, &["given up after 3 restarts"]);
    let history = minder.history();
    assert!(history.contains("code 3"), "how it ends is said: {history}");
}

#[test]
fn one_that_ignores_term_is_killed_when_its_time_is_over() {
    let mut minder = Minder::new();
    let dir = minder.dir().display().to_string();
    let body = format!("trap '' TERM; echo $$ > {dir}/app.pid; echo x >> {dir}/lives; while :; do sleep 1; done");
    let start = script(&minder.dir().join("start"), &body);
    plan(&minder, &format!("{{ start: [{start}], stop: [TERM 300ms, KILL 5s] }}"), "");
    minder.start();
    wait_until("it runs", SOON, || minder.watched("app").is_some_and(process_exists));
    let old = minder.watched("app").unwrap();
    minder.ok(&["stop", "app"]);
    assert!(!process_exists(old));
    let history = minder.history();
    assert!(history.contains("KILL"), "that it had to be killed is said: {history}");
}

#[test]
fn a_start_command_that_hangs_is_given_its_time_and_no_more() {
    let mut minder = Minder::new();
    let dir = minder.dir().display().to_string();
    // It stays in the foreground and never writes a pidfile: no daemon is there at its deadline.
    let start = script(&minder.dir().join("start"), &format!("echo $$ >> {dir}/lives; exec sleep 100000"));
    plan(&minder, &format!("{{ start: {{ command: [{start}], timeout: 1s }} }}"), "");
    minder.start();
    minder.wait_status("app", "given-up", SOON);
    let history = minder.history();
    assert!(history.contains("no new process"), "{history}");
    // Nothing that it has started is left beside the next try.
    let alive = || {
        let pids = std::fs::read_to_string(minder.dir().join("lives")).unwrap_or_default();
        pids.lines().filter(|pid| process_exists(pid.parse().unwrap())).count()
    };
    wait_until("none of those that were given up is left", SOON, || alive() <= 1);
}

/// The daemon is there, and what started it never comes back: a hang after the fork.
#[test]
fn a_start_command_that_hangs_after_its_daemon_is_there_is_ended_at_the_next_start() {
    let mut minder = Minder::new();
    let dir = minder.dir().display().to_string();
    let daemon = format!("echo $$ > {dir}/app.pid; exec sleep 100000");
    let start = script(
        &minder.dir().join("start"),
        &format!("echo $$ >> {dir}/lives; setsid sh -c '{daemon}' & exec sleep 100000"),
    );
    plan(&minder, &format!("{{ start: {{ command: [{start}], timeout: 1s }} }}"), "");
    minder.start();
    minder.wait_status("app", "ok", SOON);
    let old = minder.watched("app").unwrap();
    stays("the daemon is well, whatever has become of its start", Duration::from_secs(2), || {
        minder.service("app").is_some_and(|app| app["status"] == "ok") && minder.watched("app") == Some(old)
    });
    let launchers = || -> Vec<u32> {
        let pids = std::fs::read_to_string(minder.dir().join("lives")).unwrap_or_default();
        pids.lines().map(|pid| pid.parse().unwrap()).filter(|pid| process_exists(*pid)).collect()
    };
    assert_eq!(launchers().len(), 1);
    signal(old, "KILL");
    minder.wait_replaced("app", old, SOON);
    assert_eq!(lives(&minder), 2, "it was started once more");
    wait_until("of those that hang, the latest is left", SOON, || launchers().len() == 1);
}

/// runsv starts it again each second, for ever. minder tells once, tries within its budget, and leaves runsv at it.
#[test]
fn one_that_dies_at_once_forever_under_runit_is_told_once_and_given_up() {
    let receiver = Receiver::start();
    let mut minder = Minder::new();
    let dir = minder.dir().display().to_string();
    std::fs::write(minder.dir().join("well"), "").unwrap();
    let runsv = Runsv::start(
        minder.dir(),
        "app",
        &format!("echo x >> {dir}/lives; test -e {dir}/well || exit 3; exec sleep 100000"),
    );
    let plan = |rules: &str| {
        format!(
            "notifiers: {{ chat: {{ webhook: {{ url: \"{}\" }} }} }}\nservices:\n  app:\n    notify: [chat]\n    settle: 500ms\n    \
             grace: 500ms\n    restart: {{ limit: 3 in 1h, delay: 100ms..200ms, retry: 1h }}\n    \
             control: {{ runit: {{ service: app, directory: {dir}, timeout: 2s }} }}\n    checks:\n      \
             - process: {{ pidfile: {dir}/app/supervise/pid }}\n        every: 200ms\n    rules:\n      - process.down -> restart\n{rules}",
            receiver.url()
        )
    };
    minder.write(&plan(""));
    minder.start();
    minder.wait_status("app", "ok", SOON);
    std::fs::remove_file(minder.dir().join("well")).unwrap();
    signal(runsv.pid().unwrap(), "KILL");
    minder.wait_status("app", "given-up", Duration::from_secs(40));
    receiver.wait(SOON, &["given up after 3 restarts"]);
    let firings = || receiver.requests().iter().filter(|r| r.body.contains("minder.firing")).count();
    let before = lives(&minder);
    let used = processor_time(minder.pid());
    stays("nobody is told again", Duration::from_secs(4), || firings() == 1);
    let used = processor_time(minder.pid()) - used;
    assert!(used < Duration::from_secs(2), "{used:?} of a processor within 4 s");
    assert!(lives(&minder) > before, "runsv goes on");
    // When it is well again that is seen, and told. The loop as such is over only when there was none for five minutes: that is
    // another rule's business now.
    minder.write(&plan("      - control.flapping for 1h -> notify\n"));
    minder.ok(&["reload"]);
    stays("what is so is not told anew", Duration::from_secs(2), || firings() == 1);
    assert_eq!(minder.service("app").unwrap()["status"], "given-up");
    std::fs::write(minder.dir().join("well"), "").unwrap();
    minder.wait_status("app", "ok", SOON);
    wait_for(
        || "the end is told".into(),
        SOON,
        || receiver.requests().iter().find(|r| r.body.contains("minder.resolved")).cloned(),
    );
}

#[test]
fn a_start_command_that_forks_and_forks_is_only_its_last_process() {
    let mut minder = Minder::new();
    let dir = minder.dir().display().to_string();
    // Three generations, each ending at once, as daemons do that want to be rid of their terminal.
    let last = format!("echo $$ > {dir}/app.pid; echo x >> {dir}/lives; exec sleep 100000");
    let start = script(&minder.dir().join("start"), &format!("( ( setsid sh -c '{last}' & ) & ) &"));
    plan(&minder, &format!("{{ start: [{start}] }}"), "");
    minder.start();
    minder.wait_status("app", "ok", SOON);
    let pid = minder.watched("app").unwrap();
    stays("it is started once", Duration::from_secs(2), || lives(&minder) == 1 && minder.watched("app") == Some(pid));
}

#[test]
fn a_start_command_that_floods_its_output_fills_neither_disk_nor_memory() {
    let mut minder = Minder::new();
    let dir = minder.dir().display().to_string();
    let start = script(&minder.dir().join("start"), &format!("echo $$ > {dir}/app.pid; exec yes 'a line of no use'"));
    plan(&minder, &format!("{{ start: [{start}] }}"), "");
    minder.start();
    minder.wait_status("app", "ok", SOON);
    let mut memory = 0;
    stays("it is watched as ever", Duration::from_secs(5), || {
        memory = memory.max(resident(minder.pid()));
        minder.service("app").is_some_and(|app| app["status"] == "ok")
    });
    assert!(memory < 100 << 20, "{memory} bytes of memory");
    minder.ok(&["stop", "app"]);
    wait_until("what was flooded is cut", SOON, || on_disk(&minder.state()) < 16 << 20);
}

/// The bytes below a directory that stand on the disk: a file with holes is not large.
fn on_disk(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => on_disk(&entry.path()),
        Ok(data) => data.blocks() * 512,
        Err(_) => 0,
    };
    entries.map(size).sum()
}

/// The memory of a process.
fn resident(pid: u32) -> u64 {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}
