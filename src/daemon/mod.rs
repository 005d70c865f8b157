//! The one place that wires the layers: the loop, performing effects, reload, signals, the clock.

mod clock;
mod core;
pub mod paths;

pub use clock::RealClock;

use crate::dashboard::{Front, History};
use crate::engine::Engine;
use crate::listen::Listen;
use crate::model::{Clock, Input, Plan, Setting};
use crate::notify::Notifiers;
use crate::probe::Probes;
use crate::store::Store;
use crate::{config, control::Controls, dashboard, store, sys};
use core::Core;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{broadcast, mpsc};

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
    /// Something that minder needs of the system is not to be had.
    #[error("cannot {what}: {source}")]
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

/// Runs minder until it is told to end.
pub fn run(options: Options) -> Result<(), Error> {
    // Children get the limit that minder was given; minder itself keeps two descriptors for each watched process.
    sys::limits::raise_open_files();
    let clock: Arc<dyn Clock> = Arc::new(RealClock);

    // The rules come first: with a mistake in them nothing has been touched yet.
    let (plan, warnings) =
        config::load(&options.rules, &config::Env::of_process()).map_err(Error::Rules)?;
    if !warnings.is_empty() {
        eprint!("{warnings}");
    }
    let plan = Arc::new(plan);

    // Then the state directory: its lock is what keeps a second minder out.
    let (store, opened) = Store::open(&options.state, &sys::proc::boot_id(), clock.clone())?;
    store.limits(&plan.history);
    for note in &opened.notes {
        tracing::warn!("{note}");
    }

    // The loop has this thread to itself; two workers carry what waits on the network, the page among it, so that
    // neither delays the reaction to a death.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(16)
        .thread_stack_size(512 * 1024)
        .enable_all()
        .build()
        .map_err(Error::system("start the runtime"))?;
    let outcome = runtime.block_on(wire(options, plan, store, opened, clock));
    // A probe that hangs in the kernel must not keep minder from ending.
    runtime.shutdown_timeout(Duration::from_millis(500));
    outcome
}

async fn wire(
    options: Options,
    plan: Arc<Plan>,
    store: Store,
    opened: store::Opened,
    clock: Arc<dyn Clock>,
) -> Result<(), Error> {
    let (inputs, from_outside) = mpsc::unbounded_channel::<Input>();

    let tcp = dashboard::listen_tcp(plan.dashboard.listen)
        .map_err(Error::system(format!("listen on {}", plan.dashboard.listen)))?;
    let unix = dashboard::listen_unix(&options.socket)
        .map_err(Error::system(format!("listen on {}", options.socket.display())))?;
    let listen = Listen::start(inputs.clone()).map_err(Error::system("watch for process exits"))?;
    let probes = Probes::new(inputs.clone(), clock.clone()).map_err(Error::system("start the probes"))?;
    let controls = Controls::new(inputs.clone(), clock.clone(), options.state.join("output"));
    let notifiers = Notifiers::start(&plan, inputs.clone(), clock.clone(), opened.outbox);

    let (asks, from_people) = mpsc::channel(64);
    let changes = broadcast::channel(1024).0;
    let history: Arc<dyn History> = Arc::new(store.reader());
    let front = Arc::new(Front::new(asks, changes.clone(), history, clock.clone()));
    tokio::spawn(dashboard::serve_tcp(tcp, front.clone()));
    tokio::spawn(dashboard::serve_unix(unix, front));

    let setting = Setting {
        host: sys::host_name(),
        instance: opened.instance,
        booted: sys::proc::booted_ago(),
        no_act: options.no_act,
    };
    let now = clock.now();
    let (engine, effects) = Engine::new(plan.clone(), setting, opened.restored, now);
    tracing::info!(
        services = plan.services.len(),
        rules = %options.rules.display(),
        state = %options.state.display(),
        "watching; the page is at http://{}",
        plan.dashboard.listen
    );

    let mut core = Core {
        engine,
        clock,
        store,
        probes,
        controls,
        listen,
        notifiers,
        changes,
        plan,
        options,
        inputs,
        ..Core::default_parts(opened.notes)
    };
    core.perform(effects);
    core.run(from_outside, from_people).await
}
