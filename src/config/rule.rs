//! Rules: the one-line form and the map, both to a [`Rule`].

use super::decode::{self, Reader};
use super::diagnostic::{Diagnostic, Place, listed, nearest, quoted};
use super::plan::Builder;
use super::resolve::{Asked, Resolver, Text};
use super::syntax;
use super::trap::trap_at;
use super::tree::{Key, Node, Value};
use crate::model::{
    Action, Condition, ExecSpec, Hold, MetricRef, Name, Notifier, NotifierPlace, Rule, Severity, write_duration,
};
use serde::Deserialize;
use std::sync::Arc;

pub(super) const KEYS: &[&str] = &["name", "when", "for", "until", "until_for", "severity", "then"];
/// What an element of `then` may be, beside a text.
pub(super) const ACTIONS: &[&str] = &["exec", "email", "webhook", "notify", "signal"];

/// What a rule may name of its service.
pub(super) struct Around<'a> {
    pub service: &'a str,
    pub checks: &'a [Asked],
    /// It has a process that can be signalled.
    pub has_process: bool,
    /// What its control can do; nothing if there is none.
    pub control: Option<Can>,
    /// The rule judges each process of this check by itself.
    pub each: Option<&'a str>,
}

impl Around<'_> {
    /// The checks of many processes of which a condition judges each by itself.
    fn each_of(&self, condition: &Condition) -> Vec<&str> {
        let mut names = Vec::new();
        for metric in metrics_of(condition) {
            let Some(check) = self.checks.get(usize::from(metric.check)) else { continue };
            let found = check.kind.and_then(|(_, metrics)| metrics.get(usize::from(metric.metric.0)));
            if found.is_some_and(|metric| metric.each) && !names.contains(&check.name.as_str()) {
                names.push(check.name.as_str());
            }
        }
        names
    }
}

/// What a control can do.
#[derive(Clone, Copy)]
pub(super) struct Can {
    pub start: bool,
    pub place: Place,
}

/// A rule whose name may still have to be derived.
pub(super) struct Drafted {
    pub rule: Rule,
    /// Where its name was written.
    pub named: Option<Place>,
}

/// A condition and its hold, as they are read.
struct Judged {
    condition: Condition,
    hold: Hold,
}

impl Builder<'_> {
    /// Reads a rule; nothing if there are mistakes in it, which are reported.
    pub(super) fn rule(&mut self, node: &Node, around: &Around<'_>) -> Option<Drafted> {
        match &node.value {
            Value::Scalar { .. } if !node.is_empty() => self.rule_line(node, around),
            Value::Map(entries) => match entries.iter().find(|(key, _)| looks_like_a_rule(&key.text)) {
                Some((key, _)) => {
                    let diagnostic = Diagnostic::new(key.place, "a rule is a text, and YAML takes this for a map");
                    let diagnostic = trap_at(diagnostic, self.source(key.place));
                    self.found.push(if diagnostic.help.is_empty() {
                        diagnostic.help("write a line such as `process.down -> restart`, without a colon")
                    } else {
                        diagnostic
                    });
                    None
                }
                None => self.rule_map(node, entries, around),
            },
            _ => {
                let message = format!("expected a rule, found {}", node.describe());
                let diagnostic = trap_at(Diagnostic::new(node.place, message), self.source(node.place));
                self.found.push(if diagnostic.help.is_empty() {
                    diagnostic.help("write a line such as `process.down -> restart`, or a map with `when` and `then`")
                } else {
                    diagnostic
                });
                None
            }
        }
    }

    fn rule_line(&mut self, node: &Node, around: &Around<'_>) -> Option<Drafted> {
        let text = Text::new(node, self.source(node.place))?;
        let line = match syntax::rule(text.text) {
            Ok(line) => line,
            Err(wrong) => {
                self.found.push(text.wrong(&wrong));
                return None;
            }
        };
        let condition = self.resolve(&line.when, &text, around);
        if let Some(condition) = &condition {
            self.hold(condition, line.hold.it, text.at(&line.hold.range), around);
            self.one_crowd(condition, text.at(&(0..text.text.len())), around);
        }
        let each = condition.as_ref().and_then(|condition| around.each_of(condition).first().copied());
        let around = &Around { each, has_process: around.has_process || condition.is_none(), ..*around };
        let actions: Vec<Option<Action>> =
            line.actions.iter().map(|action| self.action(&action.it, text.at(&action.range), around)).collect();
        let actions: Vec<Action> = actions.into_iter().collect::<Option<_>>()?;
        let when = Judged { condition: condition?, hold: line.hold.it };
        Some(Drafted { rule: draft(when, None, None, actions, around), named: None })
    }

    fn rule_map(&mut self, node: &Node, entries: &[(Key, Node)], around: &Around<'_>) -> Option<Drafted> {
        let before = self.found.len();
        self.known_keys(entries, "a rule", KEYS, &[]);
        let name = node.get("name").and_then(|(_, node)| Some((self.name(node, "a rule")?, node.place)));
        let severity = node.get("severity").and_then(|(_, node)| {
            decode::read(node, node.place, &mut self.found, |reader: Reader<'_>| Severity::deserialize(reader))
        });
        // A key that is misspelt has been reported, and is not missed.
        if node.get("when").is_none() && !entries.iter().any(|(key, _)| nearest(&key.text, ["when"]).is_some()) {
            let help = "write, for example, `when: process.memory > 1GB`";
            self.found.push(Diagnostic::new(node.place, "the key `when` is missing: what is bad").help(help));
        }
        let when = self.judged(node, "when", "for", around);
        let until = self.judged(node, "until", "until_for", around);
        let each = when.as_ref().and_then(|when| around.each_of(&when.condition).first().copied());
        if let (Some((_, place)), Some(when), Some(until)) = (node.get("until"), &when, &until) {
            self.until_of_each(&when.condition, &until.condition, place.place, around);
        }
        let around = &Around { each, has_process: around.has_process || when.is_none(), ..*around };
        if let (Some((key, _)), Some(Judged { condition, .. })) = (node.get("until"), &when)
            && condition.is_notice()
        {
            self.found.push(Diagnostic::new(key.place, "a change is told once: there is no recovery to wait for"));
        }
        if let (Some((key, _)), None) = (node.get("until_for"), node.get("until")) {
            self.found.push(Diagnostic::new(key.place, "`until_for` without `until`"));
        }
        // Names of notifiers inside a rule are made of the rule's: it may have to be derived first.
        let label = name
            .clone()
            .map(|(name, _)| name)
            .or_else(|| Some(derived(&when.as_ref()?.condition, around.checks).into()));
        let actions = self.then(node, label.as_deref().unwrap_or("rule"), around);
        if self.found.len() > before {
            return None;
        }
        let until = until.map(|judged| (judged.condition, judged.hold));
        let mut rule = draft(when?, until, severity, actions, around);
        let named = name.map(|(name, place)| {
            rule.name = name;
            place
        });
        Some(Drafted { rule, named })
    }

    /// A condition and its hold from two keys.
    fn judged(&mut self, node: &Node, when: &str, hold: &str, around: &Around<'_>) -> Option<Judged> {
        let hold = node.get(hold).map(|(_, node)| {
            let text = self.text(node, "how long or how often, such as `5m` or `3 of 5`")?;
            match syntax::hold(text.text) {
                Ok(hold) => Some((hold, text.at(&(0..text.text.len())))),
                Err(wrong) => {
                    self.found.push(text.wrong(&wrong));
                    None
                }
            }
        });
        let (_, node) = node.get(when)?;
        let text = self.text(node, "a condition such as `process.memory > 500MB`")?;
        let condition = match syntax::condition(text.text) {
            Ok(expr) => self.resolve(&expr, &text, around)?,
            Err(wrong) => {
                self.found.push(text.wrong(&wrong));
                return None;
            }
        };
        self.one_crowd(&condition, text.at(&(0..text.text.len())), around);
        match hold {
            None => Some(Judged { condition, hold: Hold::None }),
            Some(None) => None,
            Some(Some((hold, place))) => {
                self.hold(&condition, hold, place, around);
                Some(Judged { condition, hold })
            }
        }
    }

    /// A rule can judge each process of one check by itself, not pairs of them.
    fn one_crowd(&mut self, condition: &Condition, place: Place, around: &Around<'_>) {
        if let [first, second, ..] = around.each_of(condition).as_slice() {
            let message =
                format!("a rule judges each process of one check, and these are two: `{first}` and `{second}`");
            self.found.push(Diagnostic::new(place, message).help("write a rule for each of the checks"));
        }
    }

    /// What resolves a rule for a process can only look at that process if the rule does.
    fn until_of_each(&mut self, when: &Condition, until: &Condition, place: Place, around: &Around<'_>) {
        let (when, until) = (around.each_of(when), around.each_of(until));
        let Some(other) = until.iter().find(|check| !when.contains(check)) else { return };
        let message = match when.first() {
            None => format!("`until` looks at each process of `{other}`, and `when` at none of them"),
            Some(check) => format!("`until` looks at each process of `{other}`, and `when` at those of `{check}`"),
        };
        self.found.push(Diagnostic::new(place, message).help("let both look at the processes of the same check"));
    }

    fn resolve(&mut self, expr: &syntax::Expr, text: &Text<'_>, around: &Around<'_>) -> Option<Condition> {
        Resolver { checks: around.checks, text, found: &mut self.found }.condition(expr)
    }

    /// A count needs one check whose samples it counts; a notice is over at once.
    fn hold(&mut self, condition: &Condition, hold: Hold, place: Place, around: &Around<'_>) {
        if hold == Hold::None {
            return;
        }
        if condition.is_notice() {
            let diagnostic = Diagnostic::new(place, "a change lasts for one sample: this hold can never be reached");
            self.found.push(diagnostic.help("leave the hold away"));
            return;
        }
        let Hold::Count { of, .. } = hold else { return };
        let mut checks: Vec<u16> = metrics_of(condition).iter().map(|metric| metric.check).collect();
        checks.sort_unstable();
        checks.dedup();
        if checks.len() > 1 {
            let asked: Vec<&Asked> = checks.iter().filter_map(|i| around.checks.get(usize::from(*i))).collect();
            let longest = asked.iter().map(|check| check.every).max().unwrap_or_default();
            let names = listed(asked.iter().map(|check| check.name.as_str()));
            let message = format!("samples of several checks cannot be counted together: {names}");
            let help = format!("say how long: `for {}`", write_duration(longest * u32::from(of)));
            self.found.push(Diagnostic::new(place, message).help(help));
        }
    }

    /// The list of actions; without one, the incident is told and that is all.
    fn then(&mut self, node: &Node, rule: &str, around: &Around<'_>) -> Vec<Action> {
        let Some((key, list)) = node.get("then") else { return vec![Action::Notify(None)] };
        let Value::Seq(items) = &list.value else {
            let diagnostic =
                Diagnostic::new(list.place, format!("expected a list of actions, found {}", list.describe()));
            self.found.push(match list.text() {
                Some(text) => diagnostic.help(format!("write it as a list: `then: [{text}]`")),
                None => diagnostic.help("begin each action with a dash"),
            });
            return Vec::new();
        };
        if items.is_empty() {
            self.found
                .push(Diagnostic::new(key.place, "there are no actions in this list").help("write `then: [notify]`"));
        }
        items.iter().filter_map(|item| self.element(item, rule, around)).collect()
    }

    /// One action of a list: a text, or a map of one key.
    fn element(&mut self, item: &Node, rule: &str, around: &Around<'_>) -> Option<Action> {
        let Value::Map(entries) = &item.value else {
            let text = self.text(item, "an action such as `restart`")?;
            return match syntax::action(text.text) {
                Ok(action) => self.action(&action, text.at(&(0..text.text.len())), around),
                Err(wrong) => {
                    self.found.push(text.wrong(&wrong));
                    None
                }
            };
        };
        let [(key, keys)] = entries.as_slice() else {
            let second = entries.get(1).map_or(item.place, |(key, _)| key.place);
            let diagnostic = Diagnostic::new(second, "an action is a map of exactly one key");
            self.found.push(diagnostic.help(format!("the actions with keys are {}", listed(ACTIONS.iter().copied()))));
            return None;
        };
        match key.text.as_str() {
            "exec" => {
                let read = |reader: Reader<'_>| ExecSpec::deserialize(reader);
                let mut exec = decode::read(keys, key.place, &mut self.found, read)?;
                for given in exec.environment.values_mut() {
                    self.resolve_given(keys, given);
                }
                self.mistakes(keys, key.place, exec.mistakes());
                Some(Action::Exec(Arc::new(exec)))
            }
            "email" | "webhook" => {
                let place = self.notifier_place(&key.text, key.place, keys)?;
                Some(Action::Notify(Some(self.hidden_notifier(around.service, rule, place))))
            }
            "notify" | "signal" => {
                let text = self.text(keys, "a name")?;
                let place = text.at(&(0..text.text.len()));
                match syntax::action(&format!("{} {}", key.text, text.text)) {
                    Ok(action) => self.action(&action, place, around),
                    Err(wrong) => {
                        let help = wrong.help.clone();
                        self.found.push(Diagnostic {
                            help: help.into_iter().collect(),
                            ..Diagnostic::new(place, wrong.message)
                        });
                        None
                    }
                }
            }
            "restart" | "stop" | "start" | "snapshot" => {
                let diagnostic = Diagnostic::new(key.place, format!("`{}` takes no keys", key.text));
                self.found.push(diagnostic.help(format!("write `- {}`", key.text)));
                None
            }
            other => {
                let diagnostic = Diagnostic::new(key.place, format!("there is no action {}", quoted(other)));
                self.found.push(match nearest(other, ACTIONS.iter().copied()) {
                    Some(meant) => diagnostic.help(format!("did you mean `{meant}`?")),
                    None => diagnostic.help(format!("the actions with keys are {}", listed(ACTIONS.iter().copied()))),
                });
                None
            }
        }
    }

    fn action(&mut self, action: &syntax::Action, place: Place, around: &Around<'_>) -> Option<Action> {
        let (word, acted) = match action {
            syntax::Action::Notify(None) => return Some(Action::Notify(None)),
            syntax::Action::Snapshot => return Some(Action::Snapshot),
            syntax::Action::Notify(Some(name)) => {
                let written = &self.source(place)[place.start..place.end];
                let start = if written.ends_with(name) { place.end - name.len() } else { place.start };
                return self.notifier(name, Place { start, ..place }).map(|name| Action::Notify(Some(name)));
            }
            syntax::Action::Signal(signal) => {
                if !around.has_process && around.each.is_none() {
                    let diagnostic = Diagnostic::new(place, "this service has no process that could be signalled");
                    self.found.push(diagnostic.help("add a `process` check"));
                    return None;
                }
                return Some(Action::Signal(*signal));
            }
            syntax::Action::Restart => ("restart", Action::Restart),
            syntax::Action::Stop => ("stop", Action::Stop),
            syntax::Action::Start => ("start", Action::Start),
        };
        if let Some(check) = around.each {
            let message =
                format!("`{word}` is of the service, and this rule judges each process of `{check}` by itself");
            let diagnostic = Diagnostic::new(place, message);
            self.found.push(diagnostic.help(
                "to end the process, write `signal TERM`; to restart a service because of its own process, add a `process` \
                 check and a rule on that",
            ));
            return None;
        }
        match around.control {
            None => {
                let diagnostic =
                    Diagnostic::new(place, format!("`{word}` needs a `control`, and this service has none"));
                self.found
                    .push(diagnostic.help("say how it is started and stopped, such as `control: { runit: NAME }`"));
                None
            }
            Some(can) if !can.start && acted == Action::Start => {
                let diagnostic = Diagnostic::new(place, "the control of this service does not say how it is started");
                self.found.push(diagnostic.also(can.place, "add `start` here"));
                None
            }
            Some(_) => Some(acted),
        }
    }

    /// A place inside a rule gets a name of its own: `SERVICE/RULE/email`.
    fn hidden_notifier(&mut self, service: &str, rule: &str, place: NotifierPlace) -> Name {
        let base = format!("{service}/{rule}/{}", place.name());
        let name = unique(&base, |name| self.notifiers.contains_key(name));
        self.notifiers.insert(name.clone(), Arc::new(Notifier::new(name.clone(), place)));
        name
    }
}

/// A key that somebody did not mean as one.
fn looks_like_a_rule(key: &str) -> bool {
    key.contains("->") || key.contains(['.', '<', '>', '=', '"']) || key.split_whitespace().count() > 1
}

fn draft(
    when: Judged,
    until: Option<(Condition, Hold)>,
    severity: Option<Severity>,
    actions: Vec<Action>,
    around: &Around<'_>,
) -> Rule {
    let metrics = metrics_of(&when.condition);
    let is_liveness = |metric: &MetricRef| {
        let kind = around.checks.get(usize::from(metric.check)).and_then(|check| check.kind);
        kind.is_some_and(|(_, metrics)| metrics.get(usize::from(metric.metric.0)).is_some_and(|m| m.liveness))
    };
    let liveness = metrics.iter().all(is_liveness);
    let default = if liveness { Severity::Critical } else { Severity::Warning };
    Rule {
        name: derived(&when.condition, around.checks).into(),
        when: when.condition,
        hold: when.hold,
        until,
        severity: severity.unwrap_or(default),
        actions,
        liveness,
        implied: false,
    }
}

/// The metrics that a condition looks at.
pub(super) fn metrics_of(condition: &Condition) -> Vec<MetricRef> {
    let mut metrics = Vec::new();
    condition.each(&mut |comparison| metrics.push(comparison.term.metric()));
    metrics
}

/// A name made of the metrics of a condition: `process.memory-http.latency`.
fn derived(condition: &Condition, checks: &[Asked]) -> String {
    let mut names: Vec<String> = Vec::new();
    for metric in metrics_of(condition) {
        let Some(check) = checks.get(usize::from(metric.check)) else { continue };
        let found = check.kind.and_then(|(_, metrics)| metrics.get(usize::from(metric.metric.0)));
        let name = format!("{}.{}", check.name, found.map_or("", |metric| metric.name));
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join("-")
}

/// The name, or the first of `name-2`, `name-3` that is not taken.
pub(super) fn unique(name: &str, taken: impl Fn(&str) -> bool) -> Name {
    let numbered = (2..).map(|n| format!("{name}-{n}"));
    std::iter::once(name.to_owned()).chain(numbered).find(|name| !taken(name)).unwrap_or_default().into()
}

/// What a rule judges by.
pub(super) fn conditions_of(rule: &Rule) -> impl Iterator<Item = &Condition> {
    std::iter::once(&rule.when).chain(rule.until.iter().map(|(until, _)| until))
}
