//! The page: its router, its socket, and the page in a real browser.
// Tests start programs, and a failure of what they stand on is a failed test.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "web/api.rs"]
mod api;
#[path = "web/auth.rs"]
mod auth;
#[path = "web/browser.rs"]
mod browser;
#[path = "web/door.rs"]
mod door;
#[path = "web/fixture.rs"]
mod fixture;
#[path = "web/fuzz.rs"]
mod fuzz;
#[path = "web/metrics.rs"]
mod metrics;
#[path = "web/pages.rs"]
mod pages;
#[path = "web/router.rs"]
mod router;
#[path = "web/served.rs"]
mod served;
#[path = "web/service.rs"]
mod service;
#[path = "web/status.rs"]
mod status;
#[path = "web/steer.rs"]
mod steer;
#[path = "web/stream.rs"]
mod stream;
#[path = "web/world.rs"]
mod world;
