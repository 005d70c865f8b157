//! Listening, and what bounds those who connect.

mod bind;
pub(super) mod guard;
mod patient;
pub(super) mod streams;
mod tls;

pub use bind::{bind_public, bind_tcp, bind_unix};
pub use tls::{Certificate, CertificateError};

use super::who::{Peer, Via};
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use patient::Patient;
use rustix::process::{Resource, getrlimit};
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};
use tower::ServiceExt;

/// Connections at the same time; a further one takes the place of another.
const CONNECTIONS: usize = 512;
/// The longest head of a request, and how many headers it may have.
const MAX_HEAD: usize = 32 << 10;
const MOST_HEADERS: usize = 100;
/// How long the head of a request may take to come. It also ends idle connections.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);
/// How long a reader may take nothing before it is cut off.
const STALL: Duration = Duration::from_secs(30);

/// Connections of one user, other than root, to such a socket at the same time; and how long one that is over still counts: so
/// often a second, nobody can take up more of the daemon's time than that.
const OF_A_USER: usize = 4;
const REST: Duration = Duration::from_millis(100);
/// How long such a connection may take.
const BRIEF: Duration = Duration::from_secs(5);

/// Serves until it is dropped, and every connection with it.
pub async fn serve_tls(listener: TcpListener, router: Router, certificate: Arc<Certificate>) {
    let mut doors = Doors::new(router);
    let serve = async {
        loop {
            match listener.accept().await {
                Ok((stream, address)) => {
                    let ready = tls::greet(Patient::new(stream, STALL), certificate.current());
                    doors.admit_after(ready, Via::Tcp { address, tls: true });
                }
                Err(_) => pause().await,
            }
        }
    };
    tokio::select! {
        () = serve => {}
        () = certificate.follow() => {}
    }
}

/// The same, not encrypted.
pub async fn serve_tcp(listener: TcpListener, router: Router) {
    let mut doors = Doors::new(router);
    loop {
        match listener.accept().await {
            Ok((stream, address)) => doors.admit(stream, Via::Tcp { address, tls: false }),
            Err(_) => pause().await,
        }
    }
}

/// The same for the unix socket. Only root and minder's own user are heard; what they ask is put down to them.
pub async fn serve_unix(listener: UnixListener, router: Router) {
    let mut doors = Doors::new(router);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Some(via) = peer(&stream) {
                    doors.admit(stream, via);
                }
            }
            Err(_) => pause().await,
        }
    }
}

/// The same for a socket that everybody may connect to: one request a connection, and few connections of a user at a time.
pub async fn serve_public(listener: UnixListener, router: Router) {
    let mut users: HashMap<u32, Arc<Semaphore>> = HashMap::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            pause().await;
            continue;
        };
        let Ok(uid) = stream.peer_cred().map(|peer| peer.uid()) else { continue };
        users.retain(|_, free| free.available_permits() < OF_A_USER);
        let free = users.entry(uid).or_insert_with(|| Arc::new(Semaphore::new(OF_A_USER)));
        let Ok(permit) = Arc::clone(free).try_acquire_owned() else { continue };
        let router = router.clone();
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(Peer(uid));
            router.clone().oneshot(request)
        });
        tokio::spawn(async move {
            let connection = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service);
            // An error is the other end's.
            let _ = tokio::time::timeout(BRIEF, connection).await;
            tokio::time::sleep(REST).await;
            drop(permit);
        });
    }
}

fn peer(stream: &UnixStream) -> Option<Via> {
    let uid = stream.peer_cred().ok()?.uid();
    match uid {
        0 => Some(Via::Socket("root".into())),
        _ if uid == rustix::process::geteuid().as_raw() => Some(Via::Socket(format!("uid {uid}").into())),
        _ => None,
    }
}

/// Accepting fails for want of descriptors or memory; trying at once would only burn what is left.
async fn pause() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}

/// Whose a connection is, for counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Whose {
    Address(IpAddr),
    Socket,
}

impl Whose {
    fn of(via: &Via) -> Whose {
        let Via::Tcp { address, .. } = via else { return Whose::Socket };
        Whose::Address(network(address.ip()))
    }
}

/// An address; of IPv6 its first half, which is the network that one machine or house has to itself: the rest its owner chooses.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() >> 64 << 64)),
        four => four,
    }
}

struct Doors {
    router: Router,
    most: usize,
    connections: JoinSet<()>,
    /// The same, the oldest first.
    open: VecDeque<(Whose, AbortHandle)>,
}

/// A quarter of the files that minder may open, where that is less: the rest is for checks, and for the other door.
fn most_connections(open_files: Option<u64>) -> usize {
    let quarter = open_files.map_or(u64::MAX, |limit| limit / 4).max(1);
    usize::try_from(quarter).unwrap_or(usize::MAX).min(CONNECTIONS)
}

/// Which connection goes when there is no room: the oldest of whoever has most. So whoever opens connections and leaves them idle
/// only puts out his own, and no address can keep the others out. A page that follows along and is cut off comes back by itself.
fn first_to_go(open: impl DoubleEndedIterator<Item = Whose> + Clone) -> Option<usize> {
    let mut counts: HashMap<Whose, usize> = HashMap::new();
    open.clone().for_each(|whose| *counts.entry(whose).or_default() += 1);
    let most = counts.values().max()?;
    open.into_iter().position(|whose| counts.get(&whose) == Some(most))
}

impl Doors {
    fn new(router: Router) -> Doors {
        let most = most_connections(getrlimit(Resource::Nofile).current);
        Doors { router, most, connections: JoinSet::new(), open: VecDeque::new() }
    }

    fn make_room(&mut self) {
        while self.connections.try_join_next().is_some() {}
        self.open.retain(|(_, connection)| !connection.is_finished());
        while self.open.len() >= self.most {
            let Some(i) = first_to_go(self.open.iter().map(|(whose, _)| *whose)) else { break };
            if let Some((_, connection)) = self.open.remove(i) {
                connection.abort();
            }
        }
    }

    /// Takes in a connection that needs nothing more.
    fn admit<S>(&mut self, stream: S, via: Via)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.admit_after(std::future::ready(Some(Patient::new(stream, STALL))), via);
    }

    /// Takes in a connection that is ready after this, if it is then. It counts from the start.
    fn admit_after<S, F>(&mut self, ready: F, via: Via)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        F: Future<Output = Option<S>> + Send + 'static,
    {
        self.make_room();
        let (router, whose) = (self.router.clone(), Whose::of(&via));
        let connection = self.connections.spawn(async move {
            let Some(stream) = ready.await else { return };
            let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                let mut request = request.map(Body::new);
                request.extensions_mut().insert(via.clone());
                router.clone().oneshot(request)
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_DEADLINE)
                .max_buf_size(MAX_HEAD)
                .max_headers(MOST_HEADERS)
                .serve_connection(TokioIo::new(stream), service);
            // An error is the other end's: it went away, or spoke something else.
            let _ = connection.await;
        });
        self.open.push_back((whose, connection));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_open_files_are_not_all_for_the_page() {
        for (limit, most) in [(None, 512), (Some(65_536), 512), (Some(64), 16), (Some(0), 1)] {
            assert_eq!(most_connections(limit), most);
        }
    }

    #[test]
    fn whoever_has_most_makes_room() {
        let via = |address: &str| Via::Tcp { address: format!("{address}:9").parse().unwrap(), tls: false };
        let (a, b) = (Whose::of(&via("192.0.2.1")), Whose::of(&via("192.0.2.2")));
        let first = |open: &[Whose]| first_to_go(open.iter().copied());
        assert_eq!(first(&[]), None);
        assert_eq!(first(&[a, b]), Some(0));
        assert_eq!(first(&[a, b, b, b]), Some(1), "not the oldest of all, whose owner has one");
        assert_eq!(first(&[b, a, b, a]), Some(0));
        assert_eq!(Whose::of(&via("[2001:db8::1]")), Whose::of(&via("[2001:db8::ffff:2]")), "one machine has many");
        assert_ne!(Whose::of(&via("[2001:db8::1]")), Whose::of(&via("[2001:db8:0:1::1]")));
        assert_eq!(Whose::of(&via("[::ffff:192.0.2.1]")), a);
    }
}
