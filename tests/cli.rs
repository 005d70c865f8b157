//! The command line against a served socket: what it prints, and how it ends.
// Tests start programs, and a failure of what they stand on is a failed test.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "cli/audit.rs"]
mod audit;
#[path = "cli/client.rs"]
mod client;
#[path = "cli/env.rs"]
mod env;
#[path = "cli/explain.rs"]
mod explain;
#[path = "web/fixture.rs"]
mod fixture;
#[path = "cli/init.rs"]
mod init;
#[path = "cli/messages.rs"]
mod messages;
#[path = "cli/passwd.rs"]
mod passwd;
#[path = "web/world.rs"]
mod world;
