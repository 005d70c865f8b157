//! Posts a message to a URL, as a CloudEvents 1.0 event in JSON.

use super::names::Names;
use super::{Failure, cloudevent, render};
use crate::model::{Clock, Given, Message, Wall, WebhookSpec, plain};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{StatusCode, redirect};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// For the whole exchange, from the name lookup to the end of the answer.
const DEADLINE: Duration = Duration::from_secs(15);

/// A receiver that asks for more than this is tried again all the same.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// How much of an answer is read. It is not used; a receiver that is cut off may count that as an error of its own.
const ANSWER: usize = 4096;

/// One HTTP client for all webhooks, made when the first one is needed: it reads every certificate that the machine trusts.
#[derive(Clone)]
pub(super) struct Client {
    made: Arc<OnceLock<Result<reqwest::Client, String>>>,
    names: Names,
}

impl Client {
    /// Looks names up by these.
    pub(super) fn new(names: Names) -> Client {
        Client { made: Arc::default(), names }
    }

    fn get(&self) -> Result<&reqwest::Client, Failure> {
        let made = self.made.get_or_init(|| {
            // An error means that another part of minder has installed it already.
            let _ = rustls::crypto::ring::default_provider().install_default();
            reqwest::Client::builder()
                .no_proxy()
                .dns_resolver(Arc::new(self.names.clone()))
                .redirect(redirect::Policy::none())
                .pool_max_idle_per_host(0)
                .user_agent(concat!("minder/", env!("CARGO_PKG_VERSION")))
                .build()
                .map_err(|e| format!("no HTTP client: {}", render::root_cause(&e)))
        });
        made.as_ref().map_err(|why| Failure::later(why.clone()))
    }
}

/// One attempt.
pub(super) async fn deliver(
    client: &Client,
    spec: &WebhookSpec,
    message: &Message,
    clock: &dyn Clock,
) -> Result<(), Failure> {
    post(client, spec, cloudevent::json(message), clock, DEADLINE).await
}

async fn post(
    client: &Client,
    spec: &WebhookSpec,
    body: Vec<u8>,
    clock: &dyn Clock,
    deadline: Duration,
) -> Result<(), Failure> {
    let request = client.get()?.post(spec.url.expose()).headers(headers(spec)?).body(body).timeout(deadline);
    let mut response = request.send().await.map_err(|e| trouble(spec, &e, deadline))?;
    let status = response.status();
    let after = retry_after(response.headers(), clock);
    let mut read = 0;
    while read < ANSWER
        && let Ok(Some(chunk)) = response.chunk().await
    {
        read += chunk.len();
    }
    let why = format!("status {}", status.as_u16());
    match status {
        _ if status.is_success() => Ok(()),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            Err(Failure::Later { why, after })
        }
        _ if status.is_server_error() => Err(Failure::Later { why, after }),
        _ => Err(Failure::refused(why)),
    }
}

/// The headers of the specification. The content type is not one's own to choose.
fn headers(spec: &WebhookSpec) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    for (name, given) in &spec.headers {
        // What is wrong with a value is not said in more detail: it may be secret.
        let wrong = || Failure::refused(format!("the header `{}` cannot be sent", plain(name)));
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        let mut value = HeaderValue::from_str(given.expose()).map_err(|_| wrong())?;
        value.set_sensitive(given.is_secret());
        headers.insert(name, value);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/cloudevents+json; charset=utf-8"));
    Ok(headers)
}

/// When the receiver wants to be tried again: seconds, or a date (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap, clock: &dyn Clock) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let then = jiff::fmt::rfc2822::parse(text).ok()?;
            Wall(then.timestamp().as_millisecond()) - clock.now().wall
        }
    };
    Some(wait.min(LONGEST_WAIT))
}

/// What went wrong before there was an answer.
fn trouble(spec: &WebhookSpec, error: &reqwest::Error, deadline: Duration) -> Failure {
    let secrets: Vec<&Given> = spec.headers.values().chain([&spec.url]).collect();
    let cause =
        render::without(&render::root_cause(error), secrets.iter().filter(|g| g.is_secret()).map(|g| g.expose()));
    if error.is_timeout() {
        Failure::later(format!("no answer within {} s", deadline.as_secs_f64()))
    } else if error.is_builder() {
        Failure::refused(format!("the request cannot be made: {cause}"))
    } else if error.is_connect() {
        Failure::later(format!("could not connect: {cause}"))
    } else {
        Failure::later(format!("the connection failed: {cause}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Mono, Now};

    struct Noon;

    impl Clock for Noon {
        fn now(&self) -> Now {
            // 2015-10-21T07:28:00Z
            Now { mono: Mono(0), wall: Wall(1_445_412_480_000) }
        }
    }

    #[test]
    fn a_receiver_says_when_to_come_back() {
        for (text, seconds) in [
            ("7", Some(7)),
            (" 30 ", Some(30)),
            ("99999999999", Some(3600)),
            ("Wed, 21 Oct 2015 07:29:05 GMT", Some(65)),
            ("Wed, 21 Oct 2015 07:00:00 GMT", Some(0)),
            ("Wed, 21 Oct 2099 07:00:00 GMT", Some(3600)),
            ("soon", None),
            ("-5", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
            assert_eq!(retry_after(&headers, &Noon), seconds.map(Duration::from_secs), "{text:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), &Noon), None);
    }

    #[tokio::test]
    async fn a_receiver_that_says_nothing_is_given_up_at_the_deadline() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = Given::literal(format!("http://{}/", silent.local_addr().unwrap()));
        let spec = WebhookSpec { url, headers: Default::default() };
        let deadline = Duration::from_millis(200);
        let failure = post(&Client::new(Names::default()), &spec, Vec::new(), &Noon, deadline).await.unwrap_err();
        assert!(matches!(&failure, Failure::Later { why, .. } if why == "no answer within 0.2 s"), "{failure}");
    }
}
