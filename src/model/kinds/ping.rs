//! `ping`: whether a host answers echo requests.

use super::{CheckKind, Mistake};
use crate::model::{Dimension, Given, Metric};
use serde::{Deserialize, Serialize};

/// The keys of a `ping` check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ping {
    /// Whom: a name or an address.
    pub host: Given,
    /// How many requests to send, 1 to 20.
    #[serde(default = "three")]
    pub count: u8,
}

fn three() -> u8 {
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
        if (1..=20).contains(&self.count) {
            return Vec::new();
        }
        vec![Mistake::new(&["count"], format!("`count` is {}: it is 1 to 20", self.count))]
    }

    fn about(&self) -> String {
        self.host.to_string()
    }
}
