//! Looks at the whole machine, for the page: with what the checks of its parts use, and apart from them, so that many who look
//! cost one look, and a mount that hangs takes no thread of a check's.

use super::filesystem::{self, Asking};
use super::mounts::{self, Mount};
use super::pool::Pool;
use super::{cgroup, network, system};
use crate::model::kinds::{Cgroup, CheckKind, Network, System};
use crate::model::{
    Clock, CpuView, FilesystemView, Identity, InterfaceView, LimitsView, MachineView, Metric, MetricSet, Mono,
    PartView, PressureView, ProcessView, Reading, Sample, clip, plain,
};
use crate::sys::proc::{self, Stat};
use crate::sys::{accounts, usage};
use futures_util::future::join_all;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// What was seen is told to all who ask within this time.
const FRESH: Duration = Duration::from_secs(2);
/// Over longer than this, a rate says nothing of now: it is taken anew, which takes [`BETWEEN`].
const STALE: Duration = Duration::from_secs(60);
const BETWEEN: Duration = Duration::from_millis(400);
/// How long a mount may take to say how full it is.
const MOUNT_WITHIN: Duration = Duration::from_secs(1);
/// So many mounts may hang before the others can no longer be asked.
const THREADS: usize = 4;
/// So many filesystems, interfaces and processes are told of.
const MOST_MOUNTS: usize = 64;
const MOST_INTERFACES: usize = 64;
const MOST_PROCESSES: usize = 10;
/// The longest name of anything, in characters.
const NAME: usize = 120;

/// What keeps nothing: the kernel's own, what is only a window on something else, and images that are full by nature. What is
/// mounted when somebody looks (autofs) is not looked at.
const NOT_KEEPING: [&str; 25] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fusectl",
    "fuse.lxcfs",
    "fuse.gvfsd-fuse",
    "fuse.portal",
    "hugetlbfs",
    "mqueue",
    "nsfs",
    "proc",
    "pstore",
    "ramfs",
    "rpc_pipefs",
    "securityfs",
    "squashfs",
    "sysfs",
    "tracefs",
];

/// Looks at the machine.
pub struct Machine {
    clock: Arc<dyn Clock>,
    pool: Pool,
    /// Who waits for which mount. One that is still here when it is to be asked again has not answered since.
    asking: Asking,
    seen: Mutex<Seen>,
}

/// What is kept between two looks.
#[derive(Default)]
struct Seen {
    last: Option<(Mono, Arc<MachineView>)>,
    rates: Rates,
}

/// What rates are taken from.
#[derive(Default)]
struct Rates {
    at: Option<Mono>,
    system: system::State,
    interfaces: HashMap<String, network::State>,
    cgroup: cgroup::State,
    processes: usage::Used,
    booted_ago: Duration,
}

impl Machine {
    /// Nothing is looked at yet.
    pub fn new(clock: Arc<dyn Clock>) -> Machine {
        Machine { clock, pool: Pool::new("machine", THREADS), asking: Asking::default(), seen: Mutex::default() }
    }

    /// What the machine does, as it was seen within the last two seconds. Whoever asks while somebody else looks waits for that.
    /// Bounded, whatever hangs.
    pub async fn look(&self) -> Arc<MachineView> {
        let mut seen = self.seen.lock().await;
        if let Some((at, view)) = &seen.last
            && self.clock.now().mono - *at < FRESH
        {
            return Arc::clone(view);
        }
        let rates = std::mem::take(&mut seen.rates);
        let clock = Arc::clone(&self.clock);
        let looked = tokio::task::spawn_blocking(move || {
            let mut rates = rates;
            let view = rates.look(&*clock);
            (rates, view)
        });
        let (looked, (filesystems, more)) = tokio::join!(looked, self.filesystems());
        // It does not panic; if it did, the next look begins anew.
        let (rates, view) = looked.unwrap_or_default();
        let view = MachineView { filesystems, more_filesystems: more, ..view };
        seen.rates = rates;
        let view = Arc::new(view);
        seen.last = Some((self.clock.now().mono, Arc::clone(&view)));
        view
    }

    async fn filesystems(&self) -> (Vec<FilesystemView>, usize) {
        // The kernel's list is read without touching a mount; of a machine with thousands, it takes a while.
        let read = || {
            let all = mounts::read(Path::new("/")).unwrap_or_default();
            let shown = shown(&all);
            let more = shown.len().saturating_sub(MOST_MOUNTS);
            (shown.into_iter().take(MOST_MOUNTS).cloned().collect::<Vec<Mount>>(), more)
        };
        let (shown, more) = tokio::task::spawn_blocking(read).await.unwrap_or_default();
        (join_all(shown.iter().map(|mount| self.filesystem(mount))).await, more)
    }

    async fn filesystem(&self, mount: &Mount) -> FilesystemView {
        let silent = "it does not answer";
        let hangs = || self.asking.lock().is_ok_and(|asking| asking.contains_key(&mount.id));
        let answer = if is_of_a_user(mount) {
            Err("it is served by a user's program, and not asked".to_owned())
        } else if hangs() {
            Err(silent.to_owned())
        } else {
            let asked = filesystem::statvfs(&self.pool, &self.asking, mount.id, mount.point.clone());
            match tokio::time::timeout(MOUNT_WITHIN, asked).await {
                Ok(Ok(Ok(readings))) => Ok(readings),
                Ok(Ok(Err(e))) => Err(format!("it cannot be asked: {e}")),
                Ok(Err(why)) => Err(why),
                Err(_) => Err(silent.to_owned()),
            }
        };
        let (readings, note) = answer.map_or_else(|why| (Vec::new(), Some(why)), |readings| (readings, None));
        let part = |wanted| readings.iter().find(|(id, _)| *id == wanted).and_then(|(_, reading)| part(reading));
        FilesystemView {
            mount: name(&mount.point.display().to_string()),
            kind: name(&mount.kind),
            source: name(&mount.source.to_string_lossy()),
            readonly: mount.readonly,
            used: part(filesystem::USED),
            inodes: part(filesystem::INODES),
            note: note.map(|note| name(&note)),
        }
    }
}

impl Rates {
    /// Blocks, and the first time for [`BETWEEN`] longer.
    fn look(&mut self, clock: &dyn Clock) -> MachineView {
        let now = clock.now().mono;
        if self.at.is_none_or(|at| now - at > STALE) {
            *self = Rates::default();
            self.look_once(clock);
            std::thread::sleep(BETWEEN);
        }
        self.look_once(clock)
    }

    fn look_once(&mut self, clock: &dyn Clock) -> MachineView {
        let now = clock.now();
        self.at = Some(now.mono);
        let sample = self.system.look(MetricSet::ALL, clock);
        let read = |name: &str| reading(&sample, System::METRICS, name);
        let (number, part) = (|name: &str| read(name)?.number(), |name: &str| part(read(name)?));
        let host = rustix::system::uname();
        let words = |text: &std::ffi::CStr| name(&text.to_string_lossy());
        let (interfaces, more_interfaces) = self.interfaces(clock);
        let (busiest, largest) = self.processes();
        MachineView {
            at: now.wall,
            host: words(host.nodename()),
            kernel: format!("{} {} {}", words(host.sysname()), words(host.release()), words(host.machine())),
            uptime: proc::booted_ago().as_secs_f64(),
            cores: proc::cores(&proc::read_path("/proc/stat", 64 << 10).unwrap_or_default()) as u64,
            cpu: number("cpu").map(|busy| CpuView {
                busy,
                iowait: number("cpu.iowait").unwrap_or_default(),
                steal: number("cpu.steal").unwrap_or_default(),
            }),
            load: (|| Some([number("load1")?, number("load5")?, number("load15")?]))(),
            memory: part("memory"),
            swap: part("swap"),
            pressure: PressureView {
                cpu: number("pressure.cpu"),
                memory: number("pressure.memory"),
                io: number("pressure.io"),
            },
            files: part("fds").filter(|files| files.whole < u64::from(u32::MAX) as f64),
            processes: part("processes"),
            limits: self.limits(clock, part("memory"), part("processes")),
            filesystems: Vec::new(),
            more_filesystems: 0,
            interfaces,
            more_interfaces,
            busiest,
            largest,
        }
    }

    fn interfaces(&mut self, clock: &dyn Clock) -> (Vec<InterfaceView>, usize) {
        let entries = std::fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.retain(|name| Path::new("/sys/class/net").join(name).is_dir());
        // The few that are made of hardware are what people look for among hundreds of containers' own.
        let virtual_one = |name: &String| !Path::new("/sys/class/net").join(name).join("device").exists();
        names.sort_by_cached_key(|name| (name != "lo" && virtual_one(name), name.clone()));
        let more = names.len().saturating_sub(MOST_INTERFACES);
        names.truncate(MOST_INTERFACES);
        self.interfaces.retain(|known, _| names.contains(known));
        let views = names.into_iter().map(|interface| {
            let state = self.interfaces.entry(interface.clone()).or_default();
            let sample = state.look(&Network { interface: interface.clone() }, clock);
            let read = |name: &str| reading(&sample, Network::METRICS, name);
            let number = |name: &str| read(name)?.number();
            InterfaceView {
                name: name(&interface),
                up: match read("down") {
                    Some(Reading::Flag(down)) => Some(!down),
                    _ => None,
                },
                note: sample.note.as_deref().map(name),
                received: number("received"),
                sent: number("sent"),
                errors: number("errors"),
                speed: number("speed"),
            }
        });
        (views.collect(), more)
    }

    fn processes(&mut self) -> (Vec<ProcessView>, Vec<ProcessView>) {
        let all = proc::find(|stat| !stat.kernel).unwrap_or_default();
        let passed = proc::booted_ago().saturating_sub(self.booted_ago);
        let mut with: Vec<(&Stat, f64)> =
            all.iter().map(|stat| (stat, usage::percent_of_core(stat, &self.processes, passed))).collect();
        let mut users = HashMap::new();
        let mut view = |(stat, cpu): &(&Stat, f64)| ProcessView {
            pid: stat.pid,
            name: name(String::from_utf8_lossy(stat.comm.as_bytes()).trim()),
            user: proc::user(stat.pid)
                .ok()
                .map(|uid| users.entry(uid).or_insert_with(|| name(&accounts::name_of_user(uid))).clone()),
            cpu: *cpu,
            memory: stat.rss_pages.saturating_mul(proc::page_size()) as f64,
        };
        with.sort_by(|(a, a_cpu), (b, b_cpu)| b_cpu.total_cmp(a_cpu).then(a.pid.cmp(&b.pid)));
        let busiest = with.iter().filter(|(_, cpu)| *cpu > 0.0).take(MOST_PROCESSES).map(&mut view).collect();
        with.sort_by_key(|(stat, _)| (std::cmp::Reverse(stat.rss_pages), stat.pid));
        let largest = with.iter().take(MOST_PROCESSES).map(&mut view).collect();
        self.processes = usage::used(&all);
        self.booted_ago = proc::booted_ago();
        (busiest, largest)
    }

    /// Those of the control group that we are in ourselves, where it has less than the machine.
    fn limits(
        &mut self,
        clock: &dyn Clock,
        memory: Option<PartView>,
        processes: Option<PartView>,
    ) -> Option<LimitsView> {
        let pid = std::process::id();
        let own = Identity { pid, start: proc::stat(pid).ok()?.start };
        let sample = self.cgroup.look(&Cgroup::default(), Some(own), clock);
        let read = |name: &str| reading(&sample, Cgroup::METRICS, name);
        let less = |name: &str, of: Option<PartView>| {
            part(read(name)?).filter(|part| of.is_some_and(|of| part.whole < of.whole))
        };
        let limits = LimitsView {
            memory: less("memory", memory),
            processes: less("pids", processes),
            throttled: read("throttled").and_then(Reading::number).filter(|percent| *percent > 0.0),
        };
        let any = limits.memory.is_some() || limits.processes.is_some() || limits.throttled.is_some();
        any.then_some(limits)
    }
}

/// What keeps something, each filesystem once, where it is seen first from the root.
fn shown(all: &[Mount]) -> Vec<&Mount> {
    let keeps = |mount: &&Mount| !NOT_KEEPING.contains(&mount.kind.as_str());
    let mut keeping: Vec<&Mount> = all.iter().filter(keeps).collect();
    // Those of containers come last: of hundreds, not all are shown.
    let passing = |mount: &Mount| matches!(mount.kind.as_str(), "overlay" | "tmpfs") || mount.is_fuse();
    keeping.sort_by_key(|mount| (mount.point != Path::new("/") && passing(mount), &mount.point));
    let is_seen = |mount: &Mount| mounts::at(all, &mount.point).is_some_and(|seen| seen.id == mount.id);
    let mut devices = HashSet::new();
    keeping.retain(|mount| !devices.contains(&mount.device) && is_seen(mount) && devices.insert(mount.device));
    keeping
}

/// A program of a user serves it, who could let us wait on purpose.
fn is_of_a_user(mount: &Mount) -> bool {
    mount.is_fuse() && !mount.has_option("user_id=0")
}

fn reading<'a>(sample: &'a Sample, table: &[Metric], name: &str) -> Option<&'a Reading> {
    let place = table.iter().position(|metric| metric.name == name)?;
    let found = sample.readings.iter().find(|(id, _)| usize::from(id.0) == place);
    found.map(|(_, reading)| reading)
}

fn part(reading: &Reading) -> Option<PartView> {
    match reading {
        Reading::Part { value, whole } => Some(PartView { value: *value, whole: *whole }),
        _ => None,
    }
}

/// A name that anybody may have chosen.
fn name(text: &str) -> String {
    clip(&plain(text), NAME)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::RealClock;
    use crate::probe::testing::Program;

    fn mount(line: &str) -> Mount {
        mounts::parse(line.as_bytes()).remove(0)
    }

    #[test]
    fn what_keeps_something_is_shown_once() {
        let lines = "21 1 254:0 / / rw - ext4 /dev/vda rw\n\
            22 21 0:21 / /proc rw - proc proc rw\n\
            23 21 254:0 /srv /bound rw - ext4 /dev/vda rw\n\
            24 21 0:40 / /mnt rw - nfs4 nas:/export rw\n\
            25 21 0:41 / /auto rw - autofs systemd-1 rw\n\
            26 21 7:1 / /snap/x ro - squashfs /dev/loop1 ro\n\
            27 21 254:1 / /data rw - xfs /dev/vdb rw\n\
            28 27 0:50 / /data rw - tmpfs tmpfs rw\n\
            29 21 0:51 / /tmp rw - tmpfs tmpfs rw\n";
        let all = mounts::parse(lines.as_bytes());
        let points: Vec<_> = shown(&all).iter().map(|m| (m.point.to_str().unwrap(), m.kind.as_str())).collect();
        assert_eq!(points, [("/", "ext4"), ("/mnt", "nfs4"), ("/data", "tmpfs"), ("/tmp", "tmpfs")]);
    }

    #[test]
    fn a_users_program_is_not_asked() {
        for (options, is_his) in [("rw,user_id=1000,group_id=0", true), ("rw,user_id=0", false), ("rw", true)] {
            assert_eq!(
                is_of_a_user(&mount(&format!("30 1 0:9 / /x rw - fuse.sshfs x {options}"))),
                is_his,
                "{options}"
            );
        }
        assert!(!is_of_a_user(&mount("30 1 0:9 / /x rw - ext4 x rw,user_id=1000")));
    }

    #[tokio::test]
    async fn this_machine_is_seen_once_by_all_who_look() {
        let _busy = Program::start("sh", &["-c", "while :; do :; done"]);
        let machine = Machine::new(Arc::new(RealClock));
        let views = join_all((0..200).map(|_| machine.look())).await;
        assert!(views.iter().all(|view| Arc::ptr_eq(view, &views[0])), "one look is enough for all");
        let view = &views[0];
        assert!(view.cpu.is_some_and(|cpu| cpu.busy > 0.0 && cpu.busy <= 100.0), "the first look has rates: {view:?}");
        assert!(view.memory.is_some_and(|memory| memory.value > 0.0 && memory.value < memory.whole));
        assert!(view.busiest[0].cpu >= view.busiest.last().unwrap().cpu && view.busiest[0].cpu > 5.0, "{view:?}");
        assert!(view.largest.is_sorted_by(|a, b| a.memory >= b.memory));
        let root = view.filesystems.iter().find(|filesystem| filesystem.mount == "/").unwrap();
        assert!(root.used.is_some() && root.note.is_none(), "{root:?}");
        let lo = view.interfaces.iter().find(|interface| interface.name == "lo").unwrap();
        assert!(lo.received.is_some() && lo.speed.is_none(), "{lo:?}");
    }

    #[tokio::test]
    async fn a_mount_that_hangs_is_waited_for_once() {
        let machine = Machine::new(Arc::new(RealClock));
        let dead = mount("4000000 1 0:9 / /nowhere/to/be/found rw - nfs4 nas:/export rw");
        let gone = machine.filesystem(&dead).await;
        assert!(gone.note.as_deref().is_some_and(|note| note.starts_with("it cannot be asked")), "{gone:?}");
        // As if it had been asked, and its thread had not come back.
        machine.asking.lock().unwrap().insert(dead.id, Vec::new());
        let hung = machine.filesystem(&dead).await;
        assert_eq!(hung.note.as_deref(), Some("it does not answer"));
    }
}
