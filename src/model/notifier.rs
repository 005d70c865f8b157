//! Where messages go, and how mail leaves.

use super::mistake::{address_mistake, header_mistake, mail_mistake, url_mistake};
use super::schema::OneOrMany;
use super::template::{self, Format};
use super::{
    AbsPath, ExecSpec, Given, Hours, MessageKind, Method, Mistake, Name, Preset, Secret, Severity, Span, Told,
    body_format,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A named place where messages go.
#[derive(Debug, Clone, PartialEq)]
pub struct Notifier {
    /// Its name.
    pub name: Name,
    /// Where.
    pub place: NotifierPlace,
    /// When it is told; always, where this is missing.
    pub hours: Option<Hours>,
    /// What it is told of: this and worse.
    pub severity: Severity,
    /// Which kinds of message it gets.
    pub kinds: BTreeSet<MessageKind>,
    /// What it hears together; one by one and at once, where this is missing.
    pub group: Option<Group>,
    /// How often it hears that something is still wrong; never, where this is missing.
    pub remind: Option<Duration>,
    /// How long a message to it is worth sending.
    pub expire: Duration,
}

impl Notifier {
    /// One that hears everything; together, if its place can tell of many things in one message. Or what its preset says.
    pub fn new(name: Name, place: NotifierPlace) -> Notifier {
        let group = place.takes_many().then(Group::default);
        let preset = match &place {
            NotifierPlace::Webhook(webhook) => webhook.known.clone(),
            _ => None,
        };
        Notifier {
            kinds: preset.as_ref().and_then(|p| p.kinds.clone()).unwrap_or(MessageKind::ALL.into()),
            remind: preset.as_ref().and_then(|p| p.remind).map(|every| every.0),
            name,
            place,
            hours: None,
            severity: Severity::Info,
            group,
            expire: Duration::from_secs(86_400),
        }
    }
}

/// How messages to one notifier are put together: `group: { wait: 5s, every: 1m }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// So long the first one waits for others.
    pub wait: Duration,
    /// At most one message goes out in this time.
    pub every: Duration,
}

impl Default for Group {
    fn default() -> Group {
        Group { wait: Duration::from_secs(5), every: Duration::from_secs(60) }
    }
}

/// Where a notifier sends.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NotifierPlace {
    /// By mail.
    Email(EmailSpec),
    /// By HTTP.
    Webhook(WebhookSpec),
    /// To a command's standard input, as the same JSON that a webhook gets.
    Exec(ExecSpec),
}

impl NotifierPlace {
    /// The word in the rule language.
    pub fn name(&self) -> &'static str {
        match self {
            NotifierPlace::Email(_) => "email",
            NotifierPlace::Webhook(_) => "webhook",
            NotifierPlace::Exec(_) => "exec",
        }
    }
    /// Every word.
    pub const NAMES: &'static [&'static str] = &["email", "webhook", "exec"];

    /// Reads the keys of the notifier with this word; nothing if there is no such word.
    pub fn read<'de, D: Deserializer<'de>>(name: &str, keys: D) -> Option<Result<NotifierPlace, D::Error>> {
        match name {
            "email" => Some(EmailSpec::deserialize(keys).map(NotifierPlace::Email)),
            "webhook" => Some(WebhookSpec::deserialize(keys).map(NotifierPlace::Webhook)),
            "exec" => Some(ExecSpec::deserialize(keys).map(NotifierPlace::Exec)),
            _ => None,
        }
    }
    /// Whether it can tell several messages at once; one that cannot gets them one by one, even if it has a `group`.
    pub fn takes_many(&self) -> bool {
        self.together_at_most() > 1
    }
    /// So many messages go together at most. A mail is bounded by its size, in which a line for each has its place; a template
    /// has each of them in full.
    pub fn together_at_most(&self) -> usize {
        let many = match self {
            NotifierPlace::Email(_) => return NotifierPlace::TOGETHER_AT_MOST,
            NotifierPlace::Webhook(webhook) => match &webhook.known {
                Some(preset) => preset.many,
                // A CloudEvent tells one thing; a template of one's own can go through all.
                None => webhook.body.is_some(),
            },
            NotifierPlace::Exec(_) => false,
        };
        if many { Told::MESSAGES } else { 1 }
    }
    /// So many messages wait for a notifier, and go together, at most.
    pub const TOGETHER_AT_MOST: usize = 1000;
    /// Calls `f` with every text in it that may come from elsewhere.
    pub fn givens(&mut self, f: &mut dyn FnMut(&mut Given)) {
        match self {
            NotifierPlace::Email(email) => email.to.iter_mut().for_each(f),
            NotifierPlace::Webhook(webhook) => {
                webhook.url.iter_mut().for_each(&mut *f);
                webhook.with.values_mut().for_each(&mut *f);
                webhook.headers.values_mut().for_each(&mut *f);
                webhook.sign.iter_mut().for_each(|sign| f(&mut sign.0));
            }
            NotifierPlace::Exec(exec) => exec.environment.values_mut().for_each(f),
        }
    }
    /// What is wrong with it beyond the types of its keys. Called when its texts are there.
    pub fn mistakes(&self) -> Vec<Mistake> {
        match self {
            NotifierPlace::Email(email) if email.to.is_empty() => {
                vec![Mistake::new(&["to"], "nobody to mail to").help("write `to: [ops@example.org]`")]
            }
            NotifierPlace::Email(email) => email.to.iter().filter_map(|to| mail_mistake(to, &["to"])).collect(),
            NotifierPlace::Webhook(webhook) => webhook.mistakes(),
            NotifierPlace::Exec(exec) => exec.mistakes(),
        }
    }
}

/// `email: { to: [ops@example.org], subject: .., body: .. }`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EmailSpec {
    /// To whom.
    pub to: Vec<Given>,
    /// A template of the subject, in place of minder's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// A template of the text, in place of minder's own; the mail has no other part then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

impl EmailSpec {
    /// To these, in minder's own words.
    pub fn new(to: Vec<Given>) -> EmailSpec {
        EmailSpec { to, subject: None, body: None }
    }
}

/// `webhook: { url: .., headers: {..} }`: a CloudEvents 1.0 JSON event is posted; `webhook: { preset: slack, with: {..} }`: what
/// the preset makes of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookSpec {
    /// Where to; or a preset says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Given>,
    /// The preset that says how, by its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// The parameters of the preset.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub with: BTreeMap<String, Given>,
    /// The method of the request; POST, or that of the preset, where this is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    /// Headers of one's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Given>,
    /// A template of the body, in place of the CloudEvent or of what the preset has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The key that requests are signed with, as Standard Webhooks says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign: Option<Secret>,
    /// How long the whole exchange may take (15s).
    #[serde(default = "webhook_deadline")]
    pub timeout: Span,
    /// What `preset` names: set by whoever knows the presets.
    #[serde(skip)]
    pub known: Option<Arc<Preset>>,
}

fn webhook_deadline() -> Span {
    Span(Duration::from_secs(15))
}

/// A part of a secret address that is as long as this may be the secret in it.
const LONG_PART: usize = 10;

/// What of an address a receiver may repeat without the rest: its path with what it asks for, each longer part of these, and the
/// login, also as it crosses the wire.
fn parts_of_url(url: &str) -> Vec<String> {
    let Ok(url) = url::Url::parse(url) else { return Vec::new() };
    let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let mut parts = Vec::new();
    if let Some(password) = url.password() {
        let login = format!("{}:{}", decoded(url.username()), decoded(password));
        parts.extend([STANDARD.encode(login), decoded(password), password.to_owned()]);
    }
    let long = |part: &&str| part.len() >= LONG_PART;
    let query = url.query().unwrap_or_default();
    parts.extend(url.path().split('/').chain(query.split(['&', '='])).filter(long).map(str::to_owned));
    if url.path().len() > 1 {
        parts.extend([format!("{}?{query}", url.path()), url.path().to_owned()]);
    }
    parts
}

impl WebhookSpec {
    /// A CloudEvent, posted there.
    pub fn new(url: Given) -> WebhookSpec {
        WebhookSpec {
            url: Some(url),
            preset: None,
            with: BTreeMap::new(),
            method: None,
            headers: BTreeMap::new(),
            body: None,
            sign: None,
            timeout: webhook_deadline(),
            known: None,
        }
    }

    fn givens(&self) -> impl Iterator<Item = &Given> {
        let sign = self.sign.iter().map(|sign| &sign.0);
        self.url.iter().chain(self.with.values()).chain(self.headers.values()).chain(sign)
    }

    /// The parameters of the preset, with its defaults. Only for the wire.
    pub fn parameters(&self) -> BTreeMap<String, String> {
        let declared = self.known.iter().flat_map(|preset| &preset.params);
        let mut all: BTreeMap<String, String> =
            declared.filter_map(|(name, param)| Some((name.clone(), param.default.clone()?))).collect();
        all.extend(self.with.iter().map(|(name, given)| (name.clone(), given.expose().to_owned())));
        all
    }

    /// What its body is written as.
    pub fn format(&self) -> Format {
        let own = self.headers.iter().map(|(name, given)| (name.as_str(), given.expose()));
        let preset = self.known.iter().flat_map(|preset| &preset.headers);
        body_format(own.chain(preset.map(|(name, value)| (name.as_str(), value.as_str()))))
    }

    /// Everything that must not be seen, in each form in which it may cross the wire. Only to be hidden.
    pub fn secrets(&self) -> Vec<String> {
        let mut secrets = Vec::new();
        let url = self.url.iter().filter(|url| url.is_secret()).flat_map(|url| parts_of_url(url.expose()));
        let url: Vec<String> = url.collect();
        let whole = self.givens().filter(|given| given.is_secret()).map(Given::expose);
        for secret in whole.chain(url.iter().map(String::as_str)) {
            let encoded = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect::<String>();
            let quoted = serde_json::to_string(secret).unwrap_or_default();
            let unquoted = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_owned();
            // A path has its spaces as `%20`, a form as `+`.
            secrets.extend([secret.to_owned(), encoded.replace('+', "%20"), encoded, unquoted]);
        }
        secrets
    }

    fn mistakes(&self) -> Vec<Mistake> {
        let mut mistakes: Vec<Mistake> = self.url.iter().filter_map(|url| url_mistake(url, &["url"])).collect();
        mistakes.extend(self.headers.keys().filter_map(|name| header_mistake(name, &["headers"])));
        match (&self.url, &self.preset) {
            (None, None) => mistakes.push(
                Mistake::new(&[], "this webhook does not say where to")
                    .help("add `url: { env: CHAT_URL }`, or `preset:` with the name of a preset"),
            ),
            (Some(_), Some(_)) => mistakes.push(
                Mistake::new(&["url"], "`url` stands beside a preset, which says itself where to")
                    .help("leave `url` out; if the preset has a parameter of this name, write it under `with`"),
            ),
            _ => {}
        }
        if self.preset.is_some() && self.method.is_some() {
            mistakes.push(
                Mistake::new(&["method"], "`method` stands beside a preset, which has its own").help("leave it out"),
            );
        }
        if self.preset.is_none() && !self.with.is_empty() {
            mistakes.push(
                Mistake::new(&["with"], "`with` gives the parameters of a preset, and there is none")
                    .help("add `preset:` with its name"),
            );
        }
        // One whose secret could not be found has been reported.
        if let Some(preset) = &self.known
            && self.with.values().all(|given| !given.is_secret() || !given.expose().is_empty())
            && preset.params.iter().all(|(name, param)| param.default.is_some() || self.with.contains_key(name))
            && let Some(told) = Told::samples().first()
            && let Ok(url) = template::render(&preset.url, Format::Text, &told.with(&self.parameters()))
            && !url::Url::parse(&url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
        {
            mistakes.push(
                Mistake::new(&["with"], "with these parameters the preset makes no URL of HTTP")
                    .help(format!("what it makes one of is `{}`", preset.url)),
            );
        }
        if let Some(sign) = &self.sign
            && !sign.0.expose().is_empty()
            && signing_key(sign.0.expose()).is_none()
        {
            mistakes.push(
                Mistake::new(&["sign"], "what follows `whsec_` in this key is not Base64")
                    .help("copy the key whole from the receiver; one without `whsec_` before it is used as it is"),
            );
        }
        mistakes
    }
}

/// The bytes of a signing key: what follows `whsec_` is Base64; any other text stands for itself.
pub fn signing_key(text: &str) -> Option<Vec<u8>> {
    match text.strip_prefix("whsec_") {
        Some(encoded) => STANDARD.decode(encoded).ok().filter(|key| !key.is_empty()),
        None => Some(text.as_bytes().to_vec()),
    }
}

/// How mail leaves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// `host:port`, or a list of these, tried in order.
    #[serde(deserialize_with = "one_or_many_givens")]
    #[schemars(with = "OneOrMany<Given>")]
    pub server: Vec<Given>,
    /// How the connection is secured.
    #[serde(default)]
    pub tls: MailTls,
    /// Whose certificates are trusted, instead of those that this machine trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<Authorities>,
    /// The name to log in with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// The sender: `minder@example.org`, or `Minder <minder@example.org>`.
    pub from: Given,
}

impl Mail {
    /// Calls `f` with every text in it that may come from elsewhere.
    pub fn givens(&mut self, f: &mut dyn FnMut(&mut Given)) {
        self.server.iter_mut().for_each(&mut *f);
        self.password.iter_mut().for_each(|p| f(&mut p.0));
        f(&mut self.from);
    }
    /// What is wrong with it beyond the types of its keys. Called when its texts are there.
    pub fn mistakes(&self) -> Vec<Mistake> {
        let mut mistakes: Vec<Mistake> = self.server.iter().filter_map(|s| address_mistake(s, &["server"])).collect();
        if self.server.is_empty() {
            mistakes.push(Mistake::new(&["server"], "no server").help("write `server: mail.example.org:587`"));
        }
        mistakes.extend(mail_mistake(&self.from, &["from"]));
        match (&self.user, &self.password) {
            (Some(_), None) => mistakes.push(
                Mistake::new(&["user"], "a `user` without a `password`").help("add `password: { env: MAIL_PASSWORD }`"),
            ),
            (None, Some(_)) => mistakes.push(Mistake::new(&["password"], "a `password` without a `user`")),
            (Some(_), Some(_)) if self.tls == MailTls::None => {
                mistakes.push(
                    Mistake::new(&["tls"], "a password would cross the network in the clear")
                        .help("use `starttls` or `tls`, or leave `user` and `password` away"),
                );
            }
            _ => {}
        }
        if self.ca.is_some() && self.tls == MailTls::None {
            mistakes.push(
                Mistake::new(&["ca"], "`ca` has no meaning without TLS")
                    .help("use `tls: starttls` or `tls: tls`, or leave `ca` away"),
            );
        }
        mistakes
    }
}

/// A file of certificates, and what it held when the plan was read: who may deliver messages does not change in between.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "AbsPath", into = "AbsPath")]
#[schemars(with = "AbsPath")]
pub struct Authorities {
    /// Where it is.
    pub path: AbsPath,
    /// Certificates in PEM form; empty until the file is read.
    pub pem: Vec<u8>,
}

impl From<AbsPath> for Authorities {
    fn from(path: AbsPath) -> Authorities {
        Authorities { path, pem: Vec::new() }
    }
}

impl From<Authorities> for AbsPath {
    fn from(authorities: Authorities) -> AbsPath {
        authorities.path
    }
}

/// How a connection to a mail server is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    /// In the clear first, then secured; refused if the server cannot.
    #[default]
    Starttls,
    /// From the start.
    Tls,
    /// Never.
    None,
}

fn one_or_many_givens<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Given>, D::Error> {
    struct ManyVisitor;
    impl<'de> Visitor<'de> for ManyVisitor {
        type Value = Vec<Given>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "`host:port`, or a list of these")
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<Given>, E> {
            Ok(vec![Given::literal(text)])
        }
        fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Vec<Given>, A::Error> {
            Given::deserialize(de::value::MapAccessDeserializer::new(map)).map(|g| vec![g])
        }
        fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<Given>, A::Error> {
            let mut many = Vec::new();
            while let Some(one) = seq.next_element()? {
                many.push(one);
            }
            Ok(many)
        }
    }
    deserializer.deserialize_any(ManyVisitor)
}
