//! Messages of DNS (RFC 1035, section 4), as far as a question and its answers need them. Everything that is read is bounded
//! by the message, and a name by 255 bytes.

use crate::model::kinds::DnsType;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The class of the internet.
const IN: u16 = 1;
/// A response; of a standard query; truncated; and a query's wish that the server asks others.
const RESPONSE: u16 = 0x8000;
const OPCODE: u16 = 0x7800;
const TRUNCATED: u16 = 0x0200;
const RECURSION: u16 = 0x0100;
/// The longest name, with the lengths of its labels and the root's.
const NAME: usize = 255;

/// A server's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// It did not fit: ask again over TCP.
    pub(super) truncated: bool,
    /// Zero if all is well.
    pub(super) code: u16,
    /// The data of the records that were asked for, as text.
    pub(super) found: Vec<String>,
}

/// Why a message is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// It is none to this question.
    NotOurs,
    /// It is, and cannot be read.
    Garbled,
}

/// The number of a type of record.
fn number(record: DnsType) -> u16 {
    match record {
        DnsType::A => 1,
        DnsType::Ns => 2,
        DnsType::Cname => 5,
        DnsType::Soa => 6,
        DnsType::Ptr => 12,
        DnsType::Mx => 15,
        DnsType::Txt => 16,
        DnsType::Aaaa => 28,
        DnsType::Srv => 33,
        DnsType::Caa => 257,
    }
}

/// A question for a name in its usual form, with or without the last point. Nothing if it is no such name.
pub(super) fn question(id: u16, name: &str, record: DnsType) -> Option<Vec<u8>> {
    let mut message = Vec::with_capacity(64);
    for word in [id, RECURSION, 1, 0, 0, 0] {
        message.extend(word.to_be_bytes());
    }
    for label in name.strip_suffix('.').unwrap_or(name).split('.').filter(|_| name != ".") {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..64).contains(length))?;
        message.push(length);
        message.extend(label.as_bytes());
    }
    message.push(0);
    if message.len() > 12 + NAME {
        return None;
    }
    for word in [number(record), IN] {
        message.extend(word.to_be_bytes());
    }
    Some(message)
}

/// Reads the answer to a question that [`question`] made.
pub(super) fn answer(message: &[u8], asked: &[u8], record: DnsType) -> Result<Answer, NoAnswer> {
    let mut reader = Reader { message, at: 0 };
    let mut head = || {
        let (id, flags, questions) = (reader.two()?, reader.two()?, reader.two()?);
        let count = reader.two()?;
        reader.take(4)?;
        let ours = asked.get(..2)? == id.to_be_bytes() && flags & (RESPONSE | OPCODE) == RESPONSE;
        // A server that did not understand the question may leave it away. Names are the same in upper and lower case, and
        // no length of a label is a letter.
        let error = flags & 0xf != 0 && questions == 0;
        let repeated = questions == 1 && reader.take(asked.len() - 12)?.eq_ignore_ascii_case(&asked[12..]);
        (ours && (error || repeated)).then_some((flags, count))
    };
    let (flags, count) = head().ok_or(NoAnswer::NotOurs)?;
    let (truncated, code) = (flags & TRUNCATED != 0, flags & 0xf);
    let mut found = Vec::new();
    if !truncated && code == 0 {
        for _ in 0..count {
            found.extend(reader.record(record).ok_or(NoAnswer::Garbled)?);
        }
    }
    Ok(Answer { truncated, code, found })
}

struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(length)?;
        let taken = self.message.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn one(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn two(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn four(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    /// A name as text, in lower case, without the last point. What follows a pointer lies before everything read so far of
    /// this name, so that no ring of pointers is followed.
    fn name(&mut self) -> Option<String> {
        let (mut at, mut limit, mut behind) = (self.at, self.at, None);
        let (mut name, mut length) = (String::new(), 1);
        loop {
            let first = usize::from(*self.message.get(at)?);
            match first >> 6 {
                0 if first == 0 => break,
                0 => {
                    length += first + 1;
                    if length > NAME {
                        return None;
                    }
                    if !name.is_empty() {
                        name.push('.');
                    }
                    label(self.message.get(at + 1..at + 1 + first)?, &mut name);
                    at += 1 + first;
                }
                3 => {
                    let to = (first & 0x3f) << 8 | usize::from(*self.message.get(at + 1)?);
                    behind.get_or_insert(at + 2);
                    if to >= limit {
                        return None;
                    }
                    (at, limit) = (to, to);
                }
                _ => return None,
            }
        }
        self.at = behind.unwrap_or(at + 1);
        Some(if name.is_empty() { ".".to_owned() } else { name })
    }

    /// The text of a record, if it is of this type. Nothing if it cannot be read.
    fn record(&mut self, wanted: DnsType) -> Option<Option<String>> {
        self.name()?;
        let (record, class) = (self.two()?, self.two()?);
        self.four()?;
        let length = usize::from(self.two()?);
        let end = self.at.checked_add(length).filter(|end| *end <= self.message.len())?;
        if record != number(wanted) || class != IN {
            self.at = end;
            return Some(None);
        }
        let text = self.data(wanted, end)?;
        (self.at == end).then_some(Some(text))
    }

    /// The data of a record, which ends there, in the form of zone files; but texts without their quotes.
    fn data(&mut self, record: DnsType, end: usize) -> Option<String> {
        Some(match record {
            DnsType::A => Ipv4Addr::from(<[u8; 4]>::try_from(self.take(4)?).ok()?).to_string(),
            DnsType::Aaaa => Ipv6Addr::from(<[u8; 16]>::try_from(self.take(16)?).ok()?).to_string(),
            DnsType::Cname | DnsType::Ns | DnsType::Ptr => self.name()?,
            DnsType::Mx => format!("{} {}", self.two()?, self.name()?),
            DnsType::Srv => format!("{} {} {} {}", self.two()?, self.two()?, self.two()?, self.name()?),
            DnsType::Soa => {
                let (server, mail) = (self.name()?, self.name()?);
                let numbers = (self.four()?, self.four()?, self.four()?, self.four()?, self.four()?);
                let (serial, refresh, retry, expire, minimum) = numbers;
                format!("{server} {mail} {serial} {refresh} {retry} {expire} {minimum}")
            }
            DnsType::Txt => {
                let mut all = Vec::new();
                while self.at < end {
                    let length = usize::from(self.one()?);
                    all.extend(self.take(length)?);
                }
                String::from_utf8_lossy(&all).into_owned()
            }
            DnsType::Caa => {
                let (flags, length) = (self.one()?, usize::from(self.one()?));
                let tag = String::from_utf8_lossy(self.take(length)?).into_owned();
                let value = self.take(end.checked_sub(self.at)?)?;
                format!("{flags} {tag} \"{}\"", String::from_utf8_lossy(value))
            }
        })
    }
}

/// A label as zone files have it: what is no letter, digit or usual sign is escaped.
fn label(bytes: &[u8], name: &mut String) {
    for byte in bytes {
        match byte {
            b'.' | b'\\' => name.extend(['\\', char::from(*byte)]),
            0x21..=0x7e => name.push(char::from(byte.to_ascii_lowercase())),
            other => name.push_str(&format!("\\{other:03}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An answer to `a.example`, whose records follow as they are.
    fn response(flags: u16, count: u16, records: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let asked = question(7, "A.example", DnsType::A).unwrap();
        let mut message = asked.clone();
        message[2..4].copy_from_slice(&(RESPONSE | flags).to_be_bytes());
        message[6..8].copy_from_slice(&count.to_be_bytes());
        message.extend(records);
        (asked, message)
    }

    /// A record of the name that was asked for.
    fn record(kind: u16, data: &[u8]) -> Vec<u8> {
        let mut record = vec![0xc0, 12];
        record.extend(kind.to_be_bytes());
        record.extend([0, 1, 0, 0, 0, 60]);
        record.extend((data.len() as u16).to_be_bytes());
        record.extend(data);
        record
    }

    fn read(kind: DnsType, data: &[u8]) -> Result<Vec<String>, NoAnswer> {
        let (mut asked, mut message) = response(0, 1, &record(number(kind), data));
        let at = asked.len() - 4;
        for bytes in [&mut asked, &mut message] {
            bytes[at..at + 2].copy_from_slice(&number(kind).to_be_bytes());
        }
        answer(&message, &asked, kind).map(|answer| answer.found)
    }

    #[test]
    fn records_become_text() {
        let one = |text: &str| Ok(vec![text.to_owned()]);
        assert_eq!(read(DnsType::A, &[192, 0, 2, 1]), one("192.0.2.1"));
        assert_eq!(read(DnsType::Aaaa, &[0; 16]), one("::"));
        assert_eq!(read(DnsType::Cname, b"\x03W.w\x01\xff\xc0\x0c"), one("w\\.w.\\255.a.example"));
        assert_eq!(read(DnsType::Mx, b"\0\x0a\0"), one("10 ."));
        assert_eq!(read(DnsType::Txt, b"\x02ab\x00\x01c"), one("abc"));
        assert_eq!(read(DnsType::Caa, b"\0\x05issueca.example"), one("0 issue \"ca.example\""));
        // Too short, too long, and a text that goes beyond its record.
        for bad in [&[192, 0, 2][..], &[192, 0, 2, 1, 0]] {
            assert_eq!(read(DnsType::A, bad), Err(NoAnswer::Garbled));
        }
        assert_eq!(read(DnsType::Txt, b"\x09ab"), Err(NoAnswer::Garbled));
    }

    #[test]
    fn pointers_that_lead_nowhere_or_round_are_no_names() {
        // To itself, forward, beyond the end, and a name that grows with each turn.
        let itself = 12 + 11 + 4 + 12;
        for to in [itself, itself + 1, 0x3fff] {
            let pointer = (0xc000 | to as u16).to_be_bytes();
            assert_eq!(read(DnsType::Ns, &pointer), Err(NoAnswer::Garbled), "{to}");
        }
        let turn = [&b"\x01a"[..], &(0xc000 | itself as u16).to_be_bytes()].concat();
        assert_eq!(read(DnsType::Ns, &turn), Err(NoAnswer::Garbled));
        assert_eq!(read(DnsType::Ns, &[&[63; 64][..]; 5].concat()), Err(NoAnswer::Garbled), "longer than a name");
        assert_eq!(read(DnsType::Ns, b"\x80a\0"), Err(NoAnswer::Garbled));
    }

    #[test]
    fn only_the_answer_to_the_question_counts() {
        let (asked, good) = response(0, 0, &[]);
        let read = |message: &[u8]| answer(message, &asked, DnsType::A);
        let well = Answer { truncated: false, code: 0, found: Vec::new() };
        assert_eq!(read(&good), Ok(well.clone()));
        for (at, value) in [(0, 1), (2, 0), (5, 0), (5, 2), (13, b'b'), (asked.len() - 3, 28), (asked.len() - 1, 3)] {
            let mut bad = good.clone();
            bad[at] = value;
            assert_eq!(read(&bad), Err(NoAnswer::NotOurs), "{at}");
        }
        assert_eq!(read(&asked), Err(NoAnswer::NotOurs), "our own question");
        let (_, refused) = response(5, 0, &[]);
        assert_eq!(read(&refused), Ok(Answer { code: 5, ..well.clone() }));
        let mut head = refused[..12].to_vec();
        head[5] = 0;
        assert_eq!(read(&head), Ok(Answer { code: 5, ..well.clone() }));
        let (_, cut) = response(TRUNCATED, 9, &[]);
        assert_eq!(read(&cut), Ok(Answer { truncated: true, ..well }));
    }

    #[test]
    fn names_that_are_none_are_not_asked_for() {
        assert!(question(1, ".", DnsType::Ns).is_some_and(|message| message.len() == 17));
        for bad in ["", "a..b", &"x".repeat(64), &["x".repeat(63).as_str(); 5].join(".")] {
            assert_eq!(question(1, bad, DnsType::A), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_message_is_too_odd(flags in 0u16..0x8000, count: u16, garbage in prop::collection::vec(any::<u8>(), 0..300)) {
            let (asked, message) = response(flags, count, &garbage);
            for record in [DnsType::A, DnsType::Ns, DnsType::Soa, DnsType::Txt, DnsType::Caa, DnsType::Srv] {
                let _ = answer(&message, &asked, record);
            }
        }

        #[test]
        fn no_data_is_too_odd(kind in 0usize..10, data in prop::collection::vec(prop_oneof![Just(0xc0u8), 0u8..64, any::<u8>()], 0..120)) {
            use DnsType::*;
            let all = [A, Aaaa, Cname, Mx, Ns, Ptr, Soa, Srv, Txt, Caa];
            for text in read(all[kind], &data).unwrap_or_default() {
                // Bytes at most become escapes of four.
                prop_assert!(text.len() <= 3 * 4 * NAME);
            }
        }
    }
}
