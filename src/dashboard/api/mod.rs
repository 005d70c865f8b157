//! The same as the pages, as JSON under `/api/v1`; and the commands.
//!
//! Each route says beside it what it is for, what it takes and what it answers ([`openapi`]).

mod asked;
mod beat;
mod commands;
mod events;
mod incidents;
mod machine;
pub(super) mod messages;
mod openapi;
mod people;
mod plan;
mod report;
mod series;
mod services;
mod stream;

pub(super) use asked::Asked;
pub(super) use beat::GUESSES;
pub use beat::Whose;
pub(super) use openapi::Operation;
pub use report::reports;

use super::{Problem, Routes};
use crate::model::{ServiceView, Snapshot};
use axum::http::StatusCode;

pub(super) fn routes() -> Routes {
    Routes::default()
        .and(openapi::routes())
        .and(services::routes())
        .and(series::routes())
        .and(events::routes())
        .and(incidents::routes())
        .and(machine::routes())
        .and(plan::routes())
        .and(messages::routes())
        .and(beat::routes())
        .and(people::routes())
}

/// What may take longer than other requests.
pub(super) fn slow() -> Routes {
    commands::routes().and(messages::slow())
}

/// What only this machine itself may ask, by the socket.
pub(super) fn of_machine() -> Routes {
    commands::of_machine().and(beat::of_machine())
}

pub(super) fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "Not understood", detail)
}

fn known<'a>(snapshot: &'a Snapshot, name: &str) -> Result<&'a ServiceView, Problem> {
    snapshot.services.iter().find(|s| &*s.name == name).ok_or_else(|| Problem::no_service(name))
}
