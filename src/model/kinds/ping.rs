//! `ping`: whether a host answers echo requests.

use super::{CheckKind, Mistake};
use crate::model::mistake::host_mistake;
use crate::model::{Dimension, Given, Metric};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The keys of a `ping` check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ping {
    /// Whom: a name or an address.
    pub host: Given,
    /// How many requests to send, 1 to 20.
    #[serde(default = "three")]
    pub count: u16,
}

fn three() -> u16 {
    3
}

impl CheckKind for Ping {
    const NAME: &'static str = "ping";
    const SHORT: Option<&'static str> = Some("host");
    const DEFAULT: Option<&'static str> = Some("failed");
    const METRICS: &'static [Metric] = &[
        Metric::new("failed", Dimension::Flag, "not one answer came"),
        Metric::new("loss", Dimension::Percent, "requests without an answer").at_most(100.0),
        Metric::new("latency", Dimension::Time, "the mean time of the answers"),
    ];

    fn givens(&mut self, f: &mut dyn FnMut(&mut Given)) {
        f(&mut self.host);
    }

    fn mistakes(&self) -> Vec<Mistake> {
        let count = (!(1..=20).contains(&self.count))
            .then(|| Mistake::new(&["count"], format!("`count` is {}: it is 1 to 20", self.count)));
        host_mistake(&self.host, &["host"]).into_iter().chain(count).collect()
    }

    fn about(&self) -> String {
        self.host.to_string()
    }
}
