//! Asks this machine. Rates are taken between two questions of a check.

use super::place;
use crate::model::kinds::{CheckKind, System};
use crate::model::{Clock, Found, MetricId, MetricSet, Mono, Reading, Sample};
use crate::sys::proc;
use std::time::Duration;

const fn metric(name: &str) -> MetricId {
    place(System::METRICS, name)
}
const CPU: MetricId = metric("cpu");
const IOWAIT: MetricId = metric("cpu.iowait");
const STEAL: MetricId = metric("cpu.steal");
const LOAD: [MetricId; 3] = [metric("load1"), metric("load5"), metric("load15")];
const LOAD_PER_CORE: MetricId = metric("load.per_core");
const MEMORY: MetricId = metric("memory");
const SWAP: MetricId = metric("swap");
const PRESSURE: [(MetricId, &str); 3] = [
    (metric("pressure.cpu"), "/proc/pressure/cpu"),
    (metric("pressure.memory"), "/proc/pressure/memory"),
    (metric("pressure.io"), "/proc/pressure/io"),
];
const FDS: MetricId = metric("fds");
const PROCESSES: MetricId = metric("processes");
const UPTIME: MetricId = metric("uptime");

/// Over a shorter time, processor time is too coarse: the shares of before are given.
const SHORTEST: Duration = Duration::from_millis(100);

/// What is kept between two looks.
#[derive(Default)]
pub(super) struct State {
    last: Option<(Mono, CpuTimes)>,
    shares: Option<[f64; 3]>,
}

/// Processor time since boot in ticks, over all processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct CpuTimes {
    all: u64,
    busy: u64,
    iowait: u64,
    steal: u64,
}

impl State {
    /// One look at everything: it is cheap.
    pub(super) fn look(&mut self, wanted: MetricSet, clock: &dyn Clock) -> Sample {
        let began = clock.now();
        let mut readings = Vec::with_capacity(System::METRICS.len());
        let mut missing = Vec::new();
        let stat = read("/proc/stat").unwrap_or_default();
        match parse_cpu(&stat) {
            Some(times) => {
                let shares = self.shares(began.mono, times);
                let shares = [CPU, IOWAIT, STEAL].into_iter().zip(shares.into_iter().flatten());
                readings.extend(shares.map(|(id, percent)| (id, Reading::Number(percent))));
            }
            None => missing.push("/proc/stat"),
        }
        let loadavg = read("/proc/loadavg");
        match loadavg.as_deref().and_then(parse_loads) {
            Some(loads) => {
                readings.extend(LOAD.into_iter().zip(loads).map(|(id, load)| (id, Reading::Number(load))));
                readings.push((LOAD_PER_CORE, Reading::Number(loads[0] / proc::cores(stat.as_bytes()) as f64)));
            }
            None => missing.push("/proc/loadavg"),
        }
        let part = |value: u64, whole: u64| Reading::Part { value: value as f64, whole: whole as f64 };
        match read("/proc/meminfo").as_deref().and_then(parse_memory) {
            Some([total, available, swap, swap_free]) => {
                readings.push((MEMORY, part(total.saturating_sub(available), total)));
                readings.push((SWAP, part(swap.saturating_sub(swap_free), swap)));
            }
            None => missing.push("/proc/meminfo"),
        }
        for (id, path) in PRESSURE {
            match read(path).as_deref().and_then(parse_pressure) {
                Some(percent) => readings.push((id, Reading::Number(percent))),
                None if wanted.contains(id) => missing.push(path),
                None => {}
            }
        }
        match read("/proc/sys/fs/file-nr").as_deref().and_then(parse_file_nr) {
            Some((open, most)) => readings.push((FDS, part(open, most))),
            None => missing.push("/proc/sys/fs/file-nr"),
        }
        let limit = |path| read(path)?.trim().parse::<u64>().ok();
        let limits = [limit("/proc/sys/kernel/pid_max"), limit("/proc/sys/kernel/threads-max")];
        if let (Some(processes), Some(most)) =
            (loadavg.as_deref().and_then(parse_processes), limits.into_iter().flatten().min())
        {
            readings.push((PROCESSES, part(processes, most)));
        }
        readings.push((UPTIME, Reading::Number(proc::booted_ago().as_secs_f64())));
        let note = (!missing.is_empty()).then(|| format!("this kernel does not tell {}", missing.join(", ")).into());
        let at = clock.now();
        Sample { at, took: at.mono - began.mono, readings, note, found: Found::Unasked }
    }

    /// Percent of all processor time since the last look: in use, waiting for storage, taken away.
    fn shares(&mut self, at: Mono, times: CpuTimes) -> Option<[f64; 3]> {
        match self.last {
            Some((then, _)) if at - then < SHORTEST => return self.shares,
            Some((_, last)) => {
                let all = times.all.saturating_sub(last.all);
                // The counters of a virtual machine may go back.
                let share = |now: u64, before: u64| now.saturating_sub(before).min(all) as f64 * 100.0 / all as f64;
                if all > 0 {
                    self.shares = Some([
                        share(times.busy, last.busy),
                        share(times.iowait, last.iowait),
                        share(times.steal, last.steal),
                    ]);
                }
            }
            None => {}
        }
        self.last = Some((at, times));
        self.shares
    }
}

fn read(path: &str) -> Option<String> {
    let bytes = proc::read_path(path, 64 << 10).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// `cpu user nice system idle iowait irq softirq steal guest guest_nice`: guests are in user and nice already.
fn parse_cpu(stat: &str) -> Option<CpuTimes> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let mut times = [0u64; 8];
    let mut fields = line.split_ascii_whitespace();
    for (i, time) in times.iter_mut().enumerate() {
        match fields.next() {
            Some(field) => *time = field.parse().ok()?,
            None if i >= 4 => break,
            None => return None,
        }
    }
    let [user, nice, system, idle, iowait, irq, softirq, steal] = times;
    let busy = [user, nice, system, irq, softirq].into_iter().fold(0u64, u64::saturating_add);
    let all = [idle, iowait, steal].into_iter().fold(busy, u64::saturating_add);
    Some(CpuTimes { all, busy, iowait, steal })
}

fn parse_loads(loadavg: &str) -> Option<[f64; 3]> {
    let mut fields = loadavg.split_ascii_whitespace().map(|field| field.parse().ok());
    Some([fields.next()??, fields.next()??, fields.next()??])
}

/// Bytes in all, available, of swap, of free swap.
fn parse_memory(meminfo: &str) -> Option<[u64; 4]> {
    let bytes = |key| Some(proc::number_after(meminfo.as_bytes(), key)?.saturating_mul(1024));
    Some([bytes("MemTotal:")?, bytes("MemAvailable:")?, bytes("SwapTotal:")?, bytes("SwapFree:")?])
}

/// The second number of `0.20 0.18 0.12 1/80 11206`: all threads that there are.
fn parse_processes(loadavg: &str) -> Option<u64> {
    loadavg.split_ascii_whitespace().nth(3)?.split_once('/')?.1.parse().ok()
}

/// `some avg10=1.53 avg60=..`
fn parse_pressure(text: &str) -> Option<f64> {
    text.lines().next()?.strip_prefix("some avg10=")?.split(' ').next()?.parse().ok()
}

/// Allocated, free (always 0), most.
fn parse_file_nr(text: &str) -> Option<(u64, u64)> {
    let mut fields = text.split_ascii_whitespace().map(|field| field.parse::<u64>().ok());
    let (allocated, free, most) = (fields.next()??, fields.next()??, fields.next()??);
    Some((allocated.saturating_sub(free), most))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::RealClock;

    #[test]
    fn lines_of_the_kernel_are_read() {
        let stat = "cpu  100 20 30 1000 50 3 7 90 5 0\ncpu0 1 1 1 1\n";
        assert_eq!(parse_cpu(stat), Some(CpuTimes { all: 1300, busy: 160, iowait: 50, steal: 90 }));
        assert_eq!(parse_cpu("cpu  1 2 3 4\n"), Some(CpuTimes { all: 10, busy: 6, iowait: 0, steal: 0 }));
        assert_eq!(parse_cpu("cpu 1 2\n"), None);
        assert_eq!(parse_loads("0.20 0.18 1.12 1/80 11206\n"), Some([0.20, 0.18, 1.12]));
        assert_eq!(parse_processes("0.20 0.18 0.12 1/80 11206\n"), Some(80));
        assert_eq!(parse_pressure("some avg10=1.53 avg60=0.87 avg300=0.1 total=1\nfull avg10=9\n"), Some(1.53));
        assert_eq!(parse_file_nr("1120\t20\t9223372036854775807\n"), Some((1100, i64::MAX as u64)));
        let meminfo = "MemTotal:  8000 kB\nMemFree: 1 kB\nMemAvailable:  6000 kB\nSwapTotal: 10 kB\nSwapFree: 4 kB\n";
        assert_eq!(parse_memory(meminfo), Some([8_192_000, 6_144_000, 10_240, 4096]));
        for parse in [parse_pressure as fn(&str) -> Option<f64>, |s| parse_loads(s).map(|l| l[0])] {
            assert_eq!((parse(""), parse("some"), parse("x y z")), (None, None, None));
        }
    }

    #[test]
    fn shares_are_of_the_time_between() {
        let at = |ms: u64| Mono(ms * 1_000_000);
        let times = |all, busy, iowait, steal| CpuTimes { all, busy, iowait, steal };
        let mut state = State::default();
        assert_eq!(state.shares(at(0), times(1000, 500, 10, 0)), None);
        assert_eq!(state.shares(at(1000), times(1200, 550, 12, 20)), Some([25.0, 1.0, 10.0]));
        assert_eq!(state.shares(at(1050), times(1210, 560, 12, 20)), Some([25.0, 1.0, 10.0]), "too soon");
        assert_eq!(state.shares(at(2000), times(1200, 550, 12, 20)), Some([25.0, 1.0, 10.0]), "it stood still");
        assert_eq!(state.shares(at(3000), times(1300, 540, 12, 20)), Some([0.0, 0.0, 0.0]), "it went back");
    }

    #[test]
    fn this_machine_tells_everything_in_order() {
        let mut state = State::default();
        let sample = state.look(MetricSet::ALL, &RealClock);
        assert!(sample.readings.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(sample.reading(CPU), &Reading::Unknown, "the first look has no interval");
        for id in [MEMORY, FDS, PROCESSES] {
            let Reading::Part { value, whole } = *sample.reading(id) else { panic!("{id:?} in {sample:?}") };
            assert!(value > 0.0 && value < whole, "{id:?}: {value} of {whole}");
        }
        assert!(sample.reading(UPTIME).number().unwrap() > 0.0);
        assert!(sample.reading(LOAD_PER_CORE).number().is_some());
    }
}
