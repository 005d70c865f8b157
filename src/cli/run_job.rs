//! `minder run-job`: wraps a job of cron, and tells its heartbeat when it begins and how it ends.
//!
//! The job comes first: it runs whatever becomes of minder, with our standard input, output and error, and it is waited for.

use super::client::{Client, Reply, encode, exchange};
use super::wrapper::{Wrapper, ending};
use super::{Failure, Outcome, code};
use crate::daemon::RealClock;
use crate::model::{Clock, plain};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request};
use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

/// So long a job waits for minder to hear that it begins.
const BEGIN_WITHIN: Duration = Duration::from_secs(2);
/// So long minder has to hear that it has ended; one that heard of its begin, and is not there, is starting again.
const END_WITHIN: Duration = Duration::from_secs(5);
const AGAIN_AFTER: Duration = Duration::from_millis(250);
const AGAIN: usize = 20;
/// Where to tell it instead of the socket: the address of the heartbeat, which ends in its secret.
const URL: &str = "MINDER_URL";

/// Run a job, and tell its heartbeat when it begins and how it ends
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  minder run-job backup -- /usr/local/bin/backup --full\n  \
                        MINDER_URL=http://127.0.0.1:8900/api/v1/heartbeat/SECRET minder run-job backup -- ./backup\n\n\
                        Only root and minder's own user may speak at its socket. A job of another user tells the address that \
                        MINDER_URL holds; the job itself does not see it.\n\n\
                        Exit codes: that of the job; 128 and the number of the signal that killed it; 126 or 127 if it cannot \
                        be run. If minder is not there, the job runs all the same.")]
pub(super) struct Args {
    /// The service, or one of its heartbeats as SERVICE/CHECK
    name: String,
    /// The job: a program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Who is told, and whether it could be.
struct Teller<'a> {
    args: &'a Args,
    client: &'a Client,
    url: Option<String>,
    runtime: Arc<tokio::runtime::Runtime>,
    heard: bool,
    said: bool,
}

pub(super) fn run(args: &Args, client: &Client) -> Result<Outcome, Failure> {
    let system = |e: std::io::Error| Failure::new(code::WRONG, format!("the system gives too little to run: {e}"));
    // From here on: what comes while minder is told is passed on, too.
    let mut wrapper = Wrapper::new().map_err(system)?;
    let url = std::env::var(URL).ok().filter(|url| !url.is_empty());
    let mut teller = Teller { args, client, url, runtime: wrapper.runtime(), heard: false, said: false };
    teller.tell("start", None, None, BEGIN_WITHIN, 1);
    let began = RealClock.now().mono;
    let Some((program, arguments)) = args.command.split_first() else {
        return Err(Failure::new(code::USAGE, "there is no command behind `--`"));
    };
    let status = match wrapper.run(program, arguments, &[URL]) {
        Ok(status) => status,
        Err(e) => {
            let code = if e.kind() == ErrorKind::NotFound { 127 } else { 126 };
            let words = format!("{} cannot be run: {e}", plain(&program.to_string_lossy()));
            teller.tell(&code.to_string(), None, Some(words.clone()), END_WITHIN, AGAIN);
            return Err(Failure::new(code, words));
        }
    };
    let took = RealClock.now().mono - began;
    let (code, words) = ending(status);
    teller.tell(&code.to_string(), Some(took), words, END_WITHIN, AGAIN);
    Ok(Outcome { text: String::new(), code })
}

impl Teller<'_> {
    /// Tells it. That it cannot be told is said once, in a line.
    fn tell(&mut self, what: &str, took: Option<Duration>, words: Option<String>, within: Duration, tries: usize) {
        let took = took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        let tries = if self.heard || tries == 1 { tries } else { 1 };
        let mut outcome = Ok(());
        for i in 0..tries {
            if i > 0 {
                std::thread::sleep(AGAIN_AFTER);
            }
            outcome = match &self.url {
                Some(url) => self.by_url(url, what, took, words.as_deref(), within),
                None => self.by_socket(what, took, words.as_deref(), within),
            };
            // What is refused once is refused again.
            if !matches!(&outcome, Err(failure) if failure.code == code::UNREACHABLE) {
                break;
            }
        }
        match outcome {
            Ok(()) => self.heard = true,
            Err(failure) if !self.said => {
                self.said = true;
                let _ = writeln!(std::io::stderr(), "minder was not told of this job: {}", plain(&failure.words));
            }
            Err(_) => {}
        }
    }

    fn by_socket(&self, what: &str, took: Option<u64>, words: Option<&str>, within: Duration) -> Result<(), Failure> {
        let (service, check) = match self.args.name.split_once('/') {
            Some((service, check)) => (service, Some(check)),
            None => (self.args.name.as_str(), None),
        };
        let told = serde_json::json!({ "check": check, "what": what, "took": took, "words": words });
        let path = format!("/api/v1/services/{}/heartbeat", encode(service));
        let reply = self.client.send(Method::POST, &path, told.to_string().into(), within)?;
        if reply.status.is_success() { Ok(()) } else { Err(self.client.refused(&reply)) }
    }

    /// The address holds a secret: it is not repeated, whatever is wrong.
    fn by_url(
        &self,
        url: &str,
        what: &str,
        took: Option<u64>,
        words: Option<&str>,
        within: Duration,
    ) -> Result<(), Failure> {
        let bad = || {
            Failure::new(code::USAGE, format!("{URL} is no address such as http://127.0.0.1:8900/api/v1/heartbeat/.."))
        };
        let url = url::Url::parse(url).ok().filter(|url| url.scheme() == "http").ok_or_else(bad)?;
        let (host, port) = (url.host_str().ok_or_else(bad)?, url.port().unwrap_or(80));
        let query = took.map_or_else(String::new, |took| format!("?took={took}"));
        let path = format!("{}/{what}{query}", url.path().trim_end_matches('/'));
        let request = Request::builder().method(Method::POST).uri(path).header("host", format!("{host}:{port}"));
        let body = Full::new(Bytes::from(words.unwrap_or_default().to_owned()));
        let request = request.body(body).map_err(|_| bad())?;
        let unreachable = |why: String| Failure::new(code::UNREACHABLE, format!("{host}:{port}: {why}"));
        let asked = async {
            let stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
            exchange(stream, request).await
        };
        let answer = self.runtime.block_on(async { tokio::time::timeout(within, asked).await });
        let reply: Reply = match answer {
            Err(_) => return Err(unreachable(format!("no answer within {} s", within.as_secs()))),
            Ok(Err(e)) => return Err(unreachable(e.to_string())),
            Ok(Ok(reply)) => reply,
        };
        if reply.status.is_success() {
            Ok(())
        } else {
            Err(Failure::new(code::USAGE, format!("{host}:{port} knows no heartbeat at the address in {URL}")))
        }
    }
}
