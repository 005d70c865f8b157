//! Ends of all processes of the machine, as its kernel announces them to root: the process events connector (the kernel's
//! Documentation/driver-api/connector.rst and `linux/cn_proc.h`).

use rustix::io::Errno;
use rustix::net::netlink::{CONNECTOR, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// A message is a netlink header of 16 bytes, one of the connector of 20, and the event. Of that: what has happened.
const WHAT: u8 = 36;
/// The thread that has ended.
const THREAD: u8 = WHAT + 16;
/// Its process.
const PROCESS: u8 = WHAT + 20;
/// How, as `waitpid` would say it.
const STATUS: u8 = WHAT + 24;

/// The announcements. Its descriptor is readable when there is one.
#[derive(Debug)]
pub struct ProcessExits(OwnedFd);

impl AsFd for ProcessExits {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl ProcessExits {
    /// Begins to listen. An error where we may not (others than root), or the kernel is built without it. In a pid namespace
    /// of its own nothing is ever heard.
    pub fn listen() -> io::Result<ProcessExits> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(CONNECTOR))?;
        only_exits_of_processes(&socket)?;
        bind(&socket, &SocketAddrNetlink::new(0, libc::CN_IDX_PROC))?;
        let [done, end] = 3u16.to_ne_bytes();
        let words = [
            // Length, type (a single message) and flags, number, sender.
            40,
            u32::from_ne_bytes([done, end, 0, 0]),
            0,
            0,
            // Whom it is for: the process events.
            libc::CN_IDX_PROC,
            libc::CN_VAL_PROC,
            0,
            0,
            // The length of what follows, and flags.
            4,
            libc::PROC_CN_MCAST_LISTEN,
        ];
        let message: Vec<u8> = words.iter().flat_map(|word: &u32| word.to_ne_bytes()).collect();
        send(&socket, &message, SendFlags::empty())?;
        Ok(ProcessExits(socket))
    }

    /// The next process that has ended, and its wait status. Nothing if there is none now; what came too fast is lost.
    pub fn next(&self) -> Option<(u32, i32)> {
        let mut buffer = [0u8; 256];
        loop {
            match recv(&self.0, &mut buffer[..], RecvFlags::empty()) {
                Ok((_, len)) => {
                    if let Some(exit) = parse(buffer.get(..len)?) {
                        return Some(exit);
                    }
                }
                Err(Errno::INTR | Errno::NOBUFS) => {}
                Err(_) => return None,
            }
        }
    }
}

fn parse(message: &[u8]) -> Option<(u32, i32)> {
    let word = |at: u8| Some(u32::from_ne_bytes(*message.get(usize::from(at)..)?.first_chunk()?));
    let (what, thread, process) = (word(WHAT)?, word(THREAD)?, word(PROCESS)?);
    (what == libc::PROC_EVENT_EXIT && thread == process).then(|| Some((process, word(STATUS)?.cast_signed())))?
}

/// Keeps the kernel from waking us for all that processes do besides ending, and for the ends of threads.
#[allow(unsafe_code)]
fn only_exits_of_processes(socket: &OwnedFd) -> io::Result<()> {
    // The kernel's filters read words as big-endian, whatever the machine is.
    let exit = u32::from_be_bytes(libc::PROC_EVENT_EXIT.to_ne_bytes());
    let step = |code: u32, yes: u8, no: u8, k: u32| libc::sock_filter { code: code as u16, jt: yes, jf: no, k };
    let (load, equal) = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, libc::BPF_JMP | libc::BPF_JEQ);
    let mut steps = [
        step(load, 0, 0, u32::from(WHAT)),
        step(equal | libc::BPF_K, 0, 5, exit),
        step(load, 0, 0, u32::from(THREAD)),
        step(libc::BPF_MISC | libc::BPF_TAX, 0, 0, 0),
        step(load, 0, 0, u32::from(PROCESS)),
        step(equal | libc::BPF_X, 0, 1, 0),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, u32::MAX),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
    ];
    let program = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
    // SAFETY: the kernel copies the program, and the steps that it points to, both of which live until the call has returned.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::testing::{Script, until};

    #[test]
    fn the_end_of_a_process_is_announced() {
        let exits = match ProcessExits::listen() {
            Ok(exits) => exits,
            Err(e) => return eprintln!("not tried: {e}"),
        };
        let mut script = Script::start("sh -c 'exit 3' & echo $!; sh -c 'kill -TERM $$' & echo $!; wait; sleep 4711");
        let (three, term) = (script.pid(), script.pid());
        let mut seen = Vec::new();
        until("both are announced", || {
            while let Some((pid, status)) = exits.next() {
                seen.extend([three, term].contains(&pid).then_some((pid, status)));
            }
            seen.len() == 2
        });
        seen.sort_unstable();
        let mut expected = [(three, 3 << 8), (term, 15)];
        expected.sort_unstable();
        assert_eq!(seen, expected);
    }

    #[test]
    fn whatever_else_is_said_is_passed_over() {
        assert_eq!(parse(&[]), None);
        assert_eq!(parse(&[0xff; 64]), None);
        let mut message = [0u8; 76];
        message[usize::from(WHAT)..][..4].copy_from_slice(&libc::PROC_EVENT_EXIT.to_ne_bytes());
        message[usize::from(THREAD)..][..4].copy_from_slice(&7u32.to_ne_bytes());
        assert_eq!(parse(&message), None, "a thread");
        message[usize::from(PROCESS)..][..4].copy_from_slice(&7u32.to_ne_bytes());
        assert_eq!(parse(&message), Some((7, 0)));
        assert_eq!(parse(&message[..60]), None);
    }
}
