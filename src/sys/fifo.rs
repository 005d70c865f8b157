//! FIFOs of other programs: whoever reads one is there as long as it can be opened for writing.

use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::path::Path;

/// Opens a FIFO for writing, without waiting for a reader. Anything else in its place counts as not there.
///
/// # Errors
/// `NXIO` if nobody reads it; `NOENT` if it is not there.
pub fn open_to_write(path: &Path) -> Result<OwnedFd, Errno> {
    let fifo = open(path, OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
    match FileType::from_raw_mode(fstat(&fifo)?.st_mode) {
        FileType::Fifo => Ok(fifo),
        _ => Err(Errno::NOENT),
    }
}
