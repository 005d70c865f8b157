//! A metric that a rule limits, as a line over time with the limit drawn in.

use super::words::{Moment, number};
use super::{Samples, strip::Stretch};
use crate::model::{CheckView, ServiceView, ValueView};
use std::fmt::Write;

/// The box that lines are drawn in.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 100.0;

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

/// The limit in the unit that history keeps. A limit in percent of a whole is brought to the unit of the metric by the
/// metric's latest value, which is known in both.
fn in_unit_of(check: &CheckView, metric: &str, value: &ValueView) -> Option<f64> {
    let limit = value.limit_value?;
    let latest = check.metrics.iter().find(|m| m.name == metric)?;
    if !value.limit.ends_with('%') || latest.unit == "percent" {
        return Some(limit);
    }
    match (latest.value, value.value) {
        (Some(kept), Some(percent)) if percent > 0.0 => Some(limit * kept / percent),
        _ => None,
    }
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
        let values = samples.rows.iter().filter_map(|(_, row)| row.get(column).copied().flatten());
        let most = values.chain(limited.limits.iter().map(|(_, y)| *y)).filter(|v| v.is_finite()).fold(0.0, f64::max);
        let top = if most > 0.0 { most * 1.15 } else { 1.0 };
        let y = |value: f64| HEIGHT * (1.0 - (value / top).clamp(0.0, 1.0));
        let span = (stretch.to.0 - stretch.from.0).max(1) as f64;
        // A gap is drawn where samples are missing for much longer than they usually lie apart.
        let usual = span / (samples.rows.len().max(1) as f64);
        let (mut line, mut last) = (String::new(), None::<f64>);
        for (at, row) in &samples.rows {
            let Some(value) = row.get(column).copied().flatten().filter(|v| v.is_finite()) else {
                last = None;
                continue;
            };
            let since = (at.0 - stretch.from.0) as f64;
            let pen = if last.is_some_and(|last| since - last <= (usual * 4.0).max(3.0 * check.every as f64)) {
                'L'
            } else {
                'M'
            };
            let _ = write!(line, "{pen}{:.1} {:.1}", (since / span).clamp(0.0, 1.0) * WIDTH, y(value));
            last = Some(since);
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
