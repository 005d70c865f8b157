//! Users of the same machine who mean no good, and what minder leaves for others to find.

use super::support::{Minder, process_exists, signal, stays, wait_for, wait_until};
use super::{SOON, daemon, is_root};
use minder::model::EndReport;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{FileTypeExt, chown};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const SECRET: &str = "0123456789abcdefSECRET";
/// From a death to the new process, however loud it is meanwhile. Without a flood it is some tens of milliseconds.
const PROMPT: Duration = Duration::from_secs(2);

/// `app`, our own daemon, which is started again when it dies, and may be heard in every way there is.
fn minder() -> Minder {
    let mut minder = Minder::new();
    minder.env.push(("APP_SECRET", SECRET.to_owned()));
    let dir = minder.dir().join("app");
    minder.write(&format!(
        r#"
services:
  app:
    restart: {{ delay: 1ms..1ms }}
    control:
      command:
        start: {start}
    checks:
      - process: {{ pidfile: {dir}/pid }}
        every: 500ms
      - heartbeat: {{ every: 1h, secret: {{ env: APP_SECRET }} }}
    rules:
      - process.down -> restart
"#,
        start = daemon(&dir, "well"),
        dir = dir.display(),
    ));
    minder.start();
    wait_until("app runs", SOON, || minder.watched("app").is_some_and(process_exists));
    minder
}

/// Threads that say something again and again, until it is dropped.
struct Flood {
    threads: Vec<JoinHandle<()>>,
    goes_on: Arc<AtomicBool>,
}

impl Flood {
    fn new() -> Flood {
        Flood { threads: Vec::new(), goes_on: Arc::new(AtomicBool::new(true)) }
    }

    /// Counts how often it was said.
    fn add(&mut self, mut say: impl FnMut() -> bool + Send + 'static) -> Arc<AtomicU64> {
        let said = Arc::new(AtomicU64::new(0));
        let (goes_on, count) = (Arc::clone(&self.goes_on), Arc::clone(&said));
        self.threads.push(std::thread::spawn(move || {
            while goes_on.load(Relaxed) {
                if say() {
                    count.fetch_add(1, Relaxed);
                } else {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        }));
        said
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.goes_on.store(false, Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// A request, and the begin of an answer, if there is one.
fn post(mut stream: impl Read + Write, host: &str, path: &str, body: &str) -> bool {
    let length = body.len();
    let head = format!("POST {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all((head + body).as_bytes()).is_ok() && stream.read(&mut [0; 64]).is_ok_and(|length| length > 0)
}

fn pid_in(path: &Path) -> Option<u32> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_death_is_acted_upon_whoever_shouts_meanwhile() {
    let minder = minder();
    let pidfile = minder.dir().join("app/pid");
    let (reports, notify) = (minder.dir().join("report.sock"), minder.dir().join("notify/app"));
    wait_until("the sockets are there", SOON, || reports.exists() && notify.exists());
    let before = memory(minder.pid());
    let mut flood = Flood::new();
    let mut said = Vec::new();
    for body in [r#"{"service":"app","code":3,"status":0}"#, r#"{"service":"#] {
        let socket = reports.clone();
        said.push(flood.add(move || {
            UnixStream::connect(&socket).is_ok_and(|stream| post(stream, "minder", EndReport::PATH, body))
        }));
    }
    for words in ["WATCHDOG=1\nSTATUS=here I am", "\u{1b}[2J=\n\n=x"] {
        let (socket, to) = (UnixDatagram::unbound().unwrap(), notify.clone());
        socket.set_nonblocking(true).unwrap();
        said.push(flood.add(move || socket.send_to(words.as_bytes(), &to).is_ok()));
    }
    for secret in [SECRET, "0123456789abcdefWRONG1"] {
        let (path, host) = (format!("/api/v1/heartbeat/{secret}"), format!("127.0.0.1:{}", minder.port));
        let output = "x".repeat(4000);
        said.push(flood.add(move || {
            // A wrong secret is answered late: nobody waits for that here.
            TcpStream::connect(&host).is_ok_and(|stream| {
                stream.set_read_timeout(Some(Duration::from_millis(100))).is_ok() && post(stream, &host, &path, &output)
            })
        }));
    }
    let count = |said: &[Arc<AtomicU64>]| -> Vec<u64> { said.iter().map(|said| said.load(Relaxed)).collect() };
    // The last says what is wrong, which is answered to few at a time.
    wait_until("all are heard", SOON, || count(&said)[..5].iter().all(|said| *said > 20));
    let pid = pid_in(&pidfile).unwrap();
    let began = Instant::now();
    signal(pid, "KILL");
    let new = || pid_in(&pidfile).filter(|new| *new != pid && process_exists(*new));
    wait_for(|| "another one runs".to_owned(), SOON, new);
    let took = began.elapsed();
    let said = count(&said);
    println!("it took {took:?}; said until then: {said:?}");
    assert!(took < PROMPT, "{took:?}; said until then: {said:?}");
    drop(flood);
    let grown = memory(minder.pid()).saturating_sub(before);
    assert!(grown < 64 << 10, "grown by {grown} kB");
    assert!(minder.status().is_some());
    assert!(!minder.log().contains(SECRET));
}

/// All sockets below a directory.
fn sockets(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in [dir.to_owned(), dir.join("notify")].iter().filter_map(|dir| std::fs::read_dir(dir).ok()).flatten() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_socket() {
            found.push(entry.path().strip_prefix(dir).unwrap().display().to_string());
        }
    }
    found.sort();
    found
}

#[test]
fn sockets_come_and_go_with_minder_and_with_the_service() {
    let mut minder = minder();
    let all = ["minder.sock", "notify/app", "report.sock"];
    let dir = minder.dir().to_owned();
    wait_until("all sockets are there", SOON, || sockets(&dir) == all);
    // Another one beside it has a socket of its own, but not these; and takes none of them away.
    let mut other = Minder::new();
    other.write("services:\n  tmp:\n    checks:\n      - file: /tmp\n");
    other.socket = dir.join("other.sock");
    other.start();
    other.signal("TERM");
    other.wait_end(SOON);
    assert_eq!(sockets(&dir), all);
    assert!(UnixStream::connect(dir.join("report.sock")).is_ok(), "it is the first one's still");
    // What one leaves that is killed, the next replaces.
    minder.kill();
    assert_eq!(sockets(&dir), all);
    minder.start();
    wait_until("it is heard again", SOON, || UnixStream::connect(dir.join("report.sock")).is_ok());
    let speak = UnixDatagram::unbound().unwrap();
    wait_until("so are its services", SOON, || speak.send_to(b"WATCHDOG=1", dir.join("notify/app")).is_ok());
    minder.write("services:\n  tmp:\n    checks:\n      - file: /tmp\n");
    minder.ok(&["reload"]);
    wait_until("nobody listens for what is gone", SOON, || sockets(&dir) == ["minder.sock", "report.sock"]);
    minder.signal("TERM");
    minder.wait_end(SOON);
    assert_eq!(sockets(&dir), [""; 0]);
}

/// Somebody else's program that plays a supervisor, and the process that it is to be blamed for.
struct Impostor {
    supervisor: Child,
    dir: PathBuf,
}

impl Impostor {
    fn new(dir: &Path) -> Impostor {
        let dir = dir.join("sv");
        std::fs::create_dir_all(dir.join("supervise")).unwrap();
        let made = Command::new("mkfifo").arg(dir.join("supervise/ok")).arg(dir.join("supervise/control")).status();
        assert!(made.unwrap().success());
        std::fs::write(dir.join("supervise/stat"), "run\n").unwrap();
        let mut supervisor = Command::new("sh");
        supervisor.args(["-c", "exec sleep 100000 <>supervise/ok 3<>supervise/control"]).current_dir(&dir);
        let supervisor = supervisor.spawn().unwrap();
        Impostor { supervisor, dir }
    }

    /// As runsv writes it: up, wanted up, with this pid.
    fn names(&self, pid: u32) {
        let mut status = [0; 20];
        status[..8].copy_from_slice(&(((1u64 << 62) + 1_700_000_000).to_be_bytes()));
        status[12..16].copy_from_slice(&pid.to_le_bytes());
        (status[17], status[19]) = (b'u', 1);
        let new = self.dir.join("supervise/status.new");
        std::fs::write(&new, status).unwrap();
        std::fs::rename(new, self.dir.join("supervise/status")).unwrap();
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        let _ = self.supervisor.kill();
        let _ = self.supervisor.wait();
    }
}

/// A service directory of user 65534's says that root's process is the service; a rule would end that.
#[test]
fn whoever_owns_a_service_directory_has_nobody_else_signalled() {
    if !is_root() {
        return;
    }
    let mut minder = Minder::new();
    let impostor = Impostor::new(minder.dir());
    let mut victim = Command::new("sleep").arg("100000").stdin(Stdio::null()).spawn().unwrap();
    impostor.names(victim.id());
    chown(&impostor.dir, Some(65534), Some(65534)).unwrap();
    minder.write(&format!(
        "services:\n  web:\n    grace: 0s\n    control: {{ runit: {} }}\n    checks:\n      \
         - process: supervised\n        every: 100ms\n      - file: /\n        every: 100ms\n    \
         rules:\n      - 'not file.missing -> signal USR1'\n",
        impostor.dir.display(),
    ));
    minder.start();
    let said = || minder.any(&["status", "web"]);
    wait_until("it is said why", SOON, || said().contains("its pid is not believed"));
    stays("the victim lives", Duration::from_secs(1), || matches!(victim.try_wait(), Ok(None)));
    // The same directory in the hands of root is believed.
    chown(&impostor.dir, Some(0), Some(0)).unwrap();
    wait_until("root may name it", SOON, || {
        matches!(victim.try_wait(), Ok(Some(_))) || minder.watched("web") == Some(victim.id())
    });
    let _ = victim.kill();
    let _ = victim.wait();
}
