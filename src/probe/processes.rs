//! Looks at every process of this machine, or at those that match: a pass over `/proc`, on threads of its own, so that no other
//! check waits for it.
//!
//! Nothing is kept open: a look costs a few system calls for each process, and between two looks only the processor time that
//! each had used is remembered, by its identity.

use super::place;
use super::pool::{AllHang, Pool};
use super::select::{Candidate, Hung, Wanted, identity};
use crate::model::kinds::{CheckKind, Process, Processes};
use crate::model::{CheckId, Clock, Each, Found, Identity, MetricId, MetricSet, Mono, Reading, Sample, clip, plain};
use crate::sys::accounts;
use crate::sys::proc::{self, Comm, Stat};
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const fn metric(name: &str) -> MetricId {
    place(Processes::METRICS, name)
}
const COUNT: MetricId = MetricId(Processes::COUNT);
const CPU: MetricId = metric("each.cpu");
const MEMORY: MetricId = metric("each.memory");
const FDS: MetricId = metric("each.fds");
const THREADS: MetricId = metric("each.threads");
const AGE: MetricId = metric("each.age");

/// Threads for looks: more than one only while a look hangs with a process that is stuck in the kernel.
const LOOKERS: usize = 4;
/// Over a shorter time, the coarse steps in which the kernel counts are all that would be seen.
const SHORTEST: Duration = Duration::from_millis(100);
/// A machine with more processes is not looked at: neither our memory nor that of whoever reads the answer is for that.
const MOST: usize = 200_000;
/// The longest name of a user that is shown, in characters.
const MOST_OF_USER: usize = 32;

/// The threads, and what is kept of each check.
pub(super) struct Everyone {
    clock: Arc<dyn Clock>,
    pool: Pool,
    hung: Arc<Hung>,
    kept: Arc<Mutex<HashMap<CheckId, State>>>,
}

/// What is kept of a check between two looks.
#[derive(Default)]
struct State {
    /// When the last look began.
    looked: Option<Mono>,
    seen: HashMap<Identity, Seen>,
}

/// What is kept of a process.
struct Seen {
    /// When its processor time was taken, and how much it was, in clock ticks.
    at: Mono,
    ticks: u64,
    /// Percent of a core, as far as it is known.
    cpu: Option<f64>,
    comm: Comm,
    name: Arc<str>,
    /// Whether it matched, for a look at which that cannot be said.
    fits: bool,
}

impl Everyone {
    /// No thread is started yet.
    pub(super) fn new(clock: Arc<dyn Clock>) -> Everyone {
        Everyone { clock, pool: Pool::new("everyone", LOOKERS), hung: Arc::default(), kept: Arc::default() }
    }

    /// Asks. Dropped before it is answered, it is given up.
    pub(super) fn ask(
        &self,
        check: CheckId,
        whom: Processes,
        wanted: MetricSet,
    ) -> impl Future<Output = Sample> + use<> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        // While another look at the same hangs, this one begins without a memory of earlier ones, and passes over the process that
        // the other hangs with: whoever can make one process hang must not be able to hide all others.
        let mut state = lock(&self.kept).insert(check, State::default()).unwrap_or_default();
        let (clock, hung, kept) = (Arc::clone(&self.clock), Arc::clone(&self.hung), Arc::clone(&self.kept));
        let look = move || {
            let sample = state.look(whom, wanted, &*clock, &hung);
            // Not if the check was forgotten meanwhile, or a later look has come back before.
            if let Some(slot) = lock(&kept).get_mut(&check)
                && slot.looked < state.looked
            {
                *slot = state;
            }
            sample
        };
        let asked = self.pool.run(look, move |sample| drop(answer.send(sample)));
        let clock = Arc::clone(&self.clock);
        async move {
            let why = match asked {
                Ok(_awaited) => match answered.await {
                    Ok(sample) => return sample,
                    Err(_) => "the look has ended without an answer",
                },
                Err(AllHang) => "earlier looks at all processes hang",
            };
            Sample::unknown(clock.now(), why)
        }
    }

    /// Lets go of what is kept for this check.
    pub(super) fn forget(&self, check: CheckId) {
        lock(&self.kept).remove(&check);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn look(&mut self, whom: Processes, wanted: MetricSet, clock: &dyn Clock, hung: &Hung) -> Sample {
        let began = clock.now();
        let pids: Vec<u32> = match proc::pids() {
            Ok(pids) => pids.take(MOST + 1).collect(),
            Err(e) => return Sample::unknown(clock.now(), format!("/proc cannot be read: {e}")),
        };
        if pids.len() > MOST {
            return Sample::unknown(clock.now(), format!("there are more than {MOST} processes"));
        }
        let Processes { name, matches, exe, user } = whom;
        let selector = Process { name, matches, exe, user, ..Process::default() };
        let selects = selector != Process::default();
        let select = match Wanted::of(&selector) {
            Ok(select) => select,
            Err(why) => return Sample::unknown(clock.now(), why),
        };
        // There always is a first process.
        let hidden = !pids.contains(&1);
        let mut note = hidden.then(|| "/proc does not show us the processes of others (hidepid)".to_owned());
        let mut look = Look { wanted, before: self.looked, memory: memory(), users: None };
        let of_each = wanted.iter().any(|id| id != COUNT);
        let mut seen = HashMap::with_capacity(self.seen.len());
        let mut found = Vec::new();
        let mut count = 0usize;
        for pid in pids {
            let Ok(stat) = proc::stat(pid) else { continue };
            if !stat.is_alive() {
                continue;
            }
            let known = self.seen.remove(&identity(&stat));
            let candidate = Candidate::new(stat);
            let fits = !selects
                || select.fits(&candidate, clock, hung).unwrap_or_else(|why| {
                    if select.may_be(&candidate) {
                        note = Some(why);
                    }
                    known.as_ref().is_some_and(|known| known.fits)
                });
            count += usize::from(fits);
            if of_each {
                let now = look.seen(&stat, known, fits, clock.now().mono);
                if fits {
                    found.extend(look.each(&stat, &now));
                }
                seen.insert(identity(&stat), now);
            }
        }
        (self.looked, self.seen) = (Some(began.mono), seen);
        let at = clock.now();
        Sample {
            at,
            took: at.mono - began.mono,
            readings: vec![(COUNT, Reading::Number(count as f64))],
            note: note.map(Arc::from),
            found: if of_each { Found::Each(found.into()) } else { Found::Unasked },
        }
    }
}

/// One look, and what need be looked up only once for it.
struct Look {
    wanted: MetricSet,
    /// When the look before this one began.
    before: Option<Mono>,
    /// Of the machine, in bytes.
    memory: f64,
    users: Option<HashMap<u32, Arc<str>>>,
}

impl Look {
    /// What is to be remembered of a process.
    fn seen(&self, stat: &Stat, known: Option<Seen>, fits: bool, at: Mono) -> Seen {
        let ticks = stat.utime.saturating_add(stat.stime);
        let percent =
            |ticks: u64, time: Duration| ticks as f64 / proc::ticks_per_second() as f64 / time.as_secs_f64() * 100.0;
        match known {
            // Looked at just now.
            Some(known) if at - known.at < SHORTEST => Seen { fits, ..known },
            Some(known) => {
                let cpu = Some(percent(ticks.saturating_sub(known.ticks), at - known.at));
                let name = if known.comm == stat.comm { known.name } else { shown(stat) };
                Seen { at, ticks, cpu, comm: stat.comm, name, fits }
            }
            None => {
                let age = proc::running_for(stat.start, proc::booted_ago());
                // All of its time was used since the last look, in which it did not exist yet; its start is known to 10 ms only.
                let is_new = self.before.is_some_and(|before| age < at - before + SHORTEST) && age >= SHORTEST;
                let cpu = is_new.then(|| percent(ticks, age));
                Seen { at, ticks, cpu, comm: stat.comm, name: shown(stat), fits }
            }
        }
    }

    /// What is wanted of a process; nothing if it has ended.
    fn each(&mut self, stat: &Stat, seen: &Seen) -> Option<Each> {
        let uid = proc::user(stat.pid).ok()?;
        let number = |value: f64| Reading::Number(value);
        let mut readings = Vec::with_capacity(self.wanted.0.count_ones() as usize);
        for id in self.wanted.iter() {
            let reading = match id {
                CPU => seen.cpu.map_or(Reading::Unknown, number),
                // The kernel's own threads have no memory and no files of their own.
                MEMORY | FDS if stat.kernel => Reading::Absent,
                MEMORY => {
                    let value = stat.rss_pages as f64 * proc::page_size() as f64;
                    Reading::Part { value, whole: self.memory }
                }
                FDS => match open_files(stat.pid) {
                    Ok((value, whole)) => Reading::Part { value, whole },
                    Err(e) if proc::is_gone(&e) => return None,
                    Err(_) => Reading::Unknown,
                },
                THREADS => number(stat.threads as f64),
                AGE => number(proc::running_for(stat.start, proc::booted_ago()).as_secs_f64()),
                _ => continue,
            };
            readings.push((id, reading));
        }
        Some(Each { identity: identity(stat), name: Arc::clone(&seen.name), user: self.user(uid), readings })
    }

    fn user(&mut self, uid: u32) -> Arc<str> {
        let name = |name: &str| clip(&plain(name), MOST_OF_USER).into();
        let users = self
            .users
            .get_or_insert_with(|| accounts::users().into_iter().map(|(uid, user)| (uid, name(&user))).collect());
        Arc::clone(users.entry(uid).or_insert_with(|| name(&uid.to_string())))
    }
}

fn open_files(pid: u32) -> io::Result<(f64, f64)> {
    Ok((proc::open_files(pid)? as f64, proc::open_files_limit(pid)? as f64))
}

fn memory() -> f64 {
    let info = rustix::system::sysinfo();
    info.totalram as f64 * f64::from(info.mem_unit)
}

/// Its name, for people. It has chosen that itself: any bytes.
fn shown(stat: &Stat) -> Arc<str> {
    let name = String::from_utf8_lossy(stat.comm.as_bytes());
    let name = plain(&name);
    match name.trim() {
        "" => "(no name)".into(),
        name if stat.kernel => format!("[{name}]").into(),
        name => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::RealClock;
    use crate::probe::testing::{Program, World, question};
    use crate::sys::testing::until;

    fn each(sample: &Sample) -> &[Each] {
        match &sample.found {
            Found::Each(all) => all,
            other => panic!("{other:?} {:?}", sample.note),
        }
    }

    fn of<'a>(sample: &'a Sample, program: &Program) -> &'a Each {
        let it = program.identity();
        each(sample).iter().find(|each| each.identity == it).unwrap_or_else(|| panic!("{it} is not there"))
    }

    #[test]
    fn everybody_is_found_with_what_is_wanted() {
        let busy = Program::start("sh", &["-c", "while :; do :; done"]);
        let (mut world, all) = (World::new(), &["each.cpu", "each.memory", "each.fds", "each.threads", "each.age"]);
        until("it runs", || proc::stat(busy.pid()).is_ok_and(|stat| stat.utime > 20));
        let first = world.ask(question(1, "processes", "{}", all));
        let it = of(&first, &busy);
        assert_eq!((&*it.name, &*it.user), ("sh", &*accounts::name_of_user(rustix::process::geteuid().as_raw())));
        assert_eq!(it.reading(CPU), &Reading::Unknown, "the first look at it");
        let Reading::Part { value, whole } = it.reading(MEMORY) else { panic!("{it:?}") };
        assert!(*value > 1e5 && *whole > 1e7 && value < whole);
        assert!(matches!(it.reading(FDS), Reading::Part { value, whole } if *value >= 1.0 && whole > value));
        assert_eq!(it.reading(THREADS), &Reading::Number(1.0));
        assert!(it.reading(AGE).number().is_some_and(|age| (0.1..60.0).contains(&age)));
        assert!(first.reading(COUNT).number().is_some_and(|count| count >= each(&first).len() as f64 && count > 2.0));
        // Between two looks; how much depends on what else runs here.
        until("time has passed", || proc::stat(busy.pid()).is_ok_and(|stat| stat.utime > 60));
        let second = world.ask(question(1, "processes", "{}", &["each.cpu"]));
        let it = of(&second, &busy);
        assert!(it.reading(CPU).number().is_some_and(|cpu| (5.0..150.0).contains(&cpu)), "{it:?}");
        assert_eq!(it.readings.len(), 1, "only what is wanted");
        // One that is younger than the look before: all of its time over its age.
        let young = Program::start("sh", &["-c", "while :; do :; done"]);
        until("it runs", || proc::stat(young.pid()).is_ok_and(|stat| stat.utime > 20));
        let third = world.ask(question(1, "processes", "{}", &["each.cpu"]));
        let it = of(&third, &young);
        assert!(it.reading(CPU).number().is_some_and(|cpu| (5.0..150.0).contains(&cpu)), "{it:?}");
    }

    #[test]
    fn those_that_match_are_found_and_a_zombie_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (Program::sleeper(dir.path(), "a sleeper"), Program::sleeper(dir.path(), "a sleeper"));
        let (mut world, it) = (World::new(), "name: a sleeper");
        let exe = format!("exe: {}/a sleeper", dir.path().display());
        let mut found = |keys: &str| {
            let sample = world.ask(question(1, "processes", keys, &["count", "each.age"]));
            assert_eq!(sample.reading(COUNT), &Reading::Number(each(&sample).len() as f64));
            let mut pids: Vec<u32> = each(&sample).iter().map(|each| each.identity.pid).collect();
            pids.sort_unstable();
            pids
        };
        let mut both = [one.pid(), two.pid()];
        both.sort_unstable();
        until("both run their program", || found(&exe) == both);
        let user = format!("user: '{}'", rustix::process::geteuid().as_raw());
        let line = format!("match: ^{}", regex::escape(&dir.path().display().to_string()));
        for keys in [it, &line, &format!("{it}\n{user}\n{line}")] {
            assert_eq!(found(keys), both, "{keys}");
        }
        assert_eq!(found(&format!("{it}\nuser: '54321'")), [0u32; 0]);
        rustix::process::kill_process(rustix::process::Pid::from_child(&one.0), rustix::process::Signal::KILL).unwrap();
        until("it is a zombie", || proc::stat(one.pid()).is_ok_and(|stat| !stat.is_alive()));
        assert_eq!(found(it), [two.pid()]);
    }

    #[test]
    fn a_user_that_does_not_exist_is_said() {
        let mut world = World::new();
        let sample = world.ask(question(1, "processes", "user: nosuchuser", &["count"]));
        assert_eq!(sample.found, Found::Unasked);
        assert!(sample.note.as_deref().is_some_and(|note| note.contains("nosuchuser")));
    }

    #[test]
    fn counting_alone_looks_at_nobody_closely() {
        let mut world = World::new();
        let sample = world.ask(question(1, "processes", "{}", &["count"]));
        assert_eq!(sample.found, Found::Unasked);
        assert!(sample.reading(COUNT).number().is_some_and(|count| count > 1.0));
    }

    #[test]
    fn names_are_harmless_and_kernel_threads_have_brackets() {
        let stat = |name: &[u8], flags: u32| {
            let rest = format!(") S 1 1 1 0 -1 {flags} 0 0 0 0 1 2 0 0 20 0 1 0 5 0 1");
            proc::parse_stat(&[b"7 (", name, rest.as_bytes()].concat()).unwrap()
        };
        for (name, flags, expected) in [
            (&b"nginx"[..], 0x0040_0000, "nginx"),
            (b"a\x1b[2J\nb\xff", 0, "a [2J b\u{fffd}"),
            (b"\xe2\x80\xaegpj", 0, "gpj"),
            (b" \n", 0, "(no name)"),
            (b"kworker/0:1", 0x0020_8040, "[kworker/0:1]"),
        ] {
            assert_eq!(&*shown(&stat(name, flags)), expected);
        }
        let kernel = Stat { pid: std::process::id(), ..stat(b"kworker/0:1", 0x0020_8040) };
        let mut look = Look { wanted: MetricSet::ALL, before: None, memory: 1e9, users: Some(HashMap::new()) };
        let seen = look.seen(&kernel, None, true, Mono(1));
        let each = look.each(&kernel, &seen).unwrap();
        assert_eq!((each.reading(MEMORY), each.reading(FDS)), (&Reading::Absent, &Reading::Absent));
        assert_eq!(each.reading(THREADS), &Reading::Number(1.0));
    }

    #[test]
    fn what_cannot_be_asked_any_more_stays_as_it_was() {
        let busy = Program::start("sleep", &["60"]);
        let (mut state, hung) = (State::default(), Hung::default());
        let whom: Processes = serde_yaml::from_str("match: '^sleep 60$'").unwrap();
        let mut wanted = MetricSet::default();
        wanted.insert(AGE);
        let mut is_found = |hung: &Hung| {
            let sample = state.look(whom.clone(), wanted, &RealClock, hung);
            (each(&sample).iter().any(|each| each.identity == busy.identity()), sample.note)
        };
        until("it runs", || is_found(&hung).0);
        hung.hang(busy.identity());
        let (found, note) = is_found(&hung);
        assert!(found, "its command line cannot be read, and it was one of them");
        assert!(note.is_some_and(|note| note.contains("stuck in the kernel")));
    }
}
