//! The page: where it is, and who may see it. A function for each key that is more than a word.

use super::diagnostic::{Diagnostic, Place, nearest, quoted};
use super::keys::is_name_with;
use super::plan::Builder;
use super::tree::{Key, Node, Value};
use crate::model::{Dashboard, Mistake, PasswordHash, Proxy, Role, Secret, Token, User};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;

const KEYS: &[&str] = &["listen", "url", "hosts", "users", "tokens", "tls", "proxy", "status"];
/// What the names of users and tokens may have beside letters and digits: they may be addresses of mail.
const NAME_SIGNS: &str = "._-@+";
/// The shortest secret of a token, and the longest, in characters.
const TOKEN_LENGTH: RangeInclusive<usize> = 20..=512;
const ROLES: &str = "a `role` is `viewer`, who looks, `operator`, who also steers, or `admin`";
const TOKEN: &str = "`minder passwd --token` makes one; put it into a file that only minder can read: `secret: { file: \
                     /etc/minder/NAME.token }`";

/// Whether this can be the name of a user or a token.
pub fn is_name_of_user(name: &str) -> bool {
    is_name_with(name, NAME_SIGNS)
}

impl<'a> Builder<'a> {
    pub(super) fn dashboard(&mut self, node: &'a Node) -> Dashboard {
        let mut dashboard = Dashboard::default();
        let Some(entries) = self.map(node, "`dashboard`") else { return dashboard };
        self.known_keys(entries, "`dashboard`", KEYS, &[]);
        if let Some((key, _)) = node.get("url") {
            dashboard.url = self.value(node, "url");
            self.mistakes(node, key.place, dashboard.mistakes());
        }
        self.users(node, &mut dashboard);
        self.tokens(node, &mut dashboard);
        self.proxy(node, &mut dashboard);
        self.door(node, &mut dashboard);
        dashboard.status = self.status_page(node, dashboard.listen);
        dashboard
    }

    /// Who may sign in.
    fn users(&mut self, node: &'a Node, dashboard: &mut Dashboard) {
        let Some((_, users)) = node.get("users") else { return };
        let by_proxy = node.get("proxy").is_some_and(|(_, proxy)| proxy.get("user").is_some());
        let Some(users) = self.names(users, "users", "a user") else { return };
        for (key, node) in users {
            if self.well_named(&key.text, key.place, "a user", NAME_SIGNS)
                && let Some(user) = self.user(key, node, by_proxy)
            {
                dashboard.users.insert(key.text.clone(), user);
            }
        }
    }

    /// A map of names.
    fn names(&mut self, node: &'a Node, key: &str, what: &str) -> Option<&'a [(Key, Node)]> {
        if let Value::Map(entries) = &node.value {
            return Some(entries);
        }
        let message = format!("expected a map under `{key}`, found {}", node.describe());
        let help = format!("each entry is the name of {what}, then its keys");
        self.found.push(Diagnostic::new(node.place, message).help(help));
        None
    }

    fn user(&mut self, key: &Key, node: &Node, by_proxy: bool) -> Option<User> {
        let Value::Map(entries) = &node.value else {
            let what = format!("expected `password` and `role` of the user {}", quoted(&key.text));
            // It may be a password.
            self.found.push(concealed(Diagnostic::new(node.place, what)).help(ROLES));
            return None;
        };
        // What a hash falls into within `{ }` is told of where it begins.
        let whole = entries.iter().filter(|(key, _)| !is_rest_of_hash(key));
        self.known_keys(whole, "a user", &["password", "role"], &[]);
        let role = self.role(key, node);
        let password = match node.get("password") {
            Some((_, text)) => Some(self.password(text)?),
            None if by_proxy => None,
            None => {
                let what = format!("the user {} cannot sign in: the key `password` is missing", quoted(&key.text));
                let help = "add `password: \"..\"` as `minder passwd` prints it; or `proxy: { from: [127.0.0.1], user: \
                            Remote-User }`, if a proxy in front of the page signs people in";
                self.found.push(Diagnostic::new(key.place, what).help(help));
                return None;
            }
        };
        Some(User { password, role: role? })
    }

    fn password(&mut self, node: &Node) -> Option<PasswordHash> {
        let hash = node.text().map(PasswordHash::new);
        let mistake = match &hash {
            Some(hash) => hash.mistake(),
            None => {
                let what = "expected the argon2 hash of a password";
                Some(
                    Mistake::new(&[], what).help("write it as `minder passwd` prints it: `password: \"$argon2id$..\"`"),
                )
            }
        };
        let Some(mistake) = mistake else { return hash };
        let mut diagnostic = concealed(Diagnostic::new(node.place, mistake.what));
        diagnostic.help.extend(mistake.help);
        self.found.push(diagnostic);
        None
    }

    /// What a user or a token may do.
    fn role(&mut self, key: &Key, node: &Node) -> Option<Role> {
        let Some((_, role)) = node.get("role") else {
            let what = format!("it is not said what {} may do: the key `role` is missing", quoted(&key.text));
            self.found.push(Diagnostic::new(key.place, what).help(ROLES));
            return None;
        };
        let found = Role::ALL.into_iter().find(|known| role.text() == Some(known.word()));
        if found.is_none() {
            let meant = role.text().and_then(|text| nearest(text, Role::ALL.map(Role::word)));
            let what = match role.text() {
                Some(text) => format!("{} is no role", quoted(text)),
                None => format!("expected a role, found {}", role.describe()),
            };
            let diagnostic = Diagnostic::new(role.place, what);
            self.found.push(match meant {
                Some(meant) => diagnostic.help(format!("did you mean `{meant}`? ({ROLES})")),
                None => diagnostic.help(ROLES),
            });
        }
        found
    }

    /// The programs that may ask.
    fn tokens(&mut self, node: &'a Node, dashboard: &mut Dashboard) {
        let Some((_, tokens)) = node.get("tokens") else { return };
        let Some(tokens) = self.names(tokens, "tokens", "a token") else { return };
        let mut given: BTreeMap<String, Place> = BTreeMap::new();
        for (key, node) in tokens {
            if !self.well_named(&key.text, key.place, "a token", NAME_SIGNS) {
                continue;
            }
            if dashboard.users.contains_key(&key.text) {
                let what = format!("{} is the name of a user already", quoted(&key.text));
                let help = "the record of who did what names both: give the program a name of its own";
                self.found.push(Diagnostic::new(key.place, what).help(help));
            }
            let Some(entries) = self.map(node, "a token") else { continue };
            self.known_keys(entries, "a token", &["secret", "role"], &[]);
            let role = self.role(key, node);
            let Some((word, secret)) = node.get("secret") else {
                let what = format!("the token {} has no secret: the key `secret` is missing", quoted(&key.text));
                self.found.push(Diagnostic::new(key.place, what).help(TOKEN));
                continue;
            };
            let Some(mut read) = self.read::<Secret>(word, secret) else { continue };
            self.resolve_given(secret, &mut read.0);
            // One that was not found has been reported, and is empty.
            let text = read.0.expose();
            if !text.is_empty() {
                if let Some(what) = token_mistake(text) {
                    self.found.push(Diagnostic::new(secret.place, what).help(TOKEN));
                } else if let Some(first) = given.insert(text.to_owned(), secret.place) {
                    let diagnostic = Diagnostic::new(secret.place, "two tokens have this secret").label("second");
                    self.found.push(diagnostic.also(first, "first").help("it says who asks: give each its own"));
                }
            }
            if let Some(role) = role {
                dashboard.tokens.insert(key.text.clone(), Token { secret: read, role });
            }
        }
    }

    /// What stands in front of the page.
    fn proxy(&mut self, node: &'a Node, dashboard: &mut Dashboard) {
        let Some((key, node)) = node.get("proxy") else { return };
        let Some(entries) = self.map(node, "`proxy`") else { return };
        self.known_keys(entries, "`proxy`", &["from", "user", "address"], &[]);
        let from = match node.get("from") {
            Some((_, from)) => self.proxy_addresses(from),
            None => {
                let what = "it is not said where the proxy connects from: the key `from` is missing";
                let help = "anybody could send its headers: add its address, `from: [127.0.0.1]`";
                self.found.push(Diagnostic::new(key.place, what).help(help));
                Vec::new()
            }
        };
        let (user, address) = (self.header(node, "user"), self.header(node, "address"));
        if node.get("user").is_none() && node.get("address").is_none() {
            let what = "nothing of this proxy is believed: `user` and `address` are missing";
            let help = "add `address: X-Forwarded-For`, where it says who asks it; or `user: Remote-User`, if it signs people in";
            self.found.push(Diagnostic::new(key.place, what).help(help));
        }
        if let (Some(user), Some(address)) = (&user, &address)
            && user.eq_ignore_ascii_case(address)
            && let Some((_, node)) = node.get("address")
        {
            let what = "a header cannot be both the name of the user and the address";
            self.found.push(Diagnostic::new(node.place, what));
        }
        if let (Some(_), Some((key, _)), true) = (&user, node.get("user"), dashboard.users.is_empty())
            && self.found.is_empty()
        {
            let what = "nobody can come through this proxy: there are no `users`";
            let help = "name those whom it signs in, with what they may do: `users: { alice: { role: operator } }`";
            self.found.push(Diagnostic::new(key.place, what).help(help));
        }
        dashboard.proxy = Some(Proxy { from, user, address });
    }

    fn proxy_addresses(&mut self, from: &Node) -> Vec<IpAddr> {
        let Value::Seq(items) = &from.value else {
            let message = format!("expected a list of addresses, found {}", from.describe());
            self.found.push(Diagnostic::new(from.place, message).help("write, for example, `from: [127.0.0.1]`"));
            return Vec::new();
        };
        if items.is_empty() {
            let diagnostic = Diagnostic::new(from.place, "this list is empty, and so no proxy is believed");
            self.found.push(diagnostic.help("write, for example, `from: [127.0.0.1]`"));
        }
        let mut addresses = Vec::new();
        for item in items {
            match item.text().map(str::parse::<IpAddr>) {
                Some(Ok(address)) if !address.is_unspecified() && !address.is_multicast() => {
                    addresses.push(address.to_canonical());
                }
                Some(Ok(_)) => {
                    let what = format!("nobody connects from {}", item.describe());
                    self.found.push(Diagnostic::new(item.place, what).help("write the address of the proxy itself"));
                }
                _ => {
                    let what = format!("expected an address, found {}", item.describe());
                    let help = "write the address that the proxy connects from, such as `127.0.0.1` or `10.0.0.7`: each \
                                by itself, without a port; no name, no network";
                    self.found.push(Diagnostic::new(item.place, what).help(help));
                }
            }
        }
        addresses
    }

    /// The name of a header.
    fn header(&mut self, node: &Node, name: &str) -> Option<String> {
        let (_, header) = node.get(name)?;
        let text = header.text().unwrap_or_default();
        let is_name = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
        if (1..=100).contains(&text.len()) && text.bytes().all(is_name) {
            return Some(text.to_owned());
        }
        let example = if name == "user" { "Remote-User" } else { "X-Forwarded-For" };
        let what = format!("expected the name of a header, found {}", header.describe());
        self.found.push(Diagnostic::new(header.place, what).help(format!("write, for example, `{name}: {example}`")));
        None
    }
}

fn concealed(diagnostic: Diagnostic) -> Diagnostic {
    Diagnostic { conceal: true, ..diagnostic }
}

/// What is wrong with the secret of a token, if anything. It is not repeated.
fn token_mistake(text: &str) -> Option<String> {
    if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b)) {
        let what = "a token goes into a header: letters, digits and `-._~+/=`, nothing else";
        return Some(what.to_owned());
    }
    let (least, most) = (TOKEN_LENGTH.start(), TOKEN_LENGTH.end());
    let what = format!("this token has {} characters, and a token needs {least} to {most}", text.len());
    (!TOKEN_LENGTH.contains(&text.len())).then_some(what)
}

/// A key that is none: within `{ }`, without quotes, each comma of a hash begins one.
fn is_rest_of_hash(key: &Key) -> bool {
    key.text.starts_with("t=") || key.text.starts_with("p=")
}

/// Where the hashes of passwords stand in a file, or may stand: they are not drawn.
pub(super) fn passwords(tree: &Node) -> Vec<Place> {
    let Some((_, users)) = tree.get("dashboard").and_then(|(_, dashboard)| dashboard.get("users")) else {
        return Vec::new();
    };
    let Value::Map(users) = &users.value else { return Vec::new() };
    let mut places = Vec::new();
    for (_, user) in users {
        let Value::Map(entries) = &user.value else {
            places.push(user.place);
            continue;
        };
        for (key, node) in entries {
            if is_rest_of_hash(key) {
                places.push(key.place);
            } else if key.text != "role" {
                // Also behind a key that is misspelt.
                places.push(node.place);
            }
        }
    }
    places
}
