//! `minder run`

use crate::daemon::{self, Options, paths};
use clap::Args;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

/// The arguments of `minder run`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  minder run                       the rules in /etc/minder\n  \
                        minder run ./rules --no-act      say what would be done, and do nothing")]
pub struct Run {
    /// A rule file, or a directory of them [default: /etc/minder, or ./rules where that does not exist]
    rules: Option<PathBuf>,
    /// Judge and record, but do nothing and tell nobody: say what would have been done
    #[arg(long)]
    no_act: bool,
    /// Where state and history are kept [default: /var/lib/minder for root]
    #[arg(long, value_name = "DIR", env = "MINDER_STATE")]
    state: Option<PathBuf>,
    /// How the log is written
    #[arg(long, value_enum, default_value_t = LogForm::Text)]
    log: LogForm,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum LogForm {
    /// Lines for people
    Text,
    /// A JSON object a line
    Json,
}

impl Run {
    /// Runs minder until it is told to end.
    pub fn run(self, socket: Option<PathBuf>) -> ExitCode {
        let log = tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).with_target(false);
        match self.log {
            LogForm::Text => log.with_ansi(std::io::stdout().is_terminal()).init(),
            LogForm::Json => log.json().init(),
        }
        let options = Options {
            rules: self.rules.unwrap_or_else(paths::rules),
            state: self.state.unwrap_or_else(paths::state),
            socket: socket.unwrap_or_else(paths::socket),
            no_act: self.no_act,
        };
        match daemon::run(options) {
            Ok(()) => ExitCode::SUCCESS,
            Err(daemon::Error::Rules(report)) => {
                eprint!("{report}");
                ExitCode::FAILURE
            }
            Err(e) => {
                eprintln!("minder: {e}");
                ExitCode::FAILURE
            }
        }
    }
}
