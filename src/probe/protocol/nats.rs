//! NATS: INFO, CONNECT, PING.

use super::super::words::Trouble;
use super::talk::{Talk, answered};
use serde_json::{Value, json};

pub(super) async fn ask(talk: &mut Talk<'_>) -> Result<(), Trouble> {
    let greeting = talk.line("the greeting").await?;
    if let Some(words) = greeting.strip_prefix(b"-ERR ") {
        return Err(answered(words));
    }
    let info = greeting.strip_prefix(b"INFO ").and_then(|info| serde_json::from_slice::<Value>(info).ok());
    let Some(info) = info else { return Err(talk.unlike(&greeting)) };
    talk.version = info["version"].as_str().map(|version| version.as_bytes().to_vec());
    if talk.spec.tls.0.is_some() {
        talk.secure().await?;
    }
    let password = talk.spec.password.as_ref().map(|secret| secret.0.expose());
    if password.is_none() && info["auth_required"] == Value::Bool(true) {
        // It answers, and nobody told us how to log in.
        return Ok(());
    }
    let mut connect = json!({ "verbose": false, "pedantic": false, "name": "minder", "lang": "rust", "version": "1" });
    match (&talk.spec.user, password) {
        (Some(user), password) => {
            connect["user"] = json!(user);
            connect["pass"] = json!(password);
        }
        (None, Some(token)) => connect["auth_token"] = json!(token),
        (None, None) => {}
    }
    talk.send(format!("CONNECT {connect}\r\nPING\r\n").as_bytes()).await?;
    loop {
        let line = talk.line("the answer to PING").await?;
        match &line[..] {
            b"PONG" => return Ok(()),
            // News of the cluster.
            [b'I', b'N', b'F', b'O', ..] | b"+OK" => {}
            b"PING" => talk.send(b"PONG\r\n").await?,
            [b'-', b'E', b'R', b'R', words @ ..] => return Err(answered(words)),
            _ => return Err(talk.unlike(&line)),
        }
    }
}
