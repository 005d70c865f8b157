//! Processes by descriptor: a pidfd means one process for ever, while its pid may pass to another.

use super::deadline::Deadline;
use super::proc;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use rustix::time::Timespec;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

/// Opens the process that has this pid and this start time. Nothing if it is gone, or another has its pid now.
/// A zombie is still there.
///
/// It is opened first and compared afterwards: whoever has the observed start time when we look was there before, so it is
/// also the one that was opened.
pub fn open(pid: u32, start: u64) -> io::Result<Option<OwnedFd>> {
    let Some(number) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
    let pidfd = match pidfd_open(number, PidfdFlags::NONBLOCK) {
        Err(Errno::SRCH) => return Ok(None),
        // Kernels before 5.10 do not know the flag, which matters to none of our uses.
        Err(Errno::INVAL) => match pidfd_open(number, PidfdFlags::empty()) {
            Err(Errno::SRCH | Errno::INVAL) => return Ok(None),
            other => other?,
        },
        other => other?,
    };
    match proc::stat(pid) {
        Ok(stat) if stat.start == start => Ok(Some(pidfd)),
        Ok(_) => Ok(None),
        Err(e) if is_gone(&e) => Ok(None),
        Err(e) => Err(e),
    }
}

/// The error that `/proc/PID` and pidfds give for a process that is no more.
pub fn is_gone(e: &io::Error) -> bool {
    e.kind() == io::ErrorKind::NotFound || e.raw_os_error() == Some(libc::ESRCH)
}

/// Sends a signal. `ESRCH` if the process has been reaped; a zombie takes it without effect.
pub fn signal(pidfd: impl AsFd, number: i32) -> io::Result<()> {
    let signal = Signal::from_named_raw(number).ok_or_else(|| io::Error::from(Errno::INVAL))?;
    Ok(pidfd_send_signal(pidfd, signal)?)
}

/// Waits until the process has ended, be it reaped or a zombie. False if it lives on when the time is over.
pub fn wait(pidfd: impl AsFd, timeout: Duration) -> io::Result<bool> {
    Deadline::after(timeout)?.wait(pidfd)
}

/// Whether the process has ended, be it reaped or a zombie.
pub fn has_ended(pidfd: impl AsFd) -> bool {
    let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
}

/// The wait status of a process that has been reaped, whoever its parent was. Nothing while it is alive or a zombie, and
/// on kernels before 6.15.
#[allow(unsafe_code)]
pub fn exit_status(pidfd: impl AsFd) -> Option<i32> {
    // SAFETY: `pidfd_info` is plain data for which all zeroes is a value.
    let mut info: libc::pidfd_info = unsafe { std::mem::zeroed() };
    info.mask = u64::from(libc::PIDFD_INFO_EXIT);
    // SAFETY: the request's number carries the size of `pidfd_info`, and the kernel writes no more than that into it.
    let result = unsafe { libc::ioctl(pidfd.as_fd().as_raw_fd(), libc::PIDFD_GET_INFO, &raw mut info) };
    (result == 0 && info.mask & u64::from(libc::PIDFD_INFO_EXIT) != 0).then_some(info.exit_code)
}
