//! What the store knows of the public services: incidents, what was written about them, and when nothing was known.

use super::course;
use super::uptime::{Span, Timeline, rests};
use crate::dashboard::{EventFilter, History, IncidentFilter};
use crate::model::{Event, EventKind, Incident, Name, Plan, Severity, Status, Wall};
use std::collections::HashMap;

pub(super) const DAY: i64 = 86_400_000;
/// How far back is looked: the days that are drawn, with one that a change of clocks has made longer.
pub(super) const REACH: i64 = 91 * DAY;
/// Incidents of a service that are looked at, the newest. Of what is before them nothing is said.
const INCIDENTS: usize = 500;
/// So many are asked for at a time: most services have few.
const PAGE: usize = 50;
/// The newest events of a kind that are looked at.
const EVENTS: usize = 2000;
/// Deaths of minder itself for which it is looked up when it was last alive, and services that are asked for it.
const DEATHS: usize = 50;
const WITNESSES: usize = 3;
/// The clock of a sample may be so much off the clock of its roll-up.
const GRAIN: i64 = 3_600_000;

/// What of it stays so, from look to look.
#[derive(Default)]
pub(super) struct Facts {
    /// When a service was first sampled, as far as the history goes back.
    first: HashMap<Name, i64>,
    /// When minder was last alive before it started anew without having ended, by the number of that start.
    alive: HashMap<u64, i64>,
    /// When an incident that is over was critical, by its number.
    critical: HashMap<u64, Vec<Span>>,
}

/// What is known of a service.
pub(super) struct Past {
    pub timeline: Timeline,
    /// Its incidents that people are told of, the newest first, each with what the public may read about it, the oldest first.
    pub incidents: Vec<(Incident, Vec<(Wall, String)>)>,
}

/// Reads it for these services, in their order.
pub(super) fn read(
    history: &dyn History,
    plan: &Plan,
    services: &[(&Name, Status)],
    now: Wall,
    facts: &mut Facts,
) -> Result<Vec<Past>, String> {
    let span = (now.0.saturating_sub(REACH), now.0);
    let absent = absences(history, services, span, facts)?;
    let mut turns = Turns::read(history)?;
    let mut written = writings(history)?;
    // Only of those that are met in this look: the others are over and gone.
    let known = std::mem::take(&mut facts.critical);
    let mut all = Vec::with_capacity(services.len());
    for (name, status) in services {
        let (incidents, cut) = incidents(history, name, span.0)?;
        let mut unknown = absent.clone();
        unknown.extend(cut.map(|until| (span.0, until)));
        unknown.extend(before_first(history, plan, name, span, &incidents, facts)?);
        unknown.extend(turns.of(name, *status, span));
        let (mut down, mut wrong) = (Vec::new(), Vec::new());
        for incident in incidents.iter().filter(|incident| incident.severity > Severity::Info) {
            let whole = (incident.opened.0, incident.closed.map_or(span.1, |at| at.0));
            wrong.push(whole);
            if incident.severity < Severity::Critical {
                continue;
            }
            let critical = match known.get(&incident.id) {
                Some(known) => known.clone(),
                None => critical(history, incident.id, whole)?,
            };
            down.extend_from_slice(&critical);
            if incident.closed.is_some() {
                facts.critical.insert(incident.id, critical);
            }
        }
        let told = incidents.into_iter().filter(|i| i.severity > Severity::Info).map(|incident| {
            let mut words = written.remove(&incident.id).unwrap_or_default();
            words.retain(|(service, ..)| service == *name);
            (incident, words.into_iter().map(|(_, at, words)| (at, words)).collect())
        });
        all.push(Past { incidents: told.collect(), timeline: Timeline::new(down, wrong, unknown) });
    }
    Ok(all)
}

/// The incidents of a service that were open at some time since `from`, the newest first; and until when nothing is known, if
/// there were too many.
fn incidents(history: &dyn History, service: &Name, from: i64) -> Result<(Vec<Incident>, Option<i64>), String> {
    let mut found: Vec<Incident> = Vec::new();
    loop {
        let before = found.last().map(|incident| incident.id);
        let filter =
            IncidentFilter { service: Some(service.clone()), before, limit: PAGE, ..IncidentFilter::default() };
        let page = history.incidents(&filter)?;
        // One that gives the same page again and again is not asked for ever.
        let last = page.len() < PAGE || page.iter().any(|i| before.is_some_and(|before| i.id >= before));
        let older = page.iter().position(|i| i.closed.is_some_and(|closed| closed.0 < from));
        found.extend(page.into_iter().take(older.unwrap_or(usize::MAX)));
        if last || older.is_some() {
            return Ok((found, None));
        }
        if found.len() >= INCIDENTS {
            let cut = found.last().map(|incident| incident.opened.0);
            return Ok((found, cut));
        }
    }
}

/// When an incident that was critical at its worst was so: all of its time, if too much happened in it or it is not kept.
fn critical(history: &dyn History, id: u64, whole: Span) -> Result<Vec<Span>, String> {
    let filter = EventFilter { incident: Some(id), limit: EVENTS, ..EventFilter::default() };
    let mut events = history.events(&filter)?;
    events.reverse();
    let spans = if events.len() < EVENTS { course::critical(&events, whole.1) } else { None };
    Ok(spans.unwrap_or_else(|| vec![whole]))
}

fn events(history: &dyn History, kind: &str) -> Result<Vec<Event>, String> {
    let filter = EventFilter { kind: Some(kind.to_owned()), limit: EVENTS, ..EventFilter::default() };
    let mut events = history.events(&filter)?;
    events.reverse();
    Ok(events)
}

/// The time in which minder did not run.
fn absences(
    history: &dyn History,
    services: &[(&Name, Status)],
    (from, to): Span,
    facts: &mut Facts,
) -> Result<Vec<Span>, String> {
    let (started, ended) = (events(history, "started")?, events(history, "ended")?);
    let mut absent = Vec::new();
    // Of before its first start, or the first that is looked at, nothing is known.
    absent.extend(started.first().filter(|first| first.at.0 > from).map(|first| (from, first.at.0)));
    let mut deaths = 0;
    for pair in started.windows(2).rev() {
        let [before, start] = pair else { continue };
        if start.at.0 <= from {
            break;
        }
        let end = ended.iter().rev().find(|end| end.id > before.id && end.id < start.id);
        let alive = match (end, facts.alive.get(&start.id)) {
            (Some(end), _) => end.at.0,
            (None, Some(known)) => *known,
            (None, None) if deaths < DEATHS => {
                deaths += 1;
                let alive = last_alive(history, services, before, start)?;
                facts.alive.insert(start.id, alive);
                alive
            }
            (None, None) => before.at.0,
        };
        absent.push((alive, start.at.0.min(to)));
    }
    Ok(absent)
}

/// When minder, which was killed, last gave a sign of life: an event, or a sample.
fn last_alive(
    history: &dyn History,
    services: &[(&Name, Status)],
    before: &Event,
    start: &Event,
) -> Result<i64, String> {
    let filter = EventFilter { before: Some(start.id), limit: 1, ..EventFilter::default() };
    let mut alive = history.events(&filter)?.first().map_or(before.at.0, |event| event.at.0);
    for (name, _) in services.iter().take(WITNESSES) {
        let sampled = history.sampled(name, before.at, start.at)?;
        alive = alive.max(sampled.map_or(alive, |(_, last)| last.0));
    }
    Ok(alive.min(start.at.0))
}

/// The time before the service was watched, if that was within this span.
fn before_first(
    history: &dyn History,
    plan: &Plan,
    name: &Name,
    (from, to): Span,
    incidents: &[Incident],
    facts: &mut Facts,
) -> Result<Option<Span>, String> {
    let first = match facts.first.get(name) {
        Some(first) => Some(*first),
        None => history.sampled(name, Wall(from), Wall(to))?.map(|(first, _)| first.0),
    };
    // What its supervisor says is kept as events: where nothing else is asked, it is known for as long as minder runs.
    let is_sampled = |s: &crate::model::Service| s.checks.iter().any(|check| check.kind.name() != "control");
    let Some(first) = first else {
        let sampled = plan.services.iter().any(|s| s.name == *name && is_sampled(s));
        let first = incidents.last().map_or(to, |incident| incident.opened.0);
        return Ok(sampled.then_some((from, first)));
    };
    facts.first.insert(name.clone(), first);
    // The history may be kept for less time than incidents are: then it has no first sample, but an oldest.
    let kept = i64::try_from(plan.history.keep.0.as_millis()).unwrap_or(i64::MAX);
    if first <= to.saturating_sub(kept).saturating_add(DAY) || first <= from.saturating_add(GRAIN) {
        return Ok(None);
    }
    let first = incidents.last().map_or(first, |incident| incident.opened.0.min(first));
    Ok(Some((from, first)))
}

/// When services were paused, and when they were stopped on purpose: each turn of it, in order.
#[derive(Default)]
struct Turns {
    paused: HashMap<Name, Vec<(i64, bool)>>,
    stopped: HashMap<Name, Vec<(i64, bool)>>,
}

impl Turns {
    fn read(history: &dyn History) -> Result<Turns, String> {
        let mut turns = Turns::default();
        let mut all = Vec::new();
        for kind in ["paused", "resumed", "intended"] {
            all.extend(events(history, kind)?);
        }
        all.sort_by_key(|event| event.id);
        for Event { at, service, kind, .. } in all {
            let Some(service) = service else { continue };
            let (of, rests) = match kind {
                EventKind::Paused { .. } => (&mut turns.paused, true),
                EventKind::Resumed { .. } => (&mut turns.paused, false),
                EventKind::Intended { up, .. } => (&mut turns.stopped, !up),
                _ => continue,
            };
            of.entry(service).or_default().push((at.0, rests));
        }
        Ok(turns)
    }

    fn of(&mut self, name: &Name, status: Status, span: Span) -> Vec<Span> {
        let (paused, stopped) =
            (self.paused.remove(name).unwrap_or_default(), self.stopped.remove(name).unwrap_or_default());
        // A service can be both, and has one status.
        let last = |turns: &[(i64, bool)]| turns.last().is_some_and(|(_, rests)| *rests);
        let (is_paused, is_stopped) = match status {
            Status::Paused => (true, last(&stopped)),
            Status::Stopped => (last(&paused), true),
            _ => (false, false),
        };
        let mut spans = rests(&paused, is_paused, span);
        spans.extend(rests(&stopped, is_stopped, span));
        spans
    }
}

/// Of whom, when, and what.
type Writing = (Name, Wall, String);

/// What the public may read, by incident: of whom, when, and what, the oldest first.
fn writings(history: &dyn History) -> Result<HashMap<u64, Vec<Writing>>, String> {
    let mut by_incident: HashMap<u64, Vec<_>> = HashMap::new();
    for Event { at, service, incident, kind, .. } in events(history, "written")? {
        if let (Some(service), Some(incident), EventKind::Written { words, public: true, .. }) =
            (service, incident, kind)
        {
            by_incident.entry(incident).or_default().push((service, at, words));
        }
    }
    Ok(by_incident)
}
