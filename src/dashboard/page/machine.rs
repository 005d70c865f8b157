//! The machine itself: what it has, what is used of it, and by whom.

use super::words::{Here, Moment, Page, filters, number};
use crate::dashboard::problem::{ProblemPage, render};
use crate::dashboard::who::Caller;
use crate::dashboard::{Curve, Front, History, Sum};
use crate::model::{
    FilesystemView, InterfaceView, Kind, MachineView, Name, PartView, Plan, ProcessView, Wall, show_age,
};
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The past that is drawn, in milliseconds.
const HOUR: i64 = 3_600_000;
/// The last hour is drawn in so many parts.
const PARTS: usize = 180;
/// Services that watch the machine whose history is drawn.
const MAX_DRAWN: usize = 3;
/// What is drawn of it, where it is kept, in this order.
const DRAWN: [&str; 5] = ["cpu", "memory", "swap", "load1", "pressure.io"];
/// The box that lines are drawn in.
const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 40.0;
/// Points further apart than this, in milliseconds, and than three times the check's interval, are not joined by a line.
const GAP: i64 = 150_000;
/// From this share on, in percent, a bar is drawn as one that wants attention, and as one that is full.
const MUCH: f64 = 80.0;
const FULL: f64 = 95.0;

#[derive(Template)]
#[template(path = "machine.html")]
struct MachinePage<'a> {
    page: Page,
    moment: &'a Moment,
    machine: &'a MachineView,
    uptime: String,
    gauges: Vec<Gauge>,
    facts: Vec<(&'static str, String)>,
    limits: Vec<(&'static str, String)>,
    no_history: Option<String>,
    watchers: Vec<Watcher>,
    filesystems: Vec<Disk<'a>>,
    interfaces: Vec<Wire<'a>>,
    /// Those that use most: the title, the id, which.
    processes: [(&'static str, &'static str, &'a [ProcessView]); 2],
}

/// How much of something is used.
struct Gauge {
    what: &'static str,
    /// The figure that counts.
    figure: String,
    words: String,
    bar: Option<Share>,
}

/// A share as a bar.
struct Share {
    /// From 0 to 100.
    percent: u8,
    class: &'static str,
}

impl Share {
    fn of(percent: f64) -> Share {
        let class = match percent {
            FULL.. => "bad",
            MUCH.. => "warning",
            _ => "ok",
        };
        Share { percent: percent.clamp(0.0, 100.0).round() as u8, class }
    }
}

/// A service that watches the machine, and what it has seen.
struct Watcher {
    service: Name,
    lines: Vec<Line>,
}

/// A metric over the last hour.
struct Line {
    metric: &'static str,
    latest: String,
    /// Path data, in a box of 300 by 40.
    path: String,
    label: String,
}

struct Disk<'a> {
    view: &'a FilesystemView,
    used: Option<(Share, String)>,
    inodes: Option<Share>,
    watched: Option<Name>,
}

struct Wire<'a> {
    view: &'a InterfaceView,
    received: String,
    sent: String,
    speed: Option<String>,
    errors: Option<String>,
    watched: Option<Name>,
}

fn percent(value: f64) -> String {
    number(value, "percent")
}

fn bytes(value: f64) -> String {
    number(value, "bytes")
}

/// `3.2 GB of 8 GB`
fn of(part: &PartView, unit: &str) -> String {
    format!("{} of {}", number(part.value, unit), number(part.whole, unit))
}

fn cpu(process: &ProcessView) -> String {
    percent(process.cpu)
}

fn memory(process: &ProcessView) -> String {
    bytes(process.memory)
}

fn gauges(machine: &MachineView) -> Vec<Gauge> {
    let mut gauges = Vec::new();
    if let Some(cpu) = &machine.cpu {
        let cores = if machine.cores == 1 { "1 core".to_owned() } else { format!("{} cores", machine.cores) };
        let mut words = format!("of {cores}; {} waiting for storage", percent(cpu.iowait));
        if cpu.steal > 0.05 {
            let _ = write!(words, ", {} taken by others of its host", percent(cpu.steal));
        }
        gauges.push(Gauge { what: "Processors", figure: percent(cpu.busy), words, bar: Some(Share::of(cpu.busy)) });
    }
    for (what, part) in [("Memory", &machine.memory), ("Swap", &machine.swap)] {
        let Some(part) = part else { continue };
        gauges.push(match part.percent() {
            Some(share) => {
                Gauge { what, figure: percent(share), words: of(part, "bytes"), bar: Some(Share::of(share)) }
            }
            None => Gauge { what, figure: "none".to_owned(), words: String::new(), bar: None },
        });
    }
    if let Some([one, five, fifteen]) = machine.load {
        let share = one * 100.0 / machine.cores.max(1) as f64;
        let words = format!("{five:.2} over 5 min, {fifteen:.2} over 15");
        gauges.push(Gauge { what: "Load", figure: format!("{one:.2}"), words, bar: Some(Share::of(share)) });
    }
    gauges
}

fn facts(machine: &MachineView) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    let pressure = &machine.pressure;
    let waited = [("processors", pressure.cpu), ("memory", pressure.memory), ("storage", pressure.io)];
    let waited = waited.into_iter().filter_map(|(what, share)| Some(format!("{what} {}", percent(share?))));
    let waited = waited.collect::<Vec<_>>().join(", ");
    facts.push((
        "Waited for (pressure, 10 s)",
        if waited.is_empty() { "not told by this kernel".to_owned() } else { waited },
    ));
    if let Some(part) = &machine.processes {
        facts.push(("Processes and threads", of(part, "count")));
    }
    if let Some(part) = &machine.files {
        facts.push(("Open files", of(part, "count")));
    }
    facts
}

/// What the control group that minder runs in may use: in a container, that is the machine.
fn limits(machine: &MachineView) -> Vec<(&'static str, String)> {
    let Some(limits) = &machine.limits else { return Vec::new() };
    let memory = limits.memory.as_ref().map(|part| ("Memory", of(part, "bytes")));
    let processes = limits.processes.as_ref().map(|part| ("Processes and threads", of(part, "count")));
    let throttled = limits.throttled.map(|share| ("Held back", format!("{} of the time", percent(share))));
    [memory, processes, throttled].into_iter().flatten().collect()
}

/// The first service of the plan with a check like this.
fn watching(plan: &Plan, is_it: impl Fn(&Kind) -> bool) -> Option<Name> {
    let watches = |service: &&Arc<crate::model::Service>| service.checks.iter().any(|check| is_it(&check.kind));
    plan.services.iter().find(watches).map(|service| service.name.clone())
}

fn disk<'a>(view: &'a FilesystemView, plan: &Plan) -> Disk<'a> {
    let is_it = |kind: &Kind| match kind {
        Kind::Filesystem(keys) => Path::new(&keys.mount) == Path::new(&view.mount) || keys.mount == view.source,
        _ => false,
    };
    Disk {
        used: view.used.as_ref().and_then(|part| Some((Share::of(part.percent()?), of(part, "bytes")))),
        inodes: view.inodes.as_ref().and_then(PartView::percent).map(Share::of),
        watched: watching(plan, is_it),
        view,
    }
}

fn wire<'a>(view: &'a InterfaceView, plan: &Plan) -> Wire<'a> {
    let rate = |rate: Option<f64>| rate.map_or_else(|| "–".to_owned(), |rate| number(rate, "bytes/s"));
    Wire {
        received: rate(view.received),
        sent: rate(view.sent),
        speed: view.speed.map(|speed| number(speed, "bytes/s")),
        errors: view.errors.filter(|errors| *errors > 0.0).map(|errors| number(errors, "count/s")),
        watched: watching(plan, |kind| matches!(kind, Kind::Network(keys) if keys.interface == view.name)),
        view,
    }
}

/// The checks of the plan that watch the machine, each with how often it looks.
fn watchers(plan: &Plan) -> Vec<(Name, Name, Duration)> {
    let checks = plan.services.iter().flat_map(|s| s.checks.iter().map(move |check| (s, check)));
    let of_machine = checks.filter(|(_, check)| matches!(*check.kind, Kind::System(_)));
    of_machine.map(|(s, check)| (s.name.clone(), check.name.clone(), check.every)).take(MAX_DRAWN).collect()
}

fn past(history: &dyn History, plan: &Plan, now: Wall) -> Result<Vec<Watcher>, String> {
    let from = Wall(now.0.saturating_sub(HOUR));
    let watcher = |(service, check, every): (Name, Name, Duration)| {
        let wanted = DRAWN.map(str::to_owned);
        let curves = history.curves(&service, &check, &wanted, from, Wall(now.0.saturating_add(1)), PARTS)?;
        let gap = GAP.max(3 * i64::try_from(every.as_millis()).unwrap_or(0));
        let lines = DRAWN.into_iter().filter_map(|metric| line(&curves, metric, from, gap)).collect();
        Ok(Watcher { service, lines })
    };
    watchers(plan).into_iter().map(watcher).collect()
}

/// A metric as a line from 0 to its most; a share from 0 to all.
fn line(curves: &[Curve], metric: &'static str, from: Wall, gap: i64) -> Option<Line> {
    let curve = curves.iter().find(|curve| curve.metric == metric)?;
    let mean = |(at, sum): &(Wall, Sum)| Some((at.0, sum.mean().filter(|value| value.is_finite())?));
    let points: Vec<(i64, f64)> = curve.parts.iter().filter_map(mean).collect();
    let (_, latest) = *points.last()?;
    let unit = match metric {
        "memory" | "swap" => "bytes",
        "load1" => "count",
        _ => "percent",
    };
    let most = points.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    let top = if unit == "percent" { 100.0 } else { (most * 1.15).max(f64::MIN_POSITIVE) };
    let mut path = String::new();
    let mut last: Option<i64> = None;
    for (at, value) in &points {
        let x = (at - from.0) as f64 / HOUR as f64 * WIDTH;
        let y = HEIGHT * (1.0 - (value / top).clamp(0.0, 1.0));
        let join = last.is_some_and(|last| at - last <= gap);
        let _ = write!(path, "{}{x:.1} {y:.1}", if join { 'L' } else { 'M' });
        last = Some(*at);
    }
    let shown = |value: f64| if unit == "count" { format!("{value:.2}") } else { number(value, unit) };
    let label = format!("{metric} over the last hour: now {}, at most {}", shown(latest), shown(most));
    Some(Line { metric, latest: shown(latest), path, label })
}

pub(super) async fn show(State(front): State<Arc<Front>>, caller: Caller) -> Result<Response, ProblemPage> {
    let snapshot = front.snapshot().await?;
    let machine = front.machine().await?;
    let plan = front.plan();
    let moment = Moment::of(machine.at, &caller);
    let (its_plan, now) = (plan.clone(), machine.at);
    let watchers = front.look(move |history| past(history, &its_plan, now)).await;
    let no_history = watchers.as_ref().err().map(|problem| problem.detail.clone());
    Ok(render(&MachinePage {
        page: Page::new(Here::Machine, format!("{}: the machine – minder", machine.host))
            .showing(&snapshot, &moment)
            .of(caller),
        uptime: show_age(Duration::try_from_secs_f64(machine.uptime).unwrap_or_default()),
        gauges: gauges(&machine),
        facts: facts(&machine),
        limits: limits(&machine),
        no_history,
        watchers: watchers.unwrap_or_default(),
        filesystems: machine.filesystems.iter().map(|view| disk(view, &plan)).collect(),
        interfaces: machine.interfaces.iter().map(|view| wire(view, &plan)).collect(),
        processes: [("Most processor time", "busiest", &machine.busiest), ("Most memory", "largest", &machine.largest)],
        machine: &machine,
        moment: &moment,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_no_line_and_a_share_is_of_all() {
        let part = |(at, value)| (Wall(at), Sum { samples: 1, count: 1, min: value, max: value, sum: value });
        let parts = [(0, 50.0), (10_000, 25.0), (400_000, 100.0)].into_iter().map(part).collect();
        let curves = [Curve { metric: "cpu".into(), parts }];
        let drawn = line(&curves, "cpu", Wall(0), GAP).unwrap();
        assert_eq!(drawn.path, "M0.0 20.0L0.8 30.0M33.3 0.0");
        assert_eq!(drawn.label, "cpu over the last hour: now 100 %, at most 100 %");
        assert!(line(&curves, "memory", Wall(0), GAP).is_none());
    }

    #[test]
    fn what_is_nearly_full_is_seen() {
        let class = |percent| (Share::of(percent).class, Share::of(percent).percent);
        assert_eq!(
            [class(0.0), class(79.9), class(80.0), class(95.0), class(140.0)],
            [("ok", 0), ("ok", 80), ("warning", 80), ("bad", 95), ("bad", 100)]
        );
    }
}
