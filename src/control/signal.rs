//! Who may be signalled, and the signalling.

use crate::model::kinds::Process;
use crate::model::{Aim, Identity, Signal, show_duration};
use crate::sys::trust::{Distrust, only_root_or};
use crate::sys::users::User;
use crate::sys::{pidfd, proc};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a process is not signalled.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It has ended: nothing is left to signal.
    Gone,
    /// It is the machine's first process.
    Init,
    /// It is minder, or the group that minder belongs to is named after it.
    Ourselves,
    /// It lives in another pid namespace, as in a container.
    Elsewhere,
    /// Its pid comes from a file that others could have written.
    Distrusted(Distrust),
    /// It is not what the check says: which key, and what it is instead.
    Other(&'static str, String),
    /// The kernel said no.
    Error(io::Error),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Gone => f.write_str("the process has ended"),
            Refusal::Init => f.write_str("not signalled: pid 1 is the machine's first process"),
            Refusal::Ourselves => f.write_str("not signalled: this is minder itself"),
            Refusal::Elsewhere => f.write_str("not signalled: the process belongs to another pid namespace"),
            Refusal::Distrusted(why) => write!(
                f,
                "not signalled: its pid comes from a file that cannot be trusted: {why}; let the check also name `exe` or `user`"
            ),
            Refusal::Other(key, is) => write!(f, "not signalled: its {key} is {is}, and the check says otherwise"),
            Refusal::Error(e) => match e.raw_os_error() {
                Some(libc::EPERM) => f.write_str("not signalled: minder's user may not signal this process"),
                Some(libc::ENOSYS) => f.write_str(
                    "not signalled: this kernel has no pidfds, without which the wrong process could be hit",
                ),
                _ => write!(f, "not signalled: {e}"),
            },
        }
    }
}

impl From<io::Error> for Refusal {
    fn from(e: io::Error) -> Refusal {
        if pidfd::is_gone(&e) { Refusal::Gone } else { Refusal::Error(e) }
    }
}

/// Opens the process if it is the one observed, still lives, and may be signalled. What is looked at in `/proc` afterwards may
/// belong to a successor with the same pid; then the pidfd reaches nobody, and so does the signal.
pub(super) fn open(aim: &Aim) -> Result<OwnedFd, Refusal> {
    let pidfd = open_identity(aim.identity)?;
    believe(aim)?;
    Ok(pidfd)
}

/// Whether this is a process that nobody but root and its own user can have pointed us to.
pub(super) fn believe(aim: &Aim) -> Result<(), Refusal> {
    if let Some(process) = aim.process()
        && let Some(pidfile) = &process.pidfile
    {
        let uid = real_uid(aim.identity.pid)?;
        if let Err(why) = only_root_or(uid, pidfile.as_path())
            && !confirmed(process, aim.identity.pid, uid)?
        {
            return Err(Refusal::Distrusted(why));
        }
    }
    Ok(())
}

/// The same, for what a dead process has left in its group. It may have removed its pidfile: then it counts who could have.
pub(super) fn open_left(aim: &Aim) -> Result<OwnedFd, Refusal> {
    let pidfd = open_identity(aim.identity)?;
    match believe(aim) {
        Err(Refusal::Distrusted(Distrust::Unseen(path, e))) if e.kind() == io::ErrorKind::NotFound => {
            // The owners on the way have been looked at; a sticky directory lets others remove what was theirs.
            match path.parent().map(Path::symlink_metadata) {
                Some(Ok(directory)) if directory.mode() & 0o022 == 0 => Ok(pidfd),
                _ => Err(Refusal::Distrusted(Distrust::Unseen(path, e))),
            }
        }
        other => other.map(|()| pidfd),
    }
}

/// The same, for a process that was not found through a file.
pub(super) fn open_identity(identity: Identity) -> Result<OwnedFd, Refusal> {
    let pid = identity.pid;
    if pid <= 1 {
        return Err(Refusal::Init);
    }
    let group = proc::own_group().and_then(|group| u32::try_from(group.as_raw_nonzero().get()).ok());
    if pid == std::process::id() || group == Some(pid) {
        return Err(Refusal::Ourselves);
    }
    let pidfd = pidfd::open(pid, identity.start)?.filter(|fd| !pidfd::has_ended(fd)).ok_or(Refusal::Gone)?;
    let ours = std::fs::read_link("/proc/self/ns/pid")?;
    match std::fs::read_link(format!("/proc/{pid}/ns/pid")) {
        Ok(theirs) if theirs != ours => Err(Refusal::Elsewhere),
        Ok(_) => Ok(pidfd),
        // Who may not look may not signal either: that is left to the kernel.
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Ok(pidfd),
        Err(e) => Err(e.into()),
    }
}

/// Whether the check names more than the pidfile, and the process is that.
fn confirmed(check: &Process, pid: u32, uid: u32) -> Result<bool, Refusal> {
    if let Some(exe) = &check.exe {
        let is = std::fs::read_link(format!("/proc/{pid}/exe"))?;
        if !same_program(&is, exe.as_path()) {
            return Err(Refusal::Other("exe", is.display().to_string().escape_debug().to_string()));
        }
    }
    if let Some(name) = &check.user {
        let wanted = User::find(name)?.map(|user| user.uid).or(name.parse().ok());
        if wanted != Some(uid) {
            return Err(Refusal::Other("user", format!("uid {uid}")));
        }
    }
    Ok(check.exe.is_some() || check.user.is_some())
}

/// The kernel marks a program that was replaced on disk, as by an upgrade.
fn same_program(is: &Path, wanted: &Path) -> bool {
    let wanted = wanted.canonicalize().unwrap_or_else(|_| wanted.to_owned());
    let is = is.to_str().and_then(|text| text.strip_suffix(" (deleted)")).map_or_else(|| is.to_owned(), PathBuf::from);
    is == wanted
}

/// The real uid, by which the kernel lets others signal it.
pub(super) fn real_uid(pid: u32) -> Result<u32, Refusal> {
    let mut text = String::new();
    File::open(format!("/proc/{pid}/status"))?.take(8192).read_to_string(&mut text)?;
    text.lines()
        .find_map(|line| line.strip_prefix("Uid:")?.split_ascii_whitespace().next()?.parse().ok())
        .ok_or_else(|| Refusal::Error(io::ErrorKind::InvalidData.into()))
}

/// Sends one signal.
pub(super) fn send(aim: &Aim, signal: Signal) -> Result<String, Refusal> {
    pidfd::signal(&open(aim)?, signal.0)?;
    Ok(format!("sent {signal} to {}", aim.identity))
}

/// What came of signals with growing force.
pub(super) enum Ended {
    /// It has ended after this signal.
    After(Signal),
    /// It lives on, after all of them.
    No,
}

/// Sends the signals one after the other until the process has ended, be it reaped or not.
pub(super) fn end(pidfd: &OwnedFd, steps: &[(Signal, Duration)]) -> Result<Ended, Refusal> {
    for (signal, wait) in steps {
        match pidfd::signal(pidfd, signal.0) {
            // Its parent was quicker than we.
            Err(e) if pidfd::is_gone(&e) => return Ok(Ended::After(*signal)),
            other => other?,
        }
        if pidfd::wait(pidfd, *wait)? {
            return Ok(Ended::After(*signal));
        }
    }
    Ok(Ended::No)
}

/// `TERM, then KILL after 10 s`
pub(super) fn write_steps(steps: &[(Signal, Duration)]) -> String {
    let mut words = String::new();
    for (i, (signal, _)) in steps.iter().enumerate() {
        if i > 0 {
            words += &format!(", then {signal} after {}", show_duration(steps[i - 1].1));
        } else {
            words += &signal.to_string();
        }
    }
    words
}

#[cfg(test)]
mod tests;
