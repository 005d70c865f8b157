//! What can be wrong with values beyond their types: URLs, addresses, names of headers.

use super::{Given, Source};

/// What is wrong with the keys of a check, notifier or control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Which key, from the outside in; empty for the whole.
    pub at: Vec<String>,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Mistake {
    /// A mistake at this key.
    pub fn new(at: &[&str], what: impl Into<String>) -> Mistake {
        Mistake { at: at.iter().map(|s| (*s).to_owned()).collect(), what: what.into(), help: None }
    }
    /// The same, with advice.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Mistake {
        Mistake { help: Some(help.into()), ..self }
    }
}

/// The name in `${NAME}`, `$NAME`, or what begins so.
fn variable(text: &str) -> &str {
    let name = text.trim_start_matches(['$', '{', '(']);
    let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(name.len());
    if end == 0 { "NAME" } else { &name[..end] }
}

/// What is wrong with a URL, if anything. Secret ones are not repeated.
pub(super) fn url_mistake(given: &Given, at: &[&str]) -> Option<Mistake> {
    if unresolved(given) {
        return None;
    }
    let shown = |given: &Given| if given.is_secret() { "the URL".to_owned() } else { format!("`{given}`") };
    match url::Url::parse(given.expose()) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") => Some(
            Mistake::new(at, format!("{} is not a URL of HTTP", shown(given)))
                .help("it must begin with `http://` or `https://`"),
        ),
        Ok(url) if !url.username().is_empty() || url.password().is_some() => Some(
            Mistake::new(at, "a name or password stands in the URL")
                .help("use `basic: { user: .., password: { env: NAME } }`"),
        ),
        Ok(_) => None,
        Err(_) if given.expose().starts_with('$') => Some(
            Mistake::new(at, "variables are not replaced within texts")
                .help(format!("write `{{ env: {} }}` in place of the whole text", variable(given.expose()))),
        ),
        Err(e) => Some(
            Mistake::new(at, format!("{} is not a URL: {e}", shown(given)))
                .help("write one such as `http://127.0.0.1:8080/health`"),
        ),
    }
}

/// What is wrong with a `host:port`, if anything.
pub(super) fn address_mistake(given: &Given, at: &[&str]) -> Option<Mistake> {
    if unresolved(given) {
        return None;
    }
    let text = given.expose();
    let shown = if given.is_secret() { "the address".to_owned() } else { format!("`{}`", text.escape_debug()) };
    let Some((host, port)) = text.rsplit_once(':') else {
        return Some(
            Mistake::new(at, format!("{shown} has no port")).help("write `host:port`, such as `127.0.0.1:5432`"),
        );
    };
    if !port.parse::<u16>().is_ok_and(|p| p != 0) {
        return Some(
            Mistake::new(at, format!("the port of {shown} is not a number from 1 to 65535"))
                .help("write `host:port`, such as `127.0.0.1:5432`"),
        );
    }
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let good = match bare {
        Some(six) => six.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)),
    };
    if good {
        return None;
    }
    let mistake = Mistake::new(at, format!("{shown} does not name a host"));
    Some(if host.contains(':') {
        mistake.help(format!("an IPv6 address stands in brackets: `[{host}]:{port}`"))
    } else {
        mistake
    })
}

/// What is wrong with a name or address of a host, if anything.
pub(super) fn host_mistake(given: &Given, at: &[&str]) -> Option<Mistake> {
    let text = given.expose();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let named = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    if unresolved(given) || named || bare.parse::<std::net::IpAddr>().is_ok() {
        return None;
    }
    let shown = if given.is_secret() { "this".to_owned() } else { format!("`{}`", text.escape_debug()) };
    Some(
        Mistake::new(at, format!("{shown} is neither a name nor an address"))
            .help("write one such as `router.example.org` or `192.0.2.1`, without anything before or behind it"),
    )
}

/// What is wrong with the address of a server of DNS, if anything.
pub(super) fn server_mistake(given: &Given, at: &[&str]) -> Option<Mistake> {
    if unresolved(given) || super::kinds::Dns::server_address(given.expose()).is_some() {
        return None;
    }
    let shown = if given.is_secret() { "this".to_owned() } else { format!("`{}`", given.expose().escape_debug()) };
    Some(
        Mistake::new(at, format!("{shown} is not the address of a server"))
            .help("write one such as `192.0.2.53` or `192.0.2.53:5353`; a name would have to be looked up first"),
    )
}

/// What is wrong with a mail address, if anything.
pub(super) fn mail_mistake(given: &Given, at: &[&str]) -> Option<Mistake> {
    if unresolved(given) {
        return None;
    }
    let text = given.expose();
    let address = match text.split_once('<') {
        Some((_, rest)) => rest.strip_suffix('>').unwrap_or(""),
        None => text,
    };
    let good = address.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty()
            && !domain.is_empty()
            && !domain.contains('@')
            && address.bytes().all(|b| b.is_ascii_graphic() && !b"<>(),;:\\\"[]".contains(&b))
    });
    let shown = if given.is_secret() { "this".to_owned() } else { format!("`{}`", text.escape_debug()) };
    (!good)
        .then(|| Mistake::new(at, format!("{shown} is not a mail address")).help("write one such as `ops@example.org`"))
}

/// What is wrong with the name of an HTTP header, if anything.
pub(super) fn header_mistake(name: &str, at: &[&str]) -> Option<Mistake> {
    let good = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
    let mut path = at.to_vec();
    path.push(name);
    (!good).then(|| Mistake::new(&path, format!("`{}` cannot be the name of a header", name.escape_debug())))
}

/// A secret that was not found has been reported already, and is empty.
fn unresolved(given: &Given) -> bool {
    given.is_secret() && given.expose().is_empty() && *given.source() != Source::Literal
}
