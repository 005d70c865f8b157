//! `minder run-job`: wraps a job of cron, and tells its heartbeat when it begins and how it ends.
//!
//! The job comes first: it runs whatever becomes of minder, with our standard input, output and error, and it is waited for.

use super::client::{Client, Reply, encode, exchange};
use super::{Failure, Outcome, code};
use crate::daemon::RealClock;
use crate::model::{Clock, Signal, plain};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request};
use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};
use std::ffi::OsString;
use std::io::{ErrorKind, IsTerminal, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// So long a job waits for minder to hear that it begins.
const BEGIN_WITHIN: Duration = Duration::from_secs(2);
/// So long minder has to hear that it has ended; one that heard of its begin, and is not there, is starting again.
const END_WITHIN: Duration = Duration::from_secs(5);
const AGAIN_AFTER: Duration = Duration::from_millis(250);
const AGAIN: usize = 20;
/// Where to tell it instead of the socket: the address of the heartbeat, which ends in its secret.
const URL: &str = "MINDER_URL";
/// What is passed on to the job.
const PASSED_ON: [i32; 8] = [
    libc::SIGTERM,
    libc::SIGINT,
    libc::SIGHUP,
    libc::SIGQUIT,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGWINCH,
];

/// Run a job, and tell its heartbeat when it begins and how it ends
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  minder run-job backup -- /usr/local/bin/backup --full\n  \
                        MINDER_URL=http://127.0.0.1:8900/api/v1/heartbeat/SECRET minder run-job backup -- ./backup\n\n\
                        Only root and minder's own user may speak at its socket. A job of another user tells the address that \
                        MINDER_URL holds; the job itself does not see it.\n\n\
                        Exit codes: that of the job; 128 and the number of the signal that killed it; 126 or 127 if it cannot \
                        be run. If minder is not there, the job runs all the same.")]
pub(super) struct Args {
    /// The service, or one of its heartbeats as SERVICE/CHECK
    name: String,
    /// The job: a program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Who is told, and whether it could be.
struct Teller<'a> {
    args: &'a Args,
    client: &'a Client,
    url: Option<String>,
    runtime: &'a tokio::runtime::Runtime,
    heard: bool,
    said: bool,
}

pub(super) fn run(args: &Args, client: &Client) -> Result<Outcome, Failure> {
    let system = |e: std::io::Error| Failure::new(code::WRONG, format!("the system gives too little to run: {e}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(system)?;
    // From here on: what comes while minder is told is passed on, too.
    let signals = runtime.block_on(async { catch() }).map_err(system)?;
    let url = std::env::var(URL).ok().filter(|url| !url.is_empty());
    let mut teller = Teller { args, client, url, runtime: &runtime, heard: false, said: false };
    teller.tell("start", None, None, BEGIN_WITHIN, 1);
    let began = RealClock.now().mono;
    let Some((program, arguments)) = args.command.split_first() else {
        return Err(Failure::new(code::USAGE, "there is no command behind `--`"));
    };
    let mut child = match start(program, arguments) {
        Ok(child) => child,
        Err(e) => {
            let code = if e.kind() == ErrorKind::NotFound { 127 } else { 126 };
            let words = format!("{} cannot be run: {e}", plain(&program.to_string_lossy()));
            teller.tell(&code.to_string(), None, Some(words.clone()), END_WITHIN, AGAIN);
            return Err(Failure::new(code, words));
        }
    };
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    // A process by its descriptor: its number may be another's as soon as it is waited for.
    let pidfd = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    let (ended, mut end) = mpsc::channel(1);
    let waiting = std::thread::spawn(move || {
        let status = child.wait();
        let _ = ended.blocking_send(());
        status
    });
    runtime.block_on(async {
        let mut signals = signals;
        loop {
            tokio::select! {
                _ = end.recv() => break,
                Some(number) = signals.recv() => {
                    let signal = rustix::process::Signal::from_named_raw(number);
                    if let (Some(pidfd), Some(signal)) = (&pidfd, signal) {
                        let _ = pidfd_send_signal(pidfd, signal);
                    }
                }
            }
        }
    });
    let status = waiting.join().map_err(|_| Failure::new(code::WRONG, "the job was lost"))?.map_err(system)?;
    let took = RealClock.now().mono - began;
    let (code, words) = ending(status);
    teller.tell(&code.to_string(), Some(took), words, END_WITHIN, AGAIN);
    Ok(Outcome { text: String::new(), code })
}

/// Starts the job as a shell would: in our session and group, with our files and environment but the secret.
#[expect(clippy::disallowed_methods, reason = "what sys::spawn starts has a session and files of its own")]
fn start(program: &OsString, arguments: &[OsString]) -> std::io::Result<Child> {
    std::process::Command::new(program).args(arguments).env_remove(URL).spawn()
}

/// The exit code to end with, as a shell gives it, and more about it.
fn ending(status: ExitStatus) -> (u8, Option<String>) {
    match (status.code(), status.signal()) {
        (Some(code), _) => (u8::try_from(code & 0xff).unwrap_or(1), None),
        (None, Some(number)) => {
            let name = Signal(number).name().map_or_else(|| format!("signal {number}"), |name| format!("SIG{name}"));
            (u8::try_from(128 + number).unwrap_or(u8::MAX), Some(format!("killed by {name}")))
        }
        (None, None) => (1, None),
    }
}

/// The signals that come for the job. One that we were told to ignore, as by `nohup`, the job ignores as well; what a terminal
/// sends, it sends to the job itself.
fn catch() -> std::io::Result<mpsc::UnboundedReceiver<i32>> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let at_terminal = std::io::stdin().is_terminal() || std::io::stderr().is_terminal();
    let ignored = ignored();
    for number in PASSED_ON.into_iter().filter(|number| ignored >> (number - 1) & 1 == 0) {
        let mut stream = signal(SignalKind::from_raw(number))?;
        let is_of_terminal = matches!(number, libc::SIGINT | libc::SIGQUIT | libc::SIGWINCH);
        let sender = sender.clone();
        tokio::spawn(async move {
            while stream.recv().await.is_some() {
                if !(at_terminal && is_of_terminal) && sender.send(number).is_err() {
                    break;
                }
            }
        });
    }
    Ok(receiver)
}

/// The signals that this process ignores, as bits from that of number 1 on.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

impl Teller<'_> {
    /// Tells it. That it cannot be told is said once, in a line.
    fn tell(&mut self, what: &str, took: Option<Duration>, words: Option<String>, within: Duration, tries: usize) {
        let took = took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        let tries = if self.heard || tries == 1 { tries } else { 1 };
        let mut outcome = Ok(());
        for i in 0..tries {
            if i > 0 {
                std::thread::sleep(AGAIN_AFTER);
            }
            outcome = match &self.url {
                Some(url) => self.by_url(url, what, took, words.as_deref(), within),
                None => self.by_socket(what, took, words.as_deref(), within),
            };
            // What is refused once is refused again.
            if !matches!(&outcome, Err(failure) if failure.code == code::UNREACHABLE) {
                break;
            }
        }
        match outcome {
            Ok(()) => self.heard = true,
            Err(failure) if !self.said => {
                self.said = true;
                let _ = writeln!(std::io::stderr(), "minder was not told of this job: {}", plain(&failure.words));
            }
            Err(_) => {}
        }
    }

    fn by_socket(&self, what: &str, took: Option<u64>, words: Option<&str>, within: Duration) -> Result<(), Failure> {
        let (service, check) = match self.args.name.split_once('/') {
            Some((service, check)) => (service, Some(check)),
            None => (self.args.name.as_str(), None),
        };
        let told = serde_json::json!({ "check": check, "what": what, "took": took, "words": words });
        let path = format!("/api/v1/services/{}/heartbeat", encode(service));
        let reply = self.client.send(Method::POST, &path, told.to_string().into(), within)?;
        if reply.status.is_success() { Ok(()) } else { Err(self.client.refused(&reply)) }
    }

    /// The address holds a secret: it is not repeated, whatever is wrong.
    fn by_url(
        &self,
        url: &str,
        what: &str,
        took: Option<u64>,
        words: Option<&str>,
        within: Duration,
    ) -> Result<(), Failure> {
        let bad = || {
            Failure::new(code::USAGE, format!("{URL} is no address such as http://127.0.0.1:8900/api/v1/heartbeat/.."))
        };
        let url = url::Url::parse(url).ok().filter(|url| url.scheme() == "http").ok_or_else(bad)?;
        let (host, port) = (url.host_str().ok_or_else(bad)?, url.port().unwrap_or(80));
        let query = took.map_or_else(String::new, |took| format!("?took={took}"));
        let path = format!("{}/{what}{query}", url.path().trim_end_matches('/'));
        let request = Request::builder().method(Method::POST).uri(path).header("host", format!("{host}:{port}"));
        let body = Full::new(Bytes::from(words.unwrap_or_default().to_owned()));
        let request = request.body(body).map_err(|_| bad())?;
        let unreachable = |why: String| Failure::new(code::UNREACHABLE, format!("{host}:{port}: {why}"));
        let asked = async {
            let stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
            exchange(stream, request).await
        };
        let answer = self.runtime.block_on(async { tokio::time::timeout(within, asked).await });
        let reply: Reply = match answer {
            Err(_) => return Err(unreachable(format!("no answer within {} s", within.as_secs()))),
            Ok(Err(e)) => return Err(unreachable(e.to_string())),
            Ok(Ok(reply)) => reply,
        };
        if reply.status.is_success() {
            Ok(())
        } else {
            Err(Failure::new(code::USAGE, format!("{host}:{port} knows no heartbeat at the address in {URL}")))
        }
    }
}
