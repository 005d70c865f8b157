//! `minder history`: what happened, and the samples of a check.

use super::client::{Client, encode};
use super::screen::Screen;
use super::{Failure, Outcome, code};
use crate::model::{Event, EventKind, Wall, parse_duration, plain};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

/// What happened; with --check, the samples of a check
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  minder history\n  minder history web --since 2h\n  \
                        minder history web --kind fired --csv\n  \
                        minder history web --check process --since 1d --csv > web.csv")]
pub(super) struct Args {
    /// Of this service
    service: Option<String>,
    /// Not longer ago than this, such as 2h [default: 1h with --check, otherwise all]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    since: Option<Duration>,
    /// Of this kind, such as fired, resolved, died, acted
    #[arg(long, conflicts_with = "check", value_parser = EventKind::WORDS, hide_possible_values = true)]
    kind: Option<String>,
    /// At most so many: the latest events [default: 50], the oldest samples [default: all]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// The samples of this check, with values in base units: bytes, seconds, percent
    #[arg(long, requires = "service")]
    check: Option<String>,
    /// As CSV, with times in UTC
    #[arg(long)]
    csv: bool,
    /// As JSON, as the daemon says it
    #[arg(long, conflicts_with = "csv")]
    json: bool,
}

#[derive(Deserialize)]
struct Health {
    at: Wall,
}

/// As the daemon gives them.
#[derive(Serialize, Deserialize)]
struct Samples {
    metrics: Vec<String>,
    rows: Vec<(Wall, Vec<Option<f64>>)>,
    more: bool,
}

impl Samples {
    /// Adds later samples, which may be of other metrics: a reload can change what is kept.
    fn append(&mut self, later: Samples) {
        let place = |metric: &String| {
            self.metrics.iter().position(|known| known == metric).unwrap_or_else(|| {
                self.metrics.push(metric.clone());
                self.metrics.len() - 1
            })
        };
        let places: Vec<usize> = later.metrics.iter().map(place).collect();
        let width = self.metrics.len();
        self.rows.iter_mut().for_each(|(_, values)| values.resize(width, None));
        self.rows.extend(later.rows.into_iter().map(|(at, values)| {
            let mut row = vec![None; width];
            places.iter().zip(values).for_each(|(place, value)| row[*place] = value);
            (at, row)
        }));
        self.more = later.more;
    }
}

pub(super) fn run(args: &Args, client: &Client) -> Result<Outcome, Failure> {
    let text = match (&args.service, &args.check) {
        (Some(service), Some(check)) => samples(args, client, service, check)?,
        _ => events(args, client)?,
    };
    Ok(Outcome { text, code: code::WELL })
}

/// The moment so long ago by the daemon's clock, which is what history is written by.
fn ago(client: &Client, since: Duration) -> Result<i64, Failure> {
    let health: Health = client.get("/api/v1/healthz")?;
    Ok(health.at.0.saturating_sub(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
}

fn events(args: &Args, client: &Client) -> Result<String, Failure> {
    let mut path = format!("/api/v1/events?limit={}", args.limit.unwrap_or(50));
    if let Some(service) = &args.service {
        let _ = write!(path, "&service={}", encode(service));
    }
    if let Some(kind) = &args.kind {
        let _ = write!(path, "&kind={}", encode(kind));
    }
    if let Some(since) = args.since {
        let _ = write!(path, "&from={}", ago(client, since)?);
    }
    let mut events: Vec<Event> = client.get(&path)?;
    // As in a log, the newest stands last, beside the prompt.
    events.reverse();
    if args.json {
        return json(&events);
    }
    let mut out = String::new();
    if args.csv {
        out.push_str("time,service,kind,incident,words\n");
        for event in &events {
            let incident = event.incident.map(|i| i.to_string()).unwrap_or_default();
            let service = event.service.as_deref().unwrap_or_default();
            let cells = [&event.at.utc(), service, event.kind.word(), &incident, &event.kind.to_string()];
            let _ = writeln!(out, "{}", cells.map(cell).join(","));
        }
        return Ok(out);
    }
    if events.is_empty() {
        let _ = writeln!(std::io::stderr(), "nothing is recorded of this");
    }
    let screen = Screen::here();
    let zone = TimeZone::system();
    let width = events.iter().filter_map(|e| e.service.as_deref()).map(|s| s.chars().count()).max().unwrap_or(0).max(6);
    for event in &events {
        let time = event.at.zoned(zone.clone()).strftime("%F %T").to_string();
        let service = event.service.as_deref().unwrap_or("minder");
        let words = screen.wrap(&event.kind.to_string(), 19 + 2 + width + 2 + 11 + 2);
        let _ = writeln!(out, "{}  {:width$}  {:11}  {words}", screen.dim(&time), plain(service), event.kind.word());
    }
    Ok(out)
}

/// Samples are fetched in parts of this size, and no more than this in all.
const PART: usize = 20_000;
const MOST: usize = 500_000;

fn samples(args: &Args, client: &Client, service: &str, check: &str) -> Result<String, Failure> {
    let mut from = ago(client, args.since.unwrap_or(Duration::from_secs(3600)))?;
    let limit = args.limit.unwrap_or(MOST).min(MOST);
    let (service, check) = (encode(service), encode(check));
    let mut all = Samples { metrics: Vec::new(), rows: Vec::new(), more: false };
    loop {
        let part = PART.min(limit - all.rows.len());
        let path = format!("/api/v1/services/{service}/checks/{check}/samples?from={from}&limit={part}");
        let samples: Samples = client.get(&path)?;
        let more = samples.more;
        let last = samples.rows.last().map(|(at, _)| at.0);
        all.append(samples);
        match last {
            Some(last) if more && all.rows.len() < limit => from = last.saturating_add(1),
            _ => break,
        }
    }
    if all.more && args.limit.is_none() {
        let _ = writeln!(std::io::stderr(), "note: these are the first {MOST} samples; there are more");
    }
    if args.json {
        return json(&all);
    }
    if all.rows.is_empty() {
        let _ = writeln!(std::io::stderr(), "no samples are kept of this time");
    }
    let zone = TimeZone::system();
    let mut out = String::new();
    let (gap, empty) = if args.csv { (",", "") } else { ("  ", "-") };
    let heads = std::iter::once("time").chain(all.metrics.iter().map(String::as_str));
    let heads: Vec<String> = if args.csv { heads.map(cell).collect() } else { heads.enumerate().map(column).collect() };
    let _ = writeln!(out, "{}", heads.join(gap).trim_end());
    for (at, values) in &all.rows {
        // People are spared the digits that programs want.
        let digits = |v: f64| if args.csv { v } else { significant(v) };
        let numbers = values.iter().map(|v| v.map_or(empty.to_owned(), |v| digits(v).to_string()));
        let time = if args.csv { at.utc() } else { at.zoned(zone.clone()).strftime("%F %T").to_string() };
        let cells = std::iter::once(time).chain(numbers);
        let cells: Vec<String> =
            if args.csv { cells.collect() } else { cells.enumerate().map(|(i, c)| column((i, &c))).collect() };
        let _ = writeln!(out, "{}", cells.join(gap).trim_end());
    }
    Ok(out)
}

fn json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(|e| Failure::new(code::WRONG, e.to_string()))
}

/// Four digits that count: a latency of a few microseconds is as readable as gigabytes.
fn significant(v: f64) -> f64 {
    let digits = if v == 0.0 { 0.0 } else { (3.0 - v.abs().log10().floor()).max(0.0) };
    let scale = 10f64.powf(digits);
    (v * scale).round() / scale
}

/// A cell of a table for people.
fn column((i, text): (usize, &str)) -> String {
    let width = if i == 0 { 20 } else { 14 };
    format!("{:width$}", plain(text))
}

/// A cell of CSV after RFC 4180. What a spreadsheet would take for a formula is kept from being one.
fn cell(text: &str) -> String {
    let mut text = plain(text).into_owned();
    if text.starts_with(['=', '+', '-', '@']) {
        text.insert(0, '\'');
    }
    if text.contains(['"', ',']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_other_metrics_can_follow() {
        let samples = |metrics: [&str; 2], at, values: [f64; 2]| Samples {
            metrics: metrics.map(str::to_owned).to_vec(),
            rows: vec![(Wall(at), values.map(Some).to_vec())],
            more: false,
        };
        let mut all = samples(["down", "cpu"], 1, [0.0, 5.0]);
        all.append(samples(["memory", "down"], 2, [9.0, 1.0]));
        assert_eq!(all.metrics, ["down", "cpu", "memory"]);
        assert_eq!(all.rows[0].1, [Some(0.0), Some(5.0), None]);
        assert_eq!(all.rows[1].1, [Some(1.0), None, Some(9.0)]);
    }

    #[test]
    fn four_digits_count() {
        for (value, shown) in
            [(0.006_241_083, "0.006241"), (123_456_789.4, "123456789"), (99.999_99, "100"), (0.0, "0"), (-1.5, "-1.5")]
        {
            assert_eq!(significant(value).to_string(), shown);
        }
    }

    #[test]
    fn cells_are_quoted_and_no_formulas() {
        for (text, expected) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("=cmd()", "'=cmd()"),
            ("a\nb", "a b"),
        ] {
            assert_eq!(cell(text), expected);
        }
    }
}
