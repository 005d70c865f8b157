//! Names of users and groups, from `/etc/passwd` and `/etc/group` alone: asking a directory on the network can hang.

use super::proc;
use std::collections::HashMap;

/// Larger ones are read so far.
const MOST: u64 = 4 << 20;

/// The number of a user, given by name or number.
pub fn uid_of(name: &str) -> Option<u32> {
    if let Ok(number) = name.parse() {
        return Some(number);
    }
    let text = proc::read_path("/etc/passwd", MOST).unwrap_or_default();
    entries(&text).find(|entry| entry.name == name.as_bytes()).map(|entry| entry.number)
}

/// Every user's name by number: the first one, where a number has several.
pub fn users() -> HashMap<u32, String> {
    let text = proc::read_path("/etc/passwd", MOST).unwrap_or_default();
    let mut users = HashMap::new();
    for entry in entries(&text) {
        users.entry(entry.number).or_insert_with(|| String::from_utf8_lossy(entry.name).into_owned());
    }
    users
}

/// The name of a user; the number where there is none.
pub fn name_of_user(number: u32) -> String {
    name_in("/etc/passwd", number)
}

/// The name of a group; the number where there is none.
pub fn name_of_group(number: u32) -> String {
    name_in("/etc/group", number)
}

/// The groups of which nobody is a member but this user and root. A user that `/etc/passwd` does not know is no member.
pub(super) fn private_groups(uid: u32) -> Vec<u32> {
    let read = |path| proc::read_path(path, MOST).unwrap_or_default();
    private_groups_in(uid, &read("/etc/passwd"), &read("/etc/group"))
}

fn private_groups_in(uid: u32, passwd: &[u8], group: &[u8]) -> Vec<u32> {
    let ours = |user: u32| user == uid || user == 0;
    let stranger = |name: &[u8]| !entries(passwd).any(|user| user.name == name && ours(user.number));
    let members = |field: Option<&[u8]>| -> Vec<Vec<u8>> {
        let names = field.unwrap_or_default().split(|b| *b == b',');
        names.map(|name| name.trim_ascii().to_owned()).filter(|name| !name.is_empty()).collect()
    };
    // Several lines may have the same number.
    let mut shared: Vec<u32> =
        entries(passwd).filter(|user| !ours(user.number)).filter_map(|user| user.group()).collect();
    let mut private = Vec::new();
    for group in entries(group) {
        let list = if members(group.rest).iter().any(|name| stranger(name)) { &mut shared } else { &mut private };
        list.push(group.number);
    }
    private.retain(|gid| !shared.contains(gid));
    private
}

fn name_in(path: &str, number: u32) -> String {
    let text = proc::read_path(path, MOST).unwrap_or_default();
    match entries(&text).find(|entry| entry.number == number) {
        Some(entry) => String::from_utf8_lossy(entry.name).into_owned(),
        None => number.to_string(),
    }
}

/// A line `name:x:number:rest..` of either file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry<'a> {
    name: &'a [u8],
    number: u32,
    /// The primary group of a user, the members of a group.
    rest: Option<&'a [u8]>,
}

impl Entry<'_> {
    fn group(&self) -> Option<u32> {
        number(self.rest?)
    }
}

fn entries(text: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    text.split(|b| *b == b'\n').filter_map(|line| {
        let mut fields = line.split(|b| *b == b':');
        let name = fields.next()?;
        let number = number(fields.nth(1)?)?;
        Some(Entry { name, number, rest: fields.next() })
    })
}

fn number(text: &[u8]) -> Option<u32> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_found_both_ways() {
        assert_eq!((uid_of("root"), uid_of("0"), uid_of("1234567")), (Some(0), Some(0), Some(1_234_567)));
        assert_eq!((name_of_user(0).as_str(), name_of_group(0).as_str()), ("root", "root"));
        assert_eq!((uid_of("no such user"), name_of_user(3_999_999_999)), (None, "3999999999".to_owned()));
    }

    #[test]
    fn odd_lines_are_passed_over() {
        let text = b"\n# note\nshort:x\nbad:x:minus:1\n+::::\nwww:x:33:33:www:/var/www:/bin/sh\n\xff:x:7:";
        let all: Vec<(&[u8], u32)> = entries(text).map(|entry| (entry.name, entry.number)).collect();
        assert_eq!(all, [(b"www".as_slice(), 33), (b"\xff".as_slice(), 7)]);
    }

    #[test]
    fn a_group_is_private_if_nobody_else_is_in_it() {
        let passwd = b"root:x:0:0::/:/bin/sh\nann:x:1000:1000::/:/bin/sh\nbob:x:1001:1001::/:/bin/sh\n";
        let group =
            b"root:x:0:\nann:x:1000:\nbob:x:1001:\nops:x:50:ann\nall:x:60:ann,bob\nus:x:70:ann,root\ntwo:x:50:\n";
        assert_eq!(private_groups_in(1000, passwd, group), [0, 1000, 50, 70, 50]);
        assert_eq!(
            private_groups_in(1001, passwd, group),
            [0, 1001],
            "a line may repeat a number, not take members away"
        );
    }
}
