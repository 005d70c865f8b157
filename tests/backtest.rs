//! Rules over a history that the real store has written, with samples and events that are known.

#![allow(clippy::unwrap_used, clippy::panic, reason = "this is all test code")]
#![allow(clippy::disallowed_methods, reason = "tests start programs and read the clock")]

use minder::config;
use minder::model::{
    CheckId, Clock, Event, EventKind, Exit, Found, Identity, Kind, MetricId, MetricSet, Mono, Now, Plan, Reading,
    Record, Sample, Series, Severity, Wall,
};
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

struct Still(Wall);

impl Clock for Still {
    fn now(&self) -> Now {
        Now { mono: Mono(0), wall: self.0 }
    }
}

/// A history that is being written.
struct History {
    dir: tempfile::TempDir,
    store: Store,
    event: u64,
}

fn metric(kind: &str, name: &str) -> MetricId {
    let place = Kind::metrics_of(kind).unwrap().iter().position(|metric| metric.name == name).unwrap();
    MetricId(u8::try_from(place).unwrap())
}

impl History {
    /// Written by a minder whose clock stands at this time.
    fn new(now: i64) -> History {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(dir.path(), "boot", Arc::new(Still(Wall(now)))).unwrap();
        History { dir, store, event: 0 }
    }

    /// Samples of a check of the service `web`, each ten seconds.
    fn check(
        &self,
        number: u32,
        kind: &'static str,
        names: &[&str],
        from: i64,
        count: i64,
        at: impl Fn(i64) -> Vec<Option<f64>>,
    ) {
        let ids: Vec<MetricId> = names.iter().map(|name| metric(kind, name)).collect();
        let mut metrics = MetricSet::default();
        ids.iter().for_each(|id| metrics.insert(*id));
        let table = Kind::metrics_of(kind).unwrap();
        let series = Series { service: "web".into(), check: kind.into(), metrics, kind, table };
        self.store.series(CheckId(number), series);
        for i in 0..count {
            let wall = from + i * 10 * SECOND;
            let reading = |(id, value): (&MetricId, Option<f64>)| {
                let flag = table[usize::from(id.0)].dimension == minder::model::Dimension::Flag;
                value.map(|value| (*id, if flag { Reading::Flag(value != 0.0) } else { Reading::Number(value) }))
            };
            let mut readings: Vec<_> = ids.iter().zip(at(i)).filter_map(reading).collect();
            readings.sort_by_key(|(id, _)| *id);
            let at = Now { mono: Mono(0), wall: Wall(wall) };
            let sample = Sample { at, took: Duration::ZERO, readings, note: None, found: Found::Unasked };
            self.store.keep(CheckId(number), &sample);
        }
    }

    fn event(&mut self, at: i64, kind: EventKind) {
        self.event += 1;
        let event = Event { id: self.event, at: Wall(at), service: Some("web".into()), incident: None, kind };
        assert!(self.store.commit(vec![Record::Event(event)], vec![]).wait(LONG));
    }

    fn fired(&mut self, at: i64, rule: &str, lasted: i64) {
        let (rule, condition, value) = (rule.to_owned(), String::new(), "process.memory 600 MB".to_owned());
        self.event(
            at,
            EventKind::Fired {
                rule: rule.clone(),
                severity: Severity::Warning,
                condition,
                value,
                note: None,
                of: None,
            },
        );
        self.event(
            at + lasted,
            EventKind::Resolved { rule, after: u64::try_from(lasted).unwrap(), why: None, of: None },
        );
    }

    /// Everything on disk; the directory.
    fn written(self) -> tempfile::TempDir {
        assert!(self.store.close(LONG));
        self.dir
    }
}

fn plan(rules: &str) -> Arc<Plan> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rules.yaml");
    std::fs::write(&file, rules).unwrap();
    let sources = config::read_to_try(&file);
    Arc::new(
        config::parse(&sources).unwrap_or_else(|mistakes| panic!("{}", config::render(&mistakes, &sources, false))),
    )
}

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
fn leaking(history: &History, from: i64) {
    history.check(1, "process", &["down", "memory"], from, 720, |i| {
        vec![Some(0.0), Some(if (180..270).contains(&i) { 6e8 } else { 3e8 })]
    });
}

#[test]
fn what_these_rules_would_have_done_stands_beside_what_was_done() {
    let mut history = History::new(BEGIN + 120 * MINUTE);
    leaking(&history, BEGIN);
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
    history.check(1, "process", &["down"], BEGIN, 360, |i| vec![Some(f64::from(u8::from((121..151).contains(&i))))]);
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
    history.check(1, "process", &["down"], BEGIN, 360, |i| vec![Some(f64::from(u8::from(i < 240)))]);
    // Stopped before the time that is looked at; started again by hand later.
    history.event(BEGIN - DAY, EventKind::Intended { up: false, by: "root".into() });
    history.event(BEGIN + 40 * MINUTE, EventKind::Intended { up: true, by: "root".into() });
    let dir = history.written();
    let tested = test(dir.path(), LEAK, BEGIN, BEGIN + 60 * MINUTE);
    assert_eq!(told(&tested.these), Vec::<String>::new());
}

#[test]
fn what_was_not_recorded_cannot_be_judged() {
    let history = History::new(BEGIN + 120 * MINUTE);
    leaking(&history, BEGIN);
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
            "process.memory: of `process.memory` the value was recorded, and not the whole that it is a part of; to try it, \
             compare with a size such as `500MB`",
            "http.failed: nothing was recorded of the check `http` in this time; only what minder has watched can be judged: \
             let it run with this check first",
        ]
    );
    assert_eq!(told(&tested.these), Vec::<String>::new());
}

#[test]
fn roll_ups_fire_only_where_all_of_a_minute_was_bad() {
    let history = History::new(BEGIN + 120 * MINUTE);
    leaking(&history, BEGIN);
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
    leaking(&history, from);
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
