//! `program`: a program that is run, and what it says. Also plugins in the manner of Nagios.

use super::{CheckKind, Mistake};
use crate::model::controls::Argv;
use crate::model::{Dimension, Given, Metric};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The keys of a `program` check. The check's `timeout` is its deadline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// The program and its arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Argv>,
    /// Or a line for `/bin/sh -c`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<String>,
    /// As whom; as minder's own user where this is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// More variables for its environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, Given>,
    /// Its exit code and its output are those of a monitoring plugin: 1 is a warning, 2 critical, 3 unknown; performance data
    /// follow a `|`.
    #[serde(default)]
    pub nagios: bool,
}

impl CheckKind for Program {
    const NAME: &'static str = "program";
    const SHORT: Option<&'static str> = None;
    const DEFAULT: Option<&'static str> = Some("failed");
    const METRICS: &'static [Metric] = &[
        Metric::new("failed", Dimension::Flag, "it did not exit with code 0 in time"),
        Metric::new("exit", Dimension::Count, "the code that it exited with").at_most(255.0),
        Metric::new("output", Dimension::Text, "what it wrote, as far as it was read"),
        Metric::new("duration", Dimension::Time, "how long it ran"),
    ];

    fn givens(&mut self, f: &mut dyn FnMut(&mut Given)) {
        self.environment.values_mut().for_each(f);
    }

    fn mistakes(&self) -> Vec<Mistake> {
        match (&self.command, &self.shell) {
            (None, None) => vec![
                Mistake::new(&[], "this check does not say what to run")
                    .help("add `command: [/path/of/program, argument]`"),
            ],
            (Some(_), Some(_)) => vec![
                Mistake::new(&["shell"], "`command` and `shell` both say what to run")
                    .help("leave one of the two away"),
            ],
            _ => Vec::new(),
        }
    }

    fn about(&self) -> String {
        match (&self.command, &self.shell) {
            (Some(argv), _) => argv.to_string(),
            (None, Some(line)) => line.clone(),
            (None, None) => String::new(),
        }
    }
}
