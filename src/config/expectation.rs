//! What a scenario expects: states at a time, and what has happened until then.

use super::diagnostic::{Diagnostic, listed, nearest, quoted};
use super::plan::Builder;
use super::samples::subject;
use super::tree::{Node, Value};
use crate::model::{Action, Expectation, Listed, Name, Plan, Signal, Status, of_one, parse_moment};
use std::sync::Arc;
use std::time::Duration;

const STATUSES: [Status; 7] =
    [Status::Ok, Status::Warning, Status::Critical, Status::Unknown, Status::Paused, Status::Stopped, Status::GivenUp];
/// Words of `did`, beside `signal NAME`.
const DEEDS: [&str; 6] = ["restart", "start", "stop", "snapshot", "exec", "given up"];
const OUTCOMES: [&str; 2] = ["failed", "held"];
const TELLINGS: [&str; 8] = ["firing", "update", "resolved", "reminder", "acknowledged", "notice", "test", "held"];

impl<'a> Builder<'a> {
    pub(super) fn expectation(
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
            // What is told of minder itself.
            Some(("minder", rest)) if of == Listed::Told => ("minder", rest),
            _ => (&**service, text),
        };
        let whose = if prefix == "minder" && of == Listed::Told { &**service } else { prefix };
        let (_, about) = self.known_service(plan, whose, node.place)?;
        let report = |this: &mut Self, what: String, help: String| {
            this.found.push(Diagnostic::new(node.place, what).help(help));
            None
        };
        match of {
            Listed::Firing | Listed::Pending | Listed::Fired | Listed::Resolved | Listed::Noticed => {
                let names = || about.rules.iter().map(|rule| &*rule.name);
                // `hog of stress (1234)`
                let one = rest.split_once(" of ").filter(|(rule, _)| names().any(|name| name == *rule));
                if let Some((rule, who)) = one.filter(|_| names().all(|name| name != rest)) {
                    let prefix = if prefix == &**service { String::new() } else { format!("{prefix}/") };
                    return match (of, subject(who)) {
                        (Listed::Fired | Listed::Resolved, Some(who)) => {
                            Some(format!("{prefix}{}", of_one(rule, &who)))
                        }
                        (Listed::Fired | Listed::Resolved, None) => {
                            let help = format!("write its name and its pid: `{rule} of stress (1234)`");
                            report(self, format!("{} names no process", quoted(who)), help)
                        }
                        _ => {
                            let help = format!("write `{rule}`; for which process it did stands under `fired`");
                            report(self, format!("`{of}` names rules, not processes"), help)
                        }
                    };
                }
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
                // What is told of minder itself: `minder/chat firing`.
                let message = rest.strip_prefix("minder/").unwrap_or(rest);
                let (to, kind) = message.split_once(' ').unwrap_or((message, ""));
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
