//! Where minder finds its rules, keeps its state, and is spoken to, if nothing else is said.

use std::path::{Path, PathBuf};

/// Where root's minder, which is the machine's own, is spoken to.
pub const MACHINE_SOCKET: &str = "/run/minder/minder.sock";

/// The rules: `/etc/minder`; `./rules` only where that does not exist. Run as root, minder then refuses rules that
/// anybody else could have written: the reader of rules sees to it.
pub fn rules() -> PathBuf {
    let (etc, here) = (Path::new("/etc/minder"), Path::new("rules"));
    if !etc.exists() && here.is_dir() { here.to_owned() } else { etc.to_owned() }
}

/// State and history: `$MINDER_STATE`, else `/var/lib/minder` for root, else below `$XDG_STATE_HOME` or
/// `~/.local/state`.
pub fn state() -> PathBuf {
    if let Some(path) = given("MINDER_STATE") {
        return path;
    }
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/var/lib/minder");
    }
    match (given("XDG_STATE_HOME"), given("HOME")) {
        (Some(state), _) => state.join("minder"),
        (None, Some(home)) => home.join(".local/state/minder"),
        (None, None) => PathBuf::from("/var/lib/minder"),
    }
}

/// The socket by which the command line speaks to the daemon: `$MINDER_SOCKET`, else `/run/minder/minder.sock` for
/// root, else below `$XDG_RUNTIME_DIR`, else beside the state.
pub fn socket() -> PathBuf {
    if let Some(path) = given("MINDER_SOCKET") {
        return path;
    }
    if rustix::process::geteuid().is_root() {
        return PathBuf::from(MACHINE_SOCKET);
    }
    match given("XDG_RUNTIME_DIR") {
        Some(runtime) => runtime.join("minder/minder.sock"),
        None => state().join("minder.sock"),
    }
}

/// Whether [`socket`] is what `$MINDER_SOCKET` names.
pub fn socket_is_named() -> bool {
    given("MINDER_SOCKET").is_some()
}

/// The socket for reports of ends, beside the daemon's socket: everybody may connect to it.
pub fn reports(socket: &Path) -> PathBuf {
    socket.with_file_name("report.sock")
}

/// The directory of the notify sockets, beside the daemon's socket: each has the name of its service. A run script may know it.
pub fn notify(socket: &Path) -> PathBuf {
    let socket = std::path::absolute(socket).unwrap_or_else(|_| socket.to_owned());
    socket.with_file_name("notify")
}

fn given(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}
