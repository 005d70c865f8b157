//! Pidfiles are written by anybody, and hold anything.

use super::support::{Minder, stays, wait_for, wait_until};
use super::{Own, SOON};
use std::fmt::Write as _;
use std::os::unix::fs::{chown, lchown, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// `nobody` on Debian.
const NOBODY: u32 = 65534;

/// Rules with one service for each of these pidfiles, which signals and restarts whatever is found by it, at once and again.
fn eager(minder: &Minder, names: &[&str]) {
    let mut yaml = "services:\n".to_owned();
    for name in names {
        let dir = minder.dir().display();
        let _ = write!(
            yaml,
            "  {name}:\n    settle: 100ms\n    grace: 0s\n    restart: {{ limit: 3 in 1h, delay: 100ms..100ms, retry: 1h }}\n    \
             control: {{ command: {{ start: [/usr/bin/touch, {dir}/{name}.started], stop: [TERM 200ms, KILL] }} }}\n    \
             checks:\n      - process: {{ pidfile: {dir}/{name}.pid }}\n        every: 200ms\n    rules:\n      \
             - {{ name: kill, when: process.uptime > 0s, then: [signal KILL] }}\n      \
             - {{ name: down, when: process.down, then: [restart] }}\n"
        );
    }
    minder.write(&yaml);
}

fn note(minder: &Minder, name: &str) -> String {
    let service = minder.service(name).unwrap_or_default();
    format!("{} {}", service["status"], service["summary"])
}

#[test]
fn what_is_no_pid_is_nobody_and_says_why() {
    let mut minder = Minder::new();
    let cases: [(&str, Option<Vec<u8>>); 9] = [
        ("missing", None),
        ("empty", Some(Vec::new())),
        ("garbage", Some(b"nginx\n".to_vec())),
        ("binary", Some(vec![0xff, 0, 0x1b, b'[', b'2', b'J'])),
        ("negative", Some(b"-1\n".to_vec())),
        ("zero", Some(b"0\n".to_vec())),
        ("beyond", Some(b"99999999999999999999\n".to_vec())),
        ("free", Some(b"4194303\n".to_vec())),
        ("huge", Some(vec![b'1'; 64 << 20])),
    ];
    eager(&minder, &cases.each_ref().map(|(name, _)| *name));
    for (name, content) in &cases {
        if let Some(content) = content {
            std::fs::write(minder.dir().join(format!("{name}.pid")), content).unwrap();
        }
    }
    minder.start();
    for (name, _) in &cases {
        // Down, so it is started; what is started never shows itself.
        let down = || format!("{name} is found to be down and started: {}", note(&minder, name));
        wait_for(down, SOON, || minder.dir().join(format!("{name}.started")).exists().then_some(()));
    }
    let shown = minder.any(&["status", "--json"]) + &minder.any(&["status"]) + &minder.history();
    assert!(!shown.contains('\u{1b}'), "what a pidfile holds is not printed as it is");
    assert!(minder.log().len() < 1 << 20, "nor at length");
}

#[test]
fn nobody_signals_the_init_process_or_minder_itself() {
    let mut minder = Minder::new();
    eager(&minder, &["init", "self"]);
    std::fs::write(minder.dir().join("init.pid"), "1\n").unwrap();
    minder.start();
    std::fs::write(minder.dir().join("self.pid"), format!("{}\n", minder.pid())).unwrap();
    let pid = minder.pid();
    stays("minder lives", Duration::from_secs(3), || super::process_exists(pid));
    for name in ["init", "self"] {
        assert_ne!(minder.service(name).unwrap()["status"], "ok", "{name} is not well: {}", note(&minder, name));
        assert!(minder.service(name).unwrap()["pid"].is_null(), "{name} is nobody");
    }
}

#[test]
fn a_link_is_followed_only_if_its_owner_may_say_where_to() {
    let victim = Own::spawn("sleep", &["100000"]);
    let mut minder = Minder::new();
    eager(&minder, &["link"]);
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::write(elsewhere.path().join("pid"), format!("{}\n", victim.pid())).unwrap();
    let link = minder.dir().join("link.pid");
    symlink(elsewhere.path().join("pid"), &link).unwrap();
    // The link is another user's than root's and the victim's: it leads nowhere.
    lchown(&link, Some(NOBODY), Some(NOBODY)).unwrap();
    minder.start();
    wait_until("it has been looked at", SOON, || {
        minder.service("link").is_some_and(|s| s["status"] != "unknown" || s["summary"] != "")
    });
    stays("the victim lives", Duration::from_secs(2), || victim.lives());
    assert_ne!(minder.service("link").unwrap()["pid"], victim.pid());
}

#[test]
fn a_pidfile_of_an_untrusted_user_signals_nobody_elses_process() {
    let victim = Own::spawn("sleep", &["100000"]);
    let mut minder = Minder::new();
    eager(&minder, &["lent"]);
    let pidfile = minder.dir().join("lent.pid");
    std::fs::write(&pidfile, format!("{}\n", victim.pid())).unwrap();
    chown(&pidfile, Some(NOBODY), Some(NOBODY)).unwrap();
    minder.start();
    // Neither by the rule, nor when a person asks for a stop.
    let refused = |history: &String| history.contains("signal KILL") && history.contains("lent.pid");
    wait_for(
        || format!("the refused signal is recorded, with the path at fault: {}", minder.history()),
        SOON,
        || Some(minder.history()).filter(refused),
    );
    let output = minder.run(&["stop", "lent"]);
    assert!(!output.status.success());
    stays("the victim lives", Duration::from_secs(2), || victim.lives());
}

/// The daemon has died, its pidfile stayed, and its pid now belongs to another program.
#[test]
fn a_pid_that_was_given_away_again_is_not_the_daemon() {
    let mut minder = Minder::new();
    let pidfile = minder.dir().join("app.pid");
    minder.write(&format!(
        "services:\n  app:\n    settle: 200ms\n    checks:\n      - process: {{ pidfile: {} }}\n        every: 200ms\n    \
         rules:\n      - process.down -> notify\n",
        pidfile.display()
    ));
    let app = Own::spawn("sleep", &["100000"]);
    std::fs::write(&pidfile, format!("{}\n", app.pid())).unwrap();
    minder.start();
    minder.wait_status("app", "ok", SOON);
    // The daemon was there when its pidfile was written; the clocks of processes and files agree to a few seconds only.
    std::fs::File::options()
        .append(true)
        .open(&pidfile)
        .unwrap()
        .set_modified(SystemTime::now() - Duration::from_secs(60))
        .unwrap();
    let pid = app.pid();
    drop(app);
    let heir = reuse(pid);
    minder.wait_status("app", "critical", SOON);
    assert!(heir.lives());
    let still = || minder.service("app").unwrap()["status"] == "critical";
    stays("the heir is not taken for it", Duration::from_secs(2), still);
}

/// A process with just this pid: the kernel gives out the next one after the last, which root may set.
fn reuse(pid: u32) -> Own {
    let last = Path::new("/proc/sys/kernel/ns_last_pid");
    for _ in 0..2000 {
        std::fs::write(last, (pid - 1).to_string()).unwrap();
        let heir = Own::spawn("sleep", &["100000"]);
        if heir.pid() == pid {
            return heir;
        }
    }
    panic!("no process could be given the pid {pid}");
}
