//! LDAP: a simple bind, of nobody or of somebody (RFC 4511).

use super::super::words::Trouble;
use super::talk::{Talk, answered};

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const ENUMERATED: u8 = 0x0a;
const BIND: u8 = 0x60;
const BIND_ANSWER: u8 = 0x61;
const SIMPLE: u8 = 0x80;

/// "We leave": there is no answer to it.
const UNBIND: [u8; 7] = [SEQUENCE, 5, INTEGER, 1, 2, 0x42, 0];

/// Lengths are read in at most so many bytes.
const LENGTH: usize = 4;

/// A value with its tag and length.
fn value(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short @ 0..0x80) => bytes.push(short),
        _ => {
            bytes.push(0x80 | 4);
            bytes.extend(u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes());
        }
    }
    bytes.extend(content);
    bytes
}

/// The next value of this tag: its content, and what follows it.
fn read(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let [found, first, rest @ ..] = bytes else { return None };
    let (length, rest) = match usize::from(*first) {
        short @ 0..0x80 => (short, rest),
        long => {
            let (digits, rest) = rest.split_at_checked(long - 0x80).filter(|(digits, _)| digits.len() <= LENGTH)?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
    };
    (*found == tag).then(|| rest.split_at_checked(length)).flatten()
}

pub(super) async fn ask(talk: &mut Talk<'_>) -> Result<(), Trouble> {
    let (user, password) = talk.login().unwrap_or_default();
    let bind = [value(INTEGER, &[3]), value(OCTETS, user.as_bytes()), value(SIMPLE, password.as_bytes())].concat();
    let message = value(SEQUENCE, &[value(INTEGER, &[1]), value(BIND, &bind)].concat());
    talk.send(&message).await?;
    let what = "the answer to the bind";
    let [tag, first] = talk.array(what).await?;
    if tag != SEQUENCE {
        return Err(talk.strange(&[tag, first]));
    }
    let length = match usize::from(first) {
        short @ 0..0x80 => short,
        long if long - 0x80 <= LENGTH => {
            let digits = talk.bytes(long - 0x80, what).await?;
            digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit))
        }
        _ => return Err(talk.strange(&[tag, first])),
    };
    let answer = talk.bytes(length, what).await?;
    let (code, words) = result(&answer).ok_or_else(|| talk.strange(&answer))?;
    talk.goodbye = UNBIND.to_vec();
    let name = match code {
        0 => return Ok(()),
        // Each means that nobody in particular, or without TLS, is not let in: it answers.
        8 | 13 | 48 | 49 | 50 | 53 if talk.spec.user.is_none() => return Ok(()),
        49 => "invalid credentials",
        51 => "busy",
        52 => "unavailable",
        53 => "unwilling to perform",
        _ => "",
    };
    let words = String::from_utf8_lossy(words);
    let said = [name, words.trim()].into_iter().filter(|words| !words.is_empty()).collect::<Vec<_>>().join(", ");
    Err(answered(if said.is_empty() { format!("error {code}") } else { format!("error {code}: {said}") }.as_bytes()))
}

/// The result code of the answer to message 1, and what is said of it.
fn result(answer: &[u8]) -> Option<(u8, &[u8])> {
    let (id, rest) = read(INTEGER, answer)?;
    let (bound, _) = read(BIND_ANSWER, rest).filter(|_| id == [1])?;
    let (code, rest) = read(ENUMERATED, bound)?;
    let (_matched, rest) = read(OCTETS, rest)?;
    let (words, _) = read(OCTETS, rest)?;
    Some((*code.first().filter(|_| code.len() == 1)?, words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_short_or_long_and_never_believed() {
        for length in [0, 1, 127, 128, 255, 256, 70_000] {
            let content = vec![7; length];
            assert_eq!(read(OCTETS, &value(OCTETS, &content)), Some((&content[..], &[][..])));
        }
        for bad in
            [&[][..], &[4], &[4, 1], &[4, 0x84, 0xff, 0xff, 0xff, 0xff], &[4, 0xff], &[4, 0x85, 0, 0, 0, 0, 1, 7]]
        {
            assert_eq!(read(OCTETS, bad), None, "{bad:?}");
        }
        assert_eq!(result(b"\x02\x01\x01\x61\x07\x0a\x01\x31\x04\0\x04\0"), Some((49, &[][..])));
        assert_eq!(result(b"\x02\x01\x02\x61\x07\x0a\x01\0\x04\0\x04\0"), None, "to another question");
    }
}
