//! A limit of monit's as a comparison of ours, if it has a meaning.

use super::super::read::Amount;
use super::super::syntax::Op;
use crate::model::{Dimension, Kind, Metric};

/// `CHECK.METRIC > 500MiB`; or why there is no such comparison.
pub fn compare(kind: &str, check: &str, metric: &str, op: Op, amount: &Amount) -> Result<String, String> {
    let found = Kind::metrics_of(kind).and_then(|metrics| metrics.iter().find(|m| m.name == metric));
    let metric = found.ok_or("minder does not measure this")?;
    let name = format!("{check}.{}", metric.name);
    let (value, most) = quantity(metric, amount).ok_or_else(|| match amount.unit.as_str() {
        "" => format!("a limit of `{name}` has a unit"),
        unit => format!("`{name}` is not measured in `{unit}`"),
    })?;
    possible(op, amount.number, most).map_err(|outcome| format!("`{name} {} {value}` {outcome}", symbol(op)))?;
    Ok(format!("{name} {} {value}", symbol(op)))
}

pub fn symbol(op: Op) -> &'static str {
    match op {
        Op::Less => "<",
        Op::LessOrEqual => "<=",
        Op::Greater => ">",
        Op::GreaterOrEqual => ">=",
        Op::Equal => "==",
        Op::Unequal => "!=",
    }
}

/// An amount in our units, and the most that it can be. monit's units of size are powers of 1024.
fn quantity(metric: &Metric, amount: &Amount) -> Option<(String, Option<f64>)> {
    let unit = amount.unit.as_str();
    let size = |unit: &str| match unit {
        "" | "b" | "byte" | "bytes" => Some("B"),
        "kb" => Some("KiB"),
        "mb" => Some("MiB"),
        "gb" => Some("GiB"),
        "tb" => Some("TiB"),
        _ => None,
    };
    let (unit, most) = match metric.dimension {
        Dimension::Percent => ((unit == "%").then_some("%")?.to_owned(), metric.at_most),
        Dimension::Bytes | Dimension::Count if unit == "%" => (metric.of_whole.then_some("%")?.to_owned(), Some(100.0)),
        Dimension::Bytes => (size(unit)?.to_owned(), metric.at_most),
        Dimension::ByteRate => (format!("{}/s", size(unit.strip_suffix("/s")?)?), metric.at_most),
        Dimension::Count => (unit.is_empty().then(String::new)?, metric.at_most),
        Dimension::Time => (time(unit)?.to_owned(), metric.at_most),
        Dimension::CountRate | Dimension::Flag | Dimension::Text => return None,
    };
    // The language knows no larger number.
    let scale = match unit.as_bytes().first() {
        Some(b'T') => 1e13,
        Some(b'G') => 1e10,
        Some(b'M') => 1e7,
        _ => 1e6,
    };
    (amount.number * scale < 1e18).then(|| (format!("{}{unit}", number(amount.number)), most))
}

fn time(unit: &str) -> Option<&'static str> {
    Some(match unit {
        "ms" | "millisecond" | "milliseconds" => "ms",
        "" | "s" | "sec" | "second" | "seconds" => "s",
        "minute" | "minutes" => "m",
        "hour" | "hours" => "h",
        "day" | "days" => "d",
        "week" | "weeks" => "w",
        _ => return None,
    })
}

/// A number as the language has it: digits, and at most one point.
pub fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// Nothing is less than nothing, and some have a most: a comparison that is never true, or always, is none.
fn possible(op: Op, limit: f64, most: Option<f64>) -> Result<(), &'static str> {
    let zero = number(limit) == "0";
    let beyond = most.is_some_and(|most| limit > most);
    let bound = most.is_some_and(|most| limit >= most);
    match op {
        Op::Less if zero => Err("can never be true"),
        Op::GreaterOrEqual if zero => Err("is always true"),
        Op::Greater if bound => Err("can never be true"),
        Op::GreaterOrEqual | Op::Equal if beyond => Err("can never be true"),
        Op::LessOrEqual if bound => Err("is always true"),
        Op::Less | Op::Unequal if beyond => Err("is always true"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(kind: &str, metric: &str, op: Op, number: f64, unit: &str) -> Result<String, String> {
        compare(kind, "x", metric, op, &Amount { number, unit: unit.to_owned() })
    }

    #[test]
    fn limits_keep_their_meaning() {
        for (kind, metric, number, unit, expected) in [
            ("process", "memory", 200.0, "mb", "x.memory > 200MiB"),
            ("process", "memory", 12.5, "%", "x.memory > 12.5%"),
            ("process", "read", 500.0, "kb/s", "x.read > 500KiB/s"),
            ("process", "children", 250.0, "", "x.children > 250"),
            ("system", "load1", 1.25, "", "x.load1 > 1.25"),
            ("file", "age", 65.0, "minutes", "x.age > 65m"),
            ("filesystem", "inodes", 30000.0, "", "x.inodes > 30000"),
        ] {
            assert_eq!(written(kind, metric, Op::Greater, number, unit).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for (kind, metric, op, number, unit) in [
            ("process", "cpu.host", Op::Greater, 100.0, "%"),
            ("process", "cpu.host", Op::Greater, 60.0, ""),
            ("system", "memory", Op::LessOrEqual, 100.0, "%"),
            ("process", "children", Op::Less, 0.0, ""),
            ("process", "children", Op::Less, 0.0001, ""),
            ("process", "children", Op::Greater, 5.0, "%"),
            ("process", "memory", Op::Greater, 1e12, "tb"),
            ("process", "none", Op::Greater, 1.0, ""),
        ] {
            assert!(written(kind, metric, op, number, unit).is_err(), "{metric}");
        }
    }
}
