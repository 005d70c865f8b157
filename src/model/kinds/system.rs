//! `system`: this machine.

use super::CheckKind;
use crate::model::{Dimension, Metric};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The keys of a `system` check: none.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct System {}

impl CheckKind for System {
    const NAME: &'static str = "system";
    const SHORT: Option<&'static str> = None;
    const DEFAULT: Option<&'static str> = None;
    const METRICS: &'static [Metric] = &[
        Metric::new("cpu", Dimension::Percent, "processor time in use, of the machine").at_most(100.0),
        Metric::new("cpu.iowait", Dimension::Percent, "processor time that waits for storage").at_most(100.0),
        Metric::new("cpu.steal", Dimension::Percent, "processor time that the host took away").at_most(100.0),
        Metric::new("load1", Dimension::Count, "load, over one minute"),
        Metric::new("load5", Dimension::Count, "load, over five minutes"),
        Metric::new("load15", Dimension::Count, "load, over fifteen minutes"),
        Metric::new("load.per_core", Dimension::Count, "load over one minute, for each core"),
        Metric::new("memory", Dimension::Bytes, "memory in use that cannot be had back, of all").of_whole(),
        Metric::new("swap", Dimension::Bytes, "swap in use, of all").of_whole(),
        Metric::new("pressure.cpu", Dimension::Percent, "time in which some waited for a processor, over 10 s")
            .at_most(100.0),
        Metric::new("pressure.memory", Dimension::Percent, "time in which some waited for memory, over 10 s")
            .at_most(100.0),
        Metric::new("pressure.io", Dimension::Percent, "time in which some waited for storage, over 10 s")
            .at_most(100.0),
        Metric::new("fds", Dimension::Count, "open files, of the machine's limit").of_whole(),
        Metric::new("processes", Dimension::Count, "processes and threads, of the machine's limit").of_whole(),
        Metric::new("uptime", Dimension::Time, "how long the machine has been up"),
    ];

    fn about(&self) -> String {
        "this machine".to_owned()
    }
}
