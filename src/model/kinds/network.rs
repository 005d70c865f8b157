//! `network`: an interface of this machine, and what goes through it.

use super::{CheckKind, Mistake};
use crate::model::{Dimension, Metric};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The keys of a `network` check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
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

    /// As the kernel has it (`dev_valid_name`): the name is a part of a path.
    fn mistakes(&self) -> Vec<Mistake> {
        let name = self.interface.as_str();
        let mistake = |what: String| vec![Mistake::new(&["interface"], what)];
        if let Some((interface, _)) = name.split_once(':').filter(|(interface, _)| !interface.is_empty()) {
            return vec![
                Mistake::new(&["interface"], format!("`{name}` is a label of an address, not an interface"))
                    .help(format!("write `{interface}`")),
            ];
        }
        if name.is_empty() {
            mistake("the name of the interface is empty".to_owned())
        } else if name.len() > 15 {
            mistake(format!("`{name}` cannot be an interface: its name is longer than 15 bytes"))
        } else if matches!(name, "." | "..") || name.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control())
        {
            vec![
                Mistake::new(&["interface"], format!("`{}` cannot be the name of an interface", name.escape_debug()))
                    .help("write one as `ip link` shows it, such as `eth0`"),
            ]
        } else {
            Vec::new()
        }
    }

    fn about(&self) -> String {
        self.interface.clone()
    }
}
