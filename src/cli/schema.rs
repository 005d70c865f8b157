//! `minder schema`: what editors need to complete and check rule files.

use super::{Outcome, code};
use crate::config;

/// Print a JSON Schema of rule files, by which editors complete and check them
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  minder schema > /etc/minder/schema.json\n\nAn editor with a YAML language server takes it from the first line of a rule file:\n  # yaml-language-server: $schema=schema.json"
)]
pub(super) struct Args {}

pub(super) fn run() -> Outcome {
    Outcome { text: format!("{:#}\n", config::schema()), code: code::WELL }
}
