//! `/healthz` and `/readyz`: whether minder itself is there and at work, for whoever supervises it. Everybody may ask, and is told
//! nothing else.

use super::api::Operation;
use super::{Ask, Front, Problem, Routes};
use crate::model::{CheckView, ServiceView, Snapshot, Status, Vitals, Wall};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

pub(super) fn routes() -> Routes {
    Routes::default()
        .get(None, "/healthz", healthz)
        .about(Operation::new("Whether minder answers").answers::<Health>())
        .get(None, "/readyz", readyz)
        .about(Operation::new("Whether minder does all of its work; 503 with the reason if not").answers::<Health>())
}

/// So long after the start the first answer of a check is waited for. What has not come by then is the affair of its rules.
const FIRST_ROUND: Duration = Duration::from_secs(120);

/// That it is so.
#[derive(Serialize, JsonSchema)]
struct Health {
    /// Always: otherwise it is a problem.
    ok: bool,
    /// By minder's clock.
    at: Wall,
}

/// The loop answers: that is what being healthy means.
async fn healthz(State(front): State<Arc<Front>>) -> Result<Json<Health>, Problem> {
    Ok(Json(Health { ok: true, at: front.snapshot().await?.at }))
}

/// It does all of its work: by rules, on what it has seen itself, and with a disk under its memory.
async fn readyz(State(front): State<Arc<Front>>) -> Result<Json<Health>, Problem> {
    let (snapshot, vitals) = (front.snapshot().await?, front.ask(Ask::Vitals).await?);
    match not_ready(&snapshot, &vitals) {
        None => Ok(Json(Health { ok: true, at: snapshot.at })),
        Some(why) => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Not ready", why)),
    }
}

fn not_ready(snapshot: &Snapshot, vitals: &Vitals) -> Option<String> {
    if vitals.store_trouble {
        return Some("The state on disk cannot be written.".to_owned());
    }
    let is_judged = |service: &&ServiceView| !matches!(service.status, Status::Paused | Status::Stopped);
    // A heartbeat is not asked: it comes when it comes.
    let is_awaited = |check: &&CheckView| check.at.is_none() && check.kind != "heartbeat";
    let judged = snapshot.services.iter().filter(is_judged);
    let awaited = judged.flat_map(|service| &service.checks).filter(is_awaited).count();
    let checks = if awaited == 1 { "1 check has" } else { &format!("{awaited} checks have") };
    (awaited > 0 && snapshot.at - snapshot.since < FIRST_ROUND).then(|| format!("{checks} not been answered yet."))
}
