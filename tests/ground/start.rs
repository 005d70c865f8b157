//! Surroundings that minder is started in, and that fail it there.

use super::support::{Fuse, Minder, process_exists, signal, stays, wait_for, wait_until};
use super::{SOON, script};
use std::process::{Command, Stdio};
use std::time::Duration;

/// `app`, restarted when it is down, and `gone`, a file.
fn plan(minder: &Minder) {
    let dir = minder.dir().display();
    let start = script(&minder.dir().join("start"), &format!("echo $$ > {dir}/app.pid; exec sleep 100000"));
    minder.write(&format!(
        "services:\n  app:\n    settle: 200ms\n    grace: 200ms\n    restart: {{ limit: 100 in 1h, delay: 100ms..100ms }}\n    \
         control: {{ command: {{ start: [{start}] }} }}\n    checks:\n      - process: {{ pidfile: {dir}/app.pid }}\n        \
         every: 200ms\n    rules:\n      - process.down -> restart\n  gone:\n    checks:\n      - file: {dir}/there\n        every: 200ms\n"
    ));
    std::fs::write(minder.dir().join("there"), "").unwrap();
}

fn up(minder: &Minder) -> u32 {
    wait_for(|| "app runs".into(), SOON, || minder.watched("app").filter(|pid| process_exists(*pid)))
}

fn works(minder: &Minder) {
    let old = up(minder);
    signal(old, "KILL");
    minder.wait_replaced("app", old, SOON);
    std::fs::remove_file(minder.dir().join("there")).unwrap();
    minder.wait_status("gone", "warning", SOON);
    std::fs::write(minder.dir().join("there"), "").unwrap();
    minder.wait_status("gone", "ok", SOON);
}

/// A line of Python that sets the surroundings up, and then becomes minder.
fn python(line: &str) -> Vec<String> {
    ["python3", "-c", &format!("import os, sys\n{line}\nos.execvp(sys.argv[1], sys.argv[1:])")].map(String::from).into()
}

#[test]
fn without_standard_streams_it_works_and_gives_its_children_theirs() {
    let mut minder = Minder::new();
    minder.under = python("for fd in (0, 1, 2): os.close(fd)");
    plan(&minder);
    minder.start();
    works(&minder);
    let app = up(&minder);
    let target = |fd: u32| std::fs::read_link(format!("/proc/{app}/fd/{fd}")).unwrap().display().to_string();
    assert_eq!(target(0), "/dev/null");
    assert!(target(1).ends_with("app.log"), "{}", target(1));
    minder.signal("TERM");
    minder.wait_end(Duration::from_secs(5));
}

/// As under a log program that has died, or a pager that was left.
#[test]
fn a_log_that_nobody_takes_ends_nothing() {
    let mut minder = Minder::new();
    minder.under = python("r, w = os.pipe(); os.dup2(w, 1); os.dup2(w, 2); os.close(r); os.close(w)");
    plan(&minder);
    minder.start();
    works(&minder);
    minder.signal("PIPE");
    works(&minder);
    minder.signal("TERM");
    minder.wait_end(Duration::from_secs(5));
}

/// Its reader hangs: the pipe is full.
#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let mut minder = Minder::new();
    // The reading end lives on in a child that sleeps; it ends with the test, since it is in its directory.
    let hang = format!(
        "r, w = os.pipe()\nif os.fork() == 0:\n    os.close(w)\n    os.execvp('tail', ['tail', '-f', '{0}/keep'])\n\
        os.set_blocking(w, False)\ntry:\n    while True: os.write(w, b'x' * 4096)\nexcept BlockingIOError: pass\n\
        os.set_blocking(w, True)\nos.dup2(w, 1); os.dup2(w, 2); os.close(r); os.close(w)",
        minder.dir().display()
    );
    std::fs::write(minder.dir().join("keep"), "").unwrap();
    minder.under = python(&hang);
    plan(&minder);
    minder.start();
    works(&minder);
    works(&minder);
    minder.signal("TERM");
    minder.wait_end(Duration::from_secs(6));
}

#[test]
fn with_little_memory_it_works() {
    let mut minder = Minder::new();
    minder.under = ["prlimit", "--as=100000000"].map(String::from).into();
    plan(&minder);
    minder.start();
    works(&minder);
    minder.page("/");
    works(&minder);
}

#[test]
fn with_next_to_no_memory_it_says_so_or_works() {
    let mut tried = 0;
    for megabytes in [32, 40, 48, 56, 64, 72, 80] {
        // Below this the system's loader has no room for the program, which is larger here than as it is shipped.
        let mut begins = Command::new("prlimit");
        begins.args([&format!("--as={}", megabytes << 20), env!("CARGO_BIN_EXE_minder"), "--version"]);
        if !begins.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success() {
            continue;
        }
        tried += 1;
        let mut minder = Minder::new();
        plan(&minder);
        minder.under = ["prlimit", &format!("--as={}", megabytes << 20)].map(String::from).into();
        let output = minder.daemon_command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let pid = output.id();
        let ended = std::thread::spawn(move || output.wait_with_output().unwrap());
        wait_until("it works or ends", SOON, || ended.is_finished() || minder.status().is_some());
        if process_exists(pid) {
            signal(pid, "TERM");
        }
        let ended = ended.join().unwrap();
        let said = String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned();
        assert!(ended.status.success() || !said.trim().is_empty(), "{megabytes} MB: {:?} in silence", ended.status);
    }
    assert!(tried >= 3, "{tried}");
}

#[test]
fn a_full_run_directory_costs_the_command_line_only() {
    let mut minder = Minder::new();
    plan(&minder);
    let run = minder.dir().join("run");
    std::fs::create_dir(&run).unwrap();
    let at = run.display().to_string();
    // Room for two files, and there are two.
    let line = format!("mount -t tmpfs -o nr_inodes=3,mode=700 tmpfs {at} && touch {at}/1 {at}/2 && exec \"$@\"");
    minder.under = ["unshare", "-m", "sh", "-c", &line, "sh"].map(String::from).into();
    minder.socket = run.join("minder.sock");
    minder.start_blind();
    // It answers nobody, and works.
    let pid = || std::fs::read_to_string(minder.dir().join("app.pid")).ok()?.trim().parse::<u32>().ok();
    let old = wait_for(|| "app is started".into(), SOON, || pid().filter(|pid| process_exists(*pid)));
    wait_until("its page is there", SOON, || std::net::TcpStream::connect(("127.0.0.1", minder.port)).is_ok());
    wait_until("and has it", SOON, || minder.page("/").contains("app"));
    signal(old, "KILL");
    wait_until("it is started again", SOON, || pid().is_some_and(|pid| pid != old && process_exists(pid)));
    assert!(minder.log().contains("No space left"), "{}", minder.log());
    // As soon as there is room, it can be asked.
    let inside = format!("/proc/{}/root{at}", minder.pid());
    std::fs::remove_file(format!("{inside}/1")).unwrap();
    wait_until("the socket is there", SOON, || std::path::Path::new(&format!("{inside}/minder.sock")).exists());
}

#[test]
fn a_socket_may_be_named_without_a_directory() {
    let minder = Minder::new();
    plan(&minder);
    let mut daemon = minder.command(&["run"]);
    daemon.arg(minder.rules()).args(["--state", "state", "--socket", "s.sock"]).current_dir(minder.dir());
    let mut daemon = daemon.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let asked =
        || minder.command(&["status", "--socket", "s.sock"]).current_dir(minder.dir()).output().unwrap().status.code();
    wait_until("it answers there", SOON, || matches!(asked(), Some(0 | 1)));
    signal(daemon.id(), "TERM");
    assert!(daemon.wait().unwrap().success());
}

/// Somebody looks at it with `sqlite3`, has begun to write, and has gone for lunch.
#[test]
fn a_state_that_somebody_else_has_locked_is_read_and_written_later() {
    let mut minder = Minder::new();
    plan(&minder);
    minder.start();
    up(&minder);
    minder.ok(&["stop", "app"]);
    minder.kill();
    let mut other = Command::new("sqlite3");
    let mut other =
        other.arg(minder.state().join("state.db")).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    use std::io::{BufRead, BufReader, Write};
    let mut pipe = other.stdin.take().unwrap();
    writeln!(pipe, "BEGIN IMMEDIATE;\nSELECT 'locked';").unwrap();
    let mut line = String::new();
    BufReader::new(other.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "locked\n");
    // Nor is there a place in memory to copy it to.
    let line = "mount -t tmpfs -o ro tmpfs /dev/shm && exec \"$@\"";
    minder.under = ["unshare", "-m", "sh", "-c", line, "sh"].map(String::from).into();
    minder.start();
    minder.wait_status("app", "stopped", SOON);
    let said = || minder.any(&["status"]);
    assert!(said().contains("locked"), "{}", said());
    minder.ok(&["start", "app"]);
    drop(pipe);
    other.wait().unwrap();
    wait_until("it is written, and no longer said not to be", SOON, || !said().contains("locked"));
    minder.kill();
    minder.start();
    minder.wait_status("app", "ok", SOON);
}

/// The exec of a program on a dead mount hangs for ever, and outlives minder. It must not have minder's lock and doors.
#[test]
fn a_start_that_hangs_in_the_kernel_keeps_nothing_of_minders() {
    let mut fuse = Fuse::mount();
    let mut minder = Minder::new();
    plan(&minder);
    minder.start();
    let old = up(&minder);
    let program = format!("start: [{}/app]", fuse.point().display());
    let rules = std::fs::read_to_string(minder.rules().join("rules.yaml")).unwrap();
    let start = format!("start: [{}]", minder.dir().join("start").display());
    std::fs::write(minder.rules().join("rules.yaml"), rules.replace(&start, &program)).unwrap();
    minder.ok(&["reload"]);
    fuse.order("stop");
    signal(old, "KILL");
    // Known by its name: it is not the program yet.
    let minders = minder.pid();
    let hangs = || {
        let children =
            std::fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
        children.into_iter().find(|pid| {
            if *pid == old {
                return false;
            }
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit_once(')').is_some_and(|(_, rest)| rest.split(' ').nth(2) == Some(&minders.to_string()))
        })
    };
    let child = wait_for(|| "a child hangs in its exec".into(), SOON, hangs);
    stays("it hangs", Duration::from_millis(500), || process_exists(child));
    minder.kill();
    assert!(process_exists(child));
    // The same state, the same socket, the same address.
    minder.start();
    minder.wait_status("gone", "ok", SOON);
    fuse.order("go on");
    wait_until("the child has ended", SOON, || !process_exists(child));
}
