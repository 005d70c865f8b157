//! How mail leaves.

use super::super::read::Place;
use super::super::syntax::MailServer;
use super::ledger::{Ledger, Outcome};
use crate::import::{Machine, yaml};
use crate::model::{Given, Mail};

/// The servers, the login and the sender.
#[derive(Default)]
pub struct Mailing {
    /// As `host:port`.
    servers: Vec<String>,
    tls: Option<&'static str>,
    /// A name to log in with, and the variable of its password.
    login: Option<(String, String)>,
    from: Option<String>,
}

impl Mailing {
    /// Takes `set mailserver` over.
    pub fn servers(&mut self, servers: &[MailServer], place: Place, ledger: &mut Ledger) -> Outcome {
        let Some(first) = servers.first() else { return Err("there is no server in it".to_owned()) };
        // There is one way to speak to all of them.
        let alike = |server: &&MailServer| server.tls == first.tls && server.user == first.user;
        let like_first: Vec<&MailServer> = servers.iter().filter(alike).collect();
        let addresses: Result<Vec<String>, String> =
            like_first.iter().map(|server| address(&server.host, server.port.unwrap_or(25))).collect();
        self.servers = addresses?;
        let mut differs = Vec::new();
        if like_first.len() < servers.len() {
            differs.push("only servers with the login and TLS of the first one are carried over".to_owned());
        }
        self.tls = match (first.tls || first.user.is_some(), first.port) {
            (false, _) => None,
            (true, Some(465)) => Some("tls"),
            (true, _) => Some("starttls"),
        };
        if first.user.is_some() && !first.tls {
            differs.push("a password crosses the network only with TLS".to_owned());
        }
        if servers.iter().any(|server| server.hostname) {
            differs.push("minder greets with the name of the machine".to_owned());
        }
        self.login = first.user.as_ref().map(|user| {
            let variable = ledger.secret("mail", place);
            differs.push(format!("the password is not copied: put it into the environment variable {variable}"));
            (user.clone(), variable)
        });
        Ok(differs)
    }

    /// Takes the sender of `set mail-format` over.
    pub fn sender(&mut self, from: &str, machine: &Machine) -> Outcome {
        if from.is_empty() {
            return Err("messages have a format of their own".to_owned());
        }
        let from = from.replace("$HOST", &machine.host).replace(['"', '\''], "");
        let sender = match from.split_once('<') {
            Some((name, address)) if !name.trim().is_empty() => format!("{} <{}", name.trim(), address.trim()),
            Some((_, address)) => address.trim().trim_end_matches('>').to_owned(),
            None => from.trim().to_owned(),
        };
        if !is_sender(&sender) {
            return Err("this is not a mail address".to_owned());
        }
        self.from = Some(sender);
        Ok(vec!["only the sender is carried over: messages have a format of their own".to_owned()])
    }

    /// The key `mail`, if there is something to say, or if it is needed.
    pub fn lines(&self, needed: bool, machine: &Machine) -> Vec<String> {
        if self.servers.is_empty() && !needed {
            return Vec::new();
        }
        let mut lines = vec![String::new()];
        if self.servers.is_empty() {
            lines.push("# No `set mailserver` says which: the one of this machine is taken.".to_owned());
        }
        lines.push("mail:".to_owned());
        lines.push(match self.servers.as_slice() {
            [] => "  server: \"127.0.0.1:25\"".to_owned(),
            [one] => format!("  server: {}", yaml::scalar(one)),
            many => format!("  server: {}", yaml::list(many)),
        });
        lines.push(format!("  tls: {}", self.tls.unwrap_or("none")));
        if let Some((user, variable)) = &self.login {
            lines.push(format!("  user: {}", yaml::scalar(user)));
            lines
                .push(format!("  # Put it into {variable} of minder's environment, or write {{ file: /path/of/it }}."));
            lines.push(format!("  password: {{ env: {variable} }}"));
        }
        let own = Some(format!("minder@{}", machine.host)).filter(|sender| is_sender(sender));
        let from = self.from.clone().or(own).unwrap_or_else(|| "minder@localhost".to_owned());
        lines.push(format!("  from: {}", yaml::scalar(&from)));
        lines
    }
}

/// `host:port`
pub fn address(host: &str, port: u32) -> Result<String, String> {
    let good = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    let six = host.trim_matches(['[', ']']).parse::<std::net::Ipv6Addr>();
    match (port, six) {
        (0 | 65_536.., _) => Err(format!("{port} is not a port")),
        (_, Ok(six)) => Ok(format!("[{six}]:{port}")),
        _ if good => Ok(format!("{host}:{port}")),
        _ => Err("this does not name a host".to_owned()),
    }
}

/// Whether mail can come from there.
fn is_sender(from: &str) -> bool {
    let mail = Mail {
        server: vec![Given::literal("127.0.0.1:25")],
        tls: crate::model::MailTls::None,
        ca: None,
        user: None,
        password: None,
        from: Given::literal(from),
    };
    mail.mistakes().is_empty()
}
