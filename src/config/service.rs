//! A service: its checks, its control, its rules, and the defaults that fill it up.

use super::decode::{self, Reader};
use super::diagnostic::{Diagnostic, Place, listed, nearest, quoted};
use super::perf;
use super::plan::Builder;
use super::resolve::Asked;
use super::rule::{Around, Can, Drafted, conditions_of, implied, implied_of_control, metrics_of, unique};
use super::syntax::KEYWORDS;
use super::tree::{Key, Node, Value};
use crate::model::controls::{Argv, ControlSpec};
use crate::model::kinds::{CheckKind, Heartbeat, Process, Processes, Program};
use crate::model::{Action, Check, Kind, Log, Metric, MetricId, MetricSet, Name, Rule, Service, Span};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub(super) const KEYS: &[&str] = &[
    "checks",
    "rules",
    "control",
    "depends_on",
    "notify",
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
pub(super) const CHECK_KEYS: &[&str] = &["name", "every", "timeout", "keep"];
/// How long after a death without a control a new process may appear by itself.
const SETTLE: Duration = Duration::from_secs(2);
/// The most checks, and the most rules, of a service.
const MOST: usize = 1000;
/// How often a supervisor is asked, at least.
const CONTROL_EVERY: Duration = Duration::from_secs(5);

/// How often the age of a heartbeat is written down, at least.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(10);

/// A check that has been read, as far as it could be.
struct ReadCheck {
    asked: Asked,
    place: Place,
    /// Nothing if there are mistakes in it.
    check: Option<Check>,
}

impl ReadCheck {
    /// It is of the process that the service's supervisor names.
    fn is_supervised(&self) -> bool {
        let kind = self.check.as_ref().map(|check| &*check.kind);
        matches!(kind, Some(Kind::Process(Process { supervised: true, .. })))
    }
}

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
        let grace = self.value::<Span>(node, "grace").map(|span| span.0);
        let settle = self.value::<Span>(node, "settle").map(|span| span.0);
        let restart = self.value(node, "restart");
        let log = self.log(node, &around, control.as_ref().and_then(|(_, spec)| spec.as_ref()));
        let description = self.value(node, "description");
        let group = self.value(node, "group");
        let tags = self.value(node, "tags");
        let public = self.value(node, "public");
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
        let own = control.as_ref().map_or(SETTLE, ControlSpec::settle);
        Some(Service {
            name: key.text.as_str().into(),
            description,
            group,
            tags: tags.unwrap_or_default(),
            public: public.unwrap_or(false),
            checks,
            rules,
            control,
            depends_on: depends_on.unwrap_or_default(),
            notify: notify.unwrap_or_else(|| self.defaults.notify.clone()),
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

    fn control(&mut self, key: &Key, node: &Node) -> Option<ControlSpec> {
        let names = || ControlSpec::NAMES.iter().map(|(name, _)| *name);
        let entries = match &node.value {
            Value::Map(entries) => entries.as_slice(),
            _ => {
                let diagnostic =
                    Diagnostic::new(node.place, format!("expected a map of one control, found {}", node.describe()));
                self.found.push(match node.text() {
                    Some(word) if names().any(|name| name == word) => {
                        diagnostic.help(format!("write its keys, too: `control: {{ {word}: .. }}`"))
                    }
                    _ => diagnostic.help(format!("the controls are {}", listed(names()))),
                });
                return None;
            }
        };
        let [(word, keys)] = entries else {
            let at = entries.get(1).map_or(key.place, |(second, _)| second.place);
            let diagnostic = Diagnostic::new(at, "a service has exactly one control");
            self.found.push(diagnostic.help(format!("the controls are {}", listed(names()))));
            return None;
        };
        let Some((name, short)) = ControlSpec::NAMES.iter().find(|(name, _)| *name == word.text) else {
            let diagnostic = Diagnostic::new(word.place, format!("there is no control {}", quoted(&word.text)));
            self.found.push(match nearest(&word.text, names()) {
                Some(meant) => diagnostic.help(format!("did you mean `{meant}`?")),
                None => diagnostic.help(format!("the controls are {}", listed(names()))),
            });
            return None;
        };
        let keys = long_form(keys, *short);
        let mut spec = decode::read(&keys, word.place, &mut self.found, |reader: Reader<'_>| {
            ControlSpec::read(name, reader).unwrap_or_else(|| Err(serde::de::Error::custom("no such control")))
        })?;
        spec.givens(&mut |given| self.resolve_given(&keys, given));
        self.mistakes(&keys, word.place, spec.mistakes());
        Some(spec)
    }

    /// What asks a supervisor.
    fn check_of_control(&self, spec: &ControlSpec) -> Check {
        Check {
            name: "control".into(),
            kind: Arc::new(Kind::Control(spec.clone())),
            every: self.defaults.every.min(CONTROL_EVERY),
            timeout: self.defaults.timeout,
            keep: MetricSet::default(),
        }
    }

    /// The `./check` of a runit service, if it is to be one of the checks: from here on, it is one like any other.
    fn check_of_service(&mut self, place: Place, spec: &mut ControlSpec, checks: &[ReadCheck]) -> Option<ReadCheck> {
        let ControlSpec::Runit(runit) = spec else { return None };
        if !std::mem::take(&mut runit.check) {
            return None;
        }
        if let Some(other) = checks.iter().find(|read| read.asked.name == "check") {
            let message = "two checks of this service are named `check`: `check: true` makes one of that name";
            let diagnostic = Diagnostic::new(place, message).also(other.place, "the other one");
            self.found.push(diagnostic.help("give the other one another `name`, or leave `check: true` away"));
            return None;
        }
        let directory = runit.path();
        let program = directory.join("check").to_str().map(|program| Argv(vec![program.to_owned()]));
        let (command, directory) = program.zip(directory.to_str().and_then(|path| path.parse().ok()))?;
        let kind = Kind::Program(Program::in_directory(command, directory));
        let (every, timeout) = (self.defaults.every, self.defaults.timeout);
        let asked = Asked { name: "check".to_owned(), kind: Some((Program::NAME, kind.metrics())), every };
        let (name, keep) = ("check".into(), MetricSet::default());
        Some(ReadCheck { asked, place, check: Some(Check { name, kind: Arc::new(kind), every, timeout, keep }) })
    }

    fn checks(&mut self, node: &Node) -> Vec<ReadCheck> {
        let Some(items) = self.list(node, "checks", "begin each check with a dash: `- process: { .. }`") else {
            return Vec::new();
        };
        let mut checks = Vec::new();
        let mut seen: BTreeMap<String, Place> = BTreeMap::new();
        for item in items {
            let read = self.check(item, node);
            if let Some(first) = seen.get(&read.asked.name) {
                let message = format!("two checks of this service are named `{}`", read.asked.name);
                let diagnostic = Diagnostic::new(read.place, message).label("second").also(*first, "first");
                self.found.push(diagnostic.help("a check is named as its kind, unless it has a `name` of its own"));
            } else if read.asked.kind.is_some() {
                seen.insert(read.asked.name.clone(), read.place);
            }
            checks.push(read);
        }
        checks
    }

    fn check(&mut self, item: &Node, service: &Node) -> ReadCheck {
        let before = self.found.len();
        let bad = |place| ReadCheck { asked: nobody(), place, check: None };
        let kinds = || Kind::NAMES.iter().map(|(name, _)| *name);
        let Value::Map(entries) = &item.value else {
            let diagnostic = Diagnostic::new(item.place, format!("expected a check, found {}", item.describe()));
            self.found.push(match item.text() {
                Some(word) if kinds().any(|kind| kind == word) => {
                    diagnostic.help(format!("write `- {word}: {{}}`, with its keys"))
                }
                _ => diagnostic.help(format!("a check is a map with one of {}", listed(kinds()))),
            });
            return bad(item.place);
        };
        let asks: Vec<&(Key, Node)> = entries.iter().filter(|(key, _)| kinds().any(|kind| kind == key.text)).collect();
        let known: Vec<&str> = kinds().chain(CHECK_KEYS.iter().copied()).collect();
        let unknown = entries.iter().any(|(key, _)| !known.contains(&key.text.as_str()));
        if let [(word, keys)] = asks.as_slice()
            && keys.is_empty()
            && unknown
        {
            let message = format!("there are no keys under `{}`", word.text);
            let help = format!("the keys of `{0}` are indented deeper than `{0}:` itself", word.text);
            self.found.push(Diagnostic::new(word.place, message).help(help));
        } else {
            self.known_keys(entries, "a check", &known, &[]);
        }
        let (word, keys) = match asks.as_slice() {
            [one] => one,
            [] => {
                if !unknown {
                    let diagnostic = Diagnostic::new(item.place, "this check does not say what to ask");
                    self.found.push(diagnostic.help(format!("add one of {}", listed(kinds()))));
                }
                return bad(item.place);
            }
            [(first, _), (second, _), ..] => {
                let message = format!("a check asks one thing, and `{}` is a second one", second.text);
                let diagnostic = Diagnostic::new(second.place, message).also(first.place, "first");
                self.found.push(diagnostic.help("begin a check of its own with a dash"));
                return bad(item.place);
            }
        };
        let Some((kind_name, short)) = Kind::NAMES.iter().find(|(name, _)| *name == word.text) else {
            return bad(item.place);
        };
        let (name, place) = match item.get("name") {
            None => (Name::from(*kind_name), word.place),
            Some((_, node)) => match self.check_name(node) {
                Some(name) => (name, node.place),
                None => return bad(item.place),
            },
        };
        let every = self.every(item).unwrap_or(self.defaults.every);
        let timeout = self.timeout(item).unwrap_or(self.defaults.timeout);
        let mut kind = None;
        if *kind_name == Heartbeat::NAME {
            self.is_told(entries);
        }
        if !keys.is_empty() || self.found.len() == before {
            kind = self.kind(kind_name, *short, word, keys);
        }
        let keep = item.get("keep").map(|(_, list)| list);
        let named = || perf::named(service, &name, keep);
        let metrics = match &mut kind {
            Some(Kind::Program(program)) => {
                program.declare(&named());
                program.metrics()
            }
            Some(kind) => kind.metrics(),
            // What could not be read has been reported, and rules about it are not at fault.
            None if *kind_name == Program::NAME => Program::table(&named()),
            None => Kind::metrics_of(kind_name).unwrap_or_default(),
        };
        let keep = keep.map(|list| self.keep(list, kind_name, metrics)).unwrap_or_default();
        let every = match &kind {
            Some(Kind::Heartbeat(keys)) => looked_at(keys, self.defaults.every),
            _ => every,
        };
        let asked = Asked { name: name.to_string(), kind: Some((kind_name, metrics)), every };
        let check = kind.map(|kind| Check { name, kind: Arc::new(kind), every, timeout, keep });
        ReadCheck { asked, place, check }
    }

    /// The keys of a kind of check; nothing if there are mistakes in them, which are reported.
    fn kind(&mut self, name: &str, short: Option<&str>, word: &Key, keys: &Node) -> Option<Kind> {
        if let Some(diagnostic) = misread(name, keys, self.source(keys.place)) {
            self.found.push(diagnostic);
            return None;
        }
        // Without keys it means every process.
        let keys = match name {
            Processes::NAME if keys.is_empty() => Cow::Owned(Node { value: Value::Map(Vec::new()), place: keys.place }),
            Process::NAME if keys.text() == Some(SUPERVISED) => {
                let node = Node { value: Value::Scalar { text: "true".to_owned(), plain: true }, place: keys.place };
                let key = Key { text: SUPERVISED.to_owned(), place: keys.place };
                Cow::Owned(Node { value: Value::Map(vec![(key, node)]), place: keys.place })
            }
            _ => long_form(keys, short),
        };
        let mut kind = decode::read(&keys, word.place, &mut self.found, |reader: Reader<'_>| {
            Kind::read(name, reader).unwrap_or_else(|| Err(serde::de::Error::custom("no such kind")))
        })?;
        kind.givens(&mut |given| self.resolve_given(&keys, given));
        self.mistakes(&keys, word.place, kind.mistakes());
        if let Kind::Heartbeat(Heartbeat { secret: Some(secret), .. }) = &kind
            && !self.alone
            && let text = secret.0.expose()
            && !text.is_empty()
        {
            let place = keys.get("secret").map_or(word.place, |(_, node)| node.place);
            if let Some(first) = self.secrets.insert(text.to_owned(), place) {
                let diagnostic = Diagnostic::new(place, "two heartbeats have this secret").label("second");
                let help = "the address says whose beat it is: give each a secret of its own";
                self.found.push(diagnostic.also(first, "first").help(help));
            }
        }
        Some(kind)
    }

    /// What would say how often to ask a heartbeat is a mistake.
    fn is_told(&mut self, entries: &[(Key, Node)]) {
        for (key, node) in entries {
            let help = match (key.text.as_str(), node.text()) {
                ("every", Some(every)) => {
                    format!("how often it is to come stands in it: `heartbeat: {{ every: {every} }}`")
                }
                ("every", None) => "how often it is to come stands in it: `heartbeat: { every: 20s }`".to_owned(),
                ("timeout", _) => "leave it away; how long a run may take is `heartbeat: { longest: .. }`".to_owned(),
                _ => continue,
            };
            let what = format!("`{}` belongs to what is asked, and a heartbeat is not asked: it is told", key.text);
            self.found.push(Diagnostic::new(key.place, what).help(help));
        }
    }

    fn check_name(&mut self, node: &Node) -> Option<Name> {
        let name = self.name(node, "a check")?;
        let refused = if KEYWORDS.contains(&&*name) {
            Some(format!("`{name}` is a word of the rule language, and cannot be the name of a check"))
        } else if &*name == "control" {
            Some("`control` is the name of what a service's control says".to_owned())
        } else if name.contains('.') {
            Some("the name of a check has no point in it: a point divides it from its metrics".to_owned())
        } else if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            Some("the name of a check begins with a letter".to_owned())
        } else {
            None
        };
        match refused {
            None => Some(name),
            Some(message) => {
                self.found.push(Diagnostic::new(node.place, message));
                None
            }
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

    fn keep(&mut self, list: &Node, kind: &str, metrics: &'static [Metric]) -> MetricSet {
        let mut keep = MetricSet::default();
        let Value::Seq(items) = &list.value else {
            let message = format!("expected a list of metrics, found {}", list.describe());
            self.found.push(Diagnostic::new(list.place, message).help("write, for example, `keep: [memory, cpu]`"));
            return keep;
        };
        for item in items {
            let text = item.text().unwrap_or_default();
            let place = metrics.iter().position(|metric| metric.name == text).and_then(|i| u8::try_from(i).ok());
            if let Some(place) = place {
                if metrics[usize::from(place)].each {
                    let message = format!("`{text}` is of each process by itself, of which no history is kept");
                    let kept = listed(metrics.iter().filter(|metric| !metric.each).map(|metric| metric.name));
                    self.found.push(Diagnostic::new(item.place, message).help(format!("what can be kept is {kept}")));
                }
                keep.insert(MetricId(place));
                continue;
            }
            let names = || metrics.iter().map(|metric| metric.name);
            let bare =
                text.split_once('.').map(|(_, metric)| metric).filter(|metric| names().any(|name| name == *metric));
            let help = match (perf::help(text, kind, metrics), bare.or_else(|| nearest(text, names()))) {
                (Some(help), _) => help,
                (None, Some(meant)) => format!("did you mean `{meant}`?"),
                (None, None) => format!("the metrics of `{kind}` are {}", listed(names())),
            };
            let message = format!("`{kind}` checks have no metric {}", item.describe());
            self.found.push(Diagnostic::new(item.place, message).help(help));
        }
        keep
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
    fn list<'n>(&mut self, node: &'n Node, name: &str, help: &str) -> Option<&'n [Node]> {
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

/// How often the age of a heartbeat is written down.
fn looked_at(keys: &Heartbeat, default: Duration) -> Duration {
    let half = keys.every.map_or(HEARTBEAT_EVERY, |every| every.0 / 2);
    half.min(default).clamp(Duration::from_millis(100), HEARTBEAT_EVERY)
}

/// A check whose kind is not known.
fn nobody() -> Asked {
    Asked { name: String::new(), kind: None, every: Duration::ZERO }
}

/// What can be read, and is not what was meant: the name of a process where its pidfile may stand, and an escape outside
/// of double quotes, which would be sent as it is written.
fn misread(kind: &str, keys: &Node, source: &str) -> Option<Diagnostic> {
    match (kind, keys.text()) {
        ("process", Some(text)) if !text.starts_with('/') && text != SUPERVISED => {
            let message = format!("{} is not the path of a pidfile, which may stand here", quoted(text));
            let help = match text.strip_suffix(".pid") {
                Some(_) => format!("write its whole path, such as `/run/{text}`"),
                None if nearest(text, [SUPERVISED]).is_some() => format!("did you mean `{SUPERVISED}`?"),
                None => format!("to find a process by its name, write `process: {{ name: {text} }}`"),
            };
            Some(Diagnostic::new(keys.place, message).help(help))
        }
        ("tcp", _) => {
            let (_, send) = keys.get("send")?;
            let text = send.text()?;
            let escapes = ["\\r", "\\n", "\\t", "\\0", "\\x"].iter().any(|escape| text.contains(escape));
            let double = source.get(send.place.start..).is_some_and(|rest| rest.starts_with('"'));
            (escapes && !double).then(|| {
                Diagnostic::new(send.place, "only in double quotes does YAML turn `\\r\\n` into the end of a line")
                    .help(format!("write `send: \"{}\"`", text.replace('"', "\\\"")))
            })
        }
        _ => None,
    }
}

/// The short form of a process that the supervisor names.
const SUPERVISED: &str = "supervised";

/// The keys of a kind or control, of which the text alone may stand for one.
fn long_form<'n>(keys: &'n Node, short: Option<&str>) -> Cow<'n, Node> {
    match (short, keys.text()) {
        (Some(short), Some(_)) => {
            let key = Key { text: short.to_owned(), place: keys.place };
            Cow::Owned(Node { value: Value::Map(vec![(key, keys.clone())]), place: keys.place })
        }
        _ => Cow::Borrowed(keys),
    }
}

/// Adds the default rules of checks that no rule mentions, and notes which metrics are to be recorded.
fn complete(mut rules: Vec<Rule>, checks: &mut [Check]) -> Vec<Rule> {
    let mut implied_rules = Vec::new();
    for (index, check) in checks.iter_mut().enumerate() {
        if let Some(metric) = check.kind.default_metric() {
            check.keep.insert(metric);
        }
        // What is of each process has no history: without this, such a check would have none at all.
        if matches!(*check.kind, Kind::Processes(_)) {
            check.keep.insert(MetricId(Processes::COUNT));
        }
        if matches!(*check.kind, Kind::Heartbeat(_)) {
            Heartbeat::JUDGED.into_iter().for_each(|id| check.keep.insert(MetricId(id)));
        }
        let mut metrics = rules.iter().flat_map(conditions_of).flat_map(metrics_of);
        if matches!(*check.kind, Kind::Control(_)) {
            implied_rules.extend(implied_of_control(index, check, &rules));
        } else if !metrics.any(|metric| usize::from(metric.check) == index) {
            implied_rules.extend(implied(index, check));
        }
    }
    for mut rule in implied_rules {
        rule.name = unique(&rule.name, |name| rules.iter().any(|rule| &*rule.name == name));
        rules.push(rule);
    }
    for metric in rules.iter().flat_map(conditions_of).flat_map(metrics_of) {
        if let Some(check) = checks.get_mut(usize::from(metric.check)) {
            check.keep.insert(metric.metric);
        }
    }
    rules
}
