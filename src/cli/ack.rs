//! `minder ack` and `unack`: somebody looks after an incident, or nobody does any more.

use super::steer::Order;
use crate::model::{Command, parse_duration};
use std::time::Duration;

/// Say that you look after an incident: no reminders and no escalation meanwhile
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  minder ack web --reason \"disk is being replaced\"\n  \
                        minder ack web --reason \"on it\" --for 2h --as eva\n\n\
                        Those who were told of the incident hear who looks after it. It ends with the incident, by `minder unack`, \
                        or when its time is up.")]
pub(super) struct Ack {
    /// The service, or the number of its incident
    service: String,
    /// What is done about it
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// For so long at most [default: until it is over]
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration)]
    lasts: Option<Duration>,
    /// Who looks after it, if not you
    #[arg(long = "as", value_name = "NAME")]
    by: Option<String>,
}

impl From<Ack> for Order {
    fn from(args: Ack) -> Order {
        let Ack { service, reason, lasts, by } = args;
        let lasts = lasts.map(|lasts| u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX));
        Order::new(Command::Acknowledge { service: service.into(), by, reason, lasts })
    }
}

/// Say that nobody looks after an incident any more
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  minder unack web")]
pub(super) struct Unack {
    /// The service, or the number of its incident
    service: String,
}

impl From<Unack> for Order {
    fn from(args: Unack) -> Order {
        Order::new(Command::Unacknowledge { service: args.service.into() })
    }
}
