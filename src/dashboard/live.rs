//! The stream of changes, as server-sent events.

use super::who::Caller;
use super::{Front, Problem};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;

/// Every change as it happens. Whoever is too slow is told `missed`, and should look anew; so should whoever connects again.
pub(super) async fn follow(State(front): State<Arc<Front>>, caller: Caller) -> Response {
    let Some(stream) = front.streams.enter(&caller.from) else {
        let detail = "Too many pages follow along. Close some, or reload by hand.";
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Too many streams", detail).into_response();
    };
    let changes = front.changes.subscribe();
    let first = Event::default().event("hello").retry(Duration::from_secs(2)).data("");
    let events = stream::unfold((changes, stream, Some(first)), |(mut changes, stream, first)| async move {
        let event = match first {
            Some(first) => first,
            None => match changes.recv().await {
                Ok(change) => {
                    let event = Event::default().event("change").id(change.number.to_string());
                    event.json_data(&*change).unwrap_or_default()
                }
                Err(RecvError::Lagged(_)) => Event::default().event("missed").data(""),
                Err(RecvError::Closed) => return None,
            },
        };
        Some((Ok::<_, Infallible>(event), (changes, stream, None)))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))).into_response()
}
