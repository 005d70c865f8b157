//! The words of a control file, each with its place.

/// A word with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    pub kind: Kind,
    /// Without quotes.
    pub text: String,
    pub place: Place,
    /// It begins its line: where a statement may begin.
    pub first: bool,
    /// Nothing stands between it and the one before.
    pub glued: bool,
}

/// Where a word stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The place of the file among those that were read.
    pub file: usize,
    /// From 1.
    pub line: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Word,
    Quoted,
    Sign,
    /// What stands in the braces of a mail format, or in brackets: text of its own kind.
    Block,
}

impl Token {
    /// Whether it is this word, in whatever letters, and not in quotes.
    pub fn is(&self, word: &str) -> bool {
        self.kind != Kind::Quoted && self.kind != Kind::Block && self.text.eq_ignore_ascii_case(word)
    }
}

const SIGNS: &[&str] = &[">=", "<=", "==", "!=", "{", "}", "(", ")", ",", "=", "<", ">", "!", ";"];

/// Splits a text into its words. Nothing is an error: a quote without an end is a text to the end of its line.
pub fn tokens(text: &str, file: usize) -> Vec<Token> {
    let mut lexer = Lexer { text, at: 0, line: 1, tokens: Vec::new(), file, first: true, glued: false };
    while let Some(c) = lexer.rest().chars().next() {
        if c == '\n' {
            (lexer.first, lexer.glued) = (true, false);
            lexer.skip(1);
        } else if c.is_whitespace() || c == '\u{feff}' {
            lexer.glued = false;
            lexer.skip(c.len_utf8());
        } else if c == '#' && !lexer.glued {
            let end = lexer.rest().find('\n').unwrap_or(lexer.rest().len());
            lexer.skip(end);
        } else {
            lexer.token(c);
        }
    }
    lexer.tokens
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    line: u32,
    file: usize,
    tokens: Vec<Token>,
    first: bool,
    glued: bool,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip(&mut self, bytes: usize) {
        let lines = self.rest()[..bytes].bytes().filter(|b| *b == b'\n').count();
        self.line = self.line.saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
        self.at += bytes;
    }

    /// Adds what begins here, without `around` bytes at both ends, and goes on behind it.
    fn push(&mut self, kind: Kind, length: usize, around: usize) {
        let text = self.rest()[around..length.saturating_sub(around).max(around)].to_owned();
        let place = Place { file: self.file, line: self.line };
        self.tokens.push(Token { kind, text, place, first: self.first, glued: self.glued });
        (self.first, self.glued) = (false, true);
        self.skip(length);
    }

    fn after(&self, words: &[&str]) -> bool {
        self.tokens.last().is_some_and(|last| words.iter().any(|word| last.is(word)))
    }

    fn token(&mut self, c: char) {
        let rest = self.rest();
        if c == '"' || c == '\'' {
            match closing(rest, c).filter(|end| !holds_a_service(&rest[1..*end])) {
                Some(end) => self.push(Kind::Quoted, end + 1, 1),
                None => {
                    let end = rest.find('\n').unwrap_or(rest.len());
                    // The quote that was not closed is not part of the text.
                    self.skip(1);
                    self.push(Kind::Quoted, end - 1, 0);
                }
            }
            return;
        }
        let block = match c {
            '{' if self.after(&["mail-format"]) => rest.find('}'),
            '[' => rest.find(']'),
            _ => None,
        };
        if let Some(end) = block {
            return self.push(Kind::Block, end + 1, 1);
        }
        // An expression without quotes may hold any sign.
        let expression = self.after(&["match", "matching"]) && !"=!".contains(c);
        if !expression && let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            return self.push(Kind::Sign, sign.len(), 0);
        }
        // An address of version 6 may begin with colons.
        if c == ':' && !rest[1..].starts_with(|c: char| c == ':' || c.is_ascii_alphanumeric()) {
            return self.push(Kind::Sign, 1, 0);
        }
        let mut length = word_length(rest, expression);
        // `subject: hello`: the colon is no part of the word.
        if length > 1 && rest[..length].ends_with(':') {
            length -= 1;
        }
        self.push(Kind::Word, length, 0);
    }
}

/// The place of the quote that ends a text. monit knows no escapes, but who writes a backslash before a double quote means one:
/// it is part of the text, if that ends on its line.
fn closing(rest: &str, quote: char) -> Option<usize> {
    let line = &rest[..rest.find('\n').unwrap_or(rest.len())];
    let mut escaped = false;
    for (i, c) in line.char_indices().skip(1) {
        match c {
            '\\' => escaped = !escaped && quote == '"',
            c if c == quote && !escaped => return Some(i),
            _ => escaped = false,
        }
    }
    rest[1..].find(quote).map(|i| i + 1)
}

/// Whether a text goes on into the next service: then it is not its end that was found, but the beginning of another one.
fn holds_a_service(text: &str) -> bool {
    let kinds =
        ["process", "file", "directory", "fifo", "filesystem", "device", "host", "network", "program", "system"];
    text.lines().skip(1).any(|line| {
        let mut words = line.split_whitespace();
        words.next().is_some_and(|word| word.eq_ignore_ascii_case("check"))
            && words.next().is_some_and(|word| kinds.iter().any(|kind| word.eq_ignore_ascii_case(kind)))
    })
}

/// Paths and URLs hold signs that end other words.
fn word_length(rest: &str, expression: bool) -> usize {
    let whole = rest.find(char::is_whitespace).unwrap_or(rest.len());
    if expression {
        return whole;
    }
    let word = &rest[..whole];
    let url = word.find("://").is_some_and(|i| i > 0 && word[..i].bytes().all(|b| b.is_ascii_alphanumeric()));
    let ends: &[char] = match word.chars().next() {
        _ if url => &['"', '\''],
        Some('/') => &['"', '\'', ',', '{', '}'],
        _ => &['"', '\'', ',', '{', '}', '(', ')', '=', '<', '>', '!', ';', '['],
    };
    let first = word.chars().next().map_or(0, char::len_utf8);
    word[first..].find(ends).map_or(whole, |i| first + i)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        tokens(text, 0)
            .iter()
            .map(|token| match token.kind {
                Kind::Quoted => format!("'{}'", token.text),
                Kind::Block => format!("[{}]", token.text),
                _ => token.text.clone(),
            })
            .collect()
    }

    #[test]
    fn words_texts_and_signs_are_told_apart() {
        assert_eq!(
            words("if cpu(user)>=80% # no\nthen \"a 'b'\""),
            ["if", "cpu", "(", "user", ")", ">=", "80%", "then", "'a 'b''"]
        );
        assert_eq!(words("url http://u:p@h:80/x?a=b(c) and"), ["url", "http://u:p@h:80/x?a=b(c)", "and"]);
        assert_eq!(
            words("request /a?b=c, {verify: enable}"),
            ["request", "/a?b=c", ",", "{", "verify", ":", "enable", "}"]
        );
        assert_eq!(words("match ^(a|b)=c then"), ["match", "^(a|b)=c", "then"]);
        assert_eq!(words("allow admin:monit"), ["allow", "admin:monit"]);
        assert_eq!(words("headers [Host: \"x\"] ok"), ["headers", "[Host: \"x\"]", "ok"]);
    }

    #[test]
    fn the_text_of_a_mail_is_not_looked_into() {
        assert_eq!(
            words("set mail-format { message: Don't. # $SERVICE }\nset x"),
            ["set", "mail-format", "[ message: Don't. # $SERVICE ]", "set", "x"]
        );
    }

    #[test]
    fn a_quote_without_end_costs_its_line() {
        let tokens = tokens("a \"b c\nd", 0);
        let shown: Vec<_> = tokens.iter().map(|t| (t.text.as_str(), t.place.line, t.first)).collect();
        assert_eq!(shown, [("a", 1, true), ("b c", 1, false), ("d", 2, true)]);
        assert_eq!(words("user \"a\\\" password x\n\"b\""), ["user", "'a\\'", "password", "x", "'b'"]);
        assert_eq!(words("a \"b\ncheck file x\n\"c\""), ["a", "'b'", "check", "file", "x", "'c'"]);
        assert_eq!(words("\"a \\\" b\" c"), ["'a \\\" b'", "c"]);
        assert_eq!(words("'"), ["''"]);
    }
}
