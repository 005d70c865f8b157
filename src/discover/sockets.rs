//! Listening sockets, as `/proc/net/tcp` and `tcp6` list them (Linux, `Documentation/networking/proc_net_tcp.rst`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The state `TCP_LISTEN`.
const LISTEN: &str = "0A";

/// The sockets of such a table that listen, with their inodes.
pub(super) fn listening(table: &str) -> Vec<(SocketAddr, u64)> {
    table.lines().skip(1).filter_map(line).collect()
}

fn line(line: &str) -> Option<(SocketAddr, u64)> {
    let mut fields = line.split_ascii_whitespace();
    let address = fields.nth(1)?;
    if fields.nth(1)? != LISTEN {
        return None;
    }
    let inode = fields.nth(5)?.parse().ok()?;
    let (ip, port) = address.split_once(':')?;
    Some((SocketAddr::new(ip_address(ip)?, u16::from_str_radix(port, 16).ok()?), inode))
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
pub(super) fn reached_at(address: SocketAddr) -> Option<SocketAddr> {
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
                     0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 x\n   \
                     1: 0100007F:1F91 0100007F:0050 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 x\n   \
                     2: garbage\n\
                     3: 00000000000000000000000001000000:0016 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 9 1\n";
        let found = listening(table);
        assert_eq!(found, [("127.0.0.1:8080".parse().unwrap(), 4711), ("[::1]:22".parse().unwrap(), 9)]);
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
