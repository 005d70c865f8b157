//! memcached: its version.

use super::super::words::Trouble;
use super::talk::{Talk, answered};

pub(super) async fn ask(talk: &mut Talk<'_>) -> Result<(), Trouble> {
    talk.send(b"version\r\n").await?;
    let answer = talk.line("the version").await?;
    match answer.strip_prefix(b"VERSION ") {
        Some(version) => talk.version = Some(version.to_vec()),
        // It answers, and wants a login.
        None if answer == b"CLIENT_ERROR unauthenticated" => {}
        None if answer.starts_with(b"SERVER_ERROR") => return Err(answered(&answer)),
        None => return Err(talk.unlike(&answer)),
    }
    talk.goodbye = b"quit\r\n".to_vec();
    Ok(())
}
