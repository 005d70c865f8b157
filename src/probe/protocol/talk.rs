//! A conversation with a server: what is sent, and what comes back, within bounds.

use super::super::net::{Net, Place, Progress, Stage, Stream};
use super::super::tcp::host_and_port;
use super::super::words::{Trouble, trouble};
use crate::model::kinds::{Protocol, ProtocolName};
use crate::model::{Given, Mono, clip};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The most that is read of a server in one conversation.
pub(super) const MOST: usize = 64 * 1024;

/// The longest line.
const LINE: usize = 16 * 1024;

/// How long a server is waited for to close after the goodbye.
const PARTING: Duration = Duration::from_millis(500);

pub(super) struct Talk<'a> {
    pub(super) net: &'a Net,
    pub(super) spec: &'a Protocol,
    pub(super) deadline: Mono,
    pub(super) wants_version: bool,
    pub(super) progress: Progress,
    pub(super) stream: Option<Box<dyn Stream>>,
    /// Read, and not yet looked at.
    pub(super) came: Vec<u8>,
    /// How much was read in all.
    pub(super) total: usize,
    /// What the server says it is; kept also where it fails afterwards.
    pub(super) version: Option<Vec<u8>>,
    /// What ends the conversation properly, once there is one.
    pub(super) goodbye: Vec<u8>,
}

impl Talk<'_> {
    /// Connects, and speaks TLS at once where it does not begin within the protocol.
    pub(super) async fn connect(&mut self) -> Result<(), Trouble> {
        let (net, deadline) = (self.net, self.deadline);
        let place = place(self.spec)?;
        self.stream = Some(net.connect(&place, deadline, &mut self.progress).await?);
        use ProtocolName::{Mysql, Nats, Postgresql};
        if self.spec.tls.0.is_some() && !matches!(self.spec.name, Postgresql | Mysql | Nats) {
            self.secure().await?;
        }
        if self.spec.tls.0.is_none() {
            self.progress.tls = crate::model::Reading::Absent;
        }
        Ok(())
    }

    /// Goes on in TLS.
    pub(super) async fn secure(&mut self) -> Result<(), Trouble> {
        let (Some(tls), Some(stream)) = (&self.spec.tls.0, self.stream.take()) else {
            return Err(Trouble::ours("there is no connection to be secured"));
        };
        // Someone on the way could have put words into the server's mouth, to be taken for said within TLS.
        if !self.came.is_empty() {
            return Err(Trouble::failed("it said more than TLS allows before its handshake"));
        }
        let place = place(self.spec)?;
        self.stream = Some(self.net.secure(stream, tls, place.tls_name(tls)?, b"", &mut self.progress).await?);
        Ok(())
    }

    /// Whether what is said stays between the two.
    pub(super) fn is_private(&self) -> bool {
        self.spec.tls.0.is_some() || self.spec.unix.is_some()
    }

    /// Whom to log in as, if anybody.
    pub(super) fn login(&self) -> Option<(&str, &str)> {
        let password = self.spec.password.as_ref().map_or("", |secret| secret.0.expose());
        self.spec.user.as_deref().map(|user| (user, password))
    }

    /// The same for a protocol of lines, which a line break would leave.
    pub(super) fn line_login(&self) -> Result<Option<(&str, &str)>, Trouble> {
        match self.login() {
            Some((_, password)) if password.contains(char::is_control) => {
                Err(Trouble::ours("the password has a line break or another control character in it"))
            }
            login => Ok(login),
        }
    }

    /// The host as it is named, for protocols that say it to the server; without port and brackets.
    pub(super) fn host(&self) -> &str {
        match place(self.spec) {
            Ok(Place::Host(host, _)) => host,
            _ => "localhost",
        }
    }

    fn stream(&mut self) -> Result<&mut Box<dyn Stream>, Trouble> {
        self.stream.as_mut().ok_or_else(|| Trouble::ours("there is no connection"))
    }

    /// Sends.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        self.progress.stage = Stage::Send;
        let stream = self.stream()?;
        let sent = async {
            stream.write_all(bytes).await?;
            stream.flush().await
        };
        sent.await.map_err(|e| trouble(&e))
    }

    /// Reads a piece into `came`; false at the end.
    pub(super) async fn read(&mut self, what: &'static str) -> Result<bool, Trouble> {
        self.progress.stage = Stage::Waiting(what);
        let left = MOST.saturating_sub(self.total);
        if left == 0 {
            return Err(Trouble::failed(format!("its answer is longer than {} KiB", MOST / 1024)));
        }
        self.came.reserve(left.min(4096));
        let mut came = std::mem::take(&mut self.came);
        let read = match self.stream()?.take(left as u64).read_buf(&mut came).await {
            // TLS servers often close without saying so.
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Ok(0),
            read => read,
        };
        self.came = came;
        let read = read.map_err(|e| trouble(&e))?;
        self.total += read;
        Ok(read > 0)
    }

    async fn read_more(&mut self, what: &'static str) -> Result<(), Trouble> {
        match self.read(what).await? {
            true => Ok(()),
            false if self.came.is_empty() => {
                Err(Trouble::failed(format!("the connection was closed instead of {what}")))
            }
            false => Err(self.strange(&[])),
        }
    }

    /// The next line, without what ends it.
    pub(super) async fn line(&mut self, what: &'static str) -> Result<Vec<u8>, Trouble> {
        let mut searched = 0;
        loop {
            if let Some(end) = self.came[searched..].iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.came.drain(..=searched + end).collect();
                line.pop();
                line.pop_if(|byte| *byte == b'\r');
                return Ok(line);
            }
            searched = self.came.len();
            if searched > LINE {
                return Err(self.strange(&[]));
            }
            self.read_more(what).await?;
        }
    }

    /// The next bytes, so many. What a server says of lengths is never believed before they have come.
    pub(super) async fn bytes(&mut self, count: usize, what: &'static str) -> Result<Vec<u8>, Trouble> {
        if count > MOST.saturating_sub(self.total - self.came.len()) {
            return Err(Trouble::failed(format!("it announces {count} bytes as {what}, which is too much")));
        }
        while self.came.len() < count {
            self.read_more(what).await?;
        }
        Ok(self.came.drain(..count).collect())
    }

    /// The next bytes, as an array.
    pub(super) async fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Trouble> {
        let bytes = self.bytes(N, what).await?;
        <[u8; N]>::try_from(bytes).map_err(|bytes| self.strange(&bytes))
    }

    /// What came is nothing that a server of the protocol says: these bytes, and those behind them.
    pub(super) fn strange(&self, taken: &[u8]) -> Trouble {
        let came = [taken, &self.came].concat();
        self.unlike(came.split(|byte| *byte == b'\n').next().unwrap_or_default())
    }

    /// The same of a line.
    pub(super) fn unlike(&self, line: &[u8]) -> Trouble {
        let name = self.spec.name.word();
        let legible = !line.is_empty() && line.iter().all(|b| !b.is_ascii_control() || b"\r\t".contains(b));
        match std::str::from_utf8(&line[..line.len().min(200)]) {
            Ok(line) if legible => {
                Trouble::failed(format!("it does not answer as {name} does: {}", clip(line.trim(), 100)))
            }
            _ => Trouble::failed(format!("it does not answer as {name} does")),
        }
    }

    /// Ends the conversation, in what is left of the time, and lets the server close first: what it still says to a
    /// connection that is gone, it notes as an error.
    pub(super) async fn part(&mut self) {
        let left = PARTING.min(self.deadline - self.net.mono());
        let Some(mut stream) = self.stream.take().filter(|_| !self.goodbye.is_empty()) else { return };
        let parting = async {
            stream.write_all(&self.goodbye).await?;
            // Nothing more comes of us: some would wait for that before they close.
            stream.shutdown().await?;
            tokio::io::copy(&mut stream.take(MOST as u64), &mut tokio::io::sink()).await
        };
        let _ = tokio::time::timeout(left, parting).await;
    }
}

/// What the server said instead of what was asked of it.
pub(super) fn answered(words: &[u8]) -> Trouble {
    let text = String::from_utf8_lossy(&words[..words.len().min(400)]);
    Trouble::failed(format!("it answered: {}", clip(text.trim(), 160)))
}

/// Bytes that nobody can foresee.
pub(super) fn random<const N: usize>() -> Result<[u8; N], Trouble> {
    use ring::rand::SecureRandom;
    let mut bytes = [0; N];
    let filled = ring::rand::SystemRandom::new().fill(&mut bytes);
    filled.map(|()| bytes).map_err(|_| Trouble::ours("this machine gives no random numbers"))
}

/// Where to connect to.
pub(super) fn place(spec: &Protocol) -> Result<Place<'_>, Trouble> {
    match (&spec.unix, spec.address.as_ref().map(Given::expose)) {
        (Some(path), _) => Ok(Place::Unix(path.as_path())),
        (None, None) => Ok(Place::Host("127.0.0.1", spec.default_port())),
        (None, Some(address)) => match host_and_port(address) {
            Some((host, port)) => Ok(Place::Host(host, port)),
            None => Err(Trouble::ours("the address is not `host:port`")),
        },
    }
}

/// A name and a version somewhere in a greeting: `Exim 4.96`, `vsFTPd 3.0.3`. The greeting as a whole is none: some hold the
/// time, and would be new each time.
pub(super) fn product(greeting: &[u8]) -> Option<Vec<u8>> {
    let text = String::from_utf8_lossy(greeting);
    let words: Vec<&str> =
        text.split([' ', '/', '(', ')', '[', ']', ',', ';', '<', '>']).filter(|word| !word.is_empty()).collect();
    words.windows(2).find_map(|pair| {
        let (name, version) = (pair[0], pair[1].trim_end_matches(['.', ':']));
        let named = name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        let parts = version.trim_start_matches('v').split('.');
        let begins = parts.clone().take(2).all(|part| part.starts_with(|c: char| c.is_ascii_digit()));
        // Four numbers are an address, and a long one is a year or a mark of the session.
        let numbered = begins && parts.clone().all(|part| part.len() < 4 || !part.bytes().all(|b| b.is_ascii_digit()));
        let plain = version.bytes().all(|b| b.is_ascii_alphanumeric() || b".+~-_".contains(&b));
        (named && numbered && plain && (2..4).contains(&parts.count()))
            .then(|| format!("{name} {version}").into_bytes())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_may_name_a_version() {
        for (greeting, version) in [
            ("mail.example ESMTP Exim 4.96 Fri, 20 Nov 2026 09:00:00 +0000", Some("Exim 4.96")),
            ("(vsFTPd 3.0.3)", Some("vsFTPd 3.0.3")),
            ("ProFTPD 1.3.8 Server (Debian) [::ffff:127.0.0.1]", Some("ProFTPD 1.3.8")),
            ("mail.example ESMTP Postfix (Debian/GNU)", None),
            ("[CAPABILITY IMAP4rev1 SASL-IR] Dovecot (Debian) ready.", None),
            ("POP3 ready <1896.697170952@dbc.mtview.ca.us>", None),
            ("host 10.0.0.1 ready on 20.11.2026", None),
            ("", None),
        ] {
            assert_eq!(product(greeting.as_bytes()).as_deref(), version.map(str::as_bytes), "{greeting}");
        }
    }
}
