//! `minder explain`: what the rules of a service amount to; or the way of a message.

use super::client::Client;
use super::{Failure, Outcome, code, messages, validate};
use crate::config::{explain, nearest};
use crate::daemon::RealClock;
use crate::model::{Clock, Plan};
use std::path::PathBuf;

/// Say what rules amount to, and where each default comes from; or why a message was told, or not
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  minder explain web\n  minder explain --rules ./rules\n  minder explain --message 12"
)]
pub(super) struct Args {
    /// The service; all of them without one
    service: Option<String>,
    /// A rule file, or a directory of them [default: /etc/minder, or ./rules where that does not exist]
    #[arg(long, value_name = "PATH")]
    rules: Option<PathBuf>,
    /// A file of NAME=value lines that stands in for the daemon's environment
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// The whole way of the message of this number: what was done with it, when, and why
    #[arg(long, value_name = "ID", conflicts_with_all = ["service", "rules", "env_file"])]
    message: Option<u64>,
}

pub(super) fn run(args: &Args, client: impl FnOnce() -> Result<Client, Failure>) -> Result<Outcome, Failure> {
    if let Some(id) = args.message {
        return messages::explain(id, &client()?);
    }
    let (plan, sources) = validate::load(args.rules.as_deref(), args.env_file.as_deref())?;
    let now = RealClock.now().wall;
    let text = match &args.service {
        None => explain::all(&plan, &sources, now),
        Some(name) => explain::service(&plan, &sources, name, now).ok_or_else(|| no_service(&plan, name))?,
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
