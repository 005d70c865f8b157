//! The command line against a served socket: what it prints, and how it ends.
#![allow(clippy::disallowed_methods)] // tests start programs and wait with a bound

#[path = "cli/client.rs"]
mod client;
#[path = "web/fixture.rs"]
mod fixture;
