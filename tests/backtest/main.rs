//! Rules over a history that the real store has written, with samples and events that are known.

#![allow(clippy::unwrap_used, clippy::panic, reason = "this is all test code")]
#![allow(clippy::disallowed_methods, reason = "tests start programs and read the clock")]

mod ground;
mod history;
mod week;

use history::{History, Still, plan};
use minder::model::{EventKind, Exit, Identity, Reading, Wall};
use minder::store::{Reader, Store};
use minder::trial::{Tested, backtest};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const DAY: i64 = 24 * 60 * MINUTE;
/// 2026-01-01 00:00 UTC
const BEGIN: i64 = 1_767_225_600_000;
const LONG: Duration = Duration::from_secs(20);

const LEAK: &str = "
version: 1
services:
  web:
    control: { command: { start: [/bin/web] } }
    restart: { limit: 3 in 15m, delay: 1s..5m, retry: 30m }
    checks: [{ process: /run/web.pid }]
    rules:
      - process.down -> restart
      - { name: leak, when: process.memory > 500MB, for: 5m, then: [restart] }
";

fn test(dir: &Path, rules: &str, since: i64, until: i64) -> Tested {
    backtest(&Reader::of(dir), &plan(rules), Wall(since), Wall(until)).unwrap().pop().unwrap()
}

/// Each moment with its time since the begin.
fn told(side: &minder::trial::Side) -> Vec<String> {
    let words = |moment: &minder::trial::Moment| {
        let at = minder::model::write_moment(Duration::from_millis((moment.at.0 - BEGIN) as u64));
        let lasted = moment.lasted.map(|ms| format!(" for {}", ms / 1000)).unwrap_or_default();
        format!("{at} {} {}{lasted}: {}", moment.kind, moment.name, moment.words)
    };
    side.moments.iter().map(words).collect()
}

/// A process that lives, and whose memory is high from minute 30 to minute 45.
fn leaking(history: &mut History, from: i64) {
    history.check("process", &["down", "memory"], from, 720, |i| {
        vec![Some(0.0), Some(if (180..270).contains(&i) { 6e8 } else { 3e8 })]
    });
}

#[test]
fn what_these_rules_would_have_done_stands_beside_what_was_done() {
    let mut history = History::new(BEGIN + 120 * MINUTE);
    leaking(&mut history, BEGIN);
    history.fired(BEGIN + 40 * MINUTE, "memory", 5 * MINUTE);
    history.event(BEGIN + 40 * MINUTE, EventKind::Acting { action: "restart".into(), by: "memory".into() });
    let dir = history.written();
    let tested = test(dir.path(), LEAK, BEGIN, BEGIN + 120 * MINUTE);
    assert_eq!((tested.samples, tested.coarse_until), (720, None));
    assert_eq!(tested.unjudged, []);
    assert_eq!(
        told(&tested.these),
        [
            // Five minutes after the first sample above the limit.
            "35m fired leak for 600: process.memory 600 MB",
            "35m acting restart: leak",
            // The record goes on: it is as fat again after the grace, each time a little later.
            "35m21s acting restart: leak",
            "35m42s acting restart: leak",
            "36m gave-up given up: given up after 3 restarts in 15 min",
        ]
    );
    assert_eq!((tested.these.fired, tested.these.restarted, tested.these.given_up), (1, 3, 1));
    assert_eq!(told(&tested.then), ["40m fired memory for 300: process.memory 600 MB", "40m acting restart: memory"]);
    assert_eq!((tested.then.fired, tested.then.restarted, tested.then.given_up), (1, 1, 0));
}

#[test]
fn deaths_are_those_of_the_record() {
    let mut history = History::new(BEGIN + 60 * MINUTE);
    // Dead from 20:08 to 25:05, and for a moment at 40:00, when it was upgraded.
    history.check("process", &["down"], BEGIN, 360, |i| vec![Some(f64::from(u8::from((121..151).contains(&i))))]);
    let (old, new) = (Identity { pid: 7, start: 1 }, Identity { pid: 8, start: 2 });
    let crash = Some(Exit::Signal { number: 11, core: false });
    history.event(BEGIN + 20 * MINUTE + 8 * SECOND, EventKind::Died { process: old, how: crash });
    history.event(BEGIN + 25 * MINUTE + 5 * SECOND, EventKind::Appeared { process: new });
    history.event(BEGIN + 40 * MINUTE, EventKind::Died { process: new, how: Some(Exit::Code(0)) });
    history.event(BEGIN + 40 * MINUTE + SECOND, EventKind::Appeared { process: old });
    let dir = history.written();
    let rules = LEAK.replace("restart: { limit: 3 in 15m, delay: 1s..5m, retry: 30m }", "");
    let tested = test(dir.path(), &rules.replace("-> restart", "-> notify"), BEGIN, BEGIN + 60 * MINUTE);
    assert_eq!(told(&tested.these), ["20m8s fired process.down for 297: process.down"]);
    // A restart would have been at once; in the record it stays dead, and the next try waits longer each time.
    let tested = test(dir.path(), &rules, BEGIN, BEGIN + 60 * MINUTE);
    let these = told(&tested.these);
    assert_eq!(these[..2], ["20m8s fired process.down for 1: process.down", "20m8s acting restart: process.down"]);
    assert_eq!((tested.these.restarted, tested.these.given_up), (5, 1), "{these:#?}");
    // The record says that it is dead at 20:10, while this restart is under way: it has succeeded all the same.
    assert!(!these.iter().any(|line| line.contains("acted")), "{these:#?}");
}

#[test]
fn what_people_wanted_is_respected() {
    let mut history = History::new(BEGIN + 60 * MINUTE);
    history.check("process", &["down"], BEGIN, 360, |i| vec![Some(f64::from(u8::from(i < 240)))]);
    // Stopped before the time that is looked at; started again by hand later.
    history.event(BEGIN - DAY, EventKind::Intended { up: false, by: "root".into() });
    history.event(BEGIN + 40 * MINUTE, EventKind::Intended { up: true, by: "root".into() });
    let dir = history.written();
    let tested = test(dir.path(), LEAK, BEGIN, BEGIN + 60 * MINUTE);
    assert_eq!(told(&tested.these), Vec::<String>::new());
}

#[test]
fn what_was_not_recorded_cannot_be_judged() {
    let mut history = History::new(BEGIN + 120 * MINUTE);
    leaking(&mut history, BEGIN);
    let dir = history.written();
    let rules = "
version: 1
services:
  web:
    checks: [{ process: /run/web.pid }, { http: http://127.0.0.1/ }]
    rules:
      - process.down -> notify
      - process.cpu > 80% for 5m -> notify
      - process.memory > 80% -> notify
      - 'process.exit.signal == \"SEGV\" -> notify'
      - http.failed -> notify
";
    let tested = test(dir.path(), rules, BEGIN, BEGIN + 120 * MINUTE);
    let unjudged: Vec<String> = tested
        .unjudged
        .iter()
        .map(|rule| format!("{}: {}; {}", rule.rule, rule.why, rule.help.as_deref().unwrap_or("-")))
        .collect();
    assert_eq!(
        unjudged,
        [
            "process.cpu: `process.cpu` was not recorded; add `keep: [cpu]` to the check `process`: it is recorded from then on",
            "process.memory: of `process.memory` the value was recorded, and no whole that it was a part of; compare with a \
             size such as `500MB`",
            "http.failed: nothing was recorded of the check `http` in this time; only what minder has watched can be judged: \
             let it run with this check first",
        ]
    );
    assert_eq!(told(&tested.these), Vec::<String>::new());
}

/// A disk that fills up, is made larger, and fills up again; from the samples, and when only minutes are left.
#[test]
fn shares_are_judged_by_the_whole_of_that_time() {
    const GB: f64 = 1e9;
    let mut history = History::new(BEGIN + 180 * MINUTE);
    history.series("web", "filesystem", &["used"]);
    let used = |minute: i64| match minute {
        30..60 => Reading::Part { value: 95.0 * GB, whole: 100.0 * GB },
        60..90 => Reading::Part { value: 95.0 * GB, whole: 200.0 * GB },
        // It could not be asked: its size is what it was.
        90..100 => Reading::Unknown,
        100.. => Reading::Part { value: 182.0 * GB, whole: 200.0 * GB },
        _ => Reading::Part { value: 50.0 * GB, whole: 100.0 * GB },
    };
    history.samples("filesystem", &["used"], (0..1080).map(|i| (BEGIN + i * 10 * SECOND, vec![used(i / 6)])));
    let dir = history.written();
    let rules = "
version: 1
services:
  web:
    checks: [{ filesystem: / }]
    rules: ['filesystem.used > 90% for 5m -> notify', 'filesystem.used > 90% for 3 of 5 -> notify']
";
    let fired = [
        "30m20s fired filesystem.used-2 for 1780: filesystem.used 95 %",
        "35m fired filesystem.used for 1500: filesystem.used 95 %",
        "1h40m20s fired filesystem.used-2: filesystem.used 91 %",
        "1h45m fired filesystem.used: filesystem.used 91 %",
    ];
    let tested = test(dir.path(), rules, BEGIN, BEGIN + 180 * MINUTE);
    assert_eq!(tested.unjudged, []);
    assert_eq!(told(&tested.these), fired);
    // From the middle on: what it was a part of was written before.
    let tested = test(dir.path(), rules, BEGIN + 130 * MINUTE, BEGIN + 180 * MINUTE);
    assert_eq!(tested.these.fired, 2);
    let database = rusqlite::Connection::open(dir.path().join("history.db")).unwrap();
    assert!(database.execute("DELETE FROM block WHERE start < (SELECT rolled FROM series)", []).unwrap() > 10);
    let tested = test(dir.path(), rules, BEGIN, BEGIN + 180 * MINUTE);
    assert!(tested.coarse_until.is_some());
    assert_eq!((told(&tested.these), tested.unjudged), (fired.map(str::to_owned).to_vec(), vec![]));
}

#[test]
fn roll_ups_fire_only_where_all_of_a_minute_was_bad() {
    let mut history = History::new(BEGIN + 120 * MINUTE);
    leaking(&mut history, BEGIN);
    let dir = history.written();
    let database = rusqlite::Connection::open(dir.path().join("history.db")).unwrap();
    // A day before, minutes are all that is left: one hour in which each minute had a peak, and one in which it was high.
    for minute in 0..120_i64 {
        let start = BEGIN - DAY + minute * MINUTE;
        let least = if minute < 60 { 3e8 } else { 6e8 };
        for (place, min, max, sum) in [(0, 0.0, 0.0, 0.0), (1, least, 9e8, 6.0 * 7e8)] {
            let sql = "INSERT INTO rollup_minute VALUES ((SELECT id FROM series), ?, ?, 6, 6, ?, ?, ?)";
            database.execute(sql, rusqlite::params![start, place, min, max, sum]).unwrap();
        }
    }
    drop(database);
    let rules = LEAK.replace("then: [restart]", "then: [notify]");
    let tested = test(dir.path(), &rules, BEGIN - DAY - MINUTE, BEGIN + 120 * MINUTE);
    assert_eq!(tested.samples, 720 + 2 * 360);
    assert_eq!(tested.coarse_until, Some(Wall(BEGIN)));
    let fired: Vec<i64> = tested.these.moments.iter().map(|moment| (moment.at.0 - BEGIN) / MINUTE).collect();
    assert_eq!(fired, [-24 * 60 + 65, 35], "{:?}", tested.these);
}

fn minder(dir: &Path, rules: &Path, more: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_minder"));
    command.arg("backtest").arg(rules).arg("--state").arg(dir).args(more).env("TZ", "UTC");
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    format!("{}{}exit {}\n", text(output.stdout), text(output.stderr), output.status.code().unwrap())
}

/// Beside the minder that writes: the store is open all the while.
#[test]
fn the_command_prints_a_table() {
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    // On a minute, so that all that comes of it has whole seconds.
    let from = (now - 3 * 60 * MINUTE) / MINUTE * MINUTE;
    let mut history = History::new(now);
    leaking(&mut history, from);
    history.fired(from + 35 * MINUTE, "memory", 5 * MINUTE);
    history.event(from + 35 * MINUTE, EventKind::Acting { action: "restart".into(), by: "memory".into() });
    // What is in its memory only is not seen: its blocks are written, and it lives on.
    let (dir, store) = (history.dir, history.store);
    assert!(store.close(LONG));
    let (store, _) = Store::open(dir.path(), "boot", Arc::new(Still(Wall(now)))).unwrap();
    let rules = dir.path().join("rules.yaml");
    std::fs::write(&rules, LEAK).unwrap();
    let said = minder(dir.path(), &rules, &["--since", "1d"]);
    let day = regex::Regex::new(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d").unwrap();
    insta::assert_snapshot!(day.replace_all(&said, "DATE TIME"), @r"
    1 service, 720 samples, from DATE TIME to DATE TIME

    web
                           these rules                                   in effect then
      DATE TIME  leak fires for 10 min: process.memory 600 MB  memory fires for 5 min: process.memory 600 MB
      DATE TIME    restart, because of leak                      restart, because of memory
      DATE TIME    restart, because of leak
      DATE TIME    restart, because of leak
      DATE TIME    given up after 3 restarts in 15 min
      these rules would have fired once, restarted 3 times, given up once; in effect then: fired once, restarted once

    What these rules would have done is taken to have succeeded, and the record goes on as it was: what a restart would have mended is as bad after it as it was then.
    exit 0
    ");
    let json = minder(dir.path(), &rules, &["--since", "1d", "--json", "--service", "web"]);
    let json: serde_json::Value = serde_json::from_str(json.strip_suffix("exit 0\n").unwrap()).unwrap();
    assert_eq!(json["services"][0]["these"]["restarted"], 3);
    assert_eq!(json["services"][0]["these"]["moments"][0]["at"], from + 35 * MINUTE);
    assert_eq!(json["services"][0]["these"]["moments"][0]["kind"], "fired");
    let unknown = minder(dir.path(), &rules, &["--service", "wbe"]);
    assert_eq!(unknown, "error: there is no service `wbe` in these rules; there is: web\nexit 2\n");
    assert!(store.close(LONG));
    let nowhere = tempfile::tempdir().unwrap();
    let said = minder(nowhere.path(), &rules, &[]);
    assert!(said.contains("state.db: No such file") && said.ends_with("--state\nexit 2\n"), "{said}");
}
