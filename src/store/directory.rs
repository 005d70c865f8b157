//! The state directory: private, and used by one minder at a time.

use super::OpenError;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

/// How often, and how far apart, a lock is tried that another minder holds.
const DYING_TRIES: u32 = 20;
const DYING_PAUSE: Duration = Duration::from_millis(25);

/// Creates the directory if it is not there, refuses it if others could write in it, and locks it. The lock lasts as long as
/// the file is open, and no longer than the process.
pub(super) fn claim(path: &Path) -> Result<File, OpenError> {
    let failed = |source| OpenError::Directory { path: path.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    let found = std::fs::metadata(path).map_err(failed)?;
    let (us, owner) = (rustix::process::geteuid().as_raw(), found.uid());
    if found.mode() & 0o022 != 0 || (owner != us && owner != 0) {
        return Err(OpenError::Exposed { path: path.to_owned(), mode: found.mode() & 0o7777, owner });
    }
    let mut lock = match private(&path.join("lock")) {
        // A disk that has gone read-only still keeps a second minder out.
        Err(e) if e.kind() == std::io::ErrorKind::ReadOnlyFilesystem => File::open(path.join("lock")),
        opened => opened,
    }
    .map_err(failed)?;
    // One that was killed a moment ago may not have given its files back yet.
    let mut tries = 0;
    let locked = loop {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) if tries < DYING_TRIES => {
                tries += 1;
                std::thread::sleep(DYING_PAUSE);
            }
            locked => break locked,
        }
    };
    match locked {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            // Whoever holds the lock writes its pid a moment later: without it the error says a little less.
            let _ = lock.take(20).read_to_string(&mut text);
            return Err(OpenError::Locked { path: path.to_owned(), pid: text.trim().parse().ok() });
        }
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    // The pid is for people only, and a full disk is no reason not to start.
    let _ = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
    Ok(lock)
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
        assert_eq!(lock.metadata().unwrap().mode() & 0o7777, 0o600);
        let second = claim(&path).unwrap_err();
        assert!(matches!(second, OpenError::Locked { pid: Some(pid), .. } if pid == std::process::id()), "{second}");
        let words = second.to_string();
        assert!(words.contains(&path.display().to_string()) && words.contains(&std::process::id().to_string()));
        drop(lock);
        claim(&path).unwrap();
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
