//! Requests for several services.

use crate::engine::testing::*;
use crate::model::*;

/// `web` and `jobs` need `app`, and that needs `database`; `other` is by itself.
fn shop() -> World {
    let grouped = |service: Service| Service { group: Some("shop".to_owned()), ..service };
    let mut world = World::new(plan(vec![
        grouped(needing(daemon("web"), &["app"])),
        grouped(needing(daemon("jobs"), &["app"])),
        grouped(needing(daemon("app"), &["database"])),
        grouped(daemon("database")),
        daemon("other"),
        simple("disk"),
    ]));
    world.pass(15_000);
    world.news();
    world
}

fn ask(world: &mut World, verb: Verb, names: &[&str]) {
    let services = names.iter().map(|name| (*name).into()).collect();
    world.ask(1, Command::Several { verb, services, group: None, all: false });
}

/// The orders given since the last call: which service, and whether it was started.
fn orders(world: &World, from: usize) -> Vec<(String, bool, u64)> {
    let order = |(at, effect): &(u64, Effect)| match effect {
        Effect::Act(_, Act::Start { service, .. } | Act::Restart { service, .. }) => {
            Some((service.to_string(), true, *at))
        }
        Effect::Act(_, Act::Stop { service, .. }) => Some((service.to_string(), false, *at)),
        _ => None,
    };
    world.log[from..].iter().filter_map(order).collect()
}

fn names(orders: &[(String, bool, u64)]) -> Vec<&str> {
    orders.iter().map(|(name, ..)| name.as_str()).collect()
}

fn answer(world: &mut World) -> String {
    world.news().into_iter().rfind(|line| line.starts_with('=')).unwrap_or_default()
}

#[test]
fn what_is_needed_is_stopped_last_and_started_first() {
    let mut world = shop();
    let from = world.log.len();
    ask(&mut world, Verb::Stop, &["database", "web", "app"]);
    world.pass(5_000);
    let stopped = orders(&world, from);
    assert_eq!(names(&stopped), ["web", "app", "database"]);
    assert!(
        stopped.windows(2).all(|pair| pair[0].2 + 5 <= pair[1].2),
        "each after the end of the one before: {stopped:?}"
    );
    assert_eq!(answer(&mut world), "= true web: done\napp: done\ndatabase: done\nalso: jobs needs it, and is held");
    let from = world.log.len();
    ask(&mut world, Verb::Start, &["web", "app", "database", "other"]);
    world.pass(15_000);
    let started = orders(&world, from);
    assert_eq!(names(&started), ["database", "app", "web"]);
    assert!(
        started.windows(2).all(|pair| pair[0].2 + 2_000 <= pair[1].2),
        "each after the one before is up: {started:?}"
    );
    let words = answer(&mut world);
    assert!(words.contains("other: other is already up as pid 105"), "{words}");
}

#[test]
fn a_restart_stops_all_and_then_starts_all() {
    let mut world = shop();
    let from = world.log.len();
    world.ask(1, Command::Several { verb: Verb::Restart, services: vec![], group: Some("shop".into()), all: false });
    world.pass(30_000);
    let orders = orders(&world, from);
    let stops: Vec<bool> = orders.iter().map(|(_, start, _)| *start).collect();
    assert_eq!(stops, [false, false, false, false, true, true, true, true]);
    assert_eq!(names(&orders)[2..6], ["app", "database", "database", "app"]);
    let words = answer(&mut world);
    assert!(words.starts_with("= true database: up as pid 107\napp: up as pid 108\n"), "{words}");
    for name in ["web", "jobs", "app", "database", "other"] {
        assert_eq!(world.status(name), Status::Ok, "{name}");
    }
}

#[test]
fn a_failure_ends_the_way_of_those_that_need_it_only() {
    let mut world = shop();
    world.real.get_mut("app").unwrap().start = Start::Fails;
    world.ask(1, Command::Several { verb: Verb::Restart, services: vec![], group: None, all: true });
    world.pass(60_000);
    assert_eq!(
        answer(&mut world),
        "= false 3 of 5: the restart failed\ndatabase: up as pid 107\nother: up as pid 108\n\
         app: the command exited with code 1: no such port\nweb: not started: app is not up\njobs: not started: app is not up"
    );
    assert_eq!(world.view("web").held.as_deref(), Some("app is given up"));
    assert_eq!(world.status("web"), Status::Critical, "it was up, and is wanted up");
    // When the cause is gone, the rest follows by itself.
    world.real.get_mut("app").unwrap().start = Start::Up;
    world.ask(2, Command::Start { service: "app".into() });
    world.pass(60_000);
    assert_eq!((world.status("web"), world.status("jobs")), (Status::Ok, Status::Ok));
}

#[test]
fn what_cannot_be_stopped_keeps_what_it_needs_up() {
    let mut world = shop();
    world.plan = plan(vec![needing(simple("web"), &["database"]), daemon("database"), daemon("other")]);
    let plan = world.plan.clone();
    world.reload(plan);
    world.pass(15_000);
    ask(&mut world, Verb::Stop, &["web", "database", "other"]);
    world.pass(5_000);
    let words = answer(&mut world);
    assert!(words.starts_with("= false 2 of 3: the stop failed\nweb: web has no control"), "{words}");
    assert!(words.contains("database: not stopped: web is still up"), "{words}");
    assert_eq!(world.status("other"), Status::Stopped);
    assert_eq!(world.status("database"), Status::Ok);
}

#[test]
fn a_later_wish_comes_first() {
    let mut world = shop();
    ask(&mut world, Verb::Restart, &["database", "app"]);
    world.pass(2);
    world.ask(2, Command::Stop { service: "app".into() });
    world.pass(30_000);
    assert_eq!(world.status("app"), Status::Stopped, "it is not started again");
    assert_eq!(world.status("database"), Status::Ok);
}

#[test]
fn names_that_are_none_change_nothing() {
    let mut world = shop();
    ask(&mut world, Verb::Stop, &["web", "databse"]);
    assert_eq!(world.told_and_held(), ["= false there is no service `databse`; did you mean `database`?"]);
    world.ask(1, Command::Several { verb: Verb::Stop, services: vec![], group: Some("shp".into()), all: false });
    assert_eq!(world.told_and_held(), ["= false there is no group `shp`; did you mean `shop`?"]);
    ask(&mut world, Verb::Pause, &["web", "disk", "web"]);
    let paused = "is paused: it is not judged until it is resumed";
    assert_eq!(world.told_and_held(), [format!("= true web {paused}\ndisk {paused}")]);
}

#[test]
fn a_restart_of_several_goes_on_after_the_end_of_minder() {
    for ms in [0, 3, 8, 20, 2_100, 4_500] {
        let mut world = shop();
        ask(&mut world, Verb::Restart, &["database", "app", "web"]);
        world.pass(ms);
        world.kill_and_restore();
        world.pass(120_000);
        for name in ["database", "app", "web"] {
            assert_eq!(world.status(name), Status::Ok, "{name}, {ms} ms after the request");
        }
    }
}

#[test]
fn what_was_stopped_is_not_taken_for_running() {
    // The control's report comes before anything else says that the process has ended.
    let mut world = shop();
    world.deaf = true;
    let stop = world.ms;
    world.ask(1, Command::Stop { service: "other".into() });
    while answer(&mut world).is_empty() {
        world.step(stop + 1_000);
    }
    world.ask(2, Command::Start { service: "other".into() });
    world.pass(5_000);
    assert_eq!(answer(&mut world), "= true up as pid 107");
}
