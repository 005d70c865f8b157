//! serde over nodes, for the keys of kinds, controls and notifiers. Every error knows the node that it arose at, and the
//! way there, so that the offending part can be left out and the rest be read on.

use super::diagnostic::{Diagnostic, Place, listed, nearest, quoted};
use super::keys::CUT_BY_COMMA;
use super::tree::{Key, Node, Value};
use crate::model::Secret;
use serde::de::{self, DeserializeSeed, Deserializer, Expected, IntoDeserializer, Unexpected, Visitor};
use std::fmt;

/// More mistakes than this in one part are not looked for.
const MOST: usize = 100;

#[derive(Debug)]
pub(super) struct Error {
    what: What,
    at: Option<Place>,
    help: Option<String>,
    /// The entries and elements on the way to it, from the inside out.
    path: Vec<usize>,
}

#[derive(Debug)]
enum What {
    Missing(&'static str),
    Unknown(String, Option<&'static str>),
    Other(String),
}

impl Error {
    fn other(message: impl Into<String>) -> Error {
        Error { what: What::Other(message.into()), at: None, help: None, path: Vec::new() }
    }
    fn help(mut self, help: impl Into<String>) -> Error {
        self.help = Some(help.into());
        self
    }
    fn or_at(mut self, place: Place) -> Error {
        self.at.get_or_insert(place);
        self
    }
    fn within(mut self, index: usize) -> Error {
        self.path.push(index);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Missing(key) => write!(f, "the key `{key}` is missing"),
            What::Unknown(key, _) => write!(f, "unknown key {}", quoted(key)),
            What::Other(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Error {
        Error::other(message.to_string())
    }
    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Error {
        let found = match unexpected {
            Unexpected::Unit => "nothing".to_owned(),
            Unexpected::Seq => "a list".to_owned(),
            Unexpected::Map => "a map".to_owned(),
            Unexpected::Str(text) => quoted(text),
            Unexpected::Bool(b) => format!("`{b}`"),
            Unexpected::Unsigned(n) => format!("`{n}`"),
            Unexpected::Signed(n) => format!("`{n}`"),
            Unexpected::Float(n) => format!("`{n}`"),
            other => other.to_string(),
        };
        let expected = expected.to_string().replace("a sequence", "a list").replace("a string", "a text");
        Error::other(format!("expected {expected}, found {found}"))
    }
    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Error {
        Error::invalid_type(unexpected, expected)
    }
    fn unknown_field(field: &str, allowed: &'static [&'static str]) -> Error {
        let (meant, help) = unknown_help(field, allowed);
        let error = Error::other("");
        Error { what: What::Unknown(field.to_owned(), meant), ..error }.help(help)
    }
    fn unknown_variant(variant: &str, allowed: &'static [&'static str]) -> Error {
        let (_, help) = unknown_help(variant, allowed);
        Error::other(format!("{} is none of the values that may stand here", quoted(variant))).help(help)
    }
    fn missing_field(field: &'static str) -> Error {
        Error { what: What::Missing(field), ..Error::other("") }
    }
}

/// "did you mean", and what else may stand there.
fn unknown_help<'a>(word: &str, allowed: &[&'a str]) -> (Option<&'a str>, String) {
    if allowed.contains(&"expect") && matches!(word, "status" | "json" | "match") {
        return (None, format!("what an answer must be stands under `expect`: `expect: {{ {word}: .. }}`"));
    }
    if word.contains(' ') {
        return (None, CUT_BY_COMMA.to_owned());
    }
    let meant = nearest(word, allowed.iter().copied());
    let all = match allowed {
        [] => "there is nothing to be said here".to_owned(),
        _ => format!("may stand here: {}", listed(allowed.iter().copied())),
    };
    (meant, meant.map_or(all.clone(), |meant| format!("did you mean `{meant}`? ({all})")))
}

/// Reads a value of the model. Mistakes are reported, all of them; then there is no value. `whole` is where a missing
/// key is reported: the word that the keys belong to.
pub(super) fn read<T>(
    node: &Node,
    whole: Place,
    found: &mut Vec<Diagnostic>,
    read: impl Fn(Reader<'_>) -> Result<T, Error>,
) -> Option<T> {
    let mut error = match read(Reader(node)) {
        Ok(value) => return Some(value),
        Err(error) => error,
    };
    let mut rest = node.clone();
    let mut left_out: Vec<(Vec<usize>, String)> = Vec::new();
    for _ in 0..MOST {
        error.path.reverse();
        let consequence = match &error.what {
            What::Missing(key) => left_out.iter().any(|(parent, name)| *parent == error.path && name == key),
            What::Other(_) => left_out.iter().any(|(parent, _)| *parent == error.path),
            What::Unknown(..) => false,
        };
        if !consequence {
            found.push(diagnostic(&error, whole));
        }
        let (last, parent) = error.path.split_last()?;
        let name = leave_out(&mut rest, parent, *last)?;
        // What comes next moves up to where this was.
        left_out.retain(|(inner, _)| !inner.starts_with(&error.path));
        left_out.push((parent.to_vec(), name));
        if let What::Unknown(_, Some(meant)) = &error.what {
            left_out.push((parent.to_vec(), (*meant).to_owned()));
        }
        match read(Reader(&rest)) {
            Ok(_) => return None,
            Err(next) => error = next,
        }
    }
    None
}

fn diagnostic(error: &Error, whole: Place) -> Diagnostic {
    let inner = error.at.unwrap_or(whole);
    let at = if error.path.is_empty() && matches!(error.what, What::Missing(_)) { whole } else { inner };
    let mut diagnostic = Diagnostic::new(at, error.to_string());
    diagnostic.conceal = matches!(&error.what, What::Other(message) if message == Secret::NOT_HERE);
    diagnostic.help.extend(error.help.clone());
    if let What::Missing(key) = &error.what {
        diagnostic.help.push(format!("add `{key}: ..` to the keys that stand here"));
    }
    diagnostic
}

/// Removes an entry or element, and says its key; an element has none.
fn leave_out(root: &mut Node, parent: &[usize], index: usize) -> Option<String> {
    let mut node = root;
    for step in parent {
        node = match &mut node.value {
            Value::Map(entries) => &mut entries.get_mut(*step)?.1,
            Value::Seq(items) => items.get_mut(*step)?,
            Value::Scalar { .. } => return None,
        };
    }
    match &mut node.value {
        Value::Map(entries) if index < entries.len() => Some(entries.remove(index).0.text),
        Value::Seq(items) if index < items.len() => {
            items.remove(index);
            Some(String::new())
        }
        _ => None,
    }
}

/// A node to be deserialized.
pub(super) struct Reader<'a>(pub &'a Node);

impl<'a> Reader<'a> {
    fn wrong(&self, expected: impl fmt::Display) -> Error {
        let error = Error::other(format!("expected {expected}, found {}", self.0.describe())).or_at(self.0.place);
        match &self.0.value {
            Value::Seq(items) if items.len() == 1 => match items[0].text() {
                Some(text) => {
                    error.help(format!("if this is all, write it without a bracket or dash: {}", quoted(text)))
                }
                None => error,
            },
            _ if self.0.is_empty() => error.help("write its value, or leave the key out"),
            _ => error,
        }
    }

    fn unexpected(&self, visitor: &dyn Expected) -> Error {
        let expected = visitor.to_string().replace("a sequence", "a list").replace("a string", "a text");
        self.wrong(expected)
    }

    fn entries<'de, V: Visitor<'de>>(&self, entries: &'a [(Key, Node)], visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(Entries { entries, index: 0 }).map_err(|e: Error| e.or_at(self.0.place))
    }

    fn items<'de, V: Visitor<'de>>(&self, items: &'a [Node], visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Items { items, index: 0 }).map_err(|e: Error| e.or_at(self.0.place))
    }

    fn number<'de, V: Visitor<'de>>(self, most: u64, visitor: V) -> Result<V::Value, Error> {
        match &self.0.value {
            // Some readers of YAML take this for an octal number, and others do not.
            Value::Scalar { text, plain: true } if text.len() > 1 && text.starts_with('0') && digits(text) => {
                let bare = text.trim_start_matches('0');
                let bare = if bare.is_empty() { "0" } else { bare };
                Err(self.wrong("a whole number without a zero before it").help(format!("write `{bare}`")))
            }
            Value::Scalar { text, plain: true } if !text.is_empty() && digits(text) => match text.parse::<u64>() {
                Ok(number) if number <= most => visitor.visit_u64(number).map_err(|e: Error| e.or_at(self.0.place)),
                _ => Err(self.wrong(format!("a whole number from 0 to {most}"))),
            },
            Value::Scalar { text, plain: false } if !text.is_empty() && digits(text) => {
                Err(self.wrong("a whole number, which has no quotes").help(format!("write `{text}`")))
            }
            Value::Scalar { text, plain: true } if text.contains('_') && digits(&text.replace('_', "")) => {
                Err(self.wrong("a whole number").help(format!("write `{}`", text.replace('_', ""))))
            }
            _ => Err(self.wrong("a whole number")),
        }
    }
}

fn digits(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Error;

    /// Resolves a plain scalar as the core schema does, but only where the text can be had back from the value: `1.50`
    /// and `017` stay texts.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let at = self.0.place;
        let (text, plain) = match &self.0.value {
            Value::Seq(items) => return self.items(items, visitor),
            Value::Map(entries) => return self.entries(entries, visitor),
            Value::Scalar { text, plain } => (text, *plain),
        };
        fn same<T: ToString>(value: &T, text: &str) -> bool {
            value.to_string() == text
        }
        if !plain {
            visitor.visit_str(text)
        } else if text.is_empty() || text == "~" || text == "null" {
            visitor.visit_unit()
        } else if text == "true" || text == "false" {
            visitor.visit_bool(text == "true")
        } else if let Some(number) = text.parse::<u64>().ok().filter(|n| same(n, text)) {
            visitor.visit_u64(number)
        } else if let Some(number) = text.parse::<i64>().ok().filter(|n| same(n, text)) {
            visitor.visit_i64(number)
        } else if let Some(number) = text.parse::<f64>().ok().filter(|n| n.is_finite() && same(n, text)) {
            visitor.visit_f64(number)
        } else {
            visitor.visit_str(text)
        }
        .map_err(|e: Error| e.or_at(at))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.0.value {
            Value::Scalar { text, plain: true } if text == "true" || text == "false" => {
                visitor.visit_bool(text == "true").map_err(|e: Error| e.or_at(self.0.place))
            }
            Value::Scalar { text, .. } => {
                let error = self.wrong("`true` or `false`");
                Err(match text.to_lowercase().as_str() {
                    "yes" | "on" | "y" | "true" => error.help("write `true`"),
                    "no" | "off" | "n" | "false" => error.help("write `false`"),
                    _ => error,
                })
            }
            _ => Err(self.wrong("`true` or `false`")),
        }
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.number(u64::from(u8::MAX), visitor)
    }
    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.number(u64::from(u16::MAX), visitor)
    }
    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.number(u64::from(u32::MAX), visitor)
    }
    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.number(u64::MAX, visitor)
    }

    /// As written: `no`, `017` and `1_000` are texts where a text is meant.
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0.text() {
            Some(text) => visitor.visit_str(text).map_err(|e: Error| e.or_at(self.0.place)),
            None => Err(self.unexpected(&visitor)),
        }
    }
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.0.value {
            Value::Seq(items) => self.items(items, visitor),
            _ => {
                let error = self.unexpected(&visitor);
                Err(match self.0.text() {
                    Some(text) => error.help(format!("write it as a list: `[{text}]`")),
                    None => error,
                })
            }
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.0.value {
            Value::Map(entries) => self.entries(entries, visitor),
            _ => Err(self.unexpected(&visitor).help("write `NAME: VALUE` pairs, such as `{ a: b }`")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match &self.0.value {
            Value::Map(entries) => self.entries(entries, visitor),
            _ if fields.is_empty() && self.0.is_empty() => self.entries(&[], visitor),
            _ if fields.is_empty() => Err(self.wrong("nothing, or `{}`")),
            _ => {
                let help = match &self.0.value {
                    Value::Seq(_) if fields.contains(&"command") => "write `{ command: [..] }`".to_owned(),
                    _ => format!("the keys are {}", listed(fields.iter().copied())),
                };
                Err(self.wrong("a map").help(help))
            }
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.0.text() {
            Some(text) => visitor.visit_enum(text.into_deserializer()).map_err(|e: Error| e.or_at(self.0.place)),
            None => Err(self.wrong(format!("one of {}", listed(variants.iter().copied())))),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct ignored_any
    }
}

struct Entries<'a> {
    entries: &'a [(Key, Node)],
    index: usize,
}

impl<'de> de::MapAccess<'de> for Entries<'_> {
    type Error = Error;
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some((key, _)) = self.entries.get(self.index) else { return Ok(None) };
        let read = seed.deserialize(key.text.as_str().into_deserializer());
        read.map(Some).map_err(|e: Error| e.or_at(key.place).within(self.index))
    }
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let index = self.index;
        self.index += 1;
        match self.entries.get(index) {
            Some((_, node)) => seed.deserialize(Reader(node)).map_err(|e| e.or_at(node.place).within(index)),
            None => Err(Error::other("a key without a value")),
        }
    }
}

struct Items<'a> {
    items: &'a [Node],
    index: usize,
}

impl<'de> de::SeqAccess<'de> for Items<'_> {
    type Error = Error;
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(node) = self.items.get(self.index) else { return Ok(None) };
        self.index += 1;
        let read = seed.deserialize(Reader(node));
        read.map(Some).map_err(|e| e.or_at(node.place).within(self.index - 1))
    }
}
