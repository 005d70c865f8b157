//! Incidents: a list, and the story of each.

use super::asked::{Asked, LONGEST_PAGE, Page, length};
use super::bad;
use super::events::EventView;
use super::openapi::Operation;
use crate::dashboard::{
    EventFilter, Front, IncidentFilter, IncidentSpan, IncidentSums, MessageFilter, Problem, Routes,
};
use crate::model::Role::Viewer;
use crate::model::{Incident, MessageView, Name, Severity, Wall};
use axum::Json;
use axum::extract::{Path, State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroUsize;
use std::sync::Arc;

pub(super) fn routes() -> Routes {
    Routes::default()
        .get(Viewer, "/api/v1/incidents", list)
        .about(Operation::new("Incidents, the newest first").asks::<Which>().pages::<Incident>())
        .get(Viewer, "/api/v1/incidents/figures", figures)
        .about(
            Operation::new("Incidents in sums: how many, how long, of what, by day")
                .asks::<Span>()
                .answers::<IncidentSums>(),
        )
        .get(Viewer, "/api/v1/incidents/{id}", one)
        .about(
            Operation::new("An incident with its story; `acknowledge` and `write` are commands").answers::<StoryView>(),
        )
}

/// Which incidents to show: those that match all of what is given.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Which {
    /// Of this service.
    service: Option<Name>,
    /// So bad, at their worst.
    severity: Option<Severity>,
    /// Open, or over.
    open: Option<bool>,
    /// Open at some time from then on.
    from: Option<Wall>,
    /// Begun before then.
    to: Option<Wall>,
    /// With a smaller number than this: the next page.
    before: Option<u64>,
    /// At most so many: 100 where this is missing, and never more than 1000.
    limit: Option<NonZeroUsize>,
}

async fn list(State(front): State<Arc<Front>>, Asked(which, address): Asked<Which>) -> Result<Page<Incident>, Problem> {
    let length = length(which.limit);
    let Which { service, severity, open, from, to, before, limit: _ } = which;
    let filter = IncidentFilter { service, severity, open, from, to, before, limit: length + 1, id: None };
    let found = front.look(move |history| history.incidents(&filter)).await?;
    Ok(Page::new(found, length, &address, "before", |incident: &Incident| incident.id.to_string()))
}

/// Which incidents to sum up.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Span {
    /// Of this service; of minder itself, if it is empty.
    service: Option<Name>,
    /// So bad, at their worst.
    severity: Option<Severity>,
    /// From then on: 30 days before `to` where this is missing, and never more than 366.
    from: Option<Wall>,
    /// Until before then; now, where this is missing. Days are those of UTC.
    to: Option<Wall>,
}

const DAY: i64 = 86_400_000;
/// Days that are summed up at a time.
const DAYS: i64 = 366;

async fn figures(State(front): State<Arc<Front>>, Asked(span, _): Asked<Span>) -> Result<Json<IncidentSums>, Problem> {
    let to = span.to.unwrap_or_else(|| front.clock.now().wall);
    let from = span.from.unwrap_or(Wall(to.0.saturating_sub(30 * DAY)));
    let length = to.0.checked_sub(from.0).filter(|length| (0..=DAYS * DAY).contains(length));
    if length.is_none() {
        return Err(bad(format!("from `from` to `to` must be a time of at most {DAYS} days")));
    }
    let midnight = from.0.div_euclid(DAY).saturating_add(1).saturating_mul(DAY);
    let midnights = (0..=DAYS).map(|day| midnight.saturating_add(day * DAY)).take_while(|at| *at < to.0);
    let days = [from.0].into_iter().chain(midnights).map(Wall).collect();
    let span = IncidentSpan { from, to, days, service: span.service, severity: span.severity };
    front.look(move |history| history.incident_sums(&span)).await.map(Json)
}

/// An incident, and all that belongs to it.
#[derive(Serialize, JsonSchema)]
struct StoryView {
    /// The incident.
    incident: Incident,
    /// What happened in it, the oldest first; the first 1000. The list of events has all.
    events: Vec<EventView>,
    /// What was told of it, the newest first; the last 1000. The list of messages has all.
    messages: Vec<MessageView>,
}

async fn one(State(front): State<Arc<Front>>, Path(id): Path<u64>) -> Result<Json<StoryView>, Problem> {
    let found = front.look(move |history| {
        let filter = IncidentFilter { id: Some(id), limit: 1, ..IncidentFilter::default() };
        let Some(incident) = history.incidents(&filter)?.pop() else { return Ok(None) };
        let events = EventFilter { incident: Some(id), after: Some(0), limit: LONGEST_PAGE, ..EventFilter::default() };
        let events = history.events(&events)?.into_iter().map(EventView::from).collect();
        let messages = MessageFilter { incident: Some(id), limit: LONGEST_PAGE, ..MessageFilter::default() };
        Ok(Some(StoryView { incident, events, messages: history.messages(&messages)? }))
    });
    found.await?.map(Json).ok_or_else(|| Problem::no_incident(id))
}
