//! Counts what happens, where all of it comes by: no reader has to keep up.

use crate::model::kinds::{CheckKind, Process};
use crate::model::{
    CheckId, Delivery, Effect, Event, EventKind, Found, Input, Message, MessageState, MetricId, Mono, Name, OfService,
    ParcelId, Plan, Record, Sample, Series, Vitals,
};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// The metrics that are rates of what is counted.
const CPU: MetricId = MetricId(Process::CPU);
const READ: MetricId = MetricId(Process::READ);
const WRITE: MetricId = MetricId(Process::WRITE);

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct Tally {
    vitals: Vitals,
    /// Whose the attempts under way are.
    parcels: HashMap<ParcelId, Name>,
    watched: HashMap<CheckId, Watched>,
}

/// A `process` check, and when its processes were last seen.
#[derive(Debug)]
struct Watched {
    service: Name,
    check: Name,
    seen: Option<Mono>,
}

impl Tally {
    /// What has been counted. What comes from elsewhere is missing.
    pub fn vitals(&self) -> Vitals {
        self.vitals.clone()
    }

    /// There is a new plan: what is not in it is forgotten, so that what is counted is bounded.
    pub fn replan(&mut self, plan: &Plan) {
        let is_known = |name: &Name| plan.services.iter().any(|service| service.name == *name);
        self.vitals.services.retain(|name, _| is_known(name));
        for service in &plan.services {
            let Some(of) = self.vitals.services.get_mut(&service.name) else { continue };
            of.fired.retain(|rule, _| service.rules.iter().any(|known| *known.name == **rule));
            of.used.retain(|check, _| service.checks.iter().any(|known| known.name == *check));
        }
        self.vitals.notifiers.retain(|name, _| plan.notifiers.contains_key(name));
    }

    /// A step was taken, and took so long.
    pub fn step(&mut self, took: Duration) {
        self.vitals.steps += 1;
        self.vitals.stepping += took;
        self.vitals.slowest = self.vitals.slowest.max(took);
    }

    /// Something has come in.
    pub fn input(&mut self, input: &Input) {
        match input {
            Input::Sampled(samples) => self.vitals.samples += samples.len() as u64,
            Input::Delivered { parcel, outcome } => {
                let Some(to) = self.parcels.remove(parcel) else { return };
                let outcome = match outcome {
                    Delivery::Delivered { .. } => "delivered",
                    Delivery::Deferred { .. } => "deferred",
                    Delivery::Refused { .. } => "refused",
                };
                *self.vitals.notifiers.entry(to).or_default().attempts.entry(outcome).or_default() += 1;
            }
            Input::Planned(plan) => self.replan(plan),
            _ => {}
        }
    }

    /// The engine wants something.
    pub fn effect(&mut self, effect: &Effect) {
        match effect {
            Effect::Send(parcel) => drop(self.parcels.insert(parcel.id, Arc::clone(&parcel.to))),
            Effect::Record(Record::Event(event)) => self.event(event),
            Effect::Record(Record::Message(message)) => self.message(message),
            Effect::Series(check, series) => self.series(*check, series),
            Effect::Forget(check) => drop(self.watched.remove(check)),
            Effect::Keep(check, sample) => self.sample(*check, sample),
            _ => {}
        }
    }

    fn event(&mut self, event: &Event) {
        let Some(service) = &event.service else { return };
        let mut of = |count: &mut dyn FnMut(&mut OfService)| {
            // Most events are of services that are known, and a name is not copied for them.
            match self.vitals.services.get_mut(service) {
                Some(of) => count(of),
                None => count(self.vitals.services.entry(Arc::clone(service)).or_default()),
            }
        };
        let mut act = |action: &str, outcome| {
            let Some(verb) = verb(action) else { return };
            of(&mut |of| *of.actions.entry((verb, outcome)).or_default() += 1);
        };
        match &event.kind {
            EventKind::Acted { action, ok, .. } => act(action, if *ok { "done" } else { "failed" }),
            EventKind::Held { action, .. } => act(action, "held"),
            EventKind::Fired { rule, .. } => of(&mut |of| *of.fired.entry(rule.clone()).or_default() += 1),
            EventKind::Died { .. } => of(&mut |of| of.deaths += 1),
            EventKind::Opened { .. } => of(&mut |of| of.incidents += 1),
            _ => {}
        }
    }

    fn message(&mut self, message: &Message) {
        let ended = match message.state {
            MessageState::Waiting => return,
            MessageState::Delivered => "delivered",
            MessageState::Dead => "dead",
            MessageState::Dropped => "dropped",
        };
        *self.vitals.notifiers.entry(Arc::clone(&message.to)).or_default().ended.entry(ended).or_default() += 1;
    }

    fn series(&mut self, check: CheckId, series: &Series) {
        if series.kind == Process::NAME {
            let (service, check_name) = (Arc::clone(&series.service), Arc::clone(&series.check));
            let seen = self.watched.get(&check).and_then(|watched| watched.seen);
            self.watched.insert(check, Watched { service, check: check_name, seen });
        }
    }

    /// A rate is what was counted between two looks, over the time between them: their product is what was counted.
    fn sample(&mut self, check: CheckId, sample: &Sample) {
        let Some(watched) = self.watched.get_mut(&check) else { return };
        let before = match &sample.found {
            Found::Process(_) => watched.seen.replace(sample.at.mono),
            // The next one is new, and its first rate is over a time that began with it.
            Found::Nobody => return watched.seen = None,
            // It could not be asked: the next rate is over a longer time.
            _ => return,
        };
        let Some(before) = before else { return };
        let time = (sample.at.mono - before).as_secs_f64();
        let rate = |id| sample.reading(id).number().filter(|rate| rate.is_finite() && *rate >= 0.0);
        let of = self.vitals.services.entry(Arc::clone(&watched.service)).or_default();
        let used = of.used.entry(Arc::clone(&watched.check)).or_default();
        used.cpu += rate(CPU).unwrap_or(0.0) / 100.0 * time;
        let add = |sum: &mut Option<f64>, rate: Option<f64>| {
            if let Some(rate) = rate {
                *sum = Some(sum.unwrap_or(0.0) + rate * time);
            }
        };
        add(&mut used.read, rate(READ));
        add(&mut used.written, rate(WRITE));
    }
}

/// The first word of an action, of those that there are: what a command is called is its own affair.
fn verb(action: &str) -> Option<&'static str> {
    let first = action.split(' ').next().unwrap_or_default();
    ["restart", "start", "stop", "snapshot", "signal", "exec"].into_iter().find(|verb| *verb == first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Identity, MetricSet, Now, Reading, Used, Wall};

    fn sample(at: u64, found: Found, readings: &[(u8, f64)]) -> Sample {
        let at = Now { mono: Mono(at * 1_000_000_000), wall: Wall(0) };
        let readings = readings.iter().map(|(id, value)| (MetricId(*id), Reading::Number(*value))).collect();
        Sample { at, took: Duration::ZERO, readings, note: None, found }
    }

    #[test]
    fn what_processes_use_is_the_sum_of_their_rates() {
        let mut tally = Tally::default();
        let (check, metrics) = (CheckId(7), MetricSet::ALL);
        let (service, name): (Name, Name) = ("web".into(), "process".into());
        let series =
            |kind| Series { service: service.clone(), check: name.clone(), metrics, kind, table: Process::METRICS };
        tally.effect(&Effect::Series(check, series("process")));
        let lives = || Found::Process(Identity { pid: 4711, start: 1 });
        for (at, found, readings) in [
            // The first look has no rate.
            (0, lives(), vec![]),
            (10, lives(), vec![(Process::CPU, 50.0), (Process::READ, 100.0)]),
            // It could not be asked, and the next rate is over all of the time.
            (20, Found::Unasked, vec![]),
            (30, lives(), vec![(Process::CPU, 200.0)]),
            // Another one.
            (40, Found::Nobody, vec![]),
            (50, lives(), vec![]),
            (60, lives(), vec![(Process::CPU, 10.0)]),
        ] {
            tally.effect(&Effect::Keep(check, Arc::new(sample(at, found, &readings))));
        }
        let used = tally.vitals().services["web"].used["process"];
        assert_eq!(used, Used { cpu: 5.0 + 40.0 + 1.0, read: Some(1000.0), written: None });

        tally.effect(&Effect::Forget(check));
        tally.effect(&Effect::Keep(check, Arc::new(sample(70, lives(), &[(Process::CPU, 100.0)]))));
        assert_eq!(tally.vitals().services["web"].used["process"].cpu, 46.0);
        tally.effect(&Effect::Series(CheckId(8), series("http")));
        assert!(tally.watched.is_empty(), "only processes are");
    }

    #[test]
    fn what_happens_is_counted_by_words_that_are_few() {
        let mut tally = Tally::default();
        let acted = |action: &str, ok| EventKind::Acted {
            action: action.to_owned(),
            ok,
            words: String::new(),
            took: 0,
            output: None,
        };
        let held = EventKind::Held { action: "restart".to_owned(), why: String::new() };
        for kind in [
            acted("restart", true),
            acted("exec /usr/local/bin/drain web", true),
            acted("exec /usr/local/bin/other", true),
            acted("signal HUP", false),
            acted("dance", true),
            held,
            EventKind::Died { process: Identity { pid: 1, start: 1 }, how: None },
        ] {
            let event = Event { id: 1, at: Wall(0), service: Some("web".into()), incident: None, kind };
            tally.effect(&Effect::Record(Record::Event(event)));
        }
        let of = &tally.vitals().services["web"];
        let counted: Vec<_> = of.actions.iter().map(|((verb, outcome), count)| (*verb, *outcome, *count)).collect();
        let expected = [("exec", "done", 2), ("restart", "done", 1), ("restart", "held", 1), ("signal", "failed", 1)];
        assert_eq!((counted.as_slice(), of.deaths), (expected.as_slice(), 1));

        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("minder.yaml");
        std::fs::write(&file, "version: 1\nservices: { db: { checks: [{ system: {} }] } }").unwrap();
        tally.replan(&crate::config::load(&file, &crate::config::Env::default()).unwrap().0);
        assert!(tally.vitals().services.is_empty(), "what has left the plan is forgotten");
    }
}
