//! Tests of a notifier, as a person asks for them: a firing and its resolving, each tried once and at once, beside what the lane
//! is busy with. The person who waits for it sees the truth, and all that was said.

use crate::engine::context::Context;
use crate::model::{Delivery, Effect, MessageKind, Name, Parcel, ParcelId, RequestId, Severity, Story};
use std::sync::Arc;
use std::time::Duration;

/// Incidents of tests are numbered from here, by the number of their message: no other incident comes as far, and a receiver that
/// keeps numbers as JSON does has it exactly.
const INCIDENTS: u64 = 1 << 52;

/// A test under way.
#[derive(Debug)]
pub(super) struct Tried {
    to: Name,
    request: RequestId,
    story: Story,
    /// What was said so far.
    lines: Vec<String>,
    /// What the built-in words were used for.
    plainly: Option<Arc<str>>,
}

impl Context {
    /// Begins a test that this person asked for.
    pub fn tell_test(&mut self, to: &Name, who: &str, request: RequestId) {
        let story = Story {
            host: self.setting.host.clone(),
            title: format!("this is a test of {to}, asked for by {who}: nothing is wrong"),
            status: "ok".to_owned(),
            severity: Some(Severity::Info),
            since: Some(self.now.wall),
            test: true,
            ..Story::default()
        };
        let tried = Tried { to: Arc::clone(to), request, story, lines: Vec::new(), plainly: None };
        self.try_it(MessageKind::Firing, tried);
    }

    fn try_it(&mut self, kind: MessageKind, mut tried: Tried) {
        let id = self.next_parcel();
        let to = Arc::clone(&tried.to);
        let mut message = self.message(&to, kind, tried.story.clone(), Duration::ZERO);
        message.story.incident = Some(*tried.story.incident.get_or_insert(INCIDENTS + message.id.0));
        let key = message.key.clone();
        tried.lines.push(format!("--- {kind}"));
        self.outbox.tests.insert(id, tried);
        self.emit(Effect::Send(Parcel { id, key, to, messages: vec![Arc::new(message)], others: Vec::new() }));
    }

    /// What was said in an attempt.
    pub fn said(&mut self, parcel: ParcelId, lines: Vec<String>) {
        if let Some(tried) = self.outbox.tests.get_mut(&parcel) {
            tried.lines.extend(lines);
        }
    }

    /// What came of an attempt: the firing is followed by its resolving, so that nothing stays open where it was taken.
    pub(super) fn tried(&mut self, mut tried: Tried, outcome: Delivery) {
        let to = Arc::clone(&tried.to);
        let (ok, mut words) = match outcome {
            Delivery::Delivered { plainly } => {
                tried.plainly = tried.plainly.or(plainly);
                self.works_again(&to, "it takes messages again");
                if tried.story.ended.is_none() {
                    tried.story.ended = Some(self.now.wall);
                    return self.try_it(MessageKind::Resolved, tried);
                }
                let plainly = tried.plainly.as_ref().map(|why| format!(", in minder's own words: {why}"));
                (true, format!("{to} has taken the message{}", plainly.unwrap_or_default()))
            }
            Delivery::Deferred { why, .. } | Delivery::Refused { why } => {
                (false, format!("the message has not reached {to}: {why}"))
            }
        };
        // Who delivers may have nothing to show.
        if tried.lines.iter().any(|line| !line.starts_with("--- ")) {
            words = format!("{words}\n{}", tried.lines.join("\n"));
        }
        self.reply(tried.request, ok, words);
    }
}
