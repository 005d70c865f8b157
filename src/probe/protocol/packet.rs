//! NTP and DNS: a packet there, a packet back. Packets are lost without anybody's fault, so each is sent again.

use super::super::net::{Place, Stage};
use super::super::words::{Trouble, trouble};
use super::talk::{Talk, place, random};
use crate::model::Reading;
use crate::model::kinds::ProtocolName;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;

/// How often a question is sent, and how long an answer is waited for before it is sent again.
const TRIES: u32 = 3;
const AGAIN: Duration = Duration::from_secs(1);

/// Packets that are no answer to our question and may be thrown away.
const STRANGERS: usize = 100;

pub(super) async fn ask(talk: &mut Talk<'_>) -> Result<(), Trouble> {
    talk.progress.tls = Reading::Absent;
    let Place::Host(host, port) = place(talk.spec)? else {
        return Err(Trouble::ours("it is asked over UDP, not over a unix socket"));
    };
    let addresses = talk.net.addresses(host, &mut talk.progress).await?;
    talk.progress.stage = Stage::Waiting("the answer");
    let question = match talk.spec.name {
        ProtocolName::Dns => Question::dns(talk.spec.path.as_deref())?,
        _ => Question::ntp()?,
    };
    // The first that can be sent to: whether anybody is there is not known before an answer.
    let mut last = Trouble::failed("no address of the name can be asked");
    for address in addresses.iter() {
        match exchange(SocketAddr::new(*address, port), &question, talk.deadline - talk.net.mono()).await {
            Ok(answer) => return question.judge(&answer),
            Err(why) => last = why,
        }
    }
    Err(last)
}

/// Sends until an answer is there. The deadline is the caller's.
async fn exchange(to: SocketAddr, question: &Question, left: Duration) -> Result<Vec<u8>, Trouble> {
    let any = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await.map_err(|e| trouble(&e))?;
    // A connected socket hears only from there, and is told when nobody listens.
    socket.connect(to).await.map_err(|e| trouble(&e))?;
    let mut buffer = vec![0; 4096];
    let (pause, mut strangers) = (AGAIN.min(left / TRIES), 0);
    for sent in 1.. {
        if sent <= TRIES {
            socket.send(&question.bytes).await.map_err(|e| trouble(&e))?;
        }
        let answer = async {
            loop {
                let length = socket.recv(&mut buffer).await.map_err(|e| trouble(&e))?;
                if question.is_answered_by(&buffer[..length]) {
                    return Ok(length);
                }
                strangers += 1;
                if strangers > STRANGERS {
                    return Err(Trouble::failed("what it sends is no answer to the question"));
                }
            }
        };
        if sent >= TRIES {
            let length = answer.await?;
            return Ok(buffer[..length].to_vec());
        }
        if let Ok(answer) = tokio::time::timeout(pause, answer).await {
            return Ok(buffer[..answer?].to_vec());
        }
    }
    Err(Trouble::failed("no answer"))
}

/// What is asked. The random part of it comes back in the answer: nobody who has not seen the question can give one.
struct Question {
    bytes: Vec<u8>,
    is_dns: bool,
    named: bool,
}

impl Question {
    /// A client's packet of NTP version 4 (RFC 5905) with random bits for the time, as it is nobody's business.
    fn ntp() -> Result<Question, Trouble> {
        let mut bytes = vec![0; 48];
        bytes[0] = 4 << 3 | 3;
        bytes[40..].copy_from_slice(&random::<8>()?);
        Ok(Question { bytes, is_dns: false, named: false })
    }

    /// Who answers for the root, or the address of a name (RFC 1035).
    fn dns(name: Option<&str>) -> Result<Question, Trouble> {
        let mut bytes = random::<2>()?.to_vec();
        // Recursion is wanted; one question.
        bytes.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        for label in name.unwrap_or("").split('.').filter(|label| !label.is_empty()) {
            bytes.push(u8::try_from(label.len()).map_err(|_| Trouble::ours("a part of the name is too long"))?);
            bytes.extend(label.bytes());
        }
        bytes.push(0);
        let record = if name.is_some() { 1 } else { 2 };
        bytes.extend([0, record, 0, 1]);
        Ok(Question { bytes, is_dns: true, named: name.is_some() })
    }

    fn is_answered_by(&self, answer: &[u8]) -> bool {
        if self.is_dns {
            answer.len() >= 12 && answer[..2] == self.bytes[..2] && answer[2] & 0x80 != 0
        } else {
            answer.len() >= 48 && answer[0] & 7 == 4 && answer[24..32] == self.bytes[40..48]
        }
    }

    fn judge(&self, answer: &[u8]) -> Result<(), Trouble> {
        let code = answer[3] & 0xf;
        match (self.is_dns, code) {
            (false, _) => time(answer),
            (true, 0) => Ok(()),
            // Servers that answer for their own names only refuse all others, and there may be no root to be found.
            (true, 3 | 5) if !self.named => Ok(()),
            (true, code) => {
                let name = match code {
                    1 => "FORMERR, the question makes no sense to it",
                    2 => "SERVFAIL, it could not find out",
                    3 => "NXDOMAIN, there is no such name",
                    4 => "NOTIMP, it does not know such questions",
                    5 => "REFUSED, it does not answer us",
                    _ => "an error that has no name",
                };
                Err(Trouble::failed(format!("it answered: {name}")))
            }
        }
    }
}

fn time(answer: &[u8]) -> Result<(), Trouble> {
    let (leap, stratum) = (answer[0] >> 6, answer[1]);
    // Where a server would name its source it may say why it will not be asked: RATE, DENY.
    let word = &answer[12..16];
    match stratum {
        0 if word.iter().all(u8::is_ascii_uppercase) => {
            Err(Trouble::failed(format!("it does not want to be asked: {}", String::from_utf8_lossy(word))))
        }
        1..=15 if leap != 3 => Ok(()),
        _ => Err(Trouble::failed("its clock is not synchronised")),
    }
}
