//! Starts programs as `posix_spawn` does: the child shares minder's memory until it becomes the program, so that starting
//! takes no longer when minder is large, and reports what failed through that memory. Beyond what `posix_spawn` can do, it
//! becomes another user, and gets its own session, umask, limit of open files and directory.

use super::{limits, proc, users::User};
use std::ffi::{CString, c_int, c_long, c_void};
use std::fmt;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};

/// A program to be started.
#[derive(Clone, Copy)]
pub struct Program<'a> {
    /// The absolute path of the program, and its arguments.
    pub argv: &'a [String],
    /// All of its environment.
    pub environment: &'a [(String, String)],
    /// As whom; as minder's own user where this is missing.
    pub user: Option<&'a User>,
    /// Where.
    pub directory: &'a Path,
    /// With which umask.
    pub umask: u32,
}

/// A child that has become its program. Whoever holds it must wait for it, or leave it to [`super::reap::adopt`].
#[derive(Debug)]
pub struct Child {
    /// Its pid, which is also that of its process group and session.
    pub pid: u32,
    /// Its start time, in clock ticks since boot.
    pub start: u64,
    /// Nothing on kernels before 5.2.
    pub pidfd: Option<OwnedFd>,
}

/// At which step a start failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The arguments, the environment or a path cannot be handed to the kernel.
    Prepare,
    /// No new process.
    Clone,
    /// No session of its own.
    Session,
    /// Standard input, output or error.
    Descriptors,
    /// Not this user.
    User,
    /// Not in this directory.
    Directory,
    /// Not this program.
    Exec,
}

impl Step {
    const ALL: [Step; 7] =
        [Step::Prepare, Step::Clone, Step::Session, Step::Descriptors, Step::User, Step::Directory, Step::Exec];
}

/// Why a program could not be started.
#[derive(Debug)]
pub struct SpawnError {
    /// Where it failed.
    pub step: Step,
    /// The program, the user or the directory.
    pub about: String,
    /// What the kernel said.
    pub error: io::Error,
}

impl std::error::Error for SpawnError {}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SpawnError { step, about, error } = self;
        let why = match (error.raw_os_error(), step) {
            (Some(libc::ENOENT), Step::Exec) if Path::new(about).exists() => {
                "its interpreter, or its dynamic loader, does not exist".to_owned()
            }
            (Some(libc::ENOENT), Step::Exec) => "no such file".to_owned(),
            (Some(libc::ENOENT), _) => "no such directory".to_owned(),
            (Some(libc::EACCES), Step::Exec) => "permission denied; is it executable?".to_owned(),
            (Some(libc::ENOEXEC), _) => {
                "not a program for this machine; a script must begin with a line such as `#!/bin/sh`".to_owned()
            }
            (Some(libc::EPERM), Step::User) => "only root may run programs as another user".to_owned(),
            (Some(libc::EMFILE), _) => "minder has too many files open".to_owned(),
            _ => error.to_string(),
        };
        match step {
            Step::User => write!(f, "cannot become user {about}: {why}"),
            Step::Clone => write!(f, "no process for {about}: {why}"),
            Step::Descriptors => write!(f, "no input and output for {about}: {why}"),
            Step::Session => write!(f, "no session for {about}: {why}"),
            Step::Prepare | Step::Directory | Step::Exec => write!(f, "{about}: {why}"),
        }
    }
}

/// Everything that the child needs, made before it exists: it must not allocate, nor take a lock that another thread holds.
struct Prepared {
    path: *const libc::c_char,
    argv: *const *const libc::c_char,
    environment: *const *const libc::c_char,
    directory: *const libc::c_char,
    stdio: [c_int; 3],
    umask: u32,
    user: Option<(u32, u32)>,
    groups: *const u32,
    group_count: usize,
    open_files: Option<libc::rlimit64>,
    /// Where it says its pid, and waits until it is let through.
    gate: Option<c_int>,
    failed_step: AtomicI32,
    failed_errno: AtomicI32,
}

/// Enough for the few frames of [`child`], unoptimised too.
const STACK: usize = 64 << 10;
/// The kernel's set of signals, in bytes.
const SIGNAL_SET: usize = 8;

impl Program<'_> {
    /// Starts it, in a session of its own, with these descriptors as its standard input, output and error. Returns when it
    /// runs, or when it is known why not. The descriptors must be none of minder's own 0, 1 and 2.
    pub fn start(
        &self,
        stdin: BorrowedFd<'_>,
        stdout: BorrowedFd<'_>,
        stderr: BorrowedFd<'_>,
    ) -> Result<Child, SpawnError> {
        self.launch([stdin, stdout, stderr], clone)
    }

    /// The same, but first `before` is done with its pid, on another thread: what must be so from the program's first
    /// instruction on. It must end soon. Should minder end meanwhile, the program does not run.
    pub fn start_after(
        &self,
        stdio: [BorrowedFd<'_>; 3],
        before: impl FnOnce(u32) + Send,
    ) -> Result<Child, SpawnError> {
        self.launch(stdio, |prepared| clone_at_gate(prepared, before))
    }

    fn launch(
        &self,
        stdio: [BorrowedFd<'_>; 3],
        clone: impl FnOnce(&mut Prepared) -> io::Result<(u32, Option<OwnedFd>)>,
    ) -> Result<Child, SpawnError> {
        let program = self.argv.first().map_or("", String::as_str);
        let unfit = |_| self.error(Step::Prepare, io::ErrorKind::InvalidInput.into());
        let text = |text: &str| CString::new(text).map_err(unfit);
        let argv = self.argv.iter().map(|a| text(a)).collect::<Result<Vec<_>, _>>()?;
        let Some(path) = argv.first() else {
            return Err(self.error(Step::Prepare, io::ErrorKind::InvalidInput.into()));
        };
        let environment =
            self.environment.iter().map(|(k, v)| text(&format!("{k}={v}"))).collect::<Result<Vec<_>, _>>()?;
        let directory = CString::new(self.directory.as_os_str().as_encoded_bytes()).map_err(unfit)?;
        let argv_pointers = pointers(&argv);
        let environment_pointers = pointers(&environment);
        // Without being root one is already who one can be.
        let us = rustix::process::geteuid().as_raw();
        let user = self.user.filter(|user| us == 0 || user.uid != us);
        let mut prepared = Prepared {
            path: path.as_ptr(),
            argv: argv_pointers.as_ptr(),
            environment: environment_pointers.as_ptr(),
            directory: directory.as_ptr(),
            stdio: stdio.map(|fd| fd.as_raw_fd()),
            umask: self.umask,
            user: user.map(|user| (user.uid, user.gid)),
            groups: user.map_or(ptr::null(), |user| user.groups.as_ptr()),
            group_count: user.map_or(0, |user| user.groups.len()),
            open_files: limits::original_open_files()
                .map(|(soft, hard)| libc::rlimit64 { rlim_cur: soft, rlim_max: hard }),
            gate: None,
            failed_step: AtomicI32::new(-1),
            failed_errno: AtomicI32::new(0),
        };
        let (pid, pidfd) = clone(&mut prepared).map_err(|e| self.error(Step::Clone, e))?;
        let step = usize::try_from(prepared.failed_step.load(Relaxed)).ok().and_then(|i| Step::ALL.get(i));
        if let Some(step) = step {
            super::reap::reap(pid, rustix::process::WaitOptions::empty());
            return Err(self.error(*step, io::Error::from_raw_os_error(prepared.failed_errno.load(Relaxed))));
        }
        // It is not reaped yet, so this is its own entry, even if it has ended by now.
        match proc::stat(pid) {
            Ok(stat) => Ok(Child { pid, start: stat.start, pidfd }),
            Err(error) => {
                super::reap::adopt(Child { pid, start: 0, pidfd }, drop);
                let about = format!("{program} runs as pid {pid}, but cannot be observed; is /proc mounted?");
                Err(SpawnError { step: Step::Prepare, about, error })
            }
        }
    }

    fn error(&self, step: Step, error: io::Error) -> SpawnError {
        let about = match (step, self.user) {
            (Step::User, Some(user)) => user.name.clone(),
            (Step::Directory, _) => self.directory.display().to_string(),
            _ => self.argv.first().cloned().unwrap_or_default(),
        };
        SpawnError { step, about, error }
    }
}

fn pointers(texts: &[CString]) -> Vec<*const libc::c_char> {
    texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
}

/// Makes the child and waits until it has become the program, or has failed.
#[allow(unsafe_code)]
fn clone(prepared: &mut Prepared) -> io::Result<(u32, Option<OwnedFd>)> {
    let mut stack: Vec<u128> = Vec::with_capacity(STACK / size_of::<u128>());
    let mut pidfd: c_int = -1;
    let all = u64::MAX;
    let mut mask = 0u64;
    // SAFETY: the pointers are valid, and the set has the size that the kernel asks for. With all signals blocked, glibc's own
    // among them, no handler of minder runs in the child while it has minder's memory.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const all, &raw mut mask, SIGNAL_SET) };
    // SAFETY: the stack is aligned, large enough, and grows down from its end. CLONE_VFORK keeps this thread, and so
    // everything that `prepared` points to, where it is until the child has become the program or ended. `child` makes only
    // system calls. The pidfd is stored before that.
    let pid = unsafe {
        libc::clone(
            child,
            stack.as_mut_ptr().add(stack.capacity()).cast(),
            libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD,
            ptr::from_mut(prepared).cast::<c_void>(),
            &raw mut pidfd,
        )
    };
    let error = io::Error::last_os_error();
    // SAFETY: as above.
    unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const mask, ptr::null_mut::<u64>(), SIGNAL_SET)
    };
    match u32::try_from(pid) {
        // SAFETY: the kernel has made this descriptor for us; kernels that know no pidfds leave it at -1.
        Ok(pid) => Ok((pid, (pidfd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(pidfd) }))),
        Err(_) => Err(error),
    }
}

/// The same, with a child that waits until `before` is done. This thread stands still as long as the child has not become the
/// program, so another one lets it through.
fn clone_at_gate(prepared: &mut Prepared, before: impl FnOnce(u32) + Send) -> io::Result<(u32, Option<OwnedFd>)> {
    let (mut ours, theirs) = UnixStream::pair()?;
    prepared.gate = Some(theirs.as_raw_fd());
    std::thread::scope(|threads| {
        std::thread::Builder::new().name("gate".to_owned()).spawn_scoped(threads, move || {
            let mut pid = [0; 4];
            // Nobody comes if there is no child, or it has failed before.
            if ours.read_exact(&mut pid).is_ok() {
                before(u32::from_ne_bytes(pid));
                let _ = ours.write_all(&[1]);
            }
        })?;
        let child = clone(prepared);
        drop(theirs);
        child
    })
}

/// What the child does. It shares the memory of all of minder's threads, any of which may hold any lock: system calls only.
/// They are made directly, because the C library's `setuid` and its like would ask all of minder's threads to follow.
#[allow(unsafe_code)]
extern "C" fn child(argument: *mut c_void) -> c_int {
    // SAFETY: `clone` passes a `Prepared` that outlives us.
    let p = unsafe { &*argument.cast::<Prepared>() };
    let check = |step: Step, result: c_long| {
        if result < 0 {
            // SAFETY: the parent stands still until we are gone, so its errno is ours.
            p.failed_errno.store(unsafe { *libc::__errno_location() }, Relaxed);
            p.failed_step.store(step as i32, Relaxed);
            // SAFETY: ends this process without running anything of minder's.
            unsafe { libc::syscall(libc::SYS_exit_group, 127) };
        }
    };
    // SAFETY: system calls with pointers into `Prepared` and this frame, which hold what the kernel expects.
    unsafe {
        // A kernel's `struct sigaction` of zeroes is the default action, everywhere. An ignored signal would stay ignored.
        let default = [0u64; 4];
        for signal in 1..=64 {
            let none = ptr::null_mut::<u64>();
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), none, SIGNAL_SET);
        }
        check(Step::Session, libc::syscall(libc::SYS_setsid));
        for (to, from) in (0..).zip(p.stdio) {
            check(Step::Descriptors, libc::syscall(libc::SYS_dup3, from, to, 0));
        }
        // The first that is not needed any more: the gate is kept until it is passed.
        let mut unneeded = 3;
        if let Some(gate) = p.gate {
            if gate != unneeded {
                check(Step::Descriptors, libc::syscall(libc::SYS_dup3, gate, unneeded, 0));
            }
            unneeded += 1;
        }
        // Closed now, and not by the exec, which may hang for ever on a dead mount: a child that has copies of minder's lock and
        // of its listening sockets keeps the next minder out. Kernels before 5.9 close them at the exec all the same.
        libc::syscall(libc::SYS_close_range, unneeded, u32::MAX, 0);
        if p.gate.is_some() {
            let (pid, mut through) = (libc::syscall(libc::SYS_getpid) as u32, 0u8);
            libc::syscall(libc::SYS_write, 3, &raw const pid, size_of::<u32>());
            // The end of minder is the end of the other side.
            if libc::syscall(libc::SYS_read, 3, &raw mut through, 1) != 1 {
                libc::syscall(libc::SYS_exit_group, 127);
            }
            libc::syscall(libc::SYS_close, 3);
        }
        libc::syscall(libc::SYS_umask, p.umask);
        if let Some(limit) = &p.open_files {
            let none = ptr::null_mut::<libc::rlimit64>();
            libc::syscall(libc::SYS_prlimit64, 0, libc::RLIMIT_NOFILE, ptr::from_ref(limit), none);
        }
        if let Some((uid, gid)) = p.user {
            check(Step::User, libc::syscall(libc::SYS_setgroups, p.group_count, p.groups));
            check(Step::User, libc::syscall(libc::SYS_setresgid, gid, gid, gid));
            check(Step::User, libc::syscall(libc::SYS_setresuid, uid, uid, uid));
        }
        check(Step::Directory, libc::syscall(libc::SYS_chdir, p.directory));
        let none = 0u64;
        let old = ptr::null_mut::<u64>();
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const none, old, SIGNAL_SET);
        check(Step::Exec, libc::syscall(libc::SYS_execve, p.path, p.argv, p.environment));
    }
    127
}

#[cfg(test)]
mod tests;
