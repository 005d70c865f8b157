//! Which performance values of a plugin are named, and what each is compared with: that says what it must be, and is known
//! before any rule is read against its check's metrics.

use super::syntax::{self, Comparison, Expr, Test, Value as Compared};
use super::tree::{Node, Value};
use crate::model::kinds::CheckKind;
use crate::model::kinds::{NamedPerf, Program};
use crate::model::{Dimension, Metric};
use std::collections::BTreeMap;

/// The values of this check that rules of its service and its own `keep` name, by name.
pub(super) fn named(service: &Node, check: &str, keep: Option<&Node>) -> Vec<NamedPerf> {
    let mut named = Named { prefix: format!("{check}.perf."), found: BTreeMap::new() };
    if let Some(Value::Seq(rules)) = service.get("rules").map(|(_, rules)| &rules.value) {
        for rule in rules {
            match rule.text() {
                Some(line) => named.add_all(syntax::rule(line).ok().map(|line| line.when)),
                None => {
                    let texts = ["when", "until"].into_iter().filter_map(|key| rule.get(key)?.1.text());
                    texts.for_each(|text| named.add_all(syntax::condition(text).ok()));
                }
            }
        }
    }
    if let Some(Value::Seq(items)) = keep.map(|keep| &keep.value) {
        let names = items.iter().filter_map(|item| item.text()?.strip_prefix("perf."));
        names.for_each(|name| named.add(name, None));
    }
    named.found.into_iter().collect()
}

/// What is to be said of a name that is none of these metrics of a check, where it is one that plugins have.
pub(super) fn help(metric: &str, kind: &str, metrics: &[Metric]) -> Option<String> {
    if kind != Program::NAME {
        return None;
    }
    let label = metric.strip_prefix("perf.");
    if !metrics.iter().any(|m| m.name == "critical") {
        let known = label.is_some() || ["perf", "warning", "critical"].contains(&metric);
        return known.then(|| "only monitoring plugins have it: if this is one, add `nagios: true`".to_owned());
    }
    let Some(label) = label else {
        return (metric == "perf").then(|| "name one of the plugin's values, such as `perf.time`".to_owned());
    };
    let name = Program::perf_name(label);
    Some(if name == label && !label.is_empty() {
        format!("no more than {} performance values of a check can be named", Program::MOST_PERF)
    } else {
        format!("a label is written with letters, digits, `_`, `-` and `.`, anything else as `_`: `perf.{name}`")
    })
}

struct Named {
    prefix: String,
    found: BTreeMap<String, Option<Dimension>>,
}

impl Named {
    fn add_all(&mut self, expr: Option<Expr>) {
        match expr {
            None => {}
            Some(Expr::And(parts) | Expr::Or(parts)) => parts.into_iter().for_each(|part| self.add_all(Some(part))),
            Some(Expr::Not(part)) => self.add_all(Some(*part)),
            Some(Expr::Is(comparison)) => {
                if let Some(name) = comparison.metric.it.strip_prefix(&self.prefix) {
                    let name = name.to_owned();
                    self.add(&name, compared_with(&comparison));
                }
            }
        }
    }

    /// The first comparison says what it is. A percentage may be one of a whole, so that any other unit says more.
    fn add(&mut self, name: &str, dimension: Option<Dimension>) {
        if name.is_empty() || Program::perf_name(name) != name {
            return;
        }
        let known = self.found.entry(name.to_owned()).or_default();
        if matches!(known, None | Some(Dimension::Percent)) {
            *known = dimension.or(*known);
        }
    }
}

fn compared_with(comparison: &Comparison) -> Option<Dimension> {
    match &comparison.test {
        Test::Compare(_, value) => match &value.it {
            Compared::Quantity(_, quantity) => Some(match quantity.dimension {
                // How fast it grows; the value itself is an amount.
                Dimension::ByteRate => Dimension::Bytes,
                Dimension::CountRate => Dimension::Count,
                dimension => dimension,
            }),
            Compared::Text(_) | Compared::Flag(_) => None,
        },
        Test::None | Test::Matches(_) => None,
    }
}
