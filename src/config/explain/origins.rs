//! Where each part of a service comes from: itself, its template, `defaults`, or minder. Read from the trees of the rule files
//! as the plan was, so that the plan need not remember it.

use super::super::diagnostic::Place;
use super::super::expand::LaidOut;
use super::super::plan::Builder;
use super::super::source::Sources;
use super::super::tree::{Key, Node, Value as Tree};
use super::lines::Part;
use crate::model::controls::ControlSpec;
use crate::model::{Check, Condition, Kind, MetricId, Rule, Service, clip, plain};
use serde_yaml::{Mapping, Value};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// What nobody has written.
const MINDER: &str = "minder's default";
/// The longest value of a parameter that is shown, in characters.
const PARAMETER: usize = 60;

/// The rule files, to be asked about services.
pub(super) struct Origins<'s> {
    builder: Builder<'s>,
    services: HashMap<&'s str, (&'s Key, &'s Node)>,
    defaults: Option<&'s Node>,
}

/// A service as its files have it.
pub(super) struct Written<'s> {
    sources: &'s Sources,
    key: &'s Key,
    laid: LaidOut<'s>,
    defaults: Option<&'s Node>,
}

/// Where a part comes from.
#[derive(Clone)]
enum From<'n> {
    /// It stands there.
    Node(&'n Node),
    /// It stands there, under `defaults`.
    Defaults(&'n Node),
    /// It stands nowhere.
    Words(String),
}

impl<'s> Origins<'s> {
    /// Of files that make a plan.
    pub fn new(sources: &'s Sources) -> Origins<'s> {
        let mut builder = Builder::new(sources, Vec::new());
        let trees: Vec<&Node> = sources.trees().collect();
        builder.templates(&trees);
        let services = builder.entries(&trees, "services", "a service");
        let services = services.into_iter().map(|(key, node)| (key.text.as_str(), (key, node))).collect();
        let defaults = trees.iter().find_map(|tree| tree.get("defaults")).map(|(_, node)| node);
        Origins { builder, services, defaults }
    }

    /// The service of this name.
    pub fn service(&mut self, name: &str) -> Option<Written<'s>> {
        let (key, node) = *self.services.get(name)?;
        let laid = self.builder.laid_out(node)?;
        Some(Written { sources: self.builder.sources, key, laid, defaults: self.defaults })
    }
}

impl Written<'_> {
    /// The file and line that it begins at.
    pub fn begin(&self) -> String {
        self.at(self.key.place)
    }

    /// The name of its template.
    pub fn template(&self) -> Option<&str> {
        self.laid.template.as_ref().map(|template| template.name)
    }

    /// The keys of a service in their long form, each with where it comes from.
    pub fn body(&self, service: &Service, body: Mapping) -> Part {
        let part = |(key, value): (Value, Value)| {
            let key = text(&key);
            let part = match (key.as_str(), value) {
                ("checks", Value::Sequence(checks)) => {
                    Part::List(checks.into_iter().enumerate().map(|(i, check)| self.check(service, i, check)).collect())
                }
                ("rules", Value::Sequence(rules)) => {
                    Part::List(rules.into_iter().enumerate().map(|(i, rule)| self.rule(service, i, rule)).collect())
                }
                (_, value) => self.value(value, &self.of_service(service, &key), short_of_control(service, &key)),
            };
            (key, part)
        };
        Part::Map(body.into_iter().map(part).collect(), None)
    }

    /// What of `defaults` no key of the service can say.
    pub fn defaults(&self, defaults: Mapping) -> Part {
        let part = |(key, value): (Value, Value)| {
            let key = text(&key);
            let from = self.of_defaults(&key).unwrap_or(From::Words(MINDER.to_owned()));
            (key, self.value(value, &from, None))
        };
        Part::Map(defaults.into_iter().map(part).collect(), None)
    }

    fn of_service(&self, service: &Service, key: &str) -> From<'_> {
        let own = self.laid.body.get(key).map(|(_, node)| From::Node(node));
        own.or_else(|| self.of_defaults(key)).unwrap_or_else(|| match (&service.control, key) {
            (Some(control), "settle") => From::Words(format!("{MINDER} for {}", control.name())),
            _ => From::Words(MINDER.to_owned()),
        })
    }

    fn of_defaults(&self, key: &str) -> Option<From<'_>> {
        self.defaults?.get(key).map(|(_, node)| From::Defaults(node))
    }

    fn element(&self, list: &str, index: usize) -> Option<&Node> {
        match &self.laid.body.get(list)?.1.value {
            Tree::Seq(items) => items.get(index),
            _ => None,
        }
    }

    fn check(&self, service: &Service, index: usize, check: Value) -> Part {
        let item = self.element("checks", index);
        let Value::Mapping(keys) = check else { return self.value(check, &From::Words(MINDER.to_owned()), None) };
        let part = |(key, value): (Value, Value)| {
            let key = text(&key);
            let own = item.and_then(|item| item.get(&key)).map(|(_, node)| From::Node(node));
            let part = match (key.as_str(), service.checks.get(index)) {
                ("keep", Some(check)) => {
                    let comment = self.keep(service, index, check, own.as_ref());
                    Part::Leaf(value, comment)
                }
                ("name", _) => self.value(value, &own.unwrap_or(From::Words("its kind".to_owned())), None),
                (word, _) => {
                    let short = Kind::NAMES.iter().find(|(kind, _)| *kind == word).and_then(|(_, short)| *short);
                    let from = own.or_else(|| self.of_defaults(word));
                    self.value(value, &from.unwrap_or(From::Words(MINDER.to_owned())), short)
                }
            };
            (key, part)
        };
        Part::Map(keys.into_iter().map(part).collect(), None)
    }

    /// Why each of the metrics is recorded: somebody keeps it, rules name it, or the check is judged by it.
    fn keep(&self, service: &Service, index: usize, check: &Check, own: Option<&From<'_>>) -> String {
        let written = match own {
            Some(From::Node(Node { value: Tree::Seq(items), .. })) => items.as_slice(),
            _ => &[],
        };
        let metrics = check.kind.metrics();
        let mut why: Vec<(String, Vec<&str>)> = Vec::new();
        for id in check.recorded().iter() {
            let name = metrics.get(usize::from(id.0)).map_or("", |metric| metric.name);
            let reason = match written.iter().find(|item| item.text() == Some(name)) {
                Some(item) => self.words(&From::Node(item)),
                None if named_by_rules(service, index, id) => "named by rules".to_owned(),
                None => MINDER.to_owned(),
            };
            match why.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, names)) => names.push(name),
                None => why.push((reason, vec![name])),
            }
        }
        match why.as_slice() {
            [] => own.map_or(MINDER.to_owned(), |own| self.words(own)),
            [(reason, _)] => reason.clone(),
            _ => {
                let group = |(reason, names): &(String, Vec<&str>)| format!("{}: {reason}", names.join(", "));
                why.iter().map(group).collect::<Vec<_>>().join("; ")
            }
        }
    }

    fn rule(&self, service: &Service, index: usize, rule: Value) -> Part {
        let (Value::Mapping(keys), Some(read)) = (rule, service.rules.get(index)) else {
            return Part::Map(Vec::new(), None);
        };
        let item = self.element("rules", index).filter(|_| !read.implied);
        let part = |(key, value): (Value, Value)| {
            let key = text(&key);
            let from = match item {
                Some(item @ Node { value: Tree::Scalar { .. }, .. })
                    if !matches!(key.as_str(), "name" | "severity") =>
                {
                    From::Node(item)
                }
                Some(item) => match item.get(&key) {
                    Some((_, node)) => From::Node(node),
                    None => From::Words(unwritten(&key, read)),
                },
                None if key == "name" => {
                    From::Words(format!("implied: no rule mentions `{}`", checks_of(service, read)))
                }
                None => From::Words("implied".to_owned()),
            };
            (key, self.value(value, &from, None))
        };
        Part::Map(keys.into_iter().map(part).collect(), None)
    }

    /// A value and what stands under it. `short` is the key that a lone text or list stands for.
    fn value(&self, value: Value, from: &From<'_>, short: Option<&str>) -> Part {
        match value {
            Value::Mapping(map) if !map.is_empty() => {
                let lone = match from {
                    From::Node(node) | From::Defaults(node) => !matches!(node.value, Tree::Map(_)),
                    From::Words(_) => false,
                };
                let stands_for = |key: &str| short.unwrap_or("command") == key;
                let known = map.keys().any(|key| stands_for(&text(key)));
                let part = |(key, value): (Value, Value)| {
                    let key = text(&key);
                    let inner = match from {
                        From::Words(words) => From::Words(words.clone()),
                        _ if lone && stands_for(&key) => from.clone(),
                        From::Node(node) | From::Defaults(node) => match (node.get(&key), from) {
                            (Some((_, node)), From::Defaults(_)) => From::Defaults(node),
                            (Some((_, node)), _) => From::Node(node),
                            (None, _) => From::Words(MINDER.to_owned()),
                        },
                    };
                    // Under the word of a control stand its keys.
                    let short = short.filter(|_| !lone);
                    (key, self.value(value, &inner, short))
                };
                let entries = map.into_iter().map(part).collect();
                Part::Map(entries, (lone && !known).then(|| self.words(from)))
            }
            Value::Sequence(items) if items.iter().any(Value::is_mapping) => {
                let nodes = match from {
                    From::Node(Node { value: Tree::Seq(nodes), .. }) => nodes.as_slice(),
                    _ => &[],
                };
                let item = |(i, item)| self.value(item, &nodes.get(i).map_or(from.clone(), From::Node), None);
                Part::List(items.into_iter().enumerate().map(item).collect())
            }
            leaf => Part::Leaf(leaf, self.words(from)),
        }
    }

    /// Where it stands, in words.
    fn words(&self, from: &From<'_>) -> String {
        match from {
            From::Words(words) => words.clone(),
            From::Defaults(node) => format!("defaults, {}", self.at(node.place)),
            From::Node(node) => {
                // A list may be joined of the template's elements and the service's own.
                let items: Vec<&Node> = match &node.value {
                    Tree::Seq(items) if !items.is_empty() => items.iter().collect(),
                    _ => vec![node],
                };
                let mut owners: Vec<(bool, String)> = Vec::new();
                let mut parameters: Vec<String> = Vec::new();
                for item in items {
                    let of_template = self.is_of_template(item.place);
                    if owners.iter().all(|(known, _)| *known != of_template) {
                        owners.push((of_template, self.owner(item.place)));
                    }
                    for words in self.parameters(item.place) {
                        if !parameters.contains(&words) {
                            parameters.push(words);
                        }
                    }
                }
                owners.into_iter().map(|(_, words)| words).chain(parameters).collect::<Vec<_>>().join("; ")
            }
        }
    }

    fn is_of_template(&self, place: Place) -> bool {
        self.laid.template.as_ref().is_some_and(|template| template.extent.holds(place))
    }

    fn owner(&self, place: Place) -> String {
        match &self.laid.template {
            Some(template) if template.extent.holds(place) => {
                format!("template {}, {}", template.name, self.at(place))
            }
            _ => self.at(place),
        }
    }

    /// The parameters that were put into the text at this place, with what they are and where that stands.
    fn parameters(&self, place: Place) -> Vec<String> {
        let Some(template) = &self.laid.template else { return Vec::new() };
        let values = template.filled.get(&place.start).and_then(|filled| filled.values.as_deref()).unwrap_or_default();
        let words = |(name, place, default): &(String, Place, bool)| {
            let value = template.values.get(name.as_str()).map_or("", |given| given.text);
            let value = clip(&plain(value), PARAMETER);
            let value = if value.contains([' ', ';']) || value.is_empty() { format!("`{value}`") } else { value };
            let by_default = if *default { " by default" } else { "" };
            format!("{name} is {value}{by_default}, {}", self.at(*place))
        };
        values.iter().map(words).collect()
    }

    /// `web.yaml:12`; the directory is left out that all files are in.
    fn at(&self, place: Place) -> String {
        let Some(file) = self.sources.files.get(place.file) else { return String::new() };
        let above = self.sources.files.iter().filter_map(|file| file.path.parent());
        let above = above.reduce(common).map(Path::to_owned).unwrap_or_default();
        let name: PathBuf = file.path.strip_prefix(&above).unwrap_or(&file.path).to_owned();
        let line = file.text.get(..place.start).map_or(0, |before| before.matches('\n').count()) + 1;
        format!("{}:{line}", plain(&name.display().to_string()))
    }
}

/// The directory that holds both.
fn common<'p>(a: &'p Path, b: &'p Path) -> &'p Path {
    a.ancestors().find(|above| b.starts_with(above)).unwrap_or(Path::new(""))
}

/// The key that the lone text after the word of a service's control stands for.
fn short_of_control(service: &Service, key: &str) -> Option<&'static str> {
    let control = service.control.as_ref().filter(|_| key == "control")?;
    ControlSpec::NAMES.iter().find(|(name, _)| *name == control.name()).and_then(|(_, short)| *short)
}

/// What a key is of a rule that does not say it.
fn unwritten(key: &str, rule: &Rule) -> String {
    match key {
        "name" => "made of its condition".to_owned(),
        "severity" if rule.liveness => "as it is about liveness".to_owned(),
        _ => MINDER.to_owned(),
    }
}

fn named_by_rules(service: &Service, index: usize, id: MetricId) -> bool {
    let mut named = false;
    for rule in service.rules.iter().filter(|rule| !rule.implied) {
        for condition in conditions(rule) {
            condition.each(&mut |comparison| {
                let metric = comparison.term.metric();
                named |= usize::from(metric.check) == index && metric.metric == id;
            });
        }
    }
    named
}

/// What a rule looks at to fire, and to be over.
pub(super) fn conditions(rule: &Rule) -> impl Iterator<Item = &Condition> {
    std::iter::once(&rule.when).chain(rule.until.as_ref().map(|(condition, _)| condition))
}

fn checks_of(service: &Service, rule: &Rule) -> String {
    let mut names: Vec<&str> = Vec::new();
    rule.when.each(&mut |comparison| {
        let check = service.checks.get(usize::from(comparison.term.metric().check));
        // Of some kinds, each metric has its own.
        let by_metric = |check: &Check| check.kind.default_rules().is_some();
        names.extend(check.map(|check| if by_metric(check) { &*rule.name } else { &*check.name }));
    });
    names.join(", ")
}

fn text(key: &Value) -> String {
    key.as_str().unwrap_or_default().to_owned()
}
