//! To commands, as the same JSON that a webhook gets.

use super::{message, plan, start};
use minder::model::{Delivery, ExecSpec, NotifierPlace};

#[tokio::test]
async fn a_command_gets_the_event() {
    let dir = tempfile::tempdir().unwrap();
    let events = dir.path().join("events");
    let keys = serde_json::json!({ "shell": format!("cat >> {0}; echo >> {0}", events.display()) });
    let spec: ExecSpec = serde_json::from_value(keys).unwrap();
    let mut sent = start(&plan(None, vec![("own", NotifierPlace::Exec(spec))]), vec![]);
    sent.send(message(1, "own"));
    assert_eq!(sent.outcome().await, (1, Delivery::Delivered { plainly: None }));
    let events = std::fs::read_to_string(events).unwrap();
    let events: Vec<serde_json::Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.iter().map(|event| &event["id"]).collect::<Vec<_>>(), ["0af3-1"]);
    assert_eq!(events[0]["type"], "minder.firing");
}
