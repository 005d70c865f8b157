//! Sessions: that somebody has signed in, until it is over.

use super::secret::{digest, is_word, word};
use crate::dashboard::{Ask, Front};
use crate::model::{Dashboard, PasswordHash, Record, Session, Wall, clip, plain};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// One that has not been used for so long is over; and each at this age.
const UNUSED: Duration = Duration::from_secs(7 * 86_400);
pub(super) const OLDEST: Duration = Duration::from_secs(30 * 86_400);
/// That one was used is kept so often.
const USED: Duration = Duration::from_secs(300);
/// So many there are at a time, and so many of a user; the longest unused one makes room.
const SESSIONS: usize = 1000;
const OF_A_USER: usize = 20;
/// What is kept of what a browser calls itself, in bytes.
const AGENT: usize = 200;

/// Every session there is.
pub(super) struct Sessions {
    all: Mutex<Vec<Session>>,
    /// Held by the one who hands them to be kept, so that what is kept last is what is newest.
    keeping: tokio::sync::Mutex<()>,
}

impl Sessions {
    pub fn new(kept: Vec<Session>) -> Sessions {
        Sessions { all: Mutex::new(kept), keeping: tokio::sync::Mutex::default() }
    }

    fn all(&self) -> MutexGuard<'_, Vec<Session>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether one still counts: in time, and of a user whose password is what it was.
fn is_good(session: &Session, dashboard: &Dashboard, now: Wall) -> bool {
    let password = dashboard.users.get(&session.user).and_then(|user| user.password.as_ref());
    now - session.used < UNUSED
        && now - session.began < OLDEST
        && password.is_some_and(|hash| digest(hash.expose()) == session.proof)
}

/// Takes the longest unused ones away until there is room for one more of this user.
fn make_room(all: &mut Vec<Session>, user: &str) {
    let of_user = |session: &Session| session.user == user;
    loop {
        let only_his = all.iter().filter(|session| of_user(session)).count() >= OF_A_USER;
        if !only_his && all.len() < SESSIONS {
            return;
        }
        let candidates = all.iter().enumerate().filter(|(_, session)| !only_his || of_user(session));
        let Some((oldest, _)) = candidates.min_by_key(|(_, session)| session.used) else { return };
        all.remove(oldest);
    }
}

impl Front {
    /// Begins a session, and says what its cookie is. Nothing if this machine has no random numbers.
    pub(super) async fn begin_session(
        &self,
        user: &str,
        password: &PasswordHash,
        from: &str,
        agent: &str,
    ) -> Option<String> {
        let cookie = word()?;
        let now = self.clock.now().wall;
        {
            let mut all = self.people.sessions.all();
            let plan = self.plan();
            all.retain(|session| is_good(session, &plan.dashboard, now));
            make_room(&mut all, user);
            all.push(Session {
                key: digest(&cookie),
                user: user.to_owned(),
                began: now,
                used: now,
                from: from.to_owned(),
                agent: clip(&plain(agent), AGENT),
                proof: digest(password.expose()),
            });
        }
        self.keep_sessions().await;
        Some(cookie)
    }

    /// The session of this cookie, if there is one that is not over.
    pub(super) async fn session(&self, cookie: &str) -> Option<Session> {
        if !is_word(cookie) {
            return None;
        }
        let (key, now, plan) = (digest(cookie), self.clock.now().wall, self.plan());
        let (found, keep) = {
            let mut all = self.people.sessions.all();
            let session = all.iter_mut().find(|session| session.key == key)?;
            if !is_good(session, &plan.dashboard, now) {
                return None;
            }
            let keep = now - session.used > USED;
            if keep {
                session.used = now;
            }
            (session.clone(), keep)
        };
        if keep {
            self.keep_sessions().await;
        }
        Some(found)
    }

    /// Ends a session; says which it was, if there was one.
    pub(in crate::dashboard) async fn end_session(&self, key: &str) -> Option<Session> {
        let ended = {
            let mut all = self.people.sessions.all();
            let place = all.iter().position(|session| session.key == key)?;
            all.remove(place)
        };
        self.keep_sessions().await;
        Some(ended)
    }

    /// All that are not over, the latest used first.
    pub(in crate::dashboard) fn sessions(&self) -> Vec<Session> {
        let (now, plan) = (self.clock.now().wall, self.plan());
        let mut good: Vec<Session> = self.people.sessions.all().clone();
        good.retain(|session| is_good(session, &plan.dashboard, now));
        good.sort_by_key(|session| std::cmp::Reverse(session.used));
        good
    }

    async fn keep_sessions(&self) {
        let _in_order = self.people.sessions.keeping.lock().await;
        let all = self.people.sessions.all().clone();
        // It fails when minder ends.
        let _ = self.asks.send(Ask::Record(Record::Sessions(all.into()))).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(number: i64, user: &str) -> Session {
        Session {
            key: number.to_string(),
            user: user.to_owned(),
            began: Wall(0),
            used: Wall(number),
            from: String::new(),
            agent: String::new(),
            proof: String::new(),
        }
    }

    #[test]
    fn the_longest_unused_makes_room() {
        let mut all: Vec<Session> = (0..20).map(|i| session(100 - i, "alice")).collect();
        all.push(session(1, "bob"));
        make_room(&mut all, "alice");
        assert_eq!(all.len(), 20);
        assert!(!all.iter().any(|s| s.used == Wall(81)) && all.iter().any(|s| s.user == "bob"));
        let mut full: Vec<Session> = (0..1000).map(|i| session(i, &format!("user{}", i % 100))).collect();
        make_room(&mut full, "new");
        assert_eq!(full.len(), 999);
        assert!(!full.iter().any(|s| s.used == Wall(0)));
    }
}
