//! Looks on threads that may hang, with what each check keeps from one look to the next.

use super::pool::{AllHang, Pool};
use crate::model::{CheckId, Clock, Sample};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The threads, and what is kept of each check.
pub(super) struct Looks<S> {
    clock: Arc<dyn Clock>,
    pool: Pool,
    kept: Kept<S>,
}

/// Nothing is kept of a check while a thread looks.
type Kept<S> = Arc<Mutex<HashMap<CheckId, Option<S>>>>;

/// The state while it is with a thread, or waits for one: it comes back in any case.
struct Away<S: Default> {
    kept: Kept<S>,
    check: CheckId,
    state: S,
}

impl<S: Default> Drop for Away<S> {
    fn drop(&mut self) {
        // Not if the check was forgotten meanwhile.
        if let Some(slot) = lock(&self.kept).get_mut(&self.check) {
            *slot = Some(std::mem::take(&mut self.state));
        }
    }
}

impl<S: Default + Send + 'static> Looks<S> {
    /// With at most so many threads, none of them started yet.
    pub(super) fn new(name: &'static str, threads: usize, clock: Arc<dyn Clock>) -> Looks<S> {
        Looks { clock, pool: Pool::new(name, threads), kept: Arc::default() }
    }

    /// Looks. Dropped before it is answered, it is given up.
    pub(super) fn ask<F>(&self, check: CheckId, look: F) -> impl Future<Output = Sample> + use<S, F>
    where
        F: FnOnce(&mut S, &dyn Clock) -> Sample + Send + 'static,
    {
        let looked = self.look(check, look);
        let clock = Arc::clone(&self.clock);
        async move { looked.await.unwrap_or_else(|why| Sample::unknown(clock.now(), why)) }
    }

    /// The same for what is no sample yet; or why nobody could look.
    pub(super) fn look<F, T>(
        &self,
        check: CheckId,
        look: F,
    ) -> impl Future<Output = Result<T, &'static str>> + use<S, F, T>
    where
        F: FnOnce(&mut S, &dyn Clock) -> T + Send + 'static,
        T: Send + 'static,
    {
        let (answer, answered) = tokio::sync::oneshot::channel();
        // A statement of its own: what comes back takes this lock again.
        let before = lock(&self.kept).insert(check, None);
        let asked = match before {
            // A check takes one thread at most: the others are for the others.
            Some(None) => Err("the look before this one has not come back"),
            state => {
                let (kept, clock) = (Arc::clone(&self.kept), Arc::clone(&self.clock));
                let mut away = Away { kept, check, state: state.flatten().unwrap_or_default() };
                let look = move || {
                    let found = look(&mut away.state, &*clock);
                    (away, found)
                };
                let deliver = move |(away, found)| {
                    drop(away);
                    let _ = answer.send(found);
                };
                self.pool.run(look, deliver).map_err(|AllHang| "all looks at others of its kind hang")
            }
        };
        async move {
            // Kept until the answer is there: letting go of it gives the look up.
            let _awaited = asked?;
            answered.await.map_err(|_| "the look has ended without an answer")
        }
    }

    /// Lets go of what is kept for this check.
    pub(super) fn forget(&self, check: CheckId) {
        lock(&self.kept).remove(&check);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::RealClock;
    use std::sync::mpsc;
    use std::time::Duration;

    #[tokio::test]
    async fn what_hangs_takes_its_own_thread_only() {
        const THREADS: usize = 8;
        let looks = Looks::<u32>::new("test", THREADS, Arc::new(RealClock));
        let count = |check| {
            looks.look(CheckId(check), |count: &mut u32, _: &dyn Clock| {
                *count += 1;
                *count
            })
        };
        assert_eq!((count(1).await, count(1).await, count(2).await), (Ok(1), Ok(2), Ok(1)));
        lock(&looks.kept).insert(CheckId(1), None);
        assert_eq!(count(1).await, Err("the look before this one has not come back"));
        assert_eq!(count(2).await, Ok(2));
        let mut releases = Vec::new();
        for _ in 0..THREADS {
            let ((release, released), (begun, begins)) = (mpsc::channel::<()>(), mpsc::channel());
            let hang = move || begun.send(()).is_ok() && released.recv().is_ok();
            let awaited = looks.pool.run(hang, drop).unwrap();
            begins.recv_timeout(Duration::from_secs(10)).unwrap();
            drop(awaited);
            releases.push(release);
        }
        for _ in 0..2 {
            assert_eq!(count(2).await, Err("all looks at others of its kind hang"));
        }
        looks.forget(CheckId(2));
        drop(releases);
        // The threads come back one after the other.
        let mut counted = count(2).await;
        while counted.is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
            counted = count(2).await;
        }
        assert_eq!(counted, Ok(1), "it was forgotten");
    }
}
