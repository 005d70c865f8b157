//! Somebody looks after an incident: no reminders and no escalation meanwhile.

use super::context::Context;
use super::service::ServiceState;
use crate::model::{Command, RequestId};

impl ServiceState {
    /// Takes note of who looks after the open incident, or that nobody does any more.
    pub fn acknowledge(&mut self, cx: &mut Context, request: RequestId, _who: &str, _command: Command) {
        cx.reply(request, false, "not yet");
    }
}
