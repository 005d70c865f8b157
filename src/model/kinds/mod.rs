//! The kinds of checks: a file each, with its keys and its metrics.

mod certificate;
mod cgroup;
pub mod control;
mod directory;
mod dns;
mod file;
mod filesystem;
mod heartbeat;
mod http;
mod network;
mod ping;
mod process;
mod processes;
mod program;
mod protocol;
mod system;
mod tcp;

pub use certificate::{Certificate, Starttls};
pub use cgroup::Cgroup;
pub use directory::Directory;
pub use dns::{Dns, DnsType};
pub use file::File;
pub use filesystem::Filesystem;
pub use heartbeat::{Beat, Heartbeat};
pub use http::{Basic, Expect, Http, StatusClass, Tls};
pub use network::Network;
pub use ping::Ping;
pub use process::Process;
pub use processes::Processes;
pub use program::{NamedPerf, Program};
pub use protocol::{Protocol, ProtocolName, Step};
pub use system::System;
pub use tcp::{Tcp, TlsOrNot};

use super::controls::ControlSpec;
pub use super::mistake::Mistake;
use super::{Given, Hold, Metric, MetricId};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

/// What every kind of check tells of itself.
pub trait CheckKind: DeserializeOwned + Serialize + JsonSchema + PartialEq {
    /// The word in the rule language.
    const NAME: &'static str;
    /// The key that a lone text stands for: `file: /etc/passwd`.
    const SHORT: Option<&'static str>;
    /// What it measures. A metric's place in here is its [`MetricId`].
    const METRICS: &'static [Metric];
    /// The metric by which a check that no rule mentions is judged.
    const DEFAULT: Option<&'static str>;
    /// What this one measures: for a kind whose keys decide on that.
    fn metrics(&self) -> &'static [Metric] {
        Self::METRICS
    }
    /// Calls `f` with every text in it that may come from the environment or a file.
    fn givens(&mut self, _f: &mut dyn FnMut(&mut Given)) {}
    /// What is wrong with it beyond the types of its keys. Called when its texts are there.
    fn mistakes(&self) -> Vec<Mistake> {
        Vec::new()
    }
    /// What it asks, in a few words for people, without secrets: `GET http://127.0.0.1/`.
    fn about(&self) -> String;
}

macro_rules! kinds {
    ($($kind:ident),* $(,)?) => {
        /// What a check asks.
        #[derive(Debug, Clone, PartialEq)]
        #[expect(clippy::large_enum_variant, reason = "always kept behind an Arc")]
        pub enum Kind {
            $(#[doc = concat!("See [`", stringify!($kind), "`].")] $kind($kind),)*
            /// What a control says of its service. Made by minder for each service with a control; it has no word in the language.
            Control(ControlSpec),
        }

        impl Kind {
            /// Every word, and the key that its short form stands for.
            pub const NAMES: &'static [(&'static str, Option<&'static str>)] =
                &[$((<$kind as CheckKind>::NAME, <$kind as CheckKind>::SHORT)),*];

            /// Reads the keys of the kind with this name; nothing if there is no such kind.
            pub fn read<'de, D: Deserializer<'de>>(name: &str, keys: D) -> Option<Result<Kind, D::Error>> {
                $(if name == <$kind as CheckKind>::NAME {
                    return Some(<$kind>::deserialize(keys).map(Kind::$kind));
                })*
                let _ = keys;
                None
            }

            /// Its word in the language.
            pub fn name(&self) -> &'static str {
                match self { $(Kind::$kind(_) => <$kind as CheckKind>::NAME,)* Kind::Control(_) => "control" }
            }

            /// Its metrics. A metric's place in here is its [`MetricId`].
            pub fn metrics(&self) -> &'static [Metric] {
                match self { $(Kind::$kind(kind) => kind.metrics(),)* Kind::Control(_) => control::METRICS }
            }

            /// The metrics of the kind with this name, as far as its name says them: see [`Kind::metrics`].
            pub fn metrics_of(name: &str) -> Option<&'static [Metric]> {
                $(if name == <$kind as CheckKind>::NAME { return Some(<$kind as CheckKind>::METRICS); })*
                None
            }

            /// For each kind: its word, the key of its short form, and the schema of its keys.
            pub fn schemas(generator: &mut SchemaGenerator) -> Vec<(&'static str, Option<&'static str>, Schema)> {
                vec![$((<$kind as CheckKind>::NAME, <$kind as CheckKind>::SHORT, generator.subschema_for::<$kind>())),*]
            }

            /// The metric by which a check that no rule mentions is judged.
            pub fn default_metric(&self) -> Option<MetricId> {
                match self {
                    $(Kind::$kind(_) => <$kind as CheckKind>::DEFAULT.and_then(|name| self.metric(name)),)*
                    Kind::Control(_) => None,
                }
            }

            /// Calls `f` with every text in it that may come from elsewhere.
            pub fn givens(&mut self, f: &mut dyn FnMut(&mut Given)) {
                match self { $(Kind::$kind(kind) => kind.givens(f),)* Kind::Control(spec) => spec.givens(f) }
            }

            /// What is wrong with it beyond the types of its keys.
            pub fn mistakes(&self) -> Vec<Mistake> {
                match self { $(Kind::$kind(kind) => kind.mistakes(),)* Kind::Control(spec) => spec.mistakes() }
            }

            /// What it asks, in a few words for people, without secrets.
            pub fn about(&self) -> String {
                match self { $(Kind::$kind(kind) => kind.about(),)* Kind::Control(spec) => spec.name().to_owned() }
            }
        }

        impl Serialize for Kind {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self { $(Kind::$kind(kind) => kind.serialize(serializer),)* Kind::Control(spec) => spec.serialize(serializer) }
            }
        }
    };
}

kinds!(
    Process,
    Processes,
    Http,
    Tcp,
    Protocol,
    Program,
    File,
    Directory,
    Filesystem,
    System,
    Network,
    Cgroup,
    Ping,
    Dns,
    Certificate,
    Heartbeat,
);

impl Kind {
    /// The metric with this name.
    pub fn metric(&self, name: &str) -> Option<MetricId> {
        self.metrics().iter().position(|m| m.name == name).and_then(|i| u8::try_from(i).ok()).map(MetricId)
    }

    /// Whether it asks about the process that another check, or the control, of its service finds.
    pub fn is_of_the_process(&self) -> bool {
        matches!(self, Kind::Cgroup(Cgroup { path: None }))
    }

    /// The metrics by which it is judged unless a rule mentions that very metric, for a kind with several such. Any other kind has
    /// one at most ([`Kind::default_metric`]), by which it is judged unless a rule mentions the check.
    pub fn default_rules(&self) -> Option<&'static [(u8, Hold)]> {
        match self {
            Kind::Control(_) => Some(control::DEFAULT_RULES),
            Kind::Heartbeat(_) => Some(Heartbeat::DEFAULT_RULES),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_fits_a_metric_set_and_names_each_metric_once() {
        for (name, _) in Kind::NAMES {
            let metrics = Kind::metrics_of(name).unwrap();
            assert!(metrics.len() <= 64, "{name}");
            for (i, metric) in metrics.iter().enumerate() {
                assert!(metrics[..i].iter().all(|m| m.name != metric.name), "{name}.{}", metric.name);
            }
        }
    }
}
