//! What is mounted where: `/proc/self/mountinfo` (proc_pid_mountinfo(5)). Read without touching any mount, dead ones included.

use crate::sys::proc;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// A machine with more mounts than fit in here is none that we know.
const MOST: u64 = 16 << 20;

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// Its number: not given to another one while anything, such as a look at it, still holds it.
    pub id: u64,
    /// The number of the mount that it lies on.
    pub parent: u64,
    /// Major and minor number of its device; a major 0 stands for none.
    pub device: (u32, u32),
    /// What of the filesystem is mounted: `/`, or less.
    pub root: PathBuf,
    /// Where.
    pub point: PathBuf,
    /// The type of the filesystem: `ext4`.
    pub kind: String,
    /// What it was mounted from: a device, a share, or just any word. Unprivileged users may choose it for their FUSE mounts.
    pub source: OsString,
    /// The filesystem's own options: `rw,errors=continue`; of a version 1 cgroup hierarchy, also its controllers.
    pub options: String,
    /// For reading only: this mount, or the filesystem as a whole.
    pub readonly: bool,
}

impl Mount {
    /// Served by a program, perhaps one of an unprivileged user's.
    pub(super) fn is_fuse(&self) -> bool {
        self.kind == "fuse" || self.kind.starts_with("fuse.") || self.kind == "fuseblk"
    }
    /// Whether there is such an option.
    pub(super) fn has_option(&self, wanted: &str) -> bool {
        self.options.split(',').any(|option| option == wanted)
    }
}

/// Every mount that is seen from `root`, which is `/` but in tests.
pub(super) fn read(root: &Path) -> io::Result<Vec<Mount>> {
    let text = proc::read_path(root.join("proc/self/mountinfo"), MOST)?;
    if text.len() as u64 == MOST {
        return Err(io::Error::other("there are too many mounts"));
    }
    Ok(parse(&text))
}

/// Every line that can be understood.
pub(super) fn parse(text: &[u8]) -> Vec<Mount> {
    text.split(|b| *b == b'\n').filter_map(parse_line).collect()
}

/// `36 35 98:0 /root /point rw,noatime shared:1 .. - ext4 /dev/sda1 rw,errors=continue`
fn parse_line(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|b| *b == b' ');
    let mut text = || std::str::from_utf8(fields.next()?).ok();
    let (id, parent) = (text()?.parse().ok()?, text()?.parse().ok()?);
    let (major, minor) = text()?.split_once(':')?;
    let device = (major.parse().ok()?, minor.parse().ok()?);
    let (root, point) = (fields.next()?, fields.next()?);
    let own = fields.next()?;
    // Optional fields, as many as there are.
    fields.by_ref().find(|field| *field == b"-")?;
    let (kind, source) = (fields.next()?, fields.next()?);
    let options = String::from_utf8_lossy(fields.next().unwrap_or_default()).into_owned();
    let readonly = [own, options.as_bytes()].iter().any(|all| all.split(|b| *b == b',').any(|one| one == b"ro"));
    Some(Mount {
        id,
        parent,
        device,
        root: unescape(root).into(),
        point: unescape(point).into(),
        kind: String::from_utf8_lossy(kind).into_owned(),
        source: unescape(source),
        options,
        readonly,
    })
}

/// Space, tab, line feed and backslash are written as `\ooo`.
fn unescape(field: &[u8]) -> OsString {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, after @ ..] = rest {
        match after {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..] if *first == b'\\' => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = tail;
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    OsString::from_vec(bytes)
}

/// The mount that is seen at this very place. One that lies on another at the same place covers it.
pub(super) fn at<'a>(mounts: &'a [Mount], point: &Path) -> Option<&'a Mount> {
    mounts.iter().rfind(|mount| mount.point == point && !is_covered(mounts, mount))
}

/// The mount that a place lies on, by its name: links on the way are not looked at.
pub(super) fn below<'a>(mounts: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    path.ancestors().find_map(|point| at(mounts, point))
}

/// The first mount from this source. A user's program that says to be it comes after what really is.
pub(super) fn from(mounts: &[Mount], is_it: impl Fn(&Mount) -> bool) -> Option<&Mount> {
    mounts.iter().filter(|mount| is_it(mount) && !is_covered(mounts, mount)).min_by_key(|mount| mount.is_fuse())
}

fn is_covered(mounts: &[Mount], mount: &Mount) -> bool {
    mounts.iter().any(|other| other.parent == mount.id && other.point == mount.point && other.id != mount.id)
}

/// The same text without slashes at its end.
pub(super) fn same_source(a: &OsStr, b: &str) -> bool {
    let trim = |bytes: &[u8]| bytes.iter().rposition(|b| *b != b'/').map_or(0, |last| last + 1);
    let (a, b) = (a.as_bytes(), b.as_bytes());
    a[..trim(a)] == b[..trim(b)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = r"22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda ro,discard
40 27 0:50 /sub /srv/with\040space\134and\011tab ro,nosuid master:2 propagate_from:3 - btrfs /dev/mapper/vg-data rw,space_cache
41 27 0:51 / /mnt rw - nfs4 nas:/export rw,vers=4.2
42 41 0:52 / /mnt rw - tmpfs  rw
broken
43 x 0:52 / /mnt rw - tmpfs tmpfs rw
44 27 0:53 / /home/eve/x rw - fuse.eve nas:/export rw,user_id=1000
45 27 254:0 / /again rw - ext4 /dev/vda rw
";

    #[test]
    fn lines_are_read() {
        let mounts = parse(TEXT.as_bytes());
        assert_eq!(mounts.iter().map(|m| m.id).collect::<Vec<_>>(), [22, 27, 40, 41, 42, 44, 45]);
        let expected = Mount {
            id: 40,
            parent: 27,
            device: (0, 50),
            root: "/sub".into(),
            point: "/srv/with space\\and\ttab".into(),
            kind: "btrfs".into(),
            source: "/dev/mapper/vg-data".into(),
            options: "rw,space_cache".into(),
            readonly: true,
        };
        assert_eq!(mounts[2], expected);
        assert!(mounts[1].readonly, "the filesystem is, though the mount is not");
        assert!(!mounts[0].readonly && mounts[4].source.is_empty());
    }

    #[test]
    fn what_covers_another_is_what_is_seen() {
        let mounts = parse(TEXT.as_bytes());
        let id = |mount: Option<&Mount>| mount.map(|m| m.id);
        assert_eq!(id(at(&mounts, Path::new("/mnt"))), Some(42));
        assert_eq!(id(at(&mounts, Path::new("/srv"))), None);
        assert_eq!(id(below(&mounts, Path::new("/srv/with space"))), Some(27));
        assert_eq!(id(below(&mounts, Path::new("/mnt/a/b"))), Some(42));
        let share = |m: &Mount| same_source(&m.source, "nas:/export/");
        assert_eq!(id(from(&mounts, share)), Some(44), "the other one is covered");
        assert_eq!(id(from(&mounts[..4], share)), Some(41));
        assert_eq!(id(from(&mounts, |m| m.device == (254, 0))), Some(27), "the first of several");
        let swapped: Vec<Mount> = mounts.iter().rev().filter(|m| m.id != 42).cloned().collect();
        assert_eq!(id(from(&swapped, share)), Some(41), "a program that says to be the share is not believed first");
    }

    #[test]
    fn this_machine_has_a_root() {
        let mounts = read(Path::new("/")).unwrap();
        assert!(at(&mounts, Path::new("/")).is_some());
        assert!(!at(&mounts, Path::new("/proc")).unwrap().readonly);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&text);
            let _ = unescape(&text);
        }
    }
}
