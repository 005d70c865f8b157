//! Templates put under the keys of services, and what is wrong with what that makes: shown at the template's line, with
//! where it is used, and with the values of its parameters.

use super::diagnostic::{Diagnostic, Place, listed, nearest, quoted};
use super::fill::{AllFilled, Given, TooLarge, fill, laid_over, of_default};
use super::plan::Builder;
use super::template::{Template, is_text};
use super::tree::{Key, NODES, Node, Value};
use crate::model::Service;
use std::collections::BTreeMap;

/// A service's keys with its template's under them, and where all of it stands.
pub(super) struct LaidOut<'n> {
    pub body: Node,
    pub template: Option<Used<'n>>,
}

/// The template that a service uses.
pub(super) struct Used<'n> {
    pub name: &'n str,
    pub extent: Place,
    /// What its parameters are for this service.
    pub values: BTreeMap<&'n str, Given<'n>>,
    /// Where they were put.
    pub filled: AllFilled,
}

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
        let template = self.templates.remove(name)?;
        let values = self.values(&template, word, node);
        self.vague = values.values().any(|value| value.from.is_none());
        let outcome = fill(&template, values, &mut self.nodes_left);
        let service = match outcome {
            Err(TooLarge) => {
                self.too_large(word.place);
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
        self.vague = false;
        self.templates.insert(name, Template { used: true, ..template });
        service
    }

    /// The service as [`Builder::service`] reads it, of rules without mistakes.
    pub(super) fn laid_out(&mut self, node: &'a Node) -> Option<LaidOut<'a>> {
        let Some((_, word)) = node.get("use") else { return Some(LaidOut { body: node.clone(), template: None }) };
        let name = self.used_template(word)?;
        let template = self.templates.remove(name)?;
        let values = self.values(&template, word, node);
        let outcome = fill(&template, values.clone(), &mut self.nodes_left).ok();
        let extent = template.extent;
        self.templates.insert(name, template);
        let (body, filled) = outcome?;
        let body = Node { value: Value::Map(laid_over(body, node)), place: node.place };
        Some(LaidOut { body, template: Some(Used { name, extent, values, filled }) })
    }

    /// Reads the templates that no service uses, as far as that goes without one: a mistake in them would show late.
    pub(super) fn unused_templates(&mut self) {
        let unused: Vec<&'a str> = self.templates.iter().filter(|(_, t)| !t.used).map(|(name, _)| *name).collect();
        for name in unused {
            let Some(template) = self.templates.remove(name) else { continue };
            let values =
                template.params.iter().map(|param| (param.name, of_default(param.name, param.default))).collect();
            match fill(&template, values, &mut self.nodes_left) {
                Err(TooLarge) => self.too_large(template.key.place),
                Ok((body, filled)) => {
                    let whole = Node { value: Value::Map(body), place: template.node.place };
                    let before = self.found.len();
                    self.alone(|builder| builder.body(template.key, &whole));
                    self.trace(before, &template, &filled, None);
                }
            }
            self.templates.insert(name, template);
        }
    }

    fn too_large(&mut self, at: Place) {
        let message = format!("with this template, the rules hold more than {NODES} values");
        self.found.push(Diagnostic::new(at, message).help("a long text counts as several"));
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

    /// Adds to each new mistake within a template where it is used, and what its parameters are; leaves out what follows
    /// from a missing one, and what was said before, for another service.
    fn trace(&mut self, from: usize, template: &Template<'_>, filled: &AllFilled, used: Option<(&Key, Place)>) {
        for mut diagnostic in self.found.split_off(from) {
            let Some(at) = diagnostic.at.filter(|at| template.extent.holds(*at)) else {
                self.found.push(diagnostic);
                continue;
            };
            // A mistake of a whole list may be that of an element.
            if filled.range(at.start..at.end).any(|(_, filled)| filled.values.is_none() && at.holds(filled.place)) {
                continue;
            }
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
