//! What the live tests share: real programs around minder, each ended when its value is dropped.
//!
//! Nothing here sleeps for luck: [`wait_until`] looks until something is so, within a bound, and says what it was waiting for.
#![allow(dead_code, unused_imports, reason = "each test program uses its own part")]
#![allow(clippy::disallowed_methods, reason = "tests start programs and watch the time")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on ends")]

mod alertmanager;
mod fuse;
mod init;
mod mailbox;
mod minder;
mod programs;
pub mod readme;
mod receiver;
mod systemd;

pub use alertmanager::Alertmanager;
pub use fuse::Fuse;
pub use init::Init;
pub use mailbox::{Mailbox, certificate};
pub use minder::Minder;
pub use programs::{Nginx, Runsv, Supervised, Supervisord, process_exists, signal, sweep};
pub use receiver::{NEVER, Receiver, Request};
pub use systemd::Systemd;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Looks every few milliseconds until `look` finds something; fails after `bound` and says what was waited for.
#[track_caller]
pub fn wait_for<T>(what: impl Fn() -> String, bound: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < bound, "waited {bound:?} in vain: {}", what());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The same for something that is or is not so.
#[track_caller]
pub fn wait_until(what: &str, bound: Duration, mut so: impl FnMut() -> bool) {
    wait_for(|| what.to_owned(), bound, || so().then_some(()));
}

/// Looks as long as `bound` and fails if `so` is ever false: for what must not happen.
#[track_caller]
pub fn stays(what: &str, bound: Duration, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while start.elapsed() < bound {
        assert!(so(), "did not stay so: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Where `tests/setup` puts what is not from Debian.
pub fn tool(path: &str) -> PathBuf {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/.tools").join(path);
    assert!(tool.exists(), "{} is missing: run tests/setup", tool.display());
    tool
}
