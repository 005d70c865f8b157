//! Sends a parcel by mail: in plain text, and the same in HTML.

mod session;
mod wire;

use super::names::Names;
use super::partly::{Part, Partly};
use super::{Failure, Taken, render, template};
use crate::model::template::Format;
use crate::model::{Clock, EmailSpec, Given, Mail, Parcel, Told, clip, plain};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lettre::Address;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, MultiPart, SinglePart};
use session::{Letter, Said, hand_over};
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

/// For everything that one server takes, from the name lookup to its last word.
const EACH: Duration = Duration::from_secs(30);
/// For all servers together.
const ALL: Duration = Duration::from_secs(60);

/// The longest subject of a template, in characters.
const SUBJECT: usize = 200;

/// A letter belongs to so many threads at most: their names are in a header.
const THREADS: usize = 20;

/// One attempt: the servers in order, until one takes the letter. It is refused for good only if every server refuses it.
///
/// A server that has got the letter and did not answer may have taken it: no other is asked in this attempt, and in the next
/// one it is asked last. The letter has the same Message-ID then.
pub(super) async fn deliver(
    spec: &EmailSpec,
    (mail, names, partly): (Option<&Mail>, &Names, &Partly),
    parcel: &Parcel,
    told: &Told,
    clock: &dyn Clock,
) -> Result<Taken, Failure> {
    let Some(mail) = mail else {
        return Err(Failure::refused("the plan does not say how mail leaves: it has no `mail`"));
    };
    let mut letter = render::letter(parcel, &jiff::tz::TimeZone::system());
    let plainly = in_its_own_words(spec, told, &mut letter);
    let letter = compose(spec, mail, parcel, letter)?;
    let way = Way { names, partly, clock, each: EACH, all: ALL };
    deliver_by(&way, spec, mail, &parcel.key, &letter).await?;
    Ok(plainly)
}

/// Puts the notifier's own words into the letter; why not, if they could not be used.
fn in_its_own_words(spec: &EmailSpec, told: &Told, letter: &mut render::Letter) -> Taken {
    let mut plainly = None;
    let mut own = |template: &Option<String>| {
        template.as_deref().and_then(|template| template::render(template, Format::Text, told, &mut plainly))
    };
    if let Some(subject) = own(&spec.subject) {
        // One line, whatever the template makes.
        letter.subject = clip(&plain(subject.trim()), SUBJECT);
    }
    if let Some(body) = own(&spec.body) {
        // The built-in HTML would say something else.
        (letter.text, letter.html) = (body, String::new());
    }
    plainly
}

/// What every attempt has to go by.
struct Way<'a> {
    names: &'a Names,
    partly: &'a Partly,
    clock: &'a dyn Clock,
    each: Duration,
    all: Duration,
}

async fn deliver_by(
    way: &Way<'_>,
    spec: &EmailSpec,
    mail: &Mail,
    key: &str,
    letter: &lettre::Message,
) -> Result<(), Failure> {
    let (began, partly) = (way.clock.now().mono, way.partly);
    let bytes = letter.formatted();
    let mut part = partly.of(key);
    let envelope = letter.envelope();
    let to = envelope.to().iter().filter(|to| !part.had.contains(&to.to_string())).cloned().collect();
    let letter = Letter { from: envelope.from(), to, bytes: &bytes };
    let secrets = secrets(spec, mail);
    let mut servers: Vec<&Given> = mail.server.iter().collect();
    servers.sort_by_key(|server| part.unsure.contains(server.expose()));
    let (mut later, mut refused) = (Vec::new(), Vec::new());
    for server in servers {
        let left = way.all.saturating_sub(way.clock.now().mono - began);
        if left.is_zero() {
            later.push(format!("{server}: not asked: {} s are over", way.all.as_secs_f64()));
            break;
        }
        match hand_over(server, mail, way.names, &letter, left.min(way.each), &secrets).await {
            Said::Taken { later, refused } => return taken(server, partly, key, part, &letter.to, later, &refused),
            Said::Unsure(why) => {
                part.unsure.insert(server.expose().to_owned());
                partly.keep(key, part);
                later.push(format!("{server}: it has the letter, and did not say that it takes it: {why}"));
                return Err(Failure::later(later.join("; ")));
            }
            Said::Not(Failure::Later { why, .. }) => later.push(format!("{server}: {why}")),
            Said::Not(Failure::Refused { why }) => refused.push(format!("{server}: {why}")),
        }
    }
    if later.is_empty() {
        partly.keep(key, Part::default());
        if !part.had.is_empty() {
            tracing::warn!("mail was refused for those who were put off before: {}", refused.join("; "));
            return Ok(());
        }
        return Err(Failure::refused(refused.join("; ")));
    }
    later.append(&mut refused);
    Err(Failure::later(later.join("; ")))
}

/// A server has it, for some at least. It is through if nobody is put off: an address that is refused for good must not keep
/// it from the others, and neither must one that is put off.
fn taken(
    server: &Given,
    partly: &Partly,
    key: &str,
    mut part: Part,
    to: &[Address],
    later: Vec<(Address, String)>,
    refused: &[(Address, String)],
) -> Result<(), Failure> {
    if let Some((_, why)) = refused.first() {
        tracing::warn!("mail was refused for {} of {} addresses: {}", refused.len(), to.len(), plain(why));
    }
    let Some((_, why)) = later.first() else {
        partly.keep(key, Part::default());
        return Ok(());
    };
    let why = format!("{server}: put off for {} of {} addresses: {why}", later.len(), to.len());
    let open: BTreeSet<&Address> = later.iter().map(|(address, _)| address).collect();
    part.had.extend(to.iter().filter(|to| !open.contains(to)).map(ToString::to_string));
    partly.keep(key, part);
    Err(Failure::later(why))
}

/// Everything that a server's answer must not bring into an error, as it crosses the wire.
pub(super) fn secrets(spec: &EmailSpec, mail: &Mail) -> Vec<String> {
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
fn compose(spec: &EmailSpec, mail: &Mail, parcel: &Parcel, letter: render::Letter) -> Result<lettre::Message, Failure> {
    let mailbox = |given: &Given, what: &str| {
        let parsed = given.expose().parse::<Mailbox>();
        parsed.map_err(|_| Failure::refused(format!("{what} is not a mail address")))
    };
    let Some(first) = parcel.messages.first() else { return Err(Failure::refused("there is nothing to tell")) };
    let host = token(&first.story.host);
    let written = parcel.messages.iter().map(|message| message.at.0).max().unwrap_or_default();
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(written).unwrap_or(0));
    let header = |name: &'static str, value: String| HeaderValue::new(HeaderName::new_from_ascii_str(name), value);
    let mut builder = lettre::Message::builder()
        .from(mailbox(&mail.from, "`from`")?)
        .date(at)
        .message_id(Some(format!("<{}@{host}>", token(&parcel.key))))
        .subject(letter.subject)
        // Out-of-office replies are not for us (RFC 3834).
        .raw_header(header("Auto-Submitted", "auto-generated".to_owned()))
        // For whoever sorts mail (RFC 2919).
        .raw_header(header("List-Id", format!("minder on {host} <{}.minder.{host}>", token(&parcel.to))));
    for to in &spec.to {
        builder = builder.to(mailbox(to, "an address of `to`")?);
    }
    let threads = threads(parcel, &host);
    if !threads.is_empty() {
        builder = builder.in_reply_to(threads.clone()).references(threads);
    }
    let part = |kind: ContentType, text: String| {
        let body = Body::new_with_encoding(text, ContentTransferEncoding::QuotedPrintable)
            .map_err(|_| Failure::refused("the letter cannot be written"))?;
        Ok::<_, Failure>(SinglePart::builder().header(kind).body(body))
    };
    let text = part(ContentType::TEXT_PLAIN, letter.text)?;
    let written = match letter.html.is_empty() {
        true => builder.singlepart(text),
        false => {
            let html = part(ContentType::TEXT_HTML, letter.html)?;
            builder.multipart(MultiPart::alternative().singlepart(text).singlepart(html))
        }
    };
    written.map_err(|e| Failure::refused(format!("the letter cannot be written: {e}")))
}

/// The threads that a letter belongs to: one for each of its incidents. No letter has such an id: mail programs show all that
/// refer to it as one thread, whichever came first, and join the threads of what was told together. In the order of the
/// incidents, so that the next letter about the same finds the same thread.
fn threads(parcel: &Parcel, host: &str) -> String {
    let incidents =
        parcel.messages.iter().filter_map(|message| Some((message.story.incident?, instance(&message.key))));
    let ids: BTreeSet<(u64, &str)> = incidents.collect();
    let ids = ids.into_iter().take(THREADS).map(|(id, minder)| format!("<incident-{id}.{}@{host}>", token(minder)));
    ids.collect::<Vec<_>>().join(" ")
}

/// What is the same in the keys of all messages of this minder, also when it is started again: all but what stands behind the
/// last `-`.
fn instance(key: &str) -> &str {
    key.rsplit_once('-').map_or(key, |(instance, _)| instance)
}

/// As a part of a message id, where only some characters may stand; never empty.
fn token(text: &str) -> String {
    let text: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect();
    let text = text.trim_matches('.').replace("..", ".");
    if text.is_empty() { "minder".to_owned() } else { text }
}

#[cfg(test)]
mod tests;
