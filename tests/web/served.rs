//! Served for real on the socket: its permissions, its commands, and what bounds them.

use super::fixture;
use super::world::World;
use minder::dashboard::{bind_unix, serve_unix, socket};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

pub async fn exchange(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin, request: &str) -> String {
    let mut answer = Vec::new();
    let talk = async {
        stream.write_all(request.as_bytes()).await?;
        stream.read_to_end(&mut answer).await
    };
    let _ = tokio::time::timeout(Duration::from_secs(15), talk).await.expect("an answer in time");
    String::from_utf8_lossy(&answer).into_owned()
}

fn post(path: &str, body: &str) -> String {
    let head = "host: minder\r\nconnection: close\r\ncontent-type: application/json";
    format!("POST {path} HTTP/1.1\r\n{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

async fn on_socket(requests: &[&str]) -> (World, Vec<String>) {
    let world = World::new(fixture::snapshot());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run/minder.sock");
    let serving = tokio::spawn(serve_unix(bind_unix(&path).unwrap(), socket(world.front.clone())));
    let mut answers = Vec::new();
    for request in requests {
        answers.push(exchange(UnixStream::connect(&path).await.unwrap(), request).await);
    }
    serving.abort();
    (world, answers)
}

#[tokio::test]
async fn commands_are_taken_on_the_socket_and_put_down_to_their_asker() {
    let (world, answers) = on_socket(&[
        &post("/api/v1/commands", r#"{"command":"restart","service":"web"}"#),
        &post("/api/v1/commands", r#"{"command":"stop","service":"web"}"#),
        &post("/api/v1/commands", r#"{"command":"explode","service":"web"}"#),
        &post("/api/v1/commands?wait=false", r#"{"command":"restart","service":"slow"}"#),
        &post("/api/v1/reload", ""),
    ])
    .await;
    for (answer, status, words) in [
        (&answers[0], "200 ", r#"{"ok":true,"words":"web is up as pid 4711"}"#),
        (&answers[1], "409 ", r#""title":"Not done""#),
        (&answers[2], "400 ", "unknown variant `explode`"),
        (&answers[3], "202 ", "under way"),
        (&answers[4], "409 ", "chekcs"),
    ] {
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(words), "{answer}");
    }
    let me = rustix::process::geteuid().as_raw();
    let me = if me == 0 { "root".to_owned() } else { format!("uid {me}") };
    assert!(world.asked.lock().unwrap().iter().all(|(who, _)| *who == me));
}

#[tokio::test]
async fn what_is_dead_is_sent_again() {
    let (_, answers) = on_socket(&[
        &post("/api/v1/resend", r#"{"messages":[9]}"#),
        &post("/api/v1/resend", "{}"),
        &post("/api/v1/resend", r#"{"notifier":"ops"}"#),
        &post("/api/v1/resend", r#"{"messages":[]}"#),
        &post("/api/v1/resend", r#"{"messages":[9,8]}"#),
        &post("/api/v1/resend", r#"{"messages":[9,77]}"#),
        &post("/api/v1/resend", r#"{"messages":[9],"notifier":"chat"}"#),
        &post("/api/v1/resend", r#"{"message":9}"#),
        &post("/api/v1/resend", &format!(r#"{{"messages":[{}9]}}"#, "9,".repeat(1000))),
    ])
    .await;
    for (answer, (status, words)) in answers.iter().zip([
        ("200 ", r#""ok":true,"words":"[9] are sent again for "#),
        ("200 ", r#""ok":true,"words":"[9] are sent again for "#),
        ("200 ", "there is nothing to send again"),
        ("200 ", "there is nothing to send again"),
        ("409 ", "message 8 is not dead but delivered, and nothing was sent again"),
        ("404 ", "minder has no message 77"),
        ("400 ", "not both"),
        ("400 ", "unknown field `message`"),
        ("400 ", "at most 1000 messages"),
    ]) {
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(words), "{answer}");
    }
}

#[tokio::test]
async fn news_of_a_supervisor_is_handed_on() {
    let long = format!(r#"{{"control":"supervisord","name":"{}"}}"#, "x".repeat(600));
    let (world, answers) = on_socket(&[
        &post("/api/v1/nudges", r#"{"control":"supervisord","name":"shop:web"}"#),
        &post("/api/v1/nudges", r#"{"control":"init","name":"web"}"#),
        &post("/api/v1/nudges", &long),
        &post("/api/v1/nudges", "web"),
    ])
    .await;
    for (answer, status) in answers.iter().zip([202, 400, 400, 400]) {
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
    // It was taken before the answer, and is read in its turn.
    tokio::time::timeout(Duration::from_secs(5), async {
        while world.nudged.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    assert_eq!(*world.nudged.lock().unwrap(), ["supervisord shop:web"]);
}

#[tokio::test]
async fn bodies_and_heads_are_bounded() {
    let large = post("/api/v1/commands", &"x".repeat(65 << 10));
    let head = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(200 << 10));
    let (_, answers) = on_socket(&[&large, &head, "nonsense\r\n\r\n"]).await;
    assert!(answers[0].starts_with("HTTP/1.1 413 "), "{}", answers[0]);
    assert!(answers[1].starts_with("HTTP/1.1 431 ") || answers[1].is_empty(), "{}", answers[1]);
    assert!(answers[2].starts_with("HTTP/1.1 400 "), "{}", answers[2]);
}

#[tokio::test]
async fn the_socket_is_for_its_owner_and_replaces_only_a_dead_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("minder.sock");
    let first = bind_unix(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let refused = bind_unix(&path).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::AddrInUse, "{refused}");
    drop(first);
    drop(bind_unix(&path).unwrap());

    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "precious").unwrap();
    assert_eq!(bind_unix(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");

    std::fs::remove_file(&path).unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(bind_unix(&path).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
}

/// Needs root, who alone can become somebody else.
#[tokio::test]
async fn others_are_not_heard_even_if_the_file_lets_them_in() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let world = World::new(fixture::snapshot());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("minder.sock");
    let serving = tokio::spawn(serve_unix(bind_unix(&path).unwrap(), socket(world.front.clone())));
    for (path, mode) in [(dir.path(), 0o755), (&path, 0o666)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let curl = |uid: u32| {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--max-time", "5", "--unix-socket"]).arg(&path).arg("http://minder/healthz");
        tokio::task::spawn_blocking(move || curl.uid(uid).gid(uid).output().expect("curl is needed"))
    };
    assert!(String::from_utf8_lossy(&curl(0).await.unwrap().stdout).contains("\"ok\":true"));
    let nobody = curl(65534).await.unwrap();
    assert_eq!((nobody.status.success(), nobody.stdout.len()), (false, 0));
    serving.abort();
}
