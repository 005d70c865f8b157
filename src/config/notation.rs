//! The short notation for what a metric reads as time goes by: `300MB x30 600MB+10MB x20 _ x3 none`.
//!
//! ```text
//! values = value { value }
//! value  = reading [ "x" INT ]                       so many of the same
//!        | number ( "+" | "-" ) number "x" INT       so many, each so much more, or less, than the one before
//! reading= number [ "/" number ] | "true" | "false" | WORD | TEXT | "none" | "_"
//! ```

use super::diagnostic::{listed, quoted};
use super::lexer::Wrong;
use super::resolve::expectation;
use crate::model::{Dimension, Metric, NotAQuantity, Quantity, Reading, Run};
use std::ops::Range;

/// More of one value are not meant.
const MOST: u32 = 10_000_000;

/// The values of a metric, `name`; or what is wrong with the first of them that is wrong.
pub(super) fn runs(text: &str, metric: &Metric, name: &str) -> Result<Vec<Run>, Wrong> {
    let mut runs: Vec<Run> = Vec::new();
    let mut words = words(text)?.into_iter().peekable();
    while let Some(range) = words.next() {
        let word = &text[range.clone()];
        let (reading, mut times) = match split_times(word) {
            Some((0, _)) => {
                let wrong = Wrong::new(range, format!("{} says how often, and not what", quoted(word)));
                return Err(wrong.help("it stands behind a value: `300MB x30`"));
            }
            Some((end, times)) => (range.start..range.start + end, Some((times, range.clone()))),
            None => (range.clone(), None),
        };
        if times.is_none()
            && let Some(next) = words.peek()
            && let Some((0, behind)) = split_times(&text[next.clone()])
        {
            times = Some((behind, next.clone()));
            words.next();
        }
        let count = match &times {
            None => None,
            Some((digits, at)) => match digits.parse() {
                Ok(0) => return Err(Wrong::new(at.clone(), "a value that comes no times is none")),
                Ok(count) if count <= MOST => Some(count),
                _ => return Err(Wrong::new(at.clone(), format!("no value comes more than {MOST} times"))),
            },
        };
        runs.push(run(text, reading, count, metric, name)?);
    }
    if runs.is_empty() {
        return Err(Wrong::new(0..text.len(), "there is no value here").help("write, for example, `300MB x30 600MB`"));
    }
    Ok(runs)
}

/// The places of the words; white space within double quotes is part of a word.
fn words(text: &str) -> Result<Vec<Range<usize>>, Wrong> {
    let mut words = Vec::new();
    let (mut start, mut quote) = (None, None);
    for (i, c) in text.char_indices() {
        match c {
            '"' if quote.is_some() => quote = None,
            '"' => {
                quote = Some(i);
                start.get_or_insert(i);
            }
            c if c.is_whitespace() && quote.is_none() => words.extend(start.take().map(|start| start..i)),
            _ => drop(start.get_or_insert(i)),
        }
    }
    if let Some(quote) = quote {
        return Err(Wrong::new(quote..text.len(), "this text has no end").help("close it with a double quote (`\"`)"));
    }
    words.extend(start.map(|start| start..text.len()));
    Ok(words)
}

/// `300MBx30` is the end of `300MB`, and `30`.
fn split_times(word: &str) -> Option<(usize, &str)> {
    let (before, digits) = word.rsplit_once('x')?;
    (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())).then_some((before.len(), digits))
}

fn run(text: &str, at: Range<usize>, times: Option<u32>, metric: &Metric, name: &str) -> Result<Run, Wrong> {
    let word = &text[at.clone()];
    let same = |first: Reading| Ok(Run { first, rise: 0.0, times: times.unwrap_or(1) });
    let other = |what: &str| {
        let message = format!("{} is no {what}, and `{name}` reads {}", quoted(word), expectation(metric));
        Err(Wrong::new(at.clone(), message))
    };
    if let Some(bare) = word.strip_suffix(',') {
        let at = at.end - 1..at.end;
        return Err(
            Wrong::new(at, "values are separated by spaces").help(format!("write {} without a comma", quoted(bare)))
        );
    }
    match (word, metric.dimension) {
        ("_", _) => return same(Reading::Unknown),
        ("none", _) => return same(Reading::Absent),
        ("true" | "false", Dimension::Flag) => return same(Reading::Flag(word == "true")),
        (_, Dimension::Flag) => {
            let values = listed(["true", "false", "_", "none"]).replace(" and ", " or ");
            return Err(Wrong::new(at, format!("`{name}` reads {values}, not {}", quoted(word))));
        }
        (_, Dimension::Text) => {
            let bare = word.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(word);
            return same(Reading::Text(bare.into()));
        }
        _ if !word.starts_with(|c: char| c.is_ascii_digit()) => return other("number"),
        _ => {}
    }
    let Some(sign) = word.find(['+', '-']) else { return same(reading(text, at, metric, name)?) };
    let first = reading(text, at.start..at.start + sign, metric, name)?;
    let step = quantity(text, at.start + sign + 1..at.end, metric, name)?;
    let Some(times) = times else {
        let message = format!(
            "{} says how much each value differs from the one before, and not how many there are",
            quoted(word)
        );
        return Err(Wrong::new(at, message).help(format!("write, for example, `{word} x10`")));
    };
    let begin = first.number().unwrap_or(0.0);
    let rise = if word[sign..].starts_with('-') { -step } else { step };
    if begin + rise * f64::from(times - 1) < -1e-9 {
        let message = format!("this falls below 0 after {} values, and no metric does", (begin / step).floor() + 1.0);
        return Err(Wrong::new(at, message));
    }
    Ok(Run { first, rise, times })
}

/// A number, or a part of a whole.
fn reading(text: &str, at: Range<usize>, metric: &Metric, name: &str) -> Result<Reading, Wrong> {
    let word = &text[at.clone()];
    // The slash of `10MB/s` is no division.
    let slash =
        word.match_indices('/').map(|(i, _)| i).find(|i| word[i + 1..].starts_with(|c: char| c.is_ascii_digit()));
    if let Some(slash) = slash {
        if !metric.of_whole {
            return Err(Wrong::new(at, format!("`{name}` is no part of a whole"))
                .help(format!("write {}", expectation(metric))));
        }
        let value = quantity(text, at.start..at.start + slash, metric, name)?;
        let whole = quantity(text, at.start + slash + 1..at.end, metric, name)?;
        return Ok(Reading::Part { value, whole });
    }
    match Quantity::parse(word) {
        // A part of which only the share is said.
        Ok(Quantity { value, dimension: Dimension::Percent })
            if metric.of_whole && metric.dimension != Dimension::Percent =>
        {
            Ok(Reading::Part { value, whole: 100.0 })
        }
        _ => quantity(text, at, metric, name).map(Reading::Number),
    }
}

/// A number in the base unit of the metric.
fn quantity(text: &str, at: Range<usize>, metric: &Metric, name: &str) -> Result<f64, Wrong> {
    let word = &text[at.clone()];
    let expected = expectation(metric);
    match Quantity::parse(word) {
        Ok(Quantity { value, dimension }) if dimension == metric.dimension => Ok(value),
        // The step of a share.
        Ok(Quantity { value, dimension: Dimension::Percent }) if metric.of_whole => Ok(value),
        Ok(Quantity { dimension: Dimension::Count, .. }) => {
            Err(Wrong::new(at, format!("{} has no unit, and `{name}` reads {expected}", quoted(word))))
        }
        Ok(_) => Err(Wrong::new(at, format!("`{name}` cannot read {}: it reads {expected}", quoted(word)))),
        Err(NotAQuantity::UnknownUnit { unit, meant }) => {
            let wrong = Wrong::new(at, format!("unknown unit {}", quoted(&unit)));
            Err(wrong
                .help(meant.map_or(format!("`{name}` reads {expected}"), |meant| format!("did you mean `{meant}`?"))))
        }
        Err(e) => Err(Wrong::new(at, format!("{e}, found {}", quoted(word)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MEMORY: Metric = Metric::new("memory", Dimension::Bytes, "").of_whole();

    fn read(text: &str, metric: &Metric) -> Vec<(Reading, f64, u32)> {
        let runs = runs(text, metric, "a.b").unwrap_or_else(|wrong| panic!("{text}: {}", wrong.message));
        runs.into_iter().map(|run| (run.first, run.rise, run.times)).collect()
    }

    #[test]
    fn every_form_is_read() {
        let count = Metric::new("lines", Dimension::Count, "");
        use Reading::*;
        assert_eq!(read("10+10x5", &count), [(Number(10.0), 10.0, 5)]);
        assert_eq!(read(" 5-1 x6  3", &count), [(Number(5.0), -1.0, 6), (Number(3.0), 0.0, 1)]);
        assert_eq!(read("300MB x30 600MBx2", &MEMORY), [(Number(3e8), 0.0, 30), (Number(6e8), 0.0, 2)]);
        assert_eq!(
            read("80%+1%x3 6GB/8GB _ x2 none", &MEMORY),
            [
                (Part { value: 80.0, whole: 100.0 }, 1.0, 3),
                (Part { value: 6e9, whole: 8e9 }, 0.0, 1),
                (Unknown, 0.0, 2),
                (Absent, 0.0, 1)
            ]
        );
        let flag = Metric::new("failed", Dimension::Flag, "");
        assert_eq!(read("false x2 true", &flag), [(Flag(false), 0.0, 2), (Flag(true), 0.0, 1)]);
        let text = Metric::new("owner", Dimension::Text, "");
        assert_eq!(
            read("root \"two words\"x2", &text),
            [(Text("root".into()), 0.0, 1), (Text("two words".into()), 0.0, 2)]
        );
        let rate = Metric::new("read", Dimension::ByteRate, "");
        assert_eq!(read("10MB/s+1MB/sx3", &rate), [(Number(1e7), 1e6, 3)]);
    }

    #[test]
    fn what_is_wrong_is_said_where_it_is() {
        for (text, part, message) in [
            (
                "300 x30",
                "300",
                "`300` has no unit, and `a.b` reads a size such as `500MB`, or a percentage such as `80%`",
            ),
            ("300MB, 5MB", ",", "values are separated by spaces"),
            ("x30", "x30", "`x30` says how often, and not what"),
            ("3MB x0", "x0", "a value that comes no times is none"),
            ("3MB x5 x6", "x6", "`x6` says how often, and not what"),
            ("30MB-10MB x5", "30MB-10MB", "this falls below 0 after 4 values, and no metric does"),
            ("3mb", "3mb", "unknown unit `mb`"),
            (
                "true",
                "true",
                "`true` is no number, and `a.b` reads a size such as `500MB`, or a percentage such as `80%`",
            ),
            ("5s", "5s", "`a.b` cannot read `5s`: it reads a size such as `500MB`, or a percentage such as `80%`"),
            (
                "1MB+1MB",
                "1MB+1MB",
                "`1MB+1MB` says how much each value differs from the one before, and not how many there are",
            ),
            ("", "", "there is no value here"),
        ] {
            let wrong = runs(text, &MEMORY, "a.b").unwrap_err();
            assert_eq!((&text[wrong.range], wrong.message.as_str()), (part, message), "{text}");
        }
    }

    proptest! {
        /// Whatever stands there, it is read or its mistake is named by a place within it; and as far as it is read, every value
        /// can be had at once, however many there are said to be.
        #[test]
        fn any_text_is_read_or_explained(text in any_values(), which in 0..5usize) {
            let all = [
                MEMORY,
                Metric::new("lines", Dimension::Count, ""),
                Metric::new("failed", Dimension::Flag, ""),
                Metric::new("owner", Dimension::Text, ""),
                Metric::new("read", Dimension::ByteRate, ""),
            ];
            match runs(&text, &all[which], "a.b") {
                Ok(runs) => {
                    prop_assert!(!runs.is_empty() && runs.len() <= text.len());
                    for run in &runs {
                        prop_assert!((1..=MOST).contains(&run.times));
                        for number in [0, run.times / 2, run.times - 1] {
                            prop_assert!(run.value(number).number().is_none_or(|value| value >= -1.0 || value.is_nan()));
                        }
                    }
                    let runs = crate::model::Runs::new(runs);
                    for number in [0, 1, 1000, u64::from(u32::MAX), u64::MAX] {
                        runs.value(number);
                    }
                }
                Err(wrong) => {
                    prop_assert!(text.get(wrong.range.clone()).is_some(), "{text:?} {:?}", wrong.range);
                    prop_assert!(!wrong.message.is_empty());
                }
            }
        }
    }

    /// Words that look like values, and some that do not.
    fn any_values() -> impl Strategy<Value = String> {
        let word = prop_oneof![
            4 => "[0-9]{1,3}(\\.[0-9])?(MB|kB|%|s|)([+-][0-9]{1,2}(MB|%|s|))?( ?x[0-9]{1,11})?",
            2 => "[0-9]{1,20}(GB|TiB|)/[0-9]{1,20}(GB|TiB|)",
            1 => Just("1x999999999".to_owned()),
            1 => Just("9e999MB+9e999MBx10000000".to_owned()),
            1 => "(true|false|_|none|x|,|\"|/|\\+|-|ß|\u{0}|e)( ?x[0-9]{1,3})?",
            1 => "\\PC{0,6}",
        ];
        proptest::collection::vec(word, 0..8).prop_map(|words| words.join(" "))
    }
}
