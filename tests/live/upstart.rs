//! minder beside upstart, of which no distribution has a package any more: a script stands in for `initctl`, and prints what
//! upstart's documentation records.

use super::SOON;
use super::support::{Minder, process_exists, wait_until};
use std::path::PathBuf;
use std::process::Command;

/// `initctl`, where minder finds it by its PATH.
fn initctl(minder: &mut Minder) -> PathBuf {
    let path = minder.dir().join("initctl");
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/initctl"), &path).unwrap();
    let search = format!("{}:{}", minder.dir().display(), std::env::var("PATH").unwrap());
    minder.env.push(("PATH", search));
    path
}

#[test]
fn a_job_is_watched_restarted_and_left_stopped() {
    let mut minder = Minder::new();
    let initctl = initctl(&mut minder);
    let told = |words: &[&str]| assert!(Command::new(&initctl).args(words).output().unwrap().status.success());
    told(&["start", "web"]);
    let pid =
        || std::fs::read_to_string(minder.dir().join("pid")).ok().and_then(|text| text.trim().parse::<u32>().ok());
    let first = pid().unwrap();
    minder.write(
        "services:\n  web:\n    grace: 1s\n    settle: 1s\n    control: { upstart: web }\n    checks:\n      - process: supervised\n        \
         every: 500ms\n    rules:\n      - process.down -> restart\n",
    );
    let mut minder = minder;
    minder.start();
    wait_until("minder watches it", SOON, || minder.watched("web") == Some(first));
    minder.ok(&["restart", "web"]);
    let second = minder.wait_replaced("web", first, SOON);
    assert!(!process_exists(first));
    told(&["stop", "web"]);
    minder.wait_status("web", "stopped", SOON);
    told(&["start", "web"]);
    let third = minder.wait_replaced("web", second, SOON);
    minder.ok(&["stop", "web"]);
    assert!(!process_exists(third));
}
