//! `tcp`: a connection, and perhaps a question and its answer.

use super::net::{Net, Place, Progress, Stage, Stream};
use super::words::{TEXT, Trouble, text, trouble};
use crate::model::kinds::Tcp;
use crate::model::{Given, MetricId, MetricSet, Mono, Reading, Sample, clip};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const FAILED: MetricId = MetricId(0);
const LATENCY: MetricId = MetricId(1);
const BANNER: MetricId = MetricId(2);
const CERT_EXPIRES: MetricId = MetricId(3);

/// In how many pieces an answer may come: each is a search through all that has come.
const PIECES: usize = 256;

/// How long a server that need not say anything is listened to.
const LISTEN: Duration = Duration::from_secs(1);

/// What has been obtained so far.
struct Answer {
    progress: Progress,
    latency: Reading,
    came: Vec<u8>,
}

impl Net {
    /// Asks once. The sample is there at the latest when the time is up; then the check has failed, and the sample has
    /// what was obtained until then.
    pub async fn tcp(&self, spec: &Tcp, wanted: MetricSet, timeout: Duration) -> Sample {
        let start = self.clock.now();
        let deadline = start.mono + timeout;
        let hidden = spec.address.as_ref().is_some_and(Given::is_secret);
        let mut answer = Answer { progress: Progress::new(hidden), latency: Reading::Unknown, came: Vec::new() };
        let talk = tokio::time::timeout(timeout, self.talk(spec, start.mono, deadline, &mut answer)).await;
        let talk = talk.unwrap_or_else(|_| Err(answer.progress.stage.too_late(timeout)));
        let mut banner = Reading::Unknown;
        let outcome = match talk {
            Ok(mut stream) => {
                if wanted.contains(BANNER) && answer.came.is_empty() {
                    let left = LISTEN.min(deadline - self.mono());
                    // Silence, and the end of the connection, are no failure of a check that expects nothing.
                    let _ = tokio::time::timeout(left, read(&mut stream, &mut answer.came)).await;
                    banner = Reading::Absent;
                }
                Ok(None)
            }
            Err(trouble) => Err(trouble),
        };
        let secrets = secrets(spec);
        if wanted.contains(BANNER) && !answer.came.is_empty() {
            banner = Reading::Text(text(&answer.came, &secrets));
        }
        let cert_expires = answer.progress.cert_expires(self.clock.now());
        let readings = vec![(LATENCY, answer.latency), (BANNER, banner), (CERT_EXPIRES, cert_expires)];
        self.sample(start, outcome, FAILED, readings, &secrets)
    }

    /// Connects, sends, and reads until the expected answer is there.
    async fn talk(
        &self,
        spec: &Tcp,
        start: Mono,
        deadline: Mono,
        answer: &mut Answer,
    ) -> Result<Box<dyn Stream>, Trouble> {
        let address = spec.address.as_ref().map(|address| host_and_port(address.expose()));
        let place = match (&spec.unix, address) {
            (Some(path), _) => Place::Unix(path.as_path()),
            (None, Some(Some((host, port)))) => Place::Host(host, port),
            (None, _) => return Err(Trouble::ours("the address is not `host:port`")),
        };
        let progress = &mut answer.progress;
        let mut stream = self.connect(&place, deadline, progress).await?;
        match &spec.tls.0 {
            None => progress.tls = Reading::Absent,
            Some(tls) => stream = self.secure(stream, tls, place.tls_name(tls)?, b"", progress).await?,
        }
        if let Some(send) = &spec.send {
            progress.stage = Stage::Send;
            let sent = async {
                stream.write_all(send.expose().as_bytes()).await?;
                stream.flush().await
            };
            sent.await.map_err(|e| trouble(&e))?;
        }
        if let Some(pattern) = &spec.expect {
            progress.stage = Stage::Answer;
            let mut pieces = 0;
            while !pattern.is_match(&String::from_utf8_lossy(&answer.came)) {
                let ended = read(&mut stream, &mut answer.came).await.map_err(|e| trouble(&e))? == 0;
                pieces += 1;
                if ended && answer.came.is_empty() {
                    return Err(Trouble::failed("the connection was closed without an answer"));
                }
                if ended || pieces == PIECES {
                    let pattern = clip(pattern.as_str(), 80);
                    return Err(Trouble::failed(format!("the answer does not match \"{pattern}\"")));
                }
            }
        }
        answer.latency = self.since(start);
        Ok(stream)
    }
}

/// Reads a piece; zero at the end, or when enough has come.
async fn read(stream: &mut Box<dyn Stream>, came: &mut Vec<u8>) -> io::Result<usize> {
    let left = TEXT.saturating_sub(came.len());
    came.reserve(left.min(4096));
    match stream.take(left as u64).read_buf(came).await {
        // TLS servers often close without saying so.
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
        read => read,
    }
}

/// `host:port`, `[::1]:port`
pub(super) fn host_and_port(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Some((bare, port.parse().ok()?))
}

/// What must not be shown.
fn secrets(spec: &Tcp) -> Vec<String> {
    let given = spec.address.iter().chain(&spec.send);
    given.filter(|given| given.is_secret()).map(|given| given.expose().trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::servers::*;
    use super::*;
    use crate::model::Kind;
    use tokio::net::TcpStream;

    const SHORT: Duration = Duration::from_millis(200);

    async fn ask(yaml: &str, timeout: Duration) -> Seen {
        Seen(net().tcp(&tcp_of(yaml, "tops3cret"), MetricSet::ALL, timeout).await)
    }

    #[track_caller]
    fn banner(seen: &Seen) -> &str {
        match seen.tcp("banner") {
            Reading::Text(text) => text,
            other => panic!("{other:?} {}", seen.note()),
        }
    }

    async fn greeting(mut stream: TcpStream) {
        let _ = stream.write_all(b"220 mail.example ESMTP\r\n").await;
        let mut line = [0; 6];
        if stream.read_exact(&mut line).await.is_ok() {
            let _ = stream.write_all(b"250 ok ").await;
            let _ = stream.write_all(&line).await;
        }
        hang(stream).await;
    }

    #[test]
    fn the_places_of_the_metrics_are_right() {
        let metrics = Kind::metrics_of("tcp").unwrap();
        for (id, name) in [(FAILED, "failed"), (LATENCY, "latency"), (BANNER, "banner"), (CERT_EXPIRES, "cert.expires")]
        {
            assert_eq!(metrics[usize::from(id.0)].name, name);
        }
    }

    #[tokio::test]
    async fn a_connection_is_enough() {
        let mail = server(greeting).await;
        let seen = ask(&format!("address: {mail}"), AMPLE).await;
        assert_eq!(banner(seen.well()), "220 mail.example ESMTP\n");
        assert!(seen.tcp("latency").number().unwrap() > 0.0);
        assert_eq!(seen.tcp("cert.expires"), &Reading::Absent);
        // One that says nothing is fine too, also where the deadline comes first.
        let silent = server(hang).await;
        let seen = ask(&format!("address: {silent}"), SHORT).await;
        assert_eq!(seen.well().tcp("banner"), &Reading::Absent);
        assert!(seen.0.took < LISTEN);
        let closing = server(|_| async {}).await;
        assert_eq!(ask(&format!("address: {closing}"), AMPLE).await.well().tcp("banner"), &Reading::Absent);
    }

    #[tokio::test]
    async fn an_answer_is_held_against_what_is_expected() {
        let mail = server(greeting).await;
        let seen = ask(&format!("{{ address: '{mail}', expect: '^220 .*ESMTP' }}"), AMPLE).await;
        assert_eq!(banner(seen.well()), "220 mail.example ESMTP\n");
        let seen = ask(&format!("{{ address: '{mail}', send: \"HELO\\r\\n\", expect: '250 ok HELO' }}"), AMPLE).await;
        seen.well();
        let seen = ask(&format!("{{ address: '{mail}', expect: '^421' }}"), SHORT).await;
        seen.failed("no answer within 200 ms (connected, waiting for the expected answer)");
        assert_eq!(banner(&seen), "220 mail.example ESMTP\n");
        assert_eq!(seen.tcp("latency"), &Reading::Unknown);

        let brief = server(|mut stream| async move { stream.write_all(b"-ERR").await.unwrap() }).await;
        ask(&format!("{{ address: '{brief}', expect: '^.PONG' }}"), AMPLE)
            .await
            .failed("the answer does not match \"^.PONG\"");
        let closing = server(|_| async {}).await;
        ask(&format!("{{ address: '{closing}', expect: x }}"), AMPLE)
            .await
            .failed("the connection was closed without an answer");
        let endless = server(|mut stream| async move { while stream.write_all(&[b'x'; 4096]).await.is_ok() {} }).await;
        let seen = ask(&format!("{{ address: '{endless}', expect: y }}"), AMPLE).await;
        seen.failed("the answer does not match \"y\"");
        assert!(banner(&seen).len() <= TEXT);
    }

    #[tokio::test]
    async fn tls_and_unix_sockets() {
        let authority = Authority::new("one");
        let nginx = Nginx::start(&[authority.sign("localhost", 2999)]);
        let ca = write(&nginx.path("ca"), &authority.pem());
        let question = "send: \"GET /ok HTTP/1.0\\r\\n\\r\\n\", expect: '^HTTP/1.1 200'";
        let seen =
            ask(&format!("{{ address: 'localhost:{}', tls: {{ ca: {ca} }}, {question} }}", nginx.ports[1]), AMPLE)
                .await;
        assert!(seen.well().tcp("cert.expires").number().unwrap() > 3e10);
        let seen = ask(&format!("{{ unix: {}, {question} }}", nginx.path("socket").display()), AMPLE).await;
        assert_eq!(seen.well().tcp("cert.expires"), &Reading::Absent);
        ask("{ unix: /nowhere/socket }", AMPLE).await.failed("there is no such socket");
        let bare = format!("{{ unix: {}, tls: true }}", nginx.path("socket").display());
        ask(&bare, AMPLE).await.unasked("a unix socket has no name for TLS");
    }

    #[tokio::test]
    async fn secrets_are_not_shown() {
        let echo = server(|stream| async move {
            let (mut from, mut to) = stream.into_split();
            let _ = tokio::io::copy(&mut from, &mut to).await;
        })
        .await;
        let seen =
            ask(&format!("{{ address: '{echo}', send: {{ env: PASSWORD }}, expect: 'tops3cret' }}"), AMPLE).await;
        assert_eq!(banner(seen.well()), "[secret]");
    }

    #[test]
    fn an_address_is_taken_apart() {
        assert_eq!(host_and_port("[::1]:53"), Some(("::1", 53)));
        assert_eq!(host_and_port("db.example:5432"), Some(("db.example", 5432)));
        assert_eq!(host_and_port("db.example"), None);
        assert_eq!(host_and_port("db.example:x"), None);
    }
}
