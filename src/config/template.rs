//! Templates: bodies of services with parameters. Here they are read and looked through; [`super::expand`] puts them under
//! the keys of services.
//!
//! `${port}` in a value of a template stands for its parameter `port`; `$${` is a `${` that stands for itself.

use super::diagnostic::{Diagnostic, Place, nearest, quoted};
use super::plan::Builder;
use super::resolve::Text;
use super::tree::{Key, Node, Value};
use std::collections::BTreeSet;
use std::ops::Range;

/// The longest name of a parameter.
const NAME_LENGTH: usize = 64;

/// A body for services.
pub(super) struct Template<'a> {
    pub key: &'a Key,
    /// All that was written, `params` included.
    pub node: &'a Node,
    pub params: Vec<Param<'a>>,
    /// Where parameters are declared, or would be.
    pub params_place: Place,
    /// From its name to its last value.
    pub extent: Place,
    /// A service uses it.
    pub used: bool,
}

/// A parameter of a template.
pub(super) struct Param<'a> {
    pub name: &'a str,
    pub place: Place,
    /// What it is where a service does not give it; a text or number.
    pub default: Option<&'a Node>,
    /// What it is for, in words.
    pub about: Option<&'a str>,
}

/// A part of a text of a template.
#[derive(Debug, PartialEq)]
pub(super) enum Piece<'t> {
    /// Stands for itself.
    Text(&'t str),
    /// The name within `${..}`.
    Param(&'t str),
    /// A `${` that nothing closes.
    Open,
}

/// The parts of a text of a template, in order, each with its place.
pub(super) fn pieces(text: &str) -> Vec<(Range<usize>, Piece<'_>)> {
    let mut pieces = Vec::new();
    let mut push = |range: Range<usize>, piece| {
        if !range.is_empty() {
            pieces.push((range, piece));
        }
    };
    let mut at = 0;
    while let Some(start) = text[at..].find("${").map(|i| at + i) {
        let inner = start + 2;
        if text[at..start].ends_with('$') {
            push(at..start - 1, Piece::Text(&text[at..start - 1]));
            push(start - 1..inner, Piece::Text(&text[start..inner]));
            at = inner;
            continue;
        }
        push(at..start, Piece::Text(&text[at..start]));
        // Bounded, for a text may be nothing but openings.
        let length = text.as_bytes()[inner..].iter().take(NAME_LENGTH + 1).position(|b| *b == b'}');
        match length {
            Some(length) => {
                at = inner + length + 1;
                push(start..at, Piece::Param(&text[inner..inner + length]));
            }
            None => {
                at = inner;
                push(start..at, Piece::Open);
            }
        }
    }
    push(at..text.len(), Piece::Text(&text[at..]));
    pieces
}

/// How deep in a service a node stands, as far as that matters for what a map of one key is: `file: ..` may be a check, or
/// a key of one; deeper, and elsewhere, it says where a secret is.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Level {
    Service,
    Checks,
    Check,
    Kind,
    Other,
}

impl Level {
    /// That of what stands under this key, or of an element.
    pub fn under(self, key: Option<&str>) -> Level {
        match (self, key) {
            (Level::Service, Some("checks")) => Level::Checks,
            (Level::Checks, None) => Level::Check,
            (Level::Check, Some(_)) => Level::Kind,
            _ => Level::Other,
        }
    }

    /// Whether these are `{ env: NAME }` or `{ file: PATH }`, in which nothing is put.
    pub fn is_secret(self, entries: &[(Key, Node)]) -> bool {
        matches!(entries, [(key, _)] if self == Level::Other && matches!(key.text.as_str(), "env" | "file"))
    }
}

impl<'a> Builder<'a> {
    /// Reads the templates of all files, and reports what is wrong with their parameters.
    pub(super) fn templates(&mut self, trees: &[&'a Node]) {
        for (key, node) in self.entries(trees, "templates", "a template") {
            self.well_named(&key.text, key.place, "a template", "._-");
            if let Some(first) = self.templates.get(key.text.as_str()) {
                let first = first.key.place;
                self.twice("template", key, first);
                continue;
            }
            if self.map(node, "a template, which are those of a service").is_none() {
                self.bad_templates.insert(&key.text);
                continue;
            }
            let (params_place, params) = match node.get("params") {
                Some((word, list)) => (word.place, self.params(word, list)),
                None => (key.place, Vec::new()),
            };
            if let Some((word, _)) = node.get("use") {
                let diagnostic = Diagnostic::new(word.place, "a template cannot use another one");
                self.found.push(diagnostic.help("write its keys out in this one"));
            }
            if let Some((word, _)) = node.get("with") {
                let diagnostic = Diagnostic::new(word.place, "`with` stands in a service, beside `use`");
                self.found.push(
                    diagnostic
                        .help("what a parameter is by itself is its default: `params: { port: { default: 8080 } }`"),
                );
            }
            let extent = Place { end: end_of(node, key.place), ..key.place };
            let template = Template { key, node, params, params_place, extent, used: false };
            self.survey(&template);
            self.templates.insert(&key.text, template);
        }
    }

    fn params(&mut self, word: &'a Key, list: &'a Node) -> Vec<Param<'a>> {
        let mut params: Vec<Param<'a>> = Vec::new();
        match &list.value {
            Value::Seq(items) => {
                for item in items {
                    let Some(name) = item.text() else {
                        let message = format!("expected the name of a parameter, found {}", item.describe());
                        let diagnostic = Diagnostic::new(item.place, message);
                        let help = match &item.value {
                            Value::Map(entries) if entries.len() == 1 => with_default(&entries[0].0, &entries[0].1),
                            _ => "write, for example, `params: [port, name]`".to_owned(),
                        };
                        self.found.push(diagnostic.help(help));
                        continue;
                    };
                    if let Some(first) = params.iter().find(|param| param.name == name) {
                        let message = format!("the parameter {} is declared twice", quoted(name));
                        let diagnostic = Diagnostic::new(item.place, message);
                        self.found.push(diagnostic.label("second").also(first.place, "first"));
                    } else {
                        params.push(Param { name, place: item.place, default: None, about: None });
                    }
                }
            }
            Value::Map(entries) => {
                for (key, node) in entries {
                    let (default, about) = self.declared(key, node);
                    params.push(Param { name: &key.text, place: key.place, default, about });
                }
            }
            Value::Scalar { .. } => {
                let message = format!("expected the names of parameters, found {}", list.describe());
                let help = match list.text() {
                    Some(text) => format!("write them as a list: `params: [{text}]`"),
                    None => "write, for example, `params: [port, name]`".to_owned(),
                };
                self.found
                    .push(Diagnostic::new(if list.is_empty() { word.place } else { list.place }, message).help(help));
            }
        }
        for param in &params {
            self.well_named(param.name, param.place, "a parameter", "_-");
        }
        params
    }

    /// `{ default: 8080, about: where it listens }`, or nothing.
    fn declared(&mut self, key: &Key, node: &'a Node) -> (Option<&'a Node>, Option<&'a str>) {
        let Value::Map(entries) = &node.value else {
            if !node.is_empty() {
                let message =
                    format!("expected the keys of the parameter {}, found {}", quoted(&key.text), node.describe());
                self.found.push(Diagnostic::new(node.place, message).help(with_default(key, node)));
            }
            return (None, None);
        };
        self.known_keys(entries, "a parameter", &["default", "about"], &[]);
        let default = node.get("default").map(|(_, value)| value);
        if let Some(value) = default.filter(|value| !is_text(value)) {
            let message = format!("a parameter is a text or a number, and its default is {}", value.describe());
            let diagnostic = Diagnostic::new(value.place, message);
            self.found.push(match value.is_empty() {
                true => diagnostic.help("write `\"\"` for an empty text; without the key, the parameter must be given"),
                false => diagnostic,
            });
        }
        let about = node.get("about").map(|(_, about)| about);
        if let Some(node) = about.filter(|about| about.text().is_none()) {
            let message = format!("expected a text about the parameter, found {}", node.describe());
            self.found.push(Diagnostic::new(node.place, message));
        }
        (default, about.and_then(Node::text))
    }

    /// Reports parameters that are not declared, or not used, and `${` where nothing can be put.
    fn survey(&mut self, template: &Template<'a>) {
        let before = self.found.len();
        let mut named = BTreeSet::new();
        if let Value::Map(entries) = &template.node.value {
            for (key, node) in entries.iter().filter(|(key, _)| key.text != "params") {
                self.survey_node(template, node, Level::Service.under(Some(&key.text)), &mut named);
            }
        }
        // It may have been meant by one of these.
        if self.found.len() > before {
            return;
        }
        for param in template.params.iter().filter(|param| !named.contains(param.name)) {
            let message = format!("the parameter {} is declared, and used nowhere in its template", quoted(param.name));
            let diagnostic = Diagnostic::new(param.place, message).also(template.key.place, "in this template");
            let help = format!("write `${{{}}}` where it belongs, or leave it out here", param.name.escape_debug());
            self.found.push(diagnostic.help(help));
        }
    }

    fn survey_node(&mut self, template: &Template<'a>, node: &'a Node, level: Level, named: &mut BTreeSet<&'a str>) {
        match &node.value {
            Value::Scalar { text, .. } if !text.contains("${") => {}
            Value::Scalar { .. } => {
                let source = self.source(node.place);
                let Some(text) = Text::new(node, source) else { return };
                for (range, piece) in pieces(text.text) {
                    let at = text.at(&range);
                    match piece {
                        Piece::Text(_) => {}
                        Piece::Param(name) if template.params.iter().any(|param| param.name == name) => {
                            named.insert(name);
                        }
                        Piece::Param(name) => self.undeclared(template, name, at),
                        Piece::Open => self.found.push(
                            Diagnostic::new(at, "this `${` is not closed")
                                .help("write `${NAME}` for a parameter, or `$${` for the signs themselves"),
                        ),
                    }
                }
            }
            Value::Seq(items) => {
                for item in items {
                    self.survey_node(template, item, level.under(None), named);
                }
            }
            Value::Map(entries) if level.is_secret(entries) => {
                for (_, node) in entries.iter().filter(|(_, node)| node.text().is_some_and(|text| text.contains("${")))
                {
                    let diagnostic = Diagnostic::new(node.place, "nothing is put into what says where a secret is");
                    self.found
                        .push(diagnostic.help("write the name or path itself; or let the service write this part"));
                }
            }
            Value::Map(entries) => {
                for (key, node) in entries {
                    if key.text.contains("${") {
                        let diagnostic = Diagnostic::new(key.place, "parameters stand in values, not in keys");
                        self.found.push(diagnostic.help("write the key itself"));
                    }
                    self.survey_node(template, node, level.under(Some(&key.text)), named);
                }
            }
        }
    }

    fn undeclared(&mut self, template: &Template<'a>, name: &str, at: Place) {
        let names = || template.params.iter().map(|param| param.name);
        let message = format!("the template {} has no parameter {}", quoted(&template.key.text), quoted(name));
        let label = if template.params.is_empty() { "it has none" } else { "those that it has" };
        let help = match nearest(name, names()) {
            Some(meant) => format!("did you mean `${{{meant}}}`?"),
            None => {
                let all: Vec<&str> = names().chain([name]).collect();
                let literal = format!("$${{{}}}", name.escape_debug());
                format!("declare it: `params: [{}]`; or write `{literal}` for the signs themselves", all.join(", "))
            }
        };
        self.found.push(Diagnostic::new(at, message).also(template.params_place, label).help(help));
    }
}

/// Whether a node may be the value of a parameter.
pub(super) fn is_text(node: &Node) -> bool {
    matches!(node.value, Value::Scalar { .. }) && !node.is_empty()
}

fn with_default(key: &Key, value: &Node) -> String {
    let name = key.text.escape_debug();
    match value.text() {
        Some(text) => format!(
            "a parameter that need not be given: `params: {{ {name}: {{ default: {} }} }}`",
            text.escape_debug()
        ),
        None => format!("write, for example, `params: {{ {name}: {{ default: 8080, about: what it is for }} }}`"),
    }
}

/// The last byte of a node that begins after this key. What an alias repeats stands before, and is not looked at.
fn end_of(node: &Node, from: Place) -> usize {
    let inner = match &node.value {
        Value::Scalar { .. } => from.end,
        Value::Seq(items) => items.iter().map(|item| end_of(item, from)).max().unwrap_or(from.end),
        Value::Map(entries) => {
            let ends = entries.iter().map(|(key, node)| {
                let key = if key.place.start >= from.start { key.place.end } else { from.end };
                end_of(node, from).max(key)
            });
            ends.max().unwrap_or(from.end)
        }
    };
    if node.place.start >= from.start { inner.max(node.place.end) } else { inner }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_fall_into_pieces() {
        let kinds = |text: &str| -> Vec<String> {
            pieces(text).iter().map(|(range, piece)| format!("{}..{} {piece:?}", range.start, range.end)).collect()
        };
        assert_eq!(kinds("${a}"), [r#"0..4 Param("a")"#]);
        assert_eq!(
            kinds("x${a}é${b-c}"),
            [r#"0..1 Text("x")"#, r#"1..5 Param("a")"#, r#"5..7 Text("é")"#, r#"7..13 Param("b-c")"#]
        );
        assert_eq!(kinds("$${a} $5"), [r#"0..3 Text("${")"#, r#"3..8 Text("a} $5")"#]);
        assert_eq!(kinds("$$${a}"), [r#"0..1 Text("$")"#, r#"1..4 Text("${")"#, r#"4..6 Text("a}")"#]);
        assert_eq!(kinds("${}${"), [r#"0..3 Param("")"#, "3..5 Open"]);
        assert_eq!(kinds(&format!("${{{}}}", "é".repeat(40))).len(), 2, "a name that long is none");
        assert_eq!(kinds(""), Vec::<String>::new());
    }
}
