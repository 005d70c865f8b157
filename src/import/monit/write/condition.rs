//! A test as a condition of ours.

use super::super::read::Amount;
use super::super::syntax::{Kind, Op, Resource, Test, What};
use super::checks::{Keys, expression, in_quotes};
use super::connection;
use super::limit::{self, compare};
use super::service::Draft;

/// What is bad, and what monit calls the event of it.
pub struct Condition {
    pub text: String,
    pub event: &'static str,
    pub differs: Vec<String>,
}

const UNMEASURED: &str = "minder does not measure this";

impl Condition {
    /// Whether it is over at once, and has no hold.
    pub fn is_notice(&self) -> bool {
        self.text.starts_with("changed(")
    }
}

/// The condition under which a test is bad; or why there is none.
pub fn condition(test: &Test, draft: &mut Draft<'_>) -> Result<Condition, String> {
    let is = |text: String, event| Ok(Condition { text, event, differs: Vec::new() });
    let but = |text: String, event, differs| Ok(Condition { text, event, differs });
    match test {
        Test::Restarts(..) => Err(UNMEASURED.to_owned()),
        Test::Exists(exists) => {
            let gone = draft.gone().ok_or("this kind of service is always there")?;
            match exists {
                true => is(format!("not {gone}"), "exist"),
                false => is(gone, "nonexist"),
            }
        }
        Test::Connection(c) => connection::condition(c, draft).and_then(|(text, d)| but(text, "connection", d)),
        Test::Ping(ping) => connection::ping(ping, draft).and_then(|(text, d)| but(text, "icmp", d)),
        Test::Changed(what) => changed(*what, draft),
        Test::Failed(what, expected) => failed(*what, expected.as_deref(), draft),
        Test::Content { not, expression } => content(*not, expression, draft),
        Test::Link { up } => match (draft.kind, up) {
            (Kind::Interface(_), true) => is("not network.down".to_owned(), "link"),
            (Kind::Interface(_), false) => is("network.down".to_owned(), "link"),
            _ => Err(UNMEASURED.to_owned()),
        },
        Test::Resource { what, op, amount } => resource(*what, *op, amount, draft),
        Test::Traffic { up, op, amount, seconds } => traffic(*up, *op, amount, *seconds, draft),
    }
}

fn changed(what: What, draft: &mut Draft<'_>) -> Result<Condition, String> {
    let (metric, event, differs) = match (what, draft.kind) {
        (What::Pid, Kind::Pidfile(_) | Kind::Matching(_)) => ("process.pid".to_owned(), "pid", None),
        (What::Checksum, Kind::File(_)) => ("file.checksum".to_owned(), "checksum", None),
        (What::Size, Kind::File(_)) => ("file.size".to_owned(), "size", None),
        (What::Timestamp, Kind::File(_)) => {
            ("file.checksum".to_owned(), "timestamp", Some("it is the content that is watched, not the time"))
        }
        (What::Permission, _) => (format!("{}.mode", draft.file()?), "permission", None),
        (What::FilesystemFlags, Kind::Filesystem(_)) => {
            ("filesystem.readonly".to_owned(), "fsflags", Some("of the flags, only the one for read-only is watched"))
        }
        (What::LinkCapacity, Kind::Interface(_)) => ("network.speed".to_owned(), "speed", None),
        (What::Status, Kind::Program(_)) => ("program.exit".to_owned(), "status", None),
        _ => return Err(UNMEASURED.to_owned()),
    };
    let differs = differs.into_iter().map(str::to_owned).collect();
    Ok(Condition { text: format!("changed({metric})"), event, differs })
}

fn failed(what: What, expected: Option<&str>, draft: &mut Draft<'_>) -> Result<Condition, String> {
    let expected = expected.map(str::trim);
    let (metric, event) = match (what, draft.kind, expected) {
        (What::Checksum, Kind::File(_), expected) => {
            let differs =
                "a change of the content is told; the sum itself is not compared, for minder knows SHA-256 only";
            let differs = expected.map(|_| differs.to_owned()).into_iter().collect();
            return Ok(Condition { text: "changed(file.checksum)".to_owned(), event: "checksum", differs });
        }
        (_, Kind::Pidfile(_) | Kind::Matching(_), _) => return Err(UNMEASURED.to_owned()),
        (What::Permission, _, Some(_)) => ("mode", "permission"),
        (What::Uid, _, Some(_)) => ("owner", "uid"),
        (What::Gid, _, Some(_)) => ("group", "gid"),
        _ => return Err(UNMEASURED.to_owned()),
    };
    let expected = expected.unwrap_or_default();
    let value = match metric {
        "mode"
            if expected.is_empty() || expected.len() > 4 || expected.bytes().any(|b| !(b'0'..=b'7').contains(&b)) =>
        {
            return Err("these are no permissions in octal".to_owned());
        }
        "mode" => format!("{expected:0>4}"),
        // The number is shown only where there is no name; of this one, everybody knows it.
        _ if expected == "0" => "root".to_owned(),
        _ if expected.bytes().all(|b| b.is_ascii_digit()) => {
            return Err(format!("write the name of {expected}: `file.{metric} != \"NAME\"`"));
        }
        _ if expected.contains(['\\', '"']) => return Err("this is no name of a user or group".to_owned()),
        _ => expected.to_owned(),
    };
    let text = format!("{}.{metric} != {}", draft.file()?, in_quotes(&value));
    Ok(Condition { text, event, differs: Vec::new() })
}

fn content(not: bool, text: &str, draft: &mut Draft<'_>) -> Result<Condition, String> {
    let text = expression(text)?;
    let text = match (draft.kind, not) {
        (Kind::File(path), false) => {
            let keys = Keys::default().text("path", path).text("match", &text);
            let check = draft.checks.add("file", "match", &keys, draft.settings.timeout)?;
            format!("{check}.lines > 0")
        }
        (Kind::File(_), true) => return Err("lines that do not match are not counted".to_owned()),
        (Kind::Program(_), false) => format!("program.output matches {}", in_quotes(&text)),
        (Kind::Program(_), true) => format!("not program.output matches {}", in_quotes(&text)),
        _ => return Err(UNMEASURED.to_owned()),
    };
    Ok(Condition { text, event: "content", differs: Vec::new() })
}

fn resource(what: Resource, op: Op, amount: &Amount, draft: &mut Draft<'_>) -> Result<Condition, String> {
    use Resource::*;
    let cores = f64::from(draft.machine.cores.max(1));
    let scaled = Amount { number: amount.number * cores, unit: amount.unit.clone() };
    let of_cores = format!("times the {cores} processors of this machine");
    let mut differs = Vec::new();
    let (kind, metric, event, amount, op) = match (draft.kind, what) {
        (Kind::Pidfile(_) | Kind::Matching(_), what) if !matches!(what, Load { .. }) => {
            let metric = match what {
                Cpu => "cpu.host",
                CpuTotal => {
                    differs.push(format!("the limit is of one processor, {of_cores}"));
                    "cpu.total"
                }
                Memory => "memory",
                MemoryTotal => "memory.total",
                Children => "children",
                Threads => "threads",
                Files => "fds",
                Read => "read",
                Write => "write",
                Uptime => "uptime",
                _ => return Err(UNMEASURED.to_owned()),
            };
            let event = if what == Uptime { "uptime" } else { "resource" };
            ("process", metric, event, if what == CpuTotal { &scaled } else { amount }, op)
        }
        (_, Load { minutes: 1, per_core: true }) => ("system", "load.per_core", "resource", amount, op),
        (_, Load { minutes, per_core }) => {
            let metric = match minutes {
                1 => "load1",
                5 => "load5",
                _ => "load15",
            };
            if per_core {
                differs.push(format!("the limit is that of one processor, {of_cores}"));
            }
            ("system", metric, "resource", if per_core { &scaled } else { amount }, op)
        }
        (Kind::System, what) => {
            let metric = match what {
                Cpu => "cpu",
                CpuWait => "cpu.iowait",
                CpuSteal => "cpu.steal",
                CpuOther => {
                    return Err("minder measures the processor as a whole (`system.cpu`), iowait and steal".to_owned());
                }
                Memory => "memory",
                Swap => "swap",
                Files => "fds",
                Uptime => "uptime",
                _ => return Err(UNMEASURED.to_owned()),
            };
            ("system", metric, if what == Uptime { "uptime" } else { "resource" }, amount, op)
        }
        (Kind::File(_) | Kind::Directory(_) | Kind::Fifo(_), Size) => ("file", "size", "size", amount, op),
        (Kind::File(_) | Kind::Directory(_) | Kind::Fifo(_), Age) => ("file", "age", "timestamp", amount, op),
        (Kind::Filesystem(_), InodesFree) => return inodes_free(op, amount),
        (Kind::Filesystem(_), what) => {
            let metric = match what {
                Space => "used",
                SpaceFree => "free",
                Inodes => "inodes",
                Read => "read",
                Write => "write",
                _ => return Err(UNMEASURED.to_owned()),
            };
            ("filesystem", metric, "resource", amount, op)
        }
        (Kind::Interface(_), Saturation) => ("network", "saturation", "saturation", amount, op),
        (Kind::Interface(_), Upload) => ("network", "sent", "byteout", amount, op),
        (Kind::Interface(_), Download) => ("network", "received", "bytein", amount, op),
        (Kind::Program(_), Status) if op == Op::Unequal && amount.number == 0.0 => {
            return Ok(Condition { text: "program.failed".to_owned(), event: "status", differs });
        }
        (Kind::Program(_), Status) => ("program", "exit", "status", amount, op),
        _ => return Err(UNMEASURED.to_owned()),
    };
    let text = compare(kind, kind, metric, op, amount)?;
    // The load is that of the machine, whatever service looks at it.
    if kind == "system" {
        draft.checks.add("system", "system", &Keys::default(), draft.settings.timeout)?;
    }
    Ok(Condition { text, event, differs })
}

/// minder counts inodes in use: less than a part that is free is more than the rest in use.
fn inodes_free(op: Op, amount: &Amount) -> Result<Condition, String> {
    if amount.unit != "%" || amount.number > 100.0 {
        return Err("minder counts the inodes in use".to_owned());
    }
    let op = match op {
        Op::Less => Op::Greater,
        Op::LessOrEqual => Op::GreaterOrEqual,
        Op::Greater => Op::Less,
        Op::GreaterOrEqual => Op::LessOrEqual,
        same => same,
    };
    let used = Amount { number: 100.0 - amount.number, unit: "%".to_owned() };
    let text = compare("filesystem", "filesystem", "inodes", op, &used)?;
    Ok(Condition { text, event: "resource", differs: Vec::new() })
}

/// So much in a time is so much a second on average.
fn traffic(up: bool, op: Op, amount: &Amount, seconds: u64, draft: &Draft<'_>) -> Result<Condition, String> {
    let Kind::Interface(_) = draft.kind else { return Err(UNMEASURED.to_owned()) };
    let scale = match amount.unit.as_str() {
        "b" | "byte" | "bytes" => 1.0,
        "kb" => 1024.0,
        "mb" => 1_048_576.0,
        "gb" => 1_073_741_824.0,
        "tb" => 1_099_511_627_776.0,
        _ => return Err("minder counts bytes".to_owned()),
    };
    if !(1..=604_800).contains(&seconds) {
        return Err("this is no time".to_owned());
    }
    let rate = (amount.number * scale / seconds as f64).round();
    let (metric, event) = if up { ("sent", "byteout") } else { ("received", "bytein") };
    let text = compare("network", "network", metric, op, &Amount { number: rate, unit: "b/s".to_owned() })?;
    let window = crate::model::write_duration(std::time::Duration::from_secs(seconds));
    let metric = format!("network.{metric}");
    let text = text.replacen(&metric, &format!("avg({metric}, {window})"), 1);
    let differs =
        vec![format!("written as the mean rate, {} {}", limit::symbol(op), text.rsplit(' ').next().unwrap_or(""))];
    Ok(Condition { text, event, differs })
}
