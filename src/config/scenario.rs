//! Files of scenarios: `minder test` runs them. They are read as rules are: every mistake, with its place.

use super::diagnostic::{Diagnostic, Place, listed, nearest, quoted, render};
use super::happening::happening;
use super::lexer::Wrong;
use super::notation::runs;
use super::plan::{Builder, parse};
use super::source::{Sources, read_scenarios};
use super::tree::{Key, Node, Value};
use crate::model::{
    Action, Check, Course, Expectation, Happening, Kind, Listed, MetricId, Name, Plan, Scenario, Service, Signal, Span,
    Status, parse_moment,
};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const TOP: &[&str] = &["version", "rules", "plan", "service", "step", "scenarios"];
const KEYS: &[&str] = &["service", "step", "samples", "happens", "expect"];
const STATUSES: [Status; 7] =
    [Status::Ok, Status::Warning, Status::Critical, Status::Unknown, Status::Paused, Status::Stopped, Status::GivenUp];
/// Words of `did`, beside `signal NAME`.
const DEEDS: [&str; 6] = ["restart", "start", "stop", "snapshot", "exec", "given up"];
const OUTCOMES: [&str; 2] = ["failed", "held"];
const TELLINGS: [&str; 5] = ["firing", "update", "resolved", "notice", "test"];
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
        let happenings = self.happenings(node, plan, &service);
        let end = expectations.last().map_or(Duration::ZERO, |last| last.at);
        let asks = |check: &Check| end.as_secs_f64() / check.every.as_secs_f64().max(0.001);
        let asked: f64 = plan.services.iter().flat_map(|service| &service.checks).map(asks).sum();
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
            happenings,
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

    fn known_service<'p>(&mut self, plan: &'p Plan, name: &str, at: Place) -> Option<(usize, &'p Service)> {
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

    // ---- samples ----

    fn samples(&mut self, node: &'a Node, plan: &Plan, service: &Name, step: Option<Duration>) -> Vec<Course> {
        let mut courses = Vec::new();
        let Some((_, samples)) = node.get("samples") else { return courses };
        let Value::Map(entries) = &samples.value else {
            let message = format!("expected a map under `samples`, found {}", samples.describe());
            let help = "each entry is a metric, then its values: `process.memory: 300MB x30 600MB`";
            self.found.push(Diagnostic::new(samples.place, message).help(help));
            return courses;
        };
        for (key, values) in entries {
            let Some((service, check, metric)) = self.metric(key, plan, service) else { continue };
            let asked = &plan.services[service].checks[check];
            let about = &asked.kind.metrics()[usize::from(metric.0)];
            let Some(text) = self.text(values, "values such as `300MB x30 600MB`") else { continue };
            match runs(text.text, about, &key.text) {
                Ok(runs) => courses.push(Course { service, check, metric, step: step.unwrap_or(asked.every), runs }),
                Err(wrong) => self.found.push(text.wrong(&wrong)),
            }
        }
        courses
    }

    /// `memory` of the check `process`, perhaps of another service: `cache/process.memory`.
    fn metric(&mut self, key: &'a Key, plan: &Plan, service: &Name) -> Option<(usize, usize, MetricId)> {
        let (of, name) = key.text.split_once('/').unwrap_or((service, &key.text));
        let (place, service) = self.known_service(plan, of, key.place)?;
        let report = |this: &mut Self, message: String, help: String| {
            this.found.push(Diagnostic::new(key.place, message).help(help));
            None
        };
        let checks = || service.checks.iter().filter(|check| !matches!(*check.kind, Kind::Control(_)));
        let names = || checks().map(|check| &*check.name);
        let (check, metric) = name.split_once('.').unwrap_or((name, ""));
        let Some(c) = service.checks.iter().position(|known| &*known.name == check) else {
            let help = match nearest(check, names().collect::<Vec<_>>()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("its checks are {}", listed(names())),
            };
            return report(self, format!("`{of}` has no check {}", quoted(check)), help);
        };
        let kind = &service.checks[c].kind;
        let metrics = || kind.metrics().iter().map(|metric| metric.name);
        let Some(id) = kind.metric(metric) else {
            let help = match nearest(metric, metrics()) {
                Some(meant) => format!("did you mean `{check}.{meant}`?"),
                None => format!("the metrics of `{}` are {}", kind.name(), listed(metrics())),
            };
            return report(self, format!("`{}` checks have no metric {}", kind.name(), quoted(metric)), help);
        };
        let about = &kind.metrics()[usize::from(id.0)];
        let lives =
            matches!(**kind, Kind::Process(_)) && (["down", "pid"].contains(&metric) || metric.starts_with("exit."));
        if lives {
            let help = "say under `happens` what becomes of the process: `50s: killed by SEGV`, `1m: appears`";
            return report(self, format!("`{metric}` follows from the life of the process"), help.to_owned());
        }
        if about.each {
            let help = "write a scenario of the rest of the rules, and try this one by `minder backtest`";
            return report(
                self,
                format!("`{metric}` is read of each process, which a scenario cannot say"),
                help.to_owned(),
            );
        }
        Some((place, c, id))
    }

    // ---- what happens ----

    fn happenings(&mut self, node: &'a Node, plan: &Plan, service: &Name) -> Vec<(Duration, Name, Happening)> {
        let mut happenings = Vec::new();
        let Some((_, happens)) = node.get("happens") else { return happenings };
        let Value::Map(entries) = &happens.value else {
            let message = format!("expected a map under `happens`, found {}", happens.describe());
            let help = "each entry is a time since the begin, then what happens: `50s: killed by SEGV`";
            self.found.push(Diagnostic::new(happens.place, message).help(help));
            return happenings;
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
                match happening(text, plan, service) {
                    Ok((of, happening)) => happenings.push((at, of, happening)),
                    Err(wrong) => self.wrong(item, &wrong),
                }
            }
        }
        happenings.sort_by_key(|(at, ..)| *at);
        happenings
    }

    // ---- what is expected ----

    fn expectation(
        &mut self,
        node: &'a Node,
        before: Option<Duration>,
        around: Option<&(&Arc<Plan>, Name)>,
    ) -> Option<Expectation> {
        let entries = self.map(node, "an expectation")?;
        let known: Vec<&str> = ["at", "status"].into_iter().chain(Listed::ALL.map(|(word, _)| word)).collect();
        self.known_keys(entries, "an expectation", &known, &[]);
        let Some((_, at_node)) = node.get("at") else {
            let place = entries.first().map_or(node.place, |(key, _)| key.place);
            let diagnostic = Diagnostic::new(place, "the key `at` is missing");
            self.found.push(diagnostic.help("say when this is expected, since the begin: `at: 5m`"));
            return None;
        };
        let at = match self.text(at_node, "a time such as `5m10s`").map(|text| parse_moment(text.text)) {
            Some(Ok(at)) => at,
            Some(Err(e)) => {
                self.found.push(Diagnostic::new(at_node.place, e));
                return None;
            }
            None => return None,
        };
        if before.is_some_and(|before| at <= before) {
            self.found.push(
                Diagnostic::new(at_node.place, "this is not later than what is expected before it")
                    .help("expectations stand in the order of their times"),
            );
        }
        if entries.len() < 2 {
            self.found.push(
                Diagnostic::new(node.place, "nothing is expected at this time")
                    .help(format!("add one or more of {}", listed(known.iter().skip(1).copied()))),
            );
        }
        let source = self.source(node.place);
        let line = source.get(..at_node.place.start).unwrap_or_default().matches('\n').count() + 1;
        let (plan, service) = around?;
        let mut statuses = Vec::new();
        match node.get("status").map(|(_, node)| (node, &node.value)) {
            None => {}
            Some((_, Value::Map(entries))) => {
                for (key, node) in entries {
                    let status = self.status(node);
                    let service = self.known_service(plan, &key.text, key.place).map(|(_, s)| Arc::clone(&s.name));
                    statuses.extend(service.zip(status));
                }
            }
            Some((node, _)) => statuses.extend(self.status(node).map(|status| (Arc::clone(service), status))),
        }
        let mut lists = Vec::new();
        for (word, listed) in Listed::ALL {
            let Some((key, list)) = node.get(word) else { continue };
            let Value::Seq(items) = &list.value else {
                let diagnostic =
                    Diagnostic::new(key.place, format!("expected a list under `{word}`, found {}", list.describe()));
                self.found.push(match list.text() {
                    Some(text) => diagnostic.help(format!("write it as a list: `[{text}]`")),
                    None => diagnostic.help(format!("write `{word}: []` if it shall be empty")),
                });
                continue;
            };
            let entries = items.iter().filter_map(|item| self.entry(listed, item, plan, service));
            lists.push((listed, entries.collect()));
        }
        Some(Expectation { at, line, statuses, lists })
    }

    fn status(&mut self, node: &'a Node) -> Option<Status> {
        let words: Vec<String> = STATUSES.iter().map(Status::to_string).collect();
        let text = node.text().unwrap_or_default();
        let found = STATUSES.into_iter().zip(&words).find(|(_, word)| *word == text).map(|(status, _)| status);
        if found.is_none() {
            let names = || words.iter().map(String::as_str);
            let diagnostic = Diagnostic::new(node.place, format!("expected a status, found {}", node.describe()));
            self.found.push(diagnostic.help(match nearest(text, names().collect::<Vec<_>>()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("write one of {}", listed(names())),
            }));
        }
        found
    }

    /// An element of a list: a rule, an action, a message; perhaps of another service: `cache/leak`.
    fn entry(&mut self, of: Listed, node: &'a Node, plan: &Plan, service: &Name) -> Option<String> {
        let Some(text) = node.text() else {
            self.text(node, "a text");
            return None;
        };
        let (prefix, rest) = match text.split_once('/') {
            Some((name, rest)) if plan.services.iter().any(|service| &*service.name == name) => (name, rest),
            _ => (&**service, text),
        };
        let (_, about) = self.known_service(plan, prefix, node.place)?;
        let report = |this: &mut Self, what: String, help: String| {
            this.found.push(Diagnostic::new(node.place, what).help(help));
            None
        };
        match of {
            Listed::Firing | Listed::Pending | Listed::Fired | Listed::Resolved | Listed::Noticed => {
                let names = || about.rules.iter().map(|rule| &*rule.name);
                if !names().any(|name| name == rest) {
                    let help = match nearest(rest, names().collect::<Vec<_>>()) {
                        Some(meant) => format!("did you mean `{meant}`?"),
                        None => format!("its rules are {}", listed(names())),
                    };
                    return report(self, format!("`{prefix}` has no rule {}", quoted(rest)), help);
                }
                let notice = about.rules.iter().any(|rule| &*rule.name == rest && rule.when.is_notice());
                if notice != (of == Listed::Noticed) {
                    let what = if notice { "is a notice: it never fires" } else { "is no notice of a change" };
                    let key = if notice { "noticed" } else { "fired" };
                    return report(self, format!("{} {what}", quoted(rest)), format!("it stands under `{key}`"));
                }
            }
            Listed::Did => {
                let action =
                    OUTCOMES.iter().find_map(|word| rest.strip_suffix(word)?.strip_suffix(' ')).unwrap_or(rest);
                let exec = |action: &&Action| matches!(action, Action::Exec(_)) && action.to_string() == *rest;
                let known = DEEDS.contains(&action)
                    || action.strip_prefix("signal ").is_some_and(|name| Signal::parse(name).is_some())
                    || about.rules.iter().flat_map(|rule| &rule.actions).any(|action| exec(&action));
                if !known {
                    let words = || DEEDS.into_iter().chain(["signal HUP"]);
                    let help = match nearest(action, words()) {
                        Some(meant) => format!("did you mean `{meant}`?"),
                        None => format!(
                            "what can be done: {}, each also with {} behind it",
                            listed(words()),
                            listed(OUTCOMES)
                        ),
                    };
                    return report(self, format!("{} is nothing that minder does", quoted(rest)), help);
                }
            }
            Listed::Told => {
                let (to, kind) = rest.split_once(' ').unwrap_or((rest, ""));
                let names = || plan.notifiers.keys().map(|name| &**name);
                if !names().any(|name| name == to) {
                    let help = match nearest(to, names().collect::<Vec<_>>()) {
                        Some(meant) => format!("did you mean `{meant}`?"),
                        None => format!("the notifiers are {}", listed(names())),
                    };
                    return report(self, format!("the rules have no notifier {}", quoted(to)), help);
                }
                if !TELLINGS.contains(&kind) {
                    let help = match nearest(kind, TELLINGS) {
                        Some(meant) => format!("did you mean `{to} {meant}`?"),
                        None => format!("write what it is told: `{to} firing`, or one of {}", listed(TELLINGS)),
                    };
                    return report(self, format!("{} does not say what {to} is told", quoted(rest)), help);
                }
            }
        }
        let other = prefix != &**service;
        Some(if other { format!("{prefix}/{rest}") } else { rest.to_owned() })
    }
}
