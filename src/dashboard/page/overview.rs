//! The first page: what is wrong, worst first; then all services.

use super::strip::{self, Strip, Strips};
use super::words::{Here, Moment, Page, class, filters};
use crate::dashboard::problem::{ProblemPage, render};
use crate::dashboard::who::Caller;
use crate::dashboard::{EventFilter, Front, History};
use crate::model::{
    CheckView, Event, EventKind, RuleState, RuleView, ServiceView, Snapshot, Status, ValueView, show_age,
};
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use std::collections::HashMap;
use std::sync::Arc;

/// Services in trouble for which it is looked up what was done. Whoever has more has other worries.
const MAX_TOLD: usize = 20;
/// What was done, so many of the latest.
const DEEDS: usize = 3;

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview<'a> {
    page: Page,
    moment: &'a Moment,
    snapshot: &'a Snapshot,
    headline: String,
    uptime: String,
    /// Why the history is missing.
    no_history: Option<String>,
    troubles: Vec<Trouble<'a>>,
    groups: Vec<Group<'a>>,
    /// Some checks are shown without their strip.
    cut: bool,
}

/// A service in trouble.
struct Trouble<'a> {
    service: &'a ServiceView,
    firing: Vec<&'a RuleView>,
    deeds: &'a [Event],
}

/// Services that belong together.
struct Group<'a> {
    name: Option<&'a str>,
    services: Vec<Row<'a>>,
}

struct Row<'a> {
    service: &'a ServiceView,
    checks: Vec<CheckRow<'a>>,
}

struct CheckRow<'a> {
    check: &'a CheckView,
    strip: Option<Strip>,
    values: Vec<&'a ValueView>,
}

/// What was done about an incident, the newest first.
fn deeds(history: &dyn History, incident: u64) -> Result<Vec<Event>, String> {
    let filter = EventFilter { incident: Some(incident), limit: 50, ..EventFilter::default() };
    let mut events = history.events(&filter)?;
    events.retain(|e| {
        use EventKind::*;
        matches!(e.kind, Acted { .. } | Held { .. } | GaveUp { .. } | Undelivered { .. })
    });
    events.truncate(DEEDS);
    Ok(events)
}

/// A metric without its check, beside which it is shown already.
fn short(metric: &str) -> &str {
    match metric.split_once('.') {
        Some((check, metric)) if !check.contains('(') => metric,
        _ => metric,
    }
}

/// The values of a check beside their limits, one of each comparison. A flag is told by the status alone.
fn beside_limits<'a>(service: &'a ServiceView, check: &CheckView) -> Vec<&'a ValueView> {
    let mut values: Vec<&ValueView> = Vec::new();
    for value in service.rules.iter().flat_map(|r| &r.values) {
        let same = |v: &&ValueView| v.metric == value.metric && v.limit == value.limit;
        let is_flag = value.limit.is_empty() || value.limit == "no";
        if *value.check == *check.name && !is_flag && !values.iter().any(same) {
            values.push(value);
        }
    }
    values
}

fn groups<'a>(snapshot: &'a Snapshot, strips: &Strips, moment: &Moment) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    let mut order: HashMap<Option<&str>, usize> = HashMap::new();
    // The groups stand in the order of the plan; those without a group come last.
    let named = snapshot.services.iter().filter_map(|s| s.group.as_deref()).map(Some);
    for name in named.chain([None]) {
        order.entry(name).or_insert_with(|| {
            groups.push(Group { name, services: Vec::new() });
            groups.len() - 1
        });
    }
    for service in snapshot.worst_first() {
        let check = |check: &'a CheckView| {
            let bars = strips.get(&(service.name.clone(), check.name.clone()));
            let strip = bars.map(|bars| Strip::hour(bars, moment));
            CheckRow { check, strip, values: beside_limits(service, check) }
        };
        // What a control says is kept as events, not as samples: while it is well, there is nothing to draw beside it.
        let silent = |c: &&CheckView| c.kind == "control" && c.status == Status::Ok && service.checks.len() > 1;
        let row = Row { service, checks: service.checks.iter().filter(|c| !silent(c)).map(check).collect() };
        if let Some(group) = order.get(&service.group.as_deref()).and_then(|i| groups.get_mut(*i)) {
            group.services.push(row);
        }
    }
    groups.retain(|g| !g.services.is_empty());
    groups
}

pub(super) async fn show(State(front): State<Arc<Front>>, caller: Caller) -> Result<Response, ProblemPage> {
    let snapshot = front.snapshot().await?;
    let moment = Moment::of(snapshot.at, &caller);
    let troubled: Vec<&ServiceView> = snapshot.worst_first().into_iter().filter(|s| s.status.is_bad()).collect();
    let incidents: Vec<u64> =
        troubled.iter().filter_map(|s| s.incident.as_ref()).map(|i| i.id).take(MAX_TOLD).collect();
    let strips = strip::overview(&front, &snapshot).await;
    let told = front
        .look(move |history| {
            incidents.into_iter().map(|id| Ok((id, deeds(history, id)?))).collect::<Result<HashMap<_, _>, _>>()
        })
        .await;
    // Without a history the page still says what is wrong: that is what it is for.
    let no_history = strips.as_ref().err().or(told.as_ref().err()).map(|problem| problem.detail.clone());
    let (strips, told) = (strips.unwrap_or_default(), told.unwrap_or_default());
    let troubles = troubled
        .iter()
        .map(|service| Trouble {
            service,
            firing: service.rules.iter().filter(|r| r.state == RuleState::Firing).collect(),
            deeds: service.incident.as_ref().and_then(|i| told.get(&i.id)).map_or(&[][..], Vec::as_slice),
        })
        .collect();
    let checks: usize = snapshot.services.iter().map(|s| s.checks.len()).sum();
    let bad = troubled.len();
    Ok(render(&Overview {
        page: Page::new(
            Here::Services,
            if bad > 0 {
                format!("({bad}) {} – minder", snapshot.host)
            } else {
                format!("{} – minder", snapshot.host)
            },
        )
        .showing(&snapshot, &moment)
        .of(caller),
        headline: snapshot.headline(),
        uptime: show_age(snapshot.at - snapshot.since),
        troubles,
        groups: groups(&snapshot, &strips, &moment),
        cut: checks > strip::MAX_STRIPS,
        no_history,
        snapshot: &snapshot,
        moment: &moment,
    }))
}
