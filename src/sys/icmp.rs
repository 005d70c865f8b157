//! Sockets for ICMP echo requests.

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with};
use std::ffi::{c_int, c_void};
use std::os::fd::{AsRawFd, OwnedFd};
use std::{io, ptr};

/// A socket that sends echo requests and receives their replies; it does not block.
#[derive(Debug)]
pub struct Echo {
    /// It can be connected, and what is sent and received are ICMP messages.
    pub socket: OwnedFd,
    /// It needs a capability, and receives every ICMP message that comes; the kernel fills in no identifier. Over IPv4, what
    /// it receives begins with the IP header. Otherwise the kernel keeps the sockets of all processes apart.
    pub raw: bool,
}

/// Why there is none.
#[derive(Debug)]
pub enum NoEcho {
    /// This process may have neither sort of socket.
    Forbidden,
    /// Something else.
    Other(io::Error),
}

/// Opens one: the sort that the system may grant to everybody (`net.ipv4.ping_group_range`), or a raw one.
pub fn open(six: bool) -> Result<Echo, NoEcho> {
    let (family, protocol) =
        if six { (AddressFamily::INET6, ipproto::ICMPV6) } else { (AddressFamily::INET, ipproto::ICMP) };
    let open = |sort| socket_with(family, sort, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, Some(protocol));
    let (socket, raw) = match open(SocketType::DGRAM) {
        Ok(socket) => (socket, false),
        // Containers may know no such sockets at all.
        Err(Errno::ACCESS | Errno::PERM | Errno::PROTONOSUPPORT) => match open(SocketType::RAW) {
            Ok(socket) => (socket, true),
            Err(Errno::ACCESS | Errno::PERM) => return Err(NoEcho::Forbidden),
            Err(e) => return Err(NoEcho::Other(e.into())),
        },
        Err(e) => return Err(NoEcho::Other(e.into())),
    };
    tell_errors(&socket, six).map_err(NoEcho::Other)?;
    Ok(Echo { socket, raw })
}

/// Has the kernel say so when a router answers that the host cannot be reached.
#[allow(unsafe_code)]
fn tell_errors(socket: &OwnedFd, six: bool) -> io::Result<()> {
    let (level, option) =
        if six { (libc::IPPROTO_IPV6, libc::IPV6_RECVERR) } else { (libc::IPPROTO_IP, libc::IP_RECVERR) };
    let on: c_int = 1;
    let value = ptr::from_ref(&on).cast::<c_void>();
    // SAFETY: the descriptor is open, and `value` points to an integer of the size that is passed.
    let set = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, value, size_of::<c_int>() as u32) };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
