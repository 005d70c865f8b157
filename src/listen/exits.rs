//! Ends of processes, by pidfd.

use super::memory::{Mark, Memory};
use super::{EXITS, FIRST_PROCESS};
use crate::model::{Exit, Identity, Input};
use crate::sys::exits::ProcessExits;
use crate::sys::{limits, pidfd, proc};
use rustix::event::epoll::{self, EventData, EventFlags};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedSender;

/// Announcements that are looked at before the thread turns to other news: a machine may have thousands of ends a second.
const MOST_AT_ONCE: usize = 1024;
/// So many that are gone may still be explained.
const MOST_UNEXPLAINED: usize = 64;

/// Where to learn from how a process ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sources {
    /// Pidfds know it: since Linux 6.15.
    pub(super) pidfds: bool,
    /// The kernel's log says who was killed for want of memory.
    pub(super) log: bool,
}

impl Sources {
    pub(super) fn of_this_kernel() -> Sources {
        let name = rustix::system::uname();
        let release = name.release().to_string_lossy();
        let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
        let release = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
        Sources { pidfds: release >= (6, 15), log: true }
    }
}

/// The processes that are watched. How one ended is known from its zombie where we may look at it, and else, since Linux 6.15,
/// from the pidfd once its parent has reaped it; before, from what the kernel announces to root.
pub(super) struct Exits {
    inputs: UnboundedSender<Input>,
    epoll: Arc<OwnedFd>,
    watched: HashMap<u64, Watched>,
    numbers: HashMap<Identity, u64>,
    /// The number of the latest with this pid.
    latest: HashMap<u32, u64>,
    next: u64,
    noted: bool,
    sources: Sources,
    memory: Memory,
    announced: Option<ProcessExits>,
    /// Their ends have been told, and may yet be announced.
    unexplained: VecDeque<Identity>,
}

struct Watched {
    identity: Identity,
    pidfd: OwnedFd,
    /// Its end has been told, but not how it ended: it is a zombie.
    told: bool,
    /// How it ended, if that was announced before.
    announced: Option<Exit>,
    memory: Mark,
}

impl Exits {
    pub(super) fn new(inputs: UnboundedSender<Input>, epoll: Arc<OwnedFd>, sources: Sources) -> Exits {
        let memory = Memory::new(sources.log);
        let mut exits = Exits {
            inputs,
            epoll,
            watched: HashMap::new(),
            numbers: HashMap::new(),
            latest: HashMap::new(),
            next: FIRST_PROCESS,
            noted: false,
            sources,
            memory,
            announced: None,
            unexplained: VecDeque::new(),
        };
        if !sources.pidfds
            && let Err(e) = exits.hear_announcements()
        {
            let words = format!(
                "how a process ended is not always known: this kernel is older than 6.15, and its process events are not to be had: {e}"
            );
            let _ = exits.inputs.send(Input::Noted(words.into()));
        }
        exits
    }

    fn hear_announcements(&mut self) -> io::Result<()> {
        let announced = ProcessExits::listen()?;
        epoll::add(&*self.epoll, &announced, EventData::new_u64(EXITS), EventFlags::IN)?;
        self.announced = Some(announced);
        Ok(())
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
        self.latest.insert(identity.pid, self.next);
        let memory = self.memory.mark(identity.pid);
        self.watched.insert(self.next, Watched { identity, pidfd, told: false, announced: None, memory });
        self.next += 1;
    }

    pub(super) fn unwatch(&mut self, identity: Identity) {
        let Some(number) = self.numbers.remove(&identity) else { return };
        if self.latest.get(&identity.pid) == Some(&number) {
            self.latest.remove(&identity.pid);
        }
        if let Some(watched) = self.watched.remove(&number) {
            self.let_go(&watched);
        }
    }

    /// Something has happened to the process with this number: it is a zombie, or has been reaped.
    pub(super) fn ended(&mut self, number: u64) {
        let Some(watched) = self.watched.get_mut(&number) else { return };
        let identity = watched.identity;
        let of_pidfd = self.sources.pidfds.then(|| pidfd::exit_status(&watched.pidfd)).flatten();
        let how = of_pidfd
            .or_else(|| proc::zombie_status(identity.pid, identity.start))
            .map(Exit::from_wait_status)
            .or(watched.announced);
        let how = self.memory.explain(identity.pid, how, &watched.memory);
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
            if how.is_none() && self.announced.is_some() {
                self.unexplained.truncate(MOST_UNEXPLAINED - 1);
                self.unexplained.push_front(identity);
            }
        }
    }

    /// The kernel has announced ends. Each comes about when the process becomes a zombie, a little before or after.
    pub(super) fn announced(&mut self) {
        for _ in 0..MOST_AT_ONCE {
            let Some((pid, status)) = self.announced.as_ref().and_then(ProcessExits::next) else { break };
            let how = Exit::from_wait_status(status);
            if let Some(gone) = self.unexplained.iter().position(|identity| identity.pid == pid) {
                if let Some(identity) = self.unexplained.remove(gone) {
                    self.tell(identity, Some(how));
                }
            } else if let Some(&number) = self.latest.get(&pid)
                && let Some(watched) = self.watched.get_mut(&number)
            {
                watched.announced = Some(how);
                if watched.told {
                    self.ended(number);
                }
            }
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
