//! `minder man` and `minder completions`: what the shell and man(1) know of minder, made from the command line itself.

use super::{Cli, Failure, Outcome, code};
use clap::CommandFactory;
use std::path::PathBuf;

/// Write the manual pages: minder.1, and one for each command
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  minder man /usr/local/share/man/man1")]
pub(super) struct Man {
    /// Into this directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// Print the completions for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  minder completions bash > /etc/bash_completion.d/minder")]
pub(super) struct Completions {
    /// Which
    shell: clap_complete::Shell,
}

pub(super) fn man(args: &Man) -> Result<Outcome, Failure> {
    let written = std::fs::create_dir_all(&args.directory)
        .and_then(|()| clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), &args.directory));
    match written {
        Ok(()) => Ok(Outcome { text: String::new(), code: code::WELL }),
        Err(e) => Err(Failure::new(code::WRONG, format!("{}: {e}", args.directory.display()))),
    }
}

pub(super) fn completions(args: &Completions) -> Outcome {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "minder", &mut text);
    Outcome { text: String::from_utf8_lossy(&text).into_owned(), code: code::WELL }
}
