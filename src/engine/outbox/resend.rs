//! What could not be delivered, sent again because somebody asks for it.

use super::lane::subject;
use super::merge;
use crate::engine::context::Context;
use crate::model::{Message, MessageKind, MessageState, Mono, RequestId, Stage, Why};
use std::sync::Arc;

impl Context {
    /// Puts these back into their lanes; those of notifiers that are gone stay dead.
    pub fn resend(&mut self, request: RequestId, who: &str, mut messages: Vec<Message>) {
        messages.sort_by_key(|message| message.id);
        let (mut count, mut gone) = (0, 0);
        for message in messages {
            if self.plan.notifiers.contains_key(&message.to) {
                count += usize::from(self.put_back(who, message));
            } else {
                gone += 1;
            }
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

    /// Puts one back; whether it was not there.
    fn put_back(&mut self, who: &str, mut message: Message) -> bool {
        let now = self.now;
        let Some(notifier) = self.plan.notifiers.get(&message.to).cloned() else { return false };
        let lane = self.outbox.lanes.entry(Arc::clone(&message.to)).or_default();
        if lane.waiting.contains_key(&message.id) {
            return false;
        }
        lane.pause = Mono(0);
        lane.wake = Mono(0);
        message.state = MessageState::Waiting;
        (message.at, message.expires) = (now.wall, now.wall + notifier.expire);
        message.step(now.wall, Stage::Record, Why::Resent { by: who.to_owned() });
        let subject = subject(&message);
        if let Some(into) = subject.and_then(|incident| lane.latest_of(incident)).filter(|later| *later > message.id) {
            message.state = MessageState::Dropped;
            message.step(now.wall, Stage::Deduplicate, Why::Merged { into });
            self.keep_message(Arc::new(message));
            return true;
        }
        let is_over = subject.is_some_and(|incident| !self.open.contains_key(&incident));
        let merged = if is_over && message.kind != MessageKind::Resolved {
            message.story.remark = Some("sent again, and over by now".to_owned());
            merge::Merged::default()
        } else {
            merge::arrive(lane, &mut message, true, &|_| true, now)
        };
        let message = Arc::new(message);
        self.keep_message(Arc::clone(&message));
        self.admit(message, merged);
        true
    }
}
