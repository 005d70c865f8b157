//! Each parcel is one attempt, and its outcome always comes.

use super::support::{NEVER, Receiver, wait_until};
use super::web::webhook;
use super::{message, parcel, plan, start};
use minder::model::{Delivery, Input};
use std::time::Duration;

#[tokio::test]
async fn a_receiver_that_hangs_delays_nobody_else() {
    let hung = Receiver::answering(&[NEVER]);
    let well = Receiver::start();
    let notifiers = vec![("hung", webhook(hung.url())), ("well", webhook(well.url()))];
    let mut sent = start(&plan(None, notifiers), vec![message(1, "hung"), message(2, "well")]);
    assert_eq!(sent.outcome().await, (2, Delivery::Delivered { plainly: None }));
}

#[tokio::test]
async fn an_attempt_is_one_and_the_next_is_somebody_elses_to_ask_for() {
    let receiver = Receiver::answering(&["500 Oh", "204 Good"]);
    let mut sent = start(&plan(None, vec![("chat", webhook(receiver.url()))]), vec![message(1, "chat")]);
    assert_eq!(sent.deferred().await, "status 500");
    assert_eq!(receiver.requests().len(), 1);
    sent.send(message(1, "chat"));
    assert_eq!(sent.outcome().await, (1, Delivery::Delivered { plainly: None }));
    assert_eq!(receiver.requests().len(), 2);
}

#[tokio::test]
async fn nothing_leaves_before_it_is_recorded() {
    let receiver = Receiver::start();
    let mut sent = start(&plan(None, vec![("chat", webhook(receiver.url()))]), vec![]);
    let (recorded, wait) = tokio::sync::oneshot::channel::<()>();
    sent.notifiers.send(parcel(vec![message(1, "chat")]), async { drop(wait.await) });
    sent.send(message(2, "chat"));
    assert_eq!(sent.outcome().await, (2, Delivery::Delivered { plainly: None }));
    assert_eq!(receiver.requests().len(), 1);
    recorded.send(()).unwrap();
    assert_eq!(sent.outcome().await, (1, Delivery::Delivered { plainly: None }));
}

#[tokio::test]
async fn a_notifier_that_is_gone_refuses_and_one_that_comes_back_takes() {
    let receiver = Receiver::start();
    let mut sent = start(&plan(None, vec![]), vec![message(1, "chat")]);
    assert!(sent.dead().await.contains("no notifier `chat`"));
    sent.notifiers.replan(&plan(None, vec![("chat", webhook(receiver.url()))]));
    sent.send(message(2, "chat"));
    assert_eq!(sent.outcome().await, (2, Delivery::Delivered { plainly: None }));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_outcome_of_an_abandoned_attempt_comes_too() {
    let receiver = Receiver::answering(&[NEVER]);
    let mut sent = start(&plan(None, vec![("chat", webhook(receiver.url()))]), vec![message(1, "chat")]);
    wait_until("it is under way", Duration::from_secs(5), || receiver.requests().len() == 1);
    sent.notifiers.shutdown().await;
    let input = sent.inputs.recv().await;
    assert!(
        matches!(&input, Some(Input::Delivered { outcome: Delivery::Deferred { why, .. }, .. }) if why.contains("abandoned")),
        "{input:?}"
    );
    assert!(sent.inputs.recv().await.is_none(), "and once");
}
