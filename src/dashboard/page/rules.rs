//! The plan in effect: file by file, each service with its checks and rules; and what was refused.

use super::words::{Here, Moment, Page, filters};
use crate::dashboard::outline::{PlanOutline, ServiceOutline, Setting};
use crate::dashboard::problem::{ProblemPage, render};
use crate::dashboard::who::Caller;
use crate::dashboard::{AuditFilter, EventFilter, Front, History};
use crate::model::{Event, EventKind, Plan, Role, Service, Snapshot, Wall, services_words};
use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// Services on a page.
const SERVICES: usize = 100;
/// Refused plans that are remembered here.
const REFUSALS: usize = 10;
/// Who had the rules read is noted within this time of their taking effect.
const NEAR: Duration = Duration::from_secs(15);

#[derive(Template)]
#[template(path = "rules.html")]
struct Rules<'a> {
    page: Page,
    moment: &'a Moment,
    snapshot: &'a Snapshot,
    headline: String,
    no_history: Option<String>,
    outline: &'a PlanOutline,
    /// What it says of all: the title, the id, the keys.
    settings: [(&'static str, &'static str, &'a [Setting]); 2],
    /// The file that is looked at, if it is one; by its place.
    chosen: Option<usize>,
    services: Vec<ServiceOutline>,
    /// The first of them, from 1; and of how many.
    first: usize,
    of: usize,
    earlier: Option<String>,
    later: Option<String>,
    loaded: Loaded,
    refusals: Vec<Event>,
}

/// When a plan has taken effect, and who wanted it to.
struct Loaded {
    at: Wall,
    by: Option<String>,
}

/// Which part of it is looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct View {
    file: String,
    page: String,
}

/// What has been.
#[derive(Default)]
struct Past {
    loaded: Option<Loaded>,
    refusals: Vec<Event>,
}

fn past(history: &dyn History) -> Result<Past, String> {
    let of_kind = |kind: &str, limit| {
        history.events(&EventFilter { kind: Some(kind.to_owned()), limit, ..EventFilter::default() })
    };
    let loaded = match of_kind("planned", 1)?.first() {
        Some(planned) => Some(Loaded { at: planned.at, by: by(history, planned.at)? }),
        None => None,
    };
    Ok(Past { loaded, refusals: of_kind("refused", REFUSALS)? })
}

/// Who had the rules read that took effect then, if it was a person.
fn by(history: &dyn History, at: Wall) -> Result<Option<String>, String> {
    let from = Wall(at.0.saturating_sub(i64::try_from(NEAR.as_millis()).unwrap_or(0)));
    let audits = history.audits(&AuditFilter { from: Some(from), limit: 100, ..AuditFilter::default() })?;
    let reload = audits.iter().rev().find(|audit| audit.ok && audit.what.starts_with("reload") && audit.at - at < NEAR);
    Ok(reload.map(|audit| audit.who.clone()))
}

/// The report of a refused plan.
fn report(event: &Event) -> &str {
    match &event.kind {
        EventKind::Refused { report } => report,
        _ => "",
    }
}

/// Those that are written in this file, in the order of the plan.
fn of_file(plan: &Plan, file: Option<usize>) -> Vec<&Arc<Service>> {
    let is_in = |service: &&Arc<Service>| match file {
        Some(file) => plan.written.get(&service.name).is_some_and(|written| written.file == file),
        None => true,
    };
    plan.services.iter().filter(is_in).collect()
}

fn is_chosen(chosen: &Option<usize>, file: &usize) -> bool {
    chosen.as_ref() == Some(file)
}

fn link(file: Option<usize>, page: usize) -> String {
    match file {
        Some(file) => format!("/rules?file={file}&page={page}"),
        None => format!("/rules?page={page}"),
    }
}

pub(super) async fn show(
    State(front): State<Arc<Front>>,
    view: Result<Query<View>, QueryRejection>,
    caller: Caller,
) -> Result<Response, ProblemPage> {
    let snapshot = front.snapshot().await?;
    let plan = front.plan();
    let moment = Moment::of(snapshot.at, &caller);
    let view = view.map(|Query(view)| view).unwrap_or_default();
    let chosen = view.file.parse().ok().filter(|file| *file < plan.files.len());
    let all = of_file(&plan, chosen);
    let pages = all.len().div_ceil(SERVICES).max(1);
    let at = view.page.parse::<usize>().unwrap_or(1).clamp(1, pages);
    let shown = all.iter().skip((at - 1) * SERVICES).take(SERVICES);
    let past = front.look(|history| past(history)).await;
    let no_history = past.as_ref().err().map(|problem| problem.detail.clone());
    let Past { loaded, refusals } = past.unwrap_or_default();
    let files = plan.files.len();
    let outline = PlanOutline::of(&plan);
    let headline = format!(
        "{} by {}",
        services_words(plan.services.len()),
        if files == 1 { "one rule file".to_owned() } else { format!("{files} rule files") }
    );
    Ok(render(&Rules {
        page: Page::new(
            Here::Rules,
            if snapshot.refused.is_some() {
                "Rules refused – minder".to_owned()
            } else {
                "Rules – minder".to_owned()
            },
        )
        .showing(&snapshot, &moment)
        .of(caller),
        headline,
        no_history,
        services: shown.map(|service| ServiceOutline::of(&plan, service)).collect(),
        first: (at - 1) * SERVICES + 1,
        of: all.len(),
        earlier: (at > 1).then(|| link(chosen, at - 1)),
        later: (at < pages).then(|| link(chosen, at + 1)),
        settings: [("Defaults", "defaults", &outline.defaults), ("minder itself", "settings", &outline.settings)],
        outline: &outline,
        chosen,
        // The one that minder began with is as old as minder itself.
        loaded: loaded.unwrap_or(Loaded { at: snapshot.since, by: None }),
        refusals,
        snapshot: &snapshot,
        moment: &moment,
    }))
}
