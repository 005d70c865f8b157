//! A walk over the words of a control file.

use super::lexer::{Kind, Place, Token};
use std::net::IpAddr;

/// Words that are there to be read by people, and mean nothing.
const NOISE: &[&str] = &[
    "a", "an", "and", "are", "for", "has", "have", "is", "of", "on", "only", "the", "us", "use", "using", "with",
    "within",
];
/// Words that begin a statement, if they begin a line.
const STARTS: &[&str] = &[
    "set", "check", "if", "start", "stop", "restart", "every", "not", "mode", "onreboot", "group", "depend", "depends",
    "alert", "noalert", "ignore",
];

/// What begins a line that logs in.
pub const LOGINS: &[&str] = &["AUTH ", "PASS ", "LOGIN "];

pub struct Cursor<'a> {
    tokens: &'a [Token],
    at: usize,
}

/// A number and the unit behind it, in small letters.
#[derive(Debug, Clone, PartialEq)]
pub struct Amount {
    pub number: f64,
    pub unit: String,
}

impl<'a> Cursor<'a> {
    pub fn new(tokens: &'a [Token]) -> Cursor<'a> {
        Cursor { tokens, at: 0 }
    }

    pub fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at)
    }

    pub fn next(&mut self) -> Option<&'a Token> {
        let token = self.peek();
        self.at += usize::from(token.is_some());
        token
    }

    pub fn mark(&self) -> usize {
        self.at
    }

    pub fn back_to(&mut self, mark: usize) {
        self.at = mark;
    }

    pub fn place(&self) -> Option<Place> {
        self.peek().map(|token| token.place)
    }

    /// Whether one of these words comes next.
    pub fn sees(&self, words: &[&str]) -> bool {
        self.peek().is_some_and(|token| words.iter().any(|word| token.is(word)))
    }

    pub fn take(&mut self, words: &[&str]) -> bool {
        let seen = self.sees(words);
        self.at += usize::from(seen);
        seen
    }

    /// The same, with words that mean nothing before it; nothing is taken if it does not come.
    pub fn then(&mut self, words: &[&str]) -> bool {
        let mark = self.mark();
        self.noise();
        let seen = self.take(words);
        if !seen {
            self.back_to(mark);
        }
        seen
    }

    pub fn noise(&mut self) {
        while self.take(NOISE) {}
    }

    /// A word or a text in quotes.
    pub fn text(&mut self) -> Option<String> {
        self.noise();
        let token = self.peek().filter(|token| matches!(token.kind, Kind::Word | Kind::Quoted))?;
        self.at += 1;
        Some(token.text.clone())
    }

    /// The same behind a sign of equality that may be left out.
    pub fn given(&mut self) -> Option<String> {
        self.noise();
        self.take(&["="]);
        self.text()
    }

    pub fn block(&mut self) -> Option<String> {
        let token = self.peek().filter(|token| token.kind == Kind::Block)?;
        self.at += 1;
        Some(token.text.clone())
    }

    /// The words within braces that come next, joined by spaces.
    pub fn braces(&mut self) -> Option<String> {
        self.take(&["{"]).then_some(())?;
        let mut words = Vec::new();
        while !self.take(&["}"]) {
            words.push(self.next()?.text.as_str());
        }
        Some(words.join(" "))
    }

    pub fn integer(&mut self) -> Option<u32> {
        self.noise();
        let token = self.peek().filter(|token| token.kind == Kind::Word)?;
        let number = token.text.parse().ok()?;
        self.at += 1;
        Some(number)
    }

    /// `80%`, `200.0 MB`, `5`. A word behind the number is a unit only if it is among these.
    pub fn amount(&mut self, units: &[&str]) -> Option<Amount> {
        self.noise();
        let token = self.peek().filter(|token| token.kind == Kind::Word)?;
        let digits = token.text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(token.text.len());
        let (number, unit) = token.text.split_at(digits);
        let number: f64 = number.parse().ok().filter(|n: &f64| n.is_finite() && *n < 1e15)?;
        self.at += 1;
        let mut unit = unit.to_ascii_lowercase();
        if unit.is_empty() && self.sees(units) {
            unit = self.next()?.text.to_ascii_lowercase();
        }
        Some(Amount { number, unit })
    }

    /// Goes to where the next statement may begin.
    pub fn skip_statement(&mut self) {
        while self.next().is_some() && !self.at_start() {}
    }

    /// Whether a statement may begin here.
    pub fn at_start(&self) -> bool {
        self.peek().is_none_or(|token| token.first && STARTS.iter().any(|word| token.is(word)))
    }

    /// Whether what comes next can only be a statement of its own, on whatever line.
    pub fn at_word_of_start(&self) -> bool {
        self.peek().is_none_or(|token| STARTS.iter().any(|word| token.is(word)))
    }

    /// What was read since, in one line, without passwords.
    pub fn shown_since(&self, mark: usize) -> String {
        shown(self.tokens.get(mark..self.at).unwrap_or_default())
    }
}

/// Words in one line, without passwords: those behind `password` and `secret`, those of `allow name:password`, those within
/// URLs, those that are sent, and the values of headers.
fn shown(tokens: &[Token]) -> String {
    let mut line = String::new();
    let (mut hide_next, mut hiding, mut allowed, mut after_allow, mut sent) = (false, false, false, false, false);
    for token in tokens {
        let quote = if token.kind == Kind::Quoted { if token.text.contains('"') { "'" } else { "\"" } } else { "" };
        if !line.is_empty() && !token.glued {
            line.push(' ');
        }
        hiding &= token.glued;
        allowed = after_allow || (allowed && (token.glued || token.is(":")));
        after_allow = token.is("allow");
        let secret = hide_next && !token.is("=") && !token.is("is") && !token.is(":");
        if secret || hiding {
            if !hiding {
                line.push_str("[password]");
            }
            (hide_next, hiding) = (false, true);
            continue;
        }
        if token.is("password") || token.is("secret") || (allowed && token.is(":")) {
            hide_next = true;
        }
        match token.kind {
            Kind::Block => line.push_str(&format!("[{}]", headers(&token.text))),
            _ => {
                let (text, cut) = without_password(&token.text, allowed, sent);
                hiding = cut;
                sent = token.is("send") || (sent && token.is("="));
                line.push_str(&format!("{quote}{text}{quote}"));
            }
        }
    }
    line
}

/// The names of headers, or the keys of a mail format.
fn headers(block: &str) -> String {
    let names = block.split([',', '\n']).filter_map(|header| header.split_once(':')).map(|(name, _)| name.trim());
    names.map(|name| format!("{name}: ..")).collect::<Vec<_>>().join(", ")
}

/// A word without the password in it, and whether there was one.
fn without_password(text: &str, allowed: bool, sent: bool) -> (String, bool) {
    if let Some((scheme, rest)) = text.split_once("://")
        && let Some((user, host)) = rest.rsplit_once('@')
        && let Some((user, _)) = user.split_once(':')
    {
        return (format!("{scheme}://{user}:[password]@{host}"), false);
    }
    // A quote that was forgotten may have made a text of what it stands in.
    if let Some((first, rest)) = text.split_once('\n')
        && rest.to_ascii_lowercase().contains("allow")
    {
        return (first.to_owned(), true);
    }
    if let Some(at) = text.to_ascii_lowercase().find("password").filter(|_| !text.eq_ignore_ascii_case("password")) {
        return (format!("{}password [password]", &text[..at]), true);
    }
    if sent
        && let Some(login) =
            LOGINS.iter().find_map(|word| text.to_ascii_uppercase().find(word).map(|at| at + word.len()))
    {
        return (format!("{}[password]", &text[..login]), true);
    }
    match text.split_once(':') {
        Some((user, _)) if allowed && text.parse::<IpAddr>().is_err() => (format!("{user}:[password]"), true),
        _ => (text.to_owned(), false),
    }
}

#[cfg(test)]
mod tests {
    use super::super::lexer::tokens;
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        for (text, line) in [
            ("username \"u\" password \"hunter2\" using tls", "username \"u\" password [password] using tls"),
            ("password = hunter2 x", "password = [password] x"),
            ("password hunter2\"x y\" z", "password [password] z"),
            ("allow admin:hunter2 read-only", "allow admin:[password] read-only"),
            ("allow \"admin\":\"hunter2\" allow ::1", "allow \"admin\":[password] allow ::1"),
            ("allow admin:\"hunter2\"", "allow admin:[password]"),
            ("allow \"admin\":hunter2", "allow \"admin\":[password]"),
            ("url http://u:hunter2/@@h/x", "url http://u:[password]@h/x"),
            ("\"x password hunter2\" y", "\"x password [password]\" y"),
            ("\"x\nallow a:hunter2\"", "\"x\""),
            ("send \"auth hunter2\\n\" x", "send \"auth [password]\" x"),
            ("secret \"hunter2\"", "secret [password]"),
            ("headers [Authorization: hunter2, Host: x]", "headers [Authorization: .., Host: ..]"),
        ] {
            let tokens = tokens(text, 0);
            let mut cursor = Cursor::new(&tokens);
            while cursor.next().is_some() {}
            let shown = cursor.shown_since(0);
            assert!(!shown.contains("hunter2"), "{shown}");
            assert_eq!(shown, line);
        }
    }

    #[test]
    fn amounts_have_their_unit_with_or_without_a_space() {
        let tokens = tokens("80% 200.0 MB 5 cycles 500kb/s 1e3 9999999999999999", 0);
        let mut cursor = Cursor::new(&tokens);
        let units = &["mb", "%"];
        let mut next = || cursor.amount(units).map(|a| (a.number, a.unit));
        assert_eq!(next(), Some((80.0, "%".into())));
        assert_eq!(next(), Some((200.0, "mb".into())));
        assert_eq!(next(), Some((5.0, "".into())));
        assert_eq!(next(), None);
        cursor.next();
        assert_eq!(cursor.amount(units).map(|a| a.unit), Some("kb/s".into()));
        assert_eq!(cursor.amount(units).map(|a| a.unit), Some("e3".into()));
        assert_eq!(cursor.amount(units), None);
    }
}
