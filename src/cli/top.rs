//! `minder top`: the processes that use most, and what they are.

use super::client::Client;
use super::screen::Screen;
use super::{Failure, Outcome, code};
use crate::daemon::RealClock;
use crate::discover::Machine;
use crate::model::{Clock, Dimension, Snapshot, clip, plain, show};
use crate::sys::proc::{self, Stat};
use crate::sys::usage::{self, Used};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

/// Over so long, processor time is measured.
const OVER: Duration = Duration::from_secs(1);
/// The longest name of a user or a service that is shown.
const NAME: usize = 14;

/// Show the processes that use most, and which services they are
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  minder top\n  minder top -n 5 --json\n\n\
                        What uses most of the machine's processors or of its memory, whichever is more, comes first. PORTS are \
                        those on which it listens by TCP; SERVICE is what the running minder watches it as, or in brackets \
                        who supervises it. `minder init --pid PID` writes a service for one.")]
pub(super) struct Args {
    /// So many [default: as many as fit the terminal, or 20]
    #[arg(short = 'n', long, value_name = "COUNT")]
    count: Option<usize>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// A line of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Line {
    pid: u32,
    user: String,
    name: String,
    /// In percent of one core.
    cpu: f64,
    /// In bytes.
    memory: u64,
    /// Open files, where they may be counted.
    fds: Option<u64>,
    /// The ports on which it listens.
    ports: Vec<u16>,
    /// The service of the running minder.
    service: Option<String>,
    /// Who supervises it: `runit web`.
    supervisor: Option<String>,
}

pub(super) fn run(args: &Args, client: &Client) -> Result<Outcome, Failure> {
    let screen = Screen::here();
    // The title takes a line, and the prompt another.
    let fits = || if screen.width.is_some() { screen.height.saturating_sub(2).max(1) } else { 20 };
    let count = args.count.unwrap_or_else(fits);
    let (before, since) = (usage::used(&proc::find(|_| true).unwrap_or_default()), RealClock.now().mono);
    let machine = Machine::look(Path::new("/"));
    let passed = RealClock.now().mono - since;
    std::thread::sleep(OVER.saturating_sub(passed));
    let after: Vec<Stat> = proc::find(|_| true).map_err(|e| Failure::new(code::WRONG, format!("/proc: {e}")))?;
    let passed = RealClock.now().mono - since;
    // Where no minder runs, nothing is watched, and that is no failure here.
    let snapshot: Option<Snapshot> = client.get("/api/v1/status").ok();
    let mut lines: Vec<Line> =
        after.iter().filter(|stat| !stat.kernel).map(|stat| line(stat, &before, passed)).collect();
    sort(&mut lines, cores(), memory());
    lines.truncate(count);
    for line in &mut lines {
        add(line, &machine, snapshot.as_ref());
    }
    let text = match args.json {
        true => serde_json::to_string_pretty(&lines).map_err(|e| Failure::new(code::WRONG, e.to_string()))? + "\n",
        false => show_lines(&lines, screen),
    };
    Ok(Outcome { text, code: code::WELL })
}

fn line(stat: &Stat, before: &Used, passed: Duration) -> Line {
    Line {
        pid: stat.pid,
        user: String::new(),
        name: String::from_utf8_lossy(stat.comm.as_bytes()).into_owned(),
        cpu: (usage::percent_of_core(stat, before, passed) * 10.0).round() / 10.0,
        memory: stat.rss_pages.saturating_mul(proc::page_size()),
        fds: None,
        ports: Vec::new(),
        service: None,
        supervisor: None,
    }
}

/// What uses the greatest part of the machine's processors or memory comes first.
fn sort(lines: &mut [Line], cores: f64, memory: f64) {
    let part = |line: &Line| (line.cpu / 100.0 / cores).max(line.memory as f64 / memory);
    lines.sort_by(|a, b| part(b).total_cmp(&part(a)).then(a.pid.cmp(&b.pid)));
}

fn cores() -> f64 {
    proc::cores(&proc::read_path("/proc/stat", 1 << 20).unwrap_or_default()) as f64
}

fn memory() -> f64 {
    let text = proc::read_path("/proc/meminfo", 16 << 10).unwrap_or_default();
    proc::number_after(&text, "MemTotal:").map_or(1.0, |kib| kib as f64 * 1024.0).max(1.0)
}

/// What is known of it beside its use.
fn add(line: &mut Line, machine: &Machine, snapshot: Option<&Snapshot>) {
    line.fds = proc::open_files(line.pid).ok();
    line.user = proc::user(line.pid).map(crate::sys::accounts::name_of_user).unwrap_or_default();
    let theirs = machine.listening.iter().filter(|listening| listening.pids.contains(&line.pid));
    let ports: BTreeSet<u16> = theirs.map(|listening| listening.address.port()).collect();
    line.ports = ports.into_iter().collect();
    let services = snapshot.map(|snapshot| snapshot.services.as_slice()).unwrap_or_default();
    line.service =
        services.iter().find(|service| service.pid == Some(line.pid)).map(|service| service.name.to_string());
    line.supervisor = machine.supervisor_of(line.pid);
}

fn show_lines(lines: &[Line], screen: Screen) -> String {
    let title = ["PID", "USER", "CPU", "MEMORY", "FILES", "NAME", "PORTS", "SERVICE"].map(str::to_owned);
    let rows: Vec<[String; 8]> = lines.iter().map(cells).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| &row[column]).chain([&title[column]]);
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..title.len()).map(width).collect();
    let mut out = String::new();
    for (index, row) in std::iter::once(&title).chain(&rows).enumerate() {
        let mut text = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = widths[column];
            // Numbers stand under each other.
            let _ = match column {
                0 | 2..=4 => write!(text, "{cell:>width$}  "),
                _ => write!(text, "{cell:<width$}  "),
            };
        }
        let text = screen.fit(text.trim_end(), 0);
        out.push_str(&if index == 0 { screen.bold(&text) } else { text });
        out.push('\n');
    }
    out
}

fn cells(line: &Line) -> [String; 8] {
    let words = |text: &str| clip(&plain(text), NAME);
    let ports: Vec<String> = line.ports.iter().take(4).map(ToString::to_string).collect();
    let more = if line.ports.len() > 4 { ".." } else { "" };
    let service = match (&line.service, &line.supervisor) {
        (Some(service), _) => plain(service).into_owned(),
        (None, Some(supervisor)) => format!("({})", plain(supervisor)),
        (None, None) => String::new(),
    };
    [
        line.pid.to_string(),
        words(&line.user),
        format!("{:.1}%", line.cpu),
        show(line.memory as f64, Dimension::Bytes),
        line.fds.map(|fds| fds.to_string()).unwrap_or_default(),
        words(&line.name),
        ports.join(",") + more,
        service,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pid: u32, cpu: f64, memory: u64) -> Line {
        let stat = proc::stat(std::process::id()).unwrap();
        Line { pid, cpu, memory, name: "a\x1b[31m very long name".to_owned(), ..line(&stat, &Used::new(), OVER) }
    }

    #[test]
    fn what_uses_most_of_either_comes_first() {
        let mut lines = vec![of(1, 0.0, 100), of(2, 150.0, 0), of(3, 10.0, 900), of(4, 0.0, 0), of(5, 0.0, 0)];
        sort(&mut lines, 2.0, 1000.0);
        assert_eq!(lines.iter().map(|line| line.pid).collect::<Vec<_>>(), [3, 2, 1, 4, 5]);
    }

    #[test]
    fn lines_fit_and_names_do_nothing() {
        let mut lines = vec![of(12345, 150.0, 2_000_000_000), of(2, 0.0, 0)];
        lines[0].ports = vec![80, 443, 8080, 8081, 8082];
        lines[0].supervisor = Some("runit web".to_owned());
        lines[1].service = Some("db".to_owned());
        let wide = show_lines(&lines, Screen { width: None, height: 9, color: false });
        let wide: Vec<&str> = wide.lines().collect();
        assert!(
            wide[1].contains("12345") && wide[1].contains("150.0%") && wide[1].contains("80,443,8080,8081.."),
            "{wide:?}"
        );
        assert!(wide[1].ends_with("(runit web)") && wide[2].ends_with("  db"), "{wide:?}");
        let narrow = show_lines(&lines, Screen { width: Some(40), height: 9, color: false });
        assert!(narrow.lines().all(|line| line.chars().count() <= 40 && !line.contains('\x1b')), "{narrow}");
    }

    #[test]
    fn one_that_was_started_since_has_used_all_of_its_time() {
        let mut stat = proc::stat(std::process::id()).unwrap();
        (stat.utime, stat.stime) = (proc::ticks_per_second(), 0);
        let known = Used::from([(stat.pid, (stat.start, stat.utime / 2))]);
        assert_eq!(line(&stat, &known, OVER).cpu, 50.0);
        let another = Used::from([(stat.pid, (stat.start + 1, stat.utime / 2))]);
        assert_eq!(line(&stat, &another, OVER).cpu, 100.0);
    }
}
