//! What minder costs and how quickly it reacts, each figure beside its floor: the bare system calls, in a few lines of
//! Rust, in the same run. `cargo bench` runs all of them; `cargo bench -- NAME` those whose name holds NAME.
//!
//! Here the real program is measured from outside, with real processes; `engine`, `store` and `probe` measure parts of it.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads clocks")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark that cannot run has no result")]
#![allow(missing_docs, reason = "not a library")]
#![allow(clippy::zombie_processes, reason = "a daemon leaves its child, that is what is measured")]

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};
use rustix::time::{ClockId, clock_gettime};
use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|a| a != "--bench");
    match (arguments.next().as_deref(), arguments.next()) {
        (Some("--daemon"), Some(directory)) => daemon(Path::new(&directory)),
        (wanted, _) => {
            let wanted = wanted.unwrap_or("").to_owned();
            let all: &[(&str, fn())] =
                &[("restart", restart), ("hung", hung), ("cost-1000", || cost(1000)), ("cost-5000", || cost(5000))];
            println!("{:44} {:>14} {:>14} {:>8}", "figure", "minder", "floor", "ratio");
            for (name, run) in all.iter().filter(|(name, _)| name.contains(&wanted)) {
                let _ = name;
                run();
            }
        }
    }
}

fn row(figure: &str, ours: f64, floor: Option<f64>, unit: &str) {
    match floor {
        Some(floor) => println!(
            "{figure:44} {:>14} {:>14} {:>8.2}",
            format!("{ours:.2} {unit}"),
            format!("{floor:.2} {unit}"),
            ours / floor
        ),
        None => println!("{figure:44} {:>14} {:>14} {:>8}", format!("{ours:.2} {unit}"), "", ""),
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Nanoseconds of the monotonic clock, the same in every process.
fn nanos() -> u64 {
    let t = clock_gettime(ClockId::Monotonic);
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/// What is started as the daemon: says when its first line ran, goes to the background as daemons do, and sleeps.
fn daemon(directory: &Path) {
    let began = nanos();
    if std::env::args().nth(3).is_none() {
        let socket = UnixDatagram::unbound().unwrap();
        let _ = socket.send_to(&began.to_le_bytes(), directory.join("began"));
        Command::new(std::env::current_exe().unwrap())
            .args(["--daemon", directory.to_str().unwrap(), "background"])
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        return;
    }
    let pidfile = directory.join("pid.new");
    fs::write(&pidfile, format!("{}\n", std::process::id())).unwrap();
    fs::rename(&pidfile, directory.join("pid")).unwrap();
    std::thread::sleep(Duration::from_secs(600));
}

/// A directory that is removed at the end, with everything that was started in it.
struct Place(PathBuf);

impl Place {
    fn new() -> Place {
        let path = std::env::temp_dir().join(format!("minder-bench-{}-{}", std::process::id(), nanos()));
        fs::create_dir_all(path.join("rules")).unwrap();
        Place(path)
    }
    fn rules(&self, text: &str) {
        fs::write(self.0.join("rules/bench.yaml"), text).unwrap();
    }
    fn pid(&self) -> Option<i32> {
        fs::read_to_string(self.0.join("pid")).ok()?.trim().parse().ok()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(pid) = self.pid().and_then(Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A minder under measurement; ended with its owner.
struct Minder {
    child: Child,
    socket: PathBuf,
    port: u16,
}

impl Minder {
    fn start(place: &Place) -> Minder {
        let socket = place.0.join("minder.sock");
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let rules = place.0.join("rules/bench.yaml");
        let text = fs::read_to_string(&rules).unwrap();
        fs::write(&rules, format!("{text}dashboard: {{ listen: \"127.0.0.1:{port}\" }}\n")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_minder"))
            .arg("run")
            .arg(place.0.join("rules"))
            .arg("--state")
            .arg(place.0.join("state"))
            .arg("--socket")
            .arg(&socket)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Minder { child, socket, port }
    }

    /// The status as JSON, from its page.
    fn status(&self) -> Option<serde_json::Value> {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        let host = self.port;
        write!(stream, "GET /api/v1/status HTTP/1.1\r\nHost: 127.0.0.1:{host}\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let text = String::from_utf8_lossy(&answer);
        let body = text.split_once("\r\n\r\n")?.1;
        let (from, to) = (body.find('{')?, body.rfind('}')?);
        // A chunked answer has lengths between its parts; a parser that is told so is not worth having here.
        serde_json::from_str(&dechunk(&text, &body[from..=to])).ok()
    }

    /// How many services are judged, if it answers.
    fn judged(&self) -> Option<usize> {
        let status = self.status()?;
        let services = status["services"].as_array()?;
        Some(services.iter().filter(|s| s["status"] != "unknown").count())
    }

    fn wait_judged(&self, count: usize) {
        while self.judged() != Some(count) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Processor seconds so far.
    fn cpu(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
        let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
        ticks / rustix::param::clock_ticks_per_second() as f64
    }

    /// Resident megabytes.
    fn resident(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1000.0
    }
}

fn dechunk(whole: &str, body: &str) -> String {
    if !whole.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        return body.to_owned();
    }
    let mut rest = whole.split_once("\r\n\r\n").map_or("", |(_, b)| b);
    let mut out = String::new();
    while let Some((length, after)) = rest.split_once("\r\n") {
        let Ok(length) = usize::from_str_radix(length.trim(), 16) else { break };
        if length == 0 || length > after.len() {
            break;
        }
        out.push_str(&after[..length]);
        rest = after[length..].trim_start_matches("\r\n");
    }
    out
}

impl Drop for Minder {
    fn drop(&mut self) {
        if let Some(pid) = Pid::from_raw(self.child.id() as i32) {
            let _ = rustix::process::kill_process(pid, Signal::TERM);
        }
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.socket);
    }
}

/// `kill -9` of a daemon that is not our child, until the first line of its replacement runs.
fn restart() {
    let rounds = 30;
    let mut ours = {
        let place = Place::new();
        let began = UnixDatagram::bind(place.0.join("began")).unwrap();
        began.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        launch(&place.0);
        receive(&began);
        wait_pid(&place, None);
        place.rules(&format!(
            "version: 1\nservices:\n  web:\n    settle: 10ms\n    restart: {{ limit: 1000 in 1h, delay: 0s..0s }}\n    \
             control: {{ command: {{ start: [{:?}, --daemon, {:?}] }} }}\n    checks:\n      - process: {:?}\n    \
             rules:\n      - process.down -> restart\n",
            std::env::current_exe().unwrap(),
            place.0,
            place.0.join("pid"),
        ));
        let minder = Minder::start(&place);
        minder.wait_judged(1);
        kill_rounds(&place, &began, rounds, || {
            // The next death must not fall into the restart of this one.
            while minder
                .status()
                .is_none_or(|s| s["services"][0]["status"] != "ok" || !s["services"][0]["next"].is_null())
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            std::thread::sleep(Duration::from_millis(100));
        })
    };
    let mut floor = {
        let place = Place::new();
        let began = UnixDatagram::bind(place.0.join("began")).unwrap();
        began.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        launch(&place.0);
        receive(&began);
        wait_pid(&place, None);
        let directory = place.0.clone();
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let stopped = stop.clone();
        let watcher = std::thread::spawn(move || {
            // The floor: a pidfd, poll, and posix_spawn (what std's Command uses here).
            let mut last = None;
            while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
                let pid: Option<i32> =
                    fs::read_to_string(directory.join("pid")).ok().and_then(|t| t.trim().parse().ok());
                let Some(pid) = pid.filter(|p| Some(*p) != last) else {
                    std::thread::sleep(Duration::from_millis(1));
                    continue;
                };
                let Ok(fd) = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()) else { continue };
                wait_end(&fd, 2000);
                if !stopped.load(std::sync::atomic::Ordering::Relaxed) {
                    last = Some(pid);
                    launch(&directory);
                }
            }
        });
        let times = kill_rounds(&place, &began, rounds, || std::thread::sleep(Duration::from_millis(100)));
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        drop(place);
        watcher.join().unwrap();
        times
    };
    row("kill -9 until the replacement runs, median", median(&mut ours), Some(median(&mut floor)), "ms");
}

fn launch(directory: &Path) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--daemon", directory.to_str().unwrap()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::spawn(move || child.wait());
}

fn wait_end(fd: &OwnedFd, ms: i64) {
    let mut fds = [rustix::event::PollFd::new(fd, rustix::event::PollFlags::IN)];
    let timeout = rustix::time::Timespec { tv_sec: ms / 1000, tv_nsec: (ms % 1000) * 1_000_000 };
    let _ = rustix::event::poll(&mut fds, Some(&timeout));
}

fn receive(began: &UnixDatagram) -> u64 {
    let mut stamp = [0; 8];
    began.recv(&mut stamp).expect("the replacement began");
    u64::from_le_bytes(stamp)
}

fn wait_pid(place: &Place, other_than: Option<i32>) -> i32 {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(pid) = place.pid().filter(|p| Some(*p) != other_than) {
            return pid;
        }
        assert!(Instant::now() < until, "no new pid");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn kill_rounds(place: &Place, began: &UnixDatagram, rounds: usize, settle: impl Fn()) -> Vec<f64> {
    let mut times = Vec::new();
    let mut pid = wait_pid(place, None);
    settle();
    for _ in 0..rounds {
        let killed = nanos();
        rustix::process::kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
        times.push((receive(began) - killed) as f64 / 1e6);
        pid = wait_pid(place, Some(pid));
        settle();
    }
    times
}

/// What 500 hung HTTP probes add to noticing a death.
fn hung() {
    let measure = |probes: usize| {
        let place = Place::new();
        let began = UnixDatagram::bind(place.0.join("began")).unwrap();
        began.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        launch(&place.0);
        receive(&began);
        wait_pid(&place, None);
        // Accepted by the kernel, answered by nobody.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        let mut rules = format!(
            "version: 1\nservices:\n  web:\n    settle: 10ms\n    restart: {{ limit: 1000 in 1h, delay: 0s..0s }}\n    \
             control: {{ command: {{ start: [{:?}, --daemon, {:?}] }} }}\n    checks:\n      - process: {:?}\n    \
             rules:\n      - process.down -> restart\n",
            std::env::current_exe().unwrap(),
            place.0,
            place.0.join("pid"),
        );
        for i in 0..probes {
            rules.push_str(&format!(
                "  hung-{i}:\n    checks:\n      - http: \"http://127.0.0.1:{port}/\"\n        every: 2s\n        timeout: 20s\n"
            ));
        }
        place.rules(&rules);
        let minder = Minder::start(&place);
        let accepted = std::thread::spawn(move || {
            let mut held = Vec::new();
            silent.set_nonblocking(true).unwrap();
            let until = Instant::now() + Duration::from_secs(40);
            while Instant::now() < until && held.len() < 2000 {
                match silent.accept() {
                    Ok((stream, _)) => held.push(stream),
                    Err(_) => std::thread::sleep(Duration::from_millis(20)),
                }
                if held.len() >= probes && Instant::now() > until - Duration::from_secs(1) {
                    break;
                }
            }
        });
        while minder.status().is_none_or(|s| s["services"][0]["status"] != "ok") {
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_secs(3));
        let mut times = kill_rounds(&place, &began, 15, || {
            while minder
                .status()
                .is_none_or(|s| s["services"][0]["status"] != "ok" || !s["services"][0]["next"].is_null())
            {
                std::thread::sleep(Duration::from_millis(20));
            }
            std::thread::sleep(Duration::from_millis(200));
        });
        drop(minder);
        drop(accepted);
        median(&mut times)
    };
    let alone = measure(0);
    row("the same, beside 500 hung HTTP probes", measure(500), Some(alone), "ms");
}

/// Processor time of one process check a second, resident memory, and the start, with so many services.
fn cost(count: usize) {
    let place = Place::new();
    let mut sleepers = Vec::new();
    let mut rules = "version: 1\ndefaults: { every: 1s }\nservices:\n".to_owned();
    for i in 0..count {
        let child = Command::new("/bin/sleep").arg("600").stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let pidfile = place.0.join(format!("{i}.pid"));
        fs::write(&pidfile, format!("{}\n", child.id())).unwrap();
        rules.push_str(&format!(
            "  s{i}:\n    checks:\n      - process: {pidfile:?}\n    rules:\n      \
             - process.cpu > 80% for 5m -> notify\n      - process.memory > 500MB -> notify\n",
        ));
        sleepers.push(child);
    }
    place.rules(&rules);
    let began = Instant::now();
    let minder = Minder::start(&place);
    minder.wait_judged(count);
    if count == 1000 {
        row("start with 1000 services until all are judged", began.elapsed().as_secs_f64() * 1e3, None, "ms");
    }
    std::thread::sleep(Duration::from_secs(5));
    let (cpu, at) = (minder.cpu(), Instant::now());
    let seconds = 60.0;
    std::thread::sleep(Duration::from_secs_f64(seconds));
    let spent = minder.cpu() - cpu;
    let each = spent * 1e6 / (count as f64 * at.elapsed().as_secs_f64());

    // The floors: open, read and close of each /proc/PID/stat; and a read of one that is kept open.
    let mut buffer = [0; 1024];
    let paths: Vec<PathBuf> = sleepers.iter().map(|c| PathBuf::from(format!("/proc/{}/stat", c.id()))).collect();
    let own = || {
        let usage = clock_gettime(ClockId::ProcessCPUTime);
        usage.tv_sec as f64 * 1e6 + usage.tv_nsec as f64 / 1e3
    };
    let passes = 20;
    let start = own();
    for _ in 0..passes {
        for path in &paths {
            fs::File::open(path).unwrap().read_exact_at_most(&mut buffer);
        }
    }
    let opened = (own() - start) / (passes * count) as f64;
    let files: Vec<fs::File> = paths.iter().map(|p| fs::File::open(p).unwrap()).collect();
    let start = own();
    for _ in 0..passes {
        for file in &files {
            let _ = file.read_at(&mut buffer, 0).unwrap();
        }
    }
    let kept = (own() - start) / (passes * count) as f64;
    row(&format!("processor time a check, {count} services; open+read"), each, Some(opened), "µs");
    row(&format!("processor time a check, {count} services; pread"), each, Some(kept), "µs");
    row(&format!("resident with {count} services"), minder.resident(), None, "MB");

    let (rows, bytes) = kept_rows(&place.0.join("state/history.db"), minder);
    println!(
        "{:44} {rows:>14} {:>14}",
        format!("rows kept of {count} x seconds, bytes a row"),
        format!("{bytes:.1} B")
    );
    for mut child in sleepers {
        let _ = child.kill();
        let _ = child.wait();
    }
}

trait ReadSome {
    fn read_exact_at_most(&self, buffer: &mut [u8]);
}

impl ReadSome for fs::File {
    fn read_exact_at_most(&self, buffer: &mut [u8]) {
        let _ = self.read_at(buffer, 0).unwrap();
    }
}

/// Ends minder, so that all is on disk, and counts what is there.
fn kept_rows(database: &Path, minder: Minder) -> (u64, f64) {
    drop(minder);
    let db = rusqlite::Connection::open(database).unwrap();
    db.query_row("SELECT coalesce(sum(count), 0), coalesce(sum(length(data)), 0) FROM block", [], |row| {
        let (rows, bytes): (i64, i64) = (row.get(0)?, row.get(1)?);
        Ok((rows as u64, bytes as f64 / rows.max(1) as f64))
    })
    .unwrap()
}
