//! Plays a scenario, and holds what came of it against what was expected.

use super::script::Written;
use super::words::{Entry, deeds};
use super::world::World;
use crate::model::{
    Effect, EventKind, Expectation, Listed, MessageState, Mono, Name, Record, RuleState, Scenario, Wall, Why,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// 2026-01-01 00:00 UTC: when every scenario begins.
const BEGIN: Wall = Wall(1_767_225_600_000);
/// So much of what has happened is shown with a difference.
const LINES: usize = 24;

/// Something was not as it was expected.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// When.
    pub at: Duration,
    /// The line of the file in which it was expected.
    pub line: usize,
    /// What was expected, and what was found; those that differ, each with its neighbours of the same list.
    pub rows: Vec<Row>,
    /// Since when the lines are shown.
    pub since: Duration,
    /// What happened until then, the latest of it.
    pub lines: Vec<Line>,
}

/// Something expected, beside what was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The key; empty in the further rows of a list.
    pub key: String,
    /// What was expected; nothing if nothing more was.
    pub expected: Option<String>,
    /// What was found instead; nothing if nothing more was.
    pub got: Option<String>,
    /// They are the same.
    pub same: bool,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// When.
    pub at: Duration,
    /// In words.
    pub words: String,
}

/// Everything that was not as expected; nothing if all was.
pub fn play(scenario: &Scenario) -> Vec<Difference> {
    let mut script = Written::new(scenario);
    let mut seen = Seen { scenario, lines: Vec::new(), entries: Vec::new() };
    let mut see = |at: Mono, effect: &Effect| seen.take(at - Mono(0), effect);
    let mut world = World::begin(Arc::clone(&scenario.plan), BEGIN, &mut script, &mut see);
    let mut asked: BTreeMap<Listed, usize> = BTreeMap::new();
    let mut since = Duration::ZERO;
    let mut differences = Vec::new();
    for expectation in &scenario.expectations {
        let mut see = |at: Mono, effect: &Effect| seen.take(at - Mono(0), effect);
        world.pass(Mono(0) + expectation.at, &mut script, &mut see);
        let rows = compare(scenario, expectation, &world, &seen, &mut asked);
        if !rows.is_empty() {
            let lines = &seen.lines[seen.lines.partition_point(|line| line.at < since)..];
            let lines = lines[lines.len().saturating_sub(LINES)..].to_vec();
            differences.push(Difference { at: expectation.at, line: expectation.line, rows, since, lines });
        }
        since = expectation.at;
    }
    differences
}

/// What minder did, in the words of a scenario.
struct Seen<'s> {
    scenario: &'s Scenario,
    lines: Vec<Line>,
    entries: Vec<Entry>,
}

impl Seen<'_> {
    fn take(&mut self, at: Duration, effect: &Effect) {
        let prefix = |service: &Name| match &**service {
            name if *name == *self.scenario.service => String::new(),
            // An incident of minder's own.
            "" => "minder/".to_owned(),
            name => format!("{name}/"),
        };
        let mut line = |service: &Name, words: String| {
            let words = match prefix(service).strip_suffix('/') {
                Some(other) => format!("{other}: {words}"),
                None => words,
            };
            self.lines.push(Line { at, words });
        };
        match effect {
            Effect::Record(Record::Event(event)) => {
                let Some(service) = &event.service else {
                    if let EventKind::Braked { .. } | EventKind::Unbraked { .. } = event.kind {
                        self.lines.push(Line { at, words: event.kind.to_string() });
                    }
                    return;
                };
                if !matches!(event.kind, EventKind::Opened { .. } | EventKind::Closed { .. }) {
                    line(service, event.kind.to_string());
                }
                for (listed, words) in deeds(&event.kind) {
                    let words = format!("{}{words}", prefix(service));
                    self.entries.push(Entry { listed, at, words });
                }
            }
            Effect::Record(Record::Message(message)) => {
                // Without a service it is about minder itself.
                let service = Some(message.story.service.as_str()).filter(|name| !name.is_empty()).unwrap_or("minder");
                let service: Name = service.into();
                match (message.state, message.steps.last().map(|step| &step.why)) {
                    (MessageState::Delivered, _) => {
                        line(&service, format!("{} is told: {}", message.to, message.kind));
                        let words = format!("{}{} {}", prefix(&service), message.to, message.kind);
                        self.entries.push(Entry { listed: Listed::Told, at, words });
                    }
                    (MessageState::Waiting, Some(why @ Why::Deferred { .. })) => {
                        line(&service, format!("{}, {}: {why}", message.to, message.kind));
                    }
                    _ => {}
                }
            }
            Effect::Reply(_, answer) => self.lines.push(Line { at, words: format!("answer: {}", answer.words) }),
            _ => {}
        }
    }
}

/// The rows of what differs.
fn compare(
    scenario: &Scenario,
    expectation: &Expectation,
    world: &World,
    seen: &Seen<'_>,
    asked: &mut BTreeMap<Listed, usize>,
) -> Vec<Row> {
    let snapshot = world.engine.snapshot(world.now());
    let mut rows = Vec::new();
    for (name, expected) in &expectation.statuses {
        let got = snapshot.services.iter().find(|service| service.name == *name).map(|service| service.status);
        if got != Some(*expected) {
            let of = if *name == scenario.service { String::new() } else { format!(" of {name}") };
            let got = got.map(|status| status.to_string());
            rows.push(Row { key: format!("status{of}"), expected: Some(expected.to_string()), got, same: false });
        }
    }
    for (listed, expected) in &expectation.lists {
        let in_state = |state: RuleState| {
            let mut names = Vec::new();
            for service in &snapshot.services {
                let prefix =
                    if service.name == scenario.service { String::new() } else { format!("{}/", service.name) };
                names.extend(
                    service.rules.iter().filter(|r| r.state == state).map(|r| (format!("{prefix}{}", r.name), None)),
                );
            }
            names
        };
        let got: Vec<(String, Option<Duration>)> = match listed {
            Listed::Firing => in_state(RuleState::Firing),
            Listed::Pending => in_state(RuleState::Pending),
            _ => {
                let from = asked.insert(*listed, seen.entries.len()).unwrap_or(0);
                let new = seen.entries[from..].iter().filter(|entry| entry.listed == *listed);
                new.map(|entry| (entry.words.clone(), Some(entry.at))).collect()
            }
        };
        rows.extend(list_rows(*listed, expected, &got));
    }
    rows
}

/// A list beside another, row by row; none if they are the same.
fn list_rows(listed: Listed, expected: &[String], got: &[(String, Option<Duration>)]) -> Vec<Row> {
    let mut rows = Vec::new();
    for i in 0..expected.len().max(got.len()) {
        let (expected, got) = (expected.get(i), got.get(i));
        let same = matches!((expected, got), (Some(expected), Some((got, _))) if is_meant(expected, got));
        let key = if i == 0 { listed.to_string() } else { String::new() };
        let got = got.map(|(words, at)| match at {
            Some(at) => format!("{words} ({})", crate::model::write_moment(*at)),
            None => words.clone(),
        });
        rows.push(Row { key, expected: expected.cloned(), got, same });
    }
    if rows.iter().all(|row| row.same) { Vec::new() } else { rows }
}

/// `exec` alone means any command, and a rule alone any process that it fires for.
fn is_meant(expected: &str, got: &str) -> bool {
    if got.strip_prefix(expected).is_some_and(|rest| rest.starts_with(" of ")) {
        return true;
    }
    let split = |text: &str| {
        let (service, rest) = match text.split_once('/') {
            Some((service, rest)) if !service.contains(' ') => (service.to_owned(), rest.to_owned()),
            _ => (String::new(), text.to_owned()),
        };
        let end = [" failed", " held"].into_iter().find(|end| rest.ends_with(end)).unwrap_or("");
        let action = rest[..rest.len() - end.len()].to_owned();
        (service, action, end)
    };
    if expected == got {
        return true;
    }
    let ((of, action, end), (got_of, got_action, got_end)) = (split(expected), split(got));
    of == got_of && end == got_end && action == "exec" && got_action.starts_with("exec ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_or_a_process_may_be_named_or_not() {
        for (expected, got, same) in [
            ("restart", "restart", true),
            ("restart", "restart failed", false),
            ("exec", "exec /bin/drain web", true),
            ("exec", "exec /bin/drain web failed", false),
            ("exec failed", "exec /bin/drain web failed", true),
            ("exec /bin/drain web", "exec /bin/drain web", true),
            ("exec /bin/drain", "exec /bin/drain web", false),
            ("cache/exec", "cache/exec /bin/drain", true),
            ("exec", "cache/exec /bin/drain", false),
            ("hog", "hog of stress (1234)", true),
            ("hog of stress (1)", "hog of stress (1234)", false),
            ("hog of stress (1234)", "hog", false),
            ("ho", "hog of stress (1234)", false),
        ] {
            assert_eq!(is_meant(expected, got), same, "{expected}: {got}");
        }
    }
}
