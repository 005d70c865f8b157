//! `file`: a file, its size and owner, its content, and what is written to its end.

use super::CheckKind;
use crate::model::{AbsPath, Dimension, Metric, Pattern};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The keys of a `file` check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Which.
    pub path: AbsPath,
    /// A regular expression: `lines` counts the new lines that match it. Without it, every new line counts.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub matches: Option<Pattern>,
}

impl CheckKind for File {
    const NAME: &'static str = "file";
    const SHORT: Option<&'static str> = Some("path");
    const DEFAULT: Option<&'static str> = Some("missing");
    const METRICS: &'static [Metric] = &[
        Metric::new("missing", Dimension::Flag, "there is no such file"),
        Metric::new("size", Dimension::Bytes, "its size"),
        Metric::new("age", Dimension::Time, "how long ago it was last written"),
        Metric::new("mode", Dimension::Text, "its permissions in octal, such as \"0644\""),
        Metric::new("owner", Dimension::Text, "the user that owns it, by name, or by number where there is no name"),
        Metric::new("group", Dimension::Text, "its group, by name, or by number where there is no name"),
        Metric::new("checksum", Dimension::Text, "the SHA-256 of its content, in hexadecimal; of files up to 64 MiB"),
        Metric::new("grew", Dimension::ByteRate, "how fast it grows"),
        Metric::new(
            "lines",
            Dimension::Count,
            "new lines (that match) since the last look, through rotation and truncation",
        ),
    ];

    fn about(&self) -> String {
        match &self.matches {
            Some(m) => format!("{}, lines like {}", self.path, m.as_str()),
            None => self.path.to_string(),
        }
    }
}
