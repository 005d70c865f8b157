//! What went wrong with a request: as JSON for programs, as a page for people.

use super::page::{Here, Page, filters};
use askama::Template;
use axum::http::header::CONTENT_TYPE;
use axum::http::{StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use serde::Serialize;

/// What went wrong: the body of every error under `/api`, after RFC 9457.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
    pub(super) fn no_service(name: &str) -> Problem {
        let name: String = name.chars().take(100).collect();
        Problem::new(StatusCode::NOT_FOUND, "No such service", format!("minder watches no service named “{name}”"))
    }
    pub(super) fn no_session() -> Problem {
        let detail = "There is no such session, or no longer, or it is somebody else's.";
        Problem::new(StatusCode::NOT_FOUND, "No such session", detail)
    }
    fn code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.code(), [(CONTENT_TYPE, "application/problem+json")], axum::Json(self)).into_response()
    }
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
    if uri.path().starts_with("/api/") { problem.into_response() } else { ProblemPage(problem).into_response() }
}
