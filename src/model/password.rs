//! Passwords, of which only an argon2 hash is kept: made by `minder passwd`, compared when somebody signs in.

use super::Mistake;
use argon2::password_hash::phc;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::RangeInclusive;

/// An argon2 hash in PHC form: `$argon2id$v=19$m=19456,t=2,p=1$…`. It is no secret that lets anybody in, and is shown to nobody
/// all the same.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct PasswordHash(String);

/// What a hash may cost to compare: memory in KiB, passes over it, lanes. Whoever signs in makes minder pay this.
const MEMORY: RangeInclusive<u32> = 8..=65_536;
const PASSES: RangeInclusive<u32> = 1..=10;
const LANES: RangeInclusive<u32> = 1..=8;
const HELP: &str = "`minder passwd` makes one: copy its line, quotes and all";

impl PasswordHash {
    /// The shortest password that `minder passwd` takes, in characters.
    pub const SHORTEST: usize = 8;
    /// The longest password that anybody can sign in with, in bytes.
    pub const LONGEST: usize = 1024;

    /// Of this text.
    pub fn new(text: impl Into<String>) -> PasswordHash {
        PasswordHash(text.into())
    }

    /// Of this password: argon2id with 19 MiB and two passes, the least that OWASP recommends, which takes some 20 ms. Nothing
    /// if there is no memory for it.
    pub fn of(password: &str, salt: [u8; 16]) -> Option<PasswordHash> {
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT);
        let hash: phc::PasswordHash = argon2.hash_password_with_salt(password.as_bytes(), &salt).ok()?;
        Some(PasswordHash(hash.to_string()))
    }

    /// Whether this is the password. It takes as long as the hash says, and blocks.
    pub fn is_of(&self, password: &str) -> bool {
        let Ok(hash) = phc::PasswordHash::new(&self.0) else { return false };
        self.mistake().is_none() && Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
    }

    /// The text itself: for the one who writes it down.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is wrong with it, if anything. It is not repeated: it may be the password itself.
    pub fn mistake(&self) -> Option<Mistake> {
        let wrong = |what: &str, help: &str| Some(Mistake::new(&["password"], what).help(help));
        let text = &self.0;
        if text.is_empty() {
            return wrong("the hash of a password is empty", HELP);
        }
        if !text.starts_with("$argon2") {
            let what = if text.starts_with('$') || text.starts_with("{") {
                "expected an argon2 hash, found one of another kind"
            } else {
                "expected the argon2 hash of a password: a password itself does not stand in a rule file"
            };
            return wrong(what, HELP);
        }
        let hash = match phc::PasswordHash::new(text) {
            Ok(hash) if hash.salt.is_some() && hash.hash.is_some() => hash,
            _ if !text.contains(',') && text.contains("$m=") => {
                return wrong(
                    "this hash ends at its first comma",
                    "put it in quotes: within `{ }` a comma ends a value",
                );
            }
            _ => return wrong("this argon2 hash is damaged, or not whole", HELP),
        };
        let Ok(params) = Params::try_from(&hash) else {
            return wrong("this argon2 hash is damaged, or not whole", HELP);
        };
        let version_is_known = hash.version.is_none_or(|version| Version::try_from(version).is_ok());
        if Algorithm::try_from(hash.algorithm.as_str()).is_err() || !version_is_known {
            return wrong("minder does not know this kind of argon2 hash", HELP);
        }
        let costs = [(params.m_cost(), MEMORY, "m"), (params.t_cost(), PASSES, "t"), (params.p_cost(), LANES, "p")];
        let (found, bound, name) = costs.into_iter().find(|(found, bound, _)| !bound.contains(found))?;
        let what =
            format!("this hash has `{name}={found}`, and minder takes {} to {} of it", bound.start(), bound.end());
        let why = "who signs in makes minder pay it: m is memory in KiB, t passes over it, p lanes";
        wrong(&what, &format!("{why}; {HELP}"))
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

impl Serialize for PasswordHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What argon2's own command line makes: `printf hunter22 | argon2 saltsalt -id -k 8 -t 1 -p 1 -e`.
    const CHEAP: &str = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$";

    #[test]
    fn a_hash_knows_its_password() {
        let hash = PasswordHash::of("correct horse", [7; 16]).unwrap();
        assert!(hash.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.expose());
        assert_eq!(hash.mistake(), None);
        assert!(hash.is_of("correct horse"));
        assert!(!hash.is_of("correct horse ") && !hash.is_of(""));
        assert_ne!(hash, PasswordHash::of("correct horse", [8; 16]).unwrap(), "a salt makes each its own");
    }

    #[test]
    fn nobody_is_shown_it() {
        let hash = PasswordHash::new(CHEAP);
        assert!(!format!("{hash:?}").contains("argon2"));
        assert_eq!(serde_json::to_string(&hash).unwrap(), "\"(hidden)\"");
    }

    #[test]
    fn what_costs_too_much_or_is_none_is_a_mistake_and_matches_nothing() {
        let whole = "c2FsdHNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        for (text, words) in [
            ("", "empty"),
            ("hunter2", "a password itself"),
            ("$2y$10$abcdefghijklmnopqrstuv", "another kind"),
            ("$argon2id$v=19$m=19456", "first comma"),
            (CHEAP, "damaged"),
            ("$argon2id", "damaged"),
            (&format!("$argon2xx$v=19$m=8,t=1,p=1${whole}"), "does not know"),
            (&format!("$argon2id$v=20$m=8,t=1,p=1${whole}"), "does not know"),
            (&format!("$argon2id$v=19$m=4194304,t=1,p=1${whole}"), "`m=4194304`"),
            (&format!("$argon2id$v=19$m=8,t=4000000000,p=1${whole}"), "`t=4000000000`"),
            (&format!("$argon2id$v=19$m=800,t=1,p=99${whole}"), "`p=99`"),
        ] {
            let hash = PasswordHash::new(text);
            let mistake = hash.mistake().unwrap_or_else(|| panic!("{text} is taken"));
            assert!(mistake.what.contains(words), "{text}: {}", mistake.what);
            assert!(!hash.is_of("hunter2"));
        }
        assert_eq!(PasswordHash::new(format!("$argon2id$v=19$m=8,t=1,p=1${whole}")).mistake(), None);
    }
}
