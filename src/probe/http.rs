//! `http`: one request on a connection of its own, its redirects, and what the answer is like.

mod judge;
#[cfg(test)]
mod tests;

use self::judge::judge;
use super::net::{Net, Place, Progress, Stage, Stream};
use super::words::{TEXT, Trouble, text, trouble};
use crate::model::kinds::Http;
use crate::model::{Clock, Dimension, Given, MetricId, MetricSet, Mono, Now, Reading, Sample, show};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures_util::future::{Either, select};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::error::Error;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use url::{Position, Url};

/// How much of a body is read.
const BODY: usize = 1 << 20;
/// How large the head of an answer may be, in bytes.
const HEAD: usize = 64 * 1024;
/// How many headers it may have.
const HEADERS: usize = 100;

const FAILED: MetricId = MetricId(0);
const STATUS: MetricId = MetricId(1);
const LATENCY: MetricId = MetricId(2);
const DNS: MetricId = MetricId(3);
const CONNECT: MetricId = MetricId(4);
const TLS: MetricId = MetricId(5);
const FIRST_BYTE: MetricId = MetricId(6);
const SIZE: MetricId = MetricId(7);
const BODY_TEXT: MetricId = MetricId(8);
const CERT_EXPIRES: MetricId = MetricId(9);

/// What has been obtained so far. After a redirect, it is about the last request.
struct Answer {
    progress: Progress,
    wire: Arc<Wire>,
    status: Option<StatusCode>,
    headers: HeaderMap,
    /// How much of the body was read.
    size: Option<usize>,
    /// The part of it that is looked at.
    body: Vec<u8>,
    /// There was more than we read.
    cut: bool,
    latency: Reading,
}

impl Answer {
    fn new(hidden: bool) -> Answer {
        let (progress, latency) = (Progress::new(hidden), Reading::Unknown);
        let headers = HeaderMap::new();
        Answer {
            progress,
            wire: Arc::default(),
            status: None,
            headers,
            size: None,
            body: Vec::new(),
            cut: false,
            latency,
        }
    }

    fn readings(&self, wanted: MetricSet, secrets: &[String], now: Now) -> Vec<(MetricId, Reading)> {
        let progress = &self.progress;
        let number = |value: Option<f64>| value.map_or(Reading::Unknown, Reading::Number);
        let mut readings = vec![
            (STATUS, number(self.status.map(|status| f64::from(status.as_u16())))),
            (LATENCY, self.latency.clone()),
            (DNS, progress.dns.clone()),
            (CONNECT, progress.connect.clone()),
            (TLS, progress.tls.clone()),
            (FIRST_BYTE, number(self.wire.first_byte().map(|d| d.as_secs_f64()))),
            (SIZE, number(self.size.map(|size| size as f64))),
            (CERT_EXPIRES, progress.cert_expires(now)),
        ];
        if wanted.contains(BODY_TEXT) && self.size.is_some() {
            readings.push((BODY_TEXT, Reading::Text(text(&self.body, secrets))));
        }
        readings
    }
}

/// What is asked next: the check's own question, or where a redirect led.
struct Hop {
    url: Url,
    method: Method,
    /// The body is sent.
    body: bool,
    /// It goes to the origin that the check names, and no other was asked in between: secrets may be sent.
    own: bool,
}

impl Net {
    /// Asks once. The sample is there at the latest when the time is up; then the check has failed, and the sample has
    /// what was obtained until then.
    pub async fn http(&self, spec: &Http, wanted: MetricSet, timeout: Duration) -> Sample {
        let start = self.clock.now();
        let mut answer = Answer::new(spec.url.is_secret());
        let asked = tokio::time::timeout(timeout, self.ask(spec, wanted, start.mono, timeout, &mut answer)).await;
        let outcome = match asked {
            Ok(Ok(())) => judge(&spec.expect, &answer),
            Ok(Err(trouble)) => Err(trouble),
            Err(_) => Err(answer.progress.stage.too_late(timeout)),
        };
        let remark = answer.cut.then(|| "the body is larger than 1 MiB; the rest was not read".to_owned());
        let secrets = secrets(spec);
        let readings = answer.readings(wanted, &secrets, self.clock.now());
        self.sample(start, outcome.map(|()| remark), FAILED, readings, &secrets)
    }

    /// Asks, and follows redirects.
    async fn ask(
        &self,
        spec: &Http,
        wanted: MetricSet,
        start: Mono,
        timeout: Duration,
        answer: &mut Answer,
    ) -> Result<(), Trouble> {
        let keep = match (spec.expect.wants_body(), wanted.contains(BODY_TEXT)) {
            (true, _) => BODY,
            (false, true) => TEXT,
            (false, false) => 0,
        };
        let url = Url::parse(spec.url.expose()).map_err(|_| Trouble::ours("the URL is not one"))?;
        let method =
            Method::from_bytes(spec.method.as_bytes()).map_err(|_| Trouble::ours("there is no such method"))?;
        let mut hop = Hop { url, method, body: spec.body.is_some(), own: true };
        for left in (0..=spec.redirects).rev() {
            *answer = Answer::new(spec.url.is_secret());
            let request = request(spec, &hop)?;
            let stream = self.reach(spec, &hop, start + timeout, &mut answer.progress).await?;
            let follow = spec.redirects > 0;
            let Some(location) = self.exchange(stream, request, follow, keep, answer).await? else {
                answer.latency = self.since(start);
                return Ok(());
            };
            if left > 0 {
                hop = redirected(spec, hop, answer.status, &location)?;
            }
        }
        Err(Trouble::failed(format!("more than {} redirects", spec.redirects)))
    }

    /// Connects to the hop's server.
    async fn reach(
        &self,
        spec: &Http,
        hop: &Hop,
        deadline: Mono,
        progress: &mut Progress,
    ) -> Result<Box<dyn Stream>, Trouble> {
        let (Some(host), Some(port)) = (hop.url.host_str(), hop.url.port_or_known_default()) else {
            return Err(Trouble::ours("the URL names no host"));
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let place = match &spec.unix {
            Some(path) if hop.own => Place::Unix(path.as_path()),
            _ => Place::Host(host, port),
        };
        let stream = self.connect(&place, deadline, progress).await?;
        if hop.url.scheme() != "https" {
            progress.tls = Reading::Absent;
            return Ok(stream);
        }
        let name = spec.tls.name.as_deref().filter(|_| hop.own).unwrap_or(host);
        self.secure(stream, &spec.tls, name, b"http/1.1", progress).await
    }

    /// Sends the request and reads the answer; or stops at its head, if it leads elsewhere and is to be followed.
    async fn exchange(
        &self,
        stream: Box<dyn Stream>,
        request: Request<Full<Bytes>>,
        follow: bool,
        keep: usize,
        answer: &mut Answer,
    ) -> Result<Option<String>, Trouble> {
        answer.progress.stage = Stage::FirstByte;
        let wire = Watched { stream, clock: Arc::clone(&self.clock), wire: Arc::clone(&answer.wire) };
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(HEAD)
            .max_headers(HEADERS)
            .handshake(TokioIo::new(wire))
            .await
            .map_err(|e| hyper_trouble(&e))?;
        let exchange = pin!(async {
            let response = sender.send_request(request).await.map_err(|e| hyper_trouble(&e))?;
            let (head, mut body) = response.into_parts();
            answer.status = Some(head.status);
            answer.headers = head.headers;
            if let Some(location) = location(head.status, &answer.headers).filter(|_| follow) {
                return Ok(Some(location));
            }
            answer.progress.stage = Stage::Body;
            answer.size = Some(0);
            while let Some(frame) = body.frame().await {
                let size = answer.size.unwrap_or_default();
                let frame = frame.map_err(|e| {
                    let why = hyper_trouble(&e);
                    Trouble::failed(format!(
                        "the body broke off after {}: {}",
                        show(size as f64, Dimension::Bytes),
                        why.why()
                    ))
                })?;
                let Some(data) = frame.data_ref() else { continue };
                let read = data.len().min(BODY - size);
                answer.size = Some(size + read);
                answer.body.extend_from_slice(&data[..read.min(keep - answer.body.len())]);
                if read < data.len() {
                    answer.cut = true;
                    break;
                }
            }
            Ok(None)
        });
        // The connection is moved by polling it, and dropped with the probe: a task of its own would outlive the deadline.
        match select(exchange, pin!(connection)).await {
            Either::Left((exchanged, _)) => exchanged,
            Either::Right((_, exchange)) => exchange.await,
        }
    }
}

/// The request of a hop.
fn request(spec: &Http, hop: &Hop) -> Result<Request<Full<Bytes>>, Trouble> {
    let value = |name: &str, value: &str| {
        HeaderValue::from_str(value)
            .map_err(|_| Trouble::ours(format!("the value of the header {name} cannot be sent")))
    };
    let mut headers = HeaderMap::new();
    let host = hop.url.host_str().unwrap_or_default();
    headers
        .insert(header::HOST, value("Host", &hop.url.port().map_or(host.to_owned(), |port| format!("{host}:{port}")))?);
    headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("minder/", env!("CARGO_PKG_VERSION"))));
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    for (name, given) in &spec.headers {
        let key = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| Trouble::ours("the name of a header cannot be sent"))?;
        if hop.own || !stays(&key, given) {
            let value = value(name, given.expose())?;
            headers.try_insert(key, value).map_err(|_| Trouble::ours("there are too many headers to send"))?;
        }
    }
    if let Some(token) = authorization(spec).filter(|_| hop.own) {
        headers.insert(header::AUTHORIZATION, value("Authorization", &token)?);
    }
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    let body = match &spec.body {
        Some(body) if hop.body => Bytes::copy_from_slice(body.expose().as_bytes()),
        _ => Bytes::new(),
    };
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = hop.method.clone();
    *request.uri_mut() = hop.url[Position::BeforePath..Position::AfterQuery]
        .parse()
        .map_err(|_| Trouble::ours("the path of the URL cannot be sent"))?;
    *request.headers_mut() = headers;
    Ok(request)
}

/// Whether a header is for the origin that the check names, and no other.
fn stays(name: &HeaderName, given: &Given) -> bool {
    let own = [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION, header::HOST];
    given.is_secret() || own.contains(name)
}

fn authorization(spec: &Http) -> Option<String> {
    if let Some(basic) = &spec.basic {
        return Some(format!("Basic {}", BASE64.encode(format!("{}:{}", basic.user, basic.password.0.expose()))));
    }
    spec.bearer.as_ref().map(|bearer| format!("Bearer {}", bearer.0.expose()))
}

/// What must not be shown, in the forms in which a server could send it back.
fn secrets(spec: &Http) -> Vec<String> {
    let secret = |given: &Given| given.is_secret().then(|| given.expose().to_owned());
    let mut secrets: Vec<String> =
        spec.headers.values().chain(&spec.body).chain([&spec.url]).filter_map(secret).collect();
    secrets.extend(spec.basic.iter().map(|basic| basic.password.0.expose().to_owned()));
    secrets.extend(authorization(spec).iter().filter_map(|a| a.split_once(' ')).map(|(_, token)| token.to_owned()));
    if let (true, Ok(url)) = (spec.url.is_secret(), Url::parse(spec.url.expose())) {
        secrets.push(url[Position::BeforePath..Position::AfterQuery].to_owned());
        secrets.extend(url.query().map(str::to_owned));
    }
    secrets
}

/// Where an answer leads, if it does.
fn location(status: StatusCode, headers: &HeaderMap) -> Option<String> {
    let leads = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = headers.get(header::LOCATION).filter(|_| leads)?;
    Some(String::from_utf8_lossy(location.as_bytes()).into_owned())
}

/// The hop after a redirect.
fn redirected(spec: &Http, hop: Hop, status: Option<StatusCode>, location: &str) -> Result<Hop, Trouble> {
    let url = hop.url.join(location).map_err(|_| Trouble::failed("the redirect does not lead to a URL"))?;
    match (hop.url.scheme(), url.scheme()) {
        ("https", "http") => return Err(Trouble::failed("the redirect leads from https to http")),
        (_, "http" | "https") => {}
        _ => return Err(Trouble::failed("the redirect does not lead to a URL of HTTP")),
    }
    let own = hop.own && url.origin() == hop.url.origin();
    let same = matches!(status.map(|status| status.as_u16()), Some(307 | 308));
    let method = if same || hop.method == Method::HEAD { hop.method } else { Method::GET };
    let body = hop.body && same;
    if body && !own && spec.body.as_ref().is_some_and(Given::is_secret) {
        return Err(Trouble::failed("the redirect would send a secret body to another origin"));
    }
    Ok(Hop { url, method, body, own })
}

fn hyper_trouble(e: &hyper::Error) -> Trouble {
    let mut source = e.source();
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            return trouble(io);
        }
        source = inner.source();
    }
    if e.is_parse_too_large() {
        return Trouble::failed("the head of the answer has more than 100 headers, or more than 64 KiB");
    }
    if e.is_parse() {
        return Trouble::failed("the answer is not HTTP/1");
    }
    if e.is_incomplete_message() || e.is_canceled() || e.is_closed() {
        return Trouble::failed("the connection was closed before the answer");
    }
    Trouble::failed(e.to_string())
}

/// When the last byte of the request went out, and when the first of the answer came, by the monotonic clock; zero
/// until then.
#[derive(Default)]
struct Wire {
    sent: AtomicU64,
    first: AtomicU64,
}

impl Wire {
    fn first_byte(&self) -> Option<Duration> {
        let (sent, first) = (self.sent.load(Relaxed), self.first.load(Relaxed));
        (first > 0 && sent > 0).then(|| Mono(first) - Mono(sent))
    }
}

/// A stream that notes these times. (The client above it tells when the whole head was read, which is later.)
struct Watched {
    stream: Box<dyn Stream>,
    clock: Arc<dyn Clock>,
    wire: Arc<Wire>,
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before && self.wire.first.load(Relaxed) == 0 {
            self.wire.first.store(self.clock.now().mono.0, Relaxed);
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(cx, data);
        if wrote.is_ready() && self.wire.first.load(Relaxed) == 0 {
            self.wire.sent.store(self.clock.now().mono.0, Relaxed);
        }
        wrote
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
