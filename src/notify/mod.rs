//! Delivers messages: by mail, by HTTP, to a command.
//!
//! Each notifier has a queue and a task of its own, so that a mail server that hangs delays no webhook. A queue keeps the
//! order: what happened first is told first, and a message that cannot be delivered now holds up those behind it until it
//! is delivered, refused for good, or expired. What comes of each message goes back as [`Input::Delivered`].
//!
//! Nothing here is durable: the outbox of the store keeps every message until its outcome is known, and hands those that
//! were waiting to [`Notifiers::start`]. A message that was under way when minder died is therefore sent once more, with
//! the same key.

mod cloudevent;
mod email;
mod exec;
mod names;
mod queue;
mod render;
mod webhook;

use crate::model::{
    Clock, Delivery, Input, Mail, Message, MessageId, MessageKind, Name, Notifier, NotifierPlace, Plan, plain,
};
use names::Names;
use queue::Order;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long attempts under way may go on when minder ends.
const PARTING: Duration = Duration::from_secs(2);

/// Tests under way at one time, over all notifiers.
const TESTS: usize = 16;

/// The notifiers of the plan in effect, at work. Dropping it abandons every attempt under way.
pub struct Notifiers {
    lanes: BTreeMap<Name, Lane>,
    outcomes: Outcomes,
    http: webhook::Client,
    names: Names,
    deliveries: JoinSet<()>,
    tests: JoinSet<()>,
}

/// A notifier's queue, and the hold on its task.
struct Lane {
    queue: Arc<queue::Queue>,
    orders: watch::Sender<Order<Destination>>,
}

/// One notifier with all that it needs to deliver.
struct Destination {
    notifier: Arc<Notifier>,
    mail: Option<Mail>,
    http: webhook::Client,
    names: Names,
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

impl queue::Place for Destination {
    async fn deliver(&self, message: &Message, clock: &dyn Clock) -> Result<(), Failure> {
        match &self.notifier.place {
            NotifierPlace::Email(spec) => email::deliver(spec, self.mail.as_ref(), &self.names, message).await,
            NotifierPlace::Webhook(spec) => webhook::deliver(&self.http, spec, message, clock).await,
            NotifierPlace::Exec(spec) => exec::deliver(spec, message).await,
        }
    }
}

/// Where outcomes go, and the time.
#[derive(Clone)]
struct Outcomes {
    inputs: UnboundedSender<Input>,
    clock: Arc<dyn Clock>,
}

impl Outcomes {
    fn delivered(&self, message: MessageId) {
        self.tell(message, Delivery::Delivered);
    }
    fn deferred(&self, message: MessageId, why: &str) {
        self.tell(message, Delivery::Deferred { why: why.into() });
    }
    fn dead(&self, message: MessageId, why: &str) {
        self.tell(message, Delivery::Dead { why: why.into() });
    }
    fn tell(&self, message: MessageId, outcome: Delivery) {
        // The loop is gone only when minder ends: the message stays in the outbox.
        let _ = self.inputs.send(Input::Delivered { message, outcome });
    }
}

impl Notifiers {
    /// Starts a task for each notifier of the plan, and takes up what the outbox has kept, in that order. Must be called
    /// within a tokio runtime.
    pub fn start(
        plan: &Plan,
        inputs: UnboundedSender<Input>,
        clock: Arc<dyn Clock>,
        waiting: Vec<Message>,
    ) -> Notifiers {
        let names = Names::default();
        let mut notifiers = Notifiers {
            lanes: BTreeMap::new(),
            outcomes: Outcomes { inputs, clock },
            http: webhook::Client::new(names.clone()),
            names,
            deliveries: JoinSet::new(),
            tests: JoinSet::new(),
        };
        notifiers.replan(plan);
        for message in waiting {
            notifiers.send(message);
        }
        notifiers
    }

    /// Puts the message into its notifier's queue; never blocks. A queue holds 1,000 messages. When one more comes, the
    /// oldest of the least valuable is dead: an update or notice, else a firing, else an all-clear.
    ///
    /// A test is not queued: it is tried once, at once, beside what the notifier is busy with, so that the person who
    /// waits for it sees the truth.
    pub fn send(&mut self, message: Message) {
        let Some(lane) = self.lanes.get(&message.to) else {
            self.outcomes.dead(message.id, &removed(&message.to));
            return;
        };
        if message.kind != MessageKind::Test {
            if let Some(lost) = lane.queue.push(message, self.outcomes.clock.now()) {
                self.outcomes.dead(lost.id, &format!("more than {} messages wait for this notifier", queue::CAPACITY));
            }
            return;
        }
        while self.tests.try_join_next().is_some() {}
        let place = lane.orders.borrow().place();
        match place {
            Some(place) if self.tests.len() < TESTS => {
                self.tests.spawn(queue::try_once(place, message, self.outcomes.clone()));
            }
            _ => self.outcomes.dead(message.id, &format!("{TESTS} tests are under way already; try again")),
        }
    }

    /// Takes up a new plan. A notifier of the same name keeps its queue and tries what waits at once, since its keys may
    /// have been put right. What waits for a notifier that is gone is dead.
    pub fn replan(&mut self, plan: &Plan) {
        self.lanes.retain(|name, lane| {
            let stays = plan.notifiers.contains_key(name);
            if !stays {
                lane.orders.send_replace(Order::Removed);
            }
            stays
        });
        while self.deliveries.try_join_next().is_some() {}
        for (name, notifier) in &plan.notifiers {
            let destination = Destination {
                notifier: notifier.clone(),
                mail: plan.mail.clone(),
                http: self.http.clone(),
                names: self.names.clone(),
            };
            let order = Order::Deliver(Arc::new(destination));
            if let Some(lane) = self.lanes.get(name) {
                lane.orders.send_replace(order);
                continue;
            }
            let queue = Arc::new(queue::Queue::default());
            let (orders, receiver) = watch::channel(order);
            self.deliveries.spawn(queue::run(name.clone(), queue.clone(), receiver, self.outcomes.clone()));
            self.lanes.insert(name.clone(), Lane { queue, orders });
        }
    }

    /// Begins no further attempt, and gives those under way two seconds to come to an end. Everything else stays in the
    /// outbox. Outcomes of the last moment are still sent as inputs.
    pub async fn shutdown(mut self) {
        for lane in self.lanes.values() {
            lane.orders.send_replace(Order::End);
        }
        let all = async {
            while self.deliveries.join_next().await.is_some() {}
            while self.tests.join_next().await.is_some() {}
        };
        // What has not ended by then is dropped with the sets.
        let _ = tokio::time::timeout(PARTING, all).await;
    }
}

fn removed(name: &str) -> String {
    format!("the plan has no notifier `{}` any more", plain(name))
}
