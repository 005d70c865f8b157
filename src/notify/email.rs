//! Sends a message by mail, in plain text.

use super::names::Names;
use super::{Failure, render};
use crate::model::{EmailSpec, Given, Mail, MailTls, Message};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lettre::address::Envelope;
use lettre::message::Mailbox;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use std::time::{Duration, SystemTime};

/// For everything that one server takes, from the name lookup to its last word: lettre bounds the connecting only.
const DEADLINE: Duration = Duration::from_secs(30);

type Transport = AsyncSmtpTransport<Tokio1Executor>;

/// One attempt: the servers in order, until one takes the message. It is refused for good only if every server refuses it.
pub(super) async fn deliver(
    spec: &EmailSpec,
    mail: Option<&Mail>,
    names: &Names,
    message: &Message,
) -> Result<(), Failure> {
    let Some(mail) = mail else {
        return Err(Failure::refused("the plan does not say how mail leaves: it has no `mail`"));
    };
    deliver_within(spec, mail, names, message, DEADLINE).await
}

async fn deliver_within(
    spec: &EmailSpec,
    mail: &Mail,
    names: &Names,
    message: &Message,
    each: Duration,
) -> Result<(), Failure> {
    let letter = compose(spec, mail, message)?;
    let bytes = letter.formatted();
    let mut later = Vec::new();
    let mut refused = Vec::new();
    for server in &mail.server {
        let attempt = async {
            let transport = transport(server, mail, each)?;
            // Looked up by lettre as well, on the runtime's own threads: it comes to that only where there is an answer.
            let host = server.expose().rsplit_once(':').map_or("", |(host, _)| host);
            names.find(host).await.map_err(|why| Failure::later(&*why))?;
            hand_over(&transport, letter.envelope(), &bytes, &secrets(spec, mail)).await
        };
        let outcome = match tokio::time::timeout(each, attempt).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::later(format!("no answer within {} s", each.as_secs_f64()))),
        };
        match outcome {
            Ok(()) => return Ok(()),
            Err(Failure::Later { why, .. }) => later.push(format!("{server}: {why}")),
            Err(Failure::Refused { why }) => refused.push(format!("{server}: {why}")),
        }
    }
    if later.is_empty() {
        return Err(Failure::refused(refused.join("; ")));
    }
    later.append(&mut refused);
    Err(Failure::later(later.join("; ")))
}

/// Gives the letter to a server. One bad address must not keep it from the others: if it is refused for several, each gets
/// it by itself, and it counts as delivered if one has it.
async fn hand_over(
    transport: &Transport,
    envelope: &Envelope,
    bytes: &[u8],
    secrets: &[String],
) -> Result<(), Failure> {
    let Err(error) = transport.send_raw(envelope, bytes).await else {
        return Ok(());
    };
    let failure = failure(&error, secrets);
    if !matches!(failure, Failure::Refused { .. }) || envelope.to().len() < 2 {
        return Err(failure);
    }
    let mut refused = 0;
    for to in envelope.to() {
        let one = Envelope::new(envelope.from().cloned(), vec![to.clone()]);
        match one {
            Ok(one) if transport.send_raw(&one, bytes).await.is_ok() => {}
            _ => refused += 1,
        }
    }
    if refused == envelope.to().len() {
        return Err(failure);
    }
    tracing::warn!("mail was refused for {refused} of {} addresses: {failure}", envelope.to().len());
    Ok(())
}

/// A connection to come.
fn transport(server: &Given, mail: &Mail, timeout: Duration) -> Result<Transport, Failure> {
    let address = server.expose().rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    let Some((host, port)) = address else {
        return Err(Failure::refused("the server is not written as `host:port`"));
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let tls = || {
        TlsParameters::new_rustls(host.to_owned())
            .map_err(|_| Failure::later("the trusted certificates cannot be read"))
    };
    let security = match mail.tls {
        MailTls::Starttls => Tls::Required(tls()?),
        MailTls::Tls => Tls::Wrapper(tls()?),
        MailTls::None => Tls::None,
    };
    let mut builder = Transport::builder_dangerous(host).port(port).tls(security).timeout(Some(timeout));
    if let (Some(user), Some(password)) = (&mail.user, &mail.password) {
        builder = builder.credentials(Credentials::new(user.clone(), password.0.expose().to_owned()));
    }
    Ok(builder.build())
}

/// What an error means for the message. A refused log-in is about the plan, not the message: a person may put it right.
fn failure(error: &lettre::transport::smtp::Error, secrets: &[String]) -> Failure {
    // A server's answer comes with its code in the outermost error; of everything else the innermost says most.
    let words = if error.status().is_some() { error.to_string() } else { render::root_cause(error) };
    let why = render::without(&words, secrets.iter().map(String::as_str));
    let login = error.status().is_some_and(|code| matches!(u16::from(code), 530 | 534 | 535 | 538));
    if error.is_permanent() && !login { Failure::refused(why) } else { Failure::later(why) }
}

/// Everything that a server's answer must not bring into an error, as it crosses the wire.
fn secrets(spec: &EmailSpec, mail: &Mail) -> Vec<String> {
    let givens = spec.to.iter().chain(&mail.server).chain([&mail.from]).filter(|g| g.is_secret());
    let mut secrets: Vec<String> = givens.map(|g| g.expose().to_owned()).collect();
    if let Some(password) = &mail.password {
        let (user, password) = (mail.user.as_deref().unwrap_or_default(), password.0.expose());
        secrets.push(STANDARD.encode(format!("\0{user}\0{password}")));
        secrets.push(STANDARD.encode(password));
        secrets.push(password.to_owned());
    }
    secrets
}

/// The letter, with all headers.
fn compose(spec: &EmailSpec, mail: &Mail, message: &Message) -> Result<lettre::Message, Failure> {
    let mailbox = |given: &Given, what: &str| {
        let parsed = given.expose().parse::<Mailbox>();
        parsed.map_err(|_| Failure::refused(format!("{what} is not a mail address")))
    };
    let host = token(&message.story.host);
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(message.at.0).unwrap_or(0));
    let mut builder = lettre::Message::builder()
        .from(mailbox(&mail.from, "`from`")?)
        .date(at)
        .message_id(Some(format!("<{}@{host}>", token(&message.key))))
        .subject(render::subject(message))
        // Out-of-office replies are not for us (RFC 3834).
        .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()))
        .header(lettre::message::header::ContentType::TEXT_PLAIN);
    for to in &spec.to {
        builder = builder.to(mailbox(to, "an address of `to`")?);
    }
    if let Some(incident) = message.story.incident {
        // No letter has this id: mail programs show all that refer to it as one thread, whichever came first.
        let thread = format!("<incident-{incident}.{}@{host}>", token(instance(&message.key)));
        builder = builder.in_reply_to(thread.clone()).references(thread);
    }
    let body = render::body(message, &jiff::tz::TimeZone::system());
    builder.body(body).map_err(|e| Failure::refused(format!("the letter cannot be written: {e}")))
}

/// What is the same in the keys of all messages of this minder: all but the number at the end.
fn instance(key: &str) -> &str {
    key.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches(|c: char| !c.is_ascii_alphanumeric())
}

/// As a part of a message id, where only some characters may stand; never empty.
fn token(text: &str) -> String {
    let text: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect();
    let text = text.trim_matches('.').replace("..", ".");
    if text.is_empty() { "minder".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Secret;
    use crate::notify::render::tests::firing;

    fn mail(server: &str, tls: MailTls) -> Mail {
        Mail {
            server: vec![Given::literal(server)],
            tls,
            user: None,
            password: None,
            from: Given::literal("Minder <minder@example.org>"),
        }
    }

    fn to(address: &str) -> EmailSpec {
        EmailSpec { to: vec![Given::literal(address)] }
    }

    #[test]
    fn a_letter_has_its_headers() {
        let letter = compose(&to("ops@example.org"), &mail("x:25", MailTls::None), &firing()).unwrap();
        let text = String::from_utf8(letter.formatted()).unwrap();
        let head = text.split("\r\n\r\n").next().unwrap();
        insta::assert_snapshot!(head.replace("\r\n", "\n"));
    }

    #[test]
    fn no_header_can_be_smuggled_in() {
        let mut message = firing();
        message.key = "k\r\nBcc: eve@example.org\r\n\r\n-9".into();
        message.story.host = "db1>\r\nBcc: eve@example.org".into();
        message.story.title = "web\r\nBcc: eve@example.org\r\n\r\nhello".into();
        message.story.service = "web\nBcc: eve@example.org".into();
        let letter = compose(&to("ops@example.org"), &mail("x:25", MailTls::None), &message).unwrap();
        let text = String::from_utf8(letter.formatted()).unwrap();
        let head = text.split("\r\n\r\n").next().unwrap();
        assert!(!head.to_lowercase().lines().any(|line| line.starts_with("bcc:")), "{head}");
        assert_eq!(letter.envelope().to().len(), 1);
    }

    #[test]
    fn the_thread_is_the_same_for_all_messages_of_an_incident() {
        assert_eq!(instance("3f9a02c177-41"), "3f9a02c177");
        assert_eq!(instance("a-b-c.7"), "a-b-c");
        assert_eq!(token("..a b<>"), "a-b--");
        assert_eq!(token(""), "minder");
    }

    #[test]
    fn what_a_server_repeats_of_a_password_is_not_shown() {
        let mut mail = mail("x:25", MailTls::None);
        let mut password = Given::literal("");
        password.resolve("hunter2".into());
        (mail.user, mail.password) = (Some("minder".into()), Some(Secret(password)));
        let secrets = secrets(&to("ops@example.org"), &mail);
        let answer = "500 unknown command: AUTH PLAIN AG1pbmRlcgBodW50ZXIy (hunter2, aHVudGVyMg==)";
        let shown = render::without(answer, secrets.iter().map(String::as_str));
        assert_eq!(shown, "500 unknown command: AUTH PLAIN [secret] ([secret], [secret])");
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_is_given_up_at_the_deadline() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mail = mail(&silent.local_addr().unwrap().to_string(), MailTls::None);
        let each = Duration::from_millis(200);
        let failure =
            deliver_within(&to("ops@example.org"), &mail, &Names::default(), &firing(), each).await.unwrap_err();
        assert!(matches!(&failure, Failure::Later { why, .. } if why.ends_with("no answer within 0.2 s")), "{failure}");
    }
}
