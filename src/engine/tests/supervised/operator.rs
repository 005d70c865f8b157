//! What its operator takes down and up is his affair.

use super::*;

#[test]
fn what_its_operator_takes_up_again_has_its_time() {
    for down_for in [500, 90_000] {
        let mut world = quiet(watched());
        take_down(&mut world);
        world.pass(down_for);
        assert_eq!(world.status("web"), Status::Stopped);
        take_up(&mut world);
        world.pass(4_900);
        assert_eq!(world.status("web"), Status::Unknown);
        comes_up(&mut world);
        world.pass(12_000);
        assert_eq!(world.status("web"), Status::Ok);
        is_calm(&mut world);
    }
}

#[test]
fn what_its_operator_takes_up_again_and_does_not_come_is_down() {
    let mut world = quiet(watched());
    take_down(&mut world);
    world.pass(60_000);
    world.web().wanted = true;
    nudge(&mut world);
    world.pass(4_900);
    is_calm(&mut world);
    world.pass(200);
    assert!(world.news().contains(&"> restart".to_owned()));
}

#[test]
fn what_was_down_when_minder_began_has_its_time_as_well() {
    let mut world = World::down(plan(vec![watched()]), setting());
    world.web().wanted = false;
    world.pass(60_000);
    take_up(&mut world);
    world.pass(4_900);
    comes_up(&mut world);
    world.pass(12_000);
    assert_eq!(world.status("web"), Status::Ok);
    is_calm(&mut world);
}

#[test]
fn an_operator_may_take_it_up_and_down_as_fast_as_he_likes() {
    let mut world = quiet(watched());
    for _ in 0..20 {
        // The kernel tells of the end before the supervisor has written down who wished it.
        world.kill("web", TERM);
        world.pass(3);
        world.web().wanted = false;
        nudge(&mut world);
        world.pass(700);
        assert_eq!(world.status("web"), Status::Stopped);
        take_up(&mut world);
        world.pass(3);
        comes_up(&mut world);
        world.pass(700);
    }
    is_calm(&mut world);
}

#[test]
fn an_operators_own_restart_is_no_alarm() {
    for told in [true, false] {
        for meanwhile in [Phase::Starting, Phase::Finishing, Phase::Down] {
            let mut world = quiet(watched());
            world.deaf = !told;
            // As often as it is not taken for a loop.
            for _ in 0..4 {
                world.web().meanwhile = meanwhile;
                world.kill("web", TERM);
                nudge(&mut world);
                world.pass(1_500);
                comes_up(&mut world);
                // Where nobody knows how it ended, one that lives for less than `settle` may die by itself.
                world.pass(if told { 1_000 } else { 6_000 });
            }
            is_calm(&mut world);
            world.pass(20_000);
            assert_eq!(world.status("web"), Status::Ok);
        }
    }
}

#[test]
fn what_was_taken_down_stays_so_when_its_supervisor_is_gone() {
    let mut world = quiet(watched());
    take_down(&mut world);
    world.pass(12_000);
    assert_eq!(world.status("web"), Status::Stopped);
    world.web().supervisor = false;
    world.pass(60_000);
    assert_eq!(world.status("web"), Status::Stopped);
    world.kill_and_restore();
    world.pass(60_000);
    assert_eq!(world.status("web"), Status::Stopped);
    assert!(!world.news().iter().any(|line| line.starts_with(['>', '@'])));
}

/// Its port is closed from the moment that it is told to end, and a rule on that needs no second look.
#[test]
fn an_operators_stop_is_no_alarm_for_a_probe_either() {
    for by_operator in [true, false] {
        let service = service("web").checks(vec![supervised(10), file(10)]).control(runit());
        let trouble = service.is(1, "missing", Test::Truth);
        let mut world = quiet(judged(service.rule(rule("trouble", trouble, Hold::None, vec![])), 2));
        world.web().control_takes = 300;
        world.web().wanted = !by_operator;
        world.web().trouble = true;
        world.kill("web", TERM);
        world.input(Input::Touched(CheckId(1)));
        world.pass(100);
        is_calm(&mut world);
        world.pass(30_000);
        let news = world.news();
        let told = news.iter().any(|line| line.starts_with("trouble fires"));
        assert_eq!(told, !by_operator, "{news:?}");
    }
}

/// It is not well before it is there.
#[test]
fn what_its_operator_takes_up_again_has_its_grace() {
    let mut service = service("web").checks(vec![supervised(10), file(1)]).control(runit());
    let when = service.is(1, "missing", Test::Truth);
    service = service.rule(rule("missing", when, Hold::None, vec![Action::Restart]));
    let mut world = quiet(judged(service, 2));
    world.web().wanted = false;
    world.trouble("web", true);
    world.kill("web", TERM);
    world.pass(60_000);
    world.news();
    world.web().wanted = true;
    nudge(&mut world);
    world.pass(2_500);
    world.trouble("web", false);
    world.bring_up("web");
    world.pass(15_000);
    let news = world.news();
    assert!(!news.iter().any(|line| line.starts_with("missing fires")), "{news:?}");
    assert_eq!(world.status("web"), Status::Ok);
}
