//! A small world for the engine's tests: plans built from the words of the model, and services that live, die, and answer.
//!
//! Also used by `tests/engine_invariants.rs`, which includes this file.

#![allow(dead_code, missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "only for tests and benchmarks")]

mod plans;
mod real;
mod world;

pub use plans::*;
pub use real::*;
pub use world::*;
