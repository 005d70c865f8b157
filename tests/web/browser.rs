//! The page in a real browser: `page.mjs` drives Debian's Chromium, and asks us to change the world.

use super::fixture;
use super::world::World;
use minder::dashboard::{bind_tcp, page, serve_tcp};
use minder::model::{EventKind, RuleState, Status};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// A process that does not outlive its test.
struct Leashed(Child);

impl Drop for Leashed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where `tests/setup` has put the packages that `package.json` names.
fn modules() -> PathBuf {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/.tools");
    let places = [tools.join("node_modules"), tools.join("web/node_modules")];
    let found = places.into_iter().find(|place| place.join("playwright-core").is_dir());
    found.expect("playwright-core is not installed: run tests/setup first")
}

fn serve(runtime: &Runtime, world: &World, address: SocketAddr) -> (JoinHandle<()>, SocketAddr) {
    runtime.block_on(async {
        let listener = bind_tcp(address).unwrap();
        let address = listener.local_addr().unwrap();
        (tokio::spawn(serve_tcp(listener, page(world.front.clone(), address))), address)
    })
}

fn get_worse(world: &World) {
    let kind = EventKind::Acted {
        action: "restart".into(),
        ok: true,
        words: "up as pid 4711".into(),
        took: 900,
        output: None,
    };
    world.happen(kind, |now| {
        let nginx = &mut now.services[0];
        nginx.status = Status::Warning;
        nginx.since = now.at;
        nginx.summary = "process.memory 640 MB, limit 500 MB".into();
        nginx.rules[1].state = RuleState::Firing;
    });
}

#[test]
fn the_page_in_a_browser() {
    let runtime = Runtime::new().unwrap();
    let world = {
        let _inside = runtime.enter();
        World::new(fixture::snapshot())
    };
    let (mut serving, address) = serve(&runtime, &world, SocketAddr::from(([127, 0, 0, 1], 0)));
    // Pictures are kept for those who name a place.
    let pictures = tempfile::tempdir().unwrap();
    let place = std::env::var_os("MINDER_PICTURES").map_or(pictures.path().to_owned(), PathBuf::from);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/web/page.mjs");
    let mut node = Leashed(
        Command::new("node")
            .arg(script)
            .args([format!("http://{address}"), place.display().to_string(), modules().display().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node is needed"),
    );
    let mut answers = node.0.stdin.take().unwrap();
    let asked = BufReader::new(node.0.stdout.take().unwrap());
    // Ends when the script does; it bounds itself.
    for line in asked.lines() {
        let line = line.unwrap();
        let answer = match line.as_str() {
            "worse" => {
                get_worse(&world);
                String::new()
            }
            "break" => {
                serving.abort();
                runtime.block_on(&mut serving).unwrap_err();
                String::new()
            }
            "mend" => {
                serving = serve(&runtime, &world, address).0;
                String::new()
            }
            "followers" => world.changes.receiver_count().to_string(),
            _ => {
                println!("{line}");
                continue;
            }
        };
        writeln!(answers, "{answer}").unwrap();
    }
    let status = node.0.wait().unwrap();
    serving.abort();
    assert!(status.success(), "page.mjs says what is wrong, above");
}
