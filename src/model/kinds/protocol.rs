//! `protocol`: the real question of a protocol: a PING, a greeting, a login that asks for nothing.

use super::{CheckKind, Mistake, TlsOrNot};
use crate::model::{AbsPath, Dimension, Given, Metric, Pattern, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The keys of a `protocol` check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// What to ask for, where the protocol names things: a path (websocket, git, fastcgi), a name (dns), a database
    /// (postgresql, mysql), a virtual host (amqp).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The steps of `talk`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
}

/// A step of a conversation: what to send, what must come back; one of them or both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    ($($(#[doc = $doc:literal])* $name:ident $word:literal $port:literal $secure:literal [$($key:literal)*],)*) => {
        /// A protocol that minder speaks.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
            /// The port that it is spoken on by custom, without TLS and with; 0 where there is none.
            pub fn port(self, tls: bool) -> u16 {
                match self { $(ProtocolName::$name => if tls { $secure } else { $port },)* }
            }
            /// The keys that it has a use for, beside `name` and `address`.
            pub fn keys(self) -> &'static [&'static str] {
                match self { $(ProtocolName::$name => &[$($key),*],)* }
            }
        }
    };
}

protocols! {
    /// Redis, and what speaks as it does.
    Redis "redis" 6379 6379 ["unix" "tls" "user" "password"],
    /// memcached.
    Memcached "memcached" 11211 11211 ["unix" "tls"],
    /// PostgreSQL.
    Postgresql "postgresql" 5432 5432 ["unix" "tls" "user" "password" "path"],
    /// MySQL and MariaDB.
    Mysql "mysql" 3306 3306 ["unix" "tls" "user" "password" "path"],
    /// Mail between servers.
    Smtp "smtp" 25 465 ["unix" "tls" "user" "password"],
    /// Mail for readers.
    Imap "imap" 143 993 ["unix" "tls" "user" "password"],
    /// Mail for readers.
    Pop3 "pop3" 110 995 ["unix" "tls" "user" "password"],
    /// Files.
    Ftp "ftp" 21 990 ["tls" "user" "password"],
    /// Secure shell.
    Ssh "ssh" 22 0 [],
    /// Directories.
    Ldap "ldap" 389 636 ["unix" "tls" "user" "password"],
    /// MQTT 3.1.1.
    Mqtt "mqtt" 1883 8883 ["unix" "tls" "user" "password"],
    /// AMQP 0-9-1.
    Amqp "amqp" 5672 5671 ["tls" "user" "password" "path"],
    /// NATS.
    Nats "nats" 4222 4222 ["tls" "user" "password"],
    /// MongoDB.
    Mongodb "mongodb" 27017 27017 ["unix" "tls"],
    /// WebSocket.
    Websocket "websocket" 80 443 ["unix" "tls" "path"],
    /// Network time.
    Ntp "ntp" 123 0 [],
    /// Names.
    Dns "dns" 53 0 ["path"],
    /// rsync's daemon.
    Rsync "rsync" 873 874 ["tls"],
    /// git's daemon.
    Git "git" 9418 0 ["path"],
    /// FastCGI, such as PHP-FPM.
    Fastcgi "fastcgi" 9000 0 ["unix" "path"],
    /// Apache JServ, such as Tomcat.
    Ajp "ajp" 8009 0 [],
    /// Any other: a conversation of `steps`.
    Talk "talk" 0 0 ["unix" "tls" "steps"],
}

impl ProtocolName {
    /// It is asked by single packets, not over a connection.
    pub fn is_udp(self) -> bool {
        matches!(self, ProtocolName::Ntp | ProtocolName::Dns)
    }
    /// A password without a user means something to it.
    fn password_alone(self) -> bool {
        matches!(self, ProtocolName::Redis | ProtocolName::Nats)
    }
    /// So does a user without a password.
    fn user_alone(self) -> bool {
        use ProtocolName::{Mqtt, Mysql, Postgresql};
        matches!(self, Postgresql | Mysql | Mqtt)
    }
    /// Its `path` is one of a URL or of files, and begins with a slash.
    fn path_has_slash(self) -> bool {
        matches!(self, ProtocolName::Websocket | ProtocolName::Git | ProtocolName::Fastcgi)
    }
}

/// More steps than this are a program, not a question.
const MOST_STEPS: usize = 20;

impl Protocol {
    /// The port that is asked where `address` is missing; 0 where the protocol has none.
    pub fn default_port(&self) -> u16 {
        self.name.port(self.tls.0.is_some())
    }

    /// Keys that are there and mean nothing to the protocol.
    fn useless_keys(&self) -> Vec<Mistake> {
        let given = [
            ("unix", self.unix.is_some()),
            ("tls", self.tls.0.is_some()),
            ("user", self.user.is_some()),
            ("password", self.password.is_some()),
            ("path", self.path.is_some()),
            ("steps", !self.steps.is_empty()),
        ];
        let (word, uses) = (self.name.word(), self.name.keys());
        let help = match (self.name.is_udp(), uses) {
            (true, []) => "it is asked over UDP; the one key beside `name` is `address`".to_owned(),
            (true, _) => format!("it is asked over UDP; the keys beside `name` are {}", listed(&["address"], uses)),
            (false, []) => "the one key beside `name` is `address`".to_owned(),
            (false, _) => format!("the keys beside `name` are {}", listed(&["address"], uses)),
        };
        let useless = given.iter().filter(|(key, there)| *there && !uses.contains(key));
        useless.map(|(key, _)| Mistake::new(&[key], format!("`{word}` has no use for `{key}`")).help(&help)).collect()
    }

    fn login_mistake(&self) -> Option<Mistake> {
        let (name, word) = (self.name, self.name.word());
        if !name.keys().contains(&"user") {
            return None;
        }
        match (&self.user, &self.password) {
            (None, Some(_)) if !name.password_alone() => Some(
                Mistake::new(&["password"], "there is a password, and nobody to log in")
                    .help("add `user: NAME`, or leave `password` away: then nobody is logged in"),
            ),
            (Some(_), None) if !name.user_alone() => Some(
                Mistake::new(&["user"], format!("a login of `{word}` needs a password"))
                    .help("add `password: { env: NAME }`, or leave `user` away: then nobody is logged in"),
            ),
            (Some(user), _) if user.is_empty() || user.contains(char::is_control) => Some(
                Mistake::new(&["user"], "this cannot be the name of a user")
                    .help("write it without line breaks and other control characters"),
            ),
            _ => None,
        }
    }

    fn path_mistake(&self) -> Option<Mistake> {
        let path = self.path.as_ref().filter(|_| self.name.keys().contains(&"path"))?;
        let mistake = |what: &str, help: &str| Some(Mistake::new(&["path"], what).help(help));
        if path.is_empty() || path.contains(char::is_control) {
            return mistake("this names nothing", "write it without line breaks, or leave `path` away");
        }
        if self.name.path_has_slash() && (!path.starts_with('/') || path.contains(' ')) {
            return mistake(
                "this path cannot be asked for",
                "it begins with a slash and has no spaces: `path: /status`",
            );
        }
        let label = |label: &str| !label.is_empty() && label.len() < 64;
        let name = path.strip_suffix('.').unwrap_or(path);
        let is_name = path == "." || (name.len() < 254 && name.is_ascii() && name.split('.').all(label));
        if self.name == ProtocolName::Dns && !is_name {
            return mistake("this is not a name", "write one such as `path: example.org`");
        }
        None
    }

    fn step_mistakes(&self, mistakes: &mut Vec<Mistake>) {
        if self.name != ProtocolName::Talk {
            return;
        }
        let example = "say what to send and what to expect: `steps: [{ send: \"PING\\r\\n\", expect: PONG }]`";
        match self.steps.len() {
            0 => mistakes.push(Mistake::new(&[], "`talk` has nothing to say").help(example)),
            1..=MOST_STEPS => {}
            count => mistakes.push(
                Mistake::new(&["steps"], format!("{count} steps are too many: a check may have {MOST_STEPS}"))
                    .help("a long conversation is better held by a program: `program: /path/of/it`"),
            ),
        }
        for (i, step) in self.steps.iter().enumerate() {
            if step.send.is_none() && step.expect.is_none() {
                mistakes.push(
                    Mistake::new(&["steps"], format!("step {} neither sends nor expects anything", i + 1))
                        .help("give it `send`, `expect` or both"),
                );
            }
        }
        if self.address.is_none() && self.unix.is_none() {
            mistakes.push(
                Mistake::new(&[], "`talk` has no port of its own: this check does not say where to connect")
                    .help("add `address: host:port`, or `unix: /path/of/socket`"),
            );
        }
    }
}

/// `a`, `b` and `c`, in code quotes.
fn listed(first: &[&str], more: &[&str]) -> String {
    let words: Vec<String> = first.iter().chain(more).map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => words.concat(),
    }
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
        let mut mistakes = self.useless_keys();
        mistakes.extend(self.login_mistake());
        mistakes.extend(self.path_mistake());
        self.step_mistakes(&mut mistakes);
        if self.name.keys().contains(&"tls") {
            mistakes.extend(self.tls.0.as_ref().map(super::Tls::mistakes).unwrap_or_default());
        }
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
            (None, None) => format!("127.0.0.1:{}", self.default_port()),
        };
        let tls = if self.tls.0.is_some() { " with TLS" } else { "" };
        format!("{} at {place}{tls}", self.name.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_protocol_is_written_as_it_is_named_and_knows_its_place() {
        for name in ProtocolName::ALL {
            assert_eq!(serde_json::to_value(name).unwrap(), name.word());
            assert_eq!(name.port(false) == 0, *name == ProtocolName::Talk, "{name:?}");
            let has_tls = name.keys().contains(&"tls") && *name != ProtocolName::Talk;
            assert_eq!(name.port(true) != 0, has_tls, "{name:?}");
            assert!(!name.is_udp() || !name.keys().iter().any(|key| ["unix", "tls"].contains(key)), "{name:?}");
            assert_eq!(name.keys().contains(&"user"), name.keys().contains(&"password"), "{name:?}");
        }
    }

    #[test]
    fn what_is_asked_is_said_in_a_few_words() {
        let about = |yaml: &str| serde_yaml::from_str::<Protocol>(yaml).unwrap().about();
        assert_eq!(about("name: redis"), "redis at 127.0.0.1:6379");
        assert_eq!(about("{ name: imap, tls: true }"), "imap at 127.0.0.1:993 with TLS");
        assert_eq!(about("{ name: mysql, unix: /run/mysqld/mysqld.sock }"), "mysql at /run/mysqld/mysqld.sock");
    }
}
