//! `minder supervisord-events`: a listener that supervisord runs, and tells what becomes of its programs. Each change is handed
//! on to minder, which then asks at once.
//!
//! The protocol: the listener says `READY`, supervisord sends a line of tokens, one of which is the length of what follows, and
//! the listener answers `RESULT 2\nOK`. <http://supervisord.org/events.html>

use super::client::Client;
use super::{Failure, Outcome, code};
use bytes::Bytes;
use hyper::Method;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::time::Duration;

/// The longest line of tokens, and the longest text behind it.
const LINE: u64 = 4 << 10;
const PAYLOAD: u64 = 64 << 10;
/// How long minder may take to be told. It may be away, or hang; neither is supervisord's affair.
const TOLD_WITHIN: Duration = Duration::from_secs(1);

/// Hand what supervisord tells of its programs on to minder; run by supervisord, as an event listener
#[derive(Debug, clap::Args)]
#[command(after_help = "Example, in the configuration of supervisord:
  [eventlistener:minder]
  command=minder supervisord-events
  events=PROCESS_STATE
  buffer_size=100")]
pub(super) struct Args {}

pub(super) fn run(_: &Args, client: &Client) -> Result<Outcome, Failure> {
    let input = io::stdin();
    if input.is_terminal() {
        return Err(Failure::new(code::USAGE, "supervisord runs this; see `minder supervisord-events --help`"));
    }
    listen(&mut input.lock(), &mut io::stdout().lock(), |name| {
        let body = serde_json::json!({ "control": "supervisord", "name": name }).to_string();
        // Without minder it goes on, and says nothing: there may be an event every second.
        let _ = client.send(Method::POST, "/api/v1/nudges", Bytes::from(body), TOLD_WITHIN);
    })
    .map_err(|e| Failure::new(code::WRONG, format!("what supervisord says is not understood: {e}")))?;
    Ok(Outcome { text: String::new(), code: code::WELL })
}

/// Hears events until there are no more. Each is answered before it is handed on, so that supervisord never waits.
fn listen(input: &mut impl BufRead, output: &mut impl Write, mut hand_on: impl FnMut(&str)) -> io::Result<()> {
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    loop {
        output.write_all(b"READY\n")?;
        output.flush()?;
        let mut line = String::new();
        if input.by_ref().take(LINE).read_line(&mut line)? == 0 {
            return Ok(());
        }
        let length = token(&line, "len").and_then(|length| length.parse::<u64>().ok());
        let length = length.filter(|length| *length <= PAYLOAD).ok_or_else(|| wrong("no length, or too long"))?;
        let mut payload = Vec::new();
        input.by_ref().take(length).read_to_end(&mut payload)?;
        output.write_all(b"RESULT 2\nOK")?;
        output.flush()?;
        let payload = String::from_utf8_lossy(&payload);
        let of_a_program = token(&line, "eventname").is_some_and(|name| name.starts_with("PROCESS_STATE"));
        if let (true, Some(group), Some(process)) =
            (of_a_program, token(&payload, "groupname"), token(&payload, "processname"))
        {
            hand_on(&format!("{group}:{process}"));
        }
    }
}

/// The value of `name:value` among others.
fn token<'a>(tokens: &'a str, name: &str) -> Option<&'a str> {
    tokens.split_whitespace().find_map(|token| token.strip_prefix(name)?.strip_prefix(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(input: &str) -> (io::Result<()>, String, Vec<String>) {
        let (mut output, mut names) = (Vec::new(), Vec::new());
        let ended = listen(&mut input.as_bytes(), &mut output, |name| names.push(name.to_owned()));
        (ended, String::from_utf8(output).unwrap(), names)
    }

    fn event(kind: &str, payload: &str) -> String {
        let length = payload.len();
        format!(
            "ver:3.0 server:supervisor serial:21 pool:minder poolserial:10 eventname:{kind} len:{length}\n{payload}"
        )
    }

    #[test]
    fn events_are_answered_and_handed_on() {
        let exited =
            event("PROCESS_STATE_EXITED", "processname:web_00 groupname:web from_state:RUNNING expected:0 pid:9");
        let tick = event("TICK_5", "when:1201063880");
        let (ended, output, names) = heard(&format!("{exited}{tick}{exited}"));
        ended.unwrap();
        assert_eq!(output, "READY\nRESULT 2\nOK".repeat(3) + "READY\n");
        assert_eq!(names, ["web:web_00"; 2]);
    }

    #[test]
    fn what_is_no_event_ends_it() {
        for input in ["hello\n".to_owned(), "len:-1\n".to_owned(), format!("len:{}\n", PAYLOAD + 1), "x".repeat(9000)] {
            let (ended, _, names) = heard(&input);
            assert!(ended.is_err() && names.is_empty(), "{input:.40}");
        }
    }
}
