//! `/metrics`, `/healthz` and `/readyz`: what Prometheus' own tool says of it, and what a real Prometheus reads.

use super::door::Served;
use super::fixture;
use super::world::World;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request};
use minder::dashboard::page;
use minder::model::{OfNotifier, OfService, Status, Used, Vitals, Wall};
use std::collections::BTreeMap;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tower::ServiceExt;

const OPEN: &str = "application/openmetrics-text; version=1.0.0";

async fn get(world: &World, path: &str, accept: &str) -> (u16, HeaderMap, String) {
    let listen = SocketAddr::from(([127, 0, 0, 1], 8900));
    let request = Request::builder().uri(path).header("host", "localhost").header("accept", accept);
    let response = page(world.front.clone(), listen).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, headers, String::from_utf8(body.to_vec()).unwrap())
}

/// With something in every family.
fn world() -> World {
    let world = World::by(
        fixture::snapshot(),
        "version: 1
notifiers: { chat: { exec: { command: [/bin/true] } }, ops: { exec: { command: [/bin/true] } } }
services: { machine: { checks: [{ system: {} }] } }",
    );
    let web = OfService {
        fired: BTreeMap::from([("process.down".to_owned(), 4)]),
        actions: BTreeMap::from([(("restart", "done"), 3), (("exec", "failed"), 1)]),
        deaths: 4,
        incidents: 2,
        used: BTreeMap::from([("process".into(), Used { cpu: 12.5, read: Some(4096.0), written: None })]),
    };
    let chat = OfNotifier {
        attempts: BTreeMap::from([("delivered", 7), ("deferred", 2)]),
        ended: BTreeMap::from([("delivered", 9), ("dead", 1)]),
    };
    *world.vitals.lock().unwrap() = Vitals {
        samples: 1234,
        steps: 99,
        stepping: Duration::from_millis(1500),
        slowest: Duration::from_millis(12),
        waiting: BTreeMap::from([("chat".into(), 0), ("ops".into(), 2)]),
        services: BTreeMap::from([("web".into(), web)]),
        notifiers: BTreeMap::from([("chat".into(), chat)]),
        ..Vitals::default()
    };
    world
}

#[tokio::test]
async fn everything_is_there_and_the_tool_of_prometheus_finds_nothing_wrong() {
    let world = world();
    let (status, headers, text) = get(&world, "/metrics", "*/*").await;
    assert_eq!((status, &headers["content-type"]), (200, &"text/plain; version=0.0.4; charset=utf-8".parse().unwrap()));
    for line in [
        "minder_build_info{version=\"0.1.0\"} 1",
        "minder_service_status{service=\"web\",status=\"critical\"} 1",
        "minder_service_status{service=\"web\",status=\"ok\"} 0",
        "minder_service_restarts_total{service=\"web\"} 3",
        "minder_actions_total{service=\"web\",action=\"exec\",outcome=\"failed\"} 1",
        "minder_service_deaths_total{service=\"web\"} 4",
        "minder_service_incident_open{service=\"web\"} 1",
        "minder_rule_firing{service=\"web\",rule=\"process.down\",severity=\"critical\"} 1",
        "minder_rule_firings_total{service=\"web\",rule=\"process.down\",severity=\"critical\"} 4",
        "minder_check_bad{service=\"web\",check=\"process\",kind=\"process\"} 1",
        "minder_filesystem_used_bytes{service=\"root-disk\",check=\"filesystem\"} 37400000000",
        "minder_deliveries_total{notifier=\"chat\",outcome=\"deferred\"} 2",
        "minder_messages_total{notifier=\"chat\",outcome=\"dead\"} 1",
        "minder_messages_waiting{notifier=\"ops\"} 2",
        "minder_messages_dead{notifier=\"chat\"} 1",
        "minder_messages_dead{notifier=\"ops\"} 0",
        "minder_samples_total 1234",
        "minder_loop_busy_seconds_total 1.5",
        "minder_store_trouble 0",
        "minder_streams_open 0",
        "namedprocess_namegroup_cpu_seconds_total{groupname=\"web\",check=\"process\"} 12.5",
        "namedprocess_namegroup_read_bytes_total{groupname=\"web\",check=\"process\"} 4096",
        "namedprocess_namegroup_num_procs{groupname=\"web\",check=\"process\"} 0",
    ] {
        assert!(text.lines().any(|its| its == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("namedprocess_namegroup_write_bytes_total"), "that was not looked at");

    let mut promtool =
        Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let promtool = promtool.as_mut().expect("promtool is needed: tests/setup");
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let status = promtool.wait().unwrap();
    let said = std::io::read_to_string(promtool.stderr.take().unwrap()).unwrap();
    assert!(status.success() && said.is_empty(), "{status}: {said}");

    let (_, headers, text) = get(&world, "/metrics", OPEN).await;
    assert!(headers["content-type"].to_str().unwrap().starts_with("application/openmetrics-text; version=1.0.0"));
    assert!(text.ends_with("# EOF\n") && text.contains("# TYPE minder_samples counter\n"));
}

#[tokio::test]
async fn a_store_that_does_not_answer_costs_only_what_it_knows() {
    let world = world();
    *world.past.broken.lock().unwrap() = Some("the disk is gone".to_owned());
    let (status, _, text) = get(&world, "/metrics", "*/*").await;
    assert!(status == 200 && text.contains("minder_samples_total 1234") && !text.contains("minder_messages_dead"));
}

#[tokio::test]
async fn it_is_ready_when_all_has_been_seen_and_can_be_kept() {
    let world = World::new(fixture::snapshot());
    let ready = async || {
        let (status, _, text) = get(&world, "/readyz", "*/*").await;
        (status, serde_json::from_str::<serde_json::Value>(&text).unwrap()["detail"].as_str().map(str::to_owned))
    };
    let no = |why: &str| (503, Some(why.to_owned()));
    world.now.lock().unwrap().services.retain(|service| service.checks.iter().all(|check| check.at.is_some()));
    assert_eq!(ready().await, (200, None));
    world.vitals.lock().unwrap().store_trouble = true;
    assert_eq!(ready().await, no("The state on disk cannot be written."));
    world.vitals.lock().unwrap().store_trouble = false;

    let change = |started_ago: i64, status: Status| {
        let mut now = world.now.lock().unwrap();
        now.since = Wall(now.at.0 - started_ago * 1000);
        now.services[0].status = status;
        now.services[0].checks[0].at = None;
    };
    change(5, Status::Unknown);
    assert_eq!(ready().await, no("1 check has not been answered yet."));
    change(5, Status::Paused);
    assert_eq!(ready().await, (200, None), "nobody asks it");
    change(500, Status::Unknown);
    assert_eq!(ready().await, (200, None), "that it does not answer is its rule's affair");
    assert_eq!(get(&world, "/healthz", "*/*").await.2, format!("{{\"ok\":true,\"at\":{}}}", fixture::AT.0));
}

struct Prometheus(Child);

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// In clear, and encrypted with a certificate of its own authority; each with what Prometheus asks for by itself.
#[tokio::test]
async fn a_real_prometheus_reads_it() {
    let (clear, tls) = (Served::start(false).await, Served::start(true).await);
    let dir = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = format!(
        "global: {{ scrape_interval: 1s, scrape_timeout: 1s }}
scrape_configs:
  - job_name: clear
    static_configs: [{{ targets: [\"{}\"] }}]
  - job_name: encrypted
    scheme: https
    tls_config: {{ ca_file: {} }}
    static_configs: [{{ targets: [\"{}\"] }}]
",
        clear.address,
        tls.dir.path().join("ca.pem").display(),
        tls.address,
    );
    let file = dir.path().join("prometheus.yaml");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new("prometheus");
    command.arg("--config.file").arg(&file).arg("--storage.tsdb.path").arg(dir.path().join("data"));
    command.args(["--log.level=error", &format!("--web.listen-address=127.0.0.1:{port}")]);
    let log = std::fs::File::create(dir.path().join("log")).unwrap();
    let started = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn();
    let _prometheus = Prometheus(started.expect("prometheus is needed: tests/setup"));

    let query = async |query: &str| {
        let url = format!("http://127.0.0.1:{port}/api/v1/query");
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--max-time", "5", "--get", "--data-urlencode", &format!("query={query}"), &url]);
        let output = tokio::task::spawn_blocking(move || curl.output().unwrap()).await.unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let series = answer["data"]["result"].as_array().cloned().unwrap_or_default();
        let value = |one: &serde_json::Value| {
            (one["metric"]["job"].as_str().unwrap().to_owned(), one["value"][1].as_str().unwrap().to_owned())
        };
        series.iter().map(value).collect::<BTreeMap<String, String>>()
    };
    for (asked, value) in [
        ("up", "1"),
        ("minder_service_status{service=\"web\",status=\"critical\"}", "1"),
        ("minder_filesystem_used_bytes{service=\"root-disk\"}", "37400000000"),
        ("count by (job) (minder_service_info)", "14"),
    ] {
        let both = BTreeMap::from([("clear", value), ("encrypted", value)]);
        let both: BTreeMap<String, String> = both.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let there = async {
            while query(asked).await != both {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(30), there).await.is_err() {
            let log = std::fs::read_to_string(dir.path().join("log")).unwrap_or_default();
            panic!("{asked}: {:?}\n{log}", query(asked).await);
        }
    }
}
