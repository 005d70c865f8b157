//! `minder history`: what happened, and the samples of a check.

use super::client::{Client, encode};
use super::screen::Screen;
use super::{Failure, Outcome, code};
use crate::model::{Dimension, Event, EventKind, Wall, parse_duration, plain, show};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
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

/// Of metrics that are parts of a whole: from when on it was how much.
type Wholes = BTreeMap<String, Vec<(Wall, Option<f64>)>>;

/// As the daemon gives them.
#[derive(Default, Serialize, Deserialize)]
struct Samples {
    metrics: Vec<String>,
    rows: Vec<(Wall, Vec<Option<f64>>)>,
    #[serde(default, skip_serializing_if = "Wholes::is_empty")]
    wholes: Wholes,
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
        for (metric, changes) in later.wholes {
            let known = self.wholes.entry(metric).or_default();
            // The first says what holds since some time before.
            let last = known.last().map(|(_, whole)| *whole);
            let first = usize::from(changes.first().is_some_and(|(_, whole)| Some(*whole) == last));
            known.extend(changes.into_iter().skip(first));
        }
        self.more = later.more;
    }

    /// How much it was that a metric is a part of.
    fn whole(&self, metric: &str, at: Wall) -> Option<f64> {
        let changes = self.wholes.get(metric)?;
        changes[..changes.partition_point(|(from, _)| *from <= at)].last()?.1
    }
}

pub(super) fn run(args: &Args, client: &Client) -> Result<Outcome, Failure> {
    let text = match (&args.service, &args.check) {
        (Some(service), Some(check)) => samples(args, client, service, check)?,
        _ => events(args, client)?,
    };
    Ok(Outcome { text, code: code::WELL })
}

fn events(args: &Args, client: &Client) -> Result<String, Failure> {
    let limit = args.limit.unwrap_or(50);
    let mut path = format!("/api/v1/events?limit={}", limit.max(1));
    if let Some(service) = &args.service {
        let _ = write!(path, "&service={}", encode(service));
    }
    if let Some(kind) = &args.kind {
        let _ = write!(path, "&kind={}", encode(kind));
    }
    if let Some(since) = args.since {
        let _ = write!(path, "&from={}", client.ago(since)?);
    }
    let mut events: Vec<Event> = client.list(&path, limit)?;
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
    let kinds = events.iter().map(|event| event.kind.word().len()).max().unwrap_or(0).max(11);
    for event in &events {
        let time = event.at.zoned(zone.clone()).strftime("%F %T").to_string();
        let service = event.service.as_deref().unwrap_or("minder");
        let words = screen.wrap(&event.kind.to_string(), 19 + 2 + width + 2 + kinds + 2);
        let _ =
            writeln!(out, "{}  {:width$}  {:kinds$}  {words}", screen.dim(&time), plain(service), event.kind.word());
    }
    Ok(out)
}

/// Samples are fetched in parts of this size, and no more than this in all.
const PART: usize = 20_000;
const MOST: usize = 500_000;

fn samples(args: &Args, client: &Client, service: &str, check: &str) -> Result<String, Failure> {
    let mut from = client.ago(args.since.unwrap_or(Duration::from_secs(3600)))?;
    let limit = args.limit.unwrap_or(MOST).min(MOST);
    let (service, check) = (encode(service), encode(check));
    let mut all = Samples::default();
    loop {
        let part = PART.min(limit - all.rows.len()).max(1);
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
    all.rows.truncate(limit);
    if args.json {
        return json(&all);
    }
    if all.rows.is_empty() {
        let _ = writeln!(std::io::stderr(), "no samples are kept of this time");
    }
    let zone = TimeZone::system();
    let mut out = String::new();
    let (gap, empty) = if args.csv { (",", "") } else { ("  ", "-") };
    // A column for programs; for people the share stands beside the value.
    let whole =
        |metric: &String| args.csv.then(|| format!("{metric}.whole")).filter(|_| all.wholes.contains_key(metric));
    let heads = all.metrics.iter().flat_map(|metric| [Some(metric.clone()), whole(metric)]).flatten();
    let heads = std::iter::once("time".to_owned()).chain(heads);
    let heads: Vec<String> = heads.map(|name| if args.csv { cell(&name) } else { plain(&name).into_owned() }).collect();
    let width = |metric: &String| if all.wholes.contains_key(metric) { 22 } else { 14 };
    let widths: Vec<usize> = std::iter::once(20).chain(all.metrics.iter().map(width)).collect();
    let line = |cells: &[String]| {
        if args.csv {
            return cells.join(gap);
        }
        let cells: Vec<String> = cells.iter().zip(&widths).map(|(text, width)| format!("{text:width$}")).collect();
        cells.join(gap).trim_end().to_owned()
    };
    let _ = writeln!(out, "{}", line(&heads));
    for (at, values) in &all.rows {
        let time = if args.csv { at.utc() } else { at.zoned(zone.clone()).strftime("%F %T").to_string() };
        let mut cells = vec![time];
        for (metric, value) in all.metrics.iter().zip(values) {
            let whole = all.whole(metric, *at);
            let share = value.zip(whole).filter(|(_, whole)| *whole > 0.0);
            cells.push(match (value, share) {
                (None, _) => empty.to_owned(),
                (Some(value), _) if args.csv => value.to_string(),
                // People are spared the digits that programs want.
                (Some(value), None) => significant(*value).to_string(),
                (Some(value), Some((_, whole))) => {
                    let share = show(value / whole * 100.0, Dimension::Percent);
                    format!("{} ({share})", significant(*value))
                }
            });
            if args.csv && all.wholes.contains_key(metric) {
                cells.push(whole.map_or(String::new(), |whole| whole.to_string()));
            }
        }
        let _ = writeln!(out, "{}", line(&cells));
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
            wholes: Wholes::from([("memory".to_owned(), vec![(Wall(0), Some(at as f64))])]),
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
