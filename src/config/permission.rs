//! Whether somebody else could have written a rule file, directly or by replacing it: whoever writes rules, runs commands
//! as minder's user.
//!
//! Every directory on the way to the file is looked at, and so is the way of every symbolic link. Trusted are root and the
//! user that reads. Once all of it has been found good, nobody else can change any of it before the file is opened.

use std::ffi::OsString;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// As many symbolic links as the kernel follows.
const LINKS: usize = 40;

/// Why a file cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("{} cannot be trusted: {} belongs to user {owner}, who may change it", asked.display(), path.display())]
    Owner { asked: PathBuf, path: PathBuf, owner: u32 },
    #[error("{} cannot be trusted: {} may be written by {who} (mode {mode:04o})", asked.display(), path.display())]
    Writable { asked: PathBuf, path: PathBuf, mode: u32, who: &'static str },
    #[error("cannot look at {}: {error}", path.display())]
    Unseen { path: PathBuf, error: io::Error },
}

impl Fault {
    pub fn help(&self) -> String {
        match self {
            Fault::Owner { path, .. } => format!("let it belong to root or yourself: chown root {}", path.display()),
            Fault::Writable { path, who, .. } => {
                let bit = if *who == "everybody" { "o" } else { "g" };
                format!("take the right away: chmod {bit}-w {}", path.display())
            }
            Fault::Unseen { .. } => "minder must be able to look at every directory on the way".to_owned(),
        }
    }
}

/// A rule file, or a directory whose files are all rules, and the way to it. A sticky bit does not help such a directory:
/// it lets everybody add files.
pub(super) fn check(path: &Path) -> Result<(), Fault> {
    look(path, &Reader::of_this_process())
}

/// Who reads, and the groups that nobody else is in.
struct Reader {
    uid: u32,
    private_groups: Vec<u32>,
}

impl Reader {
    fn of_this_process() -> Reader {
        let uid = rustix::process::geteuid().as_raw();
        let lines = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        Reader { uid, private_groups: private_groups(uid, &lines("/etc/passwd"), &lines("/etc/group")) }
    }

    fn trusts(&self, uid: u32) -> bool {
        uid == 0 || uid == self.uid
    }

    /// Who else may write it, if anybody. An access control list shows in the bits of the group, too.
    fn writers(&self, meta: &Metadata) -> Option<&'static str> {
        if meta.mode() & 0o002 != 0 {
            Some("everybody")
        } else if meta.mode() & 0o020 != 0 && !self.private_groups.contains(&meta.gid()) {
            Some("its group")
        } else {
            None
        }
    }
}

/// The groups of `/etc/group` whose only members are this user and root.
fn private_groups(uid: u32, passwd: &str, group: &str) -> Vec<u32> {
    let field = |line: &str, n: usize| line.split(':').nth(n).map(str::to_owned).unwrap_or_default();
    let users: Vec<(String, u32, u32)> = passwd
        .lines()
        .filter_map(|line| Some((field(line, 0), field(line, 2).parse().ok()?, field(line, 3).parse().ok()?)))
        .collect();
    let ours = |user: &u32| *user == uid || *user == 0;
    let named = |name: &str| users.iter().find(|(user, ..)| user == name).is_some_and(|(_, uid, _)| ours(uid));
    group
        .lines()
        .filter_map(|line| {
            let gid: u32 = field(line, 2).parse().ok()?;
            let members = field(line, 3);
            let listed = members.split(',').filter(|name| !name.is_empty()).all(named);
            let primary = users.iter().filter(|(_, _, primary)| *primary == gid).all(|(_, uid, _)| ours(uid));
            (listed && primary).then_some(gid)
        })
        .collect()
}

fn look(asked: &Path, reader: &Reader) -> Result<(), Fault> {
    let unseen = |path: &Path| {
        let path = path.to_owned();
        |error| Fault::Unseen { path, error }
    };
    let whole = std::path::absolute(asked).map_err(unseen(asked))?;
    let mut waiting: Vec<OsString> = parts(&whole);
    let mut at = PathBuf::from("/");
    let mut links = 0;
    while let Some(part) = waiting.pop() {
        if part == ".." {
            at.pop();
            continue;
        }
        let directory = std::fs::symlink_metadata(&at).map_err(unseen(&at))?;
        let next = at.join(&part);
        let entry = std::fs::symlink_metadata(&next).map_err(unseen(&next))?;
        if !reader.trusts(directory.uid()) {
            return Err(Fault::Owner { asked: asked.to_owned(), path: at, owner: directory.uid() });
        }
        if let Some(who) = reader.writers(&directory) {
            // In a sticky directory, only its owner can replace an entry.
            let sticky = directory.mode() & 0o1000 != 0;
            if !sticky {
                return Err(Fault::Writable {
                    asked: asked.to_owned(),
                    path: at,
                    mode: directory.mode() & 0o7777,
                    who,
                });
            }
            if !reader.trusts(entry.uid()) {
                return Err(Fault::Owner { asked: asked.to_owned(), path: next, owner: entry.uid() });
            }
        }
        if entry.is_symlink() {
            links += 1;
            if links > LINKS {
                let error = io::Error::other("too many symbolic links");
                return Err(Fault::Unseen { path: asked.to_owned(), error });
            }
            let target = std::fs::read_link(&next).map_err(unseen(&next))?;
            if target.is_absolute() {
                at = PathBuf::from("/");
            }
            waiting.extend(parts(&target));
        } else {
            at = next;
        }
    }
    let meta = std::fs::symlink_metadata(&at).map_err(unseen(&at))?;
    if !reader.trusts(meta.uid()) {
        return Err(Fault::Owner { asked: asked.to_owned(), path: at, owner: meta.uid() });
    }
    match reader.writers(&meta) {
        Some(who) => Err(Fault::Writable { asked: asked.to_owned(), path: at, mode: meta.mode() & 0o7777, who }),
        None => Ok(()),
    }
}

/// The parts of a path, the first one last, to be popped.
fn parts(path: &Path) -> Vec<OsString> {
    let part = |component: Component<'_>| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        _ => None,
    };
    path.components().rev().filter_map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn the_fault_names_the_path_and_the_bit() {
        let dir = tempfile::tempdir().unwrap();
        let nobody_else = Reader { uid: rustix::process::geteuid().as_raw(), private_groups: vec![] };
        let (inner, rule) = (dir.path().join("inner"), dir.path().join("inner/a.yaml"));
        fs::create_dir(&inner).unwrap();
        fs::write(&rule, "version: 1\n").unwrap();
        chmod(&inner, 0o755);
        chmod(&rule, 0o644);
        let ask =
            |path: &Path| look(path, &nobody_else).map_err(|e| e.to_string().replace(dir.path().to_str().unwrap(), ""));
        assert_eq!(ask(&rule), Ok(()));

        chmod(&rule, 0o646);
        assert_eq!(
            ask(&rule).unwrap_err(),
            "/inner/a.yaml cannot be trusted: /inner/a.yaml may be written by everybody (mode 0646)"
        );
        chmod(&rule, 0o644);
        chmod(&inner, 0o777);
        assert_eq!(
            ask(&rule).unwrap_err(),
            "/inner/a.yaml cannot be trusted: /inner may be written by everybody (mode 0777)"
        );
        chmod(&inner, 0o1777);
        assert_eq!(ask(&rule), Ok(()), "in a sticky directory, only the owner can replace it");
        assert!(ask(&inner).is_err(), "but anybody can add to it");

        let link = dir.path().join("link.yaml");
        symlink("inner/a.yaml", &link).unwrap();
        assert_eq!(ask(&link), Ok(()));
        chmod(&inner, 0o777);
        assert!(ask(&link).unwrap_err().contains("/inner may be written by everybody"));
        let circle = dir.path().join("circle");
        symlink(&circle, &circle).unwrap();
        assert!(ask(&circle).unwrap_err().contains("too many symbolic links"));
    }

    #[test]
    fn a_group_is_private_if_nobody_else_is_in_it() {
        let passwd = "root:x:0:0::/:/bin/sh\nann:x:1000:1000::/:/bin/sh\nbob:x:1001:1001::/:/bin/sh\n";
        let group = "root:x:0:\nann:x:1000:\nbob:x:1001:\nops:x:50:ann\nall:x:60:ann,bob\nus:x:70:ann,root\n";
        assert_eq!(private_groups(1000, passwd, group), [0, 1000, 50, 70]);
    }

    #[test]
    fn a_file_of_another_user_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let rule = dir.path().join("a.yaml");
        fs::write(&rule, "").unwrap();
        let owner = fs::metadata(&rule).unwrap().uid();
        if owner != 0 {
            let stranger = Reader { uid: owner + 1, private_groups: vec![] };
            assert!(matches!(look(&rule, &stranger), Err(Fault::Owner { .. })));
        } else {
            std::os::unix::fs::chown(&rule, Some(65_534), None).unwrap();
            assert!(matches!(check(&rule), Err(Fault::Owner { owner: 65_534, .. })));
        }
    }
}
