//! minder itself is killed, at any moment.

use super::support::{Minder, process_exists, signal, wait_for, wait_until};
use super::{SOON, script};
use std::time::Duration;

/// A daemon that takes a moment until it has written its pidfile, and a line for each of its lives.
fn plan(minder: &Minder) {
    let dir = minder.dir().display();
    let body = format!("echo $$ >> {dir}/lives; sleep 0.1; echo $$ > {dir}/app.pid; exec sleep 100000");
    let start = script(&minder.dir().join("start"), &body);
    minder.write(&format!(
        "brake: 500 in 1m\nservices:\n  app:\n    settle: 300ms\n    grace: 300ms\n    restart: {{ limit: 500 in 1h, delay: 50ms..50ms }}\n    \
         control: {{ command: {{ start: [{start}], stop: [TERM 100ms, KILL] }} }}\n    checks:\n      \
         - process: {{ pidfile: {dir}/app.pid }}\n        every: 200ms\n    rules:\n      - process.down -> restart\n",
    ));
}

/// Its lives that have not ended.
fn living(minder: &Minder) -> Vec<u32> {
    let lives = std::fs::read_to_string(minder.dir().join("lives")).unwrap_or_default();
    let mut living: Vec<u32> = lives.lines().filter_map(|pid| pid.parse().ok()).collect();
    living.retain(|pid| process_exists(*pid));
    living
}

#[test]
fn killed_in_the_middle_of_a_restart_it_carries_on_and_makes_one_daemon_not_two() {
    let mut minder = Minder::new();
    plan(&minder);
    // From before it can have noticed the death, to after the new daemon has settled.
    for milliseconds in [0, 1, 2, 3, 5, 8, 13, 20, 40, 70, 100, 130, 200, 400] {
        minder.start();
        let up = || minder.watched("app").filter(|pid| living(&minder) == [*pid]);
        let old = wait_for(|| format!("one app runs: {:?}", living(&minder)), SOON, up);
        minder.wait_status("app", "ok", SOON);
        signal(old, "KILL");
        // Not for luck: each of these moments is one to be killed at.
        std::thread::sleep(Duration::from_millis(milliseconds));
        minder.kill();
        let lives = living(&minder);
        assert!(lives.len() <= 1, "killed after {milliseconds} ms, there are {lives:?}");
    }
    minder.start();
    let up = || minder.watched("app").filter(|pid| living(&minder) == [*pid]);
    wait_for(|| format!("one app runs: {:?}", living(&minder)), SOON, up);
    minder.wait_status("app", "ok", SOON);
    // Never two firings of a rule without its resolving between them, over all of its lives.
    let events = minder.ok(&["history", "--json", "--limit", "1000"]);
    let events: serde_json::Value = serde_json::from_str(&events).unwrap();
    let events = events["events"].as_array().or(events.as_array()).unwrap();
    let mut turns: Vec<(u64, bool)> = Vec::new();
    for event in events {
        match event["kind"].as_str().unwrap() {
            "fired" => turns.push((event["id"].as_u64().unwrap(), true)),
            "resolved" => turns.push((event["id"].as_u64().unwrap(), false)),
            _ => {}
        }
    }
    turns.sort_unstable();
    assert!(turns.len() > 4, "{turns:?}");
    assert!(turns.windows(2).all(|pair| pair[0].1 != pair[1].1), "{turns:?}");
}

#[test]
fn killed_while_a_person_stops_something_it_leaves_it_stopped() {
    for milliseconds in [0, 2, 5, 10, 30, 80] {
        let mut minder = Minder::new();
        plan(&minder);
        minder.start();
        wait_until("app runs", SOON, || minder.watched("app").is_some());
        minder.wait_status("app", "ok", SOON);
        let mut stop = minder
            .command(&["stop", "app"])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(milliseconds));
        minder.kill();
        let taken = stop.wait().unwrap().success();
        minder.start();
        // Either the order was not taken any more, or it is carried out: nothing in between.
        let status = wait_for(
            || format!("it is one or the other: {:#?}", minder.service("app")),
            SOON,
            || {
                let service = minder.service("app")?;
                let settled = match service["status"].as_str()? {
                    "stopped" => living(&minder).is_empty(),
                    "ok" => living(&minder).len() == 1,
                    _ => false,
                };
                settled.then(|| service["status"].as_str().unwrap().to_owned())
            },
        );
        assert!(!taken || status == "stopped", "it was said to be stopped after {milliseconds} ms, and is {status}");
    }
}
