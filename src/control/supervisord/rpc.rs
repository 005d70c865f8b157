//! One question to supervisord, and its answer: XML-RPC in a POST to `/RPC2`, over a unix socket or TCP.
//!
//! Every answer is bounded in time and in size, and is read without recursion: whoever listens at the address may be anybody.

use crate::model::controls::{SupervisordAddress, SupervisordControl};
use crate::model::{clip, hide, plain, show_duration};
use crate::sys::sockets;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use quick_xml::Reader;
use quick_xml::escape::escape;
use quick_xml::events::Event;
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// How long an answer may take. supervisord does one thing at a time, but none that takes long.
const WITHIN: Duration = Duration::from_secs(5);
/// The longest answer. A program takes a kilobyte of a list of all.
const MOST: usize = 2 << 20;
/// The longest head of one.
const MOST_HEAD: usize = 64 << 10;
/// What is shown of a text of supervisord's, in characters.
const SHOWN: usize = 200;

/// What it is asked.
#[derive(Clone, Copy)]
pub(super) enum Param<'a> {
    Text(&'a str),
    Flag(bool),
}

/// What it answers.
pub(super) struct Answer {
    /// The value, if it is a single one.
    pub value: String,
    /// The names and values of each struct, in order.
    pub structs: Vec<BTreeMap<String, String>>,
    /// As whom it listens, if that is on this machine.
    pub uid: Option<u32>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Nobody listens there.
    Gone(String),
    /// It says no: its number for that, and its words.
    Fault(i64, String),
    /// Anything else.
    Other(String),
}

impl Trouble {
    /// In words for people.
    pub(super) fn words(self) -> String {
        match self {
            Trouble::Gone(words) | Trouble::Other(words) => words,
            Trouble::Fault(code, words) => format!("supervisord says {words} (fault {code})"),
        }
    }
}

/// Calls `supervisor.METHOD`.
pub(super) fn call(control: &SupervisordControl, method: &str, params: &[Param<'_>]) -> Result<Answer, Trouble> {
    let Ok(address) = control.address() else {
        return Err(Trouble::Other(format!("{} is no address of a supervisord", control.server)));
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let runtime =
        runtime.map_err(|e| Trouble::Other(format!("the system gives too little to ask supervisord: {e}")))?;
    let exchange = exchange(control, &address, request(method, params));
    let answer = runtime.block_on(async { tokio::time::timeout(WITHIN, exchange).await });
    // A lookup of its name may take longer than its time, and is not waited for.
    runtime.shutdown_background();
    let late =
        || Trouble::Other(format!("supervisord at {} did not answer within {}", control.server, show_duration(WITHIN)));
    let (body, uid) = answer.unwrap_or_else(|_| Err(late()))?;
    let strange = |why: &str| Trouble::Other(format!("what answers at {} is not supervisord: {why}", control.server));
    let text = std::str::from_utf8(&body).map_err(|_| strange("its answer is no text"))?;
    let read = read(text).map_err(|why| strange(&why))?;
    if !read.fault {
        return Ok(Answer { value: read.value, structs: read.structs, uid });
    }
    let fault = read.structs.first();
    let code = fault.and_then(|fault| fault.get("faultCode")?.parse().ok());
    let words = fault.and_then(|fault| fault.get("faultString"));
    let (Some(code), Some(words)) = (code, words) else { return Err(strange("a fault without its number")) };
    // Whoever it is has been told the password, and may say it.
    let password = control.password.as_ref().map(|given| given.expose().to_owned());
    let secrets: Vec<String> = login(control).into_iter().chain(password).collect();
    Err(Trouble::Fault(code, shown(&hide(words, secrets.iter().map(String::as_str)))))
}

/// A text of supervisord's, fit to be shown.
pub(super) fn shown(text: &str) -> String {
    clip(&plain(text), SHOWN)
}

fn request(method: &str, params: &[Param<'_>]) -> String {
    let params: String = params
        .iter()
        .map(|param| match param {
            Param::Text(text) => format!("<param><value><string>{}</string></value></param>", escape(*text)),
            Param::Flag(flag) => format!("<param><value><boolean>{}</boolean></value></param>", u8::from(*flag)),
        })
        .collect();
    format!(
        "<?xml version=\"1.0\"?><methodCall><methodName>supervisor.{method}</methodName><params>{params}</params></methodCall>"
    )
}

/// The body of the answer, and whose it is.
async fn exchange(
    control: &SupervisordControl,
    address: &SupervisordAddress,
    request: String,
) -> Result<(Bytes, Option<u32>), Trouble> {
    match address {
        SupervisordAddress::Unix(path) => {
            let stream = UnixStream::connect(path).await.map_err(|e| unreached(control, &e))?;
            let uid = stream.peer_cred().map_err(|e| unreached(control, &e))?.uid();
            Ok((post(control, "localhost", stream, request).await?, Some(uid)))
        }
        SupervisordAddress::Tcp { host, port } => {
            // In brackets it is an address of IPv6.
            let name = host.trim_start_matches('[').trim_end_matches(']');
            let stream = TcpStream::connect((name, *port)).await.map_err(|e| unreached(control, &e))?;
            let uid = user_of(&stream);
            Ok((post(control, &format!("{host}:{port}"), stream, request).await?, uid))
        }
    }
}

/// Whoever may listen at a port that is free may pose as supervisord: it counts whose socket it is.
fn user_of(stream: &TcpStream) -> Option<u32> {
    let (here, there) = (stream.local_addr().ok()?, stream.peer_addr().ok()?);
    (there.ip().is_loopback() || there.ip() == here.ip()).then(|| sockets::user_at(there))?
}

fn unreached(control: &SupervisordControl, e: &io::Error) -> Trouble {
    let at = &control.server;
    match e.kind() {
        // A socket that stayed behind, or none.
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => {
            Trouble::Gone(format!("supervisord is not running: nothing listens at {at}"))
        }
        io::ErrorKind::PermissionDenied => Trouble::Other(format!(
            "minder's user may not speak to {at}; run minder as root, or let supervisord's `chown` give the socket to it"
        )),
        _ => Trouble::Other(format!("supervisord at {at} cannot be reached: {e}")),
    }
}

async fn post(
    control: &SupervisordControl,
    host: &str,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: String,
) -> Result<Bytes, Trouble> {
    let at = &control.server;
    let broken = |e: hyper::Error| Trouble::Other(format!("supervisord at {at} broke off: {e}"));
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(MOST_HEAD).handshake(TokioIo::new(stream)).await.map_err(broken)?;
    tokio::spawn(connection);
    let mut post = Request::post("/RPC2").header(HOST, host).header(CONTENT_TYPE, "text/xml");
    if let Some(login) = login(control) {
        post = post.header(AUTHORIZATION, format!("Basic {login}"));
    }
    let post = post.body(Full::new(Bytes::from(request)));
    let post = post.map_err(|_| Trouble::Other(format!("{at} cannot be asked: the user or host cannot be sent")))?;
    let answer = sender.send_request(post).await.map_err(broken)?;
    match answer.status() {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED if control.user.is_none() => {
            let words = format!("supervisord at {at} asks for a password: set `user` and `password` of the control");
            return Err(Trouble::Other(words));
        }
        StatusCode::UNAUTHORIZED => {
            let words = format!("supervisord at {at} refuses `user` and `password` of the control");
            return Err(Trouble::Other(words));
        }
        status => {
            let words = format!("what answers at {at} is not supervisord: HTTP status {}", status.as_u16());
            return Err(Trouble::Other(words));
        }
    }
    let body = Limited::new(answer.into_body(), MOST).collect().await;
    let body = body.map_err(|e| Trouble::Other(format!("the answer of supervisord at {at} cannot be read: {e}")))?;
    Ok(body.to_bytes())
}

/// User and password, as they are sent.
fn login(control: &SupervisordControl) -> Option<String> {
    let (user, password) = (control.user.as_ref()?, control.password.as_ref()?);
    Some(BASE64_STANDARD.encode(format!("{user}:{}", password.expose())))
}

#[derive(Debug, Default)]
struct Read {
    fault: bool,
    value: String,
    structs: Vec<BTreeMap<String, String>>,
}

/// Takes out of an answer what the methods that are called here give: a value, a struct of values, a list of such structs, or a
/// fault. A type is not looked at: a number is read by whoever needs one.
fn read(answer: &str) -> Result<Read, String> {
    let mut reader = Reader::from_str(answer);
    let (mut read, mut depth, mut seen) = (Read::default(), 0u32, false);
    let (mut name, mut text) = (String::new(), String::new());
    loop {
        match reader.read_event().map_err(|e| shown(&e.to_string()))? {
            Event::Start(tag) => {
                match tag.name().as_ref() {
                    "methodResponse" => seen = true,
                    _ if !seen => return Err("its answer is no XML-RPC".to_owned()),
                    "fault" => read.fault = true,
                    "struct" => read.structs.push(BTreeMap::new()),
                    _ => {}
                }
                depth += 1;
                text.clear();
            }
            Event::End(tag) => {
                match tag.name().as_ref() {
                    "name" => name = std::mem::take(&mut text),
                    "value" if read.structs.is_empty() => read.value = text.trim().to_owned(),
                    "value" if !name.is_empty() => {
                        let (name, value) = (std::mem::take(&mut name), std::mem::take(&mut text));
                        if let Some(members) = read.structs.last_mut() {
                            members.insert(name, value.trim().to_owned());
                        }
                    }
                    _ => {}
                }
                depth -= 1;
            }
            Event::Text(part) => text.push_str(&part.xml10_content()),
            Event::CData(part) => text.push_str(&part.xml10_content()),
            Event::GeneralRef(part) => match part.resolve_char_ref().map_err(|e| shown(&e.to_string()))? {
                Some(char) => text.push(char),
                None => text.push_str(quick_xml::escape::resolve_xml_entity(&part.into_inner()).unwrap_or("\u{fffd}")),
            },
            Event::Eof if depth == 0 && seen => return Ok(read),
            Event::Eof => return Err("its answer is cut short".to_owned()),
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn answers_are_read() {
        let text = "<?xml version='1.0'?>\n<methodResponse>\n<params>\n<param>\n<value><array><data>\n<value><struct>\n\
            <member>\n<name>name</name>\n<value><string>a&lt;b&#38;c</string></value>\n</member>\n<member>\n<name>pid</name>\n\
            <value><int>12</int></value></member><member><name>spawnerr</name><value><string></string></value></member>\
            <member><name>bare</name><value>text</value></member></struct></value>\
            <value><struct><member><name>name</name><value><string>two</string></value></member></struct></value>\
            </data></array></value></param></params></methodResponse>\n";
        let read = read(text).unwrap();
        let of = |i: usize, name: &str| read.structs[i][name].as_str();
        assert_eq!((of(0, "name"), of(0, "pid"), of(0, "spawnerr"), of(0, "bare")), ("a<b&c", "12", "", "text"));
        assert_eq!((of(1, "name"), read.structs.len(), read.fault), ("two", 2, false));
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for (text, why) in [
            ("", "cut short"),
            ("hello", "cut short"),
            ("<html><body>It works</body></html>", "no XML-RPC"),
            ("<methodResponse><params><param><value><struct>", "cut short"),
            ("<methodResponse></params>", "expected"),
            ("<methodResponse>&#xFFFFFFFFF;</methodResponse>", "character"),
        ] {
            let said = read(text).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
        // As deep as may be.
        assert!(read(&("<methodResponse>".to_owned() + &"<value>".repeat(MOST / 7))).is_err());
        // Entities of its own do not grow.
        let bomb = "<!DOCTYPE m [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;\">]><methodResponse><fault>\
            <value><struct><member><name>faultString</name><value>&b;</value></member></struct></value></fault></methodResponse>";
        assert_eq!(read(bomb).unwrap().structs[0]["faultString"], "\u{fffd}");
    }

    proptest! {
        #[test]
        fn any_answer_is_survived(
            text in "(<methodResponse>|</methodResponse>|</?value>|</?struct>|</?name>|<fault/?>|<!\\[CDATA\\[|\\]\\]>|&(amp|#x?[0-9a-f]{0,8});?|<!--|-->|<\\?|\\PC){0,40}"
        ) {
            let _ = read(&text);
            let _ = read(&format!("<methodResponse>{text}</methodResponse>"));
        }
    }
}
