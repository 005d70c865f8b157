//! Services whose incidents begin and end again and again.

use crate::engine::testing::*;
use crate::model::*;
use std::sync::Arc;

const MINUTE: u64 = 60_000;

fn flappy() -> Service {
    Service { flapping: Some(Flapping::default()), ..simple("data") }
}

fn world() -> World {
    let mut world = World::new(plan(vec![flappy()]));
    world.pass(1_000);
    world.news();
    world
}

/// So often it is wrong for a minute and well for a minute.
fn flap(world: &mut World, times: usize) {
    for _ in 0..times {
        world.trouble("data", true);
        world.pass(MINUTE);
        world.trouble("data", false);
        world.pass(MINUTE);
    }
}

#[test]
fn it_is_told_of_once_and_of_its_end_with_how_it_stands() {
    for restart in [false, true] {
        let mut world = world();
        flap(&mut world, 2);
        assert_eq!(world.told_and_why(), ["ops Firing", "ops Resolved", "ops Firing", "ops Resolved"]);
        flap(&mut world, 1);
        assert_eq!(world.told_and_why(), ["ops Firing: data flaps: 5 changes in 4 min"]);
        let view = world.view("data");
        assert!(view.flapping && view.status == Status::Ok && view.incident.is_some());
        assert!(view.summary.starts_with("flapping: 6 changes in "), "{}", view.summary);
        for _ in 0..10 {
            flap(&mut world, 1);
            if restart {
                world.kill_and_restore();
            }
        }
        assert_eq!(world.told_and_why(), [""; 0], "restart: {restart}");
        world.pass(20 * MINUTE);
        assert_eq!(world.told_and_why(), [""; 0]);
        world.pass(10 * MINUTE);
        let [end] = &world.told_and_why()[..] else { panic!() };
        assert!(end.starts_with("ops Resolved: data flaps no more: it has been well for 2"), "{end}");
        let view = world.view("data");
        assert!(!view.flapping && view.incident.is_none());
    }
}

#[test]
fn what_is_wrong_at_its_end_is_said_to_be() {
    let mut world = world();
    flap(&mut world, 4);
    world.told_and_why();
    world.trouble("data", true);
    world.pass(60 * MINUTE);
    let [end] = &world.told_and_why()[..] else { panic!() };
    assert!(end.starts_with("ops Update: data flaps no more: it has been wrong for "), "{end}");
    assert_eq!(world.view("data").status, Status::Critical);
    world.trouble("data", false);
    world.pass(MINUTE);
    assert_eq!(world.told_and_why(), ["ops Resolved"]);
}

#[test]
fn what_fails_now_and_then_does_not_flap() {
    let mut world = world();
    for _ in 0..20 {
        world.trouble("data", true);
        world.pass(MINUTE);
        world.trouble("data", false);
        world.pass(9 * MINUTE);
    }
    assert_eq!(world.told_and_why().len(), 40, "each is told");
}

#[test]
fn what_is_stopped_or_need_not_be_watched_for_it_flaps_no_more() {
    let ends: [fn(&mut World); 3] = [
        |world| world.ask(1, Command::Pause { service: "data".into() }),
        |world| world.reload(plan(vec![Service { flapping: None, ..flappy() }])),
        |world| world.reload(plan(vec![])),
    ];
    for end in ends {
        let mut world = world();
        flap(&mut world, 4);
        world.told_and_why();
        end(&mut world);
        world.pass(1_000);
        assert_eq!(world.told_and_why(), ["ops Resolved"]);
    }
    let mut world = world();
    flap(&mut world, 4);
    world.reload(plan(vec![flappy(), simple("other")]));
    world.told_and_why();
    flap(&mut world, 4);
    assert_eq!(world.told_and_why(), [""; 0], "a reload that leaves it as it is changes nothing");
}

#[test]
fn reminders_and_escalation_are_for_when_something_is_wrong() {
    let step = Escalation { after: seconds(300), notify: vec!["chat".into()] };
    let mut plan = Plan::clone(&plan(vec![Service { escalate: vec![step], ..flappy() }]));
    Arc::make_mut(plan.notifiers.get_mut("ops").unwrap()).remind = Some(seconds(600));
    let mut world = World::new(Arc::new(plan));
    flap(&mut world, 3);
    world.told_and_why();
    world.pass(12 * MINUTE);
    assert_eq!(world.told_and_why(), [""; 0]);
    world.trouble("data", true);
    world.pass(MINUTE);
    let told = world.told_and_why();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].starts_with("chat Firing: not acknowledged") && told[1].starts_with("ops Reminder: for"),
        "{told:?}"
    );
}

#[test]
fn a_crash_and_the_restart_that_mended_it_are_one_message() {
    let mut world = World::new(plan(vec![Service { flapping: Some(Flapping::default()), ..web(command()) }]));
    world.pass(12_000);
    world.news();
    let crash = |world: &mut World| {
        world.kill("web", Some(Exit::Signal { number: 11, core: false }));
        world.pass(2 * MINUTE);
        world.told_and_why()
    };
    for _ in 0..2 {
        assert_eq!(crash(&mut world), ["ops Resolved"]);
        let story = world.messages().pop().unwrap().story;
        assert_eq!(story.title, "web died (SIGSEGV)");
        assert!(story.death.unwrap().ends_with("killed by SIGSEGV"));
        assert!(story.actions.iter().any(|action| action.action == "restart" && action.ok == Some(true)));
        assert!(story.ended.unwrap() - story.since.unwrap() < seconds(3));
    }
    assert_eq!(crash(&mut world), ["ops Firing: web flaps: 6 changes in 4 min 2 s"]);
    assert_eq!(crash(&mut world), [""; 0]);
}
