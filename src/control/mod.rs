//! Starts and stops: one file per supervisor. What is reported is what was seen to happen.

mod command;
mod daemontools;
mod exec;
mod pool;
mod runit;
mod s6;
mod scope;
mod service_dir;
mod signal;
mod supervisor;
mod supervisord;
mod systemd;
mod sysv;
mod upstart;

use crate::model::controls::ControlSpec;
use crate::model::{Act, ActId, Clock, Found, GivenUp, Identity, Input, Kind, Question, Report, Sample};
use crate::sys::run;
use crate::sys::users::User;
use daemontools::Daemontools;
use pool::Pool;
use runit::Runit;
use s6::S6;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use supervisor::Supervisor;
use tokio::sync::mpsc::UnboundedSender;

/// Actions under way at the same time; more wait in line.
const MOST_ACTS: usize = 64;
/// Controls that are asked at the same time. Apart from the actions, which may all be waiting for something slow. Many, since a
/// supervisor that hangs must not keep others from being asked; threads are made only when they are needed.
const MOST_QUESTIONS: usize = 64;

/// How often the outputs of daemons are looked at.
const OUTPUTS_EVERY: Duration = Duration::from_secs(1);

/// Does what the engine wants done to services, and asks their controls how they stand. Clones are the same.
#[derive(Clone)]
pub struct Controls(Arc<Shared>);

struct Shared {
    inputs: UnboundedSender<Input>,
    clock: Arc<dyn Clock>,
    output_dir: PathBuf,
    us: User,
    acts: Pool,
    questions: Pool,
    /// Those of systemd, which all wait while it is hung.
    of_systemd: Pool,
    given_up: GivenUp,
    /// For each service, what its `command` control has launched last, as long as that runs.
    launched: Mutex<HashMap<String, Identity>>,
}

impl Controls {
    /// `output_dir` is where daemons started by `command` controls write what they have to say: `SERVICE.log`. `given_up` knows
    /// what supervisors were heard to say.
    pub fn new(
        inputs: UnboundedSender<Input>,
        clock: Arc<dyn Clock>,
        output_dir: PathBuf,
        given_up: GivenUp,
    ) -> Controls {
        let (acts, questions) = (Pool::new("act", MOST_ACTS), Pool::new("control", MOST_QUESTIONS));
        let shared = Arc::new(Shared {
            inputs,
            clock,
            output_dir,
            us: User::current(),
            acts,
            questions,
            of_systemd: Pool::new("systemd", MOST_QUESTIONS),
            given_up,
            launched: Mutex::default(),
        });
        keep_outputs_short(&shared);
        Controls(shared)
    }

    /// Does it, and answers with [`Input::Acted`]. Never waits: `first` is called on the thread that then acts, and may wait
    /// for the record of the act to be on disk. All but [`Act::Snapshot`], [`Act::Tail`] and [`Act::Top`], which are a probe's work.
    pub fn act(&self, id: ActId, act: Act, first: impl FnOnce() + Send + 'static) {
        let shared = self.0.clone();
        self.0.acts.run(move || {
            first();
            // Without it, the end of minder would only miss the news.
            let _until_told = matches!(act, Act::Exec { .. }).then(run::until_told);
            if let Some(report) = shared.act(id, act) {
                shared.report(id, report);
            }
        });
    }

    /// Asks a control, and answers with [`Input::Sampled`]. Never waits. Only a [`Kind::Control`] whose supervisor keeps a
    /// state can be asked.
    pub fn ask(&self, question: Question) {
        let shared = self.0.clone();
        let pool = match &*question.kind {
            Kind::Control(ControlSpec::Systemd(_)) => &self.0.of_systemd,
            _ => &self.0.questions,
        };
        pool.run(move || {
            let at = shared.clock.now();
            let supervisor = match &*question.kind {
                Kind::Control(control) => shared.supervisor(control),
                _ => None,
            };
            let state = match supervisor {
                Some(supervisor) => supervisor.state(),
                None => Err(format!("`{}` keeps no state that could be asked", question.kind.about())),
            };
            let sample = match state {
                Ok(state) => Sample {
                    at,
                    took: shared.clock.now().mono - at.mono,
                    readings: Vec::new(),
                    note: (!state.alive || state.failed).then(|| state.word.clone()),
                    found: Found::Control(state),
                },
                Err(why) => Sample::unknown(at, why),
            };
            let _ = shared.inputs.send(Input::Sampled(vec![(question.check, Arc::new(sample))]));
        });
    }
}

/// As long as the controls are there, and for daemons of an earlier minder too.
fn keep_outputs_short(shared: &Arc<Shared>) {
    let shared = Arc::downgrade(shared);
    let look = move || {
        while let Some(shared) = shared.upgrade() {
            // No directory is no output. What cannot be cut is said when the daemon is started.
            let _ = command::cut_outputs(&shared.output_dir);
            drop(shared);
            std::thread::park_timeout(OUTPUTS_EVERY);
        }
    };
    if let Err(e) = std::thread::Builder::new().name("outputs".to_owned()).stack_size(128 << 10).spawn(look) {
        tracing::warn!("the outputs of daemons may grow without bound: {e}");
    }
}

impl Shared {
    /// Does it. Nothing if it has been reported already.
    fn act(self: &Arc<Shared>, id: ActId, act: Act) -> Option<Report> {
        let done = match act {
            Act::Start { service, control: ControlSpec::Command(control), after } => {
                return self.start(id, &service, &control, after);
            }
            Act::Restart { service, control: ControlSpec::Command(control), .. } => {
                return self.restart(id, &service, &control);
            }
            Act::Start { service, control: ControlSpec::Sysv(control), after } => {
                return self.start_script(id, &service, &control, after);
            }
            Act::Stop { control: ControlSpec::Command(control), process, .. } => self.stop(&control, process.as_ref()),
            Act::Stop { control: ControlSpec::Sysv(control), process, .. } => {
                self.stop_script(&control, process.as_ref())
            }
            Act::Start { control, .. } => {
                self.by_supervisor(&control, |at, timeout, clock| supervisor::start(at, timeout, clock))
            }
            Act::Restart { control, by_hand, .. } => {
                self.by_supervisor(&control, |at, timeout, clock| supervisor::restart(at, by_hand, timeout, clock))
            }
            Act::Stop { control, .. } => {
                self.by_supervisor(&control, |at, timeout, clock| supervisor::stop(at, timeout, clock))
            }
            Act::Signal { process, signal } => signal::send(&process, signal).map_err(|e| e.to_string()),
            Act::Exec { spec, mut facts, process } => {
                // The command may well signal it, with our rights: from a pidfile of others it gets no pid.
                let believed = process.filter(|aim| signal::believe(aim).is_ok());
                facts.extend(believed.map(|aim| ("PID", aim.identity.pid.to_string())));
                exec::exec(&self.us, &spec, facts)
            }
            Act::Snapshot { .. } | Act::Tail { .. } | Act::Top { .. } => Err("a probe looks at things".to_owned()),
        };
        Some(match done {
            Ok(words) => Report::Done { words: words.into() },
            Err(why) => Report::Failed { why: why.into() },
        })
    }

    fn by_supervisor(
        &self,
        control: &ControlSpec,
        act: impl FnOnce(&dyn Supervisor, Duration, &dyn Clock) -> Result<String, String>,
    ) -> Result<String, String> {
        match self.supervisor(control) {
            Some(at) => act(&*at, control.timeout(), &*self.clock),
            None => Err(format!("minder cannot speak to {} yet", control.name())),
        }
    }

    /// Who is asked and told; nobody for a control that is commands.
    fn supervisor(&self, control: &ControlSpec) -> Option<Box<dyn Supervisor>> {
        match control {
            ControlSpec::Runit(_) => Some(Box::new(Runit::new(control.service_dir()?))),
            ControlSpec::S6(_) => Some(Box::new(S6::new(control.service_dir()?, self.given_up.clone()))),
            ControlSpec::Daemontools(_) => Some(Box::new(Daemontools::new(control.service_dir()?))),
            ControlSpec::Systemd(control) => Some(Box::new(systemd::Systemd::new(control.name()))),
            ControlSpec::Supervisord(control) => Some(Box::new(supervisord::Supervisord(control.clone()))),
            ControlSpec::Upstart(control) => Some(Box::new(upstart::Upstart::new(control))),
            _ => None,
        }
    }

    fn report(&self, id: ActId, report: Report) {
        let _ = self.inputs.send(Input::Acted { id, report });
    }
}

#[cfg(test)]
pub(crate) use service_dir::testing;
#[cfg(test)]
mod tests;
