//! `minder messages`, `minder explain --message` and `minder resend`.

use super::client::Stage;
use super::fixture;

#[test]
fn what_was_told_and_what_was_not() {
    let stage = Stage::new(fixture::snapshot());
    let transcripts = [
        &["messages"][..],
        &["messages", "--last", "2"],
        &["messages", "--notifier", "chat", "--state", "delivered"],
        &["messages", "--service", "web", "--incident", "41", "--since", "1h", "--last", "1", "--json"],
        &["messages", "--notifier", "none"],
        &["messages", "--state", "lost"],
    ]
    .map(|args| stage.transcript(args));
    insta::assert_snapshot!(transcripts.join("\n"));
}

#[test]
fn why_did_i_or_did_i_not_get_this() {
    let stage = Stage::new(fixture::snapshot());
    let transcripts = ["7", "8", "9", "10", "11", "12", "77"].map(|id| stage.transcript(&["explain", "--message", id]));
    insta::assert_snapshot!(transcripts.join("\n"));
}

#[test]
fn what_is_dead_is_sent_again() {
    let stage = Stage::new(fixture::snapshot());
    let transcripts = [
        &["resend", "9"][..],
        &["resend", "--all"],
        &["resend", "--all", "--notifier", "ops"],
        &["resend", "9", "10"],
        &["resend", "77"],
        &["resend"],
        &["resend", "9", "--all"],
        &["resend", "9", "--notifier", "ops"],
    ]
    .map(|args| stage.transcript(args));
    // Who asks is whoever runs the test.
    let me = rustix::process::geteuid().as_raw();
    let me = if me == 0 { "root".to_owned() } else { format!("uid {me}") };
    insta::assert_snapshot!(transcripts.join("\n").replace(&format!("for {me}"), "for USER"));
}
