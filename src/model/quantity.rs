//! Typed quantities: `500MB`, `80%`, `5m`, `10MB/s`, and how they are shown to people.

use std::fmt;
use std::time::Duration;

/// What a number measures. Two numbers compare only if they measure the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dimension {
    /// Bytes.
    Bytes,
    /// Bytes a second.
    ByteRate,
    /// Seconds.
    Time,
    /// Percent.
    Percent,
    /// A bare number.
    Count,
    /// A bare number a second.
    CountRate,
    /// True or false.
    Flag,
    /// Text.
    Text,
}

impl Dimension {
    /// What is expected where a value of this dimension stands, with an example.
    pub fn expectation(self) -> &'static str {
        match self {
            Dimension::Bytes => "a size such as `500MB`",
            Dimension::ByteRate => "a rate such as `10MB/s`",
            Dimension::Time => "a duration such as `500ms` or `5m`",
            Dimension::Percent => "a percentage such as `80%`",
            Dimension::Count => "a bare number such as `3`",
            Dimension::CountRate => "a rate such as `5/s`",
            Dimension::Flag => "`true` or `false`",
            Dimension::Text => "a text in quotes",
        }
    }
}

/// Every unit that may follow a number: its name, what it measures, and what one of it is in the base
/// unit (bytes, seconds, percent, one).
pub const UNITS: &[(&str, Dimension, f64)] = &[
    ("%", Dimension::Percent, 1.0),
    ("B", Dimension::Bytes, 1.0),
    ("kB", Dimension::Bytes, 1e3),
    ("MB", Dimension::Bytes, 1e6),
    ("GB", Dimension::Bytes, 1e9),
    ("TB", Dimension::Bytes, 1e12),
    ("KiB", Dimension::Bytes, 1024.0),
    ("MiB", Dimension::Bytes, 1_048_576.0),
    ("GiB", Dimension::Bytes, 1_073_741_824.0),
    ("TiB", Dimension::Bytes, 1_099_511_627_776.0),
    ("ms", Dimension::Time, 1e-3),
    ("s", Dimension::Time, 1.0),
    ("m", Dimension::Time, 60.0),
    ("h", Dimension::Time, 3600.0),
    ("d", Dimension::Time, 86_400.0),
    ("w", Dimension::Time, 604_800.0),
];

/// A number with what it measures, in the base unit of that.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantity {
    /// In the base unit: bytes, bytes a second, seconds, percent, or one.
    pub value: f64,
    /// What it measures.
    pub dimension: Dimension,
}

/// Why a text is not a quantity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotAQuantity {
    /// It does not begin with a number.
    NoNumber,
    /// The number is not finite, or too large to be meant.
    OutOfRange,
    /// No such unit; the nearest one, if any is near.
    UnknownUnit {
        /// As written.
        unit: String,
        /// The unit that was probably meant.
        meant: Option<&'static str>,
    },
}

impl fmt::Display for NotAQuantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotAQuantity::NoNumber => write!(f, "expected a number"),
            NotAQuantity::OutOfRange => write!(f, "this number is too large"),
            NotAQuantity::UnknownUnit { unit, .. } => write!(f, "unknown unit `{unit}`"),
        }
    }
}

impl Quantity {
    /// Reads `NUMBER [UNIT]`, with no space between them or with spaces: `500MB`, `1.5 GiB`, `80%`, `10MB/s`, `5/s`, `3`.
    /// Numbers are decimal digits with at most one point; no sign (no metric is ever negative), no exponent.
    pub fn parse(text: &str) -> Result<Quantity, NotAQuantity> {
        let text = text.trim();
        let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
        let (number, unit) = (&text[..end], text[end..].trim_start());
        if !number.starts_with(|c: char| c.is_ascii_digit()) || number.ends_with('.') {
            return Err(NotAQuantity::NoNumber);
        }
        let number: f64 = number.parse().map_err(|_| NotAQuantity::NoNumber)?;
        let (unit, rate) = match unit.strip_suffix("/s") {
            Some(unit) => (unit, true),
            None => (unit, false),
        };
        let (dimension, scale) = if unit.is_empty() {
            (Dimension::Count, 1.0)
        } else {
            match UNITS.iter().find(|(name, ..)| *name == unit) {
                Some((_, dimension, scale)) => (*dimension, *scale),
                None => {
                    // `M` is read as `MB` before it is as a wrongly written `m`: nobody means minutes by it.
                    let alias = match unit {
                        "K" | "k" | "KB" => Some("kB"),
                        "M" => Some("MB"),
                        "G" => Some("GB"),
                        "T" => Some("TB"),
                        "sec" | "secs" | "second" | "seconds" => Some("s"),
                        "min" | "mins" | "minute" | "minutes" => Some("m"),
                        "hour" | "hours" | "hr" | "hrs" => Some("h"),
                        "day" | "days" => Some("d"),
                        "week" | "weeks" => Some("w"),
                        "percent" => Some("%"),
                        "bytes" | "byte" => Some("B"),
                        _ => None,
                    };
                    let folded = || UNITS.iter().map(|(name, ..)| *name).find(|name| name.eq_ignore_ascii_case(unit));
                    let meant = alias.or_else(folded);
                    return Err(NotAQuantity::UnknownUnit { unit: unit.to_owned(), meant });
                }
            }
        };
        let dimension = match (dimension, rate) {
            (d, false) => d,
            (Dimension::Bytes, true) => Dimension::ByteRate,
            (Dimension::Count, true) => Dimension::CountRate,
            (_, true) => {
                return Err(NotAQuantity::UnknownUnit { unit: format!("{unit}/s"), meant: None });
            }
        };
        let value = number * scale;
        if !value.is_finite() || value > 1e18 {
            return Err(NotAQuantity::OutOfRange);
        }
        Ok(Quantity { value, dimension })
    }
}

/// Reads a duration: a [`Quantity`] of time, at most ten years. `0s` is a duration.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    match Quantity::parse(text) {
        Ok(Quantity { value, dimension: Dimension::Time }) if value <= 315_576_000.0 => {
            Ok(Duration::from_nanos((value * 1e9).round() as u64))
        }
        Ok(Quantity { dimension: Dimension::Time, .. }) => Err("this duration is longer than ten years".to_owned()),
        Ok(Quantity { dimension: Dimension::Count, .. }) => {
            Err(format!("a duration needs a unit: `{0}s`, `{0}m` or `{0}h`?", text.trim()))
        }
        Ok(_) => Err("this is not a duration; write one such as `500ms`, `10s`, `5m`, `2h`, `1d`".to_owned()),
        // Where only a duration can stand, it is one that was meant.
        Err(NotAQuantity::UnknownUnit { unit, meant: Some("MB") }) if unit == "M" => {
            Err("unknown unit `M`; did you mean `m`?".to_owned())
        }
        Err(NotAQuantity::UnknownUnit { unit, meant: Some(meant) }) => {
            Err(format!("unknown unit `{unit}`; did you mean `{meant}`?"))
        }
        Err(e) => Err(format!("{e}; write a duration such as `500ms`, `10s`, `5m`, `2h`, `1d`")),
    }
}

/// A duration in the words of the rule language, exact: `1500ms`, `90s`, `5m`, `1h`.
pub fn write_duration(d: Duration) -> String {
    let ms = d.as_millis();
    for (unit, size) in [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)] {
        if ms >= size && ms.is_multiple_of(size) {
            return format!("{}{unit}", ms / size);
        }
    }
    if ms == 0 { "0s".to_owned() } else { format!("{ms}ms") }
}

/// A number of this dimension as people read it: `512 MB`, `1.2 s`, `83 %`, `3 min`.
pub fn show(value: f64, dimension: Dimension) -> String {
    match dimension {
        Dimension::Bytes => show_bytes(value, ""),
        Dimension::ByteRate => show_bytes(value, "/s"),
        Dimension::Time => show_seconds(value),
        Dimension::Percent => format!("{} %", three(value)),
        Dimension::Count | Dimension::Text => three(value),
        Dimension::CountRate => format!("{}/s", three(value)),
        Dimension::Flag => if value != 0.0 { "yes" } else { "no" }.to_owned(),
    }
}

/// A duration as people read it: `1.2 s`, `4 min 10 s`, `3 h 5 min`, `12 days`.
pub fn show_duration(d: Duration) -> String {
    show_seconds(d.as_secs_f64())
}

/// At least three significant digits, and whole numbers whole.
fn three(value: f64) -> String {
    if value.fract() == 0.0 || value.abs() >= 100.0 {
        format!("{value:.0}")
    } else if value.abs() >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

fn show_bytes(value: f64, per: &str) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut value = value;
    let mut unit = 0;
    while value.abs() >= 999.5 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{} {}{per}", three(value), units[unit])
}

fn show_seconds(value: f64) -> String {
    let seconds = value.abs();
    let sign = if value < 0.0 { "-" } else { "" };
    let two = |big: f64, size: f64, unit: &str, small_size: f64, small_unit: &str| {
        let rest = ((seconds - big * size) / small_size).floor();
        if rest >= 1.0 {
            format!("{sign}{big:.0} {unit} {rest:.0} {small_unit}")
        } else {
            format!("{sign}{big:.0} {unit}")
        }
    };
    if seconds == 0.0 {
        "0 s".to_owned()
    } else if seconds < 1.0 {
        format!("{sign}{} ms", three(seconds * 1e3))
    } else if seconds < 60.0 {
        format!("{sign}{} s", three(seconds))
    } else if seconds < 3600.0 {
        two((seconds / 60.0).floor(), 60.0, "min", 1.0, "s")
    } else if seconds < 86_400.0 {
        two((seconds / 3600.0).floor(), 3600.0, "h", 60.0, "min")
    } else {
        let days = (seconds / 86_400.0).floor();
        two(days, 86_400.0, if days == 1.0 { "day" } else { "days" }, 3600.0, "h")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_unit() {
        for (text, value, dimension) in [
            ("80%", 80.0, Dimension::Percent),
            ("500MB", 5e8, Dimension::Bytes),
            ("1.5 GiB", 1_610_612_736.0, Dimension::Bytes),
            ("10MB/s", 1e7, Dimension::ByteRate),
            ("5/s", 5.0, Dimension::CountRate),
            ("250ms", 0.25, Dimension::Time),
            ("2w", 1_209_600.0, Dimension::Time),
            ("3", 3.0, Dimension::Count),
        ] {
            assert_eq!(Quantity::parse(text), Ok(Quantity { value, dimension }), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_none() {
        for text in ["", "MB", "-5", "1e9", ".5", "5.", "0x10", "1_000", "5m/s", "nan", "inf"] {
            assert!(Quantity::parse(text).is_err(), "{text}");
        }
        assert_eq!(Quantity::parse("5mb"), Err(NotAQuantity::UnknownUnit { unit: "mb".into(), meant: Some("MB") }));
    }

    #[test]
    fn durations_are_written_as_they_are_read() {
        for text in ["0s", "1500ms", "90s", "5m", "1h", "36h", "1d", "2w"] {
            assert_eq!(write_duration(parse_duration(text).unwrap()), text);
        }
    }

    #[test]
    fn shows_people_what_they_read() {
        for (value, dimension, text) in [
            (1.234_567e8, Dimension::Bytes, "123 MB"),
            (0.25, Dimension::Time, "250 ms"),
            (252.0, Dimension::Time, "4 min 12 s"),
            (1_036_800.0, Dimension::Time, "12 days"),
            (83.456, Dimension::Percent, "83.5 %"),
            (3.0, Dimension::Count, "3"),
        ] {
            assert_eq!(show(value, dimension), text);
        }
    }
}
