//! The page: its router, its socket, and the page in a real browser.
#![allow(clippy::disallowed_methods)] // tests start programs and wait with a bound

#[path = "web/browser.rs"]
mod browser;
#[path = "web/fixture.rs"]
mod fixture;
#[path = "web/router.rs"]
mod router;
#[path = "web/served.rs"]
mod served;
