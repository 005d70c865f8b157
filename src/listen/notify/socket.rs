//! A notify socket in the file system, where a run script expects it.

use crate::sys::{limits, trust};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, socket_with, sockopt};
use std::fs::{DirBuilder, Permissions, set_permissions, symlink_metadata};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

/// A bound socket. Dropping it takes it away.
#[derive(Debug)]
pub(super) struct Socket {
    descriptor: OwnedFd,
    path: PathBuf,
    /// Device and number of the file, by which it is known to be ours.
    node: (u64, u64),
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.is_in_place() {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Socket {
    /// Binds the socket of a service in this directory, which is made if it is not there. One that nobody listens at any more
    /// is replaced. The error says why not, in words.
    pub(super) fn bind(directory: &Path, service: &str) -> Result<Socket, String> {
        if matches!(service, "." | "..") {
            return Err(format!("a directory has the name `{service}` already"));
        }
        prepare(directory)?;
        let path = directory.join(service);
        let at = |e: io::Error| format!("{}: {e}", path.display());
        make_room(&path)?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let descriptor = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None).map_err(|e| at(e.into()))?;
        if limits::is_scarce(descriptor.as_raw_fd()) {
            return Err("too many files are open".to_owned());
        }
        // Before it can be reached: what comes without its sender's name counts for nothing.
        sockopt::set_socket_passcred(&descriptor, true).map_err(|e| at(e.into()))?;
        let address = SocketAddrUnix::new(&path)
            .map_err(|_| format!("{} is longer than the path of a socket can be (107 bytes)", path.display()))?;
        bind(&descriptor, &address).map_err(|e| at(e.into()))?;
        // Everybody may send: the sender's name decides who is heard. Nobody but us can have put something else there since.
        let made = symlink_metadata(&path).map_err(at)?;
        let socket = Socket { descriptor, node: (made.dev(), made.ino()), path: path.clone() };
        set_permissions(&path, Permissions::from_mode(0o666)).map_err(at)?;
        Ok(socket)
    }

    /// Whether its path still leads to it.
    pub(super) fn is_in_place(&self) -> bool {
        symlink_metadata(&self.path).is_ok_and(|there| (there.dev(), there.ino()) == self.node)
    }
}

/// Makes the directory, to which nobody else may add anything, neither there nor on the way: from then on a path in it means
/// what we put there.
fn prepare(directory: &Path) -> Result<(), String> {
    let at = |e: io::Error| format!("{}: {e}", directory.display());
    let made = DirBuilder::new().recursive(false).mode(0o755).create(directory);
    let made = match made {
        Ok(()) => true,
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => false,
        Err(e) => return Err(at(e)),
    };
    let us = rustix::process::geteuid().as_raw();
    trust::only_root_or(us, directory).map_err(|distrust| format!("{distrust}; {}", distrust.help()))?;
    if made {
        // Whatever the umask: those who may speak must be able to pass.
        set_permissions(directory, Permissions::from_mode(0o755)).map_err(at)?;
    }
    Ok(())
}

/// Removes a socket that nobody listens at. Anything else is not ours to remove.
fn make_room(path: &Path) -> Result<(), String> {
    let at = |e: io::Error| format!("{}: {e}", path.display());
    match symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(at(e)),
        Ok(there) if !there.file_type().is_socket() => {
            Err(format!("{} is there already, and is no socket", path.display()))
        }
        Ok(_) => match UnixDatagram::unbound().and_then(|ours| ours.connect(path)) {
            Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path).map_err(at),
            // Perhaps another minder; or one of streams, which a datagram socket cannot even try.
            _ => Err(format!("{} is another program's", path.display())),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    #[test]
    fn is_made_for_everybody_and_taken_away() {
        let dir = tempfile::tempdir().unwrap();
        let directory = dir.path().join("notify");
        let socket = Socket::bind(&directory, "web").unwrap();
        let path = directory.join("web");
        assert_eq!(symlink_metadata(&path).unwrap().mode() & 0o777, 0o666);
        assert_eq!(symlink_metadata(&directory).unwrap().mode() & 0o777, 0o755);
        assert!(Socket::bind(&directory, "web").unwrap_err().ends_with("is another program's"));
        assert!(socket.is_in_place());
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_killed_minder_left_is_replaced_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let directory = dir.path().join("notify");
        std::fs::create_dir(&directory).unwrap();
        let at = |name: &str| directory.join(name);
        drop(UnixDatagram::bind(at("stale")).unwrap());
        let stale = Socket::bind(&directory, "stale").unwrap();
        std::fs::write(at("file"), "mine").unwrap();
        symlink(at("file"), at("link")).unwrap();
        symlink(at("nowhere"), at("dangling")).unwrap();
        let _listener = UnixListener::bind(at("stream")).unwrap();
        std::fs::create_dir(at("dir")).unwrap();
        for name in ["file", "link", "dangling", "stream", "dir", ".", ".."] {
            Socket::bind(&directory, name).unwrap_err();
        }
        assert_eq!(std::fs::read_to_string(at("file")).unwrap(), "mine");
        assert!(!at("nowhere").exists());
        // Not ours any more.
        std::fs::remove_file(at("stale")).unwrap();
        let other = UnixDatagram::bind(at("stale")).unwrap();
        assert!(!stale.is_in_place());
        drop(stale);
        assert!(at("stale").exists());
        drop(other);
    }

    #[test]
    fn a_directory_that_others_may_change_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let directory = dir.path().join("notify");
        std::fs::create_dir(&directory).unwrap();
        for mode in [0o777, 0o1777] {
            set_permissions(&directory, Permissions::from_mode(mode)).unwrap();
            let why = Socket::bind(&directory, "web").unwrap_err();
            assert!(why.contains("may be written by"), "{mode:o}: {why}");
        }
        set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
        let long = "x".repeat(120);
        assert!(Socket::bind(&directory, &long).unwrap_err().contains("107 bytes"));
        Socket::bind(&directory, "web").unwrap();
        assert!(Socket::bind(&dir.path().join("none/notify"), "web").unwrap_err().contains("No such file"));
    }
}
