//! SMTP, IMAP and POP3: a greeting, perhaps a login, and a command that does nothing.

use super::super::words::Trouble;
use super::talk::{Talk, answered, product};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The lines of an answer to an SMTP or FTP command.
const LINES: usize = 100;

/// An answer of SMTP or FTP: its code, and the words of its first line. Of several lines all but the last have a dash
/// after the code; FTP's may leave the code away.
pub(super) async fn reply(talk: &mut Talk<'_>, what: &'static str) -> Result<(u16, Vec<u8>), Trouble> {
    let first = talk.line(what).await?;
    let code = first.get(..3).and_then(|digits| std::str::from_utf8(digits).ok()).and_then(|code| code.parse().ok());
    let code = code.filter(|code| (100..600).contains(code));
    let (Some(code), None | Some(b' ' | b'-')) = (code, first.get(3)) else {
        return Err(talk.unlike(&first));
    };
    if first.get(3) == Some(&b'-') {
        let mut last = first[..3].to_vec();
        last.push(b' ');
        let mut lines = 1;
        loop {
            let line = talk.line(what).await?;
            if line.starts_with(&last) || line == first[..3] {
                break;
            }
            lines += 1;
            if lines > LINES {
                return Err(Trouble::failed(format!("its answer has more than {LINES} lines")));
            }
        }
    }
    Ok((code, first))
}

/// The same, of which only some codes are good.
pub(super) async fn good_reply(talk: &mut Talk<'_>, what: &'static str, good: &[u16]) -> Result<u16, Trouble> {
    let (code, words) = reply(talk, what).await?;
    if good.contains(&code) { Ok(code) } else { Err(answered(&words)) }
}

/// The greeting of SMTP or FTP.
pub(super) async fn greeting(talk: &mut Talk<'_>) -> Result<(), Trouble> {
    let (code, words) = reply(talk, "the greeting").await?;
    if code != 220 {
        return Err(answered(&words));
    }
    talk.version = product(words.get(4..).unwrap_or_default());
    talk.goodbye = b"QUIT\r\n".to_vec();
    Ok(())
}

pub(super) async fn smtp(talk: &mut Talk<'_>) -> Result<(), Trouble> {
    greeting(talk).await?;
    // An address in brackets is a name that every host has (RFC 5321, 4.1.3).
    talk.send(b"EHLO [127.0.0.1]\r\n").await?;
    good_reply(talk, "the answer to EHLO", &[250]).await?;
    match talk.login() {
        Some((user, password)) => {
            let plain = STANDARD.encode(format!("\0{user}\0{password}"));
            talk.send(format!("AUTH PLAIN {plain}\r\n").as_bytes()).await?;
            good_reply(talk, "the answer to the login", &[235]).await?;
        }
        None => {
            talk.send(b"NOOP\r\n").await?;
            good_reply(talk, "the answer to NOOP", &[250]).await?;
        }
    }
    Ok(())
}

pub(super) async fn imap(talk: &mut Talk<'_>) -> Result<(), Trouble> {
    let greeting = talk.line("the greeting").await?;
    match greeting.strip_prefix(b"* ") {
        Some(words) if words.starts_with(b"OK") || words.starts_with(b"PREAUTH") => talk.version = product(words),
        Some(words) if words.starts_with(b"BYE") => return Err(answered(words)),
        _ => return Err(talk.unlike(&greeting)),
    }
    talk.goodbye = b"b LOGOUT\r\n".to_vec();
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let (command, what) = match talk.line_login()? {
        Some((user, password)) => {
            (format!("a LOGIN {} {}\r\n", quoted(user), quoted(password)), "the answer to the login")
        }
        None => ("a NOOP\r\n".to_owned(), "the answer to NOOP"),
    };
    talk.send(command.as_bytes()).await?;
    loop {
        let line = talk.line(what).await?;
        match line.strip_prefix(b"a ") {
            Some(words) if words.starts_with(b"OK") => return Ok(()),
            Some(words) => return Err(answered(words)),
            // What it tells everyone, beside the answer.
            None if line.starts_with(b"* ") => {}
            None => return Err(talk.unlike(&line)),
        }
    }
}

pub(super) async fn pop3(talk: &mut Talk<'_>) -> Result<(), Trouble> {
    let words = pop3_answer(talk, "the greeting").await?;
    talk.version = product(&words);
    talk.goodbye = b"QUIT\r\n".to_vec();
    match talk.line_login()?.map(|(user, password)| (user.to_owned(), password.to_owned())) {
        Some((user, password)) => {
            talk.send(format!("USER {user}\r\n").as_bytes()).await?;
            pop3_answer(talk, "the answer to USER").await?;
            talk.send(format!("PASS {password}\r\n").as_bytes()).await?;
            pop3_answer(talk, "the answer to PASS").await?;
        }
        None => {
            // Without a login there is no NOOP. Old servers do not know CAPA, and say so: that is an answer.
            talk.send(b"CAPA\r\n").await?;
            let answer = talk.line("the answer to CAPA").await?;
            if answer.starts_with(b"+OK") {
                while talk.line("the answer to CAPA").await? != b"." {}
            } else if !answer.starts_with(b"-ERR") {
                return Err(talk.unlike(&answer));
            }
        }
    }
    Ok(())
}

async fn pop3_answer(talk: &mut Talk<'_>, what: &'static str) -> Result<Vec<u8>, Trouble> {
    let answer = talk.line(what).await?;
    match (answer.strip_prefix(b"+OK"), answer.strip_prefix(b"-ERR")) {
        (Some(words), _) => Ok(words.to_vec()),
        (_, Some(words)) => Err(answered(words)),
        _ => Err(talk.unlike(&answer)),
    }
}
