//! Messages as JSON under `/api/v1/messages`; and sending again what could not be delivered.

use super::asked::{Asked, Page, Sent, length};
use super::bad;
use super::commands::told;
use super::openapi::Operation;
use crate::dashboard::who::Caller;
use crate::dashboard::{Front, MessageFilter, Problem, Routes};
use crate::model::Role::{Operator, Viewer};
use crate::model::{Answer, MessageId, MessageState, MessageView, Name, Wall};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Deserialize;
use std::num::NonZeroUsize;
use std::sync::Arc;

pub(super) fn routes() -> Routes {
    Routes::default()
        .get(Viewer, "/api/v1/messages", list)
        .about(Operation::new("Messages, the newest first").asks::<Which>().pages::<MessageView>())
        .get(Viewer, "/api/v1/messages/{id}", one)
        .about(Operation::new("A message, and how it came to be told or not").answers::<MessageView>())
}

pub(super) fn slow() -> Routes {
    let about = "409 if one of those that are named is not dead; then none is sent again.";
    Routes::default().post(Operator, "/api/v1/resend", resend).about(
        Operation::new("Sends again what could not be delivered").more(about).takes::<Resend>().answers::<Answer>(),
    )
}

/// So many messages are sent again at one time: as many as may wait for a notifier.
pub(in crate::dashboard) const AGAIN: usize = 1000;

/// Which messages to show: those that match all of what is given.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Which {
    /// That have come so far.
    state: Option<MessageState>,
    /// To this notifier.
    notifier: Option<Name>,
    /// About this service.
    service: Option<Name>,
    /// About this incident.
    incident: Option<u64>,
    /// Written from then on.
    from: Option<Wall>,
    /// With a smaller number than this: the next page.
    before: Option<u64>,
    /// At most so many: 100 where this is missing, and never more than 1000.
    limit: Option<NonZeroUsize>,
}

async fn list(
    State(front): State<Arc<Front>>,
    Asked(which, address): Asked<Which>,
) -> Result<Page<MessageView>, Problem> {
    let length = length(which.limit);
    let Which { state, notifier, service, incident, from, before, limit: _ } = which;
    let filter = MessageFilter { state, notifier, service, incident, from, before, limit: length + 1 };
    let found = front.look(move |history| history.messages(&filter)).await?;
    Ok(Page::new(found, length, &address, "before", |message: &MessageView| message.id.to_string()))
}

async fn one(State(front): State<Arc<Front>>, Path(id): Path<u64>) -> Result<Json<MessageView>, Problem> {
    let found = front.look(move |history| history.message(MessageId(id))).await?;
    found.map(Json).ok_or_else(|| no_message(id))
}

pub(in crate::dashboard) fn no_message(id: u64) -> Problem {
    let detail = format!("minder has no message {id}, or no longer: `minder messages` shows those that there are");
    Problem::new(StatusCode::NOT_FOUND, "No such message", detail)
}

/// Which messages are sent again.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Resend {
    /// These; or, if it is missing, all that are dead.
    #[schemars(length(max = AGAIN))]
    messages: Option<Vec<MessageId>>,
    /// All that are dead to this notifier.
    notifier: Option<String>,
}

/// 200 when the messages wait again, 409 when they do not: all of those that are named, or none.
async fn resend(
    State(front): State<Arc<Front>>,
    caller: Caller,
    Sent(asked): Sent<Resend>,
) -> Result<Response, Problem> {
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
                return told(Answer { ok: false, words });
            }
            found
        }
        (None, notifier) => front.look(move |history| history.all_dead(notifier.as_deref(), AGAIN)).await?,
    };
    // All that there is was done.
    if messages.is_empty() {
        return told(Answer { ok: true, words: "there is nothing to send again".to_owned() });
    }
    told(front.resend(&caller, messages).await?)
}
