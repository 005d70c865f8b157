//! Finds and opens files that others may have prepared for us: pidfiles, logs, what supervisors keep. Never blocks, opens nothing
//! but regular files, and tells whose symbolic links it followed.

use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, openat, readlinkat};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// As many as the kernel follows.
const MOST_LINKS: usize = 40;

/// A regular file, opened for reading.
pub struct Opened {
    /// The file.
    pub file: File,
    way: Way,
}

impl Opened {
    /// See [`Way::is_of`].
    pub fn is_the_way_of(&self, user: u32) -> bool {
        self.way.is_of(user)
    }
}

/// What a path leads to: found, and not opened.
pub struct Found {
    /// It, as `O_PATH` has it.
    pub entry: OwnedFd,
    /// The way there.
    pub way: Way,
}

/// Who owns the symbolic links on the way.
pub struct Way(Vec<u32>);

impl Way {
    /// Whether every link on the way belongs to root or to this user. Someone else's link says nothing of this user's files.
    pub fn is_of(&self, user: u32) -> bool {
        self.0.iter().all(|owner| *owner == 0 || *owner == user)
    }
}

/// Opens a file, one step along its path after the other.
pub fn open(path: &Path) -> io::Result<Opened> {
    let found = find(path)?;
    Ok(Opened { file: reopen(&found.entry)?, way: found.way })
}

/// Finds what a path leads to, one step after the other, and opens nothing: that can do something by itself.
pub fn find(path: &Path) -> io::Result<Found> {
    let mut link_owners = Vec::new();
    let found = walk(path, |step| {
        if step.is_link() {
            link_owners.push(step.stat.st_uid);
        }
        Ok(())
    });
    Ok(Found { entry: found.map_err(|lost: Lost| lost.error)?, way: Way(link_owners) })
}

/// One step on the way along a path.
pub(super) struct Step<'a> {
    /// Where it leads, with no link before it.
    pub(super) path: &'a Path,
    /// What is there, and whose it is.
    pub(super) stat: &'a Stat,
    /// The way ends here.
    pub(super) last: bool,
}

impl Step<'_> {
    /// Whether it is a symbolic link.
    pub(super) fn is_link(&self) -> bool {
        FileType::from_raw_mode(self.stat.st_mode) == FileType::Symlink
    }
}

/// Where a path cannot be followed, and why.
pub(super) struct Lost {
    pub(super) path: PathBuf,
    pub(super) error: io::Error,
}

/// Goes along a path, from the root on and through every link; shows each step, and returns what the path leads to.
/// Each step begins at the very thing where the one before it ended: nobody can exchange what has been shown.
pub(super) fn walk<E: From<Lost>>(path: &Path, mut show: impl FnMut(&Step<'_>) -> Result<(), E>) -> Result<OwnedFd, E> {
    let whole = std::path::absolute(path).map_err(|error| Lost { path: path.to_owned(), error })?;
    let mut steps: VecDeque<OsString> = steps_of(&whole).collect();
    let (mut at, mut here) = (PathBuf::new(), None::<OwnedFd>);
    let mut links = 0;
    while let Some(step) = steps.pop_front() {
        let next = if step == ".." { at.parent().unwrap_or(&at).to_owned() } else { at.join(&step) };
        let lost = |error: Errno| E::from(Lost { path: next.clone(), error: error.into() });
        let from = here.as_ref().map_or(rustix::fs::CWD, |here| here.as_fd());
        let entry = entry(from, &step, !steps.is_empty()).map_err(lost)?;
        let stat = fstat(&entry).map_err(lost)?;
        let shown = Step { path: &next, stat: &stat, last: steps.is_empty() };
        show(&shown)?;
        if !shown.is_link() {
            (at, here) = (next, Some(entry));
            continue;
        }
        links += 1;
        if links > MOST_LINKS {
            return Err(lost(Errno::LOOP));
        }
        let target = readlinkat(&entry, "", Vec::new()).map_err(lost)?;
        for step in steps_of(Path::new(OsStr::from_bytes(target.to_bytes()))).collect::<Vec<_>>().into_iter().rev() {
            steps.push_front(step);
        }
    }
    // An absolute path has a step at least.
    here.ok_or_else(|| Lost { path: at, error: Errno::NOENT.into() }.into())
}

/// Finds an entry of a directory without opening it. One in which the way goes on is first taken for a directory: only then
/// does the kernel mount there what it mounts on demand.
fn entry(from: BorrowedFd<'_>, name: &OsStr, goes_on: bool) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    if goes_on {
        match openat(from, name, flags | OFlags::DIRECTORY, Mode::empty()) {
            Err(Errno::NOTDIR | Errno::LOOP) => {}
            other => return other,
        }
    }
    openat(from, name, flags, Mode::empty())
}

fn steps_of(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components().filter(|c| *c != Component::CurDir).map(|c| c.as_os_str().to_owned())
}

/// Opens a file by a path, whoever made the links on the way.
pub fn open_regular(path: &Path) -> io::Result<File> {
    reopen(&openat(rustix::fs::CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
}

/// For reading, what has so far only been found. Anything but a regular file is refused before it is opened, since opening
/// can do something by itself: a device may rewind, a pipe may block.
fn reopen(found: &OwnedFd) -> io::Result<File> {
    if FileType::from_raw_mode(fstat(found)?.st_mode) != FileType::RegularFile {
        return Err(io::Error::other("not a regular file"));
    }
    Ok(File::from(open_found(found, OFlags::RDONLY | OFlags::NOCTTY)?))
}

/// Opens what has been found, and nothing that has come into its place since; never blocks.
pub(super) fn open_found(found: &OwnedFd, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", found.as_raw_fd());
    openat(rustix::fs::CWD, path, flags | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::fs::symlink;

    fn text(path: &Path) -> io::Result<(String, Vec<u32>)> {
        let mut opened = open(path)?;
        let mut text = String::new();
        opened.file.read_to_string(&mut text)?;
        Ok((text, opened.way.0))
    }

    #[test]
    fn links_are_followed_and_their_owners_told() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let own = rustix::process::geteuid().as_raw();
        std::fs::create_dir_all(at("real/deep")).unwrap();
        std::fs::write(at("real/deep/file"), "it").unwrap();
        symlink("real", at("relative")).unwrap();
        symlink(at("real/deep"), at("absolute")).unwrap();
        symlink("../deep/./file", at("real/deep/up")).unwrap();
        assert_eq!(text(&at("real/deep/file")).unwrap(), ("it".to_owned(), vec![]));
        assert_eq!(text(&at("relative/deep/file")).unwrap(), ("it".to_owned(), vec![own]));
        assert_eq!(text(&at("absolute/file")).unwrap(), ("it".to_owned(), vec![own]));
        assert_eq!(text(&at("absolute/up")).unwrap(), ("it".to_owned(), vec![own, own]));
        let opened = open(&at("absolute/file")).unwrap();
        assert!(opened.is_the_way_of(own));
        assert_eq!(opened.is_the_way_of(own + 1), own == 0);
    }

    #[test]
    fn a_ring_of_links_and_a_missing_file_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        symlink("b", dir.path().join("a")).unwrap();
        symlink("a", dir.path().join("b")).unwrap();
        assert_eq!(Errno::from_io_error(&open(&dir.path().join("a")).err().unwrap()), Some(Errno::LOOP));
        assert_eq!(open(&dir.path().join("none")).err().unwrap().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn nothing_but_regular_files_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        for path in [pipe.as_path(), Path::new("/dev/null"), dir.path()] {
            assert_eq!(open(path).err().unwrap().to_string(), "not a regular file");
            assert_eq!(open_regular(path).err().unwrap().to_string(), "not a regular file");
        }
    }
}
