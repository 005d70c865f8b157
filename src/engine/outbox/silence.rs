//! What people have asked not to hear for a while.

use super::Verdict;
use crate::engine::Engine;
use crate::engine::context::Context;
use crate::model::{Command, Message, RequestId};

impl Engine {
    /// Begins a silence, or ends one.
    pub fn silence(&mut self, request: RequestId, _who: &str, _command: Command) {
        self.context.reply(request, false, "not yet");
    }
}

/// Whether the message may go as far as silences and maintenance are concerned.
pub(super) fn verdict(_cx: &Context, _message: &Message) -> Verdict {
    Verdict::Pass
}
