//! Messages as people see them: on the command line, and as JSON.

use super::{MessageState, Step, Wall, Why};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A message, and what has become of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessageView {
    /// Its number.
    pub id: u64,
    /// The notifier that is to be told.
    pub notifier: String,
    /// What it is about: [`super::MessageKind::word`].
    pub kind: String,
    /// The service; nothing if it is about minder itself.
    pub service: Option<String>,
    /// The incident's number.
    pub incident: Option<u64>,
    /// What it tells, in a few words.
    pub title: String,
    /// What has become of it.
    pub state: MessageState,
    /// When it was written.
    pub at: Wall,
    /// From when on it is no longer worth sending.
    pub expires: Wall,
    /// When it ceased to wait.
    pub ended: Option<Wall>,
    /// How often it was tried, as far as its steps go back.
    pub attempts: u32,
    /// The latest of its steps, in words.
    pub why: Option<String>,
    /// How that came, the latest last; none where they were written by another version.
    pub steps: Vec<Step>,
}

impl MessageView {
    /// Why it is as it is: its latest step. `time` shows a time.
    pub fn reason(&self, time: &dyn Fn(Wall) -> String) -> Option<String> {
        match self.steps.last() {
            // The beginning is not what keeps it.
            Some(Step { why: Why::Told { .. }, .. }) => Some("it waits for its turn".to_owned()),
            Some(step) if self.why.as_deref() == Some(&*step.why.to_string()) => Some(step.words(time)),
            // The store ended it, and says so in words alone.
            _ => self.why.clone(),
        }
    }

    /// Why did I, or did I not, get this? In a sentence.
    pub fn verdict(&self, time: &dyn Fn(Wall) -> String) -> String {
        let notifier = &self.notifier;
        let why = self.reason(time).unwrap_or_else(|| "it is not known why".to_owned());
        match self.state {
            MessageState::Delivered => {
                let at = self.ended.map_or_else(String::new, |at| format!(" at {}", time(at)));
                let together = self.steps.iter().rev().find_map(|step| match step.why {
                    Why::Together { count } => Some(format!(", one of {count} in one message")),
                    _ => None,
                });
                format!("{notifier} took it{at}{}.", together.unwrap_or_default())
            }
            MessageState::Waiting => {
                format!("{notifier} does not have it yet: {why}. It is given up at {}.", time(self.expires))
            }
            MessageState::Dead => format!("{notifier} did not get it: {why}."),
            MessageState::Dropped => match self.steps.last().map(|step| &step.why) {
                Some(Why::Merged { into }) => {
                    format!("{notifier} was not sent this, because message {} tells it, and more.", into.0)
                }
                _ => format!("{notifier} was not told: {why}."),
            },
        }
    }
}

impl Step {
    /// It in words, with the time that it speaks of. `time` shows a time.
    pub fn words(&self, time: &dyn Fn(Wall) -> String) -> String {
        let until = match &self.why {
            Why::Deferred { until, .. } => format!(" at {}", time(*until)),
            Why::Silenced { until, .. } | Why::Gathers { until } => format!(" (until {})", time(*until)),
            Why::OutsideHours { until: Some(until) } => format!(" (until {})", time(*until)),
            _ => String::new(),
        };
        match &self.why {
            Why::Deferred { error, .. } => format!("not taken: {error}; tried again{until}"),
            why => format!("{why}{until}"),
        }
    }
}
