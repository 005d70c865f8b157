//! Who did what, from where, and what came of it.

use super::Caller;
use crate::dashboard::{Ask, Front, Problem, to_the_end};
use crate::model::{Answer, Audit, Command, Message, Record, clip, plain, show_age};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long an outcome is waited for. Every action has a deadline of its own, well below this.
pub(in crate::dashboard) const OUTCOME: Duration = Duration::from_secs(300);
/// The most that is kept of what was done, and of what came of it, in bytes.
const WORDS: usize = 500;

impl Front {
    /// Puts down what somebody did, or tried, and what came of it.
    pub(in crate::dashboard) async fn audit(&self, caller: &Caller, what: &str, ok: bool, words: &str) {
        let short = |text: &str| clip(&plain(text), WORDS);
        let audit = Audit {
            id: 0,
            at: self.clock.now().wall,
            who: short(&caller.name),
            from: short(&caller.from),
            what: short(what),
            ok,
            words: short(words),
        };
        // It fails when minder ends, and then there is nobody left to keep it.
        let _ = self.asks.send(Ask::Record(Record::Audit(Box::new(audit)))).await;
    }

    /// The same for what was tried in vain; so many a minute, however many there are.
    pub(in crate::dashboard) async fn audit_failure(&self, caller: &Caller, what: &str, words: &str) {
        let put_down = self.people.throttle().is_put_down(self.clock.now().mono);
        match put_down {
            None => {}
            Some(0) => self.audit(caller, what, false, words).await,
            Some(more) => self.audit(caller, what, false, &format!("{words}; {more} more were not put down")).await,
        }
    }

    /// Has the daemon do something for somebody, and puts down what came of it: also if he goes away before that is known.
    pub(in crate::dashboard) async fn act(
        self: &Arc<Front>,
        caller: &Caller,
        what: impl Into<String>,
        question: impl FnOnce(oneshot::Sender<Answer>) -> Ask + Send + 'static,
    ) -> Result<Answer, Problem> {
        let (front, caller, what) = (Arc::clone(self), caller.clone(), what.into());
        to_the_end(async move {
            let outcome = tokio::time::timeout(OUTCOME, front.ask(question)).await;
            let (ok, words) = match &outcome {
                Ok(Ok(answer)) => (answer.ok, answer.words.as_str()),
                Ok(Err(problem)) => (false, problem.detail.as_str()),
                Err(_) => (false, "no outcome within 5 min"),
            };
            front.audit(&caller, &what, ok, words).await;
            outcome.unwrap_or_else(|_| Err(Problem::ending()))
        })
        .await?
    }

    /// The same for messages that are to be sent again.
    pub(in crate::dashboard) async fn resend(
        self: &Arc<Front>,
        caller: &Caller,
        messages: Vec<Message>,
    ) -> Result<Answer, Problem> {
        let numbers: Vec<String> = messages.iter().map(|message| message.id.0.to_string()).collect();
        let what = format!("send again message {}", numbers.join(", "));
        let who = Arc::clone(&caller.name);
        self.act(caller, what, |reply| Ask::Resend { who, messages, reply }).await
    }

    /// The same for a command.
    pub(in crate::dashboard) async fn command(
        self: &Arc<Front>,
        caller: &Caller,
        command: Command,
    ) -> Result<Answer, Problem> {
        let who = Arc::clone(&caller.name);
        self.act(caller, deed(&command), |reply| Ask::Command { who, command, reply }).await
    }
}

/// What a command asks for, as it stands in the record: `restart web`.
fn deed(command: &Command) -> String {
    let lasting = |millis: u64| show_age(Duration::from_millis(millis));
    match command {
        Command::Start { service } => format!("start {service}"),
        Command::Stop { service } => format!("stop {service}"),
        Command::Restart { service } => format!("restart {service}"),
        Command::Pause { service } => format!("pause {service}"),
        Command::Resume { service } => format!("resume {service}"),
        Command::Several { verb, services, group, all } => {
            let which = match (all, group) {
                (true, _) => "all services".to_owned(),
                (false, Some(group)) if services.is_empty() => format!("the group {group}"),
                (false, Some(group)) => format!("{} and the group {group}", services.join(", ")),
                (false, None) => services.join(", "),
            };
            format!("{verb} {which}")
        }
        Command::Release => "release what the brake holds".to_owned(),
        Command::NotifyTest { notifier } => format!("send a test through {notifier}"),
        Command::Silence { scope, reason, lasts, .. } => {
            format!("silence {scope} for {}: {reason}", lasting(*lasts))
        }
        Command::Unsilence { all: true, .. } => "end all silences".to_owned(),
        Command::Unsilence { silences, holder, .. } => match holder {
            Some(holder) => format!("end the silences of process {}", holder.pid),
            None => {
                let numbers: Vec<String> = silences.iter().map(u64::to_string).collect();
                format!("end silence {}", numbers.join(", "))
            }
        },
        Command::Write { incident, service, words, public } => {
            let whom = if *public { " for the public" } else { "" };
            format!("write about incident {incident} of {service}{whom}: {words}")
        }
        Command::Acknowledge { service, by, reason, lasts } => {
            let by = by.as_ref().map_or_else(String::new, |by| format!(" as {by}"));
            let lasts = lasts.map_or_else(String::new, |lasts| format!(" for {}", lasting(lasts)));
            format!("acknowledge {service}{by}{lasts}: {reason}")
        }
        Command::Unacknowledge { service } => format!("take back the acknowledgement of {service}"),
    }
}
