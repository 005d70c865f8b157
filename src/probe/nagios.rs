//! What monitoring plugins write: a line for people, and performance data behind a `|`
//! (<https://www.monitoring-plugins.org/doc/guidelines.html>, "Plugin Output for Nagios" and "Performance data").

use crate::model::kinds::Program;
use crate::model::{Dimension, Reading};

/// As many performance values of an output are looked at.
const MOST: usize = 1000;

/// `'label'=value[UOM];[warn];[crit];[min];[max]`
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Perf {
    /// The label as rules write it.
    pub(super) name: String,
    /// The number in the base unit; nothing where the plugin says that it does not know (`U`).
    pub(super) value: Option<f64>,
    /// What it measures.
    dimension: Dimension,
    /// The largest that it can become, in the base unit.
    max: Option<f64>,
}

/// The line for people.
pub(super) fn status_text(output: &str) -> &str {
    let first = output.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    first.split_once('|').map_or(first, |(text, _)| text).trim()
}

/// The performance data: of the first line what is behind its `|`, of the others all that is behind the next one.
pub(super) fn perf(output: &str) -> Vec<Perf> {
    let (first, others) = output.split_once('\n').unwrap_or((output, ""));
    let behind = |text| str::split_once(text, '|').map_or("", |(_, data)| data);
    let mut found = Vec::new();
    for mut rest in [behind(first), behind(others)] {
        while found.len() < MOST {
            rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '|');
            let Some((label, behind)) = label(rest) else { break };
            let end = behind.find(char::is_whitespace).unwrap_or(behind.len());
            found.extend(one(&label, &behind[..end]));
            rest = &behind[end..];
        }
    }
    found
}

/// Takes a label and its `=` off. In quotes it may hold spaces, and a quote that is doubled.
fn label(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('\'') else {
        let (label, rest) = text.split_once('=')?;
        // What stands before is no performance data: `hello world=3`.
        let label = label.rsplit(char::is_whitespace).next().unwrap_or(label);
        return Some((label.to_owned(), rest));
    };
    let mut label = String::new();
    let mut rest = quoted;
    loop {
        let (part, behind) = rest.split_once('\'')?;
        label.push_str(part);
        match behind.strip_prefix('\'') {
            Some(behind) => {
                label.push('\'');
                rest = behind;
            }
            None => return Some((label, behind.strip_prefix('=')?)),
        }
    }
}

fn one(label: &str, data: &str) -> Option<Perf> {
    let mut fields = data.split(';');
    let value = fields.next()?;
    let end = value.find(|c: char| !(c.is_ascii_digit() || "+-.eE".contains(c))).unwrap_or(value.len());
    // An `e` may begin the unit instead of an exponent.
    let (end, number) = (1..=end).rev().find_map(|end| Some((end, value[..end].parse::<f64>().ok()?))).unzip();
    let (dimension, scale) = unit(&value[end.unwrap_or(0)..]);
    if number.is_none() && value != "U" {
        return None;
    }
    let number = number.filter(|number| number.is_finite());
    // warn;crit;min;max
    let max = fields.nth(3).and_then(|max| max.parse::<f64>().ok()).filter(|max| max.is_finite() && *max > 0.0);
    let name = Program::perf_name(label);
    Some(Perf { name, value: number.map(|n| n * scale), dimension, max: max.map(|max| max * scale) })
}

/// What a unit measures, and what one of it is in the base unit. Of bytes, `MB` is a million as everywhere in minder, and `MiB`
/// is not. A unit that is none of these is no more than a number.
fn unit(uom: &str) -> (Dimension, f64) {
    let powers = |base: f64, letter: &str| "kmgtpe".find(letter).map(|power| base.powi(power as i32 + 1));
    let lower = uom.to_ascii_lowercase();
    let bytes = match lower.strip_suffix('b') {
        Some("") => Some(1.0),
        Some(prefix) => match prefix.strip_suffix('i') {
            Some(prefix) if prefix.len() == 1 => powers(1024.0, prefix),
            None if prefix.len() == 1 => powers(1000.0, prefix),
            _ => None,
        },
        None => None,
    };
    match (uom, bytes) {
        (_, Some(bytes)) => (Dimension::Bytes, bytes),
        ("s", _) => (Dimension::Time, 1.0),
        ("ms", _) => (Dimension::Time, 1e-3),
        ("us" | "µs" | "μs", _) => (Dimension::Time, 1e-6),
        ("ns", _) => (Dimension::Time, 1e-9),
        ("%", _) => (Dimension::Percent, 1.0),
        _ => (Dimension::Count, 1.0),
    }
}

impl Perf {
    /// As a reading of what its rules take it for; or why it is not that.
    pub(super) fn reading(&self, wanted: Dimension, any_unit: bool) -> Result<Reading, String> {
        let Some(value) = self.value else { return Ok(Reading::Unknown) };
        let amount = matches!(self.dimension, Dimension::Bytes | Dimension::Count);
        match self.max {
            _ if any_unit || (wanted == self.dimension && !amount) => Ok(Reading::Number(value)),
            Some(whole) if wanted == self.dimension => Ok(Reading::Part { value, whole }),
            None if wanted == self.dimension => Ok(Reading::Number(value)),
            Some(whole) if wanted == Dimension::Percent && amount => Ok(Reading::Number(value / whole * 100.0)),
            _ => Err(format!("`perf.{}` is {}, and not {}", self.name, what(self.dimension), what(wanted))),
        }
    }
}

fn what(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Bytes => "a size",
        Dimension::Time => "a time",
        Dimension::Percent => "a percentage",
        _ => "a bare number",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(output: &str) -> Vec<(String, Option<f64>, Dimension, Option<f64>)> {
        perf(output).into_iter().map(|p| (p.name, p.value, p.dimension, p.max)).collect()
    }

    #[test]
    fn performance_data_is_found_on_all_lines() {
        let output = "DISK OK - free: /boot 68 MB | /=2643MB;5948;5958;0;5968\n/boot 68 MB\n/home 69357 MB |\
                      /boot=68MiB;88;93;0;98\n 'C: it''s'=0.5%;;;0;100 load1=1.25;;;0;\n\
                      time=25ms;;;0 rta=U;1;2 n=12c bad= worse=x other=3rpm -";
        let mb = |n: f64| Some(n * 1e6);
        assert_eq!(
            names(output),
            [
                ("_".into(), mb(2643.0), Dimension::Bytes, mb(5968.0)),
                ("_boot".into(), Some(71_303_168.0), Dimension::Bytes, Some(102_760_448.0)),
                ("C__it_s".into(), Some(0.5), Dimension::Percent, Some(100.0)),
                ("load1".into(), Some(1.25), Dimension::Count, None),
                ("time".into(), Some(0.025), Dimension::Time, None),
                ("rta".into(), None, Dimension::Count, None),
                ("n".into(), Some(12.0), Dimension::Count, None),
                ("other".into(), Some(3.0), Dimension::Count, None),
            ]
        );
        assert_eq!(status_text(output), "DISK OK - free: /boot 68 MB");
        assert_eq!(names("no data at all\nhere = neither"), []);
    }

    #[test]
    fn units_are_brought_to_the_base() {
        for (uom, base) in [
            ("s", (Dimension::Time, 1.0)),
            ("us", (Dimension::Time, 1e-6)),
            ("B", (Dimension::Bytes, 1.0)),
            ("KB", (Dimension::Bytes, 1e3)),
            ("GiB", (Dimension::Bytes, 1_073_741_824.0)),
            ("TB", (Dimension::Bytes, 1e12)),
            ("%", (Dimension::Percent, 1.0)),
            ("c", (Dimension::Count, 1.0)),
            ("", (Dimension::Count, 1.0)),
            ("Bib", (Dimension::Count, 1.0)),
        ] {
            assert_eq!(unit(uom), base, "{uom}");
        }
        assert_eq!(names("|a=1e3 b=-5 c=2EB")[2].1, Some(2e18));
    }

    #[test]
    fn a_value_is_read_as_rules_take_it() {
        let read = |data: &str, wanted, any| perf(&format!("|{data}"))[0].reading(wanted, any);
        assert_eq!(read("a=5B;;;0;10", Dimension::Bytes, false), Ok(Reading::Part { value: 5.0, whole: 10.0 }));
        assert_eq!(read("a=5B;;;0;10", Dimension::Percent, false), Ok(Reading::Number(50.0)));
        assert_eq!(read("a=5%;;;0;10", Dimension::Percent, false), Ok(Reading::Number(5.0)));
        assert_eq!(read("a=5;;;0;0", Dimension::Count, false), Ok(Reading::Number(5.0)));
        assert_eq!(read("a=5ms", Dimension::Count, true), Ok(Reading::Number(0.005)));
        assert_eq!(read("a=U", Dimension::Bytes, false), Ok(Reading::Unknown));
        let unlike = read("a=5ms", Dimension::Count, false);
        assert_eq!(unlike, Err("`perf.a` is a time, and not a bare number".to_owned()));
        assert!(read("a=5B", Dimension::Percent, false).is_err(), "of no whole");
    }

    proptest! {
        #[test]
        fn no_output_is_too_odd(output in "[ -~\n'|=;]{0,200}|\\PC{0,100}") {
            prop_assert!(perf(&output).len() <= MOST);
            status_text(&output);
        }
    }
}
