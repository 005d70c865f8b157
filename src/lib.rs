//! minder watches daemons that it did not start, judges them by rules written in YAML, and acts.
//!
//! # The way of the data
//!
//! ```text
//!  rule files ──config──▶ Plan ──▶ ┌────────┐ ──Effect::Ask──▶ probe, control ──┐
//!                                  │ engine │ ──Effect::Act──▶ control          │
//!  listen ──Input::Exited────────▶ │ (pure) │ ──Effect::Send─▶ notify           │
//!  people ──Input::Asked─────────▶ └────────┘ ──Effect::Record, Keep──▶ store   │
//!                                       ▲                                       │
//!                                       └── Input::Sampled, Input::Acted ◀──────┘
//! ```
//!
//! Everything that comes from outside is one [`model::Input`]; everything that the engine wants of
//! the outside is one [`model::Effect`]. [`engine::Engine::handle`] is a function of its state, the
//! input and the time: it never waits, never reads a clock and touches nothing. That is what makes
//! every decision of minder testable on a timeline, without a daemon in sight.
//!
//! # The layers, and who may know whom
//!
//! | layer | what it does | may import |
//! |---|---|---|
//! | [`model`] | the words of the design as plain data | nothing of ours |
//! | [`sys`] | the bare system calls, and all unsafe code | nothing of ours |
//! | [`config`] | YAML text to a [`model::Plan`], or every mistake in it | `model`, `sys` (trust only) |
//! | [`engine`] | every decision; no async, no I/O, no clock | `model` |
//! | [`probe`] | asks: a file per kind of check | `model`, `sys` |
//! | [`listen`] | is told: process exits, file changes, what supervisors do, what services say of themselves | `model`, `sys` |
//! | [`control`] | starts and stops: a file per supervisor | `model`, `sys` |
//! | [`notify`] | delivers messages | `model`, `sys` |
//! | [`store`] | keeps state and history in two databases | `model`, `sys` |
//! | [`trial`] | rules on a timeline, made up or recorded | `model`, `engine`, `store` (queries) |
//! | [`dashboard`] | shows, and takes commands | `model`, `store` (queries) |
//! | [`import`] | other monitors' words to the text of rules | `model` |
//! | [`discover`] | what runs on a machine, to the text of rules | `model`, `sys`, `import` (its YAML) |
//! | [`daemon`] | wires all of these: the loop, reload, signals, the clock | all but `cli`, `import`, `discover` |
//! | [`cli`] | a file per command | `config`, `engine`, `daemon`, `trial`, `import`, `discover`, `model`, `sys` |
//!
//! `tests/architecture.rs` reads the sources and fails on an import that runs the wrong way.
//!
//! # What never happens
//!
//! - Two *fired* of a rule without a *resolved* between them.
//! - More restarts than the budget, across reloads and restarts of minder itself.
//! - A signal to a process other than the one observed: a process is its pid *and* its start time.
//! - A start of what its operator, or its supervisor's own record, has taken down on purpose.
//! - The end of a service because minder ended.
//! - A check that waits for another service's trouble.
//! - Checks, actions or messages that stop because a database is lost.

pub mod cli;
pub mod config;
pub mod control;
pub mod daemon;
pub mod dashboard;
pub mod discover;
pub mod engine;
pub mod import;
pub mod listen;
pub mod model;
pub mod notify;
pub mod probe;
pub mod store;
pub mod sys;
pub mod trial;
