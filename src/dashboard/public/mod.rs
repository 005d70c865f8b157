//! The page for the public: how the services that are marked `public` stand and stood, under their public names.
//!
//! Everything is made of a [`board::Board`], which holds nothing internal. It is made at most once in [`FRESH`] and shared, with
//! all that was made of it, by everybody who looks: the public cannot load the daemon, however many they are.

mod badge;
mod board;
mod course;
mod feed;
mod page;
mod past;
mod program;
#[cfg(test)]
mod tests;
mod uptime;

use super::api::Operation;
use super::{Front, Problem, Routes, to_the_end};
use crate::dashboard::door::guard;
use crate::dashboard::page::assets;
use crate::model::{Mono, Plan, Wall};
use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, RawQuery, State};
use axum::http::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, VARY,
};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use board::{Board, PAGES};
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::tz::TimeZone;
use serde::Deserialize;
use std::io::Write;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tower_http::compression::CompressionLayer;
use tower_http::timeout::TimeoutLayer;

/// How long what was made is good for.
const FRESH: Duration = Duration::from_secs(5);
/// How long others may keep it.
const KEEP: &str = "public, max-age=30";
/// Scripts of other sites may read it: it is the same for everybody, and asked without cookies.
const EVERYWHERE: [(HeaderName, &str); 1] = [(ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
/// A picture neither loads nor runs anything, also if it is looked at by itself.
const PICTURE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'";

/// On the page.
pub(super) fn routes() -> Routes {
    Routes::default()
        .get(None, "/status", inside)
        .get(None, "/status.json", program)
        .about(
            Operation::new("How the public services stand, as their page shows it")
                .more("404 where there is no such page. Its own listener has it as well.")
                .answers::<program::StatusView<'_>>(),
        )
        .get(None, "/status/feed.atom", feed)
        .get(None, "/status/logo", logo)
        .get(None, "/status/badges/{what}", overall_badge)
        .get(None, "/status/badges/{name}/{what}", badge)
}

/// The router for the listener of its own, at any address: it has nothing else, and nobody signs in. Any `Host` will do: what
/// everybody may read gains nothing by a name that somebody's DNS points here, and nothing is changed.
pub fn status_page(front: Arc<Front>) -> Router {
    Router::new()
        .route("/", get(alone))
        .route("/status.json", get(program))
        .route("/feed.atom", get(feed))
        .route("/logo", get(logo))
        .route("/badges/{what}", get(overall_badge))
        .route("/badges/{name}/{what}", get(badge))
        .route("/assets/style.css", get(style))
        .fallback(|| async { nothing_here() })
        .layer(CompressionLayer::new())
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, super::DEADLINE))
        .layer(from_fn(guard::headers))
        .with_state(front)
}

/// What was made last, and what of the past stays as it is.
#[derive(Default)]
pub(super) struct Cache {
    shown: Option<Arc<Shown>>,
    facts: past::Facts,
    made: u64,
}

impl Cache {
    /// How often it was made anew.
    pub fn made(&self) -> u64 {
        self.made
    }
}

/// A board, and what is made of it when it is first asked for.
struct Shown {
    made: Mono,
    plan: Arc<Plan>,
    board: Board,
    /// By where it is, and which page of incidents it is.
    pages: [[OnceLock<Packed>; PAGES]; 2],
    program: OnceLock<Packed>,
    feed: OnceLock<Packed>,
}

/// A text, packed once for all who take it so.
struct Packed {
    plain: Bytes,
    gzip: Bytes,
}

impl Packed {
    fn new(text: String) -> Packed {
        let mut packer = GzEncoder::new(Vec::new(), Compression::default());
        // Writing to memory does not fail.
        let gzip = packer.write_all(text.as_bytes()).and_then(|()| packer.finish()).unwrap_or_default();
        Packed { plain: text.into(), gzip: gzip.into() }
    }

    fn answer(&self, kind: &'static str, asked: &HeaderMap) -> Response {
        let headers = [(CONTENT_TYPE, kind), (CACHE_CONTROL, KEEP), (VARY, "accept-encoding")];
        let takes = |value: &str| value.split(',').any(|one| matches!(one.trim(), "gzip" | "gzip;q=1.0"));
        let takes_gzip = asked.get_all(ACCEPT_ENCODING).iter().any(|value| value.to_str().is_ok_and(takes));
        match takes_gzip && !self.gzip.is_empty() {
            true => (headers, [(CONTENT_ENCODING, "gzip")], self.gzip.clone()).into_response(),
            false => (headers, self.plain.clone()).into_response(),
        }
    }
}

impl Front {
    /// What the public sees; nothing where there is no page for them.
    async fn shown(self: &Arc<Front>) -> Result<Option<Arc<Shown>>, Problem> {
        // Held while it is made, so that of many who look at the same time one asks.
        let mut cache = Arc::clone(&self.public).lock_owned().await;
        let (plan, now) = (self.plan(), self.clock.now());
        if plan.dashboard.status.is_none() {
            cache.shown = None;
            return Ok(None);
        }
        if let Some(shown) = &cache.shown
            && now.mono - shown.made < FRESH
            && Arc::ptr_eq(&plan, &shown.plan)
        {
            return Ok(Some(shown.clone()));
        }
        let front = Arc::clone(self);
        // Otherwise those who ask and do not wait would have it made anew, one after the other.
        to_the_end(async move {
            let snapshot = front.snapshot().await?;
            let mut facts = std::mem::take(&mut cache.facts);
            let its_plan = plan.clone();
            let look = front.look_at_length(move |history| {
                let board = Board::new(&its_plan, &snapshot, TimeZone::system(), history, &mut facts);
                Ok((board, facts))
            });
            let (board, facts) = look.await?;
            cache.facts = facts;
            cache.made += 1;
            cache.shown = board.map(|board| {
                let (pages, program, feed) = Default::default();
                Arc::new(Shown { made: now.mono, plan, board, pages, program, feed })
            });
            Ok(cache.shown.clone())
        })
        .await?
    }

    /// How often what the public sees was made.
    pub async fn made_for_the_public(&self) -> u64 {
        self.public.lock().await.made()
    }
}

async fn style(query: RawQuery, headers: HeaderMap) -> Response {
    assets::show(Path("style.css".to_owned()), query, headers).await
}

fn nothing_here() -> Response {
    (StatusCode::NOT_FOUND, "There is no such page.\n").into_response()
}

fn not_understood(words: &'static str) -> Response {
    (StatusCode::BAD_REQUEST, words).into_response()
}

/// Hands on what is shown, or says that there is nothing. What is wrong inside is not the public's.
async fn with(front: &Arc<Front>, show: impl FnOnce(&Shown) -> Response) -> Response {
    match front.shown().await {
        Ok(Some(shown)) => show(&shown),
        Ok(None) => nothing_here(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "The status is not available at the moment.\n").into_response(),
    }
}

#[derive(Deserialize)]
struct Which {
    /// Of incidents; the newest is 0.
    #[serde(default)]
    page: usize,
}

type Asked<T> = Result<Query<T>, QueryRejection>;

/// Where the page is: its links begin differently.
#[derive(Clone, Copy)]
enum Place {
    Inside,
    Alone,
}

impl Place {
    /// What its links begin with. They are relative: a proxy in front may have it under another path.
    fn base(self) -> &'static str {
        match self {
            Place::Inside => "status/",
            Place::Alone => "",
        }
    }
    /// The page itself.
    fn home(self) -> &'static str {
        match self {
            Place::Inside => "status",
            Place::Alone => "./",
        }
    }
}

async fn show(front: &Arc<Front>, place: Place, which: Asked<Which>, headers: &HeaderMap) -> Response {
    let Ok(Query(Which { page })) = which else {
        return not_understood("`page` is the number of a page.\n");
    };
    with(front, |shown| match shown.pages[place as usize].get(page) {
        None => nothing_here(),
        Some(cell) => cell
            .get_or_init(|| Packed::new(page::render(&shown.board, place, page)))
            .answer("text/html; charset=utf-8", headers),
    })
    .await
}

async fn inside(State(front): State<Arc<Front>>, which: Asked<Which>, headers: HeaderMap) -> Response {
    show(&front, Place::Inside, which, &headers).await
}

async fn alone(State(front): State<Arc<Front>>, which: Asked<Which>, headers: HeaderMap) -> Response {
    show(&front, Place::Alone, which, &headers).await
}

async fn program(State(front): State<Arc<Front>>, headers: HeaderMap) -> Response {
    with(&front, |shown| {
        let program = shown.program.get_or_init(|| Packed::new(program::render(&shown.board)));
        (EVERYWHERE, program.answer("application/json", &headers)).into_response()
    })
    .await
}

async fn feed(State(front): State<Arc<Front>>, headers: HeaderMap) -> Response {
    with(&front, |shown| {
        let feed = shown.feed.get_or_init(|| Packed::new(feed::render(&shown.board)));
        feed.answer("application/atom+xml; charset=utf-8", &headers)
    })
    .await
}

/// A picture, which other sites may show as well if it is meant for them.
fn picture(kind: &'static str, content: impl IntoResponse, everywhere: bool) -> Response {
    let headers = [(CONTENT_TYPE, kind), (CACHE_CONTROL, KEEP), (CONTENT_SECURITY_POLICY, PICTURE_POLICY)];
    let policy = HeaderName::from_static("cross-origin-resource-policy");
    match everywhere {
        true => (headers, [(policy, "cross-origin")], EVERYWHERE, content).into_response(),
        false => (headers, content).into_response(),
    }
}

async fn logo(State(front): State<Arc<Front>>) -> Response {
    with(&front, |shown| match &shown.board.logo {
        Some(logo) => picture(logo.format.media_type(), Bytes::from_owner(logo.bytes.clone()), false),
        None => nothing_here(),
    })
    .await
}

const SVG: &str = "image/svg+xml";

async fn overall_badge(State(front): State<Arc<Front>>, Path(what): Path<String>) -> Response {
    with(&front, |shown| match what.as_str() {
        "status.svg" => picture(SVG, badge::overall(&shown.board), true),
        "icon.svg" => picture(SVG, badge::icon(&shown.board), true),
        _ => nothing_here(),
    })
    .await
}

#[derive(Deserialize)]
struct Days {
    #[serde(default = "month")]
    days: i64,
}

fn month() -> i64 {
    30
}

async fn badge(
    State(front): State<Arc<Front>>,
    Path((name, what)): Path<(String, String)>,
    days: Asked<Days>,
) -> Response {
    let Some(days) = days.ok().map(|Query(days)| days.days).filter(|days| (1..=board::DAYS as i64).contains(days))
    else {
        return not_understood("`days` is a number from 1 to 90.\n");
    };
    with(&front, |shown| {
        let board = &shown.board;
        match (board.services.iter().find(|service| service.slug == name), what.as_str()) {
            (Some(service), "status.svg") => picture(SVG, badge::status(service), true),
            (Some(service), "uptime.svg") => {
                picture(SVG, badge::uptime(service, board.uptime(service, days), days), true)
            }
            _ => nothing_here(),
        }
    })
    .await
}

/// A text within XML, where some characters may not be, however they are written.
fn xml(text: &str) -> String {
    let text: String = text.chars().filter(|c| !matches!(c, '\u{fffe}' | '\u{ffff}')).collect();
    quick_xml::escape::escape(text.as_str()).into_owned()
}

/// `12 Nov 2026`
fn date(date: jiff::civil::Date) -> String {
    date.strftime("%-d %b %Y").to_string()
}

/// `12 Nov 2026 14:03`, in this zone.
fn moment(at: Wall, zone: &TimeZone) -> String {
    at.zoned(zone.clone()).strftime("%-d %b %Y %H:%M").to_string()
}
