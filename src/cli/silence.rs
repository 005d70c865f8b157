//! `minder silence`, `unsilence` and `silences`: nobody is told of some things for a while.
//!
//! Behind a command, as `minder silence web --for 10m -- ./deploy.sh`, the silence is held by this process: however it ends, the
//! daemon sees that it has, and ends the silence.

use super::client::{Client, SOON};
use super::wrapper::{Wrapper, ending};
use super::{Failure, Outcome, code};
use crate::model::{
    Command, Identity, MaintenanceView, Scope, Silence, Snapshot, Wall, parse_duration, plain, plain_lines, show_age,
};
use crate::sys::proc;
use hyper::Method;
use jiff::tz::TimeZone;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{ErrorKind, Write as _};
use std::time::Duration;

/// So long a command waits for minder, before it runs and before it ends.
const WITHIN: Duration = Duration::from_secs(3);

/// Tell nobody of some services for a while, or as long as a command runs; all is recorded and shown
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  minder silence web --for 10m -- ./deploy.sh --all\n  \
                        minder silence --tag shop --for 2h --reason \"moving the database\"\n  \
                        minder silence web --rule web.slow --for 1d --reason \"known, see #123\"\n\n\
                        With a command, the silence ends when the command does, however it ends, and the exit code is the \
                        command's: 128 and the number of the signal that killed it; 126 or 127 if it cannot be run. If minder is \
                        not there, or refuses, that is said and the command runs all the same.\n\n\
                        What still fires when a silence ends is told then; what is over is not. Who has heard that something \
                        is wrong hears that it is over, silence or not.")]
pub(super) struct Begin {
    /// The services
    #[arg(required_unless_present_any = ["tags", "rules", "all"])]
    services: Vec<String>,
    /// Services with this tag, or in the group of this name; may be given several times
    #[arg(long = "tag", value_name = "NAME")]
    tags: Vec<String>,
    /// This rule alone; may be given several times
    #[arg(long = "rule", value_name = "NAME")]
    rules: Vec<String>,
    /// Everything
    #[arg(long, conflicts_with_all = ["services", "tags", "rules"])]
    all: bool,
    /// For how long at most: 10m, 2h; at most 30d
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration)]
    lasts: Duration,
    /// Why; the command, if there is one and this is missing
    #[arg(long, value_name = "TEXT", required_unless_present = "command")]
    reason: Option<String>,
    /// A command, and its arguments
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// End silences before their time
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  minder unsilence 3\n  minder unsilence --all")]
pub(super) struct End {
    /// Their numbers, as `minder silences` shows them
    #[arg(required_unless_present = "all", value_name = "NUMBER", value_parser = number)]
    silences: Vec<u64>,
    /// All of them
    #[arg(long, conflicts_with = "silences")]
    all: bool,
}

/// A silence may hold of several services, and a service may have several: they are told apart by their numbers.
fn number(text: &str) -> Result<u64, &'static str> {
    text.parse().map_err(|_| "give the number of the silence, as `minder silences` shows it")
}

/// Show what is silenced, by whom, why and until when, and the maintenance of the rules
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  minder silences\n  minder silences --json | jq '.silences[].id'")]
pub(super) struct List {
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn begin(args: Begin, client: &Client) -> Result<Outcome, Failure> {
    let Begin { services, tags, rules, lasts, reason, command, .. } = args;
    let words: Vec<String> = command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let reason = reason.unwrap_or_else(|| words.join(" "));
    let scope = Scope { services: services.into_iter().map(Into::into).collect(), tags, rules };
    let lasts = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX);
    let silence = |holder| Command::Silence { scope, reason, lasts, holder };
    match command.split_first() {
        None => Ok(Outcome { text: ask(client, &silence(None), SOON)?, code: code::WELL }),
        Some((program, arguments)) => while_it_runs(client, silence, program, arguments),
    }
}

/// The command comes first: whatever becomes of minder, it runs, and its end is ours.
fn while_it_runs(
    client: &Client,
    silence: impl FnOnce(Option<Identity>) -> Command,
    program: &OsString,
    arguments: &[OsString],
) -> Result<Outcome, Failure> {
    let system = |e: std::io::Error| Failure::new(code::WRONG, format!("the system gives too little to run: {e}"));
    // From here on: what comes while minder is told is passed on, too.
    let mut wrapper = Wrapper::new().map_err(system)?;
    let stat = proc::stat(std::process::id()).map_err(system)?;
    let holder = Identity { pid: std::process::id(), start: stat.start };
    if let Err(failure) = ask(client, &silence(Some(holder)), WITHIN) {
        let words = plain_lines(&failure.words);
        let _ = writeln!(std::io::stderr(), "minder is not silent, and the command runs all the same: {words}");
    }
    let status = wrapper.run(program, arguments, &[]);
    // Our own end tells as much; this way it is so before the next command of a script runs.
    let _ = ask(client, &Command::Unsilence { silences: Vec::new(), holder: Some(holder), all: false }, WITHIN);
    match status {
        Ok(status) => Ok(Outcome { text: String::new(), code: ending(status).0 }),
        Err(e) => {
            let code = if e.kind() == ErrorKind::NotFound { 127 } else { 126 };
            Err(Failure::new(code, format!("{} cannot be run: {e}", plain(&program.to_string_lossy()))))
        }
    }
}

pub(super) fn end(args: End, client: &Client) -> Result<Outcome, Failure> {
    let command = Command::Unsilence { silences: args.silences, holder: None, all: args.all };
    Ok(Outcome { text: ask(client, &command, SOON)?, code: code::WELL })
}

pub(super) fn list(args: &List, client: &Client) -> Result<Outcome, Failure> {
    let snapshot: Snapshot = client.get("/api/v1/status")?;
    let text = if args.json {
        let json = serde_json::json!({ "silences": snapshot.silences, "maintenance": snapshot.maintenance });
        serde_json::to_string_pretty(&json).map_err(|e| Failure::new(code::WRONG, e.to_string()))? + "\n"
    } else {
        show(&snapshot)
    };
    Ok(Outcome { text, code: code::WELL })
}

fn show(snapshot: &Snapshot) -> String {
    let mut out = String::new();
    let zone = TimeZone::system();
    let clock = |at: Wall| at.zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string();
    for Silence { id, scope, reason, by, until, holder, .. } in &snapshot.silences {
        let held = holder.map_or_else(String::new, |process| format!(", or as {process} ends"));
        let (scope, by, reason) = (scope.to_string(), plain(by), plain(reason));
        let left = show_age(*until - snapshot.at);
        let _ = writeln!(out, "{id}  {}, until {} ({left}){held}, by {by}: {reason}", plain(&scope), clock(*until));
    }
    for MaintenanceView { name, scope, reason, window } in &snapshot.maintenance {
        let when = match window {
            Some(window) if window.begins <= snapshot.at => format!("now, until {}", clock(window.ends)),
            Some(window) => format!("next {} until {}", clock(window.begins), clock(window.ends)),
            None => "never again".to_owned(),
        };
        let reason = if reason.is_empty() { String::new() } else { format!(": {}", plain(reason)) };
        let _ = writeln!(out, "maintenance {}  {}, {when}{reason}", plain(name), plain(&scope.to_string()));
    }
    if out.is_empty() { "Nothing is silenced.\n".to_owned() } else { out }
}

/// What the daemon says, or why it refuses.
fn ask(client: &Client, command: &Command, within: Duration) -> Result<String, Failure> {
    let body = serde_json::to_vec(command).map_err(|e| Failure::new(code::WRONG, e.to_string()))?;
    let reply = client.send(Method::POST, "/api/v1/commands", body.into(), within)?;
    client.outcome(&reply)
}
