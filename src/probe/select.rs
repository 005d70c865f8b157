//! Finds the processes that a check means. All of this runs on threads that may hang.

use crate::model::kinds::Process;
use crate::model::{AbsPath, Clock, Identity, Kind, Mono, Pattern};
use crate::sys::accounts;
use crate::sys::proc::{self, Stat};
use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// As much of a command line is matched.
const MOST_OF_CMDLINE: u64 = 4096;
/// Reading of a process's memory takes microseconds, unless that process is stuck.
const STUCK: Duration = Duration::from_secs(1);

/// Whom a check means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Selected {
    /// These; the first is the one that signals go to.
    Processes(Vec<Identity>),
    /// None, and why.
    Nobody(String),
    /// Its pidfile is just being written.
    Forming(String),
    /// It cannot be said, and why.
    Unknown(String),
}

/// The identity of a process whose line was read.
pub(super) fn identity(stat: &Stat) -> Identity {
    Identity { pid: stat.pid, start: stat.start }
}

/// Answers the questions that have no pidfile, all with one look at every process.
pub(super) fn by_scan(kinds: &[Arc<Kind>], clock: &dyn Clock, hung: &Hung) -> Vec<Selected> {
    let candidates: Vec<Candidate> = match scan() {
        Ok(stats) => stats.into_iter().filter(Stat::is_alive).map(Candidate::new).collect(),
        Err(e) => return kinds.iter().map(|_| Selected::Unknown(format!("/proc cannot be read: {e}"))).collect(),
    };
    kinds
        .iter()
        .map(|kind| match &**kind {
            Kind::Process(process) => match Wanted::of(process) {
                Ok(wanted) => among(&candidates, &wanted, clock, hung),
                Err(why) => Selected::Unknown(why),
            },
            _ => Selected::Unknown("not a check of a process".to_owned()),
        })
        .collect()
}

/// The line of every process that we may see.
pub(super) fn scan() -> io::Result<Vec<Stat>> {
    Ok(proc::pids()?.filter_map(|pid| proc::stat(pid).ok()).collect())
}

fn among(candidates: &[Candidate], wanted: &Wanted<'_>, clock: &dyn Clock, hung: &Hung) -> Selected {
    let mut found: Vec<&Stat> = Vec::new();
    let mut unclear = None;
    // There always is a first process.
    let hidden = !candidates.iter().any(|candidate| candidate.stat.pid == 1);
    for candidate in candidates {
        match wanted.fits(candidate, clock, hung) {
            Ok(true) => found.push(&candidate.stat),
            Ok(false) => {}
            Err(why) if wanted.may_be(candidate) => unclear = Some(why),
            Err(_) => {}
        }
    }
    let pids: HashSet<u32> = found.iter().map(|stat| stat.pid).collect();
    found.sort_by_key(|stat| (pids.contains(&stat.ppid), stat.start, stat.pid));
    match (found.is_empty(), unclear) {
        (false, _) => Selected::Processes(found.into_iter().map(identity).collect()),
        (true, None) if hidden && wanted.user != Some(rustix::process::geteuid().as_raw()) => {
            Selected::Unknown("/proc does not show us the processes of others (hidepid)".to_owned())
        }
        (true, None) => Selected::Nobody("no such process runs".to_owned()),
        (true, Some(why)) => Selected::Unknown(why),
    }
}

/// A process, and what else was looked up of it, once for all questions.
pub(super) struct Candidate {
    stat: Stat,
    user: OnceCell<io::Result<u32>>,
    program: OnceCell<io::Result<PathBuf>>,
    cmdline: OnceCell<Result<String, String>>,
}

impl Candidate {
    pub(super) fn new(stat: Stat) -> Candidate {
        Candidate { stat, user: OnceCell::new(), program: OnceCell::new(), cmdline: OnceCell::new() }
    }
    fn program(&self) -> &io::Result<PathBuf> {
        self.program.get_or_init(|| proc::program(self.stat.pid))
    }
    /// The arguments joined by blanks; empty for the kernel's own threads.
    fn cmdline(&self, clock: &dyn Clock, hung: &Hung) -> &Result<String, String> {
        self.cmdline.get_or_init(|| {
            let pid = self.stat.pid;
            // In the middle of an exec there is a program, but no argument yet. The kernel's own threads have neither.
            let read = || {
                for _ in 0..2 {
                    let line = proc::read(pid, "cmdline", MOST_OF_CMDLINE);
                    if !line.as_ref().is_ok_and(Vec::is_empty) || self.program().is_err() {
                        return line;
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
                proc::read(pid, "cmdline", MOST_OF_CMDLINE)
            };
            match hung.unless_stuck(identity(&self.stat), clock, read) {
                Some(Ok(bytes)) => {
                    let end = bytes.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
                    let line: Vec<u8> = bytes[..end].iter().map(|b| if *b == 0 { b' ' } else { *b }).collect();
                    Ok(String::from_utf8_lossy(&line).into_owned())
                }
                Some(Err(e)) if proc::is_gone(&e) => Ok(String::new()),
                Some(Err(e)) => Err(format!("the command line of pid {pid} cannot be read: {e}")),
                None => Err(format!("pid {pid} is stuck in the kernel: its command line cannot be read")),
            }
        })
    }
}

/// The selectors of a check, with what need be looked up only once.
pub(super) struct Wanted<'a> {
    name: Option<&'a str>,
    matches: Option<&'a Pattern>,
    /// As given, and where it leads through symbolic links.
    exe: Option<(&'a Path, PathBuf)>,
    user: Option<u32>,
}

impl<'a> Wanted<'a> {
    pub(super) fn of(process: &'a Process) -> Result<Wanted<'a>, String> {
        let user = match &process.user {
            Some(name) => Some(accounts::uid_of(name).ok_or_else(|| {
                format!("/etc/passwd has no user `{}`: write the number instead", name.escape_debug())
            })?),
            None => None,
        };
        let exe = process.exe.as_ref().map(AbsPath::as_path);
        let exe = exe.map(|path| (path, std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())));
        Ok(Wanted { name: process.name.as_deref(), matches: process.matches.as_ref(), exe, user })
    }

    /// Whether all of them hold, the cheap ones first.
    ///
    /// # Errors
    /// It may be the one, but may not be looked at; and why.
    pub(super) fn fits(&self, candidate: &Candidate, clock: &dyn Clock, hung: &Hung) -> Result<bool, String> {
        let pid = candidate.stat.pid;
        if let Some(wanted) = self.user {
            match candidate.user.get_or_init(|| proc::user(pid)) {
                Ok(user) if *user == wanted => {}
                _ => return Ok(false),
            }
        }
        if let Some(name) = self.name
            && !is_named(candidate, name)
        {
            return Ok(false);
        }
        if let Some((given, real)) = &self.exe {
            match candidate.program() {
                Ok(program) if program == given || program == real => {}
                Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                    return Err(format!("the program of pid {pid} may not be looked at"));
                }
                _ => return Ok(false),
            }
        }
        if let Some(pattern) = self.matches {
            // Our own command line says nothing of a service, though it may well hold its name.
            if pid == std::process::id() {
                return Ok(false);
            }
            match candidate.cmdline(clock, hung) {
                Ok(line) => return Ok(!line.is_empty() && pattern.is_match(line)),
                Err(why) => return Err(why.clone()),
            }
        }
        Ok(true)
    }

    /// Of a process that may not be looked at: whether its name is that of the wanted program. Otherwise any process of
    /// another user could be the wanted one, and nothing could ever be said.
    pub(super) fn may_be(&self, candidate: &Candidate) -> bool {
        let file_name = |path: &Path| path.file_name().map(|name| proc::Comm::new(name.as_encoded_bytes()));
        self.exe
            .as_ref()
            .is_none_or(|(given, real)| [file_name(given), file_name(real)].contains(&Some(candidate.stat.comm)))
    }
}

fn is_named(candidate: &Candidate, name: &str) -> bool {
    candidate.stat.comm == proc::Comm::new(name.as_bytes())
        || candidate.program().as_ref().is_ok_and(|program| program.file_name().is_some_and(|file| file == name))
}

/// Where threads are reading what belongs to a process, and may hang with it.
#[derive(Default)]
pub(super) struct Hung(Mutex<HashMap<Identity, Mono>>);

impl Hung {
    /// Reads something of a process, unless another thread hangs at that already: one thread is enough.
    pub(super) fn unless_stuck<T>(&self, who: Identity, clock: &dyn Clock, read: impl FnOnce() -> T) -> Option<T> {
        let now = clock.now().mono;
        {
            let mut reading = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let since = *reading.entry(who).or_insert(now);
            if now - since > STUCK {
                return None;
            }
        }
        let result = read();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&who);
        Some(result)
    }

    /// As if a thread had been hanging at this one for long.
    #[cfg(test)]
    pub(super) fn hang(&self, who: Identity) {
        self.0.lock().unwrap().insert(who, Mono(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::RealClock;
    use crate::probe::testing::Program;
    use crate::sys::testing::until;
    use std::os::unix::fs::symlink;

    fn check(keys: &str) -> Process {
        serde_yaml::from_str(keys).unwrap()
    }

    fn scan_for(keys: &str) -> Selected {
        let kinds = [Arc::new(Kind::Process(check(keys)))];
        by_scan(&kinds, &RealClock, &Hung::default()).pop().unwrap()
    }

    fn why(selected: Selected) -> String {
        match selected {
            Selected::Nobody(why) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn all_selectors_must_hold() {
        let dir = tempfile::tempdir().unwrap();
        let sleep = Program::sleeper(dir.path(), "a rather long name) it has");
        let exe = format!("exe: {}/a rather long name) it has", dir.path().display());
        let found = Selected::Processes(vec![sleep.identity()]);
        until("it runs its program", || scan_for(&exe) == found);
        let user = format!("user: {}", rustix::process::geteuid().as_raw());
        let line = format!("match: ^{}/a.*has 60$", regex::escape(&dir.path().display().to_string()));
        for keys in ["name: a rather long name) it has", &line, &format!("{exe}\n{line}\n{user}")] {
            assert_eq!(scan_for(keys), found, "{keys}");
        }
        for more in ["user: 54321", "name: other", "match: '61$'"] {
            assert_eq!(why(scan_for(&format!("{exe}\n{more}"))), "no such process runs", "{more}");
        }
        // The directory by another way.
        let link = tempfile::tempdir().unwrap();
        symlink(dir.path(), link.path().join("dir")).unwrap();
        let exe = format!("exe: {}/dir/a rather long name) it has", link.path().display());
        assert_eq!(scan_for(&exe), found);
    }

    #[test]
    fn the_first_is_the_oldest_whose_parent_is_not_among_them() {
        let stat = |pid, ppid, start| {
            let rest = format!("S {ppid} 1 1 0 -1 0 0 0 0 0 1 1 0 0 20 0 1 0 {start} 0 1");
            Candidate::new(proc::parse_stat(format!("{pid} (one of them) {rest}").as_bytes()).unwrap())
        };
        let candidates = [stat(30, 20, 5), stat(20, 1, 9), stat(40, 1, 7), stat(50, 40, 8), stat(60, 1, 7)];
        let process = check("name: one of them");
        let found = among(&candidates, &Wanted::of(&process).unwrap(), &RealClock, &Hung::default());
        let Selected::Processes(found) = found else { panic!("{found:?}") };
        assert_eq!(found.iter().map(|id| id.pid).collect::<Vec<_>>(), [40, 60, 20, 30, 50]);
    }

    #[test]
    fn a_command_line_is_there_as_soon_as_the_program_is() {
        let dir = tempfile::tempdir().unwrap();
        let exe = format!("exe: {}/just begun", dir.path().display());
        for _ in 0..20 {
            let sleep = Program::sleeper(dir.path(), "just begun");
            let found = Selected::Processes(vec![sleep.identity()]);
            let program = dir.path().join("just begun");
            until("it runs its program", || proc::program(sleep.pid()).is_ok_and(|exe| exe == program));
            assert_eq!(scan_for(&format!("{exe}\nmatch: begun 60")), found);
        }
    }

    #[test]
    fn we_do_not_find_ourselves_by_a_pattern() {
        let own = std::env::current_exe().unwrap();
        let exe = format!("exe: {}", own.display());
        let us = |selected| match selected {
            // Other tests may run as processes of the same program.
            Selected::Processes(found) => found.iter().any(|process| process.pid == std::process::id()),
            _ => false,
        };
        assert!(us(scan_for(&exe)));
        assert!(!us(scan_for(&format!("{exe}\nmatch: ."))));
    }

    #[test]
    fn one_thread_at_most_hangs_with_a_process() {
        let (hung, clock) = (Hung::default(), RealClock);
        let who = Identity { pid: 7, start: 7 };
        assert_eq!(hung.unless_stuck(who, &clock, || 1), Some(1));
        hung.0.lock().unwrap().insert(who, Mono(0));
        assert_eq!(hung.unless_stuck(who, &clock, || 1), None);
        let other = Identity { pid: 7, start: 8 };
        assert_eq!(hung.unless_stuck(other, &clock, || 1), Some(1));
    }
}
