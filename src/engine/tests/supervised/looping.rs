//! Crash loops: what counts, and what is told.

use super::*;

/// Its supervisor starts it again a second after it has died, and so on, so many times.
fn loops(world: &mut World, times: usize) {
    for _ in 0..times {
        world.kill("web", SEGV);
        world.pass(1_000);
        world.bring_up("web");
        world.pass(3_000);
    }
}

#[test]
fn a_crash_loop_is_told_once_and_is_over_when_it_has_calmed() {
    let mut world = quiet(watched());
    loops(&mut world, 3);
    assert_eq!(readings(&world, "flapping"), "no");
    loops(&mut world, 30);
    let news = world.news();
    for rule in ["flapping", "down"] {
        let fired = news.iter().filter(|line| line.starts_with(&format!("{rule} fires"))).count();
        assert!(fired <= 1, "{rule} {fired}: {news:?}");
    }
    assert!(news.iter().any(|line| line.starts_with("flapping fires")), "{news:?}");
    assert_eq!(news.iter().filter(|line| *line == "@ ops Firing").count(), 1, "{news:?}");
    world.pass(200_000);
    assert!(!world.news().iter().any(|line| line.starts_with("flapping resolved")));
    world.pass(120_000);
    assert!(world.news().iter().any(|line| line.starts_with("flapping resolved")));
    assert_eq!(world.status("web"), Status::Ok);
    assert_eq!(readings(&world, "flapping"), "no");
    world.pass(400_000);
    assert_eq!(readings(&world, "restarts"), "0");
}

#[test]
fn a_loop_too_fast_to_be_seen_is_counted_by_the_record() {
    let mut world = quiet(judged(service("web").checks(vec![]).control(runit()), 0));
    world.web().meanwhile = Phase::Starting;
    world.web().process = None;
    for _ in 0..8 {
        world.pass(10_000);
        world.web().stamp += 2;
    }
    assert!(world.news().iter().any(|line| line.starts_with("flapping fires")), "{:?}", readings(&world, "restarts"));
}

#[test]
fn the_supervisors_own_count_is_believed() {
    use crate::engine::supervision::Restarts;
    let at = |s: u64| now(1_000_000 + s * 1_000);
    let state = |restarts| ControlState { alive: true, restarts: Some(restarts), ..ControlState::default() };
    let mut restarts = Restarts::default();
    let mut hear = |count, s: u64| {
        restarts.heard(&state(count), at(s).mono, at(s));
        restarts.settle(at(s).mono);
        (restarts.count(), restarts.flapping)
    };
    assert_eq!(hear(7, 0), (0, false), "what was before minder looked is nobody's business");
    assert_eq!(hear(9, 5), (2, false));
    assert_eq!(hear(12, 10), (5, true), "faster than it is asked");
    assert_eq!(hear(1, 20), (6, true), "it began anew");
    assert_eq!(hear(1, 300), (6, true));
    assert_eq!(hear(1, 320), (6, false), "calm for five minutes");
    assert_eq!(hear(1, 800), (0, false));
}

#[test]
fn neither_our_restarts_nor_its_operators_count() {
    let mut world = quiet(watched());
    for request in 0..6 {
        world.ask(request, Command::Restart { service: "web".into() });
        world.pass(30_000);
    }
    for _ in 0..6 {
        take_down(&mut world);
        world.pass(15_000);
        world.web().wanted = true;
        world.bring_up("web");
        world.pass(15_000);
    }
    assert_eq!(readings(&world, "restarts"), "0");
    assert!(!world.news().iter().any(|line| line.contains("fires")));
}

#[test]
fn a_loop_outlives_minder() {
    let mut world = quiet(watched());
    loops(&mut world, 10);
    assert!(world.news().iter().any(|line| line.starts_with("flapping fires")));
    world.kill_and_restore();
    world.pass(12_000);
    assert_eq!(readings(&world, "flapping"), "yes");
    let news = world.news();
    assert!(!news.iter().any(|line| line.starts_with("flapping")), "{news:?}");
}
