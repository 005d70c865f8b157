//! People and programs that use the page: who they are, what they may do, and what they have done.

use super::{AbsPath, PasswordHash, Secret, Wall};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// What somebody may do. Each role may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look at everything.
    Viewer,
    /// Steer services and messages.
    Operator,
    /// Have the rules read anew, see who did what, and end other people's sessions.
    Admin,
}

impl Role {
    /// Every role, the least first.
    pub const ALL: [Role; 3] = [Role::Viewer, Role::Operator, Role::Admin];

    /// `viewer`
    pub fn word(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One who may sign in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// What `minder passwd` has made of the password. Nothing for one who comes through a proxy that has signed him in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<PasswordHash>,
    /// What he may do.
    pub role: Role,
}

/// A program that may ask with `Authorization: Bearer`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// What it must say.
    #[schemars(with = "serde_json::Value")]
    pub secret: Secret,
    /// What it may do.
    pub role: Role,
}

/// The files of a certificate. They are read anew when they change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServedTls {
    /// The certificate and those that vouch for it, in PEM.
    pub certificate: AbsPath,
    /// Its key, in PEM.
    pub key: AbsPath,
}

/// A proxy in front of the page, whose headers are believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Proxy {
    /// Where it connects from. Nobody else's headers are believed.
    #[schemars(with = "Vec<String>")]
    pub from: Vec<IpAddr>,
    /// The header in which it names the user that it has signed in, one of `users`: `Remote-User`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The header in which it names the address that a request came from, as its last one: `X-Forwarded-For`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// That somebody has signed in. The cookie itself is known to the browser alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The SHA-256 of the cookie's value, in hex.
    pub key: String,
    /// Who.
    pub user: String,
    /// When.
    pub began: Wall,
    /// When it was last used, to some minutes.
    pub used: Wall,
    /// The address that it was signed in from.
    pub from: String,
    /// What the browser calls itself, shortened.
    pub agent: String,
    /// The SHA-256 of the user's password hash at that time: with another password it is over.
    pub proof: String,
}

/// What somebody did, or tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Audit {
    /// Its number; 0 before it is recorded.
    #[serde(default)]
    pub id: u64,
    /// When.
    pub at: Wall,
    /// Who: a user, a token, `root`.
    pub who: String,
    /// From where: an address, or `socket`.
    pub from: String,
    /// What: `restart web`, `sign in`.
    pub what: String,
    /// Whether it was done.
    pub ok: bool,
    /// What came of it.
    pub words: String,
}
