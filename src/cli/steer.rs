//! `minder start`, `stop`, `restart`, `pause`, `resume`, `reload` and `notify-test`: they wait for the true outcome.

use super::client::{Client, OUTCOME, SOON};
use super::{Failure, Outcome, code};
use crate::model::{Answer, Command, plain_lines};
use bytes::Bytes;
use hyper::{Method, StatusCode};

macro_rules! steer {
    ($($(#[$about:meta])* $name:ident => $command:ident, $example:literal;)*) => {
        $(
            $(#[$about])*
            #[derive(Debug, clap::Args)]
            #[command(after_help = concat!("Example:\n  ", $example))]
            pub(super) struct $name {
                /// The service
                service: String,
                /// Do not wait for the outcome
                #[arg(long)]
                no_wait: bool,
            }

            impl From<$name> for Order {
                fn from(args: $name) -> Order {
                    Order { command: Command::$command { service: args.service.into() }, wait: !args.no_wait }
                }
            }
        )*
    };
}

steer! {
    /// Start a service, and watch it again if it was stopped
    Start => Start, "minder start web";
    /// Stop a service; minder leaves it so until it is started
    Stop => Stop, "minder stop web";
    /// Restart a service; it gets a fresh restart budget
    Restart => Restart, "minder restart web\n  minder restart web --no-wait";
    /// Stop judging a service: it is asked, but no rule fires and nothing is done
    Pause => Pause, "minder pause web";
    /// Judge a paused service again
    Resume => Resume, "minder resume web";
}

/// Read the rules anew; a mistake in them changes nothing
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  minder validate /etc/minder && minder reload")]
pub(super) struct Reload {}

/// Send a message through a notifier, and say what came of it
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  minder notify-test ops")]
pub(super) struct NotifyTest {
    /// The notifier's name
    notifier: String,
    /// Do not wait for the outcome
    #[arg(long)]
    no_wait: bool,
}

impl From<NotifyTest> for Order {
    fn from(args: NotifyTest) -> Order {
        Order { command: Command::NotifyTest { notifier: args.notifier.into() }, wait: !args.no_wait }
    }
}

/// What is asked of the daemon, and whether its outcome is waited for.
pub(super) struct Order {
    command: Command,
    wait: bool,
}

pub(super) fn run(order: impl Into<Order>, client: &Client) -> Result<Outcome, Failure> {
    let Order { command, wait } = order.into();
    let body = serde_json::to_vec(&command).map_err(|e| Failure::new(code::WRONG, e.to_string()))?;
    let (path, within) = if wait { ("/api/v1/commands", OUTCOME) } else { ("/api/v1/commands?wait=false", SOON) };
    send(client, path, body.into(), within)
}

pub(super) fn reload(client: &Client) -> Result<Outcome, Failure> {
    send(client, "/api/v1/reload", Bytes::new(), OUTCOME)
}

fn send(client: &Client, path: &str, body: Bytes, within: std::time::Duration) -> Result<Outcome, Failure> {
    let reply = client.send(Method::POST, path, body, within)?;
    match reply.status {
        StatusCode::OK | StatusCode::ACCEPTED => {
            let answer: Answer = client.read(&reply)?;
            Ok(Outcome { text: format!("{}\n", plain_lines(answer.words.trim_end())), code: code::WELL })
        }
        StatusCode::CONFLICT => {
            let answer: Answer = client.read(&reply)?;
            Err(Failure::new(code::WRONG, plain_lines(answer.words.trim_end())))
        }
        _ => Err(client.refused(&reply)),
    }
}
