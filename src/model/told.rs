//! What a message is made of, under the names that receivers and templates rely on: added to, never changed. The `data` of a
//! CloudEvent is one of these; a template sees it with what else its parcel tells.

use super::{Ack, plain, show_duration};
use super::{Message, MessageId, MessageKind, Parcel, ParcelId, Severity, Story, StoryAction, StoryRule, Wall};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One message. Times are RFC 3339 in UTC; what is not known is null; no text has control characters.
#[derive(Debug, Clone, Serialize)]
pub struct MessageFacts {
    /// `firing`, `update`, `resolved`, `reminder`, `acknowledged` or `notice`.
    pub kind: MessageKind,
    /// The same for every attempt, and for no other message of any minder.
    pub key: String,
    /// The same for every message of an incident, and for no other incident of any minder.
    pub thread: String,
    /// When it was written.
    pub at: Option<String>,
    /// All in one line: the subject of a mail.
    pub summary: String,
    /// All in words: the body of a mail.
    pub text: String,
    /// The machine.
    pub host: String,
    /// The service; empty in what is about minder itself.
    pub service: String,
    /// What it is, for people.
    pub description: Option<String>,
    /// The tags and the group of the service.
    pub tags: Vec<String>,
    /// The incident's number.
    pub incident: Option<u64>,
    /// `info`, `warning` or `critical`.
    pub severity: Option<Severity>,
    /// Of the service, now: `ok`, `warning`, `critical`, `unknown`, `paused`, `stopped` or `given up`.
    pub status: String,
    /// What is wrong, in a few words.
    pub title: String,
    /// Why this is told just now, if that is not plain.
    pub remark: Option<String>,
    /// Since when something is wrong.
    pub since: Option<String>,
    /// When it ended.
    pub ended: Option<String>,
    /// How long it lasted, in words, if it is over.
    pub lasted: Option<String>,
    /// What fired.
    pub rules: Vec<RuleFacts>,
    /// How the process died.
    pub death: Option<String>,
    /// What was done.
    pub actions: Vec<ActionFacts>,
    /// The last lines of the service's log.
    pub log: Vec<String>,
    /// What to do, where that is known.
    pub advice: Vec<String>,
    /// The processes that use most, if the machine is short of something.
    pub top: Vec<String>,
    /// Who looks after it.
    pub ack: Option<AckFacts>,
    /// Whether somebody only tries the notifier.
    pub test: bool,
    /// Where the page shows it.
    pub link: Option<String>,
}

/// A rule that fired.
#[derive(Debug, Clone, Serialize)]
pub struct RuleFacts {
    /// Its name.
    pub rule: String,
    /// The condition, and the hold.
    pub condition: String,
    /// The values and limits, in words.
    pub value: String,
    /// What the probe said.
    pub note: Option<String>,
    /// Since when it fires.
    pub since: Option<String>,
}

/// Something that was done.
#[derive(Debug, Clone, Serialize)]
pub struct ActionFacts {
    /// What.
    pub action: String,
    /// Null while it is under way.
    pub ok: Option<bool>,
    /// What came of it.
    pub words: String,
}

/// Who looks after an incident.
#[derive(Debug, Clone, Serialize)]
pub struct AckFacts {
    /// Who.
    pub by: String,
    /// Why, in their words; may be empty.
    pub reason: String,
    /// Until when; null: until it is over.
    pub until: Option<String>,
}

impl MessageFacts {
    /// Those of a message, with its words.
    pub fn new(message: &Message, summary: String, text: String) -> MessageFacts {
        let story = &message.story;
        let opt = |text: &Option<String>| text.as_deref().map(clean);
        let all = |lines: &[String]| lines.iter().map(|line| clean(line)).collect();
        MessageFacts {
            kind: message.kind,
            key: message.key.clone(),
            thread: match story.incident {
                Some(incident) => format!("{}-incident-{incident}", message.instance()),
                None => message.key.clone(),
            },
            at: time(message.at),
            summary,
            text,
            host: clean(&story.host),
            service: clean(&story.service),
            description: opt(&story.description),
            tags: all(&story.tags),
            incident: story.incident,
            severity: story.severity,
            status: clean(&story.status),
            title: clean(&story.title),
            remark: opt(&story.remark),
            since: story.since.and_then(time),
            ended: story.ended.and_then(time),
            lasted: story.ended.zip(story.since).map(|(ended, since)| show_duration(ended - since)),
            rules: story.rules.iter().map(RuleFacts::new).collect(),
            death: opt(&story.death),
            actions: (story.actions.iter())
                .map(|a| ActionFacts { action: clean(&a.action), ok: a.ok, words: clean(&a.words) })
                .collect(),
            log: all(&story.log),
            advice: all(&story.advice),
            top: all(&story.top),
            ack: story.ack.as_ref().map(|ack| AckFacts {
                by: clean(&ack.by),
                reason: clean(&ack.reason),
                until: ack.until.and_then(time),
            }),
            test: story.test,
            link: opt(&story.link),
        }
    }
}

impl RuleFacts {
    fn new(rule: &StoryRule) -> RuleFacts {
        RuleFacts {
            rule: clean(&rule.rule),
            condition: clean(&rule.condition),
            value: clean(&rule.value),
            note: rule.note.as_deref().map(clean),
            since: time(rule.since),
        }
    }
}

/// All that a template may name: the worst message of the parcel, and beside it the parcel.
#[derive(Debug, Clone, Serialize)]
pub struct Told {
    /// The worst message; where there are several, `key`, `summary` and `text` are those of all.
    #[serde(flatten)]
    pub worst: MessageFacts,
    /// How many messages there are.
    pub count: usize,
    /// Each of them, the worst first, bounded.
    pub messages: Vec<MessageFacts>,
    /// What else is failing now, in a line each.
    pub others: Vec<String>,
    /// The parameters of the preset.
    pub with: BTreeMap<String, String>,
}

impl Told {
    /// So many messages of a parcel are seen by a template, the worst: no parcel to one has more.
    pub const MESSAGES: usize = 100;

    /// What a parcel tells; nothing if it is empty. `one` says a message in a line and in full, `all` the parcel.
    pub fn new(
        parcel: &Parcel,
        one: impl Fn(&Message) -> (String, String),
        all: impl Fn(&Parcel) -> (String, String),
    ) -> Option<Told> {
        let facts = |message: &Arc<Message>| {
            let (summary, text) = one(message);
            MessageFacts::new(message, summary, text)
        };
        let messages: Vec<MessageFacts> = parcel.messages.iter().take(Told::MESSAGES).map(facts).collect();
        let mut worst = messages.first()?.clone();
        worst.key.clone_from(&parcel.key);
        if parcel.messages.len() > 1 {
            (worst.summary, worst.text) = all(parcel);
        }
        let others = parcel.others.iter().map(|line| clean(line)).collect();
        Some(Told { worst, count: parcel.messages.len(), messages, others, with: BTreeMap::new() })
    }

    /// The same with these parameters.
    #[must_use]
    pub fn with(&self, with: &BTreeMap<String, String>) -> Told {
        Told { with: with.clone(), ..self.clone() }
    }

    /// One of every kind of event, full and bare, a test, and several together: what a template is tried on before it is needed.
    pub fn samples() -> Vec<Told> {
        let mut samples = Vec::new();
        let mut all = Vec::new();
        for kind in MessageKind::ALL {
            let tests = matches!(kind, MessageKind::Firing | MessageKind::Resolved).then(|| test(kind));
            for story in [full(kind), bare(kind)].into_iter().chain(tests) {
                let message = Arc::new(sample(kind, story, all.len() as u64 + 1));
                all.push(Arc::clone(&message));
                samples.extend(said(vec![message]));
            }
        }
        samples.extend(said(all));
        samples
    }
}

fn said(messages: Vec<Arc<Message>>) -> Option<Told> {
    let first = messages.first()?;
    let (key, to) = (first.key.clone(), first.to.clone());
    let others = vec!["db: critical since 12:00".to_owned()];
    let parcel = Parcel { id: ParcelId(1), key, to, messages, others };
    let words = |message: &Message| (message.story.title.clone(), format!("{}\n\"in full\"", message.story.title));
    Told::new(&parcel, words, |parcel| words(&parcel.messages[0]))
}

const SAMPLED_AT: Wall = Wall(1_772_330_400_000);

fn sample(kind: MessageKind, story: Story, number: u64) -> Message {
    Message {
        id: MessageId(number),
        key: format!("3f9a02c177-{number}"),
        to: "sample".into(),
        kind,
        at: SAMPLED_AT,
        expires: SAMPLED_AT,
        story,
        state: super::MessageState::Waiting,
        steps: Vec::new(),
    }
}

/// A message that has all that there may be. Quotes and the like are where words from outside may have them.
fn full(kind: MessageKind) -> Story {
    let over = kind == MessageKind::Resolved;
    let ack = Ack { by: "anna".into(), since: SAMPLED_AT, reason: "on \"it\"".into(), until: Some(SAMPLED_AT) };
    Story {
        host: "db1".into(),
        service: "web".into(),
        description: Some("nginx in front of the \"shop\"".into()),
        incident: Some(12),
        severity: Some(Severity::Critical),
        status: if over { "ok" } else { "critical" }.into(),
        title: "web died (SIGSEGV, core dumped)".into(),
        since: Some(Wall(SAMPLED_AT.0 - 60_000)),
        ended: over.then_some(SAMPLED_AT),
        up: over.then_some(SAMPLED_AT),
        rules: vec![StoryRule {
            rule: "process.down".into(),
            condition: "process.down".into(),
            value: "process.down yes".into(),
            note: Some("could not connect: \"refused\" \\ {{ gone }}".into()),
            since: Wall(SAMPLED_AT.0 - 60_000),
        }],
        death: Some("pid 812 killed by SIGSEGV, core dumped".into()),
        actions: vec![
            StoryAction { action: "snapshot".into(), ok: None, words: String::new() },
            StoryAction { action: "restart".into(), ok: Some(true), words: "running as pid 933".into() },
        ],
        log: vec!["worker 7 \"exited\"".into()],
        advice: vec!["minder ack web".into()],
        top: vec!["812 nginx 4 GB".into()],
        remark: Some("nobody has acknowledged it for 15 min".into()),
        ack: (kind != MessageKind::Firing).then_some(ack),
        tags: vec!["front".into()],
        test: false,
        link: Some("https://minder.example.org/services/web".into()),
        whole: over,
    }
}

/// A message that has only what it cannot be without.
fn bare(kind: MessageKind) -> Story {
    Story {
        host: "db1".into(),
        severity: (kind != MessageKind::Notice).then_some(Severity::Warning),
        status: "warning".into(),
        title: "the database of minder is lost".into(),
        ack: (kind == MessageKind::Acknowledged).then(|| Ack {
            by: "anna".into(),
            since: SAMPLED_AT,
            reason: String::new(),
            until: None,
        }),
        ..Story::default()
    }
}

/// What `minder notify-test` sends.
fn test(kind: MessageKind) -> Story {
    Story {
        host: "db1".into(),
        incident: Some(13),
        severity: Some(Severity::Info),
        status: "ok".into(),
        title: "this is a test of sample, asked for by anna: nothing is wrong".into(),
        since: Some(SAMPLED_AT),
        ended: (kind == MessageKind::Resolved).then_some(SAMPLED_AT),
        test: true,
        ..Story::default()
    }
}

/// RFC 3339; nothing if it is beyond the year 9999.
fn time(at: Wall) -> Option<String> {
    jiff::Timestamp::from_millisecond(at.0).ok().map(|t| t.to_string())
}

fn clean(text: &str) -> String {
    plain(text).into_owned()
}
