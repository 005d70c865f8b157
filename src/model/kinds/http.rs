//! `http`: a request, and what its answer must be like.

use super::{CheckKind, Mistake};
use crate::model::schema::OneOrMany;
use crate::model::{AbsPath, Dimension, Given, Metric, Pattern, Secret};
use schemars::JsonSchema;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

/// The keys of an `http` check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// What to ask: `http://` or `https://`.
    pub url: Given,
    /// How: GET where this is missing.
    #[serde(default = "get")]
    pub method: String,
    /// Headers to send.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Given>,
    /// A body to send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Given>,
    /// A name and password to send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic: Option<Basic>,
    /// A token to send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer: Option<Secret>,
    /// How many redirects to follow, at most 20; none where this is missing. Secrets are not sent on to another origin.
    #[serde(default)]
    pub redirects: u8,
    /// How to trust the server.
    #[serde(default, skip_serializing_if = "Tls::is_default")]
    pub tls: Tls,
    /// A unix socket to ask instead of the host and port of the URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unix: Option<AbsPath>,
    /// What the answer must be like, else the check has failed.
    #[serde(default)]
    pub expect: Expect,
}

fn get() -> String {
    "GET".to_owned()
}

/// A name and password.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Basic {
    /// The name.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// How a server's certificate is trusted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// A file of certificates (PEM) to trust instead of the machine's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<AbsPath>,
    /// The name that the certificate must be for, and that is asked for, instead of the host's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether the certificate must be valid.
    #[serde(default = "yes")]
    pub verify: bool,
}

fn yes() -> bool {
    true
}

impl Default for Tls {
    fn default() -> Tls {
        Tls { ca: None, name: None, verify: true }
    }
}

impl Tls {
    pub(super) fn is_default(&self) -> bool {
        *self == Tls::default()
    }
    /// What is wrong with it.
    pub(super) fn mistakes(&self) -> Vec<Mistake> {
        if !self.verify && self.ca.is_some() {
            return vec![
                Mistake::new(&["tls", "ca"], "`ca` has no meaning with `verify: false`")
                    .help("leave one of the two away"),
            ];
        }
        Vec::new()
    }
}

/// What an answer must be like. All that is given must hold.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// The status: a number, a class such as `2xx`, or a list of these; 2xx or 3xx where this is missing.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "OneOrMany<StatusClass>")]
    pub status: Vec<StatusClass>,
    /// A text that the body holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// A regular expression that the body matches.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub matches: Option<Pattern>,
    /// Headers, and a regular expression that each value matches.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Pattern>,
    /// JSON pointers (RFC 6901), and the value that stands at each: `{ /status: ok }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub json: BTreeMap<String, serde_json::Value>,
}

impl Expect {
    /// Whether the body must be read and looked at.
    pub fn wants_body(&self) -> bool {
        self.body.is_some() || self.matches.is_some() || !self.json.is_empty()
    }
    /// Whether this status is as expected.
    pub fn allows(&self, status: u16) -> bool {
        if self.status.is_empty() {
            return (200..400).contains(&status);
        }
        self.status.iter().any(|class| class.holds(status))
    }
}

/// A status, or a class of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusClass {
    /// Exactly this.
    Exactly(u16),
    /// `2xx`: the hundreds digit.
    Class(u8),
}

impl StatusClass {
    /// Whether the status is one of these.
    pub fn holds(self, status: u16) -> bool {
        match self {
            StatusClass::Exactly(s) => s == status,
            StatusClass::Class(hundreds) => status / 100 == u16::from(hundreds),
        }
    }
}

impl fmt::Display for StatusClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StatusClass::Exactly(status) => write!(f, "{status}"),
            StatusClass::Class(hundreds) => write!(f, "{hundreds}xx"),
        }
    }
}

impl Serialize for StatusClass {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StatusClass {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<StatusClass, D::Error> {
        struct StatusVisitor;
        impl Visitor<'_> for StatusVisitor {
            type Value = StatusClass;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a status such as `200`, or a class such as `2xx`")
            }
            fn visit_u64<E: de::Error>(self, status: u64) -> Result<StatusClass, E> {
                match u16::try_from(status) {
                    Ok(status) if (100..600).contains(&status) => Ok(StatusClass::Exactly(status)),
                    _ => Err(E::custom(format!("{status} is not an HTTP status (100 to 599)"))),
                }
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<StatusClass, E> {
                if let Some(hundreds) = text.strip_suffix("xx")
                    && let Ok(hundreds @ 1..=5) = hundreds.parse()
                {
                    return Ok(StatusClass::Class(hundreds));
                }
                match text.parse() {
                    Ok(status) => self.visit_u64(status),
                    Err(_) => Err(E::custom("expected a status such as `200`, or a class such as `2xx`")),
                }
            }
        }
        deserializer.deserialize_any(StatusVisitor)
    }
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<StatusClass>, D::Error> {
    struct ManyVisitor;
    impl<'de> Visitor<'de> for ManyVisitor {
        type Value = Vec<StatusClass>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a status such as `200`, a class such as `2xx`, or a list of these")
        }
        fn visit_u64<E: de::Error>(self, status: u64) -> Result<Self::Value, E> {
            StatusClass::deserialize(de::value::U64Deserializer::new(status)).map(|s| vec![s])
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            StatusClass::deserialize(de::value::StrDeserializer::new(text)).map(|s| vec![s])
        }
        fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut many = Vec::new();
            while let Some(one) = seq.next_element()? {
                many.push(one);
            }
            Ok(many)
        }
    }
    deserializer.deserialize_any(ManyVisitor)
}

impl CheckKind for Http {
    const NAME: &'static str = "http";
    const SHORT: Option<&'static str> = Some("url");
    const DEFAULT: Option<&'static str> = Some("failed");
    const METRICS: &'static [Metric] = &[
        Metric::new("failed", Dimension::Flag, "there was no answer, or not the expected one"),
        Metric::new("status", Dimension::Count, "the status of the answer").at_most(999.0),
        Metric::new("latency", Dimension::Time, "from the question to the end of the answer"),
        Metric::new("dns", Dimension::Time, "looking the name up"),
        Metric::new("connect", Dimension::Time, "connecting"),
        Metric::new("tls", Dimension::Time, "the TLS handshake"),
        Metric::new("first_byte", Dimension::Time, "from the request sent to the first byte of the answer"),
        Metric::new("size", Dimension::Bytes, "the size of the body, as far as it was read"),
        Metric::new("body", Dimension::Text, "the body, as far as it was read"),
        Metric::new(
            "cert.expires",
            Dimension::Time,
            "how long the certificate is still valid; read even where it is refused",
        ),
    ];

    fn givens(&mut self, f: &mut dyn FnMut(&mut Given)) {
        f(&mut self.url);
        self.headers.values_mut().for_each(&mut *f);
        self.body.iter_mut().for_each(&mut *f);
        self.basic.iter_mut().for_each(|b| f(&mut b.password.0));
        self.bearer.iter_mut().for_each(|b| f(&mut b.0));
    }

    fn mistakes(&self) -> Vec<Mistake> {
        let mut mistakes = self.tls.mistakes();
        mistakes.extend(crate::model::mistake::url_mistake(&self.url, &["url"]));
        if self.method.is_empty() || !self.method.bytes().all(|b| b.is_ascii_uppercase() || b == b'-') {
            mistakes.push(
                Mistake::new(&["method"], format!("`{}` is not an HTTP method", self.method.escape_debug()))
                    .help("write it in capitals: GET, HEAD, POST"),
            );
        }
        for name in self.headers.keys() {
            mistakes.extend(crate::model::mistake::header_mistake(name, &["headers"]));
        }
        if self.basic.is_some() && self.bearer.is_some() {
            mistakes.push(
                Mistake::new(&["bearer"], "`basic` and `bearer` both set the header Authorization")
                    .help("leave one of the two away"),
            );
        }
        if self.redirects > 20 {
            mistakes.push(Mistake::new(&["redirects"], "at most 20 redirects are followed"));
        }
        for pointer in self.expect.json.keys() {
            if !pointer.is_empty() && !pointer.starts_with('/') {
                mistakes.push(
                    Mistake::new(&["expect", "json", pointer], format!("`{pointer}` is not a JSON pointer"))
                        .help(format!("a JSON pointer begins with a slash: `/{}`", pointer.replace('.', "/"))),
                );
            }
        }
        mistakes
    }

    fn about(&self) -> String {
        match &self.unix {
            Some(socket) => format!("{} {} by {socket}", self.method, self.url),
            None => format!("{} {}", self.method, self.url),
        }
    }
}
