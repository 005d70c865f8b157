//! What comes with a request, and lists in pages.

use super::bad;
use crate::dashboard::{Problem, is_sent_as};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::header::LINK;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::num::NonZeroUsize;

/// So much of a list is a page, where nothing else is said.
const PAGE: usize = 100;
/// The longest page.
pub(super) const LONGEST_PAGE: usize = 1000;

/// The query of a request, where an unknown key is an error that names it; and the address that was asked.
pub(in crate::dashboard) struct Asked<T>(pub T, pub Address);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Asked<T>, Problem> {
        let (path, query) = (parts.uri.path().to_owned(), parts.uri.query().unwrap_or_default().to_owned());
        let address = Address { path, query };
        let query = Query::<T>::from_request_parts(parts, state).await;
        query.map(|Query(query)| Asked(query, address)).map_err(|e| bad(e.body_text()))
    }
}

/// A JSON body, where an unknown key is an error that names it. It must be said to be JSON: what a form of somebody else's page
/// can send without being asked for leave is not.
pub(super) struct Sent<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Sent<T> {
    type Rejection = Problem;
    async fn from_request(request: Request, state: &S) -> Result<Sent<T>, Problem> {
        if !is_sent_as(request.headers(), "application/json") {
            let detail = "The body must be JSON, and `Content-Type: application/json` must say so";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Not JSON", detail));
        }
        let body = Bytes::from_request(request, state).await;
        let body = body.map_err(|e| Problem::new(e.status(), "Not understood", e.body_text()))?;
        // serde takes a list for what is a map as well: its values by their order.
        if body.trim_ascii_start().first() == Some(&b'[') {
            return Err(bad("the body must be a JSON object, and is a list"));
        }
        serde_json::from_slice(&body).map(Sent).map_err(|e| bad(e.to_string()))
    }
}

/// The address that was asked.
pub(in crate::dashboard) struct Address {
    path: String,
    query: String,
}

impl Address {
    /// The same with another value for this key of the query.
    pub fn with(&self, key: &str, value: &str) -> Address {
        let pairs = url::form_urlencoded::parse(self.query.as_bytes());
        let others = pairs.filter(|(name, _)| name != key);
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let query = query.extend_pairs(others).append_pair(key, value).finish();
        Address { path: self.path.clone(), query }
    }
    /// The same, as `Link` says where the next page is.
    pub fn next(&self, key: &str, value: &str) -> String {
        let Address { path, query } = self.with(key, value);
        format!("<{path}?{query}>; rel=\"next\"")
    }
}

/// How long a page is.
pub(super) fn length(limit: Option<NonZeroUsize>) -> usize {
    limit.map_or(PAGE, NonZeroUsize::get).min(LONGEST_PAGE)
}

/// A part of a list: a JSON array, and where the next part is in `Link`, after RFC 8288.
pub(super) struct Page<T> {
    items: Vec<T>,
    next: Option<String>,
}

impl<T> Page<T> {
    /// Of a list of which one more than the page is long was looked up. The next page is at the same address with what follows
    /// the last item.
    pub fn new(mut items: Vec<T>, length: usize, address: &Address, key: &str, last: impl Fn(&T) -> String) -> Page<T> {
        let is_more = items.len() > length;
        items.truncate(length);
        let next = items.last().filter(|_| is_more).map(|item| address.next(key, &last(item)));
        Page { items, next }
    }
    /// With this for `Link`.
    pub fn with(items: Vec<T>, next: Option<String>) -> Page<T> {
        Page { items, next }
    }
    /// With other items.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(f).collect(), next: self.next }
    }
}

impl<T: Serialize> IntoResponse for Page<T> {
    fn into_response(self) -> Response {
        linked(self.next, Json(self.items))
    }
}

/// An answer with where the next page is, if there is one.
pub(super) fn linked(next: Option<String>, answer: impl IntoResponse) -> Response {
    let mut response = answer.into_response();
    if let Some(next) = next.and_then(|next| HeaderValue::try_from(next).ok()) {
        response.headers_mut().insert(LINK, next);
    }
    response
}
