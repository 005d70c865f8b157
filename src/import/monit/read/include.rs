//! Included files stand where they are named: their words become part of the text around them, even of a single service.

use super::lexer::{Kind, Place, Token, tokens};
use crate::import::File;
use std::collections::VecDeque;

/// Files may include files, so deep.
const DEPTH: usize = 16;
/// So many files are read, one that is included twice counted twice.
const FILES: usize = 1000;
/// All of them together.
const BYTES: usize = 16 << 20;

/// Looks up the files that a pattern names.
pub type Find<'a> = dyn FnMut(&str) -> Result<Vec<File>, String> + 'a;

/// What was read.
pub struct Text {
    pub tokens: Vec<Token>,
    /// The names of the files, which places point to.
    pub files: Vec<String>,
    /// Every `include`, and what is to be said of it.
    pub includes: Vec<(Place, String, Result<(), String>)>,
}

/// The words of a file and of all that it includes.
pub fn read(main: File, find: &mut Find<'_>) -> Text {
    let mut reader = Reader {
        text: Text { tokens: Vec::new(), files: Vec::new(), includes: Vec::new() },
        bytes: 0,
        within: Vec::new(),
        find,
    };
    reader.file(main);
    reader.text
}

struct Reader<'a, 'f> {
    text: Text,
    bytes: usize,
    /// The files on the way to this one.
    within: Vec<String>,
    find: &'a mut Find<'f>,
}

impl Reader<'_, '_> {
    fn file(&mut self, file: File) {
        self.bytes += file.text.len();
        let mut waiting: VecDeque<Token> = tokens(&file.text, self.text.files.len()).into();
        self.text.files.push(file.name.clone());
        self.within.push(file.name.clone());
        while let Some(token) = waiting.pop_front() {
            let named = waiting.front().is_some_and(|next| {
                matches!(next.kind, Kind::Word | Kind::Quoted) && (token.first || next.text.starts_with('/'))
            });
            match waiting.pop_front_if(|_| token.is("include") && named) {
                Some(pattern) => {
                    let place = self.text.includes.len();
                    let statement = format!("include {}", pattern.text);
                    self.text.includes.push((token.place, statement, Ok(())));
                    let outcome = self.include(&pattern.text);
                    self.text.includes[place].2 = outcome;
                    // What follows begins a statement, wherever it stands.
                    if let Some(next) = waiting.front_mut() {
                        next.first = true;
                    }
                }
                None => self.text.tokens.push(token),
            }
        }
        self.within.pop();
    }

    fn include(&mut self, pattern: &str) -> Result<(), String> {
        if self.within.len() >= DEPTH {
            return Err(format!("files include files more than {DEPTH} levels deep"));
        }
        let files = (self.find)(pattern)?;
        for mut file in files {
            if self.within.contains(&file.name) {
                return Err(format!("{} includes itself", file.name));
            }
            if self.text.files.len() >= FILES || self.bytes + file.text.len() > BYTES {
                return Err(format!("more than {FILES} files, or {} MiB, are not read", BYTES >> 20));
            }
            // Its first word begins a statement, and so does the one behind its last.
            file.text.push('\n');
            self.file(file);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: &str) -> File {
        File { name: name.to_owned(), text: text.to_owned() }
    }

    fn run(files: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let mut find = |pattern: &str| match files.iter().filter(|(name, _)| *name == pattern).collect::<Vec<_>>() {
            found if found.is_empty() => Err("no such file".to_owned()),
            found => Ok(found.into_iter().map(|(name, text)| file(name, text)).collect()),
        };
        let read = read(file(files[0].0, files[0].1), &mut find);
        let words = read.tokens.into_iter().map(|token| token.text).collect();
        (words, read.includes.into_iter().filter_map(|(_, _, outcome)| outcome.err()).collect())
    }

    #[test]
    fn files_stand_where_they_are_named() {
        let (words, wrong) = run(&[
            ("/a", "one\ninclude /b\nthree include none\n"),
            ("/b", "two # include /c\ninclude /c"),
            ("/c", "2.5"),
        ]);
        assert_eq!(words, ["one", "two", "2.5", "three", "include", "none"]);
        assert!(wrong.is_empty());
    }

    #[test]
    fn circles_and_floods_end() {
        let (words, wrong) = run(&[("/a", "x\ninclude /b"), ("/b", "y\ninclude /a\nz")]);
        assert_eq!((words, wrong), (vec!["x".into(), "y".into(), "z".into()], vec!["/a includes itself".to_owned()]));
        let bomb = "include /1\n".repeat(50);
        let (_, wrong) =
            run(&[("/0", &bomb), ("/1", "include /2\ninclude /2"), ("/2", &"include /3\n".repeat(50)), ("/3", "x")]);
        assert!(wrong.iter().any(|why| why.starts_with("more than 1000 files")));
        assert_eq!(run(&[("/a", "include /none")]).1, ["no such file"]);
    }
}
