//! Who is signed in: one's own sessions, and all of them for an admin.

use super::field;
use crate::dashboard::Front;
use crate::dashboard::page::words::{Here, Moment, Page, filters};
use crate::dashboard::problem::{ProblemPage, render};
use crate::dashboard::who::{self, Caller};
use crate::model::{Role, Session};
use askama::Template;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use std::sync::Arc;

#[derive(Template)]
#[template(path = "sessions.html")]
struct Sessions<'a> {
    page: Page,
    moment: Moment,
    asking: &'a Caller,
    sessions: Vec<Session>,
    all: bool,
}

pub(super) async fn show(State(front): State<Arc<Front>>, caller: Caller) -> Result<Response, ProblemPage> {
    let moment = Moment::of(front.clock.now().wall, &caller);
    let mut sessions = front.sessions();
    sessions.retain(|session| caller.may_see(session));
    let page = Page::new(Here::Elsewhere, "Signed in – minder".to_owned()).of(caller.clone());
    Ok(render(&Sessions { page, moment, all: caller.may(Role::Admin), asking: &caller, sessions }))
}

pub(super) async fn end(State(front): State<Arc<Front>>, caller: Caller, body: Bytes) -> Result<Response, ProblemPage> {
    front.end_session_of(&caller, &field(&body, "key")).await?;
    Ok(who::see_other("/sessions"))
}
