//! Events as they happen, as server-sent events that go on where an earlier stream has ended.
//!
//! The number of an event is one more than that of the event before. The latest are in memory as soon as they have happened; those
//! before are in the store, where they come a little later. So whoever follows along is told from memory what comes next; where
//! that does not begin with the next number, the store is asked for what is between, and again if it is still on its way. What
//! never comes is said to be missing.

use super::bad;
use super::events::{EventView, Which};
use crate::dashboard::door::streams::Stream;
use crate::dashboard::who::Caller;
use crate::dashboard::{EventFilter, Front, Problem};
use crate::model::Event;
use axum::http::HeaderMap;
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// So many events are read from the store at a time.
const PAGE: usize = 200;
/// How often is looked whether an event has reached the store, and how many times.
const AGAIN: Duration = Duration::from_millis(50);
const TIMES: u32 = 40;
/// A comment comes so often, by which both ends see that the other is there.
const BEAT: Duration = Duration::from_secs(15);

/// The stream for one that wants these events.
pub(super) async fn follow(
    front: Arc<Front>,
    caller: &Caller,
    headers: &HeaderMap,
    which: Which,
) -> Result<Response, Problem> {
    for (key, is_there) in
        [("from", which.from.is_some()), ("before", which.before.is_some()), ("limit", which.limit.is_some())]
    {
        if is_there {
            return Err(bad(format!("{key}: a stream goes on from `after`, or from now, without an end")));
        }
    }
    // A browser that connects again asks the same address, with the number that it has come to.
    let resumed = match headers.get("last-event-id").filter(|id| !id.is_empty()) {
        None => which.after,
        Some(id) => {
            let id = id.to_str().ok().and_then(|id| id.parse().ok());
            Some(id.ok_or_else(|| bad("Last-Event-ID: it is the number of an event"))?)
        }
    };
    let stream = front.streams.enter(&caller.from).ok_or_else(Problem::too_many_streams)?;
    let bell = front.changes.bell();
    let follower = Follower { front, bell, which, last: resumed, is_greeted: false, tries: 0, _stream: stream };
    let told = futures_util::stream::unfold(follower, |mut follower| async move {
        follower.more().await.map(|told| (told, follower))
    });
    let told = told.flat_map(|told| futures_util::stream::iter(told.into_iter().map(Ok::<_, Infallible>)));
    Ok(Sse::new(told).keep_alive(KeepAlive::new().interval(BEAT)).into_response())
}

/// One who follows along.
struct Follower {
    front: Arc<Front>,
    /// Rings when something has happened.
    bell: watch::Receiver<u64>,
    which: Which,
    /// Every event up to this one is told, or said to be missing; nothing if it is not known which was the last.
    last: Option<u64>,
    is_greeted: bool,
    /// How often the store was asked in vain for what is next.
    tries: u32,
    _stream: Stream,
}

impl Follower {
    /// What is to be told next; nothing when minder ends. It may be told nothing, of what it does not want.
    async fn more(&mut self) -> Option<Vec<sse::Event>> {
        if !self.is_greeted {
            self.is_greeted = true;
            return Some(self.greet().await);
        }
        loop {
            // What happens from here on rings again.
            self.bell.borrow_and_update();
            let changes = self.front.changes.after(self.last.unwrap_or(0)).changes;
            let first = changes.first().map(|change| change.number);
            let is_next = first.is_some_and(|first| self.last.is_none_or(|last| first == last.saturating_add(1)));
            if !is_next {
                let between = self.read(first).await;
                if !between.is_empty() {
                    return Some(self.tell(between));
                }
                if first.is_none() {
                    self.bell.changed().await.ok()?;
                    continue;
                }
                if self.tries < TIMES {
                    self.tries += 1;
                    tokio::time::sleep(AGAIN).await;
                    continue;
                }
            }
            return Some(self.tell(changes.iter().map(|change| change.event.clone())));
        }
    }

    /// The first words: where the stream begins, for one that connects again before anything has happened.
    async fn greet(&mut self) -> Vec<sse::Event> {
        let newest = EventFilter { limit: 1, ..EventFilter::default() };
        // Without a history, what happens is told all the same.
        let stored = self.front.look(move |history| history.events(&newest)).await.ok();
        let stored = stored.map(|events| events.first().map_or(0, |event| event.id));
        let newest = self.front.changes.latest().map(|change| change.number).max(stored);
        let mut told = Vec::new();
        if let Some((last, newest)) = self.last.zip(newest).filter(|(last, newest)| last > newest) {
            // It is of another store: nobody can say what has been missed.
            told.push(missed(last, newest.saturating_add(1)));
            self.last = Some(newest);
        }
        self.last = self.last.or(newest);
        let start = sse::Event::default().retry(Duration::from_secs(2));
        told.push(self.last.map_or(start.clone(), |last| start.id(last.to_string())));
        told
    }

    /// The oldest events in the store after the last that was told, and before this one.
    async fn read(&self, before: Option<u64>) -> Vec<Event> {
        let Some(last) = self.last else { return Vec::new() };
        let filter = EventFilter { after: Some(last), before, limit: PAGE, ..EventFilter::default() };
        // What cannot be read is missing.
        self.front.look(move |history| history.events(&filter)).await.unwrap_or_default()
    }

    /// These as they are sent, in order, with what is missing between them.
    fn tell(&mut self, events: impl IntoIterator<Item = Event>) -> Vec<sse::Event> {
        self.tries = 0;
        let mut told = Vec::new();
        for event in events {
            if let Some(last) = self.last.filter(|last| event.id > last.saturating_add(1)) {
                told.push(missed(last, event.id));
            }
            self.last = Some(event.id);
            if self.which.is_wanted(&event) {
                let id = sse::Event::default().id(event.id.to_string());
                told.extend(id.json_data(EventView::from(event)));
            }
        }
        told
    }
}

fn missed(after: u64, before: u64) -> sse::Event {
    let gap = format!("{{\"after\":{after},\"before\":{before}}}");
    sse::Event::default().event("missed").id(before.saturating_sub(1).to_string()).data(gap)
}
