//! minder itself is killed, at any moment.

use super::support::{Minder, Receiver, process_exists, signal, wait_for, wait_until};
use super::{SOON, script};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A daemon that takes a moment until it has written its pidfile, and is gone at once when it is told to.
const QUICK: &str = "sleep 0.1; echo $$ > DIR/app.pid; exec sleep 100000";
/// One that is there at once, and takes its time to end.
const GRACEFUL: &str = "trap 'sleep 0.4; exit 0' TERM; echo $$ > DIR/app.pid; while :; do sleep 0.05; done";

/// `app`, this daemon, which writes a line for each of its lives. `more` comes behind it.
fn plan_of(minder: &Minder, daemon: &str, more: &str) {
    let dir = minder.dir().display().to_string();
    let start =
        script(&minder.dir().join("start"), &format!("echo $$ >> {dir}/lives; {}", daemon.replace("DIR", &dir)));
    let stop = if daemon == QUICK { "TERM 100ms, KILL" } else { "TERM 3s, KILL" };
    minder.write(&format!(
        "brake: 500 in 1m\nservices:\n  app:\n    settle: 300ms\n    grace: 300ms\n    restart: {{ limit: 500 in 1h, delay: 50ms..50ms }}\n    \
         control: {{ command: {{ start: [{start}], stop: [{stop}] }} }}\n    checks:\n      \
         - process: {{ pidfile: {dir}/app.pid }}\n        every: 200ms\n    rules:\n      - process.down -> restart\n{more}",
    ));
}

fn plan(minder: &Minder) {
    plan_of(minder, QUICK, "");
}

/// Its lives that have not ended.
fn living(minder: &Minder) -> Vec<u32> {
    living_in(minder.dir())
}

fn living_in(dir: &Path) -> Vec<u32> {
    let lives = std::fs::read_to_string(dir.join("lives")).unwrap_or_default();
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
    assert!(turns_alternate(&minder) > 4);
}

fn events(minder: &Minder) -> Vec<serde_json::Value> {
    let events = minder.ok(&["history", "--json", "--limit", "1000"]);
    let mut events: Vec<serde_json::Value> = serde_json::from_str(&events).unwrap();
    events.sort_unstable_by_key(|event| event["id"].as_u64());
    events
}

/// Never two firings of a rule without its resolving between them, over all of minder's lives. Says how many turns there were.
#[track_caller]
fn turns_alternate(minder: &Minder) -> usize {
    let mut last: BTreeMap<String, bool> = BTreeMap::new();
    let mut turns = 0;
    let events = events(minder);
    for event in &events {
        let fired = match event["kind"].as_str().unwrap() {
            "fired" => true,
            "resolved" => false,
            _ => continue,
        };
        turns += 1;
        let before = last.insert(format!("{} {}", event["service"], event["rule"]), fired);
        assert_ne!(before.unwrap_or(false), fired, "{event} in {events:#?}");
    }
    turns
}

/// `minder COMMAND app` on its way, while minder is killed.
fn ask_and_kill(minder: &mut Minder, command: &str, milliseconds: u64) -> bool {
    let mut asked = minder.command(&[command, "app"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(milliseconds));
    minder.kill();
    asked.wait().unwrap().success()
}

/// Either the order was not taken any more, or it is carried out: nothing in between.
fn settled(minder: &Minder) -> String {
    let settled = || {
        let service = minder.service("app")?;
        let settled = match service["status"].as_str()? {
            "stopped" => living(minder).is_empty(),
            "ok" => living(minder).len() == 1,
            _ => false,
        };
        settled.then(|| service["status"].as_str().unwrap().to_owned())
    };
    wait_for(|| format!("it is one or the other: {:#?}", minder.service("app")), SOON, settled)
}

#[test]
fn killed_while_a_person_stops_something_it_leaves_it_stopped() {
    for (daemon, moments) in [(QUICK, &[0, 2, 5, 10, 30, 80][..]), (GRACEFUL, &[1, 20, 50, 150, 300, 450, 600])] {
        let mut minder = Minder::new();
        plan_of(&minder, daemon, "");
        for milliseconds in moments {
            minder.start();
            minder.wait_status("app", "ok", SOON);
            let taken = ask_and_kill(&mut minder, "stop", *milliseconds);
            minder.start();
            let status = settled(&minder);
            assert!(
                !taken || status == "stopped",
                "it was said to be stopped after {milliseconds} ms, and is {status}"
            );
            minder.ok(&["start", "app"]);
            minder.kill();
        }
    }
}

/// Looks all the time that there are never two lives at once.
struct Never2 {
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<Option<Vec<u32>>>>,
}

impl Never2 {
    fn of(minder: &Minder) -> Never2 {
        let (over, dir) = (Arc::new(AtomicBool::new(false)), minder.dir().to_owned());
        let is_over = over.clone();
        let look = move || {
            while !is_over.load(Ordering::Relaxed) {
                let lives = living_in(&dir);
                if lives.len() > 1 {
                    return Some(lives);
                }
                std::thread::sleep(Duration::from_millis(3));
            }
            None
        };
        Never2 { over, thread: Some(std::thread::spawn(look)) }
    }

    #[track_caller]
    fn end(mut self) {
        self.over.store(true, Ordering::Relaxed);
        assert_eq!(self.thread.take().unwrap().join().unwrap(), None, "two daemons at once");
    }
}

#[test]
fn killed_in_the_middle_of_a_restart_of_a_daemon_that_ends_slowly_there_are_never_two() {
    let mut minder = Minder::new();
    plan_of(&minder, GRACEFUL, "");
    minder.start();
    minder.wait_status("app", "ok", SOON);
    let never2 = Never2::of(&minder);
    // From before it is told to end, while it ends, while the new one starts, to after that has settled.
    for milliseconds in [1, 10, 30, 60, 150, 300, 390, 410, 430, 460, 500, 600, 900] {
        // The restart of before may still be under way, and whoever asks then has a share in it.
        wait_until("nothing goes on", SOON, || minder.service("app").is_some_and(|app| app["summary"] == ""));
        let old = minder.watched("app").unwrap();
        let taken = ask_and_kill(&mut minder, "restart", milliseconds);
        minder.start();
        assert_eq!(settled(&minder), "ok");
        let new = minder.watched("app");
        assert!(!taken || new != Some(old), "it was said to be restarted after {milliseconds} ms");
        // What was told to end is not what runs on.
        wait_until("one lives", SOON, || {
            living(&minder).len() == 1 && minder.watched("app") == Some(living(&minder)[0])
        });
    }
    never2.end();
    turns_alternate(&minder);
}

/// Two files that come and go, told; rules that are replaced; a daemon that dies: and minder is killed in the middle of it all.
#[test]
fn killed_at_any_moment_it_keeps_its_promises() {
    let receiver = Receiver::start();
    let mut minder = Minder::new();
    let dir = minder.dir().to_owned();
    let rules = |minder: &Minder, extra: usize| {
        let file = |name: &str| {
            format!(
                "  {name}:\n    flapping: false\n    notify: [chat]\n    checks:\n      - file: {}/{name}\n        every: 100ms\n",
                dir.display()
            )
        };
        let url = receiver.url();
        let more = format!(
            "{}{}{}notifiers: {{ chat: {{ webhook: {{ url: \"{url}\" }} }} }}\n",
            file("one"),
            file("two"),
            file(&format!("extra{extra}"))
        );
        std::fs::write(dir.join(format!("extra{extra}")), "").unwrap();
        plan_of(minder, GRACEFUL, &more);
    };
    let set = |name: &str, there: bool| {
        let _ = if there { std::fs::write(dir.join(name), "") } else { std::fs::remove_file(dir.join(name)) };
    };
    rules(&minder, 0);
    let never2 = Never2::of(&minder);
    // The same moments each time: not chance, but all over the place.
    let mut moment = 17_u64;
    for round in 0..24 {
        minder.start();
        set("one", round % 2 == 0);
        set("two", round % 3 == 0);
        match round % 4 {
            0 => living(&minder).into_iter().for_each(|pid| signal(pid, "KILL")),
            1 => {
                rules(&minder, round);
                minder.signal("HUP");
            }
            2 => {
                // Many transitions, and so many writes.
                for i in 0..8 {
                    set("two", i % 2 == 0);
                    std::thread::sleep(Duration::from_millis(40));
                }
            }
            _ => {}
        }
        moment = (moment * 211 + 97) % 601;
        std::thread::sleep(Duration::from_millis(moment));
        minder.kill();
    }
    minder.start();
    set("one", true);
    set("two", true);
    for name in ["app", "one", "two", "extra21"] {
        minder.wait_status(name, "ok", SOON);
    }
    never2.end();
    assert!(turns_alternate(&minder) > 10);
    // Both ends of every incident are told at least once; what is told twice is told by the same key.
    let events = events(&minder);
    let opened = events.iter().filter(|event| event["kind"] == "opened" && event["service"] != "app");
    let opened: BTreeSet<u64> = opened.map(|event| event["incident"].as_u64().unwrap()).collect();
    assert!(opened.len() > 4, "{events:#?}");
    let told = |incident: u64| -> BTreeMap<String, BTreeSet<String>> {
        let mut told: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for request in receiver.requests() {
            let json = request.json();
            if json["data"]["incident"] == incident {
                let kind = json["type"].as_str().unwrap().to_owned();
                told.entry(kind).or_default().insert(json["id"].as_str().unwrap().to_owned());
            }
        }
        told
    };
    for incident in opened {
        let both = || told(incident).contains_key("minder.resolved");
        wait_for(
            || format!("the end of incident {incident} is told: {:?}", told(incident)),
            SOON,
            || both().then_some(()),
        );
        for (kind, keys) in told(incident) {
            assert!(kind == "minder.update" || keys.len() == 1, "{incident}: {kind} {keys:?}");
        }
    }
}

/// What minder runs for a rule has a deadline, which only minder keeps.
#[test]
fn what_is_under_way_when_minder_is_told_to_end_ends_with_it() {
    let mut minder = Minder::new();
    let dir = minder.dir().display().to_string();
    let drain = script(&minder.dir().join("drain"), &format!("echo $$ > {dir}/drain.pid; sleep 100000; true"));
    minder.write(&format!(
        "services:\n  gone:\n    checks:\n      - file: {dir}/there\n        every: 200ms\n    rules:\n      \
         - name: drain\n        when: file.missing\n        then: [{{ exec: {{ command: [{drain}], timeout: 1h }} }}, \
         {{ exec: {{ command: [/usr/bin/touch, {dir}/second] }} }}]\n",
    ));
    minder.start();
    let pid = || std::fs::read_to_string(minder.dir().join("drain.pid")).ok()?.trim().parse::<u32>().ok();
    let pid = wait_for(|| "it runs".into(), SOON, pid);
    minder.signal("TERM");
    minder.wait_end(Duration::from_secs(5));
    wait_until("it has ended, too", Duration::from_secs(1), || !process_exists(pid));
    assert!(!minder.dir().join("second").exists(), "nothing is begun any more");
    std::fs::write(minder.dir().join("there"), "").unwrap();
    minder.start();
    let history = minder.history();
    assert!(history.contains("killed, because minder ended"), "{history}");
}
