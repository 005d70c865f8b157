//! A notifier's queue and its task: in order, with growing pauses, until an outcome is certain.

use super::{Failure, Outcomes, removed};
use crate::model::{Clock, Message, MessageKind, Mono, Name, Now};
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// How many messages may wait for one notifier.
pub(super) const CAPACITY: usize = 1000;

/// The pause after the first failed attempt; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause between two attempts.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Where a notifier sends.
pub(super) trait Place: Send + Sync + 'static {
    /// One attempt, within a deadline of its own.
    fn deliver(&self, message: &Message, clock: &dyn Clock) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// What the task of a notifier has to do.
pub(super) enum Order<P> {
    /// Deliver there.
    Deliver(Arc<P>),
    /// The notifier is gone from the plan: its messages are dead.
    Removed,
    /// minder ends: its messages stay in the outbox.
    End,
}

impl<P> Order<P> {
    /// Where to deliver, while that is the order.
    pub(super) fn place(&self) -> Option<Arc<P>> {
        match self {
            Order::Deliver(place) => Some(place.clone()),
            Order::Removed | Order::End => None,
        }
    }
}

/// Messages that wait, oldest first, at most [`CAPACITY`]. When one more comes, the oldest of the least valuable ones goes:
/// updates and notices first, then firings, and all-clears last, since who was told of a firing is to be told of its end.
///
/// The message being delivered is not in the queue, and is never let go of.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<VecDeque<(Message, Mono)>>,
    more: Notify,
}

impl Queue {
    /// Adds a message. Returns the one that had to go for it.
    pub(super) fn push(&self, message: Message, now: Now) -> Option<Message> {
        let until = worth_until(&message, now);
        let lost = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let lost = if waiting.len() < CAPACITY {
                None
            } else {
                let least = waiting.iter().enumerate().min_by_key(|(_, (m, _))| value(m.kind)).map(|(place, _)| place);
                least.and_then(|place| waiting.remove(place)).map(|(lost, _)| lost)
            };
            waiting.push_back((message, until));
            lost
        };
        self.more.notify_one();
        lost
    }

    /// The oldest message, if there is one.
    fn pop(&self) -> Option<(Message, Mono)> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// The oldest message; waits for one. Nothing is lost if the future is dropped.
    async fn next(&self) -> (Message, Mono) {
        loop {
            // The permit of `notify_one` is kept: a message that comes between the two lines is not missed.
            if let Some(message) = self.pop() {
                return message;
            }
            self.more.notified().await;
        }
    }
}

/// Until when it is worth sending: by the clock that never steps, or a machine whose clock is set right by years, as happens
/// soon after the boot of one that does not keep time, would lose everything that waits. A clock that was set back does not
/// make a message worth more than when it was new.
fn worth_until(message: &Message, now: Now) -> Mono {
    now.mono + (message.expires - now.wall).min(message.expires - message.at)
}

/// How much would be lost with a message of this kind.
fn value(kind: MessageKind) -> u8 {
    match kind {
        MessageKind::Update | MessageKind::Notice | MessageKind::Test => 0,
        MessageKind::Firing => 1,
        MessageKind::Resolved => 2,
    }
}

/// The task of one notifier: ends when it is told to, after the attempt under way.
pub(super) async fn run<P: Place>(
    name: Name,
    queue: Arc<Queue>,
    mut orders: watch::Receiver<Order<P>>,
    outcomes: Outcomes,
) {
    loop {
        let next = tokio::select! {
            biased;
            _ = orders.wait_for(|order| order.place().is_none()) => None,
            message = queue.next() => Some(message),
        };
        match next {
            Some((message, until)) => see_through(message, until, &mut orders, &outcomes).await,
            None => break,
        }
    }
    if matches!(*orders.borrow(), Order::Removed) {
        while let Some((message, _)) = queue.pop() {
            outcomes.dead(message.id, &removed(&name));
        }
    }
}

/// Attempts to deliver the message until it is delivered, refused, or expired, or until the order comes to end.
async fn see_through<P: Place>(
    message: Message,
    until: Mono,
    orders: &mut watch::Receiver<Order<P>>,
    outcomes: &Outcomes,
) {
    let mut attempt = 0;
    let mut latest: Option<String> = None;
    loop {
        let place = match &*orders.borrow_and_update() {
            Order::Deliver(place) => place.clone(),
            Order::Removed => return outcomes.dead(message.id, &removed(&message.to)),
            Order::End => return,
        };
        if outcomes.clock.now().mono >= until {
            let why = match latest {
                None => "expired before it could be sent".to_owned(),
                Some(latest) => format!("expired; the last attempt: {latest}"),
            };
            return outcomes.dead(message.id, &why);
        }
        let (why, after) = match place.deliver(&message, &*outcomes.clock).await {
            Ok(()) => return outcomes.delivered(message.id),
            Err(Failure::Refused { why }) => return outcomes.dead(message.id, &why),
            Err(Failure::Later { why, after }) => (why, after),
        };
        if latest.is_none() {
            outcomes.deferred(message.id, &why);
        }
        latest = Some(why);
        let pause = pause(&message.key, attempt).max(after.unwrap_or_default()).min(LONGEST_PAUSE);
        // Not beyond its expiry: that it is dead should be known then, and not at the next attempt.
        let pause = pause.min(until - outcomes.clock.now().mono);
        attempt += 1;
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            changed = orders.changed() => match changed {
                Ok(()) => attempt = 0,
                Err(_) => return,
            },
        }
    }
}

/// One attempt, whose outcome is final: for tests.
pub(super) async fn try_once(place: Arc<impl Place>, message: Message, outcomes: Outcomes) {
    match place.deliver(&message, &*outcomes.clock).await {
        Ok(()) => outcomes.delivered(message.id),
        Err(failure) => outcomes.dead(message.id, &failure.to_string()),
    }
}

/// How long to wait after the attempt with this number: from 1 s, doubling to 5 min, each within a fifth of that, so that many
/// machines that lost the same mail server do not come back to it all at once. The same for a message each time.
fn pause(key: &str, attempt: u32) -> Duration {
    let mut hasher = DefaultHasher::new();
    (key, attempt).hash(&mut hasher);
    let fifth = f64::from(u32::try_from(hasher.finish() >> 32).unwrap_or(0)) / f64::from(u32::MAX) * 0.4 - 0.2;
    let pause = FIRST_PAUSE.saturating_mul(1 << attempt.min(16)).min(LONGEST_PAUSE);
    pause.mul_f64(1.0 + fifth).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Delivery, Input, MessageId, Mono, Now, Story, Wall};
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
    use tokio::time::Instant;

    /// Does as it is told in turn, and then takes everything; notes when it was tried, and with what.
    struct Scripted {
        answers: Mutex<VecDeque<Failure>>,
        tries: Mutex<Vec<(Duration, u64)>>,
        begun: Instant,
    }

    impl Place for Scripted {
        async fn deliver(&self, message: &Message, _: &dyn Clock) -> Result<(), Failure> {
            self.tries.lock().unwrap().push((self.begun.elapsed(), message.id.0));
            self.answers.lock().unwrap().pop_front().map_or(Ok(()), Err)
        }
    }

    /// Follows tokio's clock, which the tests pause: hours pass in no time.
    struct Paused(Instant);

    impl Clock for Paused {
        fn now(&self) -> Now {
            let since = self.0.elapsed();
            Now { mono: Mono(0) + since, wall: Wall(0) + since }
        }
    }

    struct Bench {
        queue: Arc<Queue>,
        place: Arc<Scripted>,
        orders: watch::Sender<Order<Scripted>>,
        inputs: UnboundedReceiver<Input>,
    }

    fn bench(answers: Vec<Failure>) -> Bench {
        let begun = Instant::now();
        let place = Arc::new(Scripted { answers: Mutex::new(answers.into()), tries: Mutex::default(), begun });
        let (orders, receiver) = watch::channel(Order::Deliver(place.clone()));
        let (sender, inputs) = unbounded_channel();
        let queue = Arc::new(Queue::default());
        let outcomes = Outcomes { inputs: sender, clock: Arc::new(Paused(begun)) };
        tokio::spawn(run("ops".into(), queue.clone(), receiver, outcomes));
        Bench { queue, place, orders, inputs }
    }

    impl Bench {
        async fn outcome(&mut self) -> (u64, Delivery) {
            match self.inputs.recv().await {
                Some(Input::Delivered { message, outcome }) => (message.0, outcome),
                other => panic!("{other:?}"),
            }
        }
        fn push(&self, message: Message) {
            let now = Paused(self.place.begun).now();
            self.queue.push(message, now);
        }
        fn tries(&self) -> Vec<(Duration, u64)> {
            self.place.tries.lock().unwrap().clone()
        }
    }

    fn message(id: u64, kind: MessageKind) -> Message {
        let expires = Wall(86_400_000);
        let key = format!("test-{id}");
        Message { id: MessageId(id), key, to: "ops".into(), kind, at: Wall(0), expires, story: Story::default() }
    }

    fn busy(times: usize) -> Vec<Failure> {
        (0..times).map(|n| Failure::later(format!("busy {n}"))).collect()
    }

    #[test]
    fn pauses_double_from_a_second_to_five_minutes() {
        for key in ["a", "b", "c"] {
            let mut expected = 1.0;
            for attempt in 0..40 {
                let seconds = pause(key, attempt).as_secs_f64();
                assert!(
                    seconds >= expected * 0.8 && seconds <= f64::min(expected * 1.2, 300.0),
                    "{attempt}: {seconds}"
                );
                expected = f64::min(expected * 2.0, 300.0);
            }
        }
        assert_ne!(pause("a", 3), pause("b", 3));
        assert_eq!(pause("a", 3), pause("a", 3));
    }

    #[test]
    fn a_full_queue_lets_go_of_remarks_first_and_of_all_clears_last() {
        let queue = Queue::default();
        for id in 0..CAPACITY as u64 {
            let kind = match id {
                0 | 2 => MessageKind::Resolved,
                1 | 3 => MessageKind::Firing,
                7 | 8 => MessageKind::Notice,
                _ => MessageKind::Resolved,
            };
            assert!(queue.push(message(id, kind), Now::default()).is_none());
        }
        let mut lost = |id| queue.push(message(id, MessageKind::Resolved), Now::default()).map(|m| m.id.0);
        assert_eq!([1000, 1001, 1002, 1003, 1004, 1005].map(&mut lost), [7, 8, 1, 3, 0, 2].map(Some));
        assert_eq!(queue.pop().map(|(m, _)| m.id), Some(MessageId(4)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_is_tried_until_it_is_taken_and_those_behind_it_wait() {
        let mut bench = bench(busy(3));
        bench.push(message(1, MessageKind::Firing));
        bench.push(message(2, MessageKind::Resolved));
        assert_eq!(bench.outcome().await, (1, Delivery::Deferred { why: "busy 0".into() }));
        assert_eq!(bench.outcome().await, (1, Delivery::Delivered));
        assert_eq!(bench.outcome().await, (2, Delivery::Delivered));
        let tries: Vec<u64> = bench.tries().iter().map(|(_, id)| *id).collect();
        assert_eq!(tries, [1, 1, 1, 1, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_is_dead_when_it_expires_and_was_not_tried_too_often() {
        let mut bench = bench(busy(10_000));
        bench.push(message(1, MessageKind::Firing));
        assert_eq!(bench.outcome().await, (1, Delivery::Deferred { why: "busy 0".into() }));
        let (_, outcome) = bench.outcome().await;
        assert_eq!(bench.place.begun.elapsed().as_secs(), 86_400);
        assert!(matches!(outcome, Delivery::Dead { why } if why.starts_with("expired; the last attempt: busy ")));
        let tries = bench.tries().len();
        assert!((280..380).contains(&tries), "a day is 288 times five minutes: {tries}");
    }

    #[test]
    fn a_clock_that_is_set_kills_no_message_and_keeps_none_for_ever() {
        let message = message(1, MessageKind::Firing);
        let (hour, day) = (Duration::from_secs(3600), Duration::from_secs(86_400));
        let at = |wall: i64| Now { mono: Mono(0) + hour, wall: Wall(wall) };
        let worth = |wall| worth_until(&message, at(wall)) - at(wall).mono;
        assert_eq!(worth(0), day);
        assert_eq!(worth(3_600_000), day - hour);
        assert_eq!(worth(i64::MAX), Duration::ZERO);
        assert_eq!(worth(-315_000_000_000), day, "the clock was set back ten years");
    }

    #[tokio::test(start_paused = true)]
    async fn an_expired_message_is_not_tried() {
        let mut bench = bench(Vec::new());
        let late = Message { expires: Wall(0), ..message(1, MessageKind::Firing) };
        bench.push(late);
        assert_eq!(bench.outcome().await, (1, Delivery::Dead { why: "expired before it could be sent".into() }));
        assert!(bench.tries().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_receiver_may_ask_for_a_longer_pause_but_not_for_any() {
        for (asked, least, most) in [(60, 60, 61), (86_400, 300, 301)] {
            let after = Some(Duration::from_secs(asked));
            let mut bench = bench(vec![Failure::Later { why: "busy".into(), after }]);
            bench.push(message(1, MessageKind::Firing));
            bench.outcome().await;
            assert_eq!(bench.outcome().await, (1, Delivery::Delivered));
            assert!((least..most).contains(&bench.tries()[1].0.as_secs()), "{:?}", bench.tries());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_message_makes_way_for_the_next() {
        let mut bench = bench(vec![Failure::refused("no such user")]);
        bench.push(message(1, MessageKind::Firing));
        bench.push(message(2, MessageKind::Firing));
        assert_eq!(bench.outcome().await, (1, Delivery::Dead { why: "no such user".into() }));
        assert_eq!(bench.outcome().await, (2, Delivery::Delivered));
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_plan_is_tried_at_once() {
        let mut bench = bench(busy(12));
        bench.push(message(1, MessageKind::Firing));
        bench.outcome().await;
        // By now the pauses are minutes long.
        tokio::time::sleep(Duration::from_secs(3000)).await;
        bench.place.answers.lock().unwrap().clear();
        let at = bench.place.begun.elapsed();
        bench.orders.send_replace(Order::Deliver(bench.place.clone()));
        assert_eq!(bench.outcome().await, (1, Delivery::Delivered));
        assert_eq!(bench.place.begun.elapsed(), at);
    }

    #[tokio::test(start_paused = true)]
    async fn a_removed_notifier_reports_each_of_its_messages_dead() {
        let mut bench = bench(busy(100));
        for id in 1..=3 {
            bench.push(message(id, MessageKind::Firing));
        }
        bench.outcome().await;
        bench.orders.send_replace(Order::Removed);
        for id in 1..=3 {
            let why = "the plan has no notifier `ops` any more".into();
            assert_eq!(bench.outcome().await, (id, Delivery::Dead { why }));
        }
        assert!(bench.inputs.recv().await.is_none(), "the task has ended");
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_end_messages_are_left_to_the_outbox() {
        let mut bench = bench(busy(100));
        for id in 1..=3 {
            bench.push(message(id, MessageKind::Firing));
        }
        bench.outcome().await;
        bench.orders.send_replace(Order::End);
        assert!(bench.inputs.recv().await.is_none(), "no outcome is made up");
    }
}
