//! The board, of an invented past.

use super::board::{Board, State};
use super::past::{DAY, Facts};
use super::uptime::Share;
use crate::dashboard::{
    AuditFilter, Bar, Curve, EventFilter, History, IncidentFilter, IncidentSpan, IncidentSums, MessageFilter, Rollup,
    Samples, Step, Wholes,
};
use crate::model::*;
use jiff::tz::TimeZone;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

pub(super) const AT: Wall = Wall(1_795_176_190_000);
const HOUR: i64 = 3_600_000;

/// What is written here, and nothing else.
#[derive(Default)]
struct Told {
    incidents: Vec<Incident>,
    events: Vec<Event>,
    /// Sampled from then on, until now.
    first: i64,
    /// Until then, asked of what is before.
    alive: Option<i64>,
    looks: AtomicUsize,
}

impl History for Told {
    fn events(&self, filter: &EventFilter) -> Result<Vec<Event>, String> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        let mut events = self.events.clone();
        events.retain(|e| filter.kind.as_deref().is_none_or(|kind| kind == e.kind.word()));
        events.retain(|e| filter.incident.is_none() || filter.incident == e.incident);
        events.retain(|e| filter.before.is_none_or(|before| e.id < before));
        events.reverse();
        events.truncate(filter.limit);
        Ok(events)
    }
    fn incidents(&self, filter: &IncidentFilter) -> Result<Vec<Incident>, String> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        let mut all = self.incidents.clone();
        all.retain(|i| filter.service.as_ref().is_none_or(|service| *service == i.service));
        all.retain(|i| filter.before.is_none_or(|before| i.id < before));
        all.reverse();
        all.truncate(filter.limit);
        Ok(all)
    }
    fn sampled(&self, _: &str, from: Wall, to: Wall) -> Result<Option<(Wall, Wall)>, String> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        Ok(Some((Wall(from.0.max(self.first)), Wall(self.alive.unwrap_or(to.0)))))
    }
    fn audits(&self, _: &AuditFilter) -> Result<Vec<Audit>, String> {
        Ok(Vec::new())
    }
    fn bars(&self, _: &str, _: &str, _: Wall, _: Wall, _: usize) -> Result<Vec<Bar>, String> {
        Ok(Vec::new())
    }
    fn samples(&self, _: &str, _: &str, _: Wall, _: Wall, _: usize) -> Result<Samples, String> {
        Ok(Samples::default())
    }
    fn kept(&self, _: &str, _: &str) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }
    fn curves(&self, _: &str, _: &str, _: &[String], _: Wall, _: Wall, _: usize) -> Result<Vec<Curve>, String> {
        Ok(Vec::new())
    }
    fn wholes(&self, _: &str, _: &str, _: Wall, _: Wall) -> Result<Wholes, String> {
        Ok(Wholes::default())
    }
    fn rollups(&self, _: &str, _: &str, _: Step, _: Wall, _: Wall) -> Result<Vec<Rollup>, String> {
        Ok(Vec::new())
    }
    fn incident_sums(&self, _: &IncidentSpan) -> Result<IncidentSums, String> {
        Err("nobody asks for this".to_owned())
    }
    fn messages(&self, _: &MessageFilter) -> Result<Vec<MessageView>, String> {
        Ok(Vec::new())
    }
    fn message(&self, _: MessageId) -> Result<Option<MessageView>, String> {
        Ok(None)
    }
    fn dead(&self, _: &[MessageId]) -> Result<Vec<Message>, String> {
        Ok(Vec::new())
    }
    fn all_dead(&self, _: Option<&str>, _: usize) -> Result<Vec<Message>, String> {
        Ok(Vec::new())
    }
}

fn ago(ms: i64) -> i64 {
    AT.0 - ms
}

fn incident(id: u64, severity: Severity, opened: i64, closed: Option<i64>) -> Incident {
    Incident {
        id,
        service: "web".into(),
        opened: Wall(opened),
        closed: closed.map(Wall),
        severity,
        title: "process.down".into(),
        rules: BTreeSet::new(),
        told: BTreeSet::new(),
        ack: None,
        escalated: 0,
    }
}

fn event(id: u64, at: i64, kind: EventKind) -> Event {
    Event { id, at: Wall(at), service: Some("web".into()), incident: None, kind }
}

fn started(id: u64, at: i64) -> Event {
    event(id, at, EventKind::Started { version: "1".into() })
}

/// Of services that are well, by these rules.
fn board(history: &dyn History, rules: &str, statuses: &[(&str, Status)], facts: &mut Facts) -> Board {
    let sources = crate::config::Sources::from_text("minder.yaml", rules, &crate::config::Env::default());
    let plan = crate::config::parse(&sources).unwrap();
    let service = |(name, status): &(&str, Status)| ServiceView {
        name: (*name).into(),
        description: None,
        group: None,
        tags: Vec::new(),
        status: *status,
        since: AT,
        summary: String::new(),
        depends_on: Vec::new(),
        held: None,
        silenced: None,
        next: None,
        pid: None,
        control: None,
        control_state: None,
        supervisor: None,
        last_exit: None,
        budget: None,
        incident: None,
        flapping: false,
        checks: Vec::new(),
        rules: Vec::new(),
    };
    let snapshot = Snapshot {
        notifiers: Vec::new(),
        own: Vec::new(),
        at: AT,
        host: String::new(),
        version: String::new(),
        since: AT,
        no_act: false,
        files: Vec::new(),
        refused: None,
        brake: None,
        silences: Vec::new(),
        maintenance: Vec::new(),
        notes: Vec::new(),
        services: statuses.iter().map(service).collect(),
    };
    Board::new(&plan, &snapshot, TimeZone::UTC, history, facts).unwrap()
}

const ONE: &str = "version: 1\ndashboard: { status: {} }\nservices:\n  web: { public: { name: Shop }, checks: [{ http: \"http://h/\" }] }";

/// The uptime of the last days.
#[track_caller]
fn uptime(history: &Told, status: Status, days: i64) -> Share {
    let board = board(history, ONE, &[("web", status)], &mut Facts::default());
    board.uptime(&board.services[0], days)
}

fn share(known: i64, down: i64) -> Share {
    Share { known, down, degraded: 0 }
}

#[test]
fn critical_incidents_are_downtime_and_warnings_are_not() {
    let mut past = Told { events: vec![started(1, ago(200 * DAY))], ..Told::default() };
    assert_eq!(uptime(&past, Status::Ok, 90), share(90 * DAY, 0));
    past.incidents = vec![
        incident(1, Severity::Critical, ago(95 * DAY), Some(ago(94 * DAY))),
        incident(2, Severity::Critical, ago(10 * DAY), Some(ago(10 * DAY) + HOUR)),
        incident(3, Severity::Warning, ago(9 * DAY), Some(ago(8 * DAY))),
        incident(4, Severity::Critical, ago(2 * HOUR), None),
    ];
    assert_eq!(uptime(&past, Status::Critical, 1), share(DAY, 2 * HOUR));
    let whole = Share { degraded: DAY, ..share(90 * DAY, 3 * HOUR) };
    assert_eq!(uptime(&past, Status::Critical, 90), whole);
    // After a quarter of the second, only a warning was left.
    let within = |id, at, kind| Event { incident: Some(2), ..event(id, at, kind) };
    let fired = |rule: &str, severity| EventKind::Fired {
        rule: rule.into(),
        severity,
        condition: String::new(),
        value: String::new(),
        note: None,
        of: None,
    };
    let resolved = EventKind::Resolved { rule: "down".into(), after: 0, why: None, of: None };
    past.events.push(within(2, ago(10 * DAY), fired("slow", Severity::Warning)));
    past.events.push(within(3, ago(10 * DAY), fired("down", Severity::Critical)));
    past.events.push(within(4, ago(10 * DAY) + HOUR / 4, resolved));
    let exact = Share { degraded: DAY + HOUR / 4 * 3, ..share(90 * DAY, 2 * HOUR + HOUR / 4) };
    assert_eq!(uptime(&past, Status::Critical, 90), exact);
}

#[test]
fn while_minder_did_not_run_nothing_is_known() {
    let ended = event(2, ago(6 * HOUR), EventKind::Ended);
    let mut past = Told {
        events: vec![started(1, ago(30 * DAY)), ended, started(3, ago(2 * HOUR))],
        incidents: vec![incident(1, Severity::Critical, ago(7 * HOUR), Some(ago(HOUR)))],
        ..Told::default()
    };
    // An hour before it ended, and an hour after it was back.
    assert_eq!(uptime(&past, Status::Ok, 1), share(20 * HOUR, 2 * HOUR));
    assert_eq!(uptime(&past, Status::Ok, 90).known, 30 * DAY - 4 * HOUR, "nor before it ran for the first time");
    // It was killed: its last sign of life is a sample.
    past.events.remove(1);
    past.alive = Some(ago(5 * HOUR));
    assert_eq!(uptime(&past, Status::Ok, 1), share(21 * HOUR, 3 * HOUR));
}

#[test]
fn at_rest_or_not_yet_watched_is_neither_up_nor_down() {
    let mut past = Told { events: vec![started(1, ago(200 * DAY))], ..Told::default() };
    past.first = ago(3 * DAY);
    assert_eq!(uptime(&past, Status::Ok, 90), share(3 * DAY, 0));
    past.first = 0;
    past.events.push(event(2, ago(5 * HOUR), EventKind::Paused { by: "eva".into() }));
    past.events.push(event(3, ago(4 * HOUR), EventKind::Resumed { by: "eva".into() }));
    past.events.push(event(4, ago(HOUR), EventKind::Intended { up: false, by: "eva".into() }));
    assert_eq!(uptime(&past, Status::Stopped, 1), share(22 * HOUR, 0));
    assert_eq!(uptime(&past, Status::Ok, 1), share(23 * HOUR, 0), "it is up, whatever was not recorded");
}

#[test]
fn of_more_incidents_than_are_looked_at_the_rest_of_the_time_is_unknown() {
    let minute = |i: i64| {
        incident(i as u64, Severity::Critical, ago(40 * HOUR) + i * 60_000, Some(ago(40 * HOUR) + i * 60_000 + 1000))
    };
    let past = Told {
        events: vec![started(1, ago(200 * DAY))],
        incidents: (1..=2000).map(minute).collect(),
        ..Told::default()
    };
    let share = uptime(&past, Status::Ok, 90);
    assert_eq!(share, self::share(40 * HOUR - 1501 * 60_000, 500_000));
    // One for each incident that is looked at, whose rules say how long it was critical.
    assert!(past.looks.load(Ordering::Relaxed) < 500 + 25);
}

#[test]
fn what_is_known_of_long_ago_is_asked_for_once() {
    let past = Told { events: vec![started(1, ago(50 * DAY)), started(2, ago(40 * DAY))], ..Told::default() };
    let mut facts = Facts::default();
    let mut look = || {
        let before = past.looks.load(Ordering::Relaxed);
        board(&past, ONE, &[("web", Status::Ok)], &mut facts);
        past.looks.load(Ordering::Relaxed) - before
    };
    let (first, second) = (look(), look());
    assert_eq!(first - second, 3, "the first sample; and of its death the last event and the last sample");
}

#[test]
fn a_day_has_its_own_share_and_the_last_one_ends_now() {
    let past = Told {
        events: vec![started(1, ago(200 * DAY))],
        // From 23:00 to 01:00.
        incidents: vec![incident(1, Severity::Critical, 1_795_129_200_000, Some(1_795_129_200_000 + 2 * HOUR))],
        ..Told::default()
    };
    let board = board(&past, ONE, &[("web", Status::Ok)], &mut Facts::default());
    let days = &board.services[0].days;
    assert_eq!(days.len(), 90);
    let last = |back: usize| (days[89 - back].date.to_string(), days[89 - back].share, days[89 - back].incidents);
    assert_eq!(last(0), ("2026-11-20".to_owned(), share(43_390_000, HOUR), 1), "12:03:10 so far");
    assert_eq!(last(1), ("2026-11-19".to_owned(), share(DAY, HOUR), 1));
    assert_eq!(last(2), ("2026-11-18".to_owned(), share(DAY, 0), 0));
}

const MANY: &str = r#"
version: 1
dashboard: { status: { title: Ours } }
defaults: { every: 10s }
services:
  a: { public: { name: A, group: Two }, group: hidden, tags: [x], checks: [{ http: "http://h/" }] }
  b: { public: { name: B, group: One }, checks: [{ http: "http://h/" }] }
  c: { public: { name: C, group: Two }, checks: [{ http: "http://h/" }] }
  d: { public: true, checks: [{ http: "http://h/" }] }
  e: { tags: [x], checks: [{ http: "http://h/" }] }
maintenance:
  now: { schedule: "0 12 * * *", for: 1h, services: [a, e], reason: a new disk }
  soon: { schedule: "0 3 * * *", for: 1h, reason: backup }
  far: { schedule: "0 3 1 6 *", for: 1h, reason: hidden }
  other: { schedule: "0 4 * * *", for: 1h, services: [e], reason: hidden }
  quiet: { schedule: "0 5 * * *", for: 1h, services: [b], rules: [http.failed], reason: hidden }
"#;

#[test]
fn only_what_is_public_counts_and_stands_in_its_group() {
    let all = |e: Status| [("a", Status::Critical), ("b", Status::Ok), ("c", Status::Ok), ("d", Status::Ok), ("e", e)];
    let board = board(&Told::default(), MANY, &all(Status::GivenUp), &mut Facts::default());
    let groups: Vec<(Option<&str>, Vec<&str>)> =
        board.groups().map(|(group, some)| (group, some.iter().map(|s| s.name.as_str()).collect())).collect();
    assert_eq!(groups, [(None, vec!["d"]), (Some("Two"), vec!["A", "C"]), (Some("One"), vec!["B"])]);
    assert_eq!((board.state, board.headline.as_str()), (State::Maintenance, "A is under maintenance"));
    let planned: Vec<(&[String], &str)> =
        board.maintenance.iter().map(|one| (one.services.as_slice(), one.reason.as_str())).collect();
    assert_eq!(planned, [(&["A".to_owned()][..], "a new disk"), (&[][..], "backup")]);
}

#[test]
fn the_headline_says_how_things_stand() {
    use Status::*;
    let rules = &MANY[..MANY.find("maintenance").unwrap()];
    for (statuses, words) in [
        ([Ok, Ok, Ok, Ok], "All 4 services are operational"),
        ([Ok, GivenUp, Ok, Ok], "B is down"),
        ([Critical, Critical, Warning, Ok], "2 of 4 services are down, C is degraded"),
        ([Critical, Critical, GivenUp, Critical], "All 4 services are down"),
        ([Paused, Stopped, Unknown, Ok], "B is under maintenance, 2 of 4 services are unknown"),
    ] {
        let statuses: Vec<(&str, Status)> = ["a", "b", "c", "d"].into_iter().zip(statuses).collect();
        let board = board(&Told::default(), rules, &statuses, &mut Facts::default());
        assert_eq!(board.headline, words);
    }
}

struct Still;

impl Clock for Still {
    fn now(&self) -> Now {
        Now { mono: Mono(0), wall: AT }
    }
}

/// A hundred services with twenty outages each in ninety days, as the store has them.
#[test]
#[allow(clippy::disallowed_methods, reason = "it measures")]
fn a_hundred_services_are_shown_from_the_store_in_no_time() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = crate::store::Store::open(dir.path(), "boot", std::sync::Arc::new(Still)).unwrap();
    let mut rules = String::from("version: 1\ndashboard: { status: {} }\nservices:\n");
    let names: Vec<String> = (0..100).map(|i| format!("web-{i}")).collect();
    let mut records = vec![Record::Event(started(1, ago(200 * DAY)))];
    let mut id = 0;
    for (i, name) in names.iter().enumerate() {
        rules += &format!("  {name}: {{ public: {{ name: Shop {i} }}, checks: [{{ http: \"http://h/\" }}] }}\n");
        let mut metrics = MetricSet::default();
        metrics.insert(MetricId(0));
        let series = Series {
            service: name.as_str().into(),
            check: "http".into(),
            metrics,
            kind: "http",
            table: Kind::metrics_of("http").unwrap(),
        };
        let check = CheckId(i as u32);
        store.series(check, series);
        // Two weeks and a minute ago, and now.
        for at in [ago(14 * DAY), ago(14 * DAY) + 60_000, AT.0] {
            let at = Now { mono: Mono(0), wall: Wall(at) };
            let readings = vec![(MetricId(0), Reading::Flag(false))];
            store.keep(
                check,
                &Sample { at, took: std::time::Duration::ZERO, readings, note: None, found: Found::Unasked },
            );
        }
    }
    for day in (0..20).rev() {
        for name in &names {
            id += 1;
            let opened = ago(day * 4 * DAY + 3 * HOUR);
            let incident = Incident {
                service: name.as_str().into(),
                ..incident(id, Severity::Critical, opened, Some(opened + HOUR))
            };
            records.push(Record::Incident(incident));
            for n in 0..4 {
                let kind = EventKind::Noted { words: "a probe said something".into() };
                records.push(Record::Event(event(id * 10 + n, opened, kind)));
            }
        }
    }
    drop(store.commit(records, Vec::new()));
    assert!(store.close(std::time::Duration::from_secs(20)));
    let reader = crate::store::Reader::of(dir.path());
    let statuses: Vec<(&str, Status)> = names.iter().map(|name| (name.as_str(), Status::Ok)).collect();
    let mut facts = Facts::default();
    let board = board(&reader, &rules, &statuses, &mut facts);
    let packed = super::Packed::new(super::page::render(&board, super::Place::Alone, 0));
    // It is watched since two weeks ago, or its first outage: that was before.
    assert!(board.has_past);
    assert_eq!(board.uptime(&board.services[7], 90), share(76 * DAY + 3 * HOUR, 20 * HOUR));
    assert!(packed.gzip.len() < 100_000, "{}", packed.gzip.len());
}
