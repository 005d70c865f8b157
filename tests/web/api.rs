//! The API: that it is what its description says, in pages without a gap, and that mistakes are told as problems.

use super::fixture::{self, HOSTILE};
use super::router::{Got, get, listen, request, send, world};
use super::served::exchange;
use super::world::World;
use axum::body::to_bytes;
use axum::http::header::{self, HeaderName};
use minder::dashboard::{all_routes, bind_unix, page, serve_unix, socket};
use minder::model::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use tokio::net::UnixStream;
use tower::ServiceExt;

/// By the socket, where everything may be asked.
async fn ask(world: &World, method: &str, path: &str, kind: &str, body: &str) -> Got {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("minder.sock");
    let serving = tokio::spawn(serve_unix(bind_unix(&place).unwrap(), socket(world.front.clone())));
    let head = format!("host: minder\r\nconnection: close\r\ncontent-type: {kind}\r\ncontent-length: {}", body.len());
    let request = format!("{method} {path} HTTP/1.1\r\n{head}\r\n\r\n{body}");
    let answer = exchange(UnixStream::connect(&place).await.unwrap(), &request).await;
    serving.abort();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let mut head = head.lines();
    let status = head.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let fields = head.map(|line| line.split_once(": ").unwrap());
    let headers = fields.map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())).collect();
    Got { status, headers, body: body.to_owned() }
}

async fn description(world: &World) -> Value {
    let got = get(world, "/api/v1/openapi.json").await;
    assert_eq!((got.status.as_u16(), got.header(header::CONTENT_TYPE)), (200, "application/json"));
    got.json()
}

#[tokio::test]
async fn every_route_is_described_with_whom_it_needs() {
    let description = description(&world()).await;
    let mut described = BTreeSet::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let is_open = operation["security"] == json!([]);
            let role = operation["x-role"].as_str().map(str::to_owned);
            assert_eq!(is_open, role.is_none(), "{method} {path}");
            assert!(operation["summary"].as_str().is_some_and(|summary| !summary.is_empty()), "{method} {path}");
            if operation["x-socket"] != true {
                described.insert((method.to_uppercase(), path.clone(), role));
            }
        }
    }
    let is_for_programs =
        |path: &str| path.starts_with("/api/") || ["/metrics", "/healthz", "/readyz", "/status.json"].contains(&path);
    let routes = all_routes().into_iter().filter(|route| is_for_programs(route.path));
    let routes = routes.map(|r| (r.method.to_string(), r.path.to_owned(), r.needs.map(|role| role.word().to_owned())));
    assert_eq!(described, routes.collect());
    // By its names a program is made of it.
    let operations =
        description["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
    let names: Vec<&str> = operations.map(|operation| operation["operationId"].as_str().unwrap()).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
}

/// Every answer to GET, and some to commands, by a validator of another make.
#[tokio::test]
async fn answers_are_as_they_are_described() {
    let mut now = fixture::snapshot();
    let scope = Scope { services: vec!["web".into()], ..Scope::default() };
    let (since, until) = (now.at, Wall(now.at.0 + 1));
    let silence =
        Silence { id: 3, scope: scope.clone(), reason: "x".into(), by: "root".into(), since, until, holder: None };
    now.silences = vec![silence];
    let window = Some(Window { begins: since, ends: until });
    now.maintenance = vec![MaintenanceView { name: "nightly".into(), scope, reason: String::new(), window }];
    let world = World::by(now, RULES);
    let description = description(&world).await;
    let mut answers = Vec::new();
    let mut add = |method: &str, path: &str, got: Got, status: u16| {
        assert_eq!(got.status, status, "{method} {path}: {}", got.body);
        let media = got.header(header::CONTENT_TYPE).to_owned();
        answers.push(json!({ "method": method, "path": path, "status": status, "media": media, "body": got.body }));
    };
    for (path, item) in description["paths"].as_object().unwrap() {
        if item.get("get").is_none() || path.contains("{secret}") {
            continue;
        }
        let id = if path.contains("incidents") { "41" } else { "7" };
        let place = path
            .replace("{name}", if path.contains("/plan/") { "machine" } else { "web" })
            .replace("{check}", "process")
            .replace("{id}", id);
        let got = ask(&world, "GET", &place, "", "").await;
        if path.contains("/{") || path.contains("services") || path.contains("events") {
            assert!(!["[]", "{}"].contains(&got.body.as_str()), "{path} shows nothing");
        }
        add("get", path, got, 200);
        let parameters = item["get"]["parameters"].as_array().cloned().unwrap_or_default();
        if parameters.iter().any(|parameter| parameter["in"] == "query") {
            add("get", path, ask(&world, "GET", &format!("{place}?nonsense=1"), "", "").await, 400);
        }
    }
    let json = "application/json";
    let restart = r#"{"command":"restart","service":"web"}"#;
    add("post", "/api/v1/commands", ask(&world, "POST", "/api/v1/commands", json, restart).await, 200);
    let stop = r#"{"command":"stop","service":"web"}"#;
    add("post", "/api/v1/commands", ask(&world, "POST", "/api/v1/commands", json, stop).await, 409);
    add("post", "/api/v1/reload", ask(&world, "POST", "/api/v1/reload", "", "").await, 409);
    add("post", "/api/v1/resend", ask(&world, "POST", "/api/v1/resend", json, "{}").await, 200);

    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/.tools");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/web/answers.mjs");
    let node =
        Command::new("node").arg(script).env("TOOLS", tools).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut node = node.expect("node is needed");
    let input = json!({ "description": description, "answers": answers }).to_string();
    node.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = node.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.trim() == format!("{} answers fit", answers.len()), "{said}");
}

const RULES: &str = "
version: 1
mail: { server: '127.0.0.1:2525', from: minder@example.org }
notifiers:
  ops: { email: { to: [ops@example.org] } }
  chat: { webhook: { url: 'http://127.0.0.1:1/' } }
maintenance:
  nightly: { services: [machine], schedule: '0 3 * * *', for: 1h, reason: backup }
dashboard: { status: {} }
services: { machine: { public: true, checks: [{ system: {} }] } }
";

/// What `Link` says is next.
fn next(got: &Got) -> Option<String> {
    let link = got.headers.get(header::LINK)?.to_str().unwrap();
    Some(link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned())
}

#[tokio::test]
async fn pages_follow_each_other_without_a_gap() {
    let world = world();
    for i in 0..7 {
        world.happen(EventKind::Paused { by: format!("{i} & more") }, |_| {});
    }
    for (list, key) in [
        ("/api/v1/events?service=web", "id"),
        ("/api/v1/events?after=0&service=web", "id"),
        ("/api/v1/messages?", "id"),
        ("/api/v1/services?", "name"),
        ("/api/v1/services?q=A&status=ok", "name"),
        ("/api/v1/incidents?open=true", "id"),
    ] {
        let whole = get(&world, &format!("{list}&limit=1000")).await;
        assert_eq!(next(&whole), None, "{list}");
        let whole: Vec<Value> = whole.json().as_array().unwrap().iter().map(|item| item[key].clone()).collect();
        assert!(whole.len() > 1, "{list}");
        for limit in [1, 2, whole.len() - 1, whole.len()] {
            let mut found = Vec::new();
            let mut address = Some(format!("{list}&limit={limit}"));
            while let Some(here) = address {
                let got = get(&world, &here).await;
                let items = got.json();
                let items = items.as_array().unwrap();
                assert!(!items.is_empty() && items.len() <= limit, "{here}");
                found.extend(items.iter().map(|item| item[key].clone()));
                address = next(&got);
            }
            assert_eq!(found, whole, "{list} by {limit}");
        }
    }
}

#[tokio::test]
async fn long_times_come_in_pages_too() {
    let world = world();
    for (what, time, items) in [("samples", "limit=50", "/rows"), ("rollups", "step=minute&limit=7", "")] {
        let place = format!("/api/v1/services/web/checks/process/{what}");
        let span = format!("from={}&to={}", fixture::AT.0 - 3_600_000, fixture::AT.0);
        let whole = get(&world, &format!("{place}?{span}&limit=1000")).await.json();
        let whole = whole.pointer(items).unwrap().as_array().unwrap().clone();
        let mut found = Vec::new();
        let mut address = Some(format!("{place}?{span}&{time}"));
        while let Some(here) = address {
            let got = get(&world, &here).await;
            found.extend(got.json().pointer(items).unwrap().as_array().unwrap().clone());
            address = next(&got);
        }
        assert!(whole.len() >= 59, "{what}");
        assert_eq!(found, whole, "{what}");
    }
    let days = get(&world, "/api/v1/services/web/checks/process/rollups?step=hour&from=0").await;
    assert!(next(&days).unwrap().contains("step=hour"));
    let one = get(&world, "/api/v1/services/web/checks/process/rollups?limit=1").await.json();
    assert_eq!(one[0]["metrics"]["down"], json!({ "count": 1, "min": 0.0, "mean": 0.0, "max": 0.0 }));
}

#[tokio::test]
async fn services_are_found_by_what_they_are() {
    let world = world();
    let names = async |query: &str| {
        let found = get(&world, &format!("/api/v1/services?{query}")).await.json();
        found.as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("status=critical").await, ["web"]);
    assert_eq!(names("q=WEB&status=critical").await, ["web"]);
    let group = fixture::snapshot().services.into_iter().find(|s| &*s.name == "web").unwrap().group.unwrap();
    assert!(names(&format!("group={group}")).await.contains(&"web".to_owned()));
    assert_eq!(names("tag=none-such").await, [""; 0]);
    assert_eq!(get(&world, "/api/v1/services?status=bad").await.status, 400);
}

#[tokio::test]
async fn an_incident_has_its_story() {
    let got = get(&world(), "/api/v1/incidents/41").await.json();
    assert_eq!((&got["incident"]["id"], &got["incident"]["service"]), (&json!(41), &json!("web")));
    let events = got["events"].as_array().unwrap();
    assert!(events.len() > 3 && events.iter().all(|event| event["incident"] == 41));
    assert!(events[0]["id"].as_u64() < events[1]["id"].as_u64(), "the oldest comes first");
    assert_eq!(events.last().unwrap()["summary"], "pid 812 killed by SIGSEGV, core dumped");
    assert!(got["messages"].as_array().unwrap().len() > 3);
}

/// Every error under `/api` is a problem, wherever it comes from.
#[tokio::test]
async fn every_error_is_a_problem() {
    let world = world();
    let deep = format!(r#"{{"command":{}1{}}}"#, "[".repeat(30_000), "]".repeat(30_000));
    let long = "x".repeat(65 << 10);
    let (json, command) = ("application/json", "/api/v1/commands");
    let restart = r#"{"command":"restart","service":"web"}"#;
    for (method, path, kind, body, status, words) in [
        ("DELETE", "/api/v1/status", "", "", 405, "Allow"),
        ("GET", command, "", "", 405, "Allow"),
        ("OPTIONS", command, "", "", 405, "Allow"),
        ("GET", "/api/v1/", "", "", 404, ""),
        ("GET", "/api/v1/services/web/checks/process/none", "", "", 404, ""),
        ("GET", "/api/v1/services/%FF", "", "", 400, "name"),
        ("GET", "/api/v1/incidents/none", "", "", 400, "none"),
        ("GET", "/api/v1/incidents/77", "", "", 404, "77"),
        ("GET", "/api/v1/messages/-1", "", "", 400, "-1"),
        ("GET", "/api/v1/services?grop=x", "", "", 400, "grop"),
        ("GET", "/api/v1/events?kind=none", "", "", 400, "kind: there is no `none`"),
        ("GET", "/api/v1/events?limit=0", "", "", 400, "limit"),
        ("GET", "/api/v1/messages?before=x", "", "", 400, "before"),
        ("GET", "/api/v1/services/web/checks/process/rollups?step=year", "", "", 400, "year"),
        ("POST", command, "", restart, 415, "application/json"),
        ("POST", command, "text/plain", restart, 415, "application/json"),
        ("POST", command, "application/x-www-form-urlencoded", "command=restart&service=web", 415, "application/json"),
        ("POST", command, json, &long, 413, "too long"),
        ("POST", command, json, &deep, 400, ""),
        ("POST", command, json, r#"{"command":"restart","service":"web","now":true}"#, 400, "now"),
        ("POST", command, json, r#"{"command":"release","service":"web"}"#, 400, "service"),
        ("POST", command, json, "", 400, ""),
        ("POST", command, json, "\u{0}\u{1}", 400, ""),
        ("POST", "/api/v1/commands?wit=false", json, restart, 400, "wit"),
        ("POST", "/api/v1/resend", json, r#"{"message":[1]}"#, 400, "message"),
        ("POST", "/api/v1/resend", json, "[null, null]", 400, "object"),
        ("POST", command, json, r#"{"command":"silence","scope":[],"reason":"x","lasts":60000}"#, 400, "object"),
        ("POST", command, json, r#"{"command":"unsilence","holder":[1,"2"]}"#, 400, "object"),
        ("POST", command, json, r#"{"command":"write","incident":77,"service":"db","words":"x"}"#, 404, "77"),
        (
            "POST",
            command,
            json,
            r#"{"command":"write","incident":41,"service":"no","words":"x"}"#,
            409,
            "nothing was written",
        ),
        ("POST", "/api/v1/nudges", json, r#"{"control":"runit","name":"x","y":1}"#, 400, "y"),
        ("POST", "/api/v1/services/web/heartbeat", json, r#"{"what":"begin"}"#, 400, "what"),
        ("GET", "/api/v1/heartbeat/0123456789abcdef", "", "", 404, "heartbeat"),
    ] {
        let got = ask(&world, method, path, kind, body).await;
        let what = format!("{method} {path} {}: {}", &body[..body.len().min(80)], got.body);
        assert_eq!(got.status, status, "{what}");
        assert_eq!(got.header(header::CONTENT_TYPE), "application/problem+json", "{what}");
        let problem = got.json();
        let keys: Vec<&String> = problem.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["detail", "status", "title", "type"], "{what}");
        assert_eq!(problem["status"], status, "{what}");
        assert!(problem["type"].as_str().unwrap().starts_with("urn:minder:problem:"), "{what}");
        assert!(problem["detail"].as_str().unwrap().contains(words), "{what}");
        assert_eq!(status == 405, !got.header(header::ALLOW).is_empty(), "{what}");
    }
    assert!(world.asked.lock().unwrap().is_empty(), "nothing of this was done");
    // What is made anew is not said to be compressed as what it stands for was.
    let mut zipped = request("GET", "/api/v1/incidents/none", "localhost:8900");
    zipped.headers_mut().insert(header::ACCEPT_ENCODING, "gzip".parse().unwrap());
    let zipped = page(world.front.clone(), listen()).oneshot(zipped).await.unwrap();
    assert_eq!(zipped.headers()[header::CONTENT_ENCODING], "gzip");
    assert_eq!(to_bytes(zipped.into_body(), 9999).await.unwrap()[..2], [0x1f, 0x8b]);
}

#[tokio::test]
async fn no_path_leads_elsewhere_and_no_other_page_may_read() {
    let world = world();
    for path in [
        "/api/v1/services/..%2F..%2Fetc%2Fpasswd",
        "/api/v1/services/%2e%2e/status",
        "/api/v1/services/../status",
        "/api/v1/services/web/checks/..%2Fhttp/bars",
        "/api/v1/services/web/checks/%00/samples",
        "/assets/..%2F..%2Fetc%2Fpasswd",
        "/assets/../../../etc/passwd",
        "/assets/%2e%2e%2f%2e%2e%2fCargo.toml",
        "//etc/passwd",
    ] {
        let got = get(&world, path).await;
        assert!([400, 404].contains(&got.status.as_u16()), "{path}: {}", got.status);
        assert!(!got.body.contains("root:"), "{path}");
    }
    for (method, path) in [("GET", "/api/v1/status"), ("OPTIONS", "/api/v1/commands"), ("GET", "/api/v1/none")] {
        let mut request = request(method, path, "localhost:8900");
        for (name, value) in [("origin", "https://evil.example.org"), ("access-control-request-method", "POST")] {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let got = send(page(world.front.clone(), listen()), request).await;
        assert!(!got.headers.keys().any(|name| name.as_str().starts_with("access-control-")), "{method} {path}");
    }
}

#[tokio::test]
async fn hostile_words_are_texts_in_json() {
    let mut snapshot = fixture::snapshot();
    snapshot.services[0].name = HOSTILE.into();
    snapshot.services[0].summary = HOSTILE.into();
    let world = World::new(snapshot);
    let name: String = url::form_urlencoded::byte_serialize(HOSTILE.as_bytes()).collect();
    let name = name.replace('+', "%20");
    let none = format!("/api/v1/services/{name}-none");
    for (path, kind) in [
        (format!("/api/v1/services/{name}"), "application/json"),
        ("/api/v1/status".to_owned(), "application/json"),
        (format!("/api/v1/services?q={name}"), "application/json"),
        (none, "application/problem+json"),
        (format!("/api/v1/events?kind={name}"), "application/problem+json"),
        (format!("/api/v1/incidents/{name}"), "application/problem+json"),
    ] {
        let got = get(&world, &path).await;
        assert_eq!((got.header(header::CONTENT_TYPE), got.header(header::X_CONTENT_TYPE_OPTIONS)), (kind, "nosniff"));
        assert!(got.body.contains("<script>") && !got.body.contains('\x1b'), "{path}: {}", got.body);
        got.json();
    }
}
