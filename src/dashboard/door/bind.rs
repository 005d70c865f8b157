//! Listening, on TCP and on unix sockets.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, UnixListener, UnixSocket};

/// Connections that queue. The usual 128 overflows when many pages come back at once, and then connects take a second more.
const BACKLOG: u32 = 1024;
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

/// Listens on an address. Who may come from where is judged with each request (`door::guard`).
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
