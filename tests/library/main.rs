//! The library's templates: complete, and true of the real daemons.
//!
//! Each daemon that Debian packages is tried as Debian configures it: on its usual port, with its usual files and users, started
//! by its own init script, and watched by `use: NAME` with hardly a parameter. That this harms nobody, see [`machine`].
#![allow(clippy::disallowed_methods, reason = "tests start programs and watch the time")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on ends")]

#[path = "../support/mod.rs"]
mod support;

mod data;
mod files;
mod machine;
mod mail;
mod monitors;
mod net;
mod programs;
mod web;

use machine::Try;
