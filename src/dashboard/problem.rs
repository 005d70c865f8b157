//! What went wrong with a request: as JSON for programs, as a page for people.

use super::page::{Here, Page, filters};
use crate::model::plain;
use askama::Template;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

/// What went wrong: the body of every error under `/api`, after RFC 9457.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// In a few words.
    pub title: &'static str,
    /// What it is, and what to do.
    pub detail: String,
    /// The HTTP status.
    pub status: u16,
}

impl Problem {
    pub(super) fn new(status: StatusCode, title: &'static str, detail: impl Into<String>) -> Problem {
        Problem { title, detail: detail.into(), status: status.as_u16() }
    }
    pub(super) fn ending() -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "No answer", "minder is ending, or has just started; try again")
    }
    pub(super) fn history(why: String) -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "The history cannot be read", why)
    }
    pub(super) fn too_many_streams() -> Problem {
        let detail = "Too many pages follow along. Close some, or reload by hand.";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Too many streams", detail)
    }
    pub(super) fn no_service(name: &str) -> Problem {
        let name: String = name.chars().take(100).collect();
        Problem::new(StatusCode::NOT_FOUND, "No such service", format!("minder watches no service named “{name}”"))
    }
    pub(super) fn no_incident(id: u64) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "No such incident", format!("minder has no incident {id}, or no longer."))
    }
    pub(super) fn no_session() -> Problem {
        let detail = "There is no such session, or no longer, or it is somebody else's.";
        Problem::new(StatusCode::NOT_FOUND, "No such session", detail)
    }
    fn code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

/// A problem as programs read it, after RFC 9457.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(super) struct ProblemBody<'a> {
    /// What kind it is, for programs: `urn:minder:problem:no-such-service`.
    r#type: String,
    /// The same for people.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// What it is in this case, and what to do.
    detail: &'a str,
}

/// What the media type of a problem is.
pub(super) const PROBLEM: &str = "application/problem+json";

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let kind = self.title.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let body = ProblemBody {
            r#type: format!("urn:minder:problem:{kind}"),
            title: self.title,
            status: self.status,
            detail: &self.detail,
        };
        (self.code(), [(CONTENT_TYPE, PROBLEM)], axum::Json(body)).into_response()
    }
}

/// The longest text of an error that is handed on.
const LONGEST: usize = 4 << 10;

/// Makes a problem of every other error that programs meet: of those that the router and its layers make themselves, of which some
/// have a text and some have nothing.
pub(super) async fn explain(request: Request, next: Next) -> Response {
    let is_api = is_api(request.uri());
    let response = next.run(request).await;
    let status = response.status();
    let is_problem = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == PROBLEM);
    if !is_api || is_problem || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (head, body) = response.into_parts();
    let text = to_bytes(body, LONGEST).await.unwrap_or_default();
    let text = plain(String::from_utf8_lossy(&text).trim()).into_owned();
    let (title, words) = match status {
        StatusCode::METHOD_NOT_ALLOWED => ("Not with this method", "`Allow` names the methods that there are here"),
        StatusCode::PAYLOAD_TOO_LARGE => ("Too large", "The body is longer than 64 KiB"),
        StatusCode::SERVICE_UNAVAILABLE => ("No answer in time", "It took too long; try again, or ask for less"),
        StatusCode::BAD_REQUEST => ("Not understood", "The request is not understood"),
        _ => ("Not done", "The request could not be answered"),
    };
    let problem = Problem::new(status, title, if text.is_empty() { words.to_owned() } else { text });
    let mut answer = problem.into_response();
    // `Allow` above all.
    for (name, value) in &head.headers {
        if ![CONTENT_TYPE, CONTENT_LENGTH].contains(name) {
            answer.headers_mut().insert(name, value.clone());
        }
    }
    answer
}

/// What programs ask, and is described to them.
pub(super) fn is_api(uri: &Uri) -> bool {
    uri.path().starts_with("/api/") || matches!(uri.path(), "/metrics" | "/healthz" | "/readyz" | "/status.json")
}

/// A problem, told as a page.
pub(super) struct ProblemPage(pub Problem);

impl From<Problem> for ProblemPage {
    fn from(problem: Problem) -> ProblemPage {
        ProblemPage(problem)
    }
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemTemplate {
    page: Page,
    problem: Problem,
}

impl IntoResponse for ProblemPage {
    fn into_response(self) -> Response {
        let code = self.0.code();
        let page = Page::new(Here::Elsewhere, self.0.title.to_owned());
        (code, render(&ProblemTemplate { page, problem: self.0 })).into_response()
    }
}

/// A template as a response.
pub(super) fn render(template: &impl Template) -> Response {
    match template.render() {
        Ok(text) => Html(text).into_response(),
        Err(e) => {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "The page cannot be shown", e.to_string()).into_response()
        }
    }
}

/// Whatever no route is for.
pub(super) async fn nothing_here(uri: Uri) -> Response {
    let problem = Problem::new(StatusCode::NOT_FOUND, "Nothing here", "There is no such page.");
    if is_api(&uri) { problem.into_response() } else { ProblemPage(problem).into_response() }
}
