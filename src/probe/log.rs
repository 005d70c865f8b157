//! The last lines of a service's log: of a file, of a directory that svlogd, multilog or s6-log keeps, or of systemd's journal.

use super::select;
use crate::model::{Identity, Log};
use crate::sys::spawn::Program;
use crate::sys::users::User;
use crate::sys::{careful, proc, run};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// So many are shown.
const LINES: usize = 20;
/// Of a line in a message, in characters.
const LINE: usize = 500;
/// As much of the end of a file is searched for its last lines.
const MOST: u64 = 64 << 10;
/// Of a directory, so many entries are looked at: loggers keep 10, or as many as they are told.
const MOST_ENTRIES: usize = 10_000;
/// How long journalctl may take. A message waits for it.
const JOURNAL_WITHIN: Duration = Duration::from_secs(4);

/// The last lines of a service's log, for a message. `of` is its process: once that is gone, only root's links are followed.
/// May hang on a dead mount: not for a thread that must not.
pub fn tail_of_log(log: &Log, of: Option<Identity>) -> io::Result<String> {
    let lives = |of: &Identity| proc::stat(of.pid).is_ok_and(|stat| select::identity(&stat) == *of);
    let user = of.filter(lives).and_then(|of| proc::user(of.pid).ok());
    let lines = last_lines(log, of, user.unwrap_or(0))?;
    let lines: Vec<String> = lines.iter().map(|line| line.chars().take(LINE).collect()).collect();
    Ok(lines.join("\n"))
}

/// The same in full. Links are followed if they are root's, or this user's.
pub(super) fn last_lines(log: &Log, of: Option<Identity>, user: u32) -> io::Result<Vec<String>> {
    let lines = match log {
        Log::At(path) if std::fs::metadata(path.as_path()).is_ok_and(|about| about.is_dir()) => {
            of_directory(path.as_path(), user)?
        }
        Log::At(path) => of_file(path.as_path(), user)?,
        Log::Journal(unit) => return of_journal(unit.as_deref(), of, &[]),
    };
    let zone = TimeZone::system();
    Ok(last(lines, LINES).into_iter().map(|line| with_time(line, &zone)).collect())
}

fn last(mut lines: Vec<String>, most: usize) -> Vec<String> {
    lines.split_off(lines.len().saturating_sub(most))
}

/// What stands in the end of a file, if no stranger's link leads to it.
fn of_file(path: &Path, user: u32) -> io::Result<Vec<String>> {
    let mut opened = careful::open(path)?;
    if !opened.is_the_way_of(user) {
        return Err(io::Error::other("it is reached by a link that neither root nor the process's user owns"));
    }
    let from = opened.file.metadata()?.len().saturating_sub(MOST);
    opened.file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    opened.file.take(MOST).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim_end().lines().map(str::to_owned).collect())
}

/// `current`, and where that has been begun just now, the end of the file before it.
fn of_directory(directory: &Path, user: u32) -> io::Result<Vec<String>> {
    let current = match of_file(&directory.join("current"), user) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
        lines => lines?,
    };
    if current.len() >= LINES {
        return Ok(current);
    }
    let before = newest_rotated(directory)?.map(|path| of_file(&path, user)).transpose()?.unwrap_or_default();
    // A logger may pack what it puts aside.
    let before = if before.iter().any(|line| line.contains('\0')) { Vec::new() } else { before };
    let mut lines = last(before, LINES - current.len());
    lines.extend(current);
    Ok(lines)
}

/// Files are put aside as `@`, the 24 digits of a TAI64N label and `.s` or `.u`: the names are in the order of time.
fn newest_rotated(directory: &Path) -> io::Result<Option<PathBuf>> {
    let names =
        std::fs::read_dir(directory)?.take(MOST_ENTRIES).filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let rotated = names.filter(|name| {
        let label = name.strip_suffix(".s").or(name.strip_suffix(".u")).and_then(label);
        label.is_some_and(|(_, rest)| rest.is_empty())
    });
    Ok(rotated.max().map(|name| directory.join(name)))
}

/// A line with the time that a TAI64N label before it means, in its place.
fn with_time(line: String, zone: &TimeZone) -> String {
    let Some((at, rest)) = label(&line) else { return line };
    let Some(rest) = rest.strip_prefix(' ') else { return line };
    format!("{} {rest}", at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S%.3f"))
}

/// The TAI64N label at the beginning of a text, and what follows it. svlogd and multilog count seconds from 10 s before 1970,
/// and know of no leap seconds.
fn label(text: &str) -> Option<(Timestamp, &str)> {
    let digits = text.strip_prefix('@')?.get(..24).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
    let seconds = u64::from_str_radix(&digits[..16], 16).ok()?.checked_sub((1 << 62) + 10)?;
    let nanoseconds = i32::from_str_radix(&digits[16..], 16).ok().filter(|n| *n < 1_000_000_000)?;
    let at = Timestamp::new(i64::try_from(seconds).ok()?, nanoseconds).ok()?;
    Some((at, &text[25..]))
}

/// What systemd's journal has of a unit, or of a process.
fn of_journal(unit: Option<&str>, of: Option<Identity>, more: &[&str]) -> io::Result<Vec<String>> {
    let whose = match (unit, of) {
        (Some(unit), _) => format!("--unit={unit}"),
        (None, Some(of)) => format!("_PID={}", of.pid),
        (None, None) => return Err(io::Error::other("the service has no process whose lines could be asked for")),
    };
    let count = format!("--lines={LINES}");
    // Where systemd is older than the merge of both.
    let journalctl = ["/usr/bin/journalctl", "/bin/journalctl"].into_iter().find(|path| Path::new(path).exists());
    let journalctl = journalctl.ok_or_else(|| io::Error::other("there is no journalctl on this machine"))?;
    let fixed = [journalctl, "--no-pager", "--quiet", "--output=cat", "--boot", &count, &whose];
    let argv: Vec<String> = fixed.iter().chain(more).map(|&argument| argument.to_owned()).collect();
    let environment = User::current().environment([]);
    let program =
        Program { argv: &argv, environment: &environment, user: None, directory: Path::new("/"), umask: 0o022 };
    let ran = run::run(&program, None, JOURNAL_WITHIN).map_err(|e| io::Error::other(e.to_string()))?;
    let lines: Vec<String> = String::from_utf8_lossy(&ran.output).trim_end().lines().map(str::to_owned).collect();
    match ran.status {
        Some(0) => Ok(last(lines, LINES)),
        Some(_) => Err(io::Error::other(format!("journalctl failed: {}", lines.last().map_or("", String::as_str)))),
        None => Err(io::Error::other("journalctl took too long")),
    }
}

#[cfg(test)]
mod tests;
