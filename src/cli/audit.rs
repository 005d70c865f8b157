//! `minder audit`: who did what, from where, and what came of it.

use super::client::{Client, encode};
use super::screen::Screen;
use super::{Failure, Outcome, code};
use crate::model::{Audit, Status, parse_duration, plain};
use jiff::tz::TimeZone;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

/// Who did what, from where, and what came of it
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  minder audit\n  minder audit --who eva --since 1d\n  minder audit --last 100 --json"
)]
pub(super) struct Args {
    /// Of this user, token or process, as it is listed
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
    /// Not longer ago than this, such as 2h
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    since: Option<Duration>,
    /// The latest so many
    #[arg(long, value_name = "N", default_value_t = 20)]
    last: usize,
    /// As JSON, as the daemon says it
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, client: &Client) -> Result<Outcome, Failure> {
    let mut path = format!("/api/v1/audit?limit={}", args.last.max(1));
    if let Some(who) = &args.who {
        let _ = write!(path, "&who={}", encode(who));
    }
    if let Some(since) = args.since {
        let _ = write!(path, "&from={}", client.ago(since)?);
    }
    let mut audits: Vec<Audit> = client.list(&path, args.last)?;
    // As in a log, the newest stands last, beside the prompt.
    audits.reverse();
    if args.json {
        let text = serde_json::to_string_pretty(&audits).map_err(|e| Failure::new(code::WRONG, e.to_string()))?;
        return Ok(Outcome { text: text + "\n", code: code::WELL });
    }
    if audits.is_empty() {
        let _ = writeln!(std::io::stderr(), "nobody is recorded to have done anything of this kind");
    }
    Ok(Outcome { text: list(&audits, Screen::here()), code: code::WELL })
}

fn list(audits: &[Audit], screen: Screen) -> String {
    let longest = |text: fn(&Audit) -> &str| audits.iter().map(|a| plain(text(a)).chars().count()).max().unwrap_or(0);
    let (who, from) = (longest(|audit| &audit.who), longest(|audit| &audit.from));
    let used = 19 + 2 + who + 2 + from + 2;
    let mut out = String::new();
    for audit in audits {
        let at = audit.at.zoned(TimeZone::system()).strftime("%F %T").to_string();
        let words = match (audit.ok, audit.words.is_empty()) {
            (true, true) => audit.what.clone(),
            (true, false) => format!("{}: {}", audit.what, audit.words),
            (false, _) => format!("not done: {}: {}", audit.what, audit.words),
        };
        let words = screen.wrap(&words, used);
        let words = if audit.ok { words } else { screen.paint(Status::Critical, &words) };
        let _ = writeln!(out, "{}  {:who$}  {:from$}  {words}", screen.dim(&at), plain(&audit.who), plain(&audit.from));
    }
    out
}
