//! Templates put under the keys of services, and what is wrong with what that makes: shown at the template's line, with
//! where it is used, and with the values of its parameters.

use super::diagnostic::{Diagnostic, Place, listed, nearest, quoted};
use super::plan::Builder;
use super::template::{Level, Piece, Template, is_text, pieces};
use super::tree::{Key, NODES, Node, Value, weight};

use crate::model::{Kind, Service, clip, plain as plain_words};
use std::collections::{BTreeMap, HashMap};

/// What stands for a parameter.
#[derive(Clone, Copy)]
struct Given<'n> {
    text: &'n str,
    plain: bool,
    /// Nothing if there is no value, which has been reported: the name stands for it, so that the rest can be read.
    from: Option<Place>,
    /// The template's own.
    default: bool,
}

/// Where values were put into a text.
struct Filled {
    place: Place,
    /// What it became; nothing if it is a value and nothing else.
    text: Option<String>,
    /// The parameters with where their values stand; nothing if one has none.
    values: Option<Vec<(String, Place, bool)>>,
}

/// The filled texts of a template, by where they begin.
type AllFilled = BTreeMap<usize, Filled>;

/// Puts values into a body, within what may still be made.
struct Filling<'n> {
    values: BTreeMap<&'n str, Given<'n>>,
    filled: AllFilled,
    left: &'n mut usize,
}

/// There would be too much of it.
struct TooLarge;

/// A mistake in a template, as it was first reported.
pub(super) struct Traced {
    index: usize,
    service: String,
    /// So many other services use the template.
    others: usize,
}

impl<'a> Builder<'a> {
    /// Reads a service, with its template under its own keys.
    pub(super) fn service(&mut self, key: &Key, node: &Node) -> Option<Service> {
        let Some((_, word)) = node.get("use") else {
            if let Some((with, _)) = node.get("with") {
                let diagnostic = Diagnostic::new(with.place, "`with` gives parameters to a template, and none is used");
                self.found.push(diagnostic.help("name the template: `use: NAME`"));
            }
            return self.body(key, node);
        };
        let Some(name) = self.used_template(word) else {
            self.alone(|builder| builder.body(key, node));
            return None;
        };
        let Some(template) = self.templates.remove(name) else { return None };
        let values = self.values(&template, word, node);
        let outcome = self.fill(&template, values);
        let service = match outcome {
            Err(TooLarge) => {
                let message = format!("with this template, the rules hold more than {NODES} values");
                self.found.push(Diagnostic::new(word.place, message).help("a long text counts as several"));
                None
            }
            Ok((body, filled)) => {
                let whole = Node { value: Value::Map(laid_over(body, node)), place: node.place };
                let before = self.found.len();
                let service = self.body(key, &whole);
                self.trace(before, &template, &filled, Some((key, word.place)));
                service
            }
        };
        self.templates.insert(name, Template { used: true, ..template });
        service
    }

    /// Reads the templates that no service uses, as far as that goes without one: a mistake in them would show late.
    pub(super) fn unused_templates(&mut self) {
        let unused: Vec<&'a str> = self.templates.iter().filter(|(_, t)| !t.used).map(|(name, _)| *name).collect();
        for name in unused {
            let Some(template) = self.templates.remove(name) else { continue };
            let values =
                template.params.iter().map(|param| (param.name, of_default(param.name, param.default))).collect();
            if let Ok((body, filled)) = self.fill(&template, values) {
                let whole = Node { value: Value::Map(body), place: template.node.place };
                let before = self.found.len();
                self.alone(|builder| builder.body(template.key, &whole));
                self.trace(before, &template, &filled, None);
            }
            self.templates.insert(name, template);
        }
    }

    /// Reads what lacks a part: what is missing may stand in that, and is not reported, and nothing of it is kept.
    fn alone(&mut self, read: impl FnOnce(&mut Self) -> Option<Service>) {
        let notifiers = self.notifiers.clone();
        let before = (self.alone, self.incomplete);
        (self.alone, self.incomplete) = (true, true);
        read(self);
        (self.alone, self.incomplete) = before;
        self.notifiers = notifiers;
    }

    /// The name of the template that a service uses; reported if there is none.
    fn used_template(&mut self, word: &Node) -> Option<&'a str> {
        let names = || self.templates.keys().copied();
        let Some(name) = word.text() else {
            let diagnostic =
                Diagnostic::new(word.place, format!("expected the name of a template, found {}", word.describe()));
            let help = match &word.value {
                Value::Seq(items) if items.len() == 1 => {
                    format!("write it without brackets: `use: {}`", items[0].text().unwrap_or("NAME"))
                }
                Value::Seq(_) => "a service uses one template: write one that holds what both say".to_owned(),
                _ => "write `use: NAME`; parameters stand beside it, under `with`".to_owned(),
            };
            self.found.push(diagnostic.help(help));
            return None;
        };
        if let Some((known, _)) = self.templates.get_key_value(name) {
            return Some(known);
        }
        if self.incomplete || self.bad_templates.contains(name) {
            return None;
        }
        let help = match nearest(name, names()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if self.templates.is_empty() => {
                "there is none at all: write it under the top-level `templates`, or `include` the file that it is in"
                    .to_owned()
            }
            None => format!("the templates are {}", listed(names())),
        };
        let message = format!("there is no template named {}", quoted(name));
        self.found.push(Diagnostic::new(word.place, message).help(help));
        None
    }

    /// The values of a template's parameters for a service; those that are missing, and those that are none, are reported.
    fn values<'n>(&mut self, template: &Template<'n>, word: &Node, service: &'n Node) -> BTreeMap<&'n str, Given<'n>> {
        let with = service.get("with").map(|(_, with)| with);
        let entries = match with.map(|with| (&with.value, with)) {
            None => &[][..],
            Some((Value::Map(entries), _)) => entries.as_slice(),
            Some((_, with)) => {
                let message = format!("expected a map of parameters, found {}", with.describe());
                self.found
                    .push(Diagnostic::new(with.place, message).help("write, for example, `with: { port: 8080 }`"));
                &[]
            }
        };
        let quoted_name = quoted(&template.key.text);
        let names = || template.params.iter().map(|param| param.name);
        let mut values = BTreeMap::new();
        for (key, node) in entries {
            if !names().any(|name| name == key.text) {
                let message = format!("the template {quoted_name} has no parameter {}", quoted(&key.text));
                let (label, help) = match nearest(&key.text, names()) {
                    _ if template.params.is_empty() => ("it has none", "leave it out".to_owned()),
                    Some(meant) => ("those that it has", format!("did you mean `{meant}`?")),
                    None => ("those that it has", format!("its parameters are {}", listed(names()))),
                };
                self.found.push(Diagnostic::new(key.place, message).also(template.params_place, label).help(help));
            } else if is_text(node) {
                let Value::Scalar { text, plain } = &node.value else { continue };
                let given = Given { text, plain: *plain, from: Some(node.place), default: false };
                values.insert(key.text.as_str(), given);
            } else {
                let message =
                    format!("a parameter is a text or a number, and {} is {}", quoted(&key.text), node.describe());
                let help = match &node.value {
                    Value::Scalar { .. } => "write its value; `\"\"` is an empty text",
                    _ => "a list, a map or a secret stands in the service itself, under a key of its own",
                };
                self.found.push(Diagnostic::new(node.place, message).help(help));
                values.insert(key.text.as_str(), of_default(&key.text, None));
            }
        }
        for param in &template.params {
            let Some(default) = param.default.filter(|node| is_text(node)) else {
                // One that is misspelt has been reported, and is not missed.
                let misspelt = |key: &Key| {
                    !names().any(|name| name == key.text) && nearest(&key.text, names()) == Some(param.name)
                };
                if entries.iter().any(|(key, _)| misspelt(key)) {
                    values.insert(param.name, of_default(param.name, None));
                } else if !values.contains_key(param.name) {
                    let message =
                        format!("the parameter {} of the template {quoted_name} is missing", quoted(param.name));
                    let mut help = format!("add `with: {{ {}: .. }}`", param.name.escape_debug());
                    if with.is_some() {
                        help = format!("add `{}: ..` under `with`", param.name.escape_debug());
                    }
                    if let Some(about) = param.about {
                        help.push_str(&format!(": {}", about.chars().take(200).collect::<String>()));
                    }
                    let diagnostic = Diagnostic::new(word.place, message).also(param.place, "declared here");
                    self.found.push(diagnostic.help(help));
                    values.insert(param.name, of_default(param.name, None));
                }
                continue;
            };
            values.entry(param.name).or_insert(of_default(param.name, Some(default)));
        }
        values
    }

    /// The body of a template, with these values.
    fn fill(
        &mut self,
        template: &Template<'_>,
        values: BTreeMap<&str, Given<'_>>,
    ) -> Result<(Vec<(Key, Node)>, AllFilled), TooLarge> {
        let mut filling = Filling { values, filled: BTreeMap::new(), left: &mut self.nodes_left };
        let Value::Map(entries) = &template.node.value else { return Ok((Vec::new(), BTreeMap::new())) };
        let mut body = Vec::new();
        for (key, node) in entries.iter().filter(|(key, _)| !matches!(key.text.as_str(), "params" | "use" | "with")) {
            body.push((filling.key(key)?, filling.node(node, Level::Service.under(Some(&key.text)))?));
        }
        Ok((body, filling.filled))
    }

    /// Adds to each new mistake within a template where it is used, and what its parameters are; leaves out what follows
    /// from a missing one, and what was said before, for another service.
    fn trace(&mut self, from: usize, template: &Template<'_>, filled: &AllFilled, used: Option<(&Key, Place)>) {
        for mut diagnostic in self.found.split_off(from) {
            let Some(at) = diagnostic.at.filter(|at| template.extent.holds(*at)) else {
                self.found.push(diagnostic);
                continue;
            };
            let filled = filled.range(..=at.start).next_back().map(|(_, filled)| filled);
            let filled = filled.filter(|filled| filled.place.holds(at));
            let values = match filled.map(|filled| &filled.values) {
                Some(None) => continue,
                Some(Some(values)) => values.as_slice(),
                None => &[],
            };
            let reads = filled.and_then(|filled| filled.text.as_deref());
            let related: Vec<(Place, String)> = values
                .iter()
                .map(|(name, place, default)| {
                    (*place, format!("`${{{name}}}` is this {}", if *default { "by default" } else { "here" }))
                })
                .collect();
            diagnostic.help.extend(reads.map(|text| format!("with its parameters, it reads {text}")));
            let Some((service, word)) = used else {
                diagnostic.related.extend(related);
                self.found.push(diagnostic);
                continue;
            };
            let id = (at, diagnostic.message.clone());
            if let Some(first) = self.traced.get_mut(&id) {
                if first.service != service.text {
                    first.others += 1;
                    let label = format!("used here, for service `{}`, and for {} more", first.service, first.others);
                    let related = self.found.get_mut(first.index).map(|d| d.related.as_mut_slice()).unwrap_or_default();
                    related
                        .iter_mut()
                        .filter(|(_, old)| old.starts_with("used here"))
                        .for_each(|(_, old)| old.clone_from(&label));
                }
                continue;
            }
            diagnostic.related.push((word, format!("used here, for service `{}`", service.text)));
            diagnostic.related.extend(related);
            self.traced.insert(id, Traced { index: self.found.len(), service: service.text.clone(), others: 0 });
            self.found.push(diagnostic);
        }
    }
}

/// The default of a parameter; its name where there is none.
fn of_default<'n>(name: &'n str, default: Option<&'n Node>) -> Given<'n> {
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
fn laid_over(mut body: Vec<(Key, Node)>, service: &Node) -> Vec<(Key, Node)> {
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
