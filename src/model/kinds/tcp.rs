//! `tcp`: a connection, and perhaps a question and its answer.

use super::{CheckKind, Mistake, Tls};
use crate::model::{AbsPath, Dimension, Given, Metric, Pattern};
use schemars::JsonSchema;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// The keys of a `tcp` check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tcp {
    /// Where: `host:port`, `[::1]:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Given>,
    /// Or a unix socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unix: Option<AbsPath>,
    /// Speak TLS: `true`, or how to trust the server.
    #[serde(default, skip_serializing_if = "TlsOrNot::is_off")]
    pub tls: TlsOrNot,
    /// What to send once connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send: Option<Given>,
    /// A regular expression that what comes back must match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Pattern>,
}

/// TLS, or none.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TlsOrNot(pub Option<Tls>);

impl TlsOrNot {
    pub(super) fn is_off(&self) -> bool {
        self.0.is_none()
    }
}

impl Serialize for TlsOrNot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            None => serializer.serialize_bool(false),
            Some(tls) => tls.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for TlsOrNot {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TlsOrNot, D::Error> {
        struct TlsVisitor;
        impl<'de> Visitor<'de> for TlsVisitor {
            type Value = TlsOrNot;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "`true`, `false`, or a map of `ca`, `name`, `verify`")
            }
            fn visit_bool<E: de::Error>(self, on: bool) -> Result<TlsOrNot, E> {
                Ok(TlsOrNot(on.then(Tls::default)))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TlsOrNot, A::Error> {
                Tls::deserialize(de::value::MapAccessDeserializer::new(map)).map(|tls| TlsOrNot(Some(tls)))
            }
        }
        deserializer.deserialize_any(TlsVisitor)
    }
}

impl CheckKind for Tcp {
    const NAME: &'static str = "tcp";
    const SHORT: Option<&'static str> = Some("address");
    const DEFAULT: Option<&'static str> = Some("failed");
    const METRICS: &'static [Metric] = &[
        Metric::new("failed", Dimension::Flag, "it could not be connected to, or did not answer as expected"),
        Metric::new("latency", Dimension::Time, "from the start to the connection, or to the expected answer"),
        Metric::new("banner", Dimension::Text, "what came back first, as far as it was read"),
        Metric::new(
            "cert.expires",
            Dimension::Time,
            "how long the certificate is still valid; read even where it is refused",
        ),
    ];

    fn givens(&mut self, f: &mut dyn FnMut(&mut Given)) {
        self.address.iter_mut().for_each(&mut *f);
        self.send.iter_mut().for_each(&mut *f);
    }

    fn mistakes(&self) -> Vec<Mistake> {
        let mut mistakes = self.tls.0.as_ref().map(Tls::mistakes).unwrap_or_default();
        match (&self.address, &self.unix) {
            (None, None) => mistakes.push(
                Mistake::new(&[], "this check does not say where to connect")
                    .help("add `address: host:port`, or `unix: /path/of/socket`"),
            ),
            (Some(_), Some(_)) => mistakes.push(
                Mistake::new(&["unix"], "`address` and `unix` both say where to connect")
                    .help("leave one of the two away"),
            ),
            (Some(address), None) => mistakes.extend(crate::model::mistake::address_mistake(address, &["address"])),
            (None, Some(_)) => {}
        }
        mistakes
    }

    fn about(&self) -> String {
        let place = match (&self.address, &self.unix) {
            (Some(address), _) => address.to_string(),
            (None, Some(path)) => path.to_string(),
            (None, None) => String::new(),
        };
        if self.tls.0.is_some() { format!("{place} with TLS") } else { place }
    }
}
