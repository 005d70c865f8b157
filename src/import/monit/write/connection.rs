//! A test of a connection: which check asks it, and what of the answer is bad.

use super::super::syntax::{Connection, Op};
use super::checks::{Keys, TIMEOUT, expression, in_quotes};
use super::limit;
use super::mail::address;
use super::service::Draft;
use super::talk::steps;
use crate::import::yaml;
use std::time::Duration;

/// What monit calls a protocol, what we do, and whether it is one over TLS.
const PROTOCOLS: &[(&str, &str, bool)] = &[
    ("dns", "dns", false),
    ("ftp", "ftp", false),
    ("imap", "imap", false),
    ("imaps", "imap", true),
    ("ldap2", "ldap", false),
    ("ldap3", "ldap", false),
    ("memcache", "memcached", false),
    ("mongodb", "mongodb", false),
    ("mqtt", "mqtt", false),
    ("mysql", "mysql", false),
    ("mysqls", "mysql", true),
    ("ntp3", "ntp", false),
    ("pgsql", "postgresql", false),
    ("pop", "pop3", false),
    ("pops", "pop3", true),
    ("redis", "redis", false),
    ("rsync", "rsync", false),
    ("smtp", "smtp", false),
    ("smtps", "smtp", true),
    ("ssh", "ssh", false),
    ("websocket", "websocket", false),
];
/// Protocols of which a question and its answer are enough: what is sent, and what comes back.
const GREETINGS: &[(&str, Option<&str>, &str)] = &[
    ("clamav", Some("PING\n"), "PONG"),
    ("lmtp", None, "^220[ -]"),
    ("nntp", None, "^20[01] "),
    ("sieve", None, "OK"),
    ("spamassassin", Some("PING SPAMC/1.2\r\n\r\n"), "PONG"),
];

/// A condition, and what differs.
type Written = Result<(String, Vec<String>), String>;

/// The condition under which the test is bad.
pub fn condition(c: &Connection, draft: &mut Draft<'_>) -> Written {
    let protocol = c.protocol.as_deref().unwrap_or("default");
    if c.udp && !matches!(protocol, "dns" | "ntp3") {
        return Err("minder asks over UDP by the protocols dns and ntp only".to_owned());
    }
    let mut beyond = c.beyond.clone();
    beyond.dedup();
    let mut differs: Vec<String> = beyond.iter().map(|what| format!("without {what}")).collect();
    if c.retry.is_some_and(|retry| retry > 1) {
        differs.push("a failure is not tried again within a cycle: a hold (`for 2 times`) does that".to_owned());
    }
    let timeout = match c.timeout {
        Some(seconds @ 1..=86_400) => Duration::from_secs(u64::from(seconds)),
        Some(_) => return Err("this is no timeout".to_owned()),
        None => draft.settings.timeout,
    };
    let tls = c.tls || protocol == "https" || PROTOCOLS.iter().any(|(name, _, tls)| *name == protocol && *tls);
    let tls = tls || c.url.as_deref().is_some_and(|url| url.starts_with("https:"));
    let mut bad = Vec::new();
    let (kind, check) = if c.url.is_some() || matches!(protocol, "http" | "https" | "apache-status") {
        let keys = http(c, tls, &mut bad, draft)?;
        ("http", draft.checks.add("http", "http", &keys, timeout)?)
    } else {
        other(c, protocol, tls, timeout, draft, &mut differs)?
    };
    let mut bad: Vec<String> = bad.into_iter().map(|part| part.replace("HTTP", &check)).collect();
    match c.days {
        Some(days) if tls && days > 0 && days < 3650 => bad.push(format!("{check}.cert.expires < {days}d")),
        Some(_) => differs.push("there is no certificate that could be looked at".to_owned()),
        None => {}
    }
    if let Some((op, amount)) = &c.response {
        bad.push(limit::compare(kind, &check, "latency", *op, amount)?);
    }
    if c.succeeded {
        return match bad.is_empty() {
            true => Ok((format!("not {check}.failed"), differs)),
            false => Err("success is not tested with further conditions".to_owned()),
        };
    }
    bad.insert(0, format!("{check}.failed"));
    Ok((bad.join(" or "), differs))
}

/// Where to connect to.
fn place(c: &Connection, keys: Keys, draft: &Draft<'_>) -> Result<Keys, String> {
    match (&c.unix, c.port) {
        (Some(path), _) => Ok(keys.text("unix", path)),
        (None, Some(port)) => Ok(keys.text("address", &address(host(c, draft), port)?)),
        (None, None) => Err("it does not say where to connect".to_owned()),
    }
}

fn host<'a>(c: &'a Connection, draft: &'a Draft<'_>) -> &'a str {
    c.host.as_deref().unwrap_or(&draft.host)
}

/// TLS, as it is trusted.
fn secured(c: &Connection, tls: bool, keys: Keys, draft: &Draft<'_>) -> Keys {
    match (tls, c.verify.unwrap_or(draft.settings.verify)) {
        (false, _) => keys,
        (true, true) => keys.raw("tls", "true"),
        (true, false) => keys.raw("tls", "{ verify: false }"),
    }
}

/// The keys of an `http` check. What its `expect` cannot say is added as conditions on the check `HTTP`.
fn http(c: &Connection, tls: bool, bad: &mut Vec<String>, draft: &mut Draft<'_>) -> Result<Keys, String> {
    let (mut user, mut password) = (c.user.clone(), c.password);
    let url = match &c.url {
        Some(text) => {
            let mut url = url::Url::parse(text).map_err(|_| "this is not a URL".to_owned())?;
            if !url.username().is_empty() {
                user = Some(url.username().to_owned());
                password = url.password().is_some();
                // Without a host there are none to take away.
                let _ = (url.set_username(""), url.set_password(None));
            }
            url.to_string()
        }
        None => {
            let scheme = if tls { "https" } else { "http" };
            let standard = if tls { ":443" } else { ":80" };
            let request = c.request.as_deref().unwrap_or(match c.protocol.as_deref() {
                Some("apache-status") => "/server-status",
                _ => "/",
            });
            let place = match c.unix {
                Some(_) => "localhost".to_owned(),
                None => address(host(c, draft), c.port.ok_or("it does not say where to connect")?)?,
            };
            let place = place.strip_suffix(standard).unwrap_or(&place);
            let slash = if request.starts_with('/') { "" } else { "/" };
            format!("{scheme}://{place}{slash}{request}")
        }
    };
    let mut keys = Keys::default().text("url", &url);
    if let Some(method) = c.method.as_deref().filter(|method| *method != "GET") {
        keys = keys.text("method", method);
    }
    if let Some(path) = &c.unix {
        keys = keys.text("unix", path);
    }
    if !c.headers.is_empty() {
        keys = keys.raw("headers", headers(c, draft)?);
    }
    if let Some(user) = user.filter(|_| password) {
        let variable = draft.secret();
        keys = keys.raw("basic", format!("{{ user: {}, password: {{ env: {variable} }} }}", yaml::scalar(&user)));
    }
    if tls && !c.verify.unwrap_or(draft.settings.verify) {
        keys = keys.raw("tls", "{ verify: false }");
    }
    let mut expect = Keys::default();
    let mut expects = false;
    if let Some((op, status)) = c.status {
        expect = expect.raw("status", statuses(op, status).ok_or("these statuses are no whole classes")?);
        expects = true;
    }
    let mut matched = false;
    for (not, text) in &c.contents {
        let text = expression(text)?;
        match (not, matched) {
            (true, _) => bad.push(format!("HTTP.body matches {}", in_quotes(&text))),
            (false, true) => bad.push(format!("not HTTP.body matches {}", in_quotes(&text))),
            (false, false) => {
                expect = expect.text("match", &text);
                (matched, expects) = (true, true);
            }
        }
    }
    Ok(if expects { keys.raw("expect", expect.map()) } else { keys })
}

/// Headers as a map; those that hold secrets come from the environment.
fn headers(c: &Connection, draft: &mut Draft<'_>) -> Result<String, String> {
    let mut entries: Vec<(String, String)> = Vec::new();
    for (name, value) in &c.headers {
        let lower = name.to_ascii_lowercase();
        if entries.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            return Err("a header stands there twice".to_owned());
        }
        let secret = ["auth", "cookie", "token", "key", "secret", "password"].iter().any(|word| lower.contains(word));
        let value = if secret { format!("{{ env: {} }}", draft.secret()) } else { yaml::scalar(value) };
        entries.push((name.clone(), value));
    }
    let entries: Vec<String> = entries.iter().map(|(name, value)| format!("{}: {value}", yaml::scalar(name))).collect();
    Ok(format!("{{ {} }}", entries.join(", ")))
}

/// The statuses that this allows, as classes; nothing if they are none.
fn statuses(op: Op, status: u32) -> Option<String> {
    let (first, last) = match op {
        Op::Equal => return (100..600).contains(&status).then(|| status.to_string()),
        Op::Unequal => return None,
        Op::Less => (100, status.checked_sub(1)?),
        Op::LessOrEqual => (100, status),
        Op::Greater => (status.checked_add(1)?, 599),
        Op::GreaterOrEqual => (status, 599),
    };
    let whole = first % 100 == 0 && last % 100 == 99 && first >= 100 && last < 600 && first < last;
    let classes = || (first / 100..=last / 100).map(|class| format!("{class}xx")).collect::<Vec<_>>();
    whole.then(|| format!("[{}]", classes().join(", ")))
}

/// Every protocol but HTTP. Its kind, and the name of its check.
fn other(
    c: &Connection,
    protocol: &str,
    tls: bool,
    timeout: Duration,
    draft: &mut Draft<'_>,
    differs: &mut Vec<String>,
) -> Result<(&'static str, String), String> {
    if let Some((_, name, _)) = PROTOCOLS.iter().find(|(known, ..)| *known == protocol) {
        let mut keys = secured(c, tls, place(c, Keys::default().text("name", name), draft)?, draft);
        if let Some(user) = &c.user {
            keys = keys.text("user", user);
        }
        if c.password {
            let variable = draft.secret();
            keys = keys.raw("password", format!("{{ env: {variable} }}"));
        }
        if let Some(path) = c.database.as_ref().or(c.request.as_ref()) {
            keys = keys.text("path", path);
        }
        if !c.headers.is_empty() {
            differs.push("without headers".to_owned());
        }
        return Ok(("protocol", draft.checks.add("protocol", name, &keys, timeout)?));
    }
    let greeting = GREETINGS.iter().find(|(known, ..)| *known == protocol);
    if greeting.is_none() && protocol != "default" {
        differs.push(format!("minder does not speak `{protocol}`: it connects, and that is all"));
    }
    let mut steps = match greeting {
        Some((_, Some(send), expect)) => vec![Keys::default().text("send", send).text("expect", expect)],
        Some((_, None, expect)) => vec![Keys::default().text("expect", expect)],
        None => steps(&c.steps)?,
    };
    if steps.len() <= 1 {
        let keys = secured(c, tls, place(c, Keys::default(), draft)?, draft);
        let keys = steps.pop().unwrap_or_default().after(keys);
        return Ok(("tcp", draft.checks.add("tcp", "tcp", &keys, timeout)?));
    }
    let keys = secured(c, tls, place(c, Keys::default().text("name", "talk"), draft)?, draft);
    let steps: Vec<String> = steps.iter().map(Keys::map).collect();
    let keys = keys.raw("steps", format!("[{}]", steps.join(", ")));
    Ok(("protocol", draft.checks.add("protocol", "talk", &keys, timeout)?))
}

/// A ping of a host.
pub fn ping(ping: &super::super::syntax::Ping, draft: &mut Draft<'_>) -> Written {
    let mut differs = Vec::new();
    if ping.size {
        differs.push("without the size of the packets".to_owned());
    }
    let count = ping.count.unwrap_or(3);
    if count > 20 {
        differs.push("at most 20 requests are sent".to_owned());
    }
    let timeout = match ping.timeout {
        Some(seconds @ 1..=86_400) => Duration::from_secs(u64::from(seconds)),
        Some(_) => return Err("this is no timeout".to_owned()),
        None => TIMEOUT,
    };
    address(&draft.host, 1)?;
    let mut keys = Keys::default().text("host", &draft.host);
    if count != 3 {
        keys = keys.raw("count", count.clamp(1, 20).to_string());
    }
    let check = draft.checks.add("ping", "ping", &keys, timeout)?;
    match (ping.succeeded, &ping.response) {
        (true, None) => Ok((format!("not {check}.failed"), differs)),
        (true, Some(_)) => Err("success is not tested with further conditions".to_owned()),
        (false, None) => Ok((format!("{check}.failed"), differs)),
        (false, Some((op, amount))) => {
            let slow = limit::compare("ping", &check, "latency", *op, amount)?;
            Ok((format!("{check}.failed or {slow}"), differs))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_classes() {
        for (op, status, written) in [
            (Op::Equal, 204, Some("204")),
            (Op::Less, 400, Some("[1xx, 2xx, 3xx]")),
            (Op::GreaterOrEqual, 200, Some("[2xx, 3xx, 4xx, 5xx]")),
            (Op::Less, 404, None),
            (Op::Less, 0, None),
            (Op::Less, 100, None),
            (Op::Greater, u32::MAX, None),
            (Op::Unequal, 200, None),
        ] {
            assert_eq!(statuses(op, status).as_deref(), written);
        }
    }
}
