//! Users by name or number, from the system's own databases.

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::ptr;

/// A user, with all that a program needs to run as them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// The number.
    pub uid: u32,
    /// The primary group.
    pub gid: u32,
    /// All groups, the primary one among them.
    pub groups: Vec<u32>,
    /// The home directory.
    pub home: String,
    /// The shell.
    pub shell: String,
}

/// Whom to look up.
enum Key {
    Name(CString),
    Number(u32),
}

/// Answers longer than this are refused.
const MOST: usize = 1 << 20;

impl User {
    /// The user with this name, or with this number. Nothing if there is none. May wait for a directory service.
    pub fn find(name_or_number: &str) -> io::Result<Option<User>> {
        match name_or_number.parse() {
            Ok(number) => User::with_uid(number),
            Err(_) => match CString::new(name_or_number) {
                Ok(name) => look_up(&Key::Name(name)),
                Err(_) => Ok(None),
            },
        }
    }

    /// The user with this number.
    pub fn with_uid(uid: u32) -> io::Result<Option<User>> {
        look_up(&Key::Number(uid))
    }

    /// The user that minder runs as; a bare one if no database knows it.
    pub fn current() -> User {
        let uid = rustix::process::geteuid().as_raw();
        User::with_uid(uid).ok().flatten().unwrap_or_else(|| User {
            name: uid.to_string(),
            uid,
            gid: rustix::process::getegid().as_raw(),
            groups: Vec::new(),
            home: "/".to_owned(),
            shell: "/bin/sh".to_owned(),
        })
    }

    /// The user with this name or number, or why there is none, in words.
    pub fn known(name_or_number: &str) -> Result<User, String> {
        match User::find(name_or_number) {
            Ok(Some(user)) => Ok(user),
            Ok(None) => Err(format!("there is no user `{name_or_number}`")),
            Err(e) => Err(format!("user `{name_or_number}` cannot be looked up: {e}")),
        }
    }

    /// The environment of a program that minder starts: these variables, and before them what every program finds. Nothing
    /// of minder's own is handed on.
    pub fn environment(&self, own: impl IntoIterator<Item = (String, String)>) -> Vec<(String, String)> {
        let mut environment = [
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            ("HOME", &self.home),
            ("USER", &self.name),
            ("LOGNAME", &self.name),
            ("SHELL", &self.shell),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
        for (name, value) in own {
            environment.retain(|(there, _)| *there != name);
            environment.push((name, value));
        }
        environment
    }
}

#[allow(unsafe_code)]
fn look_up(key: &Key) -> io::Result<Option<User>> {
    let mut entry = MaybeUninit::<libc::passwd>::uninit();
    let mut found: *mut libc::passwd = ptr::null_mut();
    // The entry points into it.
    let mut buffer: Vec<libc::c_char> = vec![0; 1024];
    loop {
        let (to, length) = (buffer.as_mut_ptr(), buffer.len());
        // SAFETY: all pointers are valid for the call, and `length` is the size of what `to` points to.
        let result = unsafe {
            match key {
                Key::Name(name) => libc::getpwnam_r(name.as_ptr(), entry.as_mut_ptr(), to, length, &raw mut found),
                Key::Number(uid) => libc::getpwuid_r(*uid, entry.as_mut_ptr(), to, length, &raw mut found),
            }
        };
        match result {
            // "Not found" has several names.
            0 | libc::ENOENT | libc::ESRCH => break,
            libc::ERANGE if length < MOST => buffer.resize(length * 4, 0),
            error => return Err(io::Error::from_raw_os_error(error)),
        }
    }
    if found.is_null() {
        return Ok(None);
    }
    // SAFETY: `found` is not null, so `entry` has been written, and its strings live in `buffer`, end with NUL and are
    // copied here.
    let (entry, name, home, shell) = unsafe {
        let entry = entry.assume_init_ref();
        let text = |p: *const libc::c_char| CStr::from_ptr(p).to_owned();
        (entry, text(entry.pw_name), text(entry.pw_dir), text(entry.pw_shell))
    };
    let groups = groups_of(&name, entry.pw_gid);
    let text = |c: CString| c.to_string_lossy().into_owned();
    let (uid, gid) = (entry.pw_uid, entry.pw_gid);
    Ok(Some(User { name: text(name), uid, gid, groups, home: text(home), shell: text(shell) }))
}

#[allow(unsafe_code)]
fn groups_of(name: &CStr, gid: u32) -> Vec<u32> {
    let mut groups = vec![0; 64];
    for _ in 0..8 {
        let mut count = i32::try_from(groups.len()).unwrap_or(i32::MAX);
        // SAFETY: `groups` has room for `count` entries.
        let result = unsafe { libc::getgrouplist(name.as_ptr(), gid, groups.as_mut_ptr(), &raw mut count) };
        let wanted = usize::try_from(count).unwrap_or(0);
        if result >= 0 {
            groups.truncate(wanted);
            return groups;
        }
        groups.resize(wanted.max(groups.len() * 2), 0);
    }
    vec![gid]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_by_name_and_by_number() {
        let root = User::find("root").unwrap().unwrap();
        assert_eq!((root.uid, root.gid, root.home.as_str()), (0, 0, "/root"));
        assert!(root.groups.contains(&0));
        assert_eq!(User::find("0").unwrap(), Some(root.clone()));
        assert_eq!(User::find("no-such-user-here").unwrap(), None);
        assert_eq!(User::find("nul\0inside").unwrap(), None);
        assert_eq!(User::known("no-such-user-here").unwrap_err(), "there is no user `no-such-user-here`");
    }
}
