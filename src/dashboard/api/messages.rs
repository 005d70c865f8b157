//! Messages as JSON under `/api/v1/messages`; and sending again what could not be delivered.

use super::{Asked, bad, told};
use crate::dashboard::who::Caller;
use crate::dashboard::{Ask, Front, MessageFilter, Problem};
use crate::model::{Answer, MessageId, MessageState, MessageView, Wall};
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use std::sync::Arc;

/// So many messages are sent again at one time: as many as may wait for a notifier.
pub(in crate::dashboard) const AGAIN: usize = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    state: Option<MessageState>,
    notifier: Option<String>,
    service: Option<String>,
    incident: Option<u64>,
    from: Option<i64>,
    before: Option<u64>,
    limit: Option<usize>,
}

pub(super) async fn list(
    State(front): State<Arc<Front>>,
    Asked(which): Asked<Which>,
) -> Result<Json<Vec<MessageView>>, Problem> {
    let filter = MessageFilter {
        state: which.state,
        notifier: which.notifier.map(Into::into),
        service: which.service.map(Into::into),
        incident: which.incident,
        from: which.from.map(Wall),
        before: which.before,
        limit: which.limit.unwrap_or(100),
    };
    front.look(move |history| history.messages(&filter)).await.map(Json)
}

pub(super) async fn one(State(front): State<Arc<Front>>, Path(id): Path<String>) -> Result<Json<MessageView>, Problem> {
    let id = id.parse().map_err(|_| bad("the number of a message is needed"))?;
    let found = front.look(move |history| history.message(MessageId(id))).await?;
    found.map(Json).ok_or_else(|| no_message(id))
}

pub(in crate::dashboard) fn no_message(id: u64) -> Problem {
    let detail = format!("minder has no message {id}, or no longer: `minder messages` shows those that there are");
    Problem::new(StatusCode::NOT_FOUND, "No such message", detail)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resend {
    /// These; or, if it is missing, all that are dead.
    messages: Option<Vec<MessageId>>,
    /// All to this notifier.
    notifier: Option<String>,
}

/// 200 when the messages wait again, 409 when they do not: all of those that are named, or none.
pub(in crate::dashboard) async fn resend(
    State(front): State<Arc<Front>>,
    caller: Caller,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body = body.map_err(|e| Problem::new(e.status(), "Not understood", e.body_text()))?;
    let asked: Resend = serde_json::from_slice(&body).map_err(|e| bad(format!("not a request to send again: {e}")))?;
    let messages = match (asked.messages, asked.notifier) {
        (Some(_), Some(_)) => return Err(bad("give `messages` or `notifier`, not both")),
        (Some(ids), None) if ids.len() > AGAIN => return Err(bad(format!("at most {AGAIN} messages at a time"))),
        (Some(ids), None) => {
            let wanted = ids.clone();
            let found = front.look(move |history| history.dead(&wanted)).await?;
            if let Some(id) = ids.into_iter().find(|id| found.iter().all(|message| message.id != *id)) {
                let known = front.look(move |history| history.message(id)).await?.ok_or_else(|| no_message(id.0))?;
                let words = format!(
                    "message {} is not dead but {}, and nothing was sent again: `minder explain --message {}` says why",
                    id.0,
                    known.state.word(),
                    id.0
                );
                return Ok(told(Answer { ok: false, words }));
            }
            found
        }
        (None, notifier) => front.look(move |history| history.all_dead(notifier.as_deref(), AGAIN)).await?,
    };
    // All that there is was done.
    if messages.is_empty() {
        return Ok(told(Answer { ok: true, words: "there is nothing to send again".to_owned() }));
    }
    let numbers: Vec<String> = messages.iter().map(|message| message.id.0.to_string()).collect();
    let what = format!("send again message {}", numbers.join(", "));
    let who = Arc::clone(&caller.name);
    front.act(&caller, what, |reply| Ask::Resend { who, messages, reply }).await.map(told)
}
