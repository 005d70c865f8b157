//! Where a service's log is, as rules say it.

use super::AbsPath;
use serde::de::{self, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// `/var/log/web.log`, `/etc/sv/web/log/main`, `journal`, `{ journal: web.service }`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Log {
    /// A file, or the directory that svlogd, multilog or s6-log keeps.
    At(AbsPath),
    /// systemd's journal: what this unit has logged, or else what the service's own process has.
    Journal(Option<String>),
}

impl Log {
    /// The unit of the journal; why it is none.
    fn unit(name: String) -> Result<Log, String> {
        let may = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
        if name.is_empty() || name.starts_with('-') || name.len() > 255 || !name.chars().all(may) {
            return Err(format!("`{}` is not the name of a systemd unit", name.escape_debug()));
        }
        Ok(Log::Journal(Some(name)))
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Log::At(path) => path.fmt(f),
            Log::Journal(None) => f.write_str("the journal"),
            Log::Journal(Some(unit)) => write!(f, "the journal of {unit}"),
        }
    }
}

impl Serialize for Log {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Log::At(path) => path.serialize(serializer),
            Log::Journal(None) => serializer.serialize_str("journal"),
            Log::Journal(Some(unit)) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("journal", unit)?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Log {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Log, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Log;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an absolute path, `journal`, or `{ journal: UNIT }`")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Log, E> {
                if text == "journal" {
                    return Ok(Log::Journal(None));
                }
                if !text.starts_with('/') {
                    let text = text.escape_debug();
                    return Err(E::custom(format!("`{text}` is neither an absolute path nor `journal`")));
                }
                text.parse().map(Log::At).map_err(E::custom)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Log, A::Error> {
                let mut log = None;
                while let Some(key) = map.next_key::<String>()? {
                    if key != "journal" {
                        return Err(de::Error::unknown_field(&key, &["journal"]));
                    }
                    log = Some(Log::unit(map.next_value()?).map_err(de::Error::custom)?);
                }
                log.ok_or_else(|| de::Error::missing_field("journal"))
            }
        }
        deserializer.deserialize_any(Read)
    }
}

impl schemars::JsonSchema for Log {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Log".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let path = generator.subschema_for::<AbsPath>();
        schemars::json_schema!({
            "anyOf": [
                path,
                { "const": "journal" },
                {
                    "type": "object",
                    "properties": { "journal": { "type": "string", "description": "The unit" } },
                    "required": ["journal"],
                    "additionalProperties": false,
                },
            ]
        })
    }
}
