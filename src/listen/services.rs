//! Services under runit, s6 and daemontools. Each has a status file, which [`Files`] watches; here is what no file tells: that
//! the supervisor itself has gone, and the events of s6.

use super::FIRST_SERVICE;
use super::files::Files;
use crate::model::controls::ControlSpec;
use crate::model::{CheckId, GivenUp, Input};
use crate::sys::{careful, fifo, limits};
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, fchown, fstat, mknodat, openat, renameat, unlink, unlinkat};
use rustix::io::Errno;
use rustix::process::{geteuid, getpid};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedSender;

/// The end of the names of our FIFOs, by which a later minder knows them; s6 wants six characters.
const OURS: &str = ":minder";
/// The begin of the names of all FIFOs that s6-supervise writes its events into.
const EVENTS: &str = "ftrig1:@";

/// Files in a directory of events that are looked at for what a dead minder has left.
const MOST_LEFT: usize = 1000;

/// The services that are watched.
pub(super) struct Services {
    inputs: UnboundedSender<Input>,
    epoll: Arc<OwnedFd>,
    given_up: GivenUp,
    watched: HashMap<CheckId, Watched>,
    numbers: HashMap<u64, CheckId>,
    next: u64,
    noted: bool,
}

struct Watched {
    service: PathBuf,
    is_s6: bool,
    /// What s6 wanted before a service was down for good.
    was_wanted: bool,
    /// A FIFO of which the supervisor alone keeps the other end: an error of ours is its death.
    presence: Option<(u64, OwnedFd)>,
    events: Option<(u64, Events)>,
}

impl Watched {
    /// Once s6 has given a service up it is down and not wanted, as one that an operator has taken down. What tells them apart
    /// is what was wanted as long as it was not down for good.
    fn note_wanted(&mut self) {
        if !self.is_s6 {
            return;
        }
        let mut bytes = Vec::new();
        let status = careful::open_regular(&self.service.join("supervise/status"));
        let Ok(length) = status.and_then(|status| status.take(64).read_to_end(&mut bytes)) else { return };
        // See `control/s6.rs`.
        if let (35 | 43, Some(flags)) = (length, bytes.last()) {
            let (has_process, wanted) = (bytes[24..32] != [0; 8], flags & 4 != 0);
            if has_process || wanted {
                self.was_wanted = wanted;
            }
        }
    }
}

impl Services {
    pub(super) fn new(inputs: UnboundedSender<Input>, epoll: Arc<OwnedFd>, given_up: GivenUp) -> Services {
        let (watched, numbers) = Default::default();
        Services { inputs, epoll, given_up, watched, numbers, next: FIRST_SERVICE, noted: false }
    }

    pub(super) fn watch(&mut self, check: CheckId, control: &ControlSpec, files: &mut Files) {
        self.forget(check);
        let Some(service) = control.service_dir() else { return };
        // daemontools-encore writes over it.
        let in_place = matches!(control, ControlSpec::Daemontools(_));
        files.watch(check, &service.join("supervise/status"), in_place);
        let is_s6 = matches!(control, ControlSpec::S6(_));
        self.watched.insert(check, Watched { service, is_s6, was_wanted: false, presence: None, events: None });
        self.look_again(check);
    }

    pub(super) fn forget(&mut self, check: CheckId) {
        let Some(watched) = self.watched.remove(&check) else { return };
        if let Some(presence) = watched.presence {
            self.close(&presence);
        }
        if let Some((number, events)) = watched.events {
            self.numbers.remove(&number);
            let _ = epoll::delete(&*self.epoll, &events.fifo);
        }
    }

    fn close(&mut self, (number, fifo): &(u64, OwnedFd)) {
        self.numbers.remove(number);
        // Closing alone would not do while a child that is being started holds a copy.
        let _ = epoll::delete(&*self.epoll, fifo);
    }

    /// Its status has changed: its supervisor may be there now, if it was not.
    pub(super) fn look_again(&mut self, check: CheckId) {
        let Some(mut watched) = self.watched.remove(&check) else { return };
        watched.note_wanted();
        if let Err(e) = self.arm(check, &mut watched) {
            self.note(e);
        }
        self.watched.insert(check, watched);
    }

    /// Takes hold of what is not held yet. What is not there is no error: it is tried again when the status changes.
    fn arm(&mut self, check: CheckId, watched: &mut Watched) -> Result<(), Errno> {
        if watched.presence.is_none() {
            let path = watched.service.join(if watched.is_s6 { "supervise/control" } else { "supervise/ok" });
            // Whoever may not do this may not ask the control either, and is told so there.
            let Ok(Some(fifo)) = is_there(fifo::open_to_write(&path)) else { return Ok(()) };
            let number = self.add(check, &fifo, EventFlags::ONESHOT)?;
            watched.presence = Some((number, fifo));
        }
        if let (true, None, Some((_, presence))) = (watched.is_s6, &watched.events, &watched.presence) {
            let supervisor = fstat(presence)?.st_uid;
            let Some(events) = is_there(Events::make(&watched.service.join("event"), check, supervisor))? else {
                return Ok(());
            };
            let number = self.add(check, &events.fifo, EventFlags::IN)?;
            watched.events = Some((number, events));
        }
        Ok(())
    }

    fn add(&mut self, check: CheckId, fifo: &OwnedFd, flags: EventFlags) -> Result<u64, Errno> {
        if limits::is_scarce(fifo.as_raw_fd()) {
            return Err(Errno::MFILE);
        }
        epoll::add(&*self.epoll, fifo, EventData::new_u64(self.next), flags)?;
        self.numbers.insert(self.next, check);
        self.next += 1;
        Ok(self.next - 1)
    }

    /// Something has come through the FIFO with this number. Says whose it is.
    pub(super) fn heard(&mut self, number: u64) -> Option<CheckId> {
        let check = *self.numbers.get(&number)?;
        let watched = self.watched.get_mut(&check)?;
        watched.note_wanted();
        match &watched.events {
            Some((events, Events { fifo, .. })) if *events == number => {
                // Whoever floods it is soon read up to here.
                let mut letters = [0; 4096];
                let length = rustix::io::read(fifo, &mut letters).unwrap_or(0);
                for letter in &letters[..length] {
                    match letter {
                        // Its finish script has said that it is not worth another try; as it may also after an operator has
                        // taken it down.
                        b'O' => self.given_up.set(&watched.service, watched.was_wanted),
                        // The supervisor, or the service, has been started, or has died.
                        b's' | b'u' | b'd' => self.given_up.set(&watched.service, false),
                        _ => {}
                    }
                }
            }
            _ => {
                if let Some(presence) = watched.presence.take() {
                    self.close(&presence);
                }
                // Another one may have taken its place already.
                self.look_again(check);
            }
        }
        Some(check)
    }

    fn note(&mut self, e: Errno) {
        if !std::mem::replace(&mut self.noted, true) {
            let why = match e {
                Errno::MFILE | Errno::NFILE => "too many files are open".to_owned(),
                e => e.to_string(),
            };
            let words = format!("not all that supervisors tell is heard at once, but by polling: {why}");
            let _ = self.inputs.send(Input::Noted(words.into()));
        }
    }
}

/// Nothing if it is not there.
fn is_there<T>(found: Result<T, Errno>) -> Result<Option<T>, Errno> {
    match found {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::NXIO) => Ok(None),
        other => other.map(Some),
    }
}

/// A FIFO of ours in a directory of events: s6-supervise writes a letter into each that is there whenever something changes. It
/// removes those that nobody reads.
struct Events {
    fifo: OwnedFd,
    path: PathBuf,
}

impl Events {
    /// Makes it under a name that is passed over, and renames it when it can be written into. The directory may belong to
    /// many, and what is heard is believed, so only the user of the supervisor may write. No link of another's leads there, and
    /// all is done in the directory that was found, whatever comes into its place.
    fn make(directory: &Path, check: CheckId, supervisor: u32) -> Result<Events, Errno> {
        let found = careful::find(directory).map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?;
        if !found.way.is_of(supervisor) {
            return Err(Errno::XDEV);
        }
        remove_left(directory);
        let name = format!("{EVENTS}{:08x}{:016x}{OURS}", getpid().as_raw_nonzero(), check.0);
        let (hidden, path) = (format!(".{name}"), directory.join(&name));
        let at = &found.entry;
        mknodat(at, &hidden, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
        let ready = || {
            // Both ends are ours, so that it has a reader as long as we live, and is never at its end.
            let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let fifo = openat(at, &hidden, flags, Mode::empty())?;
            let found = fstat(&fifo)?;
            let us = geteuid();
            let is_fifo = FileType::from_raw_mode(found.st_mode) == FileType::Fifo;
            // With a second name it may be one of ours elsewhere, that is not to be given away.
            if !is_fifo || found.st_uid != us.as_raw() || found.st_nlink != 1 {
                return Err(Errno::PERM);
            }
            if supervisor != us.as_raw() {
                fchown(&fifo, Some(rustix::fs::Uid::from_raw(supervisor)), None)?;
            }
            renameat(at, &hidden, at, &name)?;
            Ok(fifo)
        };
        match ready() {
            Ok(fifo) => Ok(Events { fifo, path }),
            Err(e) => {
                let _ = unlinkat(at, &hidden, AtFlags::empty());
                Err(e)
            }
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let _ = unlink(&self.path);
    }
}

/// Removes the FIFOs of a minder that was killed: nobody reads them.
fn remove_left(directory: &Path) {
    let is_ours = |name: &OsStr| {
        let name = name.to_str().unwrap_or_default();
        name.trim_start_matches('.').starts_with(EVENTS) && name.ends_with(OURS)
    };
    for entry in std::fs::read_dir(directory).into_iter().flatten().take(MOST_LEFT).flatten() {
        if is_ours(&entry.file_name()) && fifo::open_to_write(&entry.path()).is_err_and(|e| e == Errno::NXIO) {
            let _ = unlink(entry.path());
        }
    }
}
