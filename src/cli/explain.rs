//! `minder explain`: what the rules of a service amount to.

use super::{Failure, Outcome, code, validate};
use crate::config::explain;
use std::path::PathBuf;

/// Say what rules amount to, in words and in the long form with every default
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
    let plan = validate::load(args.rules.as_deref(), args.env_file.as_deref())?;
    let names: Vec<&str> = match &args.service {
        Some(name) => vec![name],
        None => plan.services.iter().map(|service| &*service.name).collect(),
    };
    let mut text = String::new();
    for name in names {
        match explain::service(&plan, name) {
            Some(words) => {
                if !text.is_empty() {
                    text.push('\n');
                }
                text.push_str(&words);
            }
            None => {
                let known: Vec<&str> = plan.services.iter().map(|service| &*service.name).collect();
                let words = format!("there is no service `{name}` in these rules; there is: {}", known.join(", "));
                return Err(Failure::new(code::USAGE, words));
            }
        }
    }
    Ok(Outcome { text, code: code::WELL })
}
