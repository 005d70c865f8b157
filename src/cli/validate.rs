//! `minder validate`: every mistake of the rules, or that there is none.

use super::{Failure, Outcome, code};
use crate::config::{self, Env, Sources};
use crate::daemon::paths;
use crate::model::Plan;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// Check rules, and say every mistake in them
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  minder validate ./rules --env-file /etc/default/minder")]
pub(super) struct Args {
    /// A rule file, or a directory of them [default: /etc/minder, or ./rules where that does not exist]
    rules: Option<PathBuf>,
    /// A file of NAME=value lines that stands in for the daemon's environment
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<Outcome, Failure> {
    let (plan, _) = load(args.rules.as_deref(), args.env_file.as_deref())?;
    let count = |n: usize, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
    let text = format!(
        "No mistakes: {}, {}, {}, {}, {}.\n",
        count(plan.files.len(), "file"),
        count(plan.services.len(), "service"),
        count(plan.services.iter().map(|s| s.checks.len()).sum(), "check"),
        count(plan.services.iter().map(|s| s.rules.len()).sum(), "rule"),
        count(plan.notifiers.len(), "notifier"),
    );
    let notes: String = plan.notes.iter().map(|note| format!("note: {note}\n")).collect();
    Ok(Outcome { text: text + &notes, code: code::WELL })
}

/// The plan that these rules make, and their text; or the report of their mistakes, in colour where somebody looks at it.
pub(super) fn load(rules: Option<&Path>, env_file: Option<&Path>) -> Result<(Plan, Sources), Failure> {
    let rules = rules.map_or_else(paths::rules, Path::to_owned);
    let env = match env_file {
        None => Env::from_process(),
        Some(file) => std::fs::read_to_string(file)
            .map_err(|e| e.to_string())
            .and_then(|text| Env::from_file_text(&text))
            .map_err(|e| Failure::new(code::USAGE, format!("{}: {e}", file.display())))?,
    };
    judge(config::read(&rules, &env))
}

/// The plan that these files make; or the report of their mistakes.
pub(super) fn judge(sources: Sources) -> Result<(Plan, Sources), Failure> {
    match config::parse(&sources) {
        Ok(plan) => Ok((plan, sources)),
        Err(diagnostics) => {
            let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
            Err(Failure::report(config::render(&diagnostics, &sources, colour)))
        }
    }
}
