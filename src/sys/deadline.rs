//! A moment to wait for beside descriptors. The kernel keeps the time, so that waiting needs no clock of ours.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_gettime,
    timerfd_settime,
};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// A timer: readable once its time has come.
#[derive(Debug)]
pub struct Deadline(OwnedFd);

impl AsFd for Deadline {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Deadline {
    /// A timer that is not set.
    pub fn unset() -> io::Result<Deadline> {
        Ok(Deadline(timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?))
    }

    /// So long from now.
    pub fn after(span: Duration) -> io::Result<Deadline> {
        let deadline = Deadline::unset()?;
        deadline.set(span)?;
        Ok(deadline)
    }

    /// Sets it anew, and makes it unreadable until then.
    pub fn set(&self, span: Duration) -> io::Result<()> {
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        // A value of zero would switch the timer off.
        let value =
            Timespec::try_from(span.max(Duration::from_nanos(1))).unwrap_or(Timespec { tv_sec: i64::MAX, ..zero });
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &Itimerspec { it_interval: zero, it_value: value })?;
        Ok(())
    }

    /// Brings it forward to so long from now, if it is later.
    pub fn hurry(&self, span: Duration) {
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let left = timerfd_gettime(&self.0).map_or(zero, |timer| timer.it_value);
        // One whose time has come, or that was never set, is left as it is.
        if left != zero && Duration::try_from(left).is_ok_and(|left| left > span) {
            let _ = self.set(span);
        }
    }

    /// Makes it unreadable once its time has come.
    pub fn clear(&self) {
        let _ = rustix::io::read(&self.0, &mut [0u8; 8]);
    }

    /// Whether its time has come.
    pub fn is_over(&self) -> bool {
        let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
    }

    /// Waits until the descriptor has something, or has come to its end (true), or the time is over (false).
    pub fn wait(&self, fd: impl AsFd) -> io::Result<bool> {
        let mut fds = [PollFd::new(&fd, PollFlags::IN), PollFd::new(&self.0, PollFlags::IN)];
        poll_all(&mut fds)?;
        Ok(!fds[0].revents().is_empty())
    }
}

/// Waits until one of them is ready, however often a signal comes between.
pub fn poll_all(fds: &mut [PollFd<'_>]) -> io::Result<()> {
    loop {
        match poll(fds, None) {
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}
