//! Metrics over a time, short or long, to be drawn.

use super::history::{Stored, stored};
use super::{ReadError, Reader};
use crate::model::Wall;
use crate::store::buffers::metric_names;
use crate::store::rollup::{Step, Sum};

/// No curve has more parts than this.
const MOST_PARTS: usize = 1000;
/// No curve is made of more samples than this.
const MOST_SAMPLES: usize = 50_000;

/// A metric over a time that is cut in parts of the same length.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// The metric.
    pub metric: String,
    /// When each part begins, and what is known of it, the oldest first. Parts without a number are left out.
    pub parts: Vec<(Wall, Sum)>,
}

impl Reader {
    /// The metrics that are, or were, kept of a check.
    pub fn kept(&self, service: &str, check: &str) -> Result<Vec<String>, ReadError> {
        let series = self.history.read(|connection| stored(connection, service, check))?;
        let stored = series.into_iter().flat_map(|series| series.metrics);
        let memory = self.buffers.blocks(service, check);
        let memory = memory.iter().flat_map(|block| metric_names(&block.series)).map(str::to_owned);
        let mut kept: Vec<String> = Vec::new();
        for metric in stored.chain(memory) {
            if !kept.contains(&metric) {
                kept.push(metric);
            }
        }
        Ok(kept)
    }

    /// These metrics of a check, each in so many equal parts (at most 1,000) of the time, in the order in which they are asked
    /// for. Parts shorter than a minute are summed up from samples, longer ones from the roll-ups of minutes, hours or days that
    /// begin in them.
    pub fn curves(
        &self,
        service: &str,
        check: &str,
        metrics: &[String],
        from: Wall,
        to: Wall,
        parts: usize,
    ) -> Result<Vec<Curve>, ReadError> {
        let parts = parts.clamp(1, MOST_PARTS);
        let width = (to.0.saturating_sub(from.0) / parts as i64).max(1);
        let place = |at: i64| {
            let part = usize::try_from(at.saturating_sub(from.0) / width).ok();
            part.filter(|part| at >= from.0 && *part < parts)
        };
        let mut sums = vec![vec![Sum::NONE; parts]; metrics.len()];
        if width < Step::Minute.millis() {
            let samples = self.samples(service, check, from, to, MOST_SAMPLES)?;
            let columns = metrics.iter().map(|metric| samples.metrics.iter().position(|name| name == metric));
            for (column, sums) in columns.zip(&mut sums) {
                let Some(column) = column else { continue };
                for (at, values) in &samples.rows {
                    if let Some(part) = place(at.0) {
                        sums[part].add(values.get(column).copied().flatten());
                    }
                }
            }
        } else {
            let step = Step::within(from.0, width);
            let wanted = |series: &Stored, i: usize| series.metrics.get(i).is_some_and(|name| metrics.contains(name));
            self.sums(service, check, step, (from, to), wanted, |names, _, start, found| {
                let Some(part) = place(start) else { return };
                for (metric, sums) in metrics.iter().zip(&mut sums) {
                    if let Some(sum) = names.iter().position(|name| name == metric).and_then(|i| found.get(i)) {
                        sums[part].merge(sum);
                    }
                }
            })?;
        }
        let curve = |(metric, sums): (&String, Vec<Sum>)| {
            let parts = sums.into_iter().enumerate().filter(|(_, sum)| sum.count > 0);
            let parts = parts.map(|(i, sum)| (Wall(from.0 + i as i64 * width), sum)).collect();
            Curve { metric: metric.clone(), parts }
        };
        Ok(metrics.iter().zip(sums).map(curve).collect())
    }
}
