//! Rules over the recorded history: when they would have fired and what they would have done, beside what the rules in effect
//! did.
//!
//! What was done then has happened, and is in the record; what these rules would have done has not. An action of theirs is taken
//! to have succeeded, with its grace and within its budget, and the record goes on as it was: a leak that a restart would have
//! ended leaks on, and the rule fires again after the grace.

use super::recorded::{Known, Recorded, is_person};
use super::world::World;
use crate::model::{
    Comparison, Dimension, Effect, Event, EventKind, Identity, Kind, Limit, Mono, Name, Plan, Record, Rule, Term, Test,
    Wall,
};
use crate::store::{EventFilter, ReadError, Reader};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A page of events.
const PAGE: usize = 10_000;
/// More events of what was in effect are not looked at, the oldest first.
const EVENTS: usize = 200_000;
/// Roll-ups of minutes are kept for so long: before that nothing can be judged.
pub const MINUTES_FOR: i64 = 30 * 86_400_000;

/// What came of one service.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tested {
    /// Which.
    pub service: Name,
    /// How many samples of its checks were judged.
    pub samples: u64,
    /// Until then there was one value for each minute only: the least of the minute where rules ask for more than a limit, the
    /// greatest where they ask for less, so that they fire only if all of it was bad.
    pub coarse_until: Option<Wall>,
    /// Rules that could not be judged, or not by all of their metrics.
    pub unjudged: Vec<Unjudged>,
    /// What these rules would have done.
    pub these: Side,
    /// What the rules in effect did.
    pub then: Side,
}

/// A rule that could not be judged.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Unjudged {
    /// Its name.
    pub rule: Name,
    /// Why.
    pub why: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// What one set of rules did.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Side {
    /// How often rules fired.
    pub fired: usize,
    /// How often they restarted or started the service.
    pub restarted: usize,
    /// How often it was given up.
    pub given_up: usize,
    /// All of it, in order.
    pub moments: Vec<Moment>,
}

/// Something that rules did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Moment {
    /// When.
    pub at: Wall,
    /// `fired`, `noticed`, `acting`, `acted` (it failed), `held`, `gave-up`.
    pub kind: &'static str,
    /// The rule, or the action.
    pub name: String,
    /// More about it: the values, who asked, why it failed.
    pub words: String,
    /// How long a rule fired, in milliseconds; nothing if it fires still.
    pub lasted: Option<u64>,
}

/// Runs the rules of a plan over what was recorded from `since` until `until`.
pub fn backtest(reader: &Reader, plan: &Arc<Plan>, since: Wall, until: Wall) -> Result<Vec<Tested>, ReadError> {
    let since = since.max(Wall(until.0 - MINUTES_FOR));
    let mut then = Vec::new();
    let mut before = Vec::new();
    for service in &plan.services {
        then.extend(events(reader, &service.name, since)?);
        before.extend(standing(reader, &service.name, since)?);
    }
    then.sort_by_key(|event| event.id);
    before.extend(then.iter().cloned());
    let mut recorded = Recorded::new(reader, plan, since, until, &before);
    let mut these: Vec<Event> = Vec::new();
    let mut see = |_: Mono, effect: &Effect| {
        if let Effect::Record(Record::Event(event)) = effect {
            these.push(event.clone());
        }
    };
    let mut world = World::begin(Arc::clone(plan), since, &mut recorded, &mut see);
    world.pass(Mono(0) + (until - since), &mut recorded, &mut see);
    if let Some(e) = recorded.failed.take() {
        return Err(e);
    }
    let mut tested = Vec::new();
    for (s, service) in plan.services.iter().enumerate() {
        let known: Vec<Known> = (0..service.checks.len()).map(|c| recorded.known(s, c)).collect();
        let unjudged = service.rules.iter().filter_map(|rule| unjudged(&service.checks, &known, rule));
        tested.push(Tested {
            service: Arc::clone(&service.name),
            samples: known.iter().map(|known| known.samples).sum(),
            coarse_until: known.iter().filter_map(|known| known.coarse_until).max(),
            unjudged: unjudged.collect(),
            these: side(&these, &service.name),
            then: side(&then, &service.name),
        });
    }
    Ok(tested)
}

/// The events of a service since then, in order.
fn events(reader: &Reader, service: &Name, since: Wall) -> Result<Vec<Event>, ReadError> {
    let mut filter =
        EventFilter { service: Some(Arc::clone(service)), from: Some(since), limit: PAGE, ..EventFilter::default() };
    let mut all = Vec::new();
    loop {
        let page = reader.events(&filter)?;
        let full = page.len() == PAGE;
        filter.before = page.last().map(|event| event.id);
        all.extend(page);
        if !full || all.len() >= EVENTS {
            all.reverse();
            return Ok(all);
        }
    }
}

/// How a service stood at that time: whether it was wanted up, and paused.
fn standing(reader: &Reader, service: &Name, since: Wall) -> Result<Vec<Event>, ReadError> {
    let latest = |kind: &str| -> Result<Option<Event>, ReadError> {
        let kind = Some(kind.to_owned());
        let filter = EventFilter { service: Some(Arc::clone(service)), kind, limit: 1000, ..EventFilter::default() };
        Ok(reader.events(&filter)?.into_iter().find(|event| event.at < since))
    };
    let intended = latest("intended")?.filter(|event| matches!(event.kind, EventKind::Intended { up: false, .. }));
    let (paused, resumed) = (latest("paused")?, latest("resumed")?);
    let paused = paused.filter(|paused| resumed.is_none_or(|resumed| resumed.id < paused.id));
    Ok(intended.into_iter().chain(paused).collect())
}

/// What the rules of a service did, of all these events in order.
fn side(events: &[Event], service: &Name) -> Side {
    let mut side = Side::default();
    // A rule can fire for several processes at a time.
    let mut firing: BTreeMap<(&str, Option<Identity>), usize> = BTreeMap::new();
    for event in events.iter().filter(|event| event.service.as_ref() == Some(service)) {
        let mut moment = |name: &str, words: String| {
            let kind = event.kind.word();
            side.moments.push(Moment { at: event.at, kind, name: name.to_owned(), words, lasted: None });
        };
        match &event.kind {
            EventKind::Fired { rule, value, of, .. } => {
                moment(rule, of.as_ref().map_or(value.clone(), |of| format!("{of} {value}")));
                side.fired += 1;
                firing.insert((rule, of.as_ref().map(|of| of.identity)), side.moments.len() - 1);
            }
            EventKind::Resolved { rule, after, of, .. } => {
                if let Some(place) = firing.remove(&(rule.as_str(), of.as_ref().map(|of| of.identity))) {
                    side.moments[place].lasted = Some(*after);
                }
            }
            EventKind::Noticed { rule, from, to } => moment(rule, format!("{from} became {to}")),
            // What people do is no doing of the rules.
            EventKind::Acting { by, .. } if is_person(by) => {}
            EventKind::Acting { action, by } => {
                moment(action, by.clone());
                side.restarted += usize::from(action == "restart" || action == "start");
            }
            EventKind::Acted { action, ok: false, words, .. } => moment(action, words.clone()),
            EventKind::Held { action, why } => moment(action, why.clone()),
            EventKind::GaveUp { .. } => {
                moment("given up", event.kind.to_string());
                side.given_up += 1;
            }
            _ => {}
        }
    }
    side
}

/// Why a rule could not be judged by what was recorded, if it could not.
fn unjudged(checks: &[crate::model::Check], known: &[Known], rule: &Rule) -> Option<Unjudged> {
    let mut found = None;
    let mut look = |comparison: &Comparison| {
        if found.is_none() {
            found = missing(checks, known, comparison);
        }
    };
    rule.when.each(&mut look);
    rule.until.iter().for_each(|(until, _)| until.each(&mut look));
    found.map(|(why, help)| Unjudged { rule: Arc::clone(&rule.name), why, help })
}

fn missing(
    checks: &[crate::model::Check],
    known: &[Known],
    comparison: &Comparison,
) -> Option<(String, Option<String>)> {
    let at = comparison.term.metric();
    let place = usize::from(at.check);
    let (check, known) = (checks.get(place)?, known.get(place)?);
    let metric = check.kind.metrics().get(usize::from(at.metric.0))?;
    let name = format!("{}.{}", check.name, metric.name);
    // What the engine knows by itself, of deaths and of who was seen.
    let by_life = matches!(*check.kind, Kind::Process(_)) && (metric.name == "pid" || metric.name.starts_with("exit."));
    if known.samples == 0 {
        let help = "only what minder has watched can be judged: let it run with this check first";
        return Some((
            format!("nothing was recorded of the check `{}` in this time", check.name),
            Some(help.to_owned()),
        ));
    }
    if by_life {
        return None;
    }
    if metric.each {
        return Some((format!("`{name}` of each process is not recorded"), None));
    }
    if metric.dimension == Dimension::Text {
        let words = if matches!(comparison.term, Term::Changed(_)) { "changes of `" } else { "`" };
        return Some((format!("{words}{name}` cannot be seen: texts are not recorded"), None));
    }
    if known.columns & (1 << at.metric.0) == 0 {
        let help = format!("add `keep: [{}]` to the check `{}`: it is recorded from then on", metric.name, check.name);
        return Some((format!("`{name}` was not recorded"), Some(help)));
    }
    if known.numbers & (1 << at.metric.0) == 0 {
        return Some((format!("`{name}` had no value in all this time"), None));
    }
    if matches!(comparison.test, Test::Compare(_, Limit::PercentOfWhole(_))) && known.wholes & (1 << at.metric.0) == 0 {
        let why = format!("of `{name}` the value was recorded, and no whole that it was a part of");
        return Some((why, Some(format!("compare with {}", metric.dimension.expectation()))));
    }
    None
}
