//! Processes and their descendants.

use crate::sys::proc::Stat;
use std::collections::{HashMap, HashSet};

/// Every process, by parent.
pub(super) struct Family {
    by_parent: Vec<Stat>,
    by_pid: HashMap<u32, usize>,
}

impl Family {
    /// Of the lines of all processes.
    pub(super) fn new(mut stats: Vec<Stat>) -> Family {
        stats.sort_unstable_by_key(|stat| stat.ppid);
        let by_pid = stats.iter().enumerate().map(|(i, stat)| (stat.pid, i)).collect();
        Family { by_parent: stats, by_pid }
    }

    fn of(&self, parent: u32) -> &[Stat] {
        let from = self.by_parent.partition_point(|stat| stat.ppid < parent);
        let len = self.by_parent[from..].partition_point(|stat| stat.ppid == parent);
        &self.by_parent[from..from + len]
    }

    /// Direct children that live.
    pub(super) fn children(&self, pid: u32) -> usize {
        self.of(pid).iter().filter(|stat| stat.is_alive()).count()
    }

    /// Processor time in ticks and resident pages of these processes and all their descendants. The time includes that of
    /// children that were waited for: it moves from child to parent at that moment, so that the sum only grows.
    pub(super) fn sums(&self, roots: impl Iterator<Item = u32>) -> (u64, u64) {
        let (mut ticks, mut pages) = (0u64, 0u64);
        let mut seen = HashSet::new();
        let mut next: Vec<u32> = roots.collect();
        while let Some(pid) = next.pop() {
            // Lines read one after the other need not be a tree.
            if !seen.insert(pid) {
                continue;
            }
            if let Some(stat) = self.by_pid.get(&pid).and_then(|i| self.by_parent.get(*i)) {
                ticks = ticks.saturating_add(stat.utime).saturating_add(stat.stime).saturating_add(stat.children_time);
                pages = pages.saturating_add(stat.rss_pages);
            }
            next.extend(self.of(pid).iter().map(|child| child.pid));
        }
        (ticks, pages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::proc::parse_stat;

    fn stat(pid: u32, ppid: u32, state: char, ticks: u64) -> Stat {
        let line = format!("{pid} (x) {state} {ppid} 1 1 0 -1 0 0 0 0 0 {ticks} 1 10 20 20 0 1 0 5 0 7");
        parse_stat(line.as_bytes()).unwrap()
    }

    #[test]
    fn descendants_are_summed_once_each() {
        let all = [stat(1, 0, 'S', 1000), stat(5, 1, 'S', 100), stat(6, 5, 'S', 200), stat(7, 6, 'R', 300)];
        let family = Family::new([&all[..], &[stat(8, 5, 'Z', 400), stat(9, 1, 'S', 500)]].concat());
        assert_eq!((family.children(5), family.children(6), family.children(9)), (1, 1, 0), "a zombie is no child");
        assert_eq!(family.sums([5].into_iter()), (100 + 200 + 300 + 400 + 4 * 31, 4 * 7));
        assert_eq!(family.sums([5, 6, 5].into_iter()), family.sums([5].into_iter()));
        assert_eq!(family.sums([77].into_iter()), (0, 0));
    }

    #[test]
    fn what_is_no_tree_ends_too() {
        let family = Family::new(vec![stat(2, 3, 'S', 1), stat(3, 2, 'S', 1), stat(4, 4, 'S', 1)]);
        assert_eq!(family.sums([2].into_iter()).1, 14);
        assert_eq!(family.sums([4].into_iter()).1, 7);
    }
}
