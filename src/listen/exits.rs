//! Ends of processes, by pidfd.

use super::FIRST_PROCESS;
use crate::model::{Exit, Identity, Input};
use crate::sys::{limits, pidfd, proc};
use rustix::event::epoll::{self, EventData, EventFlags};
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedSender;

/// The processes that are watched. How one ended is known from its zombie where we may look at it, and else, since Linux 6.15,
/// from the pidfd once its parent has reaped it.
pub(super) struct Exits {
    inputs: UnboundedSender<Input>,
    epoll: Arc<OwnedFd>,
    watched: HashMap<u64, Watched>,
    numbers: HashMap<Identity, u64>,
    next: u64,
    noted: bool,
}

struct Watched {
    identity: Identity,
    pidfd: OwnedFd,
    /// Its end has been told, but not how it ended: it is a zombie.
    told: bool,
}

impl Exits {
    pub(super) fn new(inputs: UnboundedSender<Input>, epoll: Arc<OwnedFd>) -> Exits {
        let (watched, numbers) = Default::default();
        Exits { inputs, epoll, watched, numbers, next: FIRST_PROCESS, noted: false }
    }

    pub(super) fn watch(&mut self, identity: Identity) {
        if self.numbers.contains_key(&identity) {
            return;
        }
        let pidfd = match pidfd::open(identity.pid, identity.start) {
            Ok(Some(pidfd)) if limits::is_scarce(pidfd.as_raw_fd()) => return self.note("too many files are open"),
            Ok(Some(pidfd)) => pidfd,
            Ok(None) => return self.tell(identity, None),
            Err(e) => return self.note(&why(&e)),
        };
        // Each event is told once: a zombie stays readable, and would keep the thread spinning.
        let data = EventData::new_u64(self.next);
        if let Err(e) = epoll::add(&*self.epoll, &pidfd, data, EventFlags::IN | EventFlags::ONESHOT) {
            return self.note(&why(&e.into()));
        }
        self.numbers.insert(identity, self.next);
        self.watched.insert(self.next, Watched { identity, pidfd, told: false });
        self.next += 1;
    }

    pub(super) fn unwatch(&mut self, identity: Identity) {
        if let Some(watched) = self.numbers.remove(&identity).and_then(|number| self.watched.remove(&number)) {
            self.let_go(&watched);
        }
    }

    /// Something has happened to the process with this number: it is a zombie, or has been reaped.
    pub(super) fn ended(&mut self, number: u64) {
        let Some(watched) = self.watched.get_mut(&number) else { return };
        let identity = watched.identity;
        let how = pidfd::exit_status(&watched.pidfd)
            .or_else(|| proc::zombie_status(identity.pid, identity.start))
            .map(Exit::from_wait_status);
        let first = !std::mem::replace(&mut watched.told, true);
        // Armed anew without any event it still reports the hang-up, which comes when its parent has reaped it. How long that
        // takes is up to the parent, so the death is told before.
        let waits = how.is_none()
            && first
            && epoll::modify(&*self.epoll, &watched.pidfd, EventData::new_u64(number), EventFlags::ONESHOT).is_ok();
        if first || how.is_some() {
            self.tell(identity, how);
        }
        if !waits {
            self.unwatch(identity);
        }
    }

    fn let_go(&self, watched: &Watched) {
        // Closing alone would not do while a child that is being started holds a copy.
        let _ = epoll::delete(&*self.epoll, &watched.pidfd);
    }

    fn tell(&self, identity: Identity, how: Option<Exit>) {
        let _ = self.inputs.send(Input::Exited { identity, how });
    }

    fn note(&mut self, why: &str) {
        if !std::mem::replace(&mut self.noted, true) {
            let _ = self.inputs.send(Input::Noted(format!("exits are noticed by polling: {why}").into()));
        }
    }
}

fn why(e: &io::Error) -> String {
    match e.raw_os_error() {
        Some(libc::ENOSYS) => "this kernel has no pidfds (5.3 or newer has)".to_owned(),
        Some(libc::EMFILE | libc::ENFILE) => "too many files are open".to_owned(),
        _ => e.to_string(),
    }
}
