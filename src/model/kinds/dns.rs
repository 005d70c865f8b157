//! `dns`: whether a name is answered for, and with what.

use super::{CheckKind, Mistake};
use crate::model::mistake::server_mistake;
use crate::model::{Dimension, Given, Metric};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The keys of a `dns` check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dns {
    /// The name to ask for; of a `PTR` record also the address whose name is asked for.
    pub name: String,
    /// What of it.
    #[serde(default, rename = "type")]
    pub record: DnsType,
    /// Whom to ask: `address` or `address:port`; the first server of `/etc/resolv.conf` where this is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<Given>,
    /// Answers that must be among those that come.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expect: Vec<String>,
}

/// A type of record (RFC 1035, 3596, 2782, 8659).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum DnsType {
    /// An IPv4 address.
    #[default]
    A,
    /// An IPv6 address.
    Aaaa,
    /// Another name of it.
    Cname,
    /// Where its mail goes.
    Mx,
    /// Who answers for it.
    Ns,
    /// The name of an address.
    Ptr,
    /// The head of its zone.
    Soa,
    /// Where a service of it is.
    Srv,
    /// Texts.
    Txt,
    /// Who may sign certificates for it.
    Caa,
}

impl DnsType {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            DnsType::A => "A",
            DnsType::Aaaa => "AAAA",
            DnsType::Cname => "CNAME",
            DnsType::Mx => "MX",
            DnsType::Ns => "NS",
            DnsType::Ptr => "PTR",
            DnsType::Soa => "SOA",
            DnsType::Srv => "SRV",
            DnsType::Txt => "TXT",
            DnsType::Caa => "CAA",
        }
    }

    /// An answer as a probe writes it: addresses in their shortest form, names in lower case and without the last point.
    pub fn canonical(self, answer: &str) -> String {
        let name = |word: &str| match word {
            "." => word.to_owned(),
            word => word.strip_suffix('.').unwrap_or(word).to_ascii_lowercase(),
        };
        match self {
            DnsType::A | DnsType::Aaaa => {
                answer.trim().parse::<IpAddr>().map_or_else(|_| answer.to_owned(), |address| address.to_string())
            }
            DnsType::Txt | DnsType::Caa => answer.to_owned(),
            _ => answer.split_whitespace().map(name).collect::<Vec<_>>().join(" "),
        }
    }
}

impl Dns {
    /// The name that the server is asked for: for that of an address, the one in which addresses are written backwards.
    pub fn asked_name(&self) -> String {
        match (self.record, self.name.parse()) {
            (DnsType::Ptr, Ok(IpAddr::V4(address))) => {
                let [a, b, c, d] = address.octets();
                format!("{d}.{c}.{b}.{a}.in-addr.arpa")
            }
            (DnsType::Ptr, Ok(IpAddr::V6(address))) => {
                let digits = address.octets().into_iter().rev().flat_map(|byte| [byte & 0xf, byte >> 4]);
                digits.map(|digit| format!("{digit:x}.")).chain(["ip6.arpa".to_owned()]).collect()
            }
            _ => self.name.clone(),
        }
    }

    /// `address`, or `address:port`; the port is 53 where it is missing.
    pub fn server_address(text: &str) -> Option<SocketAddr> {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        let address = bare.unwrap_or(text).parse().map(|address| SocketAddr::new(address, 53));
        address.or_else(|_| text.parse()).ok().filter(|server| server.port() != 0)
    }

    fn name_mistake(&self) -> Option<Mistake> {
        let name = self.name.as_str();
        let mistake = |what: String| Some(Mistake::new(&["name"], what));
        let shown = name.escape_debug();
        if let Ok(address) = name.parse::<IpAddr>() {
            return mistake(format!("`{address}` is an address, and no name"))
                .filter(|_| self.record != DnsType::Ptr)
                .map(|mistake| mistake.help("to ask for the name of an address, add `type: PTR`"));
        }
        if !name.is_ascii() {
            let mistake = mistake(format!("`{shown}` is not written as DNS knows it"));
            return match url::Host::parse(name) {
                Ok(host) => mistake.map(|mistake| mistake.help(format!("write `{host}`"))),
                Err(_) => mistake.map(|mistake| mistake.help("write it in letters, digits and `-`: `xn--..`")),
            };
        }
        let labels = name.strip_suffix('.').unwrap_or(name);
        let sign = |c: char| c.is_ascii_alphanumeric() || "-_*/".contains(c);
        let good = |label: &str| (1..=63).contains(&label.len()) && label.chars().all(sign);
        if name == "." || (labels.len() <= 253 && labels.split('.').all(good)) {
            return None;
        }
        mistake(format!("`{shown}` is not a name of DNS")).map(|mistake| {
            if name.contains("://") || name.contains(':') {
                mistake.help("write the name alone, such as `www.example.org`, and whom to ask as `server`")
            } else {
                mistake.help("write one such as `www.example.org`: points between parts of at most 63 letters, digits, `-` and `_`")
            }
        })
    }

    fn expect_mistakes(&self) -> impl Iterator<Item = Mistake> + '_ {
        self.expect.iter().enumerate().filter_map(|(i, expected)| {
            let (good, what) = match self.record {
                DnsType::A => (expected.parse::<Ipv4Addr>().is_ok(), "IPv4 addresses, such as `192.0.2.1`"),
                DnsType::Aaaa => (expected.parse::<Ipv6Addr>().is_ok(), "IPv6 addresses, such as `2001:db8::1`"),
                DnsType::Mx => {
                    (expected.split_whitespace().count() == 2, "a preference and a name: `10 mail.example.org`")
                }
                DnsType::Srv => (
                    expected.split_whitespace().count() == 4,
                    "priority, weight, port and name: `0 5 443 www.example.org`",
                ),
                _ => (!expected.trim().is_empty(), "never empty"),
            };
            let message = format!("`{}` can never be an answer", expected.escape_debug());
            let help = format!("answers of the type {} are {what}", self.record.name());
            (!good).then(|| Mistake::new(&["expect", &i.to_string()], message).help(help))
        })
    }
}

impl CheckKind for Dns {
    const NAME: &'static str = "dns";
    const SHORT: Option<&'static str> = Some("name");
    const DEFAULT: Option<&'static str> = Some("failed");
    const METRICS: &'static [Metric] = &[
        Metric::new("failed", Dimension::Flag, "no answer, an error, no such record, or not what is expected"),
        Metric::new("latency", Dimension::Time, "from the first question to the answer"),
        Metric::new("answers", Dimension::Text, "the answers, sorted and joined by a comma and a space"),
    ];

    fn givens(&mut self, f: &mut dyn FnMut(&mut Given)) {
        self.server.iter_mut().for_each(f);
    }

    fn mistakes(&self) -> Vec<Mistake> {
        let server = self.server.as_ref().and_then(|server| server_mistake(server, &["server"]));
        self.name_mistake().into_iter().chain(server).chain(self.expect_mistakes()).collect()
    }

    fn about(&self) -> String {
        let record = self.record.name();
        match &self.server {
            Some(server) => format!("{record} of {} from {server}", self.name),
            None => format!("{record} of {}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dns(keys: &str) -> Dns {
        serde_yaml::from_str(keys).unwrap()
    }

    #[test]
    fn addresses_are_asked_for_backwards() {
        assert_eq!(dns("{ name: 192.0.2.1, type: PTR }").asked_name(), "1.2.0.192.in-addr.arpa");
        let six = dns("{ name: '2001:db8::1f', type: PTR }").asked_name();
        assert_eq!(six, format!("f.1.{}8.b.d.0.1.0.0.2.ip6.arpa", "0.".repeat(22)));
        assert_eq!(dns("{ name: a.example, type: PTR }").asked_name(), "a.example");
    }

    #[test]
    fn servers_are_addresses() {
        for (text, server) in [
            ("192.0.2.1", Some("192.0.2.1:53")),
            ("192.0.2.1:5353", Some("192.0.2.1:5353")),
            ("::1", Some("[::1]:53")),
            ("[::1]", Some("[::1]:53")),
            ("[::1]:54", Some("[::1]:54")),
            ("ns.example", None),
            ("192.0.2.1:0", None),
            ("", None),
        ] {
            assert_eq!(Dns::server_address(text), server.map(|s| s.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn what_is_expected_may_be_written_in_other_ways() {
        assert_eq!(DnsType::Aaaa.canonical("2001:DB8:0::1"), "2001:db8::1");
        assert_eq!(DnsType::Mx.canonical("10  Mail.Example."), "10 mail.example");
        assert_eq!(DnsType::Ns.canonical("."), ".");
        assert_eq!(DnsType::Txt.canonical("v=spf1 -ALL."), "v=spf1 -ALL.");
    }

    #[test]
    fn odd_names_that_are_used_are_good() {
        for name in ["_sip._tcp.example.org.", ".", "*.example", "0/25.2.0.192.in-addr.arpa", "xn--bcher-kva.example"] {
            assert_eq!(dns(&format!("name: '{name}'")).mistakes(), [], "{name}");
        }
    }
}
