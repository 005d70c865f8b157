//! `set ..`

use super::super::syntax::{Alert, Events, MailServer, Setting};
use super::cursor::{Amount, Cursor};

pub const SECONDS: &[&str] = &["s", "sec", "second", "seconds"];
const PLACES: &str = "minder keeps its state in a directory of its own (`--state`)";

/// What stands behind `set`.
pub fn setting(cursor: &mut Cursor<'_>) -> Option<Setting> {
    cursor.next();
    let word = cursor.next()?.text.to_ascii_lowercase();
    match word.as_str() {
        "daemon" => daemon(cursor),
        "mailserver" => mail_servers(cursor).map(Setting::MailServers),
        "mail-format" => cursor.block().map(|text| Setting::MailFormat(sender(&text))),
        "alert" => alert(cursor).map(Setting::Alert),
        "limits" => Some(Setting::Limits(limits(&cursor.braces()?))),
        "ssl" | "tls" => {
            cursor.take(&["options"]);
            Some(Setting::Tls(verify(&cursor.braces()?)))
        }
        "httpd" => rest(cursor, Setting::Httpd),
        "log" | "logfile" => {
            rest(cursor, Setting::Needless("minder logs to its standard output, which its supervisor keeps"))
        }
        "eventqueue" | "idfile" | "statefile" => rest(cursor, Setting::Needless(PLACES)),
        "pidfile" => rest(cursor, Setting::Needless("minder stays in the foreground, under a supervisor")),
        "init" => rest(cursor, Setting::Needless("minder stays in the foreground anyway")),
        "terminal" => rest(cursor, Setting::Needless("minder sees for itself whether it writes to a terminal")),
        "expectbuffer" => rest(cursor, Setting::Needless("what minder reads is bounded anyway")),
        "onreboot" => match cursor.text()?.to_ascii_lowercase().as_str() {
            "start" | "laststate" => Some(Setting::Onreboot),
            _ => Some(Setting::Unknown("after a boot, minder acts on what its operator has not stopped")),
        },
        "mmonit" => rest(cursor, Setting::Unknown("minder does not report to M/Monit")),
        "fips" => rest(cursor, Setting::Unknown("minder has no such mode")),
        _ => None,
    }
}

/// With whatever stands behind it.
fn rest(cursor: &mut Cursor<'_>, setting: Setting) -> Option<Setting> {
    while !cursor.at_start() {
        cursor.next();
    }
    Some(setting)
}

fn daemon(cursor: &mut Cursor<'_>) -> Option<Setting> {
    let every = cursor.integer()?;
    cursor.then(SECONDS);
    let delay = if cursor.then(&["start"]) {
        cursor.then(&["delay"]).then_some(())?;
        let delay = cursor.integer()?;
        cursor.then(SECONDS);
        Some(delay)
    } else {
        None
    };
    Some(Setting::Daemon { every, delay })
}

fn mail_servers(cursor: &mut Cursor<'_>) -> Option<Vec<MailServer>> {
    let mut servers = Vec::new();
    loop {
        let host = cursor.text()?;
        let mut server = MailServer { host, port: None, user: None, tls: false, hostname: false };
        loop {
            if cursor.then(&["port"]) {
                server.port = Some(cursor.integer()?);
            } else if cursor.then(&["username"]) {
                server.user = Some(cursor.text()?);
            } else if cursor.then(&["password"]) {
                cursor.text()?;
            } else if secure(cursor) {
                server.tls = true;
            } else if cursor.then(&["options"]) {
                cursor.braces()?;
            } else if cursor.then(&["hostname"]) {
                cursor.text()?;
                server.hostname = true;
            } else if cursor.then(&["timeout"]) {
                cursor.integer()?;
                cursor.take(SECONDS);
            } else if cursor.then(&["certmd5"]) {
                cursor.text()?;
            } else {
                break;
            }
        }
        servers.push(server);
        if !cursor.take(&[","]) {
            return Some(servers);
        }
    }
}

/// `using ssl`, `tlsv12`, ..
pub fn secure(cursor: &mut Cursor<'_>) -> bool {
    let versions = ["tlsv1", "tlsv11", "tlsv12", "tlsv13", "sslv2", "sslv3"];
    cursor.then(&["ssl", "tls", "sslauto", "auto"]) || cursor.then(&versions)
}

/// Whether certificates are verified.
pub fn verify(options: &str) -> Option<bool> {
    pairs(options).into_iter().find(|(key, _)| key == "verify").map(|(_, value)| value.eq_ignore_ascii_case("enable"))
}

/// `a: b, c: d`, with keys in small letters.
fn pairs(text: &str) -> Vec<(String, String)> {
    let pair = |part: &str| part.split_once(':').map(|(k, v)| (k.trim().to_ascii_lowercase(), v.trim().to_owned()));
    text.split([',', '\n']).filter_map(pair).collect()
}

fn limits(text: &str) -> Vec<(String, Amount)> {
    let amount = |text: &str| {
        let text: String = text.split_whitespace().collect();
        let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
        let number = text[..digits].parse().ok()?;
        Some(Amount { number, unit: text[digits..].to_ascii_lowercase() })
    };
    // A comma between two may be left out, where there is none.
    let mut found = Vec::new();
    for (key, value) in pairs(&text.replace(" , ", ", ")) {
        found.extend(amount(&value).map(|amount| (key, amount)));
    }
    found
}

/// The sender that a mail format names; empty if it names none.
fn sender(text: &str) -> String {
    let Some(at) = text.to_ascii_lowercase().find("from:") else { return String::new() };
    let rest = text.get(at + 5..).unwrap_or_default();
    let line = rest.lines().next().unwrap_or_default();
    let keys = ["reply-to:", "subject:", "message:"];
    let end = keys.iter().filter_map(|key| line.to_ascii_lowercase().find(key)).min().unwrap_or(line.len());
    line.get(..end).unwrap_or(line).trim().to_owned()
}

/// `alert ADDRESS [[not] on {..}] [with mail-format {..}] [with reminder on N cycles]`
pub fn alert(cursor: &mut Cursor<'_>) -> Option<Alert> {
    let address = cursor.text()?;
    let mut alert = Alert { address, events: Events::All, reminder: false, format: false };
    loop {
        cursor.take(&["but"]);
        let not = cursor.then(&["not"]);
        cursor.noise();
        if let Some(events) = cursor.braces() {
            let events = events.split([',', ' ']).filter(|e| !e.is_empty()).map(str::to_ascii_lowercase).collect();
            alert.events = if not { Events::Not(events) } else { Events::Only(events) };
        } else if not {
            return None;
        } else if cursor.then(&["mail-format"]) {
            cursor.block()?;
            alert.format = true;
        } else if cursor.then(&["reminder"]) {
            let mut cycles = 1;
            cursor.noise();
            if let Some(n) = cursor.integer() {
                cycles = n;
                cursor.then(&["cycle", "cycles"]);
            }
            alert.reminder = cycles > 0;
        } else {
            return Some(alert);
        }
    }
}
