//! A clock that is set, and a machine that sleeps.

use crate::engine::testing::*;
use crate::model::*;

const DAY: i64 = 86_400_000;
/// Seconds, a day, ten years; ahead and back.
const STEPS: [i64; 8] = [2_000, -2_000, 3_600_000, -3_600_000, DAY, -DAY, 3653 * DAY, -3653 * DAY];

/// `web` with its process; its file must not be large for a minute, nor bad three times of five.
fn world() -> World {
    let service = web(command());
    let mut checks = service.checks.clone();
    checks.push(file(10));
    let mut service = service.checks(checks);
    let large = service.is(1, "size", above(5.0));
    service = service.rule(rule("large", large, Hold::For(seconds(60)), vec![Action::Restart]));
    let bad = service.is(1, "missing", Test::Truth);
    service = service.rule(rule("bad", bad, Hold::Count { bad: 3, of: 5 }, vec![Action::Restart]));
    let mut world = World::new(plan(vec![service]));
    world.pass(60_000);
    world.news();
    world
}

fn count(world: &mut World, what: &str) -> usize {
    world.news().iter().filter(|line| line.starts_with(what)).count()
}

fn asked(world: &World, from: usize) -> usize {
    world.log[from..].iter().filter(|(_, effect)| matches!(effect, Effect::Ask(_))).count()
}

#[test]
fn a_clock_that_is_set_completes_no_hold_and_undoes_none() {
    for step in STEPS {
        let mut world = world();
        world.web().size = 9.0;
        world.pass(32_000);
        world.set += step;
        world.pass(18_000);
        assert_eq!(world.news(), [""; 0], "{step}: too early");
        assert_eq!(world.status("web"), Status::Ok, "{step}");
        world.pass(30_000);
        let news = world.news();
        assert!(news.iter().any(|line| line.contains("large fires")), "{step}: {news:?}");
    }
}

#[test]
fn a_clock_that_is_set_is_no_death_and_floods_nobody() {
    for step in STEPS {
        let mut world = world();
        let from = world.log.len();
        world.pass(60_000);
        let usual = asked(&world, from);
        let from = world.log.len();
        world.set += step;
        world.pass(60_000);
        assert!(asked(&world, from).abs_diff(usual) <= 2, "{step}: {} questions, not {usual}", asked(&world, from));
        assert_eq!(world.news(), [""; 0], "{step}");
        assert!(!world.doubled);
    }
}

#[test]
fn a_clock_that_is_set_gives_no_restarts_back() {
    for step in STEPS {
        let mut world = world();
        world.web().start = Start::Dies(3_000);
        world.kill("web", Some(Exit::Code(1)));
        let mut starts = 0;
        // Within the window of the budget, which allows five.
        for i in 0..14 {
            world.set += if i % 2 == 0 { step } else { -step };
            if i == 7 {
                world.kill_and_restore();
            }
            world.pass(60_000);
            starts += count(&mut world, "> start");
        }
        assert!((1..=5).contains(&starts), "{step}: {starts} starts");
    }
}

#[test]
fn durations_are_true_however_the_clock_is_set_meanwhile() {
    for step in STEPS {
        let mut world = world();
        world.web().start = Start::Slow { reported: true };
        world.kill("web", Some(Exit::Code(1)));
        world.pass(5_000);
        world.set += step;
        world.bring_up("web");
        world.pass(20_000);
        let took = world.log.iter().find_map(|(_, effect)| match effect {
            Effect::Record(Record::Event(Event { kind: EventKind::Acted { took, .. }, .. })) => Some(*took),
            _ => None,
        });
        assert!(took.is_some_and(|took| (4_000..20_000).contains(&took)), "{step}: {took:?}");
    }
}

/// Only the clock for people goes on while the machine sleeps; a machine that is held up by its host loses both.
#[test]
fn a_machine_that_slept_goes_on_where_it_was() {
    for (asleep, held_up) in [(8 * 3_600_000, 0), (0, 8 * 3_600_000), (30 * DAY, 0), (0, 30 * DAY as u64)] {
        let mut world = world();
        world.web().size = 9.0;
        world.pass(32_000);
        let from = world.log.len();
        world.set += asleep;
        world.freeze(held_up);
        assert!(asked(&world, from) <= 3, "each check is asked once, not for all that it has missed");
        world.pass(18_000);
        assert_eq!(world.news(), [""; 0], "no hold is complete, nobody is thought dead");
        assert!(asked(&world, from) <= 8, "{}", asked(&world, from));
        world.pass(40_000);
        assert!(count(&mut world, "> start") >= 1, "and the hold goes on");
    }
}
