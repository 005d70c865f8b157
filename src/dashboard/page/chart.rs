//! A metric that a rule limits, as a line over time with the limit drawn in.

use super::strip::Stretch;
use super::words::{Moment, number};
use crate::dashboard::Samples;
use crate::model::{CheckView, ServiceView, ValueView};
use std::fmt::Write;

/// The box that lines are drawn in.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 100.0;

/// Points that fall into the same of so many columns are drawn as two.
const COLUMNS: f64 = 200.0;
/// Samples further apart than this, in milliseconds, and than three times the check's interval, are not joined by a line.
const GAP: i64 = 150_000;

/// A chart as the template draws it.
pub(super) struct Chart {
    /// The metric: `memory`.
    pub metric: String,
    /// The latest value, in words.
    pub latest: String,
    /// Path data of the line, in a box of 1000 by 100.
    pub line: String,
    pub limits: Vec<LimitLine>,
    /// The value at the upper edge, in words, where no limit is in its way.
    pub top: Option<String>,
    /// The times at the left and right edge.
    pub from: String,
    pub to: String,
    /// What it shows, for those who do not see it.
    pub label: String,
}

/// A limit in a chart.
pub(super) struct LimitLine {
    /// From the upper edge, of 100.
    pub y: String,
    /// As the rule has it: `> 500MB`.
    pub text: String,
}

/// What is drawn of a check: a metric, and the limits that rules set for it.
struct Limited<'a> {
    metric: String,
    limits: Vec<(&'a str, f64)>,
}

/// The metric inside a function: `process.cpu` of `avg(process.cpu, 5m)`.
fn inner(term: &str) -> &str {
    let inner = term.split_once('(').map_or(term, |(_, inner)| inner);
    inner.split([',', ')']).next().unwrap_or(inner).trim()
}

fn limited<'a>(service: &'a ServiceView, check: &CheckView) -> Vec<Limited<'a>> {
    let mut all: Vec<Limited<'a>> = Vec::new();
    let values = service.rules.iter().flat_map(|r| &r.values).filter(|v| *v.check == *check.name);
    // A rate is limited by the second: that limit has no place among the values themselves.
    let values = values.filter(|v| !v.metric.starts_with("rate("));
    for value in values {
        let Some(metric) = inner(&value.metric).strip_prefix(&*check.name).and_then(|m| m.strip_prefix('.')) else {
            continue;
        };
        let Some(limit) = in_unit_of(check, metric, value) else { continue };
        match all.iter_mut().find(|l| l.metric == metric) {
            Some(known) if known.limits.iter().all(|(_, y)| *y != limit) => known.limits.push((&value.limit, limit)),
            Some(_) => {}
            None => all.push(Limited { metric: metric.to_owned(), limits: vec![(&value.limit, limit)] }),
        }
    }
    all
}

/// The limit in the unit that history keeps. A limit in percent of a whole is that part of it.
fn in_unit_of(check: &CheckView, metric: &str, value: &ValueView) -> Option<f64> {
    let limit = value.limit_value?;
    let latest = check.metrics.iter().find(|m| m.name == metric)?;
    if !value.limit.ends_with('%') || latest.unit == "percent" {
        return Some(limit);
    }
    value.whole.map(|whole| limit / 100.0 * whole)
}

/// A point: its place from 0 to [`WIDTH`], and the value.
type Point = (f64, f64);

/// The values of a metric in pieces, each without a gap. What is not a number is a gap too.
fn pieces(samples: &Samples, column: usize, stretch: Stretch, gap: i64) -> Vec<Vec<Point>> {
    let span = (stretch.to.0 - stretch.from.0).max(1) as f64;
    let mut pieces: Vec<Vec<Point>> = Vec::new();
    let mut last = None;
    for (at, row) in &samples.rows {
        let Some(value) = row.get(column).copied().flatten().filter(|v| v.is_finite()) else {
            last = None;
            continue;
        };
        let point = ((at.0 - stretch.from.0) as f64 / span * WIDTH, value);
        match pieces.last_mut() {
            Some(piece) if last.is_some_and(|last| at.0 - last <= gap) => piece.push(point),
            _ => pieces.push(vec![point]),
        }
        last = Some(at.0);
    }
    pieces
}

/// No more points than can be seen: of those that fall together the least and the greatest, so that no peak is lost.
fn thin(piece: &[Point]) -> Vec<Point> {
    let column = |point: &Point| (point.0 / WIDTH * COLUMNS) as i64;
    let mut points = Vec::new();
    for together in piece.chunk_by(|a, b| column(a) == column(b)) {
        let by_value = |a: &&Point, b: &&Point| a.1.total_cmp(&b.1);
        if let (Some(least), Some(greatest)) = (together.iter().min_by(by_value), together.iter().max_by(by_value)) {
            let (first, second) = if least.0 <= greatest.0 { (least, greatest) } else { (greatest, least) };
            points.push(*first);
            if first != second {
                points.push(*second);
            }
        }
    }
    points
}

/// The charts of a check: one for each number that a rule limits.
pub(super) fn charts(
    service: &ServiceView,
    check: &CheckView,
    samples: &Samples,
    stretch: Stretch,
    moment: &Moment,
) -> Vec<Chart> {
    let draw = |limited: Limited<'_>| {
        let column = samples.metrics.iter().position(|m| *m == limited.metric)?;
        let latest = check.metrics.iter().find(|m| m.name == limited.metric)?;
        let pieces = pieces(samples, column, stretch, GAP.max(3 * i64::try_from(check.every).unwrap_or(0)));
        let values = pieces.iter().flatten().map(|(_, value)| *value);
        let most = values.chain(limited.limits.iter().map(|(_, limit)| *limit)).fold(0.0, f64::max);
        let top = if most > 0.0 { most * 1.15 } else { 1.0 };
        let y = |value: f64| HEIGHT * (1.0 - (value / top).clamp(0.0, 1.0));
        let mut line = String::new();
        for piece in &pieces {
            let points = thin(piece);
            for (i, (x, value)) in points.iter().enumerate() {
                let _ = write!(line, "{}{x:.1} {:.1}", if i == 0 { 'M' } else { 'L' }, y(*value));
            }
            if points.len() == 1 {
                line.push_str("h0");
            }
        }
        let limits: Vec<LimitLine> = limited
            .limits
            .iter()
            .map(|(text, limit)| LimitLine { y: format!("{:.1}", y(*limit)), text: (*text).to_owned() })
            .collect();
        let bounds = limits.iter().map(|l| l.text.as_str()).collect::<Vec<_>>().join(" and ");
        Some(Chart {
            label: format!("{} over time, now {}; bad if {bounds}", limited.metric, latest.text),
            metric: limited.metric,
            latest: latest.text.clone(),
            line,
            limits,
            top: limited.limits.iter().all(|(_, limit)| y(*limit) > 20.0).then(|| number(top, &latest.unit)),
            from: moment.minute(&stretch.from),
            to: moment.minute(&moment.now),
        })
    };
    limited(service, check).into_iter().filter_map(draw).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Wall;

    #[test]
    fn functions_are_drawn_as_what_they_look_at() {
        for (term, metric) in [
            ("process.cpu", "process.cpu"),
            ("avg(process.cpu, 5m)", "process.cpu"),
            ("changed(file.size)", "file.size"),
        ] {
            assert_eq!(inner(term), metric);
        }
    }

    #[test]
    fn lines_end_at_gaps() {
        let stretch = Stretch { from: Wall(0), to: Wall(1000), buckets: 1 };
        let row = |at, value| (Wall(at), vec![value]);
        let rows = vec![
            row(0, Some(1.0)),
            row(100, Some(2.0)),
            row(200, None),
            row(300, Some(3.0)),
            row(900, Some(4.0)),
            row(950, Some(f64::NAN)),
        ];
        let samples = Samples { metrics: vec!["m".into()], rows, ..Samples::default() };
        let pieces = pieces(&samples, 0, stretch, 150);
        assert_eq!(pieces, [vec![(0.0, 1.0), (100.0, 2.0)], vec![(300.0, 3.0)], vec![(900.0, 4.0)]]);
    }

    #[test]
    fn thinning_keeps_every_peak() {
        let piece: Vec<Point> =
            (0..100_000).map(|i| (f64::from(i) / 100.0, if i == 54_321 { 99.0 } else { f64::from(i % 7) })).collect();
        let points = thin(&piece);
        assert!(points.len() <= 400, "{}", points.len());
        assert!(points.iter().any(|(_, value)| *value == 99.0));
        assert!(points.is_sorted_by(|a, b| a.0 <= b.0));
        assert_eq!(thin(&piece[..1]), [(0.0, 0.0)]);
    }
}
