//! AMQP 0-9-1: the greeting of the server; with a login a connection that is opened and closed.

use super::super::words::Trouble;
use super::talk::{Talk, answered};

/// A frame of a method on channel 0.
fn method(class: u16, method: u16, arguments: &[u8]) -> Vec<u8> {
    let length = u32::try_from(arguments.len() + 4).unwrap_or(u32::MAX).to_be_bytes();
    let mut bytes = [&[1, 0, 0][..], &length, &class.to_be_bytes(), &method.to_be_bytes(), arguments].concat();
    bytes.push(0xce);
    bytes
}

fn long(text: &[u8]) -> Vec<u8> {
    [&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes()[..], text].concat()
}

/// A text of at most 255 bytes, and what follows it.
fn short(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*length))
}

/// The next method, and its arguments. Heartbeats in between mean nothing.
async fn next(talk: &mut Talk<'_>, what: &'static str) -> Result<(u16, u16, Vec<u8>), Trouble> {
    loop {
        let head = talk.array::<7>(what).await?;
        let length = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
        if !matches!(head, [1 | 8, 0, 0, ..]) {
            return Err(talk.strange(&head));
        }
        let content = talk.bytes(length, what).await?;
        let end = talk.array::<1>(what).await?;
        match (head[0], &content[..], end) {
            (8, _, [0xce]) => {}
            (1, [a, b, c, d, arguments @ ..], [0xce]) => {
                return Ok((u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d]), arguments.to_vec()));
            }
            _ => return Err(talk.strange(&[])),
        }
    }
}

/// The next method, which must be this one.
async fn expect(talk: &mut Talk<'_>, wanted: u16, what: &'static str) -> Result<Vec<u8>, Trouble> {
    match next(talk, what).await? {
        (10, found, arguments) if found == wanted => Ok(arguments),
        // It closes, and says why.
        (10, 50, arguments) => {
            talk.goodbye = method(10, 51, &[]);
            let words = arguments.get(2..).and_then(short).map_or(&b"it closes the connection"[..], |(words, _)| words);
            Err(answered(words))
        }
        _ => Err(talk.strange(&[])),
    }
}

pub(super) async fn ask(talk: &mut Talk<'_>) -> Result<(), Trouble> {
    talk.send(b"AMQP\0\0\x09\x01").await?;
    let what = "the greeting";
    while talk.came.len() < 4 && talk.read(what).await? {}
    if talk.came.starts_with(b"AMQP") {
        return Err(Trouble::failed("it does not speak AMQP 0-9-1, but another version"));
    }
    let start = expect(talk, 10, what).await?;
    talk.version = version(&start).map(<[u8]>::to_vec);
    let Some((user, password)) = talk.login() else { return Ok(()) };

    let plain = format!("\0{user}\0{password}");
    // What tells us why a login is refused; without it the connection is just closed.
    let ability = [&b"\x1cauthentication_failure_closet\x01"[..]].concat();
    let properties = [&b"\x07productS"[..], &long(b"minder"), b"\x0ccapabilitiesF", &long(&ability)].concat();
    let start_ok = [long(&properties), b"\x05PLAIN".to_vec(), long(plain.as_bytes()), b"\x05en_US".to_vec()].concat();
    talk.send(&method(10, 11, &start_ok)).await?;
    let tune = expect(talk, 30, "the answer to the login").await?;
    // What it proposes, but no heartbeats.
    let proposed = tune.get(..6).ok_or_else(|| talk.strange(&[]))?;
    let tune_ok = method(10, 31, &[proposed, &[0, 0]].concat());
    let host = talk.spec.path.as_deref().unwrap_or("/");
    let length = u8::try_from(host.len()).map_err(|_| Trouble::ours("`path`, the virtual host, is too long"))?;
    let open = method(10, 40, &[&[length], host.as_bytes(), &[0, 0]].concat());
    talk.send(&[tune_ok, open].concat()).await?;
    expect(talk, 41, "the answer to the opening").await?;
    talk.goodbye = method(10, 50, b"\0\xc8\x07goodbye\0\0\0\0");
    Ok(())
}

/// The version among the properties of the server, of which each is a name, a type and a value.
fn version(start: &[u8]) -> Option<&[u8]> {
    fn announced(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        rest.split_at_checked(u32::from_be_bytes(*length) as usize)
    }
    // Behind the two numbers of the protocol.
    let (mut table, _) = announced(start.get(2..)?)?;
    while !table.is_empty() {
        let (name, rest) = short(table)?;
        let (kind, rest) = rest.split_first()?;
        let (value, rest) = match kind {
            b'S' | b'F' | b'A' | b'x' => announced(rest)?,
            b't' | b'b' | b'B' => rest.split_at_checked(1)?,
            b's' | b'u' => rest.split_at_checked(2)?,
            b'I' | b'i' | b'f' => rest.split_at_checked(4)?,
            b'D' => rest.split_at_checked(5)?,
            b'l' | b'L' | b'd' | b'T' => rest.split_at_checked(8)?,
            b'V' => (&[][..], rest),
            _ => return None,
        };
        if name == b"version" {
            return Some(value);
        }
        table = rest;
    }
    None
}
