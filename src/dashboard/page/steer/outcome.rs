//! What was begun by the page, and what came of it: kept in memory, so that its page shows the truth, and nothing is done twice.
//!
//! A form is given a number when it is shown. What it begins has the same number: a form that comes twice finds what the first one
//! has begun. Numbers grow from the time at which minder started, so that no form of an earlier run has one of this run's.

use super::super::words::{Here, Moment, Page, filters};
use super::deed::{Deed, perform};
use crate::dashboard::problem::{ProblemPage, render};
use crate::dashboard::who::Caller;
use crate::dashboard::{Front, Problem};
use crate::model::{Answer, Role, Snapshot, Wall, show_age};
use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// So many are kept.
const KEPT: usize = 200;
/// What is done as soon as this is shown as done at once.
const AT_ONCE: Duration = Duration::from_millis(700);

/// Something that somebody has begun.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    pub number: u64,
    /// What: `Restart web`.
    pub title: String,
    /// Who.
    pub who: Arc<str>,
    pub begun: Wall,
    /// When it ended, and what came of it.
    pub end: Option<(Wall, Answer)>,
    /// Where to go on: an address, and its words.
    pub back: (String, String),
    pub here: Here,
}

/// All of them. See the head of this file.
pub(in crate::dashboard) struct Outcomes {
    kept: Mutex<Kept>,
    ended: Notify,
}

struct Kept {
    /// Those that are known, by number.
    all: BTreeMap<u64, Outcome>,
    /// The number of the next form.
    next: u64,
    /// What has this number or a smaller one, and is not known, may have been forgotten.
    forgotten: u64,
}

/// What becomes of a form that has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// It begins something.
    Now,
    /// It has come before.
    Again,
    /// It is too old, or another's: nobody can say whether it has come before.
    Stale,
    /// Too much is under way.
    Busy,
}

impl Outcomes {
    pub fn new(started: Wall) -> Outcomes {
        let first = u64::try_from(started.0).unwrap_or_default() + 1;
        let kept = Kept { all: BTreeMap::new(), next: first, forgotten: first - 1 };
        Outcomes { kept: Mutex::new(kept), ended: Notify::new() }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number for a form.
    pub(super) fn number(&self) -> u64 {
        let mut kept = self.kept();
        kept.next += 1;
        kept.next - 1
    }

    /// Takes note that this begins, unless it has begun before.
    pub(super) fn begin(&self, outcome: Outcome) -> Begin {
        let mut kept = self.kept();
        match kept.all.get(&outcome.number) {
            Some(known) if known.who == outcome.who => return Begin::Again,
            Some(_) => return Begin::Stale,
            None if outcome.number <= kept.forgotten || outcome.number >= kept.next => return Begin::Stale,
            None => {}
        }
        if kept.all.len() >= KEPT {
            let Some(oldest) = kept.all.values().find(|known| known.end.is_some()).map(|known| known.number) else {
                return Begin::Busy;
            };
            kept.all.remove(&oldest);
            kept.forgotten = kept.forgotten.max(oldest);
        }
        kept.all.insert(outcome.number, outcome);
        Begin::Now
    }

    fn end(&self, number: u64, at: Wall, answer: Answer) {
        if let Some(outcome) = self.kept().all.get_mut(&number) {
            outcome.end = Some((at, answer));
        }
        self.ended.notify_waiters();
    }

    /// Whether this one has begun something by the form of this number.
    pub(super) fn is_of(&self, number: u64, who: &str) -> bool {
        self.get(number).is_some_and(|outcome| *outcome.who == *who)
    }

    fn get(&self, number: u64) -> Option<Outcome> {
        self.kept().all.get(&number).cloned()
    }

    /// It, as soon as it has ended, or after `within`.
    async fn settled(&self, number: u64, within: Duration) -> Option<Outcome> {
        let ends = async {
            loop {
                let woken = self.ended.notified();
                match self.get(number) {
                    Some(outcome) if outcome.end.is_none() => woken.await,
                    found => return found,
                }
            }
        };
        tokio::time::timeout(within, ends).await.unwrap_or_else(|_| self.get(number))
    }
}

/// Does it, whether anybody waits for it or not.
pub(super) fn go_on(front: &Arc<Front>, caller: Caller, number: u64, deed: Deed) {
    let front = Arc::clone(front);
    tokio::spawn(async move {
        let answer = perform(&front, &caller, deed).await;
        let answer = answer.unwrap_or_else(|problem| Answer { ok: false, words: problem.detail });
        front.outcomes.end(number, front.clock.now().wall, answer);
    });
}

#[derive(Template)]
#[template(path = "outcome.html")]
struct OutcomePage<'a> {
    page: Page,
    moment: &'a Moment,
    outcome: &'a Outcome,
    /// The first line of what came of it, and the others.
    words: Option<(&'a str, &'a str)>,
    took: String,
}

/// What came of it, for the one who began it, and for those who may see everything.
pub(super) async fn show(
    State(front): State<Arc<Front>>,
    Path(number): Path<String>,
    caller: Caller,
) -> Result<Response, ProblemPage> {
    let found = match number.parse() {
        Ok(number) => front.outcomes.settled(number, AT_ONCE).await,
        Err(_) => None,
    };
    let may = |outcome: &Outcome| outcome.who == caller.name || caller.may(Role::Admin);
    let Some(outcome) = found.filter(may) else {
        let detail = "minder keeps the latest outcomes only, and those of this run. What happened stands on the page of \
                      the service.";
        return Err(Problem::new(StatusCode::NOT_FOUND, "No such outcome", detail).into());
    };
    let snapshot: Arc<Snapshot> = front.snapshot().await?;
    let moment = Moment::of(snapshot.at.max(outcome.begun), &caller);
    let state = match &outcome.end {
        None => "under way",
        Some((_, answer)) if answer.ok => "done",
        Some(_) => "not done",
    };
    let words = outcome.end.as_ref().map(|(_, answer)| {
        let words = answer.words.trim_end();
        words.split_once('\n').unwrap_or((words, ""))
    });
    Ok(render(&OutcomePage {
        page: Page::new(outcome.here, format!("{}: {state} – minder", outcome.title))
            .showing(&snapshot, &moment)
            .of(caller),
        took: outcome.end.as_ref().map_or_else(String::new, |(at, _)| show_age(*at - outcome.begun)),
        outcome: &outcome,
        moment: &moment,
        words,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(number: u64, who: &str) -> Outcome {
        let back = ("/".to_owned(), String::new());
        let here = Here::Services;
        Outcome { number, title: "Restart web".to_owned(), who: who.into(), begun: Wall(0), end: None, back, here }
    }

    fn good() -> Answer {
        Answer { ok: true, words: "up".to_owned() }
    }

    #[test]
    fn a_form_begins_one_thing() {
        let outcomes = Outcomes::new(Wall(1000));
        let (first, second) = (outcomes.number(), outcomes.number());
        assert_eq!(outcomes.begin(outcome(first, "alice")), Begin::Now);
        assert_eq!(outcomes.begin(outcome(first, "alice")), Begin::Again);
        outcomes.end(first, Wall(5), good());
        assert_eq!(outcomes.begin(outcome(first, "alice")), Begin::Again);
        assert_eq!(outcomes.begin(outcome(first, "bob")), Begin::Stale, "another's");
        assert_eq!(outcomes.begin(outcome(second, "bob")), Begin::Now);
        assert_eq!(outcomes.begin(outcome(second + 1, "bob")), Begin::Stale, "never shown");
        assert_eq!(outcomes.begin(outcome(1000, "bob")), Begin::Stale, "of an earlier run");
    }

    #[test]
    fn what_is_forgotten_is_not_done_again() {
        let outcomes = Outcomes::new(Wall(0));
        let numbers: Vec<u64> = (0..=KEPT).map(|_| outcomes.number()).collect();
        for number in &numbers[..KEPT] {
            assert_eq!(outcomes.begin(outcome(*number, "a")), Begin::Now);
        }
        assert_eq!(outcomes.begin(outcome(numbers[KEPT], "a")), Begin::Busy);
        outcomes.end(numbers[3], Wall(0), good());
        assert_eq!(outcomes.begin(outcome(numbers[KEPT], "a")), Begin::Now);
        assert_eq!(outcomes.begin(outcome(numbers[3], "a")), Begin::Stale);
        assert_eq!(outcomes.begin(outcome(numbers[0], "a")), Begin::Again);
        assert_eq!(outcomes.kept().all.len(), KEPT);
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_is_waited_for_a_little() {
        let outcomes = Arc::new(Outcomes::new(Wall(0)));
        let number = outcomes.number();
        outcomes.begin(outcome(number, "a"));
        assert!(outcomes.settled(number, AT_ONCE).await.unwrap().end.is_none());
        let its = Arc::clone(&outcomes);
        tokio::spawn(async move { its.end(number, Wall(9), good()) });
        assert_eq!(outcomes.settled(number, Duration::from_secs(3600)).await.unwrap().end, Some((Wall(9), good())));
        assert!(outcomes.settled(77, AT_ONCE).await.is_none());
    }
}
