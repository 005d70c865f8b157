//! Finds the processes that a check means. All of this runs on threads that may hang.

use super::careful;
use super::names;
use crate::model::kinds::Process;
use crate::model::{AbsPath, Clock, Identity, Kind, Mono, Now, Pattern};
use crate::sys::proc::{self, Stat};
use rustix::fs::fstat;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A pidfile holds a number and a line's end; more of it is not read.
const MOST_OF_PIDFILE: u64 = 64;
/// Younger than this, a pidfile that says nothing is still being written.
const FORMING: Duration = Duration::from_secs(1);
/// By so much a process may seem to have started after its pidfile was written.
const SLACK: Duration = Duration::from_secs(5);
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

/// Whom the pidfile names, if all else that the check says of it holds too.
pub(super) fn by_pidfile(path: &AbsPath, process: &Process, clock: &dyn Clock, hung: &Hung) -> Selected {
    let now = clock.now();
    let written = match read_pidfile(path.as_path(), now) {
        Ok(written) => written,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Selected::Nobody(format!("there is no {path}")),
        Err(e) => return Selected::Unknown(format!("{path} cannot be read: {e}")),
    };
    let pid = match written.says {
        Says::Pid(pid) => pid,
        Says::NotYet => return Selected::Forming(format!("{path} is being written")),
        Says::Nonsense => return Selected::Nobody(format!("{path} holds no process id")),
    };
    if pid <= 1 || pid == std::process::id() {
        return Selected::Nobody(format!("{path} names pid {pid}, which cannot be a service"));
    }
    let stat = match proc::stat(pid) {
        Ok(stat) => stat,
        Err(e) if proc::is_gone(&e) && !is_hidden(pid) => {
            return Selected::Nobody(format!("pid {pid} of {path} does not run"));
        }
        Err(e) if proc::is_gone(&e) => return Selected::Unknown(format!("pid {pid} of {path} may not be looked at")),
        Err(e) => return Selected::Unknown(format!("pid {pid} of {path} cannot be looked at: {e}")),
    };
    if !stat.is_alive() {
        return Selected::Nobody(format!("pid {pid} of {path} has ended, and its parent has not taken note of it"));
    }
    // A thread has a directory in /proc as well: a pid that was given away again can be one.
    match proc::read(pid, "status", 4096).map(|status| proc::number_after(&status, "Tgid:")) {
        Ok(Some(leader)) if leader != u64::from(pid) => {
            return Selected::Nobody(format!("pid {pid} of {path} is a thread of pid {leader}"));
        }
        _ => {}
    }
    if let Some(modified) = written.modified_ago
        && modified > proc::running_for(stat.start, proc::booted_ago()) + SLACK
    {
        return Selected::Nobody(format!("pid {pid} of {path} is another process, started later"));
    }
    match proc::user(pid) {
        Ok(user) if written.opened.is_the_way_of(user) => {}
        Ok(_) => {
            return Selected::Unknown(format!(
                "{path} is reached by a link that neither root nor its process's user owns"
            ));
        }
        Err(e) => return Selected::Unknown(format!("pid {pid} of {path} cannot be looked at: {e}")),
    }
    match Wanted::of(process).and_then(|wanted| wanted.fits(&Candidate::new(stat), clock, hung)) {
        Ok(true) => Selected::Processes(vec![identity(&stat)]),
        Ok(false) => Selected::Nobody(format!("pid {pid} of {path} is not what the check describes")),
        Err(why) => Selected::Unknown(why),
    }
}

struct Written {
    says: Says,
    /// How long ago; nothing where its time says nothing.
    modified_ago: Option<Duration>,
    opened: careful::Opened,
}

#[derive(Debug, PartialEq)]
enum Says {
    Pid(u32),
    NotYet,
    Nonsense,
}

fn read_pidfile(path: &Path, now: Now) -> io::Result<Written> {
    let mut opened = careful::open(path)?;
    let mut text = Vec::new();
    (&mut opened.file).take(MOST_OF_PIDFILE).read_to_end(&mut text)?;
    let stat = fstat(&opened.file)?;
    let modified = Duration::new(stat.st_mtime.unsigned_abs(), u32::try_from(stat.st_mtime_nsec).unwrap_or(0));
    let wall = Duration::from_millis(now.wall.0.unsigned_abs());
    let young = wall.abs_diff(modified) < FORMING;
    let modified_ago = wall.checked_sub(modified);
    // What lies in memory was written since the boot. If its time says otherwise, the clock has been set since.
    let stepped = modified_ago.is_some_and(|ago| ago > proc::booted_ago()) && is_in_memory(&opened.file);
    Ok(Written { says: parse_pidfile(&text, young), modified_ago: modified_ago.filter(|_| !stepped), opened })
}

fn is_in_memory(file: &std::fs::File) -> bool {
    const TMPFS: u64 = 0x0102_1994;
    const RAMFS: u64 = 0x8584_58f6;
    rustix::fs::fstatfs(file).is_ok_and(|fs| matches!(u64::try_from(fs.f_type), Ok(TMPFS | RAMFS)))
}

/// The first line counts: some daemons write more below it.
fn parse_pidfile(text: &[u8], young: bool) -> Says {
    let mut lines = text.split(|b| *b == b'\n');
    let first = lines.next().unwrap_or_default().trim_ascii();
    let whole = lines.next().is_some();
    let pid = std::str::from_utf8(first).ok().and_then(|digits| digits.parse::<i32>().ok());
    match pid.and_then(|pid| u32::try_from(pid).ok()) {
        Some(pid) if whole || !young => Says::Pid(pid),
        _ if young => Says::NotYet,
        _ => Says::Nonsense,
    }
}

/// Whether there is such a process, though `/proc` does not show it to us (`hidepid`).
fn is_hidden(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid) == Err(Errno::PERM))
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
        (true, None) => Selected::Nobody("no such process runs".to_owned()),
        (true, Some(why)) => Selected::Unknown(why),
    }
}

/// A process, and what else was looked up of it, once for all questions.
struct Candidate {
    stat: Stat,
    user: OnceCell<io::Result<u32>>,
    program: OnceCell<io::Result<PathBuf>>,
    cmdline: OnceCell<Result<String, String>>,
}

impl Candidate {
    fn new(stat: Stat) -> Candidate {
        Candidate { stat, user: OnceCell::new(), program: OnceCell::new(), cmdline: OnceCell::new() }
    }
    fn program(&self) -> &io::Result<PathBuf> {
        self.program.get_or_init(|| proc::program(self.stat.pid))
    }
    /// The arguments joined by blanks; empty for the kernel's own threads.
    fn cmdline(&self, clock: &dyn Clock, hung: &Hung) -> &Result<String, String> {
        self.cmdline.get_or_init(|| {
            let pid = self.stat.pid;
            let read = || proc::read(pid, "cmdline", MOST_OF_CMDLINE);
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
struct Wanted<'a> {
    name: Option<&'a str>,
    matches: Option<&'a Pattern>,
    /// As given, and where it leads through symbolic links.
    exe: Option<(&'a Path, PathBuf)>,
    user: Option<u32>,
}

impl<'a> Wanted<'a> {
    fn of(process: &'a Process) -> Result<Wanted<'a>, String> {
        let user = match &process.user {
            Some(name) => Some(names::user(name).ok_or_else(|| {
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
    fn fits(&self, candidate: &Candidate, clock: &dyn Clock, hung: &Hung) -> Result<bool, String> {
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
    fn may_be(&self, candidate: &Candidate) -> bool {
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::fixture::{Program, RealClock, until};
    use std::os::unix::fs::symlink;

    fn check(keys: &str) -> Process {
        serde_yaml::from_str(keys).unwrap()
    }

    fn scan_for(keys: &str) -> Selected {
        let kinds = [Arc::new(Kind::Process(check(keys)))];
        by_scan(&kinds, &RealClock::new(), &Hung::default()).pop().unwrap()
    }

    fn named_by(path: &Path, more: &str) -> Selected {
        let process = check(&format!("pidfile: {}\n{more}", path.display()));
        by_pidfile(process.pidfile.as_ref().unwrap(), &process, &RealClock::new(), &Hung::default())
    }

    fn why(selected: Selected) -> String {
        match selected {
            Selected::Nobody(why) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn pidfiles_hold_one_number() {
        let table: &[(&[u8], Says, Says)] = &[
            (b"812\n", Says::Pid(812), Says::Pid(812)),
            (b" 812 \r\n", Says::Pid(812), Says::Pid(812)),
            (b"812\n/var/lib/data\n1700\n", Says::Pid(812), Says::Pid(812)),
            (b"812", Says::Pid(812), Says::NotYet),
            (b"", Says::Nonsense, Says::NotYet),
            (b"\n", Says::Nonsense, Says::NotYet),
            (b"pid\n", Says::Nonsense, Says::NotYet),
            (b"-1\n", Says::Nonsense, Says::NotYet),
            (b"81 2\n", Says::Nonsense, Says::NotYet),
            (b"99999999999999999999\n", Says::Nonsense, Says::NotYet),
            (b"\xff\xfe\n", Says::Nonsense, Says::NotYet),
            (b"0\n", Says::Pid(0), Says::Pid(0)),
        ];
        for (text, old, young) in table {
            assert_eq!(parse_pidfile(text, false), *old, "{}", text.escape_ascii());
            assert_eq!(parse_pidfile(text, true), *young, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn a_pidfile_names_a_process_that_must_fit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        let sleep = Program::sleeper(dir.path(), "named");
        std::fs::write(&path, format!("{}\n", sleep.pid())).unwrap();
        let found = Selected::Processes(vec![sleep.identity()]);
        until("it runs its program", || proc::program(sleep.pid()).is_ok_and(|exe| exe == dir.path().join("named")));
        assert_eq!(named_by(&path, ""), found);
        let exe = format!("exe: {}/named", dir.path().display());
        assert_eq!(named_by(&path, &exe), found);
        assert_eq!(named_by(&path, "name: named\nmatch: named 60$\nuser: root"), found);
        assert!(why(named_by(&path, "exe: /bin/cat")).ends_with("is not what the check describes"));
        assert!(why(named_by(&path, "name: name")).ends_with("is not what the check describes"));
        assert!(matches!(named_by(&path, "user: no-such-user"), Selected::Unknown(_)));
        // Replaced on disk, as an upgrade does.
        std::fs::remove_file(dir.path().join("named")).unwrap();
        assert_eq!(named_by(&path, &exe), found);
    }

    #[test]
    fn a_pidfile_that_names_no_service_is_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        let none = "there is no ";
        assert!(why(named_by(&path, "")).starts_with(none));
        let own = std::process::id();
        for (text, end) in [
            ("1\n".to_owned(), "which cannot be a service"),
            ("0\n".to_owned(), "which cannot be a service"),
            (format!("{own}\n"), "which cannot be a service"),
            (format!("{}\n", i32::MAX), "does not run"),
        ] {
            std::fs::write(&path, text).unwrap();
            assert!(why(named_by(&path, "")).ends_with(end), "{}", why(named_by(&path, "")));
        }
        std::fs::write(&path, "").unwrap();
        assert!(matches!(named_by(&path, ""), Selected::Forming(_)));
        let hour_ago = RealClock::new().now().wall.0 / 1000 - 3600;
        set_time(&path, hour_ago);
        assert!(why(named_by(&path, "")).ends_with("holds no process id"));
    }

    #[test]
    fn a_process_that_is_younger_than_its_pidfile_is_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        let sleep = Program::start("sleep", &["60"]);
        std::fs::write(&path, format!("{}\n", sleep.pid())).unwrap();
        let now = RealClock::new().now().wall.0 / 1000;
        set_time(&path, now - 3);
        assert_eq!(named_by(&path, ""), Selected::Processes(vec![sleep.identity()]), "clocks are not that exact");
        set_time(&path, now - 20);
        assert!(why(named_by(&path, "")).ends_with("is another process, started later"));
    }

    fn set_time(path: &Path, seconds: i64) {
        let time = rustix::fs::Timespec { tv_sec: seconds, tv_nsec: 0 };
        let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
        rustix::fs::utimensat(rustix::fs::CWD, path, &times, rustix::fs::AtFlags::empty()).unwrap();
    }

    #[test]
    fn a_thread_is_not_a_process() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        let (tell, told) = std::sync::mpsc::channel();
        let (end, ends) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            tell.send(rustix::thread::gettid().as_raw_nonzero().get()).unwrap();
            let _ = ends.recv();
        });
        std::fs::write(&path, format!("{}\n", told.recv().unwrap())).unwrap();
        assert!(why(named_by(&path, "")).ends_with(&format!("is a thread of pid {}", std::process::id())));
        drop(end);
        thread.join().unwrap();
    }

    #[test]
    fn a_strangers_link_leads_nowhere() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let sleep = Program::start("sleep", &["60"]);
        std::fs::write(dir.path().join("pid"), format!("{}\n", sleep.pid())).unwrap();
        let link = dir.path().join("link");
        symlink("pid", &link).unwrap();
        assert_eq!(named_by(&link, ""), Selected::Processes(vec![sleep.identity()]));
        std::os::unix::fs::lchown(&link, Some(12345), None).unwrap();
        let Selected::Unknown(why) = named_by(&link, "") else { panic!("followed") };
        assert!(why.ends_with("a link that neither root nor its process's user owns"), "{why}");
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
        let dir = tempfile::tempdir().unwrap();
        let stat = |pid, ppid, start| {
            let rest = format!("S {ppid} 1 1 0 -1 0 0 0 0 0 1 1 0 0 20 0 1 0 {start} 0 1");
            Candidate::new(proc::parse_stat(format!("{pid} (one of them) {rest}").as_bytes()).unwrap())
        };
        drop(dir);
        let candidates = [stat(30, 20, 5), stat(20, 1, 9), stat(40, 1, 7), stat(50, 40, 8), stat(60, 1, 7)];
        let process = check("name: one of them");
        let found = among(&candidates, &Wanted::of(&process).unwrap(), &RealClock::new(), &Hung::default());
        let Selected::Processes(found) = found else { panic!("{found:?}") };
        assert_eq!(found.iter().map(|id| id.pid).collect::<Vec<_>>(), [40, 60, 20, 30, 50]);
    }

    #[test]
    fn we_do_not_find_ourselves_by_a_pattern() {
        let own = std::env::current_exe().unwrap();
        let exe = format!("exe: {}", own.display());
        assert!(matches!(scan_for(&exe), Selected::Processes(_)));
        assert!(matches!(scan_for(&format!("{exe}\nmatch: .")), Selected::Nobody(_)));
    }

    #[test]
    fn one_thread_at_most_hangs_with_a_process() {
        let (hung, clock) = (Hung::default(), RealClock::new());
        let who = Identity { pid: 7, start: 7 };
        assert_eq!(hung.unless_stuck(who, &clock, || 1), Some(1));
        hung.0.lock().unwrap().insert(who, Mono(0));
        assert_eq!(hung.unless_stuck(who, &clock, || 1), None);
        let other = Identity { pid: 7, start: 8 };
        assert_eq!(hung.unless_stuck(other, &clock, || 1), Some(1));
    }
}
