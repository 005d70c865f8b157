//! Shows, and takes commands: one axum router, served on TCP and on a unix socket.
//!
//! [`page`] is the router for a loopback TCP port: pages and JSON, read-only but for heartbeats, deaf to every `Host` but its own.
//! [`socket`] is the same with commands, for a unix socket whose peers are known by their credentials. Both are clients of
//! the daemon's loop ([`Ask`]) and of the history ([`History`]); they decide nothing.

mod api;
mod assets;
mod beat;
mod chart;
mod guard;
mod live;
mod messages;
mod overview;
mod past;
mod problem;
mod report;
mod serve;
mod service;
mod strip;
mod words;

pub use crate::store::{Bar, EventFilter, MessageFilter, Samples};
pub use beat::Whose;
pub use problem::Problem;
pub use report::reports;
pub use serve::{bind_public, bind_tcp, bind_unix, serve_public, serve_tcp, serve_unix};

use crate::model::kinds::Beat;
use crate::model::{
    Answer, Change, Command, Event, Exit, Incident, Message, MessageId, MessageView, Name, Snapshot, Wall,
};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore, broadcast, mpsc, oneshot};
use tower_http::compression::CompressionLayer;
use tower_http::timeout::TimeoutLayer;

/// How long a request may take; streams and commands are exempt.
const DEADLINE: Duration = Duration::from_secs(10);
/// The longest body of a request.
const MAX_BODY: usize = 64 << 10;
/// Readers of history at work at the same time. Each holds a thread of the blocking pool, which other layers need too.
const READERS: usize = 4;
/// Streams of changes at the same time.
const STREAMS: usize = 32;

/// A question to the daemon's loop.
#[derive(Debug)]
pub enum Ask {
    /// How does everything stand?
    Snapshot(oneshot::Sender<Arc<Snapshot>>),
    /// Somebody wants something done. The reply comes when its outcome is known.
    Command {
        /// Who, for the record: `root`, `uid 1000`.
        who: Arc<str>,
        /// What.
        command: Command,
        /// Where the answer goes.
        reply: oneshot::Sender<Answer>,
    },
    /// A service's own script says how its process has ended. The reply says whether this user may say so.
    Ended {
        /// Who says so.
        uid: u32,
        /// Of which service.
        service: Name,
        /// How.
        how: Exit,
        /// Where the answer goes.
        reply: oneshot::Sender<bool>,
    },
    /// A service says something of itself. The reply: whether there is such a heartbeat.
    Beat {
        /// Whose it is.
        whose: Whose,
        /// What it says, in order.
        beats: Vec<Beat>,
        /// What is wrong with it, if anything, for people.
        reply: oneshot::Sender<Result<(), String>>,
    },
    /// Somebody wants messages that are dead to be sent again.
    Resend {
        /// Who, for the record.
        who: Arc<str>,
        /// Which, as the store has kept them.
        messages: Vec<Message>,
        /// Where the answer goes.
        reply: oneshot::Sender<Answer>,
    },
    /// Read the rules anew.
    Reload(oneshot::Sender<Answer>),
    /// A supervisor tells of a change: its control is asked at once.
    Nudge {
        /// The control's word.
        control: &'static str,
        /// The service by its supervisor's name.
        name: Arc<str>,
    },
}

/// What the dashboard asks of the store, or, in a test, of an invented past. All of it may block; errors are words for people.
pub trait History: Send + Sync {
    /// Events, the newest first.
    fn events(&self, filter: &EventFilter) -> Result<Vec<Event>, String>;
    /// Incidents, the newest first.
    fn incidents(&self, service: Option<&str>, limit: usize) -> Result<Vec<Incident>, String>;
    /// The time from `from` to `to` in so many stretches of the same length, the oldest first. Empty ones may be left out.
    fn bars(&self, service: &str, check: &str, from: Wall, to: Wall, buckets: usize) -> Result<Vec<Bar>, String>;
    /// The samples from `from` until before `to`, the oldest `limit` of them.
    fn samples(&self, service: &str, check: &str, from: Wall, to: Wall, limit: usize) -> Result<Samples, String>;
    /// The same time to be drawn: samples, or means of minutes where it is long; a few thousand at most.
    fn line(&self, service: &str, check: &str, from: Wall, to: Wall) -> Result<Samples, String>;
    /// Messages, the newest first.
    fn messages(&self, filter: &MessageFilter) -> Result<Vec<MessageView>, String>;
    /// The message of this number.
    fn message(&self, id: MessageId) -> Result<Option<MessageView>, String>;
    /// Those of these messages that are dead, in the order of their numbers.
    fn dead(&self, ids: &[MessageId]) -> Result<Vec<Message>, String>;
    /// The latest messages that are dead, to one notifier or all, in the order of their numbers.
    fn all_dead(&self, notifier: Option<&str>, limit: usize) -> Result<Vec<Message>, String>;
}

/// What the pages need of the daemon, and what bounds them.
pub struct Front {
    asks: mpsc::Sender<Ask>,
    changes: broadcast::Sender<Arc<Change>>,
    history: Arc<dyn History>,
    readers: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    /// Those who have named a secret that is none.
    guesses: Semaphore,
    strips: Mutex<strip::Cache>,
}

impl Front {
    /// Over the daemon's loop, its stream of changes and the store.
    pub fn new(
        asks: mpsc::Sender<Ask>,
        changes: broadcast::Sender<Arc<Change>>,
        history: Arc<dyn History>,
    ) -> Arc<Front> {
        Arc::new(Front {
            asks,
            changes,
            history,
            readers: Arc::new(Semaphore::new(READERS)),
            streams: Arc::new(Semaphore::new(STREAMS)),
            guesses: Semaphore::new(beat::GUESSES),
            strips: Mutex::default(),
        })
    }

    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, Problem> {
        let (reply, answer) = oneshot::channel();
        self.asks.send(question(reply)).await.map_err(|_| Problem::ending())?;
        answer.await.map_err(|_| Problem::ending())
    }

    async fn snapshot(&self) -> Result<Arc<Snapshot>, Problem> {
        self.ask(Ask::Snapshot).await
    }

    /// Looks something up in the history, on a thread that may block.
    async fn look<T, F>(&self, look: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: FnOnce(&dyn History) -> Result<T, String> + Send + 'static,
    {
        let permit = self.readers.clone().acquire_owned().await.map_err(|_| Problem::ending())?;
        let history = self.history.clone();
        let looked = tokio::task::spawn_blocking(move || {
            // Kept until the look is over, also if whoever asked has long gone: the cap is on threads, not on requests.
            let _permit = permit;
            look(&*history)
        });
        looked.await.map_err(|_| Problem::ending())?.map_err(Problem::history)
    }
}

/// The router for TCP: read-only, but for heartbeats. It answers only to the names under which this machine itself reaches `listen`.
pub fn page(front: Arc<Front>, listen: SocketAddr) -> Router {
    reads(front)
        .layer(from_fn_with_state(guard::hosts(listen), guard::local_and_read_only))
        .layer(from_fn(guard::headers))
}

/// The router for the unix socket: reads and commands. [`serve_unix`] says who asks.
pub fn socket(front: Arc<Front>) -> Router {
    let commands = Router::new()
        .route("/api/v1/commands", post(api::command))
        .route("/api/v1/reload", post(api::reload))
        .route("/api/v1/resend", post(messages::resend))
        .route("/api/v1/services/{name}/heartbeat", post(beat::named))
        .route("/api/v1/nudges", post(api::nudge))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(front.clone());
    reads(front).merge(commands).layer(from_fn(guard::headers))
}

fn reads(front: Arc<Front>) -> Router {
    let quick = Router::new()
        .route("/", get(overview::show))
        .route("/services/{name}", get(service::show))
        .route("/assets/{name}", get(assets::show))
        .route("/api/v1/healthz", get(api::healthz))
        .route("/api/v1/status", get(api::status))
        .route("/api/v1/services/{name}", get(api::service))
        .route("/api/v1/services/{name}/checks/{check}/samples", get(api::samples))
        .route("/api/v1/services/{name}/checks/{check}/bars", get(api::bars))
        .route("/api/v1/events", get(api::events))
        .route("/api/v1/incidents", get(api::incidents))
        .route("/api/v1/messages", get(messages::list))
        .route("/api/v1/messages/{id}", get(messages::one))
        .route("/api/v1/heartbeat/{secret}", get(beat::well).post(beat::well))
        .route("/api/v1/heartbeat/{secret}/{what}", get(beat::told).post(beat::told))
        .fallback(problem::nothing_here)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(CompressionLayer::new())
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, DEADLINE));
    Router::new().route("/events", get(live::follow)).merge(quick).with_state(front)
}
