//! Which service needs which: names that exist, each once, and never in a circle.

use super::diagnostic::{Diagnostic, Place, nearest, quoted};
use super::plan::Builder;
use super::tree::{Key, Node, Value};
use crate::model::Name;
use std::collections::{BTreeMap, BTreeSet};

/// The most services that one may need directly.
const MOST: usize = 1000;
/// So many names of a circle are said.
const SAID: usize = 12;

/// What one service needs, and where it says so.
pub(super) struct Needed {
    service: String,
    names: Vec<(String, Place)>,
}

impl Needed {
    fn each(&self) -> impl Iterator<Item = (&str, &str, Place)> {
        self.names.iter().map(|(name, place)| (self.service.as_str(), name.as_str(), *place))
    }
}

/// For each service, what it needs and where that is said.
type Graph<'n> = BTreeMap<&'n str, &'n [(String, Place)]>;

impl Builder<'_> {
    /// Reads `depends_on`. Whether the services exist is looked at when all of them are known.
    pub(super) fn depends_on(&mut self, service: &Key, list: &Node) -> Vec<Name> {
        let Value::Seq(items) = &list.value else {
            let diagnostic =
                Diagnostic::new(list.place, format!("expected a list of services, found {}", list.describe()));
            self.found.push(match list.text() {
                Some(text) => diagnostic.help(format!("write it as a list: `[{text}]`")),
                None => diagnostic.help("write, for example, `depends_on: [database]`"),
            });
            return Vec::new();
        };
        if items.len() > MOST {
            self.found.push(Diagnostic::new(list.place, format!("a service that needs more than {MOST} others")));
            return Vec::new();
        }
        let mut names: Vec<(&str, Place)> = Vec::new();
        let mut seen: BTreeMap<&str, Place> = BTreeMap::new();
        for item in items {
            let Some(name) = item.text() else {
                let message = format!("expected the name of a service, found {}", item.describe());
                self.found.push(Diagnostic::new(item.place, message));
                continue;
            };
            if name == service.text {
                let diagnostic = Diagnostic::new(item.place, format!("{} depends on itself", quoted(name)));
                self.found.push(diagnostic.help("leave it away, or name the service that is meant"));
            } else if let Some(first) = seen.insert(name, item.place) {
                let message = format!("the service {} stands here twice", quoted(name));
                self.found.push(Diagnostic::new(item.place, message).label("second").also(first, "first"));
            } else {
                names.push((name, item.place));
            }
        }
        let all = names.iter().map(|(name, _)| Name::from(*name)).collect();
        // A template that is read by itself is no service, and one that lacks a parameter may need any.
        if !self.alone && !self.vague {
            let names = names.into_iter().map(|(name, place)| (name.to_owned(), place)).collect();
            self.needs.push(Needed { service: service.text.clone(), names });
        }
        all
    }

    /// Reports what no service is named, and every circle once.
    pub(super) fn check_needs(&mut self, services: &BTreeMap<&str, Place>) {
        let needs = std::mem::take(&mut self.needs);
        for (service, name, place) in needs.iter().flat_map(Needed::each) {
            // What is missing may stand in a file that could not be read.
            if services.contains_key(name) || self.incomplete {
                continue;
            }
            let diagnostic = Diagnostic::new(place, format!("there is no service named {}", quoted(name)));
            // In a template, it is the parameters of this one that say so.
            let diagnostic = diagnostic.label(format!("`{service}` needs it"));
            self.found.push(match nearest(name, services.keys().copied()) {
                Some(meant) => diagnostic.help(format!("did you mean `{meant}`?")),
                None => diagnostic.help("a name under the top-level `services`, in any file, may stand here"),
            });
        }
        let graph: Graph<'_> =
            needs.iter().rev().map(|needed| (needed.service.as_str(), needed.names.as_slice())).collect();
        let mut finished: BTreeSet<&str> = BTreeSet::new();
        for begin in &needs {
            self.find_circles(&begin.service, &graph, &mut finished);
        }
    }

    /// Walks along what is needed, from `begin` on, and reports each way that comes back to where it has been. Without
    /// recursion: a chain may be as long as a file.
    fn find_circles<'n>(&mut self, begin: &'n str, graph: &Graph<'n>, finished: &mut BTreeSet<&'n str>) {
        // The way from `begin` to here, each with the number of its needs that were looked at.
        let mut way: Vec<(&str, usize)> = vec![(begin, 0)];
        let mut on_way: BTreeSet<&str> = BTreeSet::from([begin]);
        while let Some((here, looked)) = way.last_mut() {
            let here = *here;
            let next = graph.get(here).and_then(|needs| needs.get(*looked)).filter(|_| !finished.contains(here));
            *looked += 1;
            let Some((next, place)) = next else {
                finished.insert(here);
                on_way.remove(here);
                way.pop();
                continue;
            };
            let next = next.as_str();
            if on_way.contains(next) {
                let first = way.iter().position(|(name, _)| *name == next).unwrap_or(0);
                let around: Vec<&str> = way[first..].iter().map(|(name, _)| *name).collect();
                self.circle(&around, *place);
            } else if !finished.contains(next) {
                way.push((next, 0));
                on_way.insert(next);
            }
        }
    }

    fn circle(&mut self, around: &[&str], place: Place) {
        let mut words: Vec<String> = around.iter().take(SAID).map(|name| (*name).to_owned()).collect();
        if around.len() > SAID {
            words.push(format!("and so on, over {} more", around.len() - SAID));
        }
        words.extend(around.first().map(|name| (*name).to_owned()));
        let message = format!("these services depend on each other in a circle: {}", words.join(" needs "));
        let help = "leave one of them away: a service is stopped before what it needs, and started after it";
        self.found.push(Diagnostic::new(place, message).help(help));
    }
}
