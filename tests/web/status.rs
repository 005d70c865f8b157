//! The page for the public: what it shows, what it must never show, and what it costs.

use super::fixture::{self, AT, MINUTE, ago, event};
use super::router::{Got, listen, request, send};
use super::world::{World, plan};
use axum::http::header;
use minder::dashboard::{page, status_page};
use minder::model::*;
use std::io::Write;
use std::process::{Command as Program, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A token that is found wherever it stands.
const SECRET: &str = "zzsecretzz";

/// Three services for the public, of which one has a public name in markup, and two that are not.
pub const RULES: &str = r#"
version: 1
dashboard:
  status: { url: "https://status.example.org/", title: Example services, words: What runs and what does not. }
services:
  web: { public: { name: Web shop, group: Websites, description: Order and pay }, checks: [{ http: "http://h/" }] }
  nginx: { public: { name: Website, group: Websites }, checks: [{ http: "http://h/" }] }
  postgres: { public: { name: "<b>Search & \"find\"</b>", description: The index }, checks: [{ http: "http://h/" }] }
  mail-queue: { public: { name: Mail }, checks: [{ http: "http://h/" }] }
  root-disk: { checks: [{ http: "http://h/" }] }
maintenance:
  move: { schedule: "0 22 * * *", for: 2h, services: [nginx], reason: New disks }
"#;

const PLACES: [&str; 9] = [
    "/status",
    "/status?page=1",
    "/status.json",
    "/status/feed.atom",
    "/status/badges/status.svg",
    "/status/badges/icon.svg",
    "/status/badges/web-shop/status.svg",
    "/status/badges/web-shop/uptime.svg",
    "/status/badges/web-shop/uptime.svg?days=90",
];

fn incident(id: u64, service: &str, severity: Severity, opened: i64, closed: Option<i64>) -> Incident {
    Incident {
        id,
        service: service.into(),
        opened: ago(opened * MINUTE),
        closed: closed.map(|at| ago(at * MINUTE)),
        severity,
        title: format!("process.down {SECRET}"),
        rules: [format!("leak-{SECRET}")].into(),
        told: ["ops".into()].into(),
        ack: None,
        escalated: 0,
    }
}

fn written(id: u64, service: &str, incident: u64, at: i64, words: &str, public: bool) -> Event {
    let kind = EventKind::Written { by: format!("eva-{SECRET}"), words: words.into(), public };
    event(id, ago(at * MINUTE), service, Some(incident), kind)
}

/// Some days of it.
pub fn public_world() -> World {
    let world = World::by(fixture::snapshot(), RULES);
    let day = 24 * 60;
    *world.past.only.lock().unwrap() = Some(vec![
        incident(90, "web", Severity::Critical, 5, None),
        incident(80, "nginx", Severity::Warning, day + 90, Some(day + 30)),
        incident(75, "root-disk", Severity::Critical, day + 500, Some(day + 300)),
        incident(70, "web", Severity::Critical, 4 * day + 30, Some(4 * day + 11)),
        incident(60, "mail-queue", Severity::Critical, 20 * day, Some(20 * day - 600)),
        incident(50, "mail-queue", Severity::Info, 2 * day, Some(2 * day - 6)),
    ]);
    *world.past.events.lock().unwrap() = vec![
        written(307, "root-disk", 75, 100, &format!("another service {SECRET}"), true),
        written(306, "root-disk", 90, 3, &format!("of a service that it is not {SECRET}"), true),
        written(305, "web", 90, 2, "The database <is> back; we watch it.", true),
        written(304, "web", 90, 3, &format!("host db7 {SECRET}"), false),
        written(303, "web", 90, 4, "We look into it.", true),
        written(302, "web", 70, 4 * day, "A disk was full. It will not be again.", true),
        event(1, ago(89 * day * MINUTE), "minder", None, EventKind::Started { version: SECRET.into() }),
    ];
    world
}

async fn get(world: &World, path: &str) -> Got {
    send(page(world.front.clone(), listen()), request("GET", path, "localhost:8900")).await
}

async fn alone(world: &World, path: &str) -> Got {
    send(status_page(world.front.clone()), request("GET", path, "evil.example.org")).await
}

#[tokio::test]
async fn without_a_page_for_the_public_there_is_nothing() {
    let world = World::new(fixture::snapshot());
    for path in PLACES {
        assert_eq!(get(&world, path).await.status, 404, "{path}");
    }
    assert_eq!(alone(&world, "/").await.status, 404);
}

#[tokio::test]
async fn it_says_how_things_stand_in_words_for_the_public() {
    let world = public_world();
    let shown = get(&world, "/status").await;
    assert_eq!(shown.status, 200);
    for words in [
        "<h1>",
        "2 of 4 services are down, &#60;b&#62;Search &#38; &#34;find&#34;&#60;/b&#62; is unknown</h1>",
        "Example services",
        "What runs and what does not.",
        "Order and pay",
        "<h3>Websites</h3>",
        "&#60;b&#62;Search &#38; &#34;find&#34;&#60;/b&#62;",
        "The database &#60;is&#62; back; we watch it.",
        "We look into it.",
        "A disk was full. It will not be again.",
        "Website was degraded",
        "New disks",
        "20 Nov 2026",
        "feed.atom",
    ] {
        assert!(shown.body.contains(words), "{words}\n{}", shown.body);
    }
    assert!(!shown.body.contains("<script"));
    // Mail was down twenty days ago.
    let older = get(&world, "/status?page=1").await;
    assert!(older.body.contains("Mail was down") && !shown.body.contains("Mail was down"));
    for (path, status) in [
        ("/status?page=7", 404),
        ("/status?page=x", 400),
        ("/status?page=-1", 400),
        ("/status?page=99999999999999999999", 400),
    ] {
        assert_eq!(get(&world, path).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn its_own_listener_has_it_under_any_name_and_nothing_else() {
    let world = public_world();
    for path in [
        "/",
        "/?page=1",
        "/status.json",
        "/feed.atom",
        "/badges/status.svg",
        "/badges/mail/status.svg",
        "/assets/style.css",
    ] {
        let got = alone(&world, path).await;
        assert_eq!(got.status, 200, "{path}");
        assert!(got.headers["content-security-policy"].to_str().unwrap().contains("frame-ancestors 'none'"), "{path}");
    }
    for path in [
        "/status",
        "/api/v1/status",
        "/api/v1/healthz",
        "/events",
        "/services/web",
        "/assets/live.js",
        "/metrics",
        "/do/restart",
        "/logo",
        "/badges/web/status.svg",
        "/badges/root-disk/status.svg",
        "/badges/mail/other.svg",
        "/assets/../Cargo.toml",
    ] {
        assert_eq!(alone(&world, path).await.status, 404, "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let got = send(status_page(world.front.clone()), request(method, "/", "status.example.org")).await;
        assert_eq!(got.status, 405, "{method}");
    }
    assert!(world.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn nobody_signs_in_and_others_may_keep_it_for_a_moment() {
    let world = public_world();
    for path in PLACES {
        let got = get(&world, path).await;
        assert_eq!(got.status, 200, "{path}");
        assert_eq!(got.header(header::CACHE_CONTROL), "public, max-age=30", "{path}");
        assert_eq!(got.header(header::X_CONTENT_TYPE_OPTIONS), "nosniff", "{path}");
        let shared = got.headers["cross-origin-resource-policy"].to_str().unwrap();
        assert_eq!(shared, if path.contains("badges") { "cross-origin" } else { "same-origin" }, "{path}");
        let policy = got.header(header::CONTENT_SECURITY_POLICY);
        assert!(policy.contains("frame-ancestors 'none'") && policy.contains("default-src 'none'"), "{path}: {policy}");
    }
    let mut packed = request("GET", "/status", "localhost:8900");
    packed.headers_mut().insert(header::ACCEPT_ENCODING, "gzip, deflate, br".parse().unwrap());
    let response = tower::ServiceExt::oneshot(page(world.front.clone(), listen()), packed).await.unwrap();
    assert_eq!(response.headers()[header::CONTENT_ENCODING], "gzip");
    assert_eq!(response.headers()[header::VARY], "accept-encoding");
}

/// Every internal field of this world has a token, the public ones have none.
#[tokio::test]
async fn nothing_internal_is_ever_shown() {
    let rules = format!(
        r#"
version: 1
notifiers: {{ ops-{SECRET}: {{ email: {{ to: [ops-{SECRET}@example.org] }} }} }}
mail: {{ server: "{SECRET}.example.org:25", from: a@example.org }}
dashboard: {{ url: "https://{SECRET}.example.org", status: {{ title: Ours }} }}
services:
  {SECRET}-web:
    public: {{ name: Shop }}
    group: group-{SECRET}
    tags: [tag-{SECRET}]
    description: about {SECRET}
    notify: [ops-{SECRET}]
    control: {{ runit: /srv/{SECRET} }}
    log: /var/log/{SECRET}
    checks: [{{ http: "http://{SECRET}/", name: check-{SECRET} }}]
    rules: [{{ name: rule-{SECRET}, when: check-{SECRET}.failed, then: [{{ exec: {{ command: [/bin/{SECRET}] }} }}] }}]
  {SECRET}-inner: {{ checks: [{{ http: "http://{SECRET}/" }}] }}
  {SECRET}-other: {{ public: false, group: group-{SECRET}, checks: [{{ http: "http://{SECRET}/" }}] }}
maintenance:
  m-{SECRET}: {{ schedule: "0 13 * * *", for: 1h, services: [{SECRET}-inner], reason: "{SECRET}" }}
  n-{SECRET}: {{ schedule: "0 13 * * *", for: 1h, rules: [rule-{SECRET}], reason: "{SECRET}" }}
  o-{SECRET}: {{ schedule: "0 13 * * *", for: 1h, tags: [tag-{SECRET}], reason: Works }}
"#
    );
    // Everything that the page knows of how things stand, made of the token.
    let mut snapshot = fixture::snapshot();
    let mut value = serde_json::to_value(&snapshot).unwrap();
    fn spoil(value: &mut serde_json::Value, key: &str) {
        use serde_json::Value;
        let fixed = ["status", "state", "severity", "phase", "opened", "closed", "at", "since"];
        match value {
            Value::String(text) if !fixed.contains(&key) => *text = format!("{text} {SECRET}"),
            Value::Array(all) => all.iter_mut().for_each(|one| spoil(one, key)),
            Value::Object(map) => map.iter_mut().for_each(|(key, one)| spoil(one, key)),
            Value::Number(_) if key == "pid" => *value = 777_001.into(),
            _ => {}
        }
    }
    spoil(&mut value, "");
    if let Ok(spoiled) = serde_json::from_value::<Snapshot>(value) {
        snapshot = spoiled;
    } else {
        panic!("a field that has a fixed word was spoiled");
    }
    let names = [format!("{SECRET}-web"), format!("{SECRET}-inner"), format!("{SECRET}-other")];
    for (service, name) in snapshot.services.iter_mut().zip(names) {
        service.name = name.as_str().into();
        service.status = if name.ends_with("web") { Status::Ok } else { Status::GivenUp };
    }
    let world = World::by(snapshot, &rules);
    let name = |name: &str| format!("{SECRET}-{name}");
    *world.past.only.lock().unwrap() = Some(vec![
        incident(777_002, &name("web"), Severity::Critical, 100, Some(90)),
        incident(777_003, &name("inner"), Severity::Critical, 50, None),
        incident(777_004, &name("other"), Severity::Critical, 200, Some(100)),
    ]);
    *world.past.events.lock().unwrap() = vec![
        written(304, &name("inner"), 777_003, 3, SECRET, true),
        written(303, &name("web"), 777_002, 4, "All is well again.", true),
        written(302, &name("web"), 777_002, 5, SECRET, false),
    ];
    let mut all = String::new();
    for path in PLACES.map(|path| path.replace("web-shop", "shop")) {
        let got = get(&world, &path).await;
        assert_eq!(got.status, 200, "{path}");
        all.push_str(&format!("{:?}{}", got.headers, got.body));
    }
    for path in ["/", "/feed.atom", "/status.json", "/badges/status.svg"] {
        all.push_str(&alone(&world, path).await.body);
    }
    // The two that are given up are neither named nor counted, and make nothing worse.
    for words in ["Shop is operational", "Works", "All is well again.", "Shop was down", r#""state":"operational""#] {
        assert!(all.contains(words), "{words}");
    }
    for words in [SECRET, "777001", "777002", "777003", "777004", "eva", "given", "runit", "http.failed", "example.org"]
    {
        assert!(
            !all.contains(words),
            "{words} is shown: {}",
            &all[all.find(words).unwrap().saturating_sub(300)..][..400]
        );
    }
    for inner in [name("web"), name("inner"), "inner".to_owned()] {
        assert_eq!(get(&world, &format!("/status/badges/{inner}/status.svg")).await.status, 404);
    }
}

#[tokio::test]
async fn a_thousand_who_look_at_once_cost_one_look() {
    let world = public_world();
    let router = status_page(world.front.clone());
    let paths = ["/", "/feed.atom", "/status.json", "/badges/web-shop/uptime.svg", "/?page=2"];
    let ask = |i: usize| tokio::spawn(send(router.clone(), request("GET", paths[i % paths.len()], "any")));
    let all: Vec<_> = (0..1000).map(ask).collect();
    for one in all {
        assert_eq!(one.await.unwrap().status, 200);
    }
    assert_eq!(world.front.made_for_the_public().await, 1);
    // What is no longer public is not shown for another moment.
    let less = RULES.replace("public: { name: Mail }, ", "");
    world.plans.send(Arc::new(plan(&less))).unwrap();
    assert_eq!(send(router.clone(), request("GET", "/badges/mail/status.svg", "any")).await.status, 404);
    assert_eq!(world.front.made_for_the_public().await, 2);
}

#[tokio::test]
async fn who_asks_and_goes_away_does_not_have_it_made_again() {
    let world = public_world();
    world.past.hangs.store(true, Ordering::SeqCst);
    for _ in 0..20 {
        let asked = tokio::time::timeout(std::time::Duration::from_millis(20), get(&world, "/status")).await;
        assert!(asked.is_err(), "it cannot be made yet");
    }
    world.past.hangs.store(false, Ordering::SeqCst);
    assert_eq!(get(&world, "/status").await.status, 200);
    assert_eq!(world.front.made_for_the_public().await, 1);
}

#[tokio::test]
async fn without_a_history_it_still_says_how_things_stand() {
    let world = public_world();
    *world.past.broken.lock().unwrap() = Some(format!("/var/lib/{SECRET}/state.db is gone"));
    let got = get(&world, "/status").await;
    assert!(
        got.status == 200 && got.body.contains("2 of 4 services are down") && got.body.contains("no data"),
        "{}",
        got.body
    );
    assert!(got.body.contains("The history is not available") && !got.body.contains(SECRET));
}

#[tokio::test]
async fn for_programs_there_are_the_same_figures() {
    let world = public_world();
    let json = get(&world, "/status.json").await.json();
    assert_eq!(json["state"], "down");
    let shop = json["services"].as_array().unwrap().iter().find(|service| service["id"] == "web-shop").unwrap();
    // Down for five minutes, and for nineteen four days ago.
    assert_eq!(
        shop["uptime"]["24h"],
        serde_json::json!({ "percent": 99.652, "known": 86_400, "down": 300, "degraded": 0 })
    );
    assert_eq!(shop["uptime"]["7d"]["down"], 24 * 60);
    assert_eq!(shop["days"].as_array().unwrap().len(), 90);
    assert_eq!(json["updated"], AT.utc());
    let badge = get(&world, "/status/badges/web-shop/uptime.svg?days=1").await.body;
    assert!(badge.contains("Web shop 1 d") && badge.contains("99.65 %"), "{badge}");
    for days in ["0", "91", "x"] {
        assert_eq!(get(&world, &format!("/status/badges/web-shop/uptime.svg?days={days}")).await.status, 400);
    }
}

/// feedparser reads what readers of feeds read, and says what is not well-formed; the rest is what the RFC asks for.
#[tokio::test]
async fn the_feed_is_one_for_a_reader_of_feeds() {
    let world = public_world();
    let feed = get(&world, "/status/feed.atom").await;
    assert!(feed.header(header::CONTENT_TYPE).starts_with("application/atom+xml"));
    let script = r#"
import sys, feedparser, json
feed = feedparser.parse(sys.stdin.buffer.read(), sanitize_html=False)
assert not feed.bozo, feed.bozo_exception
assert feed.version == "atom10", feed.version
assert feed.feed.title == "Example services" and feed.feed.id and feed.feed.updated_parsed and feed.feed.author
links = {link.rel: link.href for link in feed.feed.links}
assert links == {"self": "https://status.example.org/feed.atom", "alternate": "https://status.example.org/"}, links
ids = [entry.id for entry in feed.entries]
assert len(set(ids)) == len(ids) == 4, ids
updated = [entry.updated_parsed for entry in feed.entries]
assert updated == sorted(updated, reverse=True), updated
for entry in feed.entries:
    assert entry.title and entry.published_parsed and entry.updated_parsed and entry.content[0].type == "text/html"
    assert entry.link.startswith("https://status.example.org/#"), entry.link
first = feed.entries[0]
assert first.title == "Web shop is down", first.title
assert "The database &lt;is&gt; back; we watch it." in first.content[0].value, first.content[0].value
print(json.dumps(ids))
"#;
    let python = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/.tools/venv/bin/python");
    let read = |body: &str| {
        let mut child =
            Program::new(&python).args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(body.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "feedparser says what is wrong, above:\n{body}");
        String::from_utf8(output.stdout).unwrap()
    };
    let ids = read(&feed.body);
    let again = read(&get(&public_world(), "/status/feed.atom").await.body);
    assert_eq!(ids, again, "they are the same for ever");
}

#[tokio::test]
async fn scripts_of_other_sites_may_read_what_is_for_programs_and_nothing_else() {
    let world = public_world();
    for (path, everywhere) in [
        ("/status.json", true),
        ("/status/badges/status.svg", true),
        ("/status/badges/web-shop/uptime.svg", true),
        ("/status", false),
        ("/status/feed.atom", false),
    ] {
        let origin = get(&world, path).await.header(header::ACCESS_CONTROL_ALLOW_ORIGIN).to_owned();
        assert_eq!(origin, if everywhere { "*" } else { "" }, "{path}");
    }
}
