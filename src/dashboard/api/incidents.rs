//! Incidents: a list, and the story of each.

use super::asked::{Asked, LONGEST_PAGE, Page, length};
use super::events::EventView;
use super::openapi::Operation;
use crate::dashboard::{EventFilter, Front, IncidentFilter, MessageFilter, Problem, Routes};
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
