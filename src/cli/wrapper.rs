//! A command that is run by one of ours in its own place: with our standard input, output and error, in our session and group,
//! and with the signals that are sent to us. It is waited for.

use crate::model::Signal;
use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// What is passed on.
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

/// Catches signals from its begin on, and passes them on to the command once it runs.
pub(super) struct Wrapper {
    runtime: Arc<Runtime>,
    signals: mpsc::UnboundedReceiver<i32>,
}

impl Wrapper {
    pub fn new() -> io::Result<Wrapper> {
        let runtime = Arc::new(tokio::runtime::Builder::new_current_thread().enable_all().build()?);
        let signals = runtime.block_on(async { catch() })?;
        Ok(Wrapper { runtime, signals })
    }

    pub fn runtime(&self) -> Arc<Runtime> {
        Arc::clone(&self.runtime)
    }

    /// Runs a command to its end, without these variables of our environment. An error says that it could not be started, or
    /// was lost.
    #[expect(clippy::disallowed_methods, reason = "what sys::spawn starts has a session and files of its own")]
    pub fn run(&mut self, program: &OsString, arguments: &[OsString], without: &[&str]) -> io::Result<ExitStatus> {
        let mut command = std::process::Command::new(program);
        command.args(arguments);
        for name in without {
            command.env_remove(name);
        }
        let mut child = command.spawn()?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        // A process by its descriptor: its number may be another's as soon as it is waited for.
        let pidfd = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        let (ended, mut end) = mpsc::channel(1);
        let waiting = std::thread::spawn(move || {
            let status = child.wait();
            let _ = ended.blocking_send(());
            status
        });
        let signals = &mut self.signals;
        self.runtime.block_on(async {
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
        waiting.join().map_err(|_| io::Error::other("the command was lost"))?
    }
}

/// The exit code to end with, as a shell gives it, and more about it.
pub(super) fn ending(status: ExitStatus) -> (u8, Option<String>) {
    match (status.code(), status.signal()) {
        (Some(code), _) => (u8::try_from(code & 0xff).unwrap_or(1), None),
        (None, Some(number)) => {
            let name = Signal(number).name().map_or_else(|| format!("signal {number}"), |name| format!("SIG{name}"));
            (u8::try_from(128 + number).unwrap_or(u8::MAX), Some(format!("killed by {name}")))
        }
        (None, None) => (1, None),
    }
}

/// The signals that come for the command. One that we were told to ignore, as by `nohup`, the command ignores as well; what a
/// terminal sends, it sends to the command itself.
fn catch() -> io::Result<mpsc::UnboundedReceiver<i32>> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let at_terminal = io::stdin().is_terminal() || io::stderr().is_terminal();
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
