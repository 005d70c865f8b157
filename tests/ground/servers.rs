//! Servers that are of no help: to messages, and to checks.

use super::SOON;
use super::crowd::serve;
use super::support::{Minder, Receiver, stays, wait_for, wait_until};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A file that may be missing, told to these notifiers.
fn gone(minder: &Minder, mail: &str, notifiers: &str, names: &str) {
    let dir = minder.dir().display();
    minder.write(&format!(
        "{mail}notifiers:\n{notifiers}services:\n  gone:\n    notify: [{names}]\n    checks:\n      - file: {dir}/there\n        \
         every: 200ms\n"
    ));
    std::fs::write(minder.dir().join("there"), "").unwrap();
}

fn set(minder: &Minder, there: bool) {
    let path = minder.dir().join("there");
    if there { std::fs::write(path, "").unwrap() } else { std::fs::remove_file(path).unwrap() }
}

/// The bytes of memory of minder.
fn resident(minder: &Minder) -> u64 {
    let statm = std::fs::read_to_string(format!("/proc/{}/statm", minder.pid())).unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// It has the mail, and nobody knows whether it takes it: it is sent once more, and whoever reads both can see that they are one.
#[test]
fn a_mail_server_that_falls_silent_after_the_letter_gets_it_again_with_the_same_id() {
    let letters: Arc<Mutex<Vec<String>>> = Arc::default();
    let taken = letters.clone();
    let port = serve(move |stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let say = |line: &str| drop((&stream).write_all(format!("{line}\r\n").as_bytes()));
        say("220 here");
        let mut line = String::new();
        while {
            line.clear();
            reader.read_line(&mut line).unwrap_or(0) > 0
        } {
            match line.get(..4).unwrap_or_default() {
                "DATA" => say("354 go on"),
                "QUIT" => return say("221 bye"),
                _ => {
                    say("250 well");
                    continue;
                }
            }
            let mut letter = String::new();
            while {
                line.clear();
                reader.read_line(&mut line).unwrap_or(0) > 0
            } && line != ".\r\n"
            {
                letter += &line;
            }
            let first = {
                let mut taken = taken.lock().unwrap();
                taken.push(letter);
                taken.len() == 1
            };
            if first {
                let _ = reader.read(&mut [0; 1]);
                return;
            }
            say("250 taken");
        }
    });
    let receiver = Receiver::start();
    let mut minder = Minder::new();
    let mail = format!("mail: {{ server: \"127.0.0.1:{port}\", tls: none, from: minder@example.org }}\n");
    let notifiers = format!(
        "  ops: {{ email: {{ to: [ops@example.org] }}, group: false }}\n  chat: {{ webhook: {{ url: \"{}\" }} }}\n",
        receiver.url()
    );
    gone(&minder, &mail, &notifiers, "ops, chat");
    minder.start();
    minder.wait_status("gone", "ok", SOON);
    set(&minder, false);
    receiver.wait(Duration::from_secs(10), &["minder.firing"]);
    let letters = || letters.lock().unwrap().clone();
    let said = || minder.any(&["status"]);
    let what = || format!("it is said that it is not sure: {}", said());
    wait_for(what, Duration::from_secs(45), || said().contains("did not say that it takes it").then_some(()));
    wait_until("it is sent again", SOON, || letters().len() == 2);
    let id = |letter: &String| {
        letter.lines().find(|line| line.to_lowercase().starts_with("message-id:")).unwrap().to_owned()
    };
    assert_eq!(id(&letters()[0]), id(&letters()[1]));
    stays("and no more", Duration::from_secs(2), || letters().len() == 2);
    assert!(!minder.any(&["status"]).contains("not delivered"));
}

#[test]
fn the_answer_to_a_webhook_may_be_endless_and_the_message_is_delivered_once() {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let taken = seen.clone();
    let port = serve(move |mut stream| {
        let mut buffer = [0; 65536];
        let length = stream.read(&mut buffer).unwrap_or(0);
        let number = {
            let mut taken = taken.lock().unwrap();
            taken.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
            taken.len()
        };
        // First an error as large as it gets, then what never ends, at once and by drops.
        let status = if number == 1 { "500 Broken" } else { "200 OK" };
        let _ = stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-type: text/plain\r\n\r\n").as_bytes());
        if number < 3 {
            while stream.write_all(&[b'x'; 65536]).is_ok() {}
        } else {
            while stream.write_all(b"x").is_ok() {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    });
    let mut minder = Minder::new();
    gone(&minder, "", &format!("  chat: {{ webhook: {{ url: \"http://127.0.0.1:{port}/\" }} }}\n"), "chat");
    minder.start();
    minder.wait_status("gone", "ok", SOON);
    set(&minder, false);
    let seen = || seen.lock().unwrap().clone();
    wait_until("it is tried again after the error", SOON, || seen().len() == 2);
    set(&minder, true);
    wait_until("the next one is not held up", SOON, || seen().len() == 3);
    assert!(seen()[2].contains("minder.resolved"), "{:?}", seen()[2]);
    set(&minder, false);
    // It is read for as long as an answer may take, and then it is enough.
    wait_until("nor by one that comes by drops", Duration::from_secs(30), || seen().len() == 4);
    stays("none is sent twice", Duration::from_secs(2), || seen().len() == 4 && resident(&minder) < 100 << 20);
}

#[test]
fn headers_without_end_are_a_failure_and_cost_no_memory() {
    let asked: Arc<Mutex<usize>> = Arc::default();
    let counted = asked.clone();
    let port = serve(move |mut stream| {
        let _ = stream.read(&mut [0; 65536]);
        *counted.lock().unwrap() += 1;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        while stream.write_all(&b"x-more: and more\r\n".repeat(1000)).is_ok() {}
    });
    let mut minder = Minder::new();
    gone(&minder, "", &format!("  chat: {{ webhook: {{ url: \"http://127.0.0.1:{port}/\" }} }}\n"), "chat");
    minder.start();
    minder.wait_status("gone", "ok", SOON);
    let before = resident(&minder);
    set(&minder, false);
    wait_until("it is tried again, and again", SOON, || *asked.lock().unwrap() >= 3);
    assert!(resident(&minder) < before + (20 << 20), "{before} bytes became {}", resident(&minder));
    let said = minder.any(&["status"]);
    assert!(said.contains("1 message waits for chat"), "{said}");
}

#[test]
fn a_log_of_any_size_makes_a_message_of_some() {
    let receiver = Receiver::start();
    let mut minder = Minder::new();
    let log = minder.dir().join("log");
    minder.write(&format!(
        "notifiers: {{ chat: {{ webhook: {{ url: \"{}\" }} }} }}\nservices:\n  gone:\n    notify: [chat]\n    log: {}\n    checks:\n      \
         - file: {}/there\n        every: 200ms\n",
        receiver.url(),
        log.display(),
        minder.dir().display()
    ));
    set(&minder, true);
    std::fs::write(&log, format!("{}\n\u{1b}[31mthe last line\n", "x".repeat(1 << 20)).repeat(40)).unwrap();
    minder.start();
    minder.wait_status("gone", "ok", SOON);
    set(&minder, false);
    let told = receiver.wait(SOON, &["minder.firing", "the last line"]);
    assert!(told.body.len() < 100_000, "{} bytes", told.body.len());
    assert!(!told.body.contains("\\u001b"), "no control characters");
}

#[test]
fn a_receiver_that_points_elsewhere_is_not_followed() {
    let elsewhere = Receiver::start();
    let redirect = format!("307 Elsewhere\r\nlocation: {}", elsewhere.url());
    let receiver = Receiver::answering(&[&redirect]);
    let mut minder = Minder::new();
    gone(&minder, "", &format!("  chat: {{ webhook: {{ url: \"{}\" }} }}\n", receiver.url()), "chat");
    minder.start();
    minder.wait_status("gone", "ok", SOON);
    set(&minder, false);
    let history = || minder.history();
    wait_for(|| format!("the record says so: {}", history()), SOON, || history().contains("status 307").then_some(()));
    assert_eq!((receiver.requests().len(), elsewhere.requests().len()), (1, 0));
}

/// minder with a resolver that never answers.
fn without_names(minder: &mut Minder) -> UdpSocket {
    // Any address of the loopback network is this machine's own.
    let (socket, address) = (1..250)
        .find_map(|last| {
            let address = format!("127.{}.53.{last}", std::process::id() % 200 + 1);
            Some((UdpSocket::bind((address.as_str(), 53)).ok()?, address))
        })
        .unwrap();
    let file = minder.dir().join("resolv.conf");
    std::fs::write(&file, format!("nameserver {address}\noptions timeout:30 attempts:5\n")).unwrap();
    let line = format!("mount --bind {} /etc/resolv.conf && exec \"$@\"", file.display());
    minder.under = ["unshare", "-m", "sh", "-c", &line, "sh"].map(String::from).into();
    socket
}

#[test]
fn a_resolver_that_never_answers_fails_what_needs_it_and_nothing_else() {
    let here = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut minder = Minder::new();
    let _silent = without_names(&mut minder);
    let mut rules = String::new();
    // Few enough that each can hang by itself.
    for i in 0..12 {
        // Each tells somebody whose name cannot be found either.
        rules += &format!(
            "  far{i}:\n    notify: [chat{i}]\n    checks:\n      - http: {{ url: \"http://host{i}.example.org/\" }}\n        \
             every: 500ms\n        timeout: 1s\n"
        );
    }
    rules += &format!(
        "  near:\n    checks:\n      - tcp: {}\n        every: 300ms\n        timeout: 1s\n      - file: {}\n        every: 300ms\n",
        here.local_addr().unwrap(),
        minder.dir().display(),
    );
    rules += "notifiers:\n";
    for i in 0..12 {
        rules += &format!("  chat{i}: {{ webhook: {{ url: \"http://hook{i}.example.org/\" }} }}\n");
    }
    minder.write(&format!("services:\n{rules}"));
    minder.start();
    for i in [0, 7, 11] {
        let far = minder.wait_status(&format!("far{i}"), "warning", SOON);
        let note = far["checks"][0]["note"].to_string();
        assert!(note.contains("name") || note.contains("look"), "{note}");
    }
    // Messages are tried and tried again, each with a look for a name that hangs for minutes.
    let at = |service: &serde_json::Value| service["checks"][0]["at"].to_string();
    let mut last = String::new();
    let mut looks = 0;
    stays("what needs no name is as well as ever", Duration::from_secs(20), || {
        let near = minder.service("near").unwrap();
        looks += usize::from(at(&near) != last);
        last = at(&near);
        near["status"] == "ok"
    });
    assert!(looks > 20, "asked {looks} times");
    let began = std::time::Instant::now();
    minder.ok(&["reload"]);
    minder.ok(&["history"]);
    assert!(minder.page("/").contains("near"));
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    minder.signal("TERM");
    minder.wait_end(Duration::from_secs(6));
}

#[test]
fn a_handshake_that_stalls_is_a_failure_within_the_deadline() {
    let port = serve(|mut stream| {
        let _ = stream.read(&mut [0; 65536]);
        let _ = stream.read(&mut [0; 65536]);
    });
    // It begins the handshake, and stops in the middle of its own first word.
    let half = serve(|mut stream| {
        let _ = stream.read(&mut [0; 65536]);
        let _ = stream.write_all(&[22, 3, 3, 0x10, 0, 2, 0]);
        let _ = stream.read(&mut [0; 65536]);
    });
    let mut minder = Minder::new();
    let check = |name: &str, what: String| {
        format!(
            "  {name}:\n    notify: [chat]\n    checks:\n      - {what}\n        every: 300ms\n        timeout: 1s\n"
        )
    };
    minder.write(&format!(
        "notifiers: {{ chat: {{ webhook: {{ url: \"https://127.0.0.1:{port}/\" }} }} }}\nservices:\n{}{}{}",
        check("page", format!("http: {{ url: \"https://127.0.0.1:{port}/\" }}")),
        check("half", format!("http: {{ url: \"https://127.0.0.1:{half}/\" }}")),
        check("file", format!("file: {}", minder.dir().display())),
    ));
    minder.start();
    for name in ["page", "half"] {
        let service = minder.wait_status(name, "warning", SOON);
        let check = &service["checks"][0];
        assert!(check["note"].as_str().is_some_and(|note| !note.is_empty()), "{check:#}");
        assert!(check["took"].as_f64().unwrap() < 1_500.0, "{check:#}");
    }
    minder.wait_status("file", "ok", SOON);
    let said = || minder.any(&["status"]);
    wait_for(
        || format!("that the message waits, and why: {}", said()),
        Duration::from_secs(30),
        || said().contains("no answer within").then_some(()),
    );
}
