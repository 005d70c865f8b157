//! The grammar of one-line rules: words to an expression whose every part knows its place. Names and units are not looked
//! at here ([`super::resolve`] does).
//!
//! ```text
//! rule      = or [ "for" hold ] "->" action { "," action }
//! hold      = DURATION | INT "of" INT | INT "times"
//! or        = and { "or" and }
//! and       = not { "and" not }
//! not       = "not" not | "(" or ")" | comparison
//! comparison= term [ ("<" | "<=" | ">" | ">=" | "==" | "!=") value | "matches" STRING ]
//! term      = metric | ("avg"|"min"|"max"|"rate") "(" metric "," DURATION ")"
//!           | "forecast" "(" metric "," DURATION "," DURATION ")" | "changed" "(" metric ")"
//! action    = "restart" | "stop" | "start" | "snapshot" | "signal" NAME | "notify" [ NAME ]
//! ```

use super::lexer::{Kind, Wrong};
use super::parser::Parser;
use crate::model::{Function, Hold, Op, Pattern, Quantity, Signal};
use std::ops::Range;
use std::time::Duration;

/// Words that no check may have as its name.
pub(super) const KEYWORDS: &[&str] = &[
    "and", "or", "not", "for", "of", "times", "matches", "avg", "min", "max", "rate", "forecast", "changed", "true",
    "false",
];
/// Actions that a line can name.
pub(super) const ACTIONS: &[&str] = &["restart", "stop", "start", "snapshot", "signal", "notify"];
pub(super) const UNOPENED: &str = "this parenthesis closes none that is open";

/// Something with its place in the line.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct At<T> {
    pub it: T,
    pub range: Range<usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expr {
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
    Is(Comparison),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Comparison {
    pub term: Term,
    pub metric: At<String>,
    pub test: Test,
    pub range: Range<usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Term {
    Latest,
    Window(Function, Duration),
    Changed,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    None,
    Compare(At<Op>, At<Value>),
    Matches(At<Pattern>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// As written, without spaces, and what it means.
    Quantity(String, Quantity),
    Text(String),
    Flag(bool),
}

/// An action that a line can name.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    Restart,
    Stop,
    Start,
    Snapshot,
    Signal(Signal),
    Notify(Option<String>),
}

/// A one-line rule.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub when: Expr,
    pub hold: At<Hold>,
    pub actions: Vec<At<Action>>,
}

/// Reads `CONDITION [for HOLD] -> ACTION, ACTION`.
pub(super) fn rule(line: &str) -> Result<Line, Wrong> {
    let mut parser = Parser::new(line)?;
    let when = parser.or(0)?;
    let hold = if parser.take_word("for") { parser.hold()? } else { At { it: Hold::None, range: 0..0 } };
    if parser.peek().kind != Kind::Arrow {
        let seen = parser.peek().range.clone();
        return Err(match parser.peek().kind {
            Kind::End => Wrong::new(seen, "this rule does not say what to do").help("add, for example, ` -> notify`"),
            _ if ACTIONS.contains(&parser.text()) => {
                Wrong::new(seen, format!("there is no arrow before `{}`", parser.text()))
                    .help(format!("write `-> {}`", parser.text()))
            }
            Kind::Close => Wrong::new(seen, UNOPENED),
            Kind::Number => parser.unexpected("`and`, `or`, `for` or `->`").help("a hold begins with `for`: `for 5m`"),
            Kind::Op if hold.it != Hold::None => {
                parser.unexpected("`->`").help("the hold stands behind the whole condition: `process.cpu > 80% for 5m`")
            }
            _ if hold.it != Hold::None => parser.unexpected("`->`"),
            _ => parser.unexpected("`and`, `or`, `for` or `->`"),
        });
    }
    parser.next();
    let mut actions = vec![parser.action()?];
    while parser.peek().kind == Kind::Comma {
        parser.next();
        actions.push(parser.action()?);
    }
    parser.end("`,` and an action, or the end of the rule")?;
    Ok(Line { when, hold, actions })
}

/// Reads a condition that stands by itself.
pub(super) fn condition(line: &str) -> Result<Expr, Wrong> {
    let mut parser = Parser::new(line)?;
    let when = parser.or(0)?;
    let wrong = parser.end("`and`, `or`, or the end of the condition");
    wrong.map_err(|wrong| match (&parser.peek().kind, parser.text()) {
        (_, "for") => wrong.help("in a rule that is a map, the hold has a key of its own: `for: 5m`"),
        (Kind::Arrow, _) => wrong.help("in a rule that is a map, actions have a key of their own: `then: [restart]`"),
        _ => wrong,
    })?;
    Ok(when)
}

/// Reads a hold that stands by itself.
pub(super) fn hold(line: &str) -> Result<Hold, Wrong> {
    let mut parser = Parser::new(line)?;
    let hold = parser.hold()?;
    parser.end("the end of the hold")?;
    Ok(hold.it)
}

/// Reads an action that stands by itself.
pub(super) fn action(line: &str) -> Result<Action, Wrong> {
    let mut parser = Parser::new(line)?;
    let action = parser.action()?;
    parser.end("the end of the action").map_err(|w| w.help("each action is an element of its own in the list"))?;
    Ok(action.it)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precedence_is_not_then_and_then_or() {
        let is = |name: &str| match condition(name).unwrap() {
            Expr::Is(comparison) => comparison.metric.it,
            _ => panic!(),
        };
        let shape = |line: &str| {
            fn walk(expr: &Expr) -> String {
                match expr {
                    Expr::And(parts) => format!("({})", parts.iter().map(walk).collect::<Vec<_>>().join("&")),
                    Expr::Or(parts) => format!("({})", parts.iter().map(walk).collect::<Vec<_>>().join("|")),
                    Expr::Not(part) => format!("!{}", walk(part)),
                    Expr::Is(comparison) => comparison.metric.it.clone(),
                }
            }
            walk(&condition(line).unwrap())
        };
        assert_eq!(is("a.b"), "a.b");
        assert_eq!(shape("a or b and not c or d"), "(a|(b&!c)|d)");
        assert_eq!(shape("(a or b) and (c and d)"), "((a|b)&c&d)");
        assert_eq!(shape("not not (a or (b or c))"), "!!(a|b|c)");
    }

    #[test]
    fn holds_and_actions() {
        let line = rule("a.b > 5 MB for 3 of 5 -> signal SIGHUP, notify 24x7, notify").unwrap();
        assert_eq!(line.hold, At { it: Hold::Count { bad: 3, of: 5 }, range: 15..21 });
        let actions: Vec<_> = line.actions.iter().map(|a| a.it.clone()).collect();
        assert_eq!(actions, [Action::Signal(Signal(1)), Action::Notify(Some("24x7".to_owned())), Action::Notify(None)]);
        assert_eq!(hold("3 times"), Ok(Hold::Count { bad: 3, of: 3 }));
        assert_eq!(hold("1.5h"), Ok(Hold::For(Duration::from_secs(5400))));
        for bad in ["", "0s", "0 times", "5 of 3", "5", "5m 3s", "2000 times", "-3 times", "3.5 of 5"] {
            assert!(hold(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        assert!(condition(&format!("{}a", "not ".repeat(100_000))).is_err());
        assert!(condition(&format!("{}a{}", "(".repeat(100_000), ")".repeat(100_000))).is_err());
    }

    #[test]
    fn a_bad_regular_expression_is_shown_where_it_is_bad() {
        let line = "http.body matches \"ab(c\" -> notify";
        assert_eq!(&line[rule(line).unwrap_err().range], "(");
    }
}
