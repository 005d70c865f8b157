//! Who may: each role against each route, signing in, sessions, forms that are meant, tokens, the record of who did what.

use super::door::Served;
use super::fixture;
use super::world::{World, plan};
use argon2::password_hash::PasswordHasher;
use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Params, Version};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use minder::dashboard::{all_routes, bind_tcp, bind_unix, page, serve_tcp, serve_unix, socket};
use minder::model::*;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, UnixStream};
use tower::ServiceExt;

const DAY: Duration = Duration::from_secs(86_400);
const ROBOT: &str = "robot-robot-robot-robot";

/// A hash that costs next to nothing.
pub fn hash(password: &str) -> String {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8, 1, 1, None).unwrap());
    let hash: phc::PasswordHash = argon2.hash_password_with_salt(password.as_bytes(), b"saltsaltsaltsalt").unwrap();
    hash.to_string()
}

/// Rules with one user of each role, whose password is the name with an `!`; and a token.
pub fn rules(more: &str) -> String {
    let user = |name: &str, role: &str| {
        format!("    {name}: {{ password: \"{}\", role: {role} }}\n", hash(&format!("{name}!")))
    };
    let users = [user("alice", "admin"), user("oscar", "operator"), user("vera", "viewer")].concat();
    let token = token_file();
    format!(
        "version: 1\ndashboard:\n  users:\n{users}  tokens:\n    robot: {{ secret: {{ file: {token} }}, role: operator }}\n{more}\
         services: {{ machine: {{ checks: [{{ system: {{}} }}] }} }}\n"
    )
}

/// A file with a token, one for all tests of this run.
fn token_file() -> String {
    static FILE: std::sync::OnceLock<tempfile::NamedTempFile> = std::sync::OnceLock::new();
    let file = FILE.get_or_init(|| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), ROBOT).unwrap();
        file
    });
    file.path().display().to_string()
}

fn world() -> World {
    World::by(fixture::snapshot(), &rules(""))
}

fn router(world: &World) -> Router {
    page(world.front.clone(), SocketAddr::from(([127, 0, 0, 1], 8900)))
}

struct Got {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Got {
    fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
    fn cookies(&self) -> Vec<&str> {
        self.headers.get_all(header::SET_COOKIE).iter().map(|value| value.to_str().unwrap()).collect()
    }
}

/// What a browser keeps, and sends with each request.
#[derive(Clone, Default)]
struct Browser {
    cookies: BTreeMap<String, String>,
}

impl Browser {
    async fn ask(&mut self, world: &World, request: axum::http::request::Builder, body: &str) -> Got {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = request.header(header::HOST, "localhost:8900");
        if !cookies.is_empty() {
            request = request.header(header::COOKIE, cookies.join("; "));
        }
        let response = router(world).oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        // A stream has no end.
        let is_stream = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream");
        let body = if is_stream { Default::default() } else { to_bytes(response.into_body(), 8 << 20).await.unwrap() };
        let got = Got { status, headers, body: String::from_utf8_lossy(&body).into_owned() };
        for cookie in got.cookies() {
            let (name, rest) = cookie.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if rest.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        got
    }
    async fn get(&mut self, world: &World, path: &str) -> Got {
        self.ask(world, Request::get(path), "").await
    }
    async fn post(&mut self, world: &World, path: &str, form: &str) -> Got {
        let kind = "application/x-www-form-urlencoded";
        self.ask(world, Request::post(path).header(header::CONTENT_TYPE, kind), form).await
    }
    async fn try_as(&mut self, world: &World, user: &str, password: &str, to: &str) -> Got {
        let page = self.get(world, "/sign-in").await.body;
        let csrf = if page.contains("name=\"csrf\"") { csrf(&page) } else { String::new() };
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([
                ("user", user),
                ("password", password),
                ("to", to),
                ("form", &hidden("form", &page)),
                ("csrf", &csrf),
            ])
            .finish();
        self.post(world, "/sign-in", &form).await
    }
    fn session(&self) -> Option<&str> {
        self.cookies.get("minder").map(String::as_str)
    }
}

/// The value of a hidden field, where it first stands on a page.
fn hidden(name: &str, body: &str) -> String {
    let field = format!("name=\"{name}\" value=\"");
    let (_, rest) = body.split_once(&field).unwrap_or_else(|| panic!("no {name} in {body}"));
    rest.split('"').next().unwrap().to_owned()
}

/// What the forms of a page bring back.
fn csrf(body: &str) -> String {
    hidden("csrf", body)
}

async fn signed_in(world: &World, user: &str) -> Browser {
    let mut browser = Browser::default();
    let got = browser.try_as(world, user, &format!("{user}!"), "/").await;
    assert_eq!((got.status, got.header(header::LOCATION)), (StatusCode::SEE_OTHER, "/"), "{}", got.body);
    browser
}

/// What was put down of who did what, once the stand-in has taken all that was sent.
async fn audits(world: &World) -> Vec<Audit> {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let kept = world.kept.lock().unwrap();
    let audit = |record: &Record| match record {
        Record::Audit(audit) => Some((**audit).clone()),
        _ => None,
    };
    kept.iter().filter_map(audit).collect()
}

fn filled(path: &str) -> String {
    let path = path.replace("{name}", "web").replace("{check}", "process").replace("{id}", "9");
    path.replace("{secret}", "nobody-knows-this").replace("{what}", "start")
}

#[tokio::test(start_paused = true)]
async fn each_role_has_its_routes_and_no_others() {
    let world = world();
    let viewer = signed_in(&world, "vera").await;
    let operator = signed_in(&world, "oscar").await;
    let admin = signed_in(&world, "alice").await;
    let robot = || Some(format!("Bearer {ROBOT}"));
    let everybody = [
        ("a stranger", None, Browser::default(), None),
        ("a wrong token", None, Browser::default(), Some("Bearer robot-robot-robot-robos".to_owned())),
        ("a wrong token with a good cookie", None, admin.clone(), Some("Bearer x".to_owned())),
        ("viewer", Some(Role::Viewer), viewer, None),
        ("operator", Some(Role::Operator), operator, None),
        ("admin", Some(Role::Admin), admin, None),
        ("token", Some(Role::Operator), Browser::default(), robot()),
    ];
    let mut seen = 0;
    for route in all_routes() {
        let path = filled(route.path);
        if path == "/sign-in" || path == "/sign-out" {
            assert_eq!(route.needs, None);
            continue;
        }
        for (who, role, browser, token) in &everybody {
            let mut browser = browser.clone();
            let mut request = Request::builder().method(route.method.clone()).uri(&path);
            if let Some(token) = token {
                request = request.header(header::AUTHORIZATION, token);
            }
            if route.method != Method::GET && browser.session().is_some() {
                let csrf = csrf(&browser.get(&world, "/sessions").await.body);
                request = request.header("x-csrf-token", csrf);
            }
            let got = browser.ask(&world, request, "").await;
            let to_sign_in = got.status == 303 && got.header(header::LOCATION).starts_with("/sign-in");
            let refused = to_sign_in || got.status == 401 || got.status == 403;
            let may = route.needs.is_none_or(|needs| role.is_some_and(|role| role >= needs));
            assert_eq!(refused, !may, "{who}: {} {path}: {}", route.method, got.status);
            if !may && role.is_some() {
                let needs = route.needs.unwrap();
                assert_eq!(got.status, 403);
                assert!(got.body.contains(&format!("needs the role {needs}")), "{who} {path}: {}", got.body);
            } else if !may && path.starts_with("/api/") {
                assert_eq!(got.status, 401, "{who} {path}");
                assert!(got.header(header::WWW_AUTHENTICATE).starts_with("Bearer"));
                assert_eq!(got.header(header::CONTENT_TYPE), "application/problem+json");
            }
            seen += 1;
        }
    }
    assert!(seen > 100, "only {seen} were tried");
}

#[tokio::test]
async fn a_stranger_signs_in_and_is_brought_where_he_wanted() {
    let world = world();
    let mut browser = Browser::default();
    let got = browser.get(&world, "/services/web?span=24h").await;
    assert_eq!(got.header(header::LOCATION), "/sign-in?to=%2Fservices%2Fweb%3Fspan%3D24h");
    let page = browser.get(&world, got.header(header::LOCATION)).await;
    assert!(page.body.contains(r#"name="to" value="/services/web?span=24h""#), "{}", page.body);
    let got = browser.try_as(&world, "vera", "vera!", "/services/web?span=24h").await;
    assert_eq!((got.status.as_u16(), got.header(header::LOCATION)), (303, "/services/web?span=24h"));
    let page = browser.get(&world, "/services/web?span=24h").await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("vera") && page.body.contains("Sign out"));
    assert!(!page.body.contains("/audit"), "that is for admins");
    // A script, or a stream, is not shown a form.
    let stream = Request::get("/live").header("sec-fetch-mode", "cors");
    assert_eq!(Browser::default().ask(&world, stream, "").await.status, 401);
}

#[tokio::test]
async fn nobody_is_brought_to_another_site() {
    let world = world();
    for to in [
        "//evil.example.org",
        "https://evil.example.org",
        "/\\evil.example.org",
        "javascript:alert(1)",
        "/\t/evil.example.org",
        "/\r\nset-cookie: a=b",
        "evil",
        "",
        " /x",
    ] {
        let got = Browser::default().try_as(&world, "vera", "vera!", to).await;
        assert_eq!((got.status.as_u16(), got.header(header::LOCATION)), (303, "/"), "{to}");
        let query: String = url::form_urlencoded::byte_serialize(to.as_bytes()).collect();
        let page = Browser::default().get(&world, &format!("/sign-in?to={query}")).await;
        assert!(page.body.contains(r#"name="to" value="/""#), "{to}: {}", page.body);
    }
}

#[tokio::test]
async fn a_session_is_new_out_of_reach_and_kept_as_a_hash() {
    let world = world();
    let mut browser = Browser::default();
    let planted = "A".repeat(43);
    browser.cookies.insert("minder".into(), planted.clone());
    let got = browser.try_as(&world, "alice", "alice!", "/").await;
    let set = got.cookies().into_iter().find(|cookie| cookie.starts_with("minder=")).unwrap().to_owned();
    for part in ["; HttpOnly", "; SameSite=Lax", "; Path=/", "; Max-Age=2592000"] {
        assert!(set.contains(part), "{set}");
    }
    assert!(!set.contains("Secure") && !set.contains("Domain"), "{set}");
    let cookie = browser.session().unwrap().to_owned();
    assert_ne!(cookie, planted, "what was there before is never what one is signed in by");
    let mut attacker = Browser::default();
    attacker.cookies.insert("minder".into(), planted);
    assert_eq!(attacker.get(&world, "/").await.status, 303);
    // Signing in again: another one, and the one before is over.
    let mut before = browser.clone();
    browser.try_as(&world, "alice", "alice!", "/").await;
    assert_ne!(browser.session().unwrap(), cookie);
    assert_eq!(before.get(&world, "/").await.status, 303);
    assert_eq!(browser.get(&world, "/").await.status, 200);

    audits(&world).await;
    let kept = format!("{:?}", world.kept.lock().unwrap());
    assert!(kept.contains("Sessions(") && !kept.contains(&cookie) && !kept.contains(browser.session().unwrap()));
    assert!(!kept.contains("argon2"));
}

#[tokio::test]
async fn over_tls_a_cookie_is_for_this_host_and_tls_alone() {
    let served = Served::by(true, World::by(fixture::snapshot(), &rules(""))).await;
    let ask = async |what: &str, cookie: &str, body: &str| {
        let (kind, length) = ("application/x-www-form-urlencoded", body.len());
        served
            .ask(&format!(
                "{what} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncookie: {cookie}\r\ncontent-type: {kind}\r\n\
                 content-length: {length}\r\n\r\n{body}"
            ))
            .await
    };
    let cookies = |answer: &str| -> Vec<String> {
        let lines = answer.lines().filter_map(|line| line.strip_prefix("set-cookie: "));
        lines.map(str::to_owned).collect()
    };
    let page = ask("GET /sign-in", "", "").await;
    let form = cookies(&page).remove(0);
    assert!(form.starts_with("__Host-") && form.ends_with("; Secure"), "{form}");
    let pair = form.split(';').next().unwrap();
    let body = format!("user=alice&password=alice%21&to=%2F&form={}", hidden("form", &page));
    let got = ask("POST /sign-in", pair, &body).await;
    let session = cookies(&got).into_iter().find(|cookie| cookie.starts_with("__Host-minder=")).unwrap();
    assert!(session.ends_with("; Secure"), "{session}");
    let value = session.split(['=', ';']).nth(1).unwrap().to_owned();
    for (name, status) in [("__Host-minder", "200"), ("minder", "303")] {
        let got = ask("GET /", &format!("{name}={value}"), "").await;
        assert!(got.starts_with(&format!("HTTP/1.1 {status} ")), "{name}: {got}");
    }
}

#[tokio::test]
async fn a_session_outlives_a_restart_and_ends_in_time() {
    let world = world();
    let mut browser = signed_in(&world, "vera").await;
    audits(&world).await;
    let sessions = |world: &World| {
        let kept = world.kept.lock().unwrap();
        let last = kept.iter().rev().find_map(|record| match record {
            Record::Sessions(sessions) => Some(sessions.to_vec()),
            _ => None,
        });
        last.unwrap()
    };
    let again = World::again(fixture::snapshot(), &rules(""), sessions(&world));
    assert_eq!(browser.get(&again, "/").await.status, 200);
    assert!(again.kept.lock().unwrap().is_empty(), "a look is not worth a write");
    again.clock.pass(6 * DAY);
    assert_eq!(browser.get(&again, "/").await.status, 200);
    audits(&again).await;
    assert_eq!(sessions(&again).len(), 1, "that it was used is kept");
    again.clock.pass(6 * DAY);
    assert_eq!(browser.get(&again, "/").await.status, 200);
    again.clock.pass(8 * DAY);
    assert_eq!(browser.get(&again, "/").await.status, 303, "unused for a week");

    let old = World::again(fixture::snapshot(), &rules(""), sessions(&world));
    for _ in 0..29 {
        old.clock.pass(DAY);
        assert_eq!(browser.get(&old, "/").await.status, 200);
    }
    old.clock.pass(DAY);
    assert_eq!(browser.get(&old, "/").await.status, 303, "30 days old, however much it is used");
}

#[tokio::test]
async fn the_rules_decide_at_once() {
    let world = world();
    let mut browser = signed_in(&world, "oscar").await;
    let change = |change: &dyn Fn(&mut Dashboard)| {
        let mut plan = (**world.plans.borrow()).clone();
        change(&mut plan.dashboard);
        world.plans.send(Arc::new(plan)).unwrap();
    };
    let role = |role| move |dashboard: &mut Dashboard| dashboard.users.get_mut("oscar").unwrap().role = role;
    assert_eq!(browser.get(&world, "/audit").await.status, 403);
    change(&role(Role::Admin));
    assert_eq!(browser.get(&world, "/audit").await.status, 200);
    change(&role(Role::Viewer));
    assert_eq!(browser.get(&world, "/audit").await.status, 403);
    change(&|dashboard| {
        dashboard.users.get_mut("oscar").unwrap().password = Some(minder::model::PasswordHash::new(hash("another")));
    });
    assert_eq!(browser.get(&world, "/").await.status, 303, "with another password it is over");
    let mut browser = Browser::default();
    browser.try_as(&world, "oscar", "another", "/").await;
    assert_eq!(browser.get(&world, "/").await.status, 200);
    change(&|dashboard| drop(dashboard.users.remove("oscar")));
    assert_eq!(browser.get(&world, "/").await.status, 303);
    change(&|dashboard| dashboard.tokens.clear());
    let token = Request::get("/api/v1/status").header(header::AUTHORIZATION, format!("Bearer {ROBOT}"));
    assert_eq!(Browser::default().ask(&world, token, "").await.status, 401);
}

#[tokio::test]
async fn a_form_is_meant_or_nothing_is_done() {
    let world = world();
    let mut alice = signed_in(&world, "alice").await;
    let mut vera = signed_in(&world, "vera").await;
    let body = alice.get(&world, "/sessions").await.body;
    let (token, other) = (csrf(&body), csrf(&vera.get(&world, "/sessions").await.body));
    assert_ne!(token, other);
    let (_, rest) = body.split_once("<b>vera</b>").unwrap();
    let (_, rest) = rest.split_once("name=\"key\" value=\"").unwrap();
    let key = rest.split('"').next().unwrap();
    for form in [format!("key={key}"), format!("key={key}&csrf="), format!("key={key}&csrf={other}")] {
        let got = alice.post(&world, "/sessions/end", &form).await;
        assert_eq!(got.status, 403, "{form}");
        assert!(got.body.contains("Not sent from here"));
    }
    let good = format!("key={key}&csrf={token}");
    let form = || Request::post("/sessions/end").header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "http://evil.example.org"),
        ("origin", "http://localhost:8901"),
        ("origin", "nonsense"),
    ] {
        assert_eq!(alice.ask(&world, form().header(name, value), &good).await.status, 403, "{name}: {value}");
    }
    // In a body of another kind it does not count, and one that is too long is not read.
    let text = Request::post("/sessions/end").header(header::CONTENT_TYPE, "text/plain");
    assert_eq!(alice.ask(&world, text, &good).await.status, 403);
    let long = format!("{good}&x={}", "y".repeat(70_000));
    assert_eq!(alice.ask(&world, form(), &long).await.status, 413);
    assert_eq!(alice.post(&world, "/sign-out", "").await.status, 403, "nor can anybody sign him out");
    assert_eq!(vera.get(&world, "/").await.status, 200, "nothing was done");

    let got = alice.ask(&world, form().header("origin", "http://localhost:8900"), &good).await;
    assert_eq!((got.status.as_u16(), got.header(header::LOCATION)), (303, "/sessions"));
    assert_eq!(vera.get(&world, "/").await.status, 303, "an admin has ended it");
    // A script sends it in a header, a program has a token and needs none.
    let command = || Request::post("/api/v1/commands").header(header::CONTENT_TYPE, "application/json");
    let restart = r#"{"command":"restart","service":"web"}"#;
    assert_eq!(alice.ask(&world, command(), restart).await.status, 403);
    assert_eq!(alice.ask(&world, command().header("x-csrf-token", &token), restart).await.status, 200);
    let robot = command().header(header::AUTHORIZATION, format!("bearer {ROBOT}"));
    assert_eq!(Browser::default().ask(&world, robot, restart).await.status, 200);
    let asked: Vec<String> = world.asked.lock().unwrap().iter().map(|(who, _)| who.clone()).collect();
    assert_eq!(asked, ["alice", "robot"]);
}

#[tokio::test]
async fn nobody_else_can_sign_somebody_in() {
    let world = world();
    // Another browser's form: the attacker has fetched it himself.
    let form = hidden("form", &Browser::default().get(&world, "/sign-in").await.body);
    let given = format!("user=vera&password=vera%21&form={form}");
    let mut victim = Browser::default();
    assert_eq!(victim.post(&world, "/sign-in", &given).await.status, 403);
    victim.cookies.clear();
    victim.get(&world, "/sign-in").await;
    assert_eq!(victim.post(&world, "/sign-in", &given).await.status, 403);
    let own = hidden("form", &victim.get(&world, "/sign-in").await.body);
    let from = |site: &str| {
        let form = Request::post("/sign-in").header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        form.header("sec-fetch-site", site)
    };
    let given = format!("user=vera&password=vera%21&form={own}");
    assert_eq!(victim.ask(&world, from("cross-site"), &given).await.status, 403);
    assert_eq!(victim.session(), None);
    assert_eq!(victim.ask(&world, from("same-origin"), &given).await.status, 303);
}

#[tokio::test]
async fn who_tries_too_often_waits_and_others_do_not() {
    let world = world();
    let mut attacker = Browser::default();
    let mut alice = signed_in(&world, "alice").await;
    for (user, password) in
        [("alice", "a"), ("alice", "b"), ("nobody", "alice!"), ("correct horse battery", ""), ("vera", "alice!")]
    {
        let got = attacker.try_as(&world, user, password, "/").await;
        assert_eq!(got.status, 403, "{user}");
        assert!(got.body.contains("There is no user of this name with this password"), "{user}: {}", got.body);
    }
    let got = attacker.try_as(&world, "alice", "alice!", "/").await;
    assert_eq!(got.status, 429, "even the right one waits");
    let wait: u64 = got.header(header::RETRY_AFTER).parse().unwrap();
    // A browser that alice has used is not kept out by it, from the same address.
    assert_eq!(alice.try_as(&world, "alice", "alice!", "/").await.status, 303);
    assert_eq!(alice.clone().try_as(&world, "oscar", "oscar!", "/").await.status, 429, "nor is it for others");
    world.clock.pass(Duration::from_secs(wait));
    assert_eq!(attacker.try_as(&world, "alice", "alice!", "/").await.status, 303);

    let failed: Vec<Audit> = audits(&world).await.into_iter().filter(|audit| !audit.ok).collect();
    let told: Vec<String> = failed.iter().map(|a| format!("{} {}: {}", a.who, a.what, a.words)).collect();
    assert_eq!(
        told,
        [
            "alice sign in: wrong password",
            "alice sign in: wrong password",
            "(unknown) sign in: no such user",
            "(unknown) sign in: no such user",
            "vera sign in: wrong password"
        ]
    );
}

#[tokio::test]
async fn a_token_is_taken_from_its_header_alone() {
    let world = world();
    for path in ["/api/v1/status?token=", "/api/v1/status?access_token=", "/api/v1/status?secret="] {
        let got = Browser::default().get(&world, &format!("{path}{ROBOT}")).await;
        assert_eq!(got.status, 401, "{path}");
    }
    let ask = async |values: &[String]| {
        let request = values.iter().fold(Request::get("/api/v1/status"), |request, value| {
            request.header(header::AUTHORIZATION, value.as_str())
        });
        Browser::default().ask(&world, request, "").await.status.as_u16()
    };
    assert_eq!(ask(&[format!("Bearer {ROBOT}")]).await, 200);
    assert_eq!(ask(&[format!("Basic {ROBOT}")]).await, 401);
    assert_eq!(ask(&[format!("Bearer {ROBOT}x")]).await, 401);
    assert_eq!(ask(&["Bearer ".to_owned()]).await, 401);
    assert_eq!(ask(&[format!("Bearer {ROBOT}"), "Bearer x".to_owned()]).await, 401, "one of two");
    let mut browser = Browser::default();
    browser.cookies.insert("minder".into(), ROBOT.into());
    assert_eq!(browser.get(&world, "/api/v1/status").await.status, 401);
}

#[tokio::test]
async fn nothing_shows_a_hash_or_a_token() {
    let world = world();
    let mut alice = signed_in(&world, "alice").await;
    for route in all_routes().into_iter().filter(|route| route.method == Method::GET && route.path != "/live") {
        let got = alice.get(&world, &filled(route.path)).await;
        assert!(!got.body.contains("$argon2") && !got.body.contains(ROBOT), "{}", route.path);
    }
    let plan = plan(&rules(""));
    let shown = format!("{plan:?} {}", serde_json::to_string(&plan.dashboard).unwrap());
    assert!(!shown.contains("$argon2") && !shown.contains(ROBOT), "{shown}");
}

#[tokio::test]
async fn without_users_everybody_near_looks_and_is_told_how_to_set_one() {
    let world = World::new(fixture::snapshot());
    let mut browser = Browser::default();
    assert_eq!(browser.get(&world, "/").await.status, 200);
    let refused = browser.post(&world, "/api/v1/reload", "").await;
    assert!(refused.status == 403 && refused.body.contains("minder passwd"), "{}", refused.body);
    let page = browser.get(&world, "/sign-in").await;
    assert!(page.body.contains("minder passwd") && !page.body.contains("<form"), "{}", page.body);
    assert!(audits(&world).await.is_empty());
}

/// Asks for a page over TCP, from this address of the machine; the answer as it came.
async fn from_address(from: [u8; 4], to: SocketAddr, path: &str, headers: &str) -> String {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((from, 0))).unwrap();
    let mut stream = socket.connect(to).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
    read.expect("an answer in time").unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_proxy_is_believed_and_nobody_else() {
    let more = "  proxy: { from: [127.0.0.2], user: Remote-User, address: X-Forwarded-For }\n";
    let world = World::by(fixture::snapshot(), &rules(more));
    let listener = bind_tcp(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(serve_tcp(listener, page(world.front.clone(), address)));
    let ask = |from, path, headers| from_address(from, address, path, headers);
    let (proxy, other) = ([127, 0, 0, 2], [127, 0, 0, 1]);
    for (from, headers, status) in [
        (proxy, "remote-user: alice\r\n", "200"),
        (proxy, "remote-user: nobody\r\n", "303"),
        (proxy, "remote-user: \r\n", "303"),
        (proxy, "remote-user: alice\r\nremote-user: alice\r\n", "303"),
        (proxy, "remote-user: vera\r\n", "403"),
        (other, "remote-user: alice\r\n", "303"),
        (other, "remote-user: alice\r\nx-forwarded-for: 127.0.0.2\r\n", "303"),
    ] {
        let answer = ask(from, "/audit", headers).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{from:?} {headers}: {answer}");
    }
    // What it says of the address counts for the record: its last word, which is its own.
    for (from, headers, recorded) in [
        (proxy, "remote-user: vera\r\nx-forwarded-for: 203.0.113.9, 198.51.100.7\r\n", "198.51.100.7"),
        (
            proxy,
            "remote-user: vera\r\nx-forwarded-for: 203.0.113.9\r\nx-forwarded-for: [2001:db8::1]:99\r\n",
            "2001:db8::1",
        ),
        (proxy, "remote-user: vera\r\nx-forwarded-for: nonsense\r\n", "127.0.0.2"),
    ] {
        ask(from, "/audit", headers).await;
        assert_eq!(audits(&world).await.last().unwrap().from, recorded, "{headers}");
    }
    let secure = ask(proxy, "/sign-in", "x-forwarded-proto: https\r\n").await;
    assert!(secure.contains("__Host-minder-form="), "{secure}");
    let not = ask(other, "/sign-in", "x-forwarded-proto: https\r\n").await;
    assert!(!not.contains("__Host-"), "{not}");
    serving.abort();
}

#[tokio::test]
async fn what_is_done_at_the_socket_is_put_down_too() {
    let world = world();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run/minder.sock");
    let serving = tokio::spawn(serve_unix(bind_unix(&path).unwrap(), socket(world.front.clone())));
    let me = rustix::process::geteuid().as_raw();
    let me = if me == 0 { "root".to_owned() } else { format!("uid {me}") };
    for (path_of, body) in [
        ("commands", r#"{"command":"restart","service":"web"}"#),
        ("commands", r#"{"command":"stop","service":"web"}"#),
        ("reload", ""),
        ("resend", r#"{"messages":[9]}"#),
    ] {
        let mut stream = UnixStream::connect(&path).await.unwrap();
        let length = body.len();
        let request = format!(
            "POST /api/v1/{path_of} HTTP/1.1\r\nhost: minder\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    }
    let told: Vec<String> = audits(&world)
        .await
        .iter()
        .map(|a| format!("{} from {}: {} {}", a.who, a.from, if a.ok { "did" } else { "tried to" }, a.what))
        .collect();
    assert_eq!(
        told,
        [
            format!("{me} from socket: did restart web"),
            format!("{me} from socket: tried to stop web"),
            format!("{me} from socket: tried to reload the rules"),
            format!("{me} from socket: did send again message 9"),
        ]
    );
    serving.abort();
}

#[tokio::test]
async fn an_outcome_is_put_down_though_nobody_waits_for_it() {
    let world = world();
    let token = Request::post("/api/v1/commands").header(header::AUTHORIZATION, format!("Bearer {ROBOT}"));
    let token = token.header(header::HOST, "localhost:8900").header(header::CONTENT_TYPE, "application/json");
    let body = r#"{"command":"restart","service":"web"}"#;
    let mut asking = Box::pin(router(&world).oneshot(token.body(Body::from(body)).unwrap()));
    // Until the command is under way, and no longer.
    while world.asked.lock().unwrap().is_empty() {
        let once = tokio::time::timeout(Duration::ZERO, &mut asking).await;
        if once.is_ok() {
            break;
        }
        tokio::task::yield_now().await;
    }
    drop(asking);
    let done = audits(&world).await;
    assert_eq!(done.len(), 1);
    assert_eq!(
        (done[0].what.as_str(), done[0].ok, done[0].words.as_str()),
        ("restart web", true, "web is up as pid 4711")
    );
}

#[tokio::test]
async fn who_is_signed_in_sees_his_own_and_an_admin_all() {
    let world = world();
    let mut alice = signed_in(&world, "alice").await;
    let mut vera = signed_in(&world, "vera").await;
    let page = vera.get(&world, "/sessions").await.body;
    assert!(page.contains("<b>vera</b>") && !page.contains("<b>alice</b>"));
    let all = alice.get(&world, "/api/v1/sessions").await.body;
    let all: Vec<serde_json::Value> = serde_json::from_str(&all).unwrap();
    assert_eq!(all.len(), 2);
    assert!(all.iter().all(|session| session.get("proof").is_none()));
    let key = all.iter().find(|session| session["user"] == "alice").unwrap()["key"].as_str().unwrap().to_owned();
    let token = csrf(&vera.get(&world, "/sessions").await.body);
    let got = vera.post(&world, "/sessions/end", &format!("key={key}&csrf={token}")).await;
    assert_eq!(got.status, 404, "somebody else's");
    let got = vera.post(&world, "/sign-out", &format!("csrf={token}")).await;
    assert_eq!((got.status.as_u16(), got.header(header::LOCATION)), (303, "/sign-in"));
    assert_eq!(vera.session(), None);
    assert_eq!(vera.get(&world, "/").await.status, 303);
    assert_eq!(alice.get(&world, "/").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_with_the_session_that_follows_it() {
    let world = world();
    let mut vera = signed_in(&world, "vera").await;
    let follow = || {
        let cookie = format!("minder={}", vera.session().unwrap());
        let request = Request::get("/live").header(header::HOST, "localhost:8900").header(header::COOKIE, cookie);
        router(&world).oneshot(request.body(Body::empty()).unwrap())
    };
    let (left, ended) = (follow().await.unwrap(), follow().await.unwrap());
    let token = csrf(&vera.get(&world, "/sessions").await.body);
    let on = tokio::time::timeout(Duration::from_secs(600), to_bytes(left.into_body(), 1 << 20)).await;
    assert!(on.is_err(), "it goes on while she is signed in");
    vera.post(&world, "/sign-out", &format!("csrf={token}")).await;
    let end = tokio::time::timeout(Duration::from_secs(60), to_bytes(ended.into_body(), 1 << 20)).await;
    end.expect("the end of the stream").unwrap();
}

/// Asks from this address of the machine, and waits for the answer.
async fn post_from(from: [u8; 4], to: SocketAddr, cookies: &str, form: &str) -> String {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((from, 0))).unwrap();
    let mut stream = socket.connect(to).await.unwrap();
    let head = format!("POST /sign-in HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\ncookie: {cookies}");
    let kind = "content-type: application/x-www-form-urlencoded";
    let request = format!("{head}\r\n{kind}\r\ncontent-length: {}\r\n\r\n{form}", form.len());
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

/// Comparing a password takes long, and whoever has many addresses can have one compared after the other.
#[tokio::test]
async fn a_browser_that_has_signed_in_before_does_not_queue_behind_strangers() {
    const STRANGERS: u8 = 8;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(32_768, 4, 1, None).unwrap());
    let slow: phc::PasswordHash = argon2.hash_password_with_salt(b"slow!", b"saltsaltsaltsalt").unwrap();
    let users = format!("  users:\n    slow: {{ password: \"{slow}\", role: viewer }}\n");
    let world = World::by(fixture::snapshot(), &rules("").replacen("  users:\n", &users, 1));
    let listener = bind_tcp(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let to = listener.local_addr().unwrap();
    let serving = tokio::spawn(serve_tcp(listener, page(world.front.clone(), to)));
    let mut alice = signed_in(&world, "alice").await;
    alice.cookies.remove("minder");
    let shown = alice.get(&world, "/sign-in").await.body;
    let cookies: Vec<String> = alice.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let form = |user: &str| format!("user={user}&password={user}!&form={}", hidden("form", &shown));
    let mut strangers = tokio::task::JoinSet::new();
    for i in 1..=STRANGERS {
        let (cookies, form) = (cookies.join("; "), form("slow"));
        strangers.spawn(async move { post_from([127, 0, 0, i], to, &cookies, &form).await });
    }
    strangers.join_next().await;
    let answer = post_from([127, 0, 0, 99], to, &cookies.join("; "), &form("alice")).await;
    assert!(answer.contains("303"), "{answer}");
    while strangers.try_join_next().is_some() {}
    assert!(strangers.len() >= usize::from(STRANGERS) / 2, "{} still wait", strangers.len());
    strangers.shutdown().await;
    serving.abort();
}
