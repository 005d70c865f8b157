//! Puts a message to a URL: as a CloudEvents 1.0 event in JSON, as a template says, or as a preset does.

use super::names::Names;
use super::talk::Talk;
use super::{Failure, Taken, cloudevent, render};
use crate::model::template::{self, Format};
use crate::model::{Clock, Method, Told, Wall, WebhookSpec, plain, signing_key};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{StatusCode, redirect};
use ring::hmac;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// A receiver that asks for more than this is tried again all the same.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// How much of an answer is read; a receiver that is cut off sooner may count that as an error of its own.
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

/// A request as it crosses the wire.
struct Request {
    method: Method,
    url: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// One attempt; why in the built-in words, if the notifier's own could not be used.
pub(super) async fn deliver(
    client: &Client,
    spec: &WebhookSpec,
    told: &Told,
    clock: &dyn Clock,
    talk: &mut Talk,
) -> Result<Taken, Failure> {
    let mut plainly = None;
    let request = request(spec, told, clock, &mut plainly)?;
    let secrets = spec.secrets();
    talk.say('>', &format!("{} {}", request.method.word(), request.url), &secrets);
    say_headers(talk, '>', &request.headers, &secrets);
    talk.say('>', &String::from_utf8_lossy(&request.body), &secrets);
    exchange(client, spec, request, clock, talk).await?;
    Ok(plainly)
}

/// What a message is to this receiver.
fn request(
    spec: &WebhookSpec,
    told: &Told,
    clock: &dyn Clock,
    plainly: &mut Option<String>,
) -> Result<Request, Failure> {
    let told = told.with(&spec.parameters());
    let preset = spec.known.as_deref();
    let method = spec.method.or(preset.map(|preset| preset.method)).unwrap_or_default();
    let url = match (&spec.url, preset) {
        (Some(url), _) => url.expose().to_owned(),
        (None, Some(preset)) => template::render(&preset.url, Format::Text, &told)
            .map_err(|fault| Failure::refused(format!("the URL of the preset: {fault}")))?,
        (None, None) => return Err(Failure::refused("the plan does not say where to")),
    };
    let format = spec.format();
    let templates = [spec.body.as_deref(), preset.and_then(|preset| preset.body.as_deref())];
    // The first that can be used; then the event, which needs none.
    let body = templates.into_iter().flatten().find_map(|body| super::template::render(body, format, &told, plainly));
    let content_type = match (&body, format) {
        (Some(_), Format::Json) => "application/json",
        (Some(_), Format::Text) => "text/plain; charset=utf-8",
        (None, _) => "application/cloudevents+json; charset=utf-8",
    };
    let is_event = body.is_none();
    let body = body.map_or_else(|| cloudevent::json(&told), String::into_bytes);
    let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))]);
    let mut put = |name: &str, value: &str, secret: bool| {
        // What is wrong with a value is not said in more detail: it may be secret.
        let wrong = || Failure::refused(format!("the header `{}` cannot be sent", plain(name)));
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        let mut value = HeaderValue::from_str(value).map_err(|_| wrong())?;
        value.set_sensitive(secret);
        // The content type of an event is not one's own to choose.
        if !(is_event && name == CONTENT_TYPE) {
            headers.insert(name, value);
        }
        Ok(())
    };
    for (name, value) in preset.iter().flat_map(|preset| &preset.headers) {
        let value = template::render(value, Format::Text, &told)
            .map_err(|fault| Failure::refused(format!("the header `{name}` of the preset: {fault}")))?;
        if !value.is_empty() {
            put(name, &value, true)?;
        }
    }
    for (name, given) in &spec.headers {
        put(name, given.expose(), given.is_secret())?;
    }
    put("idempotency-key", &told.worst.key, false)?;
    if let Some(sign) = &spec.sign {
        let seconds = (clock.now().wall.0.div_euclid(1000)).to_string();
        let signature = signature(sign.0.expose(), &told.worst.key, &seconds, &body)
            .ok_or_else(|| Failure::refused("the key of `sign` is not one"))?;
        put("webhook-id", &told.worst.key, false)?;
        put("webhook-timestamp", &seconds, false)?;
        put("webhook-signature", &signature, false)?;
    }
    Ok(Request { method, url, headers, body })
}

/// As Standard Webhooks has it: HMAC-SHA256 of the id, the time in seconds and the body, with full stops between.
/// <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>
fn signature(key: &str, id: &str, seconds: &str, body: &[u8]) -> Option<String> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &signing_key(key)?);
    let mut context = hmac::Context::with_key(&key);
    [id.as_bytes(), b".", seconds.as_bytes(), b".", body].into_iter().for_each(|part| context.update(part));
    Some(format!("v1,{}", STANDARD.encode(context.sign())))
}

fn say_headers(talk: &mut Talk, sign: char, headers: &HeaderMap, secrets: &[String]) {
    for (name, value) in headers {
        talk.say(sign, &format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())), secrets);
    }
    talk.say(sign, "\n", secrets);
}

async fn exchange(
    client: &Client,
    spec: &WebhookSpec,
    request: Request,
    clock: &dyn Clock,
    talk: &mut Talk,
) -> Result<(), Failure> {
    let method = match request.method {
        Method::Post => reqwest::Method::POST,
        Method::Put => reqwest::Method::PUT,
        Method::Patch => reqwest::Method::PATCH,
    };
    let sent = client.get()?.request(method, &request.url).headers(request.headers).body(request.body);
    let answer = sent.timeout(spec.timeout.0).send().await;
    let mut response = answer.map_err(|e| trouble(spec, &e, &request.url))?;
    let status = response.status();
    let after = retry_after(response.headers(), clock);
    let mut answer = Vec::new();
    while answer.len() < ANSWER
        && let Ok(Some(chunk)) = response.chunk().await
    {
        answer.extend_from_slice(&chunk[..chunk.len().min(ANSWER - answer.len())]);
    }
    let secrets = spec.secrets();
    talk.say('<', &format!("{:?} {status}", response.version()), &secrets);
    say_headers(talk, '<', response.headers(), &secrets);
    talk.say('<', &String::from_utf8_lossy(&answer), &secrets);
    if status.is_success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&answer);
    let said = if said.trim().is_empty() { String::new() } else { format!(": {}", said.trim()) };
    let why = without_secrets(spec, &request.url, &format!("status {}{said}", status.as_u16()));
    match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            Err(Failure::Later { why, after })
        }
        _ if status.is_server_error() => Err(Failure::Later { why, after }),
        _ => Err(Failure::refused(why)),
    }
}

/// What came from outside, without what must not be seen. The address that a preset makes is as secret as its parts.
fn without_secrets(spec: &WebhookSpec, url: &str, text: &str) -> String {
    let mut secrets = spec.secrets();
    if spec.known.is_some() {
        secrets.push(url.to_owned());
    }
    render::without(text, secrets.iter().map(String::as_str))
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
fn trouble(spec: &WebhookSpec, error: &reqwest::Error, url: &str) -> Failure {
    let cause = without_secrets(spec, url, &render::root_cause(error));
    if error.is_timeout() {
        Failure::later(format!("no answer within {} s", spec.timeout.0.as_secs_f64()))
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
    use crate::model::{Given, Mono, Now, Secret, Span};
    use crate::notify::render::tests::firing;
    use crate::notify::template::tests::told;

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
        let spec = WebhookSpec { timeout: Span(Duration::from_millis(200)), ..WebhookSpec::new(url) };
        let client = Client::new(Names::default());
        let failure = deliver(&client, &spec, &told(firing()), &Noon, &mut Talk::default()).await.unwrap_err();
        assert!(matches!(&failure, Failure::Later { why, .. } if why == "no answer within 0.2 s"), "{failure}");
    }

    /// The example of the specification, and one whose key is a text.
    #[test]
    fn a_request_is_signed_as_standard_webhooks_says() {
        let key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let body = br#"{"test": 2432232314}"#;
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body).as_deref(), Some(expected));
        assert!(signature("a key in plain text", "1", "2", b"").is_some());
        assert_eq!(signature("whsec_!", "1", "2", b""), None);

        let mut sign: Secret = serde_json::from_str(r#"{"env": "KEY"}"#).unwrap();
        sign.0.resolve(key.to_owned());
        let spec = WebhookSpec { sign: Some(sign), ..WebhookSpec::new(Given::literal("http://hook/")) };
        let request = request(&spec, &told(firing()), &Noon, &mut None).unwrap();
        assert_eq!(request.headers["webhook-id"], "3f9a02c177-41");
        assert_eq!(request.headers["webhook-timestamp"], "1445412480");
        assert_eq!(request.headers["idempotency-key"], "3f9a02c177-41");
        let expected = signature(key, "3f9a02c177-41", "1445412480", &request.body).unwrap();
        assert_eq!(request.headers["webhook-signature"], expected);
    }

    #[test]
    fn a_template_that_fails_is_not_why_a_message_is_lost() {
        let body = Some("{ \"n\": {{ rules[7].value }} }".to_owned());
        let spec = WebhookSpec { body, ..WebhookSpec::new(Given::literal("http://hook/")) };
        let mut plainly = None;
        let request = request(&spec, &told(firing()), &Noon, &mut plainly).unwrap();
        assert!(plainly.unwrap().contains("rules[7]"));
        assert!(request.headers["content-type"].to_str().unwrap().starts_with("application/cloudevents+json"));
        let event: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(event["type"], "minder.firing");
    }

    /// A receiver that says what it was asked for says a part of a secret address.
    #[test]
    fn no_part_of_a_secret_address_is_repeated() {
        let mut url: Given = serde_json::from_str(r#"{"env": "URL"}"#).unwrap();
        url.resolve(
            "https://ops:p%40ss-w%2Brd@chat.example/services/T0AB/B0CD/xyzzy-xyzzy-42?key=abcdef-0123456&v=1"
                .to_owned(),
        );
        let spec = WebhookSpec::new(url);
        for said in [
            "no service /services/T0AB/B0CD/xyzzy-xyzzy-42 here",
            "no service /services/T0AB/B0CD/xyzzy-xyzzy-42?key=abcdef-0123456&v=1 here",
            "GET \\/services\\/T0AB\\/B0CD\\/xyzzy-xyzzy-42",
            "unknown hook xyzzy-xyzzy-42",
            "the key abcdef-0123456 has expired",
            "Basic b3BzOnBAc3MtdytyZA== is wrong, p@ss-w+rd that is",
        ] {
            let shown = without_secrets(&spec, "", said);
            for secret in ["xyzzy", "abcdef", "b3Bz", "p@ss"] {
                assert!(!shown.contains(secret), "{said}: {shown}");
            }
            assert!(shown.contains("[secret]"), "{shown}");
        }
        assert_eq!(without_secrets(&spec, "", "no services here"), "no services here");
    }
}
