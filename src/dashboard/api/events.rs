//! What happened, as a list; [`super::stream`] is the same as it happens.

use super::asked::{Asked, Page, length};
use super::openapi::Operation;
use super::{bad, stream};
use crate::dashboard::who::Caller;
use crate::dashboard::{EventFilter, Front, Problem, Routes};
use crate::model::Role::Viewer;
use crate::model::{Event, EventKind, Name, Wall};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, VARY};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroUsize;
use std::sync::Arc;

pub(super) fn routes() -> Routes {
    let about = "The newest first, or, after an event, the oldest first. With `Accept: text/event-stream` they come as they \
                 happen: `data` is an event as in the list and `id` its number, with which a stream goes on where another \
                 has ended, by `Last-Event-ID` or `after`. What is between is sent first. An event named `missed` says what \
                 is not: its `data` has the numbers of the events `after` and `before` the gap.";
    Routes::default()
        .get(Viewer, "/api/v1/events", events)
        .about(Operation::new("Events").more(about).asks::<Which>().pages::<EventView>().streams())
}

/// Which events to show: those that match all of what is given.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// Of this service.
    pub service: Option<Name>,
    /// Of this kind.
    #[schemars(with = "Option<Kind>")]
    pub kind: Option<String>,
    /// Of this incident.
    pub incident: Option<u64>,
    /// From then on. Not in a stream.
    pub from: Option<Wall>,
    /// With a smaller number than this. Not in a stream.
    pub before: Option<u64>,
    /// With a greater number than this, the oldest first.
    pub after: Option<u64>,
    /// At most so many: 100 where this is missing, and never more than 1000. Not in a stream.
    pub limit: Option<NonZeroUsize>,
}

/// The word of an [`EventKind`].
#[derive(JsonSchema)]
#[schemars(inline, transparent, extend("enum" = EventKind::WORDS))]
#[expect(dead_code, reason = "only its schema is used")]
struct Kind(String);

impl Which {
    pub fn is_wanted(&self, event: &Event) -> bool {
        (self.service.is_none() || self.service == event.service)
            && self.kind.as_deref().is_none_or(|kind| kind == event.kind.word())
            && (self.incident.is_none() || self.incident == event.incident)
    }
}

/// An event, with its words.
#[derive(Serialize, JsonSchema)]
pub(super) struct EventView {
    #[serde(flatten)]
    event: Event,
    /// What happened, in a line for people. Several kinds have `words` of their own.
    summary: String,
}

impl From<Event> for EventView {
    fn from(event: Event) -> EventView {
        EventView { summary: event.kind.to_string(), event }
    }
}

async fn events(
    State(front): State<Arc<Front>>,
    caller: Caller,
    headers: HeaderMap,
    Asked(which, address): Asked<Which>,
) -> Result<Response, Problem> {
    if let Some(kind) = which.kind.as_deref().filter(|kind| !EventKind::WORDS.contains(kind)) {
        return Err(bad(format!("kind: there is no `{kind}`, but {}", EventKind::WORDS.join(", "))));
    }
    // The same address has two answers: whoever keeps one must not take it for the other.
    let vary = [(VARY, "Accept")];
    if wants_stream(&headers) {
        return stream::follow(front, &caller, &headers, which).await.map(|stream| (vary, stream).into_response());
    }
    let length = length(which.limit);
    let filter = EventFilter {
        service: which.service,
        kind: which.kind,
        incident: which.incident,
        from: which.from,
        before: which.before,
        after: which.after,
        limit: length + 1,
    };
    let events = front.look(move |history| history.events(&filter)).await?;
    let key = if which.after.is_some() { "after" } else { "before" };
    let page = Page::new(events, length, &address, key, |event: &Event| event.id.to_string());
    Ok((vary, page.map(EventView::from)).into_response())
}

fn wants_stream(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted
        .flat_map(|value| value.split(','))
        .any(|kind| kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/event-stream")))
}
