//! The words of a one-line rule, each with its place in the line.

use super::diagnostic::quoted;
use std::ops::Range;

/// The longest rule: its parts are compared with each other.
const LONGEST: usize = 4096;

/// A word with its place: bytes of the line.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub kind: Kind,
    pub range: Range<usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// A name, keyword or unit.
    Word,
    /// A number, and the unit that follows without a space.
    Number,
    /// A text in quotes, without them.
    Text(String),
    /// `<`, `<=`, `>`, `>=`, `==`, `!=`
    Op,
    Open,
    Close,
    Comma,
    Arrow,
    /// The end of the line.
    End,
}

/// What is wrong with a line, and where in it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wrong {
    pub range: Range<usize>,
    pub message: String,
    pub help: Option<String>,
}

impl Wrong {
    pub fn new(range: Range<usize>, message: impl Into<String>) -> Wrong {
        Wrong { range, message: message.into(), help: None }
    }
    pub fn help(self, help: impl Into<String>) -> Wrong {
        Wrong { help: Some(help.into()), ..self }
    }
}

/// Splits a line into its words; the last one is [`Kind::End`].
pub(super) fn words(line: &str) -> Result<Vec<Token>, Wrong> {
    let mut tokens = Vec::new();
    let mut at = 0;
    if line.len() > LONGEST {
        return Err(Wrong::new(0..line.len(), format!("this is longer than {LONGEST} bytes")));
    }
    while let Some(c) = line[at..].chars().next() {
        let rest = &line[at..];
        if c.is_whitespace() {
            at += c.len_utf8();
            continue;
        }
        let fixed = [
            ("->", Kind::Arrow),
            ("<=", Kind::Op),
            (">=", Kind::Op),
            ("==", Kind::Op),
            ("!=", Kind::Op),
            ("=>", Kind::End),
            ("&&", Kind::End),
            ("||", Kind::End),
            ("<", Kind::Op),
            (">", Kind::Op),
            ("(", Kind::Open),
            (")", Kind::Close),
            (",", Kind::Comma),
        ];
        let (kind, length) = match fixed.into_iter().find(|(symbol, _)| rest.starts_with(symbol)) {
            Some((symbol, Kind::End)) => return Err(foreign(symbol, at)),
            Some((symbol, kind)) => (kind, symbol.len()),
            None if c == '"' => text(rest, at)?,
            None if c.is_ascii_digit() => (Kind::Number, word_length(rest)),
            None if c.is_ascii_alphabetic() || c == '_' || c == '%' => (Kind::Word, word_length(rest)),
            None => return Err(foreign(&rest[..c.len_utf8()], at)),
        };
        tokens.push(Token { kind, range: at..at + length });
        at += length;
    }
    tokens.push(Token { kind: Kind::End, range: at..at });
    Ok(tokens)
}

/// Names hold points and dashes, units a slash and a percent sign; an arrow ends a word that stands right before it.
fn word_length(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let part = |i: usize| match bytes[i] {
        b'-' => bytes.get(i + 1) != Some(&b'>'),
        b => b.is_ascii_alphanumeric() || b"_./%".contains(&b),
    };
    (0..bytes.len()).find(|i| !part(*i)).unwrap_or(bytes.len())
}

/// A text in double quotes. `\"` is a quote; any other backslash stands for itself, for regular expressions have many.
fn text(rest: &str, at: usize) -> Result<(Kind, usize), Wrong> {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((i, c)) = chars.next() {
        match c {
            '"' => return Ok((Kind::Text(text), i + 1)),
            '\\' => match chars.next() {
                Some((_, '"')) => text.push('"'),
                Some((_, c)) => text.extend(['\\', c]),
                None => break,
            },
            _ => text.push(c),
        }
    }
    Err(Wrong::new(at..at + rest.len(), "this text has no end").help("close it with a double quote (`\"`)"))
}

/// A text as [`words`] reads it.
pub(super) fn in_quotes(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\\\""))
}

/// Symbols of other languages, and what they are called here.
fn foreign(symbol: &str, at: usize) -> Wrong {
    let wrong = Wrong::new(at..at + symbol.len(), format!("{} has no meaning in a rule", quoted(symbol)));
    match symbol {
        "=" => wrong.help("to compare, write `==`"),
        "=>" => wrong.help("the arrow before actions is `->`; \"greater or equal\" is `>=`"),
        "&&" | "&" => wrong.help("write `and`"),
        "||" | "|" => wrong.help("write `or`"),
        "!" => wrong.help("write `not`"),
        "'" => wrong.help("texts stand in double quotes"),
        "-" => wrong.help("the arrow before actions is `->`; no metric is negative"),
        "{" | "}" | "[" | "]" => wrong.help("parentheses are round"),
        ";" => wrong.help("actions are separated by commas"),
        "." => wrong.help("numbers begin with a digit: `0.5`"),
        "/" | "@" | "\\" => {
            wrong.help("texts stand in double quotes; an action with arguments in the other form, under `then`")
        }
        "→" => wrong.help("write `->`"),
        "≥" | "≤" | "≠" => wrong.help("write `>=`, `<=` or `!=`"),
        _ => wrong,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &str) -> Vec<&str> {
        words(line).unwrap().iter().map(|token| &line[token.range.clone()]).collect()
    }

    #[test]
    fn words_are_told_apart() {
        assert_eq!(
            split("not(a-b.c>=1.5GiB and x.y!=\"q \\\" r\")->restart,notify ops.eu"),
            [
                "not",
                "(",
                "a-b.c",
                ">=",
                "1.5GiB",
                "and",
                "x.y",
                "!=",
                "\"q \\\" r\"",
                ")",
                "->",
                "restart",
                ",",
                "notify",
                "ops.eu",
                ""
            ]
        );
        assert_eq!(split("a.b > 10MB/s"), ["a.b", ">", "10MB/s", ""]);
        assert_eq!(split("a.b > 80 %"), ["a.b", ">", "80", "%", ""]);
    }

    #[test]
    fn backslashes_are_those_of_the_regular_expression() {
        let tokens = words(r#""a\.b\"c\\""#).unwrap();
        assert_eq!(tokens[0].kind, Kind::Text(r#"a\.b"c\\"#.to_owned()));
        assert_eq!(in_quotes(r#"a\.b"c\\"#), r#""a\.b\"c\\""#);
    }

    #[test]
    fn other_languages_are_understood() {
        for (line, help) in [
            ("a = b", "to compare, write `==`"),
            ("a && b", "write `and`"),
            ("a || b", "write `or`"),
            ("a => b", "the arrow before actions is `->`; \"greater or equal\" is `>=`"),
            ("!a", "write `not`"),
            ("a \"b", "close it with a double quote (`\"`)"),
        ] {
            assert_eq!(words(line).unwrap_err().help.as_deref(), Some(help), "{line}");
        }
        assert!(words("a § b").is_err());
    }
}
