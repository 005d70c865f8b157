//! Presets: how a message is put to a service that many use, as data. Those that come with minder are files in `rules/presets`;
//! any rule file may hold more.

use super::template::Format;
use super::{MessageKind, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How to put a message to a receiver by HTTP. Its texts are templates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// What it is for, in a line.
    pub about: String,
    /// What a notifier gives under `with`, by name; templates see it as `with.NAME`.
    #[serde(default)]
    pub params: BTreeMap<String, PresetParam>,
    /// The method of the request.
    #[serde(default)]
    pub method: Method,
    /// Where to.
    pub url: String,
    /// Headers; one that comes out empty is left out.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body; a CloudEvents 1.0 event in JSON where this is missing.
    #[serde(default)]
    pub body: Option<String>,
    /// Whether one request can tell several messages.
    #[serde(default)]
    pub many: bool,
    /// Which kinds of message it gets, where the notifier does not say.
    #[serde(default)]
    pub kinds: Option<BTreeSet<MessageKind>>,
    /// How often it is told that something is still wrong, where the notifier does not say.
    #[serde(default)]
    pub remind: Option<Span>,
}

/// A parameter of a preset.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PresetParam {
    /// What it is, in a line.
    #[serde(default)]
    pub about: String,
    /// It must come from the environment or a file.
    #[serde(default)]
    pub secret: bool,
    /// What it is where a notifier does not give it.
    #[serde(default)]
    pub default: Option<String>,
}

/// The method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Take this.
    #[default]
    Post,
    /// Put this there.
    Put,
    /// Change this there.
    Patch,
}

impl Method {
    /// As it is sent.
    pub fn word(self) -> &'static str {
        match self {
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
        }
    }
}

/// What a body is, by its content type: JSON where there is none.
pub fn body_format<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Format {
    let mut types = headers.into_iter().filter(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    match types.next() {
        Some((_, value)) if !value.contains("json") => Format::Text,
        _ => Format::Json,
    }
}
