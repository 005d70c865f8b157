//! Questions about real processes and files, and their answers.

use super::testing::{Program, World, question};
use crate::model::{CheckId, Found, Identity, Question, Reading, Sample};
use crate::sys::proc;
use crate::sys::testing::until;
use std::path::Path;
use std::time::Duration;

fn reading(question: &Question, sample: &Sample, name: &str) -> Reading {
    sample.reading(question.kind.metric(name).unwrap()).clone()
}

fn number(question: &Question, sample: &Sample, name: &str) -> f64 {
    reading(question, sample, name).number().unwrap_or_else(|| panic!("{name} of {sample:?}"))
}

fn pidfile(dir: &Path, pid: u32) -> String {
    let path = dir.join("pid");
    std::fs::write(&path, format!("{pid}\n")).unwrap();
    format!("pidfile: {}", path.display())
}

#[test]
fn a_process_is_found_by_its_pidfile_and_asked_directly_then() {
    let dir = tempfile::tempdir().unwrap();
    let sleep = Program::start("sleep", &["60"]);
    let mut world = World::new();
    let mut ask = question(1, "process", &pidfile(dir.path(), sleep.pid()), &[]);
    let sample = world.ask(ask.clone());
    assert_eq!(sample.found, Found::Process(sleep.identity()), "{sample:?}");
    assert_eq!(reading(&ask, &sample, "down"), Reading::Flag(false));
    assert_eq!(number(&ask, &sample, "pid"), f64::from(sleep.pid()));
    assert_eq!(number(&ask, &sample, "count"), 1.0);
    assert_eq!(number(&ask, &sample, "threads"), 1.0);
    assert_eq!(reading(&ask, &sample, "cpu"), Reading::Unknown, "the first sample has none");
    let Reading::Part { value, whole } = reading(&ask, &sample, "memory") else { panic!("{sample:?}") };
    assert!(value > 0.0 && value < whole);
    assert!(number(&ask, &sample, "uptime") < 60.0);
    // The pidfile is not needed any more.
    std::fs::remove_file(dir.path().join("pid")).unwrap();
    ask.identity = Some(sleep.identity());
    assert_eq!(world.ask(ask.clone()).found, Found::Process(sleep.identity()));
    sleep.end();
    let sample = world.ask(ask.clone());
    assert_eq!(sample.found, Found::Nobody);
    assert_eq!(reading(&ask, &sample, "down"), Reading::Flag(true));
    assert_eq!(reading(&ask, &sample, "count"), Reading::Number(0.0));
    for name in ["pid", "uptime", "cpu", "memory", "fds", "memory.total"] {
        assert_eq!(reading(&ask, &sample, name), Reading::Absent, "{name}");
    }
    assert!(sample.note.as_deref().unwrap().starts_with("there is no /"), "{sample:?}");
    assert!(world.is_silent());
}

#[test]
fn a_dead_one_is_replaced_by_its_successor_in_one_answer() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (Program::start("sleep", &["60"]), Program::start("sleep", &["60"]));
    let mut world = World::new();
    let mut ask = question(1, "process", &pidfile(dir.path(), new.pid()), &[]);
    ask.identity = Some(old.identity());
    assert_eq!(world.ask(ask.clone()).found, Found::Process(old.identity()));
    old.end();
    assert_eq!(world.ask(ask).found, Found::Process(new.identity()));
}

#[test]
fn a_pid_that_was_given_away_again_is_someone_else() {
    let dir = tempfile::tempdir().unwrap();
    let sleep = Program::start("sleep", &["60"]);
    let mut world = World::new();
    let mut ask = question(1, "process", &format!("pidfile: {}/none", dir.path().display()), &[]);
    ask.identity = Some(Identity { start: sleep.identity().start - 1, ..sleep.identity() });
    assert_eq!(world.ask(ask).found, Found::Nobody);
}

#[test]
fn a_zombie_is_down() {
    let dir = tempfile::tempdir().unwrap();
    // A shell that replaces itself by `sleep` never waits for its child.
    let parent = Program::start("sh", &["-c", "sleep 0.01 & exec sleep 60"]);
    let is_zombie = |stat: &proc::Stat| stat.ppid == parent.pid() && stat.state == b'Z';
    let mut zombie = None;
    until("there is a zombie", || {
        zombie = super::select::scan().unwrap().into_iter().find(is_zombie);
        zombie.is_some()
    });
    let zombie = zombie.unwrap();
    let mut world = World::new();
    let mut ask = question(1, "process", &pidfile(dir.path(), zombie.pid), &[]);
    ask.identity = Some(super::select::identity(&zombie));
    let sample = world.ask(ask.clone());
    assert_eq!((sample.found.clone(), reading(&ask, &sample, "down")), (Found::Nobody, Reading::Flag(true)));
    assert!(sample.note.as_deref().unwrap().contains("its parent has not taken note of it"), "{sample:?}");
}

#[test]
fn processor_time_is_what_was_used_between_two_looks() {
    let busy = Program::start("sh", &["-c", "while :; do :; done"]);
    let idle = Program::start("sleep", &["60"]);
    let mut world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let mut asks = [(1, &busy), (2, &idle)].map(|(check, program)| {
        let ask = question(check, "process", &pidfile(dir.path(), program.pid()), &["cpu", "cpu.total", "children"]);
        Question { identity: Some(program.identity()), ..ask }
    });
    asks.iter().for_each(|ask| drop(world.ask(ask.clone())));
    until("the busy one is seen to be busy", || {
        let [busy, idle] = asks.each_mut().map(|ask| world.ask(ask.clone()));
        assert!(number(&asks[0], &busy, "threads") == 1.0);
        let cpu = |ask, sample: &Sample, name: &str| reading(ask, sample, name).number();
        for name in ["cpu", "cpu.total"] {
            let (Some(busy), Some(idle)) = (cpu(&asks[0], &busy, name), cpu(&asks[1], &idle, name)) else {
                return false;
            };
            assert!(idle <= 10.0 && busy <= 150.0, "{name}: {busy} {idle}");
            if busy < 5.0 {
                return false;
            }
        }
        true
    });
}

#[test]
fn files_io_swap_and_descendants_are_looked_up_when_wanted() {
    let parent = Program::start("sh", &["-c", "sleep 60 & sleep 60 & exec 7</dev/null; wait"]);
    let children = || super::select::scan().unwrap().into_iter().filter(|s| s.ppid == parent.pid()).collect::<Vec<_>>();
    until("both children are there", || children().iter().filter(|s| s.comm.as_bytes() == b"sleep").count() == 2);
    until("the file is open", || proc::path(parent.pid(), "fd/7").exists());
    let mut world = World::new();
    let wanted = ["swap", "children", "fds", "read", "write", "memory.total"];
    let dir = tempfile::tempdir().unwrap();
    let ask = question(1, "process", &pidfile(dir.path(), parent.pid()), &wanted);
    let first = world.ask(ask.clone());
    assert_eq!(number(&ask, &first, "children"), 2.0);
    assert_eq!(number(&ask, &first, "fds"), proc::open_files(parent.pid()).unwrap() as f64);
    assert!(number(&ask, &first, "memory.total") > 2.0 * number(&ask, &first, "memory"));
    assert_eq!(number(&ask, &first, "swap"), 0.0);
    assert_eq!(reading(&ask, &first, "write"), Reading::Unknown, "the first look has no rate");
    let ask = Question { identity: Some(parent.identity()), ..ask };
    until("there is a rate", || reading(&ask, &world.ask(ask.clone()), "write") == Reading::Number(0.0));
}

#[test]
fn several_processes_are_summed_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let many: Vec<Program> = (0..3).map(|_| Program::sleeper(dir.path(), "three (of) us")).collect();
    let mut world = World::new();
    let mut ask = question(1, "process", "name: three (of) us", &["count", "fds"]);
    let mut sample = None;
    until("all three run", || {
        let seen = world.ask(ask.clone());
        let all = reading(&ask, &seen, "count") == Reading::Number(3.0);
        sample = Some(seen);
        all
    });
    let sample = sample.unwrap();
    let oldest = many.iter().map(Program::identity).min_by_key(|id| (id.start, id.pid)).unwrap();
    assert_eq!(sample.found, Found::Process(oldest));
    assert_eq!(number(&ask, &sample, "threads"), 3.0);
    let each: u64 = many.iter().map(|one| proc::open_files(one.pid()).unwrap()).sum();
    assert_eq!(number(&ask, &sample, "fds"), each as f64);
    ask.identity = Some(oldest);
    let (main, rest): (Vec<_>, Vec<_>) = many.into_iter().partition(|one| one.identity() == oldest);
    let mut rest = rest.into_iter();
    rest.next().unwrap().end();
    let sample = world.ask(ask.clone());
    assert_eq!((number(&ask, &sample, "count"), &sample.found), (2.0, &Found::Process(oldest)));
    main.into_iter().for_each(Program::end);
    let last = rest.next().unwrap();
    let sample = world.ask(ask.clone());
    assert_eq!((number(&ask, &sample, "count"), &sample.found), (1.0, &Found::Process(last.identity())));
    last.end();
    let sample = world.ask(ask);
    assert_eq!((sample.found.clone(), sample.note.as_deref()), (Found::Nobody, Some("no such process runs")));
}

#[test]
fn a_thousand_questions_have_a_thousand_answers() {
    let mut world = World::new();
    let sleep = Program::start("sleep", &["60"]);
    let dir = tempfile::tempdir().unwrap();
    let keys = pidfile(dir.path(), sleep.pid());
    let first = question(0, "process", &keys, &[]);
    let ask = |check, identity| Question { check: CheckId(check), identity, urgent: check == 999, ..first.clone() };
    for identity in [None, Some(sleep.identity())] {
        world.probes.ask((0..1000).map(|check| ask(check, identity)).collect());
        for check in 0..1000 {
            assert_eq!(world.answer(CheckId(check)).found, Found::Process(sleep.identity()));
        }
        assert!(world.is_silent());
    }
    (0..1000).for_each(|check| world.probes.forget(CheckId(check)));
}

#[test]
fn what_hangs_is_answered_in_time() {
    // Nothing can be made to hang without a broken mount. A question that has no time takes the same way.
    let mut world = World::new();
    let mut ask = question(1, "process", "name: no such process", &[]);
    ask.timeout = Duration::ZERO;
    let sample = world.ask(ask);
    assert_eq!((&sample.found, sample.note.as_deref()), (&Found::Unasked, Some("no answer within 0s")));
    assert!(sample.readings.is_empty());
    assert!(world.is_silent());
}

#[test]
fn a_file_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let mut world = World::new();
    let all = ["missing", "size", "age", "mode", "owner", "group", "checksum", "grew", "lines"];
    let ask = question(1, "file", &format!("path: {}", path.display()), &all);
    let sample = world.ask(ask.clone());
    assert_eq!(reading(&ask, &sample, "missing"), Reading::Flag(true));
    assert_eq!(reading(&ask, &sample, "size"), Reading::Absent);
    std::fs::write(&path, "abc\nx").unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o4640)).unwrap();
    let sample = world.ask(ask.clone());
    assert_eq!(reading(&ask, &sample, "missing"), Reading::Flag(false));
    assert_eq!(reading(&ask, &sample, "size"), Reading::Number(5.0));
    assert_eq!(reading(&ask, &sample, "mode"), Reading::Text("4640".into()));
    assert_eq!(reading(&ask, &sample, "lines"), Reading::Number(1.0));
    let owner = crate::sys::accounts::name_of_user(rustix::process::geteuid().as_raw());
    assert_eq!(reading(&ask, &sample, "owner"), Reading::Text(owner.into()));
    assert!(number(&ask, &sample, "age") < 60.0);
    // sha256sum of the same bytes.
    let before = reading(&ask, &sample, "checksum");
    assert_eq!(before, Reading::Text("21a96cbdde114711e46674735d9fa899ec35ab318bbb843a8a561d0334d10558".into()));
    std::fs::write(&path, "abd\ny").unwrap();
    assert_ne!(reading(&ask, &world.ask(ask.clone()), "checksum"), before, "same size, same second");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let sample = world.ask(ask.clone());
    assert_eq!(reading(&ask, &sample, "missing"), Reading::Flag(false));
    assert_eq!(reading(&ask, &sample, "checksum"), Reading::Unknown);
    assert!(sample.note.as_deref().unwrap().ends_with("not a regular file"), "{sample:?}");
}

#[test]
fn looks_that_were_given_up_leave_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new();
    let mut ask = question(1, "file", &format!("path: {}", dir.path().display()), &[]);
    ask.timeout = Duration::ZERO;
    world.probes.ask((0..100).map(|_| ask.clone()).collect());
    for _ in 0..100 {
        world.answer(CheckId(1));
    }
    ask.timeout = Duration::from_secs(5);
    until("the state is back", || reading(&ask, &world.ask(ask.clone()), "missing") == Reading::Flag(false));
}

#[test]
fn this_machine_is_asked() {
    let mut world = World::new();
    let ask = question(1, "system", "{}", &["cpu", "memory"]);
    let sample = world.ask(ask.clone());
    assert!(matches!(reading(&ask, &sample, "memory"), Reading::Part { .. }));
    until("there is an interval", || reading(&ask, &world.ask(ask.clone()), "cpu").number().is_some());
}
