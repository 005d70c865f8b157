//! What the README promises: rules for one's nginx, and nginx comes back, with everybody told.

use super::SOON;
use super::support::{Mailbox, Minder, Nginx, Receiver, process_exists, readme, signal};
use std::time::{Duration, Instant};

#[test]
fn a_killed_nginx_is_back_at_once_and_everybody_is_told() {
    let (mailbox, receiver) = (Mailbox::start(), Receiver::start());
    let mut minder = Minder::new();
    let nginx = Nginx::new(minder.dir());
    nginx.start(&minder.init);
    minder.write(&readme::nginx_rules(&nginx, &mailbox.address()));
    minder.env = vec![("CHAT_URL", receiver.url())];
    minder.ok(&["validate", minder.rules().to_str().unwrap()]);
    minder.start();
    minder.wait_status("nginx", "ok", SOON);
    let old = nginx.pid().unwrap();
    assert_eq!(minder.watched("nginx"), Some(old));

    let killed = Instant::now();
    signal(old, "KILL");
    super::support::wait_until("another nginx", SOON, || nginx.pid().is_some_and(|p| p != old && process_exists(p)));
    let took = killed.elapsed();
    assert!(
        took < Duration::from_secs(1),
        "back after {took:?}: a poll is every ten seconds, and this must not wait for one"
    );
    let new = minder.wait_replaced("nginx", old, SOON);

    // It was over before anybody was told: one message tells all of it.
    let event = receiver.wait(SOON, &["minder.resolved"]).json();
    assert_eq!(event["subject"], "nginx");
    assert_eq!(event["data"]["severity"], "critical");
    assert!(event["data"]["death"].as_str().unwrap().contains("killed by SIGKILL"), "{event:#}");
    assert_eq!(event["data"]["actions"][0]["action"], "restart");
    assert_eq!(event["data"]["actions"][0]["ok"], true, "{event:#}");
    mailbox.wait(SOON, &["Subject: [minder] ", "nginx", "again", "process.down", "killed by SIGKILL", "restart done"]);

    minder.wait_status("nginx", "ok", SOON);
    let service = minder.service("nginx").unwrap();
    assert!(service["incident"].is_null(), "the incident is closed: {service:#}");

    let history = minder.history();
    for text in [format!("pid {old} killed by SIGKILL"), "restart".to_owned(), new.to_string()] {
        assert!(history.contains(&text), "{text}\n{history}");
    }
    let page = minder.page("/");
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("The web server"), "{page}");
    assert_eq!(receiver.requests().len(), 1, "the whole story, once");
}
