//! By HTTP, over real sockets.

use super::support::{Receiver, free_port};
use super::{SECRET, message, plan, secret, start};
use minder::model::{Delivery, Given, NotifierPlace, WebhookSpec};
use std::collections::BTreeMap;

pub fn webhook(url: String) -> NotifierPlace {
    let headers =
        BTreeMap::from([("Authorization".to_owned(), secret()), ("X-Team".to_owned(), Given::literal("ops"))]);
    NotifierPlace::Webhook(WebhookSpec { headers, ..WebhookSpec::new(Given::literal(url)) })
}

#[tokio::test]
async fn a_webhook_gets_a_cloudevent() {
    let receiver = Receiver::start();
    let mut sent = start(&plan(None, vec![("chat", webhook(receiver.url()))]), vec![message(1, "chat")]);
    assert_eq!(sent.outcome().await, (1, Delivery::Delivered { plainly: None }));
    let request = &receiver.requests()[0];
    assert_eq!(request.line, "POST /hook HTTP/1.1");
    assert!(request.header("content-type").unwrap().starts_with("application/cloudevents+json"));
    assert_eq!(request.header("authorization"), Some(SECRET));
    assert_eq!(request.header("x-team"), Some("ops"));
    let event = request.json();
    assert_eq!(event["id"], "0af3-1");
    assert_eq!(event["type"], "minder.firing");
    assert_eq!(event["source"], "minder://db1/web");
    assert_eq!(event["data"]["death"], "pid 812 killed by SIGKILL");
    assert!(!request.body.contains(SECRET));
}

#[tokio::test]
async fn refusals_and_redirections_are_final() {
    let receiver = Receiver::answering(&["404 Not Here", "302 Found\r\nlocation: /elsewhere"]);
    let mut sent = start(&plan(None, vec![("chat", webhook(receiver.url()))]), vec![message(1, "chat")]);
    assert_eq!(sent.dead().await, "status 404");
    sent.send(message(2, "chat"));
    assert_eq!(sent.dead().await, "status 302");
    assert_eq!(receiver.requests().len(), 2, "a redirection is not followed");
}

#[tokio::test]
async fn a_secret_address_is_in_no_error() {
    let mut url: Given = serde_json::from_str(r#"{"env": "CHAT_URL"}"#).unwrap();
    url.resolve(format!("http://127.0.0.1:{}/{SECRET}", free_port()));
    let chat = NotifierPlace::Webhook(WebhookSpec::new(url));
    let mut sent = start(&plan(None, vec![("chat", chat)]), vec![message(1, "chat")]);
    assert!(sent.deferred().await.starts_with("could not connect: "));
}
