//! The state directory: private, and used by one minder at a time.

use super::OpenError;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::Read;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

/// How often, and how far apart, a lock is tried that another minder holds.
const DYING_TRIES: u32 = 20;
const DYING_PAUSE: Duration = Duration::from_millis(25);

/// The right to a state directory: the file `lock`, which is locked as long as this is held, and no longer than the process
/// lives. Its first line is minder's pid; the second, how far `state.db` was written.
#[derive(Debug)]
pub(super) struct Claim {
    file: File,
    /// How far an earlier minder has written.
    pub written: Option<Written>,
}

/// How far `state.db` was written: kept apart from it, so that a loss is noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    /// During which boot of the machine: after a power cut the last moments may be missing.
    pub boot: String,
    /// The highest number of an event.
    pub event: u64,
}

/// The lines have fixed lengths, so that they are written in place, on a full disk, too.
const PID_LINE: usize = 11;

impl Claim {
    /// `state.db` has been written up to this event.
    pub fn note(&self, boot: &str, event: u64) {
        // Where this fails a loss may go unnoticed, which is no reason to do without the rest.
        let _ = self.file.write_all_at(format!("{event:<20} {boot}\n").as_bytes(), PID_LINE as u64);
    }
}

/// Creates the directory if it is not there, refuses it if others could write in it, and locks it.
pub(super) fn claim(path: &Path) -> Result<Claim, OpenError> {
    let failed = |source| OpenError::Directory { path: path.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    let found = std::fs::metadata(path).map_err(failed)?;
    let (us, owner) = (rustix::process::geteuid().as_raw(), found.uid());
    if found.mode() & 0o022 != 0 || (owner != us && owner != 0) {
        return Err(OpenError::Exposed { path: path.to_owned(), mode: found.mode() & 0o7777, owner });
    }
    let file = match private(&path.join("lock")) {
        // A disk that has gone read-only still keeps a second minder out.
        Err(e) if e.kind() == std::io::ErrorKind::ReadOnlyFilesystem => File::open(path.join("lock")),
        opened => opened,
    }
    .map_err(failed)?;
    // One that was killed while it started a program: the child has copies of its files until it has closed them.
    let mut tries = 0;
    let locked = loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if tries < DYING_TRIES => {
                tries += 1;
                std::thread::sleep(DYING_PAUSE);
            }
            locked => break locked,
        }
    };
    let mut text = String::new();
    // Without what stands in it less is said, and a loss not noticed.
    let _ = (&file).take(200).read_to_string(&mut text);
    let mut lines = text.lines();
    let pid = lines.next().and_then(|line| line.trim().parse().ok());
    match locked {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(OpenError::Locked { path: path.to_owned(), pid }),
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    let written = lines.next().and_then(|line| {
        let (event, boot) = line.split_once(char::is_whitespace)?;
        Some(Written { boot: boot.trim().to_owned(), event: event.parse().ok()? })
    });
    // The pid is for people only, and a full disk is no reason not to start.
    let _ = file.write_all_at(format!("{:<10}\n", std::process::id()).as_bytes(), 0);
    Ok(Claim { file, written })
}

/// Opens a file that only its owner can read, creating it if it is not there.
pub(super) fn private(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn is_created_private_and_locked_once() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b");
        let lock = claim(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o700);
        assert_eq!(lock.file.metadata().unwrap().mode() & 0o7777, 0o600);
        let second = claim(&path).unwrap_err();
        assert!(matches!(second, OpenError::Locked { pid: Some(pid), .. } if pid == std::process::id()), "{second}");
        let words = second.to_string();
        assert!(words.contains(&path.display().to_string()) && words.contains(&std::process::id().to_string()));
        drop(lock);
        claim(&path).unwrap();
    }

    #[test]
    fn remembers_how_far_was_written() {
        let root = tempfile::tempdir().unwrap();
        let lock = claim(root.path()).unwrap();
        assert_eq!(lock.written, None);
        for event in [7, 12_345] {
            lock.note("boot-1", event);
        }
        drop(lock);
        // As often as minder is started.
        for _ in 0..2 {
            assert_eq!(claim(root.path()).unwrap().written, Some(Written { boot: "boot-1".into(), event: 12_345 }));
        }
        std::fs::write(root.path().join("lock"), "99999\n").unwrap();
        assert_eq!(claim(root.path()).unwrap().written, None);
        std::fs::write(root.path().join("lock"), [0xff; 300]).unwrap();
        assert_eq!(claim(root.path()).unwrap().written, None);
    }

    #[test]
    fn is_refused_if_others_can_write() {
        let root = tempfile::tempdir().unwrap();
        for mode in [0o777, 0o770, 0o1777, 0o702] {
            set_permissions(root.path(), Permissions::from_mode(mode)).unwrap();
            assert!(matches!(claim(root.path()), Err(OpenError::Exposed { .. })), "{mode:o}");
        }
        set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
        claim(root.path()).unwrap();
    }

    #[test]
    fn a_file_in_its_place_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(claim(file.path()), Err(OpenError::Directory { .. })));
    }
}
