//! Shows, and takes commands: one axum router, served on TCP and on a unix socket.
//!
//! [`page`] is the router for TCP: pages and JSON, for those who may (`who`), deaf to every `Host` but its own. [`socket`] is
//! the same for a unix socket whose peers are known by their credentials, and may do everything. Both are clients of the daemon's
//! loop ([`Ask`]) and of the history ([`History`]); they decide nothing.
//!
//! | part | what is there |
//! |---|---|
//! | `door` | listening, what bounds those who connect, and the guards that every request passes |
//! | `who` | who asks: users, sessions, tokens; what was done by whom |
//! | `routes` | every route with the role that it needs |
//! | `page` | the pages for people, rendered here from the templates in `web/` |
//! | `api` | the same for programs |
//! | `outline` | the plan in effect, without its secrets |
//! | `live` | the stream of changes |
//! | `metrics`, `health` | how everything fares, for Prometheus and for supervisors |

mod api;
mod door;
mod health;
mod live;
mod metrics;
mod outline;
mod page;
mod past;
mod problem;
mod public;
mod routes;
mod who;

pub use crate::store::{
    AuditFilter, Bar, Curve, DaySums, EventFilter, IncidentFilter, IncidentSpan, IncidentSums, MessageFilter, Often,
    Rollup, Samples, Step, Sum, Wholes,
};
pub use api::{Whose, reports};
pub use door::{
    Certificate, CertificateError, bind_public, bind_tcp, bind_unix, serve_public, serve_tcp, serve_tls, serve_unix,
};
pub use live::Changes;
pub use problem::Problem;
pub use public::status_page;
pub use routes::Route;

use crate::model::kinds::Beat;
use crate::model::{
    Answer, Audit, Clock, Command, Event, Exit, Incident, MachineView, Message, MessageId, MessageView, Name, Plan,
    Record, Role, Session, Snapshot, Vitals, Wall,
};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{from_fn, from_fn_with_state};
use door::guard::{self, Gate};
use door::streams::Streams;
use routes::{Described, Routes};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot, watch};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::timeout::TimeoutLayer;

/// How long a request may take; streams and commands are exempt.
const DEADLINE: Duration = Duration::from_secs(10);
/// The longest body of a request.
const MAX_BODY: usize = 64 << 10;
/// How long a look at the history may take. Where its disk hangs, a page says so and shows the rest, within [`DEADLINE`].
const PATIENCE: Duration = Duration::from_secs(4);
/// Readers of history at work at the same time. Each holds a thread of the blocking pool, which other layers need too.
const READERS: usize = 4;

/// A question to the daemon's loop.
#[derive(Debug)]
pub enum Ask {
    /// How does everything stand?
    Snapshot(oneshot::Sender<Arc<Snapshot>>),
    /// How does minder itself fare, and what has it counted?
    Vitals(oneshot::Sender<Arc<Vitals>>),
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
    /// What does the machine itself do?
    Machine(oneshot::Sender<Arc<MachineView>>),
    /// Keep this: a session, or who did what.
    Record(Record),
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
    /// Events, the newest first, or the oldest of those after one.
    fn events(&self, filter: &EventFilter) -> Result<Vec<Event>, String>;
    /// Incidents, the newest first.
    fn incidents(&self, filter: &IncidentFilter) -> Result<Vec<Incident>, String>;
    /// Incidents in sums.
    fn incident_sums(&self, span: &IncidentSpan) -> Result<IncidentSums, String>;
    /// Who did what, the newest first.
    fn audits(&self, filter: &AuditFilter) -> Result<Vec<Audit>, String>;
    /// The time from `from` to `to` in so many stretches of the same length, the oldest first. Empty ones may be left out.
    fn bars(&self, service: &str, check: &str, from: Wall, to: Wall, buckets: usize) -> Result<Vec<Bar>, String>;
    /// The first and the last time from `from` until before `to` at which a service was sampled.
    fn sampled(&self, service: &str, from: Wall, to: Wall) -> Result<Option<(Wall, Wall)>, String>;
    /// The samples from `from` until before `to`, the oldest `limit` of them.
    fn samples(&self, service: &str, check: &str, from: Wall, to: Wall, limit: usize) -> Result<Samples, String>;
    /// The metrics that are, or were, kept of a check.
    fn kept(&self, service: &str, check: &str) -> Result<Vec<String>, String>;
    /// These metrics over a time that is cut in so many parts of the same length.
    fn curves(
        &self,
        service: &str,
        check: &str,
        metrics: &[String],
        from: Wall,
        to: Wall,
        parts: usize,
    ) -> Result<Vec<Curve>, String>;
    /// What the metrics of a check were parts of, and from when on.
    fn wholes(&self, service: &str, check: &str, from: Wall, to: Wall) -> Result<Wholes, String>;
    /// The metrics by the minute, hour or day that begins from `from` until before `to`, the oldest first.
    fn rollups(&self, service: &str, check: &str, step: Step, from: Wall, to: Wall) -> Result<Vec<Rollup>, String>;
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
    changes: Changes,
    history: Arc<dyn History>,
    /// The plan in effect.
    plan: watch::Receiver<Arc<Plan>>,
    clock: Arc<dyn Clock>,
    people: who::People,
    readers: Arc<Semaphore>,
    /// The latest look at the history was not waited for to its end: who finds no reader free does not wait either.
    hangs: Arc<AtomicBool>,
    streams: Arc<Streams>,
    /// Those who have named a secret that is none.
    guesses: Semaphore,
    strips: Mutex<page::strip::Cache>,
    outcomes: page::steer::Outcomes,
    public: Arc<Mutex<public::Cache>>,
    boards: Mutex<page::overview::Boards>,
}

impl Front {
    /// Over the daemon's loop, its changes, the store, and the plan in effect; with the sessions that have been kept.
    pub fn new(
        asks: mpsc::Sender<Ask>,
        changes: Changes,
        history: Arc<dyn History>,
        plan: watch::Receiver<Arc<Plan>>,
        sessions: Vec<Session>,
        clock: Arc<dyn Clock>,
    ) -> Arc<Front> {
        let outcomes = page::steer::Outcomes::new(clock.now().wall);
        Arc::new(Front {
            asks,
            changes,
            history,
            plan,
            clock,
            people: who::People::new(sessions),
            readers: Arc::new(Semaphore::new(READERS)),
            hangs: Arc::default(),
            streams: Arc::default(),
            guesses: Semaphore::new(api::GUESSES),
            strips: Mutex::default(),
            outcomes,
            public: Arc::default(),
            boards: Mutex::default(),
        })
    }

    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, Problem> {
        let (reply, answer) = oneshot::channel();
        self.asks.send(question(reply)).await.map_err(|_| Problem::ending())?;
        answer.await.map_err(|_| Problem::ending())
    }

    /// The plan in effect.
    fn plan(&self) -> Arc<Plan> {
        self.plan.borrow().clone()
    }

    async fn snapshot(&self) -> Result<Arc<Snapshot>, Problem> {
        self.ask(Ask::Snapshot).await
    }

    async fn machine(&self) -> Result<Arc<MachineView>, Problem> {
        self.ask(Ask::Machine).await
    }

    /// Looks something up in the history, on a thread that may block; not for longer than [`PATIENCE`].
    async fn look<T, F>(&self, look: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: FnOnce(&dyn History) -> Result<T, String> + Send + 'static,
    {
        let late = || Problem::history(format!("it did not answer within {} s", PATIENCE.as_secs()));
        if self.hangs.load(Ordering::Relaxed) && self.readers.available_permits() == 0 {
            return Err(late());
        }
        let looked = tokio::time::timeout(PATIENCE, self.look_at_length(look)).await;
        looked.unwrap_or_else(|_| {
            self.hangs.store(true, Ordering::Relaxed);
            Err(late())
        })
    }

    /// The same, however long it takes.
    async fn look_at_length<T, F>(&self, look: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: FnOnce(&dyn History) -> Result<T, String> + Send + 'static,
    {
        let permit = self.readers.clone().acquire_owned().await.map_err(|_| Problem::ending())?;
        let (history, hangs) = (self.history.clone(), self.hangs.clone());
        let looked = tokio::task::spawn_blocking(move || {
            // Kept until the look is over, also if whoever asked has long gone: the cap is on threads, not on requests.
            let _permit = permit;
            let found = look(&*history);
            hangs.store(false, Ordering::Relaxed);
            found
        });
        looked.await.map_err(|_| Problem::ending())?.map_err(Problem::history)
    }

    /// The incident of this number, be it over or not.
    async fn incident(&self, id: u64) -> Result<Incident, Problem> {
        let filter = IncidentFilter { id: Some(id), limit: 1, ..IncidentFilter::default() };
        let found = self.look(move |history| history.incidents(&filter)).await?;
        found.into_iter().next().ok_or_else(|| Problem::no_incident(id))
    }
}

/// Does this to its end, also if whoever asks goes away meanwhile, and his request is dropped.
async fn to_the_end<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Result<T, Problem> {
    tokio::spawn(work).await.map_err(|_| Problem::ending())
}

/// Whether a body is said to be of this kind.
fn is_sent_as(headers: &HeaderMap, kind: &str) -> bool {
    let said = headers.get(CONTENT_TYPE).and_then(|said| said.to_str().ok()).unwrap_or_default();
    said.split(';').next().is_some_and(|said| said.trim().eq_ignore_ascii_case(kind))
}

/// The router for TCP, where it is reached at `listen`. It answers only to its addresses, and to the names that the plan has.
pub fn page(front: Arc<Front>, listen: SocketAddr) -> Router {
    let gate = Arc::new(Gate { front: Arc::clone(&front), listen });
    finish(routes(), front).layer(from_fn_with_state(gate, guard::gate)).layer(from_fn(guard::headers))
}

/// The router for the unix socket. [`serve_unix`] says who asks.
pub fn socket(front: Arc<Front>) -> Router {
    finish(routes().and(of_machine()), front).layer(from_fn(guard::headers))
}

/// All routes of [`page`].
pub fn all_routes() -> Vec<Route> {
    routes().and(slow()).list
}

/// What is said of the routes of [`page`] and of [`socket`], for `/api/v1/openapi.json`.
fn described() -> Vec<Described> {
    routes().and(slow()).and(of_machine()).described
}

fn finish(routes: Routes, front: Arc<Front>) -> Router {
    let quick = routes
        .router
        .fallback(problem::nothing_here)
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, DEADLINE))
        .layer(from_fn(problem::explain))
        // Quickly: whoever looks from afar waits for the line, and minder's machine has other work.
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest));
    slow()
        .router
        .layer(from_fn(problem::explain))
        .layer(from_fn(guard::whole_body))
        .merge(quick)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(front.clone(), who::identify))
        .with_state(front)
}

/// What may take longer than [`DEADLINE`]: streams, and commands whose outcome is waited for.
fn slow() -> Routes {
    Routes::default().get(Role::Viewer, "/live", live::follow).and(api::slow())
}

/// What only this machine itself may ask, by the socket.
fn of_machine() -> Routes {
    api::of_machine()
}

fn routes() -> Routes {
    page::routes().and(api::routes()).and(public::routes()).and(health::routes()).and(metrics::routes())
}
