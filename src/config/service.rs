//! A service: its checks, its control, its rules, and the defaults that fill it up.

use super::check::{ReadCheck, nobody};
use super::diagnostic::{Diagnostic, Place};
use super::implied::complete;
use super::plan::Builder;
use super::resolve::Asked;
use super::rule::{Around, Can, Drafted, unique};
use super::tree::{Key, Node, Value};
use crate::model::controls::ControlSpec;
use crate::model::kinds::Process;
use crate::model::{Action, Check, Kind, Log, Name, Rule, Service, Span};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub(super) const KEYS: &[&str] = &[
    "checks",
    "rules",
    "control",
    "depends_on",
    "notify",
    "escalate",
    "flapping",
    "group",
    "tags",
    "description",
    "public",
    "grace",
    "settle",
    "restart",
    "log",
    "use",
    "with",
];
/// How long after a death without a control a new process may appear by itself.
const SETTLE: Duration = Duration::from_secs(2);
/// The most checks, and the most rules, of a service.
const MOST: usize = 1000;
impl Builder<'_> {
    /// Reads a service whose template, if it uses one, has been put in; nothing if there are mistakes in it, which are
    /// reported.
    pub(super) fn body(&mut self, key: &Key, node: &Node) -> Option<Service> {
        let before = self.found.len();
        let entries = self.map(node, "a service")?;
        let (of_checks, entries): (Vec<_>, Vec<_>) =
            entries.iter().partition(|(key, _)| matches!(key.text.as_str(), "every" | "timeout"));
        for (key, _) in of_checks {
            let diagnostic = Diagnostic::new(key.place, format!("`{}` is no key of a service", key.text));
            self.found.push(diagnostic.help("write it in each check, or under the top-level `defaults`"));
        }
        self.known_keys(entries, "a service", KEYS, &[]);
        let mut control = node.get("control").map(|(key, node)| (key.place, self.control(key, node)));
        let mut checks = self.checks(node);
        if let Some((place, Some(spec))) = &mut control {
            let place = *place;
            checks.extend(self.check_of_service(place, spec, &checks));
        }
        let supervisor = control.as_ref().and_then(|(_, spec)| spec.as_ref()).filter(|spec| spec.supervises());
        let supervised = supervisor.is_some();
        // Perhaps what is said of a service of a directory that is not in it, or not yet.
        let may_be_gone = control.is_none() && !self.sources.listing.directories.is_empty();
        let control_check = supervisor.map(|spec| self.check_of_control(spec));
        let none =
            node.get("checks").is_none_or(|(_, list)| matches!(&list.value, Value::Seq(items) if items.is_empty()));
        if none && !may_be_gone && !self.incomplete && !supervised && control.as_ref().is_none_or(|(_, c)| c.is_some())
        {
            let diagnostic = Diagnostic::new(key.place, "nothing is asked of this service: it has no `checks`");
            self.found.push(diagnostic.help("add, for example, `checks: [{ process: { pidfile: /run/NAME.pid } }]`"));
        }
        let mut asked: Vec<Asked> =
            checks.iter_mut().map(|read| std::mem::replace(&mut read.asked, nobody())).collect();
        if let Some(check) = &control_check {
            let kind = Some(("control", check.kind.metrics()));
            asked.push(Asked { name: check.name.to_string(), kind, every: check.every });
        }
        let unread = control.as_ref().is_some_and(|(_, spec)| spec.is_none());
        if self.alone || self.vague || unread {
            asked.push(nobody());
        }
        for read in checks.iter().filter(|read| read.is_supervised()).filter(|_| !(supervised || unread || self.alone))
        {
            let (message, help) = match &control {
                Some((_, Some(spec))) => (
                    format!("`{}` does not supervise this service, and knows no process of it", spec.name()),
                    "say which process it is, such as `process: { pidfile: /run/NAME.pid }`",
                ),
                _ => (
                    "nobody supervises this service: it has no `control`".to_owned(),
                    "name its supervisor, such as `control: { runit: NAME }`, or say which process it is, such as \
                     `process: { pidfile: /run/NAME.pid }`",
                ),
            };
            self.found.push(Diagnostic::new(read.place, message).help(help));
        }
        let is_process = |asked: &Asked| asked.kind.is_none_or(|(kind, _)| kind == "process");
        let around = Around {
            service: &key.text,
            checks: &asked,
            has_process: supervised || asked.iter().any(is_process),
            control: control
                .as_ref()
                .map(|(place, spec)| Can { start: spec.as_ref().is_none_or(ControlSpec::can_start), place: *place })
                .or((self.alone || may_be_gone).then_some(Can { start: true, place: key.place })),
            each: None,
        };
        let asks_for_process =
            |read: &&ReadCheck| read.check.as_ref().is_some_and(|check| check.kind.is_of_the_process());
        for read in checks.iter().filter(asks_for_process).filter(|_| !around.has_process) {
            let diagnostic =
                Diagnostic::new(read.place, "this service has no process whose control group could be asked");
            self.found.push(diagnostic.help("write the group's `path`, or add a `process` check"));
        }
        let rules = self.rules(node, &around);

        let depends_on = node.get("depends_on").map(|(_, list)| self.depends_on(key, list));
        let notify = node.get("notify").map(|(_, list)| self.notify(list));
        let escalate = node.get("escalate").map(|(_, steps)| self.escalate(steps));
        let flapping = match node.get("flapping") {
            Some((_, limits)) => self.flapping(limits, self.defaults.flapping),
            None => self.defaults.flapping,
        };
        let grace = self.value::<Span>(node, "grace").map(|span| span.0);
        let settle = self.value::<Span>(node, "settle").map(|span| span.0);
        let restart = self.value(node, "restart");
        let log = self.log(node, &around, control.as_ref().and_then(|(_, spec)| spec.as_ref()));
        let description = self.value(node, "description");
        let group = self.value(node, "group");
        let tags = self.value(node, "tags");
        let public = self.public(key, node, group.as_ref());
        if self.found.len() > before {
            return None;
        }

        let control = control.and_then(|(_, spec)| spec);
        if may_be_gone && (none || rules.iter().flat_map(|rule| &rule.actions).any(Action::needs_control)) {
            self.notes.push(format!(
                "{} is not watched: it has no `control`, and is in no directory of `services_from`",
                key.text
            ));
            return None;
        }
        let mut checks: Vec<Check> = checks.into_iter().filter_map(|read| read.check).collect();
        checks.extend(control_check);
        let mut rules = complete(rules, &mut checks);
        // They stay as they are for as long as the plan is in effect, a thousand times over.
        checks.shrink_to_fit();
        rules.shrink_to_fit();
        self.notes.extend(checks.iter().filter_map(|check| note_of_pidfile(&key.text, check)));
        let own = control.as_ref().map_or(SETTLE, ControlSpec::settle);
        Some(Service {
            name: key.text.as_str().into(),
            description,
            group,
            tags: tags.unwrap_or_default(),
            public,
            checks,
            rules,
            control,
            depends_on: depends_on.unwrap_or_default(),
            notify: notify.unwrap_or_else(|| self.defaults.notify.clone()),
            escalate: escalate.unwrap_or_else(|| self.defaults.escalate.clone()),
            flapping,
            grace: grace.unwrap_or(self.defaults.grace),
            settle: settle.or(self.defaults.settle).unwrap_or(own),
            restart: restart.unwrap_or(self.defaults.restart),
            log,
        })
    }

    /// The journal by itself is that of the service's unit, or else of its process.
    fn log(&mut self, node: &Node, around: &Around<'_>, control: Option<&ControlSpec>) -> Option<Log> {
        match (self.value(node, "log")?, control) {
            (Log::Journal(None), Some(ControlSpec::Systemd(systemd))) => Some(Log::Journal(Some(systemd.unit.clone()))),
            (Log::Journal(None), _) if !around.has_process && !self.incomplete => {
                let place = node.get("log").map_or(node.place, |(_, value)| value.place);
                let diagnostic = Diagnostic::new(
                    place,
                    "this service has neither a systemd unit nor a process whose journal could be asked for",
                );
                self.found.push(diagnostic.help("name a unit: `log: { journal: UNIT }`"));
                None
            }
            (log, _) => Some(log),
        }
    }

    /// A name that is written as a value.
    pub(super) fn name(&mut self, node: &Node, what: &str) -> Option<Name> {
        let Some(text) = node.text() else {
            self.found
                .push(Diagnostic::new(node.place, format!("expected the name of {what}, found {}", node.describe())));
            return None;
        };
        self.well_named(text, node.place, what, "._-").then(|| text.into())
    }

    fn rules(&mut self, node: &Node, around: &Around<'_>) -> Vec<Rule> {
        let help = "begin each rule with a dash: `- process.down -> restart`";
        let Some(items) = self.list(node, "rules", help) else { return Vec::new() };
        let drafts: Vec<Drafted> = items.iter().filter_map(|item| self.rule(item, around)).collect();
        let mut named: BTreeMap<Name, Place> = BTreeMap::new();
        for draft in &drafts {
            let Some(place) = draft.named else { continue };
            if let Some(first) = named.get(&draft.rule.name) {
                let message = format!("two rules of this service are named `{}`", draft.rule.name);
                self.found.push(Diagnostic::new(place, message).label("second").also(*first, "first"));
            }
            named.insert(draft.rule.name.clone(), place);
        }
        let mut taken: BTreeSet<Name> = named.into_keys().collect();
        let mut rules = Vec::new();
        for Drafted { mut rule, named } in drafts {
            if named.is_none() {
                rule.name = unique(&rule.name, |name| taken.contains(name));
                taken.insert(rule.name.clone());
            }
            rules.push(rule);
        }
        rules
    }

    /// The elements of a list under a key; reported if it is none.
    pub(super) fn list<'n>(&mut self, node: &'n Node, name: &str, help: &str) -> Option<&'n [Node]> {
        let (_, list) = node.get(name)?;
        match &list.value {
            Value::Seq(items) if items.len() <= MOST => Some(items),
            Value::Seq(_) => {
                self.found.push(Diagnostic::new(list.place, format!("more than {MOST} {name} in one service")));
                None
            }
            _ => {
                let message = format!("expected a list under `{name}`, found {}", list.describe());
                self.found.push(Diagnostic::new(list.place, message).help(help));
                None
            }
        }
    }
}

/// runsv keeps the pid of its `finish` script in the same file as that of the service.
fn note_of_pidfile(service: &str, check: &Check) -> Option<String> {
    let Kind::Process(Process { pidfile: Some(pidfile), .. }) = &*check.kind else { return None };
    let directory = pidfile.as_path().parent().filter(|_| pidfile.as_path().ends_with("supervise/pid"))?.parent()?;
    Some(format!(
        "{service}: the `finish` script of runit has its pid in {pidfile}, too, and is taken for a new process while it runs; \
         better write `control: {{ runit: {} }}` and `process: supervised`",
        directory.display()
    ))
}
