//! What a control file says, as far as it was understood.

use super::read::{Amount, Place};

/// A control file with all that it includes.
#[derive(Debug, Default)]
pub struct Control {
    pub settings: Vec<Said<Setting>>,
    pub services: Vec<Service>,
}

/// A statement, or the text of one that was not understood.
#[derive(Debug)]
pub struct Said<T> {
    /// Nothing if it was not understood.
    pub it: Option<T>,
    pub place: Place,
    /// In one line, without passwords.
    pub text: String,
}

#[derive(Debug)]
pub enum Setting {
    /// The time between two cycles, and the delay before the first, in seconds.
    Daemon {
        every: u32,
        delay: Option<u32>,
    },
    MailServers(Vec<MailServer>),
    /// The sender.
    MailFormat(String),
    Alert(Alert),
    /// Names in small letters.
    Limits(Vec<(String, Amount)>),
    /// Whether certificates are verified, if it says so.
    Tls(Option<bool>),
    Httpd,
    /// After a boot, what was not stopped by hand is watched.
    Onreboot,
    /// What minder has no use for: the reason.
    Needless(&'static str),
    /// What minder cannot do: the reason.
    Unknown(&'static str),
}

#[derive(Debug)]
pub struct MailServer {
    pub host: String,
    pub port: Option<u32>,
    pub user: Option<String>,
    pub tls: bool,
    pub hostname: bool,
}

#[derive(Debug, Clone)]
pub struct Alert {
    pub address: String,
    pub events: Events,
    pub reminder: bool,
    pub format: bool,
}

/// Which events somebody hears of, in small letters.
#[derive(Debug, Clone, PartialEq)]
pub enum Events {
    All,
    Only(Vec<String>),
    Not(Vec<String>),
}

#[derive(Debug)]
pub struct Service {
    pub name: String,
    /// Nothing if it was not understood.
    pub kind: Option<Kind>,
    pub place: Place,
    pub text: String,
    pub statements: Vec<Said<Statement>>,
}

#[derive(Debug)]
pub enum Kind {
    Pidfile(String),
    Matching(String),
    File(String),
    Directory(String),
    Fifo(String),
    Filesystem(String),
    Host(String),
    Interface(String),
    /// A network by an address.
    Address,
    Program(Command),
    System,
}

/// A program and how it is run.
#[derive(Debug, Clone, Default)]
pub struct Command {
    pub line: String,
    pub uid: Option<String>,
    pub gid: Option<String>,
    /// In seconds.
    pub timeout: Option<u32>,
}

#[derive(Debug)]
pub enum Statement {
    Start(Command),
    Stop(Command),
    Restart(Command),
    Every(u32),
    /// A time of day; whether it is one at which nothing is asked.
    Cron {
        not: bool,
    },
    Mode(Mode),
    OnReboot(String),
    Group(String),
    Depends(Vec<String>),
    Alert(Alert),
    NoAlert(String),
    If(Box<If>),
    /// Lines that do not count.
    Ignore,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Active,
    Passive,
    Manual,
}

#[derive(Debug)]
pub struct If {
    pub test: Test,
    pub hold: Hold,
    pub action: Action,
    pub recovery: Option<Action>,
}

/// How long a test must fail, in cycles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    None,
    Cycles(u32),
    Times(u32, u32),
}

#[derive(Debug, Clone)]
pub enum Action {
    Alert,
    Restart,
    Start,
    Stop,
    Unmonitor,
    Exec { command: Command, repeat: bool },
}

#[derive(Debug)]
pub enum Test {
    /// So many restarts within so many cycles.
    Restarts(u32, u32),
    Exists(bool),
    Connection(Box<Connection>),
    Ping(Ping),
    /// Something is not as it was.
    Changed(What),
    /// Something is not as it should be, and how that is.
    Failed(What, Option<String>),
    /// An expression matches, or does not.
    Content {
        not: bool,
        expression: String,
    },
    Link {
        up: bool,
    },
    Resource {
        what: Resource,
        op: Op,
        amount: Amount,
    },
    /// So much in the last so many seconds.
    Traffic {
        up: bool,
        op: Op,
        amount: Amount,
        seconds: u64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Checksum,
    Permission,
    Uid,
    Gid,
    Size,
    Timestamp,
    Pid,
    Ppid,
    FilesystemFlags,
    LinkCapacity,
    Status,
    /// The effective user or group, an attribute of security.
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    Cpu,
    CpuTotal,
    CpuWait,
    CpuSteal,
    /// User, system, nice and others.
    CpuOther,
    /// Over so many minutes.
    Load {
        minutes: u8,
        per_core: bool,
    },
    Memory,
    MemoryTotal,
    Swap,
    Children,
    Threads,
    Files,
    FilesTotal,
    Read,
    Write,
    Space,
    SpaceFree,
    Inodes,
    InodesFree,
    ServiceTime,
    Uptime,
    Size,
    Age,
    AccessTime,
    Status,
    Saturation,
    Upload,
    Download,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    Unequal,
}

#[derive(Debug, Default)]
pub struct Ping {
    pub succeeded: bool,
    pub count: Option<u32>,
    pub timeout: Option<u32>,
    pub response: Option<(Op, Amount)>,
    pub size: bool,
}

/// A test of a connection.
#[derive(Debug, Default)]
pub struct Connection {
    pub succeeded: bool,
    pub host: Option<String>,
    pub port: Option<u32>,
    pub unix: Option<String>,
    pub url: Option<String>,
    pub udp: bool,
    pub tls: bool,
    pub verify: Option<bool>,
    /// In small letters.
    pub protocol: Option<String>,
    pub request: Option<String>,
    pub method: Option<String>,
    pub status: Option<(Op, u32)>,
    /// Expressions that the body must match, or must not.
    pub contents: Vec<(bool, String)>,
    pub headers: Vec<(String, String)>,
    pub user: Option<String>,
    pub password: bool,
    pub database: Option<String>,
    /// What is sent, or expected: true for what is sent.
    pub steps: Vec<(bool, String)>,
    pub timeout: Option<u32>,
    pub retry: Option<u32>,
    pub response: Option<(Op, Amount)>,
    /// How many days the certificate must still be valid.
    pub days: Option<u32>,
    /// Options that minder does not have, in a few words each.
    pub beyond: Vec<&'static str>,
}
