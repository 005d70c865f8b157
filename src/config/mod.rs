//! YAML text to a [`crate::model::Plan`], or every mistake in it. Pure, but for `source`, which reads the files, if nobody else could have
//! written them.
//!
//! ```text
//!  files ──source──▶ text ──tree──▶ nodes with places ──plan, service, rule──▶ Plan
//!                                     │ template, fill, expand: templates under services
//!                                     │ decode: serde, for the keys of kinds, controls, notifiers
//!                                     │ lexer, parser, resolve: conditions and actions
//!                                     ▼
//!                                  diagnostic: every mistake, drawn into its line
//! ```
//!
//! Files of scenarios (`scenario`, `expectation`, `occurrence`, `notation`) are read by the same means.
//!
//! Nothing stops at the first mistake: a part that cannot be read is left out, and the rest is read on.

mod check;
mod contradiction;
mod control;
mod dashboard;
mod decode;
mod depends;
mod diagnostic;
mod door;
mod escalate;
mod expand;
mod expectation;
pub mod explain;
mod fill;
mod implied;
mod keys;
mod lexer;
mod listing;
mod maintenance;
mod message;
mod notation;
mod notifier;
mod occurrence;
mod parser;
mod perf;
mod plan;
mod preset;
mod resolve;
mod rule;
mod samples;
mod scenario;
mod schema;
mod service;
mod source;
mod status;
mod syntax;
mod template;
#[cfg(test)]
mod tests;
mod trap;
mod tree;

pub use dashboard::is_name_of_user;
pub use diagnostic::{Diagnostic, Place, nearest, render};
pub use plan::parse;
pub use scenario::{Mistakes, scenarios};
pub use schema::{scenario_schema, schema};
pub use source::{Env, SourceFile, Sources, read, read_to_try};

use crate::model::Plan;
use std::path::Path;

/// Reads a directory or a file into a plan; or draws every mistake, without colour.
pub fn load(path: &Path, env: &Env) -> Result<(Plan, Sources), String> {
    let sources = read(path, env);
    match parse(&sources) {
        Ok(plan) => Ok((plan, sources)),
        Err(diagnostics) => Err(render(&diagnostics, &sources, false)),
    }
}
