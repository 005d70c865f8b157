//! FastCGI: a request for a path, such as PHP-FPM's `ping.path`; without one a question for what the server can do.

use super::super::words::Trouble;
use super::talk::{Talk, answered};

const BEGIN: u8 = 1;
const END: u8 = 3;
const PARAMS: u8 = 4;
const STDIN: u8 = 5;
const STDOUT: u8 = 6;
const STDERR: u8 = 7;
const GET_VALUES: u8 = 9;
const GET_VALUES_RESULT: u8 = 10;

/// As many records as an answer may have.
const RECORDS: usize = 1000;

/// A record of a request, or of none.
fn record(kind: u8, request: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&[1, kind, 0, request, length[0], length[1], 0, 0], content].concat()
}

/// A name and its value, behind their lengths.
fn pair(name: &str, value: &str) -> Vec<u8> {
    let length = |text: &str| match u8::try_from(text.len()) {
        Ok(short @ 0..0x80) => vec![short],
        _ => (u32::try_from(text.len()).unwrap_or(0) | 1 << 31).to_be_bytes().to_vec(),
    };
    [length(name), length(value), name.into(), value.into()].concat()
}

async fn next(talk: &mut Talk<'_>) -> Result<(u8, Vec<u8>), Trouble> {
    let what = "the answer";
    let head = talk.array::<8>(what).await?;
    let [1, kind, _, _, high, low, padding, _] = head else { return Err(talk.strange(&head)) };
    let content = talk.bytes(usize::from(u16::from_be_bytes([high, low])), what).await?;
    talk.bytes(usize::from(padding), what).await?;
    Ok((kind, content))
}

pub(super) async fn ask(talk: &mut Talk<'_>) -> Result<(), Trouble> {
    let Some(path) = talk.spec.path.as_deref() else {
        talk.send(&record(GET_VALUES, 0, &pair("FCGI_MPXS_CONNS", ""))).await?;
        return match next(talk).await? {
            (GET_VALUES_RESULT, _) => Ok(()),
            _ => Err(talk.strange(&[])),
        };
    };
    let (script, query) = path.split_once('?').unwrap_or((path, ""));
    let params = [
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("SERVER_SOFTWARE", "minder"),
        ("REQUEST_METHOD", "GET"),
        ("SCRIPT_NAME", script),
        ("SCRIPT_FILENAME", script),
        ("REQUEST_URI", path),
        ("QUERY_STRING", query),
        ("REMOTE_ADDR", "127.0.0.1"),
    ];
    let params: Vec<u8> = params.iter().flat_map(|(name, value)| pair(name, value)).collect();
    // A request for one to answer (role 1), on a connection that ends with it.
    let begin = record(BEGIN, 1, &[0, 1, 0, 0, 0, 0, 0, 0]);
    let ends = [record(PARAMS, 1, &[]), record(STDIN, 1, &[])].concat();
    talk.send(&[begin, record(PARAMS, 1, &params), ends].concat()).await?;
    let (mut out, mut complaint) = (Vec::new(), Vec::new());
    for _ in 0..RECORDS {
        match next(talk).await? {
            (STDOUT, content) => out.extend(content),
            (STDERR, content) => complaint.extend(content),
            (END, content) => return judge(talk, &content, &out, &complaint),
            _ => return Err(talk.strange(&[])),
        }
    }
    Err(Trouble::failed("its answer is in too many pieces"))
}

fn judge(talk: &mut Talk<'_>, end: &[u8], out: &[u8], complaint: &[u8]) -> Result<(), Trouble> {
    match end.get(4) {
        Some(0) => {}
        Some(2) => return Err(Trouble::failed("it is overloaded")),
        _ => return Err(Trouble::failed("it refuses the request")),
    }
    let head = out.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let header = |name: &[u8]| {
        head.clone().take_while(|line| !line.is_empty()).find_map(|line| {
            let (found, value) = line.split_at_checked(name.len())?;
            found.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
        })
    };
    talk.version = header(b"X-Powered-By:").map(<[u8]>::to_vec);
    match header(b"Status:") {
        Some([b'1'..=b'3', ..]) | None if !out.is_empty() => Ok(()),
        Some(status) => Err(answered(status)),
        None if !complaint.is_empty() => Err(answered(complaint)),
        None => Err(Trouble::failed("it answered with nothing")),
    }
}
