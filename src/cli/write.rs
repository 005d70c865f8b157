//! `minder write`: somebody writes about an incident, for those who look at it.

use super::client::Client;
use super::steer::{self, Order};
use super::{Failure, Outcome, code};
use crate::cli::client::encode;
use crate::model::{Command, Incident, plain};
use serde::Deserialize;

/// Write about an incident, for those who look at it, or for the public
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  minder write 41 \"the disk is replaced, the copy runs\"\n  \
                        minder write web \"We are back. The cause was a full disk.\" --public\n\n\
                        It stands among the incident's events, also if that is over. With --public it stands on the status page, \
                        if the service is shown there: of an incident the public reads this and nothing else.")]
pub(super) struct Write {
    /// The number of the incident, or a service: its latest one
    incident: String,
    /// What
    words: String,
    /// The public may read it
    #[arg(long)]
    public: bool,
}

/// Of the story of an incident, what is needed here.
#[derive(Deserialize)]
struct Story {
    incident: Incident,
}

pub(super) fn run(args: Write, client: &Client) -> Result<Outcome, Failure> {
    let incident = match args.incident.parse::<u64>() {
        Ok(id) => client.get::<Story>(&format!("/api/v1/incidents/{id}"))?.incident,
        Err(_) => {
            let service = encode(&args.incident);
            let latest: Vec<Incident> = client.get(&format!("/api/v1/incidents?limit=1&service={service}"))?;
            latest.into_iter().next().ok_or_else(|| {
                let words = format!("there is no incident of {}; `minder history` shows all", plain(&args.incident));
                Failure::new(code::USAGE, words)
            })?
        }
    };
    let Write { words, public, .. } = args;
    steer::run(Order::new(Command::Write { incident: incident.id, service: incident.service, words, public }), client)
}
