//! Services that live, die, and answer.

use crate::model::*;
use std::collections::BTreeMap;
use std::time::Duration;

/// What becomes of a start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Start {
    /// A process is there and lives.
    Up,
    /// It is there and dies after so many milliseconds.
    Dies(u64),
    /// The command ends with 1.
    Fails,
    /// Nothing ever comes of it, nor is it reported.
    Hangs,
    /// The supervisor is told to stop it, and minder ends before it is told to start it.
    Half,
    /// It is on its way, whether minder hears of that or not, and is brought up by the test.
    Slow { reported: bool },
}

/// A service as it really is.
#[derive(Debug, Clone)]
pub struct Real {
    pub process: Option<Identity>,
    pub size: f64,
    pub memory: f64,
    pub trouble: bool,
    pub answers: bool,
    pub wanted: bool,
    pub supervisor: bool,
    /// The supervisor has given it up.
    pub failed: bool,
    /// The supervisor can be asked.
    pub askable: bool,
    /// It answers after so many milliseconds.
    pub control_takes: u64,
    /// What goes on while no process is there.
    pub meanwhile: Phase,
    /// Since when it is so, by the supervisor's record.
    pub since: Option<Wall>,
    /// The state of the supervisor's record, where it changes without a process to be seen.
    pub stamp: u64,
    pub start: Start,
    /// What a check of many processes finds: pid and processor time.
    pub crowd: BTreeMap<u32, f64>,
}

impl Default for Real {
    fn default() -> Real {
        let (size, memory) = (1.0, 1e6);
        Real {
            process: None,
            size,
            memory,
            trouble: false,
            answers: true,
            wanted: true,
            supervisor: true,
            failed: false,
            askable: true,
            control_takes: 1,
            meanwhile: Phase::Down,
            since: None,
            stamp: 0,
            start: Start::Up,
            crowd: BTreeMap::new(),
        }
    }
}

impl Real {
    /// What a probe or its supervisor says; `halved`: its control knows that a restart of its own has stopped it.
    pub fn answer(&self, question: &Question, at: Now, halved: bool) -> Sample {
        let mut sample = Sample { at, took: Duration::ZERO, readings: Vec::new(), note: None, found: Found::Unasked };
        match &*question.kind {
            Kind::Process(process) => {
                let named = if process.supervised { question.identity } else { self.process };
                assert!(
                    !process.supervised || named.is_some(),
                    "nobody is looked for in the place of a supervised process"
                );
                sample.found = named.filter(|one| self.process == Some(*one)).map_or(Found::Nobody, Found::Process);
                let down = self.process.is_none();
                let memory = if down { Reading::Absent } else { Reading::Part { value: self.memory, whole: 1e9 } };
                sample.readings = vec![(MetricId(0), Reading::Flag(down)), (MetricId(6), memory)];
            }
            Kind::Processes(_) => {
                sample.readings = vec![(MetricId(0), Reading::Number(self.crowd.len() as f64))];
                let each = |(pid, cpu): (&u32, &f64)| Each {
                    identity: Identity { pid: *pid, start: 1 },
                    name: "stress".into(),
                    user: "nobody".into(),
                    readings: vec![(MetricId(1), Reading::Number(*cpu))],
                };
                sample.found = Found::Each(self.crowd.iter().map(each).collect());
            }
            Kind::Control(_) if !self.askable => sample.note = Some("permission denied".into()),
            Kind::Control(_) => {
                sample.found = Found::Control(ControlState {
                    alive: self.supervisor,
                    wanted: Some(self.wanted || halved),
                    phase: match (self.process, self.meanwhile) {
                        (Some(_), Phase::Stopping) => Phase::Stopping,
                        (Some(_), _) => Phase::Running,
                        (None, meanwhile) => meanwhile,
                    },
                    since: self.since,
                    failed: self.failed,
                    stamp: self.stamp + self.process.map_or(0, |process| u64::from(process.pid)),
                    process: self.process,
                    word: if self.supervisor { "run" } else { "runsv is gone" }.into(),
                    ..ControlState::default()
                });
            }
            _ => {
                let readings = [Reading::Flag(self.trouble), Reading::Number(self.size)];
                sample.readings = (0..).map(MetricId).zip(readings).collect();
            }
        }
        sample
    }
}
