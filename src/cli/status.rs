//! `minder status`: how things stand, worst first.

use super::client::Client;
use super::screen::{Screen, mark};
use super::{Failure, Outcome, code, print};
use crate::model::{RuleState, ServiceView, Snapshot, Status, plain, show_age};
use jiff::tz::TimeZone;
use std::fmt::Write;
use std::time::Duration;

/// How often `--watch` looks.
const EVERY: Duration = Duration::from_secs(1);

/// How things stand, worst first
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  minder status\n  minder status web\n  minder status --watch\n  \
                        minder status --json | jq '.services[] | select(.status != \"ok\")'\n\n\
                        Exit codes: 0 all is well, 1 something is wrong, 2 usage, 3 the daemon cannot be reached.")]
pub(super) struct Args {
    /// This service alone, with its checks and rules
    service: Option<String>,
    /// As JSON, as the daemon says it
    #[arg(long, conflicts_with = "watch")]
    json: bool,
    /// Look again every second
    #[arg(long)]
    watch: bool,
}

pub(super) fn run(args: &Args, client: &Client) -> Result<Outcome, Failure> {
    let screen = Screen::here();
    if args.watch {
        return watch(args, client, screen);
    }
    let snapshot = look(args, client)?;
    let bad = snapshot.services.iter().any(|s| s.status.is_bad());
    let text = if args.json { json(args, &snapshot)? } else { show(args, &snapshot, screen) };
    Ok(Outcome { text, code: if bad { code::WRONG } else { code::WELL } })
}

/// The snapshot, of the one service alone if one is named.
fn look(args: &Args, client: &Client) -> Result<Snapshot, Failure> {
    let mut snapshot: Snapshot = client.get("/api/v1/status")?;
    if let Some(name) = &args.service {
        snapshot.services.retain(|s| *s.name == **name);
        if snapshot.services.is_empty() {
            return Err(Failure::new(code::USAGE, format!("minder watches no service named `{}`", plain(name))));
        }
    }
    Ok(snapshot)
}

fn json(args: &Args, snapshot: &Snapshot) -> Result<String, Failure> {
    let text = match (&args.service, snapshot.services.first()) {
        (Some(_), Some(service)) => serde_json::to_string_pretty(service),
        _ => serde_json::to_string_pretty(snapshot),
    };
    text.map(|text| text + "\n").map_err(|e| Failure::new(code::WRONG, e.to_string()))
}

fn watch(args: &Args, client: &Client, screen: Screen) -> Result<Outcome, Failure> {
    loop {
        // A daemon that is being restarted comes back; whoever watches wants to see it.
        let text = match look(args, client) {
            Ok(snapshot) => show(args, &snapshot, screen),
            Err(failure) if failure.code == code::UNREACHABLE => format!("{failure}\n"),
            Err(failure) => return Err(failure),
        };
        print(&screen.redraw(&text))?;
        std::thread::sleep(EVERY);
    }
}

fn show(args: &Args, snapshot: &Snapshot, screen: Screen) -> String {
    let mut out = String::new();
    match snapshot.services.first() {
        Some(service) if args.service.is_some() => one(&mut out, snapshot, service, screen),
        _ => all(&mut out, snapshot, screen),
    }
    out
}

fn all(out: &mut String, snapshot: &Snapshot, screen: Screen) {
    let time = snapshot.at.zoned(TimeZone::system()).strftime("%H:%M:%S");
    let place = format!("{} {time}", plain(&snapshot.host));
    let _ = writeln!(out, "{}  {}", screen.bold(&snapshot.headline()), screen.dim(&place));
    if let Some(brake) = &snapshot.brake {
        let _ = writeln!(out, "{}", screen.paint(Status::Critical, &screen.wrap(&brake.words, 0)));
    }
    if snapshot.no_act {
        let _ = writeln!(out, "minder only says what it would do (--no-act)");
    }
    if let Some(refused) = &snapshot.refused {
        let first = refused.lines().next().unwrap_or_default();
        let _ = writeln!(out, "{}", screen.fit(&format!("the latest rules were refused: {first}"), 0));
    }
    for note in &snapshot.notes {
        let _ = writeln!(out, "{}", screen.fit(&format!("note: {note}"), 0));
    }
    if snapshot.services.is_empty() {
        return;
    }
    out.push('\n');
    let name_width = snapshot.services.iter().map(|s| s.name.chars().count()).max().unwrap_or(0);
    let ages: Vec<String> = snapshot.worst_first().iter().map(|s| show_age(snapshot.at - s.since)).collect();
    let age_width = ages.iter().map(String::len).max().unwrap_or(0);
    for (service, age) in snapshot.worst_first().into_iter().zip(&ages) {
        let label =
            format!("{} {:name_width$}  {:8}", mark(service.status), plain(&service.name), service.status.to_string());
        let used = label.chars().count() + age_width + 4;
        let words = screen.fit(&summary(service), used);
        let line = format!("{}  {age:>age_width$}  {words}", screen.paint(service.status, &label));
        let _ = writeln!(out, "{}", line.trim_end());
    }
}

fn summary(service: &ServiceView) -> String {
    match &service.next {
        Some(next) if service.summary.is_empty() => next.clone(),
        Some(next) => format!("{}; next: {next}", service.summary),
        None => service.summary.clone(),
    }
}

fn one(out: &mut String, snapshot: &Snapshot, service: &ServiceView, screen: Screen) {
    let label = format!("{} {} {}", mark(service.status), plain(&service.name), service.status);
    let age = show_age(snapshot.at - service.since);
    let _ = writeln!(out, "{}  for {age}", screen.paint(service.status, &label));
    if let Some(text) = &service.description {
        let _ = writeln!(out, "{}", plain(text));
    }
    let control = match (&service.control, &service.control_state) {
        (Some(control), Some(state)) => Some(format!("{control}: {state}")),
        (control, _) => control.clone(),
    };
    let summary = Some(service.summary.clone()).filter(|s| !s.is_empty());
    let pid = service.pid.map(|pid| pid.to_string());
    let needs = Some(service.depends_on.join(", ")).filter(|names| !names.is_empty());
    let ack = service.incident.as_ref().and_then(|incident| incident.ack.as_ref()).map(|ack| {
        let left = ack.until.map(|until| format!(", for {} more at most", show_age(until - snapshot.at)));
        format!("by {} for {}{}", ack.by, show_age(snapshot.at - ack.since), left.unwrap_or_default())
    });
    let facts = [
        ("why", &summary),
        ("silenced", &service.silenced),
        ("next", &service.next),
        ("needs", &needs),
        ("pid", &pid),
        ("control", &control),
        ("restarts", &service.budget),
        ("last end", &service.last_exit),
        ("ack", &ack),
    ];
    for (name, value) in facts {
        if let Some(value) = value {
            let lines: Vec<String> = value.lines().map(|line| screen.wrap(line, 12)).collect();
            let _ = writeln!(out, "  {}{}", screen.dim(&format!("{name:10}")), lines.join(&format!("\n{:12}", "")));
        }
    }
    out.push_str("\nrules\n");
    for rule in &service.rules {
        let (state, status) = match rule.state {
            RuleState::Inactive => ("inactive", None),
            RuleState::Pending => ("pending", Some(crate::model::Status::Warning)),
            RuleState::Firing => ("firing", Some(crate::model::Status::Critical)),
        };
        let state = status.map_or_else(|| format!("{state:9}"), |status| screen.paint(status, &format!("{state:9}")));
        let hold = if rule.hold.is_empty() { String::new() } else { format!(" for {}", rule.hold) };
        let _ = writeln!(
            out,
            "  {state} {}",
            screen.wrap(&format!("{}{hold} -> {}", rule.condition, rule.actions.join(", ")), 12)
        );
        for value in &rule.values {
            let limit = if value.limit.is_empty() { String::new() } else { format!("  (bad if {})", value.limit) };
            let _ =
                writeln!(out, "            {}", screen.wrap(&format!("{} {}{limit}", value.metric, value.text), 12));
        }
    }
    out.push_str("\nchecks\n");
    for check in &service.checks {
        let none = if check.kind == "heartbeat" { "not heard yet" } else { "not asked yet" };
        let age = check.at.map_or(none.to_owned(), |at| format!("{} ago", show_age(snapshot.at - at)));
        let label = screen.paint(check.status, &format!("{} {}", mark(check.status), plain(&check.name)));
        let _ = writeln!(
            out,
            "  {label}  {}",
            screen.wrap(&format!("{}, {age}", check.about), 6 + check.name.chars().count())
        );
        if let Some(note) = &check.note {
            let _ = writeln!(out, "      {}", screen.wrap(note, 6));
        }
        // What there is none of, such as the memory of a process that is gone, has nothing to say.
        let metrics = check.metrics.iter().filter(|m| !m.is_absent());
        let metrics: Vec<String> = metrics.map(|m| format!("{} {}", m.name, m.text)).collect();
        if !metrics.is_empty() {
            let _ = writeln!(out, "      {}", screen.wrap(&metrics.join(", "), 6));
        }
    }
}
