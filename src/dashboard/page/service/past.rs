//! What has been: all that the page of a service reads of the history, in one go.

use super::drawn::Drawn;
use super::{View, is_drawn};
use crate::dashboard::page::chart::Mark;
use crate::dashboard::page::span::Cut;
use crate::dashboard::{Bar, Curve, EventFilter, Front, History, IncidentFilter, Problem, Wholes};
use crate::model::{CheckView, Event, EventKind, Incident, ServiceView};

/// Events on a page.
pub const EVENTS: usize = 50;
/// Checks whose history is drawn.
const MOST_CHECKS: usize = 50;
/// Incidents and events of each kind that are drawn.
const MOST_MARKS: usize = 200;
/// Snapshots on the page.
const SNAPSHOTS: usize = 5;

/// What has been.
#[derive(Default)]
pub struct Past {
    pub events: Vec<Event>,
    /// There are older ones.
    pub more: bool,
    /// The latest first.
    pub deaths: Vec<Event>,
    /// Restarts, and processes that took the place of another.
    pub restarts: Vec<Event>,
    pub snapshots: Vec<Event>,
    pub incidents: Vec<Incident>,
    /// In the order of the checks.
    pub checks: Vec<CheckPast>,
}

/// What has been of a check.
#[derive(Default)]
pub struct CheckPast {
    pub bars: Option<Vec<Bar>>,
    pub drawn: Drawn,
    pub curves: Vec<Curve>,
    pub wholes: Wholes,
}

impl Past {
    /// Reads it, on a thread that may block.
    pub async fn read(front: &Front, service: &ServiceView, view: &View, cut: Cut) -> Result<Past, Problem> {
        let service = service.clone();
        let view = view.clone();
        front.look(move |history| read(history, &service, &view, cut)).await
    }

    /// Where a death or a restart is marked.
    pub fn marks(&self) -> Vec<Mark> {
        let mark = |event: &Event, kind| Mark { at: event.at, kind, words: event.kind.to_string() };
        let deaths = self.deaths.iter().map(|event| mark(event, "died"));
        deaths.chain(self.restarts.iter().map(|event| mark(event, "restarted"))).collect()
    }
}

fn read(history: &dyn History, service: &ServiceView, view: &View, cut: Cut) -> Result<Past, String> {
    let name = &service.name;
    let of_kind = |kind: &str, limit| {
        let kind = Some(kind.to_owned());
        history.events(&EventFilter { service: Some(name.clone()), kind, limit, ..EventFilter::default() })
    };
    let filter = EventFilter {
        service: Some(name.clone()),
        kind: view.kind.clone(),
        before: view.before,
        limit: EVENTS + 1,
        ..EventFilter::default()
    };
    let mut events = history.events(&filter)?;
    let more = events.len() > EVENTS;
    events.truncate(EVENTS);
    let mut restarts = of_kind("acted", MOST_MARKS)?;
    let starts = |action: &str| action.starts_with("restart") || action.starts_with("start");
    restarts.retain(|e| matches!(&e.kind, EventKind::Acted { action, ok: true, .. } if starts(action)));
    restarts.extend(of_kind("replaced", MOST_MARKS)?);
    let of_service = IncidentFilter {
        service: Some(name.clone()),
        from: Some(cut.from),
        limit: MOST_MARKS,
        ..IncidentFilter::default()
    };
    let checks = service.checks.iter().take(MOST_CHECKS);
    Ok(Past {
        events,
        more,
        deaths: of_kind("died", MOST_MARKS)?,
        restarts,
        snapshots: of_kind("snapshot", SNAPSHOTS)?,
        incidents: history.incidents(&of_service)?,
        checks: checks.map(|check| of_check(history, service, check, view, cut)).collect::<Result<_, _>>()?,
    })
}

fn of_check(
    history: &dyn History,
    service: &ServiceView,
    check: &CheckView,
    view: &View,
    cut: Cut,
) -> Result<CheckPast, String> {
    let (name, Cut { from, to, parts }) = (&service.name, cut);
    let bars = is_drawn(check).then(|| history.bars(name, &check.name, from, to, parts)).transpose()?;
    let drawn = Drawn::of(service, check, history.kept(name, &check.name)?, &view.metrics);
    let (mut curves, mut wholes) = (Vec::new(), Wholes::new());
    if !drawn.metrics.is_empty() {
        curves = history.curves(name, &check.name, &drawn.metrics, from, to, view.span.points())?;
        // Looked up only where a limit is a part of a whole.
        if service.rules.iter().flat_map(|rule| &rule.values).any(|v| *v.check == *check.name && v.whole.is_some()) {
            wholes = history.wholes(name, &check.name, from, to)?;
        }
    }
    Ok(CheckPast { bars, drawn, curves, wholes })
}
