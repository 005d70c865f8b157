//! `minder explain`: what the rules of a service amount to.

use super::{Failure, Outcome, code, validate};
use crate::config::{explain, nearest};
use crate::model::Plan;
use std::path::PathBuf;

/// Say what rules amount to, and where each default comes from
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  minder explain web\n  minder explain --rules ./rules")]
pub(super) struct Args {
    /// The service; all of them without one
    service: Option<String>,
    /// A rule file, or a directory of them [default: /etc/minder, or ./rules where that does not exist]
    #[arg(long, value_name = "PATH")]
    rules: Option<PathBuf>,
    /// A file of NAME=value lines that stands in for the daemon's environment
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<Outcome, Failure> {
    let (plan, sources) = validate::load(args.rules.as_deref(), args.env_file.as_deref())?;
    let text = match &args.service {
        None => explain::all(&plan, &sources),
        Some(name) => explain::service(&plan, &sources, name).ok_or_else(|| no_service(&plan, name))?,
    };
    Ok(Outcome { text, code: code::WELL })
}

/// The rules know no service of this name.
pub(super) fn no_service(plan: &Plan, name: &str) -> Failure {
    let known: Vec<&str> = plan.services.iter().map(|service| &*service.name).collect();
    let help = match nearest(name, known.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("there is: {}", known.join(", ")),
    };
    Failure::new(code::USAGE, format!("there is no service `{name}` in these rules; {help}"))
}
