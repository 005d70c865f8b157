//! The brake.

use crate::engine::testing::*;
use crate::model::*;
use std::sync::Arc;

const KILL: Option<Exit> = Some(Exit::Signal { number: 9, core: false });
const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// Six daemons, and two restarts in a minute.
fn six() -> World {
    let services = NAMES.iter().map(|name| daemon(name)).collect();
    let plan = plan(services);
    let brake = Times { count: 2, within: seconds(60) };
    let mut world = World::new(Arc::new(Plan { brake, notify: vec!["chat".into()], ..Plan::clone(&plan) }));
    world.pass(15_000);
    world.news();
    world
}

fn all_die(world: &mut World) {
    for name in NAMES {
        world.kill(name, KILL);
    }
}

fn starts(world: &mut World) -> usize {
    world.news().iter().filter(|line| *line == "> start").count()
}

#[test]
fn further_restarts_are_held_told_and_released() {
    let mut world = six();
    all_die(&mut world);
    world.pass(10_000);
    let news = world.news();
    let count = |words: &str| news.iter().filter(|line| line.starts_with(words)).count();
    assert_eq!(count("> start"), 2, "{news:#?}");
    assert_eq!(count("no restart: the brake is on, after 2 restarts in 1 min over all services"), 4);
    assert_eq!(count("the brake is on: more than 2 automatic restarts in 1 min"), 1);
    assert_eq!(count("@ chat Firing"), 1);
    let message = world.messages().into_iter().find(|message| &*message.to == "chat").unwrap();
    assert_eq!(message.story.title, "the brake holds 4 restarts (more than 2 in 1m): c, d, e, f");
    assert_eq!(message.story.rules[0].condition, "restart of c");
    assert_eq!(message.story.rules.len(), 4);
    assert!(message.story.advice[1].contains("minder release"));
    let brake = world.engine.snapshot(now(world.ms)).brake.unwrap();
    assert_eq!(brake.waiting.len(), 4);
    assert_eq!(world.view("c").next.as_deref(), Some("restart, when the brake lets it"));
    world.pass(20_000);
    assert_eq!(starts(&mut world), 0);
    world.ask(1, Command::Release);
    assert_eq!(world.told_and_held().iter().filter(|line| *line == "> start").count(), 4);
    assert!(world.engine.snapshot(now(world.ms)).brake.is_none());
    world.pass(10_000);
    let told: Vec<_> = world.messages().into_iter().filter(|m| &*m.to == "chat").map(|m| m.kind).collect();
    assert_eq!(told, [MessageKind::Firing, MessageKind::Resolved]);
    // The window begins anew.
    world.kill("a", KILL);
    world.kill("b", KILL);
    world.pass(10_000);
    assert_eq!(starts(&mut world), 2);
}

#[test]
fn when_it_is_calm_they_go_ahead_in_its_rate() {
    let mut world = six();
    all_die(&mut world);
    let death = world.ms;
    world.pass(59_000);
    assert_eq!(starts(&mut world), 2);
    world.pass(1_100);
    let next = world.log.iter().rfind(|(_, effect)| matches!(effect, Effect::Act(_, Act::Start { .. }))).unwrap().0;
    assert!(
        (60_000..60_010).contains(&(next - death)),
        "after {} ms, and not when something else happens",
        next - death
    );
    world.pass(58_900);
    assert_eq!(starts(&mut world), 2);
    for _ in 0..1 {
        world.pass(60_000);
        assert_eq!(starts(&mut world), 2, "within a minute");
    }
    world.pass(60_000);
    assert!(world.engine.snapshot(now(world.ms)).brake.is_none());
    assert!(NAMES.iter().all(|name| world.status(name) == Status::Ok));
    let told: Vec<_> = world.messages().into_iter().filter(|m| &*m.to == "chat").map(|m| m.kind).collect();
    assert_eq!(told, [MessageKind::Firing, MessageKind::Resolved]);
}

#[test]
fn a_person_is_not_held_and_who_needs_no_restart_any_more_waits_no_more() {
    let mut world = six();
    all_die(&mut world);
    world.pass(5_000);
    world.news();
    world.ask(1, Command::Restart { service: "c".into() });
    world.bring_up("d");
    world.pass(15_000);
    let brake = world.engine.snapshot(now(world.ms)).brake.unwrap();
    assert_eq!(brake.waiting.iter().map(|name| &**name).collect::<Vec<_>>(), ["e", "f"]);
    assert_eq!(world.status("c"), Status::Ok);
    world.ask(2, Command::Stop { service: "e".into() });
    world.pass(5_000);
    assert_eq!(world.status("e"), Status::Stopped, "stops are not held");
    world.reload(plan(NAMES[..5].iter().map(|name| daemon(name)).collect()));
    assert!(world.engine.snapshot(now(world.ms)).brake.unwrap().waiting.is_empty());
}

#[test]
fn it_survives_minder() {
    let mut world = six();
    all_die(&mut world);
    world.pass(10_000);
    // The budget's own stamps are gone: a person has looked at them.
    for name in &NAMES[..2] {
        world.ask(1, Command::Restart { service: (*name).into() });
    }
    world.pass(10_000);
    world.news();
    world.kill_and_restore();
    world.pass(30_000);
    assert_eq!(starts(&mut world), 0);
    let brake = world.engine.snapshot(now(world.ms)).brake.unwrap();
    assert_eq!(brake.waiting.len(), 4, "{brake:?}");
    world.pass(300_000);
    let told: Vec<_> = world.messages().into_iter().filter(|m| &*m.to == "chat").map(|m| m.kind).collect();
    assert_eq!(told, [MessageKind::Firing, MessageKind::Resolved], "told once, and of its end");
    assert!(NAMES.iter().all(|name| world.status(name) == Status::Ok));
}

#[test]
fn below_the_limit_nothing_is_held() {
    let mut world = six();
    for _ in 0..5 {
        world.kill("a", KILL);
        world.pass(61_000);
    }
    assert_eq!(starts(&mut world), 5);
    world.ask(1, Command::Release);
    assert_eq!(world.told_and_held(), ["= true the brake is off, and holds nothing"]);
}
