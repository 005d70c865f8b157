//! `processes`: every process of this machine, or those that match. Nobody has to be named beforehand: each is judged by itself.

use super::{CheckKind, Mistake};
use crate::model::{AbsPath, Dimension, Metric, Pattern};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The keys of a `processes` check. Several must all hold; without any, it is every process of this machine.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Processes {
    /// Their name as the kernel knows it (15 bytes at most are compared), or the file name of their program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A regular expression on their command line, the arguments joined by spaces.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub matches: Option<Pattern>,
    /// The program that they run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exe: Option<AbsPath>,
    /// The user that they run as: a name or a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// Places of the metrics that other parts name.
impl Processes {
    /// `count`
    pub const COUNT: u8 = 0;
}

impl CheckKind for Processes {
    const NAME: &'static str = "processes";
    const SHORT: Option<&'static str> = Some("name");
    const DEFAULT: Option<&'static str> = None;
    const METRICS: &'static [Metric] = &[
        Metric::new("count", Dimension::Count, "how many there are"),
        Metric::new("each.cpu", Dimension::Percent, "processor time of each, of one core").each(),
        Metric::new("each.memory", Dimension::Bytes, "resident memory of each, of the machine's").of_whole().each(),
        Metric::new("each.fds", Dimension::Count, "open files of each, of its limit").of_whole().each(),
        Metric::new("each.threads", Dimension::Count, "threads of each").each(),
        Metric::new("each.age", Dimension::Time, "how long each has been running").each(),
    ];

    fn mistakes(&self) -> Vec<Mistake> {
        let empty = |key: &'static str, value: &Option<String>| {
            let empty = value.as_deref() == Some("");
            empty.then(|| {
                Mistake::new(&[key], format!("`{key}` is empty")).help("leave the key away to mean all of them")
            })
        };
        [empty("name", &self.name), empty("user", &self.user)].into_iter().flatten().collect()
    }

    fn about(&self) -> String {
        let mut parts = Vec::new();
        if let Some(n) = &self.name {
            parts.push(format!("name {n}"));
        }
        if let Some(m) = &self.matches {
            parts.push(format!("command line like {}", m.as_str()));
        }
        if let Some(e) = &self.exe {
            parts.push(format!("program {e}"));
        }
        if let Some(u) = &self.user {
            parts.push(format!("user {u}"));
        }
        if parts.is_empty() { "every process".to_owned() } else { parts.join(", ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_place_is_right_and_all_others_are_of_each() {
        assert_eq!(Processes::METRICS[usize::from(Processes::COUNT)].name, "count");
        assert!(Processes::METRICS.iter().all(|metric| metric.each == metric.name.starts_with("each.")));
    }
}
