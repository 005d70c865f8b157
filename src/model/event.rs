//! Events and incidents: what is remembered.

use super::{Ack, Exit, Identity, Name, Scope, Severity, Wall, services_words, show_duration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// An immutable fact, recorded on a transition only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Grows by one; never used again.
    pub id: u64,
    /// When.
    pub at: Wall,
    /// Of which service; nothing if it is about minder itself.
    pub service: Option<Name>,
    /// The incident that it belongs to.
    pub incident: Option<u64>,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// One of many processes, as people are told of it: `stress (pid 1234, user nobody)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Subject {
    /// Which.
    pub identity: Identity,
    /// Its name.
    pub name: String,
    /// The user that it runs as.
    pub user: String,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, user {})", self.name, self.identity, self.user)
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum EventKind {
    /// minder has started.
    Started {
        /// Its version.
        version: String,
    },
    /// minder is about to end.
    Ended,
    /// A plan is in effect.
    Planned {
        /// How many services it has.
        services: usize,
    },
    /// A plan was refused; the one before stays in effect.
    Refused {
        /// The report of its mistakes.
        report: String,
    },
    /// Something that people should know: about minder itself, or, told later than its event, about the service.
    Noted {
        /// What.
        words: String,
    },
    /// A rule fires.
    Fired {
        /// Which.
        rule: String,
        /// How bad it is.
        severity: Severity,
        /// The condition, and the hold.
        condition: String,
        /// The values that made it true: `process.memory 612 MB`.
        value: String,
        /// What the probe said, if it said something.
        note: Option<String>,
        /// The process that it fires for, if it judges each by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        of: Option<Subject>,
    },
    /// A rule no longer fires.
    Resolved {
        /// Which.
        rule: String,
        /// How long it fired, in milliseconds.
        after: u64,
        /// Why, if not because its condition is false: its rule is gone, the service was stopped, the process has ended.
        why: Option<String>,
        /// The process that it fired for, if it judges each by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        of: Option<Subject>,
    },
    /// A rule that is a notice has seen a change.
    Noticed {
        /// Which.
        rule: String,
        /// What it was.
        from: String,
        /// What it is.
        to: String,
    },
    /// A process has ended.
    Died {
        /// Which.
        process: Identity,
        /// How, where it is known.
        how: Option<Exit>,
    },
    /// A process was found where there was none.
    Appeared {
        /// Which.
        process: Identity,
    },
    /// Another process stands in the place of the old one.
    Replaced {
        /// The old one.
        old: Identity,
        /// The new one.
        new: Identity,
    },
    /// An action begins.
    Acting {
        /// Which.
        action: String,
        /// Who asked: a rule's name, or a person.
        by: String,
    },
    /// An action has ended.
    Acted {
        /// Which.
        action: String,
        /// Whether it did what it should.
        ok: bool,
        /// What came of it.
        words: String,
        /// How long it took, in milliseconds.
        took: u64,
        /// The last lines that a command wrote, if there was more than one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output: Option<String>,
    },
    /// An action was due and was not taken.
    Held {
        /// Which.
        action: String,
        /// Why.
        why: String,
    },
    /// The budget is spent.
    GaveUp {
        /// How many restarts were tried.
        restarts: u32,
        /// Within how long, in milliseconds.
        within: u64,
    },
    /// A person, or a rule, wants it up or down.
    Intended {
        /// Up, or down.
        up: bool,
        /// Who.
        by: String,
    },
    /// It is not judged until it is resumed.
    Paused {
        /// By whom.
        by: String,
    },
    /// It is judged again.
    Resumed {
        /// By whom.
        by: String,
    },
    /// An incident begins.
    Opened {
        /// How bad.
        severity: Severity,
    },
    /// An incident ends.
    Closed {
        /// How long it lasted, in milliseconds.
        after: u64,
    },
    /// Somebody looks after an incident.
    Acknowledged {
        /// Who.
        by: String,
        /// What for, or how far it has come.
        reason: String,
        /// Until when, if it ends by itself.
        until: Option<Wall>,
    },
    /// Nobody looks after it any more, though it is not over.
    Unacknowledged {
        /// Who has ended that; `its time is up` if it has ended by itself.
        by: String,
    },
    /// Somebody has written about an incident.
    Written {
        /// Who.
        by: String,
        /// What.
        words: String,
        /// The public may read it, if it may see the service.
        public: bool,
    },
    /// Nobody has acknowledged an incident, and others hear of it.
    Escalated {
        /// Which notifiers.
        to: String,
    },
    /// Incidents begin and end again and again: they are told of as one.
    Flaps {
        /// `6 changes in 8 min`.
        words: String,
    },
    /// They do so no more.
    Steady {
        /// How long it was, in milliseconds.
        after: u64,
    },
    /// The brake holds further automatic restarts, over all services.
    Braked {
        /// So many are allowed.
        restarts: u32,
        /// Within how long, in milliseconds.
        within: u64,
    },
    /// The brake has let go.
    Unbraked {
        /// Who released it, or why it let go by itself.
        by: String,
        /// Which services go ahead.
        services: Vec<Name>,
    },
    /// Nobody is told of some things for a while.
    Silenced {
        /// The silence's number.
        silence: u64,
        /// Who asked for it.
        by: String,
        /// What it is about.
        scope: Scope,
        /// Why.
        reason: String,
        /// For how long at most, in milliseconds.
        lasts: u64,
    },
    /// A silence is over.
    Unsilenced {
        /// Its number.
        silence: u64,
        /// What it was about.
        scope: Scope,
        /// Who ended it, or why it ended by itself.
        by: String,
    },
    /// A snapshot of a process.
    Snapshot {
        /// What was seen.
        text: String,
    },
    /// A message was not delivered.
    Undelivered {
        /// The notifier.
        to: String,
        /// Why.
        why: String,
    },
}

impl fmt::Display for EventKind {
    /// In words for people, in one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = |ms: &u64| show_duration(Duration::from_millis(*ms));
        match self {
            EventKind::Started { version } => write!(f, "minder {version} started"),
            EventKind::Ended => write!(f, "minder ended"),
            EventKind::Planned { services } => write!(f, "plan in effect, {}", services_words(*services)),
            EventKind::Refused { report } => {
                write!(f, "plan refused, the old one stays: {}", report.lines().next().unwrap_or_default())
            }
            EventKind::Noted { words } => f.write_str(words),
            EventKind::Fired { rule, value, note, of, .. } => {
                write!(f, "{rule} fires")?;
                match of {
                    Some(of) => write!(f, ": {of} {value}")?,
                    None if value.is_empty() => {}
                    None => write!(f, ": {value}")?,
                }
                note.as_ref().map_or(Ok(()), |note| write!(f, " ({note})"))
            }
            EventKind::Resolved { rule, after, why, of } => {
                write!(f, "{rule} ")?;
                if let Some(of) = of {
                    write!(f, "of {of} ")?;
                }
                write!(f, "resolved after {}", span(after))?;
                why.as_ref().map_or(Ok(()), |why| write!(f, ": {why}"))
            }
            EventKind::Noticed { rule, from, to } => write!(f, "{rule}: {from} became {to}"),
            EventKind::Died { process, how: Some(how) } => write!(f, "{process} {how}"),
            EventKind::Died { process, how: None } => write!(f, "{process} ended, exit code not available"),
            EventKind::Appeared { process } => write!(f, "up as {process}"),
            EventKind::Replaced { old, new } => write!(f, "{old} was replaced by {new}"),
            EventKind::Acting { action, by } => write!(f, "{action}, because of {by}"),
            EventKind::Acted { action, ok: true, words, took, .. } => {
                write!(f, "{action} done in {}: {words}", span(took))
            }
            EventKind::Acted { action, ok: false, words, .. } => write!(f, "{action} failed: {words}"),
            EventKind::Held { action, why } => write!(f, "no {action}: {why}"),
            EventKind::GaveUp { restarts, within } => {
                write!(f, "given up after {restarts} restarts in {}", span(within))
            }
            EventKind::Intended { up: true, by } => write!(f, "wanted up by {by}"),
            EventKind::Intended { up: false, by } => write!(f, "stopped on purpose by {by}"),
            EventKind::Paused { by } => write!(f, "paused by {by}"),
            EventKind::Resumed { by } => write!(f, "resumed by {by}"),
            EventKind::Opened { severity } => write!(f, "incident opened, {severity}"),
            EventKind::Closed { after } => write!(f, "incident closed after {}", span(after)),
            EventKind::Acknowledged { by, reason, .. } => write!(f, "acknowledged by {by}: {reason}"),
            EventKind::Unacknowledged { by } => write!(f, "no longer acknowledged: {by}"),
            EventKind::Written { by, words, .. } => write!(f, "{by} writes: {words}"),
            EventKind::Escalated { to } => write!(f, "escalated to {to}"),
            EventKind::Flaps { words } => write!(f, "flaps: {words}"),
            EventKind::Steady { after } => write!(f, "flaps no more, after {}", span(after)),
            EventKind::Braked { restarts, within } => {
                let times = if *restarts == 1 { "restart" } else { "restarts" };
                write!(f, "the brake is on: more than {restarts} automatic {times} in {}", span(within))
            }
            EventKind::Unbraked { by, services } if services.is_empty() => write!(f, "the brake is off: {by}"),
            EventKind::Unbraked { by, services } => {
                write!(f, "the brake is off: {by}; go ahead: {}", services.join(", "))
            }
            EventKind::Silenced { by, scope, reason, lasts, .. } => {
                write!(f, "{scope} silenced by {by} for {}: {reason}", span(lasts))
            }
            EventKind::Unsilenced { scope, by, .. } => write!(f, "{scope} no longer silenced: {by}"),
            EventKind::Snapshot { text } => write!(f, "snapshot, {} lines", text.lines().count()),
            EventKind::Undelivered { to, why } => write!(f, "message to {to} not delivered: {why}"),
        }
    }
}

impl EventKind {
    /// Every [`EventKind::word`].
    pub const WORDS: [&'static str; 32] = [
        "started",
        "ended",
        "planned",
        "refused",
        "noted",
        "fired",
        "resolved",
        "noticed",
        "died",
        "appeared",
        "replaced",
        "acting",
        "acted",
        "held",
        "gave-up",
        "intended",
        "paused",
        "resumed",
        "opened",
        "closed",
        "acknowledged",
        "unacknowledged",
        "written",
        "escalated",
        "flaps",
        "steady",
        "braked",
        "unbraked",
        "silenced",
        "unsilenced",
        "snapshot",
        "undelivered",
    ];

    /// The word by which it is stored and filtered, as serde writes it.
    pub fn word(&self) -> &'static str {
        match self {
            EventKind::Started { .. } => "started",
            EventKind::Ended => "ended",
            EventKind::Planned { .. } => "planned",
            EventKind::Refused { .. } => "refused",
            EventKind::Noted { .. } => "noted",
            EventKind::Fired { .. } => "fired",
            EventKind::Resolved { .. } => "resolved",
            EventKind::Noticed { .. } => "noticed",
            EventKind::Died { .. } => "died",
            EventKind::Appeared { .. } => "appeared",
            EventKind::Replaced { .. } => "replaced",
            EventKind::Acting { .. } => "acting",
            EventKind::Acted { .. } => "acted",
            EventKind::Held { .. } => "held",
            EventKind::GaveUp { .. } => "gave-up",
            EventKind::Intended { .. } => "intended",
            EventKind::Paused { .. } => "paused",
            EventKind::Resumed { .. } => "resumed",
            EventKind::Opened { .. } => "opened",
            EventKind::Closed { .. } => "closed",
            EventKind::Acknowledged { .. } => "acknowledged",
            EventKind::Unacknowledged { .. } => "unacknowledged",
            EventKind::Written { .. } => "written",
            EventKind::Escalated { .. } => "escalated",
            EventKind::Flaps { .. } => "flaps",
            EventKind::Steady { .. } => "steady",
            EventKind::Braked { .. } => "braked",
            EventKind::Unbraked { .. } => "unbraked",
            EventKind::Silenced { .. } => "silenced",
            EventKind::Unsilenced { .. } => "unsilenced",
            EventKind::Snapshot { .. } => "snapshot",
            EventKind::Undelivered { .. } => "undelivered",
        }
    }
}

/// From a service's first firing to its all-clear.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Incident {
    /// Its number.
    pub id: u64,
    /// Whose; empty if it is minder's own.
    pub service: Name,
    /// When it began.
    pub opened: Wall,
    /// When it ended, if it has.
    pub closed: Option<Wall>,
    /// The worst that it has been.
    pub severity: Severity,
    /// In a few words: what fired first; where that is a death, or one has come since, how it died.
    pub title: String,
    /// Every rule that has fired in it.
    pub rules: BTreeSet<String>,
    /// The notifiers that are to hear of it, each of its end as well. What each has heard is known to the outbox.
    pub told: BTreeSet<Name>,
    /// Somebody looks after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ack: Option<Ack>,
    /// So many steps of the service's escalation have been taken.
    #[serde(default, skip_serializing_if = "is_none_yet")]
    pub escalated: u32,
}

fn is_none_yet(number: &u32) -> bool {
    *number == 0
}

impl Incident {
    /// The title of a death, where it is known how: `died (SIGSEGV, core dumped)`.
    pub fn of_death(how: Option<Exit>) -> String {
        how.map_or_else(|| "died".to_owned(), |how| format!("died ({})", how.in_short()))
    }

    /// The title with whose it is: `web: http.failed`, `web: its supervisor is gone`, `web died (SIGSEGV, core dumped)`.
    pub fn headline(&self) -> String {
        if self.service.is_empty() {
            return self.title.clone();
        }
        let colon = if self.title == "died" || self.title.starts_with("died (") { "" } else { ":" };
        format!("{}{colon} {}", self.service, self.title)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_word() {
        // serde names all of them when it knows none.
        let unknown = serde_json::from_str::<EventKind>("{\"kind\": \"none such\"}").unwrap_err().to_string();
        let named: Vec<&str> = unknown.split('`').skip(3).step_by(2).collect();
        assert_eq!(named, EventKind::WORDS, "{unknown}");
    }
}
