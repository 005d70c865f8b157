//! Finds the process that a pidfile names. On threads that may hang.

use super::select::{Candidate, Hung, Selected, Wanted, identity};
use crate::model::kinds::Process;
use crate::model::{AbsPath, Clock, Identity, Now};
use crate::sys::{careful, proc};
use rustix::fs::fstat;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

/// It holds a number and a line's end; more of it is not read.
const MOST_READ: u64 = 64;
/// Younger than this, one that says nothing is still being written.
const FORMING: Duration = Duration::from_secs(1);
/// By so much a process may seem to have started after its pidfile was written.
const SLACK: Duration = Duration::from_secs(5);

/// Whom the pidfile names, if all else that the check says of it holds too. `known` is the process that it has named so far.
pub(super) fn select(
    path: &AbsPath,
    process: &Process,
    known: Option<Identity>,
    clock: &dyn Clock,
    hung: &Hung,
) -> Selected {
    let now = clock.now();
    let written = match read(path.as_path(), now) {
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
    // Who is known has not been started since. To look at the times again would find it so when the clock has been set ahead.
    if known != Some(identity(&stat))
        && let Some(modified) = written.modified_ago
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

fn read(path: &Path, now: Now) -> io::Result<Written> {
    let mut opened = careful::open(path)?;
    let mut text = Vec::new();
    (&mut opened.file).take(MOST_READ).read_to_end(&mut text)?;
    let stat = fstat(&opened.file)?;
    let modified = Duration::new(stat.st_mtime.unsigned_abs(), u32::try_from(stat.st_mtime_nsec).unwrap_or(0));
    let wall = Duration::from_millis(now.wall.0.unsigned_abs());
    let young = wall.abs_diff(modified) < FORMING;
    let modified_ago = wall.checked_sub(modified);
    // What lies in memory was written since the boot. If its time says otherwise, the clock has been set since.
    let stepped = modified_ago.is_some_and(|ago| ago > proc::booted_ago()) && is_in_memory(&opened.file);
    Ok(Written { says: parse(&text, young), modified_ago: modified_ago.filter(|_| !stepped), opened })
}

fn is_in_memory(file: &std::fs::File) -> bool {
    const TMPFS: u64 = 0x0102_1994;
    const RAMFS: u64 = 0x8584_58f6;
    rustix::fs::fstatfs(file).is_ok_and(|fs| matches!(u64::try_from(fs.f_type), Ok(TMPFS | RAMFS)))
}

/// The first line counts: some daemons write more below it.
fn parse(text: &[u8], young: bool) -> Says {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::RealClock;
    use crate::probe::testing::Program;
    use crate::sys::testing::until;
    use std::os::unix::fs::symlink;

    fn named_by(path: &Path, more: &str) -> Selected {
        let keys = format!("pidfile: {}\n{more}", path.display());
        let process: Process = serde_yaml::from_str(&keys).unwrap();
        select(process.pidfile.as_ref().unwrap(), &process, None, &RealClock, &Hung::default())
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
            assert_eq!(parse(text, false), *old, "{}", text.escape_ascii());
            assert_eq!(parse(text, true), *young, "{}", text.escape_ascii());
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
        let hour_ago = RealClock.now().wall.0 / 1000 - 3600;
        set_time(&path, hour_ago);
        assert!(why(named_by(&path, "")).ends_with("holds no process id"));
    }

    #[test]
    fn a_process_that_is_younger_than_its_pidfile_is_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        let sleep = Program::start("sleep", &["60"]);
        std::fs::write(&path, format!("{}\n", sleep.pid())).unwrap();
        let now = RealClock.now().wall.0 / 1000;
        set_time(&path, now - 3);
        assert_eq!(named_by(&path, ""), Selected::Processes(vec![sleep.identity()]), "clocks are not that exact");
        set_time(&path, now - 20);
        assert!(why(named_by(&path, "")).ends_with("is another process, started later"));
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

    fn set_time(path: &Path, seconds: i64) {
        let time = rustix::fs::Timespec { tv_sec: seconds, tv_nsec: 0 };
        let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
        rustix::fs::utimensat(rustix::fs::CWD, path, &times, rustix::fs::AtFlags::empty()).unwrap();
    }
}
