//! Whether a request that changes something is meant by the one whose browser sends it, or made by a page of somebody else's.

use super::{Caller, Proof, secret};
use crate::dashboard::{Front, MAX_BODY, Problem, is_sent_as};
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use url::form_urlencoded;

/// The field of a form, and the header of a script, that bring back [`Caller::csrf`].
const FIELD: &str = "csrf";
const HEADER: &str = "x-csrf-token";

fn refused(detail: &str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "Not sent from here", detail)
}

/// Whether the browser says that another site's page sends this. One that says nothing is believed: it may be no browser.
pub(in crate::dashboard) fn is_from_elsewhere(front: &Front, headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if let Some(site) = text("sec-fetch-site") {
        return !matches!(site, "same-origin" | "none");
    }
    // Pages whose policy is to send no referrer have the origin `null`: it tells nothing.
    let Some(origin) = text(ORIGIN.as_str()).filter(|origin| *origin != "null") else { return false };
    let authority = |url: &str| url.split_once("://").map(|(_, rest)| rest.split('/').next().unwrap_or("").to_owned());
    let from = authority(origin);
    let plan = front.plan();
    // Behind a proxy `Host` may be the name by which the proxy reaches us.
    let ours = [text(HOST.as_str()).map(str::to_owned), plan.dashboard.url.as_deref().and_then(authority)];
    from.is_none() || !ours.into_iter().flatten().any(|ours| from.as_deref() == Some(&*ours))
}

/// Lets a request pass that this caller means. Its body is read and put back, if it is a form.
pub(super) async fn check(front: &Front, caller: &Caller, request: Request) -> Result<Request, Problem> {
    if !matches!(caller.proof, Proof::Session(_) | Proof::Proxy) {
        return Ok(request);
    }
    if is_from_elsewhere(front, request.headers()) {
        return Err(refused("The page of another site has sent this, and nothing was done."));
    }
    let is_good = |token: &str| !caller.csrf.is_empty() && secret::same(token, &caller.csrf);
    let header = request.headers().get(HEADER).and_then(|value| value.to_str().ok());
    if header.is_some_and(is_good) {
        return Ok(request);
    }
    if is_sent_as(request.headers(), "application/x-www-form-urlencoded") {
        let (head, body) = request.into_parts();
        let body = to_bytes(body, MAX_BODY).await.map_err(|_| {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "Too long", "What was sent is longer than minder reads.")
        })?;
        if form_urlencoded::parse(&body).any(|(name, value)| name == FIELD && is_good(&value)) {
            return Ok(Request::from_parts(head, Body::from(body)));
        }
    }
    let detail = "This was sent by a page that was fetched before you signed in, or by no page of minder's. Nothing was done: \
                  go back, reload the page, and try again. A program signs in with a token.";
    Err(refused(detail))
}
