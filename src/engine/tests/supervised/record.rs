//! Records that read as if its operator had taken it down, and he has not.

use super::*;

/// A restart is under way, and minder is killed when its supervisor has stopped it and was not told to start it.
fn half_restarted() -> World {
    let mut world = quiet(watched_by(supervisord()));
    world.web().start = Start::Half;
    world.ask(1, Command::Restart { service: "web".into() });
    world.pass(100);
    assert!(world.saved["web"].acting.is_some() && !world.web().wanted);
    world.web().start = Start::Up;
    world.news();
    world
}

#[test]
fn a_restart_of_two_orders_that_the_end_of_minder_interrupted_is_resumed() {
    // Before it, or after it, the end of the process is noticed.
    for control_takes in [1, 300] {
        let mut world = half_restarted();
        world.web().control_takes = control_takes;
        world.kill_and_restore();
        world.pass(12_000);
        let news = world.news();
        assert!(news.contains(&"> start".to_owned()), "{news:?}");
        assert!(!news.iter().any(|line| line.contains("operator") || line.contains("fires")), "{news:?}");
        assert_eq!(world.status("web"), Status::Ok);
        assert_eq!(world.saved["web"].no_wish, None);
    }
}

#[test]
fn it_is_resumed_however_often_minder_is_killed() {
    let mut world = half_restarted();
    world.web().start = Start::Hangs;
    for _ in 0..3 {
        world.kill_and_restore();
        world.pass(100);
        assert!(world.news().contains(&"> start".to_owned()));
        assert!(world.saved["web"].no_wish.is_some());
    }
    world.web().start = Start::Up;
    world.kill_and_restore();
    world.pass(12_000);
    assert_eq!(world.status("web"), Status::Ok);
}

#[test]
fn what_ends_slowly_is_started_when_it_has_ended() {
    let mut world = half_restarted();
    let old = world.saved["web"].acting.as_ref().unwrap().old;
    world.web().process = old;
    world.web().meanwhile = Phase::Stopping;
    world.kill_and_restore();
    world.pass(4_000);
    assert!(!world.news().iter().any(|line| line.starts_with('>') || line.contains("operator")));
    world.web().meanwhile = Phase::Down;
    world.web().since = Some(now(world.ms).wall);
    world.web().stamp += 1;
    world.kill("web", TERM);
    world.pass(12_000);
    assert!(world.news().contains(&"> start".to_owned()));
    assert_eq!(world.status("web"), Status::Ok);
}

#[test]
fn what_its_operator_stopped_before_or_after_an_interrupted_restart_stays_so() {
    for (seconds, resumed) in [(-60, false), (-2, false), (0, true), (9, true), (11, false), (3_600, false)] {
        let mut world = half_restarted();
        let began = world.saved["web"].acting.as_ref().unwrap().since;
        world.web().since = Some(Wall(began.0 + seconds * 1_000));
        world.kill_and_restore();
        world.pass(60_000);
        let news = world.news();
        assert_eq!(news.contains(&"> start".to_owned()), resumed, "{seconds}: {news:?}");
        let status = if resumed { Status::Ok } else { Status::Stopped };
        assert_eq!(world.status("web"), status, "{seconds}");
    }
    // Under a supervisor that is told in one order, no stop is ever half a restart.
    let mut world = quiet(watched());
    world.web().start = Start::Half;
    world.ask(1, Command::Restart { service: "web".into() });
    world.pass(100);
    world.kill_and_restore();
    world.pass(60_000);
    assert_eq!(world.status("web"), Status::Stopped);
}

/// `s6` has given it up, and minder has heard so.
fn given_up() -> World {
    let mut world = quiet(judged(service("web").checks(vec![supervised(10)]).control(s6()), 1));
    world.web().failed = true;
    world.kill("web", Some(Exit::Code(1)));
    world.pass(12_000);
    assert!(world.news().iter().any(|line| line.starts_with("failed fires")));
    // To who reads the record it looks like this.
    (world.web().failed, world.web().wanted) = (false, false);
    world
}

#[test]
fn what_was_given_up_in_silence_is_remembered() {
    let mut world = given_up();
    for _ in 0..2 {
        world.kill_and_restore();
        world.pass(60_000);
        assert_eq!(world.status("web"), Status::Warning);
        assert_eq!(readings(&world, "failed"), "yes");
        let news = world.news();
        assert!(!news.iter().any(|line| line.contains("resolved") || line.contains("operator")), "{news:?}");
    }
    // As the restart of what has failed: its supervisor would take that for one of what is down.
    world.ask(1, Command::Restart { service: "web".into() });
    world.pass(12_000);
    assert!(world.news().contains(&"> start".to_owned()));
    assert_eq!(world.status("web"), Status::Ok);
}

#[test]
fn what_was_given_up_and_then_started_and_taken_down_is_stopped() {
    let mut world = given_up();
    world.web().stamp += 1;
    world.kill_and_restore();
    world.pass(12_000);
    assert_eq!(world.status("web"), Status::Stopped);
    assert_eq!(readings(&world, "failed"), "no");
}
