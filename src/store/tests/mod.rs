//! The store as a whole, on real files.

mod history;
mod messages;
mod state;

use super::*;
use crate::model::{
    Event, EventKind, Found, Kind, MessageId, MessageKind, MessageState, MetricId, MetricSet, Mono, Name, Now, Reading,
    Stage, Story, Wall, Why,
};

/// A clock that stands still until it is set.
#[derive(Default)]
struct Still(Mutex<Now>);

impl Clock for Still {
    fn now(&self) -> Now {
        *lock(&self.0)
    }
}

fn clock(wall: i64) -> Arc<Still> {
    Arc::new(Still(Mutex::new(Now { mono: Mono(wall as u64 * 1_000_000), wall: Wall(wall) })))
}

/// Far longer than anything takes here.
const LONG: Duration = Duration::from_secs(20);

fn open(dir: &Path) -> (Store, Opened) {
    Store::open(dir, "boot-1", clock(1_000_000)).unwrap()
}

fn event(id: u64, service: &str) -> Event {
    Event {
        id,
        at: Wall(id as i64 * 1000),
        service: Some(service.into()),
        incident: None,
        kind: EventKind::Noted { words: format!("number {id}") },
    }
}

fn message(id: u64, expires: i64) -> Arc<Message> {
    Arc::new(Message {
        id: MessageId(id),
        key: format!("key-{id}"),
        to: "ops".into(),
        kind: MessageKind::Firing,
        at: Wall(0),
        expires: Wall(expires),
        story: Story { title: format!("title {id}"), ..Story::default() },
        state: MessageState::Waiting,
        steps: Vec::new(),
    })
}

/// The same message, as it has gone on or ended.
fn gone_on(id: u64, expires: i64, state: MessageState, why: Why) -> Record {
    let mut message = Message::clone(&message(id, expires));
    message.state = state;
    message.step(Wall(2), Stage::Deliver, why);
    Record::Message(Arc::new(message))
}

/// `process` with `down` and `memory`.
fn series(service: &str) -> Series {
    let mut metrics = MetricSet::default();
    metrics.insert(MetricId(0));
    metrics.insert(MetricId(6));
    Series {
        service: service.into(),
        check: "process".into(),
        metrics,
        kind: "process",
        table: Kind::metrics_of("process").unwrap(),
    }
}

fn sample(at: i64, down: Option<bool>, memory: Option<f64>) -> Sample {
    let mut readings = Vec::new();
    readings.extend(down.map(|down| (MetricId(0), Reading::Flag(down))));
    readings.extend(memory.map(|value| (MetricId(6), Reading::Number(value))));
    let at = Now { mono: Mono(0), wall: Wall(at) };
    Sample { at, took: Duration::ZERO, readings, note: None, found: Found::Unasked }
}

#[test]
fn closing_writes_what_is_left_and_lets_go_of_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let (store, opened) = open(dir.path());
    assert!(opened.notes.is_empty() && !opened.restored.lost);
    assert!(matches!(Store::open(dir.path(), "", clock(0)), Err(OpenError::Locked { .. })));
    store.series(CheckId(7), series("web"));
    for second in 0..5 {
        store.keep(CheckId(7), &sample(second * 1000, Some(false), Some(1.0)));
    }
    let _ = store.commit(vec![Record::Event(event(1, "web"))], vec![]);
    assert_eq!(store.trouble(), None);
    assert!(store.close(LONG));
    let (store, opened) = open(dir.path());
    assert_eq!(opened.restored.last_event, 1);
    let samples = store.reader().samples("web", "process", Wall(0), Wall(10_000), 100).unwrap();
    assert_eq!(samples.rows.len(), 5);
    for name in ["state.db", "history.db", "state.db-wal", "history.db-wal", "lock"] {
        use std::os::unix::fs::MetadataExt;
        assert_eq!(std::fs::metadata(dir.path().join(name)).unwrap().mode() & 0o7777, 0o600, "{name}");
    }
    assert!(store.close(LONG));
}

#[test]
fn what_people_ask_with_sqlite3_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    assert!(store.commit(vec![Record::Event(event(1, "web"))], vec![message(1, 5_000_000)]).wait(LONG));
    assert!(store.close(LONG));
    let state = rusqlite::Connection::open(dir.path().join("state.db")).unwrap();
    let event: (String, String) =
        state.query_row("SELECT time, words FROM events", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert_eq!(event, ("1970-01-01T00:00:01.000Z".to_owned(), "number 1".to_owned()));
    assert_eq!(state.query_row("SELECT state FROM messages", [], |r| r.get::<_, String>(0)).unwrap(), "waiting");
    state.query_row("SELECT count(seconds) FROM incidents", [], |_| Ok(())).unwrap();
}

#[test]
fn the_readme_asks_for_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    assert!(store.close(LONG));
    let database = |name: &str| rusqlite::Connection::open(dir.path().join(name)).unwrap();
    let readme = include_str!("../../../README.md");
    let mut asked = 0;
    for line in readme.lines().filter_map(|line| line.strip_prefix("sqlite3 -readonly /var/lib/minder/")) {
        let (name, query) = line.split_once(' ').unwrap();
        database(name).prepare(query.trim_matches('"')).unwrap();
        asked += 1;
    }
    assert_eq!(asked, 3);
    let mut name = "";
    for line in readme.lines().skip_while(|line| !line.starts_with("| database | view")).skip(2) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, file, views, _, columns, _] = cells[..] else { break };
        name = if file.is_empty() { name } else { file.trim_matches('`') };
        for view in views.split(", ").map(|view| view.trim_matches('`')) {
            let connection = database(name);
            let query = connection.prepare(&format!("SELECT * FROM {view}")).unwrap();
            assert_eq!(
                query.column_names().collect::<Vec<_>>().join(", "),
                columns.trim_end_matches(" (JSON)"),
                "{view}"
            );
            asked += 1;
        }
    }
    assert_eq!(asked, 3 + 7);
}

#[test]
fn an_error_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    assert!(store.close(LONG));
    rusqlite::Connection::open(dir.path().join("state.db")).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = Store::open(dir.path(), "", clock(0)).err().unwrap();
    assert!(matches!(error, OpenError::Later { found: 99, .. }));
    assert!(error.to_string().contains("later version of minder (its version is 99"), "{error}");
}

fn names(dir: &Path, prefix: &str) -> Vec<Name> {
    let mut names: Vec<Name> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| Name::from(entry.unwrap().file_name().to_string_lossy()))
        .filter(|name| name.starts_with(prefix))
        .collect();
    names.sort();
    names
}
