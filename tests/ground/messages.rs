//! A message that is refused: told of, kept through a `kill -9`, and sent again on request.

use super::SOON;
use super::support::{Minder, Receiver, wait_for, wait_until};
use serde_json::Value;

#[test]
fn what_was_refused_is_kept_and_sent_again_on_request() {
    let receiver = Receiver::answering(&["404 Not Found"]);
    let mut minder = Minder::new();
    minder.write(&format!(
        "notifiers:\n  chat: {{ webhook: {{ url: \"{}\" }} }}\nservices:\n  gone:\n    notify: [chat]\n    checks:\n      \
         - file: {}/there\n        every: 200ms\n",
        receiver.url(),
        minder.dir().display(),
    ));
    minder.start();
    let messages = |minder: &Minder, state: &str| -> Vec<Value> {
        serde_json::from_str(&minder.ok(&["messages", "--state", state, "--json"])).unwrap()
    };
    let dead = wait_for(|| "a message is dead".to_owned(), SOON, || messages(&minder, "dead").pop());
    assert_eq!(
        (&dead["service"], &dead["notifier"], &dead["kind"]),
        (&"gone".into(), &"chat".into(), &"firing".into())
    );
    let id = dead["id"].to_string();
    let why = minder.ok(&["explain", "--message", &id]);
    assert!(why.contains("chat did not get it: refused: ") && why.contains("404"), "{why}");
    minder.kill();
    minder.start();
    assert_eq!(messages(&minder, "dead"), [dead], "it is dead still, and as it was");
    assert_eq!(receiver.requests().len(), 1);

    assert_eq!(minder.ok(&["resend", &id]), "1 message is sent again\n");
    wait_until("it is delivered", SOON, || messages(&minder, "delivered").len() == 1);
    let requests = receiver.requests();
    assert_eq!((requests.len(), requests[1].json()["type"].as_str()), (2, Some("minder.firing")));
    let why = minder.ok(&["explain", "--message", &id]);
    assert!(why.contains("sent again, as ") && why.contains("chat took it at "), "{why}");
    assert!(!minder.run(&["resend", &id]).status.success(), "it is dead no longer");
    minder.kill();
    minder.start();
    std::fs::write(minder.dir().join("there"), "").unwrap();
    receiver.wait(SOON, &["minder.resolved"]);
    assert_eq!(receiver.requests().len(), 3, "nothing was sent once more");
}
