//! Where messages go: mail, notifiers, the names that rules give them, and the texts that come from elsewhere.

use super::decode::{self, Reader};
use super::diagnostic::{Diagnostic, Place, listed, nearest, quoted};
use super::plan::{Builder, Mails};
use super::source::{certificates, secret};
use super::tree::{Key, Node, Value};
use crate::model::{Given, Mail, Name, Notifier, NotifierPlace, Source};
use std::sync::Arc;

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
        self.known_keys(entries, "a notifier", NotifierPlace::NAMES, &[]);
        let places: Vec<&(Key, Node)> =
            entries.iter().filter(|(key, _)| NotifierPlace::NAMES.contains(&key.text.as_str())).collect();
        match places.as_slice() {
            [] if entries.is_empty() => {
                self.found.push(Diagnostic::new(key.place, format!("this notifier needs one of {words}")));
            }
            [] => {}
            [(word, keys)] => {
                if let Some(place) = self.notifier_place(&word.text, word.place, keys) {
                    let name: Name = key.text.as_str().into();
                    self.notifiers.insert(name.clone(), Arc::new(Notifier::new(name, place)));
                }
            }
            [(first, _), (second, _), ..] => {
                let message = format!("a notifier is one place, and `{}` is a second one", second.text);
                let diagnostic = Diagnostic::new(second.place, message).also(first.place, "first");
                self.found.push(diagnostic.help("make it two notifiers"));
            }
        }
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
