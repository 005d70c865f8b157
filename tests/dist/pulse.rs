//! minder's own life sign: what its supervisor hears, and that it falls silent when the loop is stuck.

use super::SOON;
use super::support::{Minder, wait_for, wait_until};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The place of systemd: what it is told.
struct Supervisor {
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Supervisor {
    fn listen(minder: &Minder) -> Supervisor {
        let socket = UnixDatagram::bind(minder.dir().join("supervisor.sock")).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        Supervisor { socket, heard: Vec::new() }
    }

    fn hear(&mut self) -> bool {
        let mut bytes = [0; 4096];
        let Ok(length) = self.socket.recv(&mut bytes) else { return false };
        self.heard.extend(String::from_utf8_lossy(&bytes[..length]).lines().map(str::to_owned));
        true
    }

    #[track_caller]
    fn until(&mut self, what: &str) {
        wait_until(what, SOON, || {
            self.hear();
            self.heard.iter().any(|line| line == what)
        });
        self.heard.clear();
    }
}

fn daemon(minder: &Minder) -> Child {
    minder.write("services:\n  machine: { checks: [{ system: { } }], rules: [system.cpu > 99% for 1h -> notify] }\n");
    let mut command = minder.daemon_command();
    command.env("NOTIFY_SOCKET", minder.dir().join("supervisor.sock")).env("WATCHDOG_USEC", "300000");
    command.stdout(Stdio::null()).spawn().unwrap()
}

#[test]
fn systemd_is_told_how_it_stands() {
    let minder = Minder::new();
    let mut supervisor = Supervisor::listen(&minder);
    let mut child = daemon(&minder);
    wait_until("READY", SOON, || {
        supervisor.hear();
        supervisor.heard.iter().any(|line| line == "READY=1")
    });
    assert!(supervisor.heard.contains(&"STATUS=watching 1 service".to_owned()), "{:?}", supervisor.heard);
    supervisor.until("WATCHDOG=1");
    minder.ok(&["reload"]);
    supervisor.until("STATUS=watching 1 service");
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
    supervisor.until("STOPPING=1");
    assert!(child.wait().unwrap().success());
}

/// Halts one thread of a process, as a loop is that waits for something for ever; ends with its standard input, or with the
/// process, whose end nobody else is told of before.
const HALT: &str = r#"
import ctypes, os, select, sys
libc = ctypes.CDLL(None, use_errno=True)
SEIZE, INTERRUPT = 0x4206, 0x4207
tid = int(sys.argv[1])
for request in SEIZE, INTERRUPT:
    if libc.ptrace(request, tid, None, None) != 0:
        sys.exit(os.strerror(ctypes.get_errno()))
print("halted", flush=True)
while not select.select([sys.stdin], [], [], 0.05)[0]:
    try:
        pid, status = os.waitpid(tid, os.WNOHANG)
    except ChildProcessError:
        break
    if pid and not os.WIFSTOPPED(status):
        break
"#;

/// Halts the first thread of this process, until the standard input of what is returned is closed. `under` brings the program
/// to where the pid is known.
pub fn halt(under: &[String], pid: &str) -> Child {
    let python = ["python3", "-c", HALT, pid].map(str::to_owned);
    let arguments = [under, &python].concat();
    let mut command = Command::new(&arguments[0]);
    let mut halted = command.args(&arguments[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = [0; 7];
    std::io::Read::read_exact(halted.stdout.as_mut().unwrap(), &mut line).unwrap();
    halted
}

#[test]
fn a_loop_that_is_stuck_is_not_well() {
    let minder = Minder::new();
    let mut supervisor = Supervisor::listen(&minder);
    let mut child = daemon(&minder);
    supervisor.until("WATCHDOG=1");
    // The loop has the first thread to itself.
    let mut halted = halt(&[], &child.id().to_string());
    // What was said before is heard; then there is silence, for longer than systemd waits.
    let silence = Duration::from_secs(5);
    wait_for(
        || "it falls silent".to_owned(),
        SOON,
        || {
            supervisor.socket.set_read_timeout(Some(silence)).unwrap();
            (!supervisor.hear()).then_some(())
        },
    );
    supervisor.socket.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    drop(halted.stdin.take());
    halted.wait().unwrap();
    supervisor.heard.clear();
    supervisor.until("WATCHDOG=1");
    child.kill().unwrap();
    child.wait().unwrap();
}
