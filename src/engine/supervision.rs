//! What the supervisor of a service says, and what follows: whom a check of the supervised process asks about, how often the
//! supervisor has started it again, and whether it is the supervisor's turn.
//!
//! | the supervisor's answer, compared with the one before | it has started the service again |
//! |---|---|
//! | it counts by itself | as often as its count has grown |
//! | another process than the last one | once |
//! | no process, as before, but its record has changed since | once: a process came and went unseen |
//! | we, a person, or its operator have started or stopped it since | not by itself |
//! | it was not there, or wants it down | not by itself |
//!
//! So often within ten minutes that it is a loop ([`A_LOOP`]), `control.flapping` becomes true, and stays so until it was not
//! started again for [`CALM`]: a loop is told once, however long it lasts.

use super::act::Goal;
use super::context::Context;
use super::death::Life;
use super::service::ServiceState;
use crate::model::kinds::{Process, control};
use crate::model::{
    ControlState, EventKind, Found, Identity, Kind, MetricId, Mono, Now, Phase, Reading, Sample, SupervisorView, Wall,
    show_duration,
};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Starts are counted for so long.
const COUNTED: Duration = Duration::from_secs(600);
/// So many of them within that time are a loop.
const A_LOOP: u32 = 5;
/// A loop is over when there was none for so long.
const CALM: Duration = Duration::from_secs(300);
/// What comes within this time is counted together, which bounds what is kept.
const TOGETHER: Duration = Duration::from_secs(10);
/// After a death, its supervisor takes note of it, and starts it again: it is asked after this, then ever more slowly.
const TAKES_NOTE: Duration = Duration::from_millis(20);

/// A new directory is found by a supervisor that looks for such every few seconds: runsvdir and svscan every five.
const IS_FOUND_WITHIN: Duration = Duration::from_secs(10);

/// How often a supervisor has started its service again.
#[derive(Debug, Default)]
pub(super) struct Restarts {
    /// Its last answer, if a difference to it is the supervisor's own doing.
    before: Option<Before>,
    /// What was answered to questions from before this time may be our doing.
    not_before: Mono,
    /// When, and how often then; oldest first.
    starts: VecDeque<(Now, u32)>,
    pub flapping: bool,
    /// The supervisor was there, in this run of minder.
    seen: bool,
}

#[derive(Debug, Clone, Copy)]
struct Before {
    /// The last process that it named, which may have ended since.
    last: Option<Identity>,
    runs: bool,
    phase: Phase,
    stamp: u64,
    restarts: Option<u64>,
}

impl Restarts {
    /// From an earlier minder, on the same boot of the machine.
    pub fn restore(saved: &[(Wall, u32)], flapping: bool, now: Now) -> Restarts {
        let one = |(at, count): &(Wall, u32)| {
            let ago = now.wall - *at;
            let mono = Mono(now.mono.0.saturating_sub(u64::try_from(ago.as_nanos()).unwrap_or(u64::MAX)));
            (ago <= COUNTED).then_some((Now { mono, wall: *at }, *count))
        };
        let mut restarts = Restarts { starts: saved.iter().filter_map(one).collect(), flapping, ..Restarts::default() };
        restarts.settle(now.mono);
        restarts
    }

    pub fn saved(&self) -> Vec<(Wall, u32)> {
        self.starts.iter().map(|(at, count)| (at.wall, *count)).collect()
    }

    /// What changes now is somebody else's doing.
    pub fn forgive(&mut self, now: Mono) {
        (self.before, self.not_before) = (None, now);
    }

    /// It begins anew: by a person's wish, or its operator's.
    pub fn clear(&mut self, now: Mono) {
        *self = Restarts { seen: self.seen, ..Restarts::default() };
        self.forgive(now);
    }

    /// Takes an answer in; whether it has started it again.
    pub fn heard(&mut self, state: &ControlState, asked: Mono, now: Now) -> bool {
        self.seen |= state.alive;
        if !state.alive || state.wanted == Some(false) || asked < self.not_before {
            self.before = None;
            return false;
        }
        let last = state.process.or(self.before.and_then(|before| before.last));
        let (runs, phase) = (state.process.is_some(), state.phase);
        let new = Before { last, runs, phase, stamp: state.stamp, restarts: state.restarts };
        let Some(before) = self.before.replace(new) else { return false };
        let count = match (before.restarts, state.restarts) {
            // It counts anew after a reset.
            (Some(old), Some(new)) => u32::try_from(new.checked_sub(old).unwrap_or(new)).unwrap_or(u32::MAX),
            _ if runs => u32::from(before.last.is_some() && before.last != last),
            _ => {
                let again = phase == before.phase || phase == Phase::Finishing && before.phase != Phase::Stopping;
                u32::from(!before.runs && state.stamp != before.stamp && again)
            }
        };
        if count == 0 {
            return false;
        }
        match self.starts.back_mut() {
            Some((at, sum)) if now.mono - at.mono < TOGETHER => *sum = sum.saturating_add(count),
            _ => self.starts.push_back((now, count)),
        }
        true
    }

    /// As of now; whether anything but the passing of time shows.
    pub fn settle(&mut self, now: Mono) -> bool {
        while self.starts.front().is_some_and(|(at, _)| now - at.mono > COUNTED) {
            self.starts.pop_front();
        }
        let calm = self.starts.back().is_none_or(|(at, _)| now - at.mono >= CALM);
        let flapping = if self.flapping { !calm } else { self.count() >= A_LOOP && !calm };
        std::mem::replace(&mut self.flapping, flapping) != flapping
    }

    pub fn count(&self) -> u32 {
        self.starts.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }
}

/// Whom a check of the supervised process is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    Process(Identity),
    /// The supervisor says that there is none.
    Nobody,
    /// The supervisor cannot be asked.
    Unknown,
    /// Its answer is awaited.
    Awaited,
}

impl ServiceState {
    /// Whether the check at `c` is of the process that the supervisor names.
    pub fn is_supervised(&self, c: usize) -> bool {
        matches!(&*self.plan.checks[c].kind, Kind::Process(Process { supervised: true, .. }))
    }

    /// The check at `c` is asked by then. Of a supervised process its supervisor knows, and is asked first.
    pub fn hurry(&mut self, c: usize, at: Mono, fresh: bool) {
        if let Some(control) = self.control_check.filter(|_| self.is_supervised(c)) {
            self.checks[control].rhythm.hurry(at, false);
        }
        self.checks[c].rhythm.hurry(at, fresh);
    }

    /// Whom the check at `c`, of a supervised process, is about.
    pub fn named(&self, c: usize, now: Mono) -> Named {
        let (Some(life), Some(control)) = (&self.checks[c].life, self.control_check) else { return Named::Unknown };
        let living = life.identity.map(Named::Process);
        let Some(asked) = self.control_at else { return living.unwrap_or(Named::Awaited) };
        let plan = &self.plan.checks[control];
        let outdated = life.gone.filter(|death| asked < death.at.mono);
        if outdated.is_some_and(|death| now < death.at.mono + plan.timeout) {
            return Named::Awaited;
        }
        let is_fresh = self.control_known && outdated.is_none() && now - asked <= plan.stale_after();
        let Some(state) = self.control_state.as_ref().filter(|_| is_fresh) else {
            return living.unwrap_or(Named::Unknown);
        };
        match state.process {
            Some(process) if !life.is_known_dead(process) => Named::Process(process),
            // It has not taken note of the death yet; a supervisor that is stuck never does.
            Some(_) if life.gone.is_some_and(|death| now < death.settled) => Named::Awaited,
            // A supervisor that is gone says nothing of the process that it has left behind.
            None if !state.alive => living.unwrap_or(Named::Nobody),
            Some(_) | None => Named::Nobody,
        }
    }

    /// The answer to a question of a supervised process that need not be asked; nothing if it is awaited.
    pub fn answer_of_supervisor(&self, c: usize, named: Named, now: Now) -> Option<Sample> {
        let metrics = self.plan.checks[c].kind.metrics();
        let control = self.control_check.and_then(|control| self.checks[control].latest.as_ref());
        match named {
            Named::Process(_) | Named::Awaited => None,
            Named::Unknown => {
                let why = control.and_then(|sample| sample.note.as_deref()).unwrap_or("it does not answer");
                Some(Sample::unknown(now, format!("its supervisor could not be asked: {why}")))
            }
            Named::Nobody => {
                let reading = |id| if id == MetricId(Process::DOWN) { Reading::Flag(true) } else { Reading::Absent };
                let count = self.plan.checks[c].kind.metric("count");
                let one = |id| (id, if Some(id) == count { Reading::Number(0.0) } else { reading(id) });
                let word = self.control_state.as_ref().map_or("", |state| &state.word);
                Some(Sample {
                    at: now,
                    took: Duration::ZERO,
                    readings: (0..).map(MetricId).take(metrics.len()).map(one).collect(),
                    note: Some(format!("its supervisor names no process: {word}").into()),
                    found: Found::Nobody,
                })
            }
        }
    }

    /// An answer of the control: the sample of its check, with what is known of it over time.
    pub fn control_answered(&mut self, cx: &mut Context, sample: &Arc<Sample>) -> Arc<Sample> {
        let was = self.is_wanted_down();
        let had_failed = self.has_failed();
        let was_gone = self.control_state.as_ref().is_some_and(|state| !state.alive);
        self.control_at = Some(sample.at.mono);
        self.control_known = false;
        let mut answer = Arc::clone(sample);
        // Where it could not be asked, what it last said stays, for the page: an automatic start asks it anew.
        if let Found::Control(state) = &sample.found {
            let mut state = state.clone();
            // A supervisor that is gone, and whose record is, has not changed its mind: what was taken down stays so.
            if !state.alive && state.wanted.is_none() {
                state.wanted = self.control_state.as_ref().and_then(|before| before.wanted);
            }
            self.correct(&mut state, cx.now.wall);
            if self.work.as_ref().is_some_and(|work| work.brings_up()) {
                self.restarts.forgive(cx.now.mono);
            } else if self.restarts.heard(&state, sample.at.mono, cx.now) {
                self.dirty = true;
            }
            self.supervisor_says(cx, &state);
            self.control_state = Some(state);
            self.control_known = true;
            self.dirty |= self.restarts.settle(cx.now.mono);
            answer = Arc::new(Sample { readings: self.control_readings(cx.now.mono), ..Sample::clone(sample) });
        }
        let is = self.is_wanted_down();
        // What a person is about to overrule is no news either.
        let overruled = self.work.as_ref().is_some_and(|work| work.person && work.goal != Goal::Stop);
        let by_us = self.stopped || self.is_acting() || overruled;
        if was != is && !by_us {
            let by = self.plan.control.as_ref().map_or("its supervisor", |control| control.name());
            let kind = EventKind::Intended { up: !is, by: format!("the operator ({by})") };
            cx.event(Some(&self.plan.name), self.incident.as_ref().map(|i| i.id), kind);
            self.dirty = true;
        }
        if is != was || was_gone && self.control_state.as_ref().is_some_and(|state| state.alive) {
            self.turn_begins(cx.now.mono);
        }
        if is && !was {
            self.restarts.clear(cx.now.mono);
            self.resolve_all(cx, "its operator has taken it down");
        }
        if was && !is {
            // It is being started, though no process of it was seen yet.
            self.grace_until = cx.now.mono + self.plan.grace;
        }
        if self.has_failed() && !had_failed {
            // Its turn is over: nobody waits for it any longer.
            self.again_after = self.again_after.min(cx.now.mono);
        }
        self.follow_the_supervisor(cx);
        answer
    }

    /// Its operator has taken it up or down, or its supervisor has come.
    fn turn_begins(&mut self, now: Mono) {
        self.turn_since = now;
        let settled = now + self.plan.settle;
        for life in self.checks.iter_mut().filter_map(|check| check.life.as_mut()) {
            life.turn_begins(settled);
        }
    }

    /// What its checks of processes make of an answer.
    fn follow_the_supervisor(&mut self, cx: &mut Context) {
        let now = cx.now.mono;
        for c in 0..self.checks.len() {
            let Some(life) = &self.checks[c].life else { continue };
            let (identity, gone) = (life.identity, life.gone);
            if self.is_supervised(c) {
                let named = self.named(c, now);
                if let (Some(death), Some(control)) = (gone, self.control_check)
                    && now - death.at.mono < self.plan.settle
                {
                    let soon = (now - death.at.mono).max(TAKES_NOTE);
                    self.checks[control].rhythm.hurry(now + soon, false);
                }
                if named != Named::Awaited && identity.map(Named::Process) != Some(named) {
                    self.checks[c].rhythm.hurry(now, true);
                }
            }
            // A death may have waited for this answer.
            if gone.is_some() || identity.is_none() {
                self.judge(cx, c, false);
            }
        }
    }

    fn control_readings(&self, now: Mono) -> Vec<(MetricId, Reading)> {
        let Some(state) = &self.control_state else { return Vec::new() };
        // While the machine boots, its supervisors come up as well.
        let comes_yet = !state.alive && !self.restarts.seen && now < self.boot_grace_until;
        let alive = if comes_yet { Reading::Unknown } else { Reading::Flag(state.alive) };
        let wanted = state.wanted.map_or(Reading::Unknown, Reading::Flag);
        vec![
            (MetricId(control::ALIVE), alive),
            (MetricId(control::WANTED), wanted),
            (MetricId(control::FAILED), Reading::Flag(state.failed)),
            (MetricId(control::RESTARTS), Reading::Number(f64::from(self.restarts.count()))),
            (MetricId(control::FLAPPING), Reading::Flag(self.restarts.flapping)),
        ]
    }

    // ---- whose turn it is ----

    /// Its operator has taken it down with the supervisor's own means.
    pub fn is_wanted_down(&self) -> bool {
        self.control_state.as_ref().is_some_and(|state| state.wanted == Some(false))
    }

    /// Its supervisor has given it up, by its last answer.
    pub fn has_failed(&self) -> bool {
        self.control_known && self.control_state.as_ref().is_some_and(|state| state.failed)
    }

    /// A supervisor of its own lives, wants it up, and has not given it up.
    pub fn supervisors_turn(&self) -> bool {
        self.plan.control.as_ref().is_some_and(|control| control.supervises())
            && self
                .control_state
                .as_ref()
                .is_some_and(|state| state.alive && state.wanted != Some(false) && !state.failed)
    }

    /// Its directory may be too new for its supervisor to know it.
    pub fn supervisor_may_come(&self, now: Mono) -> bool {
        let is_gone = self.control_known && self.control_state.as_ref().is_some_and(|state| !state.alive);
        is_gone && !self.seen_up && !self.restarts.seen && now < self.began + IS_FOUND_WITHIN
    }

    /// Its supervisor is about to start it, and which state of its record that is. Who waits for that need not wait longer than
    /// until the record changes: if it is about to start it still, or again, that one was in vain.
    pub fn about_to_be_started(&self) -> Option<u64> {
        let state = self.control_state.as_ref().filter(|_| self.supervisors_turn() && self.control_known)?;
        (state.phase == Phase::Starting && state.process.is_none() && !self.dies_young()).then_some(state.stamp)
    }

    fn dies_young(&self) -> bool {
        self.restarts.flapping || self.checks.iter().filter_map(|check| check.life.as_ref()).any(Life::is_dying_young)
    }

    /// A script of its own cleans up behind the dead process, and has its time for that.
    pub fn is_finishing(&self, since: Mono, now: Mono) -> bool {
        let patience = self.plan.control.as_ref().map_or(Duration::ZERO, |control| control.timeout());
        self.supervisors_turn()
            && self.control_state.as_ref().is_some_and(|state| state.phase == Phase::Finishing)
            && now < since + patience
    }

    /// Before the supervisor has been heard, its record may be that it is down on purpose.
    pub fn awaits_control(&self, now: Mono) -> bool {
        self.control_check.is_some_and(|c| self.control_at.is_none() && now < self.began + self.plan.checks[c].timeout)
    }

    // ---- in words ----

    pub fn control_words(&self, wall: Wall) -> Option<String> {
        let state = self.control_state.as_ref()?;
        let wanted = match state.wanted {
            Some(true) => ", wanted up",
            Some(false) => ", wanted down",
            None => "",
        };
        let since = state.since.filter(|since| *since <= wall);
        let since = since.map_or(String::new(), |since| format!(", for {}", show_duration(wall - since)));
        let failed = if state.failed { ", given up by its supervisor" } else { "" };
        let dead = if state.alive { "" } else { ", its supervisor is not running" };
        Some(format!("{}{wanted}{since}{failed}{dead}", state.word))
    }

    pub fn supervisor_view(&self) -> Option<SupervisorView> {
        let state = self.control_state.as_ref().filter(|_| self.control_known)?;
        Some(SupervisorView {
            alive: state.alive,
            wanted: state.wanted,
            phase: state.phase,
            since: state.since,
            failed: state.failed,
            restarts: self.restarts.count(),
            flapping: self.restarts.flapping,
        })
    }
}
