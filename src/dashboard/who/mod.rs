//! Who asks, and what they may do.
//!
//! [`identify`] finds out who, before anything else happens with a request; each route says whom it needs ([`super::Routes`]).

mod audit;
mod reader;

pub(super) use audit::OUTCOME;
pub(super) use reader::Reader;

use super::{Front, Problem};
use crate::model::Role;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

/// What a request came in by.
#[derive(Debug, Clone)]
pub(super) enum Via {
    /// The unix socket that only root and minder's own user can use; its end, for the record: `root`, `uid 1000`.
    Socket(Arc<str>),
    /// TCP, from there.
    Tcp(SocketAddr),
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
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Caller, Infallible> {
        let caller = parts.extensions.get::<Caller>().cloned().unwrap_or_else(|| Caller::stranger("nowhere".into()));
        Ok(Caller { reader: Reader::of(&parts.headers), ..caller })
    }
}

/// Finds out who asks, for [`Caller`].
pub(super) async fn identify(State(front): State<Arc<Front>>, mut request: Request, next: Next) -> Response {
    let via = request.extensions().get::<Via>().cloned();
    let caller = match via {
        Some(Via::Socket(name)) => Caller {
            name,
            role: Some(Role::Admin),
            from: "socket".into(),
            proof: Proof::Socket,
            csrf: "".into(),
            reader: Reader::default(),
        },
        via => {
            let from = match via {
                Some(Via::Tcp(address)) => address.ip().to_canonical().to_string().into(),
                _ => "nowhere".into(),
            };
            let mut caller = Caller::stranger(from);
            if front.plan().dashboard.is_open() {
                caller.role = Some(Role::Viewer);
            }
            caller
        }
    };
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// Lets through who may do what needs this; nothing is needed where everybody may.
pub(super) async fn let_through(
    State(needs): State<Option<Role>>,
    caller: Caller,
    request: Request,
    next: Next,
) -> Response {
    use axum::http::StatusCode;
    use axum::response::IntoResponse;
    match needs {
        Some(needs) if !caller.may(needs) => {
            let detail =
                "This needs somebody who may do it. Commands go to minder's socket: try `minder help` on its machine.";
            Problem::new(StatusCode::FORBIDDEN, "Not allowed", detail).into_response()
        }
        _ => next.run(request).await,
    }
}
