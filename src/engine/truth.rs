//! Whether a condition holds: three-valued, with *absent* as a fourth reading.
//!
//! | reading | comparison |
//! |---|---|
//! | known | true or false |
//! | absent: asked, and there is no such thing now | false, whatever the operator |
//! | unknown: not asked, too old, not covered by its window | unknown |
//!
//! `and`, `or` and `not` are Kleene's: an unknown part decides nothing that the others do not decide.

use super::service::ServiceState;
use crate::model::{
    Comparison, Condition, Dimension, Each, Function, Limit, MetricRef, Mono, Op, Reading, SavedReading, Term, Test,
    Truth, show,
};

/// Answers for the terms of a condition at one moment.
pub(super) struct View<'a> {
    pub service: &'a ServiceState,
    pub now: Mono,
    /// For each `changed(..)` of the rule, from left to right, what it was when last looked at.
    pub baselines: &'a [Option<SavedReading>],
    /// The process that is judged, where each is by itself: metrics of each are its.
    pub of: Option<&'a Each>,
}

impl View<'_> {
    /// Whether the condition holds.
    pub fn truth(&self, condition: &Condition) -> Truth {
        self.walk(condition, &mut 0)
    }

    /// `place` counts the `changed(..)` passed so far; every part is visited, so that it counts right.
    fn walk(&self, condition: &Condition, place: &mut usize) -> Truth {
        match condition {
            Condition::Is(comparison) => self.compare(comparison, place),
            Condition::Not(part) => !self.walk(part, place),
            Condition::And(parts) => parts.iter().fold(Truth::True, |all, part| and(all, self.walk(part, place))),
            Condition::Or(parts) => !parts.iter().fold(Truth::True, |all, part| and(all, !self.walk(part, place))),
        }
    }

    fn compare(&self, comparison: &Comparison, place: &mut usize) -> Truth {
        if let Term::Changed(metric) = comparison.term {
            let was = self.baselines.get(*place).and_then(Option::as_ref);
            *place += 1;
            return match (was, SavedReading::of(&self.service.reading(metric, self.now))) {
                (_, None) => Truth::Unknown,
                (None, Some(_)) => Truth::False,
                (Some(was), Some(is)) => Truth::from(*was != is),
            };
        }
        holds(&comparison.test, &self.observe(comparison))
    }

    /// Whether this one comparison is bad. Of a `changed(..)` that cannot be said by itself.
    pub fn is_bad(&self, comparison: &Comparison) -> Truth {
        match comparison.term {
            Term::Changed(_) => Truth::Unknown,
            _ => holds(&comparison.test, &self.observe(comparison)),
        }
    }

    /// What the comparison looks at.
    pub fn observe(&self, comparison: &Comparison) -> Reading {
        match comparison.term {
            Term::Latest(metric) | Term::Changed(metric) => self.reading(metric),
            Term::Window { function, metric, window } => {
                let latest = self.service.reading(metric, self.now);
                let covered = self.service.window(metric, window).and_then(|w| w.value(function, self.now));
                match (&latest, covered) {
                    (Reading::Absent, _) => latest,
                    // A rate is no part of the whole any more.
                    (Reading::Part { .. }, Some(value)) if function == Function::Rate => Reading::Number(value),
                    (Reading::Part { whole, .. }, Some(value)) => Reading::Part { value, whole: *whole },
                    // Unknown now but covered: the latest sample had no value, and is bridged as long as it is not too old.
                    (Reading::Unknown, Some(_)) if self.service.is_stale(metric, self.now) => Reading::Unknown,
                    (_, Some(value)) => Reading::Number(value),
                    (_, None) => Reading::Unknown,
                }
            }
        }
    }
}

impl View<'_> {
    fn reading(&self, metric: MetricRef) -> Reading {
        match self.of {
            Some(of) if self.service.metric(metric).is_some_and(|metric| metric.each) => {
                if self.service.is_stale(metric, self.now) {
                    Reading::Unknown
                } else {
                    of.reading(metric.metric).clone()
                }
            }
            _ => self.service.reading(metric, self.now),
        }
    }
}

fn and(a: Truth, b: Truth) -> Truth {
    match (a, b) {
        (Truth::False, _) | (_, Truth::False) => Truth::False,
        (Truth::True, Truth::True) => Truth::True,
        _ => Truth::Unknown,
    }
}

/// Whether a reading passes a test.
fn holds(test: &Test, reading: &Reading) -> Truth {
    match (reading, test) {
        (Reading::Unknown, _) => Truth::Unknown,
        (Reading::Absent, _) => Truth::False,
        (Reading::Flag(flag), Test::Truth) => Truth::from(*flag),
        (Reading::Text(text), Test::Matches(pattern)) => Truth::from(pattern.is_match(text)),
        (Reading::Part { value, whole }, Test::Compare(op, Limit::PercentOfWhole(limit))) => {
            if *whole > 0.0 {
                Truth::from(number(*op, value / whole * 100.0, *limit))
            } else {
                Truth::Unknown
            }
        }
        (Reading::Number(value) | Reading::Part { value, .. }, Test::Compare(op, Limit::Number(limit))) => {
            Truth::from(number(*op, *value, *limit))
        }
        (Reading::Text(text), Test::Compare(Op::Equal, Limit::Text(limit))) => Truth::from(text == limit),
        (Reading::Text(text), Test::Compare(Op::Unequal, Limit::Text(limit))) => Truth::from(text != limit),
        (Reading::Flag(flag), Test::Compare(Op::Equal, Limit::Flag(limit))) => Truth::from(flag == limit),
        (Reading::Flag(flag), Test::Compare(Op::Unequal, Limit::Flag(limit))) => Truth::from(flag != limit),
        // The plan is validated, so that this is a probe that answers in another type: nothing can be said.
        _ => Truth::Unknown,
    }
}

fn number(op: Op, value: f64, limit: f64) -> bool {
    match op {
        Op::Less => value < limit,
        Op::LessOrEqual => value <= limit,
        Op::Greater => value > limit,
        Op::GreaterOrEqual => value >= limit,
        Op::Equal => value == limit,
        Op::Unequal => value != limit,
    }
}

/// A reading in words, as its comparison looks at it: `93 %` of a whole where the limit is in percent.
pub(super) fn words(reading: &Reading, test: &Test, dimension: Dimension) -> String {
    match (reading, test) {
        (Reading::Part { value, whole }, Test::Compare(_, Limit::PercentOfWhole(_))) if *whole > 0.0 => {
            show(value / whole * 100.0, Dimension::Percent)
        }
        (Reading::Number(value) | Reading::Part { value, .. }, _) => show(*value, dimension),
        (Reading::Flag(flag), _) => if *flag { "yes" } else { "no" }.to_owned(),
        (Reading::Text(text), _) => format!("\"{}\"", shorten(text)),
        (Reading::Absent, _) => "none".to_owned(),
        (Reading::Unknown, _) => "unknown".to_owned(),
    }
}

/// The first hundred characters: a banner or body can be long.
fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(100).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// A limit in words: `500 MB`; nothing for a flag.
pub(super) fn limit_words(test: &Test, dimension: Dimension) -> Option<String> {
    match test {
        Test::Truth => None,
        Test::Matches(pattern) => Some(format!("matches \"{}\"", pattern.as_str())),
        Test::Compare(_, Limit::Number(limit)) => Some(show(*limit, dimension)),
        Test::Compare(_, Limit::PercentOfWhole(limit)) => Some(show(*limit, Dimension::Percent)),
        Test::Compare(_, Limit::Text(text)) => Some(format!("\"{text}\"")),
        Test::Compare(_, Limit::Flag(flag)) => Some(flag.to_string()),
    }
}

/// The term as the language writes it: `process.memory`, `avg(process.cpu, 5m)`.
pub(super) fn term_words(service: &ServiceState, term: &Term) -> String {
    let metric = metric_words(service, term.metric());
    match term {
        Term::Latest(_) => metric,
        Term::Window { function, window, .. } => function.write(&metric, *window),
        Term::Changed(_) => format!("changed({metric})"),
    }
}

fn metric_words(service: &ServiceState, metric: MetricRef) -> String {
    let Some(check) = service.plan.checks.get(usize::from(metric.check)) else { return String::new() };
    format!("{}.{}", check.name, service.metric(metric).map_or("", |m| m.name))
}

/// The values that make a condition true, in words: `process.memory 612 MB`, with its limit if `limits` says so.
pub(super) fn value_words(view: &View<'_>, condition: &Condition, limits: bool) -> String {
    let mut bad = Vec::new();
    let mut others = Vec::new();
    condition.each(&mut |comparison| {
        let reading = view.observe(comparison);
        if reading == Reading::Unknown {
            return;
        }
        let mut text = match view.service.metric(comparison.term.metric()) {
            // The process stands before it.
            Some(metric) if metric.each && view.of.is_some() => metric.name.to_owned(),
            _ => term_words(view.service, &comparison.term),
        };
        if !(matches!(reading, Reading::Flag(true)) && comparison.test == Test::Truth) {
            text = format!("{text} {}", words(&reading, &comparison.test, comparison.dimension));
        }
        if limits && let Some(limit) = limit_words(&comparison.test, comparison.dimension) {
            text = format!("{text} (limit {limit})");
        }
        let is_bad = matches!(comparison.term, Term::Changed(_)) || view.is_bad(comparison) == Truth::True;
        if is_bad { &mut bad } else { &mut others }.push(text);
    });
    // Where the truth lies in a `not`, no single comparison is bad: then all of them tell.
    if bad.is_empty() { others } else { bad }.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kleene() {
        use Truth::{False, True, Unknown};
        for (a, b, both) in [
            (True, True, True),
            (True, False, False),
            (False, Unknown, False),
            (True, Unknown, Unknown),
            (Unknown, Unknown, Unknown),
        ] {
            assert_eq!(and(a, b), both, "{a:?} and {b:?}");
            assert_eq!(and(b, a), both, "{b:?} and {a:?}");
        }
    }

    #[test]
    fn absent_is_false_and_unknown_is_unknown() {
        let above = Test::Compare(Op::Greater, Limit::Number(5.0));
        let unequal = Test::Compare(Op::Unequal, Limit::Number(5.0));
        assert_eq!(holds(&above, &Reading::Absent), Truth::False);
        assert_eq!(holds(&unequal, &Reading::Absent), Truth::False);
        assert_eq!(holds(&above, &Reading::Unknown), Truth::Unknown);
        assert_eq!(holds(&above, &Reading::Number(6.0)), Truth::True);
        assert_eq!(holds(&above, &Reading::Text("6".into())), Truth::Unknown);
    }

    #[test]
    fn part_of_a_whole() {
        let percent = Test::Compare(Op::GreaterOrEqual, Limit::PercentOfWhole(90.0));
        assert_eq!(holds(&percent, &Reading::Part { value: 9.0, whole: 10.0 }), Truth::True);
        assert_eq!(holds(&percent, &Reading::Part { value: 8.9, whole: 10.0 }), Truth::False);
        assert_eq!(holds(&percent, &Reading::Part { value: 0.0, whole: 0.0 }), Truth::Unknown);
        assert_eq!(words(&Reading::Part { value: 9.0, whole: 10.0 }, &percent, Dimension::Bytes), "90 %");
    }
}
