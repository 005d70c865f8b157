//! Names, command lines, outputs and logs hold any bytes. What is shown of them is text, in one line, and commands nobody's
//! terminal.

use super::support::{Mailbox, Minder, Receiver, wait_for, wait_until};
use super::{SOON, script};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

/// Colours, a bell, a newline, an end of a header, bytes that are no UTF-8, and signs that turn the direction of writing.
const ODD: &[u8] = b"odd\x1b[31m\x07\nbcc: x@example.org\r\n\xff\xfe\xe2\x80\xae<script>&\"";

struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn is_plain(text: &str) -> bool {
    !text.contains(['\u{1b}', '\u{7}', '\u{202e}', '\r'])
}

#[test]
fn odd_names_outputs_and_log_lines_are_shown_as_text() {
    let (receiver, mailbox) = (Receiver::start(), Mailbox::start());
    let mut minder = Minder::new();
    let dir = minder.dir().to_owned();
    // A program with an odd name and odd arguments; its log and what it is started by are odd, too.
    let program = dir.join(OsStr::from_bytes(b"odd\x1b[31m\xff\n"));
    std::fs::copy("/bin/sleep", &program).unwrap();
    let mut command = Command::new(&program);
    command.args(["100000", "100000.1"]).stdin(Stdio::null());
    let odd = Killed(command.spawn().unwrap());
    std::fs::write(dir.join("odd.log"), [ODD, b"\n", ODD].concat()).unwrap();
    std::fs::write(dir.join("odd.out"), ODD).unwrap();
    let start = script(&dir.join("start"), &format!("cat {0}/odd.out; cat {0}/odd.out >&2; exit 4", dir.display()));
    minder.write(&format!(
        "mail: {{ server: \"{}\", tls: none, from: minder@example.org }}\nnotifiers:\n  \
         ops: {{ email: {{ to: [ops@example.org] }}, group: false }}\n  chat: {{ webhook: {{ url: \"{}\" }} }}\n\
         defaults: {{ notify: [ops, chat] }}\nservices:\n  app:\n    settle: 100ms\n    grace: 0s\n    \
         log: {dir}/odd.log\n    restart: {{ limit: 1 in 1h }}\n    control: {{ command: {{ start: [{start}] }} }}\n    \
         checks:\n      - process: {{ match: '100000[.]1$' }}\n        every: 200ms\n    rules:\n      \
         - process.down -> snapshot, restart\n      - {{ name: look, when: process.uptime > 0s, then: [snapshot] }}\n",
        mailbox.address(),
        receiver.url(),
        dir = dir.display(),
    ));
    minder.start();
    wait_until("it is watched", SOON, || minder.watched("app").is_some());
    wait_until("a snapshot was taken", SOON, || minder.history().contains("napshot"));
    drop(odd);
    receiver.wait(SOON, &["\"app\"", "process.down"]);
    mailbox.wait(SOON, &["app", "down"]);
    let shown = || minder.any(&["history"]) + &minder.any(&["status"]);
    wait_for(
        || format!("what came of the start is said: {}", shown()),
        SOON,
        || shown().contains("code 4").then_some(()),
    );
    for text in [shown(), minder.log(), minder.page("/services/app"), minder.page("/")] {
        let text = text.replace("\r\n", "\n");
        assert!(is_plain(&text), "{text:?}");
    }
    let page = minder.page("/services/app");
    assert!(!page.contains("<script>&"), "what a daemon writes is no part of the page");
    for request in receiver.requests() {
        // The bytes are escaped in JSON; what they stand for is plain.
        let json = request.json().to_string();
        assert!(!json.contains("\\u001b") && !json.contains("\\u0007"), "{json}");
    }
    for mail in mailbox.mails() {
        assert!(!mail.contains('\u{1b}') && !mail.lines().any(|line| line.starts_with("bcc:")), "{mail}");
    }
}

/// A process that calls itself whatever it likes, and is told of by that name: in the subject, to a command, everywhere.
#[test]
fn the_odd_name_of_a_process_is_text_wherever_it_is_told() {
    let (receiver, mailbox) = (Receiver::start(), Mailbox::start());
    let mut minder = Minder::new();
    let dir = minder.dir().to_owned();
    let program = dir.join(OsStr::from_bytes(b"\xff\x1b]0;\n\xe2\x80\xae\xc3"));
    std::fs::copy("/bin/sleep", &program).unwrap();
    let mut command = Command::new(&program);
    let _odd = Killed(command.args(["100000", "100000.2"]).stdin(Stdio::null()).spawn().unwrap());
    std::fs::write(dir.join("odd.out"), ODD).unwrap();
    // What it is told, and what it says itself.
    let tell = script(&dir.join("tell"), &format!("env -0 > {0}/told; cat {0}/odd.out; exit 5", dir.display()));
    let notify =
        script(&dir.join("notify"), &format!("cat > {0}/event.new; mv {0}/event.new {0}/event", dir.display()));
    minder.write(&format!(
        "mail: {{ server: \"{}\", tls: none, from: minder@example.org }}\nnotifiers:\n  \
         ops: {{ email: {{ to: [ops@example.org] }}, group: false }}\n  chat: {{ webhook: {{ url: \"{}\" }} }}\n  \
         own: {{ exec: {{ command: [{notify}] }} }}\n\
         defaults: {{ notify: [ops, chat, own] }}\nservices:\n  all:\n    checks:\n      \
         - processes: {{ match: '100000[.]2$' }}\n        every: 200ms\n    rules:\n      \
         - {{ name: old, when: processes.each.age > 0s, then: [{{ exec: {{ command: [{tell}] }} }}] }}\n",
        mailbox.address(),
        receiver.url(),
    ));
    minder.start();
    let mail = mailbox.wait(SOON, &["Subject"]);
    let request = receiver.wait(SOON, &["minder.firing"]);
    let told = wait_for(
        || "the command was run".into(),
        SOON,
        || std::fs::read(dir.join("told")).ok().filter(|t| !t.is_empty()),
    );
    let event = wait_for(|| "the event was handed over".into(), SOON, || std::fs::read(dir.join("event")).ok());
    wait_until("what it said is shown", SOON, || minder.any(&["history"]).contains("code 5"));
    let raw = |arguments: &[&str]| minder.run(arguments).stdout;
    let outputs = [
        raw(&["status"]),
        raw(&["status", "all"]),
        raw(&["status", "--json"]),
        raw(&["history"]),
        raw(&["history", "--json"]),
        raw(&["history", "--csv"]),
        minder.page("/").into_bytes(),
        minder.page("/services/all").into_bytes(),
        std::fs::read(dir.join("minder.log")).unwrap(),
        told.clone(),
        event.clone(),
        mail.clone().into_bytes(),
        request.body.clone().into_bytes(),
    ];
    for output in outputs {
        let text = String::from_utf8(output).expect("all of it is UTF-8").replace("\r\n", "\n");
        assert!(!text.is_empty() && is_plain(&text), "{text:?}");
    }
    for json in [raw(&["status", "--json"]), raw(&["history", "--json"]), event, request.body.into_bytes()] {
        let text = serde_json::from_slice::<serde_json::Value>(&json).unwrap().to_string();
        assert!(!text.contains("\\u001b") && !text.contains("\\u202e") && !text.contains('\u{202e}'), "{text}");
    }
    let told = String::from_utf8(told).unwrap();
    let name =
        told.split('\0').find_map(|line| line.strip_prefix("MINDER_PROCESS=")).expect("it is told of which process");
    assert!(!name.contains('\n') && name.contains('\u{fffd}'), "{name:?}");
    let subject = mail.lines().find(|line| line.starts_with("Subject:")).unwrap();
    assert!(!mail.lines().any(|line| line.starts_with("\u{1b}")) && subject.is_ascii(), "{subject:?}");
}
