//! `network`: an interface of this machine, and what goes through it.

use super::CheckKind;
use crate::model::{Dimension, Metric};
use serde::{Deserialize, Serialize};

/// The keys of a `network` check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Which: `eth0`.
    pub interface: String,
}

impl CheckKind for Network {
    const NAME: &'static str = "network";
    const SHORT: Option<&'static str> = Some("interface");
    const DEFAULT: Option<&'static str> = Some("down");
    const METRICS: &'static [Metric] = &[
        Metric::new(
            "down",
            Dimension::Flag,
            "there is no such interface, it is switched off, or its cable has no signal",
        ),
        Metric::new("speed", Dimension::ByteRate, "what it can carry in each direction"),
        Metric::new("saturation", Dimension::Percent, "the busier direction, of its speed"),
        Metric::new("received", Dimension::ByteRate, "bytes received"),
        Metric::new("sent", Dimension::ByteRate, "bytes sent"),
        Metric::new("errors", Dimension::CountRate, "packets lost to errors, in both directions"),
    ];

    fn about(&self) -> String {
        self.interface.clone()
    }
}
