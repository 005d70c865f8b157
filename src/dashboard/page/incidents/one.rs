//! The story of an incident: what fired, what was tried, who looked after it, who was told, and how it ended.

use super::class;
use crate::dashboard::page::service::words::{kind, long, tone};
use crate::dashboard::page::words::{Here, Moment, Page, filters, lasted};
use crate::dashboard::problem::{ProblemPage, render};
use crate::dashboard::who::Caller;
use crate::dashboard::{EventFilter, Front, History, IncidentFilter, MessageFilter, Problem};
use crate::model::{
    Event, EventKind, Incident, MessageState, MessageView, Role, ServiceView, Severity, Wall, show_age,
};
use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use std::sync::Arc;

/// Of one that went on for weeks the latest are shown.
const EVENTS: usize = 500;
const MESSAGES: usize = 200;

#[derive(Template)]
#[template(path = "incident.html")]
struct IncidentPage<'a> {
    page: Page,
    moment: &'a Moment,
    incident: &'a Incident,
    /// Its service, if the plan still has it.
    service: Option<&'a ServiceView>,
    lasted: String,
    fired: Vec<Fired<'a>>,
    /// What was tried, and who looked after it: the title, the id, what there was.
    deeds: [(&'static str, &'static str, Vec<&'a Event>); 2],
    written: Vec<Written<'a>>,
    messages: &'a [MessageView],
    lines: Vec<Line<'a>>,
    /// It has more than is shown.
    more: bool,
}

/// A rule that has fired.
struct Fired<'a> {
    event: &'a Event,
    rule: &'a str,
    severity: Severity,
    condition: &'a str,
    value: &'a str,
    note: Option<&'a str>,
    of: Option<String>,
    /// How that ended.
    over: Option<String>,
}

/// What somebody has written.
struct Written<'a> {
    at: Wall,
    by: &'a str,
    words: &'a str,
    public: bool,
}

/// What happened, in the order in which it did.
struct Line<'a> {
    at: Wall,
    id: String,
    tone: &'static str,
    kind: String,
    words: String,
    long: Option<&'a str>,
    /// The message that it tells of.
    message: Option<u64>,
}

/// What is known of an incident: the events the oldest first, and the messages.
struct Known {
    incident: Incident,
    events: Vec<Event>,
    messages: Vec<MessageView>,
    more: bool,
}

fn known(history: &dyn History, id: u64) -> Result<Option<Known>, String> {
    let filter = IncidentFilter { id: Some(id), limit: 1, ..IncidentFilter::default() };
    let Some(incident) = history.incidents(&filter)?.pop() else { return Ok(None) };
    let filter = EventFilter { incident: Some(id), limit: EVENTS + 1, ..EventFilter::default() };
    let mut events = history.events(&filter)?;
    let filter = MessageFilter { incident: Some(id), limit: MESSAGES + 1, ..MessageFilter::default() };
    let mut messages = history.messages(&filter)?;
    let more = events.len() > EVENTS || messages.len() > MESSAGES;
    events.truncate(EVENTS);
    messages.truncate(MESSAGES);
    events.reverse();
    messages.reverse();
    Ok(Some(Known { incident, events, messages, more }))
}

/// Each firing, with the end that it had.
fn fired(events: &[Event]) -> Vec<Fired<'_>> {
    let firings = events.iter().enumerate().filter_map(|(i, event)| {
        let EventKind::Fired { rule, severity, condition, value, note, of } = &event.kind else { return None };
        let ended = events[i..].iter().find_map(|later| match &later.kind {
            EventKind::Resolved { rule: its, after, why, of: whose } if its == rule && whose == of => {
                let why = why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
                Some(format!("over after {}{why}", lasted(*after)))
            }
            _ => None,
        });
        Some(Fired {
            event,
            rule,
            severity: *severity,
            condition,
            value,
            note: note.as_deref(),
            of: of.as_ref().map(ToString::to_string),
            over: ended,
        })
    });
    firings.collect()
}

fn is_tried(kind: &EventKind) -> bool {
    use EventKind::*;
    matches!(kind, Acted { .. } | Held { .. } | GaveUp { .. } | Intended { .. })
}

fn is_looking_after(kind: &EventKind) -> bool {
    use EventKind::*;
    matches!(kind, Acknowledged { .. } | Unacknowledged { .. } | Escalated { .. } | Paused { .. } | Resumed { .. })
}

fn written(event: &Event) -> Option<Written<'_>> {
    match &event.kind {
        EventKind::Written { by, words, public } => Some(Written { at: event.at, by, words, public: *public }),
        _ => None,
    }
}

/// What has become of a message.
fn state(message: &MessageView) -> &'static str {
    message.state.word()
}

fn message_tone(message: &MessageView) -> &'static str {
    match message.state {
        MessageState::Delivered => "good",
        MessageState::Dead => "bad",
        MessageState::Waiting | MessageState::Dropped => "plain",
    }
}

/// Events and messages, in the order of their times; of the same time, what happened before who was told of it.
fn lines<'a>(events: &'a [Event], messages: &'a [MessageView]) -> Vec<Line<'a>> {
    let events = events.iter().map(|event| Line {
        at: event.at,
        id: format!("event-{}", event.id),
        tone: tone(event),
        kind: kind(event),
        words: event.kind.to_string(),
        long: long(event),
        message: None,
    });
    let messages = messages.iter().map(|message| Line {
        at: message.at,
        id: format!("message-{}", message.id),
        tone: message_tone(message),
        kind: "told".to_owned(),
        words: format!("{}: {} ({})", message.notifier, message.title, state(message)),
        long: None,
        message: Some(message.id),
    });
    let mut all: Vec<Line<'_>> = events.chain(messages).collect();
    all.sort_by_key(|line| line.at);
    all
}

fn no_incident(id: &str) -> Problem {
    let id: String = id.chars().take(30).collect();
    let detail = format!("There is no incident {id}. Those that are over are kept for as long as the history is.");
    Problem::new(StatusCode::NOT_FOUND, "No such incident", detail)
}

pub(in crate::dashboard::page) async fn show(
    State(front): State<Arc<Front>>,
    Path(id): Path<String>,
    caller: Caller,
) -> Result<Response, ProblemPage> {
    // No number of the store's is larger.
    let number = id.parse::<u64>().ok().filter(|id| i64::try_from(*id).is_ok()).ok_or_else(|| no_incident(&id))?;
    let snapshot = front.snapshot().await?;
    let found = front.look(move |history| known(history, number)).await?;
    let Known { incident, events, messages, more } = found.ok_or_else(|| no_incident(&id))?;
    let moment = Moment::of(snapshot.at, &caller);
    let end = incident.closed.unwrap_or(snapshot.at);
    let is_over = if incident.closed.is_some() { "over" } else { "open" };
    let title = format!("Incident {}, {is_over}: {} – minder", incident.id, incident.headline());
    Ok(render(&IncidentPage {
        page: Page::new(Here::Incidents, title).showing(&snapshot, &moment).of(caller),
        service: snapshot.services.iter().find(|service| service.name == incident.service),
        lasted: match incident.closed {
            Some(_) => lasted(u64::try_from((end - incident.opened).as_millis()).unwrap_or(u64::MAX)),
            None => show_age(end - incident.opened),
        },
        fired: fired(&events),
        deeds: [
            ("What was tried", "tried", events.iter().filter(|event| is_tried(&event.kind)).collect()),
            (
                "Who looked after it",
                "looked-after",
                events.iter().filter(|event| is_looking_after(&event.kind)).collect(),
            ),
        ],
        written: events.iter().filter_map(written).collect(),
        lines: lines(&events, &messages),
        messages: &messages,
        incident: &incident,
        moment: &moment,
        more,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Identity, Subject};

    #[test]
    fn each_firing_has_its_own_end() {
        let of = |pid| Some(Subject { identity: Identity { pid, start: 1 }, name: "sh".into(), user: "nobody".into() });
        let fires = |rule: &str, of| EventKind::Fired {
            rule: rule.into(),
            severity: Severity::Warning,
            condition: "c".into(),
            value: "v".into(),
            note: None,
            of,
        };
        let ends = |rule: &str, after, why: Option<&str>, of| EventKind::Resolved {
            rule: rule.into(),
            after,
            why: why.map(str::to_owned),
            of,
        };
        let kinds = vec![
            fires("a", None),
            fires("each", of(1)),
            fires("each", of(2)),
            ends("each", 2000, None, of(2)),
            ends("a", 1000, Some("it was stopped"), None),
            fires("a", None),
        ];
        let event = |(id, kind)| Event { id, at: Wall(id as i64), service: None, incident: Some(1), kind };
        let events: Vec<Event> = (1..).zip(kinds).map(event).collect();
        let ends: Vec<_> = fired(&events).into_iter().map(|fired| fired.over).collect();
        let some = |words: &str| Some(words.to_owned());
        assert_eq!(ends, [some("over after 1 s: it was stopped"), None, some("over after 2 s"), None]);
    }
}
