//! Words in lines of comments.

use crate::model::plain;
use std::fmt::Write;

/// Lines are no longer than this, in characters.
const WIDTH: usize = 100;

/// Lines of comments.
#[derive(Default)]
pub(super) struct Page {
    pub out: String,
}

impl Page {
    /// A section with its title.
    pub fn section(&mut self, title: &str) {
        self.out.push_str("#\n");
        self.line(0, title);
    }

    /// A text, which goes on two deeper where it is too long for a line.
    pub fn line(&mut self, indent: usize, text: &str) {
        let mut line = format!("# {}", " ".repeat(indent));
        let (mut width, mut empty) = (line.len(), true);
        for word in unbroken(&plain(text)) {
            let length = word.chars().count();
            if !empty && width + 1 + length > WIDTH {
                self.out.push_str(line.trim_end());
                self.out.push('\n');
                line = format!("# {}", " ".repeat(indent + 2));
                (width, empty) = (line.len(), true);
            }
            if !empty {
                line.push(' ');
                width += 1;
            }
            line.push_str(&word);
            (width, empty) = (width + length, false);
        }
        self.out.push_str(line.trim_end());
        self.out.push('\n');
    }
}

/// The words of a text; what stands in backquotes is not divided, unless it is long.
fn unbroken(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut open = false;
    for word in text.split_whitespace() {
        match words.last_mut() {
            Some(last) if open && last.chars().count() + word.chars().count() < WIDTH / 2 => {
                last.push(' ');
                last.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
        open ^= word.matches('`').count() % 2 == 1;
    }
    words
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn and(words: &[String]) -> String {
    let mut out = String::new();
    for (i, word) in words.iter().enumerate() {
        let _ = match i {
            0 => write!(out, "{word}"),
            i if i + 1 == words.len() => write!(out, " and {word}"),
            _ => write!(out, ", {word}"),
        };
    }
    out
}
