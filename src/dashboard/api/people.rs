//! Who is signed in, and who did what, as JSON.

use super::asked::{Asked, Page, Sent, length};
use super::openapi::Operation;
use crate::dashboard::who::Caller;
use crate::dashboard::{AuditFilter, Front, Problem, Routes};
use crate::model::Role::{Admin, Viewer};
use crate::model::{Answer, Audit, Wall};
use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroUsize;
use std::sync::Arc;

pub(super) fn routes() -> Routes {
    Routes::default()
        .get(Admin, "/api/v1/audit", audit)
        .about(Operation::new("Who did what, the newest first").asks::<Which>().pages::<Audit>())
        .get(Viewer, "/api/v1/sessions", sessions)
        .about(Operation::new("One's own sessions; all of them for an admin").answers::<Vec<Shown>>())
        .post(Viewer, "/api/v1/sessions/end", end_session)
        .about(Operation::new("Ends a session").takes::<End>().answers::<Answer>())
}

/// Which deeds to show: those that match all of what is given.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Which {
    /// Of this one.
    who: Option<String>,
    /// From then on.
    from: Option<Wall>,
    /// With a smaller number than this: the next page.
    before: Option<u64>,
    /// At most so many: 100 where this is missing, and never more than 1000.
    limit: Option<NonZeroUsize>,
}

async fn audit(State(front): State<Arc<Front>>, Asked(which, address): Asked<Which>) -> Result<Page<Audit>, Problem> {
    let length = length(which.limit);
    let filter = AuditFilter { who: which.who, from: which.from, before: which.before, limit: length + 1 };
    let found = front.look(move |history| history.audits(&filter)).await?;
    Ok(Page::new(found, length, &address, "before", |audit: &Audit| audit.id.to_string()))
}

/// A session as it is shown: nothing of it lets anybody in.
#[derive(Serialize, JsonSchema)]
struct Shown {
    /// What it is ended by.
    key: String,
    /// Who.
    user: String,
    /// When it began.
    began: Wall,
    /// When it was last used, to some minutes.
    used: Wall,
    /// The address that it was signed in from.
    from: String,
    /// What the browser calls itself, shortened.
    agent: String,
}

async fn sessions(State(front): State<Arc<Front>>, caller: Caller) -> Json<Vec<Shown>> {
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

/// Which session to end.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct End {
    /// Its key.
    key: String,
}

async fn end_session(
    State(front): State<Arc<Front>>,
    caller: Caller,
    Sent(end): Sent<End>,
) -> Result<Json<Answer>, Problem> {
    let user = front.end_session_of(&caller, &end.key).await?;
    Ok(Json(Answer { ok: true, words: format!("the session of {user} is over") }))
}
