//! YAML, as people would write it: plain where that is safe, in quotes otherwise.

use crate::model::{clip, plain};
use std::fmt::Write;

/// Comments are for people, who have screens.
const COMMENT: usize = 400;
/// Words that YAML, or one of its versions, takes for something else than a text.
const TAKEN: &[&str] = &["true", "false", "null", "yes", "no", "on", "off", "y", "n"];

/// A text as a value, also within `[..]` and `{..}`.
pub fn scalar(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "/._@+-".contains(c);
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    if starts && text.chars().all(safe) && !TAKEN.iter().any(|word| text.eq_ignore_ascii_case(word)) {
        return text.to_owned();
    }
    quoted(text)
}

/// A rule as an element of a list.
pub fn rule(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || " ._%<>=!/(),-".contains(c);
    // A space at the end of a bare text is no part of it.
    if text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(safe) && !text.ends_with(' ') {
        text.to_owned()
    } else if text.chars().all(is_shown) {
        format!("'{}'", text.replace('\'', "''"))
    } else {
        quoted(text)
    }
}

/// A list within brackets.
pub fn list<S: AsRef<str>>(items: &[S]) -> String {
    let items: Vec<String> = items.iter().map(|item| scalar(item.as_ref())).collect();
    format!("[{}]", items.join(", "))
}

/// A comment of one line, without its `#`.
pub fn comment(text: &str) -> String {
    let text: String = plain(text).chars().map(|c| if is_shown(c) { c } else { ' ' }).collect();
    clip(&text.split_whitespace().collect::<Vec<_>>().join(" "), COMMENT)
}

fn is_shown(c: char) -> bool {
    c.is_ascii_graphic() || c == ' ' || (!c.is_ascii() && c.is_alphanumeric())
}

/// In double quotes, with escapes for what cannot be seen.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        // Writing to a text cannot fail.
        let _ = match c {
            '"' | '\\' => write!(out, "\\{c}"),
            '\n' => write!(out, "\\n"),
            '\r' => write!(out, "\\r"),
            '\t' => write!(out, "\\t"),
            c if is_shown(c) => write!(out, "{c}"),
            c if (c as u32) < 0x100 => write!(out, "\\x{:02x}", c as u32),
            c if (c as u32) < 0x1_0000 => write!(out, "\\u{:04x}", c as u32),
            c => write!(out, "\\U{:08x}", c as u32),
        };
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_are_plain_where_that_is_safe() {
        for (text, written) in [
            ("/run/x.pid", "/run/x.pid"),
            ("ops@example.org", "ops@example.org"),
            ("host:80", "\"host:80\""),
            ("no", "\"no\""),
            ("33", "\"33\""),
            ("", "\"\""),
            ("a\"b\\c\n\u{1f}\u{2028}", "\"a\\\"b\\\\c\\n\\x1f\\u2028\""),
            ("-c", "\"-c\""),
        ] {
            assert_eq!(scalar(text), written);
        }
        assert_eq!(rule("file.mode != \"0755\" -> notify"), "'file.mode != \"0755\" -> notify'");
        assert_eq!(rule("process.cpu > 80% for 5m -> restart"), "process.cpu > 80% for 5m -> restart");
        assert_eq!(rule("A "), "'A '");
        assert_eq!(comment("a\n\tb\u{202e} c"), "a b c");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(text in any::<String>()) {
            let back: Vec<String> = serde_yaml::from_str(&format!("[{}]", scalar(&text))).unwrap();
            prop_assert_eq!(&back[0], &text);
            let back: Vec<String> = serde_yaml::from_str(&format!("- {}\n", rule(&text))).unwrap();
            prop_assert_eq!(&back[0], &text);
        }
    }
}
