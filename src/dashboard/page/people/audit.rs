//! Who did what, from where, and what came of it.

use crate::dashboard::api::Asked;
use crate::dashboard::page::words::{Here, Moment, Page, filters};
use crate::dashboard::problem::{ProblemPage, render};
use crate::dashboard::who::Caller;
use crate::dashboard::{AuditFilter, Front};
use crate::model::Audit;
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use std::sync::Arc;

/// So many on a page.
const SHOWN: usize = 100;

#[derive(Template)]
#[template(path = "audit.html")]
struct Audits {
    page: Page,
    moment: Moment,
    audits: Vec<Audit>,
    who: Option<String>,
    /// Where the older ones begin, if there are any.
    older: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Which {
    who: Option<String>,
    before: Option<u64>,
}

pub(super) async fn show(
    State(front): State<Arc<Front>>,
    caller: Caller,
    Asked(which, _): Asked<Which>,
) -> Result<Response, ProblemPage> {
    let who = which.who.filter(|who| !who.is_empty());
    let filter = AuditFilter { who: who.clone(), before: which.before, limit: SHOWN + 1, ..AuditFilter::default() };
    let mut audits = front.look(move |history| history.audits(&filter)).await?;
    let has_older = audits.len() > SHOWN;
    audits.truncate(SHOWN);
    let older = audits.last().filter(|_| has_older).map(|last| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        if let Some(who) = &who {
            query.append_pair("who", who);
        }
        query.append_pair("before", &last.id.to_string()).finish()
    });
    let page = Page::new(Here::Elsewhere, "Who did what – minder".to_owned()).of(caller.clone());
    let moment = Moment::of(front.clock.now().wall, &caller);
    Ok(render(&Audits { page, moment, audits, who, older }))
}
