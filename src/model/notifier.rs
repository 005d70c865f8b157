//! Where messages go, and how mail leaves.

use super::mistake::{address_mistake, header_mistake, mail_mistake, url_mistake};
use super::schema::OneOrMany;
use super::{AbsPath, ExecSpec, Given, Hours, MessageKind, Mistake, Name, Secret, Severity};
use schemars::JsonSchema;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
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
    /// One that hears everything; together, if its place can tell of many things in one message.
    pub fn new(name: Name, place: NotifierPlace) -> Notifier {
        let group = place.takes_many().then(Group::default);
        Notifier {
            name,
            place,
            hours: None,
            severity: Severity::Info,
            kinds: MessageKind::WANTED.into(),
            group,
            remind: None,
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

    /// Whether it can tell of many things in one message.
    pub fn takes_many(&self) -> bool {
        match self {
            NotifierPlace::Email(_) => true,
            NotifierPlace::Webhook(_) | NotifierPlace::Exec(_) => false,
        }
    }

    /// Reads the keys of the notifier with this word; nothing if there is no such word.
    pub fn read<'de, D: Deserializer<'de>>(name: &str, keys: D) -> Option<Result<NotifierPlace, D::Error>> {
        match name {
            "email" => Some(EmailSpec::deserialize(keys).map(NotifierPlace::Email)),
            "webhook" => Some(WebhookSpec::deserialize(keys).map(NotifierPlace::Webhook)),
            "exec" => Some(ExecSpec::deserialize(keys).map(NotifierPlace::Exec)),
            _ => None,
        }
    }
    /// Calls `f` with every text in it that may come from elsewhere.
    pub fn givens(&mut self, f: &mut dyn FnMut(&mut Given)) {
        match self {
            NotifierPlace::Email(email) => email.to.iter_mut().for_each(f),
            NotifierPlace::Webhook(webhook) => {
                f(&mut webhook.url);
                webhook.headers.values_mut().for_each(f);
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
            NotifierPlace::Webhook(webhook) => {
                let mut mistakes: Vec<Mistake> = url_mistake(&webhook.url, &["url"]).into_iter().collect();
                for name in webhook.headers.keys() {
                    mistakes.extend(header_mistake(name, &["headers"]));
                }
                mistakes
            }
            NotifierPlace::Exec(exec) => exec.mistakes(),
        }
    }
}

/// `email: { to: [ops@example.org] }`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EmailSpec {
    /// To whom.
    pub to: Vec<Given>,
}

/// `webhook: { url: .., headers: {..} }`: a CloudEvents 1.0 JSON event is posted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookSpec {
    /// Where to.
    pub url: Given,
    /// Headers of one's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Given>,
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
