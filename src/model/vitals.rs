//! How minder itself fares, and what it has counted since it started: for programs that draw curves.

use super::Name;
use std::collections::BTreeMap;
use std::time::Duration;

/// Numbers of minder itself. What is counted never grows less while minder runs; what has left the plan is forgotten.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Vitals {
    /// A database cannot be written.
    pub store_trouble: bool,
    /// Samples that could not be kept.
    pub samples_dropped: u64,
    /// Samples that have come in.
    pub samples: u64,
    /// Steps of the loop, the time that they took, and the longest of them.
    pub steps: u64,
    /// See [`Vitals::steps`].
    pub stepping: Duration,
    /// See [`Vitals::steps`].
    pub slowest: Duration,
    /// Messages that wait, by notifier.
    pub waiting: BTreeMap<Name, usize>,
    /// What was counted of each service.
    pub services: BTreeMap<Name, OfService>,
    /// What was counted of each notifier.
    pub notifiers: BTreeMap<Name, OfNotifier>,
}

/// What was counted of a service.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OfService {
    /// How often each rule has fired.
    pub fired: BTreeMap<String, u64>,
    /// Actions, by their verb and by what came of them: `done`, `failed`, `held`.
    pub actions: BTreeMap<(&'static str, &'static str), u64>,
    /// Ends of processes that were seen.
    pub deaths: u64,
    /// Incidents that began.
    pub incidents: u64,
    /// Of each `process` check, what its processes have used while they were watched.
    pub used: BTreeMap<Name, Used>,
}

/// What processes have used.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Used {
    /// Processor time, in seconds.
    pub cpu: f64,
    /// Bytes read from storage, if that was looked at.
    pub read: Option<f64>,
    /// Bytes written to storage, if that was looked at.
    pub written: Option<f64>,
}

/// What was counted of a notifier.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OfNotifier {
    /// Attempts to deliver, each of one or several messages, by what came of them: `delivered`, `deferred`, `refused`.
    pub attempts: BTreeMap<&'static str, u64>,
    /// Messages by how they ended: `delivered`, `dead`, `dropped`.
    pub ended: BTreeMap<&'static str, u64>,
}
