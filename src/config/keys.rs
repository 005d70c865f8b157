//! What every part of a plan needs of its keys: that they are known, of the right type, and where they stand.

use super::decode::{self, Reader};
use super::diagnostic::{Diagnostic, Place, listed, nearest, quoted};
use super::plan::Builder;
use super::resolve::Text;
use super::tree::{Key, Node, Value};
use crate::model::Mistake;
use serde::de::DeserializeOwned;

/// About a key that is the rest of a text.
pub(super) const CUT_BY_COMMA: &str = "within `{ }` and `[ ]` a comma ends a text: put a text that holds one in quotes";
/// The longest name of a service, check, rule or notifier.
const NAME_LENGTH: usize = 64;

/// Whether a service may have this name.
pub(super) fn is_name(name: &str) -> bool {
    is_name_with(name, "._-")
}

pub(super) fn is_name_with(name: &str, signs: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || signs.contains(c);
    (1..=NAME_LENGTH).contains(&name.len()) && name.chars().all(good)
}

impl<'a> Builder<'a> {
    /// Reports a name that cannot be one.
    pub(super) fn well_named(&mut self, name: &str, place: Place, what: &str, signs: &str) -> bool {
        if !is_name_with(name, signs) {
            let signs: Vec<String> = signs.chars().map(String::from).collect();
            let message = format!("{} cannot be the name of {what}", quoted(name));
            let help = format!("at most {NAME_LENGTH} letters, digits, {}", listed(signs.iter().map(String::as_str)));
            self.found.push(Diagnostic::new(place, message).help(help));
            return false;
        }
        true
    }

    /// The entries of a map; reported if it is none.
    pub(super) fn map<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [(Key, Node)]> {
        if let Value::Map(entries) = &node.value {
            return Some(entries);
        }
        let message = format!("expected a map of the keys of {what}, found {}", node.describe());
        let help = match &node.value {
            Value::Seq(_) => "its keys have no dash before them; a list stands under one of them",
            _ => "write each key on a line of its own, indented deeper, with a colon and its value",
        };
        self.found.push(Diagnostic::new(node.place, message).help(help));
        None
    }

    /// Reports keys that are not among these.
    pub(super) fn known_keys<'n>(
        &mut self,
        entries: impl IntoIterator<Item = &'n (Key, Node)>,
        what: &str,
        known: &[&str],
        later: &[&str],
    ) {
        for (key, node) in entries.into_iter().filter(|(key, _)| !known.contains(&key.text.as_str())) {
            if later.contains(&key.text.as_str()) {
                let message = format!("`{}` comes with a later version of minder", key.text);
                self.found.push(Diagnostic::new(key.place, message));
                continue;
            }
            let all = format!("the keys of {what} are {}", listed(known.iter().copied()));
            let help = match nearest(&key.text, known.iter().copied()) {
                _ if node.is_empty() && key.text.contains(' ') => CUT_BY_COMMA.to_owned(),
                None if key.text == "params" => {
                    "parameters are declared in a template, and given under `with`".to_owned()
                }
                Some(meant) => format!("did you mean `{meant}`? ({all})"),
                None => all,
            };
            let diagnostic = Diagnostic::new(key.place, format!("unknown key {}", quoted(&key.text)));
            self.found.push(diagnostic.help(help));
        }
    }

    /// The value of a key, if the key is there and its value is good.
    pub(super) fn value<T: DeserializeOwned>(&mut self, node: &Node, name: &str) -> Option<T> {
        let (key, value) = node.get(name)?;
        self.read(key, value)
    }

    pub(super) fn read<T: DeserializeOwned>(&mut self, key: &Key, node: &Node) -> Option<T> {
        decode::read(node, key.place, &mut self.found, |reader: Reader<'_>| T::deserialize(reader))
    }

    /// A text and its places; reported if it is none.
    pub(super) fn text<'n>(&mut self, node: &'n Node, expected: &str) -> Option<Text<'n>>
    where
        'a: 'n,
    {
        let text = Text::new(node, self.source(node.place));
        if text.is_none() {
            let message = format!("expected {expected}, found {}", node.describe());
            self.found.push(Diagnostic::new(node.place, message));
        }
        text
    }

    /// The text of the file of a place.
    pub(super) fn source(&self, place: Place) -> &'a str {
        self.sources.files.get(place.file).map_or("", |file| &file.text)
    }

    /// Reports what a kind, control or notifier found wrong with its own keys.
    pub(super) fn mistakes(&mut self, keys: &Node, whole: Place, mistakes: Vec<Mistake>) {
        for mistake in mistakes {
            let mut place = whole;
            let mut node = keys;
            for step in &mistake.at {
                // What is missing is reported where it is missing.
                let Some((key, inner)) = node.get(step) else { break };
                let about_key = mistake.what.starts_with(&quoted(step));
                (node, place) = (inner, if about_key { key.place } else { inner.place });
            }
            if let Value::Seq(items) = &node.value
                && let Some(item) = items.iter().find(|i| i.text().is_some_and(|t| mistake.what.contains(&quoted(t))))
            {
                place = item.place;
            }
            let mut diagnostic = Diagnostic::new(place, mistake.what);
            diagnostic.help.extend(mistake.help);
            self.found.push(diagnostic);
        }
    }
}
