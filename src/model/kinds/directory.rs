//! `directory`: what lies in a directory, how old it is and how much: spools, queues, backups.

use super::CheckKind;
use crate::model::{AbsPath, Dimension, Metric, Pattern};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The keys of a `directory` check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Directory {
    /// Which.
    pub path: AbsPath,
    /// A regular expression on the names of files: only those that match count.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub matches: Option<Pattern>,
}

impl Directory {
    /// With more entries below it than this, nothing is said of them.
    pub const ENTRIES_AT_MOST: u64 = 100_000;
}

impl CheckKind for Directory {
    const NAME: &'static str = "directory";
    const SHORT: Option<&'static str> = Some("path");
    const DEFAULT: Option<&'static str> = Some("missing");
    const METRICS: &'static [Metric] = &[
        Metric::new("missing", Dimension::Flag, "there is no such directory"),
        Metric::new("entries", Dimension::Count, "files in it and below it, on the same filesystem, up to 100,000"),
        Metric::new("newest", Dimension::Time, "how long ago the newest of them was written"),
        Metric::new("oldest", Dimension::Time, "how long ago the oldest of them was written"),
        Metric::new("size", Dimension::Bytes, "the sizes of them together"),
    ];

    fn about(&self) -> String {
        match &self.matches {
            Some(m) => format!("{}, files named like {}", self.path, m.as_str()),
            None => self.path.to_string(),
        }
    }
}
