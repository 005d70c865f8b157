//! Names to metrics, and values to limits of the right dimension. What can never be true, or never be false, is a mistake.

use super::contradiction::contradiction;
use super::diagnostic::{Diagnostic, Place, lines_around, listed, nearest, quoted};
use super::lexer::{Wrong, in_quotes};
use super::perf;
use super::syntax::{At, Comparison, Expr, Term, Test, Value};
use super::trap::trap_at;
use super::tree::Node;
use crate::model::{
    self, Condition, Dimension, Function, Kind, Limit, Metric, MetricId, MetricRef, Op, Quantity, UNITS, write_duration,
};
use std::ops::Range;
use std::time::Duration;

/// A text of a rule file, and where each part of it stands.
pub(super) struct Text<'a> {
    pub text: &'a str,
    whole: Place,
    /// The first byte of the text in the file; nothing if it is folded or escaped, and parts of it have no place.
    start: Option<usize>,
    source: &'a str,
}

impl<'a> Text<'a> {
    /// Nothing if the node is no text.
    pub fn new(node: &'a Node, source: &'a str) -> Option<Text<'a>> {
        let text = node.text()?;
        let written = &source[node.place.start..node.place.end];
        let quote = usize::from(written.starts_with(['"', '\'']));
        let start = (written.get(quote..quote + text.len()) == Some(text)).then_some(node.place.start + quote);
        Some(Text { text, whole: node.place, start, source })
    }

    /// The place of a part.
    pub fn at(&self, range: &Range<usize>) -> Place {
        match self.start {
            Some(start) => Place { start: start + range.start, end: start + range.end, ..self.whole },
            None => self.whole,
        }
    }

    /// What is wrong with a part; with advice, if YAML took a part of the text away.
    pub fn wrong(&self, wrong: &Wrong) -> Diagnostic {
        let mut diagnostic = Diagnostic::new(self.at(&wrong.range), &wrong.message);
        let end = self.whole.end;
        let rest = lines_around(self.source, end..end, 4000).map_or("", |line| &self.source[end..line.end]);
        let plain = self.start == Some(self.whole.start);
        // A comment in which the rest of a rule can be seen.
        let cut = plain && rest.trim_start().starts_with('#') && rest.contains(['"', '>']);
        if cut && wrong.range.end >= self.text.trim_end().len() {
            let line = format!("{}{rest}", self.text);
            return diagnostic
                .help("an unquoted ` #` begins a comment: the rest of the line is not part of the rule")
                .help(format!("put the rule in single quotes: '{}'", line.replace('\'', "''")));
        }
        diagnostic.help.extend(wrong.help.clone());
        if diagnostic.help.is_empty() { trap_at(diagnostic, self.source) } else { diagnostic }
    }
}

/// A check as conditions see it.
pub(super) struct Asked {
    pub name: String,
    /// Its kind and metrics; nothing if its kind is not known, which has been reported.
    pub kind: Option<(&'static str, &'static [Metric])>,
    pub every: Duration,
}

/// Reads conditions against the checks of a service.
pub(super) struct Resolver<'a> {
    pub checks: &'a [Asked],
    pub text: &'a Text<'a>,
    pub found: &'a mut Vec<Diagnostic>,
}

impl Resolver<'_> {
    /// The condition; nothing if there are mistakes in it, which are reported, all of them.
    pub fn condition(&mut self, expr: &Expr) -> Option<Condition> {
        match expr {
            Expr::And(parts) => {
                let parts = self.each(parts)?;
                if let Some(message) = contradiction(&parts) {
                    self.report(&range_of(expr), message, "did you mean `or`?".to_owned());
                }
                Some(Condition::And(parts))
            }
            Expr::Or(parts) => Some(Condition::Or(self.each(parts)?)),
            Expr::Not(part) => Some(Condition::Not(Box::new(self.condition(part)?))),
            Expr::Is(comparison) => self.comparison(comparison).map(Condition::Is),
        }
    }

    fn each(&mut self, parts: &[Expr]) -> Option<Vec<Condition>> {
        let read: Vec<Option<Condition>> = parts.iter().map(|part| self.condition(part)).collect();
        read.into_iter().collect()
    }

    fn report(&mut self, range: &Range<usize>, message: impl Into<String>, help: impl Into<Option<String>>) {
        let mut diagnostic = Diagnostic::new(self.text.at(range), message);
        diagnostic.help.extend(help.into());
        self.found.push(diagnostic);
    }

    fn comparison(&mut self, comparison: &Comparison) -> Option<model::Comparison> {
        let (at, metric) = self.metric(&comparison.metric)?;
        let name = &comparison.metric.it;
        if metric.each && comparison.term != Term::Latest {
            let word = match comparison.term {
                Term::Window(function, _) => function.name(),
                _ => "changed",
            };
            let message = format!("`{name}` is of each process by itself: `{word}` has no meaning for it");
            let help = match comparison.term {
                Term::Window(..) => {
                    format!("to ask for some time, hold the rule: `{name} > {} for 5m`", example(metric.dimension))
                }
                _ => format!("compare it: `{name} > {}`", example(metric.dimension)),
            };
            self.report(&comparison.range, message, help);
            return None;
        }
        let (term, written) = match comparison.term {
            Term::Latest => (model::Term::Latest(at), name.clone()),
            Term::Changed => (model::Term::Changed(at), format!("changed({name})")),
            Term::Window(function, window) => {
                self.window(comparison, at, metric, function, window)?;
                (model::Term::Window { function, metric: at, window }, function.write(name, window))
            }
        };
        let seen = match term {
            model::Term::Window { function, .. } => seen_through(function, metric),
            _ => *metric,
        };
        let (test, text) = self.test(comparison, &seen, &written)?;
        Some(model::Comparison { term, test, text: text.into(), dimension: seen.dimension })
    }

    /// Whether a function over a window has a meaning for this metric, and can ever be known.
    fn window(
        &mut self,
        comparison: &Comparison,
        at: MetricRef,
        metric: &Metric,
        function: Function,
        window: Duration,
    ) -> Option<()> {
        let name = &comparison.metric.it;
        if function.dimension(metric.dimension).is_none() {
            let (message, help) = match metric.dimension {
                Dimension::Flag | Dimension::Text => {
                    let help = match metric.dimension {
                        Dimension::Flag => format!("to ask for it all the while, hold the rule: `{name} for 5m`"),
                        _ => format!("compare it with a text: `{name} == \"..\"`"),
                    };
                    (format!("`{name}` is no number: `{}` has no meaning for it", function.name()), Some(help))
                }
                Dimension::ByteRate | Dimension::CountRate => {
                    let help = format!("compare it as it is, or `avg({name}, {})`", write_duration(window));
                    (format!("`{name}` is a rate already: `rate` has no meaning for it"), Some(help))
                }
                _ => {
                    let what = if metric.dimension == Dimension::Time { "a duration" } else { "a percentage" };
                    let help = "a rate is of a size in bytes or of a bare number, such as `process.memory` or \
                                `process.fds`";
                    (format!("`{name}` is {what}: `rate` has no meaning for it"), Some(help.to_owned()))
                }
            };
            self.report(&comparison.range, message, help);
            return None;
        }
        // Between two samples something can be seen to grow: a shorter window never holds two of them for certain.
        let check = self.checks.get(usize::from(at.check))?;
        let shortest = check.every * 2;
        if matches!(function, Function::Rate | Function::Forecast(_)) && window < shortest {
            let message = format!(
                "`{}` can never be known: `{}` is asked every {}, and `{}` needs two samples in its window",
                function.write(name, window),
                check.name,
                write_duration(check.every),
                function.name(),
            );
            let help = format!("write `{}`, or a longer window", function.write(name, shortest));
            self.report(&comparison.range, message, help);
            return None;
        }
        Some(())
    }

    fn test(&mut self, comparison: &Comparison, metric: &Metric, written: &str) -> Option<(model::Test, String)> {
        let changed = comparison.term == Term::Changed;
        match &comparison.test {
            Test::None if changed || metric.dimension == Dimension::Flag => {
                Some((model::Test::Truth, written.to_owned()))
            }
            Test::None => {
                let example = match metric.dimension {
                    Dimension::Text => format!("{written} == \"..\""),
                    dimension => format!("{written} > {}", example(dimension)),
                };
                let message = format!("`{written}` is not true or false by itself");
                self.report(&comparison.range, message, format!("compare it: `{example}`"));
                None
            }
            Test::Compare(op, _) if changed => {
                self.report(
                    &op.range,
                    "`changed(..)` is true or false by itself",
                    "leave the comparison away".to_owned(),
                );
                None
            }
            Test::Matches(_) if changed || metric.dimension != Dimension::Text => {
                let message = format!("`{written}` is no text: `matches` has no meaning for it");
                let help = match metric.dimension {
                    _ if changed => "leave `matches` away".to_owned(),
                    Dimension::Flag => format!("write `{written}`, or `not {written}`"),
                    dimension => format!("compare it: `{written} > {}`", example(dimension)),
                };
                self.report(&comparison.range, message, help);
                None
            }
            Test::Matches(pattern) => {
                let text = format!("{written} matches {}", in_quotes(pattern.it.as_str()));
                Some((model::Test::Matches(pattern.it.clone()), text))
            }
            Test::Compare(op, value) => {
                let (limit, shown) = self.limit(comparison, op, value, metric, written)?;
                let text = format!("{written} {} {shown}", op.it.symbol());
                Some((model::Test::Compare(op.it, limit), text))
            }
        }
    }

    fn limit(
        &mut self,
        comparison: &Comparison,
        op: &At<Op>,
        value: &At<Value>,
        metric: &Metric,
        name: &str,
    ) -> Option<(Limit, String)> {
        let ordered = !matches!(op.it, Op::Equal | Op::Unequal);
        match (&value.it, metric.dimension) {
            (Value::Flag(_), Dimension::Flag) | (Value::Text(_), Dimension::Text) if ordered => {
                let what = if metric.dimension == Dimension::Flag { "true or false" } else { "a text" };
                let message = format!("`{name}` is {what}: it is not more or less than something");
                self.report(&op.range, message, "compare it with `==` or `!=`".to_owned());
                None
            }
            (Value::Flag(flag), Dimension::Flag) => Some((Limit::Flag(*flag), flag.to_string())),
            (Value::Text(text), Dimension::Text) => Some((Limit::Text(text.as_str().into()), in_quotes(text))),
            (Value::Quantity(shown, quantity), dimension)
                if !matches!(dimension, Dimension::Flag | Dimension::Text) =>
            {
                let percent = quantity.dimension == Dimension::Percent && dimension != Dimension::Percent;
                if percent && metric.of_whole {
                    self.possible(comparison, op, value, quantity, metric.at_most.or(Some(100.0)), name)?;
                    return Some((Limit::PercentOfWhole(quantity.value), shown.clone()));
                }
                if quantity.dimension != dimension {
                    self.unlike(value, shown, quantity, metric, name);
                    return None;
                }
                // Only what a plugin says may be negative.
                if !metric.name.starts_with("perf.") {
                    self.possible(comparison, op, value, quantity, metric.at_most, name)?;
                }
                Some((Limit::Number(quantity.value), shown.clone()))
            }
            _ => {
                let message = format!("`{name}` is compared with {}", expectation(metric));
                let help = match (&value.it, metric.dimension) {
                    (_, Dimension::Flag) => Some(format!("write `{name}`, or `not {name}`")),
                    (Value::Quantity(shown, _), Dimension::Text) => Some(format!("did you mean `\"{shown}\"`?")),
                    _ => None,
                };
                self.report(&value.range, message, help);
                None
            }
        }
    }

    /// A number of another dimension than the metric's.
    fn unlike(&mut self, value: &At<Value>, shown: &str, quantity: &Quantity, metric: &Metric, name: &str) {
        let rate = matches!(metric.dimension, Dimension::ByteRate | Dimension::CountRate);
        let amount_of_plugin = metric.name.starts_with("perf.") && !rate;
        let help = match quantity.dimension {
            // A plugin's value is what the first rule takes it for; how fast it grows follows from that.
            Dimension::ByteRate | Dimension::CountRate if amount_of_plugin => {
                format!("what a plugin says is an amount; how fast it grows is `rate({name}, 5m)`")
            }
            _ if amount_of_plugin && metric.dimension != Dimension::Percent => {
                format!("another rule compares it with {}: a value has one unit", expectation(metric))
            }
            Dimension::Count => {
                let mut units: Vec<String> = UNITS
                    .iter()
                    .filter(|(_, dimension, _)| {
                        *dimension == metric.dimension
                            || (*dimension == Dimension::Percent && metric.of_whole)
                            || (*dimension == Dimension::Bytes && metric.dimension == Dimension::ByteRate)
                    })
                    .map(|(unit, ..)| match metric.dimension {
                        Dimension::ByteRate => format!("{shown}{unit}/s"),
                        _ => format!("{shown}{unit}"),
                    })
                    .collect();
                if metric.dimension == Dimension::CountRate {
                    units.push(format!("{shown}/s"));
                }
                units.retain(|unit| !unit.ends_with("TB") && !unit.contains("iB") && !unit.ends_with('w'));
                format!("did you mean {}?", listed(units.iter().map(String::as_str)).replace(" and ", " or "))
            }
            Dimension::Bytes if metric.dimension == Dimension::ByteRate => format!("did you mean `{shown}/s`?"),
            Dimension::Percent => format!("`{name}` is no part of a whole: write {}", expectation(metric)),
            _ => format!("write {}", expectation(metric)),
        };
        let message = match quantity.dimension {
            Dimension::Count => format!("`{shown}` has no unit, and `{name}` is compared with {}", expectation(metric)),
            _ => format!("`{name}` cannot be compared with `{shown}`"),
        };
        self.report(&value.range, message, help);
    }

    /// No metric is negative, and some have an upper bound.
    fn possible(
        &mut self,
        comparison: &Comparison,
        op: &At<Op>,
        value: &At<Value>,
        quantity: &Quantity,
        most: Option<f64>,
        name: &str,
    ) -> Option<()> {
        let limit = quantity.value;
        let beyond = most.is_some_and(|most| limit > most);
        let bound = most.is_some_and(|most| limit >= most);
        let outcome = match op.it {
            Op::Less if limit == 0.0 => "can never be true",
            Op::GreaterOrEqual if limit == 0.0 => "is always true",
            Op::Greater if bound => "can never be true",
            Op::GreaterOrEqual | Op::Equal if beyond => "can never be true",
            Op::LessOrEqual if bound => "is always true",
            Op::Less | Op::Unequal if beyond => "is always true",
            _ => return Some(()),
        };
        let Value::Quantity(shown, _) = &value.it else { return Some(()) };
        let why = match most {
            Some(most) if limit > 0.0 && quantity.dimension == Dimension::Percent => format!("it is at most {most}%"),
            Some(most) if limit > 0.0 => format!("it is at most {most}"),
            _ => "it is never less than 0".to_owned(),
        };
        let message = format!("`{name} {} {shown}` {outcome}: {why}", op.it.symbol());
        self.report(&comparison.range, message, None);
        None
    }

    fn metric(&mut self, name: &At<String>) -> Option<(MetricRef, &'static Metric)> {
        // What could not be read has been reported; a name that may be meant for it is not reported again.
        let unknown_checks = self.checks.iter().any(|check| check.kind.is_none());
        let Some((check_name, metric_name)) = name.it.split_once('.') else {
            if !unknown_checks {
                self.without_check(name);
            }
            return None;
        };
        let Some(index) = self.checks.iter().position(|check| check.name == check_name) else {
            if !unknown_checks {
                self.unknown_check(name, check_name, metric_name);
            }
            return None;
        };
        let (kind, metrics) = self.checks[index].kind?;
        let Some(place) = metrics.iter().position(|metric| metric.name == metric_name) else {
            self.unknown_metric(name, check_name, metric_name, kind, metrics);
            return None;
        };
        let at = MetricRef { check: u16::try_from(index).ok()?, metric: MetricId(u8::try_from(place).ok()?) };
        Some((at, &metrics[place]))
    }

    /// The checks of the service that have a metric of this name.
    fn with_metric(&self, metric: &str) -> Vec<String> {
        let has = |check: &&Asked| check.kind.is_some_and(|(_, metrics)| metrics.iter().any(|m| m.name == metric));
        self.checks.iter().filter(has).map(|check| format!("{}.{metric}", check.name)).collect()
    }

    fn without_check(&mut self, name: &At<String>) {
        let meant = self.with_metric(&name.it);
        let help = match meant.as_slice() {
            [] => "a metric is written `CHECK.METRIC`, such as `process.memory`".to_owned(),
            _ => format!("did you mean {}?", listed(meant.iter().map(String::as_str)).replace(" and ", " or ")),
        };
        self.report(&name.range, format!("{} does not say of which check", quoted(&name.it)), help);
    }

    fn unknown_check(&mut self, name: &At<String>, check: &str, metric: &str) {
        let range = name.range.start..name.range.start + check.len();
        let names = || self.checks.iter().map(|check| check.name.as_str());
        let help = match (nearest(check, names()), self.with_metric(metric).as_slice()) {
            _ if check == "control" => {
                "it is what a supervisor says, and this service has none: name it, such as `control: { runit: NAME }`"
                    .to_owned()
            }
            (Some(meant), _) => format!("did you mean `{meant}`?"),
            (None, [meant]) => format!("did you mean `{meant}`?"),
            _ if self.checks.is_empty() => "this service has no checks".to_owned(),
            _ if Kind::metrics_of(check).is_some() => {
                format!("add a check of the kind `{check}`; there are only {}", listed(names()))
            }
            _ => format!("the checks of this service are {}", listed(names())),
        };
        self.report(&range, format!("this service has no check named {}", quoted(check)), help);
    }

    fn unknown_metric(&mut self, name: &At<String>, check: &str, metric: &str, kind: &str, metrics: &'static [Metric]) {
        let range = name.range.start + check.len() + 1..name.range.end;
        let others = self.with_metric(metric);
        let other_kinds: Vec<&str> = Kind::NAMES
            .iter()
            .map(|(kind, _)| *kind)
            .filter(|kind| Kind::metrics_of(kind).is_some_and(|all| all.iter().any(|m| m.name == metric)))
            .collect();
        let all = format!("the metrics of `{kind}` are {}", listed(metrics.iter().map(|m| m.name)));
        let of_each = format!("each.{metric}");
        let help = if let Some(help) = perf::help(metric, kind, metrics) {
            help
        } else if metrics.iter().any(|m| m.name == of_each) {
            format!("did you mean `{check}.{of_each}`?")
        } else if let Some(meant) = nearest(metric, metrics.iter().map(|m| m.name)) {
            format!("did you mean `{check}.{meant}`?")
        } else if !others.is_empty() {
            format!("did you mean {}?", listed(others.iter().map(String::as_str)).replace(" and ", " or "))
        } else if !other_kinds.is_empty() {
            format!("it is a metric of {}; {all}", listed(other_kinds))
        } else {
            all
        };
        self.report(&range, format!("`{kind}` checks have no metric {}", quoted(metric)), help);
    }
}

/// A metric as a function over a window gives it.
fn seen_through(function: Function, metric: &Metric) -> Metric {
    let dimension = function.dimension(metric.dimension).unwrap_or(metric.dimension);
    match function {
        Function::Avg | Function::Min | Function::Max => *metric,
        Function::Rate => Metric { dimension, of_whole: false, at_most: None, ..*metric },
        // A line may well reach beyond what there is: that is what is to be known beforehand.
        Function::Forecast(_) => Metric { at_most: Some(f64::INFINITY), ..*metric },
    }
}

fn range_of(expr: &Expr) -> Range<usize> {
    match expr {
        Expr::And(parts) | Expr::Or(parts) => {
            let start = parts.first().map_or(0, |part| range_of(part).start);
            start..parts.last().map_or(start, |part| range_of(part).end)
        }
        Expr::Not(part) => range_of(part),
        Expr::Is(comparison) => comparison.range.clone(),
    }
}

pub(super) fn expectation(metric: &Metric) -> String {
    match metric.dimension {
        dimension if metric.of_whole => format!("{}, or a percentage such as `80%`", dimension.expectation()),
        dimension => dimension.expectation().to_owned(),
    }
}

fn example(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Bytes => "500MB",
        Dimension::ByteRate => "10MB/s",
        Dimension::Time => "5s",
        Dimension::Percent => "80%",
        Dimension::CountRate => "5/s",
        Dimension::Count | Dimension::Flag | Dimension::Text => "3",
    }
}
