//! Messages as people see them: on the command line, and as JSON.

use super::{MessageState, Step, Wall};
use serde::{Deserialize, Serialize};

/// A message, and what has become of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
