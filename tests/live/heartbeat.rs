//! Heartbeats by HTTP, and jobs that `minder run-job` wraps: the real daemon, real commands, and curl.

use super::SOON;
use super::support::{Minder, process_exists, signal, wait_for, wait_until};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

const SECRET: &str = "0123456789abcdefSECRET";

/// A minder that waits for a job: `backup`, each night at three.
fn minder() -> Minder {
    let mut minder = Minder::new();
    minder.env.push(("BACKUP_SECRET", SECRET.to_owned()));
    minder.write(
        "services:\n  backup:\n    checks:\n      - heartbeat: { schedule: \"0 3 * * *\", zone: UTC, secret: { env: BACKUP_SECRET } }\n",
    );
    minder.start();
    minder
}

fn address(minder: &Minder, end: &str) -> String {
    format!("http://127.0.0.1:{}/api/v1/heartbeat/{end}", minder.port)
}

/// The answer's body and status.
fn curl(arguments: &[&str]) -> String {
    let output = Command::new("curl").args(["-s", "-m", "10", "-w", "%{http_code}"]).args(arguments).output().unwrap();
    String::from_utf8_lossy(&output.stdout).replace('\n', " ")
}

/// A metric of the heartbeat of `backup`, in words.
fn metric(minder: &Minder, name: &str) -> Option<String> {
    let service = minder.service("backup")?;
    let metrics = service["checks"][0]["metrics"].as_array()?.clone();
    metrics.iter().find(|metric| metric["name"] == name)?["text"].as_str().map(str::to_owned)
}

#[track_caller]
fn wait_metric(minder: &Minder, name: &str, text: &str) {
    wait_until(&format!("{name} is {text}"), SOON, || metric(minder, name).as_deref() == Some(text));
}

#[test]
fn by_http_with_the_secret_alone() {
    let mut minder = minder();
    assert_eq!(metric(&minder, "missing").as_deref(), Some("no"));
    assert_eq!(metric(&minder, "age").as_deref(), Some("none"));
    let at = |end: &str| address(&minder, &format!("{SECRET}{end}"));
    assert_eq!(curl(&["-X", "POST", &at("/start")]), "OK 200");
    assert_eq!(curl(&["-d", "no \u{1b}[31mspace left", &at("/fail")]), "OK 200");
    wait_metric(&minder, "failed", "yes");
    minder.wait_status("backup", "critical", SOON);
    let shown = minder.any(&["status", "backup"]);
    assert!(shown.contains("space left") && !shown.contains('\u{1b}'), "{shown}");
    // A job may only be able to fetch an address.
    assert_eq!(curl(&[&at("")]), "OK 200");
    wait_metric(&minder, "failed", "no");
    assert_eq!(curl(&["-X", "POST", &at("/7")]), "OK 200");
    wait_metric(&minder, "exit.code", "7");
    assert_eq!(curl(&["--head", "-o", "/dev/null", &at("/0")]), "200");
    wait_metric(&minder, "exit.code", "0");
    // Output that is too long costs the output at most.
    let long = minder.dir().join("long");
    std::fs::write(&long, vec![b'x'; 200_000]).unwrap();
    curl(&["--data-binary", &format!("@{}", long.display()), &at("/3")]);
    wait_metric(&minder, "exit.code", "3");
    // Whoever does not know the secret learns nothing, not even what an address looks like.
    for end in ["0123456789abcdefSECREX", "0123456789abcdefSECRE", "x/start", &format!("{SECRET}/begin")] {
        let answer = curl(&["-X", "POST", &address(&minder, end)]);
        assert!(answer.ends_with("404") && !answer.contains(SECRET), "{answer}");
    }
    // Another host's name, and another address, are closed as before.
    assert!(curl(&["-X", "POST", "-H", "Host: evil.example", &at("")]).ends_with("421"));
    assert!(curl(&["-X", "POST", &format!("http://127.0.0.1:{}/api/v1/status", minder.port)]).ends_with("405"));
    // It outlives minder, and is written nowhere.
    minder.kill();
    minder.start();
    wait_metric(&minder, "exit.code", "3");
    minder.signal("TERM");
    minder.wait_end(SOON);
    let find = Command::new("grep").args(["-rl", SECRET]).arg(minder.dir()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&find.stdout), "", "the secret was written down");
}

#[test]
fn a_job_is_wrapped_and_its_exit_code_is_its_own() {
    let minder = minder();
    let run = |script: &str| minder.run(&["run-job", "backup", "--", "sh", "-c", script]);
    let output = run("echo out; echo err >&2; exit 0");
    assert_eq!((output.status.code(), &*output.stdout, &*output.stderr), (Some(0), &b"out\n"[..], &b"err\n"[..]));
    wait_metric(&minder, "exit.code", "0");
    assert_eq!(run("exit 42").status.code(), Some(42));
    wait_metric(&minder, "exit.code", "42");
    wait_metric(&minder, "failed", "yes");
    assert_eq!(run("kill -KILL $$").status.code(), Some(137));
    wait_metric(&minder, "exit.code", "137");
    wait_metric(&minder, "status", "\"killed by SIGKILL\"");
    let output = minder.run(&["run-job", "backup", "--", "/nonexistent/program"]);
    assert_eq!(output.status.code(), Some(127));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nonexistent/program cannot be run"));
    wait_metric(&minder, "exit.code", "127");
    assert_eq!(run("true").status.code(), Some(0));
    wait_metric(&minder, "failed", "no");
    let output = minder.run(&["run-job", "bakcup", "--", "true"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), said.lines().count()), (Some(0), 1), "{said}");
    assert!(said.contains("no heartbeat of `bakcup`"), "{said}");
}

/// A job that runs until it is told to end, and its wrapper.
fn job(mut command: Command, dir: &Path, script: &str) -> (Child, u32) {
    let file = dir.join("job.pid");
    let script = format!("{script}; echo $$ > {0}.new; mv {0}.new {0}; while :; do sleep 0.05; done", file.display());
    let wrapper =
        command.args(["run-job", "backup", "--", "sh", "-c", &script]).stderr(Stdio::piped()).spawn().unwrap();
    let pid = wait_for(|| "the job runs".to_owned(), SOON, || std::fs::read_to_string(&file).ok()?.trim().parse().ok());
    (wrapper, pid)
}

#[test]
fn signals_are_passed_on_to_the_job() {
    let minder = minder();
    let (wrapper, pid) = job(minder.command(&[]), minder.dir(), "trap 'exit 9' TERM");
    wait_until("the job is known to run", SOON, || metric(&minder, "age").is_some_and(|age| age != "none"));
    signal(wrapper.id(), "TERM");
    let output = wrapper.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(9), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!process_exists(pid));
    wait_metric(&minder, "exit.code", "9");
}

#[test]
fn a_job_runs_whatever_becomes_of_minder() {
    let mut minder = minder();
    // Minder is killed during the run, and back at its end.
    let (wrapper, pid) = job(minder.command(&[]), minder.dir(), ":");
    wait_until("the job is known to run", SOON, || metric(&minder, "age").is_some_and(|age| age != "none"));
    minder.kill();
    signal(pid, "TERM");
    minder.start();
    assert_eq!(wrapper.wait_with_output().unwrap().status.code(), Some(143));
    wait_metric(&minder, "exit.code", "143");
    // Without minder it runs, and says so once.
    minder.kill();
    let output: Output = minder.run(&["run-job", "backup", "--", "sh", "-c", "exit 5"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), said.lines().count()), (Some(5), 1), "{said}");
    assert!(said.contains("minder was not told of this job"), "{said}");
}

#[test]
fn a_job_of_another_user_tells_the_address() {
    let minder = minder();
    let mut command = minder.command(&["run-job", "backup", "--", "sh", "-c", "test -z \"$MINDER_URL\" && exit 6"]);
    command.env("MINDER_URL", address(&minder, SECRET)).env("MINDER_SOCKET", "/nonexistent");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), said.as_str()), (Some(6), ""));
    wait_metric(&minder, "exit.code", "6");
    let mut command = minder.command(&["run-job", "backup", "--", "true"]);
    let wrong = format!("{SECRET}x");
    let output = command.env("MINDER_URL", address(&minder, &wrong)).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("knows no heartbeat") && !said.contains(SECRET), "{said}");
}

/// A daemon that hangs, and says nothing more, is restarted.
#[test]
fn a_heartbeat_that_is_lost_restarts_the_daemon() {
    let mut minder = Minder::new();
    minder.env.push(("BACKUP_SECRET", SECRET.to_owned()));
    let file = minder.dir().join("web.pid");
    let start = format!("[/bin/sh, -c, \"sleep 100000 & echo $! > {}\"]", file.display());
    minder.write(&format!(
        "services:\n  web:\n    grace: 1s\n    control: {{ command: {{ start: {start} }} }}\n    checks:\n      - process: {{ pidfile: {} }}\n      \
         - heartbeat: {{ every: 2s, secret: {{ env: BACKUP_SECRET }} }}\n    rules:\n      - process.down -> restart\n      \
         - heartbeat.missing -> restart\n",
        file.display()
    ));
    minder.start();
    let first = wait_for(|| "it is started".to_owned(), SOON, || minder.watched("web"));
    // It beats for longer than it may be silent.
    for _ in 0..8 {
        std::thread::sleep(std::time::Duration::from_millis(500));
        assert_eq!(curl(&[&address(&minder, SECRET)]), "OK 200");
    }
    assert_eq!(minder.watched("web"), Some(first));
    minder.wait_replaced("web", first, SOON);
    assert!(minder.history().contains("heartbeat.missing"), "{}", minder.history());
}
