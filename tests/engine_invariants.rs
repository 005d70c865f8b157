//! The invariants that are the engine's, over random timelines: services die and misbehave, people ask for things, plans are
//! changed, and minder itself is killed and started again from what it had recorded.

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

/// Something happens.
#[derive(Debug, Clone)]
enum Happening {
    Pass(u64),
    Kill(usize, Option<Exit>),
    /// It is back by itself.
    Back(usize),
    Trouble(usize, bool),
    Memory(usize, f64),
    /// One of many processes uses this much of a core; without any it is gone.
    Runs(usize, u32, Option<f64>),
    Starts(usize, Start),
    /// Its operator uses the supervisor's own means.
    Wanted(usize, bool),
    Supervisor(usize, bool),
    /// It does not start it any more.
    GivesUp(usize),
    /// It can be asked.
    Askable(usize, bool),
    /// It waits with its next start.
    Backoff(usize, bool),
    /// It starts it again so often, a second after each death.
    Loops(usize, u8),
    Answers(usize, bool),
    Asked(u8, usize),
    Reload(usize),
    KillMinder,
    /// The clock for people is set ahead or back by so many milliseconds.
    SetClock(i64),
    /// Everything stands still, and minder, too.
    Freeze(u64),
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening::*;
    let service = 0usize..3;
    let how = prop_oneof![
        Just(None),
        Just(Some(Exit::Code(0))),
        Just(Some(Exit::Code(3))),
        Just(Some(Exit::Signal { number: 9, core: false })),
        Just(Some(Exit::Signal { number: 15, core: false })),
    ];
    let start = prop_oneof![
        3 => Just(Start::Up),
        2 => (1u64..20_000).prop_map(Start::Dies),
        1 => Just(Start::Fails),
        1 => Just(Start::Hangs),
    ];
    prop_oneof![
        3 => (0u64..50).prop_map(Pass),
        6 => (50u64..90_000).prop_map(Pass),
        1 => (90_000u64..2_000_000).prop_map(Pass),
        5 => (service.clone(), how).prop_map(|(s, how)| Kill(s, how)),
        2 => service.clone().prop_map(Back),
        2 => (service.clone(), any::<bool>()).prop_map(|(s, on)| Trouble(s, on)),
        2 => (service.clone(), prop_oneof![Just(1e6), Just(9e8)]).prop_map(|(s, m)| Memory(s, m)),
        5 => (service.clone(), 500u32..504, prop_oneof![Just(None), Just(Some(5.0)), Just(Some(99.0))])
            .prop_map(|(s, pid, cpu)| Runs(s, pid, cpu)),
        3 => (service.clone(), start).prop_map(|(s, start)| Starts(s, start)),
        2 => (service.clone(), any::<bool>()).prop_map(|(s, on)| Wanted(s, on)),
        1 => (service.clone(), any::<bool>()).prop_map(|(s, on)| Supervisor(s, on)),
        1 => service.clone().prop_map(GivesUp),
        1 => (service.clone(), any::<bool>()).prop_map(|(s, on)| Askable(s, on)),
        1 => (service.clone(), any::<bool>()).prop_map(|(s, on)| Backoff(s, on)),
        2 => (service.clone(), 1u8..9).prop_map(|(s, times)| Loops(s, times)),
        1 => (service.clone(), any::<bool>()).prop_map(|(s, on)| Answers(s, on)),
        4 => (0u8..7, service).prop_map(|(command, s)| Asked(command, s)),
        1 => (0usize..PLANS).prop_map(Reload),
        2 => Just(KillMinder),
        2 => prop_oneof![Just(1_000), Just(86_400_000), Just(400_000_000_000)].prop_flat_map(|ms| any::<bool>().prop_map(
            move |ahead| SetClock(if ahead { ms } else { -ms })
        )),
        1 => (1_000u64..100_000_000).prop_map(Freeze),
    ]
}

const PLANS: usize = 4;
const NAMES: [&str; 3] = ["one", "two", "three"];
/// After so many seconds what is not acknowledged is told to others.
const STEPS: [u64; 2] = [120, 900];
/// What the plans' services have as budget.
const LIMIT: Times = Times { count: 3, within: std::time::Duration::from_secs(600) };

/// Three services of different make; the plans differ in one rule, one service, one interval.
fn variant(number: usize) -> Arc<Plan> {
    let mut services = Vec::new();
    for (i, name) in NAMES.into_iter().enumerate() {
        if number == 3 && i == 2 {
            continue;
        }
        let every = if number == 2 && i == 0 { 7 } else { 10 };
        let mut service = testing::service(name);
        let daemon = if i == 1 && number != 1 { supervised(every) } else { process(every) };
        service = service.checks(vec![daemon, file(10), processes(10)]);
        service.restart.limit = LIMIT;
        service = service.control(if i == 1 { runit() } else { command() });
        if i == 1 {
            let flapping = service.is(3, "flapping", Test::Truth);
            service = service.rule(rule("down-flapping", flapping, Hold::None, vec![]));
            let failed = service.is(3, "failed", Test::Truth);
            service = service.rule(rule("down-failed", failed, Hold::None, vec![Action::Restart]));
            let alive = Condition::Not(Box::new(service.is(3, "alive", Test::Truth)));
            service = service.rule(rule("down-alive", alive, Hold::For(seconds(10)), vec![]));
        }
        let down = service.down();
        let missing = service.is(1, "missing", Test::Truth);
        let fat = service.is(0, "memory", above(5e8));
        service = service.rule(rule("down", down, Hold::None, vec![Action::Restart]));
        let held = Hold::For(seconds(if number == 1 { 15 } else { 25 }));
        service =
            service.rule(rule("fat", fat, held, vec![exec(), Action::Restart, Action::Notify(Some("chat".into()))]));
        service = service.rule(rule("missing", missing, Hold::Count { bad: 2, of: 3 }, vec![]));
        let busy = || service.is(2, "each.cpu", above(90.0));
        let calm = service.is(2, "each.cpu", Test::Compare(Op::Less, Limit::Number(10.0)));
        let runaway = rule("runaway", busy(), held, vec![Action::Signal(Signal(15))]);
        let often = Condition::Or(vec![busy(), Condition::And(vec![busy(), service.is(1, "missing", Test::Truth)])]);
        let often = rule("often", often, Hold::Count { bad: 2, of: 3 }, vec![]);
        service = service.rule(Rule { until: Some((calm, Hold::None)), ..runaway });
        if number != 2 {
            service = service.rule(Rule { severity: Severity::Info, ..often });
        }
        service.flapping = (i > 0).then(Flapping::default);
        service.escalate = STEPS.map(|after| Escalation { after: seconds(after), notify: vec!["chat".into()] }).into();
        services.push(service);
    }
    let mut plan = Plan::clone(&plan(services));
    for notifier in plan.notifiers.values_mut() {
        Arc::make_mut(notifier).remind = Some(seconds(400));
    }
    Arc::new(plan)
}

fn live(happenings: &[Happening]) -> World {
    let mut world = World::new(variant(0));
    for happening in happenings {
        let real = |world: &mut World, i: usize, f: &dyn Fn(&mut Real)| {
            if let Some(real) = world.real.get_mut(NAMES[i]) {
                f(real);
            }
        };
        match happening.clone() {
            Happening::Pass(ms) => world.pass(ms),
            Happening::Kill(i, how) => world.kill(NAMES[i], how),
            Happening::Back(i) => {
                if world.real.get(NAMES[i]).is_some_and(|real| real.process.is_none()) {
                    world.bring_up(NAMES[i]);
                }
            }
            Happening::Trouble(i, on) => real(&mut world, i, &|r| r.trouble = on),
            Happening::Memory(i, memory) => real(&mut world, i, &|r| r.memory = memory),
            Happening::Runs(i, pid, cpu) => real(&mut world, i, &|r| {
                let _ = r.crowd.remove(&pid);
                r.crowd.extend(cpu.map(|cpu| (pid, cpu)));
            }),
            Happening::Starts(i, start) => real(&mut world, i, &|r| r.start = start),
            Happening::Wanted(i, on) => {
                real(&mut world, i, &|r| r.wanted = on);
                if !on {
                    world.kill(NAMES[i], Some(Exit::Signal { number: 15, core: false }));
                }
            }
            Happening::Supervisor(i, on) => real(&mut world, i, &|r| r.supervisor = on),
            Happening::GivesUp(i) => real(&mut world, i, &|r| r.failed = true),
            Happening::Askable(i, on) => real(&mut world, i, &|r| r.askable = on),
            Happening::Backoff(i, on) => {
                real(&mut world, i, &|r| r.meanwhile = if on { Phase::Starting } else { Phase::Down });
            }
            Happening::Loops(i, times) => {
                for _ in 0..times {
                    world.kill(NAMES[i], Some(Exit::Code(1)));
                    real(&mut world, i, &|r| r.stamp += 1);
                    world.pass(1_000);
                    if world.real.get(NAMES[i]).is_some_and(|real| real.wanted && real.process.is_none()) {
                        world.bring_up(NAMES[i]);
                    }
                    world.pass(300);
                }
            }
            Happening::Answers(i, on) => real(&mut world, i, &|r| r.answers = on),
            Happening::Asked(command, i) => {
                let service: Name = NAMES[i].into();
                let command = match command {
                    0 => Command::Start { service },
                    1 => Command::Stop { service },
                    2 => Command::Restart { service },
                    3 => Command::Pause { service },
                    4 => Command::Resume { service },
                    5 => Command::Unacknowledge { service },
                    _ => {
                        let (reason, lasts) = ("on it".to_owned(), (i > 0).then_some(600_000));
                        Command::Acknowledge { service, by: None, reason, lasts }
                    }
                };
                world.ask(1, command);
            }
            Happening::Reload(number) => world.reload(variant(number)),
            Happening::KillMinder => world.kill_and_restore(),
            Happening::SetClock(by) => world.set += by,
            Happening::Freeze(ms) => world.freeze(ms),
        }
    }
    world
}

/// Everything gets well again, and enough time passes for all of it to be told.
fn all_clear(world: &mut World) {
    world.reload(variant(0));
    for name in NAMES {
        if world.real[name].process.is_none() {
            world.bring_up(name);
        }
        if let Some(real) = world.real.get_mut(name) {
            *real = Real { process: real.process, ..Real::default() };
        }
        for command in [Command::Resume { service: name.into() }, Command::Start { service: name.into() }] {
            world.ask(9, command);
        }
    }
    world.pass(4_000_000);
}

fn events(world: &World) -> impl Iterator<Item = (u64, &Event)> {
    world.log.iter().filter_map(|(at, effect)| match effect {
        Effect::Record(Record::Event(event)) => Some((*at, event)),
        _ => None,
    })
}

fn fired_and_resolved_alternate(world: &World) -> Result<(), TestCaseError> {
    let mut firing = BTreeSet::new();
    for (at, event) in events(world) {
        let service = event.service.clone();
        match &event.kind {
            EventKind::Fired { rule, of, .. } => {
                let key = (service.clone(), rule.clone(), of.as_ref().map(|of| of.identity));
                prop_assert!(firing.insert(key.clone()), "{key:?} fired twice, at {at}");
                prop_assert_eq!(of.is_some(), ["runaway", "often"].contains(&rule.as_str()), "{} {:?}", rule, of);
            }
            EventKind::Resolved { rule, of, .. } => {
                let key = (service.clone(), rule.clone(), of.as_ref().map(|of| of.identity));
                prop_assert!(firing.remove(&key), "{key:?} resolved, at {at}");
            }
            _ => {}
        }
    }
    prop_assert!(firing.is_empty(), "all is well, and these fire: {firing:?}");
    Ok(())
}

fn told_of_both_ends(world: &World) -> Result<(), TestCaseError> {
    let mut open: BTreeSet<(u64, Name)> = BTreeSet::new();
    let mut keys = BTreeSet::new();
    // What waited, and is told by a later one.
    let merged: BTreeSet<MessageId> = world
        .log
        .iter()
        .filter_map(|(_, effect)| match effect {
            Effect::Record(Record::Message(message)) if message.state == MessageState::Dropped => Some(message.id),
            _ => None,
        })
        .collect();
    for message in world.messages() {
        prop_assert!(keys.insert(message.key.clone()), "two messages {}", message.key);
        if merged.contains(&message.id) {
            continue;
        }
        let key = (message.story.incident.unwrap_or_default(), message.to.clone());
        match message.kind {
            MessageKind::Firing => prop_assert!(open.insert(key.clone()), "told twice of {key:?}"),
            MessageKind::Update | MessageKind::Reminder | MessageKind::Acknowledged => {
                prop_assert!(open.contains(&key), "an update of what was not told: {key:?}")
            }
            MessageKind::Resolved => drop(open.remove(&key)),
            MessageKind::Notice => {}
        }
    }
    prop_assert!(open.is_empty(), "told of the firing and not of the end: {open:?}");
    Ok(())
}

/// Each step of an escalation is taken once for an incident, and nothing is escalated, and nobody reminded, while somebody looks
/// after it.
fn who_looks_after_it_is_left_alone(world: &World) -> Result<(), TestCaseError> {
    let mut steps: BTreeMap<u64, usize> = BTreeMap::new();
    let mut attended = BTreeSet::new();
    for (at, event) in events(world) {
        let Some(incident) = event.incident else { continue };
        match &event.kind {
            EventKind::Acknowledged { .. } => drop(attended.insert(incident)),
            EventKind::Unacknowledged { .. } => {
                prop_assert!(attended.remove(&incident), "{incident} was nobody's, at {at}")
            }
            EventKind::Escalated { .. } => {
                prop_assert!(!attended.contains(&incident), "{incident} was escalated at {at}");
                *steps.entry(incident).or_default() += 1;
            }
            _ => {}
        }
    }
    let most = steps.values().max().copied().unwrap_or(0);
    prop_assert!(most <= STEPS.len(), "a step was taken twice: {steps:?}");
    let reminded = world
        .messages()
        .into_iter()
        .find(|message| message.kind == MessageKind::Reminder && message.story.ack.is_some());
    prop_assert!(reminded.is_none(), "{reminded:?}");
    Ok(())
}

fn is_sequence(action: &str) -> bool {
    ["restart", "start", "stop"].contains(&action)
}

/// Automatic starts in any window of the budget, but for the slow retries of a service that is given up. A person's order gives
/// a fresh budget. An order that the end of minder interrupted is given again, and counts once.
fn never_above_the_budget(world: &World) -> Result<(), TestCaseError> {
    let mut starts: BTreeMap<Name, Vec<u64>> = BTreeMap::new();
    let mut given_up: BTreeMap<Name, Vec<u64>> = BTreeMap::new();
    let mut by_person = BTreeSet::new();
    let (mut under_way, mut interrupted): (BTreeSet<Name>, BTreeSet<Name>) = Default::default();
    let mut orders = world.orders.iter().peekable();
    for (i, (at, effect)) in world.log.iter().enumerate() {
        while let Some((_, order)) = orders.next_if(|(length, _)| *length <= i) {
            if let Command::Start { service } | Command::Restart { service } | Command::Stop { service } = order {
                starts.remove(service);
                given_up.remove(service);
                // What is under way is the person's from now on.
                if under_way.contains(service) {
                    by_person.insert(service.clone());
                }
            }
        }
        match effect {
            Effect::Record(Record::Event(Event { service: Some(name), kind, .. })) => match kind {
                EventKind::Acting { by, .. } if by == "root" => {
                    by_person.insert(name.clone());
                }
                EventKind::Acting { action, .. } if is_sequence(action) => {
                    by_person.remove(name);
                    under_way.insert(name.clone());
                }
                EventKind::Intended { .. } => {
                    starts.remove(name);
                    given_up.remove(name);
                }
                EventKind::GaveUp { .. } => given_up.entry(name.clone()).or_default().push(*at),
                EventKind::Acted { action, .. } if is_sequence(action) => {
                    interrupted.remove(name);
                    under_way.remove(name);
                }
                _ => {}
            },
            Effect::Record(Record::Gone(name)) => {
                starts.remove(name);
                given_up.remove(name);
            }
            Effect::Record(Record::Event(Event { kind: EventKind::Started { .. }, .. })) => {
                interrupted.clone_from(&under_way);
            }
            Effect::Act(_, Act::Start { service, .. } | Act::Restart { service, .. })
                if !by_person.contains(service) =>
            {
                let all = starts.entry(service.clone()).or_default();
                if interrupted.remove(service) {
                    all.pop();
                }
                all.push(*at);
                let window = all.iter().filter(|s| at - **s < LIMIT.within.as_millis() as u64).count();
                if window > LIMIT.count as usize {
                    // Only as a slow retry: half an hour since the last start.
                    let before = all[all.len() - 2];
                    prop_assert!(
                        given_up.contains_key(service) && at - before >= 1_800_000,
                        "{service}: {window} starts within {:?} at {at}: {all:?}",
                        LIMIT.within
                    );
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Nothing starts automatically what its operator has stopped, by minder or by the supervisor's own means.
fn operators_are_respected(world: &World) -> Result<(), TestCaseError> {
    let mut stopped = BTreeSet::new();
    let mut by_supervisor = BTreeSet::new();
    let mut by_person = BTreeSet::new();
    for (at, effect) in &world.log {
        match effect {
            // What a supervisor wanted may have changed while minder was away; it is asked before anything is started.
            Effect::Record(Record::Event(Event { kind: EventKind::Started { .. }, .. })) => {
                stopped.retain(|name| !by_supervisor.contains(name));
            }
            Effect::Record(Record::Event(Event { service: Some(name), kind, .. })) => match kind {
                EventKind::Intended { up: false, by } => {
                    stopped.insert(name.clone());
                    if by.contains("operator") {
                        by_supervisor.insert(name.clone())
                    } else {
                        by_supervisor.remove(name)
                    };
                }
                EventKind::Intended { up: true, .. } => drop(stopped.remove(name)),
                EventKind::Acting { by, .. } if by == "root" => drop(by_person.insert(name.clone())),
                EventKind::Acting { action, .. } if is_sequence(action) => drop(by_person.remove(name)),
                _ => {}
            },
            Effect::Record(Record::Gone(name)) => drop(stopped.remove(name)),
            Effect::Act(_, Act::Start { service, .. } | Act::Restart { service, .. }) => {
                prop_assert!(
                    !stopped.contains(service) || by_person.contains(service),
                    "{service} was started at {at}, though it was stopped on purpose"
                );
            }
            _ => {}
        }
    }
    Ok(())
}

/// No order starts what its supervisor was told to have down, unless a person wants it up.
fn supervisors_are_respected(world: &World) -> Result<(), TestCaseError> {
    for (length, name) in &world.unwanted {
        let acting =
            world.log[..*length].iter().rev().find_map(|(_, effect)| match effect {
                Effect::Record(Record::Event(Event {
                    service: Some(of), kind: EventKind::Acting { by, .. }, ..
                })) if of == name => Some(by.as_str()),
                _ => None,
            });
        prop_assert_eq!(acting, Some("root"), "{} was started, though its supervisor has it down", name);
    }
    Ok(())
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
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn invariants_hold_on_any_timeline(happenings in prop::collection::vec(happening(), 1..60)) {
        let mut world = live(&happenings);
        prop_assert!(!world.doubled, "two questions in flight for one check");
        all_clear(&mut world);
        fired_and_resolved_alternate(&world)?;
        told_of_both_ends(&world)?;
        who_looks_after_it_is_left_alone(&world)?;
        never_above_the_budget(&world)?;
        operators_are_respected(&world)?;
        supervisors_are_respected(&world)?;
        for name in NAMES {
            prop_assert_eq!(world.status(name), Status::Ok, "{} after the all-clear", name);
        }
    }

    #[test]
    fn the_same_timeline_gives_the_same_effects(happenings in prop::collection::vec(happening(), 1..40)) {
        let (a, b) = (live(&happenings), live(&happenings));
        prop_assert_eq!(format!("{:?}", a.log), format!("{:?}", b.log));
    }

    #[test]
    fn trouble_of_one_changes_nothing_for_another(happenings in prop::collection::vec(happening(), 1..40)) {
        // The same timeline, with the first service's troubles and without; minder itself and plans are left alone.
        let passes = |h: &&Happening| matches!(h, Happening::Pass(_));
        let others = |h: &&Happening| match h {
            // A loop takes time of its own.
            Happening::Reload(_) | Happening::KillMinder | Happening::Freeze(_) | Happening::Loops(..) => false,
            Happening::Pass(_) | Happening::SetClock(_) => true,
            Happening::Kill(i, _) | Happening::Back(i) | Happening::Trouble(i, _) | Happening::Memory(i, _)
            | Happening::Runs(i, ..) | Happening::Starts(i, _) | Happening::Wanted(i, _) | Happening::Supervisor(i, _)
            | Happening::GivesUp(i) | Happening::Askable(i, _) | Happening::Backoff(i, _)
            | Happening::Answers(i, _) | Happening::Asked(_, i) => *i == 0,
        };
        let troubled: Vec<_> = happenings.iter().filter(others).cloned().collect();
        let quiet: Vec<_> = happenings.iter().filter(passes).cloned().collect();
        let (troubled, quiet) = (live(&troubled), live(&quiet));
        for name in &NAMES[1..] {
            prop_assert_eq!(asked(&troubled, name), asked(&quiet, name));
        }
    }
}
