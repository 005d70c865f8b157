//! `program`: a program that is run, and what it says. Also plugins in the manner of Nagios.

use super::{CheckKind, Mistake};
use crate::model::controls::Argv;
use crate::model::{AbsPath, Dimension, Given, Metric, MetricId, MetricSet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

/// The keys of a `program` check. The check's `timeout` is its deadline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// Where; `/` where this is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<AbsPath>,
    /// More variables for its environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, Given>,
    /// Its exit code and its output are those of a monitoring plugin: 1 is a warning, 2 critical, 3 unknown; performance data
    /// follow a `|`.
    #[serde(default)]
    pub nagios: bool,
    /// A person has not named it, but only where it stands: it is run only if nobody but root and minder's own user could have
    /// put it there.
    #[serde(skip)]
    pub guarded: bool,
    /// Its metrics, if rules name performance values: see [`Program::declare`].
    #[serde(skip)]
    table: &'static [Metric],
    /// The performance values that no rule compares with anything: a number in any unit will do.
    #[serde(skip)]
    any_unit: MetricSet,
}

/// How many metrics a program has that is no plugin.
const PLAIN: usize = 4;

/// A performance value that is named, and what it is compared with, if with anything.
pub type NamedPerf = (String, Option<Dimension>);

impl Program {
    /// The most performance values that can be named of one check.
    pub const MOST_PERF: usize = 64 - Program::METRICS.len();

    /// One that runs this where it stands.
    pub fn in_directory(command: Argv, directory: AbsPath) -> Program {
        Program {
            command: Some(command),
            shell: None,
            user: None,
            directory: Some(directory),
            environment: BTreeMap::new(),
            nagios: false,
            guarded: true,
            table: &[],
            any_unit: MetricSet::default(),
        }
    }

    /// The argument list to run.
    pub fn argv(&self) -> Vec<String> {
        match (&self.command, &self.shell) {
            (Some(argv), _) => argv.0.clone(),
            (None, Some(line)) => vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()],
            (None, None) => Vec::new(),
        }
    }

    /// How the label of a performance value is written in rules: what cannot stand there is an underscore.
    pub fn perf_name(label: &str) -> String {
        label.chars().map(|c| if c.is_ascii_alphanumeric() || "_-.".contains(c) { c } else { '_' }).collect()
    }

    /// Adds the performance values that rules name to the metrics of a plugin. What a plugin measures is known only when it
    /// has run; what a value is compared with says what it must be.
    pub fn declare(&mut self, named: &[NamedPerf]) {
        if self.nagios {
            self.table = Program::table(named);
            let first = Program::METRICS.len();
            let any =
                named.iter().take(Program::MOST_PERF).enumerate().filter(|(_, (_, dimension))| dimension.is_none());
            self.any_unit = MetricSet::default();
            any.filter_map(|(i, _)| u8::try_from(first + i).ok()).for_each(|id| self.any_unit.insert(MetricId(id)));
        }
    }

    /// Whether a number in any unit will do for this performance value.
    pub fn takes_any_unit(&self, metric: MetricId) -> bool {
        self.any_unit.contains(metric)
    }

    /// The metrics of a plugin with these performance values.
    ///
    /// Tables of metrics live for ever, so that a [`Metric`] is small and copied freely. Each of these is made once and used
    /// again by the next plan: they are as many as there were different sets of names in rule files.
    pub fn table(named: &[NamedPerf]) -> &'static [Metric] {
        static MADE: Mutex<(BTreeSet<&'static str>, Vec<&'static [Metric]>)> =
            Mutex::new((BTreeSet::new(), Vec::new()));
        if named.is_empty() {
            return Program::METRICS;
        }
        let (names, tables) = &mut *MADE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut table = Program::METRICS.to_vec();
        for (name, dimension) in named.iter().take(Program::MOST_PERF) {
            let name = format!("perf.{name}");
            let name = match names.get(name.as_str()) {
                Some(name) => name,
                None => {
                    let name: &'static str = name.leak();
                    names.insert(name);
                    name
                }
            };
            let metric = Metric::new(name, dimension.unwrap_or(Dimension::Count), "what the plugin says of it");
            let may_have_whole = matches!(metric.dimension, Dimension::Bytes | Dimension::Count);
            table.push(if may_have_whole { metric.of_whole() } else { metric });
        }
        match tables.iter().find(|made| ***made == *table) {
            Some(made) => made,
            None => {
                let made: &'static [Metric] = table.leak();
                tables.push(made);
                made
            }
        }
    }
}

impl CheckKind for Program {
    const NAME: &'static str = "program";
    const SHORT: Option<&'static str> = None;
    const DEFAULT: Option<&'static str> = Some("failed");
    const METRICS: &'static [Metric] = &[
        Metric::new("failed", Dimension::Flag, "it did not exit with code 0 in time; of a plugin: not OK"),
        Metric::new("exit", Dimension::Count, "the code that it exited with").at_most(255.0),
        Metric::new("output", Dimension::Text, "what it wrote, the last 16 KiB"),
        Metric::new("duration", Dimension::Time, "how long it ran"),
        Metric::new("warning", Dimension::Flag, "a plugin that exited with code 1"),
        Metric::new("critical", Dimension::Flag, "a plugin that exited with code 2, or not as plugins do"),
    ];

    fn metrics(&self) -> &'static [Metric] {
        match (self.nagios, self.table) {
            (false, _) => &Self::METRICS[..PLAIN],
            (true, []) => Self::METRICS,
            (true, table) => table,
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_made_once() {
        let named = [("time".to_owned(), Some(Dimension::Time)), ("size".to_owned(), None)];
        let table = Program::table(&named);
        assert!(std::ptr::eq(table, Program::table(&named)));
        assert!(!std::ptr::eq(table, Program::table(&named[..1])));
        assert_eq!(table.iter().map(|m| m.name).skip(6).collect::<Vec<_>>(), ["perf.time", "perf.size"]);
        let many: Vec<NamedPerf> = (0..100).map(|i| (i.to_string(), None)).collect();
        assert_eq!(Program::table(&many).len(), 64);
    }

    #[test]
    fn only_a_plugin_has_its_metrics() {
        let mut program: Program = serde_yaml::from_str("{ shell: 'true' }").unwrap();
        program.declare(&[("a".to_owned(), None)]);
        assert_eq!(program.metrics().last().unwrap().name, "duration");
        program.nagios = true;
        program.declare(&[("a".to_owned(), None), ("b".to_owned(), Some(Dimension::Bytes))]);
        assert_eq!(program.metrics().last().unwrap().name, "perf.b");
        assert!(program.takes_any_unit(MetricId(6)) && !program.takes_any_unit(MetricId(7)));
    }

    #[test]
    fn labels_become_names() {
        assert_eq!(Program::perf_name("/var/log 'x'=é"), "_var_log__x___");
        assert_eq!(Program::perf_name("/"), "_");
    }
}
