//! Delivers messages: by mail, by HTTP, to a command.
//!
//! Each [`Parcel`] is one attempt, in a task of its own, so that a mail server that hangs delays no webhook. What comes of it goes
//! back as [`Input::Delivered`], always: also of an attempt that was abandoned. When it is tried again, and in which order
//! messages go, the engine decides.
//!
//! Nothing here is durable: the outbox of the store keeps every message until its outcome is known. A parcel that was under way
//! when minder died is therefore sent once more, with the same key.

mod cloudevent;
mod email;
mod exec;
mod names;
mod partly;
mod render;
mod talk;
mod template;
mod webhook;

use crate::model::{Clock, Delivery, Input, Mail, Name, Notifier, NotifierPlace, Parcel, ParcelId, Plan, plain};
use names::Names;
use partly::Partly;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use talk::Talk;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;

/// How long attempts under way may go on when minder ends.
const PARTING: Duration = Duration::from_secs(2);

/// Attempts under way at one time. The engine has one for each notifier, and tests.
const ATTEMPTS: usize = 256;
/// So many, and no further test is begun: however many are asked for, what has happened is told.
const TESTS: usize = 128;

/// The notifiers of the plan in effect. Dropping it abandons every attempt under way.
pub struct Notifiers {
    places: BTreeMap<Name, Arc<Destination>>,
    inputs: UnboundedSender<Input>,
    clock: Arc<dyn Clock>,
    http: webhook::Client,
    names: Names,
    partly: Partly,
    attempts: JoinSet<()>,
}

/// One notifier with all that it needs to deliver.
struct Destination {
    notifier: Arc<Notifier>,
    mail: Option<Mail>,
    http: webhook::Client,
    names: Names,
    partly: Partly,
}

/// Why an attempt did not deliver. The words are for people: no secrets, no control characters.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// Another attempt may succeed.
    #[error("{why}")]
    Later {
        /// What went wrong.
        why: String,
        /// The receiver asks not to be tried again sooner.
        after: Option<Duration>,
    },
    /// This message will never be taken.
    #[error("{why}")]
    Refused {
        /// What the receiver said.
        why: String,
    },
}

impl Failure {
    fn later(why: impl Into<String>) -> Failure {
        Failure::Later { why: why.into(), after: None }
    }
    fn refused(why: impl Into<String>) -> Failure {
        Failure::Refused { why: why.into() }
    }
}

/// A parcel was taken: why in the built-in words, if the notifier's own could not be used.
type Taken = Option<String>;

impl Destination {
    async fn deliver(&self, parcel: &Parcel, clock: &dyn Clock, talk: &mut Talk) -> Result<Taken, Failure> {
        let Some(told) = template::told(parcel) else { return Ok(None) };
        match &self.notifier.place {
            NotifierPlace::Email(spec) => {
                let secrets = self.mail.as_ref().map(|mail| email::secrets(spec, mail)).unwrap_or_default();
                let way = (self.mail.as_ref(), &self.names, &self.partly);
                talk.over_smtp(&secrets, email::deliver(spec, way, parcel, &told, clock)).await
            }
            NotifierPlace::Webhook(spec) => webhook::deliver(&self.http, spec, &told, clock, talk).await,
            NotifierPlace::Exec(spec) => exec::deliver(spec, &told, talk).await.map(|()| None),
        }
    }
}

/// Sends what came of an attempt, once, whatever happens to it.
struct Outcome {
    parcel: ParcelId,
    inputs: UnboundedSender<Input>,
    delivery: Option<Delivery>,
}

impl Outcome {
    fn is(mut self, delivery: Delivery) {
        self.delivery = Some(delivery);
    }
}

impl Drop for Outcome {
    fn drop(&mut self) {
        let abandoned = || Delivery::Deferred { why: "the attempt was abandoned".into(), after: None };
        let outcome = self.delivery.take().unwrap_or_else(abandoned);
        // The loop is gone only when minder ends: the message stays in the outbox.
        let _ = self.inputs.send(Input::Delivered { parcel: self.parcel, outcome });
    }
}

impl Notifiers {
    /// The notifiers of the plan.
    pub fn new(plan: &Plan, inputs: UnboundedSender<Input>, clock: Arc<dyn Clock>) -> Notifiers {
        let names = Names::default();
        let http = webhook::Client::new(names.clone());
        let (places, partly, attempts) = (BTreeMap::new(), Partly::default(), JoinSet::new());
        let mut notifiers = Notifiers { places, inputs, clock, http, names, partly, attempts };
        notifiers.replan(plan);
        notifiers
    }

    /// Tries to deliver this, once, when `recorded` is through; never blocks. Must be called within a tokio runtime.
    pub fn send(&mut self, parcel: Parcel, recorded: impl Future<Output = ()> + Send + 'static) {
        while self.attempts.try_join_next().is_some() {}
        let outcome = Outcome { parcel: parcel.id, inputs: self.inputs.clone(), delivery: None };
        let Some(place) = self.places.get(&parcel.to).cloned() else {
            let why = format!("the plan has no notifier `{}` any more", plain(&parcel.to));
            return outcome.is(Delivery::Refused { why: why.into() });
        };
        let is_test = parcel.messages.iter().all(|message| message.story.test);
        let most = if is_test { TESTS } else { ATTEMPTS };
        if self.attempts.len() >= most {
            let why = format!("{most} messages are under way already");
            return outcome.is(Delivery::Deferred { why: why.into(), after: None });
        }
        let (clock, inputs) = (Arc::clone(&self.clock), self.inputs.clone());
        self.attempts.spawn(async move {
            recorded.await;
            let is_test = parcel.messages.iter().any(|message| message.story.test);
            let mut talk = Talk(is_test.then(Vec::new));
            let delivered = place.deliver(&parcel, &*clock, &mut talk).await;
            if let Some(lines) = talk.0 {
                // As with the outcome, nobody listens any more when minder ends.
                let _ = inputs.send(Input::Said { parcel: parcel.id, lines });
            }
            let delivery = match delivered {
                Ok(plainly) => Delivery::Delivered { plainly: plainly.map(Into::into) },
                Err(Failure::Later { why, after }) => Delivery::Deferred { why: why.into(), after },
                Err(Failure::Refused { why }) => Delivery::Refused { why: why.into() },
            };
            outcome.is(delivery);
        });
    }

    /// Takes up a new plan; attempts under way end as they began.
    pub fn replan(&mut self, plan: &Plan) {
        let destination = |notifier: &Arc<Notifier>| Destination {
            notifier: Arc::clone(notifier),
            mail: plan.mail.clone(),
            http: self.http.clone(),
            names: self.names.clone(),
            partly: self.partly.clone(),
        };
        self.places =
            plan.notifiers.iter().map(|(name, notifier)| (name.clone(), Arc::new(destination(notifier)))).collect();
    }

    /// Gives the attempts under way two seconds to come to an end. Outcomes of the last moment are still sent as inputs.
    pub async fn shutdown(mut self) {
        let all = async { while self.attempts.join_next().await.is_some() {} };
        // What has not ended by then is dropped with the set.
        let _ = tokio::time::timeout(PARTING, all).await;
    }
}
