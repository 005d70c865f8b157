//! Limits, failing probes, and what an operator wants.

use super::support::{Minder, process_exists, stays, wait_until};
use super::{SOON, daemon};
use std::time::Duration;

/// One service, `app`, that is our own daemon, with these further checks and these rules.
fn plan(minder: &Minder, how: &str, checks: &str, rules: &str) {
    let dir = minder.dir().join("app");
    minder.write(&format!(
        r#"
services:
  app:
    grace: 1s
    control:
      command:
        start: {start}
    checks:
      - process: {{ pidfile: {dir}/pid }}
        every: 500ms
{checks}
    rules:
{rules}
"#,
        start = daemon(&dir, how),
        dir = dir.display(),
    ));
}

#[test]
fn a_daemon_that_eats_memory_is_restarted() {
    let mut minder = Minder::new();
    plan(&minder, "hungry", "", "      - process.memory > 150MB for 2 times -> restart");
    minder.start();
    minder.ok(&["start", "app"]);
    let old = minder.watched("app").unwrap();
    minder.wait_replaced("app", old, SOON);
    minder.wait_status("app", "ok", SOON);
    assert!(!process_exists(old));
    let history = minder.history();
    assert!(history.contains("process.memory"), "{history}");
}

#[test]
fn a_page_that_fails_three_times_is_a_reason_to_restart() {
    let mut minder = Minder::new();
    // The port is known after the first life has begun: it is kept for the later ones.
    let port = super::support::free_port();
    std::fs::create_dir_all(minder.dir().join("app")).unwrap();
    std::fs::write(minder.dir().join("app/port"), port.to_string()).unwrap();
    let check = format!("      - http: {{ url: \"http://127.0.0.1:{port}/\" }}\n        every: 500ms");
    plan(&minder, "sick", &check, "      - http.failed for 3 times -> restart");
    minder.start();
    minder.ok(&["start", "app"]);
    let old = minder.watched("app").unwrap();
    minder.wait_replaced("app", old, SOON);
    minder.wait_status("app", "ok", SOON);
}

#[test]
fn what_an_operator_stops_stays_down_until_he_starts_it() {
    let mut minder = Minder::new();
    plan(&minder, "well", "", "      - process.down -> restart");
    minder.start();
    // Nobody has to ask: it is down, and that is what the rule is for.
    wait_until("it is started", SOON, || minder.watched("app").is_some_and(process_exists));
    let old = minder.watched("app").unwrap();
    minder.ok(&["stop", "app"]);
    assert!(!process_exists(old), "the command waits for the true outcome");
    minder.wait_status("app", "stopped", SOON);
    stays("nothing runs", Duration::from_secs(4), || minder.watched("app").is_none());
    minder.ok(&["start", "app"]);
    let new = minder.watched("app").unwrap();
    assert!(new != old && process_exists(new));
    minder.wait_status("app", "ok", SOON);
}
