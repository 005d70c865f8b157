//! Signing in, and out: a name and a password for a session.

use super::cookie::Cookie;
use super::secret::{derived, digest, is_word, same, word};
use super::session::OLDEST;
use super::throttle::Whence;
use super::{Caller, Proof, Reached};
use crate::dashboard::{Front, Problem, to_the_end};
use crate::model::{Dashboard, PasswordHash};
use axum::http::HeaderMap;
use axum::http::header::{HeaderValue, SET_COOKIE, USER_AGENT};
use std::sync::Arc;
use std::time::Duration;

/// Passwords compared at the same time, for those of whom nothing is known, and for browsers that have signed in before, who do not
/// queue behind them: each takes a core, and the memory that its hash says.
pub(super) const CHECKS: usize = 1;
/// How long somebody waits for his turn.
const TURN: Duration = Duration::from_secs(5);
/// How long a form of signing in may lie about, and a browser is known.
const FORM: Duration = Duration::from_secs(86_400);
const KNOWN: Duration = Duration::from_secs(365 * 86_400);
/// The longest name that a user can have, in bytes.
const NAME: usize = 64;

/// Why somebody is not signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::dashboard) enum Refused {
    /// The form is of another browser, or of long ago.
    Form,
    /// It is so long until he may try again.
    Wait(Duration),
    /// There is no such user, or that is not the password: which, is not said.
    Wrong,
}

/// What the form of signing in must bring back, and the cookie that it must match: nobody else's page can fill both in, and sign
/// somebody in as somebody else.
pub(in crate::dashboard) fn form(headers: &HeaderMap, reached: &Reached) -> Option<(String, HeaderValue)> {
    let known = Cookie::Form.read(headers, reached.secure).filter(|value| is_word(value));
    let value = known.map(str::to_owned).or_else(word)?;
    let set = Cookie::Form.set(&value, FORM, reached.secure)?;
    Some((derived(value.as_bytes(), "form", ""), set))
}

/// The hash that a password is compared with. That of another user, for one who does not exist or has none: always the same, so
/// that how long it takes says nothing.
fn hash_of<'d>(dashboard: &'d Dashboard, user: &str) -> Option<(&'d PasswordHash, bool)> {
    if let Some(hash) = dashboard.users.get(user).and_then(|user| user.password.as_ref()) {
        return Some((hash, true));
    }
    let all: Vec<&PasswordHash> = dashboard.users.values().filter_map(|user| user.password.as_ref()).collect();
    let place = digest(user).bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
    all.get(place.checked_rem(all.len())?).map(|hash| (*hash, false))
}

/// A browser that has signed in as this user has a cookie that nobody else can make, until the password is another.
fn known_browser(headers: &HeaderMap, reached: &Reached, user: &str, hash: &PasswordHash) -> Option<Whence> {
    let (name, proof) = Cookie::Known.read(headers, reached.secure)?.split_once('.')?;
    let good = is_word(name) && same(proof, &known_proof(user, name, hash));
    good.then(|| Whence::Browser(name.to_owned()))
}

fn known_proof(user: &str, name: &str, hash: &PasswordHash) -> String {
    derived(hash.expose().as_bytes(), "known browser", &format!("{user}\n{name}"))
}

impl Front {
    /// Signs somebody in; the cookies to set.
    pub(in crate::dashboard) async fn sign_in(
        self: &Arc<Front>,
        caller: &Caller,
        reached: &Reached,
        headers: &HeaderMap,
        (user, password, form): (&str, &str, &str),
    ) -> Result<Vec<HeaderValue>, Refused> {
        let tied = Cookie::Form.read(headers, reached.secure).filter(|value| is_word(value));
        if !tied.is_some_and(|value| same(form, &derived(value.as_bytes(), "form", ""))) {
            return Err(Refused::Form);
        }
        let plan = self.plan();
        // What is no name is somebody's password, typed into the wrong field: it is not kept.
        let named = if plan.dashboard.users.contains_key(user) { user } else { "(unknown)" };
        let caller = Caller { name: named.into(), ..caller.clone() };
        let user: String = user.chars().take(NAME).collect();
        let Some((hash, exists)) = hash_of(&plan.dashboard, &user) else { return Err(Refused::Wrong) };
        let by_browser = known_browser(headers, reached, &user, hash).filter(|_| exists);
        let whence = by_browser.unwrap_or_else(|| Whence::address(reached.address()));
        let attempt = self.people.throttle().attempt(&whence, &user, self.clock.now().mono);
        attempt.map_err(Refused::Wait)?;

        let checks = match whence {
            Whence::Address(_) => &self.people.checks,
            Whence::Browser(_) => &self.people.checks_of_known,
        };
        let turn = tokio::time::timeout(TURN, Arc::clone(checks).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(Refused::Wait(TURN)) };
        let (hash, password) = (hash.clone(), password.to_owned());
        let compared = hash.clone();
        let good = tokio::task::spawn_blocking(move || {
            // Kept until it is done, also if whoever asked has long gone.
            let _turn = turn;
            password.len() <= PasswordHash::LONGEST && compared.is_of(&password)
        });
        if !good.await.unwrap_or(false) || !exists {
            let words = if exists { "wrong password" } else { "no such user" };
            self.audit_failure(&caller, "sign in", words).await;
            return Err(Refused::Wrong);
        }
        self.people.throttle().succeeded(&whence, &user);
        let before = self.session_of(headers, reached).await;
        let agent = headers.get(USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let Some(name) = word() else { return Err(Refused::Wait(TURN)) };
        let known = format!("{name}.{}", known_proof(&user, &name, &hash));
        let front = Arc::clone(self);
        let begun = to_the_end(async move {
            // What the browser had before is over: nobody else can have put it there and share in what it becomes.
            if let Some(session) = before {
                front.end_session(&session.key).await;
            }
            let cookie = front.begin_session(&user, &hash, &caller.from, &agent.unwrap_or_default()).await?;
            front.audit(&caller, "sign in", true, "signed in").await;
            Some(cookie)
        });
        let Ok(Some(cookie)) = begun.await else { return Err(Refused::Wait(TURN)) };
        let set = [
            Cookie::Session.set(&cookie, OLDEST, reached.secure),
            Cookie::Known.set(&known, KNOWN, reached.secure),
            Cookie::Form.clear(reached.secure),
        ];
        Ok(set.into_iter().flatten().collect())
    }

    /// Ends the session that asks; the cookie that takes it away.
    pub(in crate::dashboard) async fn sign_out(
        self: &Arc<Front>,
        caller: &Caller,
        reached: &Reached,
    ) -> Option<HeaderValue> {
        if let Proof::Session(key) = &caller.proof {
            // It fails when minder ends.
            let _ = self.end_for(caller, key.clone(), "sign out".to_owned(), "signed out".to_owned()).await;
        }
        Cookie::Session.clear(reached.secure)
    }

    /// Ends a session and puts that down, also if the browser is closed at once.
    async fn end_for(
        self: &Arc<Front>,
        caller: &Caller,
        key: String,
        what: String,
        words: String,
    ) -> Result<(), Problem> {
        let (front, caller) = (Arc::clone(self), caller.clone());
        to_the_end(async move {
            front.end_session(&key).await;
            front.audit(&caller, &what, true, &words).await;
        })
        .await
    }

    /// Ends a session, which must be one's own unless one is an admin.
    pub(in crate::dashboard) async fn end_session_of(
        self: &Arc<Front>,
        caller: &Caller,
        key: &str,
    ) -> Result<String, Problem> {
        let all = self.sessions();
        let Some(session) = all.iter().find(|session| session.key == key && caller.may_see(session)) else {
            return Err(Problem::no_session());
        };
        let what = format!("end a session of {}", session.user);
        self.end_for(caller, key.to_owned(), what, format!("signed in from {}", session.from)).await?;
        Ok(session.user.clone())
    }
}

/// The same answer with these cookies.
pub(in crate::dashboard) fn with_cookies(
    mut response: axum::response::Response,
    cookies: impl IntoIterator<Item = HeaderValue>,
) -> axum::response::Response {
    for cookie in cookies {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}
