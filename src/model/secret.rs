//! Texts that may come from the environment or a file instead of standing in a rule file, and that are then never shown.

use secrecy::{ExposeSecret, SecretString};
use serde::de::{self, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::path::PathBuf;

/// Where a text comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// It stands in the rule file, for everybody to see.
    Literal,
    /// `{ env: NAME }`
    Env(String),
    /// `{ file: /path }`
    File(PathBuf),
}

/// A text: given in the rule file, or by environment variable or file, and then secret. `Debug`, `Display` and
/// serialization show where a secret comes from, never what it is.
#[derive(Clone)]
pub struct Given {
    source: Source,
    value: SecretString,
}

impl Given {
    /// A text that stands for itself.
    pub fn literal(text: impl Into<String>) -> Given {
        Given { source: Source::Literal, value: SecretString::from(text.into()) }
    }
    /// Where it comes from.
    pub fn source(&self) -> &Source {
        &self.source
    }
    /// Sets what was read from its source. Until then it is empty.
    pub fn resolve(&mut self, value: String) {
        self.value = SecretString::from(value);
    }
    /// The text itself. Only for the wire: never for a log, a page, an argument list or an error.
    pub fn expose(&self) -> &str {
        self.value.expose_secret()
    }
    /// Whether it must not be shown.
    pub fn is_secret(&self) -> bool {
        self.source != Source::Literal
    }
}

impl PartialEq for Given {
    fn eq(&self, other: &Given) -> bool {
        self.source == other.source && self.expose() == other.expose()
    }
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::Literal => f.write_str(self.expose()),
            Source::Env(name) => write!(f, "{{ env: {name} }}"),
            Source::File(path) => write!(f, "{{ file: {} }}", path.display()),
        }
    }
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Given({self})")
    }
}

impl Serialize for Given {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (key, value) = match &self.source {
            Source::Literal => return serializer.serialize_str(self.expose()),
            Source::Env(name) => ("env", name.clone()),
            Source::File(path) => ("file", path.display().to_string()),
        };
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(key, &value)?;
        map.end()
    }
}

struct GivenVisitor {
    literal: bool,
}

impl<'de> Visitor<'de> for GivenVisitor {
    type Value = Given;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.literal {
            write!(f, "a text, `{{ env: NAME }}` or `{{ file: /path }}`")
        } else {
            write!(f, "`{{ env: NAME }}` or `{{ file: /path }}`: a secret does not stand in a rule file")
        }
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Given, E> {
        if self.literal {
            Ok(Given::literal(text))
        } else {
            // The offending text may be the secret itself: it is not repeated.
            Err(E::custom(Secret::NOT_HERE))
        }
    }
    // A plain `8080` or `true` is a text where a text is meant.
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Given, E> {
        self.visit_str(&number.to_string())
    }
    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Given, E> {
        self.visit_str(&number.to_string())
    }
    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Given, E> {
        self.visit_str(&number.to_string())
    }
    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Given, E> {
        self.visit_str(if flag { "true" } else { "false" })
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Given, A::Error> {
        let mut source = None;
        while let Some(key) = map.next_key::<String>()? {
            if source.is_some() {
                return Err(de::Error::custom("expected one of `env` and `file`, not both"));
            }
            source = Some(match key.as_str() {
                "env" => Source::Env(map.next_value()?),
                "file" => Source::File(map.next_value::<super::AbsPath>()?.into()),
                other => return Err(de::Error::unknown_field(other, &["env", "file"])),
            });
        }
        match source {
            Some(source) => Ok(Given { source, value: SecretString::from(String::new()) }),
            None => Err(de::Error::custom("expected `{ env: NAME }` or `{ file: /path }`")),
        }
    }
}

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Given, D::Error> {
        deserializer.deserialize_any(GivenVisitor { literal: true })
    }
}

/// A [`Given`] that may not stand in the rule file: a password, a token.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Secret(pub Given);

impl Secret {
    /// What is said where a secret stands in a rule file. Who reports it must not show the place.
    pub const NOT_HERE: &'static str =
        "expected `{ env: NAME }` or `{ file: /path }`: a secret does not stand in a rule file";
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        deserializer.deserialize_any(GivenVisitor { literal: false }).map(Secret)
    }
}
