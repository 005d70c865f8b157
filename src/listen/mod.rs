//! Is told: process exits by pidfd, file changes by inotify, heartbeats by notify sockets, what supervisors do by their status files
//! and events, for which one thread waits; changes of units by systemd.

mod entries;
mod exits;
mod files;
mod memory;
mod notify;
mod services;
mod systemd;

use crate::model::controls::ControlSpec;
use crate::model::{CheckId, GivenUp, Hearing, Identity, Input};
use crate::sys::deadline::Deadline;
pub use entries::entries;
use exits::{Exits, Sources};
use files::Files;
use notify::Notify;
use rustix::event::{EventfdFlags, epoll, eventfd};
use rustix::io::Errno;
use services::Services;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use systemd::Units;
use tokio::sync::mpsc::UnboundedSender;

/// What a descriptor stands for in the epoll set. Processes have the numbers from [`FIRST_PROCESS`] on, and notify sockets those
/// from [`FIRST_SPEAKER`] on, and what belongs to supervisors those from [`FIRST_SERVICE`] on: none of them reaches the next.
const WAKE: u64 = 0;
const FILES: u64 = 1;
const BURST: u64 = 2;
const EXITS: u64 = 3;
const REST: u64 = 4;
const FIRST_PROCESS: u64 = 5;
const FIRST_SPEAKER: u64 = 1 << 63;
const FIRST_SERVICE: u64 = 3 << 62;

/// A request to the thread.
enum Request {
    Watch(Identity),
    Unwatch(Identity),
    WatchPath(CheckId, PathBuf),
    WatchControl(CheckId, ControlSpec),
    Hear(CheckId, Hearing),
    /// The number of a user who was looked up for a check.
    Named(CheckId, String, u32),
    WatchUnit(CheckId, String),
    Forget(CheckId),
    End,
}

/// The listener. Where the kernel cannot tell, it says so once, with [`Input::Noted`], and polling must do. Dropping it ends
/// its thread, and takes its sockets away.
pub struct Listen {
    requests: Arc<Requests>,
    thread: Option<JoinHandle<()>>,
}

struct Requests {
    queue: Mutex<Vec<Request>>,
    wake: OwnedFd,
}

impl Listen {
    /// Starts its thread. Notify sockets are made in this directory, which is made for the first of them. What only an event
    /// tells goes into `given_up`. Fails if there is no thread, or no descriptor, to be had.
    pub fn start(inputs: UnboundedSender<Input>, sockets: PathBuf, given_up: GivenUp) -> io::Result<Listen> {
        Listen::start_with(inputs, sockets, given_up, Sources::of_this_kernel())
    }

    fn start_with(
        inputs: UnboundedSender<Input>,
        sockets: PathBuf,
        given_up: GivenUp,
        sources: Sources,
    ) -> io::Result<Listen> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let requests = Arc::new(Requests { queue: Mutex::default(), wake });
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let (burst, rest) = (Deadline::unset()?, Deadline::unset()?);
        epoll::add(&epoll, &requests.wake, epoll::EventData::new_u64(WAKE), epoll::EventFlags::IN)?;
        epoll::add(&epoll, &burst, epoll::EventData::new_u64(BURST), epoll::EventFlags::IN)?;
        epoll::add(&epoll, &rest, epoll::EventData::new_u64(REST), epoll::EventFlags::IN)?;
        let files = Files::new(inputs.clone(), burst);
        let units = Units::new(inputs.clone());
        if let Some(inotify) = files.descriptor() {
            epoll::add(&epoll, inotify, epoll::EventData::new_u64(FILES), epoll::EventFlags::IN)?;
        }
        let epoll = Arc::new(epoll);
        let exits = Exits::new(inputs.clone(), epoll.clone(), sources);
        let services = Services::new(inputs.clone(), epoll.clone(), given_up);
        let notify = Notify::new(inputs, epoll.clone(), requests.clone(), sockets, rest);
        let theirs = requests.clone();
        let ears = Ears { exits, files, notify, services, units };
        let thread = std::thread::Builder::new().name("listen".to_owned()).spawn(move || run(&epoll, &theirs, ears))?;
        Ok(Listen { requests, thread: Some(thread) })
    }

    /// Tell when this process ends; at once if it has.
    pub fn watch(&self, identity: Identity) {
        self.requests.push(Request::Watch(identity));
    }

    /// This process is no longer of interest.
    pub fn unwatch(&self, identity: Identity) {
        self.requests.push(Request::Unwatch(identity));
    }

    /// Tell when this file appears, changes, is replaced or goes.
    pub fn watch_path(&self, check: CheckId, path: PathBuf) {
        self.requests.push(Request::WatchPath(check, path));
    }

    /// Tell when the supervisor's record of a service changes, where it can be told.
    pub fn watch_control(&self, check: CheckId, control: ControlSpec) {
        match control {
            ControlSpec::Runit(_) | ControlSpec::S6(_) | ControlSpec::Daemontools(_) => {
                self.requests.push(Request::WatchControl(check, control));
            }
            ControlSpec::Systemd(control) => self.requests.push(Request::WatchUnit(check, control.name())),
            _ => {}
        }
    }

    /// Listen for what a service says of itself.
    pub fn hear(&self, check: CheckId, hearing: Hearing) {
        self.requests.push(Request::Hear(check, hearing));
    }

    /// Nothing more about this check's file, its supervisor, and what its service says.
    pub fn forget(&self, check: CheckId) {
        self.requests.push(Request::Forget(check));
    }
}

impl Drop for Listen {
    fn drop(&mut self) {
        self.requests.push(Request::End);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Requests {
    fn push(&self, request: Request) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.push(request);
        if queue.len() == 1 {
            // It can only fail if the counter is full, and then it wakes as well.
            let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
        }
    }

    fn take(&self) -> Vec<Request> {
        let _ = rustix::io::read(&self.wake, &mut [0u8; 8]);
        std::mem::take(&mut *self.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// All that is listened to.
struct Ears {
    exits: Exits,
    files: Files,
    notify: Notify,
    services: Services,
    units: Units,
}

fn run(epoll: &OwnedFd, requests: &Requests, ears: Ears) {
    let Ears { mut exits, mut files, mut notify, mut services, mut units } = ears;
    let mut events = Vec::with_capacity(256);
    loop {
        events.clear();
        match epoll::wait(epoll.as_fd(), rustix::buffer::spare_capacity(&mut events), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return tracing::error!("exits and file changes are noticed by polling only: {e}"),
        }
        for event in &events {
            match event.data.u64() {
                WAKE => {
                    for request in requests.take() {
                        match request {
                            Request::Watch(identity) => exits.watch(identity),
                            Request::Unwatch(identity) => exits.unwatch(identity),
                            Request::WatchPath(check, path) => files.watch(check, &path, false),
                            Request::WatchControl(check, control) => services.watch(check, &control, &mut files),
                            Request::Hear(check, hearing) => notify.hear(check, hearing),
                            Request::Named(check, user, uid) => notify.named(check, &user, uid),
                            Request::WatchUnit(check, unit) => units.watch(check, unit),
                            Request::Forget(check) => {
                                files.forget(check);
                                notify.forget(check);
                                units.forget(check);
                                services.forget(check);
                            }
                            Request::End => return,
                        }
                    }
                }
                FILES => {
                    for check in files.changed() {
                        services.look_again(check);
                    }
                }
                BURST => files.burst_is_over(),
                EXITS => exits.announced(),
                REST => notify.rested(),
                service if service >= FIRST_SERVICE => {
                    if let Some(check) = services.heard(service) {
                        files.touch(check);
                    }
                }
                speaker if speaker >= FIRST_SPEAKER => notify.readable(speaker),
                process => exits.ended(process),
            }
        }
    }
}

#[cfg(test)]
mod tests;
