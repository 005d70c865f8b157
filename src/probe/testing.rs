//! For tests: real processes, and all probes with their answers.
#![allow(clippy::disallowed_methods, reason = "tests start programs themselves")]

use super::Probes;
use crate::daemon::RealClock;
use crate::model::{CheckId, Identity, Input, Kind, MetricSet, Question, Sample};
use crate::sys::proc;
use std::collections::HashMap;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::UnboundedReceiver;

/// A process that ends with the test, and all that it started, whatever becomes of the test.
pub(super) struct Program(pub(super) Child);

impl Program {
    pub(super) fn start(program: &str, arguments: &[&str]) -> Program {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        Program(command.spawn().unwrap())
    }
    /// One whose process has this name and is `sleep`: a copy, since a link would not change the program's path.
    pub(super) fn sleeper(dir: &std::path::Path, name: &str) -> Program {
        let path = dir.join(name);
        if !path.exists() {
            std::fs::copy("/bin/sleep", &path).unwrap();
        }
        // Another test may be between fork and exec with the copy still open for writing.
        for _ in 0..1000 {
            match Command::new(&path).arg("60").stdin(Stdio::null()).process_group(0).spawn() {
                Err(e) if e.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                    std::thread::sleep(Duration::from_millis(1))
                }
                child => return Program(child.unwrap()),
            }
        }
        panic!("{} stays busy", path.display());
    }
    pub(super) fn pid(&self) -> u32 {
        self.0.id()
    }
    pub(super) fn identity(&self) -> Identity {
        Identity { pid: self.pid(), start: proc::stat(self.pid()).unwrap().start }
    }
    pub(super) fn end(self) {
        drop(self);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.0.wait();
    }
}

/// All probes, and what they answer.
pub(super) struct World {
    pub(super) probes: Probes,
    inputs: UnboundedReceiver<Input>,
    answers: HashMap<CheckId, Vec<Arc<Sample>>>,
    runtime: Runtime,
}

impl World {
    pub(super) fn new() -> World {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (sender, inputs) = tokio::sync::mpsc::unbounded_channel();
        let entered = runtime.enter();
        let probes = Probes::new(sender, Arc::new(RealClock)).unwrap();
        drop(entered);
        World { probes, inputs, answers: HashMap::new(), runtime }
    }
    /// The answer to one question.
    pub(super) fn ask(&mut self, question: Question) -> Arc<Sample> {
        let check = question.check;
        self.probes.ask(vec![question]);
        self.answer(check)
    }
    /// The next answer for this check.
    pub(super) fn answer(&mut self, check: CheckId) -> Arc<Sample> {
        loop {
            if let Some(sample) =
                self.answers.get_mut(&check).and_then(|samples| (!samples.is_empty()).then(|| samples.remove(0)))
            {
                return sample;
            }
            let inputs = &mut self.inputs;
            let next =
                self.runtime.block_on(async { tokio::time::timeout(Duration::from_secs(10), inputs.recv()).await });
            match next.expect("no answer within 10 s") {
                Some(Input::Sampled(samples)) => {
                    for (check, sample) in samples {
                        assert!(sample.readings.is_sorted_by(|a, b| a.0 < b.0), "{sample:?}");
                        self.answers.entry(check).or_default().push(sample);
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }
    /// How many more answers there are.
    pub(super) fn is_silent(&mut self) -> bool {
        self.answers.values().all(Vec::is_empty) && self.inputs.try_recv().is_err()
    }
}

/// A question with a check of its own number.
pub(super) fn question(check: u32, kind: &str, keys: &str, wanted: &[&str]) -> Question {
    let keys: serde_yaml::Value = serde_yaml::from_str(keys).unwrap();
    let kind = Kind::read(kind, keys).unwrap().unwrap();
    let mut set = MetricSet::default();
    wanted.iter().for_each(|name| set.insert(kind.metric(name).unwrap()));
    Question {
        check: CheckId(check),
        kind: Arc::new(kind),
        identity: None,
        wanted: set,
        timeout: Duration::from_secs(5),
        urgent: false,
    }
}
