//! Reads the sources and fails on an import that runs the wrong way, on I/O where decisions are made, on unsafe code outside
//! `sys`, and on clocks read outside `daemon/clock.rs`. Who may import whom stands in the table of `src/lib.rs`, and only there.
//!
//! It looks at every path that begins with `crate`, `super`, `minder`, `std` or `tokio`, wherever it stands, with its groups
//! taken apart. It does not look at comments, texts and what is `#[cfg(test)]`: a test may reach across layers.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The file of config that looks at files: the rest of it is a function of their text.
const READERS: [&str; 1] = ["config/source.rs"];

/// What has a `now` that reads a clock.
const CLOCKS: [&str; 4] = ["Instant", "SystemTime", "Timestamp", "Zoned"];

/// What marks an item as part of the tests.
const TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];

/// Where a path leads: its segments, and the line it begins in.
type Reached = (Vec<String>, usize);

#[derive(Debug, Clone, PartialEq)]
struct Token {
    text: String,
    line: usize,
}

/// Names, numbers and punctuation; `::` is one token. Comments, texts and characters are left out.
fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let (mut tokens, mut i, mut line) = (Vec::new(), 0, 1);
    while i < chars.len() {
        let start = i;
        match chars[i] {
            '/' if at(i + 1) == '/' => {
                while i < chars.len() && chars[i] != '\n' {
                    i += 1;
                }
            }
            '/' if at(i + 1) == '*' => {
                let mut depth = 0;
                loop {
                    match (at(i), at(i + 1)) {
                        ('/', '*') => (depth, i) = (depth + 1, i + 2),
                        ('*', '/') => (depth, i) = (depth - 1, i + 2),
                        _ => i += 1,
                    }
                    if depth == 0 || i >= chars.len() {
                        break;
                    }
                }
            }
            '"' => {
                i += 1;
                while i < chars.len() && chars[i] != '"' {
                    i += if chars[i] == '\\' { 2 } else { 1 };
                }
                i += 1;
            }
            // A character; otherwise a lifetime.
            '\'' if at(i + 1) == '\\' => {
                i += 3;
                while i < chars.len() && chars[i] != '\'' {
                    i += 1;
                }
                i += 1;
            }
            '\'' if at(i + 2) == '\'' => i += 3,
            ':' if at(i + 1) == ':' => {
                i += 2;
                tokens.push(Token { text: "::".into(), line });
            }
            c if word(c) => {
                while word(at(i)) {
                    i += 1;
                }
                let name: String = chars[start..i].iter().collect();
                let hashes = (i..).take_while(|&j| at(j) == '#').count();
                if matches!(name.as_str(), "r" | "br" | "cr") && at(i + hashes) == '"' {
                    i += hashes + 1;
                    let ends = |i: usize| at(i) == '"' && (1..=hashes).all(|j| at(i + j) == '#');
                    while i < chars.len() && !ends(i) {
                        i += 1;
                    }
                    i += hashes + 1;
                } else if name == "r" && hashes == 1 && word(at(i + 1)) {
                    i += 1;
                } else {
                    tokens.push(Token { text: name, line });
                }
            }
            c => {
                i += 1;
                if !c.is_whitespace() {
                    tokens.push(Token { text: c.to_string(), line });
                }
            }
        }
        line += chars[start..i.min(chars.len())].iter().filter(|c| **c == '\n').count();
    }
    tokens
}

/// Whether `#[cfg(test)]` begins here.
fn is_test(tokens: &[Token]) -> bool {
    tokens.iter().map(|t| t.text.as_str()).take(TEST.len()).eq(TEST)
}

/// The files that are modules for tests only, of those that this file declares.
fn test_files(file: &Path, tokens: &[Token]) -> Vec<PathBuf> {
    let within = match file.file_stem().and_then(|s| s.to_str()) {
        Some("mod" | "lib" | "main") => file.parent().unwrap().to_owned(),
        _ => file.with_extension(""),
    };
    let starts = (0..tokens.len()).filter(|&i| is_test(&tokens[i..]));
    let items = starts.map(|i| tokens[i + TEST.len()..].iter().map(|t| t.text.as_str()).filter(|t| *t != "pub"));
    let names = items.filter_map(|mut item| (item.next() == Some("mod")).then(|| item.next())?);
    names.flat_map(|name| [within.join(name).with_extension("rs"), within.join(name)]).collect()
}

/// The tokens without what follows `#[cfg(test)]`: up to the end of its block, or the next semicolon.
fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    let (mut kept, mut i) = (Vec::new(), 0);
    while i < tokens.len() {
        if !is_test(&tokens[i..]) {
            kept.push(tokens[i].clone());
            i += 1;
            continue;
        }
        let mut depth = 0;
        i += TEST.len();
        while i < tokens.len() {
            match tokens[i].text.as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            i += 1;
            if depth == 0 && matches!(tokens[i - 1].text.as_str(), "}" | ";") {
                break;
            }
        }
    }
    kept
}

/// Every path that begins with one of these names, groups taken apart.
fn paths(tokens: &[Token], roots: &[&str]) -> Vec<Reached> {
    let mut found = Vec::new();
    for i in 0..tokens.len() {
        let begins = i == 0 || tokens[i - 1].text != "::";
        if begins && roots.contains(&tokens[i].text.as_str()) {
            expand(tokens, i, Vec::new(), &mut found);
        }
    }
    found
}

/// Follows the path from the name at `i`, and returns where it ends.
fn expand(tokens: &[Token], mut i: usize, mut path: Vec<String>, found: &mut Vec<Reached>) -> usize {
    let line = tokens[i].line;
    let text = |i: usize| tokens.get(i).map_or("", |t| t.text.as_str());
    loop {
        if text(i) == "{" {
            let mut depth = 1;
            i += 1;
            while i < tokens.len() && depth > 0 {
                match text(i) {
                    "}" => (depth, i) = (depth - 1, i + 1),
                    "," => i += 1,
                    "as" => i += 2,
                    _ => i = expand(tokens, i, path.clone(), found),
                }
            }
            return i;
        }
        path.push(text(i).to_owned());
        i += 1;
        if text(i) != "::"
            || !(text(i + 1) == "{" || text(i + 1).starts_with(|c: char| c.is_alphanumeric() || c == '_'))
        {
            found.push((path, line));
            return i;
        }
        i += 1;
    }
}

/// `super::super::x` seen from `notify/email.rs` is `x` of the crate.
fn from_the_crate(path: &[String], file: &Path) -> Vec<String> {
    let mut module: Vec<String> =
        file.with_extension("").components().map(|c| c.as_os_str().to_string_lossy().into_owned()).collect();
    if module.last().is_some_and(|last| matches!(last.as_str(), "mod" | "lib" | "main")) {
        module.pop();
    }
    let supers = path.iter().take_while(|s| *s == "super").count();
    if supers == 0 {
        return path[1..].to_vec();
    }
    module.truncate(module.len().saturating_sub(supers));
    module.extend_from_slice(&path[supers..]);
    module
}

/// Who may import whom, as the table of `lib.rs` says it.
fn table(lib: &str) -> BTreeMap<String, BTreeSet<String>> {
    let quoted = |cell: &str| -> Vec<String> {
        cell.split('`').skip(1).step_by(2).map(|name| name.trim_matches(['[', ']']).to_owned()).collect()
    };
    let rows: Vec<(String, &str)> = (lib.lines())
        .filter_map(|line| line.strip_prefix("//! | [`")?.strip_suffix(" |"))
        .filter_map(|row| Some((row.split_once('`')?.0.to_owned(), row.rsplit_once(" | ")?.1)))
        .collect();
    let all: BTreeSet<String> = rows.iter().map(|(layer, _)| layer.clone()).collect();
    let mut table = BTreeMap::new();
    for (layer, may) in &rows {
        let named: BTreeSet<String> = quoted(may).into_iter().collect();
        assert!(named.is_subset(&all), "the table names a layer that it has no row for: {may}");
        let may = if may.starts_with("all but") { &all - &named } else { named };
        table.insert(layer.clone(), may);
    }
    table
}

/// Everything that is wrong with one file. `file` is relative to `src`.
fn mistakes(file: &Path, source: &str, table: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut mistakes = Vec::new();
    let tokens = without_tests(tokens(source));
    let first = file.components().next().map(|c| c.as_os_str().to_string_lossy().into_owned()).unwrap_or_default();
    let layer = first.trim_end_matches(".rs");
    // The program is as thin as can be.
    let cli = BTreeSet::from(["cli".to_owned()]);
    let may = match layer {
        "main" => Some(&cli),
        "lib" => None,
        _ => Some(table.get(layer).unwrap_or_else(|| panic!("src/lib.rs has no row for the layer `{layer}`"))),
    };
    let mut wrong = |line: usize, what: String| mistakes.push(format!("src/{}:{line}: {what}", file.display()));

    for (path, line) in paths(&tokens, &["crate", "super", "minder"]) {
        let path = from_the_crate(&path, file);
        let Some(to) = path.first().filter(|to| table.contains_key(*to) && *to != layer) else { continue };
        if may.is_some_and(|may| !may.contains(to)) {
            wrong(line, format!("`{layer}` imports `{}`, and may not know `{to}`", path.join("::")));
        }
    }
    let pure = matches!(layer, "model" | "engine" | "config");
    for (path, line) in paths(&tokens, &["std", "tokio"]) {
        let touches = match path.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["tokio", ..] => true,
            ["std", "fs", ..] => !READERS.iter().any(|reader| file == Path::new(reader)),
            ["std", "process" | "thread", ..] | ["std", "net"] => true,
            ["std", "net", thing, ..] => {
                thing.starts_with("Tcp") || thing.starts_with("Udp") || thing == "ToSocketAddrs" || thing == "*"
            }
            ["std", "os", "unix", "net", ..] => true,
            _ => false,
        };
        if pure && touches {
            wrong(line, format!("`{layer}` is pure, and uses `{}`", path.join("::")));
        }
    }
    for (i, token) in tokens.iter().enumerate() {
        if token.text == "unsafe" && layer != "sys" {
            wrong(token.line, "unsafe code stands in `sys` only".to_owned());
        }
        let of_clock = i > 1 && tokens[i - 1].text == "::" && CLOCKS.contains(&tokens[i - 2].text.as_str());
        if token.text == "now" && of_clock && file != Path::new("daemon/clock.rs") {
            wrong(token.line, "time is passed in: only daemon/clock.rs reads a clock".to_owned());
        }
    }
    mistakes
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn imports_run_one_way() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let table = table(&std::fs::read_to_string(src.join("lib.rs")).unwrap());
    let mut files = Vec::new();
    sources(&src, &mut files);
    assert!(files.len() > 20, "these are not the sources");
    let read = |path: &PathBuf| std::fs::read_to_string(path).unwrap();
    let file = |path: &PathBuf| path.strip_prefix(&src).unwrap().to_owned();
    let tests: Vec<PathBuf> = files.iter().flat_map(|path| test_files(&file(path), &tokens(&read(path)))).collect();
    let mut wrong = Vec::new();
    for path in files.iter().filter(|path| !tests.iter().any(|test| file(path).starts_with(test))) {
        wrong.extend(mistakes(&file(path), &read(path), &table));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The scanner itself: each of these must be found, and none of those.
mod scanner {
    use super::*;

    fn found(file: &str, source: &str) -> Vec<String> {
        let table = table(&std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap());
        mistakes(Path::new(file), source, &table)
    }

    #[test]
    fn the_table_is_read() {
        let table = table(
            "//! | layer | what it does | may import |\n//! |---|---|---|\n\
             //! | [`model`] | words | nothing of ours |\n//! | [`store`] | keeps | `model` |\n\
             //! | [`cli`] | commands | `model` |\n//! | [`daemon`] | wires | all but `cli` |\n",
        );
        let set = |names: &[&str]| names.iter().map(|n| n.to_string()).collect::<BTreeSet<_>>();
        assert_eq!(table["model"], set(&[]));
        assert_eq!(table["store"], set(&["model"]));
        assert_eq!(table["daemon"], set(&["daemon", "model", "store"]));
    }

    #[test]
    fn finds_every_wrong_way() {
        for (file, source) in [
            ("model/plan.rs", "use crate::engine::Engine;"),
            ("model/mod.rs", "use super::config;"),
            ("model/kinds/http.rs", "use super::super::super::probe::Probes;"),
            ("engine/rule.rs", "use crate::{model::{Plan, Rule}, store::Store};"),
            ("engine/rule.rs", "use crate::{\n    model,\n    notify as n,\n};"),
            ("notify/email.rs", "fn f() { let x = crate::control::start(); }"),
            ("probe/http.rs", "type X = Vec<crate::listen::Listen>;"),
            ("sys/mod.rs", "pub use crate::model::Identity;"),
            ("dashboard/page.rs", "use crate::daemon::Loop;"),
            ("cli/run.rs", "use crate::store::Store;"),
            ("main.rs", "fn main() { minder::daemon::run() }"),
            ("engine/mod.rs", "use tokio::time::sleep;"),
            ("model/plan.rs", "use std::{fmt, fs};"),
            ("model/plan.rs", "fn f() { std::process::exit(1) }"),
            ("engine/mod.rs", "use std::net::{IpAddr, TcpStream};"),
            ("config/yaml.rs", "use std::os::unix::net::UnixStream;"),
            ("config/yaml.rs", "use std::{fmt, fs::File as F};"),
            ("probe/http.rs", "fn f() { unsafe { g() } }"),
            ("probe/http.rs", "#[allow(unsafe_code)]\nunsafe fn f() {}"),
            ("engine/mod.rs", "fn f() { let t = std::time::Instant::now(); }"),
            ("daemon/mod.rs", "use jiff::Zoned; fn f() -> Zoned { Zoned::now() }"),
            ("store/mod.rs", "fn f() { g.map(SystemTime::now) }"),
            ("store/mod.rs", "#[cfg(test)]\nmod tests { fn f() {} }\nuse crate::probe::Probes;"),
            ("store/mod.rs", "const Q: char = '\"'; use crate::probe::Probes; const R: &str = \"\";"),
            ("store/mod.rs", "const Q: char = '\\''; use crate::probe::Probes;"),
            ("store/mod.rs", "const Q: &str = r#\"\"#; use crate::probe::Probes;"),
            ("store/mod.rs", "/* a /* b */ */ use crate::probe::Probes;"),
            ("store/mod.rs", "fn f<'a>(x: &'a str) -> &'a str { crate::probe::f(x) }"),
        ] {
            assert_eq!(found(file, source).len(), 1, "{file}: {source}");
        }
    }

    #[test]
    fn finds_nothing_where_all_is_well() {
        for (file, source) in [
            ("engine/rule.rs", "use crate::model::{Plan, Rule};\nuse super::state::State;"),
            ("notify/email.rs", "use super::{Failure, render};\nuse crate::{model, sys};"),
            ("model/plan.rs", "use std::net::SocketAddr; // not crate::engine\n/// See [`crate::engine`].\nfn f() {}"),
            ("model/plan.rs", "const X: &str = \"crate::engine unsafe Instant::now()\";"),
            ("model/plan.rs", "const X: &str = r##\"\"# crate::engine::x\"##;"),
            ("config/source.rs", "use std::fs::File;"),
            ("probe/process.rs", "fn f() { Machine::now() }"),
            ("daemon/clock.rs", "fn f() { Instant::now() }"),
            ("probe/http.rs", "fn f(clock: &dyn Clock) { clock.now() }"),
            ("sys/spawn.rs", "fn f() { unsafe { libc::fork() } }"),
            ("store/mod.rs", "#[cfg(test)]\nmod tests { use crate::probe::Probes; fn f() { Instant::now() } }"),
            ("daemon/mod.rs", "use crate::{probe, store, notify::Notifiers, model::*};"),
            ("main.rs", "fn main() { minder::cli::main() }"),
            ("lib.rs", "pub mod engine;\n#![deny(unsafe_code)]"),
        ] {
            assert_eq!(found(file, source), Vec::<String>::new(), "{file}: {source}");
        }
    }

    #[test]
    fn modules_for_tests_are_known() {
        let source = "#[cfg(test)]\npub mod testing;\n#[cfg(test)]\nmod tests { use x; }\nmod real;";
        let names = |file: &str| test_files(Path::new(file), &tokens(source));
        let expected = ["sys/testing.rs", "sys/testing", "sys/tests.rs", "sys/tests"].map(PathBuf::from);
        assert_eq!(names("sys/mod.rs"), expected);
        assert_eq!(names("sys.rs"), expected);
    }

    #[test]
    fn says_where() {
        let found = found("model/plan.rs", "\n\nuse crate::{\n    engine::Engine,\n};");
        assert_eq!(found, ["src/model/plan.rs:4: `model` imports `engine::Engine`, and may not know `engine`"]);
    }
}
