//! What minder costs and how quickly it reacts, each figure beside its floor: the bare system calls, in a few lines of Rust,
//! in the same run. The real program is measured from outside, with real processes; `engine`, `store` and `probe` measure
//! parts of it. `cargo bench` runs all; `cargo bench --bench figures -- restart` those whose name holds the word.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads clocks, and starts what minder watches")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark that cannot run has no result")]
#![allow(missing_docs, reason = "not a library")]

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

fn main() {
    let wanted = std::env::args().skip(1).find(|a| a != "--bench").unwrap_or_default();
    let all: &[(&str, fn())] = &[
        ("restart", restart),
        ("hung", hung),
        ("supervised", supervised),
        ("cost-1000", || cost(1000)),
        ("cost-5000", || cost(5000)),
    ];
    println!("{:60} {:>12} {:>12} {:>6}", "figure", "minder", "floor", "ratio");
    all.iter().filter(|(name, _)| name.contains(&wanted)).for_each(|(_, run)| run());
}

fn row(figure: &str, ours: f64, floor: Option<f64>, unit: &str) {
    let words = |value: f64| format!("{value:.2} {unit}");
    let ratio = floor.map(|floor| format!("{:.2}", ours / floor)).unwrap_or_default();
    println!("{figure:60} {:>12} {:>12} {ratio:>6}", words(ours), floor.map(words).unwrap_or_default());
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

// ---- a daemon, and minder ----

/// Says that its first line runs, goes to the background as daemons do, writes its pidfile, and sleeps.
const DAEMON: &str = r#"#!/bin/sh
echo > "$1/began"
setsid sh -c 'echo $$ > "$1/new"; mv "$1/new" "$1/pid"; exec sleep 600' sh "$1" > /dev/null 2>&1 &
"#;

/// A directory with a daemon in it. Both go with it.
struct Place {
    path: PathBuf,
    began: File,
}

impl Place {
    fn new() -> Place {
        let path = std::env::temp_dir().join(format!("minder-bench-{}", std::process::id()));
        fs::create_dir_all(path.join("rules")).unwrap();
        fs::write(path.join("daemon"), DAEMON).unwrap();
        fs::set_permissions(path.join("daemon"), fs::Permissions::from_mode(0o755)).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            path.join("began"),
            rustix::fs::FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        // Open for both, so that neither side waits for the other.
        let began = rustix::fs::open(path.join("began"), OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).unwrap();
        Place { path, began: began.into() }
    }

    fn launch(path: &Path) {
        let mut child = Command::new(path.join("daemon")).arg(path).stdin(Stdio::null()).spawn().unwrap();
        std::thread::spawn(move || child.wait());
    }

    /// Waits for the first line of a daemon.
    fn has_begun(&self) {
        let timeout = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
        let ready = poll(&mut [PollFd::new(&self.began, PollFlags::IN)], Some(&timeout)).unwrap();
        assert_eq!(ready, 1, "no daemon was started");
        let _ = (&self.began).read(&mut [0; 16]).unwrap();
    }

    fn pid(&self) -> Option<i32> {
        fs::read_to_string(self.path.join("pid")).ok()?.trim().parse().ok()
    }

    fn rules(&self, services: &str) -> String {
        format!(
            "version: 1\nbrake: 1000 in 1m\nservices:\n  web:\n    settle: 10ms\n    restart: {{ limit: 1000 in 1h, delay: 0s..0s }}\n    \
             control: {{ command: {{ start: [{:?}, {:?}] }} }}\n    checks: [{{ process: {:?} }}]\n    \
             rules: [process.down -> restart]\n{services}",
            self.path.join("daemon"),
            self.path,
            self.path.join("pid"),
        )
    }

    /// Kills it again and again: milliseconds from the signal to the first line of its replacement.
    fn kill(&self, rounds: usize, settled: impl Fn()) -> Vec<f64> {
        let round = |_| {
            settled();
            std::thread::sleep(Duration::from_millis(50));
            let pid = self.pid().unwrap();
            let killed = Instant::now();
            kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
            self.has_begun();
            let took = killed.elapsed();
            wait_until("it has a pidfile", || self.pid().is_some_and(|new| new != pid));
            took.as_secs_f64() * 1e3
        };
        (0..rounds).map(round).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(pid) = self.pid().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// A minder under measurement.
struct Minder {
    child: Child,
    port: u16,
}

impl Minder {
    fn start(place: &Place, rules: &str) -> Minder {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let rules = format!("{rules}dashboard: {{ listen: \"127.0.0.1:{port}\" }}\n");
        fs::write(place.path.join("rules/bench.yaml"), rules).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_minder"))
            .arg("run")
            .arg(place.path.join("rules"))
            .arg("--state")
            .arg(place.path.join("state"))
            .arg("--socket")
            .arg(place.path.join("minder.sock"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Minder { child, port }
    }

    fn service(&self, name: &str) -> Option<serde_json::Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        let port = self.port;
        write!(stream, "GET /api/v1/services/{name} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    }

    /// The lines of its stream of changes.
    fn changes(&self) -> impl Iterator<Item = std::io::Result<String>> + Send + use<> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(
            stream,
            "GET /api/v1/events HTTP/1.0\r\nHost: 127.0.0.1:{}\r\nAccept: text/event-stream\r\n\r\n",
            self.port
        )
        .unwrap();
        BufReader::new(stream).lines()
    }

    /// It is well, and nothing is under way.
    fn is_settled(&self, name: &str) -> bool {
        self.service(name).is_some_and(|s| s["status"] == "ok" && s["summary"] == "" && s["next"].is_null())
    }

    /// Processor time of all its threads so far, in nanoseconds.
    fn cpu(&self) -> f64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let spent = |task: std::io::Result<fs::DirEntry>| {
            let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<f64>().ok()
        };
        tasks.filter_map(spent).sum()
    }

    /// Resident megabytes.
    fn resident(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1024.0 / 1e6
    }
}

impl Drop for Minder {
    fn drop(&mut self) {
        if let Some(pid) = Pid::from_raw(self.child.id() as i32) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = self.child.wait();
    }
}

// ---- the figures ----

fn restart() {
    let ours = restart_beside("");
    let place = Place::new();
    Place::launch(&place.path);
    place.has_begun();
    wait_until("it has a pidfile", || place.pid().is_some());
    let (path, over) = (place.path.clone(), Arc::new(AtomicBool::new(false)));
    let ended = Arc::clone(&over);
    // The floor: a pidfd, poll, and posix_spawn, which is what the standard library uses here.
    let watcher = std::thread::spawn(move || {
        let mut last = None;
        while !ended.load(Ordering::Relaxed) {
            let pid = fs::read_to_string(path.join("pid")).ok().and_then(|text| text.trim().parse().ok());
            let pidfd = pid.filter(|pid| Some(*pid) != last).and_then(Pid::from_raw);
            let Some(pidfd) = pidfd.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else {
                std::thread::sleep(Duration::from_millis(1));
                continue;
            };
            let second = Timespec { tv_sec: 1, tv_nsec: 0 };
            if poll(&mut [PollFd::new(&pidfd.as_fd(), PollFlags::IN)], Some(&second)) == Ok(1) {
                last = pid;
                Place::launch(&path);
            }
        }
    });
    let floor = place.kill(50, || ());
    over.store(true, Ordering::Relaxed);
    watcher.join().unwrap();
    row("kill -9 until the first line of the replacement, median", ours, Some(median(floor)), "ms");
}

fn hung() {
    let alone = restart_beside("");
    // Connections are accepted by the kernel, and answered by nobody.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    std::thread::spawn(move || silent.incoming().collect::<Vec<_>>());
    let service = |i| format!("  hung-{i}:\n    checks: [{{ http: \"http://127.0.0.1:{port}/\", timeout: 15s }}]\n");
    let beside: String = (0..500).map(service).collect();
    row("the same beside 500 hung HTTP probes; floor: without them", restart_beside(&beside), Some(alone), "ms");
}

/// A service of runit's is killed: when minder says so, to whoever listens to its stream of events, beside when runsv has it
/// replaced. The new process says when its first line runs, as others' do.
fn supervised() {
    let place = Place::new();
    let service = place.path.join("service");
    fs::create_dir(&service).unwrap();
    let run = format!("#!/bin/sh\necho > {:?}\nexec sleep 600\n", place.path.join("began"));
    fs::write(service.join("run"), run).unwrap();
    fs::set_permissions(service.join("run"), fs::Permissions::from_mode(0o755)).unwrap();
    let _runsv = Runsv(Command::new("runsv").arg(&service).stdin(Stdio::null()).spawn().unwrap(), service.clone());
    let pid = || fs::read_to_string(service.join("supervise/pid")).ok()?.trim().parse::<i32>().ok();
    place.has_begun();
    let rules = format!(
        "version: 1\nservices:\n  web:\n    control: {{ runit: {service:?} }}\n    checks: [{{ process: supervised, every: 1s }}]\n",
    );
    let minder = Minder::start(&place, &rules);
    wait_until("it is well", || minder.is_settled("web"));
    let mut changes = minder.changes();
    let (mut told, mut replaced) = (Vec::new(), Vec::new());
    for _ in 0..10 {
        // Well it is not, after some: it looks like a crash loop.
        let watched = || minder.service("web").and_then(|service| service["pid"].as_i64());
        wait_until("minder watches it", || pid().is_some() && watched() == pid().map(i64::from));
        // runsv starts nothing twice within a second.
        std::thread::sleep(Duration::from_millis(1200));
        let old = pid().unwrap();
        let killed = Instant::now();
        kill_process(Pid::from_raw(old).unwrap(), Signal::KILL).unwrap();
        std::thread::scope(|scope| {
            let news = scope.spawn(|| {
                let died = format!("pid {old} ");
                assert!(changes.by_ref().any(|line| line.unwrap().contains(&died)), "minder has ended");
                killed.elapsed()
            });
            place.has_begun();
            replaced.push(killed.elapsed().as_secs_f64() * 1e3);
            told.push(news.join().unwrap().as_secs_f64() * 1e3);
        });
    }
    row(
        "runit service killed until minder says so; floor: runsv's own restart",
        median(told),
        Some(median(replaced)),
        "ms",
    );
}

/// Ends with its service.
struct Runsv(Child, PathBuf);

impl Drop for Runsv {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        let pid = fs::read_to_string(self.1.join("supervise/pid")).ok().and_then(|text| text.trim().parse().ok());
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// The median of minder's restarts, beside other services.
fn restart_beside(services: &str) -> f64 {
    let place = Place::new();
    Place::launch(&place.path);
    place.has_begun();
    wait_until("it has a pidfile", || place.pid().is_some());
    let minder = Minder::start(&place, &place.rules(services));
    median(place.kill(50, || wait_until("it is well", || minder.is_settled("web"))))
}

/// A process check a second for each of so many services, with a cpu and a memory rule, and history.
fn cost(count: usize) {
    let place = Place::new();
    let mut sleepers = Vec::new();
    let mut rules = "version: 1\ndefaults: { every: 1s }\nservices:\n".to_owned();
    for i in 0..count {
        let sleeper = Command::new("/bin/sleep").arg("600").stdin(Stdio::null()).spawn().unwrap();
        let pidfile = place.path.join(format!("{i}.pid"));
        fs::write(&pidfile, format!("{}\n", sleeper.id())).unwrap();
        rules.push_str(&format!(
            "  s{i}:\n    checks: [{{ process: {pidfile:?} }}]\n    rules:\n      - process.cpu > 80% for 5m -> notify\n      \
             - process.memory > 500MB -> notify\n",
        ));
        sleepers.push(sleeper);
    }
    let began = Instant::now();
    let minder = Minder::start(&place, &rules);
    // They are asked in their order.
    wait_until("the last one is judged", || minder.is_settled(&format!("s{}", count - 1)));
    let started = began.elapsed().as_secs_f64() * 1e3;
    assert!((0..count).all(|i| minder.is_settled(&format!("s{i}"))), "not all were judged");
    row(&format!("start with {count} services until all are judged"), started, None, "ms");
    drop(minder);

    let minder = Minder::start(&place, &rules);
    std::thread::sleep(Duration::from_secs(5));
    let (cpu, since) = (minder.cpu(), Instant::now());
    std::thread::sleep(Duration::from_secs(60));
    let each = (minder.cpu() - cpu) / 1e3 / (count as f64 * since.elapsed().as_secs_f64());

    // The floors: open, read and close of each /proc/PID/stat; and a read of one that is kept open.
    let paths: Vec<PathBuf> = sleepers.iter().map(|s| PathBuf::from(format!("/proc/{}/stat", s.id()))).collect();
    let files: Vec<File> = paths.iter().map(|path| File::open(path).unwrap()).collect();
    let mut line = [0; 1024];
    let opened = own_cpu(count, || paths.iter().for_each(|path| drop(File::open(path).unwrap().read(&mut line))));
    let kept = own_cpu(count, || files.iter().for_each(|file| drop(file.read_at(&mut line, 0))));
    row(&format!("processor time a check, {count} services; floor: open, read"), each, Some(opened), "µs");
    row(&format!("processor time a check, {count} services; floor: pread"), each, Some(kept), "µs");
    row(&format!("resident with {count} services"), minder.resident(), None, "MB");

    let seconds = since.elapsed().as_secs_f64() + 5.0;
    drop(minder);
    let database = rusqlite::Connection::open(place.path.join("state/history.db")).unwrap();
    let (rows, bytes): (f64, f64) = database
        .query_row("SELECT total(count), total(length(data)) FROM block", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    row(&format!("samples kept of one a second, {count} services"), rows / count as f64 / seconds, None, "");
    row(&format!("packed size of a sample, {count} services"), bytes / rows, None, "B");
    for mut sleeper in sleepers {
        let _ = sleeper.kill();
        let _ = sleeper.wait();
    }
}

/// Microseconds of this thread's processor time for each of so many, over 20 passes.
fn own_cpu(count: usize, mut pass: impl FnMut()) -> f64 {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
    };
    let began = now();
    (0..20).for_each(|_| pass());
    (now() - began) / (20 * count) as f64
}
