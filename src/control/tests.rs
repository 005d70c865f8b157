use super::*;
use crate::daemon::RealClock;
use crate::model::controls::{Argv, CommandControl, ControlRun, StopBy};
use crate::model::kinds::Process;
use crate::model::{AbsPath, Aim, ExecSpec, Exit, Given, Identity, Signal, Span};
use crate::sys::testing::{Script, kill, lives, until};
use crate::sys::{pidfd, proc};
use rustix::process::Signal as Kill;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

pub(super) struct Bench {
    pub controls: Controls,
    rx: UnboundedReceiver<Input>,
    pub dir: tempfile::TempDir,
}

impl Bench {
    pub fn new() -> Bench {
        let (tx, rx) = unbounded_channel();
        let dir = tempfile::tempdir().unwrap();
        Bench {
            controls: Controls::new(tx, Arc::new(RealClock), dir.path().join("output"), GivenUp::default()),
            rx,
            dir,
        }
    }

    pub fn input(&mut self, time: Duration) -> Option<Input> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async { tokio::time::timeout(time, self.rx.recv()).await.ok().flatten() })
    }

    pub fn report(&mut self) -> Report {
        match self.input(Duration::from_secs(20)) {
            Some(Input::Acted { id: ActId(1), report }) => report,
            other => panic!("{other:?}"),
        }
    }

    pub fn act(&mut self, act: Act) -> Report {
        self.controls.act(ActId(1), act, || ());
        self.report()
    }

    /// What a launched process came to, with its output.
    fn launched(&mut self) -> (Exit, String) {
        match self.report() {
            Report::LaunchEnded { exit, output } => (exit, output.to_string()),
            other => panic!("{other:?}"),
        }
    }

    fn start(&mut self, control: CommandControl, after: Option<Aim>) -> Daemon {
        self.start_for("web", control, after)
    }

    fn start_for(&mut self, service: &str, control: CommandControl, after: Option<Aim>) -> Daemon {
        let control = ControlSpec::Command(control);
        let mut report = self.act(Act::Start { service: service.into(), control, after });
        // Of an earlier one that had to make way.
        while matches!(report, Report::LaunchEnded { .. }) {
            report = self.report();
        }
        match report {
            Report::Launched { process: Some(process), leftovers, .. } => Daemon { process, leftovers },
            other => panic!("{other:?}"),
        }
    }

    fn stop(&mut self, control: &CommandControl, process: Option<Aim>) -> Report {
        let control = ControlSpec::Command(control.clone());
        self.act(Act::Stop { service: "web".into(), control, process, for_good: true })
    }
}

/// A process that a test has started by a control, and that ends with the test, together with its group.
struct Daemon {
    process: Identity,
    leftovers: u32,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_raw(i32::try_from(self.process.pid).unwrap()).unwrap();
        let _ = rustix::process::kill_process_group(group, Kill::KILL);
    }
}

fn run(argv: &[&str]) -> ControlRun {
    ControlRun { command: Argv(argv.iter().map(|a| (*a).to_owned()).collect()), timeout: Span(Duration::from_secs(10)) }
}

fn shell(script: &str) -> CommandControl {
    CommandControl {
        start: Some(run(&["/bin/sh", "-c", script])),
        stop: StopBy::default(),
        restart: None,
        user: None,
        directory: None,
        environment: BTreeMap::new(),
        umask: None,
        scope: false,
    }
}

pub(super) fn identity_of(pid: u32) -> Identity {
    Identity { pid, start: proc::stat(pid).unwrap().start }
}

fn aim(identity: Identity) -> Aim {
    Aim { identity, selector: Arc::new(Kind::Process(Default::default())) }
}

fn words(report: Report) -> String {
    match report {
        Report::Done { words } => words.to_string(),
        other => panic!("{other:?}"),
    }
}

pub(super) fn why(report: Report) -> String {
    match report {
        Report::Failed { why } => why.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_start_is_launched_and_its_early_end_told_with_what_it_wrote() {
    let mut bench = Bench::new();
    let control = CommandControl {
        environment: [("COLOUR".to_owned(), Given::literal("blue"))].into(),
        directory: Some("/usr".parse().unwrap()),
        umask: Some("077".to_owned()),
        ..shell("echo in $(pwd) with $(umask), $COLOUR; echo 'bad \u{1b}[31mport' >&2; exit 4")
    };
    let _daemon = bench.start(control, None);
    let (exit, output) = bench.launched();
    assert_eq!((exit, output.as_str()), (Exit::Code(4), "in /usr with 0077, blue\nbad  [31mport"));
    let log = bench.dir.path().join("output/web.log");
    assert_eq!(fs::metadata(&log).unwrap().permissions().mode() & 0o777, 0o600);

    // The next start's report has its own output only, and a large file was cut to whole lines.
    fs::write(&log, format!("{}\nend\n", "line of text\n".repeat(100_000))).unwrap();
    let _daemon = bench.start(shell("echo second"), None);
    assert_eq!(bench.launched(), (Exit::Code(0), "second".to_owned()));
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.len() < 66_000 && text.starts_with("line of text\n") && text.ends_with("\nend\nsecond\n"));
}

#[test]
fn a_start_that_cannot_be_says_why() {
    let mut bench = Bench::new();
    let start = |control| Act::Start { service: "web".into(), control: ControlSpec::Command(control), after: None };
    let missing = CommandControl { start: Some(run(&["/usr/sbin/no-such-daemon"])), ..shell("") };
    assert_eq!(why(bench.act(start(missing))), "/usr/sbin/no-such-daemon: no such file");
    let stranger = CommandControl { user: Some("no-such-user".to_owned()), ..shell("") };
    assert_eq!(why(bench.act(start(stranger))), "there is no user `no-such-user`");
    // Without a place for its output it is started all the same.
    let log = bench.dir.path().join("output/web.log");
    fs::remove_file(&log).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &log).unwrap();
    let _daemon = bench.start(shell("echo x"), None);
    assert_eq!(bench.launched(), (Exit::Code(0), String::new()));
}

#[test]
fn a_daemon_that_floods_does_not_fill_the_disk() {
    let mut bench = Bench::new();
    let log = bench.dir.path().join("output/web.log");
    let daemon = bench.start(shell("seq 1 400000; echo written; exec sleep 4711"), None);
    until("its output is cut", || {
        fs::read_to_string(&log).is_ok_and(|text| text.len() < 1 << 17 && text.ends_with("400000\nwritten\n"))
    });
    assert!(lives(daemon.process.pid));
}

#[test]
fn leftovers_of_the_dead_are_ended_before_the_start() {
    let mut bench = Bench::new();
    let pids = bench.dir.path().join("pids");
    // A master with three workers, one of which ignores TERM.
    let script = format!(
        "sleep 4711 & echo $! >{0}; sleep 4711 & echo $! >>{0}; sh -c 'trap \"\" TERM; sleep 4711 & echo $! >>{0}; wait' & wait",
        pids.display()
    );
    let master = bench.start(shell(&script), None);
    let read = || -> Vec<u32> {
        fs::read_to_string(&pids).unwrap_or_default().lines().filter_map(|line| line.parse().ok()).collect()
    };
    until("all workers are there", || read().len() == 3);
    kill(master.process.pid, Kill::KILL);
    assert!(matches!(bench.launched().0, Exit::Signal { number: 9, .. }));
    until("it is reaped", || proc::stat(master.process.pid).is_err());
    let workers = read();
    assert!(workers.iter().all(|pid| lives(*pid)));
    let next = bench.start(shell("exec sleep 4711"), Some(aim(master.process)));
    assert_eq!(next.leftovers, 4, "three sleepers and a shell");
    assert!(!workers.iter().any(|pid| lives(*pid)));
    assert!(lives(next.process.pid));
    // A living group of somebody else's, whose leader has the number of the dead.
    let other = Identity { start: next.process.start - 1, ..next.process };
    assert_eq!(bench.start_for("other", shell("exec sleep 4711"), Some(aim(other))).leftovers, 0);
    assert!(lives(next.process.pid));
    // What an earlier start of the same service has left running is one too many.
    assert_eq!(bench.start(shell("exec sleep 4711"), None).leftovers, 1);
    assert!(!lives(next.process.pid));
}

#[test]
fn a_stop_escalates_and_is_idempotent() {
    let mut bench = Bench::new();
    let wait = Duration::from_millis(200);
    let control = CommandControl {
        stop: StopBy::Signals(vec![(Signal::TERM, wait), (Signal::KILL, Duration::from_secs(5))]),
        ..shell("exec sleep 4711")
    };
    let daemon = Script::start("exec sleep 4711");
    let process = identity_of(daemon.own_pid());
    let done = words(bench.stop(&control, Some(aim(process))));
    assert!(done.starts_with(&format!("pid {} ended after TERM, in ", process.pid)), "{done}");
    // By now it is a zombie, which is down as well.
    assert_eq!(words(bench.stop(&control, Some(aim(process)))), "already down");
    assert_eq!(words(bench.stop(&control, None)), "already down");

    let mut stubborn = Script::start("trap '' TERM; echo $$; while :; do sleep 1; done");
    let identity = identity_of(stubborn.pid());
    let gently = CommandControl { stop: StopBy::Signals(vec![(Signal::TERM, wait)]), ..control.clone() };
    assert_eq!(
        why(bench.stop(&gently, Some(aim(identity)))),
        format!("pid {} is still alive after TERM", identity.pid)
    );
    let done = words(bench.stop(&control, Some(aim(identity))));
    assert!(done.contains("ended after KILL"), "{done}");
}

#[test]
fn a_stop_by_command_waits_for_the_process_itself() {
    let mut bench = Bench::new();
    let script = Script::start("exec sleep 4711");
    let identity = identity_of(script.own_pid());
    let by = |script: &str| CommandControl {
        stop: StopBy::Command(ControlRun { timeout: Span(Duration::from_secs(3)), ..run(&["/bin/sh", "-c", script]) }),
        ..shell("")
    };
    let short = CommandControl {
        stop: StopBy::Command(ControlRun {
            timeout: Span(Duration::from_millis(300)),
            ..run(&["/bin/sh", "-c", "echo no idea; exit 9"])
        }),
        ..shell("")
    };
    assert_eq!(
        why(bench.stop(&short, Some(aim(identity)))),
        format!("pid {} is still alive; its stop command: exit code 9: no idea", identity.pid)
    );
    // It returns before the process ends.
    let later = by("(sleep 0.2; kill $MINDER_PID) >/dev/null 2>&1 &");
    let done = words(bench.stop(&later, Some(aim(identity))));
    assert!(done.starts_with(&format!("pid {} ended in ", identity.pid)), "{done}");
    assert!(!lives(identity.pid));
    assert_eq!(words(bench.stop(&by("exit 1"), Some(aim(identity)))), "already down");
    assert_eq!(words(bench.stop(&by("echo ok"), None)), "exit code 0: ok");
}

/// Somebody else writes the pid of any process into the pidfile: neither a stop command is sent after it, nor is what that
/// process leaves in its group ended.
#[test]
fn a_pidfile_of_others_chooses_nobody() {
    let mut bench = Bench::new();
    let file = bench.dir.path().join("web.pid");
    let pids = bench.dir.path().join("pids");
    let leader = bench.start(shell(&format!("sleep 4711 & echo $! >{}; wait", pids.display())), None);
    let left = || fs::read_to_string(&pids).unwrap_or_default().trim().parse::<u32>().ok();
    until("the worker is there", || left().is_some());
    let worker = left().unwrap();
    fs::write(&file, leader.process.pid.to_string()).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    let check = Process { pidfile: Some(path(&file)), ..Process::default() };
    let named = Aim { identity: leader.process, selector: Arc::new(Kind::Process(check)) };

    let stop = CommandControl {
        stop: StopBy::Command(ControlRun {
            timeout: Span(Duration::from_secs(3)),
            ..run(&["/bin/sh", "-c", "kill $MINDER_PID"])
        }),
        ..shell("")
    };
    let refusal = why(bench.stop(&stop, Some(named.clone())));
    assert!(refusal.contains("web.pid may be written by everybody"), "{refusal}");
    assert!(lives(leader.process.pid));
    let told = |process: Aim| {
        let spec = Arc::new(serde_yaml::from_str("{shell: 'echo pid $MINDER_PID'}").unwrap());
        Act::Exec { spec, facts: Vec::new(), process: Some(process) }
    };
    assert_eq!(words(bench.act(told(named.clone()))), "exit code 0: pid");
    let own = aim(leader.process);
    assert_eq!(words(bench.act(told(own))), format!("exit code 0: pid {}", leader.process.pid));

    kill(leader.process.pid, Kill::KILL);
    assert!(matches!(bench.launched().0, Exit::Signal { number: 9, .. }));
    until("it is reaped", || proc::stat(leader.process.pid).is_err());
    let one = bench.start_for("one", shell("exec sleep 4711"), Some(named.clone()));
    assert_eq!(one.leftovers, 0);
    assert!(lives(worker));
    // A daemon that removed its pidfile where nobody else could have.
    fs::remove_file(&file).unwrap();
    let two = bench.start_for("two", shell("exec sleep 4711"), Some(named));
    assert_eq!(two.leftovers, 1);
    assert!(!lives(worker));
}

#[test]
fn a_restart_command_is_launched() {
    let mut bench = Bench::new();
    let control = CommandControl { restart: Some(run(&["/bin/sh", "-c", "echo again"])), ..shell("exit 1") };
    let act = |control| Act::Restart { service: "web".into(), control: ControlSpec::Command(control), by_hand: false };
    assert!(matches!(bench.act(act(control)), Report::Launched { process: Some(_), leftovers: 0, .. }));
    assert_eq!(bench.launched(), (Exit::Code(0), "again".to_owned()));
    assert_eq!(why(bench.act(act(shell("exit 1")))), "this control has no `restart`");
}

#[test]
fn a_launch_that_ends_after_its_deadline_is_not_reported() {
    let mut bench = Bench::new();
    let late = ControlRun { timeout: Span(Duration::from_millis(50)), ..run(&["/bin/sh", "-c", "sleep 0.2"]) };
    let daemon = bench.start(CommandControl { start: Some(late), ..shell("") }, None);
    until("it has ended", || proc::stat(daemon.process.pid).is_err());
    assert!(bench.input(Duration::from_millis(100)).is_none());
}

fn exec(spec: &str) -> Act {
    let spec = serde_yaml::from_str(spec).unwrap();
    let facts = vec![("SERVICE", "web".to_owned()), ("RULE", "a\0b".to_owned())];
    Act::Exec { spec: Arc::new(spec), facts, process: None }
}

#[test]
fn exec_tells_what_came_of_it() {
    let mut bench = Bench::new();
    let done = bench.act(exec("{shell: 'echo first; echo $MINDER_SERVICE $MINDER_RULE $X', environment: {X: y}}"));
    assert_eq!(words(done), "exit code 0: web ab y\nfirst\nweb ab y", "the output after the line that says it all");
    assert_eq!(why(bench.act(exec("{shell: 'echo oh; exit 3'}"))), "exit code 3: oh");
    assert_eq!(why(bench.act(exec("{shell: 'kill -ABRT $$'}"))).split(',').next(), Some("killed by SIGABRT"));
    let late = why(bench.act(exec("{shell: 'echo so far; sleep 4711', timeout: 200ms}")));
    assert_eq!(late, "killed, because it had not ended after 200 ms: so far");
    assert_eq!(why(bench.act(exec("{command: [/no/such]}"))), "/no/such: no such file");
}

#[test]
fn a_secret_of_the_environment_is_in_no_report() {
    let mut bench = Bench::new();
    let mut token: Given = serde_yaml::from_str("{env: TOKEN}").unwrap();
    token.resolve("hunter22".to_owned());
    let environment = BTreeMap::from([("TOKEN".to_owned(), token)]);
    for (script, report) in [("echo $TOKEN", "exit code 0: [secret]"), ("echo $TOKEN; exit 3", "exit code 3: [secret]")]
    {
        let mut spec: ExecSpec = serde_yaml::from_str(&format!("{{shell: '{script}'}}")).unwrap();
        spec.environment = environment.clone();
        match bench.act(Act::Exec { spec: Arc::new(spec), facts: Vec::new(), process: None }) {
            Report::Done { words } | Report::Failed { why: words } => assert_eq!(&*words, report),
            other => panic!("{other:?}"),
        }
    }
    let control = CommandControl { environment, ..shell("echo $TOKEN; exit 1") };
    let _daemon = bench.start(control, None);
    assert_eq!(bench.launched(), (Exit::Code(1), "[secret]".to_owned()));
}

#[test]
fn many_slow_actions_keep_no_other_waiting() {
    let mut bench = Bench::new();
    for _ in 0..40 {
        bench.controls.act(ActId(2), exec("{shell: 'sleep 4711', timeout: 500ms}"), || ());
    }
    assert_eq!(words(bench.act(exec("{shell: 'echo quick'}"))), "exit code 0: quick");
    for _ in 0..40 {
        let input = bench.input(Duration::from_secs(20));
        assert!(matches!(input, Some(Input::Acted { id: ActId(2), report: Report::Failed { .. } })), "{input:?}");
    }
}

/// Run by the next test as a process of its own, which it ends as a crash would.
#[test]
fn starter() {
    let Some(dir) = std::env::var_os("MINDER_TEST_STARTER") else { return };
    let (tx, _rx) = unbounded_channel();
    let controls = Controls::new(tx, Arc::new(RealClock), Path::new(&dir).join("output"), GivenUp::default());
    let script = format!(
        "echo $$ >{0}/pid.new; mv {0}/pid.new {0}/pid; while :; do echo tick; sleep 0.01; done",
        Path::new(&dir).display()
    );
    controls.act(
        ActId(1),
        Act::Start { service: "web".into(), control: ControlSpec::Command(shell(&script)), after: None },
        || (),
    );
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn a_daemon_outlives_the_death_of_its_starter() {
    let dir = tempfile::tempdir().unwrap();
    let us = std::env::current_exe().unwrap();
    let starter = Script::start(&format!(
        "MINDER_TEST_STARTER={} exec {} --exact control::tests::starter",
        dir.path().display(),
        us.display()
    ));
    let file = dir.path().join("pid");
    until("the daemon runs", || file.exists());
    let process = identity_of(fs::read_to_string(&file).unwrap().trim().parse().unwrap());
    let _daemon = Daemon { process, leftovers: 0 };
    // Kills the starter with all of its session.
    drop(starter);
    let log = dir.path().join("output/web.log");
    let length = || fs::metadata(&log).unwrap().len();
    let then = length();
    until("it writes on", || length() > then + 50);
    assert!(lives(process.pid));
}

#[test]
fn signals_are_sent_to_the_one_observed() {
    let mut bench = Bench::new();
    let mut script = Script::start("trap 'echo got it; exit' USR1; echo $$; while :; do sleep 0.01; done");
    let identity = identity_of(script.pid());
    let act = |identity| Act::Signal { process: aim(identity), signal: Signal::parse("USR1").unwrap() };
    let other = Identity { start: identity.start + 1, ..identity };
    assert_eq!(why(bench.act(act(other))), "the process has ended");
    assert_eq!(words(bench.act(act(identity))), format!("sent USR1 to pid {}", identity.pid));
    assert_eq!(script.line(), "got it");
    assert!(pidfd::open(other.pid, other.start).unwrap().is_none());
}

pub(super) fn path(text: &Path) -> AbsPath {
    text.to_str().unwrap().parse().unwrap()
}
