//! Streams of changes that are open: bounded, in all and for each who follows along.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So many at the same time.
const STREAMS: usize = 300;
/// So many of them to one address: a whole office may come from one.
const OF_AN_ADDRESS: usize = 200;

/// Who follows along: an address, with how many streams.
#[derive(Debug, Default)]
pub(in crate::dashboard) struct Streams(Mutex<HashMap<Arc<str>, usize>>);

/// One that is open, until it is dropped.
#[derive(Debug)]
pub(in crate::dashboard) struct Stream {
    all: Arc<Streams>,
    from: Arc<str>,
}

impl Streams {
    /// One more, from there, if there is room for it.
    pub fn enter(self: &Arc<Streams>, from: &Arc<str>) -> Option<Stream> {
        let mut open = self.lock();
        if open.values().sum::<usize>() >= STREAMS || open.get(from).is_some_and(|its| *its >= OF_AN_ADDRESS) {
            return None;
        }
        *open.entry(Arc::clone(from)).or_default() += 1;
        Some(Stream { all: Arc::clone(self), from: Arc::clone(from) })
    }

    /// How many there are.
    pub fn open(&self) -> usize {
        self.lock().values().sum()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut open = self.all.lock();
        if let Some(its) = open.get_mut(&self.from) {
            *its -= 1;
            if *its == 0 {
                open.remove(&self.from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_others_and_again_when_some_have_gone() {
        let streams = Arc::new(Streams::default());
        let (one, other): (Arc<str>, Arc<str>) = ("192.0.2.1".into(), "192.0.2.2".into());
        let mut its: Vec<Stream> = (0..OF_AN_ADDRESS).map(|_| streams.enter(&one).unwrap()).collect();
        assert!(streams.enter(&one).is_none(), "an address has its share");
        let others: Vec<Stream> = (OF_AN_ADDRESS..STREAMS).map(|_| streams.enter(&other).unwrap()).collect();
        its.pop();
        assert!(streams.enter(&one).is_some());
        let last = streams.enter(&other).unwrap();
        assert!(streams.enter(&"192.0.2.3".into()).is_none(), "there is a bound for all");
        drop((its, others, last));
        assert_eq!((streams.open(), streams.lock().len()), (0, 0), "nothing is remembered of those who have gone");
    }
}
