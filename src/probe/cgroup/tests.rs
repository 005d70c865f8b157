//! Made-up machines of both versions.

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
    assert_eq!((sample.reading(CPU), sample.reading(THROTTLED)), (&Reading::Unknown, &Reading::Unknown), "made anew");
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
