//! The bare system calls that no library offers as we need them, and all unsafe code of minder. Imports nothing of ours.

pub mod accounts;
pub mod careful;
pub mod datagram;
pub mod deadline;
pub mod exits;
pub mod fifo;
pub mod icmp;
pub mod limits;
pub mod memory;
pub mod pidfd;
pub mod proc;
pub mod reap;
pub mod run;
pub mod sockets;
pub mod spawn;
pub mod systemd;
pub mod trust;
pub mod usage;
pub mod users;

#[cfg(test)]
pub mod testing;
