//! The checks of a service that is being written. Each is read back as its kind before it is taken.

use crate::import::yaml;
use crate::model::{Kind, Pattern, write_duration};
use std::time::Duration;

/// What a check may take, if nothing else is said.
pub const TIMEOUT: Duration = Duration::from_secs(5);

/// The keys of a check in the order in which they are written, each value as YAML.
#[derive(Default)]
pub struct Keys(Vec<(&'static str, String)>);

impl Keys {
    pub fn text(mut self, key: &'static str, value: &str) -> Keys {
        self.0.push((key, yaml::scalar(value)));
        self
    }

    /// A value that is YAML already.
    pub fn raw(mut self, key: &'static str, value: impl Into<String>) -> Keys {
        self.0.push((key, value.into()));
        self
    }

    pub fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(known, _)| *known == key)
    }

    /// These keys behind others.
    pub fn after(self, mut others: Keys) -> Keys {
        others.0.extend(self.0);
        others
    }

    /// `{ a: b, c: d }`
    pub fn map(&self) -> String {
        let entries: Vec<String> = self.0.iter().map(|(key, value)| format!("{key}: {value}")).collect();
        if entries.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", entries.join(", ")) }
    }

    /// The value alone, if its key is what the kind's short form stands for.
    fn short(&self, kind: &str) -> String {
        let short = Kind::NAMES.iter().find(|(known, _)| *known == kind).and_then(|(_, short)| *short);
        match self.0.as_slice() {
            [(key, value)] if Some(*key) == short => value.clone(),
            _ => self.map(),
        }
    }
}

struct Check {
    kind: &'static str,
    name: String,
    keys: String,
    timeout: Duration,
}

#[derive(Default)]
pub struct Checks(Vec<Check>);

impl Checks {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name of a check that asks this; it is added if there is none. Or what is wrong with it.
    pub fn add(&mut self, kind: &'static str, name: &str, keys: &Keys, timeout: Duration) -> Result<String, String> {
        let written = keys.short(kind);
        if let Some(check) = self.0.iter().find(|c| c.kind == kind && c.keys == written && c.timeout == timeout) {
            return Ok(check.name.clone());
        }
        let value: serde_yaml::Value =
            serde_yaml::from_str(&keys.map()).map_err(|_| "it cannot be written as YAML".to_owned())?;
        match Kind::read(kind, value) {
            Some(Ok(read)) => read.mistakes().into_iter().next().map_or(Ok(()), |mistake| Err(mistake.what))?,
            Some(Err(e)) => return Err(e.to_string().lines().next().unwrap_or_default().to_owned()),
            None => return Err("there is no such check".to_owned()),
        }
        let taken = |name: &str| self.0.iter().any(|check| check.name == name);
        let numbered = (2..).map(|n| format!("{name}-{n}"));
        let name = std::iter::once(name.to_owned()).chain(numbered).find(|name| !taken(name)).unwrap_or_default();
        self.0.push(Check { kind, name: name.clone(), keys: written, timeout });
        Ok(name)
    }

    /// As the elements of a list. `every` is what is not the plan's own, and `default` the plan's own timeout.
    pub fn lines(&self, every: Option<Duration>, default: Duration) -> Vec<String> {
        let mut lines = Vec::new();
        for check in &self.0 {
            lines.push(format!("- {}: {}", check.kind, check.keys));
            if check.name != check.kind {
                lines.push(format!("  name: {}", check.name));
            }
            lines.extend(every.map(|every| format!("  every: {}", write_duration(every))));
            if check.timeout != default {
                lines.push(format!("  timeout: {}", write_duration(check.timeout)));
            }
        }
        lines
    }
}

/// The regular expression of ours that matches what this one of monit's does.
pub fn expression(text: &str) -> Result<String, String> {
    // In a rule, a backslash before a quote would make it part of the text; to the expression it means nothing.
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('"') => out.push('"'),
                Some(next) => out.extend(['\\', next]),
                None => out.push('\\'),
            },
            c => out.push(c),
        }
    }
    match Pattern::new(&out) {
        Ok(_) if out.len() <= 1000 => Ok(out),
        Ok(_) => Err("the expression is too long".to_owned()),
        Err(_) => Err("this is not a regular expression that minder knows".to_owned()),
    }
}

/// A text in a rule.
pub fn in_quotes(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\\\""))
}
