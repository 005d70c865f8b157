//! Asks for directories: walks through all that lies below, on one filesystem, by descriptors: whoever renames or exchanges
//! something meanwhile leads the walk neither out of it nor in circles.

use super::place;
use super::words::note;
use crate::model::kinds::{CheckKind, Directory};
use crate::model::{Clock, Found, MetricId, Mono, Reading, Sample, Wall};
use rustix::fs::{AtFlags, CWD, Dir, DirEntry, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2, statat};
use rustix::io::Errno;
use std::ffi::{CStr, OsStr};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

const fn metric(name: &str) -> MetricId {
    place(Directory::METRICS, name)
}
const MISSING: MetricId = metric("missing");
const ENTRIES: MetricId = metric("entries");
const NEWEST: MetricId = metric("newest");
const OLDEST: MetricId = metric("oldest");
const SIZE: MetricId = metric("size");

/// Directories within directories: each takes a descriptor while the walk is in it.
const DEEPEST: usize = 64;
/// The clock is read once for so many entries.
const BREATH: u64 = 256;

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC).union(OFlags::NOCTTY);

/// What counts, together.
#[derive(Debug, Default, PartialEq)]
struct Sum {
    files: u64,
    bytes: u64,
    /// When the newest and the oldest were written, in milliseconds since 1970.
    written: Option<(i64, i64)>,
}

/// One look. It ends a little before the timeout, so that what came of it is still told.
pub(super) fn look(keys: &Directory, timeout: Duration, clock: &dyn Clock) -> Sample {
    let began = clock.now();
    let path = keys.path.as_path();
    let root = openat(CWD, path, DIRECTORY, Mode::empty());
    let missing = matches!(root, Err(Errno::NOENT | Errno::NOTDIR));
    let mut readings = Vec::with_capacity(Directory::METRICS.len());
    if missing || root.is_ok() {
        readings.push((MISSING, Reading::Flag(missing)));
    }
    let walked = match root {
        Ok(root) => Walk::new(keys, clock, began.mono + timeout.mul_f64(0.9)).all(root),
        Err(_) if missing => {
            readings.extend((ENTRIES.0..=SIZE.0).map(|id| (MetricId(id), Reading::Absent)));
            Err(format!("there is no directory {}", path.display()))
        }
        Err(e) => Err(format!("{} cannot be read: {e}", path.display())),
    };
    let why = match walked {
        Ok(sum) => {
            let age = |at: i64| Reading::Number((began.wall - Wall(at)).as_secs_f64());
            let (newest, oldest) = match sum.written {
                Some((newest, oldest)) => (age(newest), age(oldest)),
                None => (Reading::Absent, Reading::Absent),
            };
            readings.push((ENTRIES, Reading::Number(sum.files as f64)));
            readings.extend([(NEWEST, newest), (OLDEST, oldest), (SIZE, Reading::Number(sum.bytes as f64))]);
            None
        }
        Err(why) => Some(note(&why, &[])),
    };
    let at = clock.now();
    Sample { at, took: at.mono - began.mono, readings, note: why, found: Found::Unasked }
}

/// On the way through a tree.
struct Walk<'a> {
    keys: &'a Directory,
    clock: &'a dyn Clock,
    until: Mono,
    seen: u64,
    sum: Sum,
    /// From the root to where the walk is.
    open: Vec<Dir>,
    here: PathBuf,
    device: u64,
}

impl<'a> Walk<'a> {
    fn new(keys: &'a Directory, clock: &'a dyn Clock, until: Mono) -> Walk<'a> {
        let here = keys.path.as_path().to_owned();
        Walk { keys, clock, until, seen: 0, sum: Sum::default(), open: Vec::new(), here, device: 0 }
    }

    /// All of it; or why not, in words: of a part nothing is told.
    fn all(mut self, root: OwnedFd) -> Result<Sum, String> {
        self.device = fstat(&root).map_err(|e| self.trouble(e))?.st_dev;
        self.open.push(Dir::new(root).map_err(|e| self.trouble(e))?);
        while let Some(dir) = self.open.last_mut() {
            match dir.next() {
                Some(Ok(entry)) => self.step(&entry)?,
                Some(Err(e)) if e != Errno::NOENT => return Err(self.trouble(e)),
                // It may have been removed while it was read.
                _ => {
                    self.open.pop();
                    self.here.pop();
                }
            }
        }
        Ok(self.sum)
    }

    fn step(&mut self, entry: &DirEntry) -> Result<(), String> {
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            return Ok(());
        }
        self.seen += 1;
        if self.seen > Directory::ENTRIES_AT_MOST {
            return Err(format!("there are more than {} entries below it", Directory::ENTRIES_AT_MOST));
        }
        if self.seen.is_multiple_of(BREATH) && self.clock.now().mono >= self.until {
            return Err(format!("no time was left after {} entries", self.seen));
        }
        let Some(dir) = self.open.last() else { return Ok(()) };
        let dir = dir.fd().map_err(|e| self.trouble(e))?;
        if matches!(entry.file_type(), FileType::Directory | FileType::Unknown) {
            match open_below(dir, name) {
                Ok(below) => return self.enter(below, name),
                // Another filesystem; or it has vanished.
                Err(Errno::XDEV | Errno::NOENT) => return Ok(()),
                // It is none, or no longer.
                Err(Errno::NOTDIR | Errno::LOOP) => {}
                Err(e) => {
                    self.here.push(OsStr::from_bytes(name.to_bytes()));
                    return Err(self.trouble(e));
                }
            }
        }
        if self.keys.matches.as_ref().is_some_and(|pattern| !pattern.is_match(&name.to_string_lossy())) {
            return Ok(());
        }
        match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT) {
            // One that has become a directory meanwhile is for the next look.
            Ok(stat) => match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => {}
                kind => self.sum.add(kind, &stat),
            },
            Err(Errno::NOENT) => {}
            Err(e) => return Err(self.trouble(e)),
        }
        Ok(())
    }

    fn enter(&mut self, below: OwnedFd, name: &CStr) -> Result<(), String> {
        // Subvolumes of btrfs are no mounts, and yet filesystems of their own.
        let stat = fstat(&below).map_err(|e| self.trouble(e))?;
        if stat.st_dev != self.device {
            return Ok(());
        }
        self.here.push(OsStr::from_bytes(name.to_bytes()));
        if self.open.len() >= DEEPEST {
            return Err(format!("directories lie in one another more than {DEEPEST} deep: {}", self.here.display()));
        }
        self.open.push(Dir::new(below).map_err(|e| self.trouble(e))?);
        Ok(())
    }

    fn trouble(&self, e: Errno) -> String {
        // What went wrong comes first: a long path is cut off.
        format!("{e}: {}", self.here.display())
    }
}

impl Sum {
    fn add(&mut self, kind: FileType, stat: &rustix::fs::Stat) {
        self.files += 1;
        if kind == FileType::RegularFile {
            self.bytes = self.bytes.saturating_add(u64::try_from(stat.st_size).unwrap_or(0));
        }
        let at = stat.st_mtime.saturating_mul(1000).saturating_add(stat.st_mtime_nsec as i64 / 1_000_000);
        self.written = Some(self.written.map_or((at, at), |(newest, oldest)| (newest.max(at), oldest.min(at))));
    }
}

/// Opens a directory without following a link, and without touching what is mounted on it, which may be dead.
fn open_below(dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = DIRECTORY | OFlags::NOFOLLOW;
    let resolve = ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
    match openat2(dir, name, flags, Mode::empty(), resolve) {
        // Before Linux 5.6, or forbidden in a container.
        Err(Errno::NOSYS | Errno::PERM) => openat(dir, name, flags, Mode::empty()),
        opened => opened,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::RealClock;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    const SECONDS: Duration = Duration::from_secs(10);

    fn keys(path: &Path, matches: Option<&str>) -> Directory {
        let matches = matches.map(|m| crate::model::Pattern::new(m).unwrap());
        Directory { path: path.to_str().unwrap().parse().unwrap(), matches }
    }
    fn ask(path: &Path, matches: Option<&str>) -> Sample {
        let sample = look(&keys(path, matches), SECONDS, &RealClock);
        assert!(sample.readings.is_sorted_by(|a, b| a.0 < b.0), "{sample:?}");
        sample
    }
    fn numbers(sample: &Sample) -> [Option<f64>; 4] {
        [ENTRIES, NEWEST, OLDEST, SIZE].map(|id| sample.reading(id).number())
    }
    fn note_of(sample: &Sample) -> &str {
        sample.note.as_deref().unwrap_or_default()
    }
    /// Writes a file as of so many seconds ago.
    fn write(path: &Path, size: usize, ago: u64) {
        fs::write(path, vec![b'x'; size]).unwrap();
        let file = fs::File::options().write(true).open(path).unwrap();
        #[allow(clippy::disallowed_methods, reason = "an age needs a clock")]
        file.set_modified(std::time::SystemTime::now() - Duration::from_secs(ago)).unwrap();
    }

    #[test]
    fn files_are_counted_through_all_directories() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let sample = ask(dir.path(), None);
        assert_eq!(numbers(&sample), [Some(0.0), None, None, Some(0.0)]);
        assert_eq!((sample.reading(NEWEST), sample.reading(OLDEST)), (&Reading::Absent, &Reading::Absent));
        assert_eq!(sample.reading(MISSING), &Reading::Flag(false));
        fs::create_dir_all(at("a/b/c")).unwrap();
        write(&at("one.gz"), 10, 1000);
        write(&at("a/two.gz"), 20, 5000);
        write(&at("a/b/c/three.log"), 40, 100);
        // A link counts as itself: neither the way through it nor the size of what it leads to.
        symlink("/", at("a/root")).unwrap();
        symlink("..", at("a/b/up")).unwrap();
        let sample = ask(dir.path(), None);
        let [files, newest, oldest, size] = numbers(&sample).map(Option::unwrap);
        assert_eq!((files, size), (5.0, 70.0), "{sample:?}");
        assert!(newest < 60.0 && (5000.0..5060.0).contains(&oldest), "{sample:?}");
        let [files, newest, oldest, size] = numbers(&ask(dir.path(), Some(r"\.gz$"))).map(Option::unwrap);
        assert_eq!((files, size), (2.0, 30.0));
        assert!((1000.0..1060.0).contains(&newest) && (5000.0..5060.0).contains(&oldest));
    }

    #[test]
    fn what_is_no_directory_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        for name in ["none", "file", "file/below"] {
            let sample = ask(&dir.path().join(name), None);
            assert_eq!(sample.reading(MISSING), &Reading::Flag(true), "{name}");
            assert_eq!(sample.reading(SIZE), &Reading::Absent);
            assert!(note_of(&sample).starts_with("there is no directory "), "{sample:?}");
        }
    }

    /// On a thread without root's privileges.
    fn as_somebody_else<T: Send>(f: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                if rustix::process::geteuid().is_root() {
                    rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(65534)).unwrap();
                }
                f()
            });
            thread.join().unwrap()
        })
    }

    #[test]
    fn one_that_may_not_be_read_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_owned();
        fs::create_dir(path.join("evil\x1b[2J")).unwrap();
        fs::set_permissions(path.join("evil\x1b[2J"), std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let sample = as_somebody_else(|| ask(&path, None));
        fs::set_permissions(path.join("evil\x1b[2J"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        assert_eq!(sample.reading(MISSING), &Reading::Flag(false));
        assert_eq!(sample.reading(ENTRIES), &Reading::Unknown);
        let note = note_of(&sample);
        assert!(note.starts_with("Permission denied") && note.ends_with("/evil [2J"), "{note}");
    }

    #[test]
    fn depth_number_and_time_are_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let deep: PathBuf = std::iter::repeat_n("d", DEEPEST - 1).collect();
        fs::create_dir_all(dir.path().join(&deep)).unwrap();
        fs::write(dir.path().join(&deep).join("f"), "").unwrap();
        assert_eq!(numbers(&ask(dir.path(), None))[0], Some(1.0));
        fs::create_dir(dir.path().join(&deep).join("d")).unwrap();
        let sample = ask(dir.path(), None);
        assert_eq!(numbers(&sample), [None; 4]);
        assert!(note_of(&sample).starts_with("directories lie in one another more than 64 deep: /"), "{sample:?}");
        fs::remove_dir_all(dir.path().join("d")).unwrap();
        for i in 0..2 * BREATH {
            fs::write(dir.path().join(i.to_string()), "").unwrap();
        }
        let sample = look(&keys(dir.path(), None), Duration::ZERO, &RealClock);
        assert_eq!(note_of(&sample), "no time was left after 256 entries");
        assert_eq!(sample.reading(MISSING), &Reading::Flag(false));
        let keys = keys(dir.path(), None);
        let root = openat(CWD, dir.path(), DIRECTORY, Mode::empty()).unwrap();
        let mut walk = Walk::new(&keys, &RealClock, RealClock.now().mono + SECONDS);
        walk.seen = Directory::ENTRIES_AT_MOST - 10;
        assert_eq!(walk.all(root), Err("there are more than 100000 entries below it".to_owned()));
    }

    #[test]
    fn what_is_exchanged_meanwhile_leads_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("tree/sub/below")).unwrap();
        for i in 0..20 {
            fs::write(at("tree/sub/below").join(i.to_string()), "").unwrap();
        }
        fs::create_dir(at("outside")).unwrap();
        for i in 0..500 {
            fs::write(at("outside").join(i.to_string()), "").unwrap();
        }
        symlink(at("outside"), at("link")).unwrap();
        let (tree, stop) = (at("tree"), std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false)));
        let stopped = std::sync::Arc::clone(&stop);
        let (sub, aside, link) = (at("tree/sub"), at("aside"), at("link"));
        let eve = std::thread::spawn(move || {
            let mut rounds = 0;
            while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
                fs::rename(&sub, &aside).unwrap();
                fs::rename(&link, &sub).unwrap();
                fs::rename(&sub, &link).unwrap();
                fs::rename(&aside, &sub).unwrap();
                rounds += 1;
            }
            rounds
        });
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..2000 {
            let sample = ask(&tree, None);
            seen.insert(sample.reading(ENTRIES).number().unwrap() as u64);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(eve.join().unwrap() > 0);
        // All of it, none of it, or the link as a link.
        assert!(seen.iter().all(|files| [0, 1, 20].contains(files)), "{seen:?}");
    }
}
