//! `minder resend`: sends again what could not be delivered.

use super::client::{Client, SOON};
use super::{Failure, Outcome, code, steer};
use serde_json::json;

/// Send messages again that could not be delivered
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  minder messages --state dead\n  minder resend 12 14\n  minder resend --all --notifier ops"
)]
pub(super) struct Args {
    /// The numbers of the messages
    #[arg(value_name = "ID", required_unless_present = "all")]
    ids: Vec<u64>,
    /// All that are dead; at most 1000 at a time, the latest
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    /// Of these, those to this notifier
    #[arg(long, value_name = "NAME", requires = "all", conflicts_with = "ids")]
    notifier: Option<String>,
}

pub(super) fn run(args: Args, client: &Client) -> Result<Outcome, Failure> {
    let body = if args.all { json!({ "notifier": args.notifier }) } else { json!({ "messages": args.ids }) };
    let body = serde_json::to_vec(&body).map_err(|e| Failure::new(code::WRONG, e.to_string()))?;
    steer::send(client, "/api/v1/resend", body.into(), SOON)
}
