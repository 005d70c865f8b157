//! How things stand, in a line; and what is wrong, worst first.

use crate::dashboard::page::words::{Moment, class, filters};
use crate::dashboard::{EventFilter, History};
use crate::model::{Event, EventKind, OwnView, RuleState, RuleView, ServiceView, Severity, Snapshot, show_age};
use askama::Template;
use std::collections::HashMap;

/// Services in trouble of which all is told, and for which it is looked up what was done. Whoever has more has other worries.
const TOLD: usize = 20;
/// Further ones that are named.
const NAMED: usize = 200;
/// What was done, so many of the latest.
const DEEDS: usize = 3;

/// What was done about incidents, by their number; or why that is not known.
pub(super) type Deeds = Result<HashMap<u64, Vec<Event>>, String>;

#[derive(Template)]
#[template(path = "overview_head.html")]
struct Head<'a> {
    snapshot: &'a Snapshot,
    moment: &'a Moment,
    headline: String,
    uptime: String,
    notes: Vec<&'a String>,
    /// The brake, where it is no incident yet.
    brake: Option<&'a str>,
    no_history: Option<&'a str>,
    troubles: Vec<Trouble<'a>>,
    more: Vec<&'a ServiceView>,
    /// So many are not even named.
    unnamed: usize,
    steers: bool,
}

impl Head<'_> {
    /// Whether this is said by the brake, which whoever steers can let go.
    fn is_brake(&self, own: &OwnView) -> bool {
        self.snapshot.brake.as_ref().is_some_and(|brake| brake.words == own.words)
    }
}

/// Something that is wrong.
enum Trouble<'a> {
    Service { service: &'a ServiceView, firing: Vec<&'a RuleView>, deeds: &'a [Event] },
    Own(&'a OwnView),
}

fn in_trouble(snapshot: &Snapshot) -> Vec<&ServiceView> {
    snapshot.worst_first().into_iter().filter(|service| service.status.is_bad()).collect()
}

/// The incidents for which it is to be known what was done.
pub(super) fn incidents(snapshot: &Snapshot) -> Vec<u64> {
    in_trouble(snapshot).iter().take(TOLD).filter_map(|s| s.incident.as_ref()).map(|incident| incident.id).collect()
}

/// What was done about an incident, the newest first.
pub(super) fn deeds(history: &dyn History, incident: u64) -> Result<Vec<Event>, String> {
    let filter = EventFilter { incident: Some(incident), limit: 50, ..EventFilter::default() };
    let mut events = history.events(&filter)?;
    events.retain(|e| {
        use EventKind::*;
        matches!(e.kind, Acted { .. } | Held { .. } | GaveUp { .. } | Undelivered { .. } | Written { .. })
    });
    events.truncate(DEEDS);
    Ok(events)
}

/// `steers`: for one who is offered to do something about it.
pub(super) fn render(snapshot: &Snapshot, moment: &Moment, deeds: &Deeds, steers: bool) -> askama::Result<String> {
    let troubled = in_trouble(snapshot);
    let (told, more) = troubled.split_at(troubled.len().min(TOLD));
    let mut troubles: Vec<Trouble<'_>> = told
        .iter()
        .map(|service| {
            let incident = service.incident.as_ref();
            let done = deeds.as_ref().ok().and_then(|deeds| deeds.get(&incident?.id));
            Trouble::Service {
                service,
                firing: service.rules.iter().filter(|r| r.state == RuleState::Firing).collect(),
                deeds: done.map_or(&[][..], Vec::as_slice),
            }
        })
        .collect();
    // What is wrong with minder itself is as bad as what is critical, and comes after it.
    let critical = told.iter().filter(|s| s.status.rank() >= crate::model::Status::Critical.rank()).count();
    let own = snapshot.own.iter();
    let place = |own: &OwnView| if own.incident.severity == Severity::Critical { critical } else { told.len() };
    for own in own.rev() {
        troubles.insert(place(own).min(troubles.len()), Trouble::Own(own));
    }
    let is_own = |words: &str| snapshot.own.iter().any(|own| own.words == words);
    let head = Head {
        headline: headline(snapshot),
        uptime: show_age(snapshot.at - snapshot.since),
        notes: snapshot.notes.iter().filter(|note| !is_own(note)).collect(),
        brake: snapshot.brake.as_ref().map(|brake| &*brake.words).filter(|words| !is_own(words)),
        no_history: deeds.as_ref().err().map(String::as_str),
        troubles,
        more: more.iter().take(NAMED).copied().collect(),
        unnamed: more.len().saturating_sub(NAMED),
        steers,
        snapshot,
        moment,
    };
    head.render()
}

/// How things stand, minder itself among them.
fn headline(snapshot: &Snapshot) -> String {
    let services = snapshot.headline();
    match snapshot.own.len() {
        0 => services,
        1 => format!("{services}; minder itself needs a look"),
        count => format!("{services}; minder itself needs a look at {count} things"),
    }
}

/// The title of the page: how many are in trouble, and where.
pub(super) fn title(snapshot: &Snapshot) -> String {
    let bad = snapshot.services.iter().filter(|service| service.status.is_bad()).count() + snapshot.own.len();
    match bad {
        0 => format!("{} – minder", snapshot.host),
        bad => format!("({bad}) {} – minder", snapshot.host),
    }
}
