//! Signing in, and out.

use super::field;
use crate::dashboard::api::Asked;
use crate::dashboard::page::words::{Here, Page, filters};
use crate::dashboard::problem::{ProblemPage, render};
use crate::dashboard::who::{self, Caller, Reached, Refused};
use crate::dashboard::{Front, Problem};
use crate::model::show_age;
use askama::Template;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn<'a> {
    page: Page,
    /// Where to go then.
    to: &'a str,
    /// What ties the form to this browser.
    form: &'a str,
    /// What went wrong.
    wrong: Option<String>,
    /// Who he said he is.
    user: &'a str,
    /// Somebody can sign in with a password.
    has_users: bool,
    /// Nobody can sign in at all.
    is_open: bool,
}

#[derive(Deserialize)]
pub(super) struct Place {
    to: Option<String>,
}

impl Place {
    fn to(&self) -> &str {
        self.to.as_deref().and_then(who::inner).unwrap_or("/")
    }
}

fn form(
    front: &Front,
    caller: Caller,
    (headers, reached): (&HeaderMap, &Reached),
    (user, to): (&str, &str),
    wrong: Option<String>,
) -> Result<Response, ProblemPage> {
    let (form, cookie) = who::form(headers, reached).ok_or_else(Problem::ending)?;
    let plan = front.plan();
    let page = Page::new(Here::Elsewhere, "Sign in – minder".to_owned()).of(caller);
    let response = render(&SignIn {
        page,
        to,
        form: &form,
        wrong,
        user,
        has_users: plan.dashboard.users.values().any(|user| user.password.is_some()),
        is_open: plan.dashboard.is_open(),
    });
    Ok(who::with_cookies(response, [cookie]))
}

pub(super) async fn show(
    State(front): State<Arc<Front>>,
    caller: Caller,
    reached: Reached,
    Asked(place, _): Asked<Place>,
    headers: HeaderMap,
) -> Result<Response, ProblemPage> {
    form(&front, caller, (&headers, &reached), ("", place.to()), None)
}

pub(super) async fn enter(
    State(front): State<Arc<Front>>,
    caller: Caller,
    reached: Reached,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ProblemPage> {
    if who::is_from_elsewhere(&front, &headers) {
        let detail = "The page of another site has sent this, and nobody was signed in.";
        return Err(Problem::new(StatusCode::FORBIDDEN, "Not sent from here", detail).into());
    }
    let (user, password) = (field(&body, "user"), field(&body, "password"));
    let place = Place { to: Some(field(&body, "to")) };
    let given = (user.trim(), password.as_str(), field(&body, "form"));
    let refused = match front.sign_in(&caller, &reached, &headers, (given.0, given.1, &given.2)).await {
        Ok(cookies) => return Ok(who::with_cookies(who::see_other(place.to()), cookies)),
        Err(refused) => refused,
    };
    let (status, words, wait) = match refused {
        Refused::Form => {
            let words = "This page has lain here for too long, or the browser keeps no cookies. Try again.";
            (StatusCode::FORBIDDEN, words.to_owned(), None)
        }
        Refused::Wait(wait) => {
            // Not a moment too early.
            let wait = Duration::from_secs(wait.as_secs() + 1);
            let words = format!("Too many have tried from here. Try again in {}.", show_age(wait));
            (StatusCode::TOO_MANY_REQUESTS, words, Some(wait))
        }
        Refused::Wrong => (StatusCode::FORBIDDEN, "There is no user of this name with this password.".to_owned(), None),
    };
    let mut response = form(&front, caller, (&headers, &reached), (given.0, place.to()), Some(words))?;
    *response.status_mut() = status;
    if let Some(wait) = wait {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs()));
    }
    Ok(response)
}

pub(super) async fn leave(State(front): State<Arc<Front>>, caller: Caller, reached: Reached) -> Response {
    let cookie = front.sign_out(&caller, &reached).await;
    who::with_cookies(who::see_other("/sign-in"), cookie)
}
