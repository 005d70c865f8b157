//! The outbox: what waits is there after everything, what has ended does not wait again, and neither fills the disk.

use super::state::{batch, count, writer};
use super::*;
use crate::model::{SavedNotifier, SavedSilences};
use crate::store::state::Writer;

fn waiting(id: u64) -> Arc<Message> {
    message(id, i64::MAX)
}

fn delivered(id: u64) -> Record {
    gone_on(id, i64::MAX, MessageState::Delivered, Why::Taken)
}

fn refused(id: u64) -> Record {
    gone_on(id, i64::MAX, MessageState::Dead, Why::Refused { error: "no such mailbox".into() })
}

fn ids(messages: &[Message]) -> Vec<u64> {
    messages.iter().map(|message| message.id.0).collect()
}

fn shown(reader: &Reader, filter: MessageFilter) -> Vec<u64> {
    let limit = if filter.limit == 0 { 9 } else { filter.limit };
    reader.messages(&MessageFilter { limit, ..filter }).unwrap().iter().map(|message| message.id).collect()
}

/// As a minder wrote it that knew no steps, no states and no notifiers' memory.
fn version_1(dir: &Path) {
    let path = dir.join("state.db");
    let first = rusqlite::Connection::open(&path).unwrap();
    first
        .execute_batch(
            "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA application_id = 0x6d6e6401;",
        )
        .unwrap();
    first.execute_batch(include_str!("../schema/state_1.sql")).unwrap();
    first.pragma_update(None, "user_version", 1).unwrap();
    let story = r#"{"host":"h","service":"web","description":null,"incident":3,"severity":"critical","status":"critical",
        "title":"web: down","since":5,"ended":null,"rules":[],"death":null,"actions":[],"log":["last words"]}"#;
    for (id, state, data) in [
        (1, "delivered", None),
        (2, "dead", None),
        (4, "waiting", None),
        (5, "waiting", Some(r#"{"to":"nobody knows"}"#)),
        (6, "waiting", Some("no JSON at all")),
        (7, "waiting", None),
    ] {
        let whole = format!(
            r#"{{"id":{id},"key":"key-{id}","to":"ops","kind":"firing","at":7,"expires":900000000,"story":{story}}}"#
        );
        let ended = (state != "waiting").then_some(9);
        first
            .execute(
                "INSERT INTO outbox VALUES (?, 'key', 'ops', 7, 900000000, ?, ?, 2, 'busy', 'web: down', ?)",
                rusqlite::params![id, state, ended, data.unwrap_or(&whole)],
            )
            .unwrap();
    }
}

#[test]
fn messages_of_version_1_wait_on() {
    let dir = tempfile::tempdir().unwrap();
    version_1(dir.path());
    let (store, opened) = open(dir.path());
    assert!(!opened.restored.lost);
    assert_eq!(ids(&opened.restored.messages), [4, 7]);
    assert!(opened.restored.messages[0].state == MessageState::Waiting && opened.restored.messages[0].steps.is_empty());
    assert_eq!(opened.restored.messages[0].story.log, ["last words"]);
    assert_eq!(opened.restored.last_message, 7);
    assert!(opened.notes.len() == 1 && opened.notes[0].contains("cannot be read, and are not sent: 1; "));
    let reader = store.reader();
    let web = MessageFilter { service: Some("web".into()), incident: Some(3), ..Default::default() };
    assert_eq!(shown(&reader, web), [7, 4, 2, 1]);
    let dead = reader.dead(&[1, 2, 4].map(MessageId)).unwrap();
    assert_eq!((ids(&dead), dead[0].state), (vec![2], MessageState::Dead));
    assert_eq!(reader.message(MessageId(2)).unwrap().unwrap().ended, Some(Wall(9)));
    let unknown = reader.message(MessageId(5)).unwrap().unwrap();
    assert_eq!(
        (unknown.state, unknown.why.as_deref()),
        (MessageState::Dropped, Some("what became of it is not known"))
    );
    assert!(store.close(LONG));
    assert!(open(dir.path()).1.notes.is_empty(), "said once");
}

/// Where it cannot be written, it cannot be migrated.
#[test]
fn version_1_beside_somebody_elses_lock_is_read() {
    let dir = tempfile::tempdir().unwrap();
    version_1(dir.path());
    let other = rusqlite::Connection::open(dir.path().join("state.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE; UPDATE meta SET value = value").unwrap();
    let (store, opened) = open(dir.path());
    assert!(!opened.restored.lost && store.trouble().is_some());
    assert_eq!(ids(&opened.restored.messages), [4, 7]);
    drop(other);
    assert!(store.commit(vec![delivered(4)], vec![waiting(8)]).wait(Duration::ZERO) || store.close(LONG));
    assert_eq!(ids(&open(dir.path()).1.restored.messages), [7, 8]);
}

#[test]
fn what_has_expired_is_handed_over_too() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    assert!(store.commit(vec![], vec![message(9, 2_000_000), message(8, 9_000_000)]).wait(LONG));
    assert!(store.close(LONG));
    let (_store, opened) = Store::open(dir.path(), "boot-1", clock(3_000_000)).unwrap();
    assert_eq!(ids(&opened.restored.messages), [8, 9], "the engine ends it, and says so");
    assert_eq!(opened.notes, ["messages that expired undelivered while minder did not run: 1"]);
}

#[test]
fn only_so_many_wait_for_a_notifier() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let other = Arc::new(Message { to: "chat".into(), ..Message::clone(&waiting(1)) });
    assert!(store.commit(vec![], std::iter::once(other).chain((2..=1202).map(waiting)).collect()).wait(LONG));
    assert!(store.close(LONG));
    let (store, opened) = open(dir.path());
    assert_eq!(ids(&opened.restored.messages), std::iter::once(1).chain(203..=1202).collect::<Vec<_>>());
    assert_eq!(shown(&store.reader(), MessageFilter { before: Some(203), limit: 1, ..Default::default() }), [202]);
    assert_eq!(store.reader().message(MessageId(202)).unwrap().unwrap().state, MessageState::Dropped);
}

#[test]
fn messages_are_asked_for_by_what_they_are_about() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let about = |id, to: &str, service: &str, incident| {
        let story = Story { service: service.into(), incident, title: format!("title {id}"), ..Story::default() };
        Arc::new(Message { to: to.into(), story, at: Wall(id as i64 * 1000), ..Message::clone(&waiting(id)) })
    };
    let first = vec![
        about(1, "ops", "web", Some(1)),
        about(2, "chat", "web", Some(1)),
        about(3, "ops", "db", Some(2)),
        about(4, "ops", "", None),
    ];
    assert!(store.commit(vec![], first.clone()).wait(LONG));
    let mut dead = Message::clone(&first[2]);
    dead.state = MessageState::Dead;
    dead.step(Wall(3100), Stage::Deliver, Why::Deferred { error: "busy".into(), until: Wall(3200) });
    dead.step(Wall(3300), Stage::Deliver, Why::Refused { error: "no such mailbox".into() });
    let records = vec![Record::Message(Arc::new(dead.clone())), gone_on(2, 0, MessageState::Delivered, Why::Taken)];
    assert!(store.commit(records, vec![]).wait(LONG));
    let reader = store.reader();
    let all = MessageFilter::default;
    assert_eq!(shown(&reader, all()), [4, 3, 2, 1]);
    assert_eq!(shown(&reader, MessageFilter { limit: 2, before: Some(4), ..all() }), [3, 2]);
    assert_eq!(shown(&reader, MessageFilter { notifier: Some("ops".into()), ..all() }), [4, 3, 2, 1]);
    assert_eq!(shown(&reader, MessageFilter { service: Some("web".into()), ..all() }), [1]);
    assert_eq!(shown(&reader, MessageFilter { incident: Some(2), ..all() }), [3]);
    assert_eq!(shown(&reader, MessageFilter { from: Some(Wall(3000)), ..all() }), [4, 3]);
    assert_eq!(shown(&reader, MessageFilter { state: Some(MessageState::Delivered), ..all() }), [2]);
    let three = reader.message(MessageId(3)).unwrap().unwrap();
    assert_eq!((three.attempts, three.ended, &*three.notifier), (2, Some(Wall(3300)), "ops"));
    assert_eq!((three.why.as_deref(), &three.steps), (Some("refused: no such mailbox"), &dead.steps));
    assert_eq!(reader.message(MessageId(u64::MAX)).unwrap(), None);
    assert_eq!(reader.dead(&[MessageId(3), MessageId(1)]).unwrap(), std::slice::from_ref(&dead));
    assert_eq!(reader.all_dead(Some("ops"), 9).unwrap(), [dead]);
    assert!(reader.all_dead(Some("chat"), 9).unwrap().is_empty() && reader.all_dead(None, 0).unwrap().is_empty());
}

#[test]
fn an_end_keeps_its_time_and_a_message_sent_again_waits() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    writer.write(&batch(vec![refused(1)], vec![]), Wall(500)).unwrap();
    writer.write(&batch(vec![refused(1)], vec![]), Wall(900)).unwrap();
    assert_eq!(count(&mut writer, "outbox WHERE state = 'dead' AND ended = 2"), 1, "when it ended");
    writer.write(&batch(vec![Record::Message(waiting(1))], vec![]), Wall(950)).unwrap();
    assert_eq!(count(&mut writer, "outbox WHERE state = 'waiting' AND ended IS NULL"), 1);
}

fn heard(incidents: &[u64]) -> Record {
    let heard = incidents.iter().copied().collect();
    Record::Notifier("ops".into(), Box::new(SavedNotifier { heard, ..SavedNotifier::default() }))
}

#[test]
fn a_database_that_is_gone_is_written_anew_with_all_that_waits() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    let silences = Record::Silences(Box::new(SavedSilences { all: vec![], last: 5 }));
    let messages = (1..=3).map(waiting).collect();
    writer.write(&batch(vec![heard(&[7, 8]), silences], messages), Wall(0)).unwrap();
    writer.write(&batch(vec![delivered(2)], vec![]), Wall(0)).unwrap();
    for end in ["", "-wal", "-shm"] {
        std::fs::remove_file(dir.path().join(format!("state.db{end}"))).unwrap();
    }
    assert!(!writer.prune(Wall(0), Duration::ZERO).unwrap(), "it takes no notice for the writer");
    writer.write(&batch(vec![], vec![waiting(4)]), Wall(0)).unwrap();
    drop(writer);
    let (store, opened) = open(dir.path());
    assert_eq!(ids(&opened.restored.messages), [1, 3, 4]);
    assert_eq!(opened.restored.notifiers["ops"].heard, [7, 8].into());
    assert_eq!(opened.restored.silences.last, 5);
    assert!(store.commit(vec![heard(&[])], vec![]).wait(LONG));
    assert!(store.close(LONG));
    assert!(open(dir.path()).1.restored.notifiers.is_empty(), "there is nothing to remember");
}

/// While nothing can be written, more messages end than are remembered: those ends are lost, and still nothing is sent twice.
#[test]
fn what_has_ended_while_the_disk_was_away_does_not_wait_again() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    assert!(store.commit(vec![], (1..=20).map(waiting).collect()).wait(LONG));
    let mut other = rusqlite::Connection::open(dir.path().join("state.db")).unwrap();
    let blocking = other.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
    assert!(!store.commit((1..=18).map(delivered).collect(), vec![waiting(21)]).wait(LONG));
    for id in 22..=4000 {
        let _ = store.commit(vec![], vec![waiting(id)]);
        let _ = store.commit(vec![if id % 100 == 0 { refused(id) } else { delivered(id) }], vec![]);
    }
    let _ = store.commit(vec![heard(&[5])], vec![waiting(4001)]);
    let trouble = store.trouble().unwrap();
    assert!(trouble.contains("2997 older records lost"), "{trouble}");
    drop(blocking);
    assert!(store.close(LONG), "closing tries once more");
    let (store, opened) = open(dir.path());
    assert_eq!(ids(&opened.restored.messages), [19, 20, 21, 4001]);
    assert_eq!(opened.restored.notifiers["ops"].heard, [5].into());
    assert_eq!(store.reader().all_dead(None, 99).unwrap().len(), 40, "what can be sent again goes last");
    let lost = store.reader().message(MessageId(5)).unwrap().unwrap();
    assert_eq!((lost.state, lost.why.as_deref()), (MessageState::Dropped, Some("what became of it is not known")));
}

/// The same while the disk works, and is far too slow.
#[test]
fn an_end_that_is_crowded_out_of_the_queue_does_not_wait_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    let queue = Queue::new(Duration::ZERO, MessageId(0));
    let mut write = |queue: &Arc<Queue>| {
        let work = queue.work(Duration::ZERO);
        let lost = work.batch.lost.len();
        writer.write(&work.batch, Wall(0)).unwrap();
        queue.written(work.end);
        lost
    };
    let _ = queue.commit(vec![], (1..=30).map(waiting).collect());
    assert_eq!(write(&queue), 0);
    let _ = queue.commit((1..=29).map(delivered).collect(), vec![]);
    for id in 31..=20_031 {
        let _ = queue.commit(vec![delivered(id)], vec![waiting(id)]);
    }
    assert_eq!(write(&queue), 29, "of those that it has never seen the writer needs to know nothing");
    drop(writer);
    assert_eq!(ids(&open(dir.path()).1.restored.messages), [30]);
}

#[test]
fn a_flood_leaves_a_bounded_table() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    let end = |id: u64| match id % 10 {
        0..3 => gone_on(id, i64::MAX, MessageState::Dropped, Why::NeverTold),
        3..6 => delivered(id),
        _ => refused(id),
    };
    let size = |writer: &mut Writer| {
        let pages = "SELECT page_count - freelist_count FROM pragma_page_count, pragma_freelist_count";
        writer.database.connection().unwrap().0.query_row(pages, [], |row| row.get::<_, i64>(0)).unwrap() * 4096
    };
    let mut sizes = Vec::new();
    for thousand in 0..100 {
        let ids = thousand * 1000 + 1..=thousand * 1000 + 1000;
        writer.write(&batch(ids.map(end).collect(), vec![]), Wall(0)).unwrap();
        if thousand % 20 == 19 {
            while writer.prune(Wall(0), Duration::MAX).unwrap() {}
            sizes.push(size(&mut writer));
        }
    }
    for (state, most) in [("delivered", 20_000), ("dropped", 20_000), ("dead", 10_000)] {
        assert_eq!(count(&mut writer, &format!("outbox WHERE state = '{state}'")), most, "{state}");
    }
    assert_eq!(count(&mut writer, "outbox WHERE id > 99990"), 10, "the latest stay");
    let full = sizes[3];
    assert!(sizes[4] < full + full / 10, "it has stopped growing: {sizes:?}");
}
