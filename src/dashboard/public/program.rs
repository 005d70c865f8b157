//! The same for programs, as JSON.

use super::board::{Board, Planned, SPANS, Service, State, Told};
use super::uptime::Share;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// How the public services stand. Times are RFC 3339, in UTC.
#[derive(Serialize, JsonSchema)]
pub(super) struct StatusView<'a> {
    title: &'a str,
    /// The worst of its services.
    state: StateWord,
    /// How things stand, in a line.
    words: &'a str,
    /// When this was so.
    updated: String,
    services: Vec<ServiceView<'a>>,
    /// The newest first, at most 100.
    incidents: Vec<IncidentView<'a>>,
    /// What goes on or is planned, the next first.
    maintenance: Vec<MaintenanceView<'a>>,
}

/// How a service stands, in a word.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum StateWord {
    Operational,
    Unknown,
    Maintenance,
    Degraded,
    Down,
}

impl From<State> for StateWord {
    fn from(state: State) -> StateWord {
        match state {
            State::Operational => StateWord::Operational,
            State::Unknown => StateWord::Unknown,
            State::Maintenance => StateWord::Maintenance,
            State::Degraded => StateWord::Degraded,
            State::Down => StateWord::Down,
        }
    }
}

/// A service under its public name.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "StatusServiceView")]
struct ServiceView<'a> {
    id: &'a str,
    name: &'a str,
    group: Option<&'a str>,
    description: Option<&'a str>,
    state: StateWord,
    /// Of the last `24h`, `7d`, `30d` and `90d`.
    uptime: BTreeMap<String, ShareView>,
    /// Of each of the last 90 days, the oldest first.
    days: Vec<DayView>,
}

/// How much of a time it did its work.
#[derive(Serialize, JsonSchema)]
struct ShareView {
    /// The uptime in percent of the known time, rounded down.
    percent: Option<f64>,
    /// So many seconds are known.
    known: i64,
    /// So many of these it was down.
    down: i64,
    /// So many of these it was not down, and something was wrong.
    degraded: i64,
}

/// A day of a service.
#[derive(Serialize, JsonSchema)]
struct DayView {
    /// `2026-11-20`, in the zone of the machine.
    date: String,
    #[serde(flatten)]
    share: ShareView,
    /// So many incidents went on in it.
    incidents: usize,
}

/// An incident, as far as the public is told of it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "StatusIncidentView")]
struct IncidentView<'a> {
    id: &'a str,
    /// By its public name.
    service: &'a str,
    /// At its worst.
    state: StateWord,
    opened: String,
    closed: Option<String>,
    /// What was written for the public, the oldest first.
    updates: Vec<UpdateView<'a>>,
}

/// Words for the public.
#[derive(Serialize, JsonSchema)]
struct UpdateView<'a> {
    at: String,
    words: &'a str,
}

/// Maintenance that goes on, or is planned.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "StatusMaintenanceView")]
struct MaintenanceView<'a> {
    /// By their public names; nothing if it is all of them.
    services: Option<&'a [String]>,
    reason: &'a str,
    begins: String,
    ends: String,
}

pub(super) fn render(board: &Board) -> String {
    let view = StatusView {
        title: &board.title,
        state: board.state.into(),
        words: &board.headline,
        updated: board.at.utc(),
        services: board.services.iter().map(|service| service_view(board, service)).collect(),
        incidents: board.incidents.iter().take(super::page::MOST).map(incident).collect(),
        maintenance: board.maintenance.iter().map(maintenance).collect(),
    };
    // Numbers and texts alone: this does not fail.
    serde_json::to_string(&view).unwrap_or_default()
}

fn service_view<'a>(board: &Board, service: &'a Service) -> ServiceView<'a> {
    let uptime = SPANS.map(|(days, words)| (words.replace(' ', ""), share(board.uptime(service, days))));
    let days = service.days.iter().map(|day| DayView {
        date: day.date.to_string(),
        share: share(day.share),
        incidents: day.incidents,
    });
    ServiceView {
        id: &service.slug,
        name: &service.name,
        group: service.group.as_deref(),
        description: service.description.as_deref(),
        state: service.state.into(),
        uptime: BTreeMap::from(uptime),
        days: days.collect(),
    }
}

fn share(share: Share) -> ShareView {
    ShareView {
        percent: share.percent().map(|percent| (percent * 1000.0).floor() / 1000.0),
        known: share.known / 1000,
        down: share.down / 1000,
        degraded: share.degraded / 1000,
    }
}

fn incident(one: &Told) -> IncidentView<'_> {
    IncidentView {
        id: &one.id,
        service: &one.service,
        state: one.state.into(),
        opened: one.opened.utc(),
        closed: one.closed.map(|at| at.utc()),
        updates: one.updates.iter().map(|(at, words)| UpdateView { at: at.utc(), words }).collect(),
    }
}

fn maintenance(one: &Planned) -> MaintenanceView<'_> {
    MaintenanceView {
        services: (!one.services.is_empty()).then_some(&one.services),
        reason: &one.reason,
        begins: one.begins.utc(),
        ends: one.ends.utc(),
    }
}
