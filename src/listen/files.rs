//! Changes of files, by inotify on the directories that hold them: a file may be replaced, or not be there yet.

use crate::model::{CheckId, Input};
use crate::sys::deadline::Deadline;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;

/// A check is told of once in this time, however much happens.
const BURST: Duration = Duration::from_millis(20);

/// Events that are looked at before the thread turns to other news.
const MOST_AT_ONCE: usize = 1024;

/// The files that are watched.
pub(super) struct Files {
    inputs: UnboundedSender<Input>,
    inotify: Option<OwnedFd>,
    checks: HashMap<CheckId, Watched>,
    /// The checks of each watch.
    watches: HashMap<i32, Vec<CheckId>>,
    burst: Deadline,
    /// Those told of in this burst, and whether there is more to tell at its end.
    told: HashMap<CheckId, bool>,
    noted: bool,
}

struct Watched {
    directory: PathBuf,
    name: OsString,
    /// Its writer keeps it open and writes over it. Not for every file: of a log beside it each line would be told.
    in_place: bool,
    /// The watch, unless there is none to be had.
    watch: Option<i32>,
    /// The directory does not exist, and the watch is on one above it: what must come there first.
    awaits: Option<OsString>,
}

impl Files {
    pub(super) fn new(inputs: UnboundedSender<Input>, burst: Deadline) -> Files {
        let (checks, watches, told) = Default::default();
        let mut files = Files { inputs, inotify: None, checks, watches, burst, told, noted: false };
        match inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK) {
            Ok(fd) => files.inotify = Some(fd),
            Err(e) => files.note(e),
        }
        files
    }

    pub(super) fn descriptor(&self) -> Option<&OwnedFd> {
        self.inotify.as_ref()
    }

    pub(super) fn watch(&mut self, check: CheckId, path: &Path, in_place: bool) {
        self.forget(check);
        let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else { return };
        let (directory, name) = (directory.to_owned(), name.to_owned());
        let watched = Watched { directory, name, in_place, watch: None, awaits: None };
        self.checks.insert(check, watched);
        self.arm(check);
    }

    pub(super) fn forget(&mut self, check: CheckId) {
        self.disarm(check);
        self.checks.remove(&check);
        self.told.remove(&check);
    }

    /// Lets a check go from its watch, and ends the watch if it was the last.
    fn disarm(&mut self, check: CheckId) {
        let Some(watch) = self.checks.get_mut(&check).and_then(|w| w.watch.take()) else { return };
        let Some(checks) = self.watches.get_mut(&watch) else { return };
        checks.retain(|c| *c != check);
        if checks.is_empty() {
            self.watches.remove(&watch);
            if let Some(inotify) = &self.inotify {
                let _ = inotify::remove_watch(inotify, watch);
            }
        }
    }

    /// Puts a check's watch on its directory, or on the nearest one above that exists.
    fn arm(&mut self, check: CheckId) {
        self.disarm(check);
        let (Some(watched), Some(inotify)) = (self.checks.get_mut(&check), &self.inotify) else { return };
        match nearest(inotify, &watched.directory, watched.in_place) {
            Ok((watch, awaits)) => {
                (watched.watch, watched.awaits) = (Some(watch), awaits);
                self.watches.entry(watch).or_default().push(check);
            }
            Err(e) => self.note(e),
        }
    }

    /// Reads what inotify has to tell, and says whose files have changed.
    pub(super) fn changed(&mut self) -> HashSet<CheckId> {
        let mut touched = HashSet::new();
        let Some(inotify) = self.inotify.take() else { return touched };
        let mut moved = HashSet::new();
        let mut buffer = [MaybeUninit::uninit(); 16 << 10];
        let mut reader = inotify::Reader::new(&inotify, &mut buffer);
        // A flood must not keep the thread from other news; what has been read must be looked at.
        for count in 0.. {
            if count >= MOST_AT_ONCE && reader.is_buffer_empty() {
                break;
            }
            let Ok(event) = reader.next() else { break };
            if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                touched.extend(self.checks.keys());
                moved.extend(self.checks.keys());
                continue;
            }
            let Some(checks) = self.watches.get(&event.wd()) else {
                // A watch that was put on a directory only while looking for a better one.
                let _ = inotify::remove_watch(&inotify, event.wd());
                continue;
            };
            let gone = ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::UNMOUNT | ReadFlags::IGNORED;
            let lost = event.events().intersects(gone);
            for check in checks {
                let Some(watched) = self.checks.get(check) else { continue };
                let expected = watched.awaits.as_ref().unwrap_or(&watched.name);
                let named = event.file_name().is_some_and(|name| name.to_bytes() == expected.as_bytes());
                if lost || (named && watched.awaits.is_none()) {
                    touched.insert(*check);
                }
                if lost || (named && watched.awaits.is_some()) {
                    moved.insert(*check);
                }
            }
        }
        self.inotify = Some(inotify);
        for check in moved {
            self.arm(check);
            // Where the directory has come, the file may have come with it.
            if self.checks.get(&check).is_some_and(|w| w.awaits.is_none()) {
                touched.insert(check);
            }
        }
        for check in &touched {
            self.touch(*check);
        }
        touched
    }

    /// Tells that there is news for this check, at once or at the end of the burst.
    pub(super) fn touch(&mut self, check: CheckId) {
        if let Some(more) = self.told.get_mut(&check) {
            *more = true;
            return;
        }
        if self.told.is_empty() {
            let _ = self.burst.set(BURST);
        }
        self.told.insert(check, false);
        let _ = self.inputs.send(Input::Touched(check));
    }

    /// Tells what has gathered in a burst, and begins the next one if there was anything.
    pub(super) fn burst_is_over(&mut self) {
        self.burst.clear();
        for (check, more) in std::mem::take(&mut self.told) {
            if more {
                self.touch(check);
            }
        }
    }

    fn note(&mut self, e: Errno) {
        if !std::mem::replace(&mut self.noted, true) {
            let why = match e {
                Errno::NOSPC => "the limit fs.inotify.max_user_watches is reached".to_owned(),
                Errno::MFILE => "the limit fs.inotify.max_user_instances, or that of open files, is reached".to_owned(),
                e => e.to_string(),
            };
            let _ = self.inputs.send(Input::Noted(format!("file changes are noticed by polling: {why}").into()));
        }
    }
}

/// A watch on this directory, or on the nearest one above that can be watched, and then what must come there first.
fn nearest(inotify: &OwnedFd, directory: &Path, in_place: bool) -> Result<(i32, Option<OsString>), Errno> {
    let interest = WatchFlags::CREATE
        | WatchFlags::MOVED_TO
        | WatchFlags::MOVED_FROM
        | WatchFlags::DELETE
        | WatchFlags::CLOSE_WRITE
        | WatchFlags::ATTRIB
        | WatchFlags::DELETE_SELF
        | WatchFlags::MOVE_SELF
        | WatchFlags::ONLYDIR
        // Others may watch the same directory with another interest.
        | WatchFlags::MASK_ADD;
    let mut last = Errno::NOENT;
    // Directories may come while we climb; whoever makes one at each of our steps is left to polling.
    for _ in 0..8 {
        let mut below: Option<&Path> = None;
        for candidate in directory.ancestors() {
            let also = if in_place && below.is_none() { WatchFlags::MODIFY } else { WatchFlags::empty() };
            match inotify::add_watch(inotify, candidate, interest | also) {
                Ok(watch) => match below {
                    // It came between the two looks, and that was not told: look again.
                    Some(below) if last == Errno::NOENT && below.is_dir() => break,
                    below => return Ok((watch, below.and_then(Path::file_name).map(OsString::from))),
                },
                Err(e @ (Errno::NOENT | Errno::NOTDIR | Errno::ACCESS)) => last = e,
                Err(e) => return Err(e),
            }
            below = Some(candidate);
        }
    }
    Err(last)
}
