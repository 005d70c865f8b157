//! MongoDB: `ping`, which needs no login, and `buildInfo` where the version is wanted. BSON is read no further than that
//! (bsonspec.org).

use super::super::words::Trouble;
use super::talk::{Talk, answered};

const OP_MSG: u32 = 2013;

pub(super) async fn ask(talk: &mut Talk<'_>) -> Result<(), Trouble> {
    command(talk, "ping", 1).await?;
    if talk.wants_version {
        let info = command(talk, "buildInfo", 2).await?;
        talk.version = text_of(&info, b"version").map(<[u8]>::to_vec);
    }
    Ok(())
}

/// Does `{ name: 1, $db: "admin" }`, and returns the elements of the answer.
async fn command(talk: &mut Talk<'_>, name: &str, id: u32) -> Result<Vec<u8>, Trouble> {
    let mut elements = Vec::new();
    elements.push(0x10);
    elements.extend(name.bytes());
    elements.extend(b"\0\x01\0\0\0\x02$db\0\x06\0\0\0admin\0\0");
    // Flags, then a section of one document.
    let mut body = vec![0, 0, 0, 0, 0];
    body.extend(length(elements.len() + 4));
    body.extend(elements);
    let mut message = Vec::new();
    for field in [body.len() as u32 + 16, id, 0, OP_MSG] {
        message.extend(field.to_le_bytes());
    }
    message.extend(body);
    talk.send(&message).await?;

    let what = "the answer to a command";
    let head = talk.array::<16>(what).await?;
    let field = |i: usize| u32::from_le_bytes([head[i], head[i + 1], head[i + 2], head[i + 3]]);
    let size = field(0) as usize;
    if size < 16 + 10 || field(8) != id || field(12) != OP_MSG {
        return Err(talk.strange(&head));
    }
    let answer = talk.bytes(size - 16, what).await?;
    let elements = answer.get(9..).filter(|_| answer[4] == 0).ok_or_else(|| talk.strange(&[]))?;
    let ok = Elements(elements).any(|(kind, name, value)| {
        name == b"ok"
            && match (kind, value) {
                (0x01, value) => value == 1.0f64.to_le_bytes(),
                (0x10 | 0x12 | 0x08, [1, rest @ ..]) => rest.iter().all(|byte| *byte == 0),
                _ => false,
            }
    });
    if ok {
        return Ok(elements.to_vec());
    }
    match text_of(elements, b"errmsg") {
        Some(words) => Err(answered(words)),
        None => Err(talk.strange(&[])),
    }
}

fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes()
}

fn text_of<'a>(elements: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    let (_, _, value) = Elements(elements).find(|(kind, name, _)| *kind == 0x02 && *name == wanted)?;
    value.get(4..)?.strip_suffix(b"\0")
}

/// The elements of a document: type, name, value. They end at the first that makes no sense.
struct Elements<'a>(&'a [u8]);

impl<'a> Iterator for Elements<'a> {
    type Item = (u8, &'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (kind, rest) = self.0.split_first()?;
        let end = rest.iter().position(|byte| *byte == 0).filter(|_| *kind != 0)?;
        let (name, value) = (&rest[..end], &rest[end + 1..]);
        let announced = || {
            let length = value.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes))?;
            usize::try_from(length).ok()
        };
        let length = match kind {
            0x06 | 0x0a | 0x7f | 0xff => 0,
            0x08 => 1,
            0x10 => 4,
            0x01 | 0x09 | 0x11 | 0x12 => 8,
            0x07 => 12,
            0x13 => 16,
            // A text: its length and it. A document holds its own length.
            0x02 | 0x0d | 0x0e => announced()?.checked_add(4)?,
            0x03 | 0x04 => announced()?,
            0x05 => announced()?.checked_add(5)?,
            _ => return None,
        };
        let (value, rest) = value.split_at_checked(length)?;
        self.0 = rest;
        Some((*kind, name, value))
    }
}
