//! SSH: both say which version they speak, and then we leave (RFC 4253).

use super::super::words::Trouble;
use super::talk::{Talk, answered};

/// Lines that a server may say before its version.
const LINES: usize = 20;

/// "Disconnected by application", as an unencrypted packet: its length, that of its padding, the message, the padding.
const DISCONNECT: [u8; 24] = [0, 0, 0, 20, 6, 1, 0, 0, 0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

pub(super) async fn ask(talk: &mut Talk<'_>) -> Result<(), Trouble> {
    // Ours at once: a server of port knockers may wait for it.
    talk.send(b"SSH-2.0-minder\r\n").await?;
    for line in 0..LINES {
        let said = talk.line("the greeting").await?;
        match said.strip_prefix(b"SSH-2.0-").or(said.strip_prefix(b"SSH-1.99-")) {
            Some(version) => {
                talk.version = Some(version.to_vec());
                talk.goodbye = DISCONNECT.to_vec();
                return Ok(());
            }
            None if said.starts_with(b"SSH-") || said.starts_with(b"HTTP/") => return Err(talk.unlike(&said)),
            // OpenSSH says why it lets nobody in, then closes.
            None if line == 0 && (said.starts_with(b"Exceeded ") || said.starts_with(b"Not allowed ")) => {
                return Err(answered(&said));
            }
            None => {}
        }
    }
    Err(Trouble::failed("it does not say which version of SSH it speaks"))
}
