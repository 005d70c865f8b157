//! `dns`: whether a name is answered for, and with what. The server is asked itself, without the machine's resolver and its
//! caches.

mod message;

use super::net::Net;
use super::words::{Trouble, text, trouble};
use super::{place, random};
use crate::model::kinds::{CheckKind, Dns, DnsType};
use crate::model::{MetricId, Reading, Sample, clip, show_duration};
use crate::sys::careful;
use message::{Answer, NoAnswer};
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

const fn metric(name: &str) -> MetricId {
    place(Dns::METRICS, name)
}
const FAILED: MetricId = metric("failed");
const LATENCY: MetricId = metric("latency");
const ANSWERS: MetricId = metric("answers");

/// The machine's own servers.
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// No more of it is read.
const MOST_OF_IT: u64 = 64 << 10;
/// Servers send no more than 512 bytes to who does not offer to take more; some do.
const DATAGRAM: usize = 4096;

impl Net {
    /// Asks once; what gets lost on the way is asked again after half of the time.
    pub(super) async fn dns(&self, spec: &Dns, timeout: Duration) -> Sample {
        let start = self.clock.now();
        let asked = tokio::time::timeout(timeout, self.ask_server(spec, timeout)).await;
        let answered = asked.unwrap_or_else(|_| {
            Err(Trouble::failed(format!("the server has not answered within {}", show_duration(timeout))))
        });
        let mut readings = Vec::new();
        let outcome = answered.and_then(|(latency, answer)| {
            readings.push((LATENCY, latency));
            let mut found = answer.found;
            // Servers give them in another order each time.
            found.sort_unstable();
            found.dedup();
            let answers = match found.is_empty() {
                true => Reading::Absent,
                false => Reading::Text(text(found.join(", ").as_bytes(), &[])),
            };
            readings.push((ANSWERS, answers));
            judge(spec, answer.code, &found)
        });
        let secret = spec.server.iter().filter(|server| server.is_secret());
        let secrets: Vec<String> = secret.map(|server| server.expose().to_owned()).collect();
        self.sample(start, outcome.map(|()| None), FAILED, readings, &secrets)
    }

    async fn ask_server(&self, spec: &Dns, timeout: Duration) -> Result<(Reading, Answer), Trouble> {
        let server = match &spec.server {
            Some(server) => {
                Dns::server_address(server.expose()).ok_or_else(|| Trouble::ours("the server is no address"))?
            }
            None => SocketAddr::new(own_server().await?, 53),
        };
        let name = spec.asked_name();
        let start = self.mono();
        let once = || ask_by_datagram(server, &name, spec.record);
        let answer = match tokio::time::timeout(timeout / 2, once()).await {
            Ok(answer) => answer?,
            Err(_) => once().await?,
        };
        let answer = match answer.truncated {
            true => ask_by_connection(server, &name, spec.record).await?,
            false => answer,
        };
        Ok((self.since(start), answer))
    }
}

/// What an answer means.
fn judge(spec: &Dns, code: u16, found: &[String]) -> Result<(), Trouble> {
    let why = match code {
        0 if found.is_empty() => format!("there is no {} record of {}", spec.record.name(), spec.name),
        0 => {
            let missing = spec.expect.iter().find(|expected| !found.contains(&spec.record.canonical(expected)));
            let Some(missing) = missing else { return Ok(()) };
            format!("{missing} is not among the answers: {}", clip(&found.join(", "), 120))
        }
        1 => "the server does not understand the question (FORMERR)".to_owned(),
        2 => "the server cannot find out (SERVFAIL)".to_owned(),
        3 => format!("there is no such name: {} (NXDOMAIN)", spec.name),
        4 => "the server does not answer such questions (NOTIMP)".to_owned(),
        5 => "the server refuses to answer (REFUSED)".to_owned(),
        other => format!("the server answers with error {other}"),
    };
    Err(Trouble::failed(why))
}

/// From a port and with a number that nobody can guess: otherwise anybody could answer before the server does.
async fn ask_by_datagram(server: SocketAddr, name: &str, record: DnsType) -> Result<Answer, Trouble> {
    let any = if server.is_ipv6() { IpAddr::from(Ipv6Addr::UNSPECIFIED) } else { Ipv4Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await.map_err(|e| trouble(&e))?;
    // Connected, it hears nobody else, and is told that nobody listens there.
    socket.connect(server).await.map_err(|e| trouble(&e))?;
    let asked = question(name, record)?;
    socket.send(&asked).await.map_err(|e| trouble(&e))?;
    let mut buffer = vec![0; DATAGRAM];
    loop {
        let length = socket.recv(&mut buffer).await.map_err(|e| trouble(&e))?;
        match message::answer(&buffer[..length], &asked, record) {
            // One to an earlier question, or of somebody who guesses.
            Err(NoAnswer::NotOurs) => {}
            read => return read.map_err(|_| garbled()),
        }
    }
}

/// For answers that do not fit into a datagram.
async fn ask_by_connection(server: SocketAddr, name: &str, record: DnsType) -> Result<Answer, Trouble> {
    let asked = question(name, record)?;
    let length = u16::try_from(asked.len()).unwrap_or(u16::MAX);
    let exchange = async {
        let mut stream = TcpStream::connect(server).await?;
        stream.write_all(&[&length.to_be_bytes()[..], &asked].concat()).await?;
        let mut answer = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    };
    let answer = exchange.await.map_err(|e| trouble(&e))?;
    message::answer(&answer, &asked, record).map_err(|_| garbled())
}

fn question(name: &str, record: DnsType) -> Result<Vec<u8>, Trouble> {
    let id = u16::from_be_bytes(random()?);
    message::question(id, name, record).ok_or_else(|| Trouble::ours("it cannot be asked for such a name"))
}

fn garbled() -> Trouble {
    Trouble::failed("the server's answer makes no sense")
}

/// The first server of the machine's own.
async fn own_server() -> Result<IpAddr, Trouble> {
    let read = tokio::task::spawn_blocking(|| {
        let mut conf = String::new();
        let file = careful::open_regular(Path::new(RESOLV_CONF))?;
        file.take(MOST_OF_IT).read_to_string(&mut conf).map(|_| conf)
    });
    match read.await {
        Ok(Ok(conf)) => first_server(&conf),
        Ok(Err(e)) => Err(Trouble::ours(format!("{RESOLV_CONF}: {e}"))),
        Err(_) => Err(Trouble::ours(format!("{RESOLV_CONF} cannot be read"))),
    }
}

/// Without any, it is the one on this machine: resolv.conf(5).
fn first_server(conf: &str) -> Result<IpAddr, Trouble> {
    let servers =
        conf.lines().filter_map(|line| line.trim_start().strip_prefix("nameserver")?.split_whitespace().next());
    match servers.into_iter().next() {
        None => Ok(Ipv4Addr::LOCALHOST.into()),
        Some(server) => server.parse().map_err(|_| {
            Trouble::ours(format!("the first server of {RESOLV_CONF} is no plain address: {server}; set `server`"))
        }),
    }
}

#[cfg(test)]
mod tests;
