//! A restart by the page: the form of the real daemon, a real process, and the true outcome.

use super::SOON;
use super::support::{Minder, process_exists, wait_for, wait_until};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

/// What minder answers on its socket, where this user may do everything.
fn ask(minder: &Minder, request: &str) -> String {
    let mut stream = UnixStream::connect(&minder.socket).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn get(minder: &Minder, path: &str) -> String {
    ask(minder, &format!("GET {path} HTTP/1.1\r\nhost: minder\r\nconnection: close\r\n\r\n"))
}

fn hidden<'a>(page: &'a str, name: &str) -> &'a str {
    let start = format!("name=\"{name}\" value=\"");
    assert!(page.contains(&start), "no {name}: {page}");
    page.split_once(&start).unwrap().1.split('"').next().unwrap()
}

/// Sends the form of this page; where its outcome is.
fn confirm(minder: &Minder, verb: &str, page: &str) -> String {
    let (form, seen) = (hidden(page, "form"), hidden(page, "seen"));
    let body = format!("service=app&form={form}&seen={seen}");
    let kind = "content-type: application/x-www-form-urlencoded";
    let head = format!("POST /do/{verb} HTTP/1.1\r\nhost: minder\r\nconnection: close\r\n{kind}");
    let answer = ask(minder, &format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
    assert!(answer.starts_with("HTTP/1.1 303"), "{answer}");
    answer.lines().find_map(|line| line.strip_prefix("location: ")).unwrap().to_owned()
}

fn outcome(minder: &Minder, place: &str) -> String {
    let ended = || Some(get(minder, place)).filter(|page| !page.contains("Under way"));
    wait_for(|| format!("the outcome of {place}"), SOON, ended)
}

#[test]
fn a_restart_by_the_page_and_what_came_of_it() {
    let mut minder = Minder::new();
    let script = format!("sleep 100000 >/dev/null 2>&1 </dev/null & echo $! >{0}/pid", minder.dir().display());
    minder.write(&format!(
        "services:\n  app:\n    settle: 200ms\n    control: {{ command: {{ start: [/bin/sh, -c, '{script}'] }} }}\n    checks:\n      \
         - process: {{ pidfile: {}/pid, name: sleep }}\n        every: 200ms\n",
        minder.dir().display()
    ));
    minder.start();
    minder.ok(&["start", "app"]);
    let old = minder.watched("app").expect("it is up");

    let page = get(&minder, "/do/restart?service=app");
    for words in ["Restart app?", &format!("up as pid {old}"), "sent TERM", "/bin/sh -c"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(process_exists(old), "to look changes nothing");
    let place = confirm(&minder, "restart", &page);
    let done = outcome(&minder, &place);
    let new = minder.wait_replaced("app", old, SOON);
    assert!(done.contains("<b>Done</b>") && done.contains(&format!("pid {new}")), "{new}: {done}");
    assert!(!process_exists(old));
    // The same form again is the same restart.
    assert_eq!(confirm(&minder, "restart", &page), place);
    assert_eq!(minder.watched("app"), Some(new));

    // Stopped by the page, it stays so.
    let page = get(&minder, "/do/stop?service=app");
    let stopped = outcome(&minder, &confirm(&minder, "stop", &page));
    assert!(stopped.contains("<b>Done</b>"), "{stopped}");
    wait_until("it is down", SOON, || !process_exists(new));
    minder.wait_status("app", "stopped", SOON);

    // A start that fails is told as it is.
    minder.write("services:\n  app:\n    control: { command: { start: [/bin/false] } }\n    checks:\n      - process: { name: none-such }\n");
    minder.ok(&["reload"]);
    let page = get(&minder, "/do/start?service=app");
    let failed = outcome(&minder, &confirm(&minder, "start", &page));
    assert!(failed.contains("<b>Not done</b>") && failed.contains("code 1"), "{failed}");
}
