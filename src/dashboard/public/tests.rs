//! The board, of an invented past.

use super::board::{Board, State};
use super::past::{DAY, Facts};
use super::uptime::Share;
use crate::dashboard::{AuditFilter, Bar, EventFilter, History, IncidentFilter, MessageFilter, Samples};
use crate::model::*;
use jiff::tz::TimeZone;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

pub(super) const AT: Wall = Wall(1_795_176_190_000);
const HOUR: i64 = 3_600_000;

/// What is written here, and nothing else.
#[derive(Default)]
struct Told {
    incidents: Vec<Incident>,
    events: Vec<Event>,
    /// Sampled from then on, until now.
    first: i64,
    /// Until then, asked of what is before.
    alive: Option<i64>,
    looks: AtomicUsize,
}

impl History for Told {
    fn events(&self, filter: &EventFilter) -> Result<Vec<Event>, String> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        let mut events = self.events.clone();
        events.retain(|e| filter.kind.as_deref().is_none_or(|kind| kind == e.kind.word()));
        events.retain(|e| filter.before.is_none_or(|before| e.id < before));
        events.reverse();
        events.truncate(filter.limit);
        Ok(events)
    }
    fn incidents(&self, filter: &IncidentFilter) -> Result<Vec<Incident>, String> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        let mut all = self.incidents.clone();
        all.retain(|i| filter.service.as_ref().is_none_or(|service| *service == i.service));
        all.retain(|i| filter.before.is_none_or(|before| i.id < before));
        all.reverse();
        all.truncate(filter.limit);
        Ok(all)
    }
    fn sampled(&self, _: &str, from: Wall, to: Wall) -> Result<Option<(Wall, Wall)>, String> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        Ok(Some((Wall(from.0.max(self.first)), Wall(self.alive.unwrap_or(to.0)))))
    }
    fn audits(&self, _: &AuditFilter) -> Result<Vec<Audit>, String> {
        Ok(Vec::new())
    }
    fn bars(&self, _: &str, _: &str, _: Wall, _: Wall, _: usize) -> Result<Vec<Bar>, String> {
        Ok(Vec::new())
    }
    fn samples(&self, _: &str, _: &str, _: Wall, _: Wall, _: usize) -> Result<Samples, String> {
        Ok(Samples::default())
    }
    fn line(&self, _: &str, _: &str, _: Wall, _: Wall) -> Result<Samples, String> {
        Ok(Samples::default())
    }
    fn messages(&self, _: &MessageFilter) -> Result<Vec<MessageView>, String> {
        Ok(Vec::new())
    }
    fn message(&self, _: MessageId) -> Result<Option<MessageView>, String> {
        Ok(None)
    }
    fn dead(&self, _: &[MessageId]) -> Result<Vec<Message>, String> {
        Ok(Vec::new())
    }
    fn all_dead(&self, _: Option<&str>, _: usize) -> Result<Vec<Message>, String> {
        Ok(Vec::new())
    }
}

fn ago(ms: i64) -> i64 {
    AT.0 - ms
}

fn incident(id: u64, severity: Severity, opened: i64, closed: Option<i64>) -> Incident {
    Incident {
        id,
        service: "web".into(),
        opened: Wall(opened),
        closed: closed.map(Wall),
        severity,
        title: "process.down".into(),
        rules: BTreeSet::new(),
        told: BTreeSet::new(),
        ack: None,
        escalated: 0,
    }
}

fn event(id: u64, at: i64, kind: EventKind) -> Event {
    Event { id, at: Wall(at), service: Some("web".into()), incident: None, kind }
}

fn started(id: u64, at: i64) -> Event {
    event(id, at, EventKind::Started { version: "1".into() })
}

/// Of services that are well, by these rules.
fn board(history: &Told, rules: &str, statuses: &[(&str, Status)], facts: &mut Facts) -> Board {
    let (plan, _) = crate::config::from_text(rules);
    let service = |(name, status): &(&str, Status)| ServiceView {
        name: (*name).into(),
        description: None,
        group: None,
        tags: Vec::new(),
        status: *status,
        since: AT,
        summary: String::new(),
        depends_on: Vec::new(),
        held: None,
        silenced: None,
        next: None,
        pid: None,
        control: None,
        control_state: None,
        supervisor: None,
        last_exit: None,
        budget: None,
        incident: None,
        flapping: false,
        checks: Vec::new(),
        rules: Vec::new(),
    };
    let snapshot = Snapshot {
        at: AT,
        host: String::new(),
        version: String::new(),
        since: AT,
        no_act: false,
        files: Vec::new(),
        refused: None,
        brake: None,
        silences: Vec::new(),
        maintenance: Vec::new(),
        notes: Vec::new(),
        services: statuses.iter().map(service).collect(),
    };
    Board::new(&plan, &snapshot, TimeZone::UTC, history, facts).unwrap()
}
