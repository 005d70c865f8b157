//! Who may ask over TCP, and the headers of every answer.

use crate::dashboard::Problem;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{self, HOST, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::SocketAddr;
use std::sync::Arc;

/// The names under which this machine itself reaches `listen`, as they stand in `Host`; the first is the one to recommend.
pub(in crate::dashboard) fn hosts(listen: SocketAddr) -> Arc<[String]> {
    let port = listen.port();
    let mut hosts = vec![listen.to_string()];
    for name in ["localhost", "127.0.0.1", "[::1]"] {
        hosts.push(format!("{name}:{port}"));
        if port == 80 {
            hosts.push(name.to_owned());
        }
    }
    hosts.into()
}

/// Answers only requests with a known `Host`. A name that somebody else's DNS points to this machine would let any
/// web page read ours (DNS rebinding); the browser cannot lie about the name that it was given.
pub(in crate::dashboard) async fn known_host(
    State(hosts): State<Arc<[String]>>,
    request: Request,
    next: Next,
) -> Response {
    let known = |name: &str| hosts.iter().any(|host| host.eq_ignore_ascii_case(name));
    let mut named = request.headers().get_all(HOST).iter();
    let host_is_known = matches!((named.next(), named.next()), (Some(host), None) if host.to_str().is_ok_and(known));
    if !host_is_known || request.uri().authority().is_some_and(|authority| !known(authority.as_str())) {
        let here = hosts.first().map_or("", String::as_str);
        let detail = format!(
            "This page answers only as http://{here}, to this machine itself. From elsewhere, forward the same port: \
             ssh -L {here}:{here} THIS-MACHINE"
        );
        return Problem::new(StatusCode::MISDIRECTED_REQUEST, "Not under this name", detail).into_response();
    }
    next.run(request).await
}

/// Nothing on our pages comes from elsewhere, runs inline, or is shown in someone else's frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// The headers that every answer has.
pub(in crate::dashboard) async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    set(header::CONTENT_SECURITY_POLICY, POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "no-referrer");
    set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
