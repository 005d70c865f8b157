//! Files of scenarios: `minder test` runs them. They are read as rules are: every mistake, with its place.

use super::diagnostic::{Diagnostic, Place, listed, nearest, quoted, render};
use super::lexer::Wrong;
use super::occurrence::occurrence;
use super::plan::{Builder, parse};
use super::source::{Sources, read_scenarios};
use super::tree::{Key, Node, Value};
use crate::model::{Check, Expectation, Name, Occurrence, Plan, Scenario, Service, Span, parse_moment};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub(super) const TOP: &[&str] = &["version", "rules", "plan", "service", "step", "scenarios"];
pub(super) const KEYS: &[&str] = &["service", "step", "samples", "happens", "expect"];
/// The most scenarios of a file.
const MOST: usize = 1000;
/// All checks of a scenario together are asked no more often than this: some ten seconds of work.
const ASKED_AT_MOST: f64 = 2e7;

/// What is wrong with a file of scenarios, or with the rules that it is about.
#[derive(Debug)]
pub struct Mistakes {
    diagnostics: Vec<Diagnostic>,
    sources: Sources,
}

impl Mistakes {
    /// All of them, drawn.
    pub fn report(&self, color: bool) -> String {
        render(&self.diagnostics, &self.sources, color)
    }
}

/// Reads a file of scenarios. Values from the environment and from files, such as passwords, are not looked for: nothing is
/// ever sent.
pub fn scenarios(path: &Path) -> Result<Vec<Scenario>, Box<Mistakes>> {
    let (sources, root) = read_scenarios(path);
    let mut found = Vec::new();
    let mut scenarios = Vec::new();
    match &root {
        None => found.clone_from(&sources.found),
        Some(root) => {
            let mut builder = Builder::new(&sources, Vec::new());
            let named = builder.scenario_file(root);
            let plan = match named.then(|| parse(&sources)) {
                Some(Ok(plan)) => Some(Arc::new(plan)),
                Some(Err(mistakes)) => {
                    builder.found.extend(mistakes);
                    None
                }
                None => None,
            };
            scenarios = builder.scenarios(root, path, plan.as_ref());
            found.append(&mut builder.found);
        }
    }
    if found.is_empty() {
        return Ok(scenarios);
    }
    found.sort_by_key(|diagnostic| diagnostic.at);
    found.dedup();
    Err(Box::new(Mistakes { diagnostics: found, sources }))
}

/// What all scenarios of a file share.
struct Shared<'p> {
    plan: Option<&'p Arc<Plan>>,
    service: Option<Name>,
    step: Option<Duration>,
}

impl<'a> Builder<'a> {
    /// The keys of the file itself; whether there are rules to be read.
    fn scenario_file(&mut self, root: &'a Node) -> bool {
        let Value::Map(entries) = &root.value else {
            let message = format!("a file of scenarios is a map, and this is {}", root.describe());
            self.found
                .push(Diagnostic::new(root.place, message).help("it has the keys `version`, `rules` and `scenarios`"));
            return false;
        };
        if let Some((key, _)) = root.get("services").filter(|_| root.get("scenarios").is_none()) {
            let diagnostic = Diagnostic::new(key.place, "this is a file of rules, not of scenarios");
            self.found.push(diagnostic.help("name it under `rules` in a file of its own, beside `scenarios`"));
            return false;
        }
        self.known_keys(entries, "a file of scenarios", TOP, &[]);
        let first = entries.first().map_or(root.place, |(key, _)| key.place);
        match root.get("version") {
            Some((_, node)) if node.text() == Some("1") => {}
            Some((_, node)) => {
                let message = format!("expected the version of the language, `1`, found {}", node.describe());
                self.found.push(Diagnostic::new(node.place, message).help("write `version: 1`"));
            }
            None => {
                let diagnostic = Diagnostic::new(first, "the key `version` is missing");
                self.found.push(diagnostic.help("begin the file with `version: 1`"));
            }
        }
        if root.get("scenarios").is_none() {
            let help = "each entry of `scenarios` is a sentence that says what it shows, then `samples`, `happens` and `expect`";
            self.found.push(Diagnostic::new(first, "the key `scenarios` is missing").help(help));
        }
        match (root.get("rules"), root.get("plan")) {
            (Some((rules, _)), Some((plan, _))) => {
                let diagnostic =
                    Diagnostic::new(plan.place, "`rules` and `plan` both say which rules the scenarios are about");
                self.found.push(diagnostic.also(rules.place, "first").help("leave one of the two away"));
                false
            }
            (Some((_, node)), None) if node.text().is_none() => {
                let message = format!("expected the path of a rule file, found {}", node.describe());
                self.found
                    .push(Diagnostic::new(node.place, message).help("it is relative to the directory of this file"));
                false
            }
            (None, None) => {
                let diagnostic = Diagnostic::new(first, "this does not say which rules the scenarios are about");
                self.found.push(diagnostic.help(
                    "add `rules: FILE`, relative to the directory of this file, or the rules themselves under `plan`",
                ));
                false
            }
            _ => true,
        }
    }

    fn scenarios(&mut self, root: &'a Node, path: &Path, plan: Option<&Arc<Plan>>) -> Vec<Scenario> {
        let service = root.get("service").and_then(|(_, node)| self.service_name(node, plan));
        let step = self.step(root);
        let shared = Shared { plan, service, step };
        let Some((key, node)) = root.get("scenarios") else { return Vec::new() };
        let Value::Map(entries) = &node.value else {
            let message = format!("expected a map under `scenarios`, found {}", node.describe());
            let help = "each entry is a sentence that says what it shows, then its keys";
            self.found.push(Diagnostic::new(key.place, message).help(help));
            return Vec::new();
        };
        if entries.is_empty() || entries.len() > MOST {
            let message = format!("a file has 1 to {MOST} scenarios, and this has {}", entries.len());
            self.found.push(Diagnostic::new(key.place, message));
        }
        entries.iter().take(MOST).filter_map(|(key, node)| self.scenario(key, node, path, &shared)).collect()
    }

    fn scenario(&mut self, key: &'a Key, node: &'a Node, path: &Path, shared: &Shared<'_>) -> Option<Scenario> {
        let entries = self.map(node, "a scenario")?;
        self.known_keys(entries, "a scenario", KEYS, &[]);
        let own = node.get("service").and_then(|(_, node)| self.service_name(node, shared.plan));
        let step = self.step(node).or(shared.step);
        let mut expectations = Vec::new();
        let plan = shared.plan;
        let only = plan.and_then(|plan| match plan.services.as_slice() {
            [only] => Some(Arc::clone(&only.name)),
            _ => None,
        });
        let service = own.or_else(|| shared.service.clone()).or(only);
        if let (Some(plan), None, None) = (plan, &service, node.get("service")) {
            let names = listed(plan.services.iter().map(|service| &*service.name));
            let diagnostic = Diagnostic::new(key.place, "this does not say which service the scenario is about");
            self.found.push(diagnostic.help(format!("add `service`; the rules have {names}")));
        }
        let around = plan.zip(service.clone());
        match node.get("expect") {
            None => {
                let diagnostic = Diagnostic::new(key.place, "this scenario expects nothing");
                self.found.push(diagnostic.help("add, for example, `expect: [{ at: 5m, status: ok, did: [] }]`"));
            }
            Some((key, list)) => match &list.value {
                Value::Seq(items) if !items.is_empty() => {
                    for item in items {
                        let before = expectations.last().map(|last: &Expectation| last.at);
                        expectations.extend(self.expectation(item, before, around.as_ref()));
                    }
                }
                value => {
                    let found =
                        if matches!(value, Value::Seq(_)) { "an empty one".to_owned() } else { list.describe() };
                    let message = format!("expected a list of what is expected when, found {found}");
                    self.found.push(
                        Diagnostic::new(key.place, message).help("begin each with a dash: `- { at: 5m, status: ok }`"),
                    );
                }
            },
        }
        let (plan, service) = around?;
        let courses = self.samples(node, plan, &service, step);
        let occurrences = self.occurrences(node, plan, &service);
        let end = expectations.last().map_or(Duration::ZERO, |last| last.at);
        let asks = |check: &Check| end.as_secs_f64() / check.every.as_secs_f64().max(0.001);
        let asked: f64 = plan.services.iter().flat_map(|service| &service.checks).map(asks).sum();
        let crowd = courses.iter().filter(|course| course.of.is_some());
        let asked: f64 = asked + crowd.map(|of| asks(&plan.services[of.service].checks[of.check])).sum::<f64>();
        if asked > ASKED_AT_MOST {
            let message = format!("this takes too long: checks would be asked {asked:.0} times until its end");
            self.found.push(Diagnostic::new(key.place, message).help("ask less often, or end earlier"));
            return None;
        }
        Some(Scenario {
            name: key.text.clone(),
            file: path.to_owned(),
            plan: Arc::clone(plan),
            service,
            courses,
            occurrences,
            expectations,
        })
    }

    fn step(&mut self, node: &'a Node) -> Option<Duration> {
        let step = self.value::<Span>(node, "step")?.0;
        if step < Duration::from_millis(1) {
            let place = node.get("step").map_or(node.place, |(_, node)| node.place);
            self.found.push(Diagnostic::new(place, "a value that lasts no time is none"));
            return None;
        }
        Some(step)
    }

    /// The service of this name, where the rules are known.
    fn service_name(&mut self, node: &'a Node, plan: Option<&Arc<Plan>>) -> Option<Name> {
        let name = self.name(node, "a service")?;
        self.known_service(plan?, &name, node.place).map(|(_, service)| Arc::clone(&service.name))
    }

    pub(super) fn known_service<'p>(&mut self, plan: &'p Plan, name: &str, at: Place) -> Option<(usize, &'p Service)> {
        let found = plan.services.iter().enumerate().find(|(_, service)| &*service.name == name);
        if found.is_none() {
            let names = || plan.services.iter().map(|service| &*service.name);
            let diagnostic = Diagnostic::new(at, format!("the rules have no service {}", quoted(name)));
            self.found.push(diagnostic.help(match nearest(name, names().collect::<Vec<_>>()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("the services are {}", listed(names())),
            }));
        }
        found.map(|(i, service)| (i, &**service))
    }

    fn wrong(&mut self, node: &'a Node, wrong: &Wrong) {
        if let Some(text) = self.text(node, "a text") {
            self.found.push(text.wrong(wrong));
        }
    }

    // ---- what happens ----

    fn occurrences(&mut self, node: &'a Node, plan: &Plan, service: &Name) -> Vec<(Duration, Name, Occurrence)> {
        let mut occurrences = Vec::new();
        let Some((_, happens)) = node.get("happens") else { return occurrences };
        let Value::Map(entries) = &happens.value else {
            let message = format!("expected a map under `happens`, found {}", happens.describe());
            let help = "each entry is a time since the begin, then what happens: `50s: killed by SEGV`";
            self.found.push(Diagnostic::new(happens.place, message).help(help));
            return occurrences;
        };
        for (key, what) in entries {
            let at = match parse_moment(&key.text) {
                Ok(at) => at,
                Err(e) => {
                    self.found.push(
                        Diagnostic::new(key.place, e).help("each entry begins with a time since the begin: `50s: ..`"),
                    );
                    continue;
                }
            };
            let items = match &what.value {
                Value::Seq(items) => items.as_slice(),
                _ => std::slice::from_ref(what),
            };
            for item in items {
                let Some(text) = item.text() else {
                    self.text(item, "what happens, such as `killed by SEGV`");
                    continue;
                };
                match occurrence(text, plan, service) {
                    Ok((of, occurrence)) => occurrences.push((at, of, occurrence)),
                    Err(wrong) => self.wrong(item, &wrong),
                }
            }
        }
        occurrences.sort_by_key(|(at, ..)| *at);
        occurrences
    }
}
