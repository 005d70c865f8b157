//! FTP: a greeting, perhaps a login, NOOP.

use super::super::words::Trouble;
use super::mail::{good_reply, greeting, reply};
use super::talk::{Talk, answered};

pub(super) async fn ask(talk: &mut Talk<'_>) -> Result<(), Trouble> {
    greeting(talk).await?;
    if let Some((user, password)) = talk.line_login()?.map(|(user, password)| (user.to_owned(), password.to_owned())) {
        talk.send(format!("USER {user}\r\n").as_bytes()).await?;
        // Some need no password.
        if good_reply(talk, "the answer to USER", &[230, 331]).await? == 331 {
            talk.send(format!("PASS {password}\r\n").as_bytes()).await?;
            good_reply(talk, "the answer to PASS", &[230, 202]).await?;
        }
        return Ok(());
    }
    talk.send(b"NOOP\r\n").await?;
    match reply(talk, "the answer to NOOP").await? {
        // Most want a login first, and say so.
        (200 | 530, _) => Ok(()),
        (_, words) => Err(answered(&words)),
    }
}
