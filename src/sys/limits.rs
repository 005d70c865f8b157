//! How many files may be open: minder takes all it can get, its children get what minder was given.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::sync::OnceLock;

static ORIGINAL: OnceLock<(u64, u64)> = OnceLock::new();

/// Descriptors that what merely listens leaves free, so that at the limit minder can still ask and act.
const RESERVE: u64 = 128;

fn both(limit: Rlimit) -> (u64, u64) {
    (limit.current.unwrap_or(u64::MAX), limit.maximum.unwrap_or(u64::MAX))
}

/// Raises the soft limit to the hard one, and returns it. The original is kept for children. Called once, at start.
pub fn raise_open_files() -> u64 {
    let was = getrlimit(Resource::Nofile);
    ORIGINAL.get_or_init(|| both(was));
    // Refused only if the hard limit is above the kernel's own (`fs.nr_open`); then it stays as it is.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: was.maximum, maximum: was.maximum });
    both(getrlimit(Resource::Nofile)).0
}

/// The limit that children get: soft and hard; nothing if it was never raised.
pub(super) fn original_open_files() -> Option<(u64, u64)> {
    ORIGINAL.get().copied()
}

/// Whether a new descriptor with this number eats into what is kept free.
pub fn is_scarce(fd: i32) -> bool {
    let (soft, _) = both(getrlimit(Resource::Nofile));
    u64::try_from(fd).is_ok_and(|fd| fd.saturating_add(RESERVE.min(soft / 4)) >= soft)
}
