//! What has changed lately, for those who follow along: pages by `/live`, programs by the API.

use super::api::Asked;
use super::door::streams::Stream;
use super::page::assets;
use super::who::Caller;
use super::{Front, Problem};
use crate::model::{Change, EventKind, Name};
use axum::extract::State;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// So many changes are kept for those who come back, and no more than these bytes of what they tell.
const KEPT: usize = 1000;
const KEPT_BYTES: usize = 1 << 20;
/// A page is told at most this often: what happens in between is told together.
const PACE: Duration = Duration::from_millis(250);
/// A page that hears nothing for a few of these knows that the connection is lost.
const BEAT: Duration = Duration::from_secs(15);
/// Of more services at a time than fit into this, a page is told to look at everything.
const NAMES_BYTES: usize = 700;

/// The latest changes in the order of their numbers, and a bell for those who wait for the next. Cheap to clone.
#[derive(Clone, Default)]
pub struct Changes(Arc<Shared>);

#[derive(Default)]
struct Shared {
    kept: Mutex<Kept>,
    /// The number of the latest.
    bell: watch::Sender<u64>,
}

#[derive(Default)]
struct Kept {
    changes: VecDeque<Arc<Change>>,
    bytes: usize,
    /// Some have been let go of.
    dropped: bool,
}

/// What somebody has to be told who knows all changes up to a number.
pub(super) struct News {
    /// The later ones that are still known.
    pub changes: Vec<Arc<Change>>,
    /// There were others, or the number is from another life of minder's: it is best to look at everything.
    pub missed: bool,
}

/// What a change takes, about: few are long, and those by one text.
fn weight(change: &Change) -> usize {
    let text = match &change.event.kind {
        EventKind::Snapshot { text } => text.len(),
        EventKind::Refused { report } => report.len(),
        EventKind::Acted { output, .. } => output.as_ref().map_or(0, |output| output.len()),
        _ => 0,
    };
    500 + change.words.len() + text
}

impl Changes {
    /// One more has happened. Its number is greater than that of all before it.
    pub fn push(&self, change: Change) {
        let number = change.number;
        let mut kept = self.kept();
        kept.bytes += weight(&change);
        kept.changes.push_back(Arc::new(change));
        while kept.changes.len() > KEPT || (kept.bytes > KEPT_BYTES && kept.changes.len() > 1) {
            let Some(oldest) = kept.changes.pop_front() else { break };
            kept.bytes = kept.bytes.saturating_sub(weight(&oldest));
            kept.dropped = true;
        }
        drop(kept);
        self.0.bell.send_replace(number);
    }

    /// So many follow along.
    pub fn followers(&self) -> usize {
        self.0.bell.receiver_count()
    }

    /// The latest change, if there has been one.
    pub(super) fn latest(&self) -> Option<Arc<Change>> {
        self.kept().changes.back().cloned()
    }

    /// Rings with each change; holds the number of the latest, 0 before there is one.
    pub(super) fn bell(&self) -> watch::Receiver<u64> {
        self.0.bell.subscribe()
    }

    /// What has happened after this number.
    pub(super) fn after(&self, number: u64) -> News {
        let kept = self.kept();
        let first = kept.changes.partition_point(|change| change.number <= number);
        let known = match kept.changes.front() {
            // Before the first change the bell says 0.
            Some(oldest) => oldest.number <= number.saturating_add(1) || (number == 0 && !kept.dropped),
            None => number == 0,
        };
        let latest = kept.changes.back().map_or(0, |change| change.number);
        News { changes: kept.changes.iter().skip(first).cloned().collect(), missed: !known || number > latest }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a page that comes back has left off.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Left {
    after: Option<u64>,
}

/// What a page is told: a few names, and it fetches what it shows of them. Never more than a kilobyte.
#[derive(Debug, PartialEq, Serialize)]
struct Told {
    /// The latest change that this tells of.
    number: u64,
    /// The services that changed.
    services: BTreeSet<Name>,
    /// It is best to look at everything.
    all: bool,
}

#[derive(Serialize)]
struct Hello {
    number: u64,
    /// A page whose script is of another version loads itself anew.
    version: String,
}

impl Told {
    fn of(news: &News, number: u64) -> Told {
        let number = news.changes.last().map_or(number, |change| change.number);
        let services: BTreeSet<Name> = news.changes.iter().filter_map(|change| change.event.service.clone()).collect();
        let bytes: usize = services.iter().map(|name| name.len() + 3).sum();
        let planned = news.changes.iter().any(|change| matches!(change.event.kind, EventKind::Planned { .. }));
        if news.missed || planned || bytes > NAMES_BYTES {
            return Told { number, services: BTreeSet::new(), all: true };
        }
        Told { number, services, all: false }
    }
}

fn event(name: &str, data: &impl Serialize) -> Event {
    Event::default().event(name).json_data(data).unwrap_or_default()
}

/// One page that follows along.
struct Follower {
    changes: Changes,
    bell: watch::Receiver<u64>,
    _stream: Stream,
    /// The latest change that it was told of.
    known: u64,
    /// What it is told first.
    hello: Option<Event>,
    /// It was told of a change a moment ago.
    rests: bool,
}

impl Follower {
    /// What it is told next; nothing when minder ends.
    async fn next(&mut self) -> Option<Event> {
        if let Some(hello) = self.hello.take() {
            return Some(hello);
        }
        if std::mem::take(&mut self.rests) {
            tokio::time::sleep(PACE).await;
        }
        loop {
            let latest = *self.bell.borrow_and_update();
            if latest != self.known {
                let told = Told::of(&self.changes.after(self.known), latest);
                (self.known, self.rests) = (told.number, true);
                return Some(event("change", &told));
            }
            match timeout(BEAT, self.bell.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return None,
                Err(_) => return Some(event("beat", &self.known)),
            }
        }
    }
}

/// A stream for one page. It says hello, then what has changed, and now and then that it is still there.
pub(super) async fn follow(State(front): State<Arc<Front>>, caller: Caller, Asked(left, _): Asked<Left>) -> Response {
    let Some(stream) = front.streams.enter(&caller.from) else {
        return Problem::too_many_streams().into_response();
    };
    let bell = front.changes.bell();
    let known = left.after.unwrap_or(*bell.borrow());
    let hello = Some(event("hello", &Hello { number: known, version: assets::version() }));
    let follower = Follower { changes: front.changes.clone(), bell, _stream: stream, known, hello, rests: false };
    let events = futures_util::stream::unfold(follower, |mut follower| async {
        follower.next().await.map(|event| (Ok::<_, Infallible>(event), follower))
    });
    Sse::new(events).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Wall;

    fn change(number: u64, service: &str, kind: EventKind) -> Change {
        let event =
            crate::model::Event { id: number, at: Wall(0), service: Some(service.into()), incident: None, kind };
        Change { number, words: event.kind.to_string(), event }
    }

    fn numbers(news: &News) -> Vec<u64> {
        news.changes.iter().map(|change| change.number).collect()
    }

    #[test]
    fn who_comes_back_is_told_what_he_missed_or_that_he_missed_too_much() {
        let changes = Changes::default();
        assert!(!changes.after(0).missed);
        assert!(changes.after(77).missed, "of another life");
        for number in 10..20 {
            changes.push(change(number, "web", EventKind::Ended));
        }
        let after = |number| {
            let news = changes.after(number);
            (numbers(&news), news.missed)
        };
        assert_eq!(after(17), (vec![18, 19], false));
        assert_eq!(after(19), (vec![], false));
        assert_eq!((after(9).1, after(0).1), (false, false));
        assert_eq!((after(8).1, after(20).1, after(u64::MAX).1), (true, true, true));
        assert_eq!(changes.latest().unwrap().number, 19);
    }

    #[test]
    fn what_is_kept_is_bounded_in_number_and_in_bytes() {
        let changes = Changes::default();
        for number in 1..=3000 {
            changes.push(change(number, "web", EventKind::Ended));
        }
        assert_eq!(changes.after(2000).changes.len(), KEPT);
        assert!(changes.after(1999).missed && changes.after(0).missed && !changes.after(2000).missed);
        let long = EventKind::Snapshot { text: "x".repeat(300_000) };
        for number in 3001..=3010 {
            changes.push(change(number, "web", long.clone()));
        }
        assert_eq!(numbers(&changes.after(0)), [3008, 3009, 3010]);
    }

    #[test]
    fn what_a_page_is_told_is_small() {
        let many = |count: u64| {
            let name = |i| format!("a-service-with-quite-a-long-name-{i}");
            let changes = (1..=count).map(|i| Arc::new(change(i, &name(i % 500), EventKind::Ended))).collect();
            Told::of(&News { changes, missed: false }, 0)
        };
        assert_eq!((many(3).services.len(), many(3).all, many(3).number), (3, false, 3));
        assert!(many(400).all && many(400).services.is_empty());
        for count in 0..400 {
            assert!(serde_json::to_string(&many(count)).unwrap().len() < 1000);
        }
        let planned = change(5, "web", EventKind::Planned { services: 3 });
        assert!(Told::of(&News { changes: vec![Arc::new(planned)], missed: false }, 0).all);
    }
}
