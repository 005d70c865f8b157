//! A process that nobody has named beforehand.

use super::SOON;
use super::support::{Mailbox, Minder, process_exists, wait_until};
use std::process::Command;

/// It is found among those that are quiet, named in a mail, and ended; the others live on.
#[test]
fn a_runaway_is_found_named_and_ended() {
    let mailbox = Mailbox::start();
    let mut minder = Minder::new();
    let marker = minder.dir().join("marker");
    // Only what this test has started is looked at: it must not end what somebody else computes on this machine.
    minder.write(&format!(
        r#"
mail: {{ server: "{}", tls: none, from: minder@example.org }}
notifiers:
  ops: {{ email: {{ to: [ops@example.org] }}, group: false }}
services:
  machine:
    notify: [ops]
    checks:
      - processes: {{ match: "{}$" }}
        every: 500ms
    rules:
      - processes.each.cpu > 5% for 3 times -> snapshot, signal TERM
"#,
        mailbox.address(),
        marker.display(),
    ));
    let start = |script: &str| {
        let mut command = Command::new("sh");
        minder.init.spawn(command.args(["-c", script]).arg(&marker), &minder.dir().join("sh.log"))
    };
    let quiet = start("while :; do sleep 1000; done");
    let runaway = start("while :; do :; done");
    let user = Command::new("id").arg("-un").output().unwrap().stdout;
    let who = format!("sh (pid {runaway}, user {})", String::from_utf8(user).unwrap().trim());
    minder.start();
    wait_until("it was ended", SOON, || !process_exists(runaway));
    let mail = mailbox.wait(SOON, &[&format!("{who} each.cpu"), "signal TERM done"]);
    assert!(mail.contains("What is wrong\n  processes each cpu above "), "{mail}");
    assert!(mail.contains(&format!("sent TERM to pid {runaway}")), "{mail}");
    mailbox.wait(SOON, &["machine is well again"]);
    minder.wait_status("machine", "ok", SOON);
    let history = minder.history();
    assert!(history.contains(&format!("processes.each.cpu fires: {who} each.cpu")), "{history}");
    assert!(history.contains("the process has ended"), "{history}");
    assert!(process_exists(quiet), "a quiet one was ended");
    let samples = minder.ok(&["history", "machine", "--check", "processes"]);
    assert!(samples.contains("count") && !samples.contains("each"), "{samples}");
}
