//! `minder report`: the last line of a `finish` script. It neither holds the script up nor makes it fail: whatever goes wrong
//! is a line on standard error.

use super::client::Client;
use super::{Failure, Outcome, code};
use crate::daemon::paths;
use crate::model::EndReport;
use hyper::Method;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the daemon may take: a supervisor starts nothing before its script has ended.
const WITHIN: Duration = Duration::from_secs(1);

/// Tell how a service's process ended, from its finish script under runit or s6
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Always exits with 0, and within a second.\n\nExample, the whole of a finish script:\n  #!/bin/sh\n  exec minder report web \"$1\" \"$2\""
)]
pub(super) struct Args {
    /// The service, by its name in minder's rules
    service: String,
    /// The script's first argument: the exit code
    #[arg(allow_hyphen_values = true)]
    code: String,
    /// The script's second argument: the wait status, or the signal
    #[arg(allow_hyphen_values = true)]
    status: String,
    /// What else the script was given
    #[arg(hide = true, allow_hyphen_values = true, trailing_var_arg = true)]
    more: Vec<String>,
}

pub(super) fn run(args: &Args, socket: Option<PathBuf>) -> Outcome {
    if let Err(failure) = send(args, socket) {
        eprintln!("minder report: {}", failure.words);
    }
    Outcome { text: String::new(), code: code::WELL }
}

fn send(args: &Args, socket: Option<PathBuf>) -> Result<(), Failure> {
    let number = |text: &str| {
        let error = || Failure::new(code::USAGE, format!("`{}` is no number", text.escape_debug()));
        text.parse::<i32>().map_err(|_| error())
    };
    let report =
        EndReport { service: args.service.as_str().into(), code: number(&args.code)?, status: number(&args.status)? };
    let body = serde_json::to_vec(&report).map_err(|e| Failure::new(code::WRONG, e.to_string()))?;
    let client = Client::new(Some(&report_socket(socket)))?;
    let reply = client.send(Method::POST, EndReport::PATH, body.into(), WITHIN)?;
    if reply.status.is_success() { Ok(()) } else { Err(client.refused(&reply)) }
}

/// That of the daemon's socket, if it was named; else the machine's own daemon's, which other users' scripts report to, too.
fn report_socket(socket: Option<PathBuf>) -> PathBuf {
    let own = paths::reports(&socket.clone().unwrap_or_else(paths::socket));
    let machine = paths::reports(Path::new(paths::MACHINE_SOCKET));
    if socket.is_none() && !paths::socket_is_named() && !own.exists() { machine } else { own }
}
