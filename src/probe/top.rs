//! The processes that use most of what the machine is short of, for a message.

use crate::model::{Dimension, Scarce, clip, plain, show};
use crate::sys::proc::{self, Stat};
use crate::sys::{accounts, usage};
use std::collections::HashMap;
use std::thread;
use std::time::Duration;

/// So many of them.
const MOST: usize = 5;
/// Over so long, processor time is measured.
const OVER: Duration = Duration::from_secs(1);
/// The longest name of a process or a user.
const NAME: usize = 32;

/// A line for each of those that use most, the first the most: `mysqld (pid 812, user mysql): 3.2 GB, 41 % of a core`. Takes a
/// second: not for a thread that others wait for.
pub fn top(of: Scarce) -> String {
    let look = || proc::find(|stat| !stat.kernel).unwrap_or_default();
    let (before, since) = (usage::used(&look()), proc::booted_ago());
    thread::sleep(OVER);
    let (all, passed) = (look(), proc::booted_ago().saturating_sub(since));
    lines(of, all.iter().map(|stat| (stat, usage::percent_of_core(stat, &before, passed))).collect())
}

fn lines(of: Scarce, mut all: Vec<(&Stat, f64)>) -> String {
    all.sort_by(|(a, a_cpu), (b, b_cpu)| {
        let order = match of {
            Scarce::Memory => b.rss_pages.cmp(&a.rss_pages),
            Scarce::Cpu => b_cpu.total_cmp(a_cpu),
        };
        order.then(a.pid.cmp(&b.pid))
    });
    let mut users: HashMap<u32, String> = HashMap::new();
    let lines = all.into_iter().take(MOST).map(|(stat, cpu)| {
        let name = String::from_utf8_lossy(stat.comm.as_bytes());
        let user = proc::user(stat.pid)
            .map(|uid| users.entry(uid).or_insert_with(|| clip(&plain(&accounts::name_of_user(uid)), NAME)).clone());
        let user = user.map(|user| format!(", user {user}")).unwrap_or_default();
        let memory = show(stat.rss_pages.saturating_mul(proc::page_size()) as f64, Dimension::Bytes);
        format!("{} (pid {}{user}): {memory}, {cpu:.0} % of a core", clip(plain(&name).trim(), NAME), stat.pid)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_use_most_come_first_and_their_names_do_nothing() {
        let stat = |pid: u32, name: &[u8], pages: u64| {
            let rest = format!(") S 1 1 1 0 -1 4194304 0 0 0 0 1 2 0 0 20 0 1 0 5 0 {pages}");
            proc::parse_stat(&[format!("{pid} (").as_bytes(), name, rest.as_bytes()].concat()).unwrap()
        };
        let own = std::process::id();
        let all: Vec<Stat> = (0..8).map(|i| stat(4_000_000 + i, b"small", u64::from(i))).collect();
        let (big, busy) = (stat(own, b"b\x1b[2Jig\n", 1_000_000), stat(4_100_000, b"busy", 1));
        let with = || {
            let mut with: Vec<(&Stat, f64)> = all.iter().map(|stat| (stat, 0.0)).collect();
            with.extend([(&big, 3.0), (&busy, 98.6)]);
            with
        };
        let memory = lines(Scarce::Memory, with());
        assert_eq!(memory.lines().count(), MOST);
        let first = memory.lines().next().unwrap();
        assert!(first.starts_with(&format!("b [2Jig (pid {own}, user ")), "{first}");
        assert!(!memory.contains('\x1b') && first.ends_with(", 3 % of a core"), "{first}");
        let cpu = lines(Scarce::Cpu, with());
        assert!(cpu.starts_with("busy (pid 4100000): "), "{cpu}");
    }

    #[test]
    fn a_busy_process_is_found() {
        let _busy = crate::probe::testing::Program::start("sh", &["-c", "while :; do :; done"]);
        assert!((1..=MOST).contains(&top(Scarce::Cpu).lines().count()));
    }
}
