//! The README, as a reader takes it: its blocks, and a block with the reader's own places in it.

use super::Nginx;
use std::path::Path;

/// A block of the README.
pub struct Block {
    /// What it is said to be: `sh`, `yaml`.
    pub language: String,
    /// The line of the README on which it begins.
    pub line: usize,
    /// What stands in it.
    pub text: String,
}

/// The whole README.
pub fn text() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

/// Its blocks, in order.
pub fn blocks() -> Vec<Block> {
    let text = text();
    let mut lines = text.lines().enumerate();
    let mut blocks = Vec::new();
    while let Some((number, line)) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let inner = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```");
            let text = inner.map(|line| format!("{line}\n")).collect();
            blocks.push(Block { language: language.to_owned(), line: number + 1, text });
        }
    }
    blocks
}

/// The file that the README has its reader write, by the name that stands in a comment above it.
#[track_caller]
pub fn file(name: &str) -> String {
    let text = text();
    let mark = format!("<!-- file: {name} -->\n```yaml\n");
    let (_, rest) = text.split_once(&mark).unwrap_or_else(|| panic!("the README has no file {name}"));
    rest.split_once("```\n").unwrap().0.to_owned()
}

/// The text with each of these replaced; every one must stand in it, so that nothing is replaced unseen.
#[track_caller]
pub fn with(text: &str, replacements: &[(&str, &str)]) -> String {
    replacements.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "the README no longer says {from:?}:\n{text}");
        text.replace(from, to)
    })
}

/// The README's rules for nginx, with places of the test in them. Its webhook is in `$CHAT_URL`.
#[track_caller]
pub fn nginx_rules(nginx: &Nginx, mail: &str) -> String {
    with(
        &file("nginx.yaml"),
        &[
            // Written by `Minder::write`.
            ("version: 1\n", ""),
            ("127.0.0.1:25", mail),
            ("[/usr/sbin/nginx]", &nginx.start_command()),
            ("/run/nginx.pid", nginx.pidfile().to_str().unwrap()),
            ("http://127.0.0.1/", &format!("http://127.0.0.1:{}/", nginx.port)),
        ],
    )
}
