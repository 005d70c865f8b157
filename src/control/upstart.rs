//! upstart, by `initctl`: what it prints is the only form in which it tells.
//!
//! `initctl status JOB` prints `JOB [(INSTANCE)] GOAL/STATUS[, process PID]`, and further lines for other processes of the job.
//! Older releases print the instance behind the status. The goal is what is wanted: `start` or `stop`. A job that its respawn
//! limit has ended has the goal `stop` as well, and nothing tells it from one that its operator stopped.

use super::exec::last_lines;
use super::signal;
use super::supervisor::{Order, Supervisor};
use crate::model::controls::UpstartControl;
use crate::model::{ControlState, Identity, Phase, clip, plain};
use crate::sys::spawn::Program;
use crate::sys::users::User;
use crate::sys::{pidfd, proc, run};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// How long an `initctl` that does not wait for the job may take.
const WITHIN: Duration = Duration::from_secs(5);

/// A job of upstart, or an instance of one.
pub(super) struct Upstart {
    job: String,
    instance: Option<String>,
    timeout: Duration,
    initctl: Option<PathBuf>,
    /// Restarts that only `initctl` has seen: of a job without a pid, nothing else tells that it was restarted.
    unseen: AtomicU64,
}

/// What `initctl status` says.
#[derive(Debug, PartialEq, Eq)]
struct Status {
    goal: bool,
    status: String,
    /// Of the job's own process, not of a script around it.
    pid: Option<u32>,
}

impl Status {
    fn parse(output: &str, job: &str) -> Option<Status> {
        let mut lines = output.lines().skip_while(|line| line.split_whitespace().next() != Some(job));
        let first = lines.next()?;
        let mut words = first.strip_prefix(job)?.split_whitespace();
        // The instance before or after may hold anything, spaces too.
        let state = words.find(|word| word.starts_with("start/") || word.starts_with("stop/"))?;
        let (goal, status) = state.trim_end_matches(',').split_once('/')?;
        let pid_of = |line: &str, before: &str| line.rsplit_once(before)?.1.trim().parse::<u32>().ok();
        // In these the first line has the pid of the script; the main process then is not there yet, or no more.
        let scripted = matches!(status, "pre-start" | "post-stop");
        let pid = if scripted { None } else { pid_of(first, ", process ") };
        Some(Status { goal: goal == "start", status: status.to_owned(), pid: pid.filter(|pid| *pid > 1) })
    }

    fn phase(&self) -> Phase {
        match (self.status.as_str(), self.goal) {
            ("waiting", false) => Phase::Down,
            ("running", _) => Phase::Running,
            ("pre-stopping" | "pre-stop" | "stopping" | "killed", _) => Phase::Stopping,
            ("post-stopping" | "post-stop", _) => Phase::Finishing,
            (_, true) => Phase::Starting,
            (_, false) => Phase::Stopping,
        }
    }

    fn word(&self) -> String {
        format!("{}/{}", if self.goal { "start" } else { "stop" }, self.status)
    }
}

impl Supervisor for Upstart {
    fn state(&self) -> Result<ControlState, String> {
        let (well, output) = self.initctl(&["status"], WITHIN)?;
        let status = match (well, Status::parse(&output, &self.job)) {
            (true, Some(status)) => status,
            // An instance that does not run is not known.
            (false, _) if output.contains("Unknown instance") => {
                Status { goal: false, status: "waiting".to_owned(), pid: None }
            }
            (false, _) if output.contains("Unknown job") => return Err(format!("upstart has no job `{}`", self.job)),
            (false, _) if output.contains("Unable to connect") => {
                return Ok(ControlState { word: "upstart is not running".into(), ..ControlState::default() });
            }
            _ => return Err(format!("what `initctl status` says is not understood: {}", shown(&output))),
        };
        let process = status.pid.and_then(|pid| Some(Identity { pid, start: proc::stat(pid).ok()?.start }));
        let mut stamp = DefaultHasher::new();
        (status.goal, &status.status, process.map(|p| (p.pid, p.start)), self.unseen.load(Relaxed)).hash(&mut stamp);
        Ok(ControlState {
            alive: true,
            wanted: Some(status.goal),
            phase: status.phase(),
            process,
            word: status.word().into(),
            stamp: stamp.finish(),
            ..ControlState::default()
        })
    }

    /// `restart` is one order that fails for a job that is stopped, so that it never starts what was just taken down.
    fn tell(&self, order: Order) -> Result<(), String> {
        match order {
            Order::Up => self.told(&["start", "--no-wait"], "already running"),
            Order::Down => self.told(&["stop", "--no-wait"], "Unknown instance"),
            Order::Restart { by_hand } => {
                let state = self.state()?;
                if state.wanted == Some(false) && by_hand {
                    return self.told(&["start", "--no-wait"], "already running");
                }
                if state.process.is_some() {
                    return self.told(&["restart", "--no-wait"], "");
                }
                self.told_within(&["restart"], "", self.timeout)?;
                self.unseen.fetch_add(1, Relaxed);
                Ok(())
            }
            Order::Kill => {
                let Some(process) = self.state()?.process else { return Ok(()) };
                match signal::open_identity(process) {
                    Ok(pidfd) => pidfd::signal(&pidfd, libc::SIGKILL).map_err(|e| e.to_string()),
                    Err(signal::Refusal::Gone) => Ok(()),
                    Err(refusal) => Err(refusal.to_string()),
                }
            }
        }
    }

    fn pace(&self) -> Duration {
        Duration::from_millis(100)
    }
}

impl Upstart {
    pub(super) fn new(control: &UpstartControl) -> Upstart {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let usual = ["/sbin", "/usr/sbin"].map(PathBuf::from);
        let all = std::env::split_paths(&path).filter(|dir| dir.is_absolute()).chain(usual);
        Upstart {
            job: control.job.clone(),
            instance: control.instance.clone(),
            timeout: control.timeout.0,
            initctl: all.map(|dir| dir.join("initctl")).find(|path| path.is_file()),
            unseen: AtomicU64::new(0),
        }
    }

    /// Tells it, where one complaint is none: that it is so already.
    fn told(&self, words: &[&str], unless: &str) -> Result<(), String> {
        self.told_within(words, unless, WITHIN)
    }

    fn told_within(&self, words: &[&str], unless: &str, within: Duration) -> Result<(), String> {
        let (well, output) = self.initctl(words, within)?;
        if well || !unless.is_empty() && output.contains(unless) {
            return Ok(());
        }
        Err(format!("initctl {}: {}", words.join(" "), shown(&output)))
    }

    /// Whether it succeeded, and what it printed.
    fn initctl(&self, words: &[&str], within: Duration) -> Result<(bool, String), String> {
        let Some(initctl) = &self.initctl else {
            return Err("upstart's `initctl` is not installed: this machine is not run by upstart".to_owned());
        };
        let words = words.iter().copied().chain([&*self.job]).chain(self.instance.as_deref());
        let argv: Vec<String> = [initctl.display().to_string()].into_iter().chain(words.map(str::to_owned)).collect();
        let environment = User::current().environment([("LC_ALL".to_owned(), "C".to_owned())]);
        let program =
            Program { argv: &argv, environment: &environment, user: None, directory: Path::new("/"), umask: 0o022 };
        let ran = run::run(&program, None, within).map_err(|e| e.to_string())?;
        let output = String::from_utf8_lossy(&ran.output).into_owned();
        match ran.status {
            Some(status) => Ok((status == 0, output)),
            None => Err(format!("`initctl` had not ended after {}", crate::model::show_duration(within))),
        }
    }
}

fn shown(output: &str) -> String {
    let last = last_lines(output.as_bytes(), 1, &[]);
    if last.is_empty() { "nothing".to_owned() } else { clip(&plain(&last), 200) }
}

#[cfg(test)]
mod tests;
