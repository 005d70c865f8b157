//! What is made for people is kept for a moment, so that however many ask, the loop has its time for what happens.

use crate::model::Mono;
use std::sync::Arc;
use std::time::Duration;

/// It is made anew at most this often.
const AGE: Duration = Duration::from_millis(100);
/// What takes long to make, of thousands of services, is kept so many times as long as that took, and no longer than this: pages
/// that follow along look 250 ms after a change, and must see it.
const TIMES: u32 = 10;
const LONGEST: Duration = Duration::from_millis(200);

/// The last one that was made, if any.
pub struct Kept<T>(Option<Made<T>>);

struct Made<T> {
    at: Mono,
    took: Duration,
    what: Arc<T>,
}

impl<T> Default for Kept<T> {
    fn default() -> Kept<T> {
        Kept(None)
    }
}

impl<T> Kept<T> {
    /// The last one, if it is new enough.
    pub fn get(&self, now: Mono) -> Option<Arc<T>> {
        let Made { at, took, what } = self.0.as_ref()?;
        let good_for = took.saturating_mul(TIMES).clamp(AGE, LONGEST);
        (now - *at < good_for).then(|| Arc::clone(what))
    }

    /// Keeps one that was begun and ended then.
    pub fn put(&mut self, began: Mono, ended: Mono, what: T) -> Arc<T> {
        let what = Arc::new(what);
        self.0 = Some(Made { at: ended, took: ended - began, what: Arc::clone(&what) });
        what
    }

    /// Something has been done, and whoever looks at once sees it.
    pub fn forget(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn making_takes_a_small_part_of_the_time_however_many_ask() {
        for (millis, most) in [(1, 10), (15, 91), (200, 530)] {
            let (mut kept, mut now, mut made) = (Kept::default(), 0, 0);
            while now < 3_300 {
                if kept.get(Mono(now * 1_000_000)).is_none() {
                    made += millis;
                    kept.put(Mono(now * 1_000_000), Mono((now + millis) * 1_000_000), ());
                    now += millis;
                }
                now += 1;
            }
            assert!(made * 1000 / now <= most, "{millis} ms each: {made} of {now} ms");
            kept.forget();
            assert!(kept.get(Mono(now * 1_000_000)).is_none());
        }
    }
}
