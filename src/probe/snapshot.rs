//! Looks at a process closely before it is ended, so that people can see later what it was doing. Never its environment.

use super::log::last_lines;
use super::select;
use crate::model::{Identity, Log, plain, plain_lines};
use crate::sys::proc;
use std::fmt::Write;
use std::io;

/// All of it.
const MOST: usize = 64 << 10;
/// Of one file of the kernel's.
const MOST_OF_FILE: u64 = 8 << 10;
const MOST_OPEN_FILES: usize = 200;
const MOST_CHILDREN: usize = 100;

/// What can be seen of a process, as text for people: status, limits, open files, children, where it is in the kernel, and the
/// last lines of its log. Bounded, and free of control characters. May hang on a stuck process: not for a thread that must
/// not.
pub fn snapshot(identity: Identity, log: Option<&Log>) -> String {
    let lives = || proc::stat(identity.pid).is_ok_and(|stat| select::identity(&stat) == identity);
    if !lives() {
        return format!("{identity} is gone.\n");
    }
    let mut text = String::new();
    let pid = identity.pid;
    section(&mut text, "Status", file(pid, "status"));
    section(&mut text, "Limits", file(pid, "limits"));
    section(&mut text, "Waits in", file(pid, "wchan"));
    section(&mut text, "Kernel stack", file(pid, "stack"));
    section(&mut text, "Children", children(pid));
    let user = proc::user(pid);
    // Before the open files, which may fill the rest.
    if let Some(log) = log {
        let lines = user.and_then(|user| last_lines(log, Some(identity), user));
        section(&mut text, "Log", lines.map(|lines| lines.join("\n")));
    }
    section(&mut text, "Open files", open_files(pid));
    if !lives() {
        return format!("{identity} ended while it was looked at.\n");
    }
    text
}

fn section(text: &mut String, title: &str, content: io::Result<String>) {
    let content = content.unwrap_or_else(|e| format!("(cannot be read: {e})"));
    let room = MOST.saturating_sub(text.len() + title.len() + 4);
    let content = plain_lines(content.trim_end());
    let mut end = content.len().min(room);
    while !content.is_char_boundary(end) {
        end -= 1;
    }
    if room > 0 {
        let _ = write!(text, "{title}:\n{}\n\n", &content[..end]);
    }
}

fn file(pid: u32, name: &str) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&proc::read(pid, name, MOST_OF_FILE)?).into_owned())
}

fn children(pid: u32) -> io::Result<String> {
    let children = select::scan()?.into_iter().filter(|stat| stat.ppid == pid).take(MOST_CHILDREN);
    let mut text = String::new();
    for child in children {
        let name = String::from_utf8_lossy(child.comm.as_bytes());
        let _ = writeln!(text, "{} {} ({})", child.pid, plain(&name), char::from(child.state).escape_default());
    }
    Ok(text)
}

fn open_files(pid: u32) -> io::Result<String> {
    let mut text = String::new();
    for (i, entry) in std::fs::read_dir(proc::path(pid, "fd"))?.enumerate() {
        if i == MOST_OPEN_FILES {
            text.push_str("and more\n");
            break;
        }
        let entry = entry?;
        if let Ok(target) = std::fs::read_link(entry.path()) {
            let _ = writeln!(text, "{} {}", entry.file_name().display(), plain(&target.to_string_lossy()));
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::testing::Program;
    use crate::sys::testing::until;

    #[test]
    fn a_process_is_seen_without_its_environment() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let lines: String = (0..50).map(|i| format!("line {i}\x1b[31m\r\n")).collect();
        std::fs::write(&log, lines).unwrap();
        let script = format!("exec 9<{}; SECRET=hidden sleep 60 & wait", log.display());
        let parent = Program::start("sh", &["-c", &script]);
        let children =
            || select::scan().unwrap().into_iter().filter(|stat| stat.ppid == parent.pid()).collect::<Vec<_>>();
        let sleeps = |child: &proc::Stat| child.comm.as_bytes() == b"sleep" && child.state == b'S';
        until("the child sleeps", || children().iter().any(sleeps));
        let text = snapshot(parent.identity(), Some(&Log::At(log.to_str().unwrap().parse().unwrap())));
        for part in
            ["Status:\nName: sh\n", "Max open files", "sleep (S)", &format!("9 {}", log.display()), "line 30 [31m\n"]
        {
            assert!(text.contains(part), "{part:?} in\n{text}");
        }
        assert!(!text.contains("line 29") && !text.contains('\x1b') && !text.contains('\r'));
        let child = children()[0];
        assert!(!snapshot(select::identity(&child), None).contains("hidden"));
    }

    #[test]
    fn another_process_with_the_same_pid_is_not_shown() {
        let sleep = Program::start("sleep", &["60"]);
        let other = Identity { start: sleep.identity().start + 1, ..sleep.identity() };
        assert_eq!(snapshot(other, None), format!("pid {} is gone.\n", sleep.pid()));
    }

    #[test]
    fn it_is_bounded() {
        let mut text = String::new();
        for _ in 0..5 {
            section(&mut text, "Much", Ok("ä".repeat(20_001)));
        }
        assert!(text.len() <= MOST, "{}", text.len());
    }
}
