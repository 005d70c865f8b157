//! The first page: how things stand, what is wrong, all services; and the parts of it that an open page fetches anew.
//!
//! Who looks at a thousand services sees all of them, the first in full and the others in brief; a page with a script fetches in
//! full what comes into view. What is rendered is shared by all who look ([`board`]).

mod board;
mod head;
mod row;
mod wanted;

pub(in crate::dashboard) use board::Boards;

use super::words::{Here, Page, filters};
use crate::dashboard::Front;
use crate::dashboard::problem::{ProblemPage, render};
use crate::dashboard::who::Caller;
use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use board::Board;
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::Arc;
use wanted::{Choices, Wanted};

/// Services that are shown in full at once; the others in brief.
const IN_FULL: usize = 30;
/// Services that are fetched at the same time.
const FETCHED: usize = 100;

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview<'a> {
    page: Page,
    board: &'a Board,
    /// Rendered.
    head: Arc<str>,
    wanted: &'a Wanted,
    choices: &'a Choices,
    shown: usize,
    /// Why the history is missing, where the head does not say so.
    no_history: Option<String>,
    groups: Vec<Group<'a>>,
}

/// Services that belong together, rendered.
struct Group<'a> {
    name: Option<&'a str>,
    rows: Vec<Arc<str>>,
}

/// What an open page has asked for.
#[derive(Template)]
#[template(path = "fragment.html")]
struct Fragment<'a> {
    page: Page,
    board: &'a Board,
    head: Arc<str>,
    shown: usize,
    rows: Vec<Arc<str>>,
}

/// The places of the services that are wanted, group by group, in the order in which they are shown.
fn places<'a>(board: &'a Board, wanted: &Wanted) -> Vec<(Option<&'a str>, Vec<usize>)> {
    let services = &board.snapshot.services;
    let mut groups: Vec<(Option<&str>, Vec<usize>)> = Vec::new();
    let mut order: HashMap<Option<&str>, usize> = HashMap::new();
    // The groups stand in the order of the plan; those without a group come last.
    let named = services.iter().filter_map(|s| s.group.as_deref()).map(Some);
    for name in named.chain([None]) {
        order.entry(name).or_insert_with(|| {
            groups.push((name, Vec::new()));
            groups.len() - 1
        });
    }
    let is_wanted = wanted.test();
    for (place, service) in services.iter().enumerate().filter(|(_, service)| is_wanted(service)) {
        if let Some((_, places)) = order.get(&service.group.as_deref()).and_then(|i| groups.get_mut(*i)) {
            places.push(place);
        }
    }
    for (_, places) in &mut groups {
        places.sort_by_key(|place| std::cmp::Reverse(services[*place].status.rank()));
    }
    groups.retain(|(_, places)| !places.is_empty());
    groups
}

fn page(board: &Board, caller: Caller) -> Page {
    Page::new(Here::Services, head::title(&board.snapshot)).showing(&board.snapshot, &board.moment).of(caller)
}

/// What cannot be read as a search asks for nothing.
type Asked<T> = Result<Query<T>, QueryRejection>;

pub(super) async fn show(
    State(front): State<Arc<Front>>,
    wanted: Asked<Wanted>,
    caller: Caller,
) -> Result<Response, ProblemPage> {
    let wanted = wanted.map(|Query(wanted)| wanted).unwrap_or_default();
    let board = board::get(&front, &caller, true).await?;
    let places = places(&board, &wanted);
    let shown = places.iter().map(|(_, places)| places.len()).sum();
    let in_full: Vec<usize> = places.iter().flat_map(|(_, places)| places).take(IN_FULL).copied().collect();
    let (full, no_history) = board.rows(&front, &in_full).await;
    let mut full = full.into_iter();
    let mut row = |place: usize| full.next().unwrap_or_else(|| board.brief(place));
    let groups = places
        .into_iter()
        .map(|(name, places)| Group { name, rows: places.into_iter().map(&mut row).collect() })
        .collect();
    Ok(render(&Overview {
        head: board.head(&caller),
        page: page(&board, caller),
        board: &board,
        wanted: &wanted,
        choices: &board.choices,
        shown,
        no_history: no_history.filter(|_| board.deeds.is_ok()),
        groups,
    }))
}

/// Which services an open page wants to have anew; of these only those that its search finds.
#[derive(Debug, Default, Deserialize)]
pub(in crate::dashboard) struct Named {
    #[serde(default)]
    names: String,
    #[serde(flatten)]
    wanted: Wanted,
}

/// The head, and these services in full.
pub(super) async fn fragment(
    State(front): State<Arc<Front>>,
    asked: Asked<Named>,
    caller: Caller,
) -> Result<Response, ProblemPage> {
    let Named { names, wanted } = asked.map(|Query(asked)| asked).unwrap_or_default();
    let board = board::get(&front, &caller, false).await?;
    let services = &board.snapshot.services;
    let is_wanted = wanted.test();
    let shown = services.iter().filter(|service| is_wanted(service)).count();
    let asked = names.split(',').filter_map(|name| board.place(name)).filter(|place| is_wanted(&services[*place]));
    let places: Vec<usize> = asked.take(FETCHED).collect();
    let (rows, _) = board.rows(&front, &places).await;
    Ok(render(&Fragment { head: board.head(&caller), page: page(&board, caller), board: &board, shown, rows }))
}
