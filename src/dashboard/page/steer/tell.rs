//! What is done with messages and incidents: sent again, tried, written.

use super::super::words::Here;
use super::confirm::{Confirm, Now, to_service};
use super::deed::Deed;
use super::field::{Field, Sent};
use crate::dashboard::api::messages::{AGAIN, no_message};
use crate::dashboard::{Front, Problem};
use crate::model::{Command, Message, MessageId, MessageState, Name, Notifier, NotifierPlace};
use axum::http::StatusCode;

/// The longest text about an incident, in characters; what is longer the daemon would cut.
const WRITTEN: usize = 2000;
/// So many messages are listed.
const LISTED: usize = 20;

fn to_messages() -> (String, String) {
    ("/messages".to_owned(), "All messages".to_owned())
}

/// Where a notifier sends, in words without secrets.
pub(in crate::dashboard::page) fn place(notifier: &Notifier) -> String {
    match &notifier.place {
        NotifierPlace::Email(email) => {
            let to: Vec<String> = email.to.iter().map(ToString::to_string).collect();
            format!("mail to {}", to.join(", "))
        }
        NotifierPlace::Webhook(webhook) => match (&webhook.preset, &webhook.url) {
            (Some(preset), _) => format!("webhook, {preset}"),
            // The path of such an address is a secret more often than not.
            (None, Some(given)) if !given.is_secret() => {
                let url = url::Url::parse(given.expose()).ok();
                let host = url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
                format!("webhook at {host}")
            }
            (None, Some(given)) => format!("webhook at {given}"),
            (None, None) => "webhook".to_owned(),
        },
        NotifierPlace::Exec(exec) => format!("the command {}", exec.argv().first().cloned().unwrap_or_default()),
    }
}

/// One message, or all that are dead to a notifier.
pub(super) async fn resend(front: &Front, now: &Now, sent: &mut Sent) -> Result<Confirm, Problem> {
    let one = match sent.take("message") {
        Some(text) => Some(MessageId(text.parse().map_err(|_| no_message(0))?)),
        None => None,
    };
    let (messages, title, field) = match one {
        Some(id) => {
            let dead = front.look(move |history| history.dead(&[id])).await?;
            if dead.is_empty() {
                let known = front.look(move |history| history.message(id)).await?.ok_or_else(|| no_message(id.0))?;
                let back = (format!("/messages/{}", id.0), format!("Message {}", id.0));
                let mut confirm = Confirm::new(format!("Send message {} again", id.0), Here::Messages, back);
                let is = match known.state {
                    MessageState::Waiting => "waits, and is tried again by itself",
                    MessageState::Delivered => "was delivered",
                    MessageState::Dropped => "was not to be told",
                    MessageState::Dead => "is dead",
                };
                confirm.hindrance = Some(format!("Message {} {is}: there is nothing to send again.", id.0));
                return Ok(confirm);
            }
            (dead, format!("Send message {} again", id.0), Field::hidden("message", id.0))
        }
        None => {
            let notifier = sent.need("notifier")?;
            let name = notifier.clone();
            let dead = front.look(move |history| history.all_dead(Some(&name), AGAIN)).await?;
            (dead, format!("Send again what did not reach {notifier}"), Field::hidden("notifier", notifier))
        }
    };
    let mut confirm = Confirm::new(title, Here::Messages, to_messages());
    confirm.fields.push(field);
    if messages.is_empty() {
        confirm.hindrance = Some("There is no message that could be sent again.".to_owned());
        return Ok(confirm);
    }
    let line = |message: &Message| format!("{}: {}", message.id.0, message.story.title);
    let rest = messages.len().saturating_sub(LISTED);
    let more = (rest > 0).then(|| format!("and {rest} more"));
    confirm.fact("What is sent", messages.iter().take(LISTED).map(line).chain(more));
    let mut to: Vec<Name> = messages.iter().map(|message| message.to.clone()).collect();
    to.dedup();
    to.sort();
    to.dedup();
    let place_of = |name: &Name| match now.plan.notifiers.get(name) {
        Some(notifier) => format!("{name}, {}", place(notifier)),
        None => format!("{name}, which is no longer in the rules: what is for it cannot be sent"),
    };
    confirm.fact("Who is told", to.iter().map(place_of));
    if let [message] = messages.as_slice() {
        let full = |at| now.moment.full(&at);
        let why = message.steps.last().map(|step| step.words(&full));
        confirm.fact("Why it was not delivered", why);
        confirm.fact("Written", [now.moment.full(&message.at)]);
    }
    let lanes = now.snapshot.notifiers.iter().filter(|view| to.contains(&view.name));
    confirm.fact(
        "Now",
        lanes.filter_map(|view| Some(format!("{} does not take messages: {}", view.name, view.why.as_ref()?))),
    );
    confirm.fact("What happens", [
        "It waits for its notifier again, and is tried at once. What is over by now says so; what a later message tells already is \
         left out."
            .to_owned(),
    ]);
    confirm.bound = messages.iter().map(|message| message.id.0.to_string()).collect::<Vec<_>>().join(" ");
    confirm.deed = Some(Deed::Resend(messages));
    Ok(confirm)
}

/// A test of a notifier.
pub(super) fn test(now: &Now, sent: &mut Sent) -> Result<Confirm, Problem> {
    let name = sent.need("notifier")?;
    let Some(notifier) = now.plan.notifiers.get(&*name) else {
        let shown: String = name.chars().take(100).collect();
        let detail = format!("The rules name no notifier “{shown}”.");
        return Err(Problem::new(StatusCode::NOT_FOUND, "No such notifier", detail));
    };
    let mut confirm = Confirm::new(format!("Test {name}"), Here::Messages, to_messages());
    confirm.fields.push(Field::hidden("notifier", &name));
    if now.snapshot.no_act {
        confirm.hindrance = Some("minder was started with --no-act, and sends nothing.".to_owned());
    }
    confirm.fact("Who is told", [place(notifier)]);
    confirm.fact("What happens", [
        "A message that something is wrong, then one that it is over, both marked as a test, are sent at once: past silences, hours, \
         and what waits."
            .to_owned(),
        "The whole conversation is shown.".to_owned(),
    ]);
    let lane = now.snapshot.notifiers.iter().find(|view| *view.name == *name);
    confirm.fact(
        "Now",
        lane.and_then(|view| view.why.as_ref()).map(|why| format!("The latest attempt was in vain: {why}")),
    );
    confirm.bound = format!("{name} {}", place(notifier));
    confirm.deed = Some(Deed::Command(Command::NotifyTest { notifier: name.into() }));
    Ok(confirm)
}

/// Something about an incident, for those who look at it.
pub(super) async fn write(front: &Front, now: &Now, sent: &mut Sent) -> Result<Confirm, Problem> {
    let id = sent.number("incident")?;
    let incident = front.incident(id).await?;
    let back = match incident.service.is_empty() {
        true => ("/incidents".to_owned(), "Incidents".to_owned()),
        false => to_service(&incident.service),
    };
    let mut confirm = Confirm::new(format!("Write about incident {id}"), Here::Incidents, back);
    confirm.fields.push(Field::hidden("incident", id));
    let moment = &now.moment;
    let closed = incident.closed.map_or("open still".to_owned(), |at| format!("over since {}", moment.full(&at)));
    confirm.fact(
        "Incident",
        [incident.title.clone(), format!("{}, since {}, {closed}", incident.severity, moment.full(&incident.opened))],
    );
    confirm.fact("Service", [incident.service.to_string()]);
    let public = now.plan.services.iter().any(|service| service.name == incident.service && service.public.is_some());
    confirm.fact(
        "Who reads it",
        [match public {
            true => "Everybody who may look at this page; the public only if you say so below.",
            false => "Everybody who may look at this page. The public does not see this service.",
        }
        .to_owned()],
    );
    confirm
        .fact("Who is told", ["Nobody: it is shown with the incident, and cannot be changed afterwards.".to_owned()]);
    let words = Field::lines("words", "What is to be known", sent)
        .at_most(WRITTEN)
        .required("Write something about the incident.");
    let mut command =
        Command::Write { incident: id, service: incident.service, words: words.value.clone(), public: false };
    confirm.fields.push(words);
    if public {
        let tick = Field::tick("public", "The public may read it", sent);
        if let Command::Write { public, .. } = &mut command {
            *public = tick.is_ticked();
        }
        confirm.fields.push(tick);
    }
    confirm.bound = format!("{id} {public}");
    confirm.deed = Some(Deed::Command(command));
    Ok(confirm)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EmailSpec, Given, WebhookSpec};

    #[test]
    fn a_place_in_words_has_no_secrets() {
        let words = |place_of| place(&Notifier::new("ops".into(), place_of));
        let mail = EmailSpec::new(vec![Given::literal("ops@example.org")]);
        assert_eq!(words(NotifierPlace::Email(mail)), "mail to ops@example.org");
        let hook = WebhookSpec::new(Given::literal("https://u:pw@hooks.example.org/T0/secret?k=1"));
        assert_eq!(words(NotifierPlace::Webhook(hook)), "webhook at hooks.example.org");
    }
}
