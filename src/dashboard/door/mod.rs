//! Listening, and what bounds those who connect.

pub(super) mod guard;

use super::who::{Peer, Via};
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::process::{Resource, getrlimit};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, UnixListener, UnixSocket, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Sleep;
use tower::ServiceExt;

/// Connections at the same time; a further one takes the place of the oldest.
const CONNECTIONS: usize = 256;
/// That queue. The usual 128 overflows when many pages come back at once, and then connects take a second more.
const BACKLOG: u32 = 1024;
/// The longest head of a request.
const MAX_HEAD: usize = 64 << 10;
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

/// How often, and how far apart, listening is tried where somebody listens already. One that was killed while it started a
/// program: the child has copies of its sockets until it has closed them.
const DYING_TRIES: u32 = 20;
const DYING_PAUSE: Duration = Duration::from_millis(25);

fn patiently<T>(bind: impl Fn() -> io::Result<T>) -> io::Result<T> {
    for _ in 0..DYING_TRIES {
        match bind() {
            Err(e) if e.kind() == io::ErrorKind::AddrInUse => std::thread::sleep(DYING_PAUSE),
            other => return other,
        }
    }
    bind()
}

/// Listens on a loopback address.
pub fn bind_tcp(listen: SocketAddr) -> io::Result<TcpListener> {
    patiently(|| try_tcp(listen))
}

/// Listens on a unix socket that only its owner and root may connect to. A socket that nobody answers any more is replaced;
/// a directory that is missing is made: others may only go through it, to the sockets that are theirs to use. Refused: a path where
/// something else stands, a socket that is answered, and a directory in which others could put a socket of their own in the place of this one.
pub fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    patiently(|| try_unix(path, 0o600))
}

/// The same for a socket that everybody may connect to.
pub fn bind_public(path: &Path) -> io::Result<UnixListener> {
    patiently(|| try_unix(path, 0o666))
}

fn try_tcp(listen: SocketAddr) -> io::Result<TcpListener> {
    if !listen.ip().is_loopback() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{listen} is not a loopback address")));
    }
    let socket = if listen.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(listen)?;
    socket.listen(BACKLOG)
}

fn try_unix(path: &Path, mode: u32) -> io::Result<UnixListener> {
    let refuse = |kind, words: &str| Err(io::Error::new(kind, format!("{}: {words}", path.display())));
    let Some(directory) = path.parent() else {
        return refuse(io::ErrorKind::InvalidInput, "the path of a socket is needed");
    };
    // A name by itself is in the directory that minder was started in.
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    std::fs::DirBuilder::new().recursive(true).mode(0o711).create(directory)?;
    let about = std::fs::metadata(directory)?;
    let me = rustix::process::geteuid().as_raw();
    let open_to_others = about.mode() & 0o022 != 0 && about.mode() & 0o1000 == 0;
    if open_to_others || (about.uid() != me && about.uid() != 0) {
        return refuse(
            io::ErrorKind::PermissionDenied,
            "others could replace it, its directory is theirs or open to them",
        );
    }
    match std::fs::symlink_metadata(path) {
        Ok(there) if !there.file_type().is_socket() => {
            return refuse(io::ErrorKind::AlreadyExists, "something that is not a socket is there already");
        }
        Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
            return refuse(io::ErrorKind::AddrInUse, "another minder answers there");
        }
        Ok(_) => std::fs::remove_file(path)?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    // Nobody can connect before `listen`, so there is no moment at which a looser mode could be used.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    socket.listen(BACKLOG)
}

/// Serves until it is dropped, and every connection with it.
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

struct Doors {
    router: Router,
    most: usize,
    connections: JoinSet<()>,
    /// The same, the oldest first.
    oldest: VecDeque<AbortHandle>,
}

/// A quarter of the files that minder may open, where that is less: the rest is for checks, and for the other door.
fn most_connections(open_files: Option<u64>) -> usize {
    let quarter = open_files.map_or(u64::MAX, |limit| limit / 4).max(1);
    usize::try_from(quarter).unwrap_or(usize::MAX).min(CONNECTIONS)
}

impl Doors {
    fn new(router: Router) -> Doors {
        let most = most_connections(getrlimit(Resource::Nofile).current);
        Doors { router, most, connections: JoinSet::new(), oldest: VecDeque::new() }
    }

    /// Whoever opens connections and leaves them idle, which any user of this machine can, must not keep the others out: it
    /// is the oldest that go. A page that follows along and is cut off comes back by itself.
    fn make_room(&mut self) {
        while self.connections.try_join_next().is_some() {}
        self.oldest.retain(|connection| !connection.is_finished());
        while self.oldest.len() >= self.most {
            if let Some(connection) = self.oldest.pop_front() {
                connection.abort();
            }
        }
    }

    fn admit<S>(&mut self, stream: S, via: Via)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.make_room();
        let router = self.router.clone();
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(via.clone());
            router.clone().oneshot(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_DEADLINE)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(Patient { stream, patience: STALL, stalled: None }), service);
        self.oldest.push_back(self.connections.spawn(async move {
            // An error is the other end's: it went away, or spoke something else.
            let _ = connection.await;
        }));
    }
}

/// A stream that fails when its reader takes nothing for so long: a few hundred silent readers must not keep out the rest.
struct Patient<S> {
    stream: S,
    patience: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    fn bound<T>(&mut self, cx: &mut Context<'_>, progress: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if progress.is_ready() {
            self.stalled = None;
            return progress;
        }
        let patience = self.patience;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.stream).poll_write(cx, data);
        self.bound(cx, progress)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let progress = Pin::new(&mut self.stream).poll_flush(cx);
        self.bound(cx, progress)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let progress = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.bound(cx, progress)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[test]
    fn few_open_files_are_not_all_for_the_page() {
        for (limit, most) in [(None, 256), (Some(65_536), 256), (Some(64), 16), (Some(0), 1)] {
            assert_eq!(most_connections(limit), most);
        }
    }

    #[tokio::test]
    async fn a_reader_that_takes_nothing_is_cut_off_and_a_slow_one_is_not() {
        let (mut far, near) = tokio::io::duplex(1000);
        let mut near = Patient { stream: near, patience: Duration::from_millis(200), stalled: None };
        let slow = tokio::spawn(async move {
            let mut part = [0; 1000];
            for _ in 0..30 {
                tokio::time::sleep(Duration::from_millis(20)).await;
                far.read_exact(&mut part).await.unwrap();
            }
            far
        });
        near.write_all(&[0; 30_000]).await.unwrap();
        let _far = slow.await.unwrap();
        let cut = near.write_all(&[0; 2000]).await.unwrap_err();
        assert_eq!(cut.kind(), io::ErrorKind::TimedOut);
    }
}
