//! The page of a service: its checks with their history, its rules, what happened.

use super::chart::{Chart, charts};
use super::strip::{Stretch, Strip, is_drawn};
use super::words::{Here, Moment, Page, class, filters, number};
use crate::dashboard::problem::{ProblemPage, render};
use crate::dashboard::who::Caller;
use crate::dashboard::{Bar, EventFilter, Front, Problem, Samples};
use crate::model::{CheckView, Event, EventKind, RuleState, ServiceView, Snapshot, write_duration};
use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// Events on the page.
const EVENTS: usize = 50;
/// Checks whose history is drawn.
const MAX_DRAWN: usize = 50;

#[derive(Template)]
#[template(path = "service.html")]
struct ServicePage<'a> {
    page: Page,
    moment: &'a Moment,
    snapshot: &'a Snapshot,
    service: &'a ServiceView,
    span: Span,
    no_history: Option<String>,
    checks: Vec<CheckPart<'a>>,
    events: Vec<Event>,
}

struct CheckPart<'a> {
    check: &'a CheckView,
    every: String,
    strip: Option<Strip>,
    charts: Vec<Chart>,
}

/// How much of the past is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub(super) enum Span {
    #[default]
    #[serde(rename = "1h")]
    Hour,
    #[serde(rename = "24h")]
    Day,
}

impl Span {
    const ALL: [Span; 2] = [Span::Hour, Span::Day];

    fn word(self) -> &'static str {
        match self {
            Span::Hour => "1h",
            Span::Day => "24h",
        }
    }
    fn words(self) -> &'static str {
        match self {
            Span::Hour => "last hour",
            Span::Day => "last 24 hours",
        }
    }
    fn stretch(self, moment: &Moment) -> Stretch {
        match self {
            Span::Hour => Stretch::last(3_600_000, 60, moment.now),
            Span::Day => Stretch::last(86_400_000, 48, moment.now),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct View {
    #[serde(default)]
    span: Span,
}

/// How an event is marked.
fn tone(event: &Event) -> &'static str {
    use EventKind::*;
    match &event.kind {
        Fired { .. } | Died { .. } | GaveUp { .. } | Undelivered { .. } | Refused { .. } | Acted { ok: false, .. } => {
            "bad"
        }
        Resolved { .. } | Closed { .. } | Appeared { .. } | Acted { ok: true, .. } => "good",
        _ => "plain",
    }
}

/// The word for an event's kind.
fn kind(event: &Event) -> String {
    event.kind.word().replace('-', " ")
}

/// What there is to read beyond the line that tells of an event.
fn long(event: &Event) -> Option<&str> {
    match &event.kind {
        EventKind::Snapshot { text } => Some(text),
        EventKind::Refused { report } => Some(report),
        EventKind::Acted { output: Some(output), .. } => Some(output),
        _ => None,
    }
}

fn state(state: &RuleState) -> &'static str {
    match state {
        RuleState::Inactive => "inactive",
        RuleState::Pending => "pending",
        RuleState::Firing => "firing",
    }
}

fn percent(progress: &f64) -> u8 {
    (progress * 100.0).clamp(0.0, 100.0) as u8
}

fn milliseconds(took: &f64) -> String {
    number(took / 1000.0, "seconds")
}

/// What has been.
struct Past {
    events: Vec<Event>,
    checks: Vec<(Vec<Bar>, Samples)>,
}

async fn past(front: &Front, service: &ServiceView, stretch: Stretch) -> Result<Past, Problem> {
    let name = service.name.clone();
    let checks: Vec<_> = service.checks.iter().take(MAX_DRAWN).map(|c| c.name.clone()).collect();
    let look = move |history: &dyn crate::dashboard::History| {
        let Stretch { from, to, buckets } = stretch;
        let filter = EventFilter { service: Some(name.clone()), limit: EVENTS, ..EventFilter::default() };
        let of_check = |check: &crate::model::Name| {
            Ok((history.bars(&name, check, from, to, buckets)?, history.line(&name, check, from, to)?))
        };
        let checks = checks.iter().map(of_check).collect::<Result<_, String>>()?;
        Ok(Past { events: history.events(&filter)?, checks })
    };
    front.look(look).await
}

pub(super) async fn show(
    State(front): State<Arc<Front>>,
    Path(name): Path<String>,
    view: Result<Query<View>, QueryRejection>,
    caller: Caller,
) -> Result<Response, ProblemPage> {
    let snapshot = front.snapshot().await?;
    let service = snapshot.services.iter().find(|s| *s.name == *name).ok_or_else(|| Problem::no_service(&name))?;
    let moment = Moment::of(snapshot.at, &caller);
    let span = view.map(|Query(view)| view.span).unwrap_or_default();
    let stretch = span.stretch(&moment);
    let past = past(&front, service, stretch).await;
    let no_history = past.as_ref().err().map(|problem| problem.detail.clone());
    let past = past.unwrap_or(Past { events: Vec::new(), checks: Vec::new() });
    let part = |(i, check)| {
        let past: Option<&(Vec<Bar>, Samples)> = past.checks.get(i);
        let draw = |(_, samples): &(_, Samples)| charts(service, check, samples, stretch, &moment);
        CheckPart {
            check,
            every: write_duration(Duration::from_millis(check.every)),
            strip: past.filter(|_| is_drawn(check)).map(|(bars, _)| Strip::new(bars, stretch, span.words(), &moment)),
            charts: past.map(draw).unwrap_or_default(),
        }
    };
    let checks = service.checks.iter().enumerate().map(part).collect();
    Ok(render(&ServicePage {
        page: Page::new(Here::Services, format!("{}: {} – minder", service.name, service.status))
            .showing(&snapshot, &moment)
            .of(caller),
        moment: &moment,
        snapshot: &snapshot,
        service,
        span,
        no_history,
        checks,
        events: past.events,
    }))
}
