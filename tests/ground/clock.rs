//! The clock of the machine is set, live: libfaketime stands in for it, for minder alone. What the engine makes of clocks that are
//! set and of machines that sleep is in its own tests (`src/engine/tests/time.rs`).

use super::support::{Minder, Receiver, process_exists, stays, wait_until};
use super::{Own, SOON};
use std::path::PathBuf;
use std::time::Duration;

/// A clock for minder, as it is told: `+0`, `-1d`, `+10y`.
struct Clock(PathBuf);

impl Clock {
    fn of(minder: &mut Minder) -> Clock {
        let library = std::fs::read_dir("/usr/lib").unwrap().flatten();
        let library = library.map(|dir| dir.path().join("faketime/libfaketimeMT.so.1")).find(|path| path.exists());
        let library = library.expect("libfaketime is missing: run tests/setup");
        let clock = Clock(minder.dir().join("clock"));
        clock.set("+0");
        let line = |name: &str, value: &str| format!("{name}={value}");
        // It leaves files in /dev/shm when minder is killed: these go with minder.
        let shm = "mount -t tmpfs tmpfs /dev/shm && exec \"$@\"";
        minder.under = ["unshare", "-m", "sh", "-c", shm, "sh", "env"].map(String::from).into();
        minder.under.extend([
            line("LD_PRELOAD", library.to_str().unwrap()),
            line("FAKETIME_TIMESTAMP_FILE", clock.0.to_str().unwrap()),
            "FAKETIME_NO_CACHE=1".into(),
            "FAKETIME_DONT_FAKE_MONOTONIC=1".into(),
            "NO_FAKE_STAT=1".into(),
        ]);
        clock
    }

    fn set(&self, by: &str) {
        let new = self.0.with_extension("new");
        std::fs::write(&new, by).unwrap();
        std::fs::rename(new, &self.0).unwrap();
    }
}

/// The year of the clock that minder has.
fn year(minder: &Minder) -> i64 {
    minder.status().unwrap()["at"].as_i64().unwrap_or_default() / 31_556_952_000 + 1970
}

#[test]
fn a_clock_that_is_set_is_no_death_fires_nothing_and_loses_no_message() {
    // No message is taken for now.
    let receiver = Receiver::answering(&["500 Not now"; 3]);
    let mut minder = Minder::new();
    let clock = Clock::of(&mut minder);
    let app = Own::spawn("sleep", &["100000"]);
    let dir = minder.dir().display().to_string();
    std::fs::write(minder.dir().join("app.pid"), app.pid().to_string()).unwrap();
    minder.write(&format!(
        "notifiers: {{ chat: {{ webhook: {{ url: \"{}\" }} }} }}\nservices:\n  app:\n    settle: 200ms\n    \
         control: {{ command: {{ start: [/usr/bin/touch, {dir}/started], stop: [KILL] }} }}\n    checks:\n      \
         - process: {{ pidfile: {dir}/app.pid }}\n        every: 100ms\n    rules:\n      - process.down -> restart\n  \
         slow:\n    checks:\n      - file: {dir}/nothing\n        every: 200ms\n    rules:\n      \
         - file.missing for 10m -> notify\n  gone:\n    notify: [chat]\n    checks:\n      - file: {dir}/there\n        every: 200ms\n",
        receiver.url()
    ));
    minder.start();
    minder.wait_status("app", "ok", SOON);
    minder.wait_status("gone", "warning", SOON);
    wait_until("a message was tried", SOON, || !receiver.requests().is_empty());
    let this_year = year(&minder);
    for (by, years) in [("+3600", 0), ("-1d", 0), ("+10y", 10), ("-10y", -10)] {
        clock.set(by);
        wait_until("minder has the new time", SOON, || (year(&minder) - this_year - years).abs() <= 1);
        // Long enough for the pidfile to be looked at again, which is every 64th time: it is on a disk, and seems old.
        let well = || {
            let status = minder.status().unwrap();
            let of =
                |name: &str| status["services"].as_array().unwrap().iter().find(|s| s["name"] == name).unwrap().clone();
            of("app")["status"] == "ok" && of("app")["pid"] == app.pid() && of("slow")["status"] == "ok"
        };
        stays(&format!("nothing happens when the clock is set by {by}"), Duration::from_secs(8), well);
        assert!(!minder.dir().join("started").exists() && process_exists(app.pid()));
    }
    // What waited was not ended by a clock that was ten years ahead.
    let told = || receiver.requests().iter().filter(|r| r.body.contains("minder.firing")).count();
    wait_until("the message is taken in the end", Duration::from_secs(30), || told() >= 4);
    clock.set("+0");
    assert!(!minder.any(&["history"]).contains("expired"));
    // It is as quick as ever to see what really happens.
    drop(app);
    wait_until("a real death is seen", SOON, || minder.dir().join("started").exists());
}
