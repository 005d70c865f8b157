//! What the properties of a unit say.
//!
//! systemd keeps no record of what its operator wants, but moments of which that follows. A service that ends by itself is left
//! by its main process first, and is not active any more then; one that is stopped is not active any more (it is *deactivating*)
//! and then left by its process. For a service that is down:
//!
//! | so | wanted |
//! |---|---|
//! | masked, or its conditions were not met | down |
//! | never up since boot | up if it is enabled |
//! | `inactive`, though its last result is a failure | down: stopped while it waited to be started again |
//! | the result is one that no stop has: `watchdog`, `oom-kill`, .. | up |
//! | its main process ended before it left *active* | up: it ended by itself |
//! | after | down: stopped |
//! | never was active in its last run | up if it failed, else down: stopped while it was started |
//!
//! A `oneshot` that is done, and a service that waits for its socket, timer or path, are as they should be: wanted down.

use crate::model::{ControlState, Exit, Identity, Phase, Wall, plain};
use crate::sys::proc;
use std::collections::HashMap;
use zbus::{ObjectPath, OwnedVariant, Variant};

pub(super) type Properties = HashMap<String, OwnedVariant>;

/// A unit, by the properties that count. Moments are microseconds of the monotonic clock, 0 for never.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Unit {
    /// Its name, and no alias.
    pub id: String,
    load: String,
    load_error: String,
    active: String,
    sub: String,
    file_state: String,
    frozen: bool,
    triggered: bool,
    condition_failed: bool,
    /// The type of the job that is queued or runs: `start`, `stop`, `restart`, ..
    pub job: String,
    kind: String,
    remains: bool,
    /// The most that it may run.
    runtime_max: u64,
    result: String,
    main_pid: u32,
    restarts: Option<u64>,
    exit_code: i32,
    exit_status: i32,
    main_start: u64,
    main_exit: u64,
    inactive_exit: u64,
    active_enter: u64,
    active_exit: u64,
    inactive_enter: u64,
    changed: u64,
    /// Microseconds since 1970.
    changed_wall: u64,
    active_wall: u64,
}

pub(super) fn text(properties: &Properties, name: &str) -> String {
    match properties.get(name).map(|value| &**value) {
        Some(Variant::Str(text)) => plain(text.as_str()).into_owned(),
        _ => String::new(),
    }
}

fn number(properties: &Properties, name: &str) -> Option<u64> {
    match &**properties.get(name)? {
        Variant::U64(number) => Some(*number),
        Variant::U32(number) => Some((*number).into()),
        _ => None,
    }
}

fn signed(properties: &Properties, name: &str) -> i32 {
    match properties.get(name).map(|value| &**value) {
        Some(Variant::I32(number)) => *number,
        _ => 0,
    }
}

fn flag(properties: &Properties, name: &str) -> bool {
    matches!(properties.get(name).map(|value| &**value), Some(Variant::Bool(true)))
}

/// The job that this unit has, if any.
pub(super) fn job(properties: &Properties) -> Option<&ObjectPath<'_>> {
    let Variant::Structure(job) = &**properties.get("Job")? else { return None };
    match job.fields() {
        [Variant::U32(id), Variant::ObjectPath(path)] if *id != 0 => Some(path),
        _ => None,
    }
}

impl Unit {
    pub(super) fn new(all: &Properties) -> Unit {
        let moment = |name: &str| number(all, name).unwrap_or(0);
        let load_error = match all.get("LoadError").map(|value| &**value) {
            Some(Variant::Structure(error)) => match error.fields() {
                [_, Variant::Str(error)] => plain(error).into_owned(),
                _ => String::new(),
            },
            _ => String::new(),
        };
        Unit {
            id: text(all, "Id"),
            load: text(all, "LoadState"),
            load_error,
            active: text(all, "ActiveState"),
            sub: text(all, "SubState"),
            file_state: text(all, "UnitFileState"),
            frozen: text(all, "FreezerState") == "frozen",
            triggered: matches!(all.get("TriggeredBy").map(|v| &**v), Some(Variant::Array(by)) if !by.is_empty()),
            condition_failed: moment("ConditionTimestampMonotonic") != 0 && !flag(all, "ConditionResult"),
            job: String::new(),
            kind: text(all, "Type"),
            remains: flag(all, "RemainAfterExit"),
            runtime_max: number(all, "RuntimeMaxUSec").unwrap_or(u64::MAX),
            result: text(all, "Result"),
            main_pid: number(all, "MainPID").and_then(|pid| pid.try_into().ok()).unwrap_or(0),
            restarts: number(all, "NRestarts"),
            exit_code: signed(all, "ExecMainCode"),
            exit_status: signed(all, "ExecMainStatus"),
            main_start: moment("ExecMainStartTimestampMonotonic"),
            main_exit: moment("ExecMainExitTimestampMonotonic"),
            inactive_exit: moment("InactiveExitTimestampMonotonic"),
            active_enter: moment("ActiveEnterTimestampMonotonic"),
            active_exit: moment("ActiveExitTimestampMonotonic"),
            inactive_enter: moment("InactiveEnterTimestampMonotonic"),
            changed: moment("StateChangeTimestampMonotonic"),
            changed_wall: moment("StateChangeTimestamp"),
            active_wall: moment("ActiveEnterTimestamp"),
        }
    }

    /// It does not run, and is not about to.
    pub(super) fn is_down(&self) -> bool {
        self.phase() == Phase::Down
    }

    fn phase(&self) -> Phase {
        match self.active.as_str() {
            "active" | "reloading" | "refreshing" | "maintenance" if self.frozen => Phase::Paused,
            "active" | "reloading" | "refreshing" | "maintenance" => Phase::Running,
            "activating" => Phase::Starting,
            "deactivating" if self.main_pid == 0 => Phase::Finishing,
            "deactivating" => Phase::Stopping,
            // It waits for its turn.
            _ if matches!(self.job.as_str(), "start" | "restart") => Phase::Starting,
            _ => Phase::Down,
        }
    }

    /// What its operator wants: see the head of this file. Nothing if that cannot be told.
    pub(super) fn wanted(&self) -> Option<bool> {
        match self.job.as_str() {
            "stop" => return Some(false),
            "start" | "restart" | "try-restart" => return Some(true),
            _ => {}
        }
        match self.active.as_str() {
            "inactive" | "failed" => {}
            _ => return Some(true),
        }
        // Results of its own doing; "timeout" may also be that of a stop.
        let own = matches!(
            self.result.as_str(),
            "watchdog" | "oom-kill" | "start-limit-hit" | "resources" | "protocol" | "exec-condition"
        ) || self.result == "timeout" && self.runtime_max != u64::MAX;
        let failed = self.active == "failed";
        if self.load == "masked" || self.condition_failed && !failed {
            return Some(false);
        }
        if !failed && (self.triggered || self.kind == "oneshot" && !self.remains) {
            return Some(false);
        }
        if self.inactive_exit == 0 && !failed {
            return Some(matches!(self.file_state.as_str(), "enabled" | "enabled-runtime"));
        }
        if !failed && self.result != "success" {
            return Some(false);
        }
        if own {
            return Some(true);
        }
        if self.active_enter < self.inactive_exit {
            return Some(failed);
        }
        if self.remains && !failed {
            return Some(false);
        }
        match self.main_exit >= self.active_enter {
            true => Some(self.main_exit <= self.active_exit),
            // No main process was known, as with some that fork. If others were left that had to be ended, it was stopped.
            false if self.inactive_enter > self.active_exit => Some(false),
            false => Some(true),
        }
    }

    /// How its main process ended, if there is none now.
    fn last_exit(&self) -> Option<Exit> {
        let number = self.exit_status;
        match self.exit_code {
            _ if self.main_exit == 0 || self.main_exit < self.main_start => None,
            libc::CLD_EXITED => Some(Exit::Code(number)),
            libc::CLD_KILLED if number == libc::SIGKILL && self.result == "oom-kill" => Some(Exit::Memory),
            libc::CLD_KILLED => Some(Exit::Signal { number, core: false }),
            libc::CLD_DUMPED => Some(Exit::Signal { number, core: true }),
            _ => None,
        }
    }

    fn word(&self) -> String {
        let result = Some(&self.result).filter(|result| !result.is_empty() && *result != "success");
        match (self.active.as_str(), result) {
            _ if self.frozen => "frozen".to_owned(),
            ("inactive", _) if self.load == "masked" => "masked".to_owned(),
            ("inactive", _) if self.phase() == Phase::Starting => "waiting to be started".to_owned(),
            ("inactive", _) if self.condition_failed => "inactive, its conditions are not met".to_owned(),
            ("inactive", _) => "inactive".to_owned(),
            ("failed", Some(result)) => format!("failed: {result}"),
            // How it ended last, which is why it starts anew or is being ended.
            ("activating" | "deactivating", Some(result)) => format!("{}: {result}", self.sub),
            _ => self.sub.clone(),
        }
    }

    /// How it stands. An error if there is no such unit, or none that can be read.
    pub(super) fn judge(&self) -> Result<ControlState, String> {
        if self.active == "inactive" {
            match self.load.as_str() {
                "not-found" => return Err(format!("systemd has no unit {}", self.id)),
                "bad-setting" | "error" => {
                    let why = if self.load_error.is_empty() { "see its log" } else { &self.load_error };
                    return Err(format!("systemd cannot read the unit {}: {why}", self.id));
                }
                _ => {}
            }
        }
        let wanted = self.wanted();
        let phase = self.phase();
        let pid = Some(self.main_pid).filter(|pid| *pid != 0);
        let wall = if phase == Phase::Running { self.active_wall } else { self.changed_wall };
        Ok(ControlState {
            alive: true,
            wanted,
            phase,
            // Neither "inactive", a clean end that its unit says is no reason to start it again, nor what was stopped.
            failed: self.active == "failed" && phase == Phase::Down && wanted != Some(false),
            process: pid.and_then(|pid| Some(Identity { pid, start: proc::stat(pid).ok()?.start })),
            since: i64::try_from(wall / 1000).ok().filter(|wall| *wall != 0).map(Wall),
            last_exit: self.last_exit(),
            restarts: self.restarts,
            word: self.word().into(),
            stamp: self.changed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_for_want_of_memory_is_told_as_that() {
        let ended = |status: i32, result: &str| Unit {
            exit_code: libc::CLD_KILLED,
            exit_status: status,
            result: result.into(),
            main_exit: 1,
            ..Unit::default()
        };
        assert_eq!(ended(libc::SIGKILL, "oom-kill").last_exit(), Some(Exit::Memory));
        let killed = Exit::Signal { number: libc::SIGKILL, core: false };
        assert_eq!(ended(libc::SIGKILL, "signal").last_exit(), Some(killed));
        // One of its children was, and systemd has ended the others.
        let asked = Exit::Signal { number: libc::SIGTERM, core: false };
        assert_eq!(ended(libc::SIGTERM, "oom-kill").last_exit(), Some(asked));
    }

    #[test]
    fn nothing_that_comes_over_the_bus_breaks_it() {
        let unit = Unit::new(&Properties::new());
        assert_eq!(unit.phase(), Phase::Down);
        let odd = |value: Variant<'static>| OwnedVariant::try_from(value).unwrap();
        let all = Properties::from([
            ("MainPID".to_owned(), odd(Variant::from("seven"))),
            ("ActiveState".to_owned(), odd(Variant::from("act\u{1b}[2Jive"))),
            ("ExecMainCode".to_owned(), odd(Variant::from(u64::MAX))),
            ("Job".to_owned(), odd(Variant::from((7u32,)))),
            ("StateChangeTimestamp".to_owned(), odd(Variant::from(u64::MAX))),
        ]);
        assert_eq!(job(&all), None);
        let state = Unit::new(&all).judge().unwrap();
        assert_eq!((state.process, state.last_exit), (None, None));
        assert!(!Unit::new(&all).active.contains('\u{1b}'));
    }
}
