//! A check: its kind, the keys of that, and its own.

use super::decode::{self, Reader};
use super::diagnostic::{Diagnostic, Place, listed, nearest, quoted};
use super::perf;
use super::plan::Builder;
use super::resolve::Asked;
use super::syntax::KEYWORDS;
use super::tree::{Key, Node, Value};
use crate::model::kinds::{CheckKind, Heartbeat, Process, Processes, Program};
use crate::model::{Check, Kind, Metric, MetricId, MetricSet, Name};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub(super) const KEYS: &[&str] = &["name", "every", "timeout", "keep"];
/// How often the age of a heartbeat is written down, at least.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(10);

/// A check that has been read, as far as it could be.
pub(super) struct ReadCheck {
    pub asked: Asked,
    pub place: Place,
    /// Nothing if there are mistakes in it.
    pub check: Option<Check>,
}

impl ReadCheck {
    /// It is of the process that the service's supervisor names.
    pub fn is_supervised(&self) -> bool {
        let kind = self.check.as_ref().map(|check| &*check.kind);
        matches!(kind, Some(Kind::Process(Process { supervised: true, .. })))
    }
}

impl Builder<'_> {
    pub(super) fn checks(&mut self, node: &Node) -> Vec<ReadCheck> {
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
        let known: Vec<&str> = kinds().chain(KEYS.iter().copied()).collect();
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
}

/// How often the age of a heartbeat is written down.
fn looked_at(keys: &Heartbeat, default: Duration) -> Duration {
    let half = keys.every.map_or(HEARTBEAT_EVERY, |every| every.0 / 2);
    half.min(default).clamp(Duration::from_millis(100), HEARTBEAT_EVERY)
}

/// A check whose kind is not known.
pub(super) fn nobody() -> Asked {
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
pub(super) fn long_form<'n>(keys: &'n Node, short: Option<&str>) -> Cow<'n, Node> {
    match (short, keys.text()) {
        (Some(short), Some(_)) => {
            let key = Key { text: short.to_owned(), place: keys.place };
            Cow::Owned(Node { value: Value::Map(vec![(key, keys.clone())]), place: keys.place })
        }
        _ => Cow::Borrowed(keys),
    }
}
