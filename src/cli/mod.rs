//! The command line: a file per command. Most are clients of the daemon's own socket.

mod ack;
mod audit;
mod backtest;
mod client;
mod env;
mod explain;
mod history;
mod import;
mod init;
mod install;
mod log;
mod messages;
mod pages;
mod passwd;
mod report;
mod resend;
mod run;
mod run_job;
mod schema;
mod screen;
mod silence;
mod status;
mod steer;
mod supervisord_events;
mod test;
mod top;
mod validate;
mod wrapper;
mod write;

use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// How a command ended.
pub mod code {
    /// All is well, or done.
    pub const WELL: u8 = 0;
    /// Something is wrong, or was not done.
    pub const WRONG: u8 = 1;
    /// The command line was not understood, or a file that it names is of no use.
    pub const USAGE: u8 = 2;
    /// The daemon cannot be reached.
    pub const UNREACHABLE: u8 = 3;
}

/// Watches daemons that it did not start, judges them by YAML rules, and acts.
#[derive(Debug, Parser)]
#[command(name = "minder", version, after_help = EXIT_CODES)]
struct Cli {
    /// The daemon's socket [default: $MINDER_SOCKET, else /run/minder/minder.sock for root, $XDG_RUNTIME_DIR/minder/minder.sock for others, or beside their state]
    #[arg(long, global = true, value_name = "PATH")]
    socket: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 all is well, or done; 1 something is wrong, or was not done; 2 usage; 3 the daemon \
                          cannot be reached.";

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Validate(validate::Args),
    Explain(explain::Args),
    Env(env::Args),
    Test(test::Args),
    Backtest(backtest::Args),
    Import(import::Args),
    Init(init::Args),
    Schema(schema::Args),
    RunJob(run_job::Args),
    Status(status::Args),
    Top(top::Args),
    History(history::Args),
    Messages(messages::Args),
    Audit(audit::Args),
    Resend(resend::Args),
    Start(steer::Start),
    Stop(steer::Stop),
    Restart(steer::Restart),
    Pause(steer::Pause),
    Resume(steer::Resume),
    Ack(ack::Ack),
    Unack(ack::Unack),
    Write(write::Write),
    Release(steer::Release),
    Reload(steer::Reload),
    Silence(silence::Begin),
    Unsilence(silence::End),
    Silences(silence::List),
    Report(report::Args),
    NotifyTest(steer::NotifyTest),
    Passwd(passwd::Args),
    Install(install::Args),
    Man(pages::Man),
    Completions(pages::Completions),
    SupervisordEvents(supervisord_events::Args),
}

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
struct Failure {
    words: String,
    code: u8,
    /// The words are a report of mistakes in rules: each of them says for itself that it is an error.
    report: bool,
}

impl Failure {
    fn new(code: u8, words: impl Into<String>) -> Failure {
        Failure { words: words.into(), code, report: false }
    }

    fn report(words: String) -> Failure {
        Failure { words, code: code::WRONG, report: true }
    }
}

/// What a command says, and how it ended.
struct Outcome {
    text: String,
    code: u8,
}

/// Runs the command that these arguments name.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(e) => {
            // To a closed pipe there is nothing to say.
            let _ = e.print();
            return ExitCode::from(if e.use_stderr() { code::USAGE } else { code::WELL });
        }
    };
    let ended = run(cli).and_then(|outcome| print(&outcome.text).map(|()| outcome.code));
    ExitCode::from(ended.unwrap_or_else(|failure| {
        let sign = if failure.report { "" } else { "error: " };
        let _ = writeln!(std::io::stderr(), "{sign}{}", failure.words.trim_end());
        failure.code
    }))
}

fn run(cli: Cli) -> Result<Outcome, Failure> {
    let client = || client::Client::new(cli.socket.as_deref());
    match cli.command {
        Command::Run(args) => run::run(args, cli.socket),
        Command::Validate(args) => validate::run(&args),
        Command::Explain(args) => explain::run(&args, client),
        Command::Env(args) => env::run(&args, cli.socket),
        Command::Test(args) => test::run(&args),
        Command::Backtest(args) => backtest::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Init(args) => init::run(&args),
        Command::Schema(args) => Ok(schema::run(&args)),
        Command::RunJob(args) => run_job::run(&args, &client()?),
        Command::Status(args) => status::run(&args, &client()?),
        Command::Top(args) => top::run(&args, &client()?),
        Command::History(args) => history::run(&args, &client()?),
        Command::Messages(args) => messages::run(&args, &client()?),
        Command::Audit(args) => audit::run(&args, &client()?),
        Command::Resend(args) => resend::run(args, &client()?),
        Command::Start(args) => steer::run(args, &client()?),
        Command::Stop(args) => steer::run(args, &client()?),
        Command::Restart(args) => steer::run(args, &client()?),
        Command::Pause(args) => steer::run(args, &client()?),
        Command::Resume(args) => steer::run(args, &client()?),
        Command::Ack(args) => steer::run(args, &client()?),
        Command::Unack(args) => steer::run(args, &client()?),
        Command::Write(args) => write::run(args, &client()?),
        Command::Release(args) => steer::run(args, &client()?),
        Command::Silence(args) => silence::begin(args, &client()?),
        Command::Unsilence(args) => silence::end(args, &client()?),
        Command::Silences(args) => silence::list(&args, &client()?),
        Command::Report(args) => Ok(report::run(&args, cli.socket)),
        Command::Reload(_) => steer::reload(&client()?),
        Command::NotifyTest(args) => steer::run(args, &client()?),
        Command::Passwd(args) => passwd::run(&args),
        Command::Install(args) => install::run(&args),
        Command::Man(args) => pages::man(&args),
        Command::Completions(args) => Ok(pages::completions(&args)),
        Command::SupervisordEvents(args) => supervisord_events::run(&args, &client()?),
    }
}

/// Writes to standard output. A reader that has seen enough, such as `head`, is no failure.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(code::WRONG, format!("the output cannot be written: {e}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound_and_every_command_has_an_example() {
        let mut command = Cli::command();
        command.build();
        command.clone().debug_assert();
        for sub in command.get_subcommands().filter(|s| s.get_name() != "help") {
            let example = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(example.contains(&format!("minder {}", sub.get_name())), "{} has no example", sub.get_name());
            assert!(sub.get_about().is_some(), "{} says nothing about itself", sub.get_name());
        }
    }
}
