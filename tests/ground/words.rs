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
         ops: {{ email: {{ to: [ops@example.org] }} }}\n  chat: {{ webhook: {{ url: \"{}\" }} }}\n\
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
