//! What the public sees, as plain data: everything that is shown is made from this alone, and nothing internal is in it.

use super::past::{DAY, Facts, Past, read};
use super::uptime::{Share, Span, Timeline};
use crate::dashboard::History;
use crate::model::{Incident, Logo, Name, Plan, Severity, Snapshot, Status, Wall, clip, plain, services_words};
use jiff::tz::TimeZone;
use jiff::{ToSpan, civil::Date};
use std::collections::HashMap;

/// Days that are drawn.
pub(super) const DAYS: usize = 90;
/// Days of incidents on a page.
pub(super) const DAYS_A_PAGE: usize = 14;
/// Pages of incidents.
pub(super) const PAGES: usize = DAYS.div_ceil(DAYS_A_PAGE);
/// Maintenance is announced so long before.
const ANNOUNCED: i64 = 30 * DAY;
/// The longest text of the configuration that is shown.
const WORDS: usize = 500;
/// The times that uptime is given for: in days, and in words.
pub(super) const SPANS: [(i64, &str); 4] = [(1, "24 h"), (7, "7 d"), (30, "30 d"), (90, "90 d")];

/// How a service stands, in words for the public. The later, the worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum State {
    Operational,
    Unknown,
    Maintenance,
    Degraded,
    Down,
}

impl State {
    /// Paused is not judged, so that nobody knows; stopped on purpose is being worked on.
    fn of(status: Status) -> State {
        match status {
            Status::Ok => State::Operational,
            Status::Warning => State::Degraded,
            Status::Critical | Status::GivenUp => State::Down,
            Status::Unknown | Status::Paused => State::Unknown,
            Status::Stopped => State::Maintenance,
        }
    }
    pub fn words(self) -> &'static str {
        match self {
            State::Operational => "operational",
            State::Degraded => "degraded",
            State::Down => "down",
            State::Maintenance => "under maintenance",
            State::Unknown => "unknown",
        }
    }
    /// For programs, and as a class.
    pub fn word(self) -> &'static str {
        if self == State::Maintenance { "maintenance" } else { self.words() }
    }
    /// The mark of it, of those that a status has.
    pub fn mark(self) -> &'static str {
        match self {
            State::Operational => "ok",
            State::Degraded => "warning",
            State::Down => "critical",
            State::Maintenance => "paused",
            State::Unknown => "unknown",
        }
    }
}

/// Everything.
pub(super) struct Board {
    pub title: String,
    pub words: Option<String>,
    pub logo: Option<Logo>,
    /// Where the public finds it.
    pub url: Option<String>,
    pub at: Wall,
    pub zone: TimeZone,
    pub state: State,
    pub headline: String,
    /// In the order of the plan, those of a group together.
    pub services: Vec<Service>,
    /// The newest first.
    pub incidents: Vec<Told>,
    /// The next first.
    pub maintenance: Vec<Planned>,
    /// The past can be told.
    pub has_past: bool,
}

/// A service under its public name.
pub(super) struct Service {
    pub slug: String,
    pub name: String,
    pub group: Option<String>,
    pub description: Option<String>,
    pub state: State,
    timeline: Timeline,
    /// The oldest first.
    pub days: Vec<Day>,
}

/// A day of a service.
pub(super) struct Day {
    pub date: Date,
    pub share: Share,
    /// So many incidents went on in it.
    pub incidents: usize,
}

/// An incident, as far as the public is told of it.
pub(super) struct Told {
    /// Of the service and its begin: numbers would tell of what else went on.
    pub id: String,
    /// The service's public name.
    pub service: String,
    pub state: State,
    pub opened: Wall,
    pub closed: Option<Wall>,
    /// What was written for the public, the oldest first.
    pub updates: Vec<(Wall, String)>,
}

/// Maintenance that goes on, or is planned.
pub(super) struct Planned {
    /// By their public names; empty if it is all of them.
    pub services: Vec<String>,
    pub reason: String,
    pub begins: Wall,
    pub ends: Wall,
}

fn text(text: &str) -> String {
    clip(plain(text).trim(), WORDS)
}

impl Board {
    /// Of how everything stands, and of what the history tells. `None` where there is no page for the public.
    pub fn new(plan: &Plan, now: &Snapshot, zone: TimeZone, history: &dyn History, facts: &mut Facts) -> Option<Board> {
        let page = plan.dashboard.status.as_ref()?;
        let views: HashMap<&str, Status> = now.services.iter().map(|view| (&*view.name, view.status)).collect();
        let shown = || plan.services.iter().filter(|service| service.public.is_some());
        // One that the plan has since a moment ago has no view yet.
        let status = |name: &Name| views.get(&**name).copied().unwrap_or(Status::Unknown);
        let names: Vec<(&Name, Status)> = shown().map(|service| (&service.name, status(&service.name))).collect();
        let past = read(history, plan, &names, now.at, facts);
        let has_past = past.is_ok();
        let nothing =
            || Past { timeline: Timeline::new(Vec::new(), Vec::new(), vec![(0, i64::MAX)]), incidents: Vec::new() };
        let mut past = past.unwrap_or_default().into_iter();
        let spans = days(now.at, &zone);
        let planned = planned(plan, now.at);
        let (mut services, mut incidents) = (Vec::new(), Vec::new());
        for service in shown() {
            let Some(public) = &service.public else { continue };
            let past = past.next().unwrap_or_else(nothing);
            let in_work = planned.iter().any(|(one, its)| one.begins <= now.at && its.contains(&&*service.name));
            let slug = public.slug();
            let name = text(&public.name);
            let bar = |(date, span): &(Date, Span)| Day {
                date: *date,
                share: past.timeline.share(*span),
                incidents: past.incidents.iter().filter(|(incident, _)| touches(incident, *span)).count(),
            };
            services.push(Service {
                days: spans.iter().map(bar).collect(),
                state: if in_work { State::Maintenance } else { State::of(status(&service.name)) },
                group: public.group.as_deref().map(text).filter(|group| !group.is_empty()),
                description: public.description.as_deref().map(text).filter(|words| !words.is_empty()),
                name: name.clone(),
                slug: slug.clone(),
                timeline: past.timeline,
            });
            incidents.extend(past.incidents.into_iter().map(|(incident, updates)| Told {
                id: format!("{slug}-{}", incident.opened.0),
                service: name.clone(),
                state: if incident.severity == Severity::Critical { State::Down } else { State::Degraded },
                opened: incident.opened,
                closed: incident.closed,
                updates: updates.into_iter().map(|(at, words)| (at, plain(&words).into_owned())).collect(),
            }));
        }
        together(&mut services);
        incidents.sort_by(|a, b| (b.opened, &b.id).cmp(&(a.opened, &a.id)));
        let mut maintenance: Vec<Planned> = planned.into_iter().map(|(one, _)| one).collect();
        maintenance.sort_by_key(|one| one.begins);
        Some(Board {
            title: page.title.as_deref().map(text).unwrap_or_else(|| "Status".to_owned()),
            words: page.words.as_deref().map(text),
            logo: page.logo.clone(),
            url: page.url.clone(),
            at: now.at,
            zone,
            state: services.iter().map(|service| service.state).max().unwrap_or(State::Unknown),
            headline: headline(&services),
            services,
            incidents,
            maintenance,
            has_past,
        })
    }

    /// All services under their groups, in order; those without one first.
    pub fn groups(&self) -> impl Iterator<Item = (Option<&str>, &[Service])> {
        self.services.chunk_by(|a, b| a.group == b.group).map(|some| (some[0].group.as_deref(), some))
    }

    /// The uptime of a service in the last so many days.
    pub fn uptime(&self, service: &Service, days: i64) -> Share {
        service.timeline.share((self.at.0.saturating_sub(days * DAY), self.at.0))
    }

    /// Incidents that go on.
    pub fn open(&self) -> impl Iterator<Item = &Told> {
        self.incidents.iter().filter(|incident| incident.closed.is_none())
    }

    /// The incidents that are over, by the day that they began on, on one of [`PAGES`] pages.
    pub fn past(&self, page: usize) -> Vec<(Date, Vec<&Told>)> {
        let today = self.at.zoned(self.zone.clone()).date();
        let newest = today.saturating_sub(((page * DAYS_A_PAGE) as i64).days());
        let oldest = newest.saturating_sub((DAYS_A_PAGE as i64 - 1).days());
        let over = self.incidents.iter().filter(|incident| incident.closed.is_some());
        let dated = over.map(|incident| (incident.opened.zoned(self.zone.clone()).date(), incident));
        let within: Vec<_> = dated.filter(|(date, _)| (oldest..=newest).contains(date)).collect();
        within.chunk_by(|a, b| a.0 == b.0).map(|day| (day[0].0, day.iter().map(|(_, told)| *told).collect())).collect()
    }
}

fn touches(incident: &Incident, (from, to): Span) -> bool {
    incident.opened.0 < to && incident.closed.is_none_or(|closed| closed.0 >= from)
}

/// Those of a group stand together, where the first of them stands; those without a group come first.
fn together(services: &mut [Service]) {
    let mut places: HashMap<String, usize> = HashMap::new();
    for group in services.iter().filter_map(|service| service.group.clone()) {
        let next = places.len() + 1;
        places.entry(group).or_insert(next);
    }
    services.sort_by_key(|service| service.group.as_ref().and_then(|group| places.get(group)).copied().unwrap_or(0));
}

/// The last days in this zone, with their spans: the last one ends now.
fn days(now: Wall, zone: &TimeZone) -> Vec<(Date, Span)> {
    let today = now.zoned(zone.clone()).date();
    let midnight = |date: Date| zone.to_ambiguous_zoned(date.to_datetime(jiff::civil::Time::midnight())).compatible();
    let begin = |date: Date| midnight(date).map_or(now.0, |zoned| zoned.timestamp().as_millisecond());
    let day = |back: i64| {
        let date = today.saturating_sub(back.days());
        let end = if back == 0 { now.0 } else { begin(date.saturating_add(1.days())) };
        (date, (begin(date), end))
    };
    (0..DAYS as i64).rev().map(day).collect()
}

/// The windows of the plan's maintenance that goes on or comes soon, of whole services that the public knows, each with the
/// names of those. Silences are not the public's: they say who shall hear, not what is done.
fn planned(plan: &Plan, now: Wall) -> Vec<(Planned, Vec<&str>)> {
    let mut all = Vec::new();
    for maintenance in plan.maintenance.iter().filter(|one| one.scope.rules.is_empty()) {
        let Some(window) = maintenance.window(now).filter(|window| window.begins.0 <= now.0.saturating_add(ANNOUNCED))
        else {
            continue;
        };
        let (mut names, mut publics, mut others) = (Vec::new(), Vec::new(), false);
        for service in &plan.services {
            let Some(public) = &service.public else { continue };
            let tags = service.tags.iter().chain(&service.group).map(String::as_str);
            if maintenance.scope.has_service(&service.name, tags) {
                names.push(&*service.name);
                publics.push(text(&public.name));
            } else {
                others = true;
            }
        }
        if names.is_empty() {
            continue;
        }
        let planned = Planned {
            services: if others { publics } else { Vec::new() },
            reason: text(&maintenance.reason),
            begins: window.begins,
            ends: window.ends,
        };
        all.push((planned, names));
    }
    all
}

/// How things stand, in one line.
fn headline(services: &[Service]) -> String {
    let all = services.len();
    let count = |state: State| services.iter().filter(|service| service.state == state).count();
    let of = |count: usize, is: &str| match (count, all) {
        (1, 1) => format!("{} is {is}", services[0].name),
        (1, _) => match services.iter().find(|service| service.state.words() == is) {
            Some(service) => format!("{} is {is}", service.name),
            None => String::new(),
        },
        _ if count == all => format!("All {} are {is}", services_words(all)),
        _ => format!("{count} of {} are {is}", services_words(all)),
    };
    let parts: Vec<String> = [State::Down, State::Degraded, State::Maintenance, State::Unknown]
        .into_iter()
        .filter(|state| count(*state) > 0)
        .map(|state| of(count(state), state.words()))
        .collect();
    match parts.as_slice() {
        _ if all == 0 => "Nothing is shown yet".to_owned(),
        [] => of(all, State::Operational.words()),
        parts => parts.join(", "),
    }
}
