//! `minder test`: rules on timelines that somebody made up.

use super::screen::Screen;
use super::{Failure, Outcome, code};
use crate::config;
use crate::model::{Status, plain, write_moment};
use crate::trial::{Difference, play};
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// Run scenarios: what rules do on a made-up timeline
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  minder test scenarios/\n\nScenarios are explained in rules/README.md.")]
pub(super) struct Args {
    /// Files of scenarios, or directories of them
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<Outcome, Failure> {
    let mut files = Vec::new();
    for path in &args.paths {
        files.extend(scenario_files(path)?);
    }
    let mut reports = String::new();
    let mut scenarios = Vec::new();
    for file in &files {
        match config::scenarios(file) {
            Ok(found) => scenarios.extend(found),
            Err(mistakes) => {
                let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
                reports.push_str(&mistakes.report(std::io::stderr().is_terminal() && !no_color));
            }
        }
    }
    if !reports.is_empty() {
        return Err(Failure { code: code::USAGE, ..Failure::report(reports) });
    }
    let screen = Screen::here();
    let mut text = String::new();
    let mut failed = 0;
    for scenario in &scenarios {
        let differences = play(scenario);
        let status = if differences.is_empty() { Status::Ok } else { Status::Critical };
        let sign = if differences.is_empty() { "✓" } else { "✗" };
        let file = scenario.file.display().to_string();
        let _ = writeln!(text, "{} {}: {}", screen.paint(status, sign), plain(&file), plain(&scenario.name));
        failed += usize::from(!differences.is_empty());
        for difference in &differences {
            text.push_str(&draw(difference, &file, &screen));
        }
    }
    let count = |n: usize| if n == 1 { "1 scenario".to_owned() } else { format!("{n} scenarios") };
    let all = count(scenarios.len());
    match failed {
        0 => drop(writeln!(text, "{all}, all as expected.")),
        _ => drop(writeln!(text, "{all}, {failed} not as expected.")),
    }
    Ok(Outcome { text, code: if failed == 0 { code::WELL } else { code::WRONG } })
}

/// The file itself, or the files of a directory by name, hidden ones left out.
fn scenario_files(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let failed = |why: String| Failure::new(code::USAGE, format!("{}: {why}", path.display()));
    let entries = std::fs::read_dir(path).map_err(|e| failed(e.to_string()))?;
    let is_scenario = |file: &PathBuf| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        !name.starts_with('.') && (name.ends_with(".yaml") || name.ends_with(".yml")) && !file.is_dir()
    };
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_scenario).collect();
    files.sort();
    if files.is_empty() {
        return Err(failed("there is no `*.yaml` in this directory".to_owned()));
    }
    Ok(files)
}

/// What was expected beside what was found, and what happened before.
fn draw(difference: &Difference, file: &str, screen: &Screen) -> String {
    let mut out = String::new();
    let width = |cell: fn(&crate::trial::Row) -> usize, least: usize| {
        difference.rows.iter().map(cell).max().unwrap_or(0).max(least)
    };
    let keys = width(|row| row.key.chars().count(), 6);
    let expected = width(|row| row.expected.as_ref().map_or(0, |text| text.chars().count()), 12);
    let _ = writeln!(out, "\n  at {}, {}:{}", screen.bold(&write_moment(difference.at)), plain(file), difference.line);
    let _ = writeln!(
        out,
        "    {:keys$}  {:expected$}  {}",
        "",
        screen.dim(&format!("{:expected$}", "expected")),
        screen.dim("got")
    );
    for row in &difference.rows {
        let nothing = |text: &Option<String>| text.clone().unwrap_or_else(|| "nothing".to_owned());
        let sign = if row.same { " " } else { "≠" };
        let got = if row.same { nothing(&row.got) } else { screen.paint(Status::Critical, &nothing(&row.got)) };
        let _ = writeln!(out, "  {sign} {:keys$}  {:expected$}  {got}", row.key, nothing(&row.expected));
    }
    let since = write_moment(difference.since);
    if difference.lines.is_empty() {
        let _ = writeln!(out, "\n    nothing happened since {since}\n");
        return out;
    }
    let _ = writeln!(out, "\n    what happened since {since}:");
    let times: Vec<String> = difference.lines.iter().map(|line| write_moment(line.at)).collect();
    let width = times.iter().map(String::len).max().unwrap_or(0);
    for (line, time) in difference.lines.iter().zip(&times) {
        let _ = writeln!(out, "    {time:>width$}  {}", screen.wrap(&line.words, 4 + width + 2));
    }
    out.push('\n');
    out
}
