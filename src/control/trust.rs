//! Who could have written what a path leads to.

use crate::sys::users::User;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// Why a file is not to be believed: somebody else could have written it, or put another in its place.
#[derive(Debug)]
pub(super) enum Distrust {
    /// It belongs to somebody else.
    Owner(PathBuf, u32),
    /// Its group may write it.
    Group(PathBuf, u32),
    /// Everybody may write it.
    Others(PathBuf),
    /// Neither a file nor a directory, where one of these is expected.
    NoFile(PathBuf),
    /// It cannot be looked at.
    Unseen(PathBuf, io::Error),
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Distrust::Owner(path, uid) => write!(f, "{} belongs to uid {uid}", path.display()),
            Distrust::Group(path, gid) => {
                write!(f, "group {gid} may write {} (its mode has the bit g+w)", path.display())
            }
            Distrust::Others(path) => write!(f, "everybody may write {} (its mode has the bit o+w)", path.display()),
            Distrust::NoFile(path) => write!(f, "{} is not a regular file", path.display()),
            Distrust::Unseen(path, e) => write!(f, "{}: {e}", path.display()),
        }
    }
}

/// Links are followed so many times on one path, as the kernel does.
const MOST_LINKS: u32 = 40;

/// Checks that nobody but root and this user could have written the file, or replaced it, or a directory or link above it.
/// `path` is absolute.
pub(super) fn only_root_or(uid: u32, path: &Path) -> Result<(), Distrust> {
    let user = User::with_uid(uid).ok().flatten();
    let trusted = |owner: u32| owner == 0 || owner == uid;
    let own_group = |gid: u32| gid == 0 || user.as_ref().is_some_and(|user| user.owns_group(gid));
    let mut rest: VecDeque<OsString> = parts(path);
    let mut at = PathBuf::from("/");
    let mut links = 0;
    // In a sticky directory an entry can be replaced by its owner only, and that owner is looked at next.
    let check = |at: &Path| -> Result<std::fs::Metadata, Distrust> {
        let meta = at.symlink_metadata().map_err(|e| Distrust::Unseen(at.to_owned(), e))?;
        let sticky = meta.is_dir() && meta.mode() & 0o1000 != 0;
        if !trusted(meta.uid()) {
            Err(Distrust::Owner(at.to_owned(), meta.uid()))
        } else if meta.is_symlink() || sticky {
            Ok(meta)
        } else if meta.mode() & 0o002 != 0 {
            Err(Distrust::Others(at.to_owned()))
        } else if meta.mode() & 0o020 != 0 && !own_group(meta.gid()) {
            Err(Distrust::Group(at.to_owned(), meta.gid()))
        } else {
            Ok(meta)
        }
    };
    check(&at)?;
    while let Some(part) = rest.pop_front() {
        if part == ".." {
            at.pop();
            continue;
        }
        at.push(&part);
        let meta = check(&at)?;
        if meta.is_symlink() {
            links += 1;
            let target = at.read_link().map_err(|e| Distrust::Unseen(at.clone(), e))?;
            if links > MOST_LINKS {
                return Err(Distrust::NoFile(path.to_owned()));
            }
            at = if target.is_absolute() { PathBuf::from("/") } else { at.parent().unwrap_or(&at).to_owned() };
            for part in parts(&target).into_iter().rev() {
                rest.push_front(part);
            }
        } else if !(meta.is_dir() && !rest.is_empty() || meta.is_file() && rest.is_empty()) {
            return Err(Distrust::NoFile(at));
        }
    }
    Ok(())
}

fn parts(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some(OsString::from("..")),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    /// As root, for a process of root's: /tmp is sticky, the rest is laid out here.
    #[test]
    fn whoever_could_replace_it_is_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let us = rustix::process::geteuid().as_raw();
        let inner = dir.path().join("run");
        fs::create_dir(&inner).unwrap();
        let file = inner.join("web.pid");
        fs::write(&file, "1").unwrap();
        let ask = |path: &Path| only_root_or(us, path).map_err(|e| e.to_string());
        assert_eq!(ask(&file), Ok(()));

        mode(&file, 0o666);
        assert!(ask(&file).unwrap_err().contains("web.pid (its mode has the bit o+w)"));
        mode(&file, 0o644);
        mode(&inner, 0o777);
        assert!(ask(&file).unwrap_err().contains("run (its mode has the bit o+w)"));
        mode(&inner, 0o1777);
        assert_eq!(ask(&file), Ok(()), "in a sticky directory the file's own owner counts");
        mode(&inner, 0o755);

        let link = dir.path().join("link.pid");
        symlink("run/../run/web.pid", &link).unwrap();
        assert_eq!(ask(&link), Ok(()));
        let round = dir.path().join("round");
        symlink("round", &round).unwrap();
        assert!(ask(&round).is_err());
        assert!(ask(&inner).is_err(), "a directory is no pidfile");
        assert!(ask(&dir.path().join("none")).is_err());

        if us == 0 {
            std::os::unix::fs::lchown(&link, Some(1), None).unwrap();
            assert!(ask(&link).unwrap_err().contains("link.pid belongs to uid 1"));
            chown(&file, Some(1), Some(1)).unwrap();
            assert!(ask(&file).unwrap_err().contains("web.pid belongs to uid 1"));
            chown(dir.path(), Some(0), Some(0)).unwrap();
            mode(dir.path(), 0o755);
            assert!(only_root_or(1, &file).is_ok(), "the user that the process runs as may write its own pidfile");
            mode(&file, 0o664);
            assert!(only_root_or(1, &file).is_ok(), "daemon's group is its own");
            chown(&file, Some(1), Some(12)).unwrap();
            assert!(only_root_or(1, &file).unwrap_err().to_string().contains("group 12 may write"));
        }
    }
}
