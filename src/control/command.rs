//! The `command` control: daemons that are started by a command line, and stopped by signals or another.

use super::Shared;
use super::exec::{Surroundings, last_lines, run_to_end};
use super::scope;
use super::signal::{self, Ended, Refusal};
use crate::model::controls::{CommandControl, ControlRun, StopBy};
use crate::model::{ActId, Aim, Exit, Identity, Report, Signal, show_duration};
use crate::sys::deadline::Deadline;
use crate::sys::run::open_null;
use crate::sys::{pidfd, proc, reap};
use rustix::process::{Pid, test_kill_process_group};
use std::collections::HashMap;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

/// How long what a dead daemon has left behind has to end by itself, and then to be gone.
const LEFTOVERS: [(Signal, Duration); 2] =
    [(Signal::TERM, Duration::from_secs(2)), (Signal::KILL, Duration::from_secs(1))];

/// An output file larger than this is cut...
const OUTPUT_MOST: u64 = 1 << 20;
/// ...to its end of this size.
const OUTPUT_KEPT: u64 = 64 << 10;
/// The lines of the output that a report carries.
const OUTPUT_LINES: usize = 10;

impl Shared {
    /// Starts it, after ending what the dead process has left. A launched process that ends before the deadline is reported
    /// too, when it does.
    pub(super) fn start(
        self: &Arc<Shared>,
        id: ActId,
        service: &str,
        control: &CommandControl,
        after: Option<Aim>,
    ) -> Option<Report> {
        let leftovers = after.map_or(0, |dead| end_leftovers(&dead)) + self.end_unproven(service);
        match &control.start {
            Some(run) => self.launch(id, service, control, run, leftovers),
            None => Some(Report::Failed { why: "this control has no `start`".into() }),
        }
    }

    /// Restarts it by its `restart` command, which is launched as a start is.
    pub(super) fn restart(self: &Arc<Shared>, id: ActId, service: &str, control: &CommandControl) -> Option<Report> {
        match &control.restart {
            Some(run) => self.launch(id, service, control, run, 0),
            None => Some(Report::Failed { why: "this control has no `restart`".into() }),
        }
    }

    fn launch(
        self: &Arc<Shared>,
        id: ActId,
        service: &str,
        control: &CommandControl,
        run: &ControlRun,
        leftovers: u32,
    ) -> Option<Report> {
        let began = self.clock.now().mono;
        let path = self.output_dir.join(format!("{service}.log"));
        let mut outside = None;
        let child =
            Surroundings::new(&self.us, control.user.as_deref(), Vec::new(), &control.environment).and_then(|s| {
                let directory = control.directory.as_ref().map(|d| d.as_path());
                let program = s.program(&run.command.0, directory, control.umask_bits());
                let null = open_null().map_err(|e| format!("/dev/null: {e}"))?;
                // A full or broken disk must not keep a daemon from being started.
                let (output, written) = match open_output(&path) {
                    Ok((file, length)) => (Some(OwnedFd::from(file)), length),
                    Err(e) => {
                        tracing::warn!("the output of {service} is not kept: {}: {e}", path.display());
                        (None, 0)
                    }
                };
                let output = output.as_ref().unwrap_or(&null).as_fd();
                let child = match control.scope {
                    false => program.start(null.as_fd(), output, output),
                    // Before it can make children that would stay behind.
                    true => program.start_after([null.as_fd(), output, output], |pid| {
                        outside = scope::enter(service, pid).err();
                    }),
                };
                let child = child.map_err(|e| e.to_string())?;
                Ok((child, written, s.secrets))
            });
        let (child, written, secrets) = match child {
            Ok(child) => child,
            Err(why) => return Some(Report::Failed { why: why.into() }),
        };
        let launched = Identity { pid: child.pid, start: child.start };
        self.launched().insert(service.to_owned(), launched);
        // Better there than not at all.
        let remark = outside.map(|why| format!("in no scope of its own: {why}").into());
        self.report(id, Report::Launched { process: Some(launched), leftovers, remark });
        let (shared, deadline, service) = (self.clone(), run.timeout.0, service.to_owned());
        reap::adopt(child, move |status| {
            let mut still = shared.launched();
            if still.get(&service) == Some(&launched) {
                still.remove(&service);
            }
            drop(still);
            if shared.clock.now().mono - began > deadline {
                return;
            }
            // Reading a file is nothing for the reaper's thread.
            shared.acts.clone().run(move || {
                let exit = Exit::from_wait_status(status);
                shared.report(id, Report::LaunchEnded { exit, output: since(&path, written, &secrets).into() });
            });
        });
        None
    }

    /// Ends what an earlier start has launched and what still runs though no daemon was seen to come of it: a start that hangs,
    /// or a daemon that is looked for in the wrong place. A second one beside it would be one too many.
    fn end_unproven(&self, service: &str) -> u32 {
        let Some(launched) = self.launched().remove(service) else { return 0 };
        // Its session is of our making, and so is its group.
        let Some(group) = i32::try_from(launched.pid).ok().and_then(Pid::from_raw) else { return 0 };
        let mut found = proc::in_group(group).unwrap_or_default();
        found.retain(|stat| stat.start >= launched.start);
        end_all(found.into_iter().filter_map(|stat| pidfd::open(stat.pid, stat.start).ok().flatten()).collect())
    }

    fn launched(&self) -> MutexGuard<'_, HashMap<String, Identity>> {
        self.launched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops it, and waits until its process has ended.
    pub(super) fn stop(&self, control: &CommandControl, process: Option<&Aim>) -> Result<String, String> {
        match (&control.stop, process) {
            (StopBy::Signals(_), None) => Ok("already down".to_owned()),
            (StopBy::Signals(steps), Some(aim)) => {
                let began = self.clock.now().mono;
                let pidfd = match signal::open(aim) {
                    Ok(pidfd) => pidfd,
                    Err(Refusal::Gone) => return Ok("already down".to_owned()),
                    Err(refusal) => return Err(refusal.to_string()),
                };
                match signal::end(&pidfd, steps).map_err(|e| e.to_string())? {
                    Ended::After(signal) => {
                        let took = show_duration(self.clock.now().mono - began);
                        Ok(format!("{} ended after {signal}, in {took}", aim.identity))
                    }
                    Ended::No => Err(format!("{} is still alive after {}", aim.identity, signal::write_steps(steps))),
                }
            }
            (StopBy::Command(run), process) => self.stop_by_command(control, run, process),
        }
    }

    /// The command, and then the end of the process, within the one deadline.
    fn stop_by_command(
        &self,
        control: &CommandControl,
        run: &ControlRun,
        process: Option<&Aim>,
    ) -> Result<String, String> {
        let began = self.clock.now().mono;
        let pidfd = match process {
            None => None,
            Some(aim) => match pidfd::open(aim.identity.pid, aim.identity.start) {
                Ok(Some(pidfd)) if !pidfd::has_ended(&pidfd) => Some((aim.identity, pidfd)),
                Ok(_) => return Ok("already down".to_owned()),
                Err(e) => return Err(format!("{} cannot be watched: {e}", aim.identity)),
            },
        };
        // The command is told the pid, and may well signal it, with our rights.
        match process.map(signal::believe) {
            Some(Err(Refusal::Gone)) => return Ok("already down".to_owned()),
            Some(Err(refusal)) => return Err(refusal.to_string()),
            Some(Ok(())) | None => {}
        }
        let facts = process.map(|aim| ("PID", aim.identity.pid.to_string())).into_iter().collect();
        let surroundings = Surroundings::new(&self.us, control.user.as_deref(), facts, &control.environment)?;
        let directory = control.directory.as_ref().map(|d| d.as_path());
        let program = surroundings.program(&run.command.0, directory, control.umask_bits());
        let result = run_to_end(&program, run.timeout.0, &surroundings.secrets);
        let Some((identity, pidfd)) = pidfd else { return result };
        // What counts is that it ends. A command that failed is waited for too: it may have done its part.
        let left = run.timeout.0.saturating_sub(self.clock.now().mono - began);
        let took = || show_duration(self.clock.now().mono - began);
        match (pidfd::wait(&pidfd, left).map_err(|e| e.to_string())?, result) {
            (true, _) => Ok(format!("{identity} ended in {}", took())),
            (false, Ok(_)) => Err(format!("{identity} is still alive {} after its stop command began", took())),
            (false, Err(why)) => Err(format!("{identity} is still alive; its stop command: {why}")),
        }
    }
}

/// Ends what lives on in the process group of a dead daemon, such as workers that hold its port; and says how many there were.
///
/// A group's number is its leader's pid, and is not given to another process while anybody is in the group. Each of them is
/// signalled only if the dead one might have been: whoever can write a pidfile must not choose whose group is ended.
fn end_leftovers(aim: &Aim) -> u32 {
    let dead = aim.identity;
    let Some(group) = i32::try_from(dead.pid).ok().and_then(Pid::from_raw) else { return 0 };
    // The usual case: nothing is left, or the dead one led no group. One system call, a microsecond. A zombie counts as a
    // member, so where the parent is slow all processes are looked through.
    if test_kill_process_group(group).is_err() || proc::own_group() == Some(group) {
        return 0;
    }
    // The group had died out, and somebody else has its number now.
    if proc::stat(dead.pid).is_ok_and(|stat| stat.start != dead.start) {
        return 0;
    }
    let found = proc::in_group(group).map(|mut found| {
        found.retain(|stat| stat.pid != dead.pid && stat.start >= dead.start);
        found
    });
    let open: Vec<OwnedFd> = found
        .unwrap_or_default()
        .into_iter()
        .filter_map(|stat| {
            let left = Aim { identity: Identity { pid: stat.pid, start: stat.start }, selector: aim.selector.clone() };
            signal::open_left(&left).ok()
        })
        .collect();
    end_all(open)
}

/// Ends these, and says how many there were.
fn end_all(open: Vec<OwnedFd>) -> u32 {
    for (signal, wait) in LEFTOVERS {
        for process in &open {
            let _ = pidfd::signal(process, signal.0);
        }
        let Ok(deadline) = Deadline::after(wait) else { continue };
        let ended = open.iter().filter(|process| deadline.wait(process).unwrap_or(false)).count();
        if ended == open.len() {
            break;
        }
    }
    u32::try_from(open.len()).unwrap_or(u32::MAX)
}

/// Opens a daemon's output to be appended to, and says where the new part begins. The daemon holds a file, not a pipe to
/// minder, so that it can write on when minder is gone.
fn open_output(path: &Path) -> io::Result<(File, u64)> {
    let open = || {
        let mut options = File::options();
        options.read(true).append(true).create(true).mode(0o600);
        options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)
    };
    let file = match open() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o700).create(path.parent().unwrap_or(path))?;
            open()?
        }
        other => other?,
    };
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    if meta.len() <= OUTPUT_MOST {
        return Ok((file, meta.len()));
    }
    cut(&file, meta.len())?;
    let length = file.metadata()?.len();
    Ok((file, length))
}

/// Leaves the end of an output file. In place: a daemon that still writes into it must not write into a file that is gone.
fn cut(mut file: &File, length: u64) -> io::Result<()> {
    let mut end = vec![0; usize::try_from(OUTPUT_KEPT).unwrap_or(0)];
    let read = file.read_at(&mut end, length - OUTPUT_KEPT)?;
    end.truncate(read);
    let line = end.iter().position(|b| *b == b'\n').map_or(0, |i| i + 1);
    file.set_len(0)?;
    io::Write::write_all(&mut file, &end[line..])
}

/// Cuts the outputs that have grown too long: a daemon that floods must not fill the disk of minder's state. Nobody does while
/// minder is down: a flood ends with the disk then.
pub(super) fn cut_outputs(directory: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.metadata().is_ok_and(|meta| meta.is_file() && meta.len() > OUTPUT_MOST) {
            open_output(&entry.path())?;
        }
    }
    Ok(())
}

/// The last lines that were written to a daemon's output from this place on.
fn since(path: &Path, from: u64, secrets: &[String]) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let file = File::options().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
        let length = file.metadata()?.len();
        let most = crate::sys::run::OUTPUT_KEPT;
        // If it is shorter than it was, somebody has emptied it.
        let from = if length < from { 0 } else { from };
        let from = from.max(length.saturating_sub(most as u64));
        let mut end = vec![0; most];
        let length = file.read_at(&mut end, from)?;
        end.truncate(length);
        Ok(end)
    };
    last_lines(&read().unwrap_or_default(), OUTPUT_LINES, secrets)
}
