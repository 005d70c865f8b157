//! The incidents: those that are open, worst first; the past ones by day; and how many there were of what.

mod days;
pub(in crate::dashboard::page) mod one;

use super::words::{Here, Moment, Page, filters, lasted};
use crate::dashboard::problem::{ProblemPage, render};
use crate::dashboard::who::Caller;
use crate::dashboard::{Front, History, IncidentFilter, IncidentSpan, IncidentSums};
use crate::model::{Incident, Name, Role, ServiceView, Severity, Snapshot, Wall, clip};
use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use days::Days;
use serde::Deserialize;
use std::cmp::Reverse;
use std::sync::Arc;

/// Open incidents on the page. Whoever has more is not helped by seeing them.
const OPEN: usize = 200;
/// Past ones on a page.
const PAST: usize = 50;
/// So many services are offered to choose from; of more, one writes the name.
const OFFERED: usize = 300;
/// The longest name that is taken for one of a service.
const NAME: usize = 200;
/// The worst first.
const SEVERITIES: [Severity; 3] = [Severity::Critical, Severity::Warning, Severity::Info];
/// Stands for minder itself where a service is named: no name of a service has parentheses.
const OWN: &str = "(minder)";

#[derive(Template)]
#[template(path = "incidents.html")]
struct Incidents<'a> {
    page: Page,
    moment: &'a Moment,
    chosen: &'a Chosen,
    headline: String,
    no_history: Option<String>,
    open: Vec<Open<'a>>,
    more_open: bool,
    sums: Option<Sums<'a>>,
    past: Vec<Day<'a>>,
    /// The last one shown, if there are older ones.
    older: Option<u64>,
    offered: Vec<&'a str>,
}

/// An open incident, with how its service stands.
struct Open<'a> {
    incident: &'a Incident,
    service: Option<&'a ServiceView>,
}

/// Past incidents that began on the same day.
struct Day<'a> {
    words: String,
    incidents: Vec<&'a Incident>,
}

struct Sums<'a> {
    sums: &'a IncidentSums,
    mean: Option<String>,
    open_for: String,
    share: String,
    days: Days,
}

/// How much of the past is summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    days: i32,
    word: &'static str,
    words: &'static str,
}

impl Span {
    pub const ALL: [Span; 3] = [
        Span { days: 7, word: "7d", words: "7 days" },
        Span { days: 30, word: "30d", words: "30 days" },
        Span { days: 90, word: "90d", words: "90 days" },
    ];
}

/// What somebody wants to see, as the address has it. What cannot be understood is not asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::dashboard::page) struct View {
    span: String,
    service: String,
    severity: String,
    before: String,
}

/// The same, understood.
#[derive(Debug, Clone)]
struct Chosen {
    span: Span,
    /// Empty for minder itself.
    service: Option<Name>,
    severity: Option<Severity>,
    before: Option<u64>,
}

impl Chosen {
    fn of(view: &View) -> Chosen {
        let service = view.service.trim();
        Chosen {
            span: Span::ALL.into_iter().find(|span| span.word == view.span).unwrap_or(Span::ALL[1]),
            service: match service {
                "" => None,
                OWN => Some("".into()),
                name => Some(clip(name, NAME).as_str().into()),
            },
            severity: SEVERITIES.into_iter().find(|severity| severity.to_string() == view.severity),
            before: view.before.parse().ok(),
        }
    }

    fn service_word(&self) -> &str {
        match self.service.as_deref() {
            Some("") => OWN,
            Some(name) => name,
            None => "",
        }
    }
    fn is_severity(&self, severity: &Severity) -> bool {
        self.severity == Some(*severity)
    }
    fn is_filtered(&self) -> bool {
        self.service.is_some() || self.severity.is_some()
    }

    /// The address of the same with another span.
    fn with_span(&self, span: &Span) -> String {
        self.link(span, None)
    }
    /// The address of those before this one.
    fn with_before(&self, before: &u64) -> String {
        self.link(&self.span, Some(*before))
    }
    fn latest(&self) -> String {
        self.link(&self.span, None)
    }
    fn link(&self, span: &Span, before: Option<u64>) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("span", span.word);
        if self.service.is_some() {
            query.append_pair("service", self.service_word());
        }
        if let Some(severity) = self.severity {
            query.append_pair("severity", &severity.to_string());
        }
        if let Some(before) = before {
            query.append_pair("before", &before.to_string());
        }
        format!("/incidents?{}", query.finish())
    }

    fn filter(&self, open: bool, limit: usize) -> IncidentFilter {
        IncidentFilter {
            service: self.service.clone(),
            severity: self.severity,
            open: Some(open),
            before: self.before.filter(|_| !open),
            limit,
            ..IncidentFilter::default()
        }
    }
}

/// What has been.
#[derive(Default)]
struct Past {
    open: Vec<Incident>,
    sums: Option<IncidentSums>,
    past: Vec<Incident>,
}

fn past(history: &dyn History, chosen: &Chosen, span: &IncidentSpan) -> Result<Past, String> {
    Ok(Past {
        open: history.incidents(&chosen.filter(true, OPEN + 1))?,
        sums: Some(history.incident_sums(span)?),
        past: history.incidents(&chosen.filter(false, PAST + 1))?,
    })
}

/// The open ones that the snapshot knows, for when the history cannot be read.
fn known_open(snapshot: &Snapshot, chosen: &Chosen) -> Vec<Incident> {
    let open = snapshot.services.iter().filter_map(|service| service.incident.clone());
    open.filter(|i| chosen.service.as_ref().is_none_or(|name| *name == i.service))
        .filter(|i| chosen.severity.is_none_or(|severity| severity == i.severity))
        .collect()
}

fn by_day<'a>(incidents: &'a [Incident], moment: &Moment) -> Vec<Day<'a>> {
    let day = |incident: &Incident| moment.date(&incident.opened);
    let days = incidents.chunk_by(|a, b| day(a) == day(b));
    days.map(|of_day| Day { words: moment.day(&of_day[0].opened), incidents: of_day.iter().collect() }).collect()
}

/// The class and the mark of an incident.
pub(super) fn class(severity: &Severity) -> &'static str {
    match severity {
        Severity::Critical => "critical",
        Severity::Warning => "warning",
        Severity::Info => "info",
    }
}

/// How long it lasted.
fn between(opened: &Wall, closed: &Wall) -> String {
    lasted(u64::try_from((*closed - *opened).as_millis()).unwrap_or(u64::MAX))
}

/// Whose it is, for people.
pub(super) fn whose(service: &Name) -> &str {
    if service.is_empty() { "minder itself" } else { service }
}

fn headline(open: usize, chosen: &Chosen) -> String {
    let what = if chosen.is_filtered() { " of these" } else { "" };
    match open {
        0 => format!("No incident{} is open", if chosen.is_filtered() { " like these" } else { "" }),
        1 => format!("One incident{what} is open"),
        OPEN.. => format!("{OPEN} or more incidents{what} are open"),
        many => format!("{many} incidents{what} are open"),
    }
}

pub(in crate::dashboard::page) async fn show(
    State(front): State<Arc<Front>>,
    view: Result<Query<View>, QueryRejection>,
    caller: Caller,
) -> Result<Response, ProblemPage> {
    let snapshot = front.snapshot().await?;
    let moment = Moment::of(snapshot.at, &caller);
    let chosen = Chosen::of(&view.map(|Query(view)| view).unwrap_or_default());
    let days = moment.last_days(chosen.span.days);
    let span = IncidentSpan {
        from: days.first().copied().unwrap_or(snapshot.at),
        // What begins at this very moment is of it, too.
        to: Wall(snapshot.at.0.saturating_add(1)),
        days,
        service: chosen.service.clone(),
        severity: chosen.severity,
    };
    let wanted = chosen.clone();
    let seen = front.look(move |history| past(history, &wanted, &span)).await;
    let no_history = seen.as_ref().err().map(|problem| problem.detail.clone());
    let mut seen = seen.unwrap_or_else(|_| Past { open: known_open(&snapshot, &chosen), ..Past::default() });
    seen.open.sort_by_key(|incident| (Reverse(incident.severity), Reverse(incident.opened), incident.id));
    let more_open = seen.open.len() > OPEN;
    seen.open.truncate(OPEN);
    let older = (seen.past.len() > PAST).then(|| seen.past.get(PAST - 1).map(|incident| incident.id)).flatten();
    seen.past.truncate(PAST);
    let headline = headline(seen.open.len(), &chosen);
    let open = seen.open.iter().map(|incident| Open {
        incident,
        service: snapshot.services.iter().find(|service| service.name == incident.service),
    });
    let sums = seen.sums.as_ref().map(|sums| {
        let all = sums.to.0.abs_diff(sums.from.0).max(1);
        Sums {
            mean: sums.mean_to_recover.map(lasted),
            open_for: lasted(sums.open_for),
            share: format!("{:.1} %", sums.open_for as f64 * 100.0 / all as f64),
            days: Days::of(&sums.days, &moment),
            sums,
        }
    });
    let offered = if snapshot.services.len() <= OFFERED { &snapshot.services[..] } else { &[] };
    let count = seen.open.len();
    let title = if count > 0 { format!("({count}) Incidents – minder") } else { "Incidents – minder".to_owned() };
    Ok(render(&Incidents {
        page: Page::new(Here::Incidents, title).showing(&snapshot, &moment).of(caller),
        headline,
        no_history,
        open: open.collect(),
        more_open,
        sums,
        past: by_day(&seen.past, &moment),
        older,
        offered: offered.iter().map(|service| &*service.name).collect(),
        chosen: &chosen,
        moment: &moment,
    }))
}
