//! The pages of incidents, of the rules and of the machine, asked without a network.

use super::fixture::{self, DAY, HOSTILE, ago};
use super::router::{Got, get};
use super::world::{World, load};
use minder::model::*;
use std::sync::Arc;

fn world() -> World {
    World::new(fixture::snapshot())
}

async fn page(world: &World, path: &str) -> String {
    let Got { status, body, .. } = get(world, path).await;
    assert_eq!(status, 200, "{path}");
    body
}

/// Where each of these stands in the text, in this order.
#[track_caller]
fn in_order(text: &str, words: &[&str]) {
    let mut rest = text;
    for word in words {
        let Some((_, after)) = rest.split_once(word) else { panic!("{word:?} is missing, or too early") };
        rest = after;
    }
}

#[tokio::test]
async fn open_incidents_come_first_and_the_worst_of_them_before_all() {
    let body = page(&world(), "/incidents").await;
    in_order(
        &body,
        &[
            "3 incidents are open",
            "id=\"open-41\"",
            "id=\"open-40\"",
            "id=\"open-38\"",
            "The last 30 days",
            ">Past incidents<",
            ">Today<",
            "id=\"incident-36\"",
            ">Yesterday<",
            "id=\"incident-34\"",
            "id=\"incident-29\"",
            "3 min 10 s",
            "the notifier ops takes nothing",
        ],
    );
    assert_eq!(body.matches("<g><title>").count(), 30, "a bar for each day");
    assert!(!body.contains("/do/"), "one who may only look is offered nothing to do");
}

#[tokio::test]
async fn incidents_are_chosen_by_service_severity_and_span() {
    let world = world();
    let mine = page(&world, "/incidents?service=worker&span=90d").await;
    assert!(mine.contains("No incident like these is open") && mine.contains("incident-15"), "{mine}");
    assert!(!mine.contains("incident-35") && mine.contains("The last 90 days"));
    assert!(mine.contains("/incidents?span=7d&#38;service=worker"), "a choice is kept: {mine}");
    let own = page(&world, "/incidents?service=%28minder%29").await;
    assert!(own.contains("id=\"incident-27\"") && !own.contains("id=\"incident-26\""));
    let info = page(&world, "/incidents?severity=info").await;
    assert!(info.contains("id=\"incident-23\"") && !info.contains("id=\"incident-22\""));
    for odd in ["span=1000y&severity=none&before=x", "service=", "before=99999999999999999999999", "span=%00", "x=y"] {
        page(&world, &format!("/incidents?{odd}")).await;
    }
}

#[tokio::test]
async fn past_incidents_are_paged() {
    let world = world();
    let more = (100..210).map(|id| Incident {
        id,
        closed: Some(ago(2 * DAY)),
        opened: ago(2 * DAY + 60_000),
        ..fixture::past_incidents().remove(0)
    });
    world.past.incidents.lock().unwrap().extend(more);
    let (mut path, mut seen) = ("/incidents?severity=warning".to_owned(), Vec::new());
    for _ in 0..10 {
        let body = page(&world, &path).await;
        seen.extend(body.split("id=\"incident-").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()));
        let Some((_, rest)) = body.split_once("<p class=\"pages\">") else { break };
        let Some(at) = rest.find("\" rel=\"next\"") else { break };
        let start = rest[..at].rfind("href=\"").unwrap() + 6;
        path = rest[start..at].replace("&#38;", "&");
    }
    let mut once = seen.clone();
    once.dedup();
    assert_eq!(
        (once.len(), seen.first().map(String::as_str), seen.last().map(String::as_str)),
        (118, Some("209"), Some("15"))
    );
}

#[tokio::test]
async fn an_incident_tells_its_story() {
    let world = world();
    let body = page(&world, "/incidents/29").await;
    in_order(
        &body,
        &[
            "web: process.memory",
            ", after 3 min 10 s.",
            "What fired",
            "<code>process.memory &#62; 500MB",
            "<b>process.memory 612 MB",
            "over after 3 min 10 s",
            "What was tried",
            "no restart: 1 s of its delay are left",
            "restart failed: ended at once, exited with code 98",
            "restart done in 2.10 s: up as pid 4711",
            "Who looked after it",
            "acknowledged by alice: on it",
            "What was written",
            "The old one hung on.",
            "alice",
            "for the public",
            "All of it, in order",
            "event-71",
            "event-75",
            "bind: address in use",
            "event-80",
        ],
    );
    let open = page(&world, "/incidents/41").await;
    in_order(&open, &["Open for 4 min", "restart in 8 s", "Who was told", "/messages/7", "delivered", "/messages/12"]);
    let own = page(&world, "/incidents/27").await;
    in_order(&own, &["the notifier ops takes nothing", "minder itself", "ops takes nothing: connection refused"]);
    assert!(!own.contains("href=\"/services/\""));
    let gone = page(&world, "/incidents/16").await;
    in_order(&gone, &["no longer in the plan", "Nothing more is kept of it"]);
    for none in
        ["/incidents/7777", "/incidents/-1", "/incidents/99999999999999999999", "/incidents/18446744073709551615"]
    {
        let got = get(&world, none).await;
        assert_eq!(got.status, 404, "{none}");
        assert!(got.body.contains("There is no incident"), "{none}");
    }
}

#[tokio::test]
async fn hostile_words_stay_words_on_these_pages_too() {
    let mut snapshot = fixture::snapshot();
    snapshot.refused = Some(HOSTILE.into());
    snapshot.services[1].incident.as_mut().unwrap().title = HOSTILE.into();
    let world = World::new(snapshot);
    for path in ["/incidents?span=90d", "/incidents/29", "/incidents/13", "/incidents/41", "/rules", "/machine"] {
        let body = page(&world, path).await;
        assert!(body.contains("alert(1)"), "{path} has what is tried here");
        for bad in ["<script>", "<img", "onerror=\"", "\x1b", "\u{202e}", "\"'>"] {
            assert!(!body.contains(bad), "{bad:?} on {path}");
        }
        assert_eq!(body.matches("<script").count(), 2, "our own scripts alone: {path}");
    }
    let odd =
        "/incidents?service=%22%3E%3Cscript%3Ealert(1)%3C/script%3E&span=%22%3E%3Cscript%3E&severity=%3Cscript%3E";
    assert!(!page(&world, odd).await.contains("<script>"));
}

#[tokio::test]
async fn without_a_history_they_say_so() {
    let world = world();
    *world.past.broken.lock().unwrap() = Some("the disk is gone".into());
    for (path, still) in [("/incidents", "open-41"), ("/rules", "machine"), ("/machine", "Linux 6.12.9")] {
        let body = page(&world, path).await;
        assert!(body.contains("The history cannot be read: the disk is gone") && body.contains(still), "{path}");
    }
    assert_eq!(get(&world, "/incidents/41").await.status, 503);
}

/// A plan with every kind of secret, each of which has `hush` in it.
fn secretive() -> (tempfile::TempDir, Plan) {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let secret = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        format!("{{ file: {} }}", path.display())
    };
    let word = secret("word", "hush-word-of-more-than-16");
    let url = secret("url", "https://hush-host.example.org/hush-path?hush=1");
    let key = secret("key", "whsec_aHVzaC1odXNoLWh1c2gtaHVzaC1odXNo");
    let mail = secret("mail", "hush@example.org");
    let rules = dir.path().join("rules");
    std::fs::create_dir(&rules).unwrap();
    let head = format!(
        "version: 1\ndefaults: {{ notify: [ops] }}\nmail: {{ server: 'mail.example.org:587', user: minder, password: {word}, \
         from: minder@example.org }}\nnotifiers:\n  ops: {{ email: {{ to: [{mail}] }} }}\n  hook: {{ webhook: {{ url: {url}, \
         headers: {{ X-Key: {word} }}, sign: {key} }} }}\n  plain: {{ webhook: {{ url: 'https://hook.example.org/hush/T0/B0?k=hush' }} \
         }}\n  run: {{ exec: {{ command: [/bin/true, '--token=hush'], environment: {{ KEY: {word} }} }} }}\n\
         maintenance:\n  night: {{ services: [web], schedule: '0 3 * * *', for: 1h, reason: dumps }}\n"
    );
    std::fs::write(rules.join("a.yaml"), head).unwrap();
    let body = format!(
        "version: 1\ntemplates:\n  app:\n    checks:\n      - process: {{ pidfile: /run/app.pid }}\nservices:\n\n  web:\n    use: app\n    \
         checks:\n      - http: {{ url: {url} }}\n      - http: {{ url: 'http://127.0.0.1/', basic: {{ user: me, password: {word} \
         }}, headers: {{ X-Key: {word} }} }}\n        name: plain\n      - protocol: {{ name: redis, password: {word} }}\n      - \
         heartbeat: {{ every: 1h, secret: {word} }}\n    rules:\n      - process.down for 3 times -> notify hook\n      - \
         {{ when: http.latency > 2s, for: 5m, until: http.latency < 1s, then: [notify hook, {{ webhook: {{ url: {url} }} }}] }}\n"
    );
    std::fs::write(rules.join("b.yaml"), body).unwrap();
    let plan = load(&rules);
    (dir, plan)
}

#[tokio::test]
async fn the_rules_are_told_file_by_file_and_without_a_secret() {
    let world = world();
    let (_dir, plan) = secretive();
    world.plans.send_replace(Arc::new(plan));
    let body = page(&world, "/rules").await;
    in_order(
        &body,
        &[
            "1 service by 2 rule files",
            "a.yaml",
            "0 services",
            "b.yaml",
            "1 service",
            "b.yaml:8",
            ", template app",
            "pidfile /run/app.pid",
            "every 10s, within 5s",
            "process.down for 3",
            "http.latency &#62; 2s for 5m -&gt; notify hook, notify by its own webhook",
            "until <code>http.latency &#60; 1s",
            "by default",
            "used by 1 service",
            "https://hook.example.org<",
            "exec: /bin/true<",
            "night",
            "0 3 * * *, for 1h: dumps",
            "Refused before",
            "unknown key `chekcs`",
        ],
    );
    let shown = body.replace("hush-hush", "hush");
    assert!(!shown.contains("hush") && !shown.contains("argon2") && !shown.contains("whsec"), "{shown}");
    let of_file = page(&world, "/rules?file=0").await;
    assert!(of_file.contains("No service is written here"));
    for odd in ["file=7", "file=-1", "page=0", "page=99999999999999999999", "file=x&page=y"] {
        page(&world, &format!("/rules?{odd}")).await;
    }
}

#[tokio::test]
async fn refused_rules_stand_above_those_in_effect_and_who_had_them_read_is_said() {
    let mut snapshot = fixture::snapshot();
    snapshot.refused = Some("error: unknown key `chekcs`\n --> shop.yaml:3:5\n".into());
    let world = World::new(snapshot);
    let planned = fixture::event(300, ago(3_600_000), "web", None, EventKind::Planned { services: 1 });
    world.past.events.lock().unwrap().push(planned);
    let audit = |id, at, what: &str, ok| Audit {
        id,
        at,
        who: "alice".into(),
        from: "192.0.2.7".into(),
        what: what.into(),
        ok,
        words: String::new(),
    };
    world.past.audits.lock().unwrap().extend([
        Audit { who: "mallory".into(), ..audit(1, ago(3_601_000), "reload", false) },
        audit(2, ago(3_600_500), "reload", true),
        Audit { who: "bob".into(), ..audit(3, ago(60_000), "reload", true) },
    ]);
    let body = page(&world, "/rules").await;
    in_order(&body, &["read anew by alice", "The latest rules were refused", " --&#62; shop.yaml:3:5", "Files"]);
    assert!(!body.contains("192.0.2.7") && !body.contains("/do/reload"));
}

#[tokio::test]
async fn thousands_of_services_are_paged() {
    let world = world();
    let services: String = (0..250).map(|i| format!("  s{i}: {{ checks: [{{ system: {{}} }}] }}\n")).collect();
    world.plans.send_replace(Arc::new(super::world::plan(&format!("version: 1\nservices:\n{services}"))));
    let counts = ["/rules", "/rules?page=2", "/rules?page=3", "/rules?file=0&page=4"];
    let mut articles = Vec::new();
    for path in counts {
        articles.push(page(&world, path).await.matches("<article").count());
    }
    assert_eq!(articles, [100, 100, 50, 50]);
}

#[tokio::test]
async fn the_machine_says_what_it_has_and_who_uses_it() {
    let rules = "version: 1\nservices:\n  this: { checks: [{ system: {} }] }\n  full: { checks: [{ filesystem: / }] }\n  \
                 wire: { checks: [{ network: eth0 }] }\n";
    let world = World::by(fixture::snapshot(), rules);
    let body = page(&world, "/machine").await;
    in_order(
        &body,
        &[
            "Linux 6.12.9 x86_64",
            "12 days",
            "Processors",
            "23.1 %",
            "Memory",
            "5.20 GB of 8 GB",
            "Swap",
            "Load",
            "storage 4.70 %",
            "control group",
            "5.20 GB of 6 GB",
            "12.5 % of the time",
            "href=\"/services/this\"",
            "cpu over the last hour",
            "href=\"/services/full\"",
            "it does not answer",
            "read-only",
            "href=\"/services/wire\"",
            "its cable has no signal",
            "errors: 3/s",
            "There are 7 more",
            "Most processor time",
            "postgres",
            "Most memory",
        ],
    );
}
