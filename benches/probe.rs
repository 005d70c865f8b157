//! Processor time of one process check, from question to answer, beside its floor: a bare `pread` of the kept line.
#![allow(missing_docs, clippy::disallowed_methods, clippy::unwrap_used, reason = "a program that measures")]

use minder::daemon::RealClock;
use minder::model::kinds::Process;
use minder::model::{CheckId, Identity, Input, Kind, MetricSet, Question};
use minder::probe::Probes;
use minder::sys::proc;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

const PROCESSES: u32 = 1000;
const ROUNDS: u32 = 50;

/// Processor time of this whole program.
fn used() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

struct Children(Vec<Child>);

impl Drop for Children {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(|child| drop(child.kill()));
        self.0.iter_mut().for_each(|child| drop(child.wait()));
    }
}

fn main() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
    let sleep = || Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().unwrap();
    let children = Children((0..PROCESSES).map(|_| sleep()).collect());
    let identities: Vec<Identity> = children
        .0
        .iter()
        .map(|child| Identity { pid: child.id(), start: proc::stat(child.id()).unwrap().start })
        .collect();

    let files: Vec<_> = identities.iter().map(|id| proc::open_stat(id.pid).unwrap()).collect();
    let mut line = [0; 640];
    let floor = measure(|| {
        for file in &files {
            assert!(rustix::io::pread(file, &mut line, 0).unwrap() > 0);
        }
    });
    drop(files);

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    let (sender, mut inputs) = tokio::sync::mpsc::unbounded_channel();
    let probes = Probes::new(sender, Arc::new(RealClock)).unwrap();
    let kind = Kind::Process(Process { pidfile: Some("/nowhere".parse().unwrap()), ..Process::default() });
    let kind = Arc::new(kind);
    let question = |(check, identity): (u32, &Identity)| Question {
        check: CheckId(check),
        kind: Arc::clone(&kind),
        identity: Some(*identity),
        wanted: MetricSet::default(),
        timeout: Duration::from_secs(5),
        urgent: false,
    };
    let ours = measure(|| {
        probes.ask((0..).zip(&identities).map(question).collect());
        let mut answers = 0;
        while answers < identities.len() {
            if let Some(Input::Sampled(samples)) = runtime.block_on(inputs.recv()) {
                answers += samples.len();
            }
        }
    });
    println!("one process check: {ours:.2} µs of processor time; bare pread: {floor:.2} µs; ratio {:.2}", ours / floor);
}

/// Microseconds of processor time for each process, after a first round that does not count.
fn measure(mut round: impl FnMut()) -> f64 {
    round();
    let before = used();
    (0..ROUNDS).for_each(|_| round());
    (used() - before).as_secs_f64() * 1e6 / f64::from(ROUNDS * PROCESSES)
}
