//! What is known of one check: its latest sample, its windows, its rhythm, for a check of a process its life, and for a heartbeat
//! its pulse.

use super::beat::keys_of;
use super::death::Life;
use super::pulse::Pulse;
use super::schedule::{Rhythm, phase};
use super::window::Window;
use crate::model::kinds::Process;
use crate::model::{Check, CheckId, Exit, Found, Kind, MetricId, Mono, Now, Reading, Sample, Service, Signal, Term};
use std::path::PathBuf;
use std::sync::Arc;

/// See the head of this file.
#[derive(Debug)]
pub(super) struct CheckState {
    pub id: CheckId,
    pub rhythm: Rhythm,
    pub latest: Option<Arc<Sample>>,
    /// When its last sample came that said anything at all.
    pub spoke: Option<Mono>,
    pub windows: Vec<Window>,
    /// The places of the rules that mention it.
    pub rules: Vec<usize>,
    /// Of a check of a process.
    pub life: Option<Life>,
    /// Of a heartbeat; boxed, for most checks are none.
    pub pulse: Option<Box<Pulse>>,
}

impl CheckState {
    pub fn new(service: &Service, place: usize, check: &Check, id: CheckId, now: Now) -> CheckState {
        // Process checks are asked in one pass, on the common grid.
        let turn = phase(&service.name, &check.name);
        let spread = if matches!(*check.kind, Kind::Process(_)) { 0 } else { turn };
        let mut state = CheckState {
            id,
            rhythm: Rhythm::new(check.every, check.timeout, spread, turn, now.mono),
            latest: None,
            spoke: None,
            windows: Vec::new(),
            rules: Vec::new(),
            life: matches!(*check.kind, Kind::Process(_)).then(Life::default),
            pulse: keys_of(&check.kind).map(|keys| Box::new(Pulse::new(keys, now))),
        };
        state.learn_rules(service, place);
        state
    }

    /// Notes which rules mention it, and which windows they need; keeps those that it has.
    pub fn learn_rules(&mut self, service: &Service, place: usize) {
        self.rules.clear();
        let mut windows = Vec::new();
        for (r, rule) in service.rules.iter().enumerate() {
            let mut mentioned = false;
            for condition in std::iter::once(&rule.when).chain(rule.until.iter().map(|(until, _)| until)) {
                condition.each(&mut |comparison| {
                    let metric = comparison.term.metric();
                    if usize::from(metric.check) != place {
                        return;
                    }
                    mentioned = true;
                    if let Term::Window { window, .. } = comparison.term
                        && !windows.iter().any(|w: &Window| w.metric == metric.metric && w.span == window)
                    {
                        let old = self.windows.iter().position(|w| w.metric == metric.metric && w.span == window);
                        windows.push(match old {
                            Some(i) => self.windows.swap_remove(i),
                            None => Window::new(metric.metric, window),
                        });
                    }
                });
            }
            if mentioned {
                self.rules.push(r);
            }
        }
        self.windows = windows;
    }

    /// Takes a sample in. Absent means that there is no such thing any more: its window begins anew when it is back.
    pub fn take(&mut self, check: &Check, sample: &Arc<Sample>) {
        let at = sample.at.mono;
        for window in &mut self.windows {
            match sample.reading(window.metric) {
                Reading::Absent => window.clear(),
                reading => {
                    if let Some(value) = reading.number() {
                        window.push(value, at, check.stale_after());
                    }
                }
            }
        }
        if sample.found != Found::Unasked || sample.readings.iter().any(|(_, reading)| *reading != Reading::Unknown) {
            self.spoke = Some(at);
        }
        self.latest = Some(Arc::clone(sample));
    }

    /// It has said nothing for so long that nothing can be said of it.
    pub fn is_silent(&self, check: &Check, now: Mono) -> bool {
        self.spoke.is_none_or(|at| now - at > check.stale_after())
    }
}

/// The file whose changes are of interest to this check.
pub(super) fn watched_path(kind: &Kind) -> Option<PathBuf> {
    match kind {
        Kind::Process(process) => process.pidfile.as_ref().map(|p| p.as_path().to_owned()),
        Kind::File(file) => Some(file.path.as_path().to_owned()),
        _ => None,
    }
}

/// Whether a known process may be asked directly, and the selector be skipped: a pidfile names one process; any other selector
/// may match more of them by now.
pub(super) fn may_skip_selector(kind: &Kind) -> bool {
    matches!(kind, Kind::Process(process) if process.pidfile.is_some() || process.supervised)
}

/// The metrics of a process check that the engine knows better than the probe: how the process last died.
pub(super) fn exit_reading(metric: MetricId, exit: Option<Exit>) -> Option<Reading> {
    match (metric.0, exit) {
        (Process::EXIT_CODE, Some(Exit::Code(code))) => Some(Reading::Number(f64::from(code))),
        (Process::EXIT_SIGNAL, Some(Exit::Memory)) => Some(Reading::Text(Signal::KILL.to_string().into())),
        (Process::EXIT_MEMORY, Some(exit)) => Some(Reading::Flag(exit == Exit::Memory)),
        (Process::EXIT_SIGNAL, Some(Exit::Signal { number, .. })) => {
            Some(Reading::Text(Signal(number).to_string().into()))
        }
        (Process::EXIT_CODE | Process::EXIT_SIGNAL | Process::EXIT_MEMORY, _) => Some(Reading::Absent),
        _ => None,
    }
}

/// The sample as history shall have it: with how the process last died, where that is kept. Mostly the sample itself.
pub(super) fn for_history(check: &Check, sample: &Arc<Sample>, exit: Option<Exit>) -> Arc<Sample> {
    let metrics = [Process::EXIT_CODE, Process::EXIT_SIGNAL, Process::EXIT_MEMORY].map(MetricId);
    if exit.is_none() || !matches!(*check.kind, Kind::Process(_)) || !metrics.iter().any(|m| check.keep.contains(*m)) {
        return Arc::clone(sample);
    }
    let mut copy = Sample::clone(sample);
    for metric in metrics {
        copy.readings.retain(|(m, _)| *m != metric);
        copy.readings.extend(exit_reading(metric, exit).map(|reading| (metric, reading)));
    }
    copy.readings.sort_by_key(|(m, _)| *m);
    Arc::new(copy)
}
