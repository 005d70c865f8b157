//! The words of a rule to its parts: one function for each line of the grammar in [`super::syntax`].

use super::diagnostic::{listed, nearest, quoted};
use super::lexer::{Kind, Token, Wrong, words};
use super::syntax::{ACTIONS, Action, At, Comparison, Expr, KEYWORDS, Term, Test, UNOPENED, Value};
use crate::model::{Function, Hold, NotAQuantity, Op, Pattern, Quantity, Signal, UNITS, parse_duration};
use std::ops::Range;
use std::time::Duration;

/// How deep `not` and parentheses may nest: the parser calls itself for each.
const DEPTH: usize = 32;
/// The most samples that a hold counts.
const SAMPLES: u16 = 1000;

pub(super) struct Parser<'a> {
    line: &'a str,
    tokens: Vec<Token>,
    /// Never behind the last token, which is the end.
    index: usize,
}

impl<'a> Parser<'a> {
    pub fn new(line: &'a str) -> Result<Parser<'a>, Wrong> {
        Ok(Parser { line, tokens: words(line)?, index: 0 })
    }

    pub fn peek(&self) -> &Token {
        &self.tokens[self.index]
    }

    /// The next word as written.
    pub fn text(&self) -> &'a str {
        &self.line[self.peek().range.clone()]
    }

    pub fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.index = (self.index + 1).min(self.tokens.len() - 1);
        token
    }

    pub fn take_word(&mut self, word: &str) -> bool {
        let found = self.peek().kind == Kind::Word && self.text() == word;
        if found {
            self.next();
        }
        found
    }

    pub fn unexpected(&self, expected: &str) -> Wrong {
        let range = self.peek().range.clone();
        match &self.peek().kind {
            Kind::End => Wrong::new(range, format!("expected {expected}, and the line ends here")),
            _ => {
                let wrong = Wrong::new(range, format!("expected {expected}, found {}", quoted(self.text())));
                match self.foreign_word() {
                    Some(help) => wrong.help(help),
                    None => wrong,
                }
            }
        }
    }

    /// Words of other languages, and what is written here.
    fn foreign_word(&self) -> Option<&'static str> {
        let first = &self.line[self.tokens[0].range.clone()];
        match self.text() {
            "AND" | "OR" | "NOT" => Some("`and`, `or` and `not` are written in small letters"),
            "within" | "during" | "since" => Some("how long or how often stands behind `for`: `for 5m`, `for 3 of 5`"),
            "contains" | "like" => Some("a text is compared with a regular expression: `matches \"..\"`"),
            "is" | "eq" => Some("to compare, write `==`"),
            "over" | "above" | "gt" => Some("to compare, write `>`"),
            "under" | "below" | "lt" => Some("to compare, write `<`"),
            _ if matches!(first, "if" | "when" | "alert") => {
                Some("a rule begins with its condition, and `->` stands before what is done: `process.down -> restart`")
            }
            "then" => Some("write `->` before what is done"),
            _ => None,
        }
    }

    fn expect(&mut self, kind: &Kind, expected: &str) -> Result<(), Wrong> {
        if self.peek().kind != *kind {
            return Err(self.unexpected(expected));
        }
        self.next();
        Ok(())
    }

    pub fn end(&self, expected: &str) -> Result<(), Wrong> {
        match self.peek().kind {
            Kind::End => Ok(()),
            Kind::Close => Err(Wrong::new(self.peek().range.clone(), UNOPENED)),
            _ => Err(self.unexpected(expected)),
        }
    }

    pub fn or(&mut self, depth: usize) -> Result<Expr, Wrong> {
        let mut parts = Vec::new();
        loop {
            match self.and(depth)? {
                Expr::Or(inner) => parts.extend(inner),
                part => parts.push(part),
            }
            if !self.take_word("or") {
                break;
            }
        }
        Ok(only(parts).unwrap_or_else(Expr::Or))
    }

    fn and(&mut self, depth: usize) -> Result<Expr, Wrong> {
        let mut parts = Vec::new();
        loop {
            match self.not(depth)? {
                Expr::And(inner) => parts.extend(inner),
                part => parts.push(part),
            }
            if !self.take_word("and") {
                break;
            }
        }
        Ok(only(parts).unwrap_or_else(Expr::And))
    }

    fn not(&mut self, depth: usize) -> Result<Expr, Wrong> {
        let open = self.peek().range.clone();
        if depth > DEPTH {
            return Err(Wrong::new(open, format!("`not` and parentheses are nested deeper than {DEPTH} levels")));
        }
        if self.take_word("not") {
            return Ok(Expr::Not(Box::new(self.not(depth + 1)?)));
        }
        if self.peek().kind == Kind::Open {
            self.next();
            let inner = self.or(depth + 1)?;
            return match self.peek().kind {
                Kind::Close => {
                    self.next();
                    Ok(inner)
                }
                Kind::End | Kind::Arrow => Err(Wrong::new(open, "this parenthesis is not closed").help("add a `)`")),
                _ => Err(self.unexpected("`and`, `or` or `)`")),
            };
        }
        self.comparison().map(Expr::Is)
    }

    fn comparison(&mut self) -> Result<Comparison, Wrong> {
        let start = self.peek().range.start;
        let (term, metric) = self.term()?;
        let test = self.test()?;
        let end = self.tokens[self.index.saturating_sub(1)].range.end;
        Ok(Comparison { term, metric, test, range: start..end })
    }

    fn term(&mut self) -> Result<(Term, At<String>), Wrong> {
        let word = self.text();
        let range = self.peek().range.clone();
        let called = self.tokens.get(self.index + 1).is_some_and(|token| token.kind == Kind::Open);
        if self.peek().kind != Kind::Word || (KEYWORDS.contains(&word) && !called) {
            return Err(self.unexpected("a metric such as `process.memory`"));
        }
        if !called {
            return Ok((Term::Latest, self.metric()?));
        }
        self.next();
        self.next();
        let function = match word {
            "avg" => Function::Avg,
            "min" => Function::Min,
            "max" => Function::Max,
            "rate" => Function::Rate,
            "forecast" => Function::Forecast(Duration::ZERO),
            "changed" => {
                let metric = self.metric()?;
                self.close(&format!("`changed({})`", metric.it))?;
                return Ok((Term::Changed, metric));
            }
            _ => {
                let functions = ["avg", "min", "max", "rate", "forecast", "changed"];
                let help = nearest(word, functions).map_or_else(
                    || format!("the functions are {}", listed(functions)),
                    |meant| format!("did you mean `{meant}`?"),
                );
                return Err(Wrong::new(range, format!("there is no function {}", quoted(word))).help(help));
            }
        };
        let metric = self.metric()?;
        let is_forecast = matches!(function, Function::Forecast(_));
        let example = format!("`{word}({}, {})`", metric.it, if is_forecast { "6h, 24h" } else { "5m" });
        let window = self.argument("how long", &example)?;
        if window.it.is_zero() {
            return Err(Wrong::new(window.range, "a window of zero holds no samples"));
        }
        if !is_forecast {
            self.close(&example)?;
            return Ok((Term::Window(function, window.it), metric));
        }
        let ahead = self.argument("how far ahead", &example)?;
        if ahead.it.is_zero() {
            return Err(Wrong::new(ahead.range, "a forecast for now is no forecast")
                .help(format!("write, for example, {example}")));
        }
        self.close(&example)?;
        Ok((Term::Window(Function::Forecast(ahead.it), window.it), metric))
    }

    /// A duration that a function takes, with the comma before it.
    fn argument(&mut self, what: &str, example: &str) -> Result<At<Duration>, Wrong> {
        let help = || format!("write, for example, {example}");
        if self.peek().kind != Kind::Comma {
            return Err(self.unexpected(&format!("`,` and {what}")).help(help()));
        }
        self.next();
        self.duration().map_err(|wrong| if wrong.help.is_none() { wrong.help(help()) } else { wrong })
    }

    /// The end of a function.
    fn close(&mut self, example: &str) -> Result<(), Wrong> {
        match self.peek().kind {
            Kind::Comma => {
                Err(self.unexpected("`)`").help(format!("nothing more is taken: write, for example, {example}")))
            }
            _ => self.expect(&Kind::Close, "`)`"),
        }
    }

    fn metric(&mut self) -> Result<At<String>, Wrong> {
        if self.peek().kind != Kind::Word {
            return Err(self.unexpected("a metric such as `process.memory`"));
        }
        let it = self.text().to_owned();
        Ok(At { it, range: self.next().range })
    }

    fn test(&mut self) -> Result<Test, Wrong> {
        if self.take_word("matches") {
            let Token { kind: Kind::Text(text), range } = self.peek().clone() else {
                return Err(self.unexpected("a regular expression in double quotes"));
            };
            self.next();
            return pattern(&text, &range).map(|it| Test::Matches(At { it, range }));
        }
        if self.peek().kind != Kind::Op {
            return Ok(Test::None);
        }
        let op = match self.text() {
            "<" => Op::Less,
            "<=" => Op::LessOrEqual,
            ">" => Op::Greater,
            ">=" => Op::GreaterOrEqual,
            "==" => Op::Equal,
            _ => Op::Unequal,
        };
        let op = At { it: op, range: self.next().range };
        Ok(Test::Compare(op, self.value()?))
    }

    fn value(&mut self) -> Result<At<Value>, Wrong> {
        let Token { kind, range } = self.peek().clone();
        match kind {
            Kind::Number => {
                let (text, range) = self.quantity();
                let quantity = Quantity::parse(&text).map_err(|e| not_a_quantity(&text, &range, &e))?;
                Ok(At { it: Value::Quantity(text, quantity), range })
            }
            Kind::Text(text) => {
                self.next();
                Ok(At { it: Value::Text(text), range })
            }
            Kind::Word if matches!(self.text(), "true" | "false") => {
                let it = Value::Flag(self.text() == "true");
                self.next();
                Ok(At { it, range })
            }
            Kind::Word if self.text().contains('.') => {
                Err(Wrong::new(range, "a metric cannot be compared with a metric")
                    .help("write a number with its unit, such as `500MB`"))
            }
            Kind::Word => Err(self.unexpected("a value").help("a text stands in double quotes")),
            _ => Err(self.unexpected("a value such as `500MB`, `80%` or `3`")),
        }
    }

    /// A number and its unit, which may be a word of its own.
    fn quantity(&mut self) -> (String, Range<usize>) {
        let mut text = self.text().to_owned();
        let mut range = self.next().range;
        let bare = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let unit = self.text();
        if bare && self.peek().kind == Kind::Word && !KEYWORDS.contains(&unit) {
            let name = unit.strip_suffix("/s").unwrap_or(unit);
            let near =
                matches!(Quantity::parse(&format!("1{unit}")), Err(NotAQuantity::UnknownUnit { meant: Some(_), .. }));
            if near || UNITS.iter().any(|(known, ..)| *known == name) {
                text.push_str(unit);
                range.end = self.next().range.end;
            }
        }
        (text, range)
    }

    fn duration(&mut self) -> Result<At<Duration>, Wrong> {
        if self.peek().kind != Kind::Number {
            return Err(self.unexpected("a duration such as `5m`"));
        }
        let (text, range) = self.quantity();
        let it = parse_duration(&text).map_err(|e| Wrong::new(range.clone(), e))?;
        Ok(At { it, range })
    }

    pub fn hold(&mut self) -> Result<At<Hold>, Wrong> {
        let expected = "how long or how often: `5m`, `3 of 5` or `3 times`";
        if self.peek().kind != Kind::Number {
            return Err(self.unexpected(expected));
        }
        let start = self.peek().range.start;
        let following = self.tokens.get(self.index + 1).map(|token| &self.line[token.range.clone()]);
        if !matches!(following, Some("of" | "times")) {
            let bare = self.text().bytes().all(|b| b.is_ascii_digit());
            let duration = self.duration().map_err(|wrong| match bare {
                true => wrong.help("or count samples: `3 of 5`, `3 times`"),
                false => wrong,
            })?;
            if duration.it.is_zero() {
                return Err(Wrong::new(duration.range, "a hold of zero holds nothing").help("leave it away"));
            }
            return Ok(At { it: Hold::For(duration.it), range: duration.range });
        }
        let bad = self.count()?;
        let of = if self.take_word("times") {
            bad
        } else {
            self.next();
            self.count()?
        };
        let range = start..self.tokens[self.index - 1].range.end;
        if bad == 0 {
            return Err(Wrong::new(range, "a hold of no samples holds nothing").help("leave it away"));
        }
        if bad > of {
            return Err(Wrong::new(range, format!("{bad} of {of} samples can never be bad"))
                .help(format!("did you mean `{of} of {bad}`?")));
        }
        Ok(At { it: Hold::Count { bad, of }, range })
    }

    fn count(&mut self) -> Result<u16, Wrong> {
        let range = self.peek().range.clone();
        match self.text().parse() {
            Ok(count) if self.peek().kind == Kind::Number && count <= SAMPLES => {
                self.next();
                Ok(count)
            }
            _ => Err(Wrong::new(range, format!("expected a whole number of samples, at most {SAMPLES}"))),
        }
    }

    pub fn action(&mut self) -> Result<At<Action>, Wrong> {
        let word = self.text();
        let range = self.peek().range.clone();
        if self.peek().kind != Kind::Word {
            return Err(self
                .unexpected("an action")
                .help(format!("the actions are {}", listed(ACTIONS.iter().copied()))));
        }
        self.next();
        let it = match word {
            "restart" => Action::Restart,
            "stop" => Action::Stop,
            "start" => Action::Start,
            "snapshot" => Action::Snapshot,
            "signal" => Action::Signal(self.signal()?),
            "notify" => Action::Notify(match self.peek().kind {
                Kind::Word | Kind::Number => {
                    let name = self.text().to_owned();
                    self.next();
                    Some(name)
                }
                _ => None,
            }),
            "exec" | "email" | "webhook" => {
                return Err(Wrong::new(range, format!("`{word}` takes arguments, which do not fit into a line")).help(
                    format!("write the rule as a map: `when: ..`, and under `then:` an element `{word}: {{ .. }}`"),
                ));
            }
            _ => {
                let help = nearest(word, ACTIONS.iter().copied()).map_or_else(
                    || format!("the actions are {}", listed(ACTIONS.iter().copied())),
                    |meant| format!("did you mean `{meant}`?"),
                );
                return Err(Wrong::new(range, format!("there is no action {}", quoted(word))).help(help));
            }
        };
        Ok(At { it, range: range.start..self.tokens[self.index - 1].range.end.max(range.end) })
    }

    fn signal(&mut self) -> Result<Signal, Wrong> {
        if self.peek().kind != Kind::Word {
            return Err(self.unexpected("the name of a signal such as `HUP`"));
        }
        let name = self.text();
        let range = self.next().range;
        Signal::parse(name).ok_or_else(|| {
            let wrong = Wrong::new(range, format!("there is no signal {}", quoted(name)));
            match nearest(name, Signal::names()) {
                Some(meant) => wrong.help(format!("did you mean `{meant}`?")),
                None => wrong.help("write its name, such as `HUP` or `USR1`"),
            }
        })
    }
}

/// The only one; or all of them, to be made one.
fn only(mut parts: Vec<Expr>) -> Result<Expr, Vec<Expr>> {
    match parts.len() {
        1 => parts.pop().ok_or(parts),
        _ => Err(parts),
    }
}

fn not_a_quantity(text: &str, range: &Range<usize>, e: &NotAQuantity) -> Wrong {
    let wrong = Wrong::new(range.clone(), e.to_string());
    match e {
        NotAQuantity::UnknownUnit { meant: Some(meant), unit } => {
            wrong.help(format!("did you mean `{}{meant}`?", text.trim_end_matches(unit.as_str())))
        }
        NotAQuantity::UnknownUnit { unit, .. } if unit == "xx" => wrong.help(
            "classes such as `2xx` stand in the check, `expect: { status: 2xx }`, and are judged by `failed`; here, \
             write `>= 200`",
        ),
        NotAQuantity::UnknownUnit { .. } => wrong.help(
            "the units are `%`, `B kB MB GB TB`, `KiB MiB GiB TiB`, `ms s m h d w`, and `/s` after a size or number",
        ),
        _ => wrong,
    }
}

/// Compiles a regular expression; a mistake is shown at its place within the text, where that is known.
fn pattern(text: &str, range: &Range<usize>) -> Result<Pattern, Wrong> {
    Pattern::new(text).map_err(|e| {
        let drawn = e.to_string();
        let what = drawn.lines().last().unwrap_or("").trim_start_matches("error: ").to_owned();
        // The error draws the text and marks the place beneath it: `    a(b` over `     ^`.
        let column = drawn.lines().find(|line| line.trim_start().starts_with('^')).and_then(|line| line.find('^'));
        let escapes = text.contains('"');
        let place = column.and_then(|column| column.checked_sub(4)).filter(|_| !escapes && text.is_ascii());
        let place = place.map(|column| range.start + 1 + column).filter(|at| *at < range.end);
        let range = place.map_or(range.clone(), |at| at..at + 1);
        Wrong::new(range, format!("bad regular expression: {what}"))
    })
}
