//! `/proc`, read within bounds: the one line that tells nearly everything of a process, and what is known of the machine.

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Pid;
use rustix::time::{ClockId, clock_gettime};
use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// `/proc/PID/stat`, as far as it is used (proc_pid_stat(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// The pid.
    pub pid: u32,
    /// The name that the kernel knows it by.
    pub comm: Comm,
    /// One letter: `R` runs, `S` sleeps, `D` waits for a device, `Z` has ended and waits for its parent.
    pub state: u8,
    /// The pid of its parent; 0 for one outside of our pid namespace.
    pub ppid: u32,
    /// Its process group; 0 where the kernel does not say (it is being reaped).
    pub pgrp: u32,
    /// Its session; 0 where the kernel does not say.
    pub session: u32,
    /// It is a thread of the kernel's own.
    pub kernel: bool,
    /// Processor time in its own code, in clock ticks.
    pub utime: u64,
    /// Processor time in the kernel, in clock ticks.
    pub stime: u64,
    /// Both, of its children that it has waited for, with theirs.
    pub children_time: u64,
    /// Threads that have not ended.
    pub threads: u64,
    /// When it started, in clock ticks since boot. With the pid this names a process for as long as the machine is up.
    pub start: u64,
    /// Resident memory in pages.
    pub rss_pages: u64,
}

impl Stat {
    /// Whether it lives. A zombie does not, unless only its first thread has ended and others go on.
    pub fn is_alive(&self) -> bool {
        match self.state {
            b'Z' => self.threads > 1,
            b'X' | b'x' => false,
            _ => true,
        }
    }
}

/// The name of a process, at most 15 bytes of it. Chosen by the process: any bytes but NUL.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Comm {
    bytes: [u8; 15],
    len: u8,
}

impl Comm {
    /// Cut after 15 bytes, as the kernel does for all but its own threads.
    pub fn new(name: &[u8]) -> Comm {
        let mut bytes = [0; 15];
        let len = name.len().min(bytes.len());
        bytes[..len].copy_from_slice(&name[..len]);
        Comm { bytes, len: u8::try_from(len).unwrap_or(0) }
    }
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Debug for Comm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.as_bytes().escape_ascii())
    }
}

/// The flag of the kernel's own threads (`include/linux/sched.h`).
const PF_KTHREAD: u64 = 0x0020_0000;

/// Reads a line of `/proc/PID/stat`, or as much of it as reaches to the resident memory. The name may hold blanks and
/// parentheses; what follows the last parenthesis is ours again.
pub fn parse_stat(line: &[u8]) -> Option<Stat> {
    let open = line.iter().position(|b| *b == b'(')?;
    let close = line.iter().rposition(|b| *b == b')')?;
    let comm = Comm::new(line.get(open + 1..close)?);
    let pid = decimal(line.get(..open)?.trim_ascii_end())?;
    let mut fields = line.get(close + 2..)?.split(|b| *b == b' ');
    let state = *fields.next()?.first()?;
    // How many fields are passed over before each one.
    let mut after = |skipped: usize| decimal(fields.nth(skipped)?);
    let (ppid, pgrp, session) = (after(0)?, after(0)?, after(0)?);
    let flags = after(2)?;
    let (utime, stime) = (after(4)?, after(0)?);
    let children_time = after(0)?.saturating_add(after(0)?);
    let threads = after(2)?;
    let start = after(1)?;
    let rss_pages = after(1)?;
    Some(Stat {
        pid: u32::try_from(pid).ok()?,
        comm,
        state,
        ppid: u32::try_from(ppid).ok()?,
        pgrp: u32::try_from(pgrp).ok()?,
        session: u32::try_from(session).ok()?,
        kernel: flags & PF_KTHREAD != 0,
        utime,
        stime,
        children_time,
        threads,
        start,
        rss_pages,
    })
}

/// A decimal number. The kernel writes -1 where it does not know (the session of a process that is being reaped): 0 here.
fn decimal(digits: &[u8]) -> Option<u64> {
    let (negative, digits) = match digits.split_first()? {
        (b'-', rest) => (true, rest),
        _ => (false, digits),
    };
    let number = digits.iter().try_fold(0u64, |n, digit| {
        let digit = digit.checked_sub(b'0').filter(|d| *d < 10)?;
        n.checked_mul(10)?.checked_add(u64::from(digit))
    })?;
    (!digits.is_empty()).then_some(if negative { 0 } else { number })
}

/// `/proc/PID/stat`, kept open: it stays with this one process, and says ESRCH once that is reaped, whoever has the pid then.
pub fn open_stat(pid: u32) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path(pid, "stat"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Reads it (anew). One system call, no allocation.
///
/// # Errors
/// `ESRCH` if the process is gone.
pub fn read_stat(file: impl AsFd) -> io::Result<Stat> {
    // 24 fields of at most 20 digits and the name: what does not fit is not needed.
    let mut line = [0; 640];
    let len = rustix::io::pread(file, &mut line, 0)?;
    parse_stat(&line[..len]).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// The process (or thread) that has this pid now.
///
/// # Errors
/// `ENOENT` or `ESRCH` if there is none, or none that we may see: see [`is_gone`].
pub fn stat(pid: u32) -> io::Result<Stat> {
    read_stat(open_stat(pid)?)
}

/// Every process that now lives and that is like this. Those that end meanwhile are passed over.
pub fn find(like: impl Fn(&Stat) -> bool) -> io::Result<Vec<Stat>> {
    Ok(pids()?.filter_map(|pid| stat(pid).ok()).filter(|stat| stat.is_alive() && like(stat)).collect())
}

/// Every process of this group that now lives. A system call for each process of the machine, a look into `/proc` only for
/// those of the group.
pub fn in_group(group: Pid) -> io::Result<Vec<Stat>> {
    let is_in = |pid: &u32| group_of(*pid) == Some(group.as_raw_nonzero().get());
    Ok(pids()?.filter(is_in).filter_map(|pid| stat(pid).ok()).filter(Stat::is_alive).collect())
}

/// Our own process group. None has a number here if its leader is outside of our namespace: whoever enters a container may
/// be in such a one.
pub fn own_group() -> Option<Pid> {
    group_of(0).and_then(Pid::from_raw)
}

/// The process group of a process, or ours for 0; 0 for the kernel's own threads and for groups of another namespace, which
/// rustix takes for impossible.
#[allow(unsafe_code)]
fn group_of(pid: u32) -> Option<i32> {
    let pid = i32::try_from(pid).ok()?;
    // SAFETY: it takes a number and returns one.
    let group = unsafe { libc::getpgid(pid) };
    (group >= 0).then_some(group)
}

/// How a zombie ended, as `waitpid` would say it: the last field of its `stat`, there from the death on, where a pidfd knows
/// it only once the parent has reaped it. Nothing if it lives, if another process has the pid, or if we may not know (other
/// users' processes: the kernel shows 0, so a 0 is believed of nobody).
pub fn zombie_status(pid: u32, start: u64) -> Option<i32> {
    let line = read(pid, "stat", 1024).ok()?;
    let seen = parse_stat(&line)?;
    if seen.start != start || seen.state != b'Z' || seen.threads > 1 {
        return None;
    }
    let last = line.trim_ascii_end().rsplit(|b| *b == b' ').next()?;
    decimal(last).and_then(|status| i32::try_from(status).ok()).filter(|status| *status != 0)
}

/// Whether the error says that there is no such process.
pub fn is_gone(e: &io::Error) -> bool {
    matches!(Errno::from_io_error(e), Some(Errno::NOENT | Errno::SRCH))
}

/// A file of a process.
pub fn path(pid: u32, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{name}"))
}

/// At most so many bytes of a file of a process.
pub fn read(pid: u32, name: &str, most: u64) -> io::Result<Vec<u8>> {
    read_path(path(pid, name), most)
}

/// At most so many bytes of a file of the kernel's.
pub fn read_path(path: impl AsRef<Path>, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The number after `key` at the beginning of a line, as in `VmSwap:     12 kB`.
pub fn number_after(text: &[u8], key: &str) -> Option<u64> {
    text.split(|b| *b == b'\n').find_map(|line| {
        let rest = line.strip_prefix(key.as_bytes())?.trim_ascii_start();
        decimal(rest.split(u8::is_ascii_whitespace).next()?)
    })
}

/// Every process that we may see.
pub fn pids() -> io::Result<impl Iterator<Item = u32>> {
    let entries = std::fs::read_dir("/proc")?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()))
}

/// The user that it runs as (its effective one): the owner of `/proc/PID`, whether or not it may be dumped.
pub fn user(pid: u32) -> io::Result<u32> {
    Ok(rustix::fs::statat(CWD, path(pid, ""), AtFlags::empty())?.st_uid)
}

/// How many files it has open.
pub fn open_files(pid: u32) -> io::Result<u64> {
    let path = path(pid, "fd");
    // Since Linux 6.2 the size of the directory is the number; before that it is 0, and they must be counted.
    let size = rustix::fs::statat(CWD, &path, AtFlags::empty())?.st_size;
    if size > 0 {
        return Ok(size.unsigned_abs());
    }
    Ok(std::fs::read_dir(&path)?.count() as u64)
}

/// Its soft limit of open files; `u64::MAX` where it has none.
pub fn open_files_limit(pid: u32) -> io::Result<u64> {
    let limits = read(pid, "limits", 8192)?;
    const KEY: &str = "Max open files";
    if let Some(limit) = number_after(&limits, KEY) {
        return Ok(limit);
    }
    let unlimited =
        limits.split(|b| *b == b'\n').any(|line| line.starts_with(KEY.as_bytes()) && line.ends_with(b"files"));
    if unlimited { Ok(u64::MAX) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// The program that it runs, as the kernel names it: without the ` (deleted)` of one that was replaced on disk.
pub fn program(pid: u32) -> io::Result<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::fs::read_link(path(pid, "exe"))?;
    match path.as_os_str().as_bytes().strip_suffix(b" (deleted)") {
        Some(name) => Ok(PathBuf::from(OsStr::from_bytes(name))),
        None => Ok(path),
    }
}

/// Names this run of the machine: pids and start times mean something only with it.
pub fn boot_id() -> io::Result<String> {
    let id = read_path("/proc/sys/kernel/random/boot_id", 64)?;
    Ok(String::from_utf8_lossy(&id).trim().to_owned())
}

/// How long ago the machine was booted, sleep included: the clock that start times are written in.
pub fn booted_ago() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Clock ticks a second: the unit of all times in [`Stat`].
pub fn ticks_per_second() -> u64 {
    rustix::param::clock_ticks_per_second().max(1)
}

/// Bytes of a page.
pub fn page_size() -> u64 {
    rustix::param::page_size() as u64
}

/// Processors in use, of the machine rather than of our own affinity; at least 1. From the text of `/proc/stat`.
pub fn cores(stat: &[u8]) -> usize {
    let core = |line: &[u8]| line.strip_prefix(b"cpu").and_then(|rest| rest.first()).is_some_and(u8::is_ascii_digit);
    stat.split(|b| *b == b'\n').filter(|line| core(line)).count().max(1)
}

/// How long a process that started then has been running.
pub fn running_for(start: u64, booted_ago: Duration) -> Duration {
    let ticks = ticks_per_second();
    let start =
        Duration::from_millis((start / ticks).saturating_mul(1000).saturating_add(start % ticks * 1000 / ticks));
    booted_ago.saturating_sub(start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const REST: &str =
        "S 1 15010 11176 34816 -1 4194304 100 7 3 0 250 31 40 2 20 0 4 0 175219 3133440 388 18446744073709551615";

    #[test]
    fn a_line_is_read() {
        let stat = parse_stat(format!("812 (nginx) {REST}").as_bytes()).unwrap();
        let comm = Comm::new(b"nginx");
        let expected = Stat {
            pid: 812,
            comm,
            state: b'S',
            ppid: 1,
            pgrp: 15010,
            session: 11176,
            kernel: false,
            utime: 250,
            stime: 31,
            children_time: 42,
            threads: 4,
            start: 175_219,
            rss_pages: 388,
        };
        assert_eq!(stat, expected);
    }

    #[test]
    fn a_name_may_hold_anything() {
        for name in ["", "a b", ") R 1 1 1", "((", "))", "x) S 1 (", "\n", "a) Z 0 0 (b"] {
            let stat = parse_stat(format!("7 ({name}) {REST}").as_bytes()).unwrap_or_else(|| panic!("{name:?}"));
            assert_eq!((stat.pid, stat.ppid, stat.start), (7, 1, 175_219), "{name:?}");
            assert_eq!(stat.comm.as_bytes(), name.as_bytes());
        }
        let stat = parse_stat(format!("7 (kworker/u8:3-events_unbound) {REST}").as_bytes()).unwrap();
        assert_eq!(stat.comm.as_bytes(), b"kworker/u8:3-ev");
    }

    #[test]
    fn one_being_reaped_has_no_session() {
        let line = "9 (gone) X 0 -1 -1 0 -1 4194564 0 0 0 0 1 2 0 0 20 0 0 0 42 0 0 0";
        let stat = parse_stat(line.as_bytes()).unwrap();
        assert_eq!((stat.pgrp, stat.session, stat.is_alive()), (0, 0, false));
    }

    #[test]
    fn a_zombie_lives_while_a_thread_of_it_does() {
        let line = |threads: u32| format!("9 (x) Z 1 9 9 0 -1 0 0 0 0 0 1 2 0 0 20 0 {threads} 0 42 0 0 0");
        assert!(!parse_stat(line(1).as_bytes()).unwrap().is_alive());
        assert!(parse_stat(line(2).as_bytes()).unwrap().is_alive());
    }

    #[test]
    fn our_own_line_is_right() {
        let own = std::process::id();
        let kept = open_stat(own).unwrap();
        let stat = read_stat(&kept).unwrap();
        assert_eq!(stat.pid, own);
        assert_eq!(stat.ppid, std::os::unix::process::parent_id());
        assert!(stat.is_alive() && stat.rss_pages > 0 && stat.threads > 0);
        assert_eq!(super::stat(own).unwrap().start, stat.start);
        assert!(running_for(stat.start, booted_ago()) < Duration::from_secs(3600));
        assert_eq!(user(own).unwrap(), rustix::process::geteuid().as_raw());
        assert_eq!(program(own).unwrap(), std::env::current_exe().unwrap());
        assert!(pids().unwrap().any(|pid| pid == own));
    }

    #[test]
    fn open_files_are_counted_with_their_limit() {
        let own = std::process::id();
        let many: Vec<File> = (0..50).map(|_| File::open("/dev/null").unwrap()).collect();
        assert!(open_files(own).unwrap() >= many.len() as u64);
        assert!(open_files_limit(own).unwrap() >= 50);
    }

    #[test]
    fn numbers_stand_after_their_keys() {
        let text =
            b"Name:\tVmSwap: 9\nVmSwap:\t   132 kB\nMax open files            1024                 4096       files\n";
        assert_eq!(number_after(text, "VmSwap:"), Some(132));
        assert_eq!(number_after(text, "Max open files"), Some(1024));
        assert_eq!(number_after(text, "VmRSS:"), None);
    }

    #[test]
    fn nobody_has_this_pid() {
        assert!(is_gone(&stat(u32::MAX).unwrap_err()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(line in proptest::collection::vec(any::<u8>(), 0..700)) {
            let _ = parse_stat(&line);
            let _ = number_after(&line, "x");
        }

        #[test]
        fn any_name_is_survived(name in proptest::collection::vec(any::<u8>(), 0..64)) {
            let line = [b"7 (", name.as_slice(), b") ", REST.as_bytes()].concat();
            prop_assert_eq!(parse_stat(&line).map(|s| s.start), Some(175_219));
        }
    }
}
