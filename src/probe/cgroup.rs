//! Asks for control groups, of version 2, of version 1, or of both at once, each controller where it is mounted (the kernel's
//! Documentation/admin-guide/cgroup-v2.rst and cgroup-v1).

use super::mounts::{self, Mount};
use super::words::note;
use super::{Rate, place};
use crate::model::kinds::{Cgroup, CheckKind};
use crate::model::{Clock, Found, Identity, MetricId, Mono, Reading, Sample};
use crate::sys::proc;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

const fn metric(name: &str) -> MetricId {
    place(Cgroup::METRICS, name)
}
const MISSING: MetricId = metric("missing");
const MEMORY: MetricId = metric("memory");
const CPU: MetricId = metric("cpu");
const THROTTLED: MetricId = metric("throttled");
const OOM_KILLS: MetricId = metric("oom_kills");
const PIDS: MetricId = metric("pids");

/// As much is read of any file of a group.
const MOST: u64 = 64 << 10;
/// Groups within groups, on the way up to look for limits.
const DEEPEST: usize = 64;

/// What is kept of a group between two looks.
#[derive(Default)]
pub(super) struct State {
    /// Where its processor time is counted: a group made anew under an old name has another inode.
    group: Option<(PathBuf, u64)>,
    usage: Rate,
    periods: Rate,
    throttled: Rate,
}

/// A group in one hierarchy.
struct Group {
    /// Of version 2, where all controllers share one hierarchy.
    unified: bool,
    /// Its controllers, of version 1.
    mount: Mount,
    /// The root of the hierarchy, as far as we see it.
    top: PathBuf,
    /// Its own directory.
    dir: PathBuf,
}

/// Why there is no group to read.
enum Trouble {
    /// There is no process that could be in one.
    NoProcess(&'static str),
    /// It cannot be said, in words.
    Unknown(String),
}

impl State {
    /// One look. Without a path of its own, the group is that of the process.
    pub(super) fn look(&mut self, keys: &Cgroup, process: Option<Identity>, clock: &dyn Clock) -> Sample {
        self.look_below(Path::new("/"), keys, process, clock)
    }

    fn look_below(&mut self, root: &Path, keys: &Cgroup, process: Option<Identity>, clock: &dyn Clock) -> Sample {
        let began = clock.now();
        let absent = |from: MetricId| (from.0..=PIDS.0).map(|id| (MetricId(id), Reading::Absent));
        let (readings, why) = match groups(root, keys, process) {
            Ok(groups) if groups.iter().any(|group| group.dir.is_dir()) => self.there(root, &groups, began.mono),
            Ok(_) => {
                *self = State::default();
                let missing = std::iter::once((MISSING, Reading::Flag(true))).chain(absent(MEMORY));
                (missing.collect(), Some(format!("there is no such control group: {}", keys.about())))
            }
            Err(Trouble::NoProcess(why)) => {
                *self = State::default();
                (absent(MISSING).collect(), Some(why.to_owned()))
            }
            Err(Trouble::Unknown(why)) => (Vec::new(), Some(why)),
        };
        let at = clock.now();
        let note = why.map(|why| note(&why, &[]));
        Sample { at, took: at.mono - began.mono, readings, note, found: Found::Unasked }
    }

    fn there(&mut self, root: &Path, groups: &[Group], at: Mono) -> (Vec<(MetricId, Reading)>, Option<String>) {
        let found = [
            (MISSING, Ok(Some(Reading::Flag(false)))),
            (MEMORY, memory(root, groups)),
            (CPU, self.cpu(groups, at)),
            (THROTTLED, self.throttled(groups, at)),
            (OOM_KILLS, oom_kills(groups)),
            (PIDS, pids(root, groups)),
        ];
        let (mut readings, mut why) = (Vec::with_capacity(found.len()), None);
        for (id, found) in found {
            match found {
                Ok(reading) => readings.extend(reading.map(|reading| (id, reading))),
                // Its controller is not switched on for it, or it was removed while we read.
                Err(e) if is_missing(&e) => readings.push((id, Reading::Absent)),
                Err(e) => why = Some(format!("not all of it can be read: {e}")),
            }
        }
        (readings, why)
    }

    fn cpu(&mut self, groups: &[Group], at: Mono) -> io::Result<Option<Reading>> {
        let group = of(groups, "cpuacct")?;
        let place = (group.dir.clone(), std::fs::metadata(&group.dir)?.ino());
        let nanoseconds = if group.unified {
            after(&group.read("cpu.stat")?, "usage_usec ")?.saturating_mul(1000)
        } else {
            whole_number(&group.read("cpuacct.usage")?)?
        };
        if self.group.as_ref() != Some(&place) || self.usage.is_back(nanoseconds) {
            *self = State { group: Some(place), ..State::default() };
        }
        // A core has a thousand million of them a second.
        Ok(self.usage.take(at, nanoseconds).map(|rate| Reading::Number(rate / 1e7)))
    }

    fn throttled(&mut self, groups: &[Group], at: Mono) -> io::Result<Option<Reading>> {
        let stat = of(groups, "cpu")?.read("cpu.stat")?;
        let (periods, throttled) = (after(&stat, "nr_periods ")?, after(&stat, "nr_throttled ")?);
        if self.periods.is_back(periods) || self.throttled.is_back(throttled) {
            (self.periods, self.throttled) = (Rate::default(), Rate::default());
        }
        let rates = self.periods.take(at, periods).zip(self.throttled.take(at, throttled));
        // A group without a limit, or at rest, has no periods.
        let share =
            |(periods, throttled)| if periods > 0.0 { f64::min(throttled * 100.0 / periods, 100.0) } else { 0.0 };
        Ok(rates.map(|rates| Reading::Number(share(rates))))
    }
}

/// Without what the kernel takes back first, pages of files that were not used lately: these a group is allowed to fill its
/// limit with, and no reason to worry.
fn memory(root: &Path, groups: &[Group]) -> io::Result<Option<Reading>> {
    let group = of(groups, "memory")?;
    let (usage, limit, idle) = match group.unified {
        true => ("memory.current", "memory.max", "inactive_file "),
        false => ("memory.usage_in_bytes", "memory.limit_in_bytes", "total_inactive_file "),
    };
    let idle = after(&group.read("memory.stat")?, idle)?;
    let usage = whole_number(&group.read(usage)?)?.saturating_sub(idle);
    let machine = after(&proc::read_path(root.join("proc/meminfo"), MOST)?, "MemTotal:")?.saturating_mul(1024);
    Ok(Some(part(usage, group.limit(limit).map_or(machine, |limit| limit.min(machine)))))
}

fn pids(root: &Path, groups: &[Group]) -> io::Result<Option<Reading>> {
    let group = of(groups, "pids")?;
    let current = whole_number(&group.read("pids.current")?)?;
    let machine = ["pid_max", "threads-max"]
        .iter()
        .filter_map(|name| whole_number(&proc::read_path(root.join("proc/sys/kernel").join(name), 64).ok()?).ok());
    let most = group.limit("pids.max").into_iter().chain(machine).min();
    Ok(Some(most.map_or(Reading::Number(current as f64), |most| part(current, most))))
}

fn oom_kills(groups: &[Group]) -> io::Result<Option<Reading>> {
    let group = of(groups, "memory")?;
    let file = if group.unified { "memory.events" } else { "memory.oom_control" };
    Ok(Some(Reading::Number(after(&group.read(file)?, "oom_kill ")? as f64)))
}

/// The group in the hierarchy that has this controller.
fn of<'a>(groups: &'a [Group], controller: &str) -> io::Result<&'a Group> {
    let own = groups.iter().find(|group| !group.unified && group.mount.has_option(controller));
    own.or_else(|| groups.iter().find(|group| group.unified)).ok_or_else(|| io::ErrorKind::NotFound.into())
}

impl Group {
    fn read(&self, file: &str) -> io::Result<Vec<u8>> {
        proc::read_path(self.dir.join(file), MOST)
    }

    /// The lowest of its limit and of those of the groups that it lies in; nothing where there is none.
    fn limit(&self, file: &str) -> Option<u64> {
        let way = self.dir.ancestors().take(DEEPEST).take_while(|dir| dir.starts_with(&self.top));
        // `max` is none, and so is the last whole page that a number can name.
        let limits = way.filter_map(|dir| whole_number(&proc::read_path(dir.join(file), 64).ok()?).ok());
        limits.filter(|limit| *limit < i64::MAX as u64 - (1 << 20)).min()
    }
}

/// The group in each hierarchy that is mounted.
fn groups(root: &Path, keys: &Cgroup, process: Option<Identity>) -> Result<Vec<Group>, Trouble> {
    let mounts =
        mounts::read(root).map_err(|e| Trouble::Unknown(format!("/proc/self/mountinfo cannot be read: {e}")))?;
    let hierarchies: Vec<Mount> = mounts.into_iter().filter(|m| m.kind == "cgroup" || m.kind == "cgroup2").collect();
    if hierarchies.is_empty() {
        return Err(Trouble::Unknown("no control groups are mounted".to_owned()));
    }
    let place = |mount: Mount, below: &Path| {
        let top = below_root(root, &mount.point);
        Group { unified: mount.kind == "cgroup2", dir: below_root(&top, below), top, mount }
    };
    if let Some(path) = &keys.path {
        return Ok(hierarchies.into_iter().map(|mount| place(mount, path.as_path())).collect());
    }
    let process = process.ok_or(Trouble::NoProcess("the service has no process now"))?;
    let membership = membership(root, process)?;
    let (mut groups, mut outside) = (Vec::new(), None);
    for mount in hierarchies {
        let Some(path) = path_in(&membership, &mount) else { continue };
        // In a container, only a part of the hierarchy may be mounted, or another part; `..` leads out of a cgroup namespace.
        match path.strip_prefix(&mount.root).map(Path::to_owned) {
            Ok(below) if !below.components().any(|part| part == Component::ParentDir) => {
                groups.push(place(mount, &below))
            }
            _ => outside = Some(path),
        }
    }
    match outside {
        Some(path) if groups.is_empty() => Err(Trouble::Unknown(format!(
            "the control group of its process, {}, lies outside of what is mounted here",
            path.display()
        ))),
        _ => Ok(groups),
    }
}

/// `/proc/PID/cgroup`, for sure of this process.
fn membership(root: &Path, process: Identity) -> Result<Vec<u8>, Trouble> {
    let files = root.join("proc").join(process.pid.to_string());
    let read = || {
        let lines = proc::read_path(files.join("cgroup"), MOST)?;
        // If it has this pid now, it had it when the lines were read.
        let stat = rustix::fs::open(files.join("stat"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        Ok((lines, proc::read_stat(stat)?))
    };
    match read() {
        Ok((lines, stat)) if stat.start == process.start && stat.is_alive() => Ok(lines),
        Ok(_) => Err(Trouble::NoProcess("the service's process has ended")),
        Err(e) if is_missing(&e) => Err(Trouble::NoProcess("the service's process has ended")),
        Err(e) => Err(Trouble::Unknown(format!("the control group of pid {} cannot be read: {e}", process.pid))),
    }
}

/// `4:memory:/a/b`, `4:cpu,cpuacct:/a/b`, `0::/a/b` of version 2.
fn path_in(membership: &[u8], mount: &Mount) -> Option<PathBuf> {
    membership.split(|b| *b == b'\n').find_map(|line| {
        let mut fields = line.splitn(3, |b| *b == b':');
        let (number, controllers, path) = (fields.next()?, std::str::from_utf8(fields.next()?).ok()?, fields.next()?);
        let its = match mount.kind.as_str() {
            "cgroup2" => number == b"0" && controllers.is_empty(),
            _ => !controllers.is_empty() && controllers.split(',').all(|controller| mount.has_option(controller)),
        };
        // The kernel says so of a group that was removed while a process was still in it.
        let path = path.strip_suffix(b" (deleted)").unwrap_or(path);
        its.then(|| Path::new(OsStr::from_bytes(path)).to_owned())
    })
}

/// A path taken as one below this directory.
fn below_root(dir: &Path, path: &Path) -> PathBuf {
    dir.join(path.components().filter(|part| matches!(part, Component::Normal(_))).collect::<PathBuf>())
}

fn part(value: u64, whole: u64) -> Reading {
    Reading::Part { value: value as f64, whole: whole as f64 }
}

fn after(text: &[u8], key: &str) -> io::Result<u64> {
    proc::number_after(text, key).ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn whole_number(text: &[u8]) -> io::Result<u64> {
    let text = std::str::from_utf8(text.trim_ascii()).ok();
    text.and_then(|text| text.parse().ok()).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// `ENODEV` is said by files of a group that was removed while they were read.
fn is_missing(e: &io::Error) -> bool {
    e.kind() == io::ErrorKind::NotFound
        || matches!(Errno::from_io_error(e), Some(Errno::NOTDIR | Errno::NODEV | Errno::SRCH))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Now, Wall};
    use std::fs;

    /// A made-up machine: files below a directory, and a clock.
    struct Machine {
        dir: tempfile::TempDir,
        state: State,
        seconds: u64,
    }
    struct At(u64);
    impl Clock for At {
        fn now(&self) -> Now {
            Now { mono: Mono(self.0 * 1_000_000_000), wall: Wall(0) }
        }
    }

    const PID: u32 = 4000;
    const PROCESS: Identity = Identity { pid: PID, start: 77 };

    impl Machine {
        fn new(mounts: &str, membership: &str) -> Machine {
            let machine = Machine { dir: tempfile::tempdir().unwrap(), state: State::default(), seconds: 100 };
            machine.set("proc/self/mountinfo", mounts);
            machine.set("proc/meminfo", "MemTotal: 8000 kB\n");
            machine.set("proc/sys/kernel/pid_max", "4194304\n");
            machine.set("proc/sys/kernel/threads-max", "1000\n");
            machine.set(&format!("proc/{PID}/cgroup"), membership);
            machine.lives(77);
            machine
        }
        fn lives(&self, start: u64) {
            let line = format!("{PID} (web) S 1 1 1 0 -1 0 0 0 0 0 1 1 0 0 20 0 1 0 {start} 0 0 0\n");
            self.set(&format!("proc/{PID}/stat"), &line);
        }
        fn set(&self, name: &str, text: &str) {
            let path = self.dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        /// A look, a second after the one before it.
        fn look(&mut self, path: Option<&str>, process: Option<Identity>) -> Sample {
            self.seconds += 1;
            let keys = Cgroup { path: path.map(|path| path.parse().unwrap()) };
            let sample = self.state.look_below(self.dir.path(), &keys, process, &At(self.seconds));
            assert!(sample.readings.is_sorted_by(|a, b| a.0 < b.0), "{sample:?}");
            sample
        }
    }

    fn part(sample: &Sample, id: MetricId) -> (f64, f64) {
        let Reading::Part { value, whole } = *sample.reading(id) else { panic!("{id:?} of {sample:?}") };
        (value, whole)
    }

    const V2: &str = "30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";

    fn version_2() -> Machine {
        let machine = Machine::new(V2, "0::/system.slice/web.service\n");
        let web = |name: &str, text: &str| machine.set(&format!("sys/fs/cgroup/system.slice/web.service/{name}"), text);
        web("memory.current", "3000000\n");
        web("memory.max", "max\n");
        web("memory.stat", "anon 1\ninactive_file 1000000\nfile 2\n");
        web("memory.events", "low 0\noom 9\noom_kill 2\noom_group_kill 5\n");
        web("pids.current", "12\n");
        web("pids.max", "100\n");
        web("cpu.stat", "usage_usec 5000000\nuser_usec 1\nnr_periods 10\nnr_throttled 4\n");
        machine
    }

    #[test]
    fn version_2_is_read() {
        let mut machine = version_2();
        for (path, process) in [(None, Some(PROCESS)), (Some("/system.slice/web.service"), None)] {
            let sample = machine.look(path, process);
            assert_eq!(sample.note, None);
            assert_eq!(sample.reading(MISSING), &Reading::Flag(false));
            assert_eq!(part(&sample, MEMORY), (2e6, 8_192_000.0), "without a limit, of the machine's");
            assert_eq!(part(&sample, PIDS), (12.0, 100.0));
            assert_eq!(sample.reading(OOM_KILLS), &Reading::Number(2.0));
        }
        let web = "sys/fs/cgroup/system.slice/web.service";
        machine.set("sys/fs/cgroup/system.slice/memory.max", "4000000\n");
        machine.set("sys/fs/cgroup/system.slice/pids.max", "50\n");
        machine.set(&format!("{web}/cpu.stat"), "usage_usec 6500000\nnr_periods 30\nnr_throttled 9\n");
        let sample = machine.look(None, Some(PROCESS));
        assert_eq!(part(&sample, MEMORY), (2e6, 4e6), "the limit of the group that it lies in");
        assert_eq!(part(&sample, PIDS), (12.0, 50.0));
        // Two seconds have passed since the first look, one since the second: which had seen nothing new.
        assert_eq!((sample.reading(CPU), sample.reading(THROTTLED)), (&Reading::Number(150.0), &Reading::Number(25.0)));
        machine.set(&format!("{web}/cpu.stat"), "usage_usec 1000\nnr_periods 0\nnr_throttled 0\n");
        let sample = machine.look(None, Some(PROCESS));
        assert_eq!(
            (sample.reading(CPU), sample.reading(THROTTLED)),
            (&Reading::Unknown, &Reading::Unknown),
            "made anew"
        );
        let sample = machine.look(None, Some(PROCESS));
        assert_eq!((sample.reading(CPU), sample.reading(THROTTLED)), (&Reading::Number(0.0), &Reading::Number(0.0)));
    }

    #[test]
    fn a_controller_that_is_switched_off_has_no_metrics() {
        let mut machine = Machine::new(V2, "");
        machine.set("sys/fs/cgroup/a/cpu.stat", "usage_usec 5\n");
        let sample = machine.look(Some("/a"), None);
        assert_eq!(sample.note, None);
        for id in [MEMORY, THROTTLED, OOM_KILLS, PIDS] {
            assert_eq!(sample.reading(id), &Reading::Absent, "{id:?}");
        }
        assert_eq!(sample.reading(CPU), &Reading::Unknown, "nothing to compare with yet");
    }

    #[test]
    fn version_1_is_read_where_each_controller_is_mounted() {
        let mounts = "\
31 1 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw
32 31 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
33 31 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
34 31 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
35 31 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
36 31 0:31 /box /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
";
        let membership = "9:name=systemd:/s/web\n4:memory:/m/web\n3:cpu,cpuacct:/c/web\n2:pids:/box/web\n0::/u/web\n";
        let mut machine = Machine::new(mounts, membership);
        let web = |controller: &str, name: &str, text: &str| {
            machine.set(&format!("sys/fs/cgroup/{controller}/{name}"), text);
        };
        web("memory/m/web", "memory.usage_in_bytes", "3000000\n");
        web("memory/m/web", "memory.limit_in_bytes", "9223372036854771712\n");
        web("memory/m/web", "memory.stat", "inactive_file 5\ntotal_inactive_file 1000000\n");
        web("memory/m/web", "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n");
        web("cpu,cpuacct/c/web", "cpuacct.usage", "1000000000\n");
        web("cpu,cpuacct/c/web", "cpu.stat", "nr_periods 0\nnr_throttled 0\nthrottled_time 0\n");
        web("pids/web", "pids.current", "7\n");
        web("pids/web", "pids.max", "max\n");
        web("unified/u/web", "cpu.stat", "usage_usec 99999999\n");
        let sample = machine.look(None, Some(PROCESS));
        assert_eq!(sample.note, None);
        assert_eq!(part(&sample, MEMORY), (2e6, 8_192_000.0));
        assert_eq!(part(&sample, PIDS), (7.0, 1000.0), "of the machine's");
        assert_eq!(sample.reading(OOM_KILLS), &Reading::Number(3.0));
        machine.set("sys/fs/cgroup/cpu,cpuacct/c/web/cpuacct.usage", "1250000000\n");
        let sample = machine.look(None, Some(PROCESS));
        assert_eq!((sample.reading(CPU), sample.reading(THROTTLED)), (&Reading::Number(25.0), &Reading::Number(0.0)));
        machine.set("sys/fs/cgroup/memory/m/web/memory.limit_in_bytes", "4000000\n");
        assert_eq!(part(&machine.look(None, Some(PROCESS)), MEMORY), (2e6, 4e6));
        // By a path, it is in each hierarchy where it is there at all.
        let sample = machine.look(Some("/c/web"), None);
        assert_eq!((sample.reading(MISSING), sample.reading(MEMORY)), (&Reading::Flag(false), &Reading::Absent));
    }

    #[test]
    fn what_is_not_there_is_missing_or_absent() {
        let mut machine = version_2();
        let sample = machine.look(Some("/system.slice/none.service"), None);
        assert_eq!((sample.reading(MISSING), sample.reading(MEMORY)), (&Reading::Flag(true), &Reading::Absent));
        assert_eq!(sample.note.as_deref(), Some("there is no such control group: /system.slice/none.service"));
        let sample = machine.look(None, None);
        assert_eq!((sample.reading(MISSING), sample.reading(PIDS)), (&Reading::Absent, &Reading::Absent));
        assert_eq!(sample.note.as_deref(), Some("the service has no process now"));
        machine.lives(78);
        let sample = machine.look(None, Some(PROCESS));
        assert_eq!(sample.reading(MISSING), &Reading::Absent, "another process has its pid");
        machine.lives(77);
        machine.set(&format!("proc/{PID}/cgroup"), "0::/system.slice/web.service (deleted)\n");
        assert_eq!(machine.look(None, Some(PROCESS)).reading(MISSING), &Reading::Flag(false));
        machine.set(&format!("proc/{PID}/cgroup"), "0::/../../elsewhere\n");
        machine.set("sys/fs/cgroup/elsewhere/pids.current", "1\n");
        let sample = machine.look(None, Some(PROCESS));
        assert_eq!(sample.reading(MISSING), &Reading::Unknown, "it is not the one of that name that we see");
        machine.set("proc/self/mountinfo", "30 1 0:26 /box /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
        let sample = machine.look(None, Some(PROCESS));
        assert_eq!(sample.reading(MISSING), &Reading::Unknown);
        assert!(sample.note.as_deref().unwrap().contains("lies outside of what is mounted here"), "{sample:?}");
        machine.set("proc/self/mountinfo", "27 1 254:0 / / rw - ext4 /dev/vda rw\n");
        let sample = machine.look(Some("/a"), None);
        assert_eq!(
            (sample.reading(MISSING), sample.note.as_deref()),
            (&Reading::Unknown, Some("no control groups are mounted"))
        );
    }
}
