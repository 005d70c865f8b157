//! A new plan, and a new start of minder.

use crate::engine::testing::*;
use crate::model::*;

const KILL: Option<Exit> = Some(Exit::Signal { number: 9, core: false });

fn big(hold: Hold) -> Service {
    let service = service("data").checks(vec![file(10)]);
    let when = service.is(0, "size", above(5.0));
    service.rule(rule("big", when, hold, vec![]))
}

fn quiet(services: Vec<Service>) -> World {
    let mut world = World::new(plan(services));
    world.pass(12_000);
    world.news();
    world
}

fn grow(world: &mut World, size: f64) {
    world.real.get_mut("data").unwrap().size = size;
}

#[test]
fn what_fires_stays_firing_and_is_resolved_later() {
    let mut world = quiet(vec![big(Hold::None)]);
    grow(&mut world, 9.0);
    world.pass(10_000);
    world.news();
    world.kill_and_restore();
    world.pass(60_000);
    assert!(!world.news().iter().any(|line| line.contains("fires") || line.starts_with('@')));
    assert_eq!(world.status("data"), Status::Warning);
    grow(&mut world, 1.0);
    world.pass(10_000);
    let news = world.news();
    assert_eq!(news[1..], ["incident closed after 1 min 10 s", "@ ops Resolved"], "{news:?}");
}

#[test]
fn a_hold_goes_on_where_it_was_saved() {
    let mut world = quiet(vec![big(Hold::For(seconds(60)))]);
    grow(&mut world, 9.0);
    world.pass(50_000);
    world.kill_and_restore();
    world.pass(35_000);
    assert!(world.news().iter().any(|line| line.contains("fires")));
}

#[test]
fn a_count_goes_on_where_it_was_saved() {
    let mut world = quiet(vec![big(Hold::Count { bad: 3, of: 5 })]);
    grow(&mut world, 9.0);
    world.pass(20_000);
    world.kill_and_restore();
    world.pass(9_000);
    assert!(world.news().iter().any(|line| line.contains("fires")), "the third of the samples");
}

#[test]
fn a_recovery_goes_on_where_it_was_saved() {
    let mut service = big(Hold::None);
    let small = service.is(0, "size", Test::Compare(Op::Less, Limit::Number(2.0)));
    service.rules[0].until = Some((small, Hold::For(seconds(60))));
    let mut world = quiet(vec![service]);
    grow(&mut world, 9.0);
    world.pass(10_000);
    grow(&mut world, 1.0);
    world.pass(50_000);
    world.kill_and_restore();
    world.pass(35_000);
    assert!(world.news().iter().any(|line| line.contains("resolved")));
}

#[test]
fn a_known_process_is_confirmed_in_silence() {
    let mut world = quiet(vec![web(command())]);
    world.kill_and_restore();
    world.pass(20_000);
    let news = world.news();
    assert!(!news.iter().any(|line| line.contains("up as")), "{news:?}");
    let asked = world.log.iter().rev().find_map(|(_, e)| if let Effect::Ask(q) = e { q.identity } else { None });
    assert!(asked.is_some());
}

#[test]
fn a_death_while_minder_was_away() {
    let mut world = quiet(vec![web(command())]);
    world.web().process = None;
    world.kill_and_restore();
    world.pass(1_000);
    assert!(world.news().contains(&"pid 101 ended, exit code not available".to_owned()));
    world.pass(2_000);
    assert!(world.news().contains(&"> start".to_owned()));
}

#[test]
fn an_interrupted_restart_is_resumed_and_charged_once() {
    let mut world = quiet(vec![web(command())]);
    world.web().start = Start::Hangs;
    world.kill("web", KILL);
    world.pass(100);
    assert_eq!(world.saved["web"].restarts.len(), 1);
    assert!(world.saved["web"].acting.is_some());
    world.web().start = Start::Up;
    world.news();
    world.kill_and_restore();
    world.pass(5_000);
    let news = world.news();
    assert_eq!(news.iter().filter(|line| *line == "> start").count(), 1, "{news:#?}");
    assert_eq!(world.saved["web"].restarts.len(), 1);
    assert_eq!(world.saved["web"].acting, None);
    assert_eq!(world.status("web"), Status::Ok);
}

#[test]
fn an_interrupted_restart_that_was_done_meanwhile_is_not_repeated() {
    let mut world = quiet(vec![web(command())]);
    world.kill("web", KILL);
    world.pass(3);
    assert!(world.saved["web"].acting.is_some());
    world.kill_and_restore();
    world.news();
    world.pass(10_000);
    let news = world.news();
    assert!(!news.contains(&"> start".to_owned()));
    assert!(news.iter().any(|line| line.starts_with("restart done")), "{news:?}");
}

/// What is slow to write its pidfile must not be started twice.
#[test]
fn one_that_was_launched_and_is_slow_to_appear_is_waited_for() {
    for reported in [true, false] {
        let mut world = quiet(vec![web(command())]);
        world.web().start = Start::Slow { reported };
        world.kill("web", KILL);
        world.pass(100);
        assert_eq!(world.saved["web"].acting.as_ref().map(|act| act.launched), Some(reported));
        world.news();
        world.kill_and_restore();
        world.pass(1_000);
        world.bring_up("web");
        world.pass(40_000);
        let news = world.news();
        assert!(!news.contains(&"> start".to_owned()), "{news:#?}");
        assert_eq!(world.saved["web"].acting, None);
        assert_eq!(world.status("web"), Status::Ok);
    }
}

#[test]
fn one_that_was_launched_and_never_appears_has_failed_and_the_next_try_counts() {
    let mut world = quiet(vec![web(command())]);
    world.web().start = Start::Slow { reported: true };
    world.kill("web", KILL);
    world.pass(100);
    world.kill_and_restore();
    world.web().start = Start::Up;
    world.news();
    world.pass(60_000);
    let news = world.news();
    assert!(news.contains(&"restart failed: no new process since before minder ended".to_owned()), "{news:#?}");
    assert_eq!(news.iter().filter(|line| *line == "> start").count(), 1, "{news:#?}");
    assert_eq!(world.saved["web"].restarts.len(), 2);
    assert_eq!(world.status("web"), Status::Ok);
}

/// However often minder itself dies in the middle of a restart.
#[test]
fn interrupted_restarts_are_never_more_than_the_budget() {
    let mut world = quiet(vec![web(command())]);
    world.web().start = Start::Slow { reported: true };
    world.kill("web", KILL);
    for _ in 0..20 {
        world.pass(40_000);
        world.kill_and_restore();
    }
    let limit = world.plan.services[0].restart.limit;
    let starts: Vec<u64> =
        world.log.iter().filter(|(_, e)| matches!(e, Effect::Act(_, Act::Start { .. }))).map(|(at, _)| *at).collect();
    let within = limit.within.as_millis() as u64;
    for (i, first) in starts.iter().enumerate() {
        let count = starts[i..].iter().filter(|at| **at - first < within).count();
        assert!(count <= limit.count as usize, "{starts:?}");
    }
    assert!(starts.len() > 1, "{starts:?}");
}

#[test]
fn stopped_stays_stopped() {
    let mut world = quiet(vec![web(command())]);
    world.ask(1, Command::Stop { service: "web".into() });
    world.pass(5_000);
    world.news();
    world.kill_and_restore();
    world.pass(60_000);
    assert_eq!(world.status("web"), Status::Stopped);
    assert!(!world.news().iter().any(|line| line.starts_with('>')));
}

#[test]
fn the_same_plan_again_changes_nothing() {
    let mut world = quiet(vec![web(command()), big(Hold::For(seconds(60)))]);
    grow(&mut world, 9.0);
    world.pass(50_000);
    world.news();
    world.reload(plan(vec![big(Hold::For(seconds(60))), web(command())]));
    assert_eq!(world.news(), ["plan in effect, 2 services"]);
    world.pass(25_000);
    assert!(world.news().iter().any(|line| line.contains("big fires")), "its hold went on");
    world.kill("web", KILL);
    world.pass(100);
    assert!(world.news().contains(&"> start".to_owned()), "its process is still watched");
}

#[test]
fn a_changed_rule_begins_anew_and_others_go_on() {
    let mut both = big(Hold::None);
    let when = both.is(0, "missing", Test::Truth);
    both = both.rule(rule("missing", when, Hold::None, vec![]));
    let mut world = quiet(vec![both]);
    grow(&mut world, 9.0);
    world.real.get_mut("data").unwrap().trouble = true;
    world.pass(10_000);
    world.news();
    world.reload(plan(vec![big(Hold::None)]));
    let news = world.news();
    assert!(news[0].starts_with("missing resolved"), "{news:?}");
    assert_eq!(news.len(), 2);
    assert_eq!(world.status("data"), Status::Warning, "the other rule fires on");
}

#[test]
fn a_service_that_leaves_has_its_incident_closed() {
    for restart in [false, true] {
        let mut world = quiet(vec![web(command()), big(Hold::None)]);
        grow(&mut world, 9.0);
        world.pass(10_000);
        world.news();
        if restart {
            world.plan = plan(vec![web(command())]);
            world.kill_and_restore();
        } else {
            world.reload(plan(vec![web(command())]));
        }
        let news = world.news();
        assert!(news.contains(&"@ ops Resolved".to_owned()), "{news:?}");
        assert!(!world.saved.contains_key("data"));
    }
}

#[test]
fn another_boot_voids_identities() {
    let world = quiet(vec![web(command())]);
    let services = world.saved.clone().into_iter().collect();
    let restored = Restored { services, same_boot: false, ..Restored::default() };
    let mut world = World::with(world.plan.clone(), setting(), restored);
    world.pass(1_000);
    assert!(world.news().iter().any(|line| line.contains("up as")));
}

#[test]
fn a_stop_that_waited_for_a_start_is_not_forgotten() {
    let mut world = quiet(vec![web(command())]);
    world.kill("web", KILL);
    world.pass(1);
    world.ask(1, Command::Stop { service: "web".into() });
    assert!(world.web().process.is_some(), "the start is under way");
    world.kill_and_restore();
    world.pass(60_000);
    assert_eq!(world.web().process, None);
    assert_eq!(world.status("web"), Status::Stopped);
}
