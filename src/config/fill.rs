//! Values put into the body of a template, and a service's own keys laid over it.

use super::diagnostic::Place;
use super::template::{Level, Piece, Template, pieces};
use super::tree::{Key, Node, Value, weight};
use crate::model::{Kind, clip, plain as plain_words};
use std::collections::{BTreeMap, HashMap};

/// What stands for a parameter.
#[derive(Clone, Copy)]
pub(super) struct Given<'n> {
    pub text: &'n str,
    pub plain: bool,
    /// Nothing if there is no value, which has been reported: the name stands for it, so that the rest can be read.
    pub from: Option<Place>,
    /// The template's own.
    pub default: bool,
}

/// Where values were put into a text.
pub(super) struct Filled {
    pub place: Place,
    /// What it became; nothing if it is a value and nothing else.
    pub text: Option<String>,
    /// The parameters with where their values stand; nothing if one has none.
    pub values: Option<Vec<(String, Place, bool)>>,
}

/// The filled texts of a template, by where they begin.
pub(super) type AllFilled = BTreeMap<usize, Filled>;

/// Puts values into a body, within what may still be made.
struct Filling<'n> {
    values: BTreeMap<&'n str, Given<'n>>,
    filled: AllFilled,
    left: &'n mut usize,
}

/// There would be too much of it.
pub(super) struct TooLarge;

/// The body of a template with these values, and where they were put; it is taken from what may still be made.
pub(super) fn fill(
    template: &Template<'_>,
    values: BTreeMap<&str, Given<'_>>,
    left: &mut usize,
) -> Result<(Vec<(Key, Node)>, AllFilled), TooLarge> {
    let mut filling = Filling { values, filled: BTreeMap::new(), left };
    let Value::Map(entries) = &template.node.value else { return Ok((Vec::new(), BTreeMap::new())) };
    let mut body = Vec::new();
    for (key, node) in entries.iter().filter(|(key, _)| !matches!(key.text.as_str(), "params" | "use" | "with")) {
        body.push((filling.key(key)?, filling.node(node, Level::Service.under(Some(&key.text)))?));
    }
    Ok((body, filling.filled))
}

/// The default of a parameter; its name where there is none.
pub(super) fn of_default<'n>(name: &'n str, default: Option<&'n Node>) -> Given<'n> {
    match default.map(|node| (&node.value, node.place)) {
        Some((Value::Scalar { text, plain }, place)) => Given { text, plain: *plain, from: Some(place), default: true },
        _ => Given { text: name, plain: false, from: None, default: false },
    }
}

impl Filling<'_> {
    fn charge(&mut self, text: &str) -> Result<(), TooLarge> {
        let left = self.left.checked_sub(weight(text));
        *self.left = left.unwrap_or(0);
        left.map(|_| ()).ok_or(TooLarge)
    }

    fn key(&mut self, key: &Key) -> Result<Key, TooLarge> {
        self.charge(&key.text)?;
        if key.text.contains("${") {
            self.not_filled(key.place);
        }
        Ok(key.clone())
    }

    /// A `${` where nothing can be put has been reported: what else is wrong there is not news.
    fn not_filled(&mut self, place: Place) {
        self.filled.insert(place.start, Filled { place, text: None, values: None });
    }

    fn node(&mut self, node: &Node, level: Level) -> Result<Node, TooLarge> {
        let value = match &node.value {
            Value::Scalar { text, plain } => self.text(text, *plain, node.place)?,
            Value::Seq(items) => {
                Value::Seq(items.iter().map(|item| self.node(item, level.under(None))).collect::<Result<_, _>>()?)
            }
            Value::Map(entries) if level.is_secret(entries) => {
                for (key, node) in entries {
                    self.charge(&key.text)?;
                    let text = node.text().unwrap_or_default();
                    self.charge(text)?;
                    if text.contains("${") {
                        self.not_filled(node.place);
                    }
                }
                return Ok(node.clone());
            }
            Value::Map(entries) => {
                let fill =
                    |(key, node): &(Key, Node)| Ok((self.key(key)?, self.node(node, level.under(Some(&key.text)))?));
                Value::Map(entries.iter().map(fill).collect::<Result<_, _>>()?)
            }
        };
        Ok(Node { value, place: node.place })
    }

    fn text(&mut self, written: &str, plain: bool, place: Place) -> Result<Value, TooLarge> {
        let pieces = pieces(written);
        if let [] | [(_, Piece::Text(_))] = pieces.as_slice() {
            self.charge(written)?;
            return Ok(Value::Scalar { text: written.to_owned(), plain });
        }
        let mut text = String::new();
        let mut values: Option<Vec<(String, Place, bool)>> = Some(Vec::new());
        let mut whole_plain = None;
        for (_, piece) in &pieces {
            let part = match piece {
                Piece::Text(part) => part,
                Piece::Open => {
                    values = None;
                    "${"
                }
                Piece::Param(name) => {
                    let given = self.values.get(name).copied().unwrap_or_else(|| of_default(name, None));
                    match given.from {
                        Some(from) => {
                            if let Some(values) =
                                values.as_mut().filter(|values| values.iter().all(|(n, ..)| n != name))
                            {
                                values.push(((*name).to_owned(), from, given.default));
                            }
                        }
                        None => values = None,
                    }
                    whole_plain = (pieces.len() == 1).then_some(given.plain);
                    given.text
                }
            };
            self.charge(part)?;
            text.push_str(part);
        }
        let reads = whole_plain.is_none().then(|| format!("`{}`", clip(&plain_words(&text), 300)));
        self.filled.insert(place.start, Filled { place, text: reads, values });
        // A value by itself is what it is, though YAML may want `"${port}"` in quotes; within a text it is text.
        let plain = whole_plain.unwrap_or(plain && !text.is_empty());
        Ok(Value::Scalar { text, plain })
    }
}

/// The keys of a service over those of a template: lists are joined, the template's first; anything else is replaced.
pub(super) fn laid_over(mut body: Vec<(Key, Node)>, service: &Node) -> Vec<(Key, Node)> {
    let Value::Map(own) = &service.value else { return body };
    for (key, node) in own.iter().filter(|(key, _)| !matches!(key.text.as_str(), "use" | "with")) {
        let under = body.iter_mut().find(|(under, _)| under.text == key.text);
        match under {
            None => body.push((key.clone(), node.clone())),
            Some((_, Node { value: Value::Seq(items), .. })) if matches!(node.value, Value::Seq(_)) => {
                joined(items, node, &key.text);
            }
            Some(under) => *under = (key.clone(), node.clone()),
        }
    }
    body
}

/// Adds a service's list to a template's; a check or rule takes the place of that of the same name.
fn joined(items: &mut Vec<Node>, own: &Node, key: &str) {
    let Value::Seq(own) = &own.value else { return };
    let name = |item: &Node| match key {
        "checks" => check_name(item),
        "rules" => item.get("name").and_then(|(_, name)| name.text().map(str::to_owned)),
        _ => None,
    };
    let mut under: HashMap<String, usize> = HashMap::new();
    for (index, item) in items.iter().enumerate() {
        if let Some(name) = name(item) {
            under.entry(name).or_insert(index);
        }
    }
    for item in own {
        // Once: what stands twice in the service is reported.
        match name(item).and_then(|name| under.remove(&name)) {
            Some(index) => items[index] = item.clone(),
            None => items.push(item.clone()),
        }
    }
}

/// The name of a check, or its kind.
fn check_name(item: &Node) -> Option<String> {
    if let Some((_, name)) = item.get("name") {
        return name.text().map(str::to_owned);
    }
    let Value::Map(entries) = &item.value else { return None };
    let kinds = || Kind::NAMES.iter().map(|(kind, _)| *kind);
    entries.iter().map(|(key, _)| &key.text).find(|key| kinds().any(|kind| kind == *key)).cloned()
}
