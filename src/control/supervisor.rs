//! What every supervisor can be asked and told, and the one way in which it is told: idempotent, verified by looking again, and
//! within a deadline.
//!
//! | asked for | already so | told | so when |
//! |---|---|---|---|
//! | start | it runs and is wanted up | up | it runs, and has for a moment |
//! | restart | | restart | another process than before runs, and has for a moment |
//! | stop | it is down and wanted down | down | it is down and wanted down |
//!
//! What was told to end and has not is killed in the last quarter of the time: a hung daemon is what restarts are for. Signals of
//! a rule's own go to the process itself, by its pidfd, not through the supervisor: there they could meet its successor.

use crate::model::{Clock, ControlState, Mono, Phase, show_duration};
use crate::sys::run;
use std::time::Duration;

/// A start is believed when the process has lived for so long: one that exits at once is seen running for a moment, too.
pub(super) const STEADY: Duration = Duration::from_millis(100);

/// What a supervisor is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Have it up from now on; also if it has been given up.
    Up,
    /// Have it down from now on.
    Down,
    /// End its process and start it again; see [`Supervisor::restarts_in_one`]. Unless a person asks for it, never a start of what is wanted down, even if that
    /// comes to be so this very moment.
    Restart { by_hand: bool },
    /// Kill its process, which was told to end before.
    Kill,
}

/// One service, as its supervisor knows it.
pub(super) trait Supervisor {
    /// How it stands. An error, in words for people, if that cannot be known. A supervisor that is not there is no error:
    /// [`ControlState::alive`] says so, and [`ControlState::word`] in words that follow the service's name.
    fn state(&self) -> Result<ControlState, String>;

    /// Passes an order on, without waiting for what comes of it.
    fn tell(&self, order: Order) -> Result<(), String>;

    /// Whether a restart is one order. Otherwise [`Order::Restart`] ends the process only, or fails if somebody wants it down,
    /// and [`Order::Up`] follows when it has ended.
    fn restarts_in_one(&self) -> bool {
        true
    }

    /// How often it may be asked while something is expected to happen.
    fn pace(&self) -> Duration {
        Duration::from_millis(10)
    }
}

/// Has it started, unless it runs.
pub(super) fn start(service: &dyn Supervisor, timeout: Duration, clock: &dyn Clock) -> Result<String, String> {
    let mut at = Watch::begin(service, timeout, clock)?;
    if at.state.phase == Phase::Running && at.state.wanted != Some(false) {
        return Ok(format!("already up{}", at.process()));
    }
    service.tell(Order::Up)?;
    at.until_up(None)
}

/// Has it restarted. What was taken down on purpose is started only if a person asks for it.
pub(super) fn restart(
    service: &dyn Supervisor,
    by_hand: bool,
    timeout: Duration,
    clock: &dyn Clock,
) -> Result<String, String> {
    let mut at = Watch::begin(service, timeout, clock)?;
    if at.state.wanted == Some(false) && !by_hand {
        return Err("not restarted: its operator has taken it down, or has it run only once".to_owned());
    }
    let old = at.state.clone();
    if service.restarts_in_one() {
        service.tell(Order::Restart { by_hand })?;
    } else {
        // Without it the end of minder, between the two orders, would be the end of the service.
        let _until_told = run::until_told();
        at.hurried = true;
        service.tell(Order::Restart { by_hand })?;
        let has_ended =
            |state: &ControlState| state.phase == Phase::Down || state.process.is_some() && is_another(&old, state);
        at.until("down", |state, _| has_ended(state), |_| true)?;
        at.hurried = false;
        service.tell(Order::Up)?;
    }
    at.until_up(Some(old).filter(|old| is_up(old) || old.phase == Phase::Paused || old.phase == Phase::Stopping))
}

/// Has it stopped, and wanted down from now on.
pub(super) fn stop(service: &dyn Supervisor, timeout: Duration, clock: &dyn Clock) -> Result<String, String> {
    // One that its supervisor has given up is wanted up for ever, and does not come up.
    let is_down = |state: &ControlState| state.phase == Phase::Down && (state.wanted != Some(true) || state.failed);
    let mut at = Watch::begin(service, timeout, clock)?;
    if is_down(&at.state) {
        return Ok("already down".to_owned());
    }
    service.tell(Order::Down)?;
    let told = at.state.clone();
    let is_down_now = |state: &ControlState, _| {
        // A supervisor that was about to start it again may have had nothing to stop.
        if is_up(state) && state.wanted == Some(true) && is_another(&told, state) {
            let _ = service.tell(Order::Down);
        }
        is_down(state)
    };
    at.until("down", is_down_now, |_| true)?;
    Ok(format!("down after {}", at.took()))
}

/// It runs as one that has just been started.
fn is_up(state: &ControlState) -> bool {
    state.phase == Phase::Running
}

/// Another run than the old one.
fn is_another(old: &ControlState, state: &ControlState) -> bool {
    match (old.process, state.process) {
        (Some(old), Some(new)) => old != new,
        _ => old.stamp != state.stamp,
    }
}

/// A service that something is expected of.
struct Watch<'a> {
    service: &'a dyn Supervisor,
    clock: &'a dyn Clock,
    began: Mono,
    timeout: Duration,
    state: ControlState,
    killed: bool,
    /// What it does not do before minder ends is never done.
    hurried: bool,
}

impl<'a> Watch<'a> {
    fn begin(service: &'a dyn Supervisor, timeout: Duration, clock: &'a dyn Clock) -> Result<Watch<'a>, String> {
        let began = clock.now().mono;
        let state = alive(service.state()?)?;
        Ok(Watch { service, clock, began, timeout, state, killed: false, hurried: false })
    }

    fn took(&self) -> String {
        show_duration(self.clock.now().mono - self.began)
    }

    fn process(&self) -> String {
        self.state.process.map_or(String::new(), |process| format!(" as {process}"))
    }

    /// Waits until it runs, and has for a moment; as another run than the old one, if there is one.
    fn until_up(&mut self, old: Option<ControlState>) -> Result<String, String> {
        let mut steady: Option<(ControlState, Mono)> = None;
        let is_new = |state: &ControlState| old.as_ref().is_none_or(|old| is_another(old, state));
        let is_so = |state: &ControlState, now: Mono| {
            let up = is_up(state) && state.wanted != Some(false) && is_new(state);
            match &steady {
                _ if !up => steady = None,
                Some((first, since)) if !is_another(first, state) => return now - *since >= STEADY,
                _ => steady = Some((state.clone(), now)),
            }
            false
        };
        self.until("up", is_so, |state| old.is_some() && !is_new(state))?;
        Ok(format!("up{} after {}", self.process(), self.took()))
    }

    /// Looks until it is as it should be.
    fn until(
        &mut self,
        what: &str,
        mut is_so: impl FnMut(&ControlState, Mono) -> bool,
        must_end: impl Fn(&ControlState) -> bool,
    ) -> Result<(), String> {
        let patience = self.timeout - (self.timeout / 4).min(Duration::from_secs(5));
        let before = self.state.clone();
        loop {
            let now = self.clock.now().mono;
            if is_so(&self.state, now) {
                return Ok(());
            }
            // What it had failed of before the order does not count.
            if what == "up" && self.state.failed && !(before.failed && before.stamp == self.state.stamp) {
                return Err(format!("not up: {}", self.state.word));
            }
            let waited = now - self.began;
            let runs = matches!(self.state.phase, Phase::Running | Phase::Paused | Phase::Stopping);
            let late = waited >= patience || self.hurried && run::is_finishing();
            if late && runs && must_end(&self.state) && !std::mem::replace(&mut self.killed, true) {
                self.service.tell(Order::Kill)?;
            }
            if waited >= self.timeout {
                let wanted = match self.state.wanted {
                    Some(true) => ", wanted up",
                    Some(false) => ", wanted down",
                    None => "",
                };
                let killed = if self.killed { ", and was sent KILL" } else { "" };
                let after = show_duration(self.timeout);
                return Err(format!(
                    "not {what} after {after}: its supervisor says {}{wanted}{killed}",
                    self.state.word
                ));
            }
            std::thread::sleep(self.service.pace());
            self.state = alive(self.service.state()?)?;
        }
    }
}

fn alive(state: ControlState) -> Result<ControlState, String> {
    if state.alive { Ok(state) } else { Err(format!("it cannot be told anything: {}", state.word)) }
}
