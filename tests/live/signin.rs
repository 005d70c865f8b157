//! Signing in to the real daemon, with curl as the browser: what a restart of minder keeps.

use super::SOON;
use super::support::{Minder, wait_until};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The lines that `minder passwd` makes of a password.
fn user(minder: &Minder, name: &str, password: &str) -> String {
    let mut passwd = minder.command(&["passwd", name, "--role", "admin"]);
    let mut child = passwd.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    writeln!(child.stdin.take().unwrap(), "{password}").unwrap();
    let lines = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    lines.strip_prefix("dashboard:\n").unwrap().to_owned()
}

fn curl(minder: &Minder, path: &str, arguments: &[&str]) -> String {
    let jar = minder.dir().join("cookies");
    let mut curl = Command::new("curl");
    curl.args(["-s", "-m", "10", "-w", "%{http_code} %{redirect_url}", "-b"]).arg(&jar).arg("-c").arg(&jar);
    let output = curl.args(arguments).arg(format!("http://127.0.0.1:{}{path}", minder.port)).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn sign_in(minder: &Minder, password: &str) -> String {
    let page = curl(minder, "/sign-in", &[]);
    let form = page.split("name=\"form\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let (form, password) = (format!("form={form}"), format!("password={password}"));
    curl(minder, "/sign-in", &["-d", &form, "-d", "user=alice", "--data-urlencode", &password])
}

fn write(minder: &Minder, users: &str) {
    let listen = format!("version: 1\ndashboard:\n  listen: \"127.0.0.1:{}\"\n{users}", minder.port);
    let rules = listen + "services: { machine: { checks: [{ system: {} }] } }\n";
    std::fs::write(minder.rules().join("rules.yaml"), rules).unwrap();
}

#[test]
fn a_session_outlives_a_restart_and_another_password_ends_it() {
    let mut minder = Minder::new();
    write(&minder, &user(&minder, "alice", "correct horse"));
    minder.start();
    assert!(curl(&minder, "/", &[]).ends_with("/sign-in"));
    let wrong = sign_in(&minder, "wrong horse");
    assert!(wrong.contains("There is no user of this name with this password"), "{wrong}");
    let right = sign_in(&minder, "correct horse");
    assert!(right.starts_with("303 "), "{right}");
    assert!(curl(&minder, "/", &[]).contains("alice"));
    minder.ok(&["reload"]);

    minder.signal("TERM");
    minder.wait_end(SOON);
    minder.start();
    assert!(curl(&minder, "/", &[]).contains("Sign out"), "{}", minder.log());
    // What was done before it is still known, by whom and from where.
    let audit = curl(&minder, "/api/v1/audit", &[]);
    for part in [
        r#""what":"sign in","ok":false,"words":"wrong password""#,
        r#""from":"127.0.0.1""#,
        r#""what":"reload the rules","ok":true"#,
        r#""from":"socket""#,
    ] {
        assert!(audit.contains(part), "{part}: {audit}");
    }

    minder.kill();
    minder.start();
    assert!(curl(&minder, "/", &[]).contains("Sign out"));

    write(&minder, &user(&minder, "alice", "another horse"));
    minder.ok(&["reload"]);
    wait_until("the session is over", Duration::from_secs(5), || curl(&minder, "/", &[]).ends_with("/sign-in"));
    let state =
        Command::new("grep").args(["-r", "-l", "-e", "argon2", "-e", "horse"]).arg(minder.state()).output().unwrap();
    assert!(state.stdout.is_empty(), "{}", String::from_utf8_lossy(&state.stdout));
    let log = minder.log();
    assert!(!log.contains("argon2") && !log.contains("horse"), "{log}");
}
