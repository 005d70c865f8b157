//! What `/proc/PID/stat` says of who a process is.

use std::fs::File;
use std::io::{self, Read};

/// The fields of `/proc/PID/stat` by which a process and its kin are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// One letter: `R`, `S`, `D`, `Z` (a zombie), ...
    pub state: u8,
    /// Its parent.
    pub ppid: u32,
    /// Its process group.
    pub pgrp: u32,
    /// Its session.
    pub session: u32,
    /// When it started, in clock ticks since boot.
    pub start: u64,
}

/// Reads it. `NotFound` (or `ESRCH`) if there is no such process.
pub fn stat(pid: u32) -> io::Result<Stat> {
    let mut buffer = [0u8; 1024];
    let length = File::open(format!("/proc/{pid}/stat"))?.read(&mut buffer)?;
    parse(&buffer[..length]).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// The name in parentheses is the process's own choice and may hold anything: the fields begin after the last `)`.
fn parse(text: &[u8]) -> Option<Stat> {
    let end = text.iter().rposition(|b| *b == b')')?;
    let mut fields = std::str::from_utf8(&text[end + 1..]).ok()?.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let ppid = fields.next()?.parse().ok()?;
    let pgrp = fields.next()?.parse().ok()?;
    let session = fields.next()?.parse().ok()?;
    let start = fields.nth(15)?.parse().ok()?;
    Some(Stat { state, ppid, pgrp, session, start })
}

/// Every process that now lives and that is like this, with its pid.
pub fn find(like: impl Fn(u32, &Stat) -> bool) -> io::Result<Vec<(u32, Stat)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if let Ok(stat) = stat(pid)
            && !matches!(stat.state, b'Z' | b'X')
            && like(pid, &stat)
        {
            found.push((pid, stat));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_does_not_move_the_fields() {
        let text = b"12 (a) Z 1 (b) S 7 8 9 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 1 2\n";
        assert_eq!(parse(text), Some(Stat { state: b'S', ppid: 7, pgrp: 8, session: 9, start: 4711 }));
        assert_eq!(parse(b"12 (a"), None);
        assert_eq!(parse(b"12 (a) S 1"), None);
    }

    #[test]
    fn we_are_among_the_living() {
        let us = std::process::id();
        let found = find(|pid, _| pid == us).unwrap();
        assert_eq!(found, vec![(us, stat(us).unwrap())]);
    }
}
