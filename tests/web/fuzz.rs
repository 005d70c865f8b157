//! Every route of the API by its description, asked at random by schemathesis: no answer is a failure of the server, each is as it
//! is described, and nobody without a token is let in.

use super::fixture;
use super::router::get;
use super::world::World;
use minder::dashboard::{bind_tcp, page, serve_tcp};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use tokio::runtime::Runtime;

const TOKEN: &str = "fuzz-fuzz-fuzz-fuzz-fuzz";

/// As a program asks: with the token of an admin, and now and then, to see whether it matters, without or with another.
#[test]
fn the_api_holds_what_its_description_says() {
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("token");
    std::fs::write(&secret, TOKEN).unwrap();
    let rules = format!(
        "version: 1\ndashboard:\n  tokens:\n    fuzz: {{ secret: {{ file: {} }}, role: admin }}\n\
         services: {{ machine: {{ checks: [{{ system: {{}} }}] }} }}\n",
        secret.display()
    );
    let runtime = Runtime::new().unwrap();
    let (world, address) = runtime.block_on(async {
        let world = World::by(fixture::snapshot(), &rules);
        let listener = bind_tcp(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve_tcp(listener, page(Arc::clone(&world.front), address)));
        (world, address)
    });
    let description = runtime.block_on(get(&world, "/api/v1/openapi.json")).body;
    let file = dir.path().join("openapi.json");
    std::fs::write(&file, description).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(root.join("tests/.tools/venv/bin/schemathesis"))
        .arg("--config-file")
        .arg(root.join("tests/web/schemathesis.toml"))
        .args(["run", "--url", &format!("http://{address}"), "--no-color"])
        // It is on the socket only.
        .args(["--exclude-path", "/api/v1/nudges"])
        .args(["--header", &format!("Authorization: Bearer {TOKEN}")])
        .arg(&file)
        .current_dir(dir.path())
        .output()
        .expect("schemathesis is not installed: run tests/setup first");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}
