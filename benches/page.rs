//! What the page costs, with 1,000 services, 5,000 checks and 90 days behind them. `cargo bench --bench page` runs all of it;
//! `cargo bench --bench page -- overview` the figures whose name holds the word.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads clocks")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark that cannot run has no result")]
#![allow(missing_docs, reason = "not a library")]

#[path = "page/overview.rs"]
mod overview;
#[path = "page/past.rs"]
mod past;
#[path = "page/world.rs"]
mod world;

use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use rustix::process::{Resource, getrlimit, setrlimit};
use std::net::SocketAddr;
use std::time::Instant;
use tower::ServiceExt;
use world::World;

/// Measures something of the world, and says it.
type Row = fn(&tokio::runtime::Runtime, &World);

fn main() {
    let wanted = std::env::args().skip(1).find(|a| a != "--bench").unwrap_or_default();
    // As minder does: without it, there would be room for few connections.
    let mut files = getrlimit(Resource::Nofile);
    files.current = files.maximum;
    setrlimit(Resource::Nofile, files).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let begin = Instant::now();
    let world = World::new();
    println!("made in {:.0} s: {} services, 5 checks each", begin.elapsed().as_secs_f64(), world::SERVICES);
    println!("{:60} {:>12} {:>12} {:>7} {:>12}", "figure", "minder", "floor", "ratio", "to reach");
    let all: &[(&str, Row)] = &[
        ("overview", overview::page),
        ("live", overview::live),
        ("service", past::service),
        ("chart", past::chart),
        ("incidents", past::incidents),
        ("status", past::status),
        ("metrics", past::metrics),
        ("writer", past::writer),
        ("open-pages", overview::open_pages),
    ];
    all.iter().filter(|(name, _)| name.contains(&wanted)).for_each(|(_, run)| run(&runtime, &world));
}

/// A figure beside the least that it could be, and the most that it may be.
pub fn row(figure: &str, ours: f64, floor: Option<f64>, most: Option<f64>, unit: &str) {
    let words = |value: Option<f64>| value.map(|value| format!("{value:.2} {unit}")).unwrap_or_default();
    let ratio = floor.map(|floor| format!("{:.1}", ours / floor)).unwrap_or_default();
    println!("{figure:60} {:>12} {:>12} {ratio:>7} {:>12}", words(Some(ours)), words(floor), words(most));
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Asks the router as a browser does, and says how long that took, in milliseconds, with the bytes that would go over the wire.
pub async fn ask(world: &World, path: &str) -> (f64, Vec<u8>) {
    let listen = SocketAddr::from(([127, 0, 0, 1], 8900));
    let request = Request::get(path).header(header::HOST, "localhost:8900").header(header::ACCEPT_ENCODING, "gzip");
    let router = minder::dashboard::page(world.front.clone(), listen);
    let begin = Instant::now();
    let answer = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    let body = to_bytes(answer.into_body(), 64 << 20).await.unwrap();
    (begin.elapsed().as_secs_f64() * 1e3, body.to_vec())
}
