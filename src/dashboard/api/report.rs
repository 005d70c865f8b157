//! How processes ended, as their own `finish` scripts report it: on a socket of its own, which every user of this machine may
//! connect to, and which takes nothing else. The daemon believes root, and whoever owned the process.

use crate::dashboard::{Ask, Front, Problem, who::Peer};
use crate::model::{EndReport, Exit};
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Extension, Router};
use std::sync::Arc;

/// The longest report.
const MAX_BODY: usize = 4 << 10;

/// The router for the socket of reports.
pub fn reports(front: Arc<Front>) -> Router {
    Router::new().route(EndReport::PATH, post(take)).layer(DefaultBodyLimit::max(MAX_BODY)).with_state(front)
}

async fn take(
    State(front): State<Arc<Front>>,
    Extension(Peer(uid)): Extension<Peer>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Problem> {
    let bad = |detail: String| Problem::new(StatusCode::BAD_REQUEST, "Not understood", detail);
    let body = body.map_err(|e| Problem::new(e.status(), "Not understood", e.body_text()))?;
    let report: EndReport = serde_json::from_slice(&body).map_err(|e| bad(format!("not a report: {e}")))?;
    let EndReport { service, code, status } = report;
    let how = Exit::from_finish(code, status)
        .ok_or_else(|| bad(format!("no process ends with the code {code} and the status {status}")))?;
    if front.ask(|reply| Ask::Ended { uid, service: Arc::clone(&service), how, reply }).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    // The same for a service that there is not: who may not speak of it learns nothing of it.
    let detail = format!("No service “{service}” has a process of yours whose end you could report");
    Err(Problem::new(StatusCode::FORBIDDEN, "Not yours", detail))
}
