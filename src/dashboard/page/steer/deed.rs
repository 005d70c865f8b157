//! What can be done by a form, and doing it.

use crate::dashboard::who::Caller;
use crate::dashboard::{Ask, Front, Problem};
use crate::model::{Answer, Command, Message};
use std::sync::Arc;

/// What can be done, by the last part of its address: `/do/restart`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Start,
    Stop,
    Restart,
    Pause,
    Resume,
    Acknowledge,
    Unacknowledge,
    Silence,
    Unsilence,
    Resend,
    NotifyTest,
    Write,
    Reload,
    Release,
}

impl Verb {
    const ALL: [Verb; 14] = [
        Verb::Start,
        Verb::Stop,
        Verb::Restart,
        Verb::Pause,
        Verb::Resume,
        Verb::Acknowledge,
        Verb::Unacknowledge,
        Verb::Silence,
        Verb::Unsilence,
        Verb::Resend,
        Verb::NotifyTest,
        Verb::Write,
        Verb::Reload,
        Verb::Release,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Verb::Start => "start",
            Verb::Stop => "stop",
            Verb::Restart => "restart",
            Verb::Pause => "pause",
            Verb::Resume => "resume",
            Verb::Acknowledge => "acknowledge",
            Verb::Unacknowledge => "unacknowledge",
            Verb::Silence => "silence",
            Verb::Unsilence => "unsilence",
            Verb::Resend => "resend",
            Verb::NotifyTest => "notify-test",
            Verb::Write => "write",
            Verb::Reload => "reload",
            Verb::Release => "release",
        }
    }

    /// The one of this word.
    pub fn of(word: &str) -> Option<Verb> {
        Verb::ALL.into_iter().find(|verb| verb.word() == word)
    }
}

/// What a form asks for, whole and checked.
#[derive(Debug)]
pub(super) enum Deed {
    Command(Command),
    Resend(Vec<Message>),
    Reload,
}

/// Does it, puts it down to its caller, and says what came of it.
pub(super) async fn perform(front: &Arc<Front>, caller: &Caller, deed: Deed) -> Result<Answer, Problem> {
    match deed {
        Deed::Command(command) => front.command(caller, command).await,
        Deed::Resend(messages) => front.resend(caller, messages).await,
        Deed::Reload => front.act(caller, "reload the rules", Ask::Reload).await,
    }
}
