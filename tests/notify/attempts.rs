//! Each parcel is one attempt, and its outcome always comes.

use super::support::{NEVER, Receiver, free_port, wait_until};
use super::web::webhook;
use super::{message, plan, start};
use minder::model::{Delivery, Message, MessageKind};
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
async fn a_test_is_tried_once_and_does_not_wait_in_the_queue() {
    let gone = webhook(format!("http://127.0.0.1:{}/", free_port()));
    let mut sent = start(&plan(None, vec![("chat", gone)]), vec![message(1, "chat")]);
    sent.deferred().await;
    sent.send(Message { kind: MessageKind::Test, ..message(2, "chat") });
    let (id, outcome) = sent.outcome().await;
    assert!(
        id == 2 && matches!(&outcome, Delivery::Refused { why } if why.starts_with("could not connect")),
        "{outcome:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_for_notifiers_that_are_gone_are_dead() {
    let receiver = Receiver::answering(&[NEVER]);
    let mut sent = start(&plan(None, vec![]), vec![message(1, "chat")]);
    assert!(sent.dead().await.contains("no notifier `chat`"));
    sent.notifiers.replan(&plan(None, vec![("chat", webhook(receiver.url()))]));
    sent.send(message(2, "chat"));
    sent.send(message(3, "chat"));
    wait_until("the first is under way", Duration::from_secs(5), || receiver.requests().len() == 1);
    sent.notifiers.shutdown().await;
    assert!(sent.inputs.recv().await.is_none(), "what was not delivered stays in the outbox");
}
