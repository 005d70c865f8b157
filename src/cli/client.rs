//! Talks HTTP to the daemon's unix socket. Every wait and every answer is bounded.

use super::{Failure, code};
use crate::daemon::paths;
use crate::model::{Answer, Wall, plain_lines};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;

/// The longest answer: samples of a long time as JSON.
const MAX_ANSWER: usize = 64 << 20;
/// How long an answer to a question may take.
pub(super) const SOON: Duration = Duration::from_secs(15);
/// How long the true outcome of a command may take; the daemon itself gives up a little earlier.
pub(super) const OUTCOME: Duration = Duration::from_secs(310);

/// The daemon, seen from here.
pub(super) struct Client {
    path: PathBuf,
    runtime: tokio::runtime::Runtime,
}

/// An answer, whatever its status.
pub(super) struct Reply {
    pub status: StatusCode,
    pub body: Bytes,
    /// Where the next page of a list is.
    next: Option<String>,
}

#[derive(Deserialize)]
struct Problem {
    title: String,
    detail: String,
}

#[derive(Deserialize)]
struct Health {
    at: Wall,
}

impl Client {
    pub fn new(socket: Option<&Path>) -> Result<Client, Failure> {
        let path = socket.map_or_else(paths::socket, Path::to_owned);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime =
            runtime.map_err(|e| Failure::new(code::WRONG, format!("the system gives too little to run: {e}")))?;
        Ok(Client { path, runtime })
    }

    /// Asks, and reads the answer as JSON.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let reply = self.send(Method::GET, path, Bytes::new(), SOON)?;
        if reply.status.is_success() { self.read(&reply) } else { Err(self.refused(&reply)) }
    }

    /// Asks for the first `limit` items of a list, which come in pages.
    pub fn list<T: DeserializeOwned>(&self, path: &str, limit: usize) -> Result<Vec<T>, Failure> {
        let mut all: Vec<T> = Vec::new();
        let mut next = Some(path.to_owned());
        while let Some(path) = next.filter(|_| all.len() < limit) {
            let reply = self.send(Method::GET, &path, Bytes::new(), SOON)?;
            if !reply.status.is_success() {
                return Err(self.refused(&reply));
            }
            all.extend(self.read::<Vec<T>>(&reply)?);
            next = reply.next;
        }
        all.truncate(limit);
        Ok(all)
    }

    /// What came of something that was asked for.
    pub fn outcome(&self, reply: &Reply) -> Result<String, Failure> {
        let words = |words: &str| plain_lines(words.trim_end()).into_owned();
        match reply.status {
            StatusCode::OK | StatusCode::ACCEPTED => {
                self.read::<Answer>(reply).map(|answer| words(&answer.words) + "\n")
            }
            // It was understood, and was not done.
            StatusCode::CONFLICT => Err(Failure::new(code::WRONG, words(&self.read::<Problem>(reply)?.detail))),
            _ => Err(self.refused(reply)),
        }
    }

    /// The moment so long ago by the daemon's clock, which is what history is written by, in milliseconds.
    pub fn ago(&self, since: Duration) -> Result<i64, Failure> {
        let health: Health = self.get("/healthz")?;
        Ok(health.at.0.saturating_sub(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
    }

    /// What the answer says.
    pub fn read<T: DeserializeOwned>(&self, reply: &Reply) -> Result<T, Failure> {
        serde_json::from_slice(&reply.body).map_err(|e| {
            let words = format!("what answers at {} is not this version of minder: {e}", self.path.display());
            Failure::new(code::UNREACHABLE, words)
        })
    }

    /// The answer of a daemon that did not do what it was asked.
    pub fn refused(&self, reply: &Reply) -> Failure {
        match serde_json::from_slice::<Problem>(&reply.body) {
            Ok(problem) => {
                // What does not exist, or was not understood, was asked for wrongly.
                let code = if reply.status.is_client_error() { code::USAGE } else { code::WRONG };
                Failure::new(code, plain_lines(&format!("{}: {}", problem.title, problem.detail)))
            }
            Err(_) => Failure::new(code::UNREACHABLE, format!("what answers at {} is not minder", self.path.display())),
        }
    }

    pub fn send(&self, method: Method, path: &str, body: Bytes, within: Duration) -> Result<Reply, Failure> {
        let exchange = async {
            let stream = UnixStream::connect(&self.path).await.map_err(|e| self.not_there(&e))?;
            let request = Request::builder().method(method).uri(path).header("host", "minder");
            let request = request.header("content-type", "application/json");
            let request = request.body(Full::new(body)).map_err(|e| Failure::new(code::USAGE, e.to_string()))?;
            exchange(stream, request).await.map_err(|e| {
                Failure::new(
                    code::UNREACHABLE,
                    format!("the connection to minder at {} broke: {e}", self.path.display()),
                )
            })
        };
        self.runtime.block_on(async {
            tokio::time::timeout(within, exchange).await.unwrap_or_else(|_| {
                let words = format!("minder at {} did not answer within {} s", self.path.display(), within.as_secs());
                Err(Failure::new(code::UNREACHABLE, words))
            })
        })
    }

    fn not_there(&self, e: &io::Error) -> Failure {
        let path = self.path.display();
        let words = match e.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                let mut words =
                    format!("minder is not running here: nothing answers at {path}. Start it with `minder run`.");
                // Its directory is closed to others, and shows all the same that the machine has one.
                let machine = Path::new(paths::MACHINE_SOCKET);
                if !rustix::process::geteuid().is_root() && machine.parent().is_some_and(Path::exists) {
                    words.push_str(" The one of this machine belongs to root: ask it as root, by sudo.");
                }
                words
            }
            io::ErrorKind::PermissionDenied => {
                format!(
                    "no permission to speak with minder at {path}: only root and the user that it runs as may. Try sudo."
                )
            }
            _ => format!("minder at {path} cannot be reached: {e}"),
        };
        Failure::new(code::UNREACHABLE, words)
    }
}

/// One request, and its answer.
pub(super) async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Reply, Box<dyn std::error::Error>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let next = answer.headers().get("link").and_then(|link| link.to_str().ok()?.strip_prefix('<')?.split_once('>'));
    let next = next.map(|(address, _)| address.to_owned());
    let body =
        Limited::new(answer.into_body(), MAX_ANSWER).collect().await.map_err(|e| e as Box<dyn std::error::Error>)?;
    Ok(Reply { status, body: body.to_bytes(), next })
}

/// A text as a part of a path or a query.
pub(super) fn encode(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}
