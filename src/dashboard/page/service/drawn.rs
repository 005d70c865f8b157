//! Which metrics of a check are drawn, and with which limits.

use super::super::chart::Limit;
use crate::dashboard::Wholes;
use crate::model::{CheckView, Kind, MetricView, ServiceView, ValueView, Wall, unit_word};

/// Drawn whenever they are kept, be they limited or not.
const USUAL: [&str; 3] = ["cpu", "memory", "latency"];
/// No check has more charts than this.
const MOST: usize = 12;

/// What is drawn of a check, in order, and what else could be.
#[derive(Debug, Default, PartialEq)]
pub struct Drawn {
    pub metrics: Vec<String>,
    /// Kept, each with whether it was asked for.
    pub others: Vec<(String, bool)>,
}

impl Drawn {
    /// Of what is kept of this check: what a rule limits, the usual, and what was asked for.
    pub fn of(service: &ServiceView, check: &CheckView, kept: Vec<String>, asked: &[String]) -> Drawn {
        let limited = limited(service, check);
        let is_flag = |metric: &str| matches!(unit(check, metric), "flag" | "text");
        // What the strip shows needs no chart; whoever asks gets one.
        let first = limited.iter().map(|(metric, _)| *metric).filter(|metric| !is_flag(metric));
        let mut metrics: Vec<String> = Vec::new();
        for metric in first.chain(USUAL) {
            if kept.iter().any(|name| name == metric) && !metrics.iter().any(|name| name == metric) {
                metrics.push(metric.to_owned());
            }
        }
        metrics.truncate(MOST);
        let mut others = Vec::new();
        for metric in kept {
            if metrics.contains(&metric) {
                continue;
            }
            let full = format!("{}.{metric}", check.name);
            let is_asked = asked.contains(&full) && metrics.len() < MOST;
            if is_asked {
                metrics.push(metric.clone());
            }
            others.push((metric, is_asked));
        }
        Drawn { metrics, others }
    }
}

/// The metric inside a function: `process.cpu` of `avg(process.cpu, 5m)`.
fn inner(term: &str) -> &str {
    let inner = term.split_once('(').map_or(term, |(_, inner)| inner);
    inner.split([',', ')']).next().unwrap_or(inner).trim()
}

/// What rules compare of a check, in their order.
fn limited<'a>(service: &'a ServiceView, check: &CheckView) -> Vec<(&'a str, &'a ValueView)> {
    let values = service.rules.iter().flat_map(|r| &r.values).filter(|v| *v.check == *check.name);
    // A rate is limited by the second: that limit has no place among the values themselves.
    let values = values.filter(|v| !v.metric.starts_with("rate(") && v.limit_value.is_some());
    let of_check = |v: &'a ValueView| {
        let metric = inner(&v.metric).strip_prefix(&*check.name)?.strip_prefix('.')?;
        Some((metric, v))
    };
    values.filter_map(of_check).collect()
}

/// The limits of a metric, in the unit that history keeps.
pub fn limits(service: &ServiceView, check: &CheckView, metric: &str, wholes: &Wholes, from: Wall) -> Vec<Limit> {
    let mut limits: Vec<Limit> = Vec::new();
    for (_, value) in limited(service, check).into_iter().filter(|(name, _)| *name == metric) {
        let Some(limit) = value.limit_value else { continue };
        if limits.iter().any(|known| known.text == value.limit) {
            continue;
        }
        let steps = if !value.limit.ends_with('%') || unit(check, metric) == "percent" {
            vec![(from, Some(limit))]
        } else {
            // A limit in percent is that part of the whole, which changes: a filesystem grows.
            let part = |whole: Option<f64>| whole.map(|whole| limit / 100.0 * whole);
            match wholes.get(metric) {
                Some(changes) => changes.iter().map(|(at, whole)| (*at, part(*whole))).collect(),
                None => vec![(from, part(value.whole))],
            }
        };
        limits.push(Limit { text: value.limit.clone(), steps });
    }
    limits
}

/// What a metric measures: as the check says, or, of what it has no longer, as its kind does.
pub fn unit<'a>(check: &'a CheckView, metric: &str) -> &'a str {
    if let Some(metric) = latest(check, metric) {
        return &metric.unit;
    }
    let table = Kind::metrics_of(&check.kind).unwrap_or_default();
    table.iter().find(|known| known.name == metric).map_or("count", |known| unit_word(known.dimension))
}

/// Its latest value.
pub fn latest<'a>(check: &'a CheckView, metric: &str) -> Option<&'a MetricView> {
    check.metrics.iter().find(|known| known.name == metric)
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
