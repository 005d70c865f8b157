//! Where messages go: mail, notifiers, the names that rules give them, and the texts that come from elsewhere.

use super::decode::{self, Reader};
use super::diagnostic::{Diagnostic, Place, listed, nearest, quoted};
use super::plan::{Builder, Mails};
use super::source::{certificates, secret};
use super::tree::{Key, Node, Value};
use crate::model::{
    Given, Group, Hours, Mail, MessageKind, Name, Notifier, NotifierPlace, Severity, Source, Span, Zone, write_duration,
};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// The keys of a notifier beside its place.
pub(super) const KEYS: &[&str] = &["hours", "zone", "severity", "kinds", "group", "remind", "expire"];

/// `group: { wait: 5s, every: 1m }`
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GroupKeys {
    /// So long the first message waits for others (5s)
    wait: Option<Span>,
    /// At most one goes out in this time (1m)
    every: Option<Span>,
}

/// What a notifier wants, as far as it says so.
struct Wants {
    hours: Option<Hours>,
    severity: Option<Severity>,
    kinds: Option<BTreeSet<MessageKind>>,
    /// Where it stands, and whether anything goes together at all.
    group: Option<(Place, Option<Group>)>,
    remind: Option<Duration>,
    expire: Option<Duration>,
}

impl<'a> Builder<'a> {
    pub(super) fn mail(&mut self, key: &Key, node: &Node) -> Option<Mail> {
        self.mail = Mails::Given;
        let mut mail: Mail = self.read(key, node)?;
        mail.givens(&mut |given| self.resolve_given(node, given));
        self.mistakes(node, key.place, mail.mistakes());
        if let Some(ca) = &mut mail.ca
            && !self.sources.made_up
        {
            match certificates(ca.path.as_path()) {
                Ok(pem) => ca.pem = pem,
                Err((message, help)) => {
                    let place = node.get("ca").map_or(node.place, |(_, value)| value.place);
                    let mut diagnostic = Diagnostic::new(place, message);
                    diagnostic.help.extend(help);
                    self.found.push(diagnostic);
                }
            }
        }
        Some(mail)
    }

    pub(super) fn named_notifier(&mut self, key: &'a Key, node: &'a Node) {
        let words = listed(NotifierPlace::NAMES.iter().copied());
        let Value::Map(entries) = &node.value else {
            let message = format!("expected where this notifier sends, found {}", node.describe());
            self.found.push(Diagnostic::new(node.place, message).help(format!("a map of one of {words}")));
            return;
        };
        let known = [NotifierPlace::NAMES, KEYS].concat();
        // Who looks for a word for Slack finds that of the preset, and writes it where `webhook` belongs.
        let is_preset = |key: &Key| !known.contains(&key.text.as_str()) && self.presets.contains_key(&key.text);
        let (presets, others): (Vec<_>, Vec<_>) = entries.iter().partition(|(key, _)| is_preset(key));
        for (key, _) in presets {
            let diagnostic = Diagnostic::new(key.place, format!("`{}` is a preset of `webhook`", key.text));
            self.found.push(diagnostic.help(format!("write `webhook: {{ preset: {}, with: {{ .. }} }}`", key.text)));
        }
        self.known_keys(others, "a notifier", &known, &[]);
        let wants = self.wants(node);
        let places: Vec<&(Key, Node)> =
            entries.iter().filter(|(key, _)| NotifierPlace::NAMES.contains(&key.text.as_str())).collect();
        match places.as_slice() {
            [] if entries.iter().all(|(key, _)| KEYS.contains(&key.text.as_str())) => {
                self.found.push(Diagnostic::new(key.place, format!("this notifier needs one of {words}")));
            }
            [] => {}
            [(word, keys)] => {
                if let Some(place) = self.notifier_place(&word.text, word.place, keys) {
                    let notifier = self.with_wants(Notifier::new(key.text.as_str().into(), place), wants);
                    self.notifiers.insert(notifier.name.clone(), Arc::new(notifier));
                }
            }
            [(first, _), (second, _), ..] => {
                let message = format!("a notifier is one place, and `{}` is a second one", second.text);
                let diagnostic = Diagnostic::new(second.place, message).also(first.place, "first");
                self.found.push(diagnostic.help("make it two notifiers"));
            }
        }
    }

    /// Reads the keys beside the place.
    fn wants(&mut self, node: &Node) -> Wants {
        let zone = self.value::<Zone>(node, "zone");
        if let (Some((key, _)), None) = (node.get("zone"), node.get("hours")) {
            let diagnostic = Diagnostic::new(key.place, "`zone` says where `hours` are, and there are none");
            self.found.push(diagnostic.help("add `hours: mon-fri 08:00-18:00`, or leave `zone` away"));
        }
        let hours = node.get("hours").and_then(|(_, hours)| self.hours(hours, zone));
        let kinds = node.get("kinds").and_then(|(_, kinds)| self.kinds(kinds));
        let group = node.get("group").and_then(|(key, group)| Some((key.place, self.group(key, group)?)));
        let remind = self.span_of_at_least(node, "remind", Duration::from_secs(60));
        let expire = self.span_of_at_least(node, "expire", Duration::from_secs(1));
        Wants { hours, severity: self.value(node, "severity"), kinds, group, remind, expire }
    }

    fn with_wants(&mut self, mut notifier: Notifier, wants: Wants) -> Notifier {
        if let Some((place, group)) = wants.group {
            if group.is_some() && !notifier.place.takes_many() {
                let what = notifier.place.name();
                let message = format!("`{what}` takes one message at a time: nothing can be put together for it");
                self.found.push(Diagnostic::new(place, message).help("leave `group` away"));
            }
            notifier.group = group;
        }
        notifier.hours = wants.hours;
        notifier.remind = wants.remind;
        notifier.severity = wants.severity.unwrap_or(notifier.severity);
        notifier.kinds = wants.kinds.unwrap_or(notifier.kinds);
        notifier.expire = wants.expire.unwrap_or(notifier.expire);
        notifier
    }

    /// `hours: mon-fri 08:00-18:00`, or a list of such.
    fn hours(&mut self, node: &Node, zone: Option<Zone>) -> Option<Hours> {
        let items = match &node.value {
            Value::Seq(items) if !items.is_empty() => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let mut texts = Vec::new();
        for item in items {
            let Some(text) = item.text() else {
                let message = format!("expected hours of the week, found {}", item.describe());
                let help = "write, for example, `mon-fri 08:00-18:00`, or a list of such";
                self.found.push(Diagnostic::new(item.place, message).help(help));
                return None;
            };
            texts.push(text.to_owned());
        }
        match Hours::parse(&texts, zone) {
            Ok(hours) => Some(hours),
            Err((i, why)) => {
                let place = items.get(i).map_or(node.place, |item| item.place);
                let help = "write, for example, `mon-fri 08:00-18:00`, `22:00-06:00` or `sat,sun`";
                self.found.push(Diagnostic::new(place, why).help(help));
                None
            }
        }
    }

    /// `kinds: [firing, resolved]`
    fn kinds(&mut self, node: &Node) -> Option<BTreeSet<MessageKind>> {
        let all = || listed(MessageKind::ALL.iter().map(|kind| kind.word()));
        let items = match &node.value {
            Value::Seq(items) if !items.is_empty() => items,
            _ => {
                let found =
                    if matches!(node.value, Value::Seq(_)) { "an empty one".to_owned() } else { node.describe() };
                let message = format!("expected a list of kinds of messages, found {found}");
                let help = format!("write, for example, `kinds: [firing, resolved]`; there are {}", all());
                self.found.push(Diagnostic::new(node.place, message).help(help));
                return None;
            }
        };
        let mut kinds = BTreeSet::new();
        let mut all_known = true;
        for item in items {
            let word = item.text().unwrap_or_default();
            match MessageKind::ALL.iter().find(|kind| kind.word() == word) {
                Some(kind) => {
                    kinds.insert(*kind);
                }
                None => {
                    let help = match nearest(word, MessageKind::ALL.iter().map(|kind| kind.word())) {
                        Some(meant) => format!("did you mean `{meant}`?"),
                        None => format!("there are {}", all()),
                    };
                    let message = format!("there is no kind of message {}", item.describe());
                    self.found.push(Diagnostic::new(item.place, message).help(help));
                    all_known = false;
                }
            }
        }
        if !all_known {
            return None;
        }
        let of_incidents: Vec<MessageKind> =
            kinds.iter().copied().filter(|kind| *kind != MessageKind::Notice).collect();
        let missing = [MessageKind::Firing, MessageKind::Resolved].into_iter().find(|kind| !kinds.contains(kind));
        if let (Some(missing), false) = (missing, of_incidents.is_empty()) {
            let message = "who hears that something is wrong hears that it is over, and nobody hears half of it";
            let help = format!("add `{missing}`; only `notice` may stand without `firing` and `resolved`");
            self.found.push(Diagnostic::new(node.place, message).help(help));
            return None;
        }
        Some(kinds)
    }

    /// `group: { wait: 5s, every: 1m }`, or `group: false`.
    fn group(&mut self, key: &Key, node: &Node) -> Option<Option<Group>> {
        if node.text() == Some("false") {
            return Some(None);
        }
        if !matches!(node.value, Value::Map(_)) {
            let message = format!("expected how long messages wait for each other, found {}", node.describe());
            let help = "write `group: { wait: 5s, every: 1m }`, or `group: false` for each by itself and at once";
            self.found.push(Diagnostic::new(node.place, message).help(help));
            return None;
        }
        let GroupKeys { wait, every } = self.read(key, node)?;
        let default = Group::default();
        let group = Group {
            wait: wait.map_or(default.wait, |wait| wait.0),
            every: every.map_or(default.every, |every| every.0),
        };
        for (name, span, most) in
            [("wait", group.wait, Duration::from_secs(3600)), ("every", group.every, Duration::from_secs(86_400))]
        {
            if span > most {
                let place = node.get(name).map_or(node.place, |(_, node)| node.place);
                let message = format!("so long nobody wants to wait: `{name}` is at most `{}`", write_duration(most));
                self.found.push(Diagnostic::new(place, message));
            }
        }
        Some(Some(group))
    }

    fn span_of_at_least(&mut self, node: &Node, name: &str, least: Duration) -> Option<Duration> {
        let span = self.value::<Span>(node, name)?.0;
        if span < least {
            let place = node.get(name).map_or(node.place, |(_, node)| node.place);
            self.found.push(Diagnostic::new(place, format!("`{name}` is at least `{}`", write_duration(least))));
        }
        Some(span)
    }

    /// Reads the keys of a notifier; nothing if there are mistakes, which are reported.
    pub(super) fn notifier_place(&mut self, word: &str, at: Place, keys: &Node) -> Option<NotifierPlace> {
        if word == "email" && self.mail == Mails::None && !self.incomplete {
            let diagnostic = Diagnostic::new(at, "mail cannot leave: there is no top-level `mail`");
            self.found.push(diagnostic.help(
                "add, for example, `mail: { server: \"mail.example.org:587\", from: minder@example.org }` to a rule file",
            ));
        }
        let known = NotifierPlace::NAMES.iter().find(|known| **known == word)?;
        let mut place = decode::read(keys, at, &mut self.found, |reader: Reader<'_>| {
            NotifierPlace::read(known, reader).unwrap_or_else(|| Err(serde::de::Error::custom("no such notifier")))
        })?;
        place.givens(&mut |given| self.resolve_given(keys, given));
        if let NotifierPlace::Webhook(webhook) = &mut place {
            self.preset_of(keys, webhook);
            self.notifier_templates(keys, Some(webhook));
        } else {
            self.notifier_templates(keys, None);
        }
        self.mistakes(keys, at, place.mistakes());
        Some(place)
    }

    /// The notifier of this name; reported if there is none.
    pub(super) fn notifier(&mut self, name: &str, at: Place) -> Option<Name> {
        if self.named.contains_key(name) || self.incomplete {
            return Some(name.into());
        }
        let diagnostic = Diagnostic::new(at, format!("there is no notifier named {}", quoted(name)));
        let help = match nearest(name, self.named.keys().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if self.named.is_empty() => "there is none at all: add it under the top-level `notifiers`".to_owned(),
            None => format!("the notifiers are {}", listed(self.named.keys().copied())),
        };
        self.found.push(diagnostic.help(help));
        None
    }

    /// `notify: [ops, chat]`
    pub(super) fn notify(&mut self, node: &Node) -> Vec<Name> {
        let Value::Seq(items) = &node.value else {
            let diagnostic =
                Diagnostic::new(node.place, format!("expected a list of notifiers, found {}", node.describe()));
            self.found.push(match node.text() {
                Some(text) => diagnostic.help(format!("write it as a list: `[{text}]`")),
                None => diagnostic.help("write, for example, `notify: [ops]`"),
            });
            return Vec::new();
        };
        let mut names: Vec<Name> = Vec::new();
        for item in items {
            match item.text() {
                Some(text) => names.extend(self.notifier(text, item.place).filter(|name| !names.contains(name))),
                None => {
                    let message = format!("expected the name of a notifier, found {}", item.describe());
                    self.found.push(Diagnostic::new(item.place, message));
                }
            }
        }
        names
    }

    /// Looks up what comes from the environment or a file. The place is that of `{ env: .. }` within the keys.
    pub(super) fn resolve_given(&mut self, keys: &Node, given: &mut Given) {
        let (key, name, value) = match given.source() {
            _ if self.alone => return,
            Source::Literal => return,
            _ if self.sources.made_up => return,
            Source::Env(name) => {
                let value = match self.sources.env.0.get(name) {
                    Some(value) if value.is_empty() => {
                        Err((format!("the environment variable {} is empty", quoted(name)), None))
                    }
                    Some(value) => Ok(value.clone()),
                    None => {
                        let help =
                            "set it where minder is started; `minder validate --env-file FILE` stands in for that";
                        Err((format!("the environment variable {} is not set", quoted(name)), Some(help)))
                    }
                };
                ("env", name.clone(), value)
            }
            Source::File(path) => ("file", path.display().to_string(), secret(path).map_err(|e| (e, None))),
        };
        match value {
            Ok(value) => given.resolve(value),
            Err((message, help)) => {
                let mut diagnostic = Diagnostic::new(reference(keys, key, &name).unwrap_or(keys.place), message);
                diagnostic.help.extend(help.map(str::to_owned));
                self.found.push(diagnostic);
            }
        }
    }
}

/// Where `{ env: NAME }` stands within a value.
fn reference(node: &Node, key: &str, name: &str) -> Option<Place> {
    match &node.value {
        Value::Scalar { .. } => None,
        Value::Seq(items) => items.iter().find_map(|item| reference(item, key, name)),
        Value::Map(entries) => match entries.as_slice() {
            [(k, value)] if k.text == key && value.text() == Some(name) => Some(value.place),
            _ => entries.iter().find_map(|(_, value)| reference(value, key, name)),
        },
    }
}
