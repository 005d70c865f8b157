//! A real HTTP receiver that records what it is sent and answers as it is told.

use super::wait_for;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What was received.
#[derive(Debug, Clone)]
pub struct Request {
    /// `POST /hook HTTP/1.1`
    pub line: String,
    /// As sent, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
    /// When it was there.
    pub at: Instant,
}

impl Request {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// An HTTP server on 127.0.0.1. Its thread ends with the test program.
pub struct Receiver {
    /// Where it listens.
    pub port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
}

/// The answer that never comes.
pub const NEVER: &str = "";

impl Receiver {
    /// Answers every request with 204.
    pub fn start() -> Receiver {
        Receiver::answering(&[])
    }

    /// Answers with these status lines (and headers) in turn, `"500 Oh"`, and 204 when they are used up. An empty one is
    /// no answer: the connection stays open.
    pub fn answering(answers: &[&str]) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let recorded = requests.clone();
        let mut answers = answers.iter().map(|a| a.to_string()).collect::<Vec<_>>().into_iter();
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for stream in listener.incoming().flatten() {
                let Some(request) = read(&stream) else { continue };
                recorded.lock().unwrap().push(request);
                match answers.next().as_deref() {
                    Some(NEVER) => held.push(stream),
                    answer => respond(stream, answer.unwrap_or("204 No Content")),
                }
            }
        });
        Receiver { port, requests }
    }

    /// Where to post to.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    /// Every request so far, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// The first request whose body holds all of these texts; waits for it.
    #[track_caller]
    pub fn wait(&self, bound: Duration, texts: &[&str]) -> Request {
        let what = || format!("a request with {texts:?}; there are {:#?}", self.requests());
        wait_for(what, bound, || self.requests().into_iter().find(|r| texts.iter().all(|text| r.body.contains(text))))
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim().split_once(':') else { break };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let request = Request { line: line.trim().to_owned(), headers, body: String::new(), at: Instant::now() };
    let length = request.header("content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { body: String::from_utf8(body).ok()?, ..request })
}

fn respond(mut stream: TcpStream, answer: &str) {
    let _ = write!(stream, "HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
}
