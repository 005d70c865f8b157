//! `protocol`: the real question of a protocol, asked as its clients ask it.
//!
//! A protocol here is a function over a [`Talk`]: what it sends, what must come back, what the version is, and how the
//! conversation is ended so that the server need not complain in its log. All else is done once, here: the connection, TLS,
//! the deadline, the bounds, the sample.

mod ajp;
mod amqp;
mod fastcgi;
mod ftp;
mod git;
mod ldap;
mod mail;
mod memcached;
mod mongodb;
mod mqtt;
mod mysql;
mod nats;
mod packet;
mod postgresql;
mod redis;
mod rsync;
mod scram;
mod ssh;
mod steps;
mod talk;
#[cfg(test)]
mod tests;
mod websocket;

use super::net::{Net, Progress};
use super::words::{self, Trouble};
use crate::model::kinds::{Protocol, ProtocolName};
use crate::model::{Given, MetricId, MetricSet, Reading, Sample};
use std::time::Duration;
use talk::Talk;

const FAILED: MetricId = MetricId(0);
const LATENCY: MetricId = MetricId(1);
const VERSION: MetricId = MetricId(2);
const CERT_EXPIRES: MetricId = MetricId(3);

impl Net {
    /// Asks once. The sample is there at the latest when the time is up; then the check has failed, and the sample has
    /// what was obtained until then.
    pub async fn protocol(&self, spec: &Protocol, wanted: MetricSet, timeout: Duration) -> Sample {
        let start = self.clock.now();
        let hidden = spec.address.as_ref().is_some_and(Given::is_secret);
        let mut talk = Talk {
            net: self,
            spec,
            deadline: start.mono + timeout,
            wants_version: wanted.contains(VERSION),
            progress: Progress::new(hidden),
            stream: None,
            came: Vec::new(),
            total: 0,
            version: None,
            goodbye: Vec::new(),
        };
        let asked = tokio::time::timeout(timeout, ask(&mut talk)).await;
        let outcome = asked.unwrap_or_else(|_| Err(talk.progress.stage.too_late(timeout)));
        let latency = if outcome.is_ok() { self.since(start.mono) } else { Reading::Unknown };
        talk.part().await;
        let secrets = secrets(spec);
        let version = match talk.version {
            Some(version) => Reading::Text(words::note(String::from_utf8_lossy(&version).trim(), &secrets)),
            None if outcome.is_ok() => Reading::Absent,
            None => Reading::Unknown,
        };
        let cert_expires = talk.progress.cert_expires(self.clock.now());
        let readings = vec![(LATENCY, latency), (VERSION, version), (CERT_EXPIRES, cert_expires)];
        self.sample(start, outcome.map(|()| None), FAILED, readings, &secrets)
    }
}

async fn ask(talk: &mut Talk<'_>) -> Result<(), Trouble> {
    let name = talk.spec.name;
    if name.is_udp() {
        return packet::ask(talk).await;
    }
    talk.connect().await?;
    match name {
        ProtocolName::Redis => redis::ask(talk).await,
        ProtocolName::Memcached => memcached::ask(talk).await,
        ProtocolName::Postgresql => postgresql::ask(talk).await,
        ProtocolName::Mysql => mysql::ask(talk).await,
        ProtocolName::Smtp => mail::smtp(talk).await,
        ProtocolName::Imap => mail::imap(talk).await,
        ProtocolName::Pop3 => mail::pop3(talk).await,
        ProtocolName::Ftp => ftp::ask(talk).await,
        ProtocolName::Ssh => ssh::ask(talk).await,
        ProtocolName::Ldap => ldap::ask(talk).await,
        ProtocolName::Mqtt => mqtt::ask(talk).await,
        ProtocolName::Amqp => amqp::ask(talk).await,
        ProtocolName::Nats => nats::ask(talk).await,
        ProtocolName::Mongodb => mongodb::ask(talk).await,
        ProtocolName::Websocket => websocket::ask(talk).await,
        ProtocolName::Rsync => rsync::ask(talk).await,
        ProtocolName::Git => git::ask(talk).await,
        ProtocolName::Fastcgi => fastcgi::ask(talk).await,
        ProtocolName::Ajp => ajp::ask(talk).await,
        ProtocolName::Talk => steps::ask(talk).await,
        ProtocolName::Ntp | ProtocolName::Dns => packet::ask(talk).await,
    }
}

/// What must not be shown.
fn secrets(spec: &Protocol) -> Vec<String> {
    let steps = spec.steps.iter().filter_map(|step| step.send.as_ref());
    let given = spec.address.iter().chain(spec.password.as_ref().map(|secret| &secret.0)).chain(steps);
    given.filter(|given| given.is_secret()).map(|given| given.expose().trim().to_owned()).collect()
}
