use super::*;
use crate::control::testing::Service;
use crate::model::{Exit, Phase};
use crate::sys::proc;
use crate::sys::testing::{Script, kill, until};
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

fn listen() -> (Listen, UnboundedReceiver<Input>) {
    let (tx, rx) = unbounded_channel();
    (Listen::start(tx, "/nonexistent/notify".into(), GivenUp::default()).unwrap(), rx)
}

/// The next input, if one comes in this time.
fn within(rx: &mut UnboundedReceiver<Input>, time: Duration) -> Option<Input> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(time, rx.recv()).await.ok().flatten() })
}

const PATIENCE: Duration = Duration::from_secs(10);
/// Long enough for the thread to have done all that it would.
const QUIET: Duration = Duration::from_millis(100);

fn exited(rx: &mut UnboundedReceiver<Input>) -> (Identity, Option<Exit>) {
    match within(rx, PATIENCE) {
        Some(Input::Exited { identity, how }) => (identity, how),
        other => panic!("{other:?}"),
    }
}

/// Returns when all requests so far have been met: one more, about a process that is no more, is answered at once.
fn settled(listen: &Listen, rx: &mut UnboundedReceiver<Input>) {
    let nobody = Identity { pid: 4_194_304, start: 1 };
    listen.watch(nobody);
    assert_eq!(exited(rx), (nobody, None));
}

fn identity(pid: u32) -> Identity {
    Identity { pid, start: proc::stat(pid).unwrap().start }
}

/// The parent takes note: the end of a process that is not ours is told with its cause; perhaps without it before.
#[test]
fn the_end_of_others_is_told_with_its_cause() {
    let (listen, mut rx) = listen();
    let wait = "while kill -0 $! 2>/dev/null; do wait $!; done; sleep 4711";
    for (script, signal, how) in [
        ("sleep 4711", Signal::KILL, Exit::Signal { number: 9, core: false }),
        ("sh -c 'trap \"exit 7\" TERM; echo ready; while :; do sleep 0.01; done'", Signal::TERM, Exit::Code(7)),
    ] {
        let ready = if script.contains("ready") { "" } else { "echo ready;" };
        let mut parent = Script::start(&format!("{ready} {script} & echo $!; {wait}"));
        let (one, two) = (parent.line(), parent.line());
        let watched = identity(one.parse().or(two.parse()).unwrap());
        listen.watch(watched);
        listen.watch(watched);
        settled(&listen, &mut rx);
        kill(watched.pid, signal);
        let mut told = exited(&mut rx);
        if told == (watched, None) {
            told = exited(&mut rx);
        }
        assert_eq!(told, (watched, Some(how)));
        assert!(within(&mut rx, QUIET).is_none(), "told twice");
    }
}

/// As on kernels before 6.15. A code of 0 is not believed of a zombie, so only an announcement can tell it.
#[test]
fn where_pidfds_do_not_know_how_it_ended_it_is_announced() {
    if let Err(e) = crate::sys::exits::ProcessExits::listen() {
        return eprintln!("not tried: {e}");
    }
    let (tx, mut rx) = unbounded_channel();
    let listen =
        Listen::start_with(tx, "/nonexistent".into(), GivenUp::default(), Sources { pidfds: false, log: false })
            .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let go = dir.path().join("go");
    for status in [0, 7] {
        let _ = fs::remove_file(&go);
        let script = format!(
            "sh -c 'until test -e {}; do sleep 0.01; done; exit {status}' & echo $!; wait; sleep 4711",
            go.display()
        );
        let mut parent = Script::start(&script);
        let watched = identity(parent.pid());
        listen.watch(watched);
        settled(&listen, &mut rx);
        fs::write(&go, "").unwrap();
        let mut told = exited(&mut rx);
        if told == (watched, None) {
            told = exited(&mut rx);
        }
        assert_eq!(told, (watched, Some(Exit::Code(status))));
        assert!(within(&mut rx, QUIET).is_none(), "told twice");
    }
}

/// A control group of the test's own, with 16 MB.
struct Group(PathBuf);

impl Group {
    fn new() -> io::Result<Group> {
        let all = std::path::Path::new("/sys/fs/cgroup");
        let unified = all.join("cgroup.controllers").exists();
        let (top, limit) = if unified { ("", "memory.max") } else { ("memory", "memory.limit_in_bytes") };
        let group = Group(all.join(top).join(format!("minder-test-listen-{}", std::process::id())));
        fs::create_dir(&group.0)?;
        fs::write(group.0.join(limit), "16777216")?;
        Ok(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        crate::sys::testing::until("the group is empty", || fs::remove_dir(&self.0).is_ok());
    }
}

#[test]
fn who_was_killed_for_memory_is_known_from_the_log_or_from_the_control_group() {
    let group = match Group::new() {
        Ok(group) => group,
        Err(e) => return eprintln!("not tried: no control group with a limit of memory can be made here: {e}"),
    };
    let dir = tempfile::tempdir().unwrap();
    let go = dir.path().join("go");
    for log in [true, false] {
        let (tx, mut rx) = unbounded_channel();
        let listen =
            Listen::start_with(tx, "/nonexistent".into(), GivenUp::default(), Sources { pidfds: true, log }).unwrap();
        for eats in [true, false] {
            let _ = fs::remove_file(&go);
            let end = if eats { "exec tail /dev/zero" } else { "kill -KILL $$" };
            let script = format!(
                "sh -c 'echo $$ >{}/cgroup.procs; until test -e {}; do sleep 0.01; done; {end}' & echo $!; wait; sleep 4711",
                group.0.display(),
                go.display()
            );
            let mut parent = Script::start(&script);
            let watched = identity(parent.pid());
            let name = format!("/{}", group.0.file_name().unwrap().to_str().unwrap());
            let inside = || fs::read_to_string(proc::path(watched.pid, "cgroup")).unwrap().contains(&name);
            crate::sys::testing::until("it is in the group", inside);
            listen.watch(watched);
            settled(&listen, &mut rx);
            fs::write(&go, "").unwrap();
            let mut told = exited(&mut rx);
            if told == (watched, None) {
                told = exited(&mut rx);
            }
            let how = if eats { Exit::Memory } else { Exit::Signal { number: 9, core: false } };
            assert_eq!(told, (watched, Some(how)), "log: {log}");
        }
    }
}

#[test]
fn a_zombie_is_not_waited_for() {
    let (listen, mut rx) = listen();
    // `read` keeps the shell from taking note of its child until it has a line.
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    let mut parent = Script::start(&format!(
        "mkfifo {0}; sh -c 'sleep 4711 & echo $!; exec python3 -c \"open(\\\"{0}\\\").read(); import os; os.wait(); open(\\\"{0}\\\").read()\"'",
        fifo.display()
    ));
    let watched = identity(parent.pid());
    listen.watch(watched);
    settled(&listen, &mut rx);
    kill(watched.pid, Signal::KILL);
    let killed = Some(Exit::Signal { number: 9, core: false });
    assert_eq!(exited(&mut rx), (watched, killed), "the zombie itself says how it died");
    fs::write(&fifo, "take note").unwrap();
    assert!(within(&mut rx, QUIET).is_none(), "told twice");
    // By now it is gone, and watching it says so.
    listen.watch(watched);
    assert_eq!(exited(&mut rx), (watched, None));
}

#[test]
fn what_is_no_longer_of_interest_is_not_told() {
    let (listen, mut rx) = listen();
    let mut parent = Script::start("sleep 4711 & echo $!; wait");
    let watched = identity(parent.pid());
    listen.watch(watched);
    listen.unwatch(watched);
    let other = identity(parent.own_pid());
    listen.watch(other);
    settled(&listen, &mut rx);
    kill(watched.pid, Signal::KILL);
    assert_eq!(exited(&mut rx).0, other, "the parent ends after it");
}

fn touched(rx: &mut UnboundedReceiver<Input>) -> CheckId {
    match within(rx, PATIENCE) {
        Some(Input::Touched(check)) => check,
        other => panic!("{other:?}"),
    }
}

/// Takes what else comes of a change.
fn calm(rx: &mut UnboundedReceiver<Input>) {
    while within(rx, QUIET).is_some() {}
}

#[test]
fn changes_of_files_are_told_through_renames_and_removals() {
    let (listen, mut rx) = listen();
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("a/b");
    let (file, other) = (run.join("web.pid"), run.join("other"));
    let check = CheckId(3);
    // Not even its directory is there.
    listen.watch_path(check, file.clone());
    assert!(within(&mut rx, QUIET).is_none());
    fs::create_dir_all(&run).unwrap();
    assert_eq!(touched(&mut rx), check, "its directory has come");
    calm(&mut rx);

    fs::write(&file, "1").unwrap();
    assert_eq!(touched(&mut rx), check);
    calm(&mut rx);
    fs::write(&other, "1").unwrap();
    assert!(within(&mut rx, QUIET).is_none(), "that was another file");
    fs::rename(&other, &file).unwrap();
    assert_eq!(touched(&mut rx), check);
    calm(&mut rx);
    fs::remove_file(&file).unwrap();
    assert_eq!(touched(&mut rx), check);
    calm(&mut rx);

    fs::remove_dir_all(dir.path().join("a")).unwrap();
    assert_eq!(touched(&mut rx), check);
    calm(&mut rx);
    fs::create_dir_all(&run).unwrap();
    assert_eq!(touched(&mut rx), check);
    calm(&mut rx);
    fs::rename(&run, dir.path().join("a/c")).unwrap();
    assert_eq!(touched(&mut rx), check);
    calm(&mut rx);
    fs::create_dir(&run).unwrap();
    assert_eq!(touched(&mut rx), check);
    calm(&mut rx);
    fs::write(&file, "2").unwrap();
    assert_eq!(touched(&mut rx), check);
    calm(&mut rx);
    listen.forget(check);
    settled(&listen, &mut rx);
    fs::write(&file, "3").unwrap();
    assert!(within(&mut rx, QUIET).is_none());
}

#[test]
fn a_burst_is_told_at_its_begin_and_its_end() {
    let (listen, mut rx) = listen();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f");
    fs::write(&file, "").unwrap();
    let checks = [CheckId(1), CheckId(2)];
    for check in checks {
        listen.watch_path(check, file.clone());
    }
    calm(&mut rx);
    let clock = || rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let began = clock();
    for _ in 0..200 {
        fs::write(&file, "x").unwrap();
    }
    let took = Duration::try_from(clock() - began).unwrap();
    let mut told = 0;
    while within(&mut rx, QUIET).is_some() {
        told += 1;
    }
    let bursts = took.as_millis() / 20 + 2;
    assert!(told >= 4 && told <= 2 * bursts, "{told} times in {took:?}");
}

#[test]
fn hundreds_are_watched_at_once() {
    let (listen, mut rx) = listen();
    crate::sys::limits::raise_open_files();
    let mut parent = Script::start("for i in $(seq 300); do sleep 4711 & done; echo all; wait");
    parent.line();
    let ours = parent.own_pid();
    let children = proc::find(|stat| stat.session == ours && stat.pid != ours).unwrap();
    assert_eq!(children.len(), 300);
    for child in &children {
        listen.watch(Identity { pid: child.pid, start: child.start });
    }
    settled(&listen, &mut rx);
    for child in &children {
        kill(child.pid, Signal::TERM);
    }
    let mut open: std::collections::HashSet<u32> = children.iter().map(|child| child.pid).collect();
    while !open.is_empty() {
        if let (identity, Some(how)) = exited(&mut rx) {
            assert_eq!(how, Exit::Signal { number: 15, core: false });
            open.remove(&identity.pid);
        }
    }
}

/// Run by the next test as a process of its own, since the limit is the process's.
#[test]
fn watches_at_the_limit() {
    if std::env::var_os("MINDER_TEST_LIMIT").is_none() {
        return;
    }
    let limit = rustix::process::Rlimit { current: Some(40), maximum: Some(40) };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    let (listen, mut rx) = listen();
    let _others: Vec<_> = (0..24).map(|_| fs::File::open("/dev/null").unwrap()).collect();
    for _ in 0..2 {
        listen.watch(identity(1));
    }
    match within(&mut rx, PATIENCE) {
        Some(Input::Noted(words)) => assert_eq!(&*words, "exits are noticed by polling: too many files are open"),
        other => panic!("{other:?}"),
    }
    settled(&listen, &mut rx);
    assert!(fs::File::open("/dev/null").is_ok(), "there is room to act");
}

#[test]
fn at_the_limit_of_open_files_it_says_so_once_and_leaves_room() {
    let us = std::env::current_exe().unwrap();
    let script = format!(
        "MINDER_TEST_LIMIT=1 {} --exact listen::tests::watches_at_the_limit 2>&1; echo status $?",
        us.display()
    );
    let mut child = Script::start(&script);
    let lines: Vec<String> =
        std::iter::from_fn(|| Some(child.line())).take_while(|l| l != "status 0").take(200).collect();
    assert!(lines.len() < 100, "{}", lines.join("\n"));
}

/// The events of this check, as long as they come soon after one another.
fn news(rx: &mut UnboundedReceiver<Input>) -> Vec<CheckId> {
    let mut told = vec![touched(rx)];
    while let Some(input) = within(rx, QUIET) {
        match input {
            Input::Touched(check) => told.push(check),
            other => panic!("{other:?}"),
        }
    }
    told
}

fn control(program: &str, service: &std::path::Path) -> ControlSpec {
    let name = match program {
        "runsv" => "runit",
        "s6-supervise" => "s6",
        _ => "daemontools",
    };
    let keys = serde_json::json!({ "service": service });
    ControlSpec::read(name, keys).unwrap().unwrap()
}

/// A change of state is told at once, and so is the end of the supervisor itself, of which no file says anything.
#[test]
fn supervisors_are_heard() {
    for program in ["runsv", "s6-supervise", "supervise"] {
        let (listen, mut rx) = listen();
        let mut service = Service::unsupervised(program, &[("run", "exec sleep 4711")]);
        let check = CheckId(5);
        // Before there is anything of a supervisor.
        listen.watch_control(check, control(program, service.path()));
        settled(&listen, &mut rx);
        service.supervise();
        let up = service.until(Phase::Running);
        assert!(news(&mut rx).iter().all(|told| *told == check));
        kill(up.process.unwrap().pid, Signal::KILL);
        assert_eq!(touched(&mut rx), check, "{program}");
        until("it is another one", || service.state().process.is_some_and(|p| Some(p) != up.process));
        calm(&mut rx);
        for _ in 0..2 {
            let left = service.state().process.unwrap();
            kill(service.supervisor.as_ref().unwrap().own_pid(), Signal::KILL);
            assert_eq!(touched(&mut rx), check, "the end of {program}");
            calm(&mut rx);
            kill(left.pid, Signal::KILL);
            service.supervise();
            assert_eq!(touched(&mut rx), check, "another {program}");
            service.until(Phase::Running);
            calm(&mut rx);
        }
        listen.forget(check);
        settled(&listen, &mut rx);
        service.order(b'd');
        service.until(Phase::Down);
        assert!(within(&mut rx, QUIET).is_none(), "{program}");
    }
}

/// The files in a directory of events.
fn fifos(service: &Service) -> Vec<String> {
    let entries = fs::read_dir(service.path().join("event")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn what_s6_gives_up_is_heard_though_its_status_does_not_say_it() {
    let (tx, mut rx) = unbounded_channel();
    let files = [("run", "test -e good && exec sleep 4711; exit 3"), ("finish", "sleep 0.2; exit 125"), ("down", "")];
    let service = Service::new("s6-supervise", &files);
    let listen = Listen::start(tx, "/nonexistent/notify".into(), service.given_up.clone()).unwrap();
    listen.watch_control(CheckId(5), control("s6-supervise", service.path()));
    settled(&listen, &mut rx);
    let [fifo] = &fifos(&service)[..] else { panic!("{:?}", fifos(&service)) };
    assert!(fifo.len() == 39 && fifo.starts_with("ftrig1:@") && fifo.ends_with(":minder"), "{fifo}");
    service.order(b'u');
    until("it is given up", || service.state().failed);
    assert_eq!((service.state().wanted, service.state().phase), (Some(true), Phase::Down));
    fs::write(service.path().join("good"), "").unwrap();
    service.order(b'u');
    service.until(Phase::Running);
    service.order(b'd');
    service.until(Phase::Down);
    // Its finish script says so now as well, but it was an operator who took it down.
    calm(&mut rx);
    assert_eq!((service.state().failed, service.state().wanted), (false, Some(false)));
    drop(listen);
    assert_eq!(fifos(&service), [""; 0], "nothing is left");
}

#[test]
fn fifos_of_a_minder_that_was_killed_are_removed_and_no_others() {
    let (listen, mut rx) = listen();
    // It is down: a start would be an event, for which s6 itself removes FIFOs without a reader.
    let service = Service::new("s6-supervise", &[("run", "exec sleep 4711"), ("down", "")]);
    let event = service.path().join("event");
    let make = |name: &str| {
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, event.join(name), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    };
    let (left, hidden) = (format!("ftrig1:@{:024x}:minder", 1), format!(".ftrig1:@{:024x}:minder", 2));
    let (others, alive) = (format!(".ftrig1:@{:024x}:aBcDeF", 3), format!("ftrig1:@{:024x}:minder", 4));
    for name in [&left, &hidden, &others, &alive] {
        make(name);
    }
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NONBLOCK;
    let _reader = rustix::fs::open(event.join(&alive), flags, rustix::fs::Mode::empty()).unwrap();
    listen.watch_control(CheckId(1), control("s6-supervise", service.path()));
    settled(&listen, &mut rx);
    let now = fifos(&service);
    assert!(now.contains(&others) && now.contains(&alive), "{now:?}");
    assert!(!now.contains(&left) && !now.contains(&hidden) && now.len() == 3, "{now:?}");
    // Nobody but the user of the supervisor may write into ours.
    let ours = now.iter().find(|name| **name != others && **name != alive).unwrap();
    assert_eq!(fs::metadata(event.join(ours)).unwrap().permissions().mode() & 0o777, 0o600);
}

/// Where no FIFO can be made the status file still tells.
#[test]
fn a_directory_of_events_that_is_in_trouble_is_said_once() {
    let (listen, mut rx) = listen();
    let services = [0, 1].map(|_| Service::new("s6-supervise", &[("run", "exec sleep 4711")]));
    for (number, service) in services.iter().enumerate() {
        service.until(Phase::Running);
        let event = service.path().join("event");
        fs::remove_dir_all(&event).unwrap();
        // Root may do anything, but not make a file in a directory of the kernel's.
        std::os::unix::fs::symlink("/sys", &event).unwrap();
        listen.watch_control(CheckId(number as u32), control("s6-supervise", service.path()));
    }
    match within(&mut rx, PATIENCE) {
        Some(Input::Noted(words)) => assert!(words.starts_with("not all that supervisors tell is heard"), "{words}"),
        other => panic!("{other:?}"),
    }
    settled(&listen, &mut rx);
    services[1].order(b'd');
    assert_eq!(news(&mut rx)[0], CheckId(1));
}

/// daemontools-encore does so.
#[test]
fn a_status_that_is_written_over_is_told() {
    let (listen, mut rx) = listen();
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("supervise")).unwrap();
    let status = fs::File::create(dir.path().join("supervise/status")).unwrap();
    // Another interest in the same directory must not take it away.
    listen.watch_control(CheckId(1), control("supervise", dir.path()));
    listen.watch_path(CheckId(2), dir.path().join("supervise/other"));
    settled(&listen, &mut rx);
    std::os::unix::fs::FileExt::write_all_at(&status, &[0; 20], 0).unwrap();
    assert_eq!(news(&mut rx)[0], CheckId(1));
}
