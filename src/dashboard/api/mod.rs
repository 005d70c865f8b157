//! The same as the pages, as JSON under `/api/v1`; and the commands.

pub(super) mod beat;
pub(super) mod messages;
mod people;
mod report;

pub use beat::Whose;
pub use report::reports;

use super::who::{Caller, OUTCOME};
use super::{Ask, Bar, EventFilter, Front, IncidentFilter, Problem, Routes, Samples};
use crate::model::Role::{Admin, Viewer};
use crate::model::controls::ControlSpec;
use crate::model::{Answer, Command, Event, Incident, ServiceView, Snapshot, Wall};
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;

pub(super) fn routes() -> Routes {
    Routes::default()
        .get(Viewer, "/api/v1/status", status)
        .get(Viewer, "/api/v1/services/{name}", service)
        .get(Viewer, "/api/v1/services/{name}/checks/{check}/samples", samples)
        .get(Viewer, "/api/v1/services/{name}/checks/{check}/bars", bars)
        .get(Viewer, "/api/v1/events", events)
        .get(Viewer, "/api/v1/incidents", incidents)
        .get(Viewer, "/api/v1/messages", messages::list)
        .get(Viewer, "/api/v1/messages/{id}", messages::one)
        .get(Admin, "/api/v1/audit", people::audit)
        .get(Viewer, "/api/v1/sessions", people::sessions)
        .post(Viewer, "/api/v1/sessions/end", people::end_session)
        .get(None, "/api/v1/heartbeat/{secret}", beat::well)
        .post(None, "/api/v1/heartbeat/{secret}", beat::well)
        .get(None, "/api/v1/heartbeat/{secret}/{what}", beat::told)
        .post(None, "/api/v1/heartbeat/{secret}/{what}", beat::told)
}

/// How long one who does not want to wait waits for a refusal.
const REFUSAL: Duration = Duration::from_millis(300);
/// In milliseconds.
const HOUR: i64 = 3_600_000;
/// Its last second, in milliseconds since 1970.
const YEAR_9999: i64 = 253_402_300_799_000;

/// The query of a request, where an unknown key is an error that names it.
pub(super) struct Asked<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Asked<T>, Problem> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query.map(|Query(query)| Asked(query)).map_err(|e| bad(e.body_text()))
    }
}

pub(super) fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "Not understood", detail)
}

fn known<'a>(snapshot: &'a Snapshot, name: &str) -> Result<&'a ServiceView, Problem> {
    snapshot.services.iter().find(|s| &*s.name == name).ok_or_else(|| Problem::no_service(name))
}

pub(super) async fn status(State(front): State<Arc<Front>>) -> Result<Json<Arc<Snapshot>>, Problem> {
    front.snapshot().await.map(Json)
}

pub(super) async fn service(
    State(front): State<Arc<Front>>,
    Path(name): Path<String>,
) -> Result<Json<ServiceView>, Problem> {
    let snapshot = front.snapshot().await?;
    known(&snapshot, &name).map(|service| Json(service.clone()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Range {
    from: Option<i64>,
    to: Option<i64>,
    limit: Option<usize>,
    buckets: Option<usize>,
}

impl Range {
    /// The last hour, where nothing else is said. Times are kept to what people have: no sum of them can overflow.
    fn times(&self, now: Wall) -> Result<(Wall, Wall), Problem> {
        let sane = |at: i64| at.clamp(0, YEAR_9999);
        let to = sane(self.to.unwrap_or(now.0));
        let from = sane(self.from.unwrap_or(to - HOUR));
        if from >= to {
            return Err(bad("`from` must be before `to`; both are milliseconds since 1970"));
        }
        Ok((Wall(from), Wall(to)))
    }
}

async fn known_check(front: &Front, name: &str, check: &str) -> Result<Arc<Snapshot>, Problem> {
    let snapshot = front.snapshot().await?;
    if !known(&snapshot, name)?.checks.iter().any(|c| &*c.name == check) {
        let detail = format!("The service “{name}” has no check of this name");
        return Err(Problem::new(StatusCode::NOT_FOUND, "No such check", detail));
    }
    Ok(snapshot)
}

pub(super) async fn samples(
    State(front): State<Arc<Front>>,
    Path((name, check)): Path<(String, String)>,
    Asked(range): Asked<Range>,
) -> Result<Json<Samples>, Problem> {
    let snapshot = known_check(&front, &name, &check).await?;
    let (from, to) = range.times(snapshot.at)?;
    let limit = range.limit.unwrap_or(1000).min(100_000);
    front.look(move |history| history.samples(&name, &check, from, to, limit)).await.map(Json)
}

pub(super) async fn bars(
    State(front): State<Arc<Front>>,
    Path((name, check)): Path<(String, String)>,
    Asked(range): Asked<Range>,
) -> Result<Json<Vec<Bar>>, Problem> {
    let snapshot = known_check(&front, &name, &check).await?;
    let (from, to) = range.times(snapshot.at)?;
    let buckets = range.buckets.unwrap_or(30).clamp(1, 1000);
    front.look(move |history| history.bars(&name, &check, from, to, buckets)).await.map(Json)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    service: Option<String>,
    kind: Option<String>,
    incident: Option<u64>,
    from: Option<i64>,
    before: Option<u64>,
    limit: Option<usize>,
}

impl Which {
    fn limit(&self) -> usize {
        self.limit.unwrap_or(100).min(10_000)
    }
}

pub(super) async fn events(
    State(front): State<Arc<Front>>,
    Asked(which): Asked<Which>,
) -> Result<Json<Vec<Event>>, Problem> {
    let filter = EventFilter {
        limit: which.limit(),
        service: which.service.map(Into::into),
        kind: which.kind,
        incident: which.incident,
        from: which.from.map(Wall),
        before: which.before,
    };
    front.look(move |history| history.events(&filter)).await.map(Json)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Newest {
    id: Option<u64>,
    service: Option<String>,
    limit: Option<usize>,
}

pub(super) async fn incidents(
    State(front): State<Arc<Front>>,
    Asked(newest): Asked<Newest>,
) -> Result<Json<Vec<Incident>>, Problem> {
    let limit = newest.limit.unwrap_or(100).min(10_000);
    let service = newest.service.map(Into::into);
    let filter = IncidentFilter { id: newest.id, service, limit, ..IncidentFilter::default() };
    front.look(move |history| history.incidents(&filter)).await.map(Json)
}

/// The longest name of a service that is handed on.
const NAME: usize = 512;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nudge {
    control: String,
    name: String,
}

/// A supervisor, or what it has told, says that a service of its has changed. 202: the control is asked, or nobody cares.
pub(super) async fn nudge(
    State(front): State<Arc<Front>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Problem> {
    let body = body.map_err(|e| Problem::new(e.status(), "Not understood", e.body_text()))?;
    let nudge: Nudge = serde_json::from_slice(&body).map_err(|e| bad(format!("not a nudge: {e}")))?;
    let known = ControlSpec::NAMES.iter().find(|(name, _)| *name == nudge.control);
    let (control, _) = known.ok_or_else(|| bad("`control` is none that there is"))?;
    if nudge.name.len() > NAME {
        return Err(bad(format!("`name` is longer than {NAME} bytes")));
    }
    let ask = Ask::Nudge { control, name: nudge.name.into() };
    front.asks.send(ask).await.map_err(|_| Problem::ending())?;
    Ok(StatusCode::ACCEPTED)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Patience {
    #[serde(default = "yes")]
    wait: bool,
}

fn yes() -> bool {
    true
}

/// 200 when what was asked for is so, 409 when it is not, 202 for one who does not wait.
pub(super) async fn command(
    State(front): State<Arc<Front>>,
    caller: Caller,
    Asked(patience): Asked<Patience>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body = body.map_err(|e| Problem::new(e.status(), "Not understood", e.body_text()))?;
    let command: Command = serde_json::from_slice(&body).map_err(|e| bad(format!("not a command: {e}")))?;
    let answer = front.command(&caller, command);
    let limit = if patience.wait { OUTCOME } else { REFUSAL };
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => Ok(told(answer?)),
        Err(_) => {
            let words = if patience.wait { "still under way, look at the status later" } else { "under way" };
            Ok((StatusCode::ACCEPTED, Json(Answer { ok: true, words: words.to_owned() })).into_response())
        }
    }
}

pub(super) async fn reload(State(front): State<Arc<Front>>, caller: Caller) -> Result<Response, Problem> {
    front.act(&caller, "reload the rules", Ask::Reload).await.map(told)
}

pub(super) fn told(answer: Answer) -> Response {
    (if answer.ok { StatusCode::OK } else { StatusCode::CONFLICT }, Json(answer)).into_response()
}
