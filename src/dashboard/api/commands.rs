//! What is done: commands, and news for the daemon.

use super::asked::{Asked, Sent};
use super::bad;
use super::openapi::Operation;
use crate::dashboard::who::{Caller, OUTCOME};
use crate::dashboard::{Ask, Front, Problem, Routes};
use crate::model::Role::{Admin, Operator};
use crate::model::controls::ControlSpec;
use crate::model::{Answer, Command, Name, ServiceView};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

pub(super) fn routes() -> Routes {
    let about = "The answer comes when the outcome is known: 200 if what was asked for is so, 409 if it is not. 202 without \
                 waiting, or where it takes more than five minutes.";
    Routes::default()
        .post(Operator, "/api/v1/commands", command)
        .about(
            Operation::new("Has something done")
                .more(about)
                .asks::<Patience>()
                .takes::<Command>()
                .answers::<Answer>()
                .also(202),
        )
        .post(Admin, "/api/v1/reload", reload)
        .about(
            Operation::new("Reads the rules anew")
                .more("409 if they have mistakes: `detail` is the report, and the old ones stay in effect.")
                .answers::<Answer>(),
        )
}

pub(super) fn of_machine() -> Routes {
    Routes::default()
        .post(Operator, "/api/v1/nudges", nudge)
        .about(Operation::new("A supervisor has news of a service").of_socket().takes::<Nudge>().empty(202))
}

/// How long one who does not want to wait waits for a refusal.
const REFUSAL: Duration = Duration::from_millis(300);

/// Whether the outcome is waited for.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Patience {
    /// Whether the outcome is waited for; it is, where this is missing.
    wait: Option<bool>,
}

async fn command(
    State(front): State<Arc<Front>>,
    caller: Caller,
    Asked(patience, _): Asked<Patience>,
    Sent(command): Sent<Command>,
) -> Result<Response, Problem> {
    if let Command::Write { incident, service, .. } = &command {
        of_incident(&front, *incident, service).await?;
    }
    let answer = front.command(&caller, command);
    let wait = patience.wait.unwrap_or(true);
    match tokio::time::timeout(if wait { OUTCOME } else { REFUSAL }, answer).await {
        Ok(answer) => told(answer?),
        Err(_) => {
            let words = if wait { "still under way, look at the status later" } else { "under way" };
            Ok((StatusCode::ACCEPTED, Json(Answer { ok: true, words: words.to_owned() })).into_response())
        }
    }
}

/// Refuses what would be written of another service than the incident's. The daemon itself knows only those that are open.
async fn of_incident(front: &Front, id: u64, service: &Name) -> Result<(), Problem> {
    let snapshot = front.snapshot().await?;
    // One that has just begun is on its way into the store.
    let its = |view: &ServiceView| view.incident.as_ref().is_some_and(|incident| incident.id == id);
    let whose = match snapshot.services.iter().find(|view| its(view)) {
        Some(view) => Arc::clone(&view.name),
        None => front.incident(id).await?.service,
    };
    if whose == *service {
        return Ok(());
    }
    let words = if whose.is_empty() { "of no service".to_owned() } else { format!("of {whose}") };
    Err(Problem::new(StatusCode::CONFLICT, "Not done", format!("incident {id} is {words}; nothing was written")))
}

async fn reload(State(front): State<Arc<Front>>, caller: Caller) -> Result<Response, Problem> {
    told(front.act(&caller, "reload the rules", Ask::Reload).await?)
}

/// An outcome: what was not done is a problem.
pub(super) fn told(answer: Answer) -> Result<Response, Problem> {
    if answer.ok {
        Ok(Json(answer).into_response())
    } else {
        Err(Problem::new(StatusCode::CONFLICT, "Not done", answer.words))
    }
}

/// The longest name of a service that is handed on.
const NAME: usize = 512;

/// What a supervisor has news of.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nudge {
    /// The supervisor, by the word of its control.
    #[schemars(extend("enum" = ControlSpec::NAMES.iter().map(|(name, _)| *name).collect::<Vec<_>>()))]
    control: String,
    /// The service, by its supervisor's name.
    #[schemars(length(max = NAME))]
    name: String,
}

/// A supervisor, or what it has told, says that a service of its has changed. 202: the control is asked, or nobody cares.
async fn nudge(State(front): State<Arc<Front>>, Sent(nudge): Sent<Nudge>) -> Result<StatusCode, Problem> {
    let known = ControlSpec::NAMES.iter().find(|(name, _)| *name == nudge.control);
    let (control, _) = known.ok_or_else(|| bad("`control` is none that there is"))?;
    if nudge.name.len() > NAME {
        return Err(bad(format!("`name` is longer than {NAME} bytes")));
    }
    let ask = Ask::Nudge { control, name: nudge.name.into() };
    front.asks.send(ask).await.map_err(|_| Problem::ending())?;
    Ok(StatusCode::ACCEPTED)
}
