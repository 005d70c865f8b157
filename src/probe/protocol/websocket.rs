//! WebSocket: the upgrade with its proof, a ping, a close (RFC 6455).

use super::super::words::Trouble;
use super::talk::{Talk, answered, random};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

const LINES: usize = 100;
/// Messages that a server may have for us before it answers.
const FRAMES: usize = 50;

const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// A whole message of a client: masked, as caches on the way demand.
fn frame(kind: u8, content: &[u8]) -> Result<Vec<u8>, Trouble> {
    let mask = random::<4>()?;
    let mut bytes = vec![0x80 | kind, 0x80 | u8::try_from(content.len().min(125)).unwrap_or(0)];
    bytes.extend(mask);
    bytes.extend(content.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    Ok(bytes)
}

pub(super) async fn ask(talk: &mut Talk<'_>) -> Result<(), Trouble> {
    let key = STANDARD.encode(random::<16>()?);
    let path = talk.spec.path.as_deref().unwrap_or("/");
    let host = match (&talk.spec.unix, &talk.spec.address) {
        (None, Some(address)) => address.expose(),
        _ => "localhost",
    };
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n\
         Sec-WebSocket-Version: 13\r\nUser-Agent: minder\r\n\r\n"
    );
    talk.send(request.as_bytes()).await?;
    let what = "the answer to the upgrade";
    let status = talk.line(what).await?;
    if !status.starts_with(b"HTTP/1.1 ") && !status.starts_with(b"HTTP/1.0 ") {
        return Err(talk.unlike(&status));
    }
    if !status.starts_with(b"HTTP/1.1 101") {
        return Err(answered(&status));
    }
    let mut accept = None;
    let mut lines = 0;
    loop {
        let line = talk.line(what).await?;
        if line.is_empty() {
            break;
        }
        lines += 1;
        if lines > LINES {
            return Err(Trouble::failed(format!("its answer has more than {LINES} headers")));
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return Err(talk.unlike(&line)) };
        let (name, value) = (line[..colon].to_ascii_lowercase(), line[colon + 1..].trim_ascii());
        match &name[..] {
            b"sec-websocket-accept" => accept = Some(value.to_vec()),
            b"server" => talk.version = Some(value.to_vec()),
            _ => {}
        }
    }
    let proof = digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11").as_bytes());
    if accept.is_none_or(|accept| accept != STANDARD.encode(proof).as_bytes()) {
        return Err(Trouble::failed("it upgraded without the proof that it understood (Sec-WebSocket-Accept)"));
    }
    // 1000: all is done.
    talk.goodbye = frame(CLOSE, &1000u16.to_be_bytes())?;
    let mark = random::<8>()?;
    talk.send(&frame(PING, &mark)?).await?;
    let what = "the answer to the ping";
    for _ in 0..FRAMES {
        let [kind, length] = talk.array(what).await?;
        // A server masks nothing, and we know of no extensions.
        if kind & 0x70 != 0 || length & 0x80 != 0 {
            return Err(talk.strange(&[kind, length]));
        }
        let length = match length {
            126 => u64::from(u16::from_be_bytes(talk.array(what).await?)),
            127 => u64::from_be_bytes(talk.array(what).await?),
            short => u64::from(short),
        };
        let content = talk.bytes(usize::try_from(length).unwrap_or(usize::MAX), what).await?;
        match kind & 0xf {
            PONG if content == mark => return Ok(()),
            CLOSE => {
                let why = String::from_utf8_lossy(content.get(2..).unwrap_or_default()).into_owned();
                return Err(Trouble::failed(format!("it closed instead of answering the ping {why}").trim_end()));
            }
            PING => talk.send(&frame(PONG, &content)?).await?,
            _ => {}
        }
    }
    Err(Trouble::failed(format!("it sent {FRAMES} messages and no answer to the ping")))
}
