//! Names of users and groups, from `/etc/passwd` and `/etc/group` alone: asking a directory on the network can hang.

use crate::sys::proc;

/// Larger ones are read so far.
const MOST: u64 = 4 << 20;

/// The number of a user, given by name or number.
pub(super) fn user(name: &str) -> Option<u32> {
    if let Ok(number) = name.parse() {
        return Some(number);
    }
    let text = proc::read_path("/etc/passwd", MOST).unwrap_or_default();
    entries(&text).find(|(entry, _)| *entry == name.as_bytes()).map(|(_, number)| number)
}

/// The name of a user; the number where there is none.
pub(super) fn of_user(number: u32) -> String {
    name_in("/etc/passwd", number)
}

/// The name of a group; the number where there is none.
pub(super) fn of_group(number: u32) -> String {
    name_in("/etc/group", number)
}

fn name_in(path: &str, number: u32) -> String {
    let text = proc::read_path(path, MOST).unwrap_or_default();
    match entries(&text).find(|(_, entry)| *entry == number) {
        Some((name, _)) => String::from_utf8_lossy(name).into_owned(),
        None => number.to_string(),
    }
}

/// Name and number of each line `name:x:number:..`.
fn entries(text: &[u8]) -> impl Iterator<Item = (&[u8], u32)> {
    text.split(|b| *b == b'\n').filter_map(|line| {
        let mut fields = line.split(|b| *b == b':');
        let name = fields.next()?;
        let number = std::str::from_utf8(fields.nth(1)?).ok()?.parse().ok()?;
        Some((name, number))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_found_both_ways() {
        assert_eq!((user("root"), user("0"), user("1234567")), (Some(0), Some(0), Some(1_234_567)));
        assert_eq!((of_user(0).as_str(), of_group(0).as_str()), ("root", "root"));
        assert_eq!((user("no such user"), of_user(3_999_999_999)), (None, "3999999999".to_owned()));
    }

    #[test]
    fn odd_lines_are_passed_over() {
        let text = b"\n# note\nshort:x\nbad:x:minus:1\n+::::\nwww:x:33:33:www:/var/www:/bin/sh\n\xff:x:7:";
        let all: Vec<(&[u8], u32)> = entries(text).collect();
        assert_eq!(all, [(b"www".as_slice(), 33), (b"\xff".as_slice(), 7)]);
    }
}
