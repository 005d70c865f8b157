//! Whether a process that was killed was killed because memory was short. The kernel's log names each such process. Who may not
//! read it has the counter of the process's control group. It tells of the group: a process that somebody kills by SIGKILL after a
//! child of it was killed for memory is taken for one of those.

use crate::model::Exit;
use crate::sys::proc;
use rustix::fs::{Mode, OFlags, SeekFrom, open, seek};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// So many of those that were killed are remembered, the latest.
const MOST_KILLED: usize = 256;
/// So many records are read in one look: more than the kernel keeps.
const MOST_RECORDS: usize = 1 << 15;
/// The longest record, as the kernel writes it.
const RECORD: usize = 8192;
/// The pid namespace of the machine itself (`linux/proc_ns.h`): the log's pids are of that one.
const MACHINES_PIDS: &str = "pid:[4026531836]";

/// What is known of those who were killed.
pub(super) struct Memory {
    log: Option<Log>,
}

/// The kernel's log, from the start on.
struct Log {
    records: OwnedFd,
    killed: VecDeque<u32>,
}

/// A process's control group, and how many of it had been killed for memory when the process was first watched.
pub(super) struct Mark(Option<(PathBuf, u64)>);

impl Memory {
    /// Reads the kernel's log, if it may; otherwise the control groups must do.
    pub(super) fn new(read_log: bool) -> Memory {
        Memory { log: read_log.then(Log::open).flatten() }
    }

    /// A process is watched from now on: what was said of this pid before was said of another.
    pub(super) fn mark(&mut self, pid: u32) -> Mark {
        match &mut self.log {
            Some(log) => {
                log.read();
                log.killed.retain(|killed| *killed != pid);
            }
            None => return Mark(Mark::of(pid)),
        }
        Mark(None)
    }

    /// How a process has ended, with what is known here.
    pub(super) fn explain(&mut self, pid: u32, how: Option<Exit>, mark: &Mark) -> Option<Exit> {
        if !matches!(how, None | Some(Exit::Signal { number: libc::SIGKILL, .. })) {
            return how;
        }
        let for_memory = match &mut self.log {
            Some(log) => {
                log.read();
                log.killed.contains(&pid)
            }
            None => how.is_some() && mark.has_grown(),
        };
        if for_memory { Some(Exit::Memory) } else { how }
    }
}

impl Log {
    fn open() -> Option<Log> {
        if std::fs::read_link("/proc/self/ns/pid").ok()?.as_os_str() != MACHINES_PIDS {
            return None;
        }
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let records = open("/dev/kmsg", flags, Mode::empty()).ok()?;
        seek(&records, SeekFrom::End(0)).ok()?;
        Some(Log { records, killed: VecDeque::new() })
    }

    /// What has come since the last look. Of more than the kernel keeps, the oldest is lost.
    fn read(&mut self) {
        let mut record = [0; RECORD];
        for _ in 0..MOST_RECORDS {
            match rustix::io::read(&self.records, &mut record) {
                Ok(len) => self.killed.extend(killed(&record[..len])),
                Err(Errno::PIPE | Errno::INTR) => {}
                Err(_) => break,
            }
        }
        let too_many = self.killed.len().saturating_sub(MOST_KILLED);
        self.killed.drain(..too_many);
    }
}

/// Who was killed for want of memory, if a record says that: `3,1234,5678,-;Out of memory: Killed process 812 (web) ..`. The
/// facility 0 is the kernel's own, which no program can write. The name in it is the process's own choice, so nothing is
/// looked for beyond the pid; names that stand at the beginning of other records have 15 bytes at most, too few to read so.
fn killed(record: &[u8]) -> Option<u32> {
    let text = record.split(|b| *b == b'\n').next()?;
    let (head, words) = text.split_at(text.iter().position(|b| *b == b';')?);
    let priority: u32 = std::str::from_utf8(head.split(|b| *b == b',').next()?).ok()?.parse().ok()?;
    let words = std::str::from_utf8(&words[1..]).ok()?;
    let after = |prefix: &&str| words.strip_prefix(prefix)?.strip_prefix("Killed process ");
    let whose = ["Out of memory: ", "Memory cgroup out of memory: ", "Out of memory (oom_kill_allocating_task): ", ""];
    let (pid, _) = whose.iter().find_map(after).filter(|_| priority < 8)?.split_once(" (")?;
    pid.parse().ok().filter(|_| pid.bytes().all(|b| b.is_ascii_digit()))
}

impl Mark {
    /// `memory.events` of version 2, or `memory.oom_control` of version 1, where they are usually mounted.
    fn of(pid: u32) -> Option<(PathBuf, u64)> {
        let membership = proc::read(pid, "cgroup", 64 << 10).ok()?;
        membership.split(|b| *b == b'\n').find_map(|line| {
            let mut fields = line.splitn(3, |b| *b == b':');
            let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            let path = Path::new(OsStr::from_bytes(path)).strip_prefix("/").ok()?;
            let (top, file) = match controllers {
                b"" => ("/sys/fs/cgroup", "memory.events"),
                controllers if controllers.split(|b| *b == b',').any(|c| c == b"memory") => {
                    ("/sys/fs/cgroup/memory", "memory.oom_control")
                }
                _ => return None,
            };
            let inside = path.components().all(|part| matches!(part, Component::Normal(_)));
            let file = Path::new(top).join(path).join(file);
            let count = inside.then(|| count(&file))??;
            Some((file, count))
        })
    }

    fn has_grown(&self) -> bool {
        self.0.as_ref().is_some_and(|(file, before)| count(file).is_some_and(|now| now > *before))
    }
}

fn count(file: &Path) -> Option<u64> {
    proc::number_after(&proc::read_path(file, 4096).ok()?, "oom_kill ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_kernels_own_words_are_believed() {
        let table: [(&str, Option<u32>); 14] = [
            ("3,4711,99,-;Out of memory: Killed process 812 (web) total-vm:1kB, anon-rss:1kB\n", Some(812)),
            ("3,4711,99,-;Memory cgroup out of memory: Killed process 31949 (python) total-vm:222444kB", Some(31949)),
            ("3,1,1,c;Out of memory (oom_kill_allocating_task): Killed process 9 (a b) (c) x", Some(9)),
            ("3,1,1,-;Killed process 812 (web) total-vm:1kB", Some(812)),
            ("6,1,1,-,caller=T1;Out of memory: Killed process 5 (x)", Some(5)),
            // A program writes to /dev/kmsg: its facility is never 0.
            ("11,1,1,-;Out of memory: Killed process 812 (web)", None),
            ("x,1,1,-;Out of memory: Killed process 812 (web)", None),
            // Names of processes at the beginning of other records.
            ("6,1,1,-;Killed process [812]: segfault at 0 ip 0", None),
            ("6,1,1,-;Out of memory: [812]: segfault at 0 (x)", None),
            // What a program chose does not begin another line, nor count where it stands.
            ("3,1,1,-;x\\x0aOut of memory: Killed process 812 (web)", None),
            ("3,1,1,-;oom: Memory cgroup out of memory: Killed process 812 (web)", None),
            ("3,1,1,-;x\n Out of memory: Killed process 812 (web)", None),
            ("3,1,1,-;Out of memory: Killed process -1 (web)", None),
            ("", None),
        ];
        for (record, expected) in table {
            assert_eq!(killed(record.as_bytes()), expected, "{record:?}");
        }
        assert_eq!(killed(b"3,1,1,-;Out of memory: Killed process +12 (x)"), None);
    }

    #[test]
    fn only_who_was_killed_by_kill_can_have_been_killed_for_memory() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n").unwrap();
        let mark = |before| Mark(Some((file.path().to_owned(), before)));
        let kill = Some(Exit::Signal { number: 9, core: false });
        let mut memory = Memory::new(false);
        assert_eq!(memory.explain(1, kill, &mark(3)), Some(Exit::Memory));
        assert_eq!(memory.explain(1, kill, &mark(4)), kill);
        assert_eq!(memory.explain(1, kill, &Mark(None)), kill);
        assert_eq!(memory.explain(1, None, &mark(3)), None);
        for how in [Exit::Code(137), Exit::Signal { number: 15, core: false }] {
            assert_eq!(memory.explain(1, Some(how), &mark(3)), Some(how));
        }
    }

    proptest! {
        /// What another program than the kernel writes has never a facility of 0, whatever it says.
        #[test]
        fn only_the_kernel_says_who_was_killed(
            priority in 8u32..200,
            record in "(Out of memory: |Memory cgroup out of memory: )?(Killed process )?[0-9]{0,12}( \\()?\\PC{0,20}",
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let _ = (killed(&bytes), killed(format!("3,1,1,-;{record}").as_bytes()));
            prop_assert_eq!(killed(format!("{priority},1,1,-;{record}").as_bytes()), None);
        }
    }
}
