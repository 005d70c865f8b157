//! Threads for what can hang in the kernel: a dead mount, the memory of a stuck process. Few, started when needed, and given
//! up when they hang, so that what hangs never takes more than them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// What is done, and then how its result is handed over.
type Errand = Box<dyn FnOnce() -> Delivery + Send>;
type Delivery = Box<dyn FnOnce()>;

/// A capped set of threads, and the work that waits for them.
pub(super) struct Pool {
    shared: Arc<Shared>,
    name: &'static str,
    most: usize,
}

struct Shared {
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<(u64, Errand)>,
    /// Of each piece of work that someone waits for, or that hangs.
    phases: HashMap<u64, Phase>,
    next: u64,
    threads: usize,
    idle: usize,
    hung: usize,
    closed: bool,
}

#[derive(PartialEq)]
enum Phase {
    Waiting,
    Running,
    Hung,
}

/// Every thread hangs: nothing more can be asked until one comes back.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AllHang;

/// A piece of work that someone waits for. Dropped before its end, its thread is given up: not begun, it never is; begun,
/// its thread counts as hung until it comes back.
pub(super) struct Awaited {
    shared: Arc<Shared>,
    number: u64,
}

impl Pool {
    /// At most so many threads, none of them started yet.
    pub(super) fn new(name: &'static str, most: usize) -> Pool {
        Pool { shared: Arc::new(Shared { state: Mutex::default(), more: Condvar::new() }), name, most }
    }

    /// Has it done by a thread, as soon as one is free; what comes of it is then delivered, which must not hang.
    pub(super) fn run<T: 'static>(
        &self,
        errand: impl FnOnce() -> T + Send + 'static,
        deliver: impl FnOnce(T) + Send + 'static,
    ) -> Result<Awaited, AllHang> {
        let errand = move || {
            let result = errand();
            Box::new(move || deliver(result)) as Delivery
        };
        let mut state = self.shared.lock();
        if state.hung >= self.most {
            return Err(AllHang);
        }
        let number = state.next;
        state.next += 1;
        state.phases.insert(number, Phase::Waiting);
        state.waiting.push_back((number, Box::new(errand)));
        if state.idle >= state.waiting.len() {
            self.shared.more.notify_one();
        } else if state.threads < self.most {
            let shared = Arc::clone(&self.shared);
            let started = std::thread::Builder::new().name(self.name.to_owned()).spawn(move || shared.work());
            // Without a thread it waits for those that there are, and its asker for its deadline.
            state.threads += usize::from(started.is_ok());
        }
        Ok(Awaited { shared: Arc::clone(&self.shared), number })
    }
}

impl Drop for Pool {
    /// Lets the threads end. One that hangs is not waited for.
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closed = true;
        state.waiting.clear();
        self.shared.more.notify_all();
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        let state = &mut *self.shared.lock();
        match state.phases.get_mut(&self.number) {
            Some(phase @ Phase::Running) => {
                *phase = Phase::Hung;
                state.hung += 1;
            }
            Some(Phase::Waiting) => {
                state.phases.remove(&self.number);
                state.waiting.retain(|(number, _)| *number != self.number);
            }
            Some(Phase::Hung) | None => {}
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut state = self.lock();
        while !state.closed {
            let Some((number, errand)) = state.waiting.pop_front() else {
                state.idle += 1;
                state = self.more.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
                continue;
            };
            state.phases.insert(number, Phase::Running);
            drop(state);
            let delivery = errand();
            state = self.lock();
            // Before the delivery: whoever has the result lets go of the work, and it must not count as hung then.
            if state.phases.remove(&number) == Some(Phase::Hung) {
                state.hung -= 1;
            }
            drop(state);
            delivery();
            state = self.lock();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    const BOUND: Duration = Duration::from_secs(10);

    #[test]
    fn all_work_is_done_by_few_threads() {
        let pool = Pool::new("test", 3);
        let (done, dones) = mpsc::channel();
        let awaited: Vec<Awaited> = (0..200)
            .map(|i| {
                let done = done.clone();
                pool.run(move || i, move |i| done.send(i).unwrap()).unwrap()
            })
            .collect();
        let mut seen: Vec<i32> = (0..200).map(|_| dones.recv_timeout(BOUND).unwrap()).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..200).collect::<Vec<_>>());
        assert!(pool.shared.lock().threads <= 3);
        drop(awaited);
        assert_eq!(pool.shared.lock().hung, 0);
    }

    #[test]
    fn hung_threads_are_given_up_and_taken_back() {
        let pool = Pool::new("test", 2);
        let mut releases = Vec::new();
        for _ in 0..2 {
            let (release, released) = mpsc::channel::<()>();
            let (begun, begins) = mpsc::channel();
            let awaited = pool.run(
                move || {
                    begun.send(()).unwrap();
                    let _ = released.recv();
                },
                drop,
            );
            begins.recv_timeout(BOUND).unwrap();
            drop(awaited);
            releases.push(release);
        }
        assert_eq!(pool.run(|| {}, drop).err(), Some(AllHang));
        releases.pop();
        let (done, dones) = mpsc::channel();
        let mut tries = 0;
        let awaited = loop {
            let done = done.clone();
            match pool.run(|| {}, move |()| done.send(()).unwrap()) {
                Ok(awaited) => break awaited,
                Err(AllHang) => std::thread::sleep(Duration::from_millis(2)),
            }
            tries += 1;
            assert!(tries < 5000, "the thread that came back is not used");
        };
        dones.recv_timeout(BOUND).unwrap();
        drop(awaited);
    }

    #[test]
    fn work_given_up_before_it_begins_is_never_done() {
        let pool = Pool::new("test", 1);
        let (release, released) = mpsc::channel::<()>();
        let (done, dones) = mpsc::channel();
        let busy = pool.run(move || released.recv().is_ok(), drop).unwrap();
        let never = done.clone();
        drop(pool.run(move || never.send("given up").unwrap(), drop).unwrap());
        let last = pool.run(move || done.send("waited for").unwrap(), drop).unwrap();
        drop(release);
        assert_eq!(dones.recv_timeout(BOUND).unwrap(), "waited for");
        assert!(dones.recv_timeout(BOUND).is_err(), "the other sender is gone without having sent");
        drop((busy, last));
    }
}
