//! `minder run`: the daemon itself.

use super::{Failure, Outcome, code, log};
use crate::daemon::{self, Options, paths};
use std::io::IsTerminal;
use std::path::PathBuf;

/// Watch, judge and act, in the foreground, until told to end
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  minder run                     with the rules in /etc/minder\n  \
                        minder run ./rules --no-act    say what would be done, and do nothing")]
pub(super) struct Args {
    /// A rule file, or a directory of them [default: /etc/minder, or ./rules where that does not exist]
    rules: Option<PathBuf>,
    /// Judge and record, but do nothing and tell nobody: say what would have been done
    #[arg(long)]
    no_act: bool,
    /// Where state and history are kept [default: $MINDER_STATE, else /var/lib/minder for root, ~/.local/state/minder for others]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// How the log on standard output is written
    #[arg(long, value_enum, default_value_t = Log::Text)]
    log: Log,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Log {
    /// Lines for people
    Text,
    /// A JSON object a line
    Json,
}

pub(super) fn run(args: Args, socket: Option<PathBuf>) -> Result<Outcome, Failure> {
    let out = log::Log::start().map_err(|e| Failure::new(code::WRONG, format!("no thread for the log: {e}")))?;
    let log = tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).with_target(false);
    let log = log.with_writer(out.writer()).log_internal_errors(false);
    match args.log {
        Log::Text => log.with_ansi(std::io::stdout().is_terminal()).init(),
        Log::Json => log.json().init(),
    }
    let options = Options {
        rules: args.rules.unwrap_or_else(paths::rules),
        state: args.state.unwrap_or_else(paths::state),
        socket: socket.unwrap_or_else(paths::socket),
        no_act: args.no_act,
    };
    let ended = daemon::run(options);
    out.flush();
    match ended {
        Ok(()) => Ok(Outcome { text: String::new(), code: code::WELL }),
        Err(daemon::Error::Rules(report)) => Err(Failure::report(report)),
        Err(e) => Err(Failure::new(code::WRONG, whole(&e))),
    }
}

/// An error with everything that it comes from: none of them repeats the next.
fn whole(error: &daemon::Error) -> String {
    let mut words = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        words = format!("{words}: {cause}");
        source = cause.source();
    }
    let taken = matches!(error, daemon::Error::System { source, .. } if source.kind() == std::io::ErrorKind::AddrInUse);
    if taken {
        words.push_str("\nSomething listens there already, perhaps another minder: see `minder status`. The rules may name another address for the page: `dashboard: { listen: \"127.0.0.1:8901\" }`.");
    }
    words
}
