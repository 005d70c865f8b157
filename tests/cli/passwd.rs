//! `minder passwd`: what it prints belongs into rules, and is taken there.

use super::client::minder;
use std::io::Write;
use std::process::{Output, Stdio};

fn passwd(args: &[&str], input: &str) -> Output {
    let mut child = minder(args);
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // One that refuses its arguments does not read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_lines_of_a_password_are_rules() {
    let password = "correct horse, \"battery\" $staple";
    let done = passwd(&["passwd", "alice", "--role", "admin"], &format!("{password}\nanother line\n"));
    assert!(done.status.success());
    let (lines, advice) = (text(&done.stdout), text(&done.stderr));
    assert!(!lines.contains("horse") && !advice.contains("horse"));
    assert!(advice.contains("minder reload"));
    let rules = format!("version: 1\n{lines}services: {{ machine: {{ checks: [{{ system: {{}} }}] }} }}\n");
    let plan = super::world::plan(&rules);
    let alice = &plan.dashboard.users["alice"];
    assert_eq!(alice.role, minder::model::Role::Admin);
    assert!(alice.password.as_ref().unwrap().is_of(password));
    assert_ne!(text(&passwd(&["passwd"], password).stdout), text(&passwd(&["passwd"], password).stdout), "salted");
}

#[test]
fn what_is_no_password_is_refused() {
    for (args, input, words, code) in [
        (&["passwd"][..], "hunter2\n", "at least 8 characters", 1),
        (&["passwd"], "", "at least 8 characters", 1),
        (&["passwd"], &"x".repeat(5000), "at most 1024 bytes", 1),
        (&["passwd", "x: { y"], "correct horse\n", "a name has letters", 2),
        (&["passwd", "--token", "../../root"], "", "a name has letters", 2),
        (&["passwd", "--role", "root"], "", "expected `viewer`, `operator` or `admin`", 2),
    ] {
        let done = passwd(args, input);
        let said = text(&done.stderr);
        assert!(said.contains(words) && done.stdout.is_empty(), "{args:?}: {said}");
        assert_eq!(done.status.code(), Some(code), "{args:?}");
        assert!(!said.contains("hunter2"));
    }
}

#[test]
fn a_token_is_all_that_goes_to_standard_output() {
    let made = || passwd(&["passwd", "--token", "prometheus"], "");
    let (one, other) = (made(), made());
    assert_ne!(one.stdout, other.stdout);
    assert_eq!(text(&one.stdout).trim_end().len(), 43);
    let advice = text(&one.stderr);
    assert!(
        advice.contains("prometheus: { secret: { file: /etc/minder/prometheus.token }, role: viewer }"),
        "{advice}"
    );
}

/// At a terminal nothing is shown of what is typed; and whoever thinks better of it has his terminal back as it was.
#[test]
fn a_terminal_is_as_it_was_also_after_an_interruption() {
    let script = r#"
import os, pty, sys, termios, time
pid, tty = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], [sys.argv[1], "passwd", "alice"])
echo = lambda: bool(termios.tcgetattr(tty)[3] & termios.ECHO)
said = b""
while b"Password of alice: " not in said:
    said += os.read(tty, 1000)
assert not echo(), "it is shown"
os.write(tty, b"correct hor\x03")
while True:
    try:
        more = os.read(tty, 1000)
    except OSError:
        break
    if not more:
        break
    said += more
assert echo(), "it is not shown any more"
assert b"horse" not in said and b"interrupted" in said, said
_, status = os.waitpid(pid, 0)
assert os.WEXITSTATUS(status) == 1, status
"#;
    let mut python = std::process::Command::new("python3");
    let done = python.args(["-c", script, env!("CARGO_BIN_EXE_minder")]).output().unwrap();
    assert!(done.status.success(), "{}", text(&done.stderr));
}
