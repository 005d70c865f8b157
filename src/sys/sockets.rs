//! Listening sockets, as `/proc/net/tcp` and `tcp6` list them (Linux, `Documentation/networking/proc_net_tcp.rst`).

use super::proc;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The state `TCP_LISTEN`.
const LISTEN: &str = "0A";

/// As much of a table is read to find one that listens: these come first.
const TABLE: u64 = 1 << 20;

/// A socket that listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener {
    /// Where.
    pub address: SocketAddr,
    /// As whom it was made.
    pub user: u32,
    /// Its inode.
    pub inode: u64,
}

/// The sockets of such a table that listen.
pub fn listening(table: &str) -> Vec<Listener> {
    table.lines().skip(1).filter_map(line).collect()
}

/// The user whose socket takes connections at this address of this machine.
pub fn user_at(address: SocketAddr) -> Option<u32> {
    let tables = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];
    let tables = tables.map(|path| proc::read_path(path, TABLE).unwrap_or_default());
    let all = tables.iter().flat_map(|table| listening(&String::from_utf8_lossy(table)));
    user_among(all, address)
}

/// The one at the very address has the connection, before those at all addresses.
fn user_among(all: impl Iterator<Item = Listener>, address: SocketAddr) -> Option<u32> {
    let ip = address.ip().to_canonical();
    let takes = |one: &Listener| {
        one.address.port() == address.port() && (one.address.ip() == ip || one.address.ip().is_unspecified())
    };
    let first = all.filter(takes).min_by_key(|one| (one.address.ip() != ip, one.address.is_ipv4() != ip.is_ipv4()))?;
    Some(first.user)
}

fn line(line: &str) -> Option<Listener> {
    let mut fields = line.split_ascii_whitespace();
    let address = fields.nth(1)?;
    if fields.nth(1)? != LISTEN {
        return None;
    }
    let (user, inode) = (fields.nth(3)?.parse().ok()?, fields.nth(1)?.parse().ok()?);
    let (ip, port) = address.split_once(':')?;
    let address = SocketAddr::new(ip_address(ip)?, u16::from_str_radix(port, 16).ok()?);
    Some(Listener { address, user, inode })
}

/// Each 32 bits of an address are written as a number of this machine, whose bytes are in network order.
fn ip_address(hex: &str) -> Option<IpAddr> {
    let word = |i: usize| u32::from_str_radix(hex.get(i * 8..i * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    match hex.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(0)?))),
        32 => {
            let mut bytes = [0; 16];
            for i in 0..4 {
                bytes[i * 4..i * 4 + 4].copy_from_slice(&word(i)?);
            }
            Some(IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical())
        }
        _ => None,
    }
}

/// Where one connects to what listens here, from the same machine; nothing if that needs an interface to be named.
pub fn reached_at(address: SocketAddr) -> Option<SocketAddr> {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unicast_link_local() => return None,
        ip => ip,
    };
    Some(SocketAddr::new(ip, address.port()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[cfg(target_endian = "little")]
    #[test]
    fn those_that_listen_are_found() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
                     0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000    33        0 4711 1 x\n   \
                     1: 0100007F:1F91 0100007F:0050 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 x\n   \
                     2: garbage\n\
                     3: 00000000000000000000000001000000:0016 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 9 1\n";
        let found = listening(table);
        let at = |address: &str, user, inode| Listener { address: address.parse().unwrap(), user, inode };
        assert_eq!(found, [at("127.0.0.1:8080", 33, 4711), at("[::1]:22", 0, 9)]);
    }

    #[test]
    fn whose_socket_takes_a_connection_is_known() {
        let all = [("[::]:80", 1), ("0.0.0.0:80", 2), ("127.0.0.1:80", 3), ("127.0.0.1:81", 4), ("[::]:82", 5)];
        let all = all.map(|(address, user)| Listener { address: address.parse().unwrap(), user, inode: 0 });
        let user = |address: &str| user_among(all.into_iter(), address.parse().unwrap());
        let table = ["127.0.0.1:80", "127.0.0.2:80", "[::1]:80", "127.0.0.1:81", "127.0.0.2:81", "127.0.0.1:82"];
        assert_eq!(table.map(user), [Some(3), Some(2), Some(1), Some(4), None, Some(5)]);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let own = rustix::process::geteuid().as_raw();
        assert_eq!(user_at(listener.local_addr().unwrap()), Some(own));
    }

    #[test]
    fn what_listens_everywhere_is_reached_at_home() {
        let at = |text: &str| reached_at(text.parse().unwrap()).map(|address| address.to_string());
        assert_eq!(at("0.0.0.0:80").as_deref(), Some("127.0.0.1:80"));
        assert_eq!(at("[::]:80").as_deref(), Some("[::1]:80"));
        assert_eq!(at("192.0.2.1:80").as_deref(), Some("192.0.2.1:80"));
        assert_eq!(at("[fe80::1]:80"), None);
    }

    proptest! {
        #[test]
        fn any_table_is_survived(text in "\\PC{0,300}") {
            let _ = listening(&format!("head\n{text}"));
        }
    }
}
