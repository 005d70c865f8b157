//! `minder env`: what a run script hands to a daemon that knows systemd's watchdog.

use super::{Failure, Outcome, code, explain, validate};
use crate::config;
use crate::daemon::paths;
use crate::model::Kind;
use std::path::PathBuf;

/// Print what a daemon with systemd's watchdog needs to speak to minder
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The service, which has a `heartbeat` check
    service: String,
    /// As lines that a shell evaluates, rather than as words for env(1)
    #[arg(long)]
    export: bool,
    /// A rule file, or a directory of them [default: /etc/minder, or ./rules where that does not exist]
    #[arg(long, value_name = "PATH")]
    rules: Option<PathBuf>,
}

const EXAMPLES: &str = "Examples:\n  exec env $(minder env web) webd      in the script that starts the service `web`\n  eval \
                        \"$(minder env --export web)\"     in a shell, whatever the path of the socket\n\nminder need not run for it: the \
                        answer comes from the rules. Call it as the user that minder runs as, which is before a script drops root's rights, \
                        or say --socket.";

pub(super) fn run(args: &Args, socket: Option<PathBuf>) -> Result<Outcome, Failure> {
    let rules = args.rules.clone().unwrap_or_else(paths::rules);
    // A run script has neither minder's environment nor its rights to read secrets; none of them matters here.
    let (plan, _) = validate::judge(config::read_to_try(&rules))?;
    let service = plan.services.iter().find(|service| *service.name == *args.service);
    let service = service.ok_or_else(|| explain::no_service(&plan, &args.service))?;
    let mut hearts = service.checks.iter().filter_map(|check| match &*check.kind {
        Kind::Heartbeat(heartbeat) => Some(heartbeat),
        _ => None,
    });
    let heart = hearts.next().ok_or_else(|| {
        let words = format!(
            "the service `{0}` has no `heartbeat` check, so minder does not listen to it; add to its checks: `- heartbeat: 20s`",
            args.service
        );
        Failure::new(code::USAGE, words)
    })?;
    let socket = paths::notify(&socket.unwrap_or_else(paths::socket)).join(&args.service);
    // No WATCHDOG_PID: it would have to be the daemon's own, and the script is not the daemon yet. Without it, whoever has the
    // variables is meant (sd_watchdog_enabled(3)).
    let mut variables = vec![("NOTIFY_SOCKET", socket.display().to_string())];
    let every = heart.every.or_else(|| hearts.find_map(|heartbeat| heartbeat.every));
    variables.extend(every.map(|every| ("WATCHDOG_USEC", every.0.as_micros().to_string())));
    let line = |(name, value): (&str, String)| match args.export {
        false => format!("{name}={value}\n"),
        true => format!("export {name}='{}'\n", value.replace('\'', r"'\''")),
    };
    Ok(Outcome { text: variables.into_iter().map(line).collect(), code: code::WELL })
}
