//! Init scripts: `/etc/init.d/NAME start|stop|status`, as LSB has it, and as scripts really are.
//!
//! By the standard, `start` of what runs and `stop` of what does not are a success. Many scripts fail then, or start a second
//! one; so their `status` is asked first. A script that knows no `status` is told all the same.

use super::Shared;
use super::exec::{Surroundings, run_to_end};
use crate::model::controls::{Argv, CommandControl, ControlRun, StopBy, SysvControl};
use crate::model::{ActId, Aim, Exit, Report, Span};
use crate::sys::{pidfd, run};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long `status` may take. One that hangs says nothing.
const STATUS_WITHIN: Duration = Duration::from_secs(5);

/// What `status` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Runs,
    Stopped,
    Unknown,
}

impl Shared {
    /// Starts it as a `command` does: in a session of its own, its output kept.
    pub(super) fn start_script(
        self: &Arc<Shared>,
        id: ActId,
        service: &str,
        control: &SysvControl,
        after: Option<Aim>,
    ) -> Option<Report> {
        // Whoever has seen its process die knows better than a script that looks at a stale pidfile.
        if after.is_none() {
            match self.status(control) {
                Ok(Status::Runs) => {
                    return Some(Report::Done { words: "already up: the `status` of its script says so".into() });
                }
                Ok(Status::Stopped | Status::Unknown) => {}
                Err(why) => return Some(Report::Failed { why: why.into() }),
            }
        }
        self.start(id, service, &as_command(control), after)
    }

    /// Stops it, and waits until its process has ended, if it is known.
    pub(super) fn stop_script(&self, control: &SysvControl, process: Option<&Aim>) -> Result<String, String> {
        let lives = process.is_some_and(|aim| {
            let pidfd = pidfd::open(aim.identity.pid, aim.identity.start);
            pidfd.is_ok_and(|pidfd| pidfd.is_some_and(|pidfd| !pidfd::has_ended(&pidfd)))
        });
        if !lives && self.status(control)? == Status::Stopped {
            return Ok("already down: the `status` of its script says so".to_owned());
        }
        let command = as_command(control);
        // Without a process `stop_by_command` only runs it.
        if let (StopBy::Command(run), false) = (&command.stop, lives) {
            let surroundings = Surroundings::new(&self.us, None, Vec::new(), &command.environment)?;
            return run_to_end(&surroundings.program(&run.command.0, None, command.umask_bits()), run.timeout.0, &[]);
        }
        self.stop(&command, process)
    }

    fn status(&self, control: &SysvControl) -> Result<Status, String> {
        let surroundings = Surroundings::new(&self.us, None, Vec::new(), &BTreeMap::new())?;
        let argv = argv(control, "status");
        let ran = run::run(&surroundings.program(&argv.0, None, 0o022), None, STATUS_WITHIN);
        let ran = ran.map_err(|e| e.to_string())?;
        Ok(Status::read(ran.status.map(Exit::from_wait_status), &ran.output))
    }
}

impl Status {
    /// LSB: 0 runs; 1 is dead with a pidfile, 2 with a lock; 3 is stopped; 4 is unknown. A script that knows no `status` prints
    /// its usage, and exits with whatever it likes: with 3, if it was made from Debian's template.
    fn read(exit: Option<Exit>, output: &[u8]) -> Status {
        if String::from_utf8_lossy(output).to_ascii_lowercase().contains("usage") {
            return Status::Unknown;
        }
        match exit {
            Some(Exit::Code(0)) => Status::Runs,
            Some(Exit::Code(1..=3)) => Status::Stopped,
            _ => Status::Unknown,
        }
    }
}

fn argv(control: &SysvControl, verb: &str) -> Argv {
    Argv(vec![control.path().display().to_string(), verb.to_owned()])
}

/// The same as commands.
fn as_command(control: &SysvControl) -> CommandControl {
    let run = |verb| ControlRun { command: argv(control, verb), timeout: Span(control.timeout.0) };
    CommandControl {
        start: Some(run("start")),
        stop: StopBy::Command(run("stop")),
        restart: None,
        user: None,
        directory: None,
        environment: BTreeMap::new(),
        umask: None,
        scope: false,
    }
}

#[cfg(test)]
mod tests;
