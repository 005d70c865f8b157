//! Who asks, and what they may do.
//!
//! [`identify`] finds out who, before anything else happens with a request; each route says whom it needs ([`super::Routes`]),
//! and [`let_through`] holds everybody to it.
//!
//! | how | by |
//! |---|---|
//! | the socket | the kernel, who says which user is at its other end |
//! | `Authorization: Bearer` | a token of the rules; never a part of an address, which is logged and handed on |
//! | a header of a proxy | its address: nobody else's is believed |
//! | a cookie | a session, begun with a password |
//! | nothing | where nobody can sign in at all, everybody on this machine looks |

mod audit;
mod cookie;
mod meant;
mod reader;
mod secret;
mod session;
mod sign_in;
mod throttle;

pub(super) use audit::OUTCOME;
pub(super) use meant::is_from_elsewhere;
pub(super) use reader::Reader;
pub(super) use sign_in::{Refused, form, with_cookies};

use super::problem::{ProblemPage, is_api};
use super::{Front, Problem};
use crate::model::{Dashboard, Proxy, Role, Session};
use axum::body::Body;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use cookie::Cookie;
use futures_util::StreamExt;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// How often it is looked whether whoever follows a stream still may.
const ASK_AGAIN: Duration = Duration::from_secs(15);

/// What a request came in by.
#[derive(Debug, Clone)]
pub(super) enum Via {
    /// The unix socket that only root and minder's own user can use; its end, for the record: `root`, `uid 1000`.
    Socket(Arc<str>),
    /// TCP.
    Tcp {
        /// From there.
        address: SocketAddr,
        /// Encrypted by minder itself.
        tls: bool,
    },
}

/// The user at the other end of a socket that everybody may connect to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub u32);

/// How somebody has shown who he is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Proof {
    /// By nothing: nobody can sign in here, and everybody on this machine may look; or a stranger, who has no role.
    Nothing,
    /// The kernel says so.
    Socket,
    /// By a session: the key of it. What a browser does by itself with its cookie must be shown to be meant ([`Caller::csrf`]).
    Session(String),
    /// By a token.
    Token,
    /// A proxy that is believed says so.
    Proxy,
}

/// Who asks.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// For the record, and for people: `alice`, `root`; empty for one who is not known.
    pub name: Arc<str>,
    /// What he may do; nothing for a stranger.
    pub role: Option<Role>,
    /// Where the request came from, for the record: an address, or `socket`.
    pub from: Arc<str>,
    /// How that is known.
    pub proof: Proof,
    /// What the forms of his pages must bring back; empty where none is needed.
    pub csrf: Arc<str>,
    /// How he wants to read.
    pub reader: Reader,
}

impl Caller {
    /// Somebody of whom nothing is known.
    fn stranger(from: Arc<str>) -> Caller {
        Caller { name: "".into(), role: None, from, proof: Proof::Nothing, csrf: "".into(), reader: Reader::default() }
    }
    /// Whether he may do what needs this.
    pub fn may(&self, needs: Role) -> bool {
        self.role.is_some_and(|role| role >= needs)
    }
    /// Whether he has signed in here, and can sign out.
    pub fn signs_out(&self) -> bool {
        matches!(self.proof, Proof::Session(_))
    }
    /// Whether this session is his own, or he may see all.
    pub fn may_see(&self, session: &Session) -> bool {
        self.may(Role::Admin) || (self.signs_out() && *self.name == *session.user)
    }
    /// Whether this session is the one that asks.
    pub fn is_in(&self, session: &Session) -> bool {
        self.proof == Proof::Session(session.key.clone())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Caller, Infallible> {
        let caller = parts.extensions.get::<Caller>().cloned().unwrap_or_else(|| Caller::stranger("nowhere".into()));
        Ok(Caller { reader: Reader::of(&parts.headers), ..caller })
    }
}

/// How a request has reached us.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reached {
    /// The address of the one who asks; of a proxy, if it does not name whom it asks for.
    address: Option<IpAddr>,
    /// All the way from the browser by TLS.
    secure: bool,
}

impl Reached {
    /// What attempts are counted by.
    fn address(&self) -> IpAddr {
        self.address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Reached {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Reached, Infallible> {
        Ok(parts.extensions.get::<Reached>().copied().unwrap_or_default())
    }
}

/// What is known of those who sign in.
pub(super) struct People {
    sessions: session::Sessions,
    throttle: Mutex<throttle::Throttle>,
    /// Passwords that are compared, and those of browsers that have signed in before.
    checks: Arc<Semaphore>,
    checks_of_known: Arc<Semaphore>,
    /// For what is derived for those who come by a proxy, and have no secret of their own.
    key: secret::RunKey,
}

impl People {
    pub fn new(sessions: Vec<Session>) -> People {
        People {
            sessions: session::Sessions::new(sessions),
            throttle: Mutex::default(),
            checks: Arc::new(Semaphore::new(sign_in::CHECKS)),
            checks_of_known: Arc::new(Semaphore::new(sign_in::CHECKS)),
            key: secret::RunKey::default(),
        }
    }
    fn throttle(&self) -> MutexGuard<'_, throttle::Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The value of a header that stands there once.
fn only<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut all = headers.get_all(name).iter();
    let value = all.next().filter(|_| all.next().is_none())?;
    value.to_str().ok().map(str::trim).filter(|value| !value.is_empty())
}

/// The last address that a proxy has written into its header: those before it are hearsay.
fn address_of_proxy(proxy: &Proxy, headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all(proxy.address.as_deref()?).iter().next_back()?.to_str().ok()?;
    let last = last.rsplit(',').next()?.trim();
    let bare = last.strip_prefix('[').and_then(|rest| rest.split(']').next()).unwrap_or(last);
    let address = bare.parse().or_else(|_| last.parse::<SocketAddr>().map(|address| address.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

/// How a request over TCP has reached us, and the proxy that it came through, if that is believed.
fn reached<'d>(
    dashboard: &'d Dashboard,
    peer: Option<IpAddr>,
    tls: bool,
    headers: &HeaderMap,
) -> (Reached, Option<&'d Proxy>) {
    let proxy = dashboard.proxy.as_ref().filter(|proxy| peer.is_some_and(|peer| proxy.from.contains(&peer)));
    let by_proxy = proxy.and_then(|proxy| address_of_proxy(proxy, headers));
    let by_tls = proxy.is_some() && only(headers, "x-forwarded-proto") == Some("https");
    (Reached { address: by_proxy.or(peer), secure: tls || by_tls }, proxy)
}

/// The token of a request, if it has one.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = only(headers, AUTHORIZATION.as_str())?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whose token this is. Every one is compared, whole: how long it takes says nothing.
fn whose<'d>(dashboard: &'d Dashboard, token: &str) -> Option<(&'d str, Role)> {
    let token = secret::digest(token);
    let mut found = None;
    for (name, known) in &dashboard.tokens {
        let secret = known.secret.0.expose();
        if secret::same(&secret::digest(secret), &token) && !secret.is_empty() {
            found = Some((name.as_str(), known.role));
        }
    }
    found
}

impl Front {
    /// The session of the cookie that a request has.
    async fn session_of(&self, headers: &HeaderMap, reached: &Reached) -> Option<Session> {
        self.session(Cookie::Session.read(headers, reached.secure)?).await
    }

    async fn caller(&self, peer: Option<IpAddr>, tls: bool, headers: &HeaderMap) -> (Caller, Reached) {
        let plan = self.plan();
        let dashboard = &plan.dashboard;
        let (reached, proxy) = reached(dashboard, peer, tls, headers);
        let from = reached.address.map_or_else(|| "nowhere".to_owned(), |address| address.to_string());
        let stranger = Caller::stranger(from.into());
        if let Some(token) = bearer(headers) {
            let caller = match whose(dashboard, token) {
                Some((name, role)) => Caller { name: name.into(), role: Some(role), proof: Proof::Token, ..stranger },
                None => stranger,
            };
            return (caller, reached);
        }
        let named = proxy.and_then(|proxy| only(headers, proxy.user.as_deref()?));
        if let Some(name) = named
            && let Some(user) = dashboard.users.get(name)
            && let Some(key) = self.people.key.get()
        {
            let csrf = secret::derived(key, "proxy", name).into();
            let caller = Caller { name: name.into(), role: Some(user.role), proof: Proof::Proxy, csrf, ..stranger };
            return (caller, reached);
        }
        if let Some(cookie) = Cookie::Session.read(headers, reached.secure)
            && let Some(session) = self.session(cookie).await
            && let Some(user) = dashboard.users.get(&session.user)
        {
            let csrf = secret::derived(cookie.as_bytes(), "session", "").into();
            let (name, proof) = (session.user.into(), Proof::Session(session.key));
            return (Caller { name, role: Some(user.role), proof, csrf, ..stranger }, reached);
        }
        // After a reload that takes the last user away, it may still listen to the world.
        let is_near = peer.is_none_or(|peer| peer.is_loopback());
        let role = (dashboard.is_open() && is_near).then_some(Role::Viewer);
        (Caller { role, ..stranger }, reached)
    }
}

/// Finds out who asks, for [`Caller`].
pub(super) async fn identify(State(front): State<Arc<Front>>, mut request: Request, next: Next) -> Response {
    let (peer, tls) = match request.extensions().get::<Via>().cloned() {
        Some(Via::Socket(name)) => {
            let (from, csrf) = ("socket".into(), "".into());
            let caller =
                Caller { name, role: Some(Role::Admin), from, proof: Proof::Socket, csrf, reader: Reader::default() };
            request.extensions_mut().insert(caller);
            request.extensions_mut().insert(front);
            return next.run(request).await;
        }
        Some(Via::Tcp { address, tls }) => (Some(address.ip().to_canonical()), tls),
        None => (None, false),
    };
    let (caller, reached) = front.caller(peer, tls, request.headers()).await;
    let headers = request.headers().clone();
    let extensions = request.extensions_mut();
    extensions.insert(caller.clone());
    extensions.insert(reached);
    extensions.insert(Arc::clone(&front));
    let response = next.run(request).await;
    let is_stream = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream");
    if is_stream { while_known(front, caller, (peer, tls), headers, response) } else { response }
}

/// A stream that ends soon after whoever follows it has signed out, or may see less than he did: it would go on for weeks.
fn while_known(
    front: Arc<Front>,
    caller: Caller,
    (peer, tls): (Option<IpAddr>, bool),
    headers: HeaderMap,
    response: Response,
) -> Response {
    let is_over = async move {
        loop {
            tokio::time::sleep(ASK_AGAIN).await;
            let (now, _) = front.caller(peer, tls, &headers).await;
            if now.role < caller.role || now.name != caller.name {
                return;
            }
        }
    };
    let (head, body) = response.into_parts();
    Response::from_parts(head, Body::from_stream(body.into_data_stream().take_until(Box::pin(is_over))))
}

fn refuse(uri: &Uri, problem: Problem) -> Response {
    if is_api(uri) { problem.into_response() } else { ProblemPage(problem).into_response() }
}

/// A stranger who wants to see a page signs in first, and is then brought there. What asks by itself, a script or a stream, is told
/// in a way that it understands.
fn sign_in_first(request: &Request) -> Response {
    let mode = request.headers().get("sec-fetch-mode");
    let asks_by_itself = mode.is_some_and(|mode| mode.as_bytes() != b"navigate");
    if is_api(request.uri()) || asks_by_itself {
        let detail = "This needs somebody who may see it: sign in at /sign-in, or send a token in a header, \
                      `Authorization: Bearer TOKEN`.";
        let mut response = Problem::new(StatusCode::UNAUTHORIZED, "Not signed in", detail).into_response();
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"minder\""));
        return response;
    }
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let to = request.uri().path_and_query().map(|to| to.as_str()).filter(|_| is_read);
    see_other(&match to.and_then(inner) {
        None | Some("/") => "/sign-in".to_owned(),
        Some(to) => {
            let to: String = url::form_urlencoded::byte_serialize(to.as_bytes()).collect();
            format!("/sign-in?to={to}")
        }
    })
}

/// A place on our own pages; nothing if a browser could take it for another site.
pub(super) fn inner(to: &str) -> Option<&str> {
    let is_plain = to.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    (to.starts_with('/') && !to.starts_with("//") && is_plain && to.len() <= 1000).then_some(to)
}

/// Sends a browser there, to look.
pub(super) fn see_other(to: &str) -> Response {
    match HeaderValue::from_str(to) {
        Ok(to) => (StatusCode::SEE_OTHER, [(LOCATION, to)]).into_response(),
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    }
}

/// Why somebody may not do what needs this.
fn not_allowed(caller: &Caller, needs: Role) -> Problem {
    let detail = match (&caller.proof, caller.role) {
        (Proof::Nothing, _) => format!(
            "This needs the role {needs}, and nobody can sign in here: `minder passwd` on this machine says how to set a user. \
             Until then commands go to minder's socket: try `minder help`."
        ),
        (_, Some(role)) => format!("This needs the role {needs}, and {} has the role {role}.", caller.name),
        (_, None) => format!("This needs the role {needs}."),
    };
    Problem::new(StatusCode::FORBIDDEN, "Not allowed", detail)
}

/// Lets through who may do what needs this, and means it; nothing is needed where everybody may.
pub(super) async fn let_through(
    State(needs): State<Option<Role>>,
    caller: Caller,
    request: Request,
    next: Next,
) -> Response {
    let uri = request.uri().clone();
    let Some(front) = request.extensions().get::<Arc<Front>>().cloned() else {
        return refuse(&uri, Problem::ending());
    };
    if let Some(needs) = needs
        && !caller.may(needs)
    {
        if caller.role.is_none() {
            return sign_in_first(&request);
        }
        if caller.proof != Proof::Nothing {
            let what = format!("{} {}", request.method(), uri.path());
            front.audit_failure(&caller, &what, &format!("needs the role {needs}")).await;
        }
        return refuse(&uri, not_allowed(&caller, needs));
    }
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    match meant::check(&front, &caller, request).await {
        Ok(request) => next.run(request).await,
        Err(problem) => {
            front.audit_failure(&caller, &format!("POST {}", uri.path()), "not sent by a page of minder's").await;
            refuse(&uri, problem)
        }
    }
}
