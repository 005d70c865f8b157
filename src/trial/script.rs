//! A scenario as a script: when its checks are sampled, what they measure, and what happens.

use super::world::{Script, Step};
use crate::model::{Course, Each, Identity, Kind, MetricId, Mono, Occurrence, Question, Reading, Scenario};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// See the head of this file.
pub(super) struct Written<'s> {
    scenario: &'s Scenario,
    courses: HashMap<(usize, usize), Vec<&'s Course>>,
    /// The processes that checks find, each with what is measured of it.
    crowds: HashMap<(usize, usize), BTreeMap<Identity, Vec<&'s Course>>>,
    occurrences: VecDeque<(Mono, usize, Occurrence)>,
    /// When each check that is not of a process is sampled next: at the begin, and then each `every`.
    ticks: BinaryHeap<Reverse<(Mono, usize, usize)>>,
}

impl<'s> Written<'s> {
    pub fn new(scenario: &'s Scenario) -> Written<'s> {
        let mut courses: HashMap<_, Vec<&Course>> = HashMap::new();
        let mut crowds: HashMap<_, BTreeMap<_, Vec<&Course>>> = HashMap::new();
        for course in &scenario.courses {
            let place = (course.service, course.check);
            match &course.of {
                None => courses.entry(place).or_default().push(course),
                Some(who) => crowds.entry(place).or_default().entry(who.identity).or_default().push(course),
            }
        }
        let services = &scenario.plan.services;
        let place = |name: &str| services.iter().position(|service| &*service.name == name);
        let occurrences = scenario.occurrences.iter();
        let occurrences =
            occurrences.filter_map(|(at, of, what)| Some((Mono(0) + *at, place(of)?, what.clone()))).collect();
        let mut ticks = BinaryHeap::new();
        for (s, service) in services.iter().enumerate() {
            for (c, check) in service.checks.iter().enumerate() {
                if !matches!(*check.kind, Kind::Process(_) | Kind::Control(_)) {
                    ticks.push(Reverse((Mono(0), s, c)));
                }
            }
        }
        Written { scenario, courses, crowds, occurrences, ticks }
    }
}

impl Script for Written<'_> {
    fn next_at(&self) -> Option<Mono> {
        [self.occurrences.front().map(|(at, ..)| *at), self.ticks.peek().map(|Reverse((at, ..))| *at)]
            .into_iter()
            .flatten()
            .min()
    }

    fn step(&mut self) -> Option<Step> {
        let tick = self.ticks.peek().map(|Reverse((at, ..))| *at);
        // What happens at a time has happened when the checks are sampled.
        if self.occurrences.front().is_some_and(|(at, ..)| tick.is_none_or(|tick| *at <= tick)) {
            return self.occurrences.pop_front().map(|(_, service, what)| Step::Happens(service, what));
        }
        let Reverse((at, service, check)) = self.ticks.pop()?;
        let every = self.scenario.plan.services[service].checks[check].every;
        self.ticks.push(Reverse((at + every, service, check)));
        Some(Step::Sample(service, check))
    }

    fn readings(&mut self, service: usize, check: usize, at: Mono) -> Option<Vec<(MetricId, Reading)>> {
        let at: Duration = at - Mono(0);
        let courses = self.courses.get(&(service, check)).map_or(&[][..], Vec::as_slice);
        let mut readings: Vec<_> = courses.iter().map(|course| (course.metric, course.at(at))).collect();
        // All is well, where nobody says anything else.
        let kind = &self.scenario.plan.services[service].checks[check].kind;
        let well = match **kind {
            Kind::Process(_) => kind.metric("count").zip(Some(Reading::Number(1.0))),
            _ => kind.default_metric().zip(Some(Reading::Flag(false))),
        };
        readings.extend(well.filter(|(id, _)| courses.iter().all(|course| course.metric != *id)));
        readings.retain(|(_, reading)| *reading != Reading::Unknown);
        Some(readings)
    }

    fn each(&mut self, service: usize, check: usize, at: Mono) -> Option<Arc<[Each]>> {
        let at: Duration = at - Mono(0);
        let one = |(identity, courses): (&Identity, &Vec<&Course>)| {
            let who = courses.first()?.of.as_ref()?;
            let mut readings: Vec<_> = courses.iter().map(|course| (course.metric, course.at(at))).collect();
            // One of which nothing is there is not there.
            if readings.iter().all(|(_, reading)| *reading == Reading::Absent) {
                return None;
            }
            readings.retain(|(_, reading)| *reading != Reading::Unknown);
            readings.sort_by_key(|(id, _)| *id);
            Some(Each { identity: *identity, name: who.name.as_str().into(), user: who.user.as_str().into(), readings })
        };
        Some(self.crowds.get(&(service, check)).into_iter().flatten().filter_map(one).collect())
    }

    fn answers(&self, question: &Question) -> bool {
        question.urgent || matches!(*question.kind, Kind::Process(_))
    }
}
