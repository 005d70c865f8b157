//! What checks have measured: samples, roll-ups, and bars.

use super::asked::{Address, Asked, Page, length, linked};
use super::openapi::Operation;
use super::{bad, known};
use crate::dashboard::{Bar, Front, Problem, Routes, Samples, Step};
use crate::model::Role::Viewer;
use crate::model::kinds::Kind;
use crate::model::{Snapshot, Wall, unit_word};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

pub(super) fn routes() -> Routes {
    Routes::default()
        .get(Viewer, "/api/v1/services/{name}/checks/{check}/metrics", metrics)
        .about(Operation::new("The metrics of a check that are kept").answers::<Vec<Kept>>())
        .get(Viewer, "/api/v1/services/{name}/checks/{check}/samples", samples)
        .about(Operation::new("Samples of a check, the oldest first").asks::<OfSamples>().answers::<Samples>().linked())
        .get(Viewer, "/api/v1/services/{name}/checks/{check}/rollups", rollups)
        .about(Operation::new("Metrics of a check by minute, hour or day").asks::<OfRollups>().pages::<RollupView>())
        .get(Viewer, "/api/v1/services/{name}/checks/{check}/bars", bars)
        .about(
            Operation::new("How often a check was bad in each of equal parts of a time")
                .asks::<OfBars>()
                .answers::<Vec<Bar>>(),
        )
}

/// In milliseconds.
const HOUR: i64 = 3_600_000;
/// Its last second, in milliseconds since 1970.
const YEAR_9999: i64 = 253_402_300_799_000;
/// The most samples in one answer.
const SAMPLES: usize = 20_000;

/// The last hour, where nothing else is said. Times are kept to what people have: no sum of them can overflow.
fn times(from: Option<Wall>, to: Option<Wall>, now: Wall) -> Result<(Wall, Wall), Problem> {
    let sane = |at: i64| at.clamp(0, YEAR_9999);
    let to = sane(to.unwrap_or(now).0);
    let from = sane(from.map_or(to - HOUR, |from| from.0));
    if from >= to {
        return Err(bad("`from` must be before `to`; both are milliseconds since 1970"));
    }
    Ok((Wall(from), Wall(to)))
}

async fn known_check(front: &Front, name: &str, check: &str) -> Result<(Arc<Snapshot>, String), Problem> {
    let snapshot = front.snapshot().await?;
    let found = known(&snapshot, name)?.checks.iter().find(|c| &*c.name == check).map(|c| c.kind.clone());
    let Some(kind) = found else {
        let detail = format!("The service “{name}” has no check of this name");
        return Err(Problem::new(StatusCode::NOT_FOUND, "No such check", detail));
    };
    Ok((snapshot, kind))
}

/// A metric that is kept.
#[derive(Serialize, JsonSchema)]
struct Kept {
    /// Its name.
    name: String,
    /// What its numbers measure, as in the status; nothing if its kind of check does not say.
    unit: Option<&'static str>,
    /// What it is.
    about: Option<&'static str>,
}

async fn metrics(
    State(front): State<Arc<Front>>,
    Path((name, check)): Path<(String, String)>,
) -> Result<Json<Vec<Kept>>, Problem> {
    let (snapshot, kind) = known_check(&front, &name, &check).await?;
    let now = snapshot.at;
    // The names come with whatever is asked for.
    let kept = front.look(move |history| history.samples(&name, &check, Wall(now.0 - HOUR), now, 1)).await?.metrics;
    let known = Kind::metrics_of(&kind).unwrap_or_default();
    let kept = kept.into_iter().map(|name| {
        let metric = known.iter().find(|metric| metric.name == name);
        Kept { unit: metric.map(|m| unit_word(m.dimension)), about: metric.map(|m| m.about), name }
    });
    Ok(Json(kept.collect()))
}

/// Which samples to show.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OfSamples {
    /// From then on; an hour before `to` where this is missing.
    from: Option<Wall>,
    /// Until before then; now where this is missing.
    to: Option<Wall>,
    /// At most so many: 1000 where this is missing, and never more than 20,000.
    limit: Option<NonZeroUsize>,
}

async fn samples(
    State(front): State<Arc<Front>>,
    Path((name, check)): Path<(String, String)>,
    Asked(which, address): Asked<OfSamples>,
) -> Result<Response, Problem> {
    let (snapshot, _) = known_check(&front, &name, &check).await?;
    let (from, to) = times(which.from, which.to, snapshot.at)?;
    let limit = which.limit.map_or(1000, NonZeroUsize::get).min(SAMPLES);
    let samples = front.look(move |history| history.samples(&name, &check, from, to, limit)).await?;
    let last = samples.rows.last().filter(|_| samples.more).map(|(at, _)| at.0);
    let next = last.map(|last| until(&address, to).next("from", &last.saturating_add(1).to_string()));
    Ok(linked(next, Json(samples)))
}

/// Which roll-ups to show.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OfRollups {
    /// How long the time is that each sums up: a minute where this is missing. Days are days of UTC.
    step: Option<Step>,
    /// Those that begin from then on; an hour before `to` where this is missing.
    from: Option<Wall>,
    /// Those that begin before then; now where this is missing.
    to: Option<Wall>,
    /// A page is so many steps of time: 100 where this is missing, and never more than 1000. Times in which nothing was measured
    /// are left out.
    limit: Option<NonZeroUsize>,
}

/// What was measured in a minute, an hour or a day.
#[derive(Serialize, JsonSchema)]
struct RollupView {
    /// When it begins.
    start: Wall,
    /// How many samples were taken.
    samples: u32,
    /// What is known of each metric, by its name.
    metrics: BTreeMap<String, Numbers>,
}

/// The numbers of a metric over some time, in its base unit; those of a flag are 0 and 1.
#[derive(Serialize, JsonSchema)]
struct Numbers {
    /// In how many samples there was one.
    count: u32,
    /// The least; nothing if there was none.
    min: Option<f64>,
    /// The mean.
    mean: Option<f64>,
    /// The greatest.
    max: Option<f64>,
}

async fn rollups(
    State(front): State<Arc<Front>>,
    Path((name, check)): Path<(String, String)>,
    Asked(which, address): Asked<OfRollups>,
) -> Result<Page<RollupView>, Problem> {
    let (snapshot, _) = known_check(&front, &name, &check).await?;
    let (from, to) = times(which.from, which.to, snapshot.at)?;
    let step = which.step.unwrap_or(Step::Minute);
    let end = Wall(from.0.saturating_add(step.millis().saturating_mul(length(which.limit) as i64)).min(to.0));
    let sums = front.look(move |history| history.rollups(&name, &check, step, from, end)).await?;
    let mut found: BTreeMap<Wall, RollupView> = BTreeMap::new();
    for rollup in sums {
        let sum = rollup.sum;
        let known = |number: f64| Some(number).filter(|_| sum.count > 0);
        let numbers = Numbers { count: sum.count, min: known(sum.min), mean: sum.mean(), max: known(sum.max) };
        let empty = RollupView { start: rollup.start, samples: 0, metrics: BTreeMap::new() };
        let view = found.entry(rollup.start).or_insert(empty);
        view.samples = view.samples.max(sum.samples);
        view.metrics.insert(rollup.metric, numbers);
    }
    let next = (end < to).then(|| until(&address, to).next("from", &end.0.to_string()));
    Ok(Page::with(found.into_values().collect(), next))
}

/// The next page ends where this one would have, however late it is asked for.
fn until(address: &Address, to: Wall) -> Address {
    address.with("to", &to.0.to_string())
}

/// Which bars to show.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OfBars {
    /// From then on; an hour before `to` where this is missing.
    from: Option<Wall>,
    /// Until before then; now where this is missing.
    to: Option<Wall>,
    /// So many parts: 30 where this is missing, and never more than 500.
    buckets: Option<NonZeroUsize>,
}

async fn bars(
    State(front): State<Arc<Front>>,
    Path((name, check)): Path<(String, String)>,
    Asked(which, _): Asked<OfBars>,
) -> Result<Json<Vec<Bar>>, Problem> {
    let (snapshot, _) = known_check(&front, &name, &check).await?;
    let (from, to) = times(which.from, which.to, snapshot.at)?;
    let buckets = which.buckets.map_or(30, NonZeroUsize::get).min(500);
    front.look(move |history| history.bars(&name, &check, from, to, buckets)).await.map(Json)
}
