//! `minder schema`: what editors need to complete and check files.

use super::{Outcome, code};
use crate::config;

/// Print a JSON Schema of rule files, by which editors complete and check them
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Args {
    /// Of files of scenarios, for `minder test`
    #[arg(long)]
    scenarios: bool,
}

const EXAMPLE: &str = "Example:\n  minder schema > /etc/minder/schema.json\n\nAn editor with a YAML language server takes it from \
                       the first line of a rule file:\n  # yaml-language-server: $schema=schema.json";

pub(super) fn run(args: &Args) -> Outcome {
    let schema = if args.scenarios { config::scenario_schema() } else { config::schema() };
    Outcome { text: format!("{schema:#}\n"), code: code::WELL }
}
