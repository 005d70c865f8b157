//! `program`: a program that is run, and what it says.

use super::looks::Looks;
use super::words::{Trouble, note, text};
use super::{nagios, place};
use crate::model::kinds::{CheckKind, Program};
use crate::model::{CheckId, Clock, Exit, Found, MetricId, MetricSet, Mono, Reading, Sample, clip, show_duration};
use crate::sys::run::{OUTPUT_KEPT, Ran, run};
use crate::sys::spawn::{self, SpawnError, Step};
use crate::sys::trust::{self, Distrust};
use crate::sys::users::User;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

const fn metric(name: &str) -> MetricId {
    place(Program::METRICS, name)
}
const FAILED: MetricId = metric("failed");
const EXIT: MetricId = metric("exit");
const OUTPUT: MetricId = metric("output");
const DURATION: MetricId = metric("duration");
const WARNING: MetricId = metric("warning");
const CRITICAL: MetricId = metric("critical");

/// Programs that run at once; more wait in line. Each holds a thread for as long as it runs.
const AT_ONCE: usize = 64;
/// What killing and taking leave may take beyond the deadline.
const LINGER: Duration = Duration::from_millis(1500);
/// The longest part of an output in a note, in characters.
const LINE: usize = 150;

/// The threads that run programs.
pub(super) struct Programs {
    clock: Arc<dyn Clock>,
    us: Arc<User>,
    runs: Looks<()>,
}

/// What came of a run.
struct Ended {
    ran: Result<Ran, Trouble>,
    took: Duration,
}

impl Programs {
    /// None runs yet.
    pub(super) fn new(clock: Arc<dyn Clock>) -> Programs {
        let runs = Looks::new("program", AT_ONCE, Arc::clone(&clock));
        Programs { clock, us: Arc::new(User::current()), runs }
    }

    /// Lets go of what is kept for this check.
    pub(super) fn forget(&self, check: CheckId) {
        self.runs.forget(check);
    }

    /// Runs it once. It keeps the deadline itself: what the program wrote until then is looked at.
    pub(super) async fn ask(&self, check: CheckId, program: &Program, wanted: MetricSet, timeout: Duration) -> Sample {
        let start = self.clock.now().mono;
        let (us, spec, begun) = (Arc::clone(&self.us), program.clone(), Arc::new(AtomicBool::new(false)));
        let begin = Arc::clone(&begun);
        let running = self.runs.look(check, move |(): &mut (), clock: &dyn Clock| {
            begin.store(true, Relaxed);
            run_once(&us, &spec, start + timeout, clock)
        });
        let ended = match tokio::time::timeout(timeout + LINGER, running).await {
            Ok(Ok(ended)) => ended,
            Ok(Err(why)) => undone(Trouble::ours(why)),
            Err(_) if begun.load(Relaxed) => {
                undone(Trouble::failed("it can neither be started nor ended: its file may lie on a dead mount"))
            }
            Err(_) => undone(Trouble::ours(TOO_LATE)),
        };
        let secrets: Vec<String> =
            program.environment.values().filter(|given| given.is_secret()).map(|g| g.expose().to_owned()).collect();
        let (mut readings, why) = look_at(program, &ended, wanted, timeout, &secrets);
        readings.retain(|(_, reading)| *reading != Reading::Unknown);
        readings.sort_by_key(|(metric, _)| *metric);
        let at = self.clock.now();
        let note = (!why.is_empty()).then(|| note(&why, &secrets));
        Sample { at, took: at.mono - start, readings, note, found: Found::Unasked }
    }
}

const TOO_LATE: &str = "its turn came too late: too many other programs run";

fn undone(trouble: Trouble) -> Ended {
    Ended { ran: Err(trouble), took: Duration::ZERO }
}

/// On a thread of its own: looking a user up may wait for a directory service, and starting a program for a disk.
fn run_once(us: &User, spec: &Program, deadline: Mono, clock: &dyn Clock) -> Ended {
    let user = match spec.user.as_deref().map(User::find).transpose() {
        Ok(Some(None)) => {
            let name = spec.user.as_deref().unwrap_or_default();
            return undone(Trouble::failed(format!("there is no user `{name}`")));
        }
        Ok(user) => user.flatten(),
        Err(e) => return undone(Trouble::ours(format!("its user cannot be looked up: {e}"))),
    };
    if spec.guarded
        && let Some(program) = spec.argv().first()
        && let Err(why @ (Distrust::Owner { .. } | Distrust::Writable { .. })) =
            trust::only_root_or(us.uid, Path::new(program))
    {
        let instead = "a `program` check with a `user` may run it";
        return undone(Trouble::failed(format!("it is not run as {}: {why}; {instead}", us.name)));
    }
    let own = spec.environment.iter().map(|(name, value)| (name.clone(), value.expose().to_owned()));
    let environment = user.as_ref().unwrap_or(us).environment(own);
    let argv = spec.argv();
    let program = spawn::Program {
        argv: &argv,
        environment: &environment,
        user: user.as_ref(),
        directory: spec.directory.as_ref().map_or(Path::new("/"), |directory| directory.as_path()),
        umask: 0o022,
    };
    let began = clock.now().mono;
    if began >= deadline {
        return undone(Trouble::ours(TOO_LATE));
    }
    let ran = run(&program, None, deadline - began).map_err(|e| not_started(&e));
    Ended { ran, took: clock.now().mono - began }
}

/// What this machine lacks at the moment is nobody's fault. A program that is not there, or may not be run, is a mistake that
/// somebody must see: a check that can never be asked must not look well.
fn not_started(e: &SpawnError) -> Trouble {
    let lacking = [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::EAGAIN, libc::EINTR, libc::ETXTBSY];
    let ours = match e.step {
        Step::Clone | Step::Session | Step::Descriptors => true,
        Step::Prepare => e.error.kind() != io::ErrorKind::InvalidInput,
        Step::User | Step::Directory | Step::Exec => e.error.raw_os_error().is_some_and(|e| lacking.contains(&e)),
    };
    if ours { Trouble::ours(e.to_string()) } else { Trouble::failed(format!("it cannot be run: {e}")) }
}

/// What a run means, and what is to be said of it.
fn look_at(
    program: &Program,
    ended: &Ended,
    wanted: MetricSet,
    timeout: Duration,
    secrets: &[String],
) -> (Vec<(MetricId, Reading)>, String) {
    let flag = Reading::Flag;
    let ran = match &ended.ran {
        Ok(ran) => ran,
        Err(Trouble::Ours(why)) => return (Vec::new(), why.clone()),
        Err(Trouble::Failed(why)) if program.nagios => {
            return (vec![(FAILED, flag(true)), (WARNING, flag(false)), (CRITICAL, flag(true))], why.clone());
        }
        Err(Trouble::Failed(why)) => return (vec![(FAILED, flag(true))], why.clone()),
    };
    let output = shown(&ran.output, secrets);
    let exit = ran.status.map(Exit::from_wait_status);
    let code = match exit {
        Some(Exit::Code(code)) => Reading::Number(f64::from(code)),
        _ => Reading::Absent,
    };
    let mut readings = vec![(EXIT, code), (DURATION, Reading::Number(ended.took.as_secs_f64()))];
    let how = match exit {
        None => format!("killed, because it had not ended after {}", show_duration(timeout)),
        Some(exit) => exit.to_string(),
    };
    let mut why = if program.nagios {
        let perf = nagios::perf(&String::from_utf8_lossy(&ran.output));
        let mut remarks = perf_readings(program, &perf, &mut readings);
        let said = nagios::status_text(&output);
        let well = exit == Some(Exit::Code(0));
        if !matches!(exit, Some(Exit::Code(3))) {
            let warning = exit == Some(Exit::Code(1));
            readings.extend([(FAILED, flag(!well)), (WARNING, flag(warning)), (CRITICAL, flag(!well && !warning))]);
        }
        // A plugin says itself how things stand, if it ended as plugins do.
        remarks.insert(
            0,
            match (exit, said) {
                (Some(Exit::Code(0..=3)), said) if !said.is_empty() => clip(said, LINE),
                (_, "") => how,
                (_, said) => format!("{how}: {}", clip(said, LINE)),
            },
        );
        remarks.join("; ")
    } else {
        readings.push((FAILED, flag(exit != Some(Exit::Code(0)))));
        let last = output.lines().rev().map(str::trim).find(|line| !line.is_empty());
        match (exit, last) {
            (Some(Exit::Code(0)), _) => String::new(),
            (_, None) => how,
            (_, Some(last)) => format!("{how}: {}", clip(last, LINE)),
        }
    };
    if wanted.contains(OUTPUT) {
        readings.push((OUTPUT, Reading::Text(output)));
    }
    why.truncate(why.trim_end().len());
    (readings, why)
}

/// The performance values that are named; and what is to be said of those that are not what their rules take them for. A value
/// that the plugin does not give is absent if it says anything at all.
fn perf_readings(program: &Program, perf: &[nagios::Perf], readings: &mut Vec<(MetricId, Reading)>) -> Vec<String> {
    let mut remarks = Vec::new();
    for (i, metric) in program.metrics().iter().enumerate() {
        let Some(name) = metric.name.strip_prefix("perf.") else { continue };
        let Ok(id) = u8::try_from(i).map(MetricId) else { continue };
        match perf.iter().find(|perf| perf.name == name) {
            Some(perf) => match perf.reading(metric.dimension, program.takes_any_unit(id)) {
                Ok(reading) => readings.push((id, reading)),
                Err(unlike) => remarks.push(unlike),
            },
            None => remarks.push(format!("the plugin does not say `perf.{name}`")),
        }
    }
    remarks
}

/// What it wrote, as people may see it. Of a long output only the end is there: it may begin in the middle of a secret, so
/// that as much as the longest of them is left out.
fn shown(output: &[u8], secrets: &[String]) -> Arc<str> {
    let shown = text(output, secrets);
    if output.len() < OUTPUT_KEPT {
        return shown;
    }
    let longest = secrets.iter().map(|secret| secret.chars().count()).max().unwrap_or(0);
    shown.chars().skip(longest).collect::<String>().into()
}

#[cfg(test)]
mod tests;
