//! Events as they happen, by the API: none is left out and none comes twice, wherever a stream begins.

use super::fixture;
use super::router::{get, listen, request, world};
use super::world::World;
use axum::body::BodyDataStream;
use axum::http::header;
use futures_util::StreamExt;
use minder::dashboard::page;
use minder::model::*;
use std::sync::Arc;
use std::time::Duration;
use tower::ServiceExt;

/// One who follows along.
struct Reader {
    body: BodyDataStream,
    text: String,
}

impl Reader {
    async fn new(world: &World, query: &str, last: Option<u64>) -> Reader {
        let mut request = request("GET", &format!("/api/v1/events{query}"), "localhost:8900");
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, "text/event-stream".parse().unwrap());
        if let Some(last) = last {
            headers.insert("last-event-id", last.to_string().parse().unwrap());
        }
        let got = page(world.front.clone(), listen()).oneshot(request).await.unwrap();
        assert_eq!(got.status(), 200);
        assert_eq!(got.headers()[header::CONTENT_TYPE], "text/event-stream");
        assert_eq!(got.headers()[header::VARY], "Accept");
        Reader { body: got.into_body().into_data_stream(), text: String::new() }
    }
    /// The next block with its lines; comments are left out.
    async fn block(&mut self) -> String {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return block;
            }
            let chunk =
                tokio::time::timeout(Duration::from_secs(60), self.body.next()).await.expect("something in time");
            self.text.push_str(std::str::from_utf8(&chunk.expect("no end").unwrap()).unwrap());
        }
    }
    /// The next event: its number, and whether it only says what is missing.
    async fn event(&mut self) -> (u64, bool) {
        loop {
            let block = self.block().await;
            let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            if field("data:").is_some() {
                return (field("id:").unwrap().parse().unwrap(), field("event:") == Some("missed"));
            }
        }
    }
}

fn event(id: u64, service: &str) -> Event {
    fixture::event(id, fixture::AT, service, None, EventKind::Paused { by: id.to_string() })
}

fn announce(world: &World, event: &Event) {
    world.changes.push(Change { number: event.id, words: event.kind.to_string(), event: event.clone() });
}

fn store(world: &World, event: Event) {
    world.past.events.lock().unwrap().insert(0, event);
}

/// The last number of the fixture.
fn newest() -> u64 {
    fixture::events().iter().map(|event| event.id).max().unwrap()
}

/// Pseudo-random, from a seed.
fn draw(seed: &mut u64, below: u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) % below
}

/// Events are announced at once and reach the store later, in bursts; those who follow connect again and again, with what they
/// have come to.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_event_is_left_out_and_none_comes_twice() {
    const EVENTS: u64 = 2000;
    let world = Arc::new(world());
    let first = newest() + 1;
    let readers = (0..8u64).map(|reader| {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            let mut seed = reader;
            let (mut last, mut connected) = (first - 1, 0);
            while last < first + EVENTS - 1 {
                connected += 1;
                // As a browser does, or as a program that knows the number.
                let by_query = draw(&mut seed, 2) == 0;
                let query = if by_query { format!("?after={last}") } else { String::new() };
                let mut stream = Reader::new(&world, &query, (!by_query).then_some(last)).await;
                // Some are slow for a while, and are left behind.
                if draw(&mut seed, 4) == 0 {
                    tokio::time::sleep(Duration::from_millis(draw(&mut seed, 60))).await;
                }
                for _ in 0..=draw(&mut seed, 150) {
                    let (id, is_missed) = stream.event().await;
                    assert!(!is_missed, "reader {reader} has missed what is before {id}");
                    assert_eq!(id, last + 1, "reader {reader}");
                    last = id;
                    if last == first + EVENTS - 1 {
                        break;
                    }
                }
            }
            connected
        })
    });
    let readers: Vec<_> = readers.collect();
    let mut seed = 42;
    let mut waiting = Vec::new();
    for id in first..first + EVENTS {
        announce(&world, &event(id, "web"));
        waiting.push(event(id, "web"));
        if draw(&mut seed, 20) == 0 {
            tokio::time::sleep(Duration::from_millis(draw(&mut seed, 5))).await;
            waiting.drain(..).for_each(|event| store(&world, event));
        }
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    waiting.drain(..).for_each(|event| store(&world, event));
    let all = futures_util::future::join_all(readers);
    let connected: u64 =
        tokio::time::timeout(Duration::from_secs(60), all).await.unwrap().into_iter().map(Result::unwrap).sum();
    assert!(connected > 8 * 5, "they have connected again, {connected} times");
}

#[tokio::test(start_paused = true)]
async fn a_stream_begins_now_and_says_where() {
    let world = world();
    let mut stream = Reader::new(&world, "?service=web", None).await;
    let start = stream.block().await;
    assert!(
        start.contains(&format!("id: {}", newest())) && start.contains("retry: ") && !start.contains("data"),
        "{start}"
    );
    for (id, service) in [(newest() + 1, "db"), (newest() + 2, "web")] {
        announce(&world, &event(id, service));
        store(&world, event(id, service));
    }
    let block = stream.block().await;
    let data = block.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(
        (&data["id"], &data["service"], &data["kind"]),
        (&(newest() + 2).into(), &"web".into(), &"paused".into())
    );
    assert_eq!(data["summary"], format!("paused by {}", newest() + 2));
    // The time stands still but for waiting: nothing happens for a while.
    assert_eq!(stream.block().await, ":", "a comment, by which both know of the other");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_told_is_said_to_be_missing() {
    let world = world();
    let oldest = fixture::events().iter().map(|event| event.id).min().unwrap();
    let missed = async |last: u64| {
        let mut stream = Reader::new(&world, "", Some(last)).await;
        loop {
            let block = stream.block().await;
            if block.contains("data") {
                return block;
            }
        }
    };
    // No longer kept.
    let block = missed(3).await;
    assert!(
        block.contains("event: missed") && block.contains(&format!("data: {{\"after\":3,\"before\":{oldest}}}")),
        "{block}"
    );
    // Of another store, which has come further.
    let block = missed(90_000).await;
    assert!(block.contains(&format!("data: {{\"after\":90000,\"before\":{}}}", newest() + 1)), "{block}");
    // Never stored, because the disk was full.
    let mut stream = Reader::new(&world, "", None).await;
    stream.block().await;
    announce(&world, &event(newest() + 5, "web"));
    assert_eq!(stream.event().await, (newest() + 4, true));
    assert_eq!(stream.event().await, (newest() + 5, false));
}

/// Without a history, what happens is told all the same.
#[tokio::test(start_paused = true)]
async fn a_broken_disk_does_not_end_a_stream() {
    let world = world();
    *world.past.broken.lock().unwrap() = Some("the disk is gone".into());
    let mut stream = Reader::new(&world, "", None).await;
    stream.block().await;
    announce(&world, &event(500, "web"));
    announce(&world, &event(501, "web"));
    assert_eq!(stream.event().await, (500, false));
    assert_eq!(stream.event().await, (501, false));
}

#[tokio::test]
async fn streams_are_bounded_and_what_they_cannot_do_is_refused() {
    let world = world();
    let refused = async |query: &str, last: &str| {
        let mut request = request("GET", &format!("/api/v1/events{query}"), "localhost:8900");
        request.headers_mut().insert(header::ACCEPT, "application/json;q=0.1, Text/Event-Stream;q=1".parse().unwrap());
        request.headers_mut().insert("last-event-id", last.parse().unwrap());
        super::router::send(page(world.front.clone(), listen()), request).await
    };
    for (query, last, words) in [
        ("?limit=5", "", "limit"),
        ("?before=5", "", "before"),
        ("?from=5", "", "from"),
        ("", "x", "Last-Event-ID"),
        ("", "-1", "Last"),
    ] {
        let got = refused(query, last).await;
        assert_eq!(got.status, 400, "{query} {last}");
        assert!(got.json()["detail"].as_str().unwrap().contains(words), "{}", got.body);
    }
    let mut streams = Vec::new();
    for _ in 0..200 {
        streams.push(Reader::new(&world, "", None).await);
    }
    assert_eq!(refused("", "").await.json()["title"], "Too many streams");
    // The list has nothing to do with it; and the one that was dropped has made room.
    assert_eq!(get(&world, "/api/v1/events").await.status, 200);
    streams.pop();
    Reader::new(&world, "", None).await;
}
