//! `minder start`, `stop`, `restart`, `pause`, `resume`, `release`, `reload` and `notify-test`: they wait for the true outcome.

use super::client::{Client, OUTCOME, SOON};
use super::{Failure, Outcome, code};
use crate::model::{Command, Name, Verb};
use bytes::Bytes;
use hyper::Method;
use std::sync::Arc;

macro_rules! steer {
    ($($(#[$about:meta])* $name:ident => $command:ident, $example:literal;)*) => {
        $(
            $(#[$about])*
            #[derive(Debug, clap::Args)]
            #[command(after_help = concat!("Example:\n  ", $example))]
            pub(super) struct $name {
                /// The services
                #[arg(required_unless_present_any = ["group", "all"])]
                services: Vec<String>,
                /// All services of this group
                #[arg(long, value_name = "NAME", conflicts_with = "all")]
                group: Option<String>,
                /// All services
                #[arg(long, conflicts_with = "services")]
                all: bool,
                /// Do not wait for the outcome
                #[arg(long)]
                no_wait: bool,
            }

            impl From<$name> for Order {
                fn from(args: $name) -> Order {
                    let $name { services, group, all, no_wait } = args;
                    let services: Vec<Name> = services.into_iter().map(Name::from).collect();
                    let command = match services.as_slice() {
                        [service] if group.is_none() => Command::$command { service: Arc::clone(service) },
                        _ => Command::Several { verb: Verb::$command, services, group, all },
                    };
                    Order { command, wait: !no_wait }
                }
            }
        )*
    };
}

steer! {
    /// Start services, what they need first, and watch them again if they were stopped
    Start => Start, "minder start web\n  minder start web database";
    /// Stop services, what they need last; minder leaves them so until they are started
    Stop => Stop, "minder stop web\n  minder stop --group shop";
    /// Restart services; they get a fresh restart budget; several are all stopped first
    Restart => Restart, "minder restart web\n  minder restart web database --no-wait\n  minder restart --all";
    /// Stop judging services: they are asked, but no rule fires and nothing is done
    Pause => Pause, "minder pause web";
    /// Judge paused services again
    Resume => Resume, "minder resume web";
}

/// Read the rules anew; a mistake in them changes nothing
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  minder validate /etc/minder && minder reload")]
pub(super) struct Reload {}

/// Let go ahead the restarts that the brake holds
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  minder release")]
pub(super) struct Release {}

impl From<Release> for Order {
    fn from(_: Release) -> Order {
        Order { command: Command::Release, wait: true }
    }
}

/// Send a test through a notifier, then its end, and show the whole conversation
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

impl Order {
    /// Its outcome is waited for.
    pub fn new(command: Command) -> Order {
        Order { command, wait: true }
    }
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

pub(super) fn send(client: &Client, path: &str, body: Bytes, within: std::time::Duration) -> Result<Outcome, Failure> {
    let reply = client.send(Method::POST, path, body, within)?;
    Ok(Outcome { text: client.outcome(&reply)?, code: code::WELL })
}
