//! Messages: what one notifier is to hear of one thing, what became of that, and why.
//!
//! The way of a message is a list of stages, each small and each with its reasons:
//!
//! | stage | asks | where |
//! |---|---|---|
//! | incident | is there anything to tell, and to whom? | `engine/tell.rs`, `flap.rs`, `escalate.rs` |
//! | inhibit | is something that the service needs not well? | `engine/needs.rs`, `hold.rs` |
//! | silence | has somebody asked for silence, or is it maintenance? | `engine/outbox/silence.rs` |
//! | schedule | does this notifier want it, and at this hour? | `engine/outbox/schedule.rs` |
//! | group | does it wait for others to go with it? | `engine/outbox/group.rs` |
//! | deduplicate | does another message say the same, or more? | `engine/outbox/merge.rs` |
//! | render | how does it read? | `notify/render.rs`, `notify/template.rs` |
//! | deliver | was it taken? | `notify/`, `engine/outbox/deliver.rs` |
//! | record | what became of it | `store/` |
//!
//! Each step of a message's way is kept with it, as a [`Step`]: `minder explain --message` shows them.

use super::{Ack, Name, Severity, Wall};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// A message's number: grows by one; never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct MessageId(pub u64);

/// A message to one notifier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Its number.
    pub id: MessageId,
    /// The same for every attempt at it, and for no other message of any minder: receivers may use it against doubles.
    pub key: String,
    /// Which notifier.
    pub to: Name,
    /// What it is about.
    pub kind: MessageKind,
    /// When it was written.
    pub at: Wall,
    /// From when on it is no longer worth sending.
    pub expires: Wall,
    /// What it tells.
    pub story: Story,
    /// What has become of it.
    #[serde(default)]
    pub state: MessageState,
    /// How that came, the latest last; at most [`Message::STEPS`].
    #[serde(default)]
    pub steps: Vec<Step>,
}

impl Message {
    /// What is the same in the keys of all messages of this minder, and of no other: all but the number at the end.
    pub fn instance(&self) -> &str {
        let key = self.key.trim_end_matches(|c: char| c.is_ascii_digit());
        key.trim_end_matches(|c: char| !c.is_ascii_alphanumeric())
    }

    /// So many steps are kept: the first, and the latest.
    pub const STEPS: usize = 20;

    /// Takes note of a step on its way. One that repeats the latest is not kept again; when there are too many, the second
    /// goes. Whether it was kept.
    pub fn step(&mut self, at: Wall, stage: Stage, why: Why) -> bool {
        if self.steps.last().is_some_and(|last| last.stage == stage && last.why == why) {
            return false;
        }
        if self.steps.len() >= Message::STEPS {
            self.steps.remove(1);
        }
        self.steps.push(Step { at, stage, why });
        true
    }
}

/// What has become of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MessageState {
    /// It waits: to be let go, to be sent, to be tried again.
    #[default]
    Waiting,
    /// Its notifier has taken it.
    Delivered,
    /// It was meant to be told, and could not be: refused, expired, crowded out. It can be sent again on request.
    Dead,
    /// There was a reason not to tell it, or another message tells it.
    Dropped,
}

impl MessageState {
    /// All there are.
    pub const ALL: [MessageState; 4] =
        [MessageState::Waiting, MessageState::Delivered, MessageState::Dead, MessageState::Dropped];

    /// The state of this word.
    pub fn of(word: &str) -> Option<MessageState> {
        MessageState::ALL.into_iter().find(|state| state.word() == word)
    }

    /// The word, as it is stored and filtered.
    pub fn word(self) -> &'static str {
        match self {
            MessageState::Waiting => "waiting",
            MessageState::Delivered => "delivered",
            MessageState::Dead => "dead",
            MessageState::Dropped => "dropped",
        }
    }
}

/// A step on the way of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// When.
    pub at: Wall,
    /// Where.
    pub stage: Stage,
    /// Why it goes on, waits, or ends there.
    #[serde(flatten)]
    pub why: Why,
}

/// A stage of a message's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// What there is to tell.
    Incident,
    /// What its service needs.
    Inhibit,
    /// What people have asked not to hear.
    Silence,
    /// What the notifier wants, and when.
    Schedule,
    /// Together with others.
    Group,
    /// Not twice.
    Deduplicate,
    /// Its words.
    Render,
    /// Its receiver.
    Deliver,
    /// Its end.
    Record,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Incident => "incident",
            Stage::Inhibit => "inhibit",
            Stage::Silence => "silence",
            Stage::Schedule => "schedule",
            Stage::Group => "group",
            Stage::Deduplicate => "deduplicate",
            Stage::Render => "render",
            Stage::Deliver => "deliver",
            Stage::Record => "record",
        })
    }
}

/// Why a message goes on, waits, or ends at a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "why")]
pub enum Why {
    /// There is something to tell this notifier.
    Told {
        /// What makes it news: `http.failed fires`, `given up`, `escalated after 15 min`, `reminder`.
        of: String,
    },
    /// What the service needs is not well.
    Needs {
        /// `database is critical`.
        what: String,
    },
    /// minder runs with `--no-act`.
    NoAct,
    /// Somebody has asked for silence.
    Silenced {
        /// Its number; nothing if it is maintenance of the plan.
        silence: Option<u64>,
        /// By whom, or the name of the maintenance.
        by: String,
        /// Why.
        reason: String,
        /// Until when.
        until: Wall,
    },
    /// The notifier is not told at this hour.
    OutsideHours {
        /// From when on it is again; nothing if that is not soon.
        until: Option<Wall>,
    },
    /// It is less than what the notifier is told of.
    BelowSeverity {
        /// What it wants at least.
        least: Severity,
    },
    /// The notifier is not told of this kind of event.
    Unwanted {
        /// Which.
        kind: MessageKind,
    },
    /// It waits for others that go with it, or for the time between two messages to pass.
    Gathers {
        /// Until when.
        until: Wall,
    },
    /// It went together with others.
    Together {
        /// So many in all.
        count: usize,
    },
    /// Another message tells this, and more.
    Merged {
        /// Which.
        into: MessageId,
    },
    /// This notifier was not told of the beginning, and does not have to hear of the end.
    NeverTold,
    /// Over, before there was leave to tell it.
    OverByThen,
    /// The notifier's own words could not be used; minder's were.
    Plainly {
        /// What is wrong with them.
        error: String,
    },
    /// It was not taken, and is tried again.
    Deferred {
        /// Why.
        error: String,
        /// When it is tried again.
        until: Wall,
    },
    /// It was taken.
    Taken,
    /// It will never be taken.
    Refused {
        /// Why.
        error: String,
    },
    /// Its time was up.
    Expired {
        /// Why the latest attempt failed, if there was one.
        error: Option<String>,
    },
    /// Too many waited, and this was worth least.
    Crowded {
        /// So many may wait.
        most: usize,
    },
    /// The plan has no such notifier any more.
    Removed,
    /// Somebody asked for it to be sent again.
    Resent {
        /// Who.
        by: String,
    },
}

impl Why {
    /// It was tried, and this came of it.
    pub fn is_attempt(&self) -> bool {
        matches!(self, Why::Taken | Why::Deferred { .. } | Why::Refused { .. })
    }
    /// It waits until there is leave to tell it: that it takes long is no reason to give it up.
    pub fn holds(&self) -> bool {
        matches!(self, Why::Silenced { .. } | Why::OutsideHours { .. })
    }
}

impl fmt::Display for Why {
    /// In words for people, in one line; times are left to whoever shows them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Told { of } => f.write_str(of),
            Why::Needs { what } => write!(f, "held: {what}"),
            Why::NoAct => f.write_str("not told: minder runs with --no-act"),
            Why::Silenced { silence: Some(id), by, reason, .. } => {
                write!(f, "silenced by {by} (silence {id}): {reason}")
            }
            Why::Silenced { silence: None, by, reason, .. } if reason.is_empty() => write!(f, "maintenance {by}"),
            Why::Silenced { silence: None, by, reason, .. } => write!(f, "maintenance {by}: {reason}"),
            Why::OutsideHours { .. } => f.write_str("outside the `hours` of this notifier"),
            Why::BelowSeverity { least } => write!(f, "less than the `severity` of this notifier, {least}"),
            Why::Unwanted { kind } => write!(f, "not among the `kinds` of this notifier: {kind}"),
            Why::Gathers { .. } => f.write_str("waits for what goes with it"),
            Why::Together { count } => write!(f, "one of {count} in one message"),
            Why::Merged { into } => write!(f, "told by message {} instead", into.0),
            Why::NeverTold => f.write_str("this notifier was not told of its beginning"),
            Why::OverByThen => f.write_str("over before it could be told"),
            Why::Plainly { error } => write!(f, "the template failed, the built-in words were sent: {error}"),
            Why::Deferred { error, .. } => write!(f, "not taken, tried again: {error}"),
            Why::Taken => f.write_str("taken"),
            Why::Refused { error } => write!(f, "refused: {error}"),
            Why::Expired { error: None } => f.write_str("expired before it could be sent"),
            Why::Expired { error: Some(error) } => write!(f, "expired; the latest attempt: {error}"),
            Why::Crowded { most } => write!(f, "more than {most} messages waited for this notifier"),
            Why::Removed => f.write_str("the plan has no such notifier any more"),
            Why::Resent { by } => write!(f, "sent again, as {by} asked"),
        }
    }
}

/// Messages to one notifier that are delivered together, in one attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Parcel {
    /// The number of this attempt; never used again while minder runs.
    pub id: ParcelId,
    /// The same for every attempt at these messages, also after a restart, and for no others of any minder: receivers may use
    /// it against doubles.
    pub key: String,
    /// Which notifier.
    pub to: Name,
    /// What is told, the worst first; never empty.
    pub messages: Vec<Arc<Message>>,
    /// What else is failing now, in a line each, bounded.
    pub others: Vec<String>,
}

/// An attempt at a parcel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParcelId(pub u64);

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MessageKind {
    /// Something is wrong.
    Firing,
    /// There is more to tell of what is wrong: given up, another rule fires.
    Update,
    /// All is well again.
    Resolved,
    /// It is still wrong.
    Reminder,
    /// Somebody looks after it.
    Acknowledged,
    /// Something has changed; nothing is wrong.
    Notice,
}

impl MessageKind {
    /// All there are.
    pub const ALL: [MessageKind; 6] = [
        MessageKind::Firing,
        MessageKind::Update,
        MessageKind::Resolved,
        MessageKind::Reminder,
        MessageKind::Acknowledged,
        MessageKind::Notice,
    ];
    /// The word in the rule language.
    pub fn word(self) -> &'static str {
        match self {
            MessageKind::Firing => "firing",
            MessageKind::Update => "update",
            MessageKind::Resolved => "resolved",
            MessageKind::Reminder => "reminder",
            MessageKind::Acknowledged => "acknowledged",
            MessageKind::Notice => "notice",
        }
    }
}

impl fmt::Display for MessageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What a message tells: facts only; the sentences are made where it is sent.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Story {
    /// The machine.
    pub host: String,
    /// The service; empty where it is about minder itself, and in a test.
    pub service: String,
    /// What it is, for people.
    pub description: Option<String>,
    /// The incident's number.
    pub incident: Option<u64>,
    /// How bad.
    pub severity: Option<Severity>,
    /// The service's status now.
    pub status: String,
    /// In a few words: `web: http.failed`, `web died (exit code 3)`.
    pub title: String,
    /// Since when.
    pub since: Option<Wall>,
    /// When it ended.
    pub ended: Option<Wall>,
    /// When the process was first seen that a start has brought, and that has stayed up since: before it was known to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up: Option<Wall>,
    /// What fired.
    pub rules: Vec<StoryRule>,
    /// How the process died: `pid 812 killed by SIGSEGV, core dumped`.
    pub death: Option<String>,
    /// What was done, and what came of it.
    pub actions: Vec<StoryAction>,
    /// The last lines of the log, bounded.
    pub log: Vec<String>,
    /// What to do, where that is known: a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub advice: Vec<String>,
    /// The processes that use most, when the machine is short of memory or cpu: a line each, bounded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub top: Vec<String>,
    /// Why this is told just now, if that is not plain: `nobody has acknowledged it for 15 min`, `web flaps`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
    /// It is over, and its receiver has heard nothing of it before: this tells all of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole: bool,
    /// Who looks after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ack: Option<Ack>,
    /// The tags and the group of the service: silences go by them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Somebody tries the notifier: nothing is wrong, and nothing is over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub test: bool,
    /// Where the page shows it, if the page has an address for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

/// A rule in a story.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoryRule {
    /// Its name.
    pub rule: String,
    /// Its condition, and hold.
    pub condition: String,
    /// The values and limits: `process.memory 612 MB (limit 500 MB)`.
    pub value: String,
    /// What the probe said.
    pub note: Option<String>,
    /// Since when it fires.
    pub since: Wall,
}

/// An action in a story.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoryAction {
    /// Which.
    pub action: String,
    /// Whether it did what it should; nothing while it is under way.
    pub ok: Option<bool>,
    /// What came of it.
    pub words: String,
}
