//! The brake: no more automatic restarts, over all services, than so many in so long.
//!
//! | state | a restart is wanted | then |
//! |---|---|---|
//! | off | and there is room in the window | it goes ahead, and is counted |
//! | | and there is none | it waits: on |
//! | on | | it waits; a new one lets the time of calm begin anew |
//! | | nobody new wants one for a whole window | easing |
//! | | a person releases it | all that wait go ahead uncounted, nothing is counted any more: off |
//! | easing | by one that waits, and there is room | it goes ahead, and is counted; off with the last one |
//! | | by a new one | it waits: on |
//!
//! A restart counts when its first order is given. What a person asks for, and what was under way when minder ended, never waits.

use super::Engine;
use super::act::Work;
use super::context::Context;
use super::schedule::{NEVER, Timer};
use super::service::ServiceState;
use crate::model::{
    BrakeView, Effect, EventKind, Incident, Mono, Name, Now, Record, RequestId, SavedBrake, Story, StoryRule, Times,
    Wall, show_duration,
};
use std::sync::Arc;
use std::time::Duration;

/// So long its message waits for more to tell: trouble of many comes within a moment.
const GATHER: Duration = Duration::from_secs(3);
/// So many services are named in a line.
const NAMED: usize = 5;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Off,
    On {
        since: Wall,
        /// When one last began to wait.
        last: Mono,
    },
    Easing {
        since: Wall,
    },
}

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Brake {
    state: State,
    /// The automatic restarts within the window, oldest first.
    stamps: Vec<(Mono, Wall)>,
    /// The services that wait, the first to ask first.
    waiting: Vec<Name>,
    /// That it is on, as an incident, once it was told.
    incident: Option<Incident>,
    /// When its message leaves.
    tell_at: Option<Mono>,
    /// The entry of the heap that is meant.
    armed: Mono,
    /// It is to be looked at, and saved.
    pub changed: bool,
}

impl Brake {
    /// As saved. If it was on, the time of calm begins anew.
    pub fn restore(saved: &SavedBrake, now: Now) -> Brake {
        let mono = |wall: &Wall| {
            let age = u64::try_from((now.wall - *wall).as_nanos()).unwrap_or(u64::MAX);
            Mono(now.mono.0.saturating_sub(age))
        };
        let mut stamps: Vec<(Mono, Wall)> = saved.restarts.iter().map(|wall| (mono(wall), *wall)).collect();
        stamps.sort();
        Brake {
            state: saved.since.map_or(State::Off, |since| State::On { since, last: now.mono }),
            stamps,
            waiting: Vec::new(),
            incident: saved.incident.clone(),
            tell_at: None,
            armed: NEVER,
            changed: false,
        }
    }

    fn saved(&self) -> SavedBrake {
        SavedBrake {
            restarts: self.stamps.iter().map(|(_, wall)| *wall).collect(),
            since: self.since(),
            incident: self.incident.clone(),
        }
    }

    fn since(&self) -> Option<Wall> {
        match self.state {
            State::Off => None,
            State::On { since, .. } | State::Easing { since } => Some(since),
        }
    }

    /// The heap was emptied.
    pub fn disarm(&mut self) {
        self.armed = NEVER;
        self.changed = true;
    }

    /// How many more may go ahead now.
    fn room(&mut self, limit: Times, now: Mono) -> usize {
        self.stamps.retain(|(at, _)| now - *at < limit.within);
        usize::try_from(limit.count).unwrap_or(usize::MAX).saturating_sub(self.stamps.len())
    }

    /// Whether this service may be restarted now.
    fn lets(&mut self, service: &Name, limit: Times, now: Mono) -> bool {
        let room = self.room(limit, now);
        match self.state {
            State::Off => room > 0,
            State::On { .. } => false,
            State::Easing { .. } => self.waiting.iter().take(room).any(|name| name == service),
        }
    }

    /// A restart begins.
    pub fn count(&mut self, service: &Name, now: Now) {
        self.stamps.push((now.mono, now.wall));
        self.waiting.retain(|name| name != service);
        self.changed = true;
    }

    /// When it wants to be looked at.
    fn wake(&self, limit: Times) -> Option<Mono> {
        let turn = match self.state {
            State::Off => None,
            State::On { last, .. } => Some(last + limit.within),
            State::Easing { .. } => self.stamps.first().map(|(at, _)| *at + limit.within),
        };
        turn.into_iter().chain(self.tell_at).min()
    }

    /// The incident that it is, once that was told.
    pub fn incident(&self) -> Option<&Incident> {
        self.incident.as_ref()
    }

    pub fn view(&self, limit: Times) -> Option<BrakeView> {
        let (since, waiting) = (self.since()?, self.waiting.clone());
        let how = match self.state {
            State::Easing { .. } => "they go ahead, so many in that time",
            _ => "`minder release` lets them go ahead",
        };
        let words = match waiting.as_slice() {
            [] => format!("The brake is on (more than {limit}), and holds no restart now."),
            [one] => format!("The brake holds a restart (more than {limit}): {one}; {how}."),
            all => {
                format!("The brake holds {} restarts (more than {limit}): {}; {how}.", all.len(), some(all))
            }
        };
        Some(BrakeView { since, limit: limit.to_string(), waiting, words })
    }
}

/// The first of these names.
fn some(names: &[Name]) -> String {
    let mut words = names.iter().take(NAMED).map(|name| &**name).collect::<Vec<_>>().join(", ");
    if names.len() > NAMED {
        words.push_str(&format!(" and {} more", names.len() - NAMED));
    }
    words
}

impl ServiceState {
    /// Whether the brake lets an automatic start go ahead now; otherwise it waits, which is said once.
    pub fn brake_lets(&mut self, cx: &mut Context, work: &Work) -> bool {
        let (limit, now, name) = (cx.plan.brake, cx.now, Arc::clone(&self.plan.name));
        if work.released || cx.brake.lets(&name, limit, now.mono) {
            return true;
        }
        if cx.brake.waiting.contains(&name) {
            return false;
        }
        let within = show_duration(limit.within);
        let why = format!("the brake is on, after {} restarts in {within} over all services", limit.count);
        self.held(cx, &work.goal.to_string(), &why);
        if !matches!(cx.brake.state, State::On { .. }) {
            let within = u64::try_from(limit.within.as_millis()).unwrap_or(u64::MAX);
            cx.event(None, None, EventKind::Braked { restarts: limit.count, within });
        }
        let brake = &mut cx.brake;
        brake.waiting.push(name);
        brake.state = State::On { since: brake.since().unwrap_or(now.wall), last: now.mono };
        if brake.incident.is_none() {
            brake.tell_at.get_or_insert(now.mono + GATHER);
        }
        brake.changed = true;
        false
    }

    fn waits_for_brake(&self) -> bool {
        let waits = |work: &Work| work.waits || matches!(work.step, super::act::Step::Confirming { .. });
        self.work.as_ref().is_some_and(|work| work.is_planned() && !work.person && waits(work))
    }
}

impl Engine {
    /// Carries the brake on: who waits no more, who goes ahead, what is told.
    pub(super) fn turn_brake(&mut self) {
        let cx = &mut self.context;
        if cx.brake.state == State::Off && !cx.brake.changed {
            return;
        }
        let (limit, now) = (cx.plan.brake, cx.now.mono);
        let (services, by_name) = (&self.services, &self.by_name);
        let waits = |name: &Name| by_name.get(name).is_some_and(|place| services[*place].waits_for_brake());
        cx.brake.waiting.retain(waits);
        if let State::On { since, last } = cx.brake.state
            && now >= last + limit.within
        {
            cx.brake.state = State::Easing { since };
            cx.brake.changed = true;
            let by = format!("nothing new was to be restarted for {}", show_duration(limit.within));
            let services = cx.brake.waiting.clone();
            cx.event(None, None, EventKind::Unbraked { by, services });
        }
        if let State::Easing { .. } = cx.brake.state {
            let room = cx.brake.room(limit, now);
            for name in cx.brake.waiting.clone().iter().take(room) {
                if let Some(place) = self.by_name.get(name) {
                    self.services[*place].after(&mut self.context);
                    self.touched.push(*place);
                }
            }
            if self.context.brake.waiting.is_empty() {
                self.brake_off();
            }
        }
        let cx = &mut self.context;
        if cx.brake.tell_at.is_some_and(|at| now >= at) {
            self.tell_brake();
        }
        let cx = &mut self.context;
        if std::mem::take(&mut cx.brake.changed) {
            cx.emit(Effect::Record(Record::Brake(Box::new(cx.brake.saved()))));
        }
        if cx.brake.armed <= now {
            cx.brake.armed = NEVER;
        }
        if let Some(at) = cx.brake.wake(limit).filter(|at| *at < cx.brake.armed) {
            cx.brake.armed = at.max(now + Duration::from_millis(1));
            cx.schedule.push(cx.brake.armed, Timer::Brake);
        }
    }

    /// Nobody waits any more; who was told of the brake is told that.
    fn brake_off(&mut self) {
        let cx = &mut self.context;
        (cx.brake.state, cx.brake.tell_at, cx.brake.changed) = (State::Off, None, true);
        if let Some(incident) = cx.brake.incident.take() {
            let title = "the brake is off: no restart is held".to_owned();
            cx.close_own(incident, Story { title, ..Story::default() });
        }
    }

    /// Tells that the brake is on, and what to do.
    pub(super) fn tell_brake(&mut self) {
        let cx = &mut self.context;
        if cx.brake.tell_at.take().is_none() || cx.brake.waiting.is_empty() {
            return;
        }
        let limit = cx.plan.brake;
        let within = show_duration(limit.within);
        let waiting = cx.brake.waiting.clone();
        let since = cx.brake.since().unwrap_or(cx.now.wall);
        let wanted = |name: &Name| {
            let service = &self.services[*self.by_name.get(name)?];
            let work = service.work.as_ref()?;
            let rule = format!("{} of {name}", work.goal);
            let note = Some(format!("wanted by {}", work.by));
            Some(StoryRule { condition: rule.clone(), rule, value: String::new(), note, since: work.began.wall })
        };
        let restarts = if waiting.len() == 1 { "a restart".to_owned() } else { format!("{} restarts", waiting.len()) };
        let story = Story {
            title: format!("the brake holds {restarts} (more than {limit}): {}", some(&waiting)),
            status: "the brake is on".to_owned(),
            rules: waiting.iter().filter_map(wanted).collect(),
            advice: vec![
                "So many at once may have one cause: look for it first.".to_owned(),
                "`minder release` lets all that wait go ahead at once; `minder restart NAME` one of them.".to_owned(),
                format!(
                    "Left alone they go ahead when nothing new was to be restarted for {within}, {} in {within}.",
                    limit.count
                ),
            ],
            ..Story::default()
        };
        let to = cx.plan.notify.iter().cloned().collect();
        cx.brake.incident = Some(cx.open_own(since, to, story));
        cx.brake.changed = true;
    }

    /// A person lets go ahead what waits.
    pub(super) fn release(&mut self, request: RequestId, who: &str) {
        let cx = &mut self.context;
        if cx.brake.state == State::Off {
            cx.brake.stamps.clear();
            cx.brake.changed = true;
            return cx.reply(request, true, "the brake is off, and holds nothing");
        }
        let waiting = std::mem::take(&mut cx.brake.waiting);
        cx.brake.stamps.clear();
        let by = format!("released by {who}");
        cx.event(None, None, EventKind::Unbraked { by, services: waiting.clone() });
        let words = match waiting.as_slice() {
            [] => "the brake is off; nothing waited".to_owned(),
            all => format!("the brake is off; go ahead: {}", all.join(", ")),
        };
        cx.reply(request, true, words);
        self.brake_off();
        for place in waiting.iter().filter_map(|name| self.by_name.get(name)) {
            let service = &mut self.services[*place];
            if let Some(work) = service.work.as_mut().filter(|work| work.is_planned()) {
                work.released = true;
            }
            service.after(&mut self.context);
        }
    }
}
