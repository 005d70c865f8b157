//! What the page says of the machine and of the rules, of a real daemon.

use super::SOON;
use super::support::{Minder, wait_until};
use minder::model::{Dimension, show};
use std::process::{Child, Command};

/// A process that does nothing but take time.
struct Busy(Child);

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The number of kB after this key in `/proc/meminfo`, in bytes.
fn meminfo(key: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.trim().split(' ').next().unwrap().parse::<f64>().unwrap() * 1024.0
}

#[test]
fn the_page_of_the_machine_says_what_proc_says() {
    let mut minder = Minder::new();
    minder.write("services: { this: { checks: [{ system: {}, every: 200ms, keep: [cpu, memory] }] } }");
    minder.start();
    let secret = "--password=hunter2";
    let busy = Busy(Command::new("sh").args(["-c", "while :; do :; done", secret]).spawn().unwrap());
    let of_busy = format!("<td class=\"number\">{}</td>", busy.0.id());
    wait_until("the busy one is among those that use most", SOON, || minder.page("/machine").contains(&of_busy));
    let seen = minder.page("/machine");
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert!(seen.contains(release.trim()), "{seen}");
    assert!(seen.contains(&format!("of {}", show(meminfo("MemTotal:"), Dimension::Bytes))), "{seen}");
    let cores = std::fs::read_to_string("/proc/stat").unwrap().lines().filter(|l| l.starts_with("cpu")).count() - 1;
    assert!(seen.contains(&if cores == 1 { "of 1 core;".to_owned() } else { format!("of {cores} cores;") }), "{seen}");
    for mount in ["<code>/</code>", "<code>lo</code>"] {
        assert!(seen.contains(mount), "{mount}: {seen}");
    }
    assert!(!seen.contains("hunter2"), "a command line may hold secrets");
    wait_until("what the check has seen is drawn", SOON, || {
        minder.page("/machine").contains("memory over the last hour: now ")
    });
}

#[test]
fn the_page_of_the_rules_says_where_they_are_written_and_why_the_latest_are_not() {
    let mut minder = Minder::new();
    minder.write("services: { this: { checks: [{ system: {} }] } }");
    minder.start();
    let seen = minder.page("/rules");
    let place = format!("{}/rules.yaml:4</code>", minder.rules().display());
    assert!(seen.contains(&place) && !seen.contains("refused"), "{place}: {seen}");
    minder.write("services: { this: { chekcs: [{ system: {} }] } }");
    assert!(!minder.run(&["reload"]).status.success());
    let seen = minder.page("/rules");
    let (above, below) = seen.split_once("Files</h2>").unwrap();
    assert!(above.contains("The latest rules were refused") && above.contains("did you mean `checks`?"), "{above}");
    assert!(below.contains(&place) && below.contains("Refused before"), "{below}");
}
