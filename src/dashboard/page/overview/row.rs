//! A service as a line of the overview: in full, or in brief until somebody looks at it.

use crate::dashboard::Bar;
use crate::dashboard::page::strip::{Of, Strip, is_drawn};
use crate::dashboard::page::words::{Moment, class, filters};
use crate::model::{CheckView, ServiceView, Status, ValueView};
use askama::Template;
use std::collections::HashMap;
use std::sync::Arc;

/// In full, with the last hour of each check and its values beside their limits.
#[derive(Template)]
#[template(path = "overview_row.html")]
struct Row<'a> {
    service: &'a ServiceView,
    key: String,
    words: String,
    says: bool,
    checks: Vec<CheckRow<'a>>,
}

struct CheckRow<'a> {
    check: &'a CheckView,
    strip: Option<Strip>,
    values: Vec<&'a ValueView>,
}

/// In brief.
#[derive(Template)]
#[template(path = "overview_brief.html")]
struct Brief<'a> {
    service: &'a ServiceView,
    key: String,
    words: String,
    value: Option<&'a ValueView>,
}

/// By this, as a text, lines are in order: the worst first, then as in the plan.
pub(super) fn key(service: &ServiceView, place: usize) -> String {
    format!("{}{place:06}", 9 - service.status.rank())
}

/// What is searched beside the name.
fn words(service: &ServiceView) -> String {
    let texts = service.description.iter().chain(&service.group).chain(&service.tags);
    texts.map(String::as_str).collect::<Vec<_>>().join(" ")
}

/// The checks that have a line. What a control says is kept as events, not as samples: while it is well, there is nothing to
/// draw beside it.
fn shown(service: &ServiceView) -> impl Iterator<Item = &CheckView> {
    let alone = service.checks.len() == 1;
    service.checks.iter().filter(move |check| alone || check.kind != "control" || check.status != Status::Ok)
}

/// The checks whose history is drawn.
pub(super) fn drawn(service: &ServiceView) -> impl Iterator<Item = Of> {
    shown(service).filter(|check| is_drawn(check)).map(|check| (service.name.clone(), check.name.clone()))
}

pub(super) fn full(
    service: &ServiceView,
    place: usize,
    strips: &HashMap<Of, Arc<[Bar]>>,
    moment: &Moment,
) -> askama::Result<String> {
    let check = |check| {
        let bars: &CheckView = check;
        let bars = strips.get(&(service.name.clone(), bars.name.clone()));
        CheckRow { check, strip: bars.map(|bars| Strip::hour(bars, moment)), values: beside_limits(service, check) }
    };
    let explains = service.status == Status::Unknown || service.held.is_some() || service.flapping;
    let says = explains || (service.silenced.is_some() && !service.status.is_bad());
    let checks = shown(service).map(check).collect();
    Row { service, key: key(service, place), words: words(service), says: says && !service.summary.is_empty(), checks }
        .render()
}

pub(super) fn brief(service: &ServiceView, place: usize) -> askama::Result<String> {
    Brief { service, key: key(service, place), words: words(service), value: worst(service) }.render()
}

/// A flag is told by the status alone.
fn is_told(value: &ValueView) -> bool {
    !value.limit.is_empty() && value.limit != "no"
}

/// The value that is bad, or else the one that has come closest to its limit.
fn worst(service: &ServiceView) -> Option<&ValueView> {
    let nearness = |value: &ValueView| match (value.bad, value.value, value.limit_value) {
        (Some(true), ..) => f64::MAX,
        (_, Some(now), Some(limit)) if value.limit.starts_with('>') && limit > 0.0 => now / limit,
        (_, Some(now), Some(limit)) if value.limit.starts_with('<') && now > 0.0 => limit / now,
        _ => 0.0,
    };
    let values = service.rules.iter().flat_map(|rule| &rule.values).filter(|value| is_told(value));
    values.max_by(|a, b| nearness(a).total_cmp(&nearness(b)))
}

/// The values of a check beside their limits, one of each comparison.
fn beside_limits<'a>(service: &'a ServiceView, check: &CheckView) -> Vec<&'a ValueView> {
    let mut values: Vec<&ValueView> = Vec::new();
    for value in service.rules.iter().flat_map(|r| &r.values) {
        let same = |v: &&ValueView| v.metric == value.metric && v.limit == value.limit;
        if *value.check == *check.name && is_told(value) && !values.iter().any(same) {
            values.push(value);
        }
    }
    values
}

/// A metric without its check, beside which it is shown already.
fn short(metric: &str) -> &str {
    match metric.split_once('.') {
        Some((check, metric)) if !check.contains('(') => metric,
        _ => metric,
    }
}
