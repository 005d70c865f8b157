//! Takes leave of children. One thread reaps every child that minder lets run on; a child is reaped by nobody else, so
//! that neither its pid nor how it ended is lost before it was looked at.

use super::spawn::Child;
use rustix::event::epoll;
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, waitpid};
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, OnceLock, PoisonError};

type OnExit = Box<dyn FnOnce(i32) + Send>;

struct Reaper {
    epoll: OwnedFd,
    children: Mutex<HashMap<u32, (OwnedFd, OnExit)>>,
}

/// A process has one set of children, so it has one reaper.
static REAPER: OnceLock<Option<Reaper>> = OnceLock::new();

/// Lets the child run on, and calls back with its wait status when it ends: on the reaper's thread, so the callback must not
/// wait for anything.
pub fn adopt(child: Child, on_exit: impl FnOnce(i32) + Send + 'static) {
    let pid = child.pid;
    match (child.pidfd, reaper()) {
        (Some(pidfd), Some(reaper)) => {
            let mut children = reaper.children.lock().unwrap_or_else(PoisonError::into_inner);
            let added = epoll::add(&reaper.epoll, &pidfd, epoll::EventData::new_u64(pid.into()), epoll::EventFlags::IN);
            if added.is_ok() {
                children.insert(pid, (pidfd, Box::new(on_exit)));
            } else {
                drop(children);
                wait_apart(pid, on_exit);
            }
        }
        _ => wait_apart(pid, on_exit),
    }
}

/// Where there is no pidfd (kernels before 5.2, no descriptor left), the child gets a thread of its own.
fn wait_apart(pid: u32, on_exit: impl FnOnce(i32) + Send + 'static) {
    let wait = move || {
        if let Some(status) = reap(pid, WaitOptions::empty()) {
            on_exit(status);
        }
    };
    if let Err(e) = std::thread::Builder::new().name(format!("wait-{pid}")).stack_size(64 << 10).spawn(wait) {
        tracing::warn!("pid {pid} will stay a zombie when it ends: no thread to wait for it: {e}");
    }
}

fn reaper() -> Option<&'static Reaper> {
    REAPER
        .get_or_init(|| {
            let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).ok()?;
            // It waits for the cell to be filled before it looks into it.
            std::thread::Builder::new()
                .name("reaper".to_owned())
                .spawn(|| REAPER.wait().as_ref().map(Reaper::run))
                .ok()?;
            Some(Reaper { epoll, children: Mutex::default() })
        })
        .as_ref()
}

impl Reaper {
    fn run(&self) {
        let mut events = Vec::with_capacity(64);
        loop {
            events.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(e) => return tracing::error!("children are no longer reaped: {e}"),
            }
            for event in &events {
                let pid = u32::try_from(event.data.u64()).unwrap_or(0);
                let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
                let Some((pidfd, on_exit)) = children.remove(&pid) else { continue };
                // Closing would not do: a child that is being started may hold a copy until its exec.
                let _ = epoll::delete(&self.epoll, &pidfd);
                drop(children);
                if let Some(status) = reap(pid, WaitOptions::empty()) {
                    on_exit(status);
                }
            }
        }
    }
}

/// The wait status of a child that has ended.
pub(super) fn reap(pid: u32, options: WaitOptions) -> Option<i32> {
    let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
    loop {
        match waitpid(Some(pid), options) {
            Ok(ended) => return ended.map(|(_, status)| status.as_raw()),
            Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}
