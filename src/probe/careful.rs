//! Opens files that others may have prepared for us: pidfiles, logs. Never blocks, opens nothing but regular files, and tells
//! whose symbolic links it followed.

use rustix::fs::{FileType, Mode, OFlags, fstat, openat, readlinkat};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

/// As many as the kernel follows.
const MOST_LINKS: usize = 40;

/// A regular file, opened for reading.
pub(super) struct Opened {
    /// The file.
    pub(super) file: File,
    /// Who owns the symbolic links on the way.
    pub(super) link_owners: Vec<u32>,
}

impl Opened {
    /// Whether every link on the way belongs to root or to this user. Someone else's link says nothing of this user's files.
    pub(super) fn is_the_way_of(&self, user: u32) -> bool {
        self.link_owners.iter().all(|owner| *owner == 0 || *owner == user)
    }
}

/// Opens a file by an absolute path, one step after the other.
pub(super) fn open(path: &Path) -> io::Result<Opened> {
    let root = || openat(rustix::fs::CWD, "/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let mut here = root()?;
    let mut steps: VecDeque<OsString> = steps_of(path).collect();
    let mut link_owners = Vec::new();
    while let Some(step) = steps.pop_front() {
        if step == "/" {
            here = root()?;
            continue;
        }
        let next = openat(&here, &step, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        let stat = fstat(&next)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
            here = next;
            continue;
        }
        if link_owners.len() >= MOST_LINKS {
            return Err(Errno::LOOP.into());
        }
        link_owners.push(stat.st_uid);
        let target = readlinkat(&next, "", Vec::new())?;
        for step in steps_of(Path::new(OsStr::from_bytes(target.to_bytes()))).collect::<Vec<_>>().into_iter().rev() {
            steps.push_front(step);
        }
    }
    Ok(Opened { file: reopen(&here)?, link_owners })
}

fn steps_of(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components().filter(|c| *c != Component::CurDir).map(|c| c.as_os_str().to_owned())
}

/// Opens a file by a path, whoever made the links on the way.
pub(super) fn open_regular(path: &Path) -> io::Result<File> {
    reopen(&openat(rustix::fs::CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
}

/// For reading, what has so far only been found. Anything but a regular file is refused before it is opened, since opening
/// can do something by itself: a device may rewind, a pipe may block.
fn reopen(found: &OwnedFd) -> io::Result<File> {
    if FileType::from_raw_mode(fstat(found)?.st_mode) != FileType::RegularFile {
        return Err(io::Error::other("not a regular file"));
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let path = format!("/proc/self/fd/{}", found.as_fd().as_raw_fd());
    Ok(File::from(openat(rustix::fs::CWD, path, flags, Mode::empty())?))
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
        Ok((text, opened.link_owners))
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
