//! The control of a service, and the checks that come with it.

use super::check::{ReadCheck, long_form};
use super::decode::{self, Reader};
use super::diagnostic::{Diagnostic, Place, listed, nearest, quoted};
use super::plan::Builder;
use super::resolve::Asked;
use super::tree::{Key, Node, Value};
use crate::model::controls::{Argv, ControlSpec};
use crate::model::kinds::{CheckKind, Program};
use crate::model::{Check, Kind, MetricSet};
use std::sync::Arc;
use std::time::Duration;

/// How often a supervisor is asked, at least.
const CONTROL_EVERY: Duration = Duration::from_secs(5);

impl Builder<'_> {
    pub(super) fn control(&mut self, key: &Key, node: &Node) -> Option<ControlSpec> {
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
    pub(super) fn check_of_control(&self, spec: &ControlSpec) -> Check {
        Check {
            name: "control".into(),
            kind: Arc::new(Kind::Control(spec.clone())),
            every: self.defaults.every.min(CONTROL_EVERY),
            timeout: self.defaults.timeout,
            keep: MetricSet::default(),
        }
    }

    /// The `./check` of a runit service, if it is to be one of the checks: from here on, it is one like any other.
    pub(super) fn check_of_service(
        &mut self,
        place: Place,
        spec: &mut ControlSpec,
        checks: &[ReadCheck],
    ) -> Option<ReadCheck> {
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
        let directory = spec.service_dir()?;
        let program = directory.join("check").to_str().map(|program| Argv(vec![program.to_owned()]));
        let (command, directory) = program.zip(directory.to_str().and_then(|path| path.parse().ok()))?;
        let kind = Kind::Program(Program::in_directory(command, directory));
        let (every, timeout) = (self.defaults.every, self.defaults.timeout);
        let asked = Asked { name: "check".to_owned(), kind: Some((Program::NAME, kind.metrics())), every };
        let (name, keep) = ("check".into(), MetricSet::default());
        Some(ReadCheck { asked, place, check: Some(Check { name, kind: Arc::new(kind), every, timeout, keep }) })
    }
}
