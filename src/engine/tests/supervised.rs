//! A service beside its supervisor: whose process it is, whose turn, what counts as its doing, and what is told of it.

use crate::engine::testing::*;
use crate::model::*;

const SEGV: Option<Exit> = Some(Exit::Signal { number: 11, core: false });
const TERM: Option<Exit> = Some(Exit::Signal { number: 15, core: false });

/// `web`, with `process: supervised`, `process.down -> restart`, and what is implied of a control.
fn watched() -> Service {
    watched_by(runit())
}

fn watched_by(control: controls::ControlSpec) -> Service {
    let mut service = service("web").checks(vec![supervised(10)]).control(control);
    let down = service.down();
    service =
        service.rule(Rule { severity: Severity::Critical, ..rule("down", down, Hold::None, vec![Action::Restart]) });
    judged(service, 1)
}

/// With the rules that are implied of its control, the check at this place.
fn judged(mut service: Service, control: u16) -> Service {
    let gone = Condition::Not(Box::new(service.is(control, "alive", Test::Truth)));
    let rules = [
        ("gone", gone, Hold::For(seconds(10))),
        ("failed", service.is(control, "failed", Test::Truth), Hold::None),
        ("flapping", service.is(control, "flapping", Test::Truth), Hold::None),
    ];
    for (name, when, hold) in rules {
        let rule = Rule { liveness: true, ..rule(name, when, hold, vec![Action::Notify(None)]) };
        service = service.rule(rule);
    }
    service
}

fn quiet(service: Service) -> World {
    let mut world = World::new(plan(vec![service]));
    world.pass(12_000);
    assert_eq!(world.status("web"), Status::Ok, "{:?}", world.view("web"));
    world.news();
    world
}

/// Its supervisor starts it again a second after it has died, and so on, so many times.
fn loops(world: &mut World, times: usize) {
    for _ in 0..times {
        world.kill("web", SEGV);
        world.pass(1_000);
        world.bring_up("web");
        world.pass(3_000);
    }
}

fn readings(world: &World, metric: &str) -> String {
    let view = world.view("web");
    let control = view.checks.iter().find(|check| &*check.name == "control").unwrap();
    control.metrics.iter().find(|m| m.name == metric).map_or("unknown".to_owned(), |m| m.text.clone())
}

#[test]
fn the_process_is_the_one_that_the_supervisor_names() {
    let mut world = quiet(watched());
    assert_eq!(world.view("web").pid, Some(101));
    world.kill("web", SEGV);
    world.pass(1_000);
    world.bring_up("web");
    world.pass(12_000);
    assert_eq!(world.view("web").pid, Some(102));
    assert_eq!(world.news(), ["pid 101 killed by SIGSEGV", "up as pid 102"]);
    world.kill("web", SEGV);
    world.pass(5_100);
    assert!(world.news().contains(&"> restart".to_owned()), "after settle it is ours");
    assert_eq!(world.view("web").pid, Some(103));
}

#[test]
fn a_supervisor_that_has_not_taken_note_of_a_death_is_asked_again_soon() {
    let mut world = quiet(watched());
    // The kernel tells of the end of a process before its parent knows.
    let identity = world.web().process.unwrap();
    world.input(Input::Exited { identity, how: SEGV });
    world.pass(30);
    world.web().process = None;
    world.pass(100);
    let new = world.bring_up("web");
    world.pass(400);
    assert_eq!(world.view("web").pid, Some(new.pid), "{:?}", world.news());
    assert_eq!(world.news(), ["pid 101 killed by SIGSEGV", "up as pid 102"]);
}

#[test]
fn a_stuck_supervisor_does_not_hide_a_death() {
    let mut world = quiet(watched());
    let identity = world.web().process.unwrap();
    world.input(Input::Exited { identity, how: SEGV });
    let asked = |world: &World| world.log.iter().filter(|(_, e)| matches!(e, Effect::Ask(_))).count();
    let before = asked(&world);
    world.pass(4_900);
    assert!(asked(&world) - before < 40, "asked ever more slowly: {}", asked(&world) - before);
    assert_eq!(world.status("web"), Status::Unknown);
    world.pass(400);
    assert!(world.news().iter().any(|line| line.starts_with("down fires")));
}

#[test]
fn what_cannot_be_asked_is_never_down() {
    let mut world = quiet(watched());
    world.web().askable = false;
    world.pass(60_000);
    assert_eq!(world.news(), [""; 0], "its process lives, as the kernel knows");
    assert_eq!(world.status("web"), Status::Unknown);
    world.kill("web", SEGV);
    world.pass(120_000);
    let news = world.news();
    assert_eq!(news, ["pid 101 killed by SIGSEGV"]);
    let note = world.view("web").checks[0].note.clone();
    assert_eq!(note.as_deref(), Some("its supervisor could not be asked: permission denied"));
    world.web().askable = true;
    world.pass(12_000);
    assert!(world.news().contains(&"> restart".to_owned()));
}

#[test]
fn what_the_supervisor_gave_up_is_down_at_once_and_ours() {
    for first in [watched(), judged(web(runit()), 1)] {
        let mut world = quiet(first);
        world.web().failed = true;
        world.kill("web", Some(Exit::Code(0)));
        world.pass(20);
        let news = world.news();
        assert!(news.contains(&"> restart".to_owned()), "{news:?}");
        world.pass(20_000);
        assert_eq!(world.status("web"), Status::Ok, "{:?}", world.news());
    }
}

#[test]
fn a_backoff_is_the_supervisors_turn_however_long() {
    let mut world = quiet(watched());
    world.web().meanwhile = Phase::Starting;
    world.kill("web", SEGV);
    world.pass(60_000);
    let news = world.news();
    assert!(news.iter().any(|line| line.starts_with("down fires")), "it is told all the same: {news:?}");
    assert!(!news.iter().any(|line| line.starts_with('>')), "{news:?}");
    let held = "no restart: its supervisor is about to start it";
    assert_eq!(news.iter().filter(|line| *line == held).count(), 1, "{news:?}");
    world.bring_up("web");
    world.pass(20_000);
    assert_eq!(world.status("web"), Status::Ok);
    let news = world.news();
    assert!(!news.iter().any(|line| line.starts_with('>')), "{news:?}");
}

#[test]
fn a_start_by_the_supervisor_that_was_in_vain_ends_its_turn() {
    let mut world = quiet(watched());
    world.web().meanwhile = Phase::Starting;
    world.kill("web", SEGV);
    world.pass(8_000);
    assert!(!world.news().contains(&"> restart".to_owned()));
    world.web().stamp += 1;
    world.pass(1_500);
    assert!(world.news().contains(&"> restart".to_owned()));
}

#[test]
fn a_finish_script_has_its_time() {
    let mut world = quiet(watched());
    world.web().meanwhile = Phase::Finishing;
    world.kill("web", SEGV);
    world.pass(9_000);
    assert_eq!(world.news(), ["pid 101 killed by SIGSEGV"], "longer than settle");
    world.pass(7_000);
    assert!(world.news().contains(&"> restart".to_owned()), "but not for ever");
}

/// Its supervisor's record has changed, and minder is told.
fn nudge(world: &mut World) {
    world.input(Input::Nudged { control: "runit", name: "web".into() });
}

fn is_calm(world: &mut World) {
    let news = world.news();
    assert!(!news.iter().any(|line| line.contains("fires") || line.starts_with('>')), "{news:?}");
}

#[test]
fn what_its_operator_takes_up_again_has_its_time() {
    for down_for in [500, 90_000] {
        let mut world = quiet(watched());
        world.web().wanted = false;
        world.kill("web", TERM);
        world.pass(down_for);
        assert_eq!(world.status("web"), Status::Stopped);
        world.web().wanted = true;
        world.web().meanwhile = Phase::Starting;
        nudge(&mut world);
        world.pass(4_900);
        assert_eq!(world.status("web"), Status::Unknown);
        world.bring_up("web");
        nudge(&mut world);
        world.pass(12_000);
        assert_eq!(world.status("web"), Status::Ok);
        is_calm(&mut world);
    }
}

#[test]
fn what_its_operator_takes_up_again_and_does_not_come_is_down() {
    let mut world = quiet(watched());
    world.web().wanted = false;
    world.kill("web", TERM);
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
    world.web().wanted = true;
    world.web().meanwhile = Phase::Starting;
    nudge(&mut world);
    world.pass(4_900);
    world.bring_up("web");
    nudge(&mut world);
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
        world.web().wanted = true;
        world.web().meanwhile = Phase::Starting;
        nudge(&mut world);
        world.pass(3);
        world.bring_up("web");
        nudge(&mut world);
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
                world.bring_up("web");
                nudge(&mut world);
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
    world.web().wanted = false;
    world.kill("web", TERM);
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

#[test]
fn a_supervisor_that_is_gone_is_told_and_its_process_lives_on() {
    let mut world = quiet(watched());
    world.web().supervisor = false;
    world.pass(9_000);
    assert_eq!(world.news(), [""; 0]);
    world.pass(12_000);
    assert_eq!(
        world.news(),
        ["incident opened, warning", "gone fires: control.alive no (runsv is gone)", "@ ops Firing"],
    );
    assert_eq!(world.view("web").pid, Some(101));
    world.web().supervisor = true;
    world.pass(12_000);
    assert_eq!(world.news().last().unwrap(), "@ ops Resolved");
}

#[test]
fn while_the_machine_boots_supervisors_come_up_too() {
    let mut world = World::down(plan(vec![watched()]), Setting { booted: seconds(10), ..setting() });
    world.web().supervisor = false;
    world.kill_and_restore();
    world.pass(48_000);
    assert!(!world.news().iter().any(|line| line.contains("fires")));
    world.pass(25_000);
    assert!(world.news().iter().any(|line| line.starts_with("gone fires")));
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
        world.web().wanted = false;
        world.kill("web", TERM);
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

#[test]
fn rules_know_nothing_of_a_control_that_cannot_be_asked() {
    let mut world = quiet(watched());
    world.web().askable = false;
    world.pass(60_000);
    assert_eq!(world.news(), [""; 0]);
    for metric in ["alive", "failed", "flapping"] {
        assert_eq!(readings(&world, metric), "unknown", "{metric}");
    }
}

#[test]
fn a_nudge_has_the_supervisor_asked_at_once() {
    let mut world = quiet(watched());
    let asked = |world: &World| {
        world.log.iter().filter(|(_, e)| matches!(e, Effect::Ask(q) if q.kind.name() == "control")).count()
    };
    let before = asked(&world);
    world.input(Input::Nudged { control: "runit", name: "other".into() });
    world.input(Input::Nudged { control: "s6", name: "web".into() });
    assert_eq!(asked(&world), before);
    world.input(Input::Nudged { control: "runit", name: "web".into() });
    world.pass(1);
    assert_eq!(asked(&world), before + 1);
    let watched = world.log.iter().filter(|(_, e)| matches!(e, Effect::WatchControl(..))).count();
    assert_eq!(watched, 1);
}

#[test]
fn a_nudge_is_about_the_service_that_its_supervisor_calls_so() {
    let supervisord = |program: &str| {
        let keys = serde_json::json!({ "program": program });
        controls::ControlSpec::read("supervisord", keys).unwrap().unwrap()
    };
    for (program, event, is) in [
        ("web", "web", true),
        ("web", "web:web", true),
        ("web", "site:web", false),
        ("site:web", "site:web", true),
        ("site:web", "web", false),
        ("web", "web:", false),
    ] {
        assert_eq!(supervisord(program).is_about("supervisord", event), is, "{program} {event}");
    }
    assert!(!supervisord("web").is_about("runit", "web"));
}

#[test]
fn what_rules_mention_of_a_control_is_recorded() {
    let world = quiet(watched());
    let kept = world.log.iter().filter(|(_, e)| matches!(e, Effect::Series(_, series) if &*series.check == "control"));
    assert_eq!(kept.count(), 1);
    let world = quiet(web(runit()));
    assert!(!world.log.iter().any(|(_, e)| matches!(e, Effect::Series(_, series) if &*series.check == "control")));
}

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

#[test]
fn a_directory_that_is_new_to_its_supervisor_has_its_time() {
    let mut world = World::down(plan(vec![watched()]), setting());
    world.web().supervisor = false;
    world.kill_and_restore();
    world.news();
    world.pass(7_000);
    assert_eq!(world.status("web"), Status::Unknown);
    world.web().supervisor = true;
    world.web().meanwhile = Phase::Starting;
    nudge(&mut world);
    world.pass(4_000);
    world.bring_up("web");
    nudge(&mut world);
    world.pass(30_000);
    assert_eq!(world.status("web"), Status::Ok);
    is_calm(&mut world);
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

#[test]
fn a_directory_that_no_supervisor_finds_is_told() {
    let mut world = World::down(plan(vec![watched()]), setting());
    world.web().supervisor = false;
    world.kill_and_restore();
    world.news();
    world.pass(9_900);
    is_calm(&mut world);
    world.pass(20_100);
    let news = world.news();
    assert!(news.iter().any(|line| line == "gone fires: control.alive no (runsv is gone)"), "{news:?}");
    assert!(news.iter().any(|line| line.starts_with("down fires")), "{news:?}");
}

#[test]
fn a_supervisor_that_comes_back_has_its_turn() {
    let mut world = quiet(watched());
    world.web().supervisor = false;
    world.kill("web", SEGV);
    world.pass(2_000);
    world.news();
    world.web().supervisor = true;
    nudge(&mut world);
    world.pass(3_000);
    world.bring_up("web");
    nudge(&mut world);
    world.pass(12_000);
    assert!(!world.news().contains(&"> restart".to_owned()));
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
    world.input(Input::Nudged { control: "runit", name: "web".into() });
    world.pass(2_500);
    world.trouble("web", false);
    world.bring_up("web");
    world.pass(15_000);
    let news = world.news();
    assert!(!news.iter().any(|line| line.starts_with("missing fires")), "{news:?}");
    assert_eq!(world.status("web"), Status::Ok);
}
