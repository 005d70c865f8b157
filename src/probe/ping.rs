//! `ping`: echo requests (RFC 792, RFC 4443), and how many are answered.

use super::net::{Net, Progress, Stage, unroutable};
use super::words::{Trouble, trouble};
use super::{place, random};
use crate::model::kinds::{CheckKind, Ping};
use crate::model::{MetricId, Mono, Reading, Sample, show_duration};
use crate::sys::icmp::{self, Echo, NoEcho};
use rustix::io::Errno;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::MissedTickBehavior;

const fn metric(name: &str) -> MetricId {
    place(Ping::METRICS, name)
}
const FAILED: MetricId = metric("failed");
const LOSS: MetricId = metric("loss");
const LATENCY: MetricId = metric("latency");

/// Between two requests; less where not all would fit into the first half of the time.
const APART: Duration = Duration::from_millis(200);
/// By it our messages are known: nobody else can guess it.
type Mark = [u8; 16];
/// Type, code, checksum, identifier, sequence number (two bytes each but the first two), and the mark.
const LENGTH: usize = 8 + size_of::<Mark>();
/// What is read of a message: more than any of ours with the longest IP header.
const MOST: usize = 256;

/// The requests so far.
#[derive(Default)]
struct Round {
    /// When each was sent.
    sent: Vec<Mono>,
    /// How long each answer took.
    answers: Vec<Option<Duration>>,
    /// How many of them somebody says cannot be delivered, and what the first one was told.
    refused: usize,
    why: Option<Trouble>,
}

impl Net {
    /// Asks once. Takes the whole time if an answer is missing.
    pub(super) async fn ping(&self, spec: &Ping, timeout: Duration) -> Sample {
        let start = self.clock.now();
        let mut progress = Progress::new(spec.host.is_secret());
        let mut round = Round::default();
        let asking = self.requests(spec, start.mono + timeout, &mut progress, &mut round);
        let asked = tokio::time::timeout(timeout, asking).await;
        let answered: Vec<Duration> = round.answers.iter().flatten().copied().collect();
        let (mut loss, mut latency) = (Reading::Unknown, Reading::Unknown);
        if !round.sent.is_empty() {
            loss = Reading::Number(100.0 * (1.0 - answered.len() as f64 / round.sent.len() as f64));
            let all: Duration = answered.iter().sum();
            latency = match answered.len() {
                0 => Reading::Absent,
                count => Reading::Number(all.as_secs_f64() / count as f64),
            };
        }
        let outcome = match asked {
            // What came until then counts.
            _ if !answered.is_empty() => {
                let missing = round.sent.len() - answered.len();
                Ok((missing > 0).then(|| format!("{missing} of {} requests were not answered", round.sent.len())))
            }
            Ok(Err(trouble)) => Err(trouble),
            _ if round.sent.is_empty() => Err(progress.stage.too_late(timeout)),
            _ => Err(round.why.unwrap_or_else(|| {
                Trouble::failed(format!(
                    "none of {} requests was answered within {}",
                    round.sent.len(),
                    show_duration(timeout)
                ))
            })),
        };
        let secrets: Vec<String> = spec.host.is_secret().then(|| spec.host.expose().to_owned()).into_iter().collect();
        self.sample(start, outcome, FAILED, vec![(LOSS, loss), (LATENCY, latency)], &secrets)
    }

    async fn requests(
        &self,
        spec: &Ping,
        deadline: Mono,
        progress: &mut Progress,
        round: &mut Round,
    ) -> Result<(), Trouble> {
        let host = spec.host.expose();
        let addresses = self.addresses(host.trim_start_matches('[').trim_end_matches(']'), progress).await?;
        progress.stage = Stage::Connect;
        let (socket, raw, six) = connect_to_one_of(&addresses).await?;
        let mark: Mark = random()?;
        let id = u16::from_be_bytes(random()?);
        let count = usize::from(spec.count);
        let apart =
            APART.min((deadline - self.mono()) / (2 * u32::from(spec.count)).max(1)).max(Duration::from_millis(1));
        let mut ticks = tokio::time::interval(apart);
        // One that was late must not be followed by a burst.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut buffer = [0; MOST];
        while round.answers.iter().flatten().count() + round.refused < count {
            tokio::select! {
                _ = ticks.tick(), if round.sent.len() < count => {
                    let number = u16::try_from(round.sent.len()).unwrap_or(u16::MAX);
                    round.sent.push(self.mono());
                    round.answers.push(None);
                    if let Err(e) = socket.send(&request(six, id, number, &mark)).await {
                        round.refuse(&e)?;
                    }
                }
                came = socket.recv(&mut buffer) => match came {
                    Ok(length) => {
                        let came = &buffer[..length];
                        let message = if raw && !six { behind_header(came) } else { came };
                        let number = reply(message, six, raw.then_some(id), &mark);
                        if let Some(number) = number.filter(|number| *number < round.sent.len()) {
                            let took = self.mono() - round.sent[number];
                            // The second answer to a request is none.
                            round.answers[number].get_or_insert(took);
                        }
                    }
                    Err(e) => round.refuse(&e)?,
                },
            }
        }
        Ok(())
    }
}

impl Round {
    /// A request cannot be delivered: one of them is lost. An error if it is we who cannot send.
    fn refuse(&mut self, e: &io::Error) -> Result<(), Trouble> {
        let why = unreachable(e);
        if matches!(why, Trouble::Ours(_)) {
            return Err(why);
        }
        self.refused += 1;
        self.why.get_or_insert(why);
        Ok(())
    }
}

/// The first address that this machine has a way to.
async fn connect_to_one_of(addresses: &[IpAddr]) -> Result<(UdpSocket, bool, bool), Trouble> {
    let mut first = None;
    for (i, address) in addresses.iter().enumerate() {
        let six = address.is_ipv6();
        let Echo { socket, raw } = match icmp::open(six) {
            Ok(echo) => echo,
            Err(NoEcho::Forbidden) => return Err(Trouble::ours(FORBIDDEN)),
            Err(NoEcho::Other(e)) if Errno::from_io_error(&e) == Some(Errno::AFNOSUPPORT) => {
                first = first.or(Some(Trouble::failed("this machine has no IPv6")));
                continue;
            }
            Err(NoEcho::Other(e)) => return Err(trouble(&e)),
        };
        // To the system's calls one datagram socket is as another, and this has a port for them to ignore.
        let socket = UdpSocket::from_std(std::net::UdpSocket::from(socket)).map_err(|e| trouble(&e))?;
        match socket.connect(SocketAddr::new(*address, 0)).await {
            Ok(()) => return Ok((socket, raw, six)),
            Err(e) if six && unroutable(&e) && i + 1 < addresses.len() => {}
            Err(e) => first = first.or(Some(unreachable(&e))),
        }
    }
    Err(first.unwrap_or_else(|| Trouble::failed("this machine has no way to the host")))
}

const FORBIDDEN: &str = "minder may not send echo requests: give it the capability CAP_NET_RAW, or its group a place in \
                         `sysctl net.ipv4.ping_group_range`";

fn unreachable(e: &io::Error) -> Trouble {
    match Errno::from_io_error(e) {
        // What the kernel says of a route of the type `blackhole`.
        Some(Errno::INVAL) => Trouble::failed("this machine's route to the host is a black hole"),
        Some(Errno::ACCESS) => {
            Trouble::failed("the host may not be reached: a router or a route of this machine forbids it")
        }
        // Routers say so with a protocol error or a refused port, too.
        Some(Errno::PROTO | Errno::CONNREFUSED | Errno::NOPROTOOPT) => {
            Trouble::failed("the host refuses echo requests")
        }
        _ => trouble(e),
    }
}

/// An echo request. The checksum over IPv6 is the kernel's work.
fn request(six: bool, id: u16, number: u16, mark: &Mark) -> [u8; LENGTH] {
    let mut message = [0; LENGTH];
    message[0] = if six { 128 } else { 8 };
    message[4..6].copy_from_slice(&id.to_be_bytes());
    message[6..8].copy_from_slice(&number.to_be_bytes());
    message[8..].copy_from_slice(mark);
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}

/// The number of the request that this is the reply to. The identifier is looked at only where the kernel has not chosen it.
fn reply(message: &[u8], six: bool, id: Option<u16>, mark: &Mark) -> Option<usize> {
    let (kind, code) = (*message.first()?, *message.get(1)?);
    let two = |at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
    let ours = kind == if six { 129 } else { 0 }
        && code == 0
        && id.is_none_or(|id| two(4) == Some(id))
        && message.get(8..) == Some(mark.as_slice());
    two(6).filter(|_| ours).map(usize::from)
}

/// What follows the IPv4 header.
fn behind_header(packet: &[u8]) -> &[u8] {
    let length = packet.first().map_or(0, |first| usize::from(first & 0xf) * 4);
    packet.get(length..).unwrap_or_default()
}

/// RFC 1071.
fn checksum(message: &[u8]) -> u16 {
    let words = message.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests;
