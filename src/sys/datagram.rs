//! Datagrams of unix sockets, with the kernel's word on who sent them.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

/// A datagram that has come.
#[derive(Debug)]
pub struct Datagram {
    /// How much of the buffer it fills.
    pub length: usize,
    /// The buffer was too short for it.
    pub cut: bool,
    /// Who sent it. Nothing without `SO_PASSCRED`, and of a process outside of our pid namespace, which has no pid here.
    pub sender: Option<Sender>,
    /// Descriptors that came with it. Those for which there is no room are closed by the kernel.
    pub descriptors: Vec<OwnedFd>,
}

/// Who sent a datagram. Only root can name another process or user than its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sender {
    /// Its pid.
    pub pid: u32,
    /// Its user.
    pub uid: u32,
}

/// Room for a sender and a few descriptors; aligned as the kernel's headers are.
#[repr(C, align(8))]
struct Control([u8; 64]);

/// Takes the next datagram of a socket, if there is one: [`io::ErrorKind::WouldBlock`] otherwise.
///
/// rustix has this too, but reads the sender's pid, which is 0 for one outside of our pid namespace, into a type that holds
/// no 0.
#[allow(unsafe_code)]
#[allow(clippy::unnecessary_cast, reason = "with musl some lengths have another type")]
pub fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<Datagram> {
    let mut control = Control([0; 64]);
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: `msghdr` is plain data for which all zeroes is a value.
    let mut head: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    (head.msg_iov, head.msg_iovlen) = (&raw mut part, 1);
    (head.msg_control, head.msg_controllen) = ((&raw mut control).cast(), size_of::<Control>() as _);
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: the head points to `buffer` and `control`, with their lengths, and both outlive the call.
    let length = unsafe { libc::recvmsg(socket.as_fd().as_raw_fd(), &raw mut head, flags) };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
    let (mut sender, mut descriptors) = (None, Vec::new());
    // SAFETY: the kernel has left whole messages in `control` and their total length in the head; the macros stay within it.
    // Each descriptor is new and ours alone.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(&raw const head);
        while let Some(about) = message.as_ref() {
            let data = libc::CMSG_DATA(message);
            let size = (about.cmsg_len as usize).saturating_sub(libc::CMSG_LEN(0) as usize);
            if about.cmsg_level == libc::SOL_SOCKET && about.cmsg_type == libc::SCM_RIGHTS {
                for i in 0..size / size_of::<RawFd>() {
                    let descriptor = ptr::read_unaligned(data.cast::<RawFd>().add(i));
                    descriptors.push(OwnedFd::from_raw_fd(descriptor));
                }
            } else if about.cmsg_level == libc::SOL_SOCKET
                && about.cmsg_type == libc::SCM_CREDENTIALS
                && size >= size_of::<libc::ucred>()
            {
                let told: libc::ucred = ptr::read_unaligned(data.cast());
                let pid = u32::try_from(told.pid).ok().filter(|pid| *pid != 0);
                sender = pid.map(|pid| Sender { pid, uid: told.uid });
            }
            message = libc::CMSG_NXTHDR(&raw const head, message);
        }
    }
    Ok(Datagram { length, cut: head.msg_flags & libc::MSG_TRUNC != 0, sender, descriptors })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::sockopt::set_socket_passcred;
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    use std::fs::File;
    use std::io::IoSlice;
    use std::os::unix::net::UnixDatagram;

    fn pair() -> (UnixDatagram, UnixDatagram) {
        let (to, from) = UnixDatagram::pair().unwrap();
        set_socket_passcred(&from, true).unwrap();
        (to, from)
    }

    #[test]
    fn the_sender_is_told_and_what_is_too_long_is_cut() {
        let (to, from) = pair();
        let us = Sender { pid: std::process::id(), uid: rustix::process::getuid().as_raw() };
        let mut buffer = [0; 8];
        assert_eq!(receive(&from, &mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        for (sent, length, cut) in [("", 0, false), ("12345678", 8, false), ("123456789", 8, true)] {
            to.send(sent.as_bytes()).unwrap();
            let got = receive(&from, &mut buffer).unwrap();
            assert_eq!((got.length, got.cut, got.sender), (length, cut, Some(us)), "{sent}");
            assert!(got.descriptors.is_empty());
        }
    }

    /// Some are handed over, the rest is closed by the kernel: no more than these can ever be open here.
    #[test]
    fn descriptors_come_with_it_and_surplus_ones_are_closed() {
        let (to, from) = pair();
        let file = File::open("/dev/null").unwrap();
        for count in [1, 2, 3, 200] {
            let descriptors = vec![file.as_fd(); count];
            let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(200))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
            sendmsg(&to, &[IoSlice::new(b"x")], &mut control, SendFlags::empty()).unwrap();
            let got = receive(&from, &mut [0; 8]).unwrap();
            assert!(!got.descriptors.is_empty() && got.descriptors.len() <= count.min(6), "{got:?}");
            assert!(got.sender.is_some());
            for descriptor in got.descriptors {
                assert!(rustix::io::fcntl_getfd(&descriptor).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
            }
        }
    }
}
