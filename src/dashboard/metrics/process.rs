//! What a `process` check sees, under the names that users of process-exporter know
//! (<https://github.com/ncabatoff/process-exporter>): `groupname` is the service. Left out is what minder does not know.

use super::{CheckView, Families, ServiceView, Used, seconds};

pub(super) fn add(out: &mut Families, service: &ServiceView, check: &CheckView, used: Used) {
    let value = |name: &str| check.metrics.iter().find(|metric| metric.name == name).and_then(|metric| metric.value);
    let its = [("groupname", &*service.name), ("check", &*check.name)];

    let help = "Processor time that the processes have used while minder watched them.";
    out.counter("namedprocess_namegroup_cpu_seconds_total", help, &its, used.cpu);
    for (name, help, bytes) in [
        (
            "namedprocess_namegroup_read_bytes_total",
            "Bytes that the processes have read from storage while minder watched them.",
            used.read,
        ),
        (
            "namedprocess_namegroup_write_bytes_total",
            "Bytes that the processes have written to storage while minder watched them.",
            used.written,
        ),
    ] {
        if let Some(bytes) = bytes {
            out.counter(name, help, &its, bytes);
        }
    }

    // Where only one is looked for there is no count: it lives, or not.
    let lives = value("down").map(|down| if down == 0.0 { 1.0 } else { 0.0 });
    if let Some(count) = value("count").or(lives) {
        out.gauge("namedprocess_namegroup_num_procs", "Processes that live.", &its, count);
    }
    for (memtype, metric) in [("resident", "memory"), ("swapped", "swap")] {
        if let Some(bytes) = value(metric) {
            let labels = [its[0], its[1], ("memtype", memtype)];
            out.gauge("namedprocess_namegroup_memory_bytes", "Memory of the processes.", &labels, bytes);
        }
    }
    if let Some(threads) = value("threads") {
        out.gauge("namedprocess_namegroup_num_threads", "Threads of the processes.", &its, threads);
    }
    if let Some(files) = value("fds") {
        out.gauge("namedprocess_namegroup_open_filedesc", "Open files of the processes.", &its, files);
    }
    if let (Some(uptime), Some(at)) = (value("uptime"), check.at) {
        let help = "When the oldest of the processes was started.";
        // The kernel knows it to the hundredth; what is finer would come and go with each look.
        let start = ((seconds(at) - uptime) * 10.0).round() / 10.0;
        out.gauge("namedprocess_namegroup_oldest_start_time_seconds", help, &its, start);
    }
}
