//! `minder env`: what a run script gets, in the forms in which it can use it.

use super::client::{minder, transcript};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

const RULES: &str = r#"version: 1
notifiers:
  chat: { webhook: { url: { env: NOT_SET_IN_A_RUN_SCRIPT } } }
services:
  web:
    checks: [{ process: { name: webd } }, { heartbeat: 90s }]
  nightly:
    checks:
      - heartbeat: { schedule: "0 3 * * *", secret: { file: /not/readable/in/a/run/script } }
  cache:
    checks: [{ process: { name: redis } }]
"#;

/// A rule file that nobody else could have written.
fn rules(dir: &Path) -> String {
    let file = dir.join("main.yaml");
    std::fs::write(&file, RULES).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    file.display().to_string()
}

#[test]
fn a_run_script_gets_what_the_daemon_needs() {
    let dir = tempfile::tempdir().unwrap();
    let rules = rules(dir.path());
    let run = |args: &[&str]| {
        let all: Vec<&str> =
            args.iter().copied().chain(["--rules", &rules, "--socket", "/run/minder/minder.sock"]).collect();
        transcript(args, &minder(&all).output().unwrap())
    };
    let said: Vec<String> =
        [&["env", "web"][..], &["env", "--export", "web"], &["env", "nightly"], &["env", "cache"], &["env", "wbe"]]
            .map(run)
            .into();
    insta::assert_snapshot!(said.join("\n"));
}

/// In both forms, by the shell itself; the second also where the path would fall into words.
#[test]
fn a_shell_takes_it() {
    let dir = tempfile::tempdir().unwrap();
    let rules = rules(dir.path());
    let env = format!("{} env --rules {rules} --socket", env!("CARGO_BIN_EXE_minder"));
    let shell = |line: &str| {
        let output = Command::new("sh").args(["-c", line]).output().unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let show = "sh -c 'echo \"$NOTIFY_SOCKET $WATCHDOG_USEC\"'";
    let plain = shell(&format!("exec env $({env} /run/minder/minder.sock web) {show}"));
    assert_eq!(plain, "/run/minder/notify/web 90000000\n");
    let quoted = shell(&format!("vars=$({env} \"/it's a; dir/x.sock\" --export web) && eval \"$vars\" && {show}"));
    assert_eq!(quoted, "/it's a; dir/notify/web 90000000\n");
}

/// A script that goes on without it would have a daemon that does not beat.
#[test]
fn without_readable_rules_it_fails() {
    let dir = tempfile::tempdir().unwrap();
    let none = dir.path().join("none.yaml");
    let output = minder(&["env", "web", "--rules", none.to_str().unwrap()]).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && output.stdout.is_empty(), "{output:?}");
    assert!(words.contains("none.yaml"), "{words}");
}
