//! The words after which a connection turns to TLS. What is read ends with the server's last line: nothing may stand between
//! it and the handshake, or somebody else could have put it there.

use super::net::{Progress, Stage, Stream};
use super::words::{Trouble, trouble};
use crate::model::clip;
use crate::model::kinds::Starttls;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The longest line, and the most lines, that are read for an answer.
const LINE: usize = 2048;
const LINES: usize = 100;

/// A connection on which a protocol is spoken in lines.
struct Talk<'a> {
    stream: &'a mut Box<dyn Stream>,
    progress: &'a mut Progress,
}

/// Asks the server to begin TLS.
pub(super) async fn start(how: Starttls, stream: &mut Box<dyn Stream>, progress: &mut Progress) -> Result<(), Trouble> {
    let mut talk = Talk { stream, progress };
    match how {
        Starttls::Smtp => {
            talk.reply("220").await?;
            talk.say("EHLO [127.0.0.1]").await?;
            talk.reply("250").await?;
            talk.say("STARTTLS").await?;
            talk.reply("220").await
        }
        Starttls::Ftp => {
            talk.reply("220").await?;
            talk.say("AUTH TLS").await?;
            talk.reply("234").await
        }
        Starttls::Pop3 => {
            talk.answer("+OK", "").await?;
            talk.say("STLS").await?;
            talk.answer("+OK", "").await
        }
        Starttls::Imap => {
            talk.answer("* OK", "").await?;
            talk.say("a STARTTLS").await?;
            talk.answer("a OK", "* ").await
        }
        Starttls::Postgresql => {
            // SSLRequest: its length, and a number that is no version of the protocol.
            talk.send(&[0, 0, 0, 8, 4, 210, 22, 47]).await?;
            match talk.byte().await? {
                b'S' => Ok(()),
                b'N' => Err(Trouble::failed("the server does not offer TLS")),
                _ => Err(Trouble::failed("the server does not speak PostgreSQL's protocol")),
            }
        }
    }
}

impl Talk<'_> {
    async fn say(&mut self, line: &str) -> Result<(), Trouble> {
        self.send(format!("{line}\r\n").as_bytes()).await
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        self.progress.stage = Stage::Send;
        let sent = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        sent.await.map_err(|e| trouble(&e))
    }

    async fn byte(&mut self) -> Result<u8, Trouble> {
        self.progress.stage = Stage::Answer;
        self.stream.read_u8().await.map_err(|e| trouble(&e))
    }

    async fn line(&mut self) -> Result<String, Trouble> {
        let mut line = Vec::new();
        loop {
            match self.byte().await? {
                b'\n' => break,
                byte => line.push(byte),
            }
            if line.len() == LINE {
                return Err(Trouble::failed("the server sends a line without end"));
            }
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    /// A reply of SMTP and FTP (RFC 5321, 4.2.1; RFC 959, 4.2): a code, and the same behind a dash where more lines follow.
    /// Over FTP, the lines between may begin with spaces.
    async fn reply(&mut self, code: &str) -> Result<(), Trouble> {
        for _ in 0..LINES {
            let line = self.line().await?;
            match (line.get(..3), line.as_bytes().get(3)) {
                (Some(_), Some(b'-')) => {}
                _ if line.starts_with(' ') => {}
                (Some(digits), None | Some(b' ')) if digits == code => return Ok(()),
                _ => return Err(refusal(&line)),
            }
        }
        Err(Trouble::failed("the server's answer has no end"))
    }

    /// A line that begins so, after others that may come before it.
    async fn answer(&mut self, good: &str, before: &str) -> Result<(), Trouble> {
        for _ in 0..LINES {
            let line = self.line().await?;
            if line.get(..good.len()).is_some_and(|start| start.eq_ignore_ascii_case(good)) {
                return Ok(());
            }
            if before.is_empty() || !line.starts_with(before) {
                return Err(refusal(&line));
            }
        }
        Err(Trouble::failed("the server's answer has no end"))
    }
}

fn refusal(line: &str) -> Trouble {
    match line {
        "" => Trouble::failed("the server answers with an empty line instead of beginning TLS"),
        line => Trouble::failed(format!("instead of beginning TLS the server says \"{}\"", clip(line, 80))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn said(how: Starttls, server: &[u8]) -> Result<(), String> {
        let (ours, mut theirs) = tokio::io::duplex(64 << 10);
        theirs.write_all(server).await.unwrap();
        theirs.shutdown().await.unwrap();
        let mut stream: Box<dyn Stream> = Box::new(ours);
        let result = start(how, &mut stream, &mut Progress::new(false)).await;
        result.map_err(|trouble| trouble.why().to_owned())
    }

    #[tokio::test]
    async fn answers_are_understood() {
        let ehlo = b"220-a\r\n220 b\r\n250-a\r\n250 STARTTLS\r\n220 go\r\n";
        assert_eq!(said(Starttls::Smtp, ehlo).await, Ok(()));
        assert_eq!(said(Starttls::Ftp, b"220-Welcome\r\n to us\r\n220 x\r\n234 go\r\n").await, Ok(()));
        assert_eq!(said(Starttls::Imap, b"* OK hi\r\n* CAPABILITY x\r\na OK go\r\n").await, Ok(()));
        assert_eq!(said(Starttls::Pop3, b"+OK hi\r\n+OK go\r\n").await, Ok(()));
        assert_eq!(said(Starttls::Postgresql, b"S").await, Ok(()));
    }

    #[tokio::test]
    async fn refusals_are_told() {
        let says = |what: &str| Err(format!("instead of beginning TLS the server says \"{what}\""));
        assert_eq!(said(Starttls::Smtp, b"220 a\r\n250 a\r\n502 no\r\n").await, says("502 no"));
        assert_eq!(said(Starttls::Smtp, b"+OK hello\r\n").await, says("+OK hello"));
        assert_eq!(said(Starttls::Imap, b"* OK hi\r\na BAD what\r\n").await, says("a BAD what"));
        assert_eq!(said(Starttls::Pop3, b"-ERR\r\n").await, says("-ERR"));
        let not = |why: &str| Err(why.to_owned());
        assert_eq!(said(Starttls::Postgresql, b"N").await, not("the server does not offer TLS"));
        assert_eq!(said(Starttls::Ftp, b"220 a\r\n").await, not("the connection was closed"));
        assert_eq!(said(Starttls::Ftp, &[b'x'; 5000]).await, not("the server sends a line without end"));
        assert_eq!(said(Starttls::Smtp, &b"220-a\r\n".repeat(200)).await, not("the server's answer has no end"));
    }
}
