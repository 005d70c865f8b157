//! `dns`: whether a name is answered for, and with what.

use super::CheckKind;
use crate::model::{Dimension, Given, Metric};
use serde::{Deserialize, Serialize};

/// The keys of a `dns` check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dns {
    /// The name to ask for.
    pub name: String,
    /// What of it.
    #[serde(default, rename = "type")]
    pub record: DnsType,
    /// Whom to ask: `address` or `address:port`; the first server of `/etc/resolv.conf` where this is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<Given>,
    /// Answers that must be among those that come.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expect: Vec<String>,
}

/// A type of record (RFC 1035, 3596, 2782, 8659).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum DnsType {
    /// An IPv4 address.
    #[default]
    A,
    /// An IPv6 address.
    Aaaa,
    /// Another name of it.
    Cname,
    /// Where its mail goes.
    Mx,
    /// Who answers for it.
    Ns,
    /// The name of an address.
    Ptr,
    /// The head of its zone.
    Soa,
    /// Where a service of it is.
    Srv,
    /// Texts.
    Txt,
    /// Who may sign certificates for it.
    Caa,
}

impl CheckKind for Dns {
    const NAME: &'static str = "dns";
    const SHORT: Option<&'static str> = Some("name");
    const DEFAULT: Option<&'static str> = Some("failed");
    const METRICS: &'static [Metric] = &[
        Metric::new("failed", Dimension::Flag, "no answer, an error, no such record, or not what is expected"),
        Metric::new("latency", Dimension::Time, "from the question to the answer"),
        Metric::new("answers", Dimension::Text, "the answers, sorted and joined by a comma and a space"),
    ];

    fn givens(&mut self, f: &mut dyn FnMut(&mut Given)) {
        self.server.iter_mut().for_each(f);
    }

    fn about(&self) -> String {
        let record = format!("{:?}", self.record).to_uppercase();
        match &self.server {
            Some(server) => format!("{record} of {} from {server}", self.name),
            None => format!("{record} of {}", self.name),
        }
    }
}
