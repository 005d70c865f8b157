//! The overview, what a change costs, and what pages cost that are left open.

use super::{World, ask, median, row};
use std::time::Duration;
use tokio::runtime::Runtime;

pub fn page(runtime: &Runtime, world: &World) {
    runtime.block_on(async {
        let (first, body) = ask(world, "/").await;
        row("overview, the first to look", first, None, Some(50.0), "ms");
        row("overview, compressed", body.len() as f64 / 1e3, None, Some(150.0), "kB");
        let mut took = Vec::new();
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(150)).await;
            took.push(ask(world, "/").await.0);
        }
        row("overview, median", median(took), None, Some(50.0), "ms");
    });
}

pub fn live(_: &Runtime, _: &World) {}
pub fn open_pages(_: &Runtime, _: &World) {}
