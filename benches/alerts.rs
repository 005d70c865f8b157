//! What telling costs when much goes wrong: a thousand services that fail within a second, and a notifier that is dead for a day.
//!
//! `cargo bench --bench alerts`
#![allow(clippy::disallowed_methods, reason = "a benchmark reads clocks, and starts minder")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark that cannot run has no result")]
#![allow(missing_docs, reason = "not a library")]

use minder::engine::Engine;
use minder::model::{
    CheckId, Clock, Delivery, Effect, Found, Input, Kind, Mono, Name, Now, Plan, Reading, Restored, Sample, Setting,
    Wall,
};
use minder::store::Store;
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const SERVICES: usize = 1000;
const PATIENCE: Duration = Duration::from_secs(120);

fn main() {
    println!("{:76} {:>12} {:>12} {:>6}", "figure", "minder", "floor", "ratio");
    let (port, requests) = serve(webhook);
    thousand(
        ("requests, each by itself", Duration::ZERO),
        &format!("notifiers: {{ ops: {{ webhook: {{ url: \"http://127.0.0.1:{port}/\" }} }} }}\n"),
        &requests,
        || {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let body = "x".repeat(1000);
            write!(stream, "POST / HTTP/1.1\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
            stream.read_to_end(&mut Vec::new()).unwrap();
        },
    );
    let (port, mails) = serve(smtp);
    thousand(
        ("mail, after the 5 s that a mail waits for others", Duration::from_secs(5)),
        &format!(
            "mail: {{ server: \"127.0.0.1:{port}\", tls: none, from: minder@example.org }}\n\
             notifiers: {{ ops: {{ email: {{ to: [ops@example.org] }} }} }}\n"
        ),
        &mails,
        || {
            let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let mut answers = BufReader::new(stream.try_clone().unwrap()).lines();
            let body = format!("{}.\r\n", "x\r\n".repeat(300));
            for line in ["EHLO bench", "MAIL FROM:<a@b>", "RCPT TO:<a@b>", "DATA", body.trim_end(), "QUIT"] {
                answers.next().unwrap().unwrap();
                (&stream).write_all(format!("{line}\r\n").as_bytes()).unwrap();
            }
            answers.next().unwrap().unwrap();
        },
    );
    dead_for_a_day();
}

fn row(figure: &str, ours: f64, floor: Option<f64>, unit: &str) {
    let words = |value: f64| format!("{value:.2} {unit}");
    let ratio = floor.map(|floor| format!("{:.2}", ours / floor)).unwrap_or_default();
    println!("{figure:76} {:>12} {:>12} {ratio:>6}", words(ours), floor.map(words).unwrap_or_default());
}

// ---- receivers ----

/// A server that does this with each connection; and what it counts.
fn serve(with: fn(&TcpStream) -> Option<()>) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            counted.fetch_add(usize::from(with(&stream).is_some()), Ordering::Relaxed);
        }
    });
    (port, count)
}

fn webhook(mut stream: &TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim().to_lowercase().split_once(':') {
            Some(("content-length", value)) => length = value.trim().parse().ok()?,
            Some(_) => {}
            None if line.trim().is_empty() => break,
            None => {}
        }
    }
    reader.read_exact(&mut vec![0; length]).ok()?;
    stream.write_all(b"HTTP/1.1 204 Taken\r\nconnection: close\r\n\r\n").ok()
}

fn smtp(stream: &TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let say = |line: &str| (&mut &*stream).write_all(format!("{line}\r\n").as_bytes()).ok();
    say("220 bench")?;
    let (mut line, mut letter, mut taken) = (String::new(), false, None);
    while {
        line.clear();
        reader.read_line(&mut line).ok()? > 0
    } {
        match (letter, line.trim_end()) {
            (true, ".") => {
                (letter, taken) = (false, Some(()));
                say("250 taken")?;
            }
            (true, _) => {}
            (false, "DATA") => {
                letter = true;
                say("354 go on")?;
            }
            (false, "QUIT") => {
                say("221 bye")?;
                break;
            }
            (false, _) => say("250 well")?,
        }
    }
    taken
}

// ---- a thousand services fail ----

/// The real program: a thousand files are gone at once. Until every incident is recorded and every message delivered.
fn thousand((what, wait): (&str, Duration), notifiers: &str, taken: &AtomicUsize, exchange: impl Fn()) {
    let dir = tempfile::tempdir().unwrap();
    let files = dir.path().join("files");
    fs::create_dir(&files).unwrap();
    let mut rules = format!(
        "version: 1\ndashboard: {{ listen: \"127.0.0.1:0\" }}\n{notifiers}defaults: {{ notify: [ops], every: 1s }}\nservices:\n"
    );
    for i in 0..SERVICES {
        fs::write(files.join(i.to_string()), "").unwrap();
        let _ = writeln!(rules, "  s{i}: {{ checks: [file: {:?}] }}", files.join(i.to_string()));
    }
    fs::write(dir.path().join("rules.yaml"), rules).unwrap();
    let minder = Minder::start(dir.path());
    let database = dir.path().join("state/state.db");
    let count = |query: &str| {
        let open = || Connection::open_with_flags(&database, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).ok();
        open().and_then(|db| db.query_row(query, [], |row| row.get::<_, i64>(0)).ok()).unwrap_or(0)
    };
    wait_until("minder has judged all", || count("SELECT count(*) FROM service") == SERVICES as i64);
    // Each is well, and nothing is under way any more.
    std::thread::sleep(Duration::from_secs(2));
    let (cpu, began) = (minder.cpu(), Instant::now());
    fs::rename(&files, dir.path().join("gone")).unwrap();
    wait_until("all is recorded", || count("SELECT count(*) FROM incident") == SERVICES as i64);
    let recorded = began.elapsed();
    wait_until("all is told", || count("SELECT count(*) FROM messages WHERE state = 'delivered'") == SERVICES as i64);
    let (told, cpu) = (began.elapsed(), minder.cpu() - cpu);
    let exchanges = taken.load(Ordering::Relaxed);
    drop(minder);

    // The floor: as many rows, each incident in a transaction, and as many exchanges.
    let floor = Connection::open(dir.path().join("floor.db")).unwrap();
    floor
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; CREATE TABLE row (id INTEGER PRIMARY KEY, text)",
        )
        .unwrap();
    let text = "x".repeat(600);
    let (began, used) = (Instant::now(), thread_cpu());
    for _ in 0..SERVICES {
        floor.execute_batch("BEGIN").unwrap();
        // Of the service, the incident, two events, the message, its end.
        for _ in 0..6 {
            floor.prepare_cached("INSERT INTO row (text) VALUES (?)").unwrap().execute([&text]).unwrap();
        }
        floor.execute_batch("COMMIT").unwrap();
    }
    let rows = began.elapsed();
    (0..exchanges).for_each(|_| exchange());
    let (all, used) = (began.elapsed(), thread_cpu() - used);
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!("{SERVICES} services fail at once, told by {exchanges} {what}");
    row("  until all incidents are recorded", ms(recorded), Some(ms(rows)), "ms");
    row("  until all messages are delivered, without that wait", ms(told - wait), Some(ms(all)), "ms");
    row("  processor time of it all", ms(cpu), Some(ms(used)), "ms");
}

/// Processor time of this thread so far.
fn thread_cpu() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(spent.tv_sec as u64, spent.tv_nsec as u32)
}

fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

struct Minder(Child);

impl Minder {
    fn start(dir: &Path) -> Minder {
        let mut command = Command::new(env!("CARGO_BIN_EXE_minder"));
        command.arg("run").arg(dir.join("rules.yaml")).arg("--state").arg(dir.join("state"));
        command.arg("--socket").arg(dir.join("minder.sock"));
        Minder(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Processor time of all its threads so far.
    fn cpu(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.0.id())).unwrap();
        let spent = |task: std::io::Result<fs::DirEntry>| {
            let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        };
        Duration::from_nanos(tasks.filter_map(spent).sum())
    }
}

impl Drop for Minder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

// ---- a notifier is dead for a day ----

/// Time as the day has it.
struct Day(AtomicU64);

impl Clock for Day {
    fn now(&self) -> Now {
        let ms = self.0.load(Ordering::Relaxed);
        Now { mono: Mono(ms * 1_000_000), wall: Wall(1_767_225_600_000 + ms as i64) }
    }
}

/// The engine and the store as they are, a day as a number: 100 services fail and recover, 50,000 times each in all, and a
/// notifier takes nothing.
fn dead_for_a_day() {
    const EVENTS: u64 = 100_000;
    const NAMES: u64 = 100;
    let dir = tempfile::tempdir().unwrap();
    let mut rules = "version: 1\nnotifiers: { ops: { webhook: { url: \"http://127.0.0.1/\" } } }\ndefaults: { notify: [ops], every: 1h, flapping: false }\nservices:\n".to_owned();
    for i in 0..NAMES {
        let _ = writeln!(rules, "  s{i}: {{ checks: [file: /nowhere/{i}] }}");
    }
    fs::write(dir.path().join("rules.yaml"), rules).unwrap();
    let plan: Arc<Plan> =
        Arc::new(minder::config::parse(&minder::config::read_to_try(&dir.path().join("rules.yaml"))).unwrap());
    let Kind::File(_) = &*plan.services[0].checks[0].kind else { panic!("a file") };
    let missing = plan.services[0].checks[0].kind.metric("missing").unwrap();
    let day = Arc::new(Day(AtomicU64::new(1_000_000)));
    let (store, opened) = Store::open(&dir.path().join("state"), "bench", Arc::clone(&day) as Arc<dyn Clock>).unwrap();
    let setting = Setting {
        host: "bench".to_owned(),
        instance: opened.instance,
        booted: Duration::from_secs(3600),
        no_act: false,
    };
    let (mut engine, first) = Engine::new(plan, setting, Restored::default(), day.now());
    let mut checks: BTreeMap<Name, CheckId> = BTreeMap::new();
    for effect in &first {
        if let Effect::Series(check, series) = effect {
            checks.insert(Arc::clone(&series.service), *check);
        }
    }
    let checks: Vec<CheckId> = checks.into_values().collect();
    let mut attempts = 0_u64;
    let mut perform = |effects: Vec<Effect>| {
        let (mut records, mut messages, mut failed) = (Vec::new(), Vec::new(), Vec::new());
        for effect in effects {
            match effect {
                Effect::Record(record) => records.push(record),
                Effect::Tell(message) => messages.push(message),
                Effect::Send(parcel) => failed.push(parcel.id),
                _ => {}
            }
        }
        attempts += failed.len() as u64;
        (store.commit(records, messages), failed)
    };
    let (begun, began, before) = (day.now(), Instant::now(), resident());
    let mut most = before;
    let _ = perform(first);
    for event in 0..EVENTS {
        day.0.fetch_add(86_400_000 / EVENTS, Ordering::Relaxed);
        let of = usize::try_from(event % NAMES).unwrap();
        let fails = (event / NAMES).is_multiple_of(2);
        let now = day.now();
        let readings = vec![(missing, Reading::Flag(fails))];
        let sample = Sample { at: now, took: Duration::ZERO, readings, note: None, found: Found::Unasked };
        let mut inputs = vec![Input::Sampled(vec![(checks[of], Arc::new(sample))])];
        while let Some(input) = inputs.pop() {
            let (committed, failed) = perform(engine.handle(input, now));
            for parcel in failed {
                let outcome = Delivery::Deferred { why: "no route to host".into(), after: None };
                inputs.push(Input::Delivered { parcel, outcome });
            }
            if event % 500 == 0 {
                assert!(committed.wait(Duration::from_secs(20)));
                most = most.max(resident());
            }
        }
        if engine.next_wakeup().is_some_and(|at| at <= now.mono) {
            let (_, failed) = perform(engine.handle(Input::Woken, now));
            for parcel in failed {
                let outcome = Delivery::Deferred { why: "no route to host".into(), after: None };
                let _ = perform(engine.handle(Input::Delivered { parcel, outcome }, now));
            }
        }
    }
    let (took, hours) = (began.elapsed(), (day.now().mono - begun.mono).as_secs_f64() / 3600.0);
    assert!(store.close(Duration::from_secs(60)));
    let state = dir.path().join("state");
    let size = |name: &str| fs::metadata(state.join(name)).map_or(0, |file| file.len()) as f64 / 1e6;
    let database = Connection::open(state.join("state.db")).unwrap();
    let count = |query: &str| database.query_row(query, [], |row| row.get::<_, i64>(0)).unwrap_or(0);
    let (kept, tried) = (count("SELECT count(*) FROM messages"), attempts as f64);
    println!("a notifier is dead for {hours:.0} h, with {EVENTS} firings and recoveries");
    row("  more resident memory, at most", most - before, None, "MB");
    row("  state.db", size("state.db"), None, "MB");
    row("  its log", size("state.db-wal"), None, "MB");
    row("  messages kept", kept as f64, None, "");
    row("  attempts to deliver", tried, None, "");
    row("  an event, until it is in the store", took.as_secs_f64() * 1e6 / EVENTS as f64, None, "µs");
}

/// Resident megabytes of this process.
fn resident() -> f64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<f64>().unwrap() * 4096.0 / 1e6
}
