//! One conversation with one mail server, up to its last word.

use super::super::names::Names;
use super::super::{Failure, render};
use super::wire::{Wire, trusting};
use crate::model::{Given, Mail, MailTls};
use lettre::Address;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, AsyncTokioStream, Certificate, CertificateStore, TlsParameters,
};
use lettre::transport::smtp::commands::{Data, Mail as From, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use rustls::ClientConfig;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::timeout;

/// To connect to one address of a server: another one may answer.
const CONNECT: Duration = Duration::from_secs(10);
/// To part in good form; whatever is said then changes nothing.
const PARTING: Duration = Duration::from_secs(1);

/// What came of it.
pub(super) enum Said {
    /// It has the letter, for all but those whom it put off, or refused for good, and why.
    Taken { later: Vec<(Address, String)>, refused: Vec<(Address, String)> },
    /// It has not.
    Not(Failure),
    /// It has got the letter and did not say whether it takes it: it may have.
    Unsure(String),
}

/// What a letter needs to leave.
pub(super) struct Letter<'a> {
    pub from: Option<&'a Address>,
    pub to: Vec<Address>,
    /// As it crosses the wire.
    pub bytes: &'a [u8],
}

/// Gives the letter to this server, within this time.
pub(super) async fn hand_over(
    server: &Given,
    mail: &Mail,
    names: &Names,
    letter: &Letter<'_>,
    limit: Duration,
    secrets: &[String],
) -> Said {
    // Whether it has got the letter, at least in part.
    let begun = AtomicBool::new(false);
    match timeout(limit, converse(server, mail, names, letter, &begun, secrets)).await {
        Ok((said, mut session)) => {
            if let Some(session) = &mut session {
                let _ = timeout(PARTING, session.quit()).await;
            }
            said
        }
        Err(_) => {
            let why = format!("no answer within {} s", limit.as_secs_f64());
            if begun.load(Ordering::Relaxed) { Said::Unsure(why) } else { Said::Not(Failure::later(why)) }
        }
    }
}

/// Up to the server's word, and the connection if it is still good.
async fn converse(
    server: &Given,
    mail: &Mail,
    names: &Names,
    letter: &Letter<'_>,
    begun: &AtomicBool,
    secrets: &[String],
) -> (Said, Option<AsyncSmtpConnection>) {
    let mut session = match open(server, mail, names, secrets).await {
        Ok(session) => session,
        Err(failure) => return (Said::Not(failure), None),
    };
    let (later, refused) = match address(&mut session, letter, secrets).await {
        Ok(missed) => missed,
        Err(failure) => return (Said::Not(failure), None),
    };
    begun.store(true, Ordering::Relaxed);
    match session.command(with_its_end(letter.bytes)).await {
        Ok(_) => (Said::Taken { later, refused }, Some(session)),
        Err(error) if error.status().is_some() => (Said::Not(failure(&error, secrets)), Some(session)),
        Err(error) => (Said::Unsure(words(&error, secrets)), None),
    }
}

/// Connects, secures the connection, and logs in.
async fn open(server: &Given, mail: &Mail, names: &Names, secrets: &[String]) -> Result<AsyncSmtpConnection, Failure> {
    let address = server.expose().rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    let Some((host, port)) = address else {
        return Err(Failure::refused("the server is not written as `host:port`"));
    };
    let failed = |error: lettre::transport::smtp::Error| failure(&error, secrets);
    let found = names.find(host).await.map_err(|why| Failure::later(&*why))?;
    let addresses: Vec<SocketAddr> = found.iter().map(|address| SocketAddr::new(address.ip(), port)).collect();
    let hello = ClientId::default();
    let lost = |error: std::io::Error| Failure::later(without(&cause(&error), secrets));
    let wire = Wire::connect(&addresses, CONNECT).await.map_err(lost)?;
    let stream: Box<dyn AsyncTokioStream> = match mail.tls {
        MailTls::None | MailTls::Starttls => Box::new(wire),
        MailTls::Tls => Box::new(wire.secure(bare(host), trust(mail)?).await.map_err(lost)?),
    };
    let mut session = AsyncSmtpConnection::connect_with_transport(stream, &hello).await.map_err(failed)?;
    if mail.tls == MailTls::Starttls {
        session.starttls(trust_later(host, mail)?, &hello).await.map_err(failed)?;
    }
    if let (Some(user), Some(password)) = (&mail.user, &mail.password) {
        let credentials = Credentials::new(user.clone(), password.0.expose().to_owned());
        session.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await.map_err(failed)?;
    }
    Ok(session)
}

/// A host as certificates name it: an address of IPv6 without its brackets.
fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Whom to trust, for a connection that is secure from its begin on,
fn trust(mail: &Mail) -> Result<ClientConfig, Failure> {
    trusting(mail.ca.as_ref().map(|ca| ca.pem.as_slice())).ok_or_else(|| nobody_to_trust(mail))
}

/// and for one that becomes so, in lettre's own terms.
fn trust_later(host: &str, mail: &Mail) -> Result<TlsParameters, Failure> {
    let mut parameters = TlsParameters::builder(bare(host).to_owned());
    if let Some(ca) = &mail.ca {
        let own = Certificate::from_pem(&ca.pem).map_err(|_| nobody_to_trust(mail))?;
        parameters = parameters.certificate_store(CertificateStore::None).add_root_certificate(own);
    }
    parameters.build_rustls().map_err(|_| nobody_to_trust(mail))
}

fn nobody_to_trust(mail: &Mail) -> Failure {
    Failure::later(match &mail.ca {
        Some(ca) => format!("{} holds no certificate that can be used", ca.path),
        None => "the trusted certificates cannot be read".to_owned(),
    })
}

type Missed = Vec<(Address, String)>;

/// Says from whom and to whom, up to the server's word that the letter may come. One bad address does not keep it from the others.
async fn address(
    session: &mut AsyncSmtpConnection,
    letter: &Letter<'_>,
    secrets: &[String],
) -> Result<(Missed, Missed), Failure> {
    let failed = |error: lettre::transport::smtp::Error| failure(&error, secrets);
    let mut parameters = Vec::new();
    if letter.from.into_iter().chain(&letter.to).any(|address| !AsRef::<str>::as_ref(address).is_ascii()) {
        if !session.server_info().supports_feature(Extension::SmtpUtfEight) {
            return Err(Failure::refused("it takes no addresses with letters beyond ASCII"));
        }
        parameters.push(MailParameter::SmtpUtfEight);
        parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    session.command(From::new(letter.from.cloned(), parameters)).await.map_err(failed)?;
    let (mut later, mut refused) = (Vec::new(), Vec::new());
    let mut first = None;
    for to in &letter.to {
        let Err(error) = session.command(Rcpt::new(to.clone(), Vec::new())).await else { continue };
        let failure = failure(&error, secrets);
        if error.status().is_none() {
            return Err(failure);
        }
        match &failure {
            Failure::Later { why, .. } => later.push((to.clone(), why.clone())),
            Failure::Refused { why } => refused.push((to.clone(), why.clone())),
        }
        // If nobody gets it: one who may get it later says more than one who never will.
        if first.is_none() || matches!((&first, &failure), (Some(Failure::Refused { .. }), Failure::Later { .. })) {
            first = Some(failure);
        }
    }
    if let Some(failure) = first
        && later.len() + refused.len() == letter.to.len()
    {
        return Err(failure);
    }
    session.command(Data).await.map_err(failed)?;
    Ok((later, refused))
}

/// The letter as it crosses the wire: a line that begins with a dot gets another one (RFC 5321, section 4.5.2), and a dot alone is
/// the end. In one piece, which lettre's own `message` does not do: the end would wait until the server has acknowledged the rest,
/// 40 ms where it puts that off (Nagle's algorithm). The first line is a header, and begins with no dot.
fn with_its_end(letter: &[u8]) -> String {
    String::from_utf8_lossy(letter).replace("\r\n.", "\r\n..") + "\r\n.\r\n"
}

/// What an error means for the letter. A refused log-in is about the plan, not the letter: a person may put it right.
fn failure(error: &lettre::transport::smtp::Error, secrets: &[String]) -> Failure {
    let why = words(error, secrets);
    let login = error.status().is_some_and(|code| matches!(u16::from(code), 530 | 534 | 535 | 538));
    if error.is_permanent() && !login { Failure::refused(why) } else { Failure::later(why) }
}

fn words(error: &lettre::transport::smtp::Error, secrets: &[String]) -> String {
    // A server's answer comes with its code in the outermost error.
    let words = if error.status().is_some() { error.to_string() } else { cause(error) };
    without(&words, secrets)
}

/// Of everything but answers the innermost error says most.
fn cause(error: &(dyn Error + 'static)) -> String {
    tls_error(error).map_or_else(|| render::root_cause(error), tls_words)
}

fn without(words: &str, secrets: &[String]) -> String {
    render::without(words, secrets.iter().map(String::as_str))
}

/// The error of TLS in it, which comes wrapped in one of the system.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(tls) = inner.and_then(|inner| inner.downcast_ref()) {
            return Some(tls);
        }
        cause = error.source();
    }
    None
}

fn tls_words(error: &rustls::Error) -> String {
    use rustls::{CertificateError, Error};
    match error {
        Error::InvalidCertificate(refused) => match refused {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its certificate has expired".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid yet".to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "its certificate is for another name".to_owned()
            }
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "its certificate is not signed by anyone who is trusted; `mail: { ca: .. }` names a file of whom to trust"
                    .to_owned()
            }
            other => format!("its certificate is refused: {other}"),
        },
        Error::InvalidMessage(_) => "it does not speak TLS on this port".to_owned(),
        other => other.to_string(),
    }
}
