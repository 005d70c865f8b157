//! Events as they happen, as server-sent events that go on where an earlier stream has ended.
//!
//! An event is announced before it is in the store, and its number is one more than that of the event before. So a stream first
//! listens, then reads from the store what comes after the last event that was told, and tells what is announced. Where a number
//! is left out, the events between are on their way into the store and are waited for; it is the same for one that is too slow
//! to hear every announcement. What never comes is said to be missing.

use super::bad;
use super::events::{EventView, Which};
use crate::dashboard::{EventFilter, Front, Problem};
use crate::model::{Change, Event};
use axum::http::HeaderMap;
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

/// So many events are read from the store at a time.
const PAGE: usize = 200;
/// How often is looked whether an event has reached the store, and how many times.
const AGAIN: Duration = Duration::from_millis(50);
const TIMES: u32 = 40;
/// After such a silence at the beginning, what was announced before the stream listened is in the store.
const SETTLED: Duration = Duration::from_secs(1);
/// A comment comes so often, by which both ends see that the other is there.
const BEAT: Duration = Duration::from_secs(15);

/// The stream for one that wants these events.
pub(super) async fn follow(front: Arc<Front>, headers: &HeaderMap, which: Which) -> Result<Response, Problem> {
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
    let permit = front.streams.clone().try_acquire_owned().map_err(|_| Problem::too_many_streams())?;
    let changes = front.changes.subscribe();
    // Without a history, what is announced is told all the same.
    let newest = newest(&front).await;
    let follower = Follower {
        front,
        changes,
        which,
        last: resumed.or(newest),
        newest,
        greeted: false,
        settled: false,
        behind: true,
        ahead: None,
        tries: 0,
        _permit: permit,
    };
    let told =
        stream::unfold(follower, |mut follower| async move { follower.more().await.map(|told| (told, follower)) });
    let told = told.flat_map(|told| stream::iter(told.into_iter().map(Ok::<_, Infallible>)));
    Ok(Sse::new(told).keep_alive(KeepAlive::new().interval(BEAT)).into_response())
}

async fn newest(front: &Front) -> Option<u64> {
    let newest = EventFilter { limit: 1, ..EventFilter::default() };
    let found = front.look(move |history| history.events(&newest)).await.ok()?;
    Some(found.first().map_or(0, |event| event.id))
}

/// One who follows along.
struct Follower {
    front: Arc<Front>,
    changes: Receiver<Arc<Change>>,
    which: Which,
    /// Every event up to this one is told, or said to be missing; nothing if it is not known which was the last.
    last: Option<u64>,
    /// The last one in the store when the stream began.
    newest: Option<u64>,
    greeted: bool,
    settled: bool,
    /// The store is to be read.
    behind: bool,
    /// Announced, and not the next one.
    ahead: Option<Arc<Change>>,
    /// How often the store was looked at in vain for what comes before it.
    tries: u32,
    _permit: OwnedSemaphorePermit,
}

impl Follower {
    /// What is to be told next; nothing when minder ends. It may be told nothing, of what it does not want.
    async fn more(&mut self) -> Option<Vec<sse::Event>> {
        if !self.greeted {
            self.greeted = true;
            return Some(self.greet().await);
        }
        loop {
            if let Some(ahead) = self.ahead.take() {
                let events = self.read(Some(ahead.number)).await;
                let is_next = self.last.is_none_or(|last| ahead.number <= last.saturating_add(1));
                if !is_next && events.is_empty() && self.tries < TIMES {
                    self.tries += 1;
                    self.ahead = Some(ahead);
                    tokio::time::sleep(AGAIN).await;
                    continue;
                }
                let mut told = self.tell(events);
                if self.last.is_some_and(|last| ahead.number > last.saturating_add(1)) && self.tries < TIMES {
                    self.ahead = Some(ahead);
                } else {
                    self.tries = 0;
                    told.extend(self.tell([ahead.event.clone()]));
                }
                return Some(told);
            }
            if self.behind {
                let events = self.read(None).await;
                self.behind = events.len() == PAGE;
                if !events.is_empty() {
                    return Some(self.tell(events));
                }
            }
            // Only once: from then on every event is announced.
            let wait = if self.settled { Duration::MAX } else { SETTLED };
            match tokio::time::timeout(wait, self.changes.recv()).await {
                Err(_) => (self.settled, self.behind) = (true, true),
                Ok(Err(RecvError::Lagged(_))) => self.behind = true,
                Ok(Err(RecvError::Closed)) => return None,
                Ok(Ok(change)) => match self.last {
                    Some(last) if change.number <= last => {}
                    Some(last) if change.number > last + 1 => self.ahead = Some(change),
                    _ => return Some(self.tell([change.event.clone()])),
                },
            }
        }
    }

    /// The first words: where the stream begins, for one that connects again before anything has happened.
    async fn greet(&mut self) -> Vec<sse::Event> {
        let mut told = Vec::new();
        if let (Some(last), Some(mut newest)) = (self.last, self.newest) {
            // What it was told by another stream may still be on its way.
            for _ in 0..TIMES {
                if newest >= last {
                    break;
                }
                tokio::time::sleep(AGAIN).await;
                newest = self::newest(&self.front).await.unwrap_or(newest);
            }
            if newest < last {
                // Its number is of another store: nobody can say what it has missed.
                told.push(missed(last, newest.saturating_add(1)));
                self.last = Some(newest);
            }
        }
        let start = sse::Event::default().retry(Duration::from_secs(2));
        told.push(self.last.map_or_else(sse::Event::default, |last| start.id(last.to_string())));
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
        let mut told = Vec::new();
        for event in events {
            match self.last {
                Some(last) if event.id <= last => continue,
                Some(last) if event.id > last + 1 => told.push(missed(last, event.id)),
                _ => {}
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
    sse::Event::default().event("missed").id((before - 1).to_string()).data(gap)
}
