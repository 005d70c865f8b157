//! Who could have written what a path leads to, or put something else in its place.

use super::accounts;
use super::careful::{Lost, Step, walk};
use rustix::fs::FileType;
use std::cell::LazyCell;
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};

/// Why a file is not to be believed.
#[derive(Debug, thiserror::Error)]
pub enum Distrust {
    /// Something on the way belongs to somebody else.
    #[error("{} belongs to user {owner}, who may change it", path.display())]
    Owner {
        /// What.
        path: PathBuf,
        /// To whom.
        owner: u32,
    },
    /// Somebody else may write something on the way.
    #[error("{} may be written by {who} (mode {mode:04o})", path.display())]
    Writable {
        /// What.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
        /// `its group` or `everybody`.
        who: &'static str,
    },
    /// It cannot be looked at, and why.
    #[error("cannot look at {}: {why}", .0.display(), why = .1)]
    Unseen(PathBuf, io::Error),
}

impl From<Lost> for Distrust {
    fn from(Lost { path, error }: Lost) -> Distrust {
        Distrust::Unseen(path, error)
    }
}

impl Distrust {
    /// What a person may do about it.
    pub fn help(&self) -> String {
        match self {
            Distrust::Owner { path, .. } => format!("let it belong to root or yourself: chown root {}", path.display()),
            Distrust::Writable { path, who, .. } => {
                let bit = if *who == "everybody" { "o" } else { "g" };
                format!("take the right away: chmod {bit}-w {}", path.display())
            }
            Distrust::Unseen(..) => "minder must be able to look at every directory on the way".to_owned(),
        }
    }
}

/// Checks that nobody but root and this user could have written the file or directory that a path leads to, or replaced it,
/// or a directory or link on the way.
///
/// Whoever may add to a directory could have written it, also if it is sticky. Once all of this has been found good, nobody
/// else can change any of it before the file is opened.
pub fn only_root_or(uid: u32, path: &Path) -> Result<(), Distrust> {
    // The machine's accounts are read only where a group may write.
    let groups = LazyCell::new(|| accounts::private_groups(uid));
    walk(path, |step| look(step, uid, &groups)).map(drop)
}

fn look(step: &Step<'_>, uid: u32, private_groups: &impl Deref<Target = Vec<u32>>) -> Result<(), Distrust> {
    let (path, stat, mode) = (step.path, step.stat, step.stat.st_mode & 0o7777);
    if stat.st_uid != 0 && stat.st_uid != uid {
        return Err(Distrust::Owner { path: path.to_owned(), owner: stat.st_uid });
    }
    // In a sticky directory an entry can be replaced by its owner only, and that owner is looked at next.
    let sticky = FileType::from_raw_mode(stat.st_mode) == FileType::Directory && mode & 0o1000 != 0;
    if step.is_link() || (sticky && !step.last) {
        return Ok(());
    }
    // An access control list shows in the bits of the group, too.
    let who = if mode & 0o002 != 0 {
        "everybody"
    } else if mode & 0o020 != 0 && !private_groups.contains(&stat.st_gid) {
        "its group"
    } else {
        return Ok(());
    };
    Err(Distrust::Writable { path: path.to_owned(), mode, who })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    /// The directory for temporary files is sticky; the rest is laid out here.
    #[test]
    fn whoever_could_replace_it_is_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let us = rustix::process::geteuid().as_raw();
        let (inner, file) = (dir.path().join("run"), dir.path().join("run/web.pid"));
        fs::create_dir(&inner).unwrap();
        fs::write(&file, "1").unwrap();
        chmod(&inner, 0o755);
        chmod(&file, 0o644);
        let of = |uid, path: &Path| {
            only_root_or(uid, path).map_err(|e| e.to_string().replace(dir.path().to_str().unwrap(), ""))
        };
        let ask = |path: &Path| of(us, path);
        assert_eq!((ask(&file), ask(&inner)), (Ok(()), Ok(())));

        chmod(&file, 0o646);
        assert_eq!(ask(&file).unwrap_err(), "/run/web.pid may be written by everybody (mode 0646)");
        chmod(&file, 0o644);
        chmod(&inner, 0o777);
        assert_eq!(ask(&file).unwrap_err(), "/run may be written by everybody (mode 0777)");
        chmod(&inner, 0o1777);
        assert!(ask(&file).is_ok(), "in a sticky directory the file's own owner counts");
        assert!(ask(&inner).is_err(), "but anybody can add to it");

        let link = dir.path().join("link.pid");
        symlink("run/../run/web.pid", &link).unwrap();
        assert!(ask(&link).is_ok());
        chmod(&inner, 0o777);
        assert_eq!(ask(&link).unwrap_err(), "/run may be written by everybody (mode 0777)");
        chmod(&inner, 0o755);
        let circle = dir.path().join("circle");
        symlink("circle", &circle).unwrap();
        assert!(ask(&circle).unwrap_err().contains("/circle: Too many levels of symbolic links"));
        assert!(ask(&file.join("x")).unwrap_err().contains("Not a directory"));
        assert!(matches!(
            only_root_or(us, &dir.path().join("none")),
            Err(Distrust::Unseen(_, error)) if error.kind() == io::ErrorKind::NotFound
        ));

        if us == 0 {
            lchown(&link, Some(1), None).unwrap();
            assert_eq!(ask(&link).unwrap_err(), "/link.pid belongs to user 1, who may change it");
            chown(&file, Some(1), Some(1)).unwrap();
            assert_eq!(ask(&file).unwrap_err(), "/run/web.pid belongs to user 1, who may change it");
            chmod(dir.path(), 0o755);
            assert!(of(1, &file).is_ok(), "the user that the process runs as may write its own pidfile");
            chmod(&file, 0o664);
            assert!(of(1, &file).is_ok(), "daemon's group is its own");
            chown(&file, Some(1), Some(12)).unwrap();
            assert_eq!(of(1, &file).unwrap_err(), "/run/web.pid may be written by its group (mode 0664)");
        }
    }
}
