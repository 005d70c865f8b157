//! What the engine promises about services that need each other, and about the brake, over random timelines.

use crate::model::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use testing::*;

/// The names under which the engine's own tests know the crate.
mod engine {
    pub use minder::engine::*;
}
mod model {
    pub use minder::model::*;
}
#[path = "../src/engine/testing/mod.rs"]
mod testing;

/// `web` needs `app` and `cache`, `app` needs `database`; each is restarted when it is down or in trouble.
const NAMES: [&str; 4] = ["web", "app", "cache", "database"];
const BRAKE: Times = Times { count: 2, within: std::time::Duration::from_secs(60) };

fn shop() -> Arc<Plan> {
    let mut services = vec![
        needing(daemon("web"), &["app", "cache"]),
        needing(daemon("app"), &["database"]),
        daemon("cache"),
        daemon("database"),
    ];
    let changed = services[0].term(1, "size", Test::Truth, Term::Changed);
    let notice = rule("moved", changed, Hold::None, vec![Action::Restart, Action::Notify(Some("chat".into()))]);
    services[0] = services[0].clone().rule(notice);
    let plan = plan(services);
    Arc::new(Plan { brake: BRAKE, notify: vec!["ops".into()], ..Plan::clone(&plan) })
}

#[derive(Debug, Clone)]
enum Happening {
    Pass(u64),
    Kill(usize, bool),
    Back(usize),
    Trouble(usize, bool),
    Moves(f64),
    Starts(usize, Start),
    Answers(usize, bool),
    Asked(usize, usize),
    Several(usize),
    Release,
    KillMinder,
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening::*;
    let service = 0..NAMES.len();
    let start = prop_oneof![3 => Just(Start::Up), 2 => (1u64..20_000).prop_map(Start::Dies), 1 => Just(Start::Fails)];
    prop_oneof![
        3 => (0u64..50).prop_map(Pass),
        6 => (50u64..30_000).prop_map(Pass),
        1 => (30_000u64..500_000).prop_map(Pass),
        5 => (service.clone(), any::<bool>()).prop_map(|(s, clean)| Kill(s, clean)),
        2 => service.clone().prop_map(Back),
        6 => (service.clone(), any::<bool>()).prop_map(|(s, on)| Trouble(s, on)),
        2 => (1f64..9.0).prop_map(Moves),
        2 => (service.clone(), start).prop_map(|(s, start)| Starts(s, start)),
        1 => (service.clone(), any::<bool>()).prop_map(|(s, on)| Answers(s, on)),
        3 => (0usize..5, service).prop_map(|(command, s)| Asked(command, s)),
        1 => (0usize..3).prop_map(Several),
        1 => Just(Release),
        1 => Just(KillMinder),
    ]
}

/// Lives through it, and looks after each step at what was sent in it: `held` has, for each place in the log, which services are
/// held after the step that it belongs to.
struct Life {
    world: World,
    held: Vec<(usize, BTreeSet<Name>)>,
}

impl Life {
    fn look(&mut self) {
        let snapshot = self.world.engine.snapshot(now(self.world.ms));
        let held = snapshot.services.into_iter().filter(|service| service.held.is_some()).map(|service| service.name);
        self.held.push((self.world.log.len(), held.collect()));
    }

    fn pass(&mut self, ms: u64) {
        let end = self.world.ms + ms;
        while self.world.step(end) {
            self.look();
        }
    }

    fn real(&mut self, i: usize, change: impl Fn(&mut Real)) {
        self.world.real.get_mut(NAMES[i]).into_iter().for_each(change);
    }

    fn live(happenings: &[Happening]) -> Life {
        let mut life = Life { world: World::new(shop()), held: Vec::new() };
        life.look();
        for happening in happenings {
            let ask = |i: usize| Name::from(NAMES[i]);
            match happening.clone() {
                Happening::Pass(ms) => life.pass(ms),
                Happening::Kill(i, clean) => {
                    let number = if clean { 15 } else { 9 };
                    life.world.kill(NAMES[i], Some(Exit::Signal { number, core: false }));
                }
                Happening::Back(i) => {
                    if life.world.real[NAMES[i]].process.is_none() {
                        life.world.bring_up(NAMES[i]);
                    }
                }
                Happening::Trouble(i, on) => life.real(i, |real| real.trouble = on),
                Happening::Moves(size) => life.real(0, |real| real.size = size),
                Happening::Starts(i, start) => life.real(i, |real| real.start = start),
                Happening::Answers(i, on) => life.real(i, |real| real.answers = on),
                Happening::Asked(command, i) => life.world.ask(
                    1,
                    match command {
                        0 => Command::Start { service: ask(i) },
                        1 => Command::Stop { service: ask(i) },
                        2 => Command::Restart { service: ask(i) },
                        3 => Command::Pause { service: ask(i) },
                        _ => Command::Resume { service: ask(i) },
                    },
                ),
                Happening::Several(verb) => {
                    let verb = [Verb::Start, Verb::Stop, Verb::Restart][verb];
                    life.world.ask(2, Command::Several { verb, services: Vec::new(), group: None, all: true });
                }
                Happening::Release => life.world.ask(3, Command::Release),
                Happening::KillMinder => life.world.kill_and_restore(),
            }
            life.look();
        }
        life
    }

    /// Everything gets well again, and enough time passes for all of it to be told.
    fn all_clear(&mut self) {
        for (i, name) in NAMES.into_iter().enumerate() {
            self.real(i, |real| *real = Real { process: real.process, ..Real::default() });
            if self.world.real[name].process.is_none() {
                self.world.bring_up(name);
            }
            // Each is a step of its own, and what is held changes with each.
            self.look();
            for command in [Command::Resume { service: name.into() }, Command::Start { service: name.into() }] {
                self.world.ask(9, command);
                self.look();
            }
        }
        self.pass(240_000);
    }

    /// Every effect, with what is held after the step that it belongs to.
    fn effects(&self) -> impl Iterator<Item = (u64, &Effect, &BTreeSet<Name>)> {
        self.world.log.iter().enumerate().map(|(i, (at, effect))| (*at, effect, &self.held[self.step_of(i)].1))
    }

    fn step_of(&self, i: usize) -> usize {
        self.held.partition_point(|(length, _)| *length <= i).min(self.held.len() - 1)
    }

    /// No message of a service leaves while something that it needs is not well, but that of the end of what was told; and of
    /// what has ended while it was held, nobody hears.
    fn messages_are_held(&self) -> Result<(), TestCaseError> {
        let mut told: BTreeSet<(u64, Name)> = BTreeSet::new();
        let mut ended_held: BTreeSet<u64> = BTreeSet::new();
        for (at, effect, held) in self.effects() {
            match effect {
                Effect::Record(Record::Incident(incident))
                    if incident.closed.is_some() && held.contains(&incident.service) =>
                {
                    ended_held.insert(incident.id);
                }
                // What is only put on record is told to nobody.
                Effect::Tell(message)
                    if message.state == MessageState::Waiting && !message.story.service.is_empty() =>
                {
                    let incident = message.story.incident.unwrap_or_default();
                    let key = (incident, message.to.clone());
                    let was_told = told.contains(&key);
                    let is_end = message.kind == MessageKind::Resolved;
                    prop_assert!(
                        is_end && was_told || !held.contains(&*message.story.service),
                        "{} is held at {at}, and {:?} is sent",
                        message.story.service,
                        message.kind
                    );
                    prop_assert!(
                        was_told || !ended_held.contains(&incident),
                        "{:?} of {} at {at}, which has ended while it was held",
                        message.kind,
                        message.story.title
                    );
                    if message.kind == MessageKind::Firing {
                        told.insert(key);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// No automatic restart begins while something that the service needs is not well; and never more of them in any window
    /// than the brake says, but those that a person has released. What minder's end interrupted goes on.
    fn restarts_are_held(&self) -> Result<(), TestCaseError> {
        let mut begun: Vec<u64> = Vec::new();
        let mut released: BTreeSet<Name> = BTreeSet::new();
        let mut interrupted: BTreeSet<Name> = BTreeSet::new();
        let mut under_way: BTreeMap<Name, bool> = BTreeMap::new();
        for (i, (at, effect, held)) in self.effects().enumerate() {
            let event = match effect {
                Effect::Record(Record::Event(event)) => event,
                // The answer to a release: the window begins anew.
                Effect::Reply(RequestId(3), _) => {
                    begun.clear();
                    continue;
                }
                _ => continue,
            };
            match (&event.kind, &event.service) {
                (EventKind::Started { .. }, _) => interrupted = under_way.keys().cloned().collect(),
                (EventKind::Unbraked { by, services }, _) if by.starts_with("released") => {
                    released.extend(services.iter().cloned());
                }
                (EventKind::Acted { .. }, Some(service)) => drop(under_way.remove(service)),
                (EventKind::Acting { by, action }, Some(service)) if action != "stop" => {
                    let by_person = by == "root" || by.starts_with("the restart of several");
                    let resumed = interrupted.remove(service);
                    under_way.insert(service.clone(), by_person);
                    if by_person || resumed || released.remove(service) {
                        continue;
                    }
                    // In the very step in which the cause shows, either may be the first.
                    let before = &self.held[self.step_of(i).saturating_sub(1)].1;
                    prop_assert!(!(before.contains(service) && held.contains(service)), "{service} is held at {at}");
                    begun.push(at);
                    let within = BRAKE.within.as_millis() as u64;
                    let window = begun.iter().filter(|begin| at - **begin < within).count();
                    prop_assert!(
                        window <= BRAKE.count as usize,
                        "{window} restarts within a minute at {at}: {begun:?}"
                    );
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Who was told of the brake is told of its end.
    fn the_brake_is_told_of_both_ends(&self) -> Result<(), TestCaseError> {
        let mut on = false;
        for message in self.world.messages().iter().filter(|message| message.story.service.is_empty()) {
            prop_assert_eq!(message.kind, if on { MessageKind::Resolved } else { MessageKind::Firing });
            on = !on;
        }
        prop_assert!(!on, "told of the brake, and not of its end");
        Ok(())
    }
}

fn asked(world: &World, service: &str) -> Vec<u64> {
    let mut of = BTreeSet::new();
    let mut times = Vec::new();
    for (at, effect) in &world.log {
        match effect {
            Effect::Series(check, series) if &*series.service == service => drop(of.insert(*check)),
            Effect::Ask(question) if of.contains(&question.check) => times.push(*at),
            _ => {}
        }
    }
    times
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_held_stays_held_on_any_timeline(happenings in prop::collection::vec(happening(), 1..40)) {
        let mut life = Life::live(&happenings);
        prop_assert!(!life.world.doubled, "two questions in flight for one check");
        life.all_clear();
        life.messages_are_held()?;
        life.restarts_are_held()?;
        life.the_brake_is_told_of_both_ends()?;
        for name in NAMES {
            let view = life.world.view(name);
            prop_assert_eq!((view.status, view.held), (Status::Ok, None), "{} after the all-clear", name);
        }
    }

    /// Whatever becomes of what a service needs: as long as it has nothing to tell itself, its checks are asked at exactly the
    /// same times; and what it does not need is never asked because of it.
    #[test]
    fn checks_are_asked_as_ever(happenings in prop::collection::vec(happening(), 1..40)) {
        let concerns = |h: &&Happening| match h {
            Happening::Pass(_) => true,
            Happening::KillMinder | Happening::Several(_) | Happening::Release | Happening::Moves(_) => false,
            Happening::Kill(i, _) | Happening::Back(i) | Happening::Trouble(i, _) | Happening::Starts(i, _)
            | Happening::Answers(i, _) | Happening::Asked(_, i) => *i == 3,
        };
        let troubled: Vec<_> = happenings.iter().filter(concerns).cloned().collect();
        let quiet: Vec<_> = happenings.iter().filter(|h| matches!(h, Happening::Pass(_))).cloned().collect();
        let (troubled, quiet) = (Life::live(&troubled), Life::live(&quiet));
        for name in &NAMES[..3] {
            prop_assert_eq!(asked(&troubled.world, name), asked(&quiet.world, name), "{}", name);
        }
    }
}
