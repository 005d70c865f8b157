//! `cgroup`: what a control group uses of what it may.

use super::CheckKind;
use crate::model::{AbsPath, Dimension, Metric};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The keys of a `cgroup` check.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cgroup {
    /// Which, from the root of the groups on: `/system.slice/nginx.service`. Without it, the one that the service's process is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<AbsPath>,
}

impl CheckKind for Cgroup {
    const NAME: &'static str = "cgroup";
    const SHORT: Option<&'static str> = Some("path");
    const DEFAULT: Option<&'static str> = Some("missing");
    const METRICS: &'static [Metric] = &[
        Metric::new("missing", Dimension::Flag, "there is no such group"),
        Metric::new("memory", Dimension::Bytes, "memory of all its processes, of its limit").of_whole(),
        Metric::new("cpu", Dimension::Percent, "processor time of all its processes, of one core"),
        Metric::new("throttled", Dimension::Percent, "periods in which it was held back by its processor limit")
            .at_most(100.0),
        Metric::new(
            "oom_kills",
            Dimension::Count,
            "processes of it that the kernel has killed for memory, since it exists",
        ),
        Metric::new("pids", Dimension::Count, "processes and threads in it, of its limit").of_whole(),
    ];

    fn about(&self) -> String {
        self.path.as_ref().map_or("that of its process".to_owned(), ToString::to_string)
    }
}
