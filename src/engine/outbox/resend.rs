//! What could not be delivered, sent again because somebody asks for it.

use super::Waiting;
use crate::engine::context::Context;
use crate::model::{Message, MessageState, Mono, RequestId, Stage, Why};
use std::sync::Arc;

impl Context {
    /// Puts these back into their lanes; those of notifiers that are gone stay dead.
    pub fn resend(&mut self, request: RequestId, who: &str, messages: Vec<Message>) {
        let (mut count, mut gone) = (0, 0);
        for mut message in messages {
            let Some(notifier) = self.plan.notifiers.get(&message.to).cloned() else {
                gone += 1;
                continue;
            };
            let now = self.now;
            (message.state, message.at, message.expires) =
                (MessageState::Waiting, now.wall, now.wall + notifier.expire);
            message.step(now.wall, Stage::Record, Why::Resent { by: who.to_owned() });
            let lane = self.outbox.lanes.entry(Arc::clone(&message.to)).or_default();
            (lane.wake, lane.pause) = (Mono(0), Mono(0));
            let (to, message) = (Arc::clone(&message.to), Arc::new(message));
            lane.waiting.insert(message.id, Waiting::new(Arc::clone(&message), now));
            self.keep_message(message);
            self.make_room(&to);
            count += 1;
        }
        let words = match (count, gone) {
            (0, 0) => "there is no such message that could be sent again".to_owned(),
            (0, _) => "the plan has no such notifier any more".to_owned(),
            (1, 0) => "1 message is sent again".to_owned(),
            (count, 0) => format!("{count} messages are sent again"),
            (count, gone) => {
                format!("{count} messages are sent again; of {gone} the notifier is no longer in the plan")
            }
        };
        self.reply(request, count > 0, words);
    }
}
