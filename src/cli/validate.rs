//! `minder validate`

use crate::config::{self, Env};
use crate::daemon::paths;
use clap::Args;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

/// The arguments of `minder validate`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  minder validate ./rules --env-file /etc/default/minder")]
pub struct Validate {
    /// A rule file, or a directory of them [default: /etc/minder, or ./rules where that does not exist]
    rules: Option<PathBuf>,
    /// A file of NAME=value lines that stands in for the daemon's environment
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
}

impl Validate {
    /// Says every mistake, or what the rules amount to. Exit 1 with a mistake.
    pub fn run(self) -> ExitCode {
        let rules = self.rules.unwrap_or_else(paths::rules);
        let env = match self.env_file {
            None => Env::of_process(),
            Some(file) => match std::fs::read_to_string(&file) {
                Ok(text) => Env::from_file_text(&text),
                Err(e) => {
                    eprintln!("minder: cannot read {}: {e}", file.display());
                    return ExitCode::from(2);
                }
            },
        };
        match config::load_coloured(&rules, &env, std::io::stderr().is_terminal()) {
            Ok((plan, warnings)) => {
                eprint!("{warnings}");
                let count = |n: usize, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
                println!(
                    "{} read: {}, {}, {}, {}. All is well.",
                    count(plan.files.len(), "file"),
                    count(plan.services.len(), "service"),
                    count(plan.services.iter().map(|s| s.checks.len()).sum(), "check"),
                    count(plan.services.iter().map(|s| s.rules.len()).sum(), "rule"),
                    count(plan.notifiers.len(), "notifier"),
                );
                ExitCode::SUCCESS
            }
            Err(report) => {
                eprint!("{report}");
                ExitCode::FAILURE
            }
        }
    }
}
