//! Where minder finds its rules, keeps its state, and is spoken to.

use std::path::{Path, PathBuf};

/// The rules to run: `/etc/minder`; `./rules` only where that does not exist, and minder is not run as root, or the
/// rules are root's alone (which the reader of rules makes sure of: it refuses what others could have written).
pub fn rules() -> PathBuf {
    let etc = Path::new("/etc/minder");
    let here = Path::new("rules");
    if !etc.exists() && here.is_dir() { here.to_owned() } else { etc.to_owned() }
}

/// Where state and history are kept: `/var/lib/minder` for root, else below `$XDG_STATE_HOME` or `~/.local/state`.
pub fn state() -> PathBuf {
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/var/lib/minder");
    }
    match (absolute("XDG_STATE_HOME"), absolute("HOME")) {
        (Some(state), _) => state.join("minder"),
        (None, Some(home)) => home.join(".local/state/minder"),
        (None, None) => std::env::temp_dir().join(format!("minder-{}", rustix::process::geteuid().as_raw())),
    }
}

/// The socket by which the command line speaks to the daemon: `/run/minder/minder.sock` for root, else below
/// `$XDG_RUNTIME_DIR`, or beside the state where there is none.
pub fn socket() -> PathBuf {
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/run/minder/minder.sock");
    }
    match absolute("XDG_RUNTIME_DIR") {
        Some(runtime) => runtime.join("minder/minder.sock"),
        None => state().join("minder.sock"),
    }
}

fn absolute(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute())
}
