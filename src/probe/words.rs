//! What probes of the network say: notes, texts of answers, and the system's errors in words.

use super::tls;
use crate::model::{clip, hide, plain};
use rustix::io::Errno;
use std::io;
use std::sync::Arc;

/// How much of an answer is shown or kept as a text.
pub(super) const TEXT: usize = 16 * 1024;

/// The longest note, in characters.
const NOTE: usize = 200;

/// Why there is no good answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The other side, or the way to it, is at fault: the check has failed.
    Failed(String),
    /// We could not ask: the check is unknown, and nothing is restarted for it.
    Ours(String),
}

impl Trouble {
    /// The other side is at fault.
    pub(super) fn failed(why: impl Into<String>) -> Trouble {
        Trouble::Failed(why.into())
    }
    /// We are at fault.
    pub(super) fn ours(why: impl Into<String>) -> Trouble {
        Trouble::Ours(why.into())
    }
    /// Why.
    pub(super) fn why(&self) -> &str {
        match self {
            Trouble::Failed(why) | Trouble::Ours(why) => why,
        }
    }
}

/// An error of a socket in words, and whose fault it is. What this machine lacks or forbids is ours.
pub(super) fn trouble(e: &io::Error) -> Trouble {
    if let Some(e) = e.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return tls::trouble(e);
    }
    if e.kind() == io::ErrorKind::UnexpectedEof {
        return Trouble::failed("the connection was closed");
    }
    let Some(errno) = Errno::from_io_error(e) else {
        return Trouble::failed(e.to_string());
    };
    match errno {
        Errno::MFILE => Trouble::ours("minder has reached its limit of open files"),
        Errno::NFILE => Trouble::ours("this machine has reached its limit of open files"),
        Errno::NOMEM | Errno::NOBUFS => Trouble::ours("this machine has no memory left for a connection"),
        Errno::ADDRNOTAVAIL => Trouble::ours("this machine has no free port left to connect from"),
        Errno::ACCESS | Errno::PERM => Trouble::ours("minder has no permission to connect"),
        Errno::CONNREFUSED => Trouble::failed("connection refused"),
        Errno::CONNRESET => Trouble::failed("the connection was reset"),
        Errno::PIPE => Trouble::failed("the connection was closed"),
        Errno::TIMEDOUT => Trouble::failed("the network timed out"),
        Errno::NETUNREACH => Trouble::failed("the network is unreachable"),
        Errno::HOSTUNREACH => Trouble::failed("the host is unreachable"),
        Errno::NOENT | Errno::NOTDIR => Trouble::failed("there is no such socket"),
        Errno::PROTOTYPE => Trouble::failed("it is not a stream socket"),
        // A unix socket says so where TCP would let the caller wait.
        Errno::AGAIN => Trouble::failed("its queue of connections is full"),
        other => Trouble::failed(other.to_string()),
    }
}

/// A note as people may see it: one line without control characters and secrets, not too long.
pub(super) fn note(text: &str, secrets: &[String]) -> Arc<str> {
    clip(&plain(&hide(text, secrets.iter().map(String::as_str))), NOTE).into()
}

/// The text of an answer as people may see it: its first 16 KiB. Carriage returns are dropped, and control characters
/// other than newline and tab are replaced.
pub(super) fn text(bytes: &[u8], secrets: &[String]) -> Arc<str> {
    let lossy = String::from_utf8_lossy(&bytes[..bytes.len().min(TEXT)]);
    let clean = lossy.chars().filter(|c| *c != '\r').map(|c| match c {
        '\n' | '\t' => c,
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    });
    hide(&clean.collect::<String>(), secrets.iter().map(String::as_str)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_machine_lacks_is_our_own_fault() {
        for (errno, ours) in [
            (Errno::MFILE, true),
            (Errno::NFILE, true),
            (Errno::ACCESS, true),
            (Errno::CONNREFUSED, false),
            (Errno::NOENT, false),
            (Errno::HOSTUNREACH, false),
        ] {
            assert_eq!(matches!(trouble(&errno.into()), Trouble::Ours(_)), ours, "{errno}");
        }
    }

    #[test]
    fn a_note_is_one_short_line() {
        assert_eq!(&*note("a\nb\u{1b}[31mc\u{9b}", &[]), "a b [31mc ");
        assert_eq!(note(&"ä".repeat(300), &[]).chars().count(), 200);
        assert_eq!(note(&"ä".repeat(200), &[]).chars().last(), Some('ä'));
    }

    #[test]
    fn a_text_keeps_its_lines_and_loses_its_escapes() {
        assert_eq!(&*text(b"a\r\n\tb\x1b[2J\x00\xff", &[]), "a\n\tb\u{fffd}[2J\u{fffd}\u{fffd}");
        assert_eq!(text(&vec![b'x'; 3 * TEXT], &[]).len(), TEXT);
    }

    #[test]
    fn a_secret_that_comes_back_is_not_shown() {
        let secrets = ["hunter22".to_owned(), "ab".to_owned()];
        assert_eq!(&*text(b"you said hunter22, about", &secrets), "you said [secret], about");
        assert_eq!(&*note("hunter22\r\n", &secrets), "[secret]  ");
    }
}
