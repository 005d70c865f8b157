//! The one place that wires the layers: the loop, performing effects, reload, signals, the clock.

mod clock;
mod core;
mod kept;
mod owners;
pub mod paths;
mod pulse;
mod tally;

pub use clock::RealClock;

use crate::config;
use crate::control::Controls;
use crate::dashboard::{self, Certificate, Front};
use crate::engine::Engine;
use crate::listen::{self, Listen};
use crate::model::{Clock, GivenUp, Input, Plan, Setting, services_words};
use crate::notify::Notifiers;
use crate::probe::{Machine, Probes};
use crate::store::{self, Store};
use crate::sys;
use core::Core;
use pulse::Pulse;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, watch};

/// How often listening on the socket is tried again while there is no room for it.
const SOCKET_RETRY: Duration = Duration::from_secs(3);

/// How minder is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// A rule file, or a directory of them.
    pub rules: PathBuf,
    /// Where state and history are kept.
    pub state: PathBuf,
    /// Where the command line speaks to it.
    pub socket: PathBuf,
    /// Judge and record, and do nothing.
    pub no_act: bool,
}

/// Why minder does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The rules have mistakes: the report of them, as it is to be printed.
    #[error("{0}")]
    Rules(String),
    /// The state directory cannot be used.
    #[error(transparent)]
    Store(#[from] store::OpenError),
    /// The page's certificate cannot be used.
    #[error("cannot encrypt the page")]
    Certificate(#[from] dashboard::CertificateError),
    /// Something that minder needs of the system is not to be had.
    #[error("cannot {what}")]
    System {
        /// What it was about to do.
        what: String,
        /// Why not.
        source: io::Error,
    },
}

impl Error {
    fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let what = what.into();
        move |source| Error::System { what, source }
    }
}

/// The plan that the rules at this path make, with minder's own environment; or the report of their mistakes.
fn read_plan(rules: &std::path::Path) -> Result<Plan, String> {
    config::load(rules, &config::Env::from_process()).map(|(plan, _)| plan)
}

/// Runs minder until it is told to end.
pub fn run(options: Options) -> Result<(), Error> {
    sys::memory::be_sparing();
    // Children get the limit that minder was given; minder itself keeps two descriptors for each watched process.
    sys::limits::raise_open_files();
    let clock: Arc<dyn Clock> = Arc::new(RealClock);

    // The rules come first: with a mistake in them, nothing has been touched yet.
    let plan = Arc::new(read_plan(&options.rules).map_err(Error::Rules)?);

    // Then the state directory: its lock is what keeps a second minder out.
    let boot_id = sys::proc::boot_id().map_err(Error::system("read /proc/sys/kernel/random/boot_id"))?;
    let (store, opened) = Store::open(&options.state, &boot_id, Arc::clone(&clock))?;
    store.limits(&plan.history);

    // The loop has this thread to itself; two workers carry what waits on the network, the page among it, so that
    // neither delays the reaction to a death.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(32)
        .thread_stack_size(512 << 10)
        .enable_all()
        .build()
        .map_err(Error::system("start the runtime"))?;
    let outcome = runtime.block_on(wire(options, plan, store, opened, clock));
    // A probe that hangs in the kernel must not keep minder from ending.
    runtime.shutdown_timeout(Duration::from_millis(500));
    outcome
}

/// The file system of the socket is full, or can only be read.
fn has_no_room(e: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(e.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem)
}

/// The sockets that this minder has made, and takes away in the end: another one may have its own beside them.
type Made = Arc<Mutex<Vec<PathBuf>>>;

/// Serves the command line, as soon as there is room for its socket, and takes reports.
async fn serve_unix(unix: Option<UnixListener>, path: PathBuf, front: Arc<Front>, made: Made) {
    let is_made = |path: &Path| made.lock().unwrap_or_else(PoisonError::into_inner).push(path.to_owned());
    let mut unix = unix;
    while unix.is_none() {
        tokio::time::sleep(SOCKET_RETRY).await;
        unix = dashboard::bind_unix(&path).ok();
        if unix.is_some() {
            tracing::info!("listening on {}", path.display());
        }
    }
    let Some(unix) = unix else { return };
    is_made(&path);
    let reports = paths::reports(&path);
    match dashboard::bind_public(&reports) {
        Ok(listener) => {
            is_made(&reports);
            tokio::spawn(dashboard::serve_public(listener, dashboard::reports(Arc::clone(&front))));
        }
        Err(e) => tracing::warn!("`minder report` finds nobody to listen: cannot listen on {}: {e}", reports.display()),
    }
    dashboard::serve_unix(unix, dashboard::socket(front)).await;
}

/// Makes every part and hands it what it needs of the others; then lets the loop run.
async fn wire(
    options: Options,
    plan: Arc<Plan>,
    store: Store,
    opened: store::Opened,
    clock: Arc<dyn Clock>,
) -> Result<(), Error> {
    let listen_on = plan.dashboard.listen;
    let certificate = plan.dashboard.tls.as_ref().map(Certificate::read).transpose()?;
    let tcp = dashboard::bind_tcp(listen_on).map_err(Error::system(format!("listen on {listen_on}")))?;
    let public = plan.dashboard.status.as_ref().and_then(|status| status.listen);
    let public = match public {
        Some(address) => Some(
            dashboard::bind_tcp(address).map_err(Error::system(format!("listen on {address} for the status page")))?,
        ),
        None => None,
    };
    let unix = match dashboard::bind_unix(&options.socket) {
        Ok(unix) => Some(unix),
        // Without it minder cannot be asked, but it can do its work.
        Err(e) if has_no_room(&e) => {
            tracing::warn!("no command line until there is room to listen on {}: {e}", options.socket.display());
            None
        }
        Err(e) => return Err(Error::system(format!("listen on {}", options.socket.display()))(e)),
    };

    let (inputs, from_outside) = mpsc::unbounded_channel::<Input>();
    let notify = paths::notify(&options.socket);
    let given_up = GivenUp::default();
    let listen =
        Listen::start(inputs.clone(), notify, given_up.clone()).map_err(Error::system("watch for process exits"))?;
    let probes = Probes::new(inputs.clone(), Arc::clone(&clock)).map_err(Error::system("start the probes"))?;
    let machine = Arc::new(Machine::new(Arc::clone(&clock)));
    let controls = Controls::new(inputs.clone(), Arc::clone(&clock), options.state.join("output"), given_up);
    let notifiers = Notifiers::new(&plan, inputs.clone(), Arc::clone(&clock));

    let (asks, from_people) = mpsc::channel(64);
    let changes = dashboard::Changes::default();
    let (plans, of_plans) = watch::channel(Arc::clone(&plan));
    let front =
        Front::new(asks, changes.clone(), Arc::new(store.reader()), of_plans, opened.sessions, Arc::clone(&clock));
    let serve = |listener, router| match &certificate {
        Some(certificate) => drop(tokio::spawn(dashboard::serve_tls(listener, router, Arc::clone(certificate)))),
        None => drop(tokio::spawn(dashboard::serve_tcp(listener, router))),
    };
    serve(tcp, dashboard::page(Arc::clone(&front), listen_on));
    if let Some(public) = public {
        serve(public, dashboard::status_page(Arc::clone(&front)));
    }
    let sockets = Made::default();
    tokio::spawn(serve_unix(unix, options.socket.clone(), front, Arc::clone(&sockets)));

    let (directories, of_plan) = watch::channel(plan.directories.clone());
    let (tell, entries) = mpsc::channel(1);
    tokio::spawn(listen::entries(of_plan, tell));

    for note in opened.notes.iter().chain(&store.trouble()).chain(&plan.notes) {
        tracing::warn!("{note}");
    }
    let scheme = if certificate.is_some() { "https" } else { "http" };
    tracing::info!(
        "minder {} watches {} by the rules in {}; its page is at {scheme}://{listen_on}",
        env!("CARGO_PKG_VERSION"),
        services_words(plan.services.len()),
        options.rules.display(),
    );
    let pulse = Pulse::start(Arc::clone(&clock)).map_err(Error::system("start a thread"))?;
    let setting = Setting {
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        instance: opened.instance,
        booted: sys::proc::booted_ago(),
        no_act: options.no_act,
    };
    let (engine, effects) = Engine::new(Arc::clone(&plan), setting, opened.restored, clock.now());
    let mut core = Core {
        engine,
        clock,
        store,
        probes,
        machine,
        controls,
        listen,
        notifiers,
        changes,
        plan,
        plans,
        options,
        inputs,
        people: Default::default(),
        reloads: Default::default(),
        questions: Vec::new(),
        owners: Default::default(),
        notes: opened.notes,
        certificate,
        tally: Default::default(),
        pulse,
        directories,
        sockets,
    };
    core.perform(effects);
    core.run(from_outside, from_people, entries).await
}
