//! supervisord, by its XML-RPC interface.
//!
//! | state | phase | wanted |
//! |---|---|---|
//! | STOPPED | down | down: somebody stopped it, or it is not to start by itself; up if minder's own restart stopped it |
//! | STARTING, BACKOFF | starting | up |
//! | RUNNING | running | up |
//! | STOPPING | stopping | as STOPPED |
//! | EXITED | starting for a moment, then down | up for a moment, then nobody says |
//! | FATAL | down, failed | up |
//!
//! EXITED is an end that nobody asked for. Where `autorestart` has it started again that happens within a second; else it stays
//! so, and nothing in supervisord's record says whether that is right. It is nobody's stop, so rules judge it.

mod rpc;

use super::supervisor::{Order, Supervisor};
use crate::model::controls::SupervisordControl;
use crate::model::{ControlState, Exit, Identity, Phase, Wall};
use crate::sys::proc;
use rpc::{Param, Trouble, call, shown};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Faults that it answers with.
mod fault {
    pub const SHUTDOWN_STATE: i64 = 6;
    pub const BAD_NAME: i64 = 10;
    pub const NO_FILE: i64 = 20;
    pub const NOT_EXECUTABLE: i64 = 21;
    pub const SPAWN_ERROR: i64 = 50;
    pub const ALREADY_STARTED: i64 = 60;
    pub const NOT_RUNNING: i64 = 70;
}

/// So long after an end, in seconds of its clock, supervisord may be about to start it again. It does so within one.
const MOMENT: i64 = 2;
/// Programs that are named where the one that is asked for is not known.
const NAMED: usize = 10;

/// For each program of a server, the beginning of the run that minder's restart has ended. There is no restart in this protocol:
/// between its two halves the program is STOPPED as if its operator had wished it so.
static ENDED: Mutex<BTreeMap<(String, String), i64>> = Mutex::new(BTreeMap::new());

/// A program of a supervisord.
pub(super) struct Supervisord(pub SupervisordControl);

/// A program's state as its operator knows it, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Stopped,
    Starting,
    Running,
    Backoff,
    Stopping,
    Exited,
    Fatal,
}

impl State {
    fn new(number: i64) -> Option<State> {
        Some(match number {
            0 => State::Stopped,
            10 => State::Starting,
            20 => State::Running,
            30 => State::Backoff,
            40 => State::Stopping,
            100 => State::Exited,
            200 => State::Fatal,
            _ => return None,
        })
    }
}

/// What `getProcessInfo` says.
struct Info {
    state: State,
    /// In seconds since 1970; 0 is never.
    start: i64,
    stop: i64,
    now: i64,
    pid: u32,
    exit: i32,
    trouble: String,
}

impl Info {
    fn new(members: &BTreeMap<String, String>) -> Result<Info, String> {
        let text = |name: &str| members.get(name).map(String::as_str);
        let number = |name: &str| {
            let number = text(name).and_then(|text| text.parse::<i64>().ok());
            number.ok_or_else(|| format!("supervisord does not say `{name}` of the program"))
        };
        let state = number("state")?;
        Ok(Info {
            state: State::new(state).ok_or_else(|| {
                format!("supervisord itself does not know how the program stands: it says state {state}")
            })?,
            start: number("start")?,
            stop: number("stop")?,
            now: number("now")?,
            pid: u32::try_from(number("pid")?).map_err(|_| "supervisord says a pid that cannot be".to_owned())?,
            exit: i32::try_from(number("exitstatus")?).unwrap_or(-1),
            trouble: shown(text("spawnerr").unwrap_or_default()),
        })
    }

    /// It has just ended, and may be about to be started again.
    fn has_just_exited(&self) -> bool {
        self.state == State::Exited && (0..=MOMENT).contains(&(self.now - self.stop))
    }

    fn phase(&self) -> Phase {
        match self.state {
            State::Starting | State::Backoff => Phase::Starting,
            State::Running => Phase::Running,
            State::Stopping => Phase::Stopping,
            State::Exited if self.has_just_exited() => Phase::Starting,
            State::Stopped | State::Exited | State::Fatal => Phase::Down,
        }
    }

    fn wanted(&self, ended_by_us: bool) -> Option<bool> {
        match self.state {
            State::Stopped | State::Stopping => Some(ended_by_us),
            State::Exited => self.has_just_exited().then_some(true),
            State::Starting | State::Running | State::Backoff | State::Fatal => Some(true),
        }
    }

    /// `exitstatus` is 0 as well where it is not known, such as after a start that failed: only EXITED has one for sure. Of a
    /// signal it says -1, not which.
    fn last_exit(&self) -> Option<Exit> {
        (self.state == State::Exited && self.exit >= 0).then_some(Exit::Code(self.exit))
    }

    fn since(&self) -> Option<Wall> {
        let seconds = match self.state {
            State::Starting | State::Running => self.start,
            // What could not be started at all has only begun.
            State::Stopped | State::Backoff | State::Exited | State::Fatal => self.stop.max(self.start),
            State::Stopping => 0,
        };
        (seconds > 0).then(|| Wall(seconds.saturating_mul(1000)))
    }

    fn stamp(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.state as u8, self.start, self.stop, self.pid).hash(&mut hasher);
        hasher.finish()
    }

    fn word(&self) -> String {
        let with_trouble =
            |word: &str| if self.trouble.is_empty() { word.to_owned() } else { format!("{word}: {}", self.trouble) };
        match self.state {
            State::Stopped if self.start == 0 => "STOPPED, never started".to_owned(),
            State::Stopped => "STOPPED".to_owned(),
            State::Starting => "STARTING".to_owned(),
            State::Running => "RUNNING".to_owned(),
            State::Backoff => with_trouble("BACKOFF"),
            State::Stopping => "STOPPING".to_owned(),
            State::Exited if self.exit < 0 => "EXITED by a signal".to_owned(),
            State::Exited => format!("EXITED with code {}", self.exit),
            State::Fatal => with_trouble("FATAL"),
        }
    }
}

impl Supervisor for Supervisord {
    fn state(&self) -> Result<ControlState, String> {
        let (info, uid) = match self.info() {
            Ok(known) => known,
            Err(Trouble::Gone(words)) => {
                return Ok(ControlState { word: words.into(), ..ControlState::default() });
            }
            Err(Trouble::Fault(fault::SHUTDOWN_STATE, _)) => {
                return Ok(ControlState { word: "supervisord is shutting down".into(), ..ControlState::default() });
            }
            Err(trouble) => return Err(trouble.words()),
        };
        Ok(ControlState {
            alive: true,
            wanted: info.wanted(self.ended_by_us(&info)),
            phase: info.phase(),
            failed: info.state == State::Fatal,
            process: self.process(&info, uid)?,
            since: info.since(),
            last_exit: info.last_exit(),
            restarts: None,
            word: info.word().into(),
            stamp: info.stamp(),
        })
    }

    /// A restart only stops it here, unless somebody else has: supervisord accepts no second stop before the next start, so that
    /// one that it accepts from us is the only one.
    fn tell(&self, order: Order) -> Result<(), String> {
        match order {
            Order::Up => {
                let told = self.call("startProcess", &[Param::Flag(false)]);
                // A first try that fails is not the last; what comes of it is seen.
                let told = told.or_else(|trouble| except(trouble, &[fault::ALREADY_STARTED, fault::SPAWN_ERROR]));
                told.map_err(Supervisord::not_started)?;
                ended().remove(&self.key());
            }
            Order::Down => {
                ended().remove(&self.key());
                let told = self.call("stopProcess", &[Param::Flag(false)]);
                told.or_else(|trouble| except(trouble, &[fault::NOT_RUNNING])).map_err(Trouble::words)?;
            }
            Order::Restart { by_hand } => {
                let (before, _) = self.info().map_err(Trouble::words)?;
                let key = self.key();
                let was = self.ended_by_us(&before);
                // Before it is STOPPED somebody may look already.
                ended().insert(key.clone(), before.start);
                match self.call("stopProcess", &[Param::Flag(false)]) {
                    Ok(()) => {}
                    Err(Trouble::Fault(fault::NOT_RUNNING, _)) if was || by_hand => {}
                    Err(trouble) => {
                        ended().remove(&key);
                        except(trouble, &[fault::NOT_RUNNING]).map_err(Trouble::words)?;
                        let (now, _) = self.info().map_err(Trouble::words)?;
                        if now.wanted(false) == Some(false) {
                            return Err("not restarted: its operator has taken it down".to_owned());
                        }
                    }
                }
            }
            Order::Kill => {
                let told = self.call("signalProcess", &[Param::Text("KILL")]);
                told.or_else(|trouble| except(trouble, &[fault::NOT_RUNNING])).map_err(Trouble::words)?;
            }
        }
        Ok(())
    }

    fn restarts_in_one(&self) -> bool {
        false
    }

    fn pace(&self) -> Duration {
        Duration::from_millis(100)
    }
}

impl Supervisord {
    fn call(&self, method: &str, more: &[Param<'_>]) -> Result<(), Trouble> {
        let params: Vec<Param<'_>> = [Param::Text(&self.0.program)].into_iter().chain(more.iter().copied()).collect();
        call(&self.0, method, &params).map(|_| ())
    }

    /// How the program stands, and as whom supervisord runs.
    fn info(&self) -> Result<(Info, Option<u32>), Trouble> {
        let answer = match call(&self.0, "getProcessInfo", &[Param::Text(&self.0.program)]) {
            Err(Trouble::Fault(fault::BAD_NAME, _)) => return Err(Trouble::Other(self.unknown())),
            other => other?,
        };
        let Some(members) = answer.structs.first() else {
            return Err(Trouble::Other(format!("what answers at {} is not supervisord: no state", self.0.server)));
        };
        Ok((Info::new(members).map_err(Trouble::Other)?, answer.uid))
    }

    /// There is no such program: in words that name those that there are.
    fn unknown(&self) -> String {
        let unknown = format!("supervisord at {} has no program `{}`", self.0.server, self.0.program);
        let Ok(all) = call(&self.0, "getAllProcessInfo", &[]) else { return unknown };
        let name = |members: &BTreeMap<String, String>| {
            let (group, name) = (members.get("group")?, members.get("name")?);
            Some(if group == name { format!("`{name}`") } else { format!("`{group}:{name}`") })
        };
        let names: Vec<String> = all.structs.iter().filter_map(name).map(|name| shown(&name)).collect();
        match names.len() {
            0 => format!("{unknown}, nor any other"),
            count if count > NAMED => {
                format!("{unknown}, but {} and {} more", names[..NAMED].join(", "), count - NAMED)
            }
            _ => format!("{unknown}, but {}", names.join(", ")),
        }
    }

    fn not_started(trouble: Trouble) -> String {
        match trouble {
            Trouble::Fault(fault::NO_FILE, words) => format!("supervisord cannot start it: no such file ({words})"),
            Trouble::Fault(fault::NOT_EXECUTABLE, words) => {
                format!("supervisord cannot start it: not executable ({words})")
            }
            trouble => trouble.words(),
        }
    }

    fn key(&self) -> (String, String) {
        (self.0.server.clone(), self.0.program.clone())
    }

    /// This run was ended by minder to be started anew.
    fn ended_by_us(&self, info: &Info) -> bool {
        ended().get(&self.key()) == Some(&info.start)
    }

    /// The program's process, if it is one of this machine: supervisord may be in a container, or elsewhere, and its pids be
    /// those of others here.
    fn process(&self, info: &Info, uid: Option<u32>) -> Result<Option<Identity>, String> {
        let Some(stat) = Some(info.pid).filter(|pid| *pid > 1).and_then(|pid| proc::stat(pid).ok()) else {
            return Ok(None);
        };
        let its_own = call(&self.0, "getPID", &[]).map_err(Trouble::words)?;
        if its_own.value.parse() != Ok(stat.ppid) {
            return Ok(None);
        }
        let user = proc::user(stat.pid).ok();
        let ours = rustix::process::geteuid().as_raw();
        match uid {
            None => Ok(None),
            // Nobody's supervisord names root's processes, and has them watched or signalled.
            Some(uid) if uid != 0 && uid != ours && user.is_some_and(|user| user != uid) => Err(format!(
                "supervisord at {} runs as user {uid}, and names a process of another user's: pid {}",
                self.0.server, stat.pid
            )),
            _ => Ok(Some(Identity { pid: stat.pid, start: stat.start })),
        }
    }
}

fn ended() -> MutexGuard<'static, BTreeMap<(String, String), i64>> {
    ENDED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All is well if it is only one of these faults.
fn except(trouble: Trouble, faults: &[i64]) -> Result<(), Trouble> {
    match trouble {
        Trouble::Fault(code, _) if faults.contains(&code) => Ok(()),
        trouble => Err(trouble),
    }
}

#[cfg(test)]
mod tests;
