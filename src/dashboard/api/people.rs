//! Who is signed in, and who did what, as JSON.

use super::{Asked, bad};
use crate::dashboard::who::Caller;
use crate::dashboard::{AuditFilter, Front, Problem};
use crate::model::{Answer, Audit, Wall};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    who: Option<String>,
    from: Option<i64>,
    before: Option<u64>,
    limit: Option<usize>,
}

/// Who did what, the newest first.
pub(super) async fn audit(
    State(front): State<Arc<Front>>,
    Asked(which): Asked<Which>,
) -> Result<Json<Vec<Audit>>, Problem> {
    let limit = which.limit.unwrap_or(100).min(10_000);
    let filter = AuditFilter { who: which.who, from: which.from.map(Wall), before: which.before, limit };
    front.look(move |history| history.audits(&filter)).await.map(Json)
}

/// A session as it is shown: nothing of it lets anybody in.
#[derive(Serialize)]
pub(super) struct Shown {
    /// What it is ended by.
    key: String,
    user: String,
    began: Wall,
    used: Wall,
    from: String,
    agent: String,
}

/// One's own sessions; all of them for an admin.
pub(super) async fn sessions(State(front): State<Arc<Front>>, caller: Caller) -> Json<Vec<Shown>> {
    let sessions = front.sessions().into_iter().filter(|session| caller.may_see(session));
    let shown = sessions.map(|s| Shown {
        key: s.key,
        user: s.user,
        began: s.began,
        used: s.used,
        from: s.from,
        agent: s.agent,
    });
    Json(shown.collect())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    key: String,
}

pub(super) async fn end_session(
    State(front): State<Arc<Front>>,
    caller: Caller,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Answer>, Problem> {
    let body = body.map_err(|e| Problem::new(e.status(), "Not understood", e.body_text()))?;
    let end: End = serde_json::from_slice(&body).map_err(|e| bad(format!("not a session to end: {e}")))?;
    let user = front.end_session_of(&caller, &end.key).await?;
    Ok(Json(Answer { ok: true, words: format!("the session of {user} is over") }))
}
