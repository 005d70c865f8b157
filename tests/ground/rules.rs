//! Rules that change while they are read, that are as long or as many as can be, and services that fail all at once.

use super::support::{Minder, Receiver, process_exists, signal, stays, wait_for, wait_until};
use super::{Own, SOON};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn resident(minder: &Minder) -> u64 {
    let statm = std::fs::read_to_string(format!("/proc/{}/statm", minder.pid())).unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// Whatever is read in between, what was written last is in effect in the end, and a half of it never.
#[test]
fn rules_that_are_replaced_while_they_are_read_under_a_storm_of_signals() {
    let mut minder = Minder::new();
    let (dir, port, rules) = (minder.dir().to_owned(), minder.port, minder.rules());
    let write = |number: usize| {
        let new = dir.join(format!("rules{number}"));
        std::fs::create_dir(&new).unwrap();
        // Many files, and so many moments at which the directory is not the one that it was.
        for file in 0..20 {
            let head =
                if file == 0 { format!("dashboard: {{ listen: \"127.0.0.1:{}\" }}\n", port) } else { String::new() };
            let service = |kind: &str| {
                format!("  {kind}-{file}-{number}:\n    checks:\n      - file: {}\n        every: 5s\n", dir.display())
            };
            let text = format!("version: 1\n{head}services:\n{}{}", service("a"), service("b"));
            std::fs::write(new.join(format!("{file}.yaml")), text).unwrap();
        }
        new
    };
    let put = |new: &std::path::Path| {
        let old = dir.join("old");
        let _ = std::fs::remove_dir_all(&old);
        std::fs::rename(&rules, &old).unwrap();
        std::fs::rename(new, &rules).unwrap();
    };
    put(&write(0));
    minder.start();
    let pid = minder.pid();
    let over = Arc::new(AtomicBool::new(false));
    let storm = {
        let over = over.clone();
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                signal(pid, "HUP");
            }
        })
    };
    let names = || -> Vec<String> {
        let status = minder.status().unwrap();
        status["services"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap().to_owned()).collect()
    };
    for number in 1..40 {
        put(&write(number));
        // Of whatever it is, it is whole: two services of each file.
        let names = names();
        for a in names.iter().filter(|name| name.starts_with("a-")) {
            assert!(names.contains(&a.replacen('a', "b", 1)), "{names:?}");
        }
    }
    over.store(true, Ordering::Relaxed);
    storm.join().unwrap();
    minder.ok(&["reload"]);
    let last = |names: &Vec<String>| names.len() == 40 && names.iter().all(|name| name.ends_with("-39"));
    assert!(last(&names()), "who is answered has what was there when he asked: {:?}", names());
    stays("and no earlier one comes after it", Duration::from_secs(2), || last(&names()));
}

#[test]
fn thousands_of_events_a_second_delay_no_reaction() {
    let receiver = Receiver::start();
    let mut minder = Minder::new();
    let app = Own::spawn("sleep", &["100000"]);
    let dir = minder.dir().display().to_string();
    std::fs::write(minder.dir().join("app.pid"), app.pid().to_string()).unwrap();
    let mut rules = format!(
        "notifiers: {{ chat: {{ webhook: {{ url: \"{}\" }} }} }}\nservices:\n  app:\n    settle: 0s\n    notify: [chat]\n    checks:\n      \
         - process: {{ pidfile: {dir}/app.pid }}\n        every: 5s\n",
        receiver.url()
    );
    for i in 0..300 {
        rules += &format!("  flap{i}:\n    checks:\n      - file: {dir}/there\n        every: 100ms\n");
    }
    minder.write(&rules);
    std::fs::write(minder.dir().join("there"), "").unwrap();
    minder.start();
    minder.wait_status("app", "ok", SOON);
    let number = || minder.ok(&["history", "--json", "--limit", "1"]);
    let number = || serde_json::from_str::<serde_json::Value>(&number()).unwrap()[0]["id"].as_u64().unwrap();
    let (began, first) = (Instant::now(), number());
    while began.elapsed() < Duration::from_secs(6) {
        for there in [false, true] {
            let path = minder.dir().join("there");
            if there {
                std::fs::write(path, "").unwrap()
            } else {
                std::fs::remove_file(path).unwrap()
            }
            std::thread::sleep(Duration::from_millis(130));
        }
    }
    let rate = (number() - first) as f64 / began.elapsed().as_secs_f64();
    println!("{rate:.0} events a second, {} MB", resident(&minder) >> 20);
    assert!(rate > 1000.0, "only {rate} events a second were made");
    // In the middle of it, a death.
    let flapping = {
        let path = minder.dir().join("there");
        std::thread::spawn(move || {
            for i in 0..20 {
                let _ = if i % 2 == 0 { std::fs::remove_file(&path) } else { std::fs::write(&path, "") };
                std::thread::sleep(Duration::from_millis(100));
            }
        })
    };
    let death = Instant::now();
    drop(app);
    receiver.wait(Duration::from_secs(3), &["minder.firing", "\"app\""]);
    println!("told after {:?}", death.elapsed());
    flapping.join().unwrap();
    assert!(resident(&minder) < 150 << 20);
    // Nothing was mixed up: of each rule, firing and resolving take turns.
    let events = minder.ok(&["history", "--json", "--limit", "1000"]);
    let mut events: Vec<serde_json::Value> = serde_json::from_str(&events).unwrap();
    events.sort_unstable_by_key(|event| event["id"].as_u64());
    let mut last: BTreeMap<String, String> = BTreeMap::new();
    for event in events.iter().filter(|event| event["kind"] == "fired" || event["kind"] == "resolved") {
        let kind = event["kind"].as_str().unwrap().to_owned();
        assert_ne!(last.insert(event["service"].to_string(), kind.clone()), Some(kind), "{event}");
    }
}

#[test]
fn a_thousand_services_that_fail_at_once_are_a_message_each() {
    let receiver = Receiver::start();
    let mut minder = Minder::new();
    let dir = minder.dir().display().to_string();
    let mut rules = format!(
        "notifiers: {{ chat: {{ webhook: {{ url: \"{}\" }} }} }}\ndefaults: {{ notify: [chat] }}\nservices:\n",
        receiver.url()
    );
    for i in 0..1000 {
        rules += &format!("  service{i}:\n    checks:\n      - file: {dir}/there\n        every: 1s\n");
    }
    minder.write(&rules);
    std::fs::write(minder.dir().join("there"), "").unwrap();
    minder.start();
    minder.wait_status("service999", "ok", SOON);
    std::fs::remove_file(minder.dir().join("there")).unwrap();
    let told = |kind: &str| {
        let mut told: BTreeMap<String, usize> = BTreeMap::new();
        for request in receiver.requests() {
            if request.body.contains(kind) {
                *told.entry(request.json()["data"]["service"].as_str().unwrap().to_owned()).or_default() += 1;
            }
        }
        told
    };
    wait_for(
        || format!("each is told: {}", told("minder.firing").len()),
        Duration::from_secs(40),
        || (told("minder.firing").len() == 1000).then_some(()),
    );
    assert!(told("minder.firing").values().all(|times| *times == 1));
    std::fs::write(minder.dir().join("there"), "").unwrap();
    wait_until("and so is each all-clear", Duration::from_secs(40), || told("minder.resolved").len() == 1000);
    assert!(minder.page("/").contains("service999") && resident(&minder) < 150 << 20);
}

#[test]
fn long_names_and_long_rules_are_no_trouble() {
    let receiver = Receiver::start();
    let mut minder = Minder::new();
    let dir = minder.dir().display().to_string();
    let name = "n".repeat(64);
    let long = (0..150).map(|i| format!("file.size > {i}GB")).collect::<Vec<_>>().join(" or ");
    minder.write(&format!(
        "notifiers: {{ chat: {{ webhook: {{ url: \"{}\" }} }} }}\nservices:\n  {name}:\n    notify: [chat]\n    \
         control: {{ command: {{ start: [/bin/sleep, \"100000.{}\"] }} }}\n    checks:\n      - process: {{ match: '^/bin/sleep 100000[.]{}$' }}\n        every: 200ms\n      \
         - file: {dir}/there\n        every: 200ms\n    rules:\n      - '{long} -> notify'\n      - file.missing -> notify\n",
        receiver.url(),
        minder.port,
        minder.port,
    ));
    std::fs::write(minder.dir().join("there"), "").unwrap();
    minder.start();
    minder.ok(&["start", &name]);
    let pid = minder.watched(&name).unwrap();
    assert!(process_exists(pid));
    std::fs::remove_file(minder.dir().join("there")).unwrap();
    let told = receiver.wait(SOON, &["minder.firing"]).json();
    assert!(told["data"]["summary"].as_str().unwrap().chars().count() < 1000);
    assert!(
        minder.page("/").contains("nnnnnnnn") && minder.page(&format!("/services/{name}")).starts_with("HTTP/1.1 200")
    );
    minder.ok(&["stop", &name]);
    assert!(!process_exists(pid));
}

#[test]
fn a_huge_table_of_mounts_is_read_and_costs_little() {
    let mut minder = Minder::new();
    let many = minder.dir().join("many");
    std::fs::create_dir(&many).unwrap();
    let mount = format!(
        "import ctypes, os, sys\nlibc = ctypes.CDLL(None)\nfor i in range(5000):\n    d = '{}/%d' % i\n    os.mkdir(d)\n    \
         if libc.mount(b'none', d.encode(), b'tmpfs', 0, b'size=4k') != 0: sys.exit('mount')\n\
         os.execvp(sys.argv[1], sys.argv[1:])",
        many.display()
    );
    minder.under = ["unshare", "-m", "python3", "-c", &mount].map(String::from).into();
    minder.write(&format!(
        "services:\n  root:\n    checks:\n      - filesystem: /\n        every: 300ms\n        keep: [used]\n  last:\n    checks:\n      \
         - filesystem: {0}/4999\n        every: 300ms\n  none:\n    checks:\n      - filesystem: {0}/5001\n        every: 300ms\n",
        many.display()
    ));
    minder.start();
    minder.wait_status("root", "ok", SOON);
    minder.wait_status("last", "ok", SOON);
    minder.wait_status("none", "warning", SOON);
    stays("it stays so", Duration::from_secs(3), || minder.service("root").is_some_and(|root| root["status"] == "ok"));
}
