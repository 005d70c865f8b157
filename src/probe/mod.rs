//! Asks: one file per kind of check, and the snapshot. A probe never judges.
//!
//! Nothing here waits for anything else: processes and the machine are asked on a thread of their own, files on few threads
//! that may hang, the network by tasks with deadlines. Each question is answered once, in time, whatever happens.

mod certificate;
mod cgroup;
mod directory;
mod dns;
mod family;
mod file;
mod filesystem;
mod http;
mod log;
mod looks;
mod machine;
mod mounts;
mod nagios;
mod names;
mod net;
mod network;
mod pidfile;
mod ping;
mod pool;
mod process;
mod processes;
mod program;
mod protocol;
mod rate;
mod select;
#[cfg(test)]
mod servers;
mod snapshot;
mod starttls;
mod system;
mod tail;
mod tcp;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod tls;
mod top;
mod validity;
mod watched;
mod words;

pub use log::tail_of_log;
pub use machine::Machine;
pub use snapshot::snapshot;
pub use top::top;

use crate::model::{CheckId, Clock, Input, Kind, Metric, MetricId, Now, Question, Reading, Sample, write_duration};
use looks::Looks;
use net::Net;
use rate::Rate;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc::UnboundedSender;

type Inputs = UnboundedSender<Input>;

/// All probes.
pub struct Probes {
    inputs: Inputs,
    clock: Arc<dyn Clock>,
    runtime: Handle,
    processes: process::Processes,
    everyone: processes::Everyone,
    files: Looks<file::State>,
    directories: Looks<()>,
    filesystems: filesystem::Filesystems,
    interfaces: Looks<network::State>,
    cgroups: Looks<cgroup::State>,
    net: Arc<Net>,
    programs: Arc<program::Programs>,
}

impl Probes {
    /// Starts them.
    ///
    /// # Errors
    /// No thread could be started, or this is not called within a tokio runtime.
    pub fn new(inputs: Inputs, clock: Arc<dyn Clock>) -> io::Result<Probes> {
        let runtime = Handle::try_current().map_err(io::Error::other)?;
        let processes = process::Processes::start(inputs.clone(), Arc::clone(&clock))?;
        let at = || Arc::clone(&clock);
        Ok(Probes {
            inputs,
            runtime,
            processes,
            // What hangs in one kind never takes the threads of another.
            everyone: processes::Everyone::new(at()),
            files: Looks::new("files", 8, at()),
            directories: Looks::new("directories", 4, at()),
            filesystems: filesystem::Filesystems::new(at()),
            interfaces: Looks::new("interfaces", 2, at()),
            cgroups: Looks::new("cgroups", 2, at()),
            net: Arc::new(Net::new(at())),
            programs: Arc::new(program::Programs::new(at())),
            clock,
        })
    }

    /// Asks, without waiting. Each question is answered by exactly one entry of an [`Input::Sampled`], at the latest shortly
    /// after its timeout.
    pub fn ask(&self, questions: Vec<Question>) {
        let now = self.clock.now();
        let mut processes = Vec::new();
        for question in questions {
            match &*question.kind {
                Kind::Process(_) | Kind::System(_) => processes.push(question),
                Kind::Processes(whom) => {
                    let asking = self.everyone.ask(question.check, whom.clone(), question.wanted);
                    self.spawn(question, asking);
                }
                Kind::File(file) => {
                    let (file, wanted) = (file.clone(), question.wanted);
                    let asking = self.files.ask(question.check, move |state, clock| state.look(&file, wanted, clock));
                    self.spawn(question, asking);
                }
                Kind::Directory(directory) => {
                    let (directory, timeout) = (directory.clone(), question.timeout);
                    let look = move |(): &mut (), clock: &dyn Clock| directory::look(&directory, timeout, clock);
                    let asking = self.directories.ask(question.check, look);
                    self.spawn(question, asking);
                }
                Kind::Filesystem(filesystem) => {
                    // It keeps its deadline itself: of a mount that hangs, something is known all the same.
                    let asking = self.filesystems.ask(question.check, filesystem.clone(), question.timeout);
                    self.deliver(question.check, asking);
                }
                Kind::Network(network) => {
                    let network = network.clone();
                    let asking = self.interfaces.ask(question.check, move |state, clock| state.look(&network, clock));
                    self.spawn(question, asking);
                }
                Kind::Cgroup(cgroup) => {
                    let (cgroup, process) = (cgroup.clone(), question.identity);
                    let look = move |state: &mut cgroup::State, clock: &dyn Clock| state.look(&cgroup, process, clock);
                    let asking = self.cgroups.ask(question.check, look);
                    self.spawn(question, asking);
                }
                Kind::Certificate(_)
                | Kind::Dns(_)
                | Kind::Http(_)
                | Kind::Tcp(_)
                | Kind::Protocol(_)
                | Kind::Ping(_)
                | Kind::Program(_) => self.ask_patiently(question),
                Kind::Control(_) | Kind::Heartbeat(_) => {
                    self.spawn(question, std::future::ready(Sample::unknown(now, "this is not asked by a probe")));
                }
            }
        }
        if !processes.is_empty() {
            self.processes.ask(processes, now.mono);
        }
    }

    /// Lets go of what is kept for this check.
    pub fn forget(&self, check: CheckId) {
        self.processes.forget(check);
        self.everyone.forget(check);
        self.files.forget(check);
        self.directories.forget(check);
        self.filesystems.forget(check);
        self.interfaces.forget(check);
        self.cgroups.forget(check);
        self.programs.forget(check);
        self.net.certificates.forget(check);
    }

    /// These keep their deadline themselves: what they obtained until then is in their sample.
    fn ask_patiently(&self, question: Question) {
        let (inputs, net, programs) = (self.inputs.clone(), Arc::clone(&self.net), Arc::clone(&self.programs));
        self.runtime.spawn(async move {
            let Question { check, wanted, timeout, .. } = question;
            let sample = match &*question.kind {
                Kind::Http(http) => net.http(http, wanted, timeout).await,
                Kind::Tcp(tcp) => net.tcp(tcp, wanted, timeout).await,
                Kind::Protocol(protocol) => net.protocol(protocol, wanted, timeout).await,
                Kind::Certificate(certificate) => net.certificate(check, certificate, timeout).await,
                Kind::Dns(dns) => net.dns(dns, timeout).await,
                Kind::Ping(ping) => net.ping(ping, timeout).await,
                Kind::Program(program) => programs.ask(check, program, wanted, timeout).await,
                _ => return,
            };
            let _ = inputs.send(Input::Sampled(vec![(check, Arc::new(sample))]));
        });
    }

    /// Answers a question with what comes of asking, or at its timeout.
    fn spawn(&self, question: Question, asking: impl Future<Output = Sample> + Send + 'static) {
        let clock = Arc::clone(&self.clock);
        let began = clock.now().mono;
        self.deliver(question.check, async move {
            match tokio::time::timeout(question.timeout, asking).await {
                Ok(sample) => sample,
                Err(_) => {
                    let now = clock.now();
                    late(&question, now, now.mono - began)
                }
            }
        });
    }

    /// Answers a question with what comes of asking.
    fn deliver(&self, check: CheckId, asking: impl Future<Output = Sample> + Send + 'static) {
        let inputs = self.inputs.clone();
        self.runtime.spawn(async move {
            let sample = asking.await;
            // Nobody listens any more only when minder ends.
            let _ = inputs.send(Input::Sampled(vec![(check, Arc::new(sample))]));
        });
    }
}

/// The answer to a question that was not answered in time: what can fail has failed, all else is unknown.
fn late(question: &Question, at: Now, took: Duration) -> Sample {
    let failed = question.kind.metric("failed").map(|id| (id, Reading::Flag(true)));
    let note = format!("no answer within {}", write_duration(question.timeout));
    Sample { took, readings: failed.into_iter().collect(), ..Sample::unknown(at, note) }
}

/// Bytes that nobody can guess.
fn random<const N: usize>() -> Result<[u8; N], words::Trouble> {
    let mut bytes = [0; N];
    // So few bytes come at once, or not at all.
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) {
        Ok(length) if length == N => Ok(bytes),
        _ => Err(words::Trouble::ours("this machine has no random numbers")),
    }
}

/// The place of a metric in its kind's table. Used in constants only: a name that is not there does not compile.
const fn place(table: &[Metric], name: &str) -> MetricId {
    let mut at = 0;
    while !same(table[at].name.as_bytes(), name.as_bytes()) {
        at += 1;
    }
    MetricId(at as u8)
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    i == a.len() && i == b.len()
}
