//! Many at once: short-lived processes beside it, and servers that are of no help.

use super::support::{Mailbox, Minder, Receiver, process_exists, signal, stays, wait_until};
use super::{Own, SOON};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A server that does this with each connection, as long as the test runs.
pub fn serve(with: impl Fn(TcpStream) + Clone + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let with = with.clone();
            std::thread::spawn(move || with(stream));
        }
    });
    port
}

#[test]
fn ten_thousand_short_lived_processes_a_minute_are_none_of_its_business() {
    let mut minder = Minder::new();
    let app = Own::spawn("sleep", &["987654"]);
    minder.write(
        "services:\n  app:\n    checks:\n      - process: { match: '^sleep 987654$' }\n        every: 200ms\n  \
         all:\n    checks:\n      - processes: {}\n        every: 500ms\n    rules:\n      - processes.count > 1000000 -> notify\n",
    );
    minder.start();
    minder.wait_status("app", "ok", SOON);
    let before = std::fs::read_to_string("/proc/sys/kernel/ns_last_pid").unwrap().trim().parse::<u32>().unwrap();
    let crowd = Own::spawn("sh", &["-c", "while :; do /bin/true; done"]);
    let began = Instant::now();
    let used = processor_time(minder.pid());
    let (watched, mut looks) = (minder.watched("app"), 0);
    stays("it is watched as ever", Duration::from_secs(6), || {
        looks += 1;
        minder.watched("app") == watched
    });
    assert!(crowd.lives() && looks > 20, "minder answers in between: {looks} times");
    let after = std::fs::read_to_string("/proc/sys/kernel/ns_last_pid").unwrap().trim().parse::<u32>().unwrap();
    let pids = after.wrapping_sub(before);
    assert!(pids as f64 / began.elapsed().as_secs_f64() > 10_000.0 / 60.0, "only {pids} processes were made");
    // It does not look at each of them: it would use a core, and uses a part of one.
    let share = (processor_time(minder.pid()) - used).as_secs_f64() / began.elapsed().as_secs_f64();
    assert!(share < 0.6, "{share} of a processor");
    drop(crowd);
    drop(app);
    minder.wait_status("app", "critical", SOON);
}

/// What a process has used.
pub fn processor_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

#[test]
fn a_mail_server_that_says_nothing_keeps_no_other_message_and_no_action_waiting() {
    let silent = serve(|mut stream| {
        let _ = stream.read(&mut [0; 1]);
        std::thread::park();
    });
    let receiver = Receiver::start();
    let mut minder = Minder::new();
    let app = Own::spawn("sleep", &["100000"]);
    let pidfile = minder.dir().join("app.pid");
    std::fs::write(&pidfile, app.pid().to_string()).unwrap();
    minder.write(&format!(
        "mail: {{ server: \"127.0.0.1:{silent}\", tls: none, from: minder@example.org }}\nnotifiers:\n  \
         ops: {{ email: {{ to: [ops@example.org] }}, group: false }}\n  chat: {{ webhook: {{ url: \"{}\" }} }}\nservices:\n  app:\n    \
         notify: [ops, chat]\n    checks:\n      - process: {}\n        every: 200ms\n  gone:\n    notify: [ops]\n    \
         checks:\n      - file: /nowhere/at/all\n        every: 200ms\n",
        receiver.url(),
        pidfile.display(),
    ));
    minder.start();
    minder.wait_status("gone", "warning", SOON);
    drop(app);
    // Less than what the mail server has to answer.
    receiver.wait(Duration::from_secs(10), &["minder.firing", "\"app\""]);
}

#[test]
fn a_mail_server_that_comes_back_brings_what_has_waited() {
    let receiver = Receiver::answering(&["500 Broken", "500 Broken"]);
    let mailbox = Mailbox::start();
    let mut minder = Minder::new();
    minder.write(&format!(
        "mail: {{ server: \"{}\", tls: none, from: minder@example.org }}\nnotifiers:\n  \
         ops: {{ email: {{ to: [ops@example.org] }}, group: false }}\n  chat: {{ webhook: {{ url: \"{}\" }} }}\nservices:\n  gone:\n    \
         notify: [chat, ops]\n    checks:\n      - file: {}/there\n        every: 200ms\n",
        mailbox.address(),
        receiver.url(),
        minder.dir().display(),
    ));
    minder.start();
    mailbox.wait(SOON, &["gone"]);
    // Two answers of 500: what is over by then is one message, which tells both.
    std::fs::write(minder.dir().join("there"), "").unwrap();
    wait_until("all of it has arrived", SOON, || receiver.requests().len() == 3);
    let kinds: Vec<String> =
        receiver.requests().iter().map(|r| r.json()["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds, ["minder.firing", "minder.resolved", "minder.resolved"]);
    let requests = receiver.requests();
    assert_eq!(requests[1].json()["id"], requests[2].json()["id"]);
    wait_until("the mail has both", SOON, || mailbox.mails().len() == 2);
}

#[test]
fn a_body_that_never_ends_is_read_so_far_and_no_further() {
    let port = serve(|mut stream| {
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n");
        while stream.write_all(&[b'x'; 65536]).is_ok() {}
    });
    let drop_by_drop = serve(|mut stream| {
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n");
        while stream.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let mut minder = Minder::new();
    minder.write(&format!(
        "services:\n  flood:\n    checks:\n      - http: {{ url: \"http://127.0.0.1:{port}/\", expect: {{ body: well }} }}\n        \
         every: 300ms\n        timeout: 1s\n  drops:\n    checks:\n      \
         - http: {{ url: \"http://127.0.0.1:{drop_by_drop}/\", expect: {{ body: well }} }}\n        every: 300ms\n        timeout: 1s\n",
    ));
    minder.start();
    minder.wait_status("flood", "warning", SOON);
    minder.wait_status("drops", "warning", SOON);
    let resident = |pid: u32| {
        let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap();
        statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
    };
    stays("it does not grow", Duration::from_secs(3), || resident(minder.pid()) < 100 << 20);
    let answered = process_exists(minder.pid()) && minder.status().is_some();
    assert!(answered);
    signal(minder.pid(), "TERM");
    minder.wait_end(Duration::from_secs(5));
}

#[test]
fn a_thousand_tests_of_a_notifier_that_hangs_keep_no_message_waiting() {
    let (hanging, told) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let (hangs, tells) = (Arc::clone(&hanging), Arc::clone(&told));
    let port = serve(move |mut stream| {
        let mut request = [0; 8192];
        let length = stream.read(&mut request).unwrap_or(0);
        if String::from_utf8_lossy(&request[..length]).contains("this is a test of") {
            hangs.fetch_add(1, Ordering::Relaxed);
            let _ = stream.read(&mut request);
            hangs.fetch_sub(1, Ordering::Relaxed);
        } else if stream.write_all(b"HTTP/1.1 204 Good\r\nconnection: close\r\n\r\n").is_ok() {
            tells.fetch_add(1, Ordering::Relaxed);
        }
    });
    let mut minder = Minder::new();
    minder.write(&format!(
        "notifiers: {{ chat: {{ webhook: {{ url: \"http://127.0.0.1:{port}/\" }} }} }}\nservices:\n  gone:\n    notify: [chat]\n    \
         checks:\n      - file: {}/there\n        every: 200ms\n",
        minder.dir().display()
    ));
    std::fs::write(minder.dir().join("there"), "").unwrap();
    minder.start();
    minder.wait_status("gone", "ok", SOON);
    let body = r#"{"command":"notify-test","notifier":"chat"}"#;
    let ask = |_| {
        let mut stream = UnixStream::connect(&minder.socket).unwrap();
        let head = "POST /api/v1/commands HTTP/1.1\r\nhost: minder\r\ncontent-type: application/json";
        let _ = write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream
    };
    let asking: Vec<UnixStream> = (0..1000).map(ask).collect();
    wait_until("many hang", SOON, || hanging.load(Ordering::Relaxed) > 50);
    std::fs::remove_file(minder.dir().join("there")).unwrap();
    let began = Instant::now();
    wait_until("what has happened is told", SOON, || told.load(Ordering::Relaxed) == 1);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!((51..=128).contains(&hanging.load(Ordering::Relaxed)), "{hanging:?} hang");
    drop(asking);
    minder.wait_status("gone", "warning", SOON);
}
