//! The router, asked without a network.

use super::fixture::{self, AT, HOSTILE};
use super::world::World;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use minder::dashboard::{page, socket};
use minder::model::*;
use serde_json::{Value, json};
use std::net::SocketAddr;
use tower::ServiceExt;

pub fn listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8900))
}

pub struct Got {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Got {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }
    pub fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

pub async fn send(router: axum::Router, request: Request<Body>) -> Got {
    let response = router.oneshot(request).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let body = to_bytes(response.into_body(), 8 << 20).await.unwrap();
    Got { status, headers, body: String::from_utf8(body.to_vec()).unwrap() }
}

pub fn request(method: &str, path: &str, host: &str) -> Request<Body> {
    Request::builder().method(method).uri(path).header(header::HOST, host).body(Body::empty()).unwrap()
}

pub async fn get(world: &World, path: &str) -> Got {
    send(page(world.front.clone(), listen()), request("GET", path, "localhost:8900")).await
}

pub fn world() -> World {
    World::new(fixture::snapshot())
}

#[tokio::test]
async fn only_names_of_this_machine_are_answered() {
    let world = world();
    for (host, status) in [
        ("localhost:8900", 200),
        ("LOCALHOST:8900", 200),
        ("127.0.0.1:8900", 200),
        ("[::1]:8900", 200),
        ("localhost", 200),
        ("localhost:9000", 200),
        ("192.0.2.7:8900", 200),
        ("evil.example.org:8900", 421),
        ("127.0.0.1.evil.example.org:8900", 421),
        ("127.0.0.1:8900@evil.example.org", 421),
        ("", 421),
    ] {
        for path in ["/", "/api/v1/status", "/live", "/assets/style.css", "/nothing"] {
            let got = page(world.front.clone(), listen()).oneshot(request("GET", path, host)).await.unwrap();
            let expected = if path == "/nothing" && status == 200 { 404 } else { status };
            assert_eq!(got.status().as_u16(), expected, "{host} {path}");
        }
    }
    let mut two = request("GET", "/", "localhost:8900");
    two.headers_mut().append(header::HOST, "evil.example.org".parse().unwrap());
    assert_eq!(send(page(world.front.clone(), listen()), two).await.status, 421);
    let absolute = request("GET", "http://evil.example.org/", "localhost:8900");
    assert_eq!(send(page(world.front.clone(), listen()), absolute).await.status, 421);
    let mut none = request("GET", "/", "localhost:8900");
    none.headers_mut().remove(header::HOST);
    assert_eq!(send(page(world.front.clone(), listen()), none).await.status, 421);
}

#[tokio::test]
async fn every_answer_has_strict_headers() {
    let world = world();
    for (path, host) in
        [("/", "localhost:8900"), ("/api/v1/status", "localhost:8900"), ("/x", "localhost:8900"), ("/", "evil")]
    {
        let got = send(page(world.front.clone(), listen()), request("GET", path, host)).await;
        let policy = got.header(header::CONTENT_SECURITY_POLICY);
        for part in ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"));
        assert_eq!(got.header(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
        assert_eq!(got.header(header::REFERRER_POLICY), "no-referrer");
        for (name, value) in [
            ("permissions-policy", "camera=()"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert!(got.header(header::HeaderName::from_static(name)).starts_with(value), "{path}: {name}");
        }
        assert_eq!(got.header(header::CACHE_CONTROL), "no-store");
        assert_eq!(got.header(header::ACCESS_CONTROL_ALLOW_ORIGIN), "");
    }
}

#[tokio::test]
async fn the_page_takes_no_commands() {
    let world = world();
    let body = r#"{"command":"stop","service":"web"}"#;
    for path in ["/api/v1/commands", "/api/v1/reload", "/api/v1/resend", "/api/v1/nudges", "/"] {
        for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
            let request = Request::builder().method(method).uri(path).header(header::HOST, "localhost:8900");
            let got = send(page(world.front.clone(), listen()), request.body(Body::from(body)).unwrap()).await;
            let refused = [403, 404, 405].contains(&got.status.as_u16());
            assert!(refused, "{method} {path}: {}", got.status);
        }
    }
    assert!(world.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_wrong_comes_first() {
    let got = get(&world(), "/").await;
    assert_eq!(got.status, 200);
    let place = |text: &str| got.body.find(text).unwrap_or_else(|| panic!("{text} is not on the page"));
    let order = [
        "<h1>3 of 14 services are in trouble, 1 cannot be judged</h1>",
        "trouble-mail-queue",
        "Given up after 5 restarts in 15 min",
        "one more try in 8 min",
        "trouble-web",
        "restart done in 1.24 s: up as pid 812",
        "restart in 8 s",
        "trouble-root-disk",
        "filesystem.used &#62; 90%",
        "All services",
        "<h3>Front</h3>",
        "<h3>Back</h3>",
        "<h3>Machine</h3>",
    ];
    for pair in order.windows(2) {
        assert!(place(pair[0]) < place(pair[1]), "{} comes before {}", pair[0], pair[1]);
    }
    assert!(got.body.contains("last hour: no trouble"));
    assert!(got.body.contains(r#"<time datetime="2026-11-20T11:59:10Z""#), "times are machine-readable");
}

/// So many services in two groups; every hundredth is in trouble.
fn many(count: usize) -> Snapshot {
    let mut snapshot = fixture::snapshot();
    let model = snapshot.services[3].clone();
    snapshot.services = (0..count)
        .map(|i| {
            let mut service = model.clone();
            service.name = format!("service-{i:04}").as_str().into();
            service.group = Some(if i % 2 == 0 { "Even".into() } else { "Odd & old".into() });
            service.tags = if i % 10 == 0 { vec!["ten".into()] } else { vec![] };
            service.description = (i == 7).then(|| "The Lucky One".into());
            if i % 100 == 50 {
                service.status = Status::Critical;
            }
            service
        })
        .collect();
    snapshot
}

/// The names of the services on a page, in full and in brief.
fn listed(body: &str) -> (Vec<&str>, Vec<&str>) {
    let name = |class: &str| {
        let mark = format!("<li class=\"{class}\" id=\"service-");
        body.match_indices(&mark).map(|(i, _)| body[i + mark.len()..].split('"').next().unwrap()).collect::<Vec<_>>()
    };
    (name("service"), name("service brief"))
}

#[tokio::test]
async fn of_many_services_the_first_are_in_full_and_none_is_missing() {
    let world = World::new(many(1000));
    let body = get(&world, "/").await.body;
    let (full, brief) = listed(&body);
    assert_eq!((full.len(), brief.len()), (30, 970));
    assert_eq!(&full[..2], ["service-0050", "service-0150"], "the worst first, then as in the plan");
    assert_eq!(full[10], "service-0000");
    assert!(body.len() < 1_300_000, "{} bytes", body.len());
    assert!(body.matches("class=\"strip\"").count() <= 400);
    let mut all: Vec<&str> = full.into_iter().chain(brief).collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 1000);
}

#[tokio::test]
async fn services_are_searched_and_filtered() {
    let world = World::new(many(200));
    let found = async |query: &str| {
        let body = get(&world, &format!("/?{query}")).await.body;
        let (full, brief) = listed(&body);
        let mut names: Vec<String> = full.into_iter().chain(brief).map(str::to_owned).collect();
        names.sort();
        let said = body.contains(&format!("{} of 200 services.", names.len()));
        assert!(said || names.len() == 200, "{query}");
        names
    };
    assert_eq!(found("q=0123").await, ["service-0123"]);
    assert_eq!(found("q=lucky+ONE").await, ["service-0007"], "in every word, whatever its letters");
    assert_eq!(found("q=ten&group=Even").await.len(), 20);
    assert_eq!(found("tag=ten&group=Odd+%26+old").await.len(), 0);
    assert_eq!(found("group=Odd+%26+old").await.len(), 100);
    assert_eq!(found("status=trouble").await, ["service-0050", "service-0150"]);
    assert_eq!(found("status=critical&q=01").await, ["service-0150"]);
    assert_eq!(found("q=&status=&group=&tag=").await.len(), 200, "as a form without a script sends it");
    assert_eq!(found("status=nonsense").await.len(), 0);
    assert_eq!(found("q=%3Cscript%3Ealert(1)%3C/script%3E").await.len(), 0);
    let body =
        get(&world, "/?q=%22%3E%3Cscript%3E%1b%00&group=%22onload=%22&tag=%f0%9f&status=%3Cb%3E&q2=1").await.body;
    assert!(!body.contains("<script>") && !body.contains('\x1b') && !body.contains("\"onload"));
    assert_eq!(get(&world, "/?q=a&q=b").await.status, 200);
    assert_eq!(get(&world, &format!("/?q={}", "a+".repeat(5000))).await.status, 200);
}

#[tokio::test]
async fn a_part_of_the_page_is_what_changed_and_no_more() {
    let world = World::new(many(500));
    let part = async |query: &str| get(&world, &format!("/fragments/services?{query}")).await.body;
    let one = part("names=service-0003,service-0499,none").await;
    assert_eq!(listed(&one).0, ["service-0003", "service-0499"]);
    assert!(one.contains("data-shown=\"500\"") && one.contains("5 of 500 services are in trouble"));
    assert_eq!(listed(&part("names=service-0003,service-0004&group=Even").await).0, ["service-0004"]);
    assert_eq!(listed(&part("").await).0.len(), 0);
    let all: String = (0..500).map(|i| format!("service-{i:04},")).collect();
    assert_eq!(listed(&part(&format!("names={all}")).await).0.len(), 100, "so many at a time");
    let page = get(&world, "/").await.body;
    let plan = |body: &str| body.split("data-plan=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert_eq!(plan(&page), plan(&one));
    // What has happened is seen at once, though what pages fetch is shared.
    world.happen_to("service-0003", EventKind::Ended, |now| {
        now.services[3].status = Status::Warning;
        now.services[4].group = None;
    });
    let later = part("names=service-0003").await;
    assert!(later.contains("6 of 500 services are in trouble"), "{later}");
    assert_ne!(plan(&later), plan(&one), "another group is another plan");
}

#[tokio::test]
async fn what_is_wrong_with_minder_itself_is_among_what_is_wrong() {
    let mut snapshot = fixture::snapshot();
    let mut incident = snapshot.services[1].incident.clone().unwrap();
    (incident.id, incident.service, incident.title) = (77, "".into(), "messages do not reach ops".into());
    incident.ack = Some(Ack { by: "alice".into(), reason: "calls them".into(), since: AT, until: None });
    let words = "messages have not reached ops for 4 min, 3 messages wait: no route";
    snapshot.notes = vec![words.into(), "another note".into()];
    snapshot.own = vec![OwnView { incident, words: words.into() }];
    let body = get(&World::new(snapshot), "/").await.body;
    let place = |text: &str| body.find(text).unwrap_or_else(|| panic!("{text} is not on the page"));
    assert!(place("trouble-web") < place("own-77") && place("own-77") < place("trouble-root-disk"));
    assert!(body.contains("/incidents/77") && body.contains("/incidents/41") && body.contains("alice looks after it"));
    assert_eq!(body.matches(words).count(), 1, "once, not as a note as well");
    assert!(body.contains("another note") && body.contains("<title>(4) "));
    assert!(!body.contains("/do/"), "who may only look is offered nothing");
}

#[tokio::test]
async fn a_service_has_its_page() {
    let world = world();
    let got = get(&world, "/services/web").await;
    assert_eq!(got.status, 200);
    for text in [
        "pid 812 killed by SIGSEGV, core dumped",
        "<b>3 of 5</b> left, 2 used within 15m",
        "runit: down, wanted up",
        "connection refused by 127.0.0.1:8080",
        "process.memory &#62; 500MB",
        "value=\"67\"",
        "bad 58.33 % of the time: 7 of 12 answers; incident 41",
        "bad if &#62; 500MB",
        "limits: 1024 files",
    ] {
        assert!(got.body.contains(text), "{text} is not on the page");
    }
    assert!(get(&world, "/services/web?span=24h").await.body.contains("last 24 hours"));
    assert_eq!(get(&world, "/services/web?span=nonsense").await.status, 200);
    assert_eq!(get(&world, "/services/none").await.status, 404);
}

#[tokio::test]
async fn of_a_control_no_bars_are_drawn() {
    let strips = async |snapshot: &Snapshot| {
        let world = World::new(snapshot.clone());
        let (all, one) = (get(&world, "/").await.body, get(&world, "/services/web").await.body);
        (all.matches("class=\"strip\"").count(), one.matches("class=\"bars\"").count())
    };
    let mut snapshot = fixture::snapshot();
    let (all, of_web) = strips(&snapshot).await;
    let web = snapshot.services.iter().position(|s| &*s.name == "web").unwrap();
    for (kind, more) in [("control", 0), ("tcp", 1)] {
        let checks = &mut snapshot.services[web].checks;
        checks.push(CheckView { name: kind.into(), kind: kind.into(), ..checks[0].clone() });
        assert_eq!(strips(&snapshot).await, (all + more, of_web + more), "{kind}");
    }
}

#[tokio::test]
async fn hostile_words_stay_words() {
    let mut snapshot = fixture::snapshot();
    snapshot.host = HOSTILE.into();
    snapshot.refused = Some(HOSTILE.into());
    snapshot.notes = vec![HOSTILE.into()];
    let web = &mut snapshot.services[1];
    web.summary = HOSTILE.into();
    for text in [
        &mut web.description,
        &mut web.group,
        &mut web.next,
        &mut web.control,
        &mut web.control_state,
        &mut web.last_exit,
        &mut web.budget,
    ] {
        *text = Some(HOSTILE.into());
    }
    web.tags = vec![HOSTILE.into()];
    let check = &mut web.checks[0];
    (check.about, check.note, check.kind) = (HOSTILE.into(), Some(HOSTILE.into()), HOSTILE.into());
    check.metrics.push(MetricView { name: HOSTILE.into(), text: HOSTILE.into(), value: None, unit: HOSTILE.into() });
    let rule = &mut web.rules[1];
    (rule.condition, rule.hold, rule.actions) = (HOSTILE.into(), HOSTILE.into(), vec![HOSTILE.into()]);
    rule.values[0].text = HOSTILE.into();
    rule.values[0].limit = HOSTILE.into();
    let world = World::new(snapshot);
    world.happen(EventKind::Noted { words: HOSTILE.into() }, |_| {});
    for path in ["/", "/services/web", "/services/%3Cscript%3Ealert(1)%3C%2Fscript%3E", "/%3Cscript%3E"] {
        let body = get(&world, path).await.body;
        for bad in ["<script>", "<img", "onerror=\"", "\x1b", "\u{202e}", "\"'>"] {
            assert!(!body.contains(bad), "{bad:?} on {path}");
        }
        assert_eq!(
            body.matches("<script").count(),
            body.matches("<script src=\"/assets/").count(),
            "only ours: {path}"
        );
    }
}

#[tokio::test]
async fn a_disk_that_hangs_leaves_the_page_to_say_what_is_wrong() {
    let world = world();
    world.past.hangs.store(true, std::sync::atomic::Ordering::SeqCst);
    let got = tokio::time::timeout(std::time::Duration::from_secs(9), get(&world, "/services/web")).await;
    world.past.hangs.store(false, std::sync::atomic::Ordering::SeqCst);
    let got = got.expect("before the request as such is given up");
    assert_eq!(got.status, 200);
    assert!(got.body.contains("The history cannot be read: it did not answer within 4 s"), "{}", got.body);
    assert!(got.body.contains("restarting did not keep it up"));
}

#[tokio::test]
async fn without_a_history_the_page_still_says_what_is_wrong() {
    let world = world();
    *world.past.broken.lock().unwrap() = Some("the disk is gone".into());
    for path in ["/", "/services/web"] {
        let got = get(&world, path).await;
        assert_eq!(got.status, 200);
        assert!(got.body.contains("The history cannot be read: the disk is gone"));
        assert!(got.body.contains("restart in 8 s"));
    }
    let got = get(&world, "/api/v1/events").await;
    let kind = "urn:minder:problem:the-history-cannot-be-read";
    let problem =
        json!({"type": kind, "title": "The history cannot be read", "detail": "the disk is gone", "status": 503});
    assert_eq!(got.json(), problem);
}

#[tokio::test]
async fn pages_of_an_empty_plan_and_a_calm_one() {
    let mut snapshot = fixture::snapshot();
    snapshot.services.clear();
    assert!(get(&World::new(snapshot.clone()), "/").await.body.contains("No services are watched"));
    snapshot.services = vec![fixture::service("alone", None)];
    let body = get(&World::new(snapshot), "/").await.body;
    assert!(body.contains("The one service is well") && !body.contains("What is wrong") && !body.contains("No group"));
}

#[tokio::test]
async fn assets_are_kept_under_their_version_and_only_there() {
    let world = world();
    let body = get(&world, "/").await.body;
    let url = body.split("href=\"").map(|s| s.split('"').next().unwrap()).find(|s| s.contains(".css?")).unwrap();
    let got = get(&world, url).await;
    assert!(got.header(header::CACHE_CONTROL).contains("immutable"), "{url}");
    assert!(got.header(header::CONTENT_TYPE).starts_with("text/css"));
    assert_eq!(get(&world, "/assets/style.css?v=other").await.header(header::CACHE_CONTROL), "no-cache");
    let mut again = request("GET", url, "localhost:8900");
    again.headers_mut().insert(header::IF_NONE_MATCH, got.headers[header::ETAG].clone());
    assert_eq!(send(page(world.front.clone(), listen()), again).await.status, 304);
    for path in ["/assets/none.css", "/assets/..%2F..%2FCargo.toml", "/assets/%2Fetc%2Fpasswd"] {
        assert_eq!(get(&world, path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn the_api_says_the_same_as_the_page() {
    let world = world();
    let status: Snapshot = serde_json::from_str(&get(&world, "/api/v1/status").await.body).unwrap();
    assert_eq!(status, fixture::snapshot());
    assert_eq!(get(&world, "/api/v1/services/web").await.json()["status"], "critical");
    let events = get(&world, "/api/v1/events?service=web&kind=acted&limit=1").await.json();
    assert_eq!((events.as_array().unwrap().len(), &events[0]["id"]), (1, &json!(108)));
    let older = get(&world, "/api/v1/events?service=web&kind=acted&before=108").await.json();
    assert_eq!(older[0]["id"], 105);
    assert_eq!(get(&world, "/api/v1/incidents?service=web").await.json()[0]["id"], 41);
    let told = get(&world, "/api/v1/messages?notifier=chat&state=dead&service=web&incident=41&from=0").await.json();
    assert_eq!(told, json!([]));
    let told = get(&world, "/api/v1/messages?notifier=chat&state=dead").await.json();
    assert_eq!((told.as_array().unwrap().len(), &told[0]["id"], &told[0]["attempts"]), (1, &json!(9), &json!(2)));
    assert_eq!(get(&world, "/api/v1/messages?before=9&limit=1").await.json()[0]["id"], 8);
    let one = get(&world, "/api/v1/messages/7").await.json();
    assert_eq!((&one["state"], &one["ended"]), (&json!("waiting"), &json!(null)));
    assert_eq!(one["why"], "not taken, tried again: the server is not there");
    assert_eq!((&one["steps"][1]["stage"], &one["steps"][1]["why"]), (&json!("deliver"), &json!("deferred")));
    let bars = get(&world, "/api/v1/services/web/checks/process/bars?buckets=6").await.json();
    assert_eq!(bars.as_array().unwrap().len(), 6);
    assert_eq!(bars[5].as_object().unwrap().keys().collect::<Vec<_>>(), ["bad", "samples", "start", "unknown"]);
    let samples = get(&world, "/api/v1/services/web/checks/process/samples?limit=10").await.json();
    assert_eq!(samples["metrics"], json!(["down", "memory", "cpu"]));
    assert_eq!((samples["rows"].as_array().unwrap().len(), &samples["more"]), (10, &json!(true)));
    assert_eq!(samples["rows"][0][1].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn mistakes_are_told_as_problems() {
    let world = world();
    for (path, status, title) in [
        ("/api/v1/services/none", 404, "No such service"),
        ("/api/v1/services/none/checks/process/bars", 404, "No such service"),
        ("/api/v1/services/web/checks/none/samples", 404, "No such check"),
        ("/api/v1/services/web/checks/http/samples?from=5&to=4", 400, "Not understood"),
        ("/api/v1/events?servce=web", 400, "Not understood"),
        ("/api/v1/events?limit=-1", 400, "Not understood"),
        ("/api/v1/messages?state=lost", 400, "Not understood"),
        ("/api/v1/messages/77", 404, "No such message"),
        ("/api/v1/messages/x", 400, "Not understood"),
        ("/api/v1/messages/18446744073709551615", 404, "No such message"),
        ("/api/v1/nothing", 404, "Nothing here"),
    ] {
        let got = get(&world, path).await;
        assert_eq!(got.status, status, "{path}");
        assert_eq!(got.header(header::CONTENT_TYPE), "application/problem+json", "{path}");
        assert_eq!((&got.json()["title"], &got.json()["status"]), (&json!(title), &json!(status)), "{path}");
    }
}

#[tokio::test]
async fn no_number_in_a_query_can_break_it() {
    let world = world();
    for range in
        ["from=-9223372036854775808&to=9223372036854775807", "to=-9223372036854775808", "from=9223372036854775807"]
    {
        for what in ["samples", "bars"] {
            let path = format!("/api/v1/services/web/checks/process/{what}?{range}&limit=18446744073709551615");
            assert!(matches!(get(&world, &path).await.status.as_u16(), 200 | 400), "{path}");
        }
    }
}

#[tokio::test]
async fn streams_are_told_of_changes_and_are_limited() {
    use futures_util::StreamExt;
    let world = world();
    let mut streams = Vec::new();
    for _ in 0..200 {
        let got = page(world.front.clone(), listen()).oneshot(request("GET", "/live", "localhost:8900")).await.unwrap();
        assert_eq!(got.status(), 200);
        assert_eq!(got.headers()[header::CONTENT_TYPE], "text/event-stream");
        streams.push(got.into_body().into_data_stream());
    }
    assert_eq!(get(&world, "/live").await.status, 503);
    world.happen(EventKind::Paused { by: "root".into() }, |_| {});
    let first = streams.pop().unwrap();
    let texts: Vec<String> =
        first.take(2).map(|chunk| String::from_utf8(chunk.unwrap().to_vec()).unwrap()).collect::<Vec<_>>().await;
    assert!(texts[0].contains("event: hello"), "{texts:?}");
    assert!(texts[1].contains("event: change"), "{texts:?}");
    assert!(texts[1].contains(r#"{"number":200,"services":["web"],"all":false}"#), "{texts:?}");
    // The one that was dropped has made room.
    let again = page(world.front.clone(), listen()).oneshot(request("GET", "/live", "localhost:8900")).await.unwrap();
    assert_eq!(again.status(), 200);
}

#[tokio::test]
async fn who_comes_back_is_told_what_he_missed_and_many_changes_are_told_together() {
    use futures_util::StreamExt;
    let world = world();
    let follow = async |path: &str| {
        let got = page(world.front.clone(), listen()).oneshot(request("GET", path, "localhost:8900")).await.unwrap();
        got.into_body().into_data_stream()
    };
    let mut told = follow("/live").await;
    for _ in 0..100 {
        world.happen(EventKind::Ended, |_| {});
    }
    let mut next = async || String::from_utf8(told.next().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(next().await.contains(r#""number":0"#));
    assert!(next().await.contains(r#"{"number":299,"services":["web"],"all":false}"#));
    for (after, expected) in [(298, r#""services":["web"],"all":false"#), (5, r#""services":[],"all":true"#)] {
        let told: Vec<_> = follow(&format!("/live?after={after}")).await.take(2).collect().await;
        let told = String::from_utf8(told[1].as_ref().unwrap().to_vec()).unwrap();
        assert!(told.contains(expected), "{after}: {told}");
    }
}

#[tokio::test]
async fn without_a_loop_there_is_an_answer_all_the_same() {
    let (asks, inbox) = tokio::sync::mpsc::channel(1);
    drop(inbox);
    let world = world();
    let front = minder::dashboard::Front::new(
        asks,
        world.changes.clone(),
        world.past.clone(),
        world.plans.subscribe(),
        Vec::new(),
        std::sync::Arc::<super::world::Still>::default(),
    );
    let got = send(page(front.clone(), listen()), request("GET", "/api/v1/status", "localhost:8900")).await;
    assert_eq!((got.status.as_u16(), &got.json()["title"]), (503, &json!("No answer")));
    assert_eq!(send(page(front, listen()), request("GET", "/", "localhost:8900")).await.status, 503);
}

#[tokio::test]
async fn the_socket_answers_whatever_the_host() {
    let got = send(socket(world().front), request("GET", "/healthz", "minder")).await;
    assert_eq!(got.status, 200);
}
