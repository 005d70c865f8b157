//! What the overview shows of one snapshot, rendered once for all who look.

use super::head::{self, Deeds};
use super::row;
use super::wanted::Choices;
use crate::dashboard::page::strip;
use crate::dashboard::page::words::Moment;
use crate::dashboard::who::Caller;
use crate::dashboard::{Front, Problem};
use crate::model::{Mono, Role, Snapshot};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Pages that are open are served from the same snapshot for so long, unless something has happened since.
const SHARED: Duration = Duration::from_secs(1);
/// Time zones in which it is kept at the same time.
const ZONES: usize = 8;

/// The latest boards: one for each zone of those who look.
#[derive(Default)]
pub(in crate::dashboard) struct Boards {
    made: Mono,
    snapshot: Option<Arc<Snapshot>>,
    boards: Vec<(String, Arc<Board>)>,
    /// What was done, as of this change: it is looked up anew when something has happened.
    deeds: Option<(u64, Vec<u64>, Arc<Deeds>)>,
}

/// A snapshot as the overview shows it, in a time zone.
pub(super) struct Board {
    pub snapshot: Arc<Snapshot>,
    pub moment: Moment,
    pub choices: Choices,
    /// Another one where other services are, or other choices: a page that has the old one fetches all of it anew.
    pub plan: String,
    pub deeds: Arc<Deeds>,
    places: HashMap<crate::model::Name, usize>,
    /// For those who steer, and for those who do not.
    heads: [OnceLock<Arc<str>>; 2],
    rows: Vec<OnceLock<Arc<str>>>,
    briefs: Vec<OnceLock<Arc<str>>>,
}

/// The board for this one. `new`: of how things stand now; else of how they stood at most a second ago, and after all changes
/// that pages have been told of.
pub(super) async fn get(front: &Front, caller: &Caller, new: bool) -> Result<Arc<Board>, Problem> {
    // Held while the loop is asked and the history read, so that of many who look at the same time one does.
    let mut boards = front.boards.lock().await;
    let now = front.clock.now().mono;
    let latest = front.changes.latest();
    let changed = latest.as_ref().map(|change| change.event.at);
    let shared = boards
        .snapshot
        .clone()
        .filter(|shared| !new && now - boards.made < SHARED && changed.is_none_or(|changed| changed <= shared.at));
    let snapshot = match shared {
        Some(snapshot) => snapshot,
        None => {
            let snapshot = front.snapshot().await?;
            boards.made = now;
            if !boards.snapshot.as_ref().is_some_and(|known| Arc::ptr_eq(known, &snapshot)) {
                boards.boards.clear();
                boards.snapshot = Some(snapshot.clone());
            }
            snapshot
        }
    };
    let zone = caller.reader.zone_name();
    if let Some((_, board)) = boards.boards.iter().find(|(of, _)| of == zone) {
        return Ok(board.clone());
    }
    let incidents = head::incidents(&snapshot);
    let number = latest.map_or(0, |change| change.number);
    let deeds = match &boards.deeds {
        Some((of, about, deeds)) if *of == number && *about == incidents && deeds.is_ok() => deeds.clone(),
        _ => {
            let wanted = incidents.clone();
            let looked = front.look(move |history| {
                wanted.into_iter().map(|id| Ok((id, head::deeds(history, id)?))).collect::<Result<HashMap<_, _>, _>>()
            });
            let deeds = Arc::new(looked.await.map_err(|problem| problem.detail));
            boards.deeds = Some((number, incidents, deeds.clone()));
            deeds
        }
    };
    let board = Arc::new(Board::new(snapshot.clone(), Moment::of(snapshot.at, caller), deeds));
    if boards.boards.len() >= ZONES {
        boards.boards.remove(0);
    }
    boards.boards.push((zone.to_owned(), board.clone()));
    Ok(board)
}

impl Board {
    fn new(snapshot: Arc<Snapshot>, moment: Moment, deeds: Arc<Deeds>) -> Board {
        let count = snapshot.services.len();
        let mut plan = DefaultHasher::new();
        for service in &snapshot.services {
            (&service.name, &service.group, &service.tags).hash(&mut plan);
        }
        let places = snapshot.services.iter().enumerate().map(|(place, s)| (s.name.clone(), place)).collect();
        Board {
            choices: Choices::of(&snapshot),
            plan: format!("{:016x}", plan.finish()),
            deeds,
            places,
            heads: Default::default(),
            rows: std::iter::repeat_with(OnceLock::new).take(count).collect(),
            briefs: std::iter::repeat_with(OnceLock::new).take(count).collect(),
            snapshot,
            moment,
        }
    }

    /// Where a service is among those of the snapshot.
    pub fn place(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }

    /// What stands above the services.
    pub fn head(&self, caller: &Caller) -> Arc<str> {
        let steers = caller.may(Role::Operator);
        let head = || self.text(head::render(&self.snapshot, &self.moment, &self.deeds, steers));
        self.heads[usize::from(steers)].get_or_init(head).clone()
    }

    /// A service in brief.
    pub fn brief(&self, place: usize) -> Arc<str> {
        let brief = || self.text(row::brief(&self.snapshot.services[place], place));
        self.briefs[place].get_or_init(brief).clone()
    }

    /// These services in full. Without their history, if that cannot be read: then why.
    pub async fn rows(&self, front: &Front, places: &[usize]) -> (Vec<Arc<str>>, Option<String>) {
        let services = &self.snapshot.services;
        let missing = places.iter().filter(|place| self.rows[**place].get().is_none());
        let wanted: Vec<strip::Of> = missing.flat_map(|place| row::drawn(&services[*place])).collect();
        let strips = strip::hours(front, self.snapshot.at, wanted).await;
        let why = strips.as_ref().err().map(|problem| problem.detail.clone());
        let strips = strips.unwrap_or_default();
        let row = |place: &usize| {
            let row = || self.text(row::full(&services[*place], *place, &strips, &self.moment));
            // One without its history is not kept: the next to look may have more luck.
            if why.is_some() { row() } else { self.rows[*place].get_or_init(row).clone() }
        };
        (places.iter().map(row).collect(), why)
    }

    /// A template fails for want of memory alone; the page then lacks this part.
    fn text(&self, rendered: askama::Result<String>) -> Arc<str> {
        rendered.unwrap_or_default().into()
    }
}
