//! Daemons that know systemd's watchdog speak to minder: by systemd's own program and library.

use super::support::{Minder, Runsv, signal, stays, wait_for, wait_until};
use super::{SOON, is_root};
use minder::listen::Listen;
use minder::model::kinds::Beat;
use minder::model::{CheckId, Hearing, Identity, Input};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, error::TryRecvError, unbounded_channel};

/// Debian's own, which every user can run.
const PYTHON: &str = "/usr/bin/python3";

/// The listener, with a socket for `web`.
struct Post {
    dir: tempfile::TempDir,
    _listen: Listen,
    inputs: UnboundedReceiver<Input>,
}

impl Post {
    fn new() -> Post {
        let dir = tempfile::tempdir().unwrap();
        let (tx, inputs) = unbounded_channel();
        let listen = Listen::start(tx, dir.path().join("notify"), minder::model::GivenUp::default()).unwrap();
        let (service, check) = ("web".into(), "heartbeat".into());
        listen.hear(CheckId(1), Hearing { service, check, process: None, user: None });
        let post = Post { dir, _listen: listen, inputs };
        wait_for(|| "the socket is there".to_owned(), SOON, || post.socket().exists().then_some(()));
        post
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("notify/web")
    }

    /// Runs a program that speaks at the socket; it must succeed, and not wait for anything.
    #[track_caller]
    fn says(&self, program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Output {
        let mut command = Command::new(program);
        command.args(arguments).env("NOTIFY_SOCKET", self.socket()).env("WATCHDOG_USEC", "20000000");
        command.env_remove("WATCHDOG_PID");
        let start = Instant::now();
        let output = command.output().unwrap();
        assert!(output.status.success(), "{command:?}: {output:?}");
        // systemd's own bound is five seconds.
        assert!(start.elapsed() < Duration::from_secs(3), "{command:?} has waited for {:?}", start.elapsed());
        output
    }

    /// What has been handed over by now: whoever spoke was told that it was.
    #[track_caller]
    fn beats(&mut self) -> Vec<Beat> {
        let mut beats = Vec::new();
        loop {
            match self.inputs.try_recv() {
                Ok(Input::Beat { beat, .. }) => beats.push(beat),
                Ok(other) => assert!(matches!(other, Input::Beat { .. }), "{other:?}"),
                Err(e) => {
                    assert_eq!(e, TryRecvError::Empty);
                    return beats;
                }
            }
        }
    }
}

#[test]
fn systemds_own_program_is_heard_and_not_kept_waiting() {
    let mut post = Post::new();
    let status = |text: &str| Beat::Status(text.into());
    for (arguments, beats) in [
        (&["--ready"][..], vec![Beat::Ready]),
        (&["--status=Serving 3 of 4"], vec![status("Serving 3 of 4")]),
        (&["WATCHDOG=1"], vec![Beat::Well]),
        (&["WATCHDOG=trigger"], vec![Beat::Trigger]),
        (
            &["WATCHDOG_USEC=30000000", "EXTEND_TIMEOUT_USEC=1000000"],
            vec![Beat::Every(Duration::from_secs(30)), Beat::Extend(Duration::from_secs(1))],
        ),
        (&["STOPPING=1", "--status=\u{1b}[31mred"], vec![Beat::Stopping, status("[31mred")]),
    ] {
        post.says("systemd-notify", arguments);
        assert_eq!(post.beats(), beats, "{arguments:?}");
    }
    // It names its parent, which the shell is: it has yet to go on.
    let shell = post.says("sh", &["-c", "echo $$; read line </proc/$$/stat; echo $line; systemd-notify --pid; :"]);
    let text = String::from_utf8(shell.stdout).unwrap();
    let (pid, stat) = text.split_once('\n').unwrap();
    let start = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().parse().unwrap();
    assert_eq!(post.beats(), [Beat::Main(Identity { pid: pid.parse().unwrap(), start })]);
}

/// `watchdog.c`, made with the machine's compiler.
fn watchdog(dir: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/watchdog.c");
    let program = dir.join("watchdog");
    let made =
        Command::new("cc").arg("-Wall").arg("-Werror").arg("-o").arg(&program).arg(source).arg("-lsystemd").output();
    let made = made.unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    program
}

#[test]
fn a_daemon_made_with_systemds_library_has_its_watchdog() {
    let mut post = Post::new();
    let program = watchdog(post.dir.path());
    let output = post.says(&program, &["once"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "20000000\n");
    let last = || "all is handed over".to_owned();
    let mut beats = Vec::new();
    wait_for(last, SOON, || {
        beats.extend(post.beats());
        beats.contains(&Beat::Well).then_some(())
    });
    assert_eq!(beats, [Beat::Ready, Beat::Status("Serving everybody".into()), Beat::Stopping, Beat::Well]);
}

/// A minder that waits for `web` to speak, and runsv with the daemon of `watchdog.c`, made to speak by `minder env`.
fn start() -> (Minder, Runsv, u32) {
    let mut minder = Minder::new();
    let program = watchdog(minder.dir());
    minder.write(&format!(
        r#"
services:
  web:
    # So long, unless it says that it is ready.
    grace: 1h
    settle: 1s
    control:
      runit: {{ service: web, directory: {dir} }}
    checks:
      - process: {{ pidfile: {dir}/web/supervise/pid }}
        every: 200ms
      - heartbeat: 2s
    rules:
      - heartbeat.missing -> restart
"#,
        dir = minder.dir().display()
    ));
    minder.start();
    let socket = minder.dir().join("notify/web");
    wait_until("the socket is there", SOON, || socket.exists());
    let env = format!(
        "{} env web --rules {} --socket {}",
        env!("CARGO_BIN_EXE_minder"),
        minder.rules().display(),
        minder.socket.display()
    );
    let runsv = Runsv::start(minder.dir(), "web", &format!("exec env $({env}) {}", program.display()));
    wait_until("minder watches it", SOON, || minder.watched("web").is_some() && minder.watched("web") == runsv.pid());
    minder.wait_status("web", "ok", SOON);
    says(&minder, "Serving everybody");
    let pid = runsv.pid().unwrap();
    (minder, runsv, pid)
}

#[track_caller]
fn says(minder: &Minder, words: &str) {
    let shown = || minder.any(&["status", "web"]);
    wait_for(|| format!("{words:?} in\n{}", shown()), SOON, || shown().contains(words).then_some(()));
}

#[test]
fn a_daemon_that_lives_and_does_nothing_is_restarted() {
    let (minder, runsv, old) = start();
    stays("it is well while it beats", Duration::from_secs(4), || runsv.pid() == Some(old));
    signal(old, "STOP");
    let new = minder.wait_replaced("web", old, SOON);
    assert_eq!(runsv.pid(), Some(new));
    minder.wait_status("web", "ok", SOON);
    assert!(minder.history().contains("heartbeat.missing"), "{}", minder.history());
    // The new one has said that it is ready, perhaps before minder had seen it: its grace is over, too.
    signal(new, "STOP");
    minder.wait_replaced("web", new, SOON);
}

/// Others on the machine can send what they like.
#[test]
fn a_stranger_and_garbage_change_nothing() {
    if !is_root() {
        return;
    }
    let (minder, runsv, pid) = start();
    let notes = || minder.status().map(|status| status["notes"].to_string()).unwrap_or_default();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(minder.dir(), open).unwrap();
    let socket = minder.dir().join("notify/web");
    let nobody = |program: &str, arguments: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", program]).args(arguments);
        let output = command.env("NOTIFY_SOCKET", &socket).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    nobody("systemd-notify", &["WATCHDOG=trigger", "STOPPING=1", "--status=a lie"]);
    wait_until("it is said", SOON, || notes().contains("not heard at the notify socket of web"));
    let garbage = "import os, random, socket, sys
to = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
to.connect(sys.argv[1])
null = os.open('/dev/null', os.O_RDONLY)
for i in range(500):
    bytes = os.urandom(random.randrange(9000))
    socket.send_fds(to, [bytes], [null] * random.randrange(200))
";
    let arguments = ["-c", garbage, socket.to_str().unwrap()];
    // Of one who may speak, and of one who may not.
    assert!(Command::new(PYTHON).args(arguments).status().unwrap().success());
    nobody(PYTHON, &arguments);
    says(&minder, "Serving everybody");
    assert_eq!((runsv.pid(), minder.watched("web")), (Some(pid), Some(pid)));
    minder.wait_status("web", "ok", SOON);
    let open_files = || std::fs::read_dir(format!("/proc/{}/fd", minder.pid())).unwrap().count();
    assert!(open_files() < 200, "{} files are open", open_files());
}
