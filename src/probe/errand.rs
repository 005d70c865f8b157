//! What a check has done on a thread that may hang: one thread for a check, however often it is asked.

use super::pool::{AllHang, Pool};
use super::words::Trouble;
use crate::model::CheckId;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

type Out = Arc<Mutex<HashSet<CheckId>>>;

/// Threads, and whose errands they are on.
pub(super) struct Errands {
    pool: Pool,
    out: Out,
}

/// A check whose thread is not back.
struct Away {
    out: Out,
    check: CheckId,
}

impl Drop for Away {
    fn drop(&mut self) {
        self.out.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.check);
    }
}

/// Why nothing came of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Undone {
    /// No thread was free: it was never begun.
    NotBegun(&'static str),
    /// It was begun, and hangs; or the one before it does.
    Hangs,
}

impl Undone {
    /// In the words of a probe: what we lack is our own fault; what hangs is `hanging`.
    pub(super) fn trouble(&self, hanging: &str) -> Trouble {
        match self {
            Undone::NotBegun(why) => Trouble::ours(*why),
            Undone::Hangs => Trouble::failed(hanging),
        }
    }
}

impl Errands {
    /// At most so many at once; none is under way.
    pub(super) fn new(name: &'static str, most: usize) -> Errands {
        Errands { pool: Pool::new(name, most), out: Out::default() }
    }

    /// Has it done, and waits for what comes of it, but no longer than this.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        check: CheckId,
        most: Duration,
        errand: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Undone> {
        if !self.out.lock().unwrap_or_else(PoisonError::into_inner).insert(check) {
            return Err(Undone::Hangs);
        }
        let away = Away { out: Arc::clone(&self.out), check };
        let begun = Arc::new(AtomicBool::new(false));
        let begin = Arc::clone(&begun);
        let (answer, answered) = tokio::sync::oneshot::channel();
        let errand = move || {
            begin.store(true, Relaxed);
            (away, errand())
        };
        let deliver = move |(away, result)| {
            drop(away);
            let _ = answer.send(result);
        };
        let awaited = self.pool.run(errand, deliver).map_err(|AllHang| Undone::NotBegun("all that were begun hang"))?;
        let result = tokio::time::timeout(most, answered).await;
        drop(awaited);
        match result {
            Ok(Ok(result)) => Ok(result),
            _ if begun.load(Relaxed) => Err(Undone::Hangs),
            _ => Err(Undone::NotBegun("no thread was free for it in time: too many others are under way")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    const BRIEF: Duration = Duration::from_millis(50);
    const AMPLE: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn what_hangs_takes_one_thread_of_its_own_check() {
        let errands = Errands::new("test", 2);
        let ((release, released), (second, held)) = (mpsc::channel::<()>(), mpsc::channel::<()>());
        let hang = move || released.recv().unwrap_or(());
        assert_eq!(errands.run(CheckId(1), BRIEF, hang).await, Err(Undone::Hangs));
        assert_eq!(errands.run(CheckId(1), BRIEF, || ()).await, Err(Undone::Hangs), "it is not back");
        assert_eq!(errands.run(CheckId(2), AMPLE, || 2).await, Ok(2));
        assert_eq!(errands.run(CheckId(3), BRIEF, move || held.recv().unwrap_or(())).await, Err(Undone::Hangs));
        assert!(matches!(errands.run(CheckId(2), AMPLE, || 2).await, Err(Undone::NotBegun(_))));
        drop(release);
        let mut tries = 0;
        while errands.run(CheckId(1), AMPLE, || ()).await != Ok(()) {
            tokio::time::sleep(Duration::from_millis(2)).await;
            tries += 1;
            assert!(tries < 5000, "the thread that came back is not used");
        }
        drop(second);
    }
}
