//! `protocol`: the real question of a protocol: a PING, a greeting, a login that asks for nothing.

use super::{CheckKind, Mistake, TlsOrNot};
use crate::model::{AbsPath, Dimension, Given, Metric, Pattern, Secret};
use serde::{Deserialize, Serialize};

/// The keys of a `protocol` check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protocol {
    /// Which.
    pub name: ProtocolName,
    /// Where: `host:port`; this machine and the protocol's own port where this is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Given>,
    /// Or a unix socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unix: Option<AbsPath>,
    /// Speak TLS: `true`, or how to trust the server.
    #[serde(default, skip_serializing_if = "TlsOrNot::is_off")]
    pub tls: TlsOrNot,
    /// Whom to log in as, where the protocol has a login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The password of that login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// What to ask for, where the protocol names things: a path (websocket, git, fastcgi, ajp), a name (dns), a database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The steps of `talk`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
}

/// A step of a conversation: what to send, what must come back; one of them or both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What to send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send: Option<Given>,
    /// A regular expression that what comes back since then must match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Pattern>,
}

macro_rules! protocols {
    ($($(#[doc = $doc:literal])* $name:ident $word:literal $port:literal,)*) => {
        /// A protocol that minder speaks.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum ProtocolName {
            $($(#[doc = $doc])* $name,)*
        }

        impl ProtocolName {
            /// Every one.
            pub const ALL: &'static [ProtocolName] = &[$(ProtocolName::$name),*];
            /// As in the language.
            pub fn word(self) -> &'static str {
                match self { $(ProtocolName::$name => $word,)* }
            }
            /// The port that it is spoken on without TLS, by custom; 0 where there is none.
            pub fn port(self) -> u16 {
                match self { $(ProtocolName::$name => $port,)* }
            }
        }
    };
}

protocols! {
    /// Redis, and what speaks as it does.
    Redis "redis" 6379,
    /// memcached.
    Memcached "memcached" 11211,
    /// PostgreSQL.
    Postgresql "postgresql" 5432,
    /// MySQL and MariaDB.
    Mysql "mysql" 3306,
    /// Mail between servers.
    Smtp "smtp" 25,
    /// Mail for readers.
    Imap "imap" 143,
    /// Mail for readers.
    Pop3 "pop3" 110,
    /// Files.
    Ftp "ftp" 21,
    /// Secure shell.
    Ssh "ssh" 22,
    /// Directories.
    Ldap "ldap" 389,
    /// MQTT 3.1.1.
    Mqtt "mqtt" 1883,
    /// AMQP 0-9-1.
    Amqp "amqp" 5672,
    /// NATS.
    Nats "nats" 4222,
    /// MongoDB.
    Mongodb "mongodb" 27017,
    /// WebSocket.
    Websocket "websocket" 80,
    /// Network time.
    Ntp "ntp" 123,
    /// Names.
    Dns "dns" 53,
    /// rsync's daemon.
    Rsync "rsync" 873,
    /// git's daemon.
    Git "git" 9418,
    /// FastCGI, such as PHP-FPM.
    Fastcgi "fastcgi" 9000,
    /// Apache JServ, such as Tomcat.
    Ajp "ajp" 8009,
    /// Any other: a conversation of `steps`.
    Talk "talk" 0,
}

impl CheckKind for Protocol {
    const NAME: &'static str = "protocol";
    const SHORT: Option<&'static str> = Some("name");
    const DEFAULT: Option<&'static str> = Some("failed");
    const METRICS: &'static [Metric] = &[
        Metric::new("failed", Dimension::Flag, "it could not be connected to, or did not answer as the protocol says"),
        Metric::new("latency", Dimension::Time, "from the start to the answer"),
        Metric::new("version", Dimension::Text, "the version that the server says it is, where it says one"),
        Metric::new(
            "cert.expires",
            Dimension::Time,
            "how long the certificate is still valid; read even where it is refused",
        ),
    ];

    fn givens(&mut self, f: &mut dyn FnMut(&mut Given)) {
        self.address.iter_mut().for_each(&mut *f);
        self.password.iter_mut().for_each(|secret| f(&mut secret.0));
        self.steps.iter_mut().filter_map(|step| step.send.as_mut()).for_each(f);
    }

    fn mistakes(&self) -> Vec<Mistake> {
        let mut mistakes = self.tls.0.as_ref().map(super::Tls::mistakes).unwrap_or_default();
        if let (Some(_), Some(_)) = (&self.address, &self.unix) {
            mistakes.push(
                Mistake::new(&["unix"], "`address` and `unix` both say where to connect")
                    .help("leave one of the two away"),
            );
        }
        if let Some(address) = &self.address {
            mistakes.extend(crate::model::mistake::address_mistake(address, &["address"]));
        }
        mistakes
    }

    fn about(&self) -> String {
        let place = match (&self.address, &self.unix) {
            (Some(address), _) => address.to_string(),
            (None, Some(path)) => path.to_string(),
            (None, None) => format!("127.0.0.1:{}", self.name.port()),
        };
        format!("{} at {place}", self.name.word())
    }
}
