//! The overview, what a change costs, and what pages cost that are left open.

use super::{World, ask, median, row};
use minder::dashboard::{bind_tcp, page as router, serve_tcp};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::runtime::Runtime;

/// The pages that are left open.
const PAGES: usize = 200;

/// To write as many bytes to a socket, and to read them.
pub fn floor(bytes: usize) -> f64 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let body = vec![b'x'; bytes];
    let writer = std::thread::spawn(move || listener.accept().unwrap().0.write_all(&body).unwrap());
    let begin = Instant::now();
    TcpStream::connect(address).unwrap().read_to_end(&mut Vec::new()).unwrap();
    let took = begin.elapsed();
    writer.join().unwrap();
    took.as_secs_f64() * 1e3
}

pub fn page(runtime: &Runtime, world: &World) {
    let (first, body) = runtime.block_on(ask(world, "/"));
    let bytes = floor(body.len());
    row("overview, the first to look", first, Some(bytes), Some(50.0), "ms");
    row("overview, compressed", body.len() as f64 / 1e3, None, Some(150.0), "kB");
    let again = |pause: u64| {
        let look = async {
            // Long enough for another snapshot.
            tokio::time::sleep(Duration::from_millis(pause)).await;
            ask(world, "/").await.0
        };
        runtime.block_on(look)
    };
    row("overview, median", median((0..30).map(|_| again(150)).collect()), Some(bytes), Some(50.0), "ms");
    let searched = median((0..10).map(|_| runtime.block_on(ask(world, "/?q=0123")).0).collect());
    row("overview, searched", searched, None, Some(50.0), "ms");
}

/// What one page is sent of a change: on the stream, and of what it then fetches.
pub fn live(runtime: &Runtime, world: &World) {
    let told = runtime.block_on(async {
        let (address, serving) = serve(world);
        let mut stream = follow(address).await;
        let mut told = String::new();
        for wanted in ["event: hello", "event: change"] {
            while !told.contains(wanted) {
                told.clear();
                while !told.ends_with("\n\n") {
                    assert!(stream.read_line(&mut told).await.unwrap() > 0);
                }
            }
            world.happen(u64::MAX / 4, 17);
        }
        serving.abort();
        told.len()
    });
    row("a change, on the stream", told as f64 / 1e3, None, Some(1.0), "kB");
    let (_, body) = runtime.block_on(ask(world, "/fragments/services?names=service-0017"));
    row("a change, what is fetched then, compressed", body.len() as f64 / 1e3, None, None, "kB");
}

fn serve(world: &World) -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = bind_tcp(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = listener.local_addr().unwrap();
    (address, tokio::spawn(serve_tcp(listener, router(world.front.clone(), address))))
}

async fn follow(address: SocketAddr) -> BufReader<tokio::net::TcpStream> {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("GET /live HTTP/1.1\r\nhost: {address}\r\n\r\n").as_bytes()).await.unwrap();
    BufReader::new(stream)
}

/// What this process has used of the processor; the loop's own work, which goes on without pages, is counted apart.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    Duration::from_millis((fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) * 10)
}

/// Pages that are left open: each follows the stream, and every ten seconds fetches forty services that are in view. Something
/// happens every ten seconds, and they fetch that. The pages themselves run in this process, too; what they cost without a
/// server behind them is not known, and counted as its own.
pub fn open_pages(runtime: &Runtime, world: &World) {
    let stop = std::sync::Arc::new(AtomicBool::new(false));
    let time = Duration::from_secs(30);
    let idle = used(world, time);
    let _inside = runtime.enter();
    let (address, serving) = serve(world);
    for page in 0..PAGES {
        let stop = stop.clone();
        tokio::spawn(async move {
            let mut lines = follow(address).await.lines();
            let names: Vec<String> = (0..40).map(|i| format!("service-{:04}", (page * 7 + i) % 1000)).collect();
            let usual = format!("/fragments/services?names={}", names.join(","));
            tokio::time::sleep(Duration::from_millis(page as u64 * 50)).await;
            let mut usual_at = tokio::time::interval(Duration::from_secs(10));
            while !stop.load(Ordering::Relaxed) {
                tokio::select! {
                    _ = usual_at.tick() => fetch(address, &usual).await,
                    line = lines.next_line() => {
                        let Ok(Some(line)) = line else {
                            assert!(stop.load(Ordering::Relaxed), "a page was cut off");
                            return;
                        };
                        if line.starts_with("data:") && line.contains("service-") {
                            tokio::time::sleep(Duration::from_millis(150 + page as u64 / 2)).await;
                            fetch(address, "/fragments/services?names=service-0017").await;
                        }
                    }
                }
            }
        });
    }
    std::thread::sleep(Duration::from_secs(12));
    let open = used(world, time);
    stop.store(true, Ordering::Relaxed);
    let percent = |used: Duration| used.as_secs_f64() / time.as_secs_f64() * 100.0;
    row("200 open pages, processor, one core", percent(open.saturating_sub(idle)), None, Some(5.0), "%");
    serving.abort();
}

/// The processor that is used in this time, while something happens every ten seconds.
fn used(world: &World, time: Duration) -> Duration {
    static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(u64::MAX / 2);
    let before = cpu();
    let begin = Instant::now();
    while begin.elapsed() < time {
        world.happen(NUMBER.fetch_add(1, Ordering::Relaxed), 17);
        std::thread::sleep(Duration::from_secs(10));
    }
    cpu() - before
}

async fn fetch(address: SocketAddr, path: &str) {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request =
        format!("GET {path} HTTP/1.1\r\nhost: {address}\r\naccept-encoding: gzip\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.read_to_end(&mut Vec::new()).await.unwrap();
}
