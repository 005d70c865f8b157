//! Cookies: read from a request, set by an answer.

use axum::http::header::{COOKIE, HeaderMap, HeaderValue};
use std::time::Duration;

/// Which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dashboard) enum Cookie {
    /// The session.
    Session,
    /// What ties the form of signing in to the browser that has fetched it.
    Form,
    /// That somebody has signed in from this browser before.
    Known,
}

impl Cookie {
    /// A browser takes one that begins with `__Host-` only over TLS, for this host alone and not from its neighbours.
    fn name(self, secure: bool) -> &'static str {
        match (self, secure) {
            (Cookie::Session, true) => "__Host-minder",
            (Cookie::Session, false) => "minder",
            (Cookie::Form, true) => "__Host-minder-form",
            (Cookie::Form, false) => "minder-form",
            (Cookie::Known, true) => "__Host-minder-known",
            (Cookie::Known, false) => "minder-known",
        }
    }

    /// Its value, if there is one and only one: which of two was set by us cannot be told.
    pub fn read(self, headers: &HeaderMap, secure: bool) -> Option<&str> {
        let mut values = cookies(headers, self.name(secure));
        values.next().filter(|_| values.next().is_none())
    }

    /// `Set-Cookie` with this value, which is made of letters, digits and signs that need no quotes. A link in a mail is followed
    /// with a cookie that is `Lax`; one that is `Strict` would show the form of signing in to who is signed in.
    pub fn set(self, value: &str, lasts: Duration, secure: bool) -> Option<HeaderValue> {
        let site = if self == Cookie::Session { "Lax" } else { "Strict" };
        let tls = if secure { "; Secure" } else { "" };
        let name = self.name(secure);
        let text = format!("{name}={value}; Path=/; Max-Age={}; HttpOnly; SameSite={site}{tls}", lasts.as_secs());
        HeaderValue::from_str(&text).ok()
    }

    /// `Set-Cookie` that takes it away.
    pub fn clear(self, secure: bool) -> Option<HeaderValue> {
        self.set("", Duration::ZERO, secure)
    }
}

/// The values of the cookies of this name.
pub(super) fn cookies<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    let all = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = all.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(move |(key, _)| *key == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_read_and_two_are_not() {
        let read = |lines: &[&str], secure| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(COOKIE, HeaderValue::from_str(line).unwrap());
            }
            Cookie::Session.read(&headers, secure).map(str::to_owned)
        };
        assert_eq!(read(&["a=b; minder=x1; minder-form=y"], false).as_deref(), Some("x1"));
        assert_eq!(read(&["a=b", "minder=x1"], false).as_deref(), Some("x1"));
        assert_eq!(read(&["minder=x1; minder=x2"], false), None, "one of them is somebody else's");
        assert_eq!(read(&["minder=x1"], true), None, "over TLS only what was set over TLS counts");
        assert_eq!(read(&["__Host-minder=x1; minder=x2"], true).as_deref(), Some("x1"));
        assert_eq!(read(&["minderx=1; ;=; minder"], false), None);
    }

    #[test]
    fn each_is_out_of_reach_for_scripts_and_other_sites() {
        let day = Duration::from_secs(86_400);
        let set = Cookie::Session.set("x", day, true).unwrap();
        assert_eq!(set, "__Host-minder=x; Path=/; Max-Age=86400; HttpOnly; SameSite=Lax; Secure");
        let set = Cookie::Form.set("x", day, false).unwrap();
        assert_eq!(set, "minder-form=x; Path=/; Max-Age=86400; HttpOnly; SameSite=Strict");
        assert_eq!(Cookie::Session.clear(false).unwrap(), "minder=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
    }
}
