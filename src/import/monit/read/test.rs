//! `if ..`: a test, how long it must hold, and what is done.

use super::super::syntax::{Action, Hold, If, Op, Ping, Resource, Test, What};
use super::connection;
use super::cursor::Cursor;
use super::service::command;
use super::setting::SECONDS;

/// Units that may stand behind a space.
const UNITS: &[&str] = &[
    "%",
    "b",
    "byte",
    "bytes",
    "kb",
    "mb",
    "gb",
    "tb",
    "b/s",
    "kb/s",
    "mb/s",
    "gb/s",
    "operations/s",
    "packets/s",
    "packets",
    "ms",
    "millisecond",
    "milliseconds",
    "s",
    "sec",
    "second",
    "seconds",
    "minute",
    "minutes",
    "hour",
    "hours",
    "day",
    "days",
    "week",
    "weeks",
    "month",
    "months",
];
const TIMES: &[&str] = &["mtime", "ctime", "timestamp"];

/// What stands behind `if`.
pub fn test(cursor: &mut Cursor<'_>) -> Option<If> {
    cursor.noise();
    let test = tested(cursor)?;
    let hold = hold(cursor)?;
    cursor.then(&["then"]).then_some(())?;
    let action = action(cursor)?;
    let recovery = if cursor.take(&["else"]) {
        if cursor.then(&["if"]) {
            cursor.then(&["succeeded", "recovered", "passed", "recovery"]).then_some(())?;
            self::hold(cursor)?;
        }
        cursor.take(&["then"]);
        Some(self::action(cursor)?)
    } else {
        None
    };
    Some(If { test, hold, action, recovery })
}

/// `for 5 cycles`, `3 times within 5 cycles`, or nothing of these; nothing at all if it is neither.
fn hold(cursor: &mut Cursor<'_>) -> Option<Hold> {
    let Some(number) = cursor.integer() else { return Some(Hold::None) };
    if cursor.then(&["cycle", "cycles"]) {
        return Some(Hold::Cycles(number));
    }
    cursor.then(&["time", "times"]).then_some(())?;
    let of = cursor.integer()?;
    cursor.then(&["cycle", "cycles"]).then_some(Hold::Times(number, of))
}

fn action(cursor: &mut Cursor<'_>) -> Option<Action> {
    cursor.noise();
    let word = cursor.next()?;
    let is = |name: &str| word.is(name);
    Some(match () {
        () if is("alert") => Action::Alert,
        () if is("restart") => Action::Restart,
        () if is("start") => Action::Start,
        () if is("stop") => Action::Stop,
        () if is("unmonitor") || is("timeout") => Action::Unmonitor,
        () if is("exec") => {
            let command = command(cursor)?;
            let mut repeat = false;
            if cursor.then(&["repeat"]) {
                cursor.then(&["every"]);
                cursor.integer();
                cursor.then(&["cycle", "cycles"]);
                repeat = true;
            }
            Action::Exec { command, repeat }
        }
        () => return None,
    })
}

fn tested(cursor: &mut Cursor<'_>) -> Option<Test> {
    if let Some(count) = cursor.integer() {
        cursor.then(&["restart", "restarts"]).then_some(())?;
        let cycles = cursor.integer()?;
        return cursor.then(&["cycle", "cycles"]).then_some(Test::Restarts(count, cycles));
    }
    if cursor.take(&["does"]) || cursor.sees(&["exist", "exists"]) {
        let not = cursor.then(&["not"]);
        return cursor.then(&["exist", "exists"]).then_some(Test::Exists(!not));
    }
    if cursor.take(&["changed"]) {
        cursor.noise();
        return what(cursor).map(Test::Changed);
    }
    if cursor.sees(&["failed", "succeeded"]) {
        let succeeded = cursor.next()?.is("succeeded");
        return failed(cursor, succeeded);
    }
    if cursor.take(&["not"]) {
        if cursor.then(&["exist"]) {
            return Some(Test::Exists(false));
        }
        cursor.then(&["match"]).then_some(())?;
        return cursor.given().map(|expression| Test::Content { not: true, expression });
    }
    if cursor.take(&["match"]) {
        return cursor.given().map(|expression| Test::Content { not: false, expression });
    }
    if cursor.take(&["content"]) {
        let not = matches!(op(cursor)?, Op::Unequal);
        return cursor.text().map(|expression| Test::Content { not, expression });
    }
    if cursor.take(&["link"]) {
        let up = cursor.take(&["up"]);
        return (up || cursor.take(&["down"])).then_some(Test::Link { up });
    }
    traffic(cursor).or_else(|| limit(cursor))
}

fn what(cursor: &mut Cursor<'_>) -> Option<What> {
    cursor.take(&["md5", "sha1"]);
    let found = match () {
        () if cursor.take(&["checksum"]) => What::Checksum,
        () if cursor.take(&["permission", "perm"]) => What::Permission,
        () if cursor.take(&["uid"]) => What::Uid,
        () if cursor.take(&["gid"]) => What::Gid,
        () if cursor.take(&["euid", "egid"]) => What::Other,
        () if cursor.take(&["size"]) => What::Size,
        () if cursor.take(TIMES) => What::Timestamp,
        () if cursor.take(&["pid"]) => What::Pid,
        () if cursor.take(&["ppid"]) => What::Ppid,
        () if cursor.take(&["fsflags"]) => What::FilesystemFlags,
        () if cursor.take(&["status"]) => What::Status,
        () if cursor.take(&["link"]) => {
            cursor.take(&["capacity"]);
            What::LinkCapacity
        }
        () if cursor.take(&["security"]) => {
            cursor.take(&["attribute"]);
            What::Other
        }
        () => return None,
    };
    Some(found)
}

fn failed(cursor: &mut Cursor<'_>, succeeded: bool) -> Option<Test> {
    cursor.noise();
    if cursor.take(&["link"]) {
        return Some(Test::Link { up: succeeded });
    }
    if cursor.sees(&["ping", "ping4", "ping6", "icmp"]) {
        return ping(cursor, succeeded).map(Test::Ping);
    }
    match what(cursor) {
        Some(_) if succeeded => None,
        Some(What::Checksum) => {
            cursor.noise();
            let expected = cursor.take(&["expect"]);
            cursor.then(&["sum"]);
            Some(Test::Failed(What::Checksum, if expected { Some(cursor.given()?) } else { None }))
        }
        Some(what @ (What::Permission | What::Uid | What::Gid | What::Other)) => {
            cursor.given().map(|value| Test::Failed(what, Some(value)))
        }
        Some(_) => None,
        None => connection::connection(cursor, succeeded).map(|c| Test::Connection(Box::new(c))),
    }
}

fn ping(cursor: &mut Cursor<'_>, succeeded: bool) -> Option<Ping> {
    if cursor.next()?.is("icmp") {
        cursor.then(&["type"]).then_some(())?;
        cursor.then(&["echo"]).then_some(())?;
    }
    let mut ping = Ping { succeeded, ..Ping::default() };
    loop {
        if cursor.then(&["count"]) {
            ping.count = Some(cursor.integer()?);
        } else if cursor.then(&["size"]) {
            cursor.integer()?;
            ping.size = true;
        } else if cursor.then(&["timeout"]) {
            ping.timeout = Some(cursor.integer()?);
            cursor.take(SECONDS);
        } else if cursor.then(&["responsetime"]) {
            ping.response = Some((op(cursor)?, cursor.amount(UNITS)?));
        } else if cursor.then(&["address"]) {
            cursor.text()?;
        } else {
            return Some(ping);
        }
    }
}

/// `total uploaded > 1 GB in last 2 hours`
fn traffic(cursor: &mut Cursor<'_>) -> Option<Test> {
    let mark = cursor.mark();
    if !cursor.take(&["total"]) || !cursor.sees(&["upload", "uploaded", "download", "downloaded"]) {
        cursor.back_to(mark);
        return None;
    }
    let up = cursor.next()?.text.to_ascii_lowercase().starts_with('u');
    let op = op(cursor)?;
    let amount = cursor.amount(UNITS)?;
    cursor.then(&["in"]);
    cursor.then(&["last"]);
    let count = cursor.integer().unwrap_or(1);
    let unit = match cursor.text()?.to_ascii_lowercase().as_str() {
        "second" | "seconds" => 1,
        "minute" | "minutes" => 60,
        "hour" | "hours" => 3600,
        "day" | "days" => 86_400,
        _ => return None,
    };
    Some(Test::Traffic { up, op, amount, seconds: u64::from(count) * unit })
}

fn limit(cursor: &mut Cursor<'_>) -> Option<Test> {
    let what = resource(cursor)?;
    let op = op(cursor)?;
    let amount = cursor.amount(UNITS)?;
    Some(Test::Resource { what, op, amount })
}

/// The sign or word of a comparison; without one it is equality.
pub fn op(cursor: &mut Cursor<'_>) -> Option<Op> {
    cursor.noise();
    let found = match cursor.peek()?.text.to_ascii_lowercase().as_str() {
        ">" | "gt" | "greater" => Op::Greater,
        ">=" | "ge" | "gte" => Op::GreaterOrEqual,
        "<" | "lt" | "less" => Op::Less,
        "<=" | "le" | "lte" => Op::LessOrEqual,
        "=" | "==" | "eq" | "equal" => Op::Equal,
        "!=" | "ne" | "notequal" => Op::Unequal,
        _ => return Some(Op::Equal),
    };
    cursor.next();
    cursor.take(&["than", "to"]);
    Some(found)
}

fn resource(cursor: &mut Cursor<'_>) -> Option<Resource> {
    let total = cursor.take(&["total"]);
    let word = cursor.next()?.text.to_ascii_lowercase();
    let usage = |cursor: &mut Cursor<'_>| cursor.take(&["usage"]);
    let found = match (word.as_str(), total) {
        ("cpu", false) => {
            usage(cursor);
            if !cursor.take(&["("]) {
                return Some(Resource::Cpu);
            }
            let part = cursor.text()?.to_ascii_lowercase();
            cursor.take(&[")"]).then_some(())?;
            match part.as_str() {
                "wait" => Resource::CpuWait,
                "steal" => Resource::CpuSteal,
                _ => Resource::CpuOther,
            }
        }
        ("cpu", true) | ("totalcpu", false) => {
            usage(cursor);
            Resource::CpuTotal
        }
        ("loadavg", false) => return load(cursor),
        ("memory" | "mem", false) => {
            usage(cursor);
            Resource::Memory
        }
        ("memory" | "mem", true) | ("totalmem" | "totalmemory", false) => {
            usage(cursor);
            Resource::MemoryTotal
        }
        ("swap", false) => {
            usage(cursor);
            Resource::Swap
        }
        ("children", false) => Resource::Children,
        ("threads", false) => Resource::Threads,
        ("filedescriptors", false) => Resource::Files,
        ("filedescriptors", true) => Resource::FilesTotal,
        ("disk", false) => return rate(cursor),
        ("read" | "write", false) => {
            cursor.take(&["rate"]);
            if word == "read" { Resource::Read } else { Resource::Write }
        }
        ("space", false) if cursor.take(&["free"]) => Resource::SpaceFree,
        ("inode" | "inodes", false) if cursor.take(&["free"]) => Resource::InodesFree,
        ("space", false) => {
            usage(cursor);
            Resource::Space
        }
        ("inode" | "inodes", false) => {
            usage(cursor);
            Resource::Inodes
        }
        ("service" | "servicetime", false) => {
            cursor.take(&["time"]);
            Resource::ServiceTime
        }
        ("uptime", false) => Resource::Uptime,
        ("size", false) => Resource::Size,
        ("mtime" | "ctime" | "timestamp", false) => Resource::Age,
        ("modification" | "change", false) => cursor.take(&["time", "timestamp"]).then_some(Resource::Age)?,
        ("atime", false) => Resource::AccessTime,
        ("access", false) => cursor.take(&["time", "timestamp"]).then_some(Resource::AccessTime)?,
        ("status", false) => Resource::Status,
        ("saturation", false) => Resource::Saturation,
        ("upload", false) => Resource::Upload,
        ("download", false) => Resource::Download,
        _ => return None,
    };
    Some(found)
}

/// `disk read`, `disk write rate`
fn rate(cursor: &mut Cursor<'_>) -> Option<Resource> {
    let read = cursor.take(&["read"]);
    (read || cursor.take(&["write"])).then_some(())?;
    cursor.take(&["rate"]);
    Some(if read { Resource::Read } else { Resource::Write })
}

/// `loadavg (5min) per core`
fn load(cursor: &mut Cursor<'_>) -> Option<Resource> {
    cursor.take(&["("]).then_some(())?;
    let minutes = match cursor.text()?.to_ascii_lowercase().as_str() {
        "1min" => 1,
        "5min" => 5,
        "15min" => 15,
        _ => return None,
    };
    cursor.take(&[")"]).then_some(())?;
    let per_core = cursor.take(&["per"]);
    if per_core {
        cursor.take(&["core"]).then_some(())?;
    }
    Some(Resource::Load { minutes, per_core })
}
