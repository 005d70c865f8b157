//! Every route of the API by its description, asked at random by schemathesis: no answer is a failure of the server, and each is as
//! it is described.

use super::fixture;
use super::router::get;
use super::world::World;
use minder::dashboard::{bind_unix, serve_unix, socket};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use tokio::net::{TcpListener, UnixStream};
use tokio::runtime::Runtime;

/// By the socket, where everything may be asked; schemathesis speaks TCP alone, and so there is a wire between the two.
#[test]
fn the_api_holds_what_its_description_says() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("minder.sock");
    let runtime = Runtime::new().unwrap();
    let world = {
        let _inside = runtime.enter();
        let world = World::new(fixture::snapshot());
        runtime.spawn(serve_unix(bind_unix(&place).unwrap(), socket(Arc::clone(&world.front))));
        world
    };
    let wire = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = wire.local_addr().unwrap();
    runtime.spawn(async move {
        while let Ok((mut outer, _)) = wire.accept().await {
            let place = place.clone();
            tokio::spawn(async move {
                let mut inner = UnixStream::connect(&place).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
            });
        }
    });
    // By the socket nothing is needed to be let in.
    let mut description = runtime.block_on(get(&world, "/api/v1/openapi.json")).json();
    let operations = description["paths"].as_object_mut().unwrap().values_mut();
    for operation in operations.flat_map(|item| item.as_object_mut().unwrap().values_mut()) {
        operation.as_object_mut().unwrap().remove("security");
    }
    let file = dir.path().join("openapi.json");
    std::fs::write(&file, description.to_string()).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(root.join("tests/.tools/venv/bin/schemathesis"))
        .arg("--config-file")
        .arg(root.join("tests/web/schemathesis.toml"))
        .args(["run", "--url", &format!("http://{address}"), "--no-color"])
        .arg(&file)
        .current_dir(dir.path())
        .output()
        .expect("schemathesis is not installed: run tests/setup first");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}
