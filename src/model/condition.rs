//! Conditions: pure expressions over metrics; true means bad. They are three-valued.

use super::{Dimension, MetricId, write_duration};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A metric of one of the service's checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MetricRef {
    /// The place of the check in its service.
    pub check: u16,
    /// The metric in the table of the check's kind.
    pub metric: MetricId,
}

/// A condition.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// All must be true.
    And(Vec<Condition>),
    /// One must be true.
    Or(Vec<Condition>),
    /// It must be false.
    Not(Box<Condition>),
    /// A comparison.
    Is(Comparison),
}

/// A comparison: a term, and what it is held against.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// What is looked at.
    pub term: Term,
    /// What it is held against.
    pub test: Test,
    /// In canonical words: `process.memory > 500MB`.
    pub text: Arc<str>,
    /// What the term measures.
    pub dimension: Dimension,
}

/// What a comparison looks at.
#[derive(Debug, Clone, PartialEq)]
pub enum Term {
    /// The latest reading.
    Latest(MetricRef),
    /// A function over the samples of a window.
    Window {
        /// Which.
        function: Function,
        /// Of what.
        metric: MetricRef,
        /// How long; unknown until the samples of this identity cover it.
        window: Duration,
    },
    /// Whether it differs from what it was; a notice.
    Changed(MetricRef),
}

impl Term {
    /// The metric that it looks at.
    pub fn metric(&self) -> MetricRef {
        match self {
            Term::Latest(metric) | Term::Window { metric, .. } | Term::Changed(metric) => *metric,
        }
    }
}

/// A function over a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// The mean.
    Avg,
    /// The least.
    Min,
    /// The greatest.
    Max,
    /// The change from the first to the last, a second. Never below 0: a counter that begins anew has not shrunk.
    Rate,
    /// The value that a straight line through them (least squares) reaches so long from now. Never below 0.
    Forecast(Duration),
}

impl Function {
    /// Its name in the language.
    pub fn name(self) -> &'static str {
        match self {
            Function::Avg => "avg",
            Function::Min => "min",
            Function::Max => "max",
            Function::Rate => "rate",
            Function::Forecast(_) => "forecast",
        }
    }

    /// What it measures, over a metric of this dimension; nothing if it has no meaning for it.
    pub fn dimension(self, of: Dimension) -> Option<Dimension> {
        match (self, of) {
            (_, Dimension::Flag | Dimension::Text) => None,
            (Function::Rate, Dimension::Bytes) => Some(Dimension::ByteRate),
            (Function::Rate, Dimension::Count) => Some(Dimension::CountRate),
            (Function::Rate, _) => None,
            (_, of) => Some(of),
        }
    }

    /// As the language writes it: `avg(process.cpu, 5m)`, `forecast(filesystem.used, 6h, 1d)`.
    pub fn write(self, metric: &str, window: Duration) -> String {
        let (name, window) = (self.name(), write_duration(window));
        match self {
            Function::Forecast(ahead) => format!("{name}({metric}, {window}, {})", write_duration(ahead)),
            _ => format!("{name}({metric}, {window})"),
        }
    }
}

/// What a term is held against.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// It is a flag, and bad if true; or it is [`Term::Changed`].
    Truth,
    /// A comparison with a limit.
    Compare(Op, Limit),
    /// A text that matches.
    Matches(Pattern),
}

/// A comparison operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `==`
    Equal,
    /// `!=`
    Unequal,
}

impl Op {
    /// As written.
    pub fn symbol(self) -> &'static str {
        match self {
            Op::Less => "<",
            Op::LessOrEqual => "<=",
            Op::Greater => ">",
            Op::GreaterOrEqual => ">=",
            Op::Equal => "==",
            Op::Unequal => "!=",
        }
    }

    /// The operator that holds where this one does not.
    pub fn opposite(self) -> Op {
        match self {
            Op::Less => Op::GreaterOrEqual,
            Op::LessOrEqual => Op::Greater,
            Op::Greater => Op::LessOrEqual,
            Op::GreaterOrEqual => Op::Less,
            Op::Equal => Op::Unequal,
            Op::Unequal => Op::Equal,
        }
    }
}

/// What a reading is compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum Limit {
    /// A number in the base unit of the metric.
    Number(f64),
    /// Percent of the whole that the reading is a part of.
    PercentOfWhole(f64),
    /// A text, for `==` and `!=`.
    Text(Arc<str>),
    /// A flag, for `==` and `!=`.
    Flag(bool),
}

/// A regular expression with the text that it came from. Two are equal if their texts are.
#[derive(Debug, Clone)]
pub struct Pattern {
    regex: regex::Regex,
}

impl Pattern {
    /// Compiles it; bounded in size (1 MB of program), and the crate bounds its running time.
    pub fn new(text: &str) -> Result<Pattern, Box<regex::Error>> {
        let regex = regex::RegexBuilder::new(text).size_limit(1 << 20).build()?;
        Ok(Pattern { regex })
    }
    /// Whether it matches somewhere in the text.
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
    /// As written.
    pub fn as_str(&self) -> &str {
        self.regex.as_str()
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.as_str() == other.as_str()
    }
}

impl<'de> serde::Deserialize<'de> for Pattern {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Pattern, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Pattern;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a regular expression")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Pattern, E> {
                // Who writes `*.gz` thinks of a shell.
                let shell =
                    if text.starts_with('*') { "; it is no pattern of a shell: `.*` stands for anything" } else { "" };
                Pattern::new(text)
                    .map_err(|e| E::custom(format!("bad regular expression: {}{shell}", last_line(&e.to_string()))))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

impl serde::Serialize for Pattern {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The last line of a regex error says what is wrong; the lines above draw it, which a diagnostic does itself.
fn last_line(text: &str) -> &str {
    text.lines().last().unwrap_or(text).trim_start_matches("error: ")
}

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    /// It is good.
    False,
    /// It is bad.
    True,
    /// It cannot be said. Nothing is ever done because of it.
    Unknown,
}

impl std::ops::Not for Truth {
    type Output = Truth;
    fn not(self) -> Truth {
        match self {
            Truth::True => Truth::False,
            Truth::False => Truth::True,
            Truth::Unknown => Truth::Unknown,
        }
    }
}

impl From<bool> for Truth {
    fn from(b: bool) -> Truth {
        if b { Truth::True } else { Truth::False }
    }
}

impl Condition {
    /// Calls `f` with every comparison, from left to right.
    pub fn each(&self, f: &mut impl FnMut(&Comparison)) {
        self.each_turned(&mut |comparison, _| f(comparison));
    }

    /// The same, and whether a `not` around the comparison turns it into its opposite.
    pub fn each_turned(&self, f: &mut impl FnMut(&Comparison, bool)) {
        self.each_within(false, f);
    }

    fn each_within(&self, turned: bool, f: &mut impl FnMut(&Comparison, bool)) {
        match self {
            Condition::And(parts) | Condition::Or(parts) => parts.iter().for_each(|p| p.each_within(turned, f)),
            Condition::Not(part) => part.each_within(!turned, f),
            Condition::Is(comparison) => f(comparison, turned),
        }
    }

    /// Whether it is `changed(..)` by itself: a notice, told once, without an incident.
    pub fn is_notice(&self) -> bool {
        matches!(self, Condition::Is(Comparison { term: Term::Changed(_), .. }))
    }
}

impl fmt::Display for Condition {
    /// In canonical words: parentheses only where they are needed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn joined(f: &mut fmt::Formatter<'_>, parts: &[Condition], word: &str) -> fmt::Result {
            for (i, part) in parts.iter().enumerate() {
                if i > 0 {
                    write!(f, " {word} ")?;
                }
                match part {
                    Condition::Or(_) if word == "and" => write!(f, "({part})")?,
                    _ => write!(f, "{part}")?,
                }
            }
            Ok(())
        }
        match self {
            Condition::And(parts) => joined(f, parts, "and"),
            Condition::Or(parts) => joined(f, parts, "or"),
            Condition::Not(part) => match **part {
                Condition::And(_) | Condition::Or(_) => write!(f, "not ({part})"),
                _ => write!(f, "not {part}"),
            },
            Condition::Is(comparison) => f.write_str(&comparison.text),
        }
    }
}

/// How long, or how often, a condition must be true before its rule fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// At once.
    None,
    /// All the while, for this long; unknown pauses it.
    For(Duration),
    /// In so many of the last so many samples of its one check; unknown does not count. `3 times` is 3 of 3.
    Count {
        /// So many of them must be bad.
        bad: u16,
        /// Of so many.
        of: u16,
    },
}

impl fmt::Display for Hold {
    /// As in the language, without the word `for`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hold::None => Ok(()),
            Hold::For(d) => f.write_str(&super::write_duration(*d)),
            Hold::Count { bad, of } if bad == of => write!(f, "{bad} times"),
            Hold::Count { bad, of } => write!(f, "{bad} of {of}"),
        }
    }
}
