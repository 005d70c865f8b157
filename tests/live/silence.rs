//! Nobody is told for a while: the real daemon, a real deployment.

use super::SOON;
use super::support::{Minder, Receiver, process_exists, signal, stays, wait_until};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A daemon with a pidfile that nobody starts but the test and its deployments.
struct Bench {
    minder: Minder,
    receiver: Receiver,
}

/// Starts it, in the directory of the test.
const START: &str = "sleep 100000 >/dev/null 2>&1 </dev/null & echo $! >pid.new; mv pid.new pid";

impl Bench {
    fn start() -> Bench {
        let (mut minder, receiver) = (Minder::new(), Receiver::start());
        shell(&minder, START);
        minder.write(&format!(
            "notifiers:\n  chat: {{ webhook: {{ url: \"{}\" }} }}\nservices:\n  web:\n    notify: [chat]\n    \
             settle: 200ms\n    checks:\n      - process: {{ pidfile: {}/pid, name: sleep }}\n        every: 200ms\n",
            receiver.url(),
            minder.dir().display()
        ));
        minder.start();
        minder.wait_status("web", "ok", SOON);
        Bench { minder, receiver }
    }

    fn pid(&self) -> u32 {
        std::fs::read_to_string(self.minder.dir().join("pid")).unwrap().trim().parse().unwrap()
    }

    /// `minder silence web` with a command, in the directory of the test.
    fn silence(&self, script: &str) -> Command {
        let mut command = self.minder.command(&["silence", "web", "--for", "10m", "--", "sh", "-c", script]);
        command.current_dir(self.minder.dir()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn is_silenced(&self) -> bool {
        self.minder.service("web").is_some_and(|service| service["silenced"].is_string())
    }

    /// A deployment that goes on until it is ended.
    fn deploy(&self) -> Child {
        let child = self.silence("exec sleep 100000").spawn().unwrap();
        wait_until("it is silenced", SOON, || self.is_silenced());
        child
    }
}

fn shell(minder: &Minder, script: &str) {
    let mut command = Command::new("sh");
    assert!(command.args(["-c", script]).current_dir(minder.dir()).status().unwrap().success());
}

#[test]
fn a_deployment_that_takes_the_service_down_is_told_to_nobody_and_recorded() {
    let bench = Bench::start();
    let script = format!("kill -9 $(cat pid); sleep 2; {START}; exit 7");
    assert_eq!(bench.silence(&script).status().unwrap().code(), Some(7), "its exit code is the command's");
    assert!(!bench.is_silenced(), "it ends with the command");
    bench.minder.wait_status("web", "ok", SOON);
    stays("nobody is told", Duration::from_secs(2), || bench.receiver.requests().is_empty());
    let history = bench.minder.history();
    for words in ["web silenced by", "for 10 min: sh -c", "process.down fires", "web no longer silenced"] {
        assert!(history.contains(words), "{words}: {history}");
    }
    // And then people are told again.
    signal(bench.pid(), "KILL");
    bench.receiver.wait(SOON, &["minder.firing"]);
}

#[test]
fn a_deployment_that_is_killed_is_no_longer_silent() {
    let mut bench = Bench::start();
    let mut child = bench.deploy();
    signal(bench.pid(), "KILL");
    bench.minder.wait_status("web", "critical", SOON);
    stays("nobody is told", Duration::from_secs(1), || bench.receiver.requests().is_empty());
    // minder itself may come and go.
    bench.minder.kill();
    bench.minder.start();
    assert!(bench.is_silenced());
    stays("nobody is told", Duration::from_secs(1), || bench.receiver.requests().is_empty());
    signal(child.id(), "KILL");
    child.wait().unwrap();
    let told = bench.receiver.wait(Duration::from_secs(5), &["minder.firing"]);
    assert!(told.body.contains("web"), "{told:?}");
    assert!(!bench.is_silenced() && bench.minder.history().contains("no longer silenced: its command has ended"));
}

#[test]
fn a_signal_reaches_the_command_and_ends_the_silence() {
    let bench = Bench::start();
    let mut child = bench.deploy();
    signal(child.id(), "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert!(!bench.is_silenced());
}

#[test]
fn a_deployment_does_not_depend_on_minder() {
    let mut minder = Minder::new();
    let deploy = |minder: &Minder, service: &str| {
        let output = minder.run(&["silence", service, "--for", "10m", "--", "sh", "-c", "echo deployed; exit 3"]);
        assert_eq!(output.status.code(), Some(3));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "deployed\n");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let words = deploy(&minder, "web");
    assert!(
        words.contains("minder is not silent, and the command runs all the same: minder is not running"),
        "{words}"
    );
    minder.write("services:\n  root: { checks: [file: /] }\n");
    minder.start();
    let words = deploy(&minder, "rooot");
    assert!(words.contains("there is no service `rooot`; did you mean `root`?"), "{words}");
    assert_eq!(deploy(&minder, "root"), "");
    let output = minder.run(&["silence", "root", "--for", "10m", "--", "/nonexistent/program"]);
    assert_eq!(output.status.code(), Some(127));
    assert_eq!(minder.ok(&["silences"]), "Nothing is silenced.\n");
}

#[test]
fn a_silence_by_hand_goes_on_until_it_is_ended() {
    let mut bench = Bench::start();
    let words = bench.minder.ok(&["silence", "web", "--for", "1h", "--reason", "moving"]);
    assert_eq!(words, "nobody is told of web for 1 h; `minder unsilence 1` ends this\n");
    signal(bench.pid(), "KILL");
    bench.minder.wait_status("web", "critical", SOON);
    bench.minder.kill();
    bench.minder.start();
    let shown = bench.minder.ok(&["silences"]);
    assert!(shown.starts_with("1  web, until ") && shown.contains(": moving"), "{shown}");
    assert!(bench.minder.any(&["status"]).contains("silenced; process.down"), "{}", bench.minder.any(&["status"]));
    assert!(
        bench.minder.any(&["status", "web"]).contains("silenced  for another 59 min"),
        "{}",
        bench.minder.any(&["status", "web"])
    );
    stays("nobody is told", Duration::from_secs(1), || bench.receiver.requests().is_empty());
    bench.minder.ok(&["unsilence", "1"]);
    bench.receiver.wait(SOON, &["minder.firing"]);
    assert!(!process_exists(bench.pid()));
}
