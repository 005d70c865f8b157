//! Redis: a PING.

use super::super::words::Trouble;
use super::talk::{Talk, answered};

/// A command as an array of texts, which may hold anything.
fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n{word}\r\n", word.len()).into_bytes());
    }
    bytes
}

pub(super) async fn ask(talk: &mut Talk<'_>) -> Result<(), Trouble> {
    let password = talk.spec.password.as_ref().map(|secret| secret.0.expose());
    if let Some(password) = password {
        let login = match &talk.spec.user {
            Some(user) => command(&["AUTH", user, password]),
            None => command(&["AUTH", password]),
        };
        talk.send(&login).await?;
        let answer = talk.line("the answer to AUTH").await?;
        match answer.first() {
            Some(b'+') => {}
            Some(b'-') => return Err(answered(&answer[1..])),
            _ => return Err(talk.unlike(&answer)),
        }
    }
    talk.send(&command(&["PING"])).await?;
    let answer = talk.line("the answer to PING").await?;
    let may_ask = match &answer[..] {
        b"+PONG" => true,
        // It answers, and nobody told us how to log in.
        _ if password.is_none() && (answer.starts_with(b"-NOAUTH") || answer.starts_with(b"-NOPERM")) => false,
        [b'-', words @ ..] => return Err(answered(words)),
        _ => return Err(talk.unlike(&answer)),
    };
    if talk.wants_version && may_ask {
        talk.send(&command(&["INFO", "server"])).await?;
        talk.version = info(talk).await?;
    }
    talk.goodbye = command(&["QUIT"]);
    Ok(())
}

/// What INFO says of the version; nothing where it is not allowed.
async fn info(talk: &mut Talk<'_>) -> Result<Option<Vec<u8>>, Trouble> {
    let head = talk.line("the answer to INFO").await?;
    let Some(length) = head.strip_prefix(b"$").and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok()) else {
        return Ok(None);
    };
    let text = talk.bytes(length, "the answer to INFO").await?;
    // Valkey names the version of Redis that it is like, too.
    let names: [&[u8]; 2] = [b"valkey_version:", b"redis_version:"];
    let version = |name: &[u8]| text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(name));
    Ok(names.iter().find_map(|name| version(name)).map(|version| version.trim_ascii().to_vec()))
}
