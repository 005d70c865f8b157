//! The way to a server: its name, the connection, TLS; how long each took, and how far it came.

use super::certificate::Certificate;
use super::looks::Looks;
use super::names::{Lookup, Names, NotFound};
use super::tls::{self, Trust};
use super::words::{self, Trouble, trouble};
use crate::model::kinds::Tls;
use crate::model::{Clock, Found, MetricId, Mono, Now, Reading, Sample, show_duration};
use rustix::io::Errno;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

/// What probes of the network share: names being looked up, and whom TLS trusts. A probe is one future on its own
/// connection, so that one that hangs costs memory and a descriptor, and delays nobody.
pub struct Net {
    pub(super) clock: Arc<dyn Clock>,
    names: Names,
    trust: Trust,
    /// Read certificates that are checked in files.
    pub(super) certificates: Looks<()>,
}

/// A connection of any sort.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Where to connect to.
pub(super) enum Place<'a> {
    /// A unix socket.
    Unix(&'a Path),
    /// A host, without brackets, and a port.
    Host(&'a str, u16),
}

impl<'a> Place<'a> {
    /// The name that TLS asks for, and that the certificate must be for.
    pub(super) fn tls_name(&self, tls: &'a Tls) -> Result<&'a str, Trouble> {
        match (&tls.name, self) {
            (Some(name), _) => Ok(name),
            (None, Place::Host(host, _)) => Ok(host),
            // Only asked for, where the certificate need not be valid.
            (None, Place::Unix(_)) if !tls.verify => Ok("localhost"),
            (None, Place::Unix(_)) => Err(Trouble::ours("a unix socket has no name for TLS; set `tls.name`")),
        }
    }
}

/// How far a probe has come, and what it found on the way. It is kept outside of the future that asks, so that it
/// outlives the deadline.
pub(super) struct Progress {
    pub(super) stage: Stage,
    /// Names of hosts must not be shown: they come from a secret.
    pub(super) hidden: bool,
    /// How long the name's lookup took; absent where none was needed.
    pub(super) dns: Reading,
    /// How long connecting took, to the address that answered.
    pub(super) connect: Reading,
    /// How long the handshake took; absent without TLS.
    pub(super) tls: Reading,
    /// The server's certificate, also a refused one.
    pub(super) certificate: Arc<OnceLock<Certificate>>,
}

impl Progress {
    pub(super) fn new(hidden: bool) -> Progress {
        let (dns, connect, tls) = (Reading::Unknown, Reading::Unknown, Reading::Unknown);
        Progress { stage: Stage::Queued, hidden, dns, connect, tls, certificate: Arc::default() }
    }

    /// How long the certificate is still valid; absent without TLS.
    pub(super) fn cert_expires(&self, now: Now) -> Reading {
        match self.certificate.get() {
            Some(certificate) => Reading::Number((certificate.not_after - now.wall).as_secs_f64()),
            None if self.tls == Reading::Absent => Reading::Absent,
            None => Reading::Unknown,
        }
    }
}

/// What a probe is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Queued,
    Trust,
    Lookup,
    Connect,
    Handshake,
    Send,
    FirstByte,
    Body,
    Answer,
    /// For what a protocol has next.
    Waiting(&'static str),
}

impl Stage {
    /// The deadline has come: whose fault is it?
    pub(super) fn too_late(self, deadline: Duration) -> Trouble {
        let why = format!("no answer within {} ({self})", show_duration(deadline));
        match self {
            Stage::Queued | Stage::Trust => Trouble::Ours(why),
            _ => Trouble::Failed(why),
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Queued => "waiting for other names to be looked up",
            Stage::Trust => "reading the certificates to trust",
            Stage::Lookup => "looking the name up",
            Stage::Connect => "connecting",
            Stage::Handshake => "connected, in the TLS handshake",
            Stage::Send => "connected, sending",
            Stage::FirstByte => "connected, waiting for the first byte",
            Stage::Body => "reading the body",
            Stage::Answer => "connected, waiting for the expected answer",
            Stage::Waiting(what) => return write!(f, "connected, waiting for {what}"),
        })
    }
}

/// Whether this machine has no way to such an address.
pub(super) fn unroutable(e: &io::Error) -> bool {
    matches!(Errno::from_io_error(e), Some(Errno::NETUNREACH | Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT))
}

impl Net {
    /// Nothing under way. Certificates are read when they are first needed.
    pub fn new(clock: Arc<dyn Clock>) -> Net {
        let certificates = Looks::new("certificates", 2, Arc::clone(&clock));
        Net { names: Names::new(), trust: Trust::new(Arc::clone(&clock)), certificates, clock }
    }

    pub(super) fn mono(&self) -> Mono {
        self.clock.now().mono
    }

    /// How long ago this was.
    pub(super) fn since(&self, start: Mono) -> Reading {
        Reading::Number((self.mono() - start).as_secs_f64())
    }

    /// Connects.
    pub(super) async fn connect(
        &self,
        place: &Place<'_>,
        deadline: Mono,
        progress: &mut Progress,
    ) -> Result<Box<dyn Stream>, Trouble> {
        match place {
            Place::Unix(path) => {
                progress.dns = Reading::Absent;
                progress.stage = Stage::Connect;
                let start = self.mono();
                let stream = UnixStream::connect(path).await.map_err(|e| trouble(&e))?;
                progress.connect = self.since(start);
                Ok(Box::new(stream))
            }
            Place::Host(host, port) => {
                let addresses = self.addresses(host, progress).await?;
                Ok(Box::new(self.connect_to_one_of(&addresses, *port, deadline, progress).await?))
            }
        }
    }

    /// The addresses of a host; never none.
    pub(super) async fn addresses(&self, host: &str, progress: &mut Progress) -> Result<Arc<[IpAddr]>, Trouble> {
        if let Some(addresses) = Names::known(host) {
            progress.dns = Reading::Absent;
            return Ok(addresses);
        }
        let start = self.mono();
        let addresses = self.look_up(host, progress).await;
        progress.dns = self.since(start);
        addresses
    }

    /// The addresses are tried in turn: each may take its share of the time that is left.
    async fn connect_to_one_of(
        &self,
        addresses: &[IpAddr],
        port: u16,
        deadline: Mono,
        progress: &mut Progress,
    ) -> Result<TcpStream, Trouble> {
        progress.stage = Stage::Connect;
        let mut first = None;
        for (i, address) in addresses.iter().enumerate() {
            let start = self.mono();
            let connecting = TcpStream::connect(SocketAddr::new(*address, port));
            let left = u32::try_from(addresses.len() - i).unwrap_or(u32::MAX);
            // The last one is ended by the caller's deadline, which tells what it was that took so long.
            let connected = match left {
                1 => connecting.await,
                left => match timeout((deadline - start) / left, connecting).await {
                    Ok(connected) => connected,
                    Err(_) => continue,
                },
            };
            match connected {
                Ok(stream) => {
                    progress.connect = self.since(start);
                    // Best effort: without it, a request may wait for the acknowledgement of the handshake before it.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                // That this machine has no IPv6 explains nothing where the name has other addresses.
                Err(e) if address.is_ipv6() && unroutable(&e) && (left > 1 || first.is_some()) => {}
                Err(e) => match trouble(&e) {
                    // The next address would not be spared what we lack.
                    ours @ Trouble::Ours(_) => return Err(ours),
                    failed => first = first.or(Some(failed)),
                },
            }
        }
        Err(first.unwrap_or_else(|| Trouble::failed("no address of the name answers")))
    }

    async fn look_up(&self, host: &str, progress: &mut Progress) -> Result<Arc<[IpAddr]>, Trouble> {
        let mut lookup = self.names.ask(host)?;
        loop {
            let now = lookup.borrow_and_update().clone();
            match now {
                Lookup::Queued => progress.stage = Stage::Queued,
                Lookup::Asking => progress.stage = Stage::Lookup,
                Lookup::Done(Ok(addresses)) => return Ok(addresses),
                Lookup::Done(Err(NotFound::NoSuchName)) if progress.hidden => {
                    return Err(Trouble::failed("name not found"));
                }
                Lookup::Done(Err(NotFound::NoSuchName)) => {
                    return Err(Trouble::failed(format!("name not found: {host}")));
                }
                Lookup::Done(Err(NotFound::Other(trouble))) => return Err(trouble),
            }
            if lookup.changed().await.is_err() {
                return Err(Trouble::ours("the name could not be looked up"));
            }
        }
    }

    /// Speaks TLS on a connection to the server with this name. An empty `protocol` offers none.
    pub(super) async fn secure(
        &self,
        stream: Box<dyn Stream>,
        tls: &Tls,
        name: &str,
        protocol: &[u8],
        progress: &mut Progress,
    ) -> Result<Box<dyn Stream>, Trouble> {
        progress.stage = Stage::Trust;
        let connector = self.trust.connector(tls, protocol, &progress.certificate).await?;
        progress.stage = Stage::Handshake;
        let start = self.mono();
        let secured = connector.connect(tls::server_name(name)?, stream).await;
        progress.tls = self.since(start);
        Ok(Box::new(secured.map_err(|e| trouble(&e))?))
    }

    /// The sample of a probe that has ended, one way or the other.
    pub(super) fn sample(
        &self,
        start: Now,
        outcome: Result<Option<String>, Trouble>,
        failed: MetricId,
        mut readings: Vec<(MetricId, Reading)>,
        secrets: &[String],
    ) -> Sample {
        match &outcome {
            Ok(_) => readings.push((failed, Reading::Flag(false))),
            Err(Trouble::Failed(_)) => readings.push((failed, Reading::Flag(true))),
            Err(Trouble::Ours(_)) => {}
        }
        readings.retain(|(_, reading)| *reading != Reading::Unknown);
        readings.sort_by_key(|(metric, _)| *metric);
        let why = match &outcome {
            Ok(remark) => remark.as_deref(),
            Err(trouble) => Some(trouble.why()),
        };
        let at = self.clock.now();
        let note = why.map(|why| words::note(why, secrets));
        Sample { at, took: at.mono - start.mono, readings, note, found: Found::Unasked }
    }
}

#[cfg(test)]
mod tests {
    use super::super::servers::*;
    use super::*;
    use crate::model::MetricSet;
    use tokio::net::{TcpListener, TcpSocket};

    #[tokio::test]
    async fn an_address_that_hangs_leaves_time_for_the_next() {
        // A listener whose queue is full: the kernel drops what comes.
        let full = TcpSocket::new_v4().unwrap();
        full.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let full = full.listen(0).unwrap();
        let port = full.local_addr().unwrap().port();
        let mut queue = Vec::new();
        while let Ok(stream) = timeout(Duration::from_millis(50), TcpStream::connect(full.local_addr().unwrap())).await
        {
            queue.push(stream.unwrap());
            assert!(queue.len() < 10);
        }
        let good = TcpListener::bind(("127.0.0.2", port)).await.unwrap();
        let addresses = ["127.0.0.1".parse().unwrap(), good.local_addr().unwrap().ip()];
        let (net, mut progress) = (net(), Progress::new(false));
        let deadline = net.mono() + Duration::from_millis(600);
        let stream = net.connect_to_one_of(&addresses, port, deadline, &mut progress).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good.local_addr().unwrap());
        assert!(net.mono() < deadline);

        let seen = ask_within(&format!("url: http://127.0.0.1:{port}/"), Duration::from_millis(50)).await;
        seen.failed("no answer within 50 ms (connecting)");
    }

    #[tokio::test]
    async fn no_turn_to_look_a_name_up_is_not_the_servers_fault() {
        let net = net();
        let all = net.names.take_all_slots().await;
        let spec = http_of("url: http://minder.invalid/", "");
        let seen = Seen(net.http(&spec, MetricSet::ALL, Duration::from_millis(50)).await);
        seen.unasked("no answer within 50 ms (waiting for other names to be looked up)");
        // What needs no resolver does not wait for it.
        let server = answering("HTTP/1.1 204 Fine\r\n\r\n").await;
        let local = http_of(&format!("url: http://localhost:{}/", server.port()), "");
        Seen(net.http(&local, MetricSet::ALL, AMPLE).await).well();
        drop(all);
    }
}
