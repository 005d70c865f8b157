//! Asks for filesystems: what is mounted is read from the kernel, which never hangs; how full a mount is, only it can tell, on
//! a thread that may hang. A mount that does not answer takes one thread, however many checks ask for it and however often.

use super::looks::Looks;
use super::mounts::{self, Mount};
use super::pool::Pool;
use super::words::note;
use super::{Rate, place};
use crate::model::kinds::{CheckKind, Filesystem};
use crate::model::{CheckId, Clock, Found, MetricId, Mono, Now, Reading, Sample, write_duration};
use crate::sys::proc;
use rustix::fs::StatVfs;
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

const fn metric(name: &str) -> MetricId {
    place(Filesystem::METRICS, name)
}
const FAILED: MetricId = metric("failed");
const MISSING: MetricId = metric("missing");
pub(super) const USED: MetricId = metric("used");
const FREE: MetricId = metric("free");
pub(super) const INODES: MetricId = metric("inodes");
const READONLY: MetricId = metric("readonly");
const READ: MetricId = metric("read");
const WRITE: MetricId = metric("write");

/// So many mounts may hang before those that do not can no longer be asked.
const THREADS: usize = 16;
/// What is counted in `/sys/dev/block/*/stat`, whatever the sectors of the device are.
const SECTOR: u64 = 512;

type Numbers = (u32, u32);
pub(super) type Readings = Vec<(MetricId, Reading)>;
pub(super) type Answer = Result<Readings, Errno>;
pub(super) type Asking = Arc<Mutex<HashMap<u64, Vec<oneshot::Sender<Answer>>>>>;

/// The threads, and what is under way.
pub(super) struct Filesystems {
    clock: Arc<dyn Clock>,
    mounts: Looks<State>,
    pool: Arc<Pool>,
    /// Those who wait for the answer of a mount, by its number.
    asking: Asking,
}

/// A mount is being asked. However that ends, others may ask it then.
struct Turn {
    asking: Asking,
    mount: u64,
    answer: Option<Answer>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let waiting = self.asking.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.mount);
        for one in waiting.into_iter().flatten() {
            if let Some(answer) = &self.answer {
                let _ = one.send(answer.clone());
            }
        }
    }
}

impl Filesystems {
    /// No thread is started yet.
    pub(super) fn new(clock: Arc<dyn Clock>) -> Filesystems {
        let mounts = Looks::new("mounts", 1, Arc::clone(&clock));
        Filesystems { clock, mounts, pool: Arc::new(Pool::new("filesystems", THREADS)), asking: Arc::default() }
    }

    /// Asks. It is answered within the timeout, with whatever could be found out until then.
    pub(super) fn ask(
        &self,
        check: CheckId,
        keys: Filesystem,
        timeout: Duration,
    ) -> impl Future<Output = Sample> + use<> {
        let looked = self.mounts.look(check, move |state, clock| state.look(&keys.mount, clock.now().mono));
        let (clock, pool, asking) = (Arc::clone(&self.clock), Arc::clone(&self.pool), Arc::clone(&self.asking));
        async move {
            let began = clock.now().mono;
            let mut seen = None;
            let answer = tokio::time::timeout(timeout, async {
                let looked = &*seen.insert(looked.await.map_err(str::to_owned)?);
                match looked {
                    Seen::Mounted { mount, point, .. } => {
                        statvfs(&pool, &asking, *mount, point.clone()).await.map(Some)
                    }
                    Seen::Missing(_) => Ok(None),
                    Seen::Unknown(why) => Err(why.clone()),
                }
            });
            let (readings, note) = tell(answer.await.ok(), seen, timeout);
            let at = clock.now();
            sample(at, at.mono - began, readings, note)
        }
    }

    /// Lets go of what is kept for this check.
    pub(super) fn forget(&self, check: CheckId) {
        self.mounts.forget(check);
    }
}

/// Asks a mount, or waits with those who have asked it already; or why it cannot be asked.
pub(super) async fn statvfs(pool: &Pool, asking: &Asking, mount: u64, point: PathBuf) -> Result<Answer, String> {
    let (answer, answered) = oneshot::channel();
    let first = {
        let mut asking = asking.lock().unwrap_or_else(PoisonError::into_inner);
        let first = !asking.contains_key(&mount);
        let waiting = asking.entry(mount).or_default();
        // Those whose deadline has passed do not wait any more; the thread may hang for days.
        waiting.retain(|one| !one.is_closed());
        waiting.push(answer);
        first
    };
    // Kept until the answer is there: letting go of it counts the thread as hung.
    let _awaited = first.then(|| {
        let mut turn = Turn { asking: Arc::clone(asking), mount, answer: None };
        let ask = move || {
            turn.answer = Some(rustix::fs::statvfs(&point).map(|stat| space(&stat)));
            turn
        };
        pool.run(ask, drop)
    });
    answered.await.map_err(|_| "it could not be asked: all looks at other filesystems hang".to_owned())
}

/// What is kept of a check between two looks.
#[derive(Default)]
struct State {
    device: Option<Numbers>,
    rates: [Rate; 2],
}

/// What the kernel tells without asking the mount.
enum Seen {
    /// It is mounted: its number, where, and what is known already.
    Mounted { mount: u64, point: PathBuf, readings: Readings },
    /// It is not, or not there, in words.
    Missing(String),
    /// It cannot be said, in words.
    Unknown(String),
}

impl State {
    fn look(&mut self, wanted: &str, at: Mono) -> Seen {
        let mounts = match mounts::read(Path::new("/")) {
            Ok(mounts) => mounts,
            Err(e) => return Seen::Unknown(format!("/proc/self/mountinfo cannot be read: {e}")),
        };
        match find(&mounts, wanted, numbers) {
            Ok(mount) => {
                let mut readings = vec![(READONLY, Reading::Flag(mount.readonly))];
                readings.extend(self.traffic(mount, at));
                Seen::Mounted { mount: mount.id, point: mount.point.clone(), readings }
            }
            Err(why) => {
                *self = State::default();
                Seen::Missing(why)
            }
        }
    }

    /// What was read from and written to its device since the last look.
    fn traffic(&mut self, mount: &Mount, at: Mono) -> Readings {
        let device = device(mount, numbers);
        if device != self.device {
            *self = State { device, ..State::default() };
        }
        let counted = device.and_then(sectors);
        let both = [READ, WRITE].into_iter().zip(&mut self.rates).enumerate();
        both.filter_map(|(i, (metric, rate))| match counted {
            Some(counted) => Some((metric, Reading::Number(rate.take(at, counted[i].saturating_mul(SECTOR))?))),
            None => Some((metric, Reading::Absent)),
        })
        .collect()
    }
}

/// The mount that is meant; or why there is none.
fn find<'a>(
    mounts: &'a [Mount],
    wanted: &str,
    numbers: impl Fn(&OsStr) -> Option<Numbers>,
) -> Result<&'a Mount, String> {
    let is_path = wanted.starts_with('/') && !wanted.starts_with("//");
    // A path without slashes at its end, and doubled ones.
    let path: PathBuf = Path::new(wanted).components().collect();
    if is_path && let Some(mount) = mounts::at(mounts, &path) {
        return Ok(mount);
    }
    let named = || mounts::from(mounts, |mount| mounts::same_source(&mount.source, wanted));
    if !is_path {
        return named().ok_or_else(|| format!("{wanted} is not mounted"));
    }
    if path.starts_with("/dev") {
        // It may be a link, as those of /dev/disk and /dev/mapper are.
        let Some(wanted_numbers) = numbers(path.as_os_str()) else {
            return named().ok_or_else(|| format!("there is no device {wanted}"));
        };
        return mounts::from(mounts, |mount| device(mount, &numbers) == Some(wanted_numbers))
            .ok_or_else(|| format!("the device {wanted} is not mounted"));
    }
    match mounts::below(mounts, &path) {
        Some(mount) => {
            Err(format!("nothing is mounted at {wanted}: it lies on what is mounted at {}", mount.point.display()))
        }
        None => Err(format!("nothing is mounted at {wanted}")),
    }
}

/// The device that a mount is on. Filesystems that can be on several, such as btrfs, have a number of their own: theirs is the
/// device that they were mounted from. What a user's FUSE program says to be mounted from is not looked at: it may be a path
/// on its own dead mount.
fn device(mount: &Mount, numbers: impl Fn(&OsStr) -> Option<Numbers>) -> Option<Numbers> {
    let (major, _) = mount.device;
    if major != 0 {
        return Some(mount.device);
    }
    let is_device = mount.source.as_bytes().starts_with(b"/dev/") && !mount.is_fuse();
    is_device.then(|| numbers(&mount.source)).flatten()
}

/// The numbers of a block device.
fn numbers(path: &OsStr) -> Option<Numbers> {
    let metadata = std::fs::metadata(path).ok()?;
    let id = metadata.rdev();
    metadata.file_type().is_block_device().then(|| (rustix::fs::major(id), rustix::fs::minor(id)))
}

/// Sectors read and written since the device is there.
fn sectors((major, minor): Numbers) -> Option<[u64; 2]> {
    let stat = proc::read_path(format!("/sys/dev/block/{major}:{minor}/stat"), 4096).ok()?;
    parse_sectors(&stat)
}

/// The third and the seventh number (the kernel's Documentation/block/stat.rst).
fn parse_sectors(stat: &[u8]) -> Option<[u64; 2]> {
    let stat = std::str::from_utf8(stat).ok()?;
    let mut fields = stat.split_ascii_whitespace().map(|field| field.parse().ok());
    Some([fields.nth(2)??, fields.nth(3)??])
}

/// Everything together, and what is to be said about it. No answer is one that did not come in time.
fn tell(
    answer: Option<Result<Option<Answer>, String>>,
    seen: Option<Seen>,
    timeout: Duration,
) -> (Readings, Option<String>) {
    let flags = |failed, missing| vec![(FAILED, Reading::Flag(failed)), (MISSING, Reading::Flag(missing))];
    let (point, known) = match seen {
        Some(Seen::Mounted { point, readings, .. }) => (point, readings),
        Some(Seen::Missing(why)) => {
            let rest = (USED.0..=WRITE.0).map(|id| (MetricId(id), Reading::Absent));
            return (flags(true, true).into_iter().chain(rest).collect(), Some(why));
        }
        Some(Seen::Unknown(why)) => return (Vec::new(), Some(why)),
        None => return (Vec::new(), Some("what is mounted could not be looked at".to_owned())),
    };
    let (first, note) = match answer {
        None => {
            let within = write_duration(timeout);
            (flags(true, false), Some(format!("{} does not answer within {within}", point.display())))
        }
        Some(Ok(Some(Ok(space)))) => (flags(false, false).into_iter().chain(space).collect(), None),
        // It is ours that we may not look.
        Some(Ok(Some(Err(e @ (Errno::ACCESS | Errno::PERM | Errno::NOMEM | Errno::NFILE | Errno::MFILE))))) => {
            (vec![(MISSING, Reading::Flag(false))], Some(format!("{} cannot be asked: {e}", point.display())))
        }
        Some(Ok(Some(Err(e)))) => (flags(true, false), Some(format!("{} answers: {e}", point.display()))),
        Some(Ok(None)) => (Vec::new(), None),
        Some(Err(why)) => (vec![(MISSING, Reading::Flag(false))], Some(why)),
    };
    (first.into_iter().chain(known).collect(), note)
}

/// As `df` has it: the blocks that only root may use count neither as free nor as part of the whole. What has no blocks or
/// inodes to count has none of these metrics.
fn space(stat: &StatVfs) -> Readings {
    let unit = stat.f_frsize.max(1) as f64;
    let used = stat.f_blocks.saturating_sub(stat.f_bfree);
    // A filesystem may write a negative number here.
    let free = if stat.f_bavail > stat.f_blocks { 0 } else { stat.f_bavail };
    let whole = used.saturating_add(free);
    let inodes = stat.f_files.saturating_sub(stat.f_ffree);
    let part = |value: u64, whole: u64, unit: f64| match whole {
        0 => Reading::Absent,
        _ => Reading::Part { value: value as f64 * unit, whole: whole as f64 * unit },
    };
    vec![(USED, part(used, whole, unit)), (FREE, part(free, whole, unit)), (INODES, part(inodes, stat.f_files, 1.0))]
}

fn sample(at: Now, took: Duration, readings: Readings, why: Option<String>) -> Sample {
    Sample { at, took, readings, note: why.map(|why| note(&why, &[])), found: Found::Unasked }
}

#[cfg(test)]
mod tests;
