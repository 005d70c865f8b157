//! FIFOs of other programs: whoever reads one is there as long as it can be opened for writing.

use super::careful;
use rustix::fs::{FileType, OFlags, fstat};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::path::Path;

/// Opens a FIFO for writing, without waiting for a reader. Anything else in its place counts as not there, and is not opened:
/// to open a device can do something by itself. Symbolic links lead there only if root or the owner of the FIFO made them, or
/// what one user's supervisor is told could reach another's.
///
/// # Errors
/// `NXIO` if nobody reads it; `NOENT` if it is not there; `XDEV` if somebody else's link leads to it.
pub fn open_to_write(path: &Path) -> Result<OwnedFd, Errno> {
    let found = careful::find(path).map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?;
    let about = fstat(&found.entry)?;
    if FileType::from_raw_mode(about.st_mode) != FileType::Fifo {
        return Err(Errno::NOENT);
    }
    if !found.way.is_of(about.st_uid) {
        return Err(Errno::XDEV);
    }
    careful::open_found(&found.entry, OFlags::WRONLY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, Mode, mknodat};
    use std::os::unix::fs::{chown, lchown, symlink};

    #[test]
    fn only_fifos_are_opened_and_not_by_the_links_of_others() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let why = |name: &str| open_to_write(&at(name)).err();
        mknodat(CWD, at("fifo"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        assert_eq!(why("fifo"), Some(Errno::NXIO));
        let _reader = careful::open_found(&careful::find(&at("fifo")).unwrap().entry, OFlags::RDONLY).unwrap();
        assert_eq!(why("fifo"), None);
        std::fs::write(at("file"), "").unwrap();
        symlink("/dev/null", at("device")).unwrap();
        symlink("fifo", at("link")).unwrap();
        for (name, expected) in
            [("file", Some(Errno::NOENT)), ("device", Some(Errno::NOENT)), ("none", Some(Errno::NOENT))]
        {
            assert_eq!(why(name), expected, "{name}");
        }
        assert_eq!(why("link"), None);
        if rustix::process::geteuid().is_root() {
            lchown(at("link"), Some(1), None).unwrap();
            assert_eq!(why("link"), Some(Errno::XDEV), "user 1 leads to root's");
            chown(at("fifo"), Some(1), None).unwrap();
            assert_eq!(why("link"), None, "to its own");
            chown(at("fifo"), Some(2), None).unwrap();
            assert_eq!(why("link"), Some(Errno::XDEV), "to another's");
        }
    }
}
