//! The page of messages: what waits, what did not arrive and why, what is silenced, and how each notifier fares.

use super::steer::place;
use super::words::{Here, Moment, Page, Stamp, filters};
use crate::dashboard::api::messages::no_message;
use crate::dashboard::problem::{ProblemPage, render};
use crate::dashboard::who::Caller;
use crate::dashboard::{Front, History, MessageFilter, Problem, Routes};
use crate::model::Role::Viewer;
use crate::model::{MessageId, MessageState, MessageView, Name, NotifierView, Snapshot, Wall, Window};
use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::sync::Arc;
use url::form_urlencoded::Serializer;

/// Messages on a page of one kind, and of each kind where all are shown.
const PAGE: usize = 50;
const EACH: usize = 20;

pub(super) fn routes() -> Routes {
    Routes::default().get(Viewer, "/messages", show).get(Viewer, "/messages/{number}", one)
}

/// Which messages are shown. What a form leaves empty is not asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    #[serde(default)]
    state: String,
    #[serde(default)]
    notifier: String,
    #[serde(default)]
    service: String,
    #[serde(default)]
    incident: String,
    #[serde(default)]
    before: String,
}

impl Which {
    fn is_all(&self) -> bool {
        [&self.state, &self.notifier, &self.service, &self.incident, &self.before].iter().all(|text| text.is_empty())
    }

    fn filter(&self) -> Result<MessageFilter, Problem> {
        let bad = |what: String| crate::dashboard::api::bad(what);
        let text = |text: &str| (!text.is_empty()).then(|| Name::from(text));
        let number = |name: &str, text: &str| match text.trim() {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| bad(format!("`{name}` must be a number"))),
        };
        let state = match self.state.as_str() {
            "" => None,
            word => Some(MessageState::of(word).ok_or_else(|| bad("there is no such state of messages".to_owned()))?),
        };
        Ok(MessageFilter {
            state,
            notifier: text(&self.notifier),
            service: text(self.service.trim()),
            incident: number("incident", &self.incident)?,
            from: None,
            before: number("before", &self.before)?,
            limit: PAGE + 1,
        })
    }

    /// The address of the same, before this message.
    fn before(&self, id: u64) -> String {
        let mut query = Serializer::new(String::new());
        let texts = [("state", &self.state), ("notifier", &self.notifier), ("service", &self.service)];
        for (name, text) in texts.into_iter().chain([("incident", &self.incident)]) {
            if !text.is_empty() {
                query.append_pair(name, text);
            }
        }
        format!("/messages?{}", query.append_pair("before", &id.to_string()).finish())
    }
}

/// Messages of one kind.
struct Part {
    id: &'static str,
    title: String,
    /// What to say if there are none.
    none: &'static str,
    messages: Vec<MessageView>,
    /// Where there are more.
    more: Option<String>,
    /// The notifiers to which all that is dead can be sent again.
    again: BTreeSet<String>,
}

struct NotifierRow<'a> {
    name: &'a Name,
    place: Option<String>,
    view: Option<&'a NotifierView>,
}

#[derive(Template)]
#[template(path = "messages.html")]
struct MessagesPage<'a> {
    page: Page,
    moment: &'a Moment,
    snapshot: &'a Snapshot,
    no_history: Option<String>,
    headline: String,
    which: &'a Which,
    /// What may want doing, and what has only to be known.
    urgent: Vec<Part>,
    rest: Vec<Part>,
    notifiers: Vec<NotifierRow<'a>>,
}

impl MessagesPage<'_> {
    fn why(&self, message: &MessageView) -> Option<String> {
        message.reason(&|at| self.moment.when(&at))
    }
    /// What has to be known of maintenance: its window is open, or when it comes.
    fn is_open(&self, window: &Window) -> bool {
        window.begins <= self.moment.now
    }
    /// In how long something is.
    fn to_come(&self, at: &Wall) -> Stamp {
        self.moment.to_come(at)
    }
}

fn part(id: &'static str, title: &str, none: &'static str, messages: Vec<MessageView>, most: usize) -> Part {
    let state = MessageState::of(id);
    let mut messages = messages;
    let more = (messages.len() > most).then(|| format!("/messages?state={id}"));
    messages.truncate(most);
    let dead = messages.iter().filter(|_| state == Some(MessageState::Dead));
    let again = dead.map(|message| message.notifier.clone()).collect();
    Part { id, title: title.to_owned(), none, messages, more, again }
}

/// What waits, what did not arrive, and what was told lately or was not to be.
fn all(history: &dyn History) -> Result<(Vec<Part>, Vec<Part>), String> {
    let of = |state| {
        let filter = MessageFilter { state: Some(state), limit: EACH + 1, ..MessageFilter::default() };
        history.messages(&filter)
    };
    let urgent = vec![part("dead", "Not delivered", "Nothing is lost.", of(MessageState::Dead)?, EACH)];
    let mut rest = vec![
        part("waiting", "Waiting", "Nothing waits.", of(MessageState::Waiting)?, EACH),
        part("delivered", "Delivered lately", "Nobody was told of anything yet.", of(MessageState::Delivered)?, EACH),
        part("dropped", "Not to be told", "", of(MessageState::Dropped)?, EACH),
    ];
    rest.retain(|part| !(part.none.is_empty() && part.messages.is_empty()));
    Ok((urgent, rest))
}

/// Those that were asked for.
fn chosen(history: &dyn History, filter: &MessageFilter, which: &Which) -> Result<(Vec<Part>, Vec<Part>), String> {
    let mut messages = history.messages(filter)?;
    let more = messages.len() > PAGE;
    messages.truncate(PAGE);
    let more = messages.last().filter(|_| more).map(|last| which.before(last.id));
    let dead = messages.iter().filter(|message| message.state == MessageState::Dead);
    let again = dead.map(|message| message.notifier.clone()).collect();
    let title = "These messages".to_owned();
    let part = Part { id: "chosen", title, none: "There are no such messages.", messages, more, again };
    Ok((vec![part], Vec::new()))
}

fn headline(snapshot: &Snapshot) -> String {
    let failing: Vec<&str> =
        snapshot.notifiers.iter().filter(|view| view.since.is_some()).map(|view| &*view.name).collect();
    let waiting: usize = snapshot.notifiers.iter().map(|view| view.waiting).sum();
    let waits = match waiting {
        0 => "nothing waits".to_owned(),
        1 => "1 message waits".to_owned(),
        count => format!("{count} messages wait"),
    };
    match failing.as_slice() {
        [] if waiting == 0 => "Messages arrive".to_owned(),
        [] => format!("Messages arrive, {waits}"),
        [one] => format!("Messages do not reach {one}, {waits}"),
        some => format!("Messages do not reach {} notifiers, {waits}", some.len()),
    }
}

async fn show(
    State(front): State<Arc<Front>>,
    caller: Caller,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Response, ProblemPage> {
    let Query(which) = which.map_err(|e| crate::dashboard::api::bad(e.body_text()))?;
    let (filter, which) = (which.filter()?, Arc::new(which));
    let (snapshot, plan) = (front.snapshot().await?, front.plan());
    let moment = Moment::of(snapshot.at, &caller);
    let its = Arc::clone(&which);
    let parts =
        front.look(move |history| if its.is_all() { all(history) } else { chosen(history, &filter, &its) }).await;
    // Without a history the page still says what fails, and what is silenced.
    let no_history = parts.as_ref().err().map(|problem| problem.detail.clone());
    let (urgent, rest) = parts.unwrap_or_default();
    let view = |name: &str| snapshot.notifiers.iter().find(|view| *view.name == *name);
    let known = plan.notifiers.iter().map(|(name, notifier)| NotifierRow {
        name,
        place: Some(place(notifier)),
        view: view(name),
    });
    let gone = snapshot.notifiers.iter().filter(|view| !plan.notifiers.contains_key(&view.name));
    let gone = gone.map(|view| NotifierRow { name: &view.name, place: None, view: Some(view) });
    let mut notifiers: Vec<NotifierRow<'_>> = known.chain(gone).collect();
    // Those that fail first.
    notifiers.sort_by_key(|row| row.view.is_none_or(|view| view.since.is_none()));
    Ok(render(&MessagesPage {
        page: Page::new(Here::Messages, "Messages – minder".to_owned()).showing(&snapshot, &moment).of(caller),
        headline: headline(&snapshot),
        urgent,
        rest,
        notifiers,
        which: &which,
        moment: &moment,
        snapshot: &snapshot,
        no_history,
    }))
}

#[derive(Template)]
#[template(path = "message.html")]
struct MessagePage<'a> {
    page: Page,
    moment: &'a Moment,
    message: &'a MessageView,
    verdict: String,
    /// Another that tells this, and more.
    instead: Option<u64>,
}

impl MessagePage<'_> {
    fn step(&self, step: &crate::model::Step) -> String {
        step.words(&|at| self.moment.when(&at))
    }
}

async fn one(
    State(front): State<Arc<Front>>,
    caller: Caller,
    Path(number): Path<String>,
) -> Result<Response, ProblemPage> {
    let id = number.parse().map_err(|_| no_message(0))?;
    let message = front.look(move |history| history.message(MessageId(id))).await?.ok_or_else(|| no_message(id))?;
    let snapshot = front.snapshot().await?;
    let moment = Moment::of(snapshot.at, &caller);
    let instead = message.steps.last().and_then(|step| match step.why {
        crate::model::Why::Merged { into } => Some(into.0),
        _ => None,
    });
    Ok(render(&MessagePage {
        page: Page::new(Here::Messages, format!("Message {id} – minder")).showing(&snapshot, &moment).of(caller),
        verdict: message.verdict(&|at| moment.when(&at)),
        message: &message,
        moment: &moment,
        instead,
    }))
}
