//! A template, tried against its daemon on a machine of its own.
//!
//! The machine is this one, in namespaces of its own: its network has nothing but a loopback, so that every port is free; its
//! processes see none of ours; `/etc`, `/var` and `/tmp` are ours, but what is written to them goes to memory and is gone with it;
//! `/run` is empty, as after a boot. Whatever runs there ends with the machine. Only minder's directory is shared.

use super::support::{Minder, process_exists, signal, wait_for};
use regex::Regex;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Long enough for a daemon on a busy machine to start.
const STARTED: Duration = Duration::from_secs(60);

/// Makes the machine, prepares it, and runs minder there. The first process of a machine must wait for orphans.
const BOOT: &str = r#"
set -e
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -m 1777 /run/lock
mkdir /run/minder-dir /run/disk
mount --bind "$DIR" /run/minder-dir
for tree in etc var tmp; do
    mkdir "/run/disk/$tree" "/run/disk/$tree.work"
    mount -t overlay overlay -o "lowerdir=/$tree,upperdir=/run/disk/$tree,workdir=/run/disk/$tree.work" "/$tree"
done
chmod 1777 /tmp
mount --move /run/minder-dir "$DIR"
ip link set lo up
cd /
sh -e "$DIR/prepare"
"$@" &
wait
"#;

/// What differs from `use: NAME` and `service NAME start`.
pub struct Try {
    template: &'static str,
    prepare: &'static str,
    with: &'static str,
    command: Option<&'static str>,
    mute: bool,
}

impl Try {
    /// The template of this name, as it is.
    pub fn of(template: &'static str) -> Try {
        Try { template, prepare: "", with: "", command: None, mute: false }
    }

    /// Lines of a shell that run on the machine before anything else: a configuration, the tables of a database.
    pub fn prepare(self, prepare: &'static str) -> Try {
        Try { prepare, ..self }
    }

    /// Parameters, as in `with: { .. }`.
    pub fn with(self, with: &'static str) -> Try {
        Try { with, ..self }
    }

    /// How it is started where Debian has no init script, for systemd does it there: the keys of `control: { command: { .. } }`
    /// in place of the template's.
    pub fn command(self, command: &'static str) -> Try {
        Try { command: Some(command), ..self }
    }

    /// Nobody can ask it anything, and that it hangs goes unseen.
    pub fn mute(self) -> Try {
        Try { mute: true, ..self }
    }

    /// Minder starts the daemon, and it is well and all is known of it. It is killed, and is back. It hangs, and every check
    /// that asks it says so.
    #[track_caller]
    pub fn run(self) {
        if !rustix::process::geteuid().is_root() {
            eprintln!("not tried: it needs root");
            return;
        }
        let machine = self.boot();
        let minder = &machine.minder;
        let service = minder.wait_status("it", "ok", STARTED);
        let strange = |service: &Value| unknown(service).into_iter().next();
        let what = || format!("all is known: {:?}", strange(&minder.service("it").unwrap()));
        wait_for(what, STARTED, || strange(&minder.service("it")?).is_none().then_some(()));
        // A rule that waits for more than one failure fires late: that its check never succeeds would go unseen.
        let asking = asking(&service);
        for check in &asking {
            wait_for(
                || format!("{check} is well: {:#?}", minder.service("it")),
                STARTED,
                || failed(minder, check, 0.0),
            );
        }

        let old = minder.watched("it").expect("it is known which process is meant");
        signal(machine.seen_from_here(old), "KILL");
        let back = || minder.service("it").filter(|it| it["status"] == "ok" && it["pid"] != old);
        wait_for(
            || format!("it is back: {:#?}", minder.service("it")),
            STARTED,
            || back().filter(|it| !it["pid"].is_null()),
        );

        if self.mute {
            return;
        }
        // What nobody asks is judged by what it does.
        machine.freeze();
        if asking.is_empty() {
            let noticed = || minder.service("it").filter(|it| it["status"] != "ok");
            wait_for(|| format!("that it hangs is noticed: {:#?}", minder.service("it")), STARTED, noticed);
        }
        for check in &asking {
            wait_for(
                || format!("{check} says that it hangs: {:#?}", minder.service("it")),
                STARTED,
                || failed(minder, check, 1.0),
            );
        }
    }

    fn boot(&self) -> Machine {
        let mut minder = Minder::new();
        let dir = minder.dir().to_owned();
        let control = match self.command {
            Some(command) => format!("control: {{ command: {{ {command} }} }}"),
            None => String::new(),
        };
        let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/library");
        let name = format!("{}.yaml", self.template);
        // Nobody has the time of an operator here: what is asked seldom is asked often, and nobody waits long for a second start.
        let text = fs::read_to_string(library.join(&name)).unwrap();
        let text = Regex::new(r"\bevery: \w+").unwrap().replace_all(&text, "every: 1s");
        let text = Regex::new(r"\bdelay: \w+").unwrap().replace_all(&text, "delay: 1s");
        fs::write(dir.join(&name), &*text).unwrap();
        minder.write(&format!(
            "include: [../{name}]\ndefaults: {{ every: 1s, timeout: 2s, grace: 1s }}\n\
             services:\n  it:\n    use: {}\n    with: {{ {} }}\n    {control}\n",
            self.template, self.with
        ));
        fs::write(dir.join("prepare"), self.prepare).unwrap();
        let boot = format!("DIR={}\n{BOOT}", dir.display());
        let words =
            ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", &boot, "sh"];
        minder.under = words.map(str::to_owned).to_vec();
        minder.start();
        Machine { minder }
    }
}

struct Machine {
    minder: Minder,
}

impl Machine {
    /// Every process of it but the first and minder.
    fn processes(&self) -> Vec<u32> {
        let pids = fs::read_dir("/proc").unwrap().flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let there = fs::read_link(format!("/proc/{}/ns/pid_for_children", self.minder.pid())).unwrap();
        let is_there = |pid: &u32| fs::read_link(format!("/proc/{pid}/ns/pid")).is_ok_and(|ns| ns == there);
        let is_ours = |pid: &u32| {
            let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
            program == Path::new(env!("CARGO_BIN_EXE_minder")) || number_there(*pid) == Some(1)
        };
        pids.filter(|pid| is_there(pid) && !is_ours(pid)).collect()
    }

    /// The number that the process with this number there has here.
    #[track_caller]
    fn seen_from_here(&self, pid: u32) -> u32 {
        self.processes().into_iter().find(|&here| number_there(here) == Some(pid)).unwrap()
    }

    /// Nothing but minder gets any time from now on.
    fn freeze(&self) {
        self.processes().into_iter().filter(|&pid| process_exists(pid)).for_each(|pid| signal(pid, "STOP"));
    }
}

fn number_there(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    line.split_whitespace().last()?.parse().ok()
}

/// Metrics that could not be asked, `check.metric`, with the check's note.
fn unknown(service: &Value) -> Vec<String> {
    let checks = service["checks"].as_array().unwrap();
    let metrics = checks.iter().flat_map(|check| check["metrics"].as_array().unwrap().iter().map(move |m| (check, m)));
    let unknown = metrics.filter(|(check, metric)| metric["text"] == "unknown" || check["at"].is_null());
    unknown.map(|(check, metric)| format!("{}.{} ({})", check["name"], metric["name"], check["note"])).collect()
}

/// Whether this is what the check's `failed` says.
fn failed(minder: &Minder, check: &str, value: f64) -> Option<()> {
    let service = minder.service("it")?;
    let check = service["checks"].as_array()?.iter().find(|c| c["name"] == check)?;
    let failed = check["metrics"].as_array()?.iter().find(|m| m["name"] == "failed")?;
    (failed["value"] == value).then_some(())
}

/// The checks that a hanging daemon cannot answer.
fn asking(service: &Value) -> Vec<String> {
    let checks = service["checks"].as_array().unwrap().iter();
    let asking =
        checks.filter(|check| ["protocol", "http", "tcp", "program", "dns"].iter().any(|kind| check["kind"] == *kind));
    asking.map(|check| check["name"].as_str().unwrap().to_owned()).collect()
}
