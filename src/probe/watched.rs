//! What is kept of a process check between two looks, and the look itself: one `pread` for each process.

use super::Rate;
use super::family::Family;
use super::place;
use super::select::identity;
use crate::model::kinds::{CheckKind, Process};
use crate::model::{Clock, Found, Identity, MetricId, MetricSet, Mono, Now, Reading, Sample};
use crate::sys::proc::{self, Stat};
use rustix::process::{Resource, getrlimit};
use std::cell::Cell;
use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

const fn metric(name: &str) -> MetricId {
    place(Process::METRICS, name)
}
const DOWN: MetricId = MetricId(Process::DOWN);
const COUNT: MetricId = metric("count");
const PID: MetricId = metric("pid");
const UPTIME: MetricId = metric("uptime");
const CPU: MetricId = metric("cpu");
const CPU_HOST: MetricId = metric("cpu.host");
const MEMORY: MetricId = metric("memory");
const SWAP: MetricId = metric("swap");
const THREADS: MetricId = metric("threads");
const CHILDREN: MetricId = metric("children");
const FDS: MetricId = metric("fds");
const READ: MetricId = metric("read");
const WRITE: MetricId = metric("write");
const CPU_TOTAL: MetricId = metric("cpu.total");
const MEMORY_TOTAL: MetricId = metric("memory.total");

/// Whether the processes must be counted anew.
pub(super) fn wants_count(wanted: MetricSet) -> bool {
    wanted.contains(COUNT)
}
/// Whether descendants are wanted.
pub(super) fn wants_family(wanted: MetricSet) -> bool {
    [CHILDREN, CPU_TOTAL, MEMORY_TOTAL].into_iter().any(|id| wanted.contains(id))
}
/// Whether what was read and written is wanted.
pub(super) fn wants_io(wanted: MetricSet) -> bool {
    [READ, WRITE].into_iter().any(|id| wanted.contains(id))
}

/// No such process lives: all that can be said of it.
pub(super) fn nobody(at: Now, took: Duration, why: String) -> Sample {
    let rest = (PID.0..=MEMORY_TOTAL.0).map(|id| (MetricId(id), Reading::Absent));
    let readings = [(DOWN, Reading::Flag(true)), (COUNT, Reading::Number(0.0))].into_iter().chain(rest).collect();
    Sample { at, took, readings, note: Some(why.into()), found: Found::Nobody }
}

/// The machine, as far as processes are held against it.
pub(super) struct Machine {
    /// Percent of a core that one clock tick a second is.
    percent: f64,
    page: f64,
    cores: f64,
    memory: f64,
    swap: f64,
    booted_ago: Duration,
}

impl Machine {
    /// As it is now.
    pub(super) fn now() -> Machine {
        let mut machine = Machine {
            percent: 100.0 / proc::ticks_per_second() as f64,
            page: proc::page_size() as f64,
            cores: proc::cores(&proc::read_path("/proc/stat", 1 << 20).unwrap_or_default()) as f64,
            memory: 0.0,
            swap: 0.0,
            booted_ago: Duration::ZERO,
        };
        machine.refresh();
        machine
    }
    /// Looks again at what changes: two cheap system calls, for each pass.
    pub(super) fn refresh(&mut self) {
        let info = rustix::system::sysinfo();
        let unit = f64::from(info.mem_unit);
        self.memory = info.totalram as f64 * unit;
        self.swap = info.totalswap as f64 * unit;
        self.booted_ago = proc::booted_ago();
    }
}

/// How many files may be kept open, and are.
#[derive(Clone)]
pub(super) struct Kept(Rc<(Cell<usize>, Cell<usize>)>);

impl Kept {
    /// Half of what minder may open.
    pub(super) fn new() -> Kept {
        let most =
            getrlimit(Resource::Nofile).current.map_or(usize::MAX, |n| usize::try_from(n / 2).unwrap_or(usize::MAX));
        Kept(Rc::new((Cell::new(0), Cell::new(most))))
    }
    /// From now on only half of what is kept now: the limit was reached.
    pub(super) fn halve(&self) {
        self.0.1.set(self.0.0.get() / 2);
    }
    /// Whether more is kept than may be.
    pub(super) fn is_over(&self) -> bool {
        self.0.0.get() > self.0.1.get()
    }
    fn keep(&self, file: OwnedFd) -> Option<KeptFile> {
        let (now, most) = &*self.0;
        if now.get() >= most.get() {
            return None;
        }
        now.set(now.get() + 1);
        Some(KeptFile { file, kept: self.clone() })
    }
}

struct KeptFile {
    file: OwnedFd,
    kept: Kept,
}

impl Drop for KeptFile {
    fn drop(&mut self) {
        let now = &self.kept.0.0;
        now.set(now.get().saturating_sub(1));
    }
}

/// The processes of a check.
pub(super) struct Watched {
    /// Never empty. The first is the one that answers for all.
    members: Vec<Member>,
    /// When they were selected, if they were: the first may have been given.
    pub(super) selected: Option<Mono>,
    family_cpu: Rate,
}

struct Member {
    identity: Identity,
    file: Option<KeptFile>,
    cpu: Rate,
    read: Rate,
    write: Rate,
}

/// What was looked up elsewhere, because it takes long or may hang.
#[derive(Clone)]
pub(super) struct Extras {
    pub(super) at: Mono,
    pub(super) family: Option<Arc<Family>>,
    /// Bytes read and written by each process; nothing where that may not be looked at.
    pub(super) io: Vec<(Identity, Option<(u64, u64)>)>,
}

/// Bytes that it has read from storage and written to it; nothing if that may not be looked at.
pub(super) fn read_io(pid: u32) -> Option<(u64, u64)> {
    let io = proc::read(pid, "io", 4096).ok()?;
    Some((proc::number_after(&io, "read_bytes:")?, proc::number_after(&io, "write_bytes:")?))
}

/// What came of a look.
pub(super) enum Looked {
    /// This.
    Seen(Sample),
    /// The process that answers for all is gone.
    Gone,
}

impl Member {
    fn new(identity: Identity) -> Member {
        Member { identity, file: None, cpu: Rate::default(), read: Rate::default(), write: Rate::default() }
    }

    /// Nothing if it is gone, or a zombie.
    fn look(&mut self, kept: &Kept) -> io::Result<Option<Stat>> {
        let stat = match &self.file {
            Some(kept) => proc::read_stat(&kept.file),
            None => proc::open_stat(self.identity.pid).and_then(|file| {
                let stat = proc::read_stat(&file)?;
                if identity(&stat) == self.identity {
                    self.file = kept.keep(file);
                }
                Ok(stat)
            }),
        };
        match stat {
            Ok(stat) => Ok((identity(&stat) == self.identity && stat.is_alive()).then_some(stat)),
            Err(e) if proc::is_gone(&e) => Ok(None),
            Err(e) => Err(e),
        }
    }
}

impl Watched {
    /// These processes, the first of which answers for all.
    pub(super) fn new(first: Identity) -> Watched {
        Watched { members: vec![Member::new(first)], selected: None, family_cpu: Rate::default() }
    }

    /// The process that answers for all.
    pub(super) fn first(&self) -> Option<Identity> {
        self.members.first().map(|member| member.identity)
    }

    /// All of them.
    pub(super) fn identities(&self) -> Vec<Identity> {
        self.members.iter().map(|member| member.identity).collect()
    }

    /// Selected anew. What is known of those that stay is kept; all begins anew with another first one.
    pub(super) fn select(&mut self, identities: Vec<Identity>, at: Mono) {
        if self.first() != identities.first().copied() {
            self.family_cpu = Rate::default();
        }
        let mut known: HashMap<Identity, Member> = self.members.drain(..).map(|m| (m.identity, m)).collect();
        self.members.extend(identities.into_iter().map(|id| known.remove(&id).unwrap_or_else(|| Member::new(id))));
        self.selected = Some(at);
    }

    /// Lets go of the files that are kept open.
    pub(super) fn release(&mut self) {
        self.members.iter_mut().for_each(|member| member.file = None);
    }

    /// Looks at all of them.
    ///
    /// # Errors
    /// Those of opening and reading `/proc/PID/stat`, except that the process is gone.
    pub(super) fn look(
        &mut self,
        wanted: MetricSet,
        extras: Option<&Extras>,
        clock: &dyn Clock,
        machine: &Machine,
        kept: &Kept,
    ) -> io::Result<Looked> {
        let leader = self.first();
        let mut first = None;
        let (mut cpu, mut pages, mut threads) = (None::<f64>, 0, 0);
        let mut at = Now::default();
        let mut failed = None;
        self.members.retain_mut(|member| {
            if failed.is_some() {
                return true;
            }
            let stat = match member.look(kept) {
                Ok(Some(stat)) => stat,
                Ok(None) => return false,
                Err(e) => {
                    failed = Some(e);
                    return true;
                }
            };
            at = clock.now();
            let ticks = member.cpu.take(at.mono, stat.utime.saturating_add(stat.stime));
            if first.is_none() {
                first = Some(stat);
                cpu = ticks;
            } else if let Some(cpu) = &mut cpu {
                // One that has just come adds nothing yet.
                *cpu += ticks.unwrap_or(0.0);
            }
            pages += stat.rss_pages;
            threads += stat.threads;
            true
        });
        if let Some(e) = failed {
            return Err(e);
        }
        let Some(first) = first.filter(|stat| Some(identity(stat)) == leader) else { return Ok(Looked::Gone) };
        let mut readings = Vec::with_capacity(8 + wanted.0.count_ones() as usize);
        let mut note = None;
        readings.push((DOWN, Reading::Flag(false)));
        readings.push((COUNT, Reading::Number(self.members.len() as f64)));
        readings.push((PID, Reading::Number(f64::from(first.pid))));
        readings.push((UPTIME, Reading::Number(proc::running_for(first.start, machine.booted_ago).as_secs_f64())));
        if let Some(cpu) = cpu {
            let percent = cpu * machine.percent;
            readings.push((CPU, Reading::Number(percent)));
            readings.push((CPU_HOST, Reading::Number((percent / machine.cores).min(100.0))));
        }
        readings.push((MEMORY, Reading::Part { value: pages as f64 * machine.page, whole: machine.memory }));
        if wanted.contains(SWAP) {
            let swap = self.sum(&mut note, |pid| {
                let status = proc::read(pid, "status", 8192)?;
                Ok((proc::number_after(&status, "VmSwap:").unwrap_or(0) as f64 * 1024.0, 0.0))
            });
            readings.extend(swap.map(|(value, _)| (SWAP, Reading::Part { value, whole: machine.swap })));
        }
        readings.push((THREADS, Reading::Number(threads as f64)));
        let family = extras.and_then(|extras| Some((extras.at, extras.family.as_ref()?)));
        if let Some((_, family)) = family {
            readings.push((CHILDREN, Reading::Number(family.children(first.pid) as f64)));
        }
        if wanted.contains(FDS) {
            let fds =
                self.sum(&mut note, |pid| Ok((proc::open_files(pid)? as f64, proc::open_files_limit(pid)? as f64)));
            readings.extend(fds.map(|(value, whole)| (FDS, Reading::Part { value, whole })));
        }
        if let Some(extras) = extras.filter(|_| wants_io(wanted)) {
            match self.io(extras) {
                Ok(rates) => readings.extend(rates),
                Err(why) => note = Some(why),
            }
        }
        if let Some((taken, family)) = family {
            let (ticks, pages) = family.sums(self.members.iter().map(|member| member.identity.pid));
            if let Some(ticks) = self.family_cpu.take(taken, ticks) {
                readings.push((CPU_TOTAL, Reading::Number(ticks * machine.percent)));
            }
            let whole = machine.memory;
            readings.push((MEMORY_TOTAL, Reading::Part { value: pages as f64 * machine.page, whole }));
        }
        let note = note.map(Arc::from);
        let found = Found::Process(identity(&first));
        Ok(Looked::Seen(Sample { at, took: Duration::ZERO, readings, note, found }))
    }

    /// Adds up what `ask` says of each process; nothing if it says nothing of one.
    fn sum(&self, note: &mut Option<String>, ask: impl Fn(u32) -> io::Result<(f64, f64)>) -> Option<(f64, f64)> {
        let mut sum = (0.0, 0.0);
        for Member { identity, .. } in &self.members {
            match ask(identity.pid) {
                Ok((value, whole)) => sum = (sum.0 + value, sum.1 + whole),
                Err(e) if proc::is_gone(&e) => {}
                Err(e) => {
                    *note = Some(format!("{identity} may not be looked at closely: {e}"));
                    return None;
                }
            }
        }
        Some(sum)
    }

    fn io(&mut self, extras: &Extras) -> Result<Vec<(MetricId, Reading)>, String> {
        let (mut reads, mut writes) = (None::<f64>, None::<f64>);
        for (i, member) in self.members.iter_mut().enumerate() {
            let (read, written) = match extras.io.iter().find(|(who, _)| *who == member.identity) {
                Some((_, Some(io))) => *io,
                Some((who, None)) => return Err(format!("what {who} reads and writes may not be looked at")),
                None => continue,
            };
            let (read, write) = (member.read.take(extras.at, read), member.write.take(extras.at, written));
            if i == 0 {
                (reads, writes) = (read, write);
            } else {
                reads = reads.map(|sum| sum + read.unwrap_or(0.0));
                writes = writes.map(|sum| sum + write.unwrap_or(0.0));
            }
        }
        let rates = [(READ, reads), (WRITE, writes)];
        Ok(rates.into_iter().filter_map(|(id, rate)| Some((id, Reading::Number(rate?)))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::RealClock;
    use crate::probe::testing::Program;

    #[test]
    fn no_more_files_are_kept_than_may_be() {
        let programs: Vec<Program> = (0..3).map(|_| Program::start("sleep", &["60"])).collect();
        let mut watched: Vec<Watched> = programs.iter().map(|one| Watched::new(one.identity())).collect();
        let (kept, machine) = (Kept(Rc::new((Cell::new(0), Cell::new(2)))), Machine::now());
        let look = |one: &mut Watched| match one.look(MetricSet::default(), None, &RealClock, &machine, &kept) {
            Ok(Looked::Seen(sample)) => assert_eq!(sample.reading(DOWN), &Reading::Flag(false)),
            _ => panic!("it is not seen"),
        };
        for _ in 0..2 {
            watched.iter_mut().for_each(look);
            assert_eq!(kept.0.0.get(), 2);
        }
        kept.halve();
        assert!(kept.is_over());
        watched.iter_mut().for_each(Watched::release);
        watched.iter_mut().for_each(look);
        assert_eq!((kept.0.0.get(), kept.is_over()), (1, false));
        drop(watched);
        assert_eq!(kept.0.0.get(), 0);
    }
}
