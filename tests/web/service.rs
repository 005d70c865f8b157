//! The page of a service, asked without a network.

use super::fixture::{self, HOSTILE, MINUTE, ago, event};
use super::world::World;
use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use minder::dashboard::page;
use minder::model::*;
use std::net::SocketAddr;
use tower::ServiceExt;

async fn body(world: &World, path: &str) -> String {
    let listen = SocketAddr::from(([127, 0, 0, 1], 8900));
    let request = Request::get(path).header(header::HOST, "localhost:8900").body(Body::empty()).unwrap();
    let response = page(world.front.clone(), listen).oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200, "{path}");
    let body = to_bytes(response.into_body(), 8 << 20).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

fn world() -> World {
    World::new(fixture::snapshot())
}

/// The value of each attribute of this name.
fn attributes<'a>(body: &'a str, name: &str) -> Vec<&'a str> {
    let start = format!(" {name}=\"");
    body.split(&start).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[tokio::test]
async fn every_span_has_its_bars_and_its_points() {
    let world = world();
    for (span, bars, points, words) in [
        ("1h", 60, 360, "last hour"),
        ("24h", 48, 480, "last 24 hours"),
        ("7d", 84, 168, "last 7 days"),
        ("90d", 90, 540, "last 90 days"),
    ] {
        let body = body(&world, &format!("/services/web?span={span}")).await;
        assert_eq!(body.matches("<g><title>").count(), 2 * bars, "{span}: two checks");
        assert!(body.contains(&format!("aria-current=\"true\">{words}</a>")), "{span}");
        // Memory and cpu of the process, the latency of http.
        let means = attributes(&body, "data-mean");
        assert_eq!(means.len(), 3, "{span}");
        for mean in &means {
            assert_eq!(mean.split(',').count(), points, "{span}");
        }
        // Of what has not been yet, and here of what is older than two months, there is nothing.
        let known = means[0].split(',').filter(|value| !value.is_empty()).count();
        assert!((points / 2..points).contains(&known), "{span}: {known}");
        let least = attributes(&body, "data-least");
        assert_eq!(least[0].is_empty(), span == "1h", "a single sample has no band: {span}");
        assert!(body.contains("of the known time well: "), "{span}");
    }
    assert!(body(&world, "/services/web").await.contains("aria-current=\"true\">last hour</a>"));
}

#[tokio::test]
async fn a_limit_in_percent_is_drawn_in_the_unit_that_is_kept() {
    let body = body(&world(), "/services/root-disk").await;
    let lines: Vec<&str> =
        body.split("<path class=\"limit\" d=\"").skip(1).filter_map(|s| s.split('"').next()).collect();
    let top: f64 = attributes(&body, "data-top")[0].parse().unwrap();
    // The scale ends at 40 GB; 90 % of 40 GB, which it was not all the hour: it grew an hour and a half ago.
    let y = ((1.0 - 0.9 * 4e10 / top) * 1000.0).round();
    assert_eq!(lines.last().unwrap(), &format!("M0 {y}H1000"));
    let body = self::body(&world(), "/services/root-disk?span=24h").await;
    let lines: Vec<&str> =
        body.split("<path class=\"limit\" d=\"").skip(1).filter_map(|s| s.split('"').next()).collect();
    assert!(lines.last().unwrap().contains('V'), "a step where it grew: {lines:?}");
}

#[tokio::test]
async fn any_metric_that_is_kept_can_be_drawn() {
    let world = world();
    let plain = body(&world, "/services/postgresql").await;
    assert_eq!(attributes(&plain, "data-mean").len(), 2);
    assert!(plain.contains("?span=1h&#38;metric=process.threads#check-process\">draw threads</a>"), "{plain}");
    let chosen = body(&world, "/services/postgresql?span=7d&metric=process.threads&metric=process.down").await;
    assert_eq!(attributes(&chosen, "data-mean").len(), 4);
    assert!(chosen.contains("?span=7d&#38;metric=process.down#check-process\" aria-current=\"true\">hide threads</a>"));
    // The choice is kept where another span is chosen.
    assert!(chosen.contains("?span=90d&#38;metric=process.threads&#38;metric=process.down"));
    let none = body(&world, "/services/postgresql?metric=process.nonsense&metric=&metric=%00&before=x&kind=no").await;
    assert_eq!(attributes(&none, "data-mean").len(), 2);
}

#[tokio::test]
async fn incidents_deaths_and_restarts_are_drawn() {
    let body = body(&world(), "/services/web").await;
    assert!(body.contains("class=\"shade critical\""));
    assert!(body.contains("pid 812 killed by SIGSEGV, core dumped</title><use href=\"#died\""));
    assert!(body.contains("up as pid 812</title><use href=\"#restarted\""));
    let calm = self::body(&world(), "/services/redis").await;
    assert!(!calm.contains("class=\"shade") && !calm.contains("class=\"at\""));
}

#[tokio::test]
async fn state_and_control_are_told_in_words() {
    let mut snapshot = fixture::snapshot();
    let web = &mut snapshot.services[1];
    web.supervisor = Some(SupervisorView {
        alive: true,
        wanted: Some(true),
        phase: Phase::Down,
        since: Some(ago(3 * MINUTE)),
        failed: true,
        restarts: 3,
        flapping: true,
    });
    web.silenced = Some("for another 8 min, by root: deploy".into());
    web.held = Some("database is critical".into());
    web.depends_on = vec!["redis".into()];
    let ack = Ack { by: "maria".into(), reason: "new disk".into(), since: ago(MINUTE), until: None };
    web.incident.as_mut().unwrap().ack = Some(ack);
    let world = World::new(snapshot);
    let page = body(&world, "/services/web").await;
    for words in [
        "runit: <b>down</b>, wanted up, for <time",
        "the supervisor does not start it any more",
        "started anew by the supervisor 3 times in the last 10 min, again and again",
        "<b>3 of 5</b> left, 2 used within 15m",
        "3 of 5 restarts left in 15m",
        "for another 8 min, by root: deploy",
        "messages and automatic restarts wait: database is critical",
        "<a href=\"/services/redis\">redis</a>",
        "<a href=\"/incidents/41\">41: ",
        "by maria <time",
        ": new disk",
        "<h3>How it last died</h3>",
        "limits: 1024 files",
        "<b>restart in 8 s</b>",
    ] {
        assert!(page.contains(words), "{words} is not on the page");
    }
    let needed = body(&world, "/services/redis").await;
    assert!(needed.contains("<dt>Needed by</dt><dd><a href=\"/services/web\">"));
    assert!(body(&world, "/services/root-disk").await.contains("none: it is watched, and never started or stopped"));
}

#[tokio::test]
async fn events_are_read_page_by_page_and_by_kind() {
    let world = world();
    let noted = |id| event(id, ago(MINUTE), "web", None, EventKind::Noted { words: format!("number {id}") });
    world.past.events.lock().unwrap().extend((1000..1120).rev().map(noted));
    let first = body(&world, "/services/web?span=24h").await;
    assert!(first.contains("number 1119") && first.contains("number 1070<") && !first.contains("number 1069<"));
    assert!(first.contains("?span=24h&#38;before=1070#events"), "to the older ones");
    let second = body(&world, "/services/web?span=24h&before=1070").await;
    assert!(second.contains("number 1069<") && !second.contains("number 1070<"));
    assert!(second.contains("href=\"?span=24h#events\">Newest</a>"));
    let died = body(&world, "/services/web?kind=died").await;
    assert!(died.contains("<option value=\"died\" selected>") && !died.contains("number 1119"));
    assert_eq!(died.matches("id=\"event-").count(), 1);
    assert!(body(&world, "/services/redis?kind=died").await.contains("Nothing like that is recorded."));
}

#[tokio::test]
async fn a_check_without_a_history_says_so() {
    let mut snapshot = fixture::snapshot();
    let web = &mut snapshot.services[1];
    let young = CheckView { name: "young".into(), at: None, took: None, metrics: Vec::new(), ..web.checks[1].clone() };
    web.checks.push(young);
    let body = body(&World::new(snapshot), "/services/web").await;
    let young = body.split("id=\"check-young\"").nth(1).unwrap();
    assert!(young.contains("not answered yet") && !young.contains("<figure"));
}

#[tokio::test]
async fn hostile_incidents_limits_and_metrics_stay_words() {
    let mut snapshot = fixture::snapshot();
    let web = &mut snapshot.services[1];
    web.incident.as_mut().unwrap().title = HOSTILE.into();
    web.rules[1].values[0].limit = HOSTILE.into();
    web.checks[0].metrics[0].unit = HOSTILE.into();
    let ack = Ack { by: HOSTILE.into(), reason: HOSTILE.into(), since: ago(0), until: None };
    web.incident.as_mut().unwrap().ack = Some(ack);
    let world = World::new(snapshot);
    let died = EventKind::Snapshot { text: HOSTILE.into() };
    world.past.events.lock().unwrap().push(event(500, ago(0), "web", Some(41), died));
    for path in ["/services/web", "/services/web?metric=%3Cscript%3E%22&kind=%3Cscript%3E&before=%3Cscript%3E"] {
        let body = body(&world, path).await;
        for bad in ["<script>", "<img", "onerror=\"", "\x1b", "\u{202e}", "\"'>"] {
            assert!(!body.contains(bad), "{bad:?} on {path}");
        }
    }
}
