//! `minder backtest`: rules over the recorded history.

use super::screen::Screen;
use super::{Failure, Outcome, code};
use crate::config;
use crate::daemon::RealClock;
use crate::daemon::paths;
use crate::model::{Clock, Wall, clip, parse_duration, plain, services_words, show_duration};
use crate::trial::{Moment, Reader, Side, Tested, backtest};
use jiff::tz::TimeZone;
use serde::Serialize;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Say when rules would have fired in the past
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  minder backtest /etc/minder\n  minder backtest new.yaml --since 2d --service web")]
pub(super) struct Args {
    /// A rule file, or a directory of them
    rules: PathBuf,
    /// From so long ago on; samples are kept for 7 days, and minutes of them for 30
    #[arg(long, value_name = "DURATION", default_value = "7d", value_parser = parse_duration)]
    since: Duration,
    /// Of this service only
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Where minder keeps its state [default: $MINDER_STATE, else /var/lib/minder for root, ~/.local/state/minder for others]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Json<'a> {
    since: Wall,
    until: Wall,
    services: &'a [Tested],
}

pub(super) fn run(args: &Args) -> Result<Outcome, Failure> {
    let sources = config::read_to_try(&args.rules);
    let mut plan = config::parse(&sources).map_err(|diagnostics| {
        let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        Failure { code: code::USAGE, ..Failure::report(config::render(&diagnostics, &sources, colour)) }
    })?;
    if let Some(name) = &args.service {
        let known: Vec<String> = plan.services.iter().map(|service| service.name.to_string()).collect();
        plan.services.retain(|service| &*service.name == name);
        if plan.services.is_empty() {
            let words = format!("there is no service `{name}` in these rules; there is: {}", known.join(", "));
            return Err(Failure::new(code::USAGE, words));
        }
    }
    let state = args.state.clone().unwrap_or_else(paths::state);
    for name in ["state.db", "history.db"] {
        let file = state.join(name);
        if let Err(e) = std::fs::metadata(&file) {
            let words =
                format!("{}: {e}; name the directory where minder keeps its state with --state", file.display());
            return Err(Failure::new(code::USAGE, words));
        }
    }
    let until = RealClock.now().wall;
    let since = Wall(until.0.saturating_sub(i64::try_from(args.since.as_millis()).unwrap_or(i64::MAX)));
    let since = since.max(Wall(until.0 - crate::trial::MINUTES_FOR));
    let tested = backtest(&Reader::of(&state), &Arc::new(plan), since, until).map_err(|e| {
        let source = std::error::Error::source(&e).map(|source| format!(": {source}")).unwrap_or_default();
        Failure::new(code::WRONG, format!("{e}{source}"))
    })?;
    if args.json {
        let json = serde_json::to_string_pretty(&Json { since, until, services: &tested })
            .map_err(|e| Failure::new(code::WRONG, e.to_string()))?;
        return Ok(Outcome { text: format!("{json}\n"), code: code::WELL });
    }
    Ok(Outcome { text: words(&tested, since, until, &Screen::here(), &TimeZone::system()), code: code::WELL })
}

/// A service after the other, each with a table and a sentence.
fn words(tested: &[Tested], since: Wall, until: Wall, screen: &Screen, zone: &TimeZone) -> String {
    let time = |at: Wall| at.zoned(zone.clone()).strftime("%F %T").to_string();
    let mut out = String::new();
    let samples: u64 = tested.iter().map(|tested| tested.samples).sum();
    let services = services_words(tested.len());
    let _ = writeln!(out, "{services}, {samples} samples, from {} to {}", time(since), time(until));
    for tested in tested {
        let _ = writeln!(out, "\n{}", screen.bold(&plain(&tested.service)));
        if let Some(coarse) = tested.coarse_until {
            let words = format!(
                "until {} there is a value for each minute only: rules fire there if all of a minute was bad",
                time(coarse)
            );
            let _ = writeln!(out, "  {}", screen.wrap(&words, 2));
        }
        for unjudged in &tested.unjudged {
            let help = unjudged.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
            let words = format!("{} cannot be judged: {}{help}", unjudged.rule, unjudged.why);
            let _ = writeln!(out, "  {}", screen.wrap(&words, 2));
        }
        out.push_str(&table(tested, screen, &time));
        let _ = writeln!(out, "  {}", screen.wrap(&summary(tested), 2));
    }
    if tested.iter().any(|tested| tested.these.moments.iter().any(|moment| moment.kind == "acting")) {
        let words = "What these rules would have done is taken to have succeeded, and the record goes on as it was: what a \
                     restart would have mended is as bad after it as it was then.";
        let _ = writeln!(out, "\n{}", screen.wrap(words, 0));
    }
    out
}

/// What these rules would have done, beside what was done, by time.
fn table(tested: &Tested, screen: &Screen, time: &dyn Fn(Wall) -> String) -> String {
    let mut rows: Vec<(Wall, Option<&Moment>, Option<&Moment>)> = Vec::new();
    let (mut these, mut then) = (tested.these.moments.iter().peekable(), tested.then.moments.iter().peekable());
    loop {
        let row = match (these.peek(), then.peek()) {
            (Some(a), Some(b)) if (a.at.0 - b.at.0).abs() < 1000 => (a.at.min(b.at), these.next(), then.next()),
            (Some(a), Some(b)) if a.at < b.at => (a.at, these.next(), None),
            (Some(a), None) => (a.at, these.next(), None),
            (_, Some(b)) => (b.at, None, then.next()),
            (None, None) => break,
        };
        rows.push(row);
    }
    if rows.is_empty() {
        return String::new();
    }
    let widest =
        tested.these.moments.iter().map(|moment| moment_words(moment).chars().count()).max().unwrap_or(0).max(11);
    // Beside the margin, the time, and what divides the columns.
    let room = screen.width.map_or(usize::MAX, |width| width.saturating_sub(2 + 19 + 2 + 2) / 2).max(20);
    let width = widest.min(room);
    let mut out = String::new();
    let head = format!("{:19}  {:width$}  in effect then", "", "these rules");
    let _ = writeln!(out, "  {}", screen.dim(&head));
    for (at, these, then) in rows {
        let cell = |moment: Option<&Moment>| moment.map(|m| clip(&plain(&moment_words(m)), room)).unwrap_or_default();
        let line = format!("{:width$}  {}", cell(these), cell(then));
        let _ = writeln!(out, "  {}  {}", screen.dim(&time(at)), line.trim_end());
    }
    out
}

fn moment_words(moment: &Moment) -> String {
    let Moment { name, words, .. } = moment;
    let more = if words.is_empty() { String::new() } else { format!(": {words}") };
    match moment.kind {
        "fired" => match moment.lasted {
            Some(ms) => format!("{name} fires for {}{more}", show_duration(Duration::from_millis(ms))),
            None => format!("{name} fires from then on{more}"),
        },
        "acting" => format!("  {name}, because of {words}"),
        "acted" => format!("  {name} failed{more}"),
        "held" => format!("  no {name}{more}"),
        "gave-up" => format!("  {words}"),
        _ => format!("{name}{more}"),
    }
}

fn summary(tested: &Tested) -> String {
    let times = |n: usize| match n {
        0 => "never".to_owned(),
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        n => format!("{n} times"),
    };
    let said = |side: &Side| {
        let given_up = match side.given_up {
            0 => String::new(),
            n => format!(", given up {}", times(n)),
        };
        format!("fired {}, restarted {}{given_up}", times(side.fired), times(side.restarted))
    };
    format!("these rules would have {}; in effect then: {}", said(&tested.these), said(&tested.then))
}
