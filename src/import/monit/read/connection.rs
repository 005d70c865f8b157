//! `if failed port ..`: what is connected to, and what is asked there.

use super::super::syntax::Connection;
use super::cursor::Cursor;
use super::setting::{SECONDS, secure, verify};
use super::test::op;

/// Protocols that are known, in small letters.
const PROTOCOLS: &[&str] = &[
    "apache-status",
    "clamav",
    "default",
    "dns",
    "dwp",
    "fail2ban",
    "ftp",
    "gps",
    "http",
    "https",
    "imap",
    "imaps",
    "ldap2",
    "ldap3",
    "lmtp",
    "memcache",
    "mongodb",
    "mqtt",
    "mysql",
    "mysqls",
    "nntp",
    "ntp3",
    "pgsql",
    "pop",
    "pops",
    "postfix-policy",
    "radius",
    "rdate",
    "redis",
    "rsync",
    "sieve",
    "sip",
    "smtp",
    "smtps",
    "spamassassin",
    "ssh",
    "tns",
    "websocket",
];

/// What stands behind `failed` or `succeeded`. It ends before a hold or `then`.
pub fn connection(cursor: &mut Cursor<'_>, succeeded: bool) -> Option<Connection> {
    let mut c = Connection { succeeded, ..Connection::default() };
    while option(cursor, &mut c)? {}
    (c.port.is_some() || c.unix.is_some() || c.url.is_some()).then_some(c)
}

/// Whether there was an option; nothing if there was one that is not understood.
fn option(cursor: &mut Cursor<'_>, c: &mut Connection) -> Option<bool> {
    let mut is = |words: &[&str]| cursor.then(words);
    if is(&["host"]) {
        // Behind the protocol it is the host that a websocket is asked for.
        if c.protocol.as_deref() == Some("websocket") {
            c.headers.push(("Host".to_owned(), cursor.given()?));
        } else {
            c.host = Some(cursor.given()?);
        }
    } else if is(&["port"]) {
        c.port = Some(cursor.integer()?);
    } else if is(&["unixsocket", "unix"]) {
        c.unix = Some(cursor.given()?);
    } else if is(&["url"]) {
        c.url = Some(cursor.text()?);
    } else if is(&["type"]) {
        match cursor.text()?.to_ascii_lowercase().as_str() {
            "tcp" => {}
            "udp" => c.udp = true,
            "tcpssl" => {
                c.tls = true;
                secure(cursor);
            }
            _ => return None,
        }
    } else if is(&["protocol", "proto"]) {
        let name = cursor.given()?.to_ascii_lowercase();
        c.protocol = Some(PROTOCOLS.contains(&name.as_str()).then_some(name)?);
    } else if is(&["ipv4", "ipv6"]) {
        c.beyond.push("the version of IP");
    } else if is(&["address"]) {
        cursor.given()?;
        c.beyond.push("the address to connect from");
    } else if is(&["send"]) {
        c.steps.push((true, cursor.given()?));
    } else if is(&["expect"]) {
        c.steps.push((false, cursor.given()?));
    } else if is(&["timeout"]) {
        c.timeout = Some(cursor.integer()?);
        cursor.take(SECONDS);
    } else if is(&["retry"]) {
        c.retry = Some(cursor.integer()?);
    } else if is(&["responsetime"]) {
        c.response =
            Some((op(cursor)?, cursor.amount(&["ms", "millisecond", "milliseconds", "s", "second", "seconds"])?));
    } else if is(&["certificate"]) {
        if cursor.then(&["valid"]) {
            cursor.take(&[">"]);
            c.days = Some(cursor.integer()?);
            cursor.then(&["day", "days"]);
        } else {
            cursor.then(&["checksum"]).then_some(())?;
            cursor.take(&["md5", "sha1"]);
            cursor.given()?;
            c.beyond.push("the checksum of the certificate");
        }
    } else if is(&["certmd5"]) {
        cursor.given()?;
        c.beyond.push("the checksum of the certificate");
    } else if secure(cursor) {
        c.tls = true;
        if cursor.then(&["options"]) {
            c.verify = verify(&cursor.braces()?).or(c.verify);
        }
    } else {
        return of_protocol(cursor, c);
    }
    Some(true)
}

/// What only some protocols know.
fn of_protocol(cursor: &mut Cursor<'_>, c: &mut Connection) -> Option<bool> {
    let mut is = |words: &[&str]| cursor.then(words);
    if is(&["request"]) {
        c.request = Some(cursor.given()?);
    } else if is(&["method"]) {
        c.method = Some(cursor.text()?.to_ascii_uppercase());
    } else if is(&["status"]) {
        c.status = Some((op(cursor)?, cursor.integer()?));
    } else if is(&["content"]) {
        let not = matches!(op(cursor)?, super::super::syntax::Op::Unequal);
        c.contents.push((not, cursor.text()?));
    } else if is(&["hostheader"]) {
        c.headers.push(("Host".to_owned(), cursor.given()?));
    } else if is(&["http"]) {
        cursor.then(&["headers"]).then_some(())?;
        c.headers.extend(headers(&cursor.block()?));
    } else if is(&["checksum"]) {
        cursor.given()?;
        c.beyond.push("the checksum of the body");
    } else if is(&["username"]) {
        c.user = Some(cursor.given()?);
    } else if is(&["password", "secret"]) {
        cursor.given()?;
        c.password = true;
    } else if is(&["database"]) {
        c.database = Some(cursor.given()?);
    } else if is(&["origin"]) {
        c.headers.push(("Origin".to_owned(), cursor.given()?));
    } else if is(&["version"]) {
        cursor.integer()?;
        c.beyond.push("the version of the protocol");
    } else if is(&["target"]) {
        cursor.given()?;
        c.beyond.push("the target");
    } else if is(&["maxforward"]) {
        cursor.given()?;
        c.beyond.push("the number of hops");
    } else if is(&["rsatype", "rsakey"]) {
        return None;
    } else if c.protocol.as_deref() == Some("apache-status") {
        return apache(cursor, c);
    } else {
        return Some(false);
    }
    Some(true)
}

/// `loglimit > 10% or dnslimit > 50%`
fn apache(cursor: &mut Cursor<'_>, c: &mut Connection) -> Option<bool> {
    let limits = [
        "loglimit",
        "closelimit",
        "dnslimit",
        "keepalivelimit",
        "replylimit",
        "requestlimit",
        "startlimit",
        "waitlimit",
        "gracefullimit",
        "cleanuplimit",
    ];
    cursor.take(&["or"]);
    if !cursor.then(&limits) {
        return Some(false);
    }
    op(cursor)?;
    cursor.amount(&["%"])?;
    c.beyond.push("limits on what Apache's workers do");
    Some(true)
}

fn headers(block: &str) -> Vec<(String, String)> {
    let header =
        |part: &str| part.split_once(':').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
    block.split(',').filter_map(header).collect()
}
