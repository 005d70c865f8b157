//! What comes into the engine and what it wants of the world.

use super::controls::ControlSpec;
use super::kinds::{Beat, Process};
use super::{
    Answer, Audit, Command, Event, ExecSpec, Exit, Identity, Incident, Kind, Log, Message, Metric, MetricSet, Name,
    Parcel, ParcelId, Plan, Sample, SavedBrake, SavedNotifier, SavedService, SavedSilences, Session, Signal,
};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A check of the plan in effect. Never used again for another one while minder runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckId(pub u32);

/// An action under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ActId(pub u64);

/// A person's request that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Everything that comes from outside.
#[derive(Debug, Clone)]
pub enum Input {
    /// The time that [`super::Effect`]s asked to be woken at has come.
    Woken,
    /// Answers of probes and controls.
    Sampled(Vec<(CheckId, Arc<Sample>)>),
    /// A watched process has ended. May come twice for one death: at once without the cause, and with it when its parent has
    /// taken note of it.
    Exited {
        /// Which.
        identity: Identity,
        /// How, where it is known.
        how: Option<Exit>,
    },
    /// A service's own script says how its process has ended: believed where the kernel does not tell.
    Reported {
        /// Which.
        service: Name,
        /// How.
        how: Exit,
    },
    /// A file that a check looks at has changed.
    Touched(CheckId),
    /// A control has more to say: its supervisor has told of a change. It is asked at once.
    Nudged {
        /// The control's word, such as `supervisord`.
        control: &'static str,
        /// The service by its supervisor's name.
        name: Arc<str>,
    },
    /// A service says something of itself.
    Beat {
        /// Which.
        service: Name,
        /// Its `heartbeat` check.
        check: Name,
        /// What.
        beat: Beat,
    },
    /// What came of an action. An action with [`Report::Launched`] has a further report.
    Acted {
        /// Which.
        id: ActId,
        /// What really happened.
        report: Report,
    },
    /// A person wants these messages, which could not be delivered, to be sent again.
    Resend {
        /// To be answered under this number.
        request: RequestId,
        /// Who asks.
        who: Arc<str>,
        /// Which, as the store has kept them.
        messages: Vec<Message>,
    },
    /// A person asks for something.
    Asked {
        /// To be answered under this number.
        request: RequestId,
        /// Who asks, for the record: `root`, `uid 1000`.
        who: Arc<str>,
        /// For what.
        command: Command,
    },
    /// A new plan is in effect.
    Planned(Arc<Plan>),
    /// A new plan was refused; the old one stays. The report of its mistakes.
    Refused(Arc<str>),
    /// What came of an attempt to deliver.
    Delivered {
        /// Which.
        parcel: ParcelId,
        /// What.
        outcome: Delivery,
    },
    /// What was said in the attempt at a test, line by line, without secrets; [`Input::Delivered`] follows.
    Said {
        /// Which.
        parcel: ParcelId,
        /// The lines, bounded.
        lines: Vec<String>,
    },
    /// Something about minder itself that people should know, said once: it must poll, a database is gone.
    Noted(Arc<str>),
    /// minder is about to end.
    Ending,
}

/// What came of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// A start or restart is on its way: the command has been launched. What becomes of it is seen by the checks.
    Launched {
        /// The process that was launched, if there was one of ours: it may be the daemon itself, or end when the daemon runs.
        process: Option<Identity>,
        /// Processes that the dead one had left in its process group, and that were ended first.
        leftovers: u32,
        /// What is not as it was meant to be, though it runs.
        remark: Option<Arc<str>>,
    },
    /// The launched command has ended, before its deadline. A daemon that goes to the background ends with code 0.
    LaunchEnded {
        /// How.
        exit: Exit,
        /// The last lines that it wrote, bounded.
        output: Arc<str>,
    },
    /// It is done, and was seen to be.
    Done {
        /// More about it, in words: the last line of a command's output, the signal that ended a process.
        words: Arc<str>,
    },
    /// It could not be done.
    Failed {
        /// Why, in words.
        why: Arc<str>,
    },
}

/// What came of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// It was taken.
    Delivered {
        /// Why it was told in the built-in words, if the notifier's own could not be used.
        plainly: Option<Arc<str>>,
    },
    /// It was not taken, or it is not known whether it was; another attempt may succeed.
    Deferred {
        /// Why.
        why: Arc<str>,
        /// The receiver asks not to be tried again sooner.
        after: Option<Duration>,
    },
    /// It will never be taken.
    Refused {
        /// Why.
        why: Arc<str>,
    },
}

/// What the engine asks the outside world to do.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Ask this, and answer with a sample.
    Ask(Question),
    /// This check is no longer asked: let go of whatever is kept for it.
    Forget(CheckId),
    /// Tell when this process ends.
    Watch(Identity),
    /// This process is no longer of interest.
    Unwatch(Identity),
    /// Tell when this file changes.
    WatchPath(CheckId, PathBuf),
    /// Tell, with [`Input::Touched`], when the supervisor's record of the service changes, as far as it can be told.
    WatchControl(CheckId, ControlSpec),
    /// Listen for what the service says of itself. Comes again whenever something of it has changed.
    Hear(CheckId, Hearing),
    /// These are the metrics that [`Effect::Keep`] will bring for this check.
    Series(CheckId, Series),
    /// Keep this sample in the history.
    Keep(CheckId, Arc<Sample>),
    /// Do this, after all records of this step are on disk (or 50 ms later).
    Act(ActId, Act),
    /// People are to hear this: it is recorded, and waits in the outbox. It is sent, with others or by itself, by a
    /// [`Effect::Send`].
    Tell(Arc<Message>),
    /// Try once to deliver this, after all records of this step are on disk (or a second later), and answer with
    /// [`Input::Delivered`]. At most one attempt at a time to each notifier, but for tests.
    Send(Parcel),
    /// Keep this. All records of one step are one transaction.
    Record(Record),
    /// Answer a person.
    Reply(RequestId, Answer),
}

/// A service that may speak for itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Hearing {
    /// Its name.
    pub service: Name,
    /// Its `heartbeat` check.
    pub check: Name,
    /// Its process, if one is known: its user may speak.
    pub process: Option<Identity>,
    /// Who may speak as well: a user by name or number.
    pub user: Option<String>,
}

/// One question to a probe or a control.
#[derive(Debug, Clone)]
pub struct Question {
    /// Which check.
    pub check: CheckId,
    /// What.
    pub kind: Arc<Kind>,
    /// The process that answered last time, if it is still thought to live: asked directly, without the selector. Nothing: ask
    /// the selector. For a check of the service's process ([`Kind::is_of_the_process`]): that one, if it lives.
    pub identity: Option<Identity>,
    /// What is wanted. What comes for free may be added.
    pub wanted: MetricSet,
    /// How long it may take.
    pub timeout: Duration,
    /// Someone waits for it: a death, a start. It goes before the others.
    pub urgent: bool,
}

/// What the history calls a check.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// The service.
    pub service: Name,
    /// The check.
    pub check: Name,
    /// What is kept of each sample.
    pub metrics: MetricSet,
    /// Its kind.
    pub kind: &'static str,
    /// The metrics of the check: [`Kind::metrics`].
    pub table: &'static [Metric],
}

/// What a control or the world shall do.
#[derive(Debug, Clone)]
pub enum Act {
    /// Start the service. A `command` control first ends what the dead process left in its process group.
    Start {
        /// Of whom.
        service: Name,
        /// How.
        control: ControlSpec,
        /// The process that died.
        after: Option<Aim>,
    },
    /// Restart it in one go: runit, or a `command` with a `restart`.
    Restart {
        /// Of whom.
        service: Name,
        /// How.
        control: ControlSpec,
        /// A person wants it up, even if it was taken down; a rule's restart never starts that.
        by_hand: bool,
    },
    /// Stop it, and wait until its process has ended.
    Stop {
        /// Of whom.
        service: Name,
        /// How.
        control: ControlSpec,
        /// The process, and why it may be signalled.
        process: Option<Aim>,
        /// A person wants it down and kept down; otherwise it is the first half of a restart.
        for_good: bool,
    },
    /// Send a signal.
    Signal {
        /// To whom.
        process: Aim,
        /// Which.
        signal: Signal,
    },
    /// Run a command.
    Exec {
        /// Which.
        spec: Arc<ExecSpec>,
        /// For its environment.
        facts: Facts,
        /// The process of the service, whose pid is one more fact if it may be believed.
        process: Option<Aim>,
    },
    /// Look at a process and keep what is seen: limits, open files, children, kernel stack, last log lines; never the environment.
    Snapshot {
        /// Which.
        identity: Identity,
        /// The log whose last lines are kept too.
        log: Option<Log>,
    },
    /// Read the last lines of a log, for a message.
    Tail {
        /// Which.
        log: Log,
        /// Whose: a link on the way to it may be that process's user's. Also of one that has died.
        of: Option<Identity>,
    },
    /// Find the processes that use most of something, for a message: a line each, those that use most first.
    Top {
        /// Of what.
        of: Scarce,
    },
}

/// What a machine can be short of because of its processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scarce {
    /// Memory.
    Memory,
    /// Processor time.
    Cpu,
}

/// A process to be signalled, and how it was found: a pid from a pidfile is believed only if whoever could write the file
/// could as well have sent the signal.
#[derive(Debug, Clone)]
pub struct Aim {
    /// Which.
    pub identity: Identity,
    /// The check that found it.
    pub selector: Arc<Kind>,
}

impl Aim {
    /// The keys of the check that found it.
    pub fn process(&self) -> Option<&Process> {
        match &*self.selector {
            Kind::Process(process) => Some(process),
            _ => None,
        }
    }
}

/// What a command finds in its environment: a `NAME` here is its `MINDER_NAME`.
pub type Facts = Vec<(&'static str, String)>;

/// What is kept.
#[derive(Debug, Clone)]
pub enum Record {
    /// An event.
    Event(Event),
    /// An incident was opened, has changed, or was closed.
    Incident(Incident),
    /// All of a service's state, as it is now.
    Service(Name, Box<SavedService>),
    /// A service is no longer in the plan.
    Gone(Name),
    /// A message of the outbox as it is now: its kind, its state, its steps.
    Message(Arc<Message>),
    /// What a notifier has heard, as it is now.
    Notifier(Name, Box<SavedNotifier>),
    /// The silences in effect, as they are now.
    Silences(Box<SavedSilences>),
    /// The state of the brake, as it is now.
    Brake(Box<SavedBrake>),
    /// All sessions of the page, as they are now.
    Sessions(Arc<[Session]>),
    /// What somebody did, or tried.
    Audit(Box<Audit>),
}
