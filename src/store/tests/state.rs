//! `state.db`: what was committed is there, whatever happens.

use super::*;
use crate::model::{Incident, SavedService, Severity};
use crate::store::state::{Facts, Writer, load};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::process::Stdio;

fn saved(streak: u32) -> Box<SavedService> {
    Box::new(SavedService { streak, ..SavedService::default() })
}

fn incident(id: u64, service: &str, closed: Option<i64>) -> Incident {
    Incident {
        id,
        service: service.into(),
        opened: Wall(1),
        closed: closed.map(Wall),
        severity: Severity::Critical,
        title: "down".into(),
        rules: Default::default(),
        told: Default::default(),
        ack: None,
        escalated: 0,
    }
}

#[test]
fn state_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let (store, first) = open(dir.path());
    assert!(!first.restored.same_boot);
    let records = vec![
        Record::Service("web".into(), saved(1)),
        Record::Service("gone".into(), saved(2)),
        Record::Event(event(41, "web")),
        Record::Incident(incident(5, "web", None)),
    ];
    assert!(store.commit(records, vec![message(8, 9_000_000), message(9, 2_000_000)]).wait(LONG));
    let records = vec![
        Record::Service("web".into(), saved(3)),
        Record::Gone("gone".into()),
        gone_on(8, 9_000_000, MessageState::Waiting, Why::Deferred { error: "busy".into(), until: Wall(3) }),
    ];
    assert!(store.commit(records, vec![]).wait(LONG));
    assert!(store.close(LONG));

    let (store, second) = open(dir.path());
    let restored = second.restored;
    assert!(restored.same_boot && !restored.lost);
    assert_eq!((first.instance.len(), &first.instance), (16, &second.instance));
    assert_eq!(restored.services.len(), 1);
    assert_eq!(restored.services["web"].streak, 3);
    assert_eq!((restored.last_event, restored.last_incident, restored.last_message), (41, 5, 9));
    assert_eq!(restored.messages.iter().map(|message| message.id.0).collect::<Vec<_>>(), [8, 9]);
    assert!(store.close(LONG));

    let (store, third) = Store::open(dir.path(), "boot-2", clock(3_000_000)).unwrap();
    assert!(!third.restored.same_boot);
    let waits = store.reader().message(MessageId(8)).unwrap().unwrap();
    assert_eq!((waits.attempts, waits.why.as_deref()), (1, Some("not taken, tried again: busy")));
}

#[test]
fn asynchronous_code_can_wait_too() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    assert!(runtime.block_on(store.commit(vec![Record::Event(event(1, "web"))], vec![]).ready(LONG)));
    assert!(runtime.block_on(store.commit(vec![], vec![]).ready(LONG)));
}

#[test]
fn queries_filter_and_page() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let mut records: Vec<Record> =
        (1..=20).map(|id| Record::Event(event(id, ["web", "db"][id as usize % 2]))).collect();
    records.push(Record::Event(Event { incident: Some(2), kind: EventKind::Ended, ..event(21, "web") }));
    records.push(Record::Incident(incident(1, "web", Some(9))));
    records.push(Record::Incident(incident(2, "db", None)));
    assert!(store.commit(records, vec![]).wait(LONG));
    let reader = store.reader();
    let ids = |filter: EventFilter| {
        reader.events(&EventFilter { limit: 3, ..filter }).unwrap().iter().map(|e| e.id).collect::<Vec<_>>()
    };
    let all = EventFilter::default;
    assert_eq!(ids(all()), [21, 20, 19]);
    assert_eq!(ids(EventFilter { service: Some("db".into()), ..all() }), [19, 17, 15]);
    assert_eq!(ids(EventFilter { before: Some(3), ..all() }), [2, 1]);
    assert_eq!(ids(EventFilter { kind: Some("ended".into()), ..all() }), [21]);
    assert_eq!(ids(EventFilter { incident: Some(2), ..all() }), [21]);
    assert_eq!(ids(EventFilter { from: Some(Wall(3000)), before: Some(5), ..all() }), [4, 3]);
    assert_eq!(
        reader.events(&EventFilter { before: Some(2), limit: 9, ..all() }).unwrap(),
        [event(1, "web").clone()].map(|e| Event { service: Some("db".into()), ..e })
    );
    let incidents = |service: Option<&str>, limit| {
        let filter = IncidentFilter { service: service.map(Into::into), limit, ..IncidentFilter::default() };
        reader.incidents(&filter).unwrap()
    };
    assert_eq!(incidents(None, 9), [incident(2, "db", None), incident(1, "web", Some(9))]);
    assert_eq!(incidents(Some("web"), 9), [incident(1, "web", Some(9))]);
    assert_eq!(incidents(None, 1).len(), 1);
}

#[test]
fn what_cannot_be_read_is_put_aside() {
    type Harm = fn(&Path);
    let harms: [(&str, Harm); 6] = [
        ("emptied", |path| std::fs::write(path, "").unwrap()),
        ("header", |path| std::fs::write(path, "this is not a database, and long enough to be seen as none").unwrap()),
        ("truncated", |path| {
            let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(file.metadata().unwrap().len() / 2).unwrap();
        }),
        ("overwritten", |path| {
            let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
            file.write_all_at(&[0xaa; 3 * 4096], 2 * 4096).unwrap();
        }),
        ("no table", |path| {
            rusqlite::Connection::open(path).unwrap().execute_batch("DROP TABLE service").unwrap();
        }),
        ("somebody else's", |path| {
            rusqlite::Connection::open(path).unwrap().pragma_update(None, "application_id", 5).unwrap();
        }),
    ];
    for (harm, harm_it) in harms {
        let dir = tempfile::tempdir().unwrap();
        let (store, first) = open(dir.path());
        let records = (0..100).map(|i| Record::Service(format!("service-{i}").into(), saved(i))).collect();
        assert!(store.commit(records, vec![]).wait(LONG));
        assert!(store.close(LONG));
        harm_it(&dir.path().join("state.db"));
        let (store, opened) = open(dir.path());
        assert!(opened.restored.lost, "{harm}");
        assert!(opened.restored.services.is_empty());
        assert_ne!(opened.instance, first.instance);
        assert_eq!(opened.notes.len(), 1, "{harm}: {:?}", opened.notes);
        assert_eq!(names(dir.path(), "state.db.unreadable-1000").len(), 1, "{harm}");
        assert!(store.commit(vec![Record::Event(event(1, "web"))], vec![]).wait(LONG));
        assert!(store.close(LONG));
        assert!(!open(dir.path()).1.restored.lost);
    }
}

/// A page of the past is damaged: among events, which are many.
#[test]
fn damage_in_the_past_costs_the_past_only() {
    for table in ["event", "incident"] {
        let dir = tempfile::tempdir().unwrap();
        let (store, first) = open(dir.path());
        let mut records: Vec<Record> = (1..=2000).map(|id| Record::Event(event(id, "web"))).collect();
        records.extend((1..=2000).map(|id| Record::Incident(incident(id, "web", Some(5)))));
        records.push(Record::Service("web".into(), saved(7)));
        assert!(store.commit(records, vec![message(4, i64::MAX)]).wait(LONG));
        assert!(store.close(LONG));
        let path = dir.path().join("state.db");
        let connection = rusqlite::Connection::open(&path).unwrap();
        let root: i64 = connection
            .query_row("SELECT rootpage FROM sqlite_schema WHERE name = ?", [table], |row| row.get(0))
            .unwrap();
        drop(connection);
        let file = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let at = |page: i64| (page as u64 - 1) * 4096;
        let mut page = [0; 4096];
        file.read_exact_at(&mut page, at(root)).unwrap();
        assert_eq!(page[0], 5, "an inner page of a table");
        // The fourth of its cells: each begins with the number of a child, which holds rows.
        let cell = usize::from(u16::from_be_bytes([page[18], page[19]]));
        let leaf = i64::from(u32::from_be_bytes(page[cell..cell + 4].try_into().unwrap()));
        file.write_all_at(&[0xaa; 4096], at(leaf)).unwrap();

        let (store, opened) = open(dir.path());
        assert_eq!(opened.notes.len(), 1, "{table}: {:?}", opened.notes);
        assert!(opened.notes[0].contains("put aside as") && opened.notes[0].contains("the past was not"));
        assert_eq!(names(dir.path(), "state.db.unreadable-1000").len(), 1, "{table}");
        assert!(!opened.restored.lost, "{table}");
        assert_eq!((&opened.instance, opened.restored.services["web"].streak), (&first.instance, 7));
        assert_eq!((opened.restored.last_event, opened.restored.last_incident), (2000, 2000));
        assert_eq!(opened.restored.messages, [Message::clone(&message(4, i64::MAX))]);
        assert!(store.commit(vec![Record::Event(event(2001, "web"))], vec![]).wait(LONG));
        assert!(store.close(LONG));
        let (store, opened) = open(dir.path());
        assert!(opened.notes.is_empty() && !opened.restored.lost, "{:?}", opened.notes);
        assert_eq!((opened.restored.services["web"].streak, opened.restored.messages.len()), (7, 1));
        assert_eq!(store.reader().events(&EventFilter { limit: 9, ..Default::default() }).unwrap().len(), 1);
    }
}

#[test]
fn a_log_that_was_lost_is_noticed() {
    let written = |stopped_late: bool| {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = open(dir.path());
        let stopped = |stopped| Record::Service("web".into(), Box::new(SavedService { stopped, ..Default::default() }));
        assert!(store.commit(vec![stopped(false), Record::Event(event(5, "web"))], vec![]).wait(LONG));
        assert!(store.close(LONG));
        let (store, _) = open(dir.path());
        if stopped_late {
            assert!(store.commit(vec![stopped(true), Record::Event(event(6, "web"))], vec![]).wait(LONG));
        }
        // As `kill -9` leaves it, and then without its log.
        let copy = tempfile::tempdir().unwrap();
        for name in ["lock", "state.db"] {
            std::fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
        }
        copy
    };
    let dir = written(true);
    let (store, opened) = open(dir.path());
    assert!(opened.restored.lost && !opened.restored.services["web"].stopped);
    assert_eq!(opened.restored.last_event, 6, "its number is not given out again");
    assert_eq!(opened.notes.len(), 1);
    assert!(opened.notes[0].contains("event 5, it was 6"), "{:?}", opened.notes);
    assert!(store.commit(vec![Record::Event(event(7, "web"))], vec![]).wait(LONG));
    assert!(store.close(LONG));
    assert!(!open(dir.path()).1.restored.lost, "asked once");
    assert!(!open(written(false).path()).1.restored.lost, "an empty log is no loss");
    // A power cut may lose the last moments.
    let dir = written(true);
    assert!(!Store::open(dir.path(), "boot-2", clock(1_000_000)).unwrap().1.restored.lost);
    // Who removes the database wants a new one.
    let dir = written(true);
    std::fs::remove_file(dir.path().join("state.db")).unwrap();
    assert!(!open(dir.path()).1.restored.lost);
}

#[test]
fn a_lock_of_somebody_else_at_the_start_is_survived() {
    for how in ["BEGIN IMMEDIATE", "PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE"] {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = open(dir.path());
        assert!(store.commit(vec![Record::Service("web".into(), saved(3))], vec![message(1, i64::MAX)]).wait(LONG));
        assert!(store.close(LONG));
        let other = rusqlite::Connection::open(dir.path().join("state.db")).unwrap();
        other.execute_batch(how).unwrap();
        other.execute("UPDATE meta SET value = value", []).unwrap();
        let (store, opened) = open(dir.path());
        assert_eq!((opened.restored.services["web"].streak, opened.restored.messages.len()), (3, 1), "{how}");
        assert!(!opened.restored.lost);
        let trouble = store.trouble().unwrap();
        assert!(trouble.contains("locked"), "{trouble}");
        drop(other);
        // The note is not there for ever.
        assert!(opened.notes.is_empty(), "{:?}", opened.notes);
        assert!(!store.commit(vec![Record::Service("web".into(), saved(4))], vec![]).wait(Duration::ZERO));
        assert!(store.close(LONG), "{:?}", how);
        assert_eq!(open(dir.path()).1.restored.services["web"].streak, 4);
    }
}

#[test]
fn a_service_whose_state_cannot_be_read_is_not_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    assert!(open(dir.path()).0.close(LONG));
    let state = rusqlite::Connection::open(dir.path().join("state.db")).unwrap();
    state.execute("INSERT INTO service VALUES ('web', '{\"stopped\": 5}')", []).unwrap();
    drop(state);
    let (_store, opened) = open(dir.path());
    assert!(opened.restored.lost);
    assert!(opened.notes[0].contains("web"), "{:?}", opened.notes);
}

pub(super) fn writer(dir: &Path) -> Writer {
    let mut database = Database::new(dir, &STATE);
    let found = load(database.connection().unwrap().0, "boot", Wall(0)).unwrap();
    let claim = Arc::new(directory::claim(dir).unwrap());
    Writer { database, clock: clock(0), facts: found.facts, claim, steady: Default::default() }
}

pub(super) fn batch(records: Vec<Record>, messages: Vec<Arc<Message>>) -> queue::Batch {
    let queue = Queue::new(Duration::ZERO, MessageId(0));
    let _ = queue.commit(records, messages);
    queue.work(Duration::ZERO).batch
}

pub(super) fn count(writer: &mut Writer, what: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {what}");
    writer.database.connection().unwrap().0.query_row(&sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn a_full_disk_takes_nothing_when_it_is_no_longer_full() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    writer.write(&batch(vec![Record::Service("web".into(), saved(1))], vec![]), Wall(0)).unwrap();
    let (connection, _) = writer.database.connection().unwrap();
    let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).unwrap();
    let records = (1..500).map(|id| Record::Event(event(id, "web"))).chain([Record::Service("db".into(), saved(7))]);
    let batch = batch(records.collect(), vec![]);
    let failure = writer.write(&batch, Wall(0)).unwrap_err();
    assert!(failure.to_string().contains("full") && !failure.is_damage(), "{failure}");
    // The limit belonged to the connection, which is now another one.
    writer.write(&batch, Wall(0)).unwrap();
    assert_eq!((count(&mut writer, "event"), count(&mut writer, "service")), (499, 2));
}

#[test]
fn a_database_deleted_while_it_is_in_use_is_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    let instance = writer.facts.instance.clone();
    let first = vec![Record::Service("web".into(), saved(5)), Record::Event(event(9, "web"))];
    writer.write(&batch(first, vec![message(3, 1)]), Wall(0)).unwrap();
    for end in ["", "-wal", "-shm"] {
        std::fs::remove_file(dir.path().join(format!("state.db{end}"))).unwrap();
    }
    writer.write(&batch(vec![Record::Service("db".into(), saved(6))], vec![]), Wall(0)).unwrap();
    drop(writer);
    let (_store, opened) = open(dir.path());
    assert_eq!(opened.instance, instance);
    assert_eq!(opened.restored.services["web"].streak, 5);
    assert_eq!(opened.restored.services["db"].streak, 6);
    assert_eq!((opened.restored.last_event, opened.restored.last_message), (9, 3), "numbers are not used again");
}

#[test]
fn while_it_cannot_write_it_keeps_the_latest_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    // As an operator's `sqlite3` that has begun to write and stays open.
    let mut other = rusqlite::Connection::open(dir.path().join("state.db")).unwrap();
    let blocking = other.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
    assert!(!store.commit(vec![Record::Event(event(1, "web"))], vec![]).wait(LONG));
    assert!(store.trouble().unwrap().contains("state.db cannot be written"));
    for id in 2..=3000 {
        let records = vec![Record::Event(event(id, "web")), Record::Service("web".into(), saved(id as u32))];
        assert!(!store.commit(records, vec![]).wait(LONG), "nobody waits for the next try");
    }
    let trouble = store.trouble().unwrap();
    assert!(trouble.contains("2000 older records lost"), "{trouble}");
    drop(blocking);
    assert!(store.close(LONG), "closing tries once more");
    let (store, opened) = open(dir.path());
    assert_eq!(opened.restored.services["web"].streak, 3000);
    let events = store.reader().events(&EventFilter { limit: 9999, ..Default::default() }).unwrap();
    assert_eq!((events.len(), events[999].id), (1000, 2001));
}

#[test]
fn the_outbox_is_pruned() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    writer.write(&batch(vec![], (1..=10).map(|id| message(id, i64::MAX)).collect()), Wall(5)).unwrap();
    let ended = vec![
        gone_on(6, i64::MAX, MessageState::Delivered, Why::Taken),
        gone_on(7, i64::MAX, MessageState::Dead, Why::Refused { error: "no such mailbox".into() }),
        gone_on(10, i64::MAX, MessageState::Delivered, Why::Taken),
    ];
    writer.write(&batch(ended, vec![]), Wall(5)).unwrap();
    assert_eq!(count(&mut writer, "outbox WHERE state = 'waiting'"), 7);
    let day = 86_400_000;
    writer.prune(Wall(8 * day), Duration::from_secs(1)).unwrap();
    assert_eq!(count(&mut writer, "outbox WHERE id = 6"), 0);
    assert_eq!(count(&mut writer, "outbox WHERE id = 10"), 1, "the highest number stays");
    assert_eq!(count(&mut writer, "outbox WHERE state = 'dead'"), 1);
    writer.prune(Wall(31 * day), Duration::from_secs(1)).unwrap();
    assert_eq!(count(&mut writer, "outbox WHERE state = 'dead'"), 0);
}

#[test]
fn old_events_and_closed_incidents_are_let_go_of() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    let mut records: Vec<Record> = (1..=1200).map(|id| Record::Event(event(id, "web"))).collect();
    records.push(Record::Incident(incident(1, "web", None)));
    records.push(Record::Incident(incident(2, "web", Some(5_000))));
    records.push(Record::Incident(incident(3, "web", Some(1_100_000))));
    writer.write(&batch(records, vec![]), Wall(0)).unwrap();
    // A few at a time: 1,099 events are too old.
    for left in [700, 200, 101, 101] {
        writer.prune(Wall(1_200_000), Duration::from_secs(100)).unwrap();
        assert_eq!(count(&mut writer, "event"), left);
    }
    assert_eq!(count(&mut writer, "incident"), 2);
    writer.prune(Wall(i64::MAX), Duration::ZERO).unwrap();
    assert_eq!(count(&mut writer, "event"), 1, "the highest number stays");
    assert_eq!(Facts::default().last, [0; 3]);
}

/// Set in the child that [`a_full_disk_at_the_start_is_survived`] starts.
const FULL: &str = "STORE_TEST_FULL_DISK";

#[test]
fn a_full_disk_at_the_start_is_survived() {
    if let Some(dir) = std::env::var_os(FULL) {
        return start_on_a_full_disk(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let (store, first) = open(dir.path());
    assert!(store.commit(vec![Record::Service("web".into(), saved(1))], vec![message(1, i64::MAX)]).wait(LONG));
    assert!(store.close(LONG));
    // A process that may not write into files sees what a full disk does, and needs no disk of its own for it.
    #[expect(clippy::disallowed_methods, reason = "a child that shall die with its test, and has no secrets")]
    let output = std::process::Command::new("/bin/sh")
        .args(["-c", "trap '' XFSZ; ulimit -S -f 0; exec \"$0\" --exact \"$1\" --nocapture"])
        .arg(std::env::current_exe().unwrap())
        .arg("store::tests::state::a_full_disk_at_the_start_is_survived")
        .env(FULL, dir.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&[output.stdout, output.stderr].concat()));
    let (store, opened) = open(dir.path());
    assert_eq!(opened.instance, first.instance);
    assert_eq!(opened.restored.services["web"].streak, 2);
    assert_eq!((opened.restored.last_event, opened.restored.messages.len()), (1, 1));
    assert_eq!(store.reader().samples("web", "process", Wall(0), Wall(9000), 9).unwrap().rows.len(), 1);
}

fn start_on_a_full_disk(dir: &Path) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let (store, opened) = open(dir);
    assert!(!opened.restored.lost);
    assert_eq!((opened.restored.services["web"].streak, opened.restored.messages.len()), (1, 1));
    let trouble = store.trouble().unwrap();
    assert!(trouble.contains("state.db cannot be written") && trouble.contains("history.db"), "{trouble}");
    let records = vec![Record::Service("web".into(), saved(2)), Record::Event(event(1, "web"))];
    store.series(CheckId(1), series("web"));
    store.keep(CheckId(1), &sample(1000, Some(false), None));
    assert!(!store.commit(records, vec![]).wait(LONG));
    assert!(store.trouble().unwrap().contains("state.db cannot be written"));
    // Now there is room again.
    let maximum = getrlimit(Resource::Fsize).maximum;
    setrlimit(Resource::Fsize, Rlimit { current: maximum, maximum }).unwrap();
    assert!(store.close(LONG), "closing tries once more");
}

/// Set in the child that [`what_was_acknowledged_survives_kill_9`] starts.
const CHILD: &str = "STORE_TEST_DIRECTORY";

#[test]
fn what_was_acknowledged_survives_kill_9() {
    if let Some(dir) = std::env::var_os(CHILD) {
        return commit_until_killed(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 1..=6u64 {
        #[expect(clippy::disallowed_methods, reason = "a child that shall die with its test, and has no secrets")]
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::tests::state::what_was_acknowledged_survives_kill_9", "--nocapture"])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Killed after a different number of commits each time, wherever it is then.
        for _ in 0..round * round * 20 {
            let line = lines.next().unwrap().unwrap();
            acknowledged = line.strip_prefix("acknowledged ").map_or(acknowledged, |id| id.parse().unwrap());
        }
        child.kill().unwrap();
        for line in lines.map_while(Result::ok) {
            acknowledged = line.strip_prefix("acknowledged ").and_then(|id| id.parse().ok()).unwrap_or(acknowledged);
        }
        child.wait().unwrap();
        let (store, opened) = open(dir.path());
        assert!(!opened.restored.lost && opened.notes.is_empty(), "{:?}", opened.notes);
        assert!(acknowledged > 0 && opened.restored.last_event >= acknowledged);
        assert_eq!(u64::from(opened.restored.services["web"].streak), opened.restored.last_event, "one transaction");
        assert_eq!(opened.restored.last_message, opened.restored.last_event);
        let events = store.reader().events(&EventFilter { limit: 9999, ..Default::default() }).unwrap();
        assert_eq!(events.len() as u64, opened.restored.last_event, "none is missing");
        assert!(store.close(LONG));
    }
}

fn commit_until_killed(dir: &Path) {
    let (store, opened) = open(dir);
    for id in opened.restored.last_event + 1.. {
        let records = vec![Record::Event(event(id, "web")), Record::Service("web".into(), saved(id as u32))];
        assert!(store.commit(records, vec![message(id, i64::MAX)]).wait(LONG));
        let mut out = std::io::stdout();
        if writeln!(out, "acknowledged {id}").and_then(|()| out.flush()).is_err() {
            return;
        }
    }
}
