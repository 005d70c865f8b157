//! Bad ground: databases that are not ours, or broken, and histories that are odd.

use crate::history::{History, Still, plan};
use crate::{BEGIN, DAY, LEAK, LONG, MINUTE, SECOND, leaking, minder, test, told};
use minder::model::{EventKind, Identity, Wall};
use minder::store::{Reader, Store};
use minder::trial::backtest;
use std::sync::Arc;

/// A state directory with an hour of history.
fn recorded() -> tempfile::TempDir {
    let mut history = History::new(BEGIN + 120 * MINUTE);
    leaking(&mut history, BEGIN);
    history.fired(BEGIN + 40 * MINUTE, "memory", 5 * MINUTE);
    history.written()
}

#[test]
fn what_is_no_history_is_said_to_be_none() {
    let dir = recorded();
    let rules = dir.path().join("rules.yaml");
    std::fs::write(&rules, LEAK).unwrap();
    for name in ["history.db", "state.db"] {
        let file = dir.path().join(name);
        let good = std::fs::read(&file).unwrap();
        let _ = std::fs::remove_file(dir.path().join(format!("{name}-wal")));
        let mut broken = good.clone();
        let middle = broken.len() / 3..broken.len() - 100;
        broken[middle].fill(0xa5);
        for (what, bytes) in [
            ("garbage", vec![7; 9000]),
            ("empty", Vec::new()),
            ("cut", good[..good.len() / 2].to_vec()),
            ("broken", broken),
        ] {
            std::fs::write(&file, &bytes).unwrap();
            let said = minder(dir.path(), &rules, &["--since", "30d"]);
            assert!(
                said.contains(name) && said.contains("error: ") && said.ends_with("exit 1\n"),
                "{name} {what}: {said}"
            );
            assert_eq!(std::fs::read(&file).unwrap(), bytes, "{name} {what} was written to");
        }
        std::fs::remove_file(&file).unwrap();
        rusqlite::Connection::open(&file).unwrap().execute_batch("CREATE TABLE theirs (a)").unwrap();
        let said = minder(dir.path(), &rules, &["--since", "30d"]);
        let words = format!("{name} cannot be read: it is not a database of minder\nexit 1\n");
        assert!(said.ends_with(&words), "{name} of somebody else: {said}");
        std::fs::write(&file, &good).unwrap();
    }
    assert!(test(dir.path(), LEAK, BEGIN, BEGIN + 120 * MINUTE).samples > 0);
}

/// Bits that flip within the samples change what is judged, and nothing else.
#[test]
fn damaged_blocks_end_nothing() {
    let dir = recorded();
    let database = rusqlite::Connection::open(dir.path().join("history.db")).unwrap();
    for sql in [
        "UPDATE block SET data = zeroblob(length(data)) WHERE start % 3 = 0",
        "UPDATE block SET data = X'FFFFFFFFFFFFFFFFFFFF', count = 4294967295 WHERE start % 3 = 1",
        "UPDATE block SET data = x'' WHERE start % 5 = 1",
        "INSERT OR IGNORE INTO whole VALUES (1, 0, 9223372036854775807, 1000000, zeroblob(1000))",
        "INSERT OR IGNORE INTO whole VALUES (1, 9, 9, 5, X'FFEEDDCCBBAA998877665544332211')",
        "INSERT INTO rollup_minute VALUES (1, 1767225600000, 250, 4294967295, 4294967295, -1e308, 1e308, 1e308)",
        "UPDATE series SET metrics = '[]'",
        "UPDATE series SET metrics = '{\"down\": 1}'",
        "UPDATE series SET rolled = 9223372036854775807",
    ] {
        database.execute(sql, []).unwrap_or_else(|e| panic!("{sql}: {e}"));
        let tested = backtest(&Reader::of(dir.path()), &plan(LEAK), Wall(BEGIN - DAY), Wall(BEGIN + DAY));
        assert!(tested.is_ok(), "{sql}: {tested:?}");
    }
}

#[test]
fn checks_and_services_that_never_were_are_named() {
    let dir = recorded();
    let rules = "
version: 1
services:
  web:
    checks: [{ process: /run/web.pid, name: other }, { system: {} }, { processes: {} }]
    rules: [other.memory > 5MB -> notify, system.memory > 90% -> notify, processes.each.cpu > 90% -> notify]
  nobody:
    checks: [{ filesystem: / }]
    rules: [filesystem.used > 90% -> notify]
";
    let tested = backtest(&Reader::of(dir.path()), &plan(rules), Wall(BEGIN), Wall(BEGIN + 120 * MINUTE)).unwrap();
    for tested in &tested {
        assert_eq!((tested.samples, tested.these.fired), (0, 0));
        let whys: Vec<&str> = tested.unjudged.iter().map(|unjudged| unjudged.why.as_str()).collect();
        assert!(whys.iter().all(|why| why.starts_with("nothing was recorded of the check `")), "{whys:?}");
        assert_eq!(whys.len(), if &*tested.service == "web" { 3 } else { 1 }, "{whys:?}");
    }
    // Times in which there is nothing, that are empty, or that run backwards.
    for (since, until) in [(BEGIN - 9 * DAY, BEGIN - 8 * DAY), (BEGIN, BEGIN), (BEGIN + DAY, BEGIN), (0, i64::MAX / 2)]
    {
        let tested = test(dir.path(), LEAK, since, until);
        assert_eq!(tested.these.fired, 0, "{since} {until}");
    }
}

/// A second minder takes over after a pause, its clock an hour behind; what it keeps of the check is another list.
#[test]
fn clock_steps_gaps_restarts_and_series_that_follow_each_other() {
    let mut history = History::new(BEGIN + 300 * MINUTE);
    let value = |high: bool| vec![Some(0.0), Some(if high { 6e8 } else { 3e8 })];
    history.check("process", &["down", "memory"], BEGIN, 360, |i| value((120..180).contains(&i)));
    let dir = history.dir;
    assert!(history.store.close(LONG));
    // Down for an hour; high before and after, and nobody knows what was between.
    let (store, _) = Store::open(dir.path(), "boot", Arc::new(Still(Wall(BEGIN + 300 * MINUTE)))).unwrap();
    let mut history = History::again(dir, store);
    history.check("process", &["down", "cpu", "memory"], BEGIN + 120 * MINUTE, 60, |i| {
        vec![Some(0.0), Some(1.0), Some(if i < 45 { 6e8 } else { 3e8 })]
    });
    // Set back by half an hour: the samples of that time come between those of before.
    history.check("process", &["down", "memory"], BEGIN + 100 * MINUTE + SECOND, 30, |_| value(false));
    history.event(BEGIN + 130 * MINUTE, EventKind::Appeared { process: Identity { pid: 9, start: 9 } });
    history.event(BEGIN + 100 * MINUTE, EventKind::Paused { by: "root".into() });
    history.event(BEGIN + 101 * MINUTE, EventKind::Resumed { by: "root".into() });
    let dir = history.written();
    let tested = test(dir.path(), LEAK, BEGIN, BEGIN + 300 * MINUTE);
    assert_eq!((tested.samples, &tested.unjudged[..]), (360 + 60 + 30, &[][..]));
    let fired: Vec<String> = told(&tested.these).into_iter().filter(|line| line.contains(" fired ")).collect();
    assert_eq!(
        fired,
        ["25m fired leak for 300: process.memory 600 MB", "2h5m fired leak for 150: process.memory 600 MB"]
    );
}

/// The service that it needs is not looked at: nothing is held because of it, and nothing waits for it.
#[test]
fn one_service_of_several_that_need_each_other() {
    let dir = recorded();
    let rules = dir.path().join("rules.yaml");
    let other = "  db: { checks: [{ tcp: '127.0.0.1:1' }] }\n  web:\n    depends_on: [db]\n";
    std::fs::write(&rules, LEAK.replace("  web:\n", other)).unwrap();
    let mut plan = Arc::unwrap_or_clone(plan(&std::fs::read_to_string(&rules).unwrap()));
    let both = backtest(&Reader::of(dir.path()), &Arc::new(plan.clone()), Wall(BEGIN), Wall(BEGIN + DAY)).unwrap();
    plan.services.retain(|service| &*service.name == "web");
    let one = backtest(&Reader::of(dir.path()), &Arc::new(plan), Wall(BEGIN), Wall(BEGIN + DAY)).unwrap();
    let fired = "35m fired leak for 600: process.memory 600 MB";
    assert_eq!(told(&one[0].these)[..2], [fired, "35m acting restart: leak"]);
    assert_eq!((both[0].samples, told(&both[1].these)[0].as_str()), (0, fired));
    assert_eq!(both[1].these.restarted, one[0].these.restarted);
}
