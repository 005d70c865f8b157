//! Entries that come into directories, and go: services that a supervisor is given, and loses.

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, watch};

/// What changes at the same time is told once: a service is moved into place together with others.
const BURST: Duration = Duration::from_millis(200);
/// How often a directory is looked for that is not there, or cannot be watched; and what inotify does not tell is noticed so
/// late, such as a mount over the directory.
const AGAIN: Duration = Duration::from_secs(5);

/// Tells of every change among the entries of these directories, hidden ones left out, until nobody wants to know. Where the
/// kernel cannot tell, it tells every few seconds that there may be a change.
pub async fn entries(mut directories: watch::Receiver<Vec<PathBuf>>, changed: mpsc::Sender<()>) {
    let mut watches = Watches::new();
    loop {
        watches.put(&directories.borrow_and_update());
        let news = tokio::select! {
            given = directories.changed() => match given {
                Ok(()) => false,
                Err(_) => return,
            },
            news = watches.news() => news,
            () = tokio::time::sleep(AGAIN), if watches.incomplete() => true,
        };
        if news {
            tokio::time::sleep(BURST).await;
            watches.drain();
            // Whoever has not taken the last one yet will see this one with it.
            if let Err(mpsc::error::TrySendError::Closed(())) = changed.try_send(()) {
                return;
            }
        }
    }
}

struct Watches {
    inotify: Option<AsyncFd<OwnedFd>>,
    /// Each directory's watch, unless there is none to be had.
    directories: BTreeMap<PathBuf, Option<i32>>,
}

impl Watches {
    #[allow(
        deprecated,
        reason = "its replacement is unsafe code, for types that are not as sure of their descriptor as this one"
    )]
    fn new() -> Watches {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(std::io::Error::from);
        Watches { inotify: inotify.and_then(AsyncFd::new).ok(), directories: BTreeMap::new() }
    }

    /// Watches these, and no others. A path may lead to another directory than before: its watch is put anew.
    fn put(&mut self, wanted: &[PathBuf]) {
        let old = std::mem::take(&mut self.directories);
        for path in wanted {
            let interest = WatchFlags::CREATE
                | WatchFlags::MOVED_TO
                | WatchFlags::MOVED_FROM
                | WatchFlags::DELETE
                | WatchFlags::DELETE_SELF
                | WatchFlags::MOVE_SELF
                | WatchFlags::ONLYDIR;
            let watch = self.inotify.as_ref().and_then(|fd| inotify::add_watch(fd.get_ref(), path, interest).ok());
            self.directories.insert(path.clone(), watch);
        }
        for watch in old.into_values().flatten() {
            if let Some(inotify) = &self.inotify
                && !self.directories.values().any(|kept| *kept == Some(watch))
            {
                let _ = inotify::remove_watch(inotify.get_ref(), watch);
            }
        }
    }

    fn incomplete(&self) -> bool {
        self.directories.values().any(Option::is_none)
    }

    /// Waits for something that matters. What is read of it when this is given up early is what did not matter.
    async fn news(&mut self) -> bool {
        loop {
            let Some(inotify) = &self.inotify else { return std::future::pending().await };
            let Ok(mut ready) = inotify.readable().await else { return std::future::pending().await };
            ready.clear_ready();
            drop(ready);
            if self.drain() {
                return true;
            }
        }
    }

    /// Reads what there is to tell, and says whether any of it matters.
    fn drain(&mut self) -> bool {
        let Some(inotify) = &self.inotify else { return false };
        let mut buffer = [MaybeUninit::uninit(); 16 << 10];
        let mut reader = inotify::Reader::new(inotify.get_ref(), &mut buffer);
        let mut matters = false;
        loop {
            match reader.next() {
                Ok(event) if event.events().contains(ReadFlags::IGNORED) => {}
                Ok(event) => matters |= event.file_name().is_none_or(|name| !name.to_bytes().starts_with(b".")),
                Err(Errno::INTR) => {}
                Err(_) => return matters,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const SOON: Duration = Duration::from_secs(5);

    /// The end of a test that must not be reached early: nothing is told in so long.
    const QUIET: Duration = Duration::from_millis(500);

    fn started(directories: &[&Path]) -> (watch::Sender<Vec<PathBuf>>, mpsc::Receiver<()>) {
        let (wanted, given) = watch::channel(directories.iter().map(|path| path.to_path_buf()).collect());
        let (tell, told) = mpsc::channel(1);
        tokio::spawn(entries(given, tell));
        (wanted, told)
    }

    #[tokio::test]
    async fn what_comes_and_goes_is_told_once_and_what_is_hidden_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (_wanted, mut told) = started(&[dir.path()]);
        // It has begun to watch when something is told.
        let first = async {
            for name in 0.. {
                std::fs::create_dir(dir.path().join(format!("first{name}"))).unwrap();
                if tokio::time::timeout(Duration::from_millis(300), told.recv()).await.is_ok() {
                    break;
                }
            }
        };
        tokio::time::timeout(SOON, first).await.unwrap();
        while tokio::time::timeout(QUIET, told.recv()).await.is_ok() {}
        std::fs::create_dir(dir.path().join(".hidden")).unwrap();
        assert!(tokio::time::timeout(QUIET, told.recv()).await.is_err());
        for name in 0..50 {
            std::fs::create_dir(dir.path().join(format!("many{name}"))).unwrap();
        }
        tokio::time::timeout(SOON, told.recv()).await.unwrap().unwrap();
        assert!(tokio::time::timeout(QUIET, told.recv()).await.is_err(), "one burst is told once");
        std::fs::remove_dir(dir.path().join("first0")).unwrap();
        tokio::time::timeout(SOON, told.recv()).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_directory_that_comes_later_or_is_replaced_is_watched() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("service");
        let (_wanted, mut told) = started(&[&at]);
        tokio::time::timeout(AGAIN + SOON, told.recv()).await.unwrap().unwrap();
        std::fs::create_dir(&at).unwrap();
        // Told by the next look, whichever it is; then it is watched.
        tokio::time::timeout(AGAIN + SOON, told.recv()).await.unwrap().unwrap();
        let later = async {
            loop {
                std::fs::rename(&at, dir.path().join("old")).unwrap();
                std::fs::create_dir(&at).unwrap();
                if tokio::time::timeout(Duration::from_secs(1), told.recv()).await.is_ok() {
                    break;
                }
                std::fs::remove_dir(dir.path().join("old")).unwrap();
            }
        };
        tokio::time::timeout(AGAIN + SOON, later).await.unwrap();
    }
}
