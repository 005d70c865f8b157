//! The page of a service: how it stands, its rules, its checks with their history, how it died, what happened.

mod drawn;
mod past;
mod strip;
pub(super) mod words;

use super::assets;
use super::chart::{Chart, Given, Ground};
use super::span::{Cut, Span};
use super::words::{Here, Moment, Page, class, filters};
use crate::dashboard::problem::{ProblemPage, render};
use crate::dashboard::who::Caller;
use crate::dashboard::{Curve, Front, Problem};
use crate::model::{CheckView, Event, EventKind, Name, ServiceView, Snapshot, write_duration};
use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use past::{CheckPast, Past};
use std::sync::Arc;
use std::time::Duration;
use strip::Strip;
use words::{Budget, gauge, kind, long, milliseconds, percent, phase, remarks, restarts, state, tone};

/// So many metrics may be asked for.
const MOST_ASKED: usize = 24;

#[derive(Template)]
#[template(path = "service.html")]
struct ServicePage<'a> {
    page: Page,
    script: String,
    moment: &'a Moment,
    snapshot: &'a Snapshot,
    service: &'a ServiceView,
    view: &'a View,
    needed_by: Vec<&'a Name>,
    budget: Option<Budget>,
    death: Option<Death<'a>>,
    no_history: Option<String>,
    checks: Vec<CheckPart<'a>>,
    /// Incidents, deaths and restarts are drawn somewhere, as the legend says.
    has: Legend,
    past: &'a Past,
}

/// What the legend has to explain.
#[derive(Default)]
struct Legend {
    charts: bool,
    bands: bool,
    limits: bool,
    incidents: bool,
    deaths: bool,
    restarts: bool,
}

/// How it last died.
struct Death<'a> {
    event: &'a Event,
    /// The snapshot that was taken then.
    snapshot: Option<&'a Event>,
}

struct CheckPart<'a> {
    check: &'a CheckView,
    every: String,
    strip: Option<Strip>,
    charts: Vec<Chart>,
    /// What is kept and not drawn unless it is asked for: its name, whether it is drawn, and where that is turned round.
    others: Vec<(String, bool, String)>,
}

/// What is to be seen, as the address says.
#[derive(Debug, Clone, Default, PartialEq)]
struct View {
    span: Span,
    /// Metrics to be drawn beside those that always are: `process.threads`.
    metrics: Vec<String>,
    /// Events of this kind alone.
    kind: Option<String>,
    /// Events with a smaller number than this.
    before: Option<u64>,
}

impl View {
    /// What cannot be understood is left out: an address that is nearly right shows nearly the right page.
    fn of(query: Vec<(String, String)>) -> View {
        let mut view = View::default();
        for (key, value) in query {
            match key.as_str() {
                "span" => view.span = Span::of(&value).unwrap_or_default(),
                "metric" if view.metrics.len() < MOST_ASKED && value.len() <= 200 => view.metrics.push(value),
                "kind" => view.kind = EventKind::WORDS.contains(&value.as_str()).then_some(value),
                "before" => view.before = value.parse().ok(),
                _ => {}
            }
        }
        view
    }
    /// The same of this span.
    fn with(&self, span: &Span) -> String {
        View { span: *span, ..self.clone() }.address()
    }
    fn newest(&self) -> String {
        View { before: None, ..self.clone() }.address()
    }
    fn older(&self, before: &u64) -> String {
        View { before: Some(*before), ..self.clone() }.address()
    }
    /// The same with this metric, or without it.
    fn turned(&self, metric: String, is_drawn: bool) -> String {
        let mut view = self.clone();
        view.metrics.retain(|known| *known != metric);
        if !is_drawn {
            view.metrics.push(metric);
        }
        view.address()
    }
    fn address(&self) -> String {
        let mut address = format!("?span={}", self.span.word());
        let mut add = |key: &str, value: &str| {
            address.push('&');
            address.push_str(key);
            address.push('=');
            for byte in value.bytes() {
                if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
                    address.push(char::from(byte));
                } else {
                    address.push_str(&format!("%{byte:02X}"));
                }
            }
        };
        self.metrics.iter().for_each(|metric| add("metric", metric));
        self.kind.iter().for_each(|kind| add("kind", kind));
        self.before.iter().for_each(|before| add("before", &before.to_string()));
        address
    }
}

/// Of a control no sample is well or bad by itself: what it says is told by its status, its values, and what happened.
fn is_drawn(check: &CheckView) -> bool {
    check.kind != "control"
}

/// The latest death, with the snapshot that belongs to it.
fn death(past: &Past) -> Option<Death<'_>> {
    let event = past.deaths.first()?;
    // It is taken right after the death, or right before the restart that caused it; within the same incident.
    let of_it = |other: &&Event| match (event.incident, other.incident) {
        (Some(one), Some(other)) => one == other,
        _ => event.at.0.abs_diff(other.at.0) <= 60_000,
    };
    let snapshots = || past.snapshots.iter().filter(of_it);
    let after = snapshots().rev().find(|snapshot| snapshot.id > event.id);
    Some(Death { event, snapshot: after.or_else(|| snapshots().next()) })
}

fn part<'a>(
    service: &ServiceView,
    check: &'a CheckView,
    past: Option<&CheckPast>,
    view: &View,
    bars: Cut,
    ground: &Ground<'_>,
) -> CheckPart<'a> {
    let every = write_duration(Duration::from_millis(check.every));
    let Some(past) = past else {
        return CheckPart { check, every, strip: None, charts: Vec::new(), others: Vec::new() };
    };
    let strip = past.bars.as_ref();
    let strip = strip.map(|found| Strip::new(found, bars, ground.span, ground.incidents, ground.moment));
    let chart = |curve: &Curve| {
        let unit = drawn::unit(check, &curve.metric);
        let given = Given {
            check: &check.name,
            metric: &curve.metric,
            unit,
            latest: drawn::latest(check, &curve.metric).map_or_else(|| "none".to_owned(), |latest| latest.text.clone()),
            curve,
            limits: drawn::limits(service, check, &curve.metric, &past.wholes, bars.from),
            every: i64::try_from(check.every).unwrap_or(i64::MAX),
        };
        Chart::new(&given, ground)
    };
    let other = |(metric, is_drawn): &(String, bool)| {
        (metric.clone(), *is_drawn, view.turned(format!("{}.{metric}", check.name), *is_drawn))
    };
    CheckPart {
        check,
        every,
        strip,
        charts: past.curves.iter().map(chart).collect(),
        others: past.drawn.others.iter().map(other).collect(),
    }
}

pub(super) async fn show(
    State(front): State<Arc<Front>>,
    Path(name): Path<String>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
    caller: Caller,
) -> Result<Response, ProblemPage> {
    let snapshot = front.snapshot().await?;
    let service = snapshot.services.iter().find(|s| *s.name == *name).ok_or_else(|| Problem::no_service(&name))?;
    let moment = Moment::of(snapshot.at, &caller);
    let view = View::of(query.map(|Query(query)| query).unwrap_or_default());
    let bars = view.span.bars(&moment);
    let past = Past::read(&front, service, &view, bars).await;
    // Without a history the page still says how things stand: that is what it is for.
    let no_history = past.as_ref().err().map(|problem| problem.detail.clone());
    let past = past.unwrap_or_default();
    let ground = Ground {
        span: view.span,
        cut: bars.into(view.span.points()),
        incidents: &past.incidents,
        marks: past.marks(),
        moment: &moment,
    };
    let of_check = |(i, check)| part(service, check, past.checks.get(i), &view, bars, &ground);
    let checks: Vec<CheckPart<'_>> = service.checks.iter().enumerate().map(of_check).collect();
    let any = |has: fn(&Chart) -> bool| checks.iter().flat_map(|part| &part.charts).any(has);
    let has = Legend {
        charts: any(|_| true),
        bands: any(|chart| !chart.band.is_empty()),
        limits: any(|chart| !chart.limits.is_empty()),
        incidents: any(|chart| !chart.shades.is_empty()),
        deaths: any(|chart| chart.marks.iter().any(|mark| mark.kind == "died")),
        restarts: any(|chart| chart.marks.iter().any(|mark| mark.kind == "restarted")),
    };
    Ok(render(&ServicePage {
        page: Page::new(Here::Services, format!("{}: {} – minder", service.name, service.status))
            .showing(&snapshot, &moment)
            .of(caller),
        script: assets::url("charts.js"),
        moment: &moment,
        snapshot: &snapshot,
        service,
        view: &view,
        needed_by: snapshot.services.iter().filter(|s| s.depends_on.contains(&service.name)).map(|s| &s.name).collect(),
        budget: service.budget.as_deref().and_then(Budget::of),
        death: death(&past),
        no_history,
        checks,
        has,
        past: &past,
    }))
}
