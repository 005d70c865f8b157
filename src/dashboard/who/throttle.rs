//! How often somebody may try to sign in.
//!
//! Attempts are counted for where they come from: an address, or a browser that has signed in before, which no attacker's address
//! can keep out. The first few are free; then each has to wait twice as long as the one before. Who is attacked from many
//! addresses at once is protected by fewer free attempts from each; but the first from a new address is always heard, so that
//! nobody can keep somebody else out.

use crate::dashboard::door::network;
use crate::model::Mono;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

/// So many attempts need not wait.
const FREE: u32 = 5;
/// The same for a user whom more have failed for than this, and how long the second has to wait then.
const MANY: u32 = 50;
const FREE_OF_MANY: u32 = 1;
const FIRST_OF_MANY: Duration = Duration::from_secs(30);
/// How long the first that has to wait waits, and the longest.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);
/// What has not been tried for so long is forgotten.
const FORGET: Duration = Duration::from_secs(3600);
/// Of so many it is known what they tried; the longest ago makes room.
const KNOWN: usize = 4096;
/// So many that failed are put down a minute; of the rest, their number.
const PUT_DOWN: u32 = 20;
const MINUTE: Duration = Duration::from_secs(60);

/// Where an attempt comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Whence {
    /// An address; of IPv6, its first half: the rest its owner can choose.
    Address(IpAddr),
    /// A browser that has signed in as this user before.
    Browser(String),
}

impl Whence {
    pub fn address(address: IpAddr) -> Whence {
        Whence::Address(network(address))
    }
}

#[derive(Debug, Clone, Copy)]
struct Tries {
    count: u32,
    last: Mono,
}

/// What was tried, for a bounded number of those who try.
#[derive(Default)]
pub(super) struct Throttle {
    whence: HashMap<Whence, Tries>,
    users: HashMap<String, Tries>,
    /// Since when failures are counted, how many of them were put down, and how many were not.
    minute: Option<Mono>,
    put_down: u32,
    left_out: u32,
}

/// The count of one more that tries; old ones are forgotten.
fn tries<'m, K: Hash + Eq + Clone>(all: &'m mut HashMap<K, Tries>, key: &K, now: Mono) -> &'m mut Tries {
    if all.len() >= KNOWN && !all.contains_key(key) {
        all.retain(|_, tries| now - tries.last < FORGET);
        if all.len() >= KNOWN
            && let Some(oldest) = all.iter().min_by_key(|(_, tries)| tries.last).map(|(key, _)| key.clone())
        {
            all.remove(&oldest);
        }
    }
    let tries = all.entry(key.clone()).or_insert(Tries { count: 0, last: now });
    if now - tries.last >= FORGET {
        *tries = Tries { count: 0, last: now };
    }
    tries
}

/// How long after the last attempt the next may come, with so many so far.
fn wait(count: u32, free: u32, first: Duration) -> Duration {
    match count.checked_sub(free) {
        None => Duration::ZERO,
        Some(more) => first.saturating_mul(1_u32.checked_shl(more).unwrap_or(u32::MAX)).min(LONGEST),
    }
}

impl Throttle {
    /// Takes note of an attempt before it is looked at, so that many at once are no way around this. An error is how long it has
    /// to wait; then it is not to be looked at, and does not count.
    pub fn attempt(&mut self, whence: &Whence, user: &str, now: Mono) -> Result<(), Duration> {
        let of_user = self.users.get(user).filter(|tries| now - tries.last < FORGET);
        let many = of_user.is_some_and(|tries| tries.count >= MANY) && matches!(whence, Whence::Address(_));
        let (free, first) = if many { (FREE_OF_MANY, FIRST_OF_MANY) } else { (FREE, FIRST) };
        let from_there = tries(&mut self.whence, whence, now);
        let waits = wait(from_there.count, free, first);
        let waited = now - from_there.last;
        if from_there.count > 0 && waited < waits {
            return Err(waits - waited);
        }
        *from_there = Tries { count: from_there.count.saturating_add(1), last: now };
        // Only now: names at random, from one that is not heard, must not make room of those that are attacked.
        let of_user = tries(&mut self.users, &user.to_owned(), now);
        *of_user = Tries { count: of_user.count.saturating_add(1), last: now };
        Ok(())
    }

    /// An attempt was good: it does not count. Those before it do, or a viewer could try to be an admin in between.
    pub fn succeeded(&mut self, whence: &Whence, user: &str) {
        for tries in [self.whence.get_mut(whence), self.users.get_mut(user)].into_iter().flatten() {
            tries.count = tries.count.saturating_sub(1);
        }
    }

    /// Whether a failure is to be put down, and how many before it were not.
    pub fn is_put_down(&mut self, now: Mono) -> Option<u32> {
        if self.minute.is_none_or(|since| now - since >= MINUTE) {
            (self.minute, self.put_down) = (Some(now), 0);
        }
        if self.put_down >= PUT_DOWN {
            self.left_out = self.left_out.saturating_add(1);
            return None;
        }
        self.put_down += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: u64) -> Mono {
        Mono(seconds * 1_000_000_000)
    }

    fn from(last: u8) -> Whence {
        Whence::address(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn delays_grow_and_end() {
        let mut throttle = Throttle::default();
        let mut now = 0;
        let mut delays = Vec::new();
        for _ in 0..18 {
            match throttle.attempt(&from(1), "alice", at(now)) {
                Ok(()) => delays.push(0),
                Err(wait) => {
                    delays.push(wait.as_secs());
                    now += wait.as_secs();
                    throttle.attempt(&from(1), "alice", at(now)).unwrap();
                }
            }
        }
        assert_eq!(delays, [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300]);
        assert!(throttle.attempt(&from(1), "alice", at(now + 1)).is_err());
        for _ in 0..5 {
            throttle.attempt(&from(1), "alice", at(now + 3600)).unwrap();
        }
    }

    #[test]
    fn who_is_refused_waits_no_longer_for_having_asked() {
        let mut throttle = Throttle::default();
        for _ in 0..6 {
            let _ = throttle.attempt(&from(1), "alice", at(0));
        }
        for _ in 0..100 {
            assert_eq!(throttle.attempt(&from(1), "alice", at(0)), Err(Duration::from_secs(1)));
        }
        assert!(throttle.attempt(&from(1), "alice", at(1)).is_ok());
    }

    #[test]
    fn an_attack_from_one_place_does_not_keep_others_out() {
        let mut throttle = Throttle::default();
        for second in 0..100_000 {
            let _ = throttle.attempt(&from(1), "alice", at(second));
        }
        let known = Whence::Browser("x".into());
        for whence in [from(2), known] {
            assert!(throttle.attempt(&whence, "alice", at(100_000)).is_ok(), "{whence:?}");
        }
        assert!(throttle.attempt(&from(1), "bob", at(100_000)).is_err(), "nor is it a way to try another user");
    }

    #[test]
    fn an_attack_from_everywhere_leaves_few_attempts_to_each_address_and_the_first_to_all() {
        let mut throttle = Throttle::default();
        for i in 0..60 {
            throttle.attempt(&from(i), "alice", at(0)).unwrap();
        }
        assert!(throttle.attempt(&from(100), "alice", at(0)).is_ok());
        assert_eq!(throttle.attempt(&from(100), "alice", at(0)), Err(Duration::from_secs(30)));
        assert!(throttle.attempt(&from(101), "bob", at(0)).is_ok());
        assert!(throttle.attempt(&from(101), "bob", at(0)).is_ok(), "nobody attacks bob");
        let known = Whence::Browser("x".into());
        for _ in 0..5 {
            throttle.attempt(&known, "alice", at(0)).unwrap();
        }
    }

    #[test]
    fn names_at_random_from_one_address_do_not_make_it_forget_who_is_attacked() {
        let mut throttle = Throttle::default();
        for i in 0..60 {
            throttle.attempt(&from(i), "alice", at(0)).unwrap();
        }
        for i in 0..2 * KNOWN {
            let _ = throttle.attempt(&from(1), &format!("name{i}"), at(1));
        }
        throttle.attempt(&from(100), "alice", at(1)).unwrap();
        assert!(throttle.attempt(&from(100), "alice", at(1)).is_err());
    }

    #[test]
    fn who_signs_in_as_himself_gains_no_further_attempts_at_another() {
        let mut throttle = Throttle::default();
        let tried = (0..100).filter(|_| {
            if throttle.attempt(&from(1), "viewer", at(0)).is_ok() {
                throttle.succeeded(&from(1), "viewer");
            }
            throttle.attempt(&from(1), "admin", at(0)).is_ok()
        });
        assert_eq!(tried.count(), 5);
    }

    #[test]
    fn half_of_an_address_is_its_owners() {
        let whence = |text: &str| Whence::address(text.parse().unwrap());
        assert_eq!(whence("2001:db8::1"), whence("2001:db8::ffff:1"));
        assert_ne!(whence("2001:db8::1"), whence("2001:db8:0:1::1"));
        assert_eq!(whence("::ffff:192.0.2.1"), whence("192.0.2.1"));
    }

    #[test]
    fn the_record_of_failures_is_bounded_and_says_what_it_leaves_out() {
        let mut throttle = Throttle::default();
        let put_down = (0..1000).filter(|_| throttle.is_put_down(at(0)).is_some()).count();
        assert_eq!(put_down, 20);
        assert_eq!(throttle.is_put_down(at(60)), Some(980));
        assert_eq!(throttle.is_put_down(at(60)), Some(0));
    }

    proptest! {
        /// Whatever is tried when: memory is bounded, nobody waits longer than the longest, and in an hour one address gets no
        /// more than the free ones, those that doubling allows, and one every five minutes.
        #[test]
        fn one_address_gets_few(steps in prop::collection::vec((0_u64..120, 0_usize..3), 1..400)) {
            let mut throttle = Throttle::default();
            let (mut now, mut heard) = (0, Vec::new());
            for (step, user) in steps {
                now += step;
                match throttle.attempt(&from(1), ["alice", "bob", "carol"][user], at(now)) {
                    Ok(()) => heard.push(now),
                    Err(wait) => prop_assert!(wait <= LONGEST && wait > Duration::ZERO),
                }
            }
            for start in &heard {
                let within = heard.iter().filter(|at| (*start..start + 3600).contains(at)).count();
                prop_assert!(within <= 5 + 9 + 12, "{within} in an hour");
            }
        }
    }

    #[test]
    fn it_knows_a_bounded_number() {
        let mut throttle = Throttle::default();
        for i in 0..KNOWN as u32 + 500 {
            let address = IpAddr::from(i.wrapping_mul(2_654_435_761).to_be_bytes());
            let _ = throttle.attempt(&Whence::address(address), &format!("user{i}"), at(u64::from(i / 1000)));
        }
        assert!(throttle.whence.len() <= KNOWN && throttle.users.len() <= KNOWN);
    }
}
