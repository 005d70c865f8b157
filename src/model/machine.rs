//! What the machine itself does, for people. Rates and shares are of the time since the look before.

use super::Wall;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The machine at one moment. What its kernel does not tell is missing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MachineView {
    /// When.
    pub at: Wall,
    /// Its name.
    pub host: String,
    /// Its kernel: `Linux 6.12.9 x86_64`.
    pub kernel: String,
    /// Since its boot, in seconds.
    pub uptime: f64,
    /// Its processors.
    pub cores: u64,
    /// Of all processor time, in percent.
    pub cpu: Option<CpuView>,
    /// Over 1, 5 and 15 minutes.
    pub load: Option<[f64; 3]>,
    /// In bytes.
    pub memory: Option<PartView>,
    /// In bytes; of nothing where there is no swap.
    pub swap: Option<PartView>,
    /// The share of the last ten seconds in which something waited, in percent.
    pub pressure: PressureView,
    /// Open files, of all that there may be.
    pub files: Option<PartView>,
    /// Processes and threads, of all that there may be.
    pub processes: Option<PartView>,
    /// What the control group that minder runs in may use, where that is less than the machine has.
    pub limits: Option<LimitsView>,
    /// Filesystems that keep something, by where they are mounted.
    pub filesystems: Vec<FilesystemView>,
    /// There are so many more.
    pub more_filesystems: usize,
    /// Network interfaces, by name.
    pub interfaces: Vec<InterfaceView>,
    /// There are so many more.
    pub more_interfaces: usize,
    /// Those that use most processor time.
    pub busiest: Vec<ProcessView>,
    /// Those that use most memory.
    pub largest: Vec<ProcessView>,
}

/// A number, and the whole that it is a part of.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PartView {
    /// The number.
    pub value: f64,
    /// The whole.
    pub whole: f64,
}

impl PartView {
    /// In percent of the whole; nothing of nothing.
    pub fn percent(&self) -> Option<f64> {
        (self.whole > 0.0).then(|| self.value / self.whole * 100.0)
    }
}

/// Shares of all processor time, in percent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CpuView {
    /// At work.
    pub busy: f64,
    /// With nothing to do but wait for storage.
    pub iowait: f64,
    /// Taken by other machines of the same host.
    pub steal: f64,
}

/// What was waited for, in percent of the time (PSI).
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PressureView {
    /// A processor.
    pub cpu: Option<f64>,
    /// Memory.
    pub memory: Option<f64>,
    /// Storage.
    pub io: Option<f64>,
}

/// What a control group may use.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LimitsView {
    /// In bytes.
    pub memory: Option<PartView>,
    /// Processes and threads.
    pub processes: Option<PartView>,
    /// How much of the time it was held back for having used its processor time, in percent.
    pub throttled: Option<f64>,
}

/// A filesystem.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FilesystemView {
    /// Where it is mounted.
    pub mount: String,
    /// Its type: `ext4`.
    pub kind: String,
    /// What was mounted: a device, a share.
    pub source: String,
    /// For reading only.
    pub readonly: bool,
    /// In use, in bytes; as `df` has it.
    pub used: Option<PartView>,
    /// Inodes in use.
    pub inodes: Option<PartView>,
    /// Why nothing is known: it does not answer.
    pub note: Option<String>,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InterfaceView {
    /// Its name.
    pub name: String,
    /// Whether it is up.
    pub up: Option<bool>,
    /// Why it is down.
    pub note: Option<String>,
    /// In bytes a second.
    pub received: Option<f64>,
    /// In bytes a second.
    pub sent: Option<f64>,
    /// Errors a second.
    pub errors: Option<f64>,
    /// What it can carry in each direction, in bytes a second.
    pub speed: Option<f64>,
}

/// A process. Its command line may hold secrets, and is not looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProcessView {
    /// Its pid.
    pub pid: u32,
    /// The name that it has given itself.
    pub name: String,
    /// The user that it runs as.
    pub user: Option<String>,
    /// In percent of one processor.
    pub cpu: f64,
    /// Resident memory, in bytes.
    pub memory: f64,
}
