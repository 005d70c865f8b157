//! A message in words: a subject that says it all in a line, and a body for someone who was woken by it.

use crate::model::{Message, MessageKind, Story, StoryAction, Wall, clip, hide, plain, show_duration};
use jiff::tz::TimeZone;
use std::error::Error;
use std::fmt::Write;

/// Longest subject, in characters; mail programs and phones cut it much earlier.
const SUBJECT: usize = 160;

/// Longest line of a body, in characters.
const LINE: usize = 1000;

/// Most lines of a log in a body: the last ones.
const LOG_LINES: usize = 50;

/// The message in one line: `[db1] web died (exit code 3), critical`, `[db1] web is well again after 4 min 12 s`.
pub(super) fn subject(message: &Message) -> String {
    let story = &message.story;
    let words = match message.kind {
        MessageKind::Firing if story.service.is_empty() => story.title.clone(),
        MessageKind::Firing | MessageKind::Reminder => {
            let severity = story.severity.map(|s| format!(", {s}")).unwrap_or_default();
            format!("{}{severity}{}", story.title, outcome(&story.actions))
        }
        MessageKind::Update | MessageKind::Acknowledged => {
            format!("{}, {}{}", story.title, story.status, outcome(&story.actions))
        }
        // It may be the only message of its incident: what was over before anybody was told is told once.
        MessageKind::Resolved => {
            let lasted = lasted(story).map(|lasted| format!(" after {lasted}")).unwrap_or_default();
            let death = story.death.as_ref().map(|death| format!("; {death}")).unwrap_or_default();
            match story.service.as_str() {
                "" => format!("{}{lasted}", story.title),
                service => format!("{service} is well again{lasted}{death}{}", outcome(&story.actions)),
            }
        }
        MessageKind::Notice => story.title.clone(),
        MessageKind::Test => "test message from minder".to_owned(),
    };
    clip(&plain(&format!("[{}] {words}", story.host)), SUBJECT)
}

/// What came of the latest remedy, as the end of a subject: whether anybody has to get up.
fn outcome(actions: &[StoryAction]) -> String {
    match actions.iter().rev().find_map(|a| a.ok.map(|ok| (a, ok))) {
        Some((action, true)) => format!("; {} done", action.action),
        Some((action, false)) => format!("; {} failed", action.action),
        None => String::new(),
    }
}

/// The message in plain text, times in this zone.
pub(super) fn body(message: &Message, zone: &TimeZone) -> String {
    let mut body = Body { text: String::new(), zone };
    let story = &message.story;
    match message.kind {
        MessageKind::Firing
        | MessageKind::Update
        | MessageKind::Reminder
        | MessageKind::Acknowledged
        | MessageKind::Notice => body.line(&story.title),
        MessageKind::Resolved if story.service.is_empty() => body.line(&story.title),
        MessageKind::Resolved => body.line(&format!("{} is well again.", story.service)),
        MessageKind::Test => {
            body.line("This is a test. Somebody wanted to know whether messages arrive here: they do.");
            body.line("Nothing is wrong, and nothing needs to be done.");
        }
    }
    body.story(message);
    body.text.push_str("\n-- \n");
    body.line(&format!("minder on {}, message {}", story.host, message.key));
    body.text
}

struct Body<'a> {
    text: String,
    zone: &'a TimeZone,
}

impl Body<'_> {
    fn story(&mut self, message: &Message) {
        let story = &message.story;
        if let Some(description) = &story.description {
            self.line(description);
        }
        self.heading("");
        self.fact("service", &story.service);
        self.fact("host", &story.host);
        self.fact("status", &story.status);
        // A service that is given up or paused has a status that does not say how bad it is.
        let severity = story.severity.map(|s| s.to_string()).unwrap_or_default();
        if severity != story.status && message.kind != MessageKind::Resolved {
            self.fact("severity", &severity);
        }
        if let Some(since) = story.since {
            self.fact("since", &self.when(since));
        }
        if let Some(ended) = story.ended {
            self.fact("ended", &self.when(ended));
        }
        if let Some(lasted) = lasted(story) {
            self.fact("lasted", &lasted);
        }
        if message.kind == MessageKind::Test {
            self.fact("sent", &self.when(message.at));
        }
        if let Some(incident) = story.incident {
            self.fact("incident", &incident.to_string());
        }
        if !story.rules.is_empty() {
            self.heading(match message.kind {
                MessageKind::Resolved => "What was wrong",
                MessageKind::Notice => "What has changed",
                _ => "What is wrong",
            });
        }
        for rule in &story.rules {
            self.line(&format!("  {}", rule.condition));
            if rule.rule != rule.condition {
                self.line(&format!("    rule:  {}", rule.rule));
            }
            if !rule.value.is_empty() && rule.value != rule.condition {
                self.line(&format!("    value: {}", rule.value));
            }
            if let Some(note) = &rule.note {
                self.line(&format!("    note:  {note}"));
            }
            self.line(&format!("    since: {}", self.when(rule.since)));
        }
        if let Some(death) = &story.death {
            self.heading("How it died");
            self.line(&format!("  {death}"));
        }
        if !story.actions.is_empty() {
            self.heading("What was done");
        }
        for action in &story.actions {
            let state = match action.ok {
                Some(true) => "done",
                Some(false) => "FAILED",
                None => "under way",
            };
            let words = if action.words.is_empty() { String::new() } else { format!(": {}", action.words) };
            self.line(&format!("  {} {state}{words}", action.action));
        }
        if !story.advice.is_empty() {
            self.heading("What to do");
        }
        for line in &story.advice {
            self.line(&format!("  {line}"));
        }
        if !story.log.is_empty() {
            self.heading("Last lines of its log");
        }
        for line in &story.log[story.log.len().saturating_sub(LOG_LINES)..] {
            self.line(&format!("  | {line}"));
        }
    }

    fn heading(&mut self, heading: &str) {
        self.text.push('\n');
        if !heading.is_empty() {
            self.line(heading);
        }
    }

    fn fact(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.line(&format!("{name:<9} {value}"));
        }
    }

    /// One line, whatever stands in the text.
    fn line(&mut self, text: &str) {
        self.text.push_str(&clip(&plain(text), LINE));
        self.text.push('\n');
    }

    /// Local time, with the zone: whoever reads this may be in another one.
    fn when(&self, at: Wall) -> String {
        let mut text = String::new();
        let zoned = jiff::Timestamp::from_millisecond(at.0).map(|t| t.to_zoned(self.zone.clone()));
        match zoned {
            Ok(zoned) => {
                // A `Display` of jiff fails for bad formats only.
                let _ = write!(text, "{}", zoned.strftime("%Y-%m-%d %H:%M:%S %Z (%:z)"));
            }
            Err(_) => text.push_str("an impossible time"),
        }
        text
    }
}

/// How long it lasted, if it is over.
fn lasted(story: &Story) -> Option<String> {
    Some(show_duration(story.ended? - story.since?))
}

/// The innermost error: the outer ones say that an error has happened, and may name an address that is secret.
pub(super) fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// The words of an error that came from outside: clean, bounded, and without these secrets, should the other side have
/// repeated them.
pub(super) fn without<'a>(text: &str, secrets: impl Iterator<Item = &'a str>) -> String {
    clip(&plain(&hide(text, secrets)), 300)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::{MessageId, Severity, StoryRule};

    const AT: i64 = 1_772_330_400_000;

    fn zone() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    fn message(kind: MessageKind, story: Story) -> Message {
        let key = "3f9a02c177-41".to_owned();
        Message {
            id: MessageId(41),
            key,
            to: "ops".into(),
            kind,
            at: Wall(AT),
            expires: Wall(AT + 86_400_000),
            story,
            state: Default::default(),
            steps: Vec::new(),
        }
    }

    /// A crash, and a restart that went well.
    pub(in crate::notify) fn firing() -> Message {
        let story = Story {
            host: "db1".into(),
            service: "web".into(),
            description: Some("nginx in front of the shop".into()),
            incident: Some(12),
            severity: Some(Severity::Critical),
            status: "critical".into(),
            title: "web died (SIGSEGV, core dumped)".into(),
            since: Some(Wall(AT - 1_200)),
            rules: vec![
                StoryRule {
                    rule: "process.down".into(),
                    condition: "process.down".into(),
                    value: "process.down yes".into(),
                    note: None,
                    since: Wall(AT - 1_200),
                },
                StoryRule {
                    rule: "health".into(),
                    condition: "http.failed for 3 of 5".into(),
                    value: "http.failed yes".into(),
                    note: Some("could not connect: connection refused".into()),
                    since: Wall(AT - 900),
                },
            ],
            death: Some("pid 812 killed by SIGSEGV, core dumped".into()),
            actions: vec![StoryAction {
                action: "restart".into(),
                ok: Some(true),
                words: "running as pid 933, after 41 ms".into(),
            }],
            log: vec!["worker 7 exited on signal 11".into(), "shutting down".into()],
            ..Story::default()
        };
        message(MessageKind::Firing, story)
    }

    pub(in crate::notify) fn test() -> Message {
        message(MessageKind::Test, Story { host: "db1".into(), ..Story::default() })
    }

    fn shown(message: &Message) -> String {
        format!("Subject: {}\n\n{}", subject(message), body(message, &zone()))
    }

    #[test]
    fn a_firing_says_what_since_when_how_it_died_and_what_was_done() {
        insta::assert_snapshot!(shown(&firing()));
    }

    #[test]
    fn a_failed_action_is_in_the_subject() {
        let mut message = firing();
        message.story.actions = vec![
            StoryAction { action: "snapshot".into(), ok: Some(true), words: "12 lines".into() },
            StoryAction { action: "restart".into(), ok: Some(false), words: "no process after 30 s".into() },
            StoryAction { action: "exec /usr/local/bin/drain web".into(), ok: None, words: String::new() },
        ];
        insta::assert_snapshot!(shown(&message));
    }

    #[test]
    fn an_update_says_the_status() {
        let mut message = firing();
        message.kind = MessageKind::Update;
        message.story.status = "given up".into();
        message.story.death = None;
        message.story.log = Vec::new();
        message.story.rules.truncate(1);
        message.story.actions = vec![StoryAction {
            action: "restart".into(),
            ok: Some(false),
            words: "5 in 15 min did not help; next try in 30 min".into(),
        }];
        insta::assert_snapshot!(shown(&message));
    }

    #[test]
    fn an_all_clear_says_how_long_it_lasted() {
        let mut message = firing();
        message.kind = MessageKind::Resolved;
        message.story.status = "ok".into();
        message.story.ended = Some(Wall(AT - 1_200 + 252_000));
        message.story.log = Vec::new();
        insta::assert_snapshot!(shown(&message));
    }

    #[test]
    fn a_notice_says_what_has_changed() {
        let mut message = firing();
        message.kind = MessageKind::Notice;
        message.story = Story {
            host: "db1".into(),
            service: "passwd".into(),
            status: "ok".into(),
            title: "passwd: changed(file.checksum)".into(),
            rules: vec![StoryRule {
                rule: "changed(file.checksum)".into(),
                condition: "changed(file.checksum)".into(),
                value: "9f86d081 became 60303ae2".into(),
                note: None,
                since: Wall(AT),
            }],
            ..Story::default()
        };
        insta::assert_snapshot!(shown(&message));
    }

    #[test]
    fn the_brake_says_what_waits_and_what_to_do() {
        let rule = |name: &str| StoryRule {
            rule: format!("restart of {name}"),
            condition: format!("restart of {name}"),
            value: String::new(),
            note: Some("wanted by process.down".into()),
            since: Wall(AT),
        };
        let story = Story {
            host: "db1".into(),
            status: "the brake is on".into(),
            severity: Some(Severity::Critical),
            title: "the brake holds 2 restarts (more than 10 in 1m): web, mail".into(),
            since: Some(Wall(AT)),
            rules: vec![rule("web"), rule("mail")],
            advice: vec!["`minder release` lets them go.".into()],
            ..Story::default()
        };
        let mut message = message(MessageKind::Firing, story);
        insta::assert_snapshot!("the_brake_is_on", shown(&message));
        message.kind = MessageKind::Resolved;
        message.story.title = "the brake is off: no restart is held".into();
        message.story.ended = Some(Wall(AT + 61_000));
        message.story.rules.clear();
        message.story.advice.clear();
        assert_eq!(subject(&message), "[db1] the brake is off: no restart is held after 1 min 1 s");
        assert!(body(&message, &zone()).starts_with("the brake is off: no restart is held\n"));
    }

    #[test]
    fn a_test_says_that_it_is_one() {
        insta::assert_snapshot!(shown(&test()));
    }

    #[test]
    fn nothing_breaks_out_of_its_line() {
        let mut message = firing();
        message.story.title = "web\r\nBcc: eve@example.org".into();
        message.story.description = Some("a\u{1b}[2Jb\u{202e}c\nSubject: x".into());
        message.story.log = vec!["x".repeat(5000), "one\ntwo".into()];
        assert_eq!(subject(&message), "[db1] web  Bcc: eve@example.org, critical; restart done");
        let body = body(&message, &zone());
        assert!(body.contains("a [2Jb c Subject: x\n"), "{body}");
        assert!(body.contains("  | one two\n"), "{body}");
        assert!(body.lines().all(|line| line.chars().count() <= LINE));
        assert!(!body.contains(|c: char| c.is_control() && c != '\n'));
    }

    #[test]
    fn secrets_that_come_back_are_not_repeated() {
        let text = without("bad token hunter2\r\n", ["hunter2", ""].into_iter());
        assert_eq!(text, "bad token [secret]  ");
    }
}
