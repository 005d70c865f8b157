//! Threads for what takes its time: starting, stopping, waiting for commands.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

type Work = Box<dyn FnOnce() + Send>;

/// A thread with nothing to do for this long ends, unless it is the last: that one stays warm for the next death.
const IDLE: Duration = Duration::from_secs(10);

/// At most so many threads, made when needed. What comes while all are busy waits in line. Clones are the same pool.
#[derive(Clone)]
pub(super) struct Pool(Arc<Shared>);

struct Shared {
    name: &'static str,
    most: usize,
    line: Mutex<Line>,
    news: Condvar,
}

#[derive(Default)]
struct Line {
    work: VecDeque<Work>,
    threads: usize,
    idle: usize,
}

impl Pool {
    pub(super) fn new(name: &'static str, most: usize) -> Pool {
        let pool = Pool(Arc::new(Shared { name, most, line: Mutex::default(), news: Condvar::new() }));
        pool.grow(&mut pool.line());
        pool
    }

    /// Does it as soon as a thread is free. Never waits.
    pub(super) fn run(&self, work: impl FnOnce() + Send + 'static) {
        let mut line = self.line();
        line.work.push_back(Box::new(work));
        if line.idle < line.work.len() && line.threads < self.0.most {
            self.grow(&mut line);
        }
        self.0.news.notify_one();
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.0.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn grow(&self, line: &mut Line) {
        let pool = self.clone();
        let thread = std::thread::Builder::new().name(self.0.name.to_owned()).stack_size(512 << 10);
        match thread.spawn(move || pool.work()) {
            Ok(_) => line.threads += 1,
            Err(e) => tracing::warn!("no thread for {}: {e}; {} do the work", self.0.name, line.threads),
        }
    }

    fn work(&self) {
        let mut line = self.line();
        loop {
            if let Some(work) = line.work.pop_front() {
                drop(line);
                work();
                line = self.line();
                continue;
            }
            line.idle += 1;
            let (woken, wait) = self.0.news.wait_timeout(line, IDLE).unwrap_or_else(PoisonError::into_inner);
            line = woken;
            line.idle -= 1;
            if wait.timed_out() && line.work.is_empty() && line.threads > 1 {
                line.threads -= 1;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn does_at_once_what_it_can_and_the_rest_in_turn() {
        let pool = Pool::new("test", 2);
        let (tx, rx) = mpsc::channel();
        let gates: Vec<_> = (0..3)
            .map(|i| {
                let (open, gate) = mpsc::channel::<()>();
                let tx = tx.clone();
                pool.run(move || {
                    tx.send(i).unwrap();
                    let _ = gate.recv();
                });
                open
            })
            .collect();
        let patience = Duration::from_secs(10);
        let mut begun = [rx.recv_timeout(patience).unwrap(), rx.recv_timeout(patience).unwrap()];
        begun.sort_unstable();
        assert_eq!(begun, [0, 1]);
        assert!(rx.recv_timeout(Duration::from_millis(50)).is_err(), "a third ran beside two");
        gates[1].send(()).unwrap();
        assert_eq!(rx.recv_timeout(patience), Ok(2));
    }
}
