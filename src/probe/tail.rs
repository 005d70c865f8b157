//! New lines at the end of a file, through rotation by renaming and through truncation.

use crate::model::Pattern;
use crate::sys::careful;
use std::collections::VecDeque;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

/// As much is read in one look; the rest waits for the next.
const MOST_READ: u64 = 8 << 20;
/// As much of a line is matched.
const MOST_OF_LINE: usize = 64 << 10;
/// A file that was replaced, the one before it, and the present one.
const MOST_FILES: usize = 3;

/// Where reading goes on.
#[derive(Default)]
pub(super) struct Tail {
    looked: bool,
    /// The present file is the last one. A file that was replaced stays for another look: its writer may not know yet.
    files: VecDeque<Followed>,
}

struct Followed {
    /// Kept open: its inode cannot be given to another file, and it can be read after it was renamed or deleted.
    file: File,
    id: (u64, u64),
    offset: u64,
    /// The beginning of a line whose end has not been written yet.
    line: Vec<u8>,
}

impl Tail {
    /// How many lines were added (that match) since the last look: none in the first look, which begins at the end. Nothing
    /// where there is no such file, and nothing was added to what it was.
    pub(super) fn look(
        &mut self,
        path: &Path,
        present: Option<&Metadata>,
        pattern: Option<&Pattern>,
    ) -> io::Result<Option<u64>> {
        let first = !std::mem::replace(&mut self.looked, true);
        let mut replaced = 0;
        if let Some(present) = present
            && self.files.back().map(|followed| followed.id) != Some((present.dev(), present.ino()))
        {
            replaced = usize::from(!self.files.is_empty());
            let file = careful::open_regular(path)?;
            let opened = file.metadata()?;
            let offset = if first { opened.len() } else { 0 };
            self.files.push_back(Followed { file, id: (opened.dev(), opened.ino()), offset, line: Vec::new() });
        }
        let mut room = MOST_READ;
        let mut lines = 0;
        for followed in &mut self.files {
            lines += followed.read(&mut room, pattern)?;
        }
        // Those replaced in an earlier look have been read to their end by now, if there was room.
        while self.files.len() > 1 + replaced && (room > 0 || self.files.len() > MOST_FILES) {
            if let Some(old) = self.files.pop_front() {
                lines += u64::from(!old.line.is_empty() && counts(&old.line, pattern));
            }
        }
        Ok((present.is_some() || lines > 0).then_some(lines))
    }
}

impl Followed {
    fn read(&mut self, room: &mut u64, pattern: Option<&Pattern>) -> io::Result<u64> {
        if self.file.metadata()?.len() < self.offset {
            self.offset = 0;
            self.line.clear();
        }
        let mut lines = 0;
        let mut buffer = vec![0; 64 << 10];
        while *room > 0 {
            let len = self.file.read_at(&mut buffer, self.offset)?;
            if len == 0 {
                break;
            }
            self.offset += len as u64;
            *room = room.saturating_sub(len as u64);
            lines += self.take(&buffer[..len], pattern);
        }
        Ok(lines)
    }

    fn take(&mut self, bytes: &[u8], pattern: Option<&Pattern>) -> u64 {
        let mut lines = 0;
        let mut pieces = bytes.split(|b| *b == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            let room = MOST_OF_LINE - self.line.len();
            self.line.extend_from_slice(&piece[..piece.len().min(room)]);
            if pieces.peek().is_some() {
                lines += u64::from(counts(&self.line, pattern));
                self.line.clear();
            }
        }
        lines
    }
}

fn counts(line: &[u8], pattern: Option<&Pattern>) -> bool {
    pattern.is_none_or(|pattern| pattern.is_match(&String::from_utf8_lossy(line)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{OpenOptions, rename, write};
    use std::io::Write;

    struct Log {
        dir: tempfile::TempDir,
        tail: Tail,
    }

    impl Log {
        fn new() -> Log {
            Log { dir: tempfile::tempdir().unwrap(), tail: Tail::default() }
        }
        fn path(&self, name: &str) -> std::path::PathBuf {
            self.dir.path().join(name)
        }
        fn append(&self, name: &str, text: &str) {
            let mut file = OpenOptions::new().append(true).create(true).open(self.path(name)).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }
        fn look(&mut self, pattern: Option<&str>) -> Option<u64> {
            let path = self.path("log");
            let pattern = pattern.map(|p| Pattern::new(p).unwrap());
            self.tail.look(&path, std::fs::metadata(&path).ok().as_ref(), pattern.as_ref()).unwrap()
        }
    }

    #[test]
    fn the_first_look_begins_at_the_end() {
        let mut log = Log::new();
        log.append("log", "old\nold\n");
        assert_eq!(log.look(None), Some(0));
        log.append("log", "new\n");
        assert_eq!(log.look(None), Some(1));
        assert_eq!(log.look(None), Some(0));
    }

    #[test]
    fn a_file_that_comes_later_is_new_from_its_beginning() {
        let mut log = Log::new();
        assert_eq!(log.look(None), None);
        log.append("log", "one\ntwo\n");
        assert_eq!(log.look(None), Some(2));
    }

    #[test]
    fn half_a_line_waits_for_its_end() {
        let mut log = Log::new();
        log.append("log", "");
        assert_eq!(log.look(Some("^error$")), Some(0));
        log.append("log", "fine\nerr");
        assert_eq!(log.look(Some("^error$")), Some(0));
        log.append("log", "or\nerror\n\n");
        assert_eq!(log.look(Some("^error$")), Some(2));
    }

    #[test]
    fn rotation_loses_no_line() {
        let mut log = Log::new();
        log.append("log", "before\n");
        log.look(None);
        log.append("log", "1\n");
        rename(log.path("log"), log.path("log.1")).unwrap();
        log.append("log.1", "2\n");
        assert_eq!(log.look(None), Some(2), "read to its end though it has no successor yet");
        assert_eq!(log.look(None), None);
        log.append("log.1", "3\n");
        log.append("log", "4\n5\n");
        assert_eq!(log.look(None), Some(3));
        log.append("log.1", "6\nlast");
        assert_eq!(log.look(None), Some(2), "its writer had not noticed yet; and a last line may have no end");
        log.append("log", "7\n");
        assert_eq!((log.look(None), log.tail.files.len()), (Some(1), 1));
    }

    #[test]
    fn a_truncated_file_begins_anew() {
        let mut log = Log::new();
        log.append("log", "a long line that was there before\nhalf");
        log.look(None);
        log.append("log", "-done\nhalf");
        assert_eq!(log.look(None), Some(1));
        write(log.path("log"), "x\ny\n").unwrap();
        assert_eq!(log.look(None), Some(2));
    }

    #[test]
    fn one_look_is_bounded_and_the_next_goes_on() {
        let mut log = Log::new();
        log.append("log", "");
        log.look(None);
        let line = "x".repeat(1023) + "\n";
        log.append("log", &line.repeat(10 << 10));
        assert_eq!(log.look(None), Some(8 << 10));
        assert_eq!(log.look(None), Some(2 << 10));
    }

    #[test]
    fn a_line_without_end_takes_bounded_memory() {
        let mut log = Log::new();
        log.append("log", "");
        log.look(Some("b"));
        log.append("log", &"a".repeat(1 << 20));
        assert_eq!(log.look(Some("b")), Some(0));
        assert!(log.tail.files[0].line.capacity() <= 2 * MOST_OF_LINE);
        log.append("log", "b\nb\n");
        assert_eq!(log.look(Some("b")), Some(1), "what is beyond the bound is not matched");
    }

    #[test]
    fn bytes_that_are_no_text_are_matched_too() {
        let mut log = Log::new();
        log.append("log", "");
        log.look(Some("error"));
        let mut file = OpenOptions::new().append(true).open(log.path("log")).unwrap();
        file.write_all(b"\xff\0 error \xfe\n").unwrap();
        assert_eq!(log.look(Some("error")), Some(1));
    }
}
