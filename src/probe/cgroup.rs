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
mod tests;
