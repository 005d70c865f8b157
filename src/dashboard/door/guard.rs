//! Who may ask over TCP from where and under which name, and the headers of every answer.

use crate::dashboard::who::Via;
use crate::dashboard::{DEADLINE, Front, MAX_BODY, Problem};
use crate::model::{Dashboard, clip, plain};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{self, HOST, HeaderName, HeaderValue};
use axum::http::uri::Authority;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Where the page is, and the plan that says who may come.
pub(in crate::dashboard) struct Gate {
    pub front: Arc<Front>,
    pub listen: SocketAddr,
}

/// Lets in who comes from where he may, and has asked for a name that is ours.
pub(in crate::dashboard) async fn gate(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let plan = gate.front.plan();
    let may = may_come(&plan.dashboard, request.extensions().get::<Via>());
    match may.and_then(|()| known_host(&plan.dashboard, gate.listen, &request)) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// The rules say as much when they are read; but where minder listens, it does until it is started again, whatever has become
/// of the rules since.
fn may_come(dashboard: &Dashboard, via: Option<&Via>) -> Result<(), Problem> {
    let Some(Via::Tcp { address, tls }) = via else { return Ok(()) };
    let from = address.ip().to_canonical();
    if from.is_loopback() {
        return Ok(());
    }
    let refuse = |title, detail: &str| Err(Problem::new(StatusCode::FORBIDDEN, title, detail));
    if dashboard.is_open() {
        return refuse("Only from this machine", "Nobody can sign in here, so the page is for its own machine alone.");
    }
    let is_proxy = |proxy: &crate::model::Proxy| proxy.from.iter().any(|its| its.to_canonical() == from);
    if !tls && !dashboard.proxy.as_ref().is_some_and(is_proxy) {
        return refuse("Not in clear", "Passwords would cross the network in clear. Come by the proxy that encrypts.");
    }
    Ok(())
}

/// Answers only to names that are known. A name that somebody else's DNS points to this machine would let any web page read
/// ours (DNS rebinding); the browser cannot lie about the name that it was given. An address is no name: whoever was given
/// one asks for the pages of that address, and no web page of another can read the answer. Nor does a port matter: it is the
/// name that others could have.
fn known_host(dashboard: &Dashboard, listen: SocketAddr, request: &Request) -> Result<(), Problem> {
    let mut named = request.headers().get_all(HOST).iter();
    let (Some(host), None) = (named.next(), named.next()) else { return Err(not_under(dashboard, listen, "")) };
    let host = host.to_str().unwrap_or_default();
    let in_target = request.uri().authority().map(Authority::as_str);
    match [Some(host), in_target].into_iter().flatten().find(|name| !is_known(dashboard, name)) {
        None => Ok(()),
        Some(strange) => Err(not_under(dashboard, listen, strange)),
    }
}

fn is_known(dashboard: &Dashboard, authority: &str) -> bool {
    let Some(name) = host_of(authority) else { return false };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let url = dashboard.url.as_deref().and_then(|url| url::Url::parse(url).ok());
    let of_url = url.as_ref().and_then(|url| url.host_str());
    let mut names = dashboard.hosts.iter().map(String::as_str).chain(of_url).chain(["localhost"]);
    bare.parse::<IpAddr>().is_ok() || names.any(|known| known.eq_ignore_ascii_case(&name))
}

/// The name before the port, if it is one and nothing else.
fn host_of(authority: &str) -> Option<String> {
    let parsed: Authority = authority.parse().ok()?;
    (!authority.contains('@') && !parsed.host().is_empty()).then(|| parsed.host().to_owned())
}

fn not_under(dashboard: &Dashboard, listen: SocketAddr, strange: &str) -> Problem {
    let mut detail = match host_of(strange) {
        Some(name) => {
            let name = clip(&plain(&name), 100);
            format!("If “{name}” is a name of this page, say so in the rules: `dashboard: {{ hosts: [{name}] }}`. ")
        }
        None => "A request must name the host that it is for, once. ".to_owned(),
    };
    if dashboard.is_open() {
        let here = listen.to_string();
        detail.push_str(&format!(
            "The page is at http://{here}, for its own machine alone. From elsewhere, forward the port: \
             ssh -L {here}:{here} THIS-MACHINE"
        ));
    } else {
        detail.push_str("It also answers under its address, and as localhost.");
    }
    Problem::new(StatusCode::MISDIRECTED_REQUEST, "Not under this name", detail)
}

/// Has the whole body of a request here, within bounds of length and time, before anything is done with it: for what has no
/// deadline itself.
pub(in crate::dashboard) async fn whole_body(request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let problem = |status, detail: &str| Problem::new(status, "Not taken", detail).into_response();
    match tokio::time::timeout(DEADLINE, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(whole)) => next.run(Request::from_parts(head, Body::from(whole.to_bytes()))).await,
        Ok(Err(e)) if e.is::<LengthLimitError>() => {
            problem(StatusCode::PAYLOAD_TOO_LARGE, "The body of the request is too long.")
        }
        Ok(Err(_)) => problem(StatusCode::BAD_REQUEST, "The body of the request did not come whole."),
        Err(_) => problem(StatusCode::REQUEST_TIMEOUT, "The body of the request came too slowly."),
    }
}

/// Nothing on our pages comes from elsewhere, runs inline, or is shown in someone else's frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
/// A page needs nothing of these.
const NOT_NEEDED: &str =
    "camera=(), display-capture=(), geolocation=(), microphone=(), midi=(), payment=(), serial=(), usb=()";

/// The headers that every answer has. Not among them is HSTS: a browser would hold it against every port of the name, and minder
/// stands beside others on its machine.
pub(in crate::dashboard) async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    // Pictures for the public have stricter ones of their own, and may be shown elsewhere.
    let mut set = |name: HeaderName, value| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(header::CONTENT_SECURITY_POLICY, POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "no-referrer");
    set(HeaderName::from_static("permissions-policy"), NOT_NEEDED);
    set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Proxy, Role, User};

    fn with_user() -> Dashboard {
        let mut dashboard = Dashboard::default();
        dashboard.users.insert("alice".to_owned(), User { password: None, role: Role::Admin });
        dashboard
    }

    #[test]
    fn only_names_that_nobody_else_can_have_are_known() {
        let dashboard = Dashboard {
            url: Some("https://Status.example.org/minder".to_owned()),
            hosts: vec!["minder.lan".to_owned()],
            ..with_user()
        };
        for name in [
            "localhost",
            "LOCALHOST:8900",
            "127.0.0.1:8900",
            "192.0.2.7",
            "[::1]:8900",
            "[2001:db8::1]",
            "status.example.org",
            "status.example.org:8900",
            "MINDER.lan:80",
        ] {
            assert!(is_known(&dashboard, name), "{name}");
        }
        for name in [
            "",
            ":8900",
            "evil.example.org",
            "minder.lan.evil.example.org",
            "minder.lan@evil.example.org",
            "evil.example.org@minder.lan",
            "localhost.evil.example.org",
            "127.0.0.1.evil.example.org",
            "minder",
            "[::1",
            "minder.lan:8900:1",
            "minder lan",
            "xn--minder.lan",
        ] {
            assert!(!is_known(&dashboard, name), "{name}");
        }
    }

    #[test]
    fn nobody_comes_from_elsewhere_without_users_or_in_clear() {
        let via = |address: &str, tls| Via::Tcp { address: format!("{address}:5").parse().unwrap(), tls };
        let behind = |user: bool| {
            let proxy = Some(Proxy { from: vec!["192.0.2.9".parse().unwrap()], user: None, address: None });
            Dashboard { proxy, ..if user { with_user() } else { Dashboard::default() } }
        };
        for (what, dashboard, via, may) in [
            ("here, open", Dashboard::default(), via("127.0.0.1", false), true),
            ("here, mapped", Dashboard::default(), via("[::ffff:127.0.0.1]", false), true),
            ("elsewhere, open", Dashboard::default(), via("192.0.2.1", false), false),
            ("elsewhere, open, encrypted", Dashboard::default(), via("192.0.2.1", true), false),
            ("elsewhere, in clear", with_user(), via("192.0.2.1", false), false),
            ("elsewhere, encrypted", with_user(), via("192.0.2.1", true), true),
            ("here, in clear", with_user(), via("[::1]", false), true),
            ("the proxy", behind(true), via("192.0.2.9", false), true),
            ("the proxy, mapped", behind(true), via("[::ffff:192.0.2.9]", false), true),
            ("past the proxy", behind(true), via("192.0.2.1", false), false),
            ("the proxy of an open page", behind(false), via("192.0.2.9", false), false),
        ] {
            assert_eq!(may_come(&dashboard, Some(&via)).is_ok(), may, "{what}");
        }
    }
}
