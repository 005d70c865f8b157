//! Maintenance: silences that come again by a schedule.

use super::diagnostic::{Place, listed, nearest, quoted};
use super::plan::Builder;
use super::tree::{Key, Node};
use crate::model::{Cron, Maintenance, Mistake, Scope, Service, Span, Zone, clip, plain};
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// So much of a reason is kept.
const REASON_AT_MOST: usize = 300;

/// `backup: { schedule: "0 3 * * *", for: 1h, services: [db] }`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Keys {
    /// When it begins: a cron expression such as `0 3 * * *`
    #[schemars(with = "String")]
    schedule: Cron,
    /// Where those times are: `Europe/Berlin` (the machine's own zone)
    #[schemars(with = "Option<String>")]
    zone: Option<Zone>,
    /// How long it lasts
    #[serde(rename = "for")]
    lasts: Span,
    /// Of which services nobody is told meanwhile (all)
    #[serde(default)]
    services: Vec<String>,
    /// Of services with one of these tags, or in a group of this name
    #[serde(default)]
    tags: Vec<String>,
    /// Of these rules alone
    #[serde(default)]
    rules: Vec<String>,
    /// Why
    #[serde(default)]
    reason: String,
}

/// What there is to be selected.
pub(super) struct Known<'a> {
    /// Every service that has been named, good or bad.
    pub services: &'a BTreeMap<&'a str, Place>,
    /// All of them, if all are good.
    pub good: Option<&'a [Arc<Service>]>,
}

impl<'a> Builder<'a> {
    pub(super) fn maintenance(&mut self, key: &Key, node: &Node, known: &Known<'_>) -> Option<Maintenance> {
        self.well_named(&key.text, key.place, "a maintenance", "._-");
        let Keys { schedule, zone, lasts, services, tags, rules, reason } = self.read(key, node)?;
        let mut mistakes = Vec::new();
        if lasts.0.is_zero() {
            mistakes
                .push(Mistake::new(&["for"], "maintenance that lasts no time").help("write, for example, `for: 1h`"));
        }
        if !self.incomplete {
            mistakes.extend(
                services.iter().filter_map(|name| unknown("service", "services", name, known.services.keys().copied())),
            );
        }
        if let Some(good) = known.good.filter(|_| mistakes.is_empty()) {
            let all: BTreeSet<&str> =
                good.iter().flat_map(|service| service.tags.iter().chain(&service.group)).map(String::as_str).collect();
            mistakes.extend(tags.iter().filter_map(|tag| unknown("tag or group", "tags", tag, all.iter().copied())));
            let scope = Scope {
                services: services.iter().map(|name| name.as_str().into()).collect(),
                tags: tags.clone(),
                rules: Vec::new(),
            };
            let tags = |service: &'_ Service| service.tags.iter().chain(&service.group).cloned().collect::<Vec<_>>();
            let within = good
                .iter()
                .filter(|service| scope.has_service(&service.name, tags(service).iter().map(String::as_str)));
            let all: BTreeSet<&str> = within.flat_map(|service| service.rules.iter()).map(|rule| &*rule.name).collect();
            mistakes.extend(rules.iter().filter_map(|rule| unknown("rule", "rules", rule, all.iter().copied())));
        }
        self.mistakes(node, key.place, mistakes);
        Some(Maintenance {
            name: key.text.as_str().into(),
            scope: Scope { services: services.iter().map(|name| name.as_str().into()).collect(), tags, rules },
            schedule,
            zone,
            here: TimeZone::system(),
            lasts: lasts.0,
            reason: clip(plain(&reason).trim(), REASON_AT_MOST),
        })
    }
}

/// What is wrong if there is no such thing.
fn unknown<'k>(
    what: &str,
    key: &'static str,
    name: &str,
    all: impl Iterator<Item = &'k str> + Clone,
) -> Option<Mistake> {
    if all.clone().any(|known| known == name) {
        return None;
    }
    let help = match nearest(name, all.clone()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if all.clone().next().is_none() => format!("there is no {what} at all here"),
        None => format!("there is {}", listed(all)),
    };
    Some(Mistake::new(&[key], format!("there is no {what} {}", quoted(name))).help(help))
}
