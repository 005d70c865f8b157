//! Runs a command to its end, or to its deadline.

use super::deadline::{Deadline, poll_all};
use super::spawn::{Child, Program, SpawnError, Step};
use super::{pidfd, proc, reap};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, WaitOptions, kill_process_group};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How much of a command's output is kept: its end.
pub const OUTPUT_KEPT: usize = 16 << 10;

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Its wait status; nothing if it had to be killed because its time was over.
    pub status: Option<i32>,
    /// The end of what it wrote to its standard output and error, at most [`OUTPUT_KEPT`] bytes.
    pub output: Vec<u8>,
}

/// Runs it with `input` as its standard input, and waits for it. When the time is over it is killed with all that it
/// started, as far as that is still in its process group or session: what has made a session of its own (`setsid`) runs on.
/// What it leaves behind when it ends in time lives on.
pub fn run(program: &Program<'_>, input: Option<&[u8]>, timeout: Duration) -> Result<Ran, SpawnError> {
    let unprepared = |error: io::Error| SpawnError {
        step: Step::Descriptors,
        about: program.argv.first().cloned().unwrap_or_default(),
        error,
    };
    let under_way = UnderWay::within(timeout).map_err(unprepared)?;
    let deadline = &under_way.deadline;
    let (out, their_out) = pipe_with(PipeFlags::CLOEXEC).map_err(|e| unprepared(e.into()))?;
    rustix::io::ioctl_fionbio(&out, true).map_err(|e| unprepared(e.into()))?;
    let (their_in, feed) = match input {
        None => (open_null().map_err(unprepared)?, None),
        Some(input) => {
            let (theirs, ours) = pipe_with(PipeFlags::CLOEXEC).map_err(|e| unprepared(e.into()))?;
            rustix::io::ioctl_fionbio(&ours, true).map_err(|e| unprepared(e.into()))?;
            (theirs, Some((ours, input)))
        }
    };
    // Where nothing tells of the end (kernels before 5.2), it is asked for.
    let pause = Deadline::unset().map_err(unprepared)?;
    let child = program.start(their_in.as_fd(), their_out.as_fd(), their_out.as_fd())?;
    drop((their_in, their_out));
    let mut talk = Talk { out: Some(out), feed, tail: Vec::new() };
    loop {
        let ended = match talk.wait(&child, deadline, &pause) {
            Ok(ended) => ended,
            Err(e) => {
                kill_all(&child);
                end(child);
                return Err(unprepared(e));
            }
        };
        if ended && let Some(status) = reap::reap(child.pid, WaitOptions::NOHANG) {
            talk.drain();
            return Ok(Ran { status: Some(status), output: talk.tail });
        }
        if deadline.is_over() {
            kill_all(&child);
            talk.drain();
            end(child);
            return Ok(Ran { status: None, output: talk.tail });
        }
    }
}

/// The commands under way.
struct All {
    /// By the order of their beginning.
    deadlines: BTreeMap<u64, Arc<Deadline>>,
    /// How long they have, once minder ends.
    parting: Option<Duration>,
}

static ALL: Mutex<All> = Mutex::new(All { deadlines: BTreeMap::new(), parting: None });
static FEWER: Condvar = Condvar::new();

fn all() -> MutexGuard<'static, All> {
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// minder ends: no command outlives it without anybody to keep its deadline. Those under way have so long to end, and are
/// killed then, with all that they started. Blocks until none is left; a second longer at most. If minder is killed instead,
/// they run on.
pub fn finish(within: Duration) {
    let mut all = all();
    all.parting = Some(within);
    for deadline in all.deadlines.values() {
        deadline.hurry(within);
    }
    let _ = FEWER.wait_timeout_while(all, within + Duration::from_secs(1), |all| !all.deadlines.is_empty());
}

/// Whether [`finish`] was called: a command whose time was over may have had less of it than it was to have.
pub fn is_finishing() -> bool {
    all().parting.is_some()
}

/// What [`finish`] waits for: a command under way, or, as [`until_told`] has it, what is to be told of one.
pub struct UnderWay {
    number: u64,
    deadline: Arc<Deadline>,
}

/// Until this is dropped, what came of a command may be about to be told.
pub fn until_told() -> io::Result<UnderWay> {
    Ok(UnderWay::new(&mut all(), Deadline::unset()?))
}

impl UnderWay {
    fn within(timeout: Duration) -> io::Result<UnderWay> {
        let mut all = all();
        let timeout = all.parting.map_or(timeout, |within| within.min(timeout));
        Ok(UnderWay::new(&mut all, Deadline::after(timeout)?))
    }

    fn new(all: &mut All, deadline: Deadline) -> UnderWay {
        let deadline = Arc::new(deadline);
        let number = all.deadlines.last_key_value().map_or(0, |(last, _)| last + 1);
        all.deadlines.insert(number, Arc::clone(&deadline));
        UnderWay { number, deadline }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        all().deadlines.remove(&self.number);
        FEWER.notify_all();
    }
}

/// `/dev/null`, for reading and writing.
pub fn open_null() -> io::Result<OwnedFd> {
    Ok(std::fs::File::options().read(true).write(true).open("/dev/null")?.into())
}

struct Talk<'a> {
    out: Option<OwnedFd>,
    feed: Option<(OwnedFd, &'a [u8])>,
    tail: Vec<u8>,
}

impl Talk<'_> {
    /// Moves what can be moved; true if the child may have ended.
    fn wait(&mut self, child: &Child, deadline: &Deadline, pause: &Deadline) -> io::Result<bool> {
        let end = match &child.pidfd {
            Some(pidfd) => pidfd.as_fd(),
            None => {
                pause.set(Duration::from_millis(20))?;
                pause.as_fd()
            }
        };
        let mut fds = vec![PollFd::from_borrowed_fd(end, PollFlags::IN), PollFd::new(deadline, PollFlags::IN)];
        fds.extend(self.out.iter().map(|fd| PollFd::new(fd, PollFlags::IN)));
        fds.extend(self.feed.iter().map(|(fd, _)| PollFd::new(fd, PollFlags::OUT)));
        poll_all(&mut fds)?;
        let ended = !fds[0].revents().is_empty();
        drop(fds);
        self.drain();
        self.feed();
        Ok(ended)
    }

    /// Reads what there is, and no more than a pipe's worth, so that a flood does not keep us from the deadline.
    fn drain(&mut self) {
        let Some(out) = &self.out else { return };
        let mut buffer = [0u8; 16 << 10];
        for _ in 0..8 {
            match rustix::io::read(out, &mut buffer) {
                Ok(0) => {
                    self.out = None;
                    return;
                }
                Ok(length) => {
                    self.tail.extend_from_slice(&buffer[..length]);
                    let excess = self.tail.len().saturating_sub(OUTPUT_KEPT);
                    self.tail.drain(..excess);
                }
                Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }

    fn feed(&mut self) {
        let Some((pipe, rest)) = &mut self.feed else { return };
        match rustix::io::write(pipe, rest) {
            Ok(length) => *rest = &rest[length..],
            Err(Errno::AGAIN | Errno::INTR) => return,
            // It does not read on; that is its own affair.
            Err(_) => *rest = &[],
        }
        if rest.is_empty() {
            self.feed = None;
        }
    }
}

/// Kills the child, its process group, and whatever else is left of its session. The child is not reaped yet, so that its
/// number cannot have passed to another group or session.
pub(super) fn kill_all(child: &Child) {
    let Some(group) = i32::try_from(child.pid).ok().and_then(Pid::from_raw) else { return };
    let _ = kill_process_group(group, Signal::KILL);
    // Again while some are found: one may have been starting another as we looked.
    for _ in 0..5 {
        let rest = proc::find(|stat| stat.session == child.pid && stat.pid != child.pid).unwrap_or_default();
        if rest.is_empty() {
            return;
        }
        for process in rest {
            if let Ok(Some(fd)) = pidfd::open(process.pid, process.start) {
                let _ = pidfd::signal(&fd, libc::SIGKILL);
            }
        }
    }
}

/// Waits for a child that has been killed, but not for ever: one that hangs in the kernel is left to the reaper.
pub(super) fn end(child: Child) {
    let ended = child.pidfd.as_ref().is_some_and(|fd| pidfd::wait(fd, Duration::from_secs(1)).unwrap_or(false));
    if !(ended && reap::reap(child.pid, WaitOptions::NOHANG).is_some()) {
        reap::adopt(child, drop);
    }
}

#[cfg(test)]
mod tests;
